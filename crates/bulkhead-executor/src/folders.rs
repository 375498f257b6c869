//! Folders below the target folder. A repository may bring them along as links to where only the user may write: what is
//! built, and what build code writes, does not follow.

use std::io;
use std::path::Path;

use crate::Options;

/// Makes `folder`. Below the target folder, nothing on the way may be a link.
pub(crate) fn make(options: &Options<'_>, folder: &Path) -> io::Result<()> {
    let bases = [&options.target_dir, &options.build_dir].into_iter().filter(|base| folder.starts_with(base));
    let Some(base) = bases.max_by_key(|base| base.as_os_str().len()) else { return std::fs::create_dir_all(folder) };
    std::fs::create_dir_all(base)?;
    let mut path = base.clone();
    for part in folder.strip_prefix(base).unwrap_or(folder) {
        path.push(part);
        make_one(&path)?;
    }
    Ok(())
}

fn make_one(path: &Path) -> io::Result<()> {
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => path.symlink_metadata()?,
            made => return made,
        },
        found => found?,
    };
    if metadata.is_dir() {
        return Ok(());
    }
    let what =
        if metadata.is_symlink() { "a symbolic link, which is not followed from a target folder" } else { "no folder" };
    Err(io::Error::new(io::ErrorKind::NotADirectory, format!("`{}` is {what}: remove it", path.display())))
}

#[cfg(test)]
mod tests {
    use super::make_one;

    /// Attack 103.
    #[test]
    fn links_are_no_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (new, link, file) = (folder.path().join("new"), folder.path().join("link"), folder.path().join("file"));
        make_one(&new).unwrap();
        make_one(&new).unwrap();
        std::os::unix::fs::symlink(&new, &link).unwrap();
        std::fs::write(&file, "").unwrap();
        assert!(make_one(&link).unwrap_err().to_string().contains("symbolic link"));
        assert!(make_one(&file).unwrap_err().to_string().contains("no folder"));
    }
}
