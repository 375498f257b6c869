//! The disk, as the pure crates see it and as commands write to it.

#![expect(clippy::disallowed_methods, reason = "what is looked at here is about to be replaced")]

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;

pub use bulkhead_workspace::normalize;

/// Replaces the file at `path` in one step: a temporary file in the same folder, then a rename.
///
/// # Errors
/// `path` is a link that leads out of its own folder (a cloned repository must not choose what is overwritten), or
/// the disk refuses.
pub fn write_atomically(path: &Path, contents: &[u8]) -> crate::error::Result<()> {
    let failed = |error: std::io::Error| Error::failure(format!("failed to write `{}`", path.display())).because(error);
    let path = resolved_within_folder(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".bulkhead-").tempfile_in(folder).map_err(failed)?;
    file.write_all(contents).map_err(failed)?;
    let mode = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.permissions(),
        Err(_) => default_permissions(),
    };
    file.as_file().set_permissions(mode).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Replaces a file of Bulkhead's own in one step; only its owner may read it.
///
/// # Errors
/// The disk refuses.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> crate::error::Result<()> {
    let failed = |error: std::io::Error| Error::failure(format!("failed to write `{}`", path.display())).because(error);
    let folder = path.parent().unwrap_or(Path::new("."));
    // A temporary file has mode 0600, and the rename takes the place of a link instead of following it.
    let mut file = tempfile::Builder::new().prefix(".bulkhead-").tempfile_in(folder).map_err(failed)?;
    file.write_all(contents).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// What `open` with mode 0666 would give under the user's mask.
fn default_permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    std::fs::Permissions::from_mode(0o666 & !mask.bits())
}

fn resolved_within_folder(path: &Path) -> crate::error::Result<PathBuf> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(path.to_path_buf()) };
    if !metadata.file_type().is_symlink() {
        return Ok(path.to_path_buf());
    }
    let target = std::fs::canonicalize(path).ok();
    let folder = path.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
    match (target, folder) {
        (Some(target), Some(folder)) if target.starts_with(&folder) => Ok(target),
        _ => Err(Error::failure(format!("`{}` is a symbolic link that leaves its folder", path.display()))
            .because("writing through it would change a file outside the workspace")
            .help("replace the link by a regular file")),
    }
}

/// Whether there is a symbolic link at `path`.
pub(crate) fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink())
}

/// Makes a folder that only its owner can enter, and those above it.
///
/// # Errors
/// The disk refuses.
pub fn create_private(folder: &Path) -> crate::error::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::failure(format!("failed to create `{}`", folder.display())).because(error))
}

/// Makes a folder in one that exists, or takes the one that is there.
///
/// # Errors
/// A link is there, or a file; the disk refuses.
pub(crate) fn create_own_folder(folder: &Path) -> crate::error::Result<()> {
    let failed =
        |error: std::io::Error| Error::failure(format!("failed to create `{}`", folder.display())).because(error);
    match folder.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(failed(std::io::ErrorKind::NotADirectory.into())),
        Err(_) => std::fs::create_dir_all(folder).map_err(failed),
    }
}

/// Whether a file or folder may be believed, by what a stat of itself (links not followed) tells.
pub(crate) fn check_owner(metadata: &std::fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(format!("belongs to another user (uid {})", metadata.uid()));
    }
    // A link's own mode says nothing.
    if !metadata.file_type().is_symlink() && metadata.mode() & 0o022 != 0 {
        return Err(format!("may be written by others (mode {:03o})", metadata.mode() & 0o777));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{normalize, write_atomically};
    use std::path::Path;

    #[test]
    fn normal_paths_have_no_dots() {
        assert_eq!(normalize(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(normalize(Path::new("/../a")), Path::new("/a"));
    }

    #[test]
    fn writing_never_follows_a_link_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(&outside, "precious").unwrap();
        std::os::unix::fs::symlink("../out", inside.join("Cargo.lock")).unwrap();
        assert!(write_atomically(&inside.join("Cargo.lock"), b"x").is_err());
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "precious");
        // The benign twin: a link that stays inside is followed and kept.
        std::fs::write(inside.join("real"), "old").unwrap();
        std::os::unix::fs::symlink("real", inside.join("link")).unwrap();
        write_atomically(&inside.join("link"), b"new").unwrap();
        assert_eq!(std::fs::read_to_string(inside.join("real")).unwrap(), "new");
        assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 3, "no temporary file stays");
    }
}
