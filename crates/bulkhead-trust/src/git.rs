//! Git's objects: a commit's id stands for every byte below it, if each object is hashed and compared on the way down.
//!
//! Nothing else of a repository is believed: neither that the database is whole, nor that the program which reads it tells
//! the truth. Collisions of SHA-1 are searched for by git itself, when objects arrive.

use bulkhead_schema::git::ObjectId;
use sha1::{Digest as _, Sha1};

/// The kinds of object that a checkout is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// A folder.
    Tree,
    /// The content of a file, or the target of a link.
    Blob,
}

impl ObjectKind {
    /// Git's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
        }
    }
}

/// The id of an object in the making.
pub struct ObjectHasher(Sha1);

impl ObjectHasher {
    /// For an object of `size` bytes.
    pub fn new(kind: ObjectKind, size: u64) -> Self {
        let mut hasher = Sha1::new();
        hasher.update(format!("{} {size}\0", kind.as_str()));
        Self(hasher)
    }

    /// Appends `bytes` of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The id of everything appended.
    pub fn finish(self) -> ObjectId {
        ObjectId::from(<[u8; 20]>::from(self.0.finalize()))
    }
}

/// The id of a whole object.
pub fn object_id(kind: ObjectKind, content: &[u8]) -> ObjectId {
    let mut hasher = ObjectHasher::new(kind, content.len() as u64);
    hasher.update(content);
    hasher.finish()
}

/// What an entry of a tree object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitEntryKind {
    /// A folder.
    Tree,
    /// A file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link.
    Link,
    /// The commit of a submodule.
    Submodule,
}

/// One entry of a tree object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitEntry {
    /// What it is.
    pub kind: GitEntryKind,
    /// Its name, without a check beyond that it is UTF-8 and not empty. Untrusted.
    pub name: String,
    /// The object.
    pub id: ObjectId,
}

/// The tree of a commit object.
///
/// # Errors
/// It is no commit.
pub fn tree_of_commit(content: &[u8]) -> Result<ObjectId, &'static str> {
    let line = content.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let id = line.strip_prefix(b"tree ").and_then(|id| std::str::from_utf8(id).ok());
    id.and_then(|id| ObjectId::parse(id).ok()).ok_or("the commit does not begin with its tree")
}

/// The entries of a tree object, in its order.
///
/// # Errors
/// It is not built as a tree is, or an entry is of a kind that nothing should be: such objects were made by hand.
pub fn entries_of_tree(content: &[u8]) -> Result<Vec<GitEntry>, String> {
    let mut entries = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let broken = || "a tree is cut off".to_owned();
        let space = rest.iter().position(|&byte| byte == b' ').ok_or_else(broken)?;
        let (mode, after) = rest.split_at(space);
        let after = after.get(1..).ok_or_else(broken)?;
        let end = after.iter().position(|&byte| byte == 0).ok_or_else(broken)?;
        let (name, after) = after.split_at(end);
        let (id, after) = after.get(1..).and_then(<[u8]>::split_first_chunk::<20>).ok_or_else(broken)?;
        let name = std::str::from_utf8(name)
            .map_err(|_| format!("the name \"{}\" is not UTF-8", name.escape_ascii()))?
            .to_owned();
        let kind = match mode {
            b"40000" => GitEntryKind::Tree,
            b"100644" | b"100664" => GitEntryKind::File { executable: false },
            b"100755" => GitEntryKind::File { executable: true },
            b"120000" => GitEntryKind::Link,
            b"160000" => GitEntryKind::Submodule,
            other => {
                let (name, mode) = (name.escape_default(), other.escape_ascii());
                return Err(format!("`{name}` has the mode {mode}, which nothing in a repository has"));
            }
        };
        entries.push(GitEntry { kind, name, id: ObjectId::from(*id) });
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{GitEntryKind, ObjectKind, entries_of_tree, object_id, tree_of_commit};

    #[test]
    fn ids_are_those_of_git() {
        assert_eq!(object_id(ObjectKind::Blob, b"").to_string(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(object_id(ObjectKind::Tree, b"").to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        assert_eq!(object_id(ObjectKind::Blob, b"hello\n").to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn trees_are_read_to_the_last_byte() {
        let id = [7; 20];
        let mut tree = b"100644 a\0".to_vec();
        tree.extend_from_slice(&id);
        tree.extend_from_slice(b"40000 b\0");
        tree.extend_from_slice(&id);
        let entries = entries_of_tree(&tree).unwrap();
        let shown: Vec<_> = entries.iter().map(|entry| (entry.kind, entry.name.as_str())).collect();
        assert_eq!(shown, [(GitEntryKind::File { executable: false }, "a"), (GitEntryKind::Tree, "b")]);
        for cut in 1..tree.len() {
            assert_eq!(entries_of_tree(&tree[..cut]).is_ok(), cut == 29, "{cut}");
        }
        assert!(entries_of_tree(&[b"100600 a\0".as_slice(), &id].concat()).is_err());
        assert!(tree_of_commit(b"parent x\n").is_err());
    }
}
