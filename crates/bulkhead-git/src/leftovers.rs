//! What a git that was killed left in a database: by a limit, by the user, or with the machine.

use std::fs::DirEntry;
use std::io;
use std::path::Path;

/// How packs begin that are not finished yet.
const UNFINISHED: &[u8] = b"tmp_";

/// Removes locks and unfinished packs. Nobody else writes here: the caller holds the lock of the database.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    visit(folder.join("objects/pack"), &mut |entry| match is_unfinished(entry) {
        true => std::fs::remove_file(entry.path()),
        false => Ok(()),
    })?;
    visit(folder.join("refs"), &mut |entry| match entry.file_name().as_encoded_bytes().ends_with(b".lock") {
        true => std::fs::remove_file(entry.path()),
        false => Ok(()),
    })?;
    for name in ["HEAD.lock", "config.lock", "packed-refs.lock", "packed-refs.new", "shallow.lock"] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Bytes of the largest unfinished pack.
pub(crate) fn largest_pack(folder: &Path) -> Option<u64> {
    let mut largest = None;
    let visited = visit(folder.join("objects/pack"), &mut |entry| {
        if is_unfinished(entry) {
            largest = largest.max(Some(entry.metadata()?.len()));
        }
        Ok(())
    });
    visited.ok().and(largest)
}

fn is_unfinished(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(UNFINISHED)
}

/// Shows `see` every file below `folder`, which may be missing.
fn visit(folder: std::path::PathBuf, see: &mut dyn FnMut(&DirEntry) -> io::Result<()>) -> io::Result<()> {
    let mut pending = vec![folder];
    while let Some(folder) = pending.pop() {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else {
                see(&entry)?;
            }
        }
    }
    Ok(())
}
