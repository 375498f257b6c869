//! The compact form of an index file: one self-contained block of bytes per package, made once when the registry answers
//! and afterwards only walked.
//!
//! ```text
//! magic (8) · checksum of the rest of the head (8) · length of the head (4) · length of the block (4)
//! source · name · ETag · Last-Modified · rejected versions · table of details · table of versions · SHA-256 values
//! the details: dependencies, features and `links`, once for all versions that agree in them
//! ```
//! Lengths and numbers are LEB128, texts carry their length. The head is checked when the block is read, details when a
//! version is looked at: most never are. The checksums find damage, not forgery: who can write into the user's home
//! folder owns the user, and what is built is bound by the lockfile's SHA-256 values all the same.

use std::collections::HashMap;

use semver::{BuildMetadata, Prerelease, Version};

use super::details;
use super::entry::Usable;
use super::{IndexFile, Part, RejectedVersion, Remainder, Validators, VersionEntry};
use crate::hash::checksum;
use crate::{PackageName, SourceId};

/// The last digit changes with the format.
const MAGIC: &[u8; 8] = b"BHINDEX3";
const FIXED: usize = 24;

const YANKED: u8 = 1;
const RUST_VERSION: u8 = 2;
const PUBTIME: u8 = 4;
const WHOLE_RUST_VERSION: u8 = 16;
const TAGGED: u8 = 8;

/// Makes the block of `versions`, which are sorted. `None` if it would be larger than any answer that is accepted can
/// make it.
pub(super) fn write(
    name: PackageName,
    source: SourceId,
    validators: &Validators,
    rejected: &[RejectedVersion],
    versions: &[Usable<'_>],
) -> Option<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut known = HashMap::new();
    let mut numbers = Vec::with_capacity(versions.len());
    for version in versions {
        let number = *known.entry(version.raw).or_insert_with(|| {
            parts.push(details::encode(version.raw, source));
            parts.len() - 1
        });
        numbers.push(number);
    }
    let mut out = Vec::with_capacity(FIXED + versions.len() * 64 + 256);
    out.extend_from_slice(MAGIC);
    out.resize(FIXED, 0);
    put_text(&mut out, &source.to_string());
    put_text(&mut out, name.as_str());
    put_text(&mut out, validators.etag.as_deref().unwrap_or_default());
    put_text(&mut out, validators.last_modified.as_deref().unwrap_or_default());
    put_count(&mut out, rejected.len());
    for rejected in rejected {
        put_text(&mut out, &rejected.version);
        put_text(&mut out, &rejected.reason);
    }
    put_count(&mut out, parts.len());
    for part in &parts {
        put_count(&mut out, part.len());
        out.extend_from_slice(&checksum(part).to_le_bytes());
    }
    put_count(&mut out, versions.len());
    for (version, number) in versions.iter().zip(numbers) {
        put_version(&mut out, &version.entry);
        put_count(&mut out, number);
    }
    versions.iter().for_each(|version| out.extend_from_slice(&version.checksum));
    let head_length = u32::try_from(out.len()).ok()?;
    out.extend(parts.into_iter().flatten());
    let length = u32::try_from(out.len()).ok()?;
    out.get_mut(16..FIXED)?.copy_from_slice([head_length, length].map(u32::to_le_bytes).as_flattened());
    let head = checksum(out.get(16..head_length as usize)?);
    out.get_mut(8..16)?.copy_from_slice(&head.to_le_bytes());
    Some(out)
}

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_number(out, count as u64);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_version(out: &mut Vec<u8>, entry: &VersionEntry) {
    let VersionEntry { version, yanked, rust_version, whole_rust_version, pubtime } = entry;
    let tagged = !version.pre.is_empty() || !version.build.is_empty();
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(*yanked, YANKED)
            | flag(rust_version.is_some(), RUST_VERSION)
            | flag(*whole_rust_version, WHOLE_RUST_VERSION)
            | flag(pubtime.is_some(), PUBTIME)
            | flag(tagged, TAGGED),
    );
    put_triple(out, version);
    if let Some(version) = rust_version {
        put_triple(out, version);
    }
    if let Some(time) = pubtime {
        out.extend_from_slice(&time.to_le_bytes());
    }
    if tagged {
        put_text(out, &version.pre);
        put_text(out, &version.build);
    }
}

fn put_triple(out: &mut Vec<u8>, version: &Version) {
    [version.major, version.minor, version.patch].into_iter().for_each(|number| put_number(out, number));
}

