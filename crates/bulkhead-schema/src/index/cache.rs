//! The local cache form of an index file.
//!
//! ```text
//! magic (8) · checksum of everything up to the lines (8) · length of that head (4) · length of the lines (4)
//! source · name · ETag · Last-Modified · rejected versions · table of versions
//! the raw JSON lines
//! ```
//! Numbers are little endian, texts carry their length. The head is checked when the file is read, each line when it is
//! parsed. The checksum finds damage, not forgery: who can write into the user's home folder owns the user, and what is
//! built is bound by the lockfile's SHA-256 values all the same.

use semver::{BuildMetadata, Prerelease, Version};

use super::{IndexFile, Line, Lines, RejectedVersion, Validators, VersionEntry, entry};
use crate::{PackageName, SourceId};

/// The last digit changes with the format.
const MAGIC: &[u8; 8] = b"BHINDEX1";
const FIXED: usize = 24;

const YANKED: u8 = 1;
const RUST_VERSION: u8 = 2;
const PUBTIME: u8 = 4;
const TAGGED: u8 = 8;

/// A fast 64-bit checksum against damage: eight bytes a step, multiplied to 128 bits and folded.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    const FACTOR: u64 = 0xa076_1d64_78bd_642f;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let mut state = SEED ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), FACTOR).wrapping_add(SEED);
    }
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    fold(state ^ u64::from_le_bytes(last), FACTOR)
}

pub(super) fn write(file: &IndexFile) -> Vec<u8> {
    let body_length: usize = file.lines.iter().map(|line| line.length as usize + 1).sum();
    let mut out = Vec::with_capacity(FIXED + file.versions.len() * 64 + body_length + 256);
    out.extend_from_slice(MAGIC);
    out.resize(FIXED, 0);
    put_text(&mut out, &file.source.to_string());
    put_text(&mut out, file.name.as_str());
    put_text(&mut out, file.validators.etag.as_deref().unwrap_or_default());
    put_text(&mut out, file.validators.last_modified.as_deref().unwrap_or_default());
    put_number(&mut out, file.rejected.len());
    for rejected in &file.rejected {
        put_text(&mut out, &rejected.version);
        put_text(&mut out, &rejected.reason);
    }
    put_number(&mut out, file.versions.len());
    let mut offset = 0;
    for (version, line) in file.versions.iter().zip(&file.lines) {
        put_version(&mut out, version, Line { offset, ..*line });
        offset += line.length + 1;
    }
    let head_length = out.len();
    for line in &file.lines {
        out.extend_from_slice(&file.line(*line).unwrap_or_default());
        out.push(b'\n');
    }
    let body_length = out.len() - head_length;
    let lengths = [head_length, body_length].map(|length| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    if let Some(place) = out.get_mut(16..FIXED) {
        place.copy_from_slice(lengths.as_flattened());
    }
    let checksum = hash(out.get(16..head_length).unwrap_or_default());
    if let Some(place) = out.get_mut(8..16) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    out
}

fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_version(out: &mut Vec<u8>, entry: &VersionEntry, line: Line) {
    let tagged = !entry.version.pre.is_empty() || !entry.version.build.is_empty();
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(entry.yanked, YANKED)
            | flag(entry.rust_version.is_some(), RUST_VERSION)
            | flag(entry.pubtime.is_some(), PUBTIME)
            | flag(tagged, TAGGED),
    );
    put_triple(out, &entry.version);
    out.extend_from_slice(&line.offset.to_le_bytes());
    out.extend_from_slice(&line.length.to_le_bytes());
    out.extend_from_slice(&line.hash.to_le_bytes());
    if let Some(version) = &entry.rust_version {
        put_triple(out, version);
    }
    if let Some(time) = entry.pubtime {
        out.extend_from_slice(&time.to_le_bytes());
    }
    if tagged {
        put_text(out, &entry.version.pre);
        put_text(out, &entry.version.build);
    }
}

fn put_triple(out: &mut Vec<u8>, version: &Version) {
    for number in [version.major, version.minor, version.patch] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// What remains to be read of the head.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// A count of things of which each takes at least `least` bytes: more cannot follow, so no more is reserved.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count = self.number()? as usize;
        (count <= self.0.len() / least).then_some(count)
    }
}

/// Checksum of the head, and the lengths of head and lines.
fn fixed(beginning: &[u8]) -> Option<(u64, usize, usize)> {
    let mut fixed = Reader(beginning);
    if fixed.bytes(8)? != MAGIC {
        return None;
    }
    Some((fixed.long()?, fixed.number()? as usize, fixed.number()? as usize))
}

pub(super) fn head_length(beginning: &[u8]) -> Option<usize> {
    fixed(beginning).map(|(_, head_length, _)| head_length)
}

/// Reads a cache file of `length` bytes from its beginning, which holds the head at least.
pub(super) fn read(
    name: PackageName,
    source: SourceId,
    bytes: Vec<u8>,
    length: usize,
    rest: Option<Box<dyn Lines>>,
) -> Option<IndexFile> {
    let (checksum, head_length, body_length) = fixed(&bytes)?;
    if head_length.checked_add(body_length)? != length || hash(bytes.get(16..head_length)?) != checksum {
        return None;
    }
    let mut head = Reader(bytes.get(FIXED..head_length)?);
    if head.text()? != source.to_string() || head.text()? != name.as_str() {
        return None;
    }
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let validators = Validators { etag: some(head.text()?), last_modified: some(head.text()?) };
    let rejected_count = head.count(8)?;
    let mut rejected = Vec::with_capacity(rejected_count);
    for _ in 0..rejected_count {
        rejected.push(RejectedVersion { version: head.text()?.to_owned(), reason: head.text()?.to_owned() });
    }
    let count = head.count(41)?;
    let mut versions = Vec::with_capacity(count);
    let mut lines = Vec::with_capacity(count);
    for _ in 0..count {
        let (version, mut line) = version(&mut head)?;
        if (line.offset as usize).checked_add(line.length as usize)? > body_length {
            return None;
        }
        line.offset = line.offset.checked_add(u32::try_from(head_length).ok()?)?;
        versions.push(version);
        lines.push(line);
    }
    if !head.0.is_empty() || !versions.is_sorted_by(|a, b| a.version < b.version) {
        return None;
    }
    let summaries = entry::no_summaries(versions.len());
    Some(IndexFile { name, source, validators, bytes, rest, versions, lines, summaries, rejected })
}

fn version(head: &mut Reader<'_>) -> Option<(VersionEntry, Line)> {
    let flags = head.byte()?;
    let mut version = triple(head)?;
    let line = Line { offset: head.number()?, length: head.number()?, hash: head.long()? };
    let rust_version = if flags & RUST_VERSION == 0 { None } else { Some(triple(head)?) };
    let pubtime = if flags & PUBTIME == 0 { None } else { Some(i64::from_le_bytes(head.array()?)) };
    if flags & TAGGED != 0 {
        version.pre = Prerelease::new(head.text()?).ok()?;
        version.build = BuildMetadata::new(head.text()?).ok()?;
    }
    Some((VersionEntry { version, yanked: flags & YANKED != 0, rust_version, pubtime }, line))
}

fn triple(head: &mut Reader<'_>) -> Option<Version> {
    Some(Version::new(head.long()?, head.long()?, head.long()?))
}
