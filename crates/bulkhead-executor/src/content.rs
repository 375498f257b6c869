//! What sources hold. Times say which files may have changed; where one may have, its content decides, so that a file that
//! was only touched, or changed and changed back, rebuilds nothing.

use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bulkhead_trust::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::files::{self, Stamp};

/// Within this time, in nanoseconds, a file system's clock may not move on, so that two changes look like one.
pub(crate) const TICK: Stamp = 20_000_000;

/// Most bytes that are read for one digest. Of what is larger, only the times count.
const MAX_BYTES: u64 = 64 << 20;

/// A file or folder that a unit was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// Absolute.
    pub(crate) path: PathBuf,
    /// SHA-256 of its content, if that is what the unit's process saw.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) digest: Option<String>,
}

impl Source {
    /// `path` as a process that was started at `started`, and has ended, must have seen it.
    pub(crate) fn take(path: PathBuf, started: Stamp) -> Self {
        let digest = match files::newest(&path) {
            Ok(Some(newest)) if newest.changed <= started => digest(&path),
            _ => None,
        };
        Self { path, digest }
    }
}

/// The digest of a file, or of a folder with all in it. `None` if it cannot be read, or is too large.
pub(crate) fn digest(root: &Path) -> Option<String> {
    let metadata = root.metadata().ok()?;
    let mut left = MAX_BYTES;
    if metadata.is_file() {
        return Some(file(root, &mut left).ok()??.to_string());
    }
    let mut entries = Vec::new();
    files::walk(root, &|_| true, &mut |path, metadata| {
        entries.push((path.to_owned(), metadata.clone()));
        Ok(())
    })
    .ok()?;
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = Hasher::new();
    for (path, metadata) in entries {
        add(&mut hasher, path.strip_prefix(root).ok()?, &path, &metadata, &mut left)?;
    }
    Some(hasher.finish().to_string())
}

/// The digest of a single file of any size.
pub(crate) fn digest_of_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (files::open(path)?, Hasher::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish().to_string()),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

/// The digest of the names of files below `root`.
pub(crate) fn digest_of_names(root: &Path, files: &mut [PathBuf]) -> String {
    files.sort();
    let mut hasher = Hasher::new();
    files.iter().for_each(|path| add_name(&mut hasher, path.strip_prefix(root).unwrap_or(path)));
    hasher.finish().to_string()
}

fn add_name(hasher: &mut Hasher, name: &Path) {
    let name = name.as_os_str().as_bytes();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name);
}

/// The digest of files with their names below `root`.
pub(crate) fn digest_of_files(root: &Path, files: &mut Vec<PathBuf>) -> Option<String> {
    files.sort();
    let (mut hasher, mut left) = (Hasher::new(), MAX_BYTES);
    for path in files {
        add(&mut hasher, path.strip_prefix(root).unwrap_or(path), path, &path.symlink_metadata().ok()?, &mut left)?;
    }
    Some(hasher.finish().to_string())
}

fn add(hasher: &mut Hasher, name: &Path, path: &Path, link_metadata: &Metadata, left: &mut u64) -> Option<()> {
    add_name(hasher, name);
    // A link counts as what it leads to; one that leads nowhere, or to a folder, as itself.
    if link_metadata.is_dir() || !path.is_file() {
        hasher.update(&link_metadata.mode().to_le_bytes());
        let target = if link_metadata.is_symlink() { path.read_link().ok()? } else { PathBuf::new() };
        hasher.update(Digest::of(target.as_os_str().as_bytes()).as_bytes());
        return Some(());
    }
    hasher.update(file(path, left).ok()??.as_bytes());
    Some(())
}

fn file(path: &Path, left: &mut u64) -> io::Result<Option<Digest>> {
    let mut bytes = Vec::new();
    files::open(path)?.take(*left + 1).read_to_end(&mut bytes)?;
    let Some(remaining) = left.checked_sub(bytes.len() as u64) else { return Ok(None) };
    *left = remaining;
    Ok(Some(Digest::of(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::{Source, digest};

    #[test]
    fn content_names_and_links_count_and_times_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a"), folder.path().join("link"));
        let whole = || digest(folder.path());
        std::fs::write(&file, "one").unwrap();
        std::os::unix::fs::symlink("/nowhere", &link).unwrap();
        let first = whole();
        std::fs::write(&file, "one").unwrap();
        assert!(first.is_some() && whole() == first);
        std::fs::write(&file, "two").unwrap();
        let second = whole();
        assert_ne!(second, first);
        std::fs::rename(&file, folder.path().join("b")).unwrap();
        assert_ne!(whole(), second);
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("/elsewhere", &link).unwrap();
        assert_ne!(whole(), second);
    }

    #[test]
    fn what_changed_while_the_process_ran_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let changed = crate::files::newest(&path).unwrap().unwrap().changed;
        assert!(Source::take(path.clone(), changed).digest.is_some());
        assert_eq!(Source::take(path, changed - 1).digest, None);
        assert_eq!(Source::take(folder.path().join("absent"), u64::MAX).digest, None);
    }
}
