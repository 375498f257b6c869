//! `clean`: deletes only what Bulkhead has marked as its own for this workspace.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::{Error, Event};

/// What was (or with `--dry-run` would be) removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of files.
    pub files: u64,
    /// Number of folders.
    pub folders: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// A folder to delete: never followed if it is a link.
pub fn remove_tree(path: &Path, dry_run: bool, events: &dyn Fn(Event)) -> Result<Removed> {
    let failed =
        |error: std::io::Error| Error::failure(format!("failed to remove `{}`", path.display())).because(error);
    let mut removed = Removed::default();
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(removed) };
    if !metadata.is_dir() {
        removed.files = 1;
        removed.bytes = metadata.len();
        if !dry_run {
            std::fs::remove_file(path).map_err(failed)?;
        }
        return Ok(removed);
    }
    count(path, &mut removed).map_err(failed)?;
    if dry_run {
        events(Event::Note(path.display().to_string()));
        return Ok(removed);
    }
    // `remove_dir_all` works relative to directory descriptors and follows no link.
    std::fs::remove_dir_all(path).map_err(failed)?;
    Ok(removed)
}

fn count(folder: &Path, removed: &mut Removed) -> std::io::Result<()> {
    let mut pending = vec![PathBuf::from(folder)];
    while let Some(folder) = pending.pop() {
        removed.folders += 1;
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                removed.files += 1;
                removed.bytes += metadata.len();
            }
        }
    }
    Ok(())
}
