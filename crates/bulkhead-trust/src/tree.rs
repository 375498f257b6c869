//! The digest of an unpacked tree.

use crate::{Digest, Hasher};

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A regular file that may be executed; the only thing of a mode that counts.
    Executable,
    /// A symbolic link. Its content is the target.
    Link,
}

/// One file of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeEntry<'a> {
    /// Path below the root, `/`-separated.
    pub path: &'a str,
    /// What it is.
    pub kind: EntryKind,
    /// SHA-256 of the content.
    pub content: Digest,
}

/// The digest of a list of files: the same for the same files whatever their order, owner, times and place.
///
/// Each entry is hashed as the length of its path (8 bytes, little endian), the path, one byte for its kind, and the
/// content's digest, in order of path, so that no two different trees have the same input.
pub fn tree_digest(entries: &mut [TreeEntry<'_>]) -> Digest {
    entries.sort_unstable();
    let mut hasher = Hasher::new();
    hasher.update(b"bulkhead tree 1\0");
    for entry in entries.iter() {
        hasher.update(&(entry.path.len() as u64).to_le_bytes());
        hasher.update(entry.path.as_bytes());
        hasher.update(&[entry.kind as u8]);
        hasher.update(entry.content.as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{EntryKind, TreeEntry, tree_digest};
    use crate::Digest;

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let a = TreeEntry { path: "a", kind: EntryKind::File, content: Digest::of(b"1") };
        let b = TreeEntry { path: "b/c", kind: EntryKind::Executable, content: Digest::of(b"2") };
        let whole = tree_digest(&mut [a, b]);
        assert_eq!(whole, tree_digest(&mut [b, a]));
        let others = [
            tree_digest(&mut [a]),
            tree_digest(&mut [a, TreeEntry { kind: EntryKind::File, ..b }]),
            tree_digest(&mut [a, TreeEntry { kind: EntryKind::Link, ..b }]),
            tree_digest(&mut [a, TreeEntry { path: "b/d", ..b }]),
            tree_digest(&mut [a, TreeEntry { content: a.content, ..b }]),
        ];
        assert!(others.iter().all(|other| *other != whole));
    }
}
