//! The index file of one package in a registry: one JSON line per published version, strictly validated, never trusted.
//!
//! [`IndexFile::parse`] reads what a registry answered, [`IndexFile::from_cache`] the same in its local cache form, whose
//! header lists the versions in binary: a warm resolve reads the list without parsing JSON, and [`IndexFile::summary`]
//! parses only the lines of candidate versions.

mod cache;
mod entry;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use semver::Version;

use crate::{Diagnostic, PackageName, SourceId, Summary};

/// Largest index file accepted, in decoded bytes.
pub const MAX_INDEX_FILE: usize = 16 << 20;

/// Most versions accepted in one index file.
pub const MAX_VERSIONS: usize = 100_000;

/// What can be known of a version without parsing its whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionEntry {
    /// The version.
    pub version: Version,
    /// Whether it was yanked.
    pub yanked: bool,
    /// `rust_version`; a partial version is filled up with zeros.
    pub rust_version: Option<Version>,
    /// When it was published, in seconds since 1970-01-01 UTC, where the registry says so. The registry's claim.
    pub pubtime: Option<i64>,
}

/// A line of the index that cannot be used, and why. The other versions of the package remain usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedVersion {
    /// The version as the line claims it, or an empty text. Untrusted.
    pub version: String,
    /// The broken rule. May hold untrusted text.
    pub reason: String,
}

/// What the server sent along with the body, to be sent back when asking whether it changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Last-Modified` header.
    pub last_modified: Option<String>,
}

/// Where the line of a version stands, and the checksum by which a cached line is recognised as intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    offset: u32,
    length: u32,
    hash: u64,
}

/// The part of a cache file that was not read into memory: most lines of a large file are never looked at.
pub trait Lines: fmt::Debug + Send + Sync {
    /// Exactly `length` bytes from `offset` of the file; `None` if they cannot be had.
    fn read(&self, offset: u32, length: u32) -> Option<Vec<u8>>;
}

/// All versions of one package in one registry.
#[derive(Debug)]
pub struct IndexFile {
    name: PackageName,
    source: SourceId,
    validators: Validators,
    /// The lines, or the cache file: all of it, or its beginning.
    bytes: Vec<u8>,
    /// What `bytes` lacks.
    rest: Option<Box<dyn Lines>>,
    /// Ascending by version; parallel to `lines` and `summaries`.
    versions: Vec<VersionEntry>,
    lines: Vec<Line>,
    summaries: Box<[OnceLock<Arc<Summary>>]>,
    rejected: Vec<RejectedVersion>,
}

impl IndexFile {
    /// Reads the body of a registry's answer for `name`.
    ///
    /// # Errors
    /// The file is too large, has too many versions, or holds an entry of another package. An entry that is merely
    /// invalid is skipped and stands in [`IndexFile::rejected`].
    pub fn parse(
        name: PackageName,
        source: SourceId,
        body: Vec<u8>,
        validators: Validators,
    ) -> Result<Self, Diagnostic> {
        entry::parse_file(name, source, body, validators)
    }

    /// Reads the cache form; `None` if it was written by another version of this program, for another package or
    /// registry, or is damaged: then it has to be fetched again.
    pub fn from_cache(name: PackageName, source: SourceId, bytes: Vec<u8>) -> Option<Self> {
        let length = bytes.len();
        cache::read(name, source, bytes, length, None)
    }

    /// The same from the beginning of a cache file of `length` bytes, of which `head` holds at least what
    /// [`IndexFile::cache_head_length`] says, and from where the remaining lines can be read.
    pub fn from_cache_head(
        name: PackageName,
        source: SourceId,
        head: Vec<u8>,
        length: usize,
        rest: Box<dyn Lines>,
    ) -> Option<Self> {
        cache::read(name, source, head, length, Some(rest))
    }

    /// How long the head of a cache file is, as its first bytes claim; `None` if it is no cache file.
    pub fn cache_head_length(beginning: &[u8]) -> Option<usize> {
        cache::head_length(beginning)
    }

    /// The cache form.
    pub fn to_cache(&self) -> Vec<u8> {
        cache::write(self)
    }

    /// The package.
    pub fn name(&self) -> PackageName {
        self.name
    }

    /// The registry.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// What to send along when asking whether the file changed.
    pub fn validators(&self) -> &Validators {
        &self.validators
    }

    /// The usable versions, yanked ones included, ascending.
    pub fn versions(&self) -> &[VersionEntry] {
        &self.versions
    }

    /// The lines that cannot be used, in the order of the file.
    pub fn rejected(&self) -> &[RejectedVersion] {
        &self.rejected
    }

    /// The position of `version` in [`IndexFile::versions`].
    pub fn position(&self, version: &Version) -> Option<usize> {
        self.versions.binary_search_by(|entry| entry.version.cmp(version)).ok()
    }

    /// The whole entry at `position` of [`IndexFile::versions`], parsed at the first call.
    ///
    /// # Errors
    /// The entry breaks a rule (`index-entry`): this version is unusable, others are not affected.
    pub fn summary(&self, position: usize) -> Result<Arc<Summary>, Diagnostic> {
        let (Some(line), Some(slot)) = (self.lines.get(position), self.summaries.get(position)) else {
            return Err(Diagnostic::error("index-entry", format!("registry entry {}: no such position", self.name)));
        };
        if let Some(known) = slot.get() {
            return Ok(Arc::clone(known));
        }
        let summary = Arc::new(entry::summary(self, position, *line)?);
        Ok(Arc::clone(slot.get_or_init(|| summary)))
    }

    fn line(&self, line: Line) -> Option<Cow<'_, [u8]>> {
        let start = line.offset as usize;
        match self.bytes.get(start..start.checked_add(line.length as usize)?) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self.rest.as_ref()?.read(line.offset, line.length).map(Cow::Owned),
        }
    }
}

/// The path of a package's index file below the index root: `1/a`, `2/ab`, `3/a/abc`, `ab/cd/abcd…`, in lower case.
pub fn index_path(name: PackageName) -> String {
    let lower = name.as_str().to_ascii_lowercase();
    format!("{}/{lower}", prefix(&lower))
}

/// The folder part of [`index_path`] without change of case: the `{prefix}` marker of download addresses.
pub fn prefix(name: &str) -> String {
    let part = |range: std::ops::Range<usize>| name.get(range).unwrap_or_default();
    match name.len() {
        0..=1 => "1".to_owned(),
        2 => "2".to_owned(),
        3 => format!("3/{}", part(0..1)),
        _ => format!("{}/{}", part(0..2), part(2..4)),
    }
}
