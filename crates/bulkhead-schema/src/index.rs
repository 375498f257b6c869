//! The index file of one package in a registry: one JSON line per published version, strictly validated, never trusted.
//!
//! [`IndexFile::parse`] reads what a registry answered and makes its compact form, a block of bytes that holds everything
//! parsed already; [`IndexFile::from_cache`] takes such a block. Resolving from it parses no JSON, and only the details of
//! versions that are looked at are decoded, by [`IndexFile::summary`]. `docs/decisions/index-cache.md` has the reasons.

mod block;
mod details;
mod entry;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use semver::Version;

pub use crate::hash::checksum as index_checksum;
use crate::hash::checksum;
use crate::{Diagnostic, PackageId, PackageName, SourceId, Summary};

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
    /// Whether that was written with all three numbers.
    pub whole_rust_version: bool,
    /// When it was published, in seconds since 1970-01-01 UTC, where the registry says so. The registry's claim.
    pub pubtime: Option<i64>,
}

impl VersionEntry {
    /// `rust_version` as it was written: `1.70` or `1.70.0`.
    pub fn written_rust_version(&self) -> Option<String> {
        let Version { major, minor, patch, .. } = self.rust_version.as_ref()?;
        let whole = self.whole_rust_version || *patch != 0;
        Some(if whole { format!("{major}.{minor}.{patch}") } else { format!("{major}.{minor}") })
    }
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

/// A part of a block, and the checksum by which it is recognised as intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    offset: u32,
    length: u32,
    hash: u64,
}

/// The part of a block that was not read into memory: most of a large one is never looked at.
pub trait Remainder: fmt::Debug + Send + Sync {
    /// Exactly `length` bytes from `offset` of the block; `None` if they cannot be had.
    fn read(&self, offset: u32, length: u32) -> Option<Vec<u8>>;

    /// Told when a part of the block is not what was written: it should not be read again.
    fn damaged(&self);
}

/// All versions of one package in one registry.
#[derive(Debug)]
pub struct IndexFile {
    name: PackageName,
    source: SourceId,
    validators: Validators,
    /// The block: all of it, or its beginning.
    bytes: Vec<u8>,
    /// What `bytes` lacks.
    rest: Option<Box<dyn Remainder>>,
    /// Ascending by version.
    versions: Vec<VersionEntry>,
    /// Parallel to `versions`: the place of each one's details in `parts`.
    numbers: Vec<u32>,
    parts: Vec<Part>,
    /// Where in the block the SHA-256 values are, in the order of `versions`.
    checksums: usize,
    /// The few that were asked for, by position.
    summaries: Mutex<Vec<(usize, Arc<Summary>)>>,
    rejected: Vec<RejectedVersion>,
}

impl IndexFile {
    /// Reads the body of a registry's answer for `name`.
    ///
    /// # Errors
    /// The file is too large, has too many versions, or holds an entry of another package. An entry that is merely
    /// invalid is skipped and stands in [`IndexFile::rejected`].
    #[expect(clippy::needless_pass_by_value, reason = "the answer is of no use afterwards and need not stay in memory")]
    pub fn parse(
        name: PackageName,
        source: SourceId,
        body: Vec<u8>,
        validators: Validators,
    ) -> Result<Self, Diagnostic> {
        entry::parse_file(name, source, &body, &validators)
    }

    /// Reads a block; `None` if it was written by another version of this program, for another package or registry, or
    /// is damaged: then the registry has to be asked again.
    pub fn from_cache(name: PackageName, source: SourceId, bytes: Vec<u8>) -> Option<Self> {
        let length = bytes.len();
        block::read(name, source, bytes, length, None)
    }

    /// The same from the beginning of a block of `length` bytes, of which `head` holds at least what
    /// [`IndexFile::cache_head_length`] says, and from where the remaining parts can be read.
    pub fn from_cache_head(
        name: PackageName,
        source: SourceId,
        head: Vec<u8>,
        length: usize,
        rest: Box<dyn Remainder>,
    ) -> Option<Self> {
        block::read(name, source, head, length, Some(rest))
    }

    /// How long the head of a block is, as its first bytes claim; `None` if it is no block.
    pub fn cache_head_length(beginning: &[u8]) -> Option<usize> {
        block::head_length(beginning)
    }

    /// The block; `None` if not all of it was read into memory.
    pub fn to_cache(&self) -> Option<&[u8]> {
        block::is_whole(&self.bytes).then_some(&self.bytes)
    }

    /// Whether both have the same block, as the checksums of their heads tell: these vouch for all other parts.
    pub fn is_same(&self, other: &Self) -> bool {
        block::fixed_part(&self.bytes) == block::fixed_part(&other.bytes)
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

    /// The SHA-256 that the registry names for the archive of the version at `position`.
    pub fn checksum(&self, position: usize) -> Option<[u8; 32]> {
        self.versions.get(position)?;
        self.bytes.get(self.checksums..)?.as_chunks().0.get(position).copied()
    }

    /// The whole entry at `position` of [`IndexFile::versions`], decoded at the first call.
    ///
    /// # Errors
    /// The entry breaks a rule (`index-entry`): this version is unusable, others are not affected. Or it was damaged on
    /// this machine.
    pub fn summary(&self, position: usize) -> Result<Arc<Summary>, Diagnostic> {
        let mut known = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, summary)) = known.iter().find(|(place, _)| *place == position) {
            return Ok(Arc::clone(summary));
        }
        let summary = Arc::new(self.decode(position)?);
        known.push((position, Arc::clone(&summary)));
        Ok(summary)
    }

    fn decode(&self, position: usize) -> Result<Summary, Diagnostic> {
        let part = self.numbers.get(position).and_then(|&number| self.parts.get(number as usize));
        let (Some(entry), Some(&part)) = (self.versions.get(position), part) else {
            return Err(Diagnostic::error("index-entry", format!("registry entry {}: no such position", self.name)));
        };
        let invalid = |reason: &str| {
            let (source, name, version) = (self.source, self.name, &entry.version);
            Diagnostic::error("index-entry", format!("registry {source}: entry {name} {version}: {reason}"))
        };
        let bytes = self.part(part).filter(|bytes| checksum(bytes) == part.hash);
        match bytes.and_then(|bytes| details::decode(&bytes, self.source)) {
            Some(details::Decoded::Usable { dependencies, features, links }) => Ok(Summary {
                id: PackageId::new(self.name, entry.version.clone(), self.source),
                dependencies,
                features: Arc::new(features),
                links,
                checksum: self.checksum(position).map(|bytes| hexadecimal(&bytes)),
                rust_version: entry.rust_version.clone(),
                yanked: entry.yanked,
            }),
            Some(details::Decoded::Refused(reason)) => Err(invalid(&reason)),
            None => {
                self.rest.iter().for_each(|rest| rest.damaged());
                Err(invalid("the cached entry is damaged").help("run the command again: the registry is asked anew"))
            }
        }
    }

    fn part(&self, part: Part) -> Option<Cow<'_, [u8]>> {
        let start = part.offset as usize;
        match self.bytes.get(start..start.checked_add(part.length as usize)?) {
            Some(bytes) => Some(Cow::Borrowed(bytes)),
            None => self.rest.as_ref()?.read(part.offset, part.length).map(Cow::Owned),
        }
    }
}

fn hexadecimal(bytes: &[u8; 32]) -> Arc<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let text: String =
        digits.map(|digit| char::from(DIGITS.get(usize::from(digit)).copied().unwrap_or(b'?'))).collect();
    text.into()
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
