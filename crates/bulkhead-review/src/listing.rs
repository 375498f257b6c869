//! The files of a package.

use std::collections::BTreeMap;

use bulkhead_trust::{Digest, EntryKind};

/// Largest file that is looked into, in bytes. Of a larger one only size and digest are known.
pub const MAX_CONTENT: u64 = 8 << 20;

/// Most bytes of one package that are looked into.
pub const MAX_TOTAL: u64 = 256 << 20;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What it is.
    pub kind: EntryKind,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Its content; `None` if it is too large to be looked into.
    pub content: Option<Vec<u8>>,
}

impl File {
    /// A regular file with this content.
    pub fn new(content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        Self { kind: EntryKind::File, digest: Digest::of(&content), size: content.len() as u64, content: Some(content) }
    }

    /// Its text, if it is looked into and text at all.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.content.as_deref()?).ok()
    }
}

/// All files of a package, by path below its folder, `/`-separated.
pub type Listing = BTreeMap<String, File>;
