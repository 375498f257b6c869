//! The record beside each tree: every file and folder in it, as it was when the tree was written.
//!
//! ```text
//! magic (8) · archive digest (32) · tree digest (32) · name · version · number of entries · entries · SHA-256 of all before
//! entry: path · kind (1) · size (8) · mtime (8+4) · ctime (8+4) · inode (8) · mode (4) · content digest (32)
//! ```
//! The change time cannot be set by any program, and a folder's changes with every name added or removed in it: one stat
//! per file and folder finds edits that keep size and modification time, and files that were added.

use std::borrow::Cow;

use bulkhead_trust::{Digest, EntryKind, TreeEntry, tree_digest};
use rustix::fs::Stat;

/// The last digit changes with the format.
const MAGIC: &[u8; 8] = b"BHTREE\x001";

/// Largest record that is read: far above the largest that [`crate::archive::Limits`] allow.
pub(crate) const MAX_RECORD: u64 = 64 << 20;

/// Fewest bytes of an entry: what stands in it besides its path.
const LEAST_ENTRY: usize = 4 + 1 + 8 + 12 + 12 + 8 + 4 + 32;

/// What is recorded of one package. Texts are borrowed from the bytes of a record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The archive that it came from.
    pub archive: Digest,
    /// Its files, links and their contents.
    pub tree: Digest,
    /// The package's name.
    pub name: Cow<'a, str>,
    /// The package's version.
    pub version: Cow<'a, str>,
    /// Its files and folders.
    pub entries: Vec<Entry<'a>>,
}

/// What is recorded of one file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Below the package's folder; empty for that folder.
    pub path: Cow<'a, str>,
    /// What it is.
    pub kind: Kind,
    /// What it looked like.
    pub state: State,
}

/// What a name in a tree stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Whether it can be run.
        executable: bool,
        /// Its content.
        content: Digest,
    },
    /// A symbolic link.
    Link {
        /// Its target.
        content: Digest,
    },
}

/// What one stat tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
    inode: u64,
    mode: u32,
}

impl State {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            size: stat.st_size.cast_unsigned(),
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
            inode: stat.st_ino,
            mode: stat.st_mode,
        }
    }

    /// Whether it was changed less than two seconds ago, or in the future: a further change could bear the same time.
    pub(crate) fn is_fresh(&self) -> bool {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.changed.0 >= now.as_secs().cast_signed().saturating_sub(1)
    }

    /// What differs, for a message.
    pub(crate) fn difference(&self, now: &Self) -> Option<&'static str> {
        match now {
            _ if self == now => None,
            _ if self.mode != now.mode => Some("its kind or mode was changed"),
            _ if self.size != now.size => Some("its size was changed"),
            _ if self.inode != now.inode => Some("it was replaced"),
            _ => Some("it was changed"),
        }
    }
}

impl<'a> Record<'a> {
    pub(crate) fn new(archive: Digest, name: &'a str, version: String, entries: Vec<Entry<'a>>) -> Self {
        let tree = tree_of(&entries);
        Self { archive, tree, name: name.into(), version: version.into(), entries }
    }

    /// The record, for [`Record::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.entries.len() * 128);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(self.archive.as_bytes());
        out.extend_from_slice(self.tree.as_bytes());
        put_text(&mut out, &self.name);
        put_text(&mut out, &self.version);
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for entry in &self.entries {
            put_entry(&mut out, entry);
        }
        let digest = Digest::of(&out);
        out.extend_from_slice(digest.as_bytes());
        out
    }

    /// `None` if the bytes are not a whole record. Whether its parts fit together, [`Record::is_consistent`] tells.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (bytes, digest) = bytes.split_last_chunk::<32>()?;
        if Digest::of(bytes) != Digest::from_bytes(*digest) {
            return None;
        }
        let mut reader = Reader(bytes);
        if reader.array()? != *MAGIC {
            return None;
        }
        let (archive, tree) = (Digest::from_bytes(reader.array()?), Digest::from_bytes(reader.array()?));
        let (name, version) = (reader.text()?, reader.text()?);
        let count = u32::from_le_bytes(reader.array()?) as usize;
        let mut entries = Vec::with_capacity(count.min(bytes.len() / LEAST_ENTRY));
        for _ in 0..count {
            entries.push(reader.entry()?);
        }
        reader.0.is_empty().then_some(Self { archive, tree, name: name.into(), version: version.into(), entries })
    }

    /// Whether the digest of the tree is that of the files.
    pub fn is_consistent(&self) -> bool {
        tree_of(&self.entries) == self.tree
    }

    /// The regular files with the digests of their contents.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Entry<'a>, Digest)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            Kind::File { content, .. } => Some((entry, content)),
            // The target of a link cannot change while the link's state stays.
            Kind::Folder | Kind::Link { .. } => None,
        })
    }
}

fn tree_of(entries: &[Entry<'_>]) -> Digest {
    let file = |entry: &Entry<'_>| match entry.kind {
        Kind::File { executable: false, content } => Some((EntryKind::File, content)),
        Kind::File { executable: true, content } => Some((EntryKind::Executable, content)),
        Kind::Link { content } => Some((EntryKind::Link, content)),
        Kind::Folder => None,
    };
    let mut files: Vec<TreeEntry<'_>> = entries
        .iter()
        .filter_map(|entry| file(entry).map(|(kind, content)| TreeEntry { path: &entry.path, kind, content }))
        .collect();
    tree_digest(&mut files)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let (kind, content) = match entry.kind {
        Kind::Folder => (0, [0; 32]),
        Kind::File { executable, content } => (1 + u8::from(executable), *content.as_bytes()),
        Kind::Link { content } => (3, *content.as_bytes()),
    };
    put_text(out, &entry.path);
    out.push(kind);
    put_state(out, &entry.state);
    out.extend_from_slice(&content);
}

pub(crate) fn put_state(out: &mut Vec<u8>, state: &State) {
    let State { size, modified, changed, inode, mode } = state;
    out.extend_from_slice(&size.to_le_bytes());
    for (seconds, nanoseconds) in [modified, changed] {
        out.extend_from_slice(&seconds.to_le_bytes());
        out.extend_from_slice(&nanoseconds.to_le_bytes());
    }
    out.extend_from_slice(&inode.to_le_bytes());
    out.extend_from_slice(&mode.to_le_bytes());
}

/// What remains to be read.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn state(&mut self) -> Option<State> {
        Some(State {
            size: u64::from_le_bytes(self.array()?),
            modified: self.time()?,
            changed: self.time()?,
            inode: u64::from_le_bytes(self.array()?),
            mode: u32::from_le_bytes(self.array()?),
        })
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok()
    }

    fn time(&mut self) -> Option<(i64, u32)> {
        Some((i64::from_le_bytes(self.array()?), u32::from_le_bytes(self.array()?)))
    }

    fn entry(&mut self) -> Option<Entry<'a>> {
        let path = self.text()?.into();
        let [kind] = self.array()?;
        let state = self.state()?;
        let content = Digest::from_bytes(self.array()?);
        let kind = match kind {
            0 => Kind::Folder,
            1 => Kind::File { executable: false, content },
            2 => Kind::File { executable: true, content },
            3 => Kind::Link { content },
            _ => return None,
        };
        Some(Entry { path, kind, state })
    }
}
