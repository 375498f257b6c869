//! Files that hold secrets: read only if nobody else could have read or written them, replaced in one step.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// Largest file of secrets that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// A file of secrets that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// What is wrong, the end of a sentence that begins with the path.
    pub problem: String,
    /// What to do.
    pub help: Option<String>,
}

impl FileError {
    pub(crate) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), problem: problem.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.path.display(), self.problem)
    }
}
impl std::error::Error for FileError {}

/// The text of the file at `path`; `None` if there is none.
///
/// # Errors
/// It is a link, belongs to somebody else, can be read or written by others, or lies in a folder that others can write.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            return Err(FileError::new(path, "is a symbolic link").help("replace it by the file itself"));
        }
        Err(error) => return Err(FileError::new(path, format!("cannot be opened: {error}"))),
    };
    check(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_SIZE)
        .read_to_string(&mut text)
        .map_err(|error| FileError::new(path, format!("cannot be read: {error}")))?;
    Ok(Some(text))
}

fn check(path: &Path, file: &File) -> Result<(), FileError> {
    let unreadable = |error: std::io::Error| FileError::new(path, format!("cannot be examined: {error}"));
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MAX_SIZE {
        return Err(FileError::new(path, "is not a regular file of at most 1 MiB"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileError::new(path, format!("belongs to another user (uid {})", metadata.uid())));
    }
    if metadata.mode() & 0o077 != 0 {
        let problem = format!("holds tokens and can be used by others (mode {:03o})", metadata.mode() & 0o777);
        return Err(FileError::new(path, problem).help(format!("run `chmod 600 {}`", path.display())));
    }
    check_folder(path)
}

/// Whoever can write the folder can put another file in this one's place.
fn check_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let metadata =
        std::fs::metadata(folder).map_err(|error| FileError::new(folder, format!("cannot be examined: {error}")))?;
    if metadata.mode() & 0o022 != 0 {
        let problem = format!("holds tokens and can be written by others (mode {:03o})", metadata.mode() & 0o777);
        return Err(FileError::new(folder, problem).help(format!("run `chmod go-w {}`", folder.display())));
    }
    Ok(())
}

/// Puts `text` at `path`, whole or not at all, for the user alone. What stands there is replaced, a link too; what it
/// points to is not touched.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let failed = |error: std::io::Error| FileError::new(path, format!("cannot be written: {error}"));
    check_folder(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let private = std::fs::Permissions::from_mode(0o600);
    let mut builder = tempfile::Builder::new();
    let mut file = builder.prefix(".credentials-").permissions(private).tempfile_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    /// Attack 155: what others could read or replace is not believed, and links lead nowhere.
    #[test]
    fn only_private_files_are_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, "secret").unwrap();
        assert_eq!(read(&path).unwrap().unwrap().as_str(), "secret");
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        for open in [0o640, 0o604, 0o620, 0o666] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).unwrap();
            assert!(read(&path).unwrap_err().help.unwrap().contains("chmod 600"), "{open:o}");
        }
        let (link, outside) = (folder.path().join("link"), folder.path().join("outside"));
        write(&outside, "precious").unwrap();
        symlink("outside", &link).unwrap();
        assert!(read(&link).unwrap_err().problem.contains("symbolic link"));
        write(&link, "secret").unwrap();
        assert!(!link.is_symlink() && std::fs::read_to_string(&outside).unwrap() == "precious");
        let hard = folder.path().join("hard");
        std::fs::hard_link(&outside, &hard).unwrap();
        write(&hard, "secret").unwrap();
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "precious");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(read(&hard).is_err() && write(&hard, "x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "no temporary file stays");
    }
}
