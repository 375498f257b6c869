//! What a folder looks like, to be compared with what it looked like before.

use crate::archive::sha256_hex;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Every entry below a folder: type, mode, size, modification time and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: &'static str,
    mode: u32,
    size: u64,
    modified: (i64, i64),
    /// The SHA-256 of a file's content, the target of a symbolic link, nothing otherwise.
    content: String,
}

impl Snapshot {
    /// Looks at everything below `folder`, itself included, following no symbolic link. An absent folder is empty.
    pub fn of(folder: impl AsRef<Path>) -> Snapshot {
        let mut entries = BTreeMap::new();
        let mut pending = vec![folder.as_ref().to_owned()];
        while let Some(path) = pending.pop() {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let (kind, content) = if metadata.is_symlink() {
                ("symlink", std::fs::read_link(&path).unwrap_or_default().to_string_lossy().into_owned())
            } else if metadata.is_dir() {
                if let Ok(children) = std::fs::read_dir(&path) {
                    pending.extend(children.flatten().map(|child| child.path()));
                }
                ("folder", String::new())
            } else if metadata.is_file() {
                ("file", std::fs::read(&path).map_or_else(|error| error.to_string(), |bytes| sha256_hex(&bytes)))
            } else {
                ("special", String::new())
            };
            // A folder's size is the file system's business.
            let size = if kind == "folder" { 0 } else { metadata.size() };
            let modified = (metadata.mtime(), metadata.mtime_nsec());
            entries.insert(path, Entry { kind, mode: metadata.mode(), size, modified, content });
        }
        Snapshot { entries }
    }

    /// One line per path that was added, removed or changed since `before`, sorted; empty when nothing was.
    pub fn changes_since(&self, before: &Snapshot) -> Vec<String> {
        let mut changes = Vec::new();
        for (path, entry) in &self.entries {
            match before.entries.get(path) {
                None => changes.push(format!("added {} {}", entry.kind, path.display())),
                Some(old) if old != entry => changes.push(format!("changed {} {}", entry.kind, path.display())),
                Some(_) => {}
            }
        }
        for (path, entry) in before.entries.iter().filter(|(path, _)| !self.entries.contains_key(*path)) {
            changes.push(format!("removed {} {}", entry.kind, path.display()));
        }
        changes.sort();
        changes
    }
}
