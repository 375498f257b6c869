//! The digest of an unpacked tree.

use crate::{Digest, Hasher};

/// One regular file of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeEntry<'a> {
    /// Path below the root, `/`-separated.
    pub path: &'a str,
    /// Whether it may be executed; the only thing of a mode that counts.
    pub executable: bool,
    /// SHA-256 of the content.
    pub content: Digest,
}

/// The digest of a list of files: the same for the same files whatever their order, owner, times and place.
///
/// Each entry is hashed as the length of its path (8 bytes, little endian), the path, one byte for executable, and the
/// content's digest, in order of path, so that no two different trees have the same input.
pub fn tree_digest(entries: &mut [TreeEntry<'_>]) -> Digest {
    entries.sort_unstable();
    let mut hasher = Hasher::new();
    hasher.update(b"bulkhead tree 1\0");
    for entry in entries.iter() {
        hasher.update(&(entry.path.len() as u64).to_le_bytes());
        hasher.update(entry.path.as_bytes());
        hasher.update(&[u8::from(entry.executable)]);
        hasher.update(entry.content.as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{TreeEntry, tree_digest};
    use crate::Digest;

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let a = TreeEntry { path: "a", executable: false, content: Digest::of(b"1") };
        let b = TreeEntry { path: "b/c", executable: true, content: Digest::of(b"2") };
        let whole = tree_digest(&mut [a, b]);
        assert_eq!(whole, tree_digest(&mut [b, a]));
        let others = [
            tree_digest(&mut [a]),
            tree_digest(&mut [a, TreeEntry { executable: false, ..b }]),
            tree_digest(&mut [a, TreeEntry { path: "b/d", ..b }]),
            tree_digest(&mut [a, TreeEntry { content: a.content, ..b }]),
        ];
        assert!(others.iter().all(|other| *other != whole));
    }
}