/// What remains to be read. Every read is checked against the end.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        // Nearly all are small.
        if let Some((&byte @ ..0x80, rest)) = self.0.split_first() {
            self.0 = rest;
            return Some(u64::from(byte));
        }
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// A count of things of which each takes at least `least` bytes: more cannot follow, so no more is reserved.
    pub(super) fn count(&mut self, least: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len() / least).then_some(count)
    }
}

/// Checksum of the head, and the lengths of head and block.
fn fixed(beginning: &[u8]) -> Option<(u64, usize, usize)> {
    let mut fixed = Reader(beginning);
    if fixed.array()? != *MAGIC {
        return None;
    }
    let checksum = u64::from_le_bytes(fixed.array()?);
    let [head, block] = [fixed.array()?, fixed.array()?].map(|length| u32::from_le_bytes(length) as usize);
    (FIXED <= head && head <= block).then_some((checksum, head, block))
}

pub(super) fn head_length(beginning: &[u8]) -> Option<usize> {
    fixed(beginning).map(|(_, head_length, _)| head_length)
}

/// Checksum and lengths.
pub(super) fn fixed_part(bytes: &[u8]) -> Option<&[u8; FIXED]> {
    bytes.first_chunk()
}

pub(super) fn is_whole(bytes: &[u8]) -> bool {
    fixed(bytes).is_some_and(|(_, _, length)| length == bytes.len())
}

/// Reads a block of `length` bytes from its beginning, which holds the head at least.
pub(super) fn read(
    name: PackageName,
    source: SourceId,
    bytes: Vec<u8>,
    length: usize,
    rest: Option<Box<dyn Remainder>>,
) -> Option<IndexFile> {
    let (expected, head_length, block_length) = fixed(&bytes)?;
    if block_length != length || bytes.len() < length && rest.is_none() {
        return None;
    }
    if checksum(bytes.get(16..head_length)?) != expected {
        return None;
    }
    let mut head = Reader(bytes.get(FIXED..head_length)?);
    if head.text()? != source.to_string() || head.text()? != name.as_str() {
        return None;
    }
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let validators = Validators { etag: some(head.text()?), last_modified: some(head.text()?) };
    let rejected_count = head.count(2)?;
    let mut rejected = Vec::with_capacity(rejected_count);
    for _ in 0..rejected_count {
        rejected.push(RejectedVersion { version: head.text()?.to_owned(), reason: head.text()?.to_owned() });
    }
    let parts = parts(&mut head, head_length, length)?;
    let count = head.count(5)?;
    let mut versions = Vec::with_capacity(count);
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        versions.push(version(&mut head)?);
        numbers.push(u32::try_from(head.number()?).ok().filter(|&number| (number as usize) < parts.len())?);
    }
    let checksums = head_length - head.0.len();
    if head.0.len() != count.checked_mul(32)? || !versions.is_sorted_by(|a, b| a.version < b.version) {
        return None;
    }
    let summaries = Default::default();
    Some(IndexFile { name, source, validators, bytes, rest, versions, numbers, parts, checksums, summaries, rejected })
}

/// Where the details are: one after the other behind the head, up to the end of the block.
fn parts(head: &mut Reader<'_>, head_length: usize, length: usize) -> Option<Vec<Part>> {
    let count = head.count(9)?;
    let mut parts = Vec::with_capacity(count);
    let mut offset = u32::try_from(head_length).ok()?;
    for _ in 0..count {
        let part =
            Part { offset, length: u32::try_from(head.number()?).ok()?, hash: u64::from_le_bytes(head.array()?) };
        offset = offset.checked_add(part.length)?;
        parts.push(part);
    }
    (offset as usize == length).then_some(parts)
}

fn version(head: &mut Reader<'_>) -> Option<VersionEntry> {
    let flags = head.byte()?;
    let mut version = triple(head)?;
    let rust_version = if flags & RUST_VERSION == 0 { None } else { Some(triple(head)?) };
    let pubtime = if flags & PUBTIME == 0 { None } else { Some(i64::from_le_bytes(head.array()?)) };
    if flags & TAGGED != 0 {
        version.pre = Prerelease::new(head.text()?).ok()?;
        version.build = BuildMetadata::new(head.text()?).ok()?;
    }
    let (yanked, whole_rust_version) = (flags & YANKED != 0, flags & WHOLE_RUST_VERSION != 0);
    Some(VersionEntry { version, yanked, rust_version, whole_rust_version, pubtime })
}

fn triple(head: &mut Reader<'_>) -> Option<Version> {
    Some(Version::new(head.number()?, head.number()?, head.number()?))
}
