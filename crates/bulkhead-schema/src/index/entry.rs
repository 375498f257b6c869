//! The lines of a registry's answer → versions that are usable, and why the others are not.

use std::borrow::Cow;

use semver::Version;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{IndexFile, MAX_INDEX_FILE, MAX_VERSIONS, RejectedVersion, Validators, VersionEntry, block};
use crate::{Diagnostic, PackageName, SourceId};

/// The newest schema of index entries that this program understands (Cargo Book, "Registry Index", `v`).
const NEWEST_SCHEMA: u32 = 2;

/// Longest text accepted inside an entry (version, requirement, feature value, platform), in bytes.
pub(super) const MAX_TEXT: usize = 4096;

/// The fields that the list of versions needs. Unknown fields are skipped, known ones must not repeat.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    vers: Text<'a>,
    #[serde(borrow)]
    cksum: Text<'a>,
    yanked: Option<bool>,
    #[serde(borrow)]
    rust_version: Option<Text<'a>>,
    v: Option<u32>,
    #[serde(borrow)]
    pubtime: Option<Text<'a>>,
    #[serde(borrow, default)]
    deps: Raw<'a>,
    #[serde(borrow, default)]
    features: Raw<'a>,
    #[serde(borrow, default)]
    features2: Raw<'a>,
    #[serde(borrow, default)]
    links: Raw<'a>,
}

/// A part of the entry that is only looked at together with equal ones of other versions: as it stands in the line,
/// `null` included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Raw<'a>(pub(super) Option<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(|raw| Raw(Some(raw.get())))
    }
}

/// What [`details`](super::details) are made of. Many versions of a package agree in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RawDetails<'a> {
    pub(super) deps: Raw<'a>,
    pub(super) features: Raw<'a>,
    pub(super) features2: Raw<'a>,
    pub(super) links: Raw<'a>,
}

/// A text, borrowed from the line unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A usable version, as far as it is understood without its details.
pub(super) struct Usable<'a> {
    pub(super) entry: VersionEntry,
    pub(super) checksum: [u8; 32],
    pub(super) raw: RawDetails<'a>,
}

pub(super) fn parse_file(
    name: PackageName,
    source: SourceId,
    body: &[u8],
    validators: &Validators,
) -> Result<IndexFile, Diagnostic> {
    let broken =
        |reason: String| Diagnostic::error("index-file", format!("registry {source}: index of {name}: {reason}"));
    if body.len() > MAX_INDEX_FILE {
        return Err(broken(format!("it is larger than {} MiB", MAX_INDEX_FILE >> 20)));
    }
    let mut usable: Vec<Usable<'_>> = Vec::new();
    let mut rejected = Vec::new();
    for line in body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        if usable.len() + rejected.len() >= MAX_VERSIONS {
            return Err(broken(format!("it holds more than {MAX_VERSIONS} versions")));
        }
        match head(name, line) {
            Ok(version) => usable.push(version),
            Err(Unusable::Entry(version)) => rejected.push(version),
            Err(Unusable::OtherName(found)) => return Err(other_name(name, source, &found)),
        }
    }
    usable.sort_by(|a, b| a.entry.version.cmp(&b.entry.version));
    let usable = without_ambiguous(usable, &mut rejected);
    // What is kept is what is used: one form, read by one piece of code.
    let block = block::write(name, source, validators, &rejected, &usable);
    let file = block.and_then(|block| IndexFile::from_cache(name, source, block));
    file.ok_or_else(|| broken("it is too large".to_owned()))
}

/// A file that answers for another name would let one package pose as another: nothing in it is used.
fn other_name(name: PackageName, source: SourceId, found: &str) -> Diagnostic {
    let found: String = found.chars().take(80).collect();
    let error = Diagnostic::error(
        "index-other-name",
        format!("registry {source}: the index of `{name}` holds an entry of {found:?}"),
    );
    if found.eq_ignore_ascii_case(name.as_str()) {
        error.help(format!("names are case-sensitive: the registry has `{found}`"))
    } else {
        error.help("the registry is inconsistent; tell its operator")
    }
}

/// Takes out versions that stand more than once, be it with other build metadata: none of them can be picked without
/// trusting an order (Cargo Book, "Registry Index", version uniqueness). `usable` is sorted.
///
/// Old packages of the public registry have versions that differ only in build metadata, and people depend on them. Such
/// versions stay where the registry says of each when it was published: the newer one is then a release like any other,
/// which is not taken before it has come of age.
fn without_ambiguous<'a>(usable: Vec<Usable<'a>>, rejected: &mut Vec<RejectedVersion>) -> Vec<Usable<'a>> {
    let same = |a: &Usable<'_>, b: &Usable<'_>| a.entry.version.cmp_precedence(&b.entry.version).is_eq();
    let told_apart = |pair: &[Usable<'_>]| match pair {
        [Usable { entry: a, .. }, Usable { entry: b, .. }] => {
            a.version != b.version && a.pubtime.is_some() && b.pubtime.is_some()
        }
        _ => true,
    };
    let clear: Vec<bool> =
        usable.chunk_by(same).flat_map(|alike| vec![alike.windows(2).all(told_apart); alike.len()]).collect();
    let mut clear = clear.into_iter();
    let (kept, ambiguous): (Vec<_>, Vec<_>) = usable.into_iter().partition(|_| clear.next() == Some(true));
    rejected.extend(ambiguous.into_iter().map(|it| RejectedVersion {
        version: it.entry.version.to_string(),
        reason: "the index holds this version more than once".to_owned(),
    }));
    kept
}

enum Unusable {
    Entry(RejectedVersion),
    OtherName(String),
}

fn head<'a>(name: PackageName, line: &'a [u8]) -> Result<Usable<'a>, Unusable> {
    let reject = |version: &str, reason: String| {
        Unusable::Entry(RejectedVersion { version: version.chars().take(80).collect(), reason })
    };
    let head: Head<'a> =
        serde_json::from_slice(line).map_err(|error| reject(claimed_version(line), error.to_string()))?;
    if head.name.0 != name.as_str() {
        return Err(Unusable::OtherName(head.name.0.into_owned()));
    }
    let text = &*head.vers.0;
    let schema = head.v.unwrap_or(1);
    if !(1..=NEWEST_SCHEMA).contains(&schema) {
        return Err(reject(text, format!("its schema version {schema} is not supported")));
    }
    if text.len() > MAX_TEXT {
        return Err(reject(text, format!("its version is longer than {MAX_TEXT} bytes")));
    }
    let version = Version::parse(text).map_err(|error| reject(text, format!("invalid version: {error}")))?;
    let checksum = checksum(&head.cksum.0).map_err(|reason| reject(text, reason))?;
    let whole_rust_version = head.rust_version.as_ref().is_some_and(|Text(written)| written.split('.').count() == 3);
    let rust_version = head.rust_version.map(|Text(written)| rust_version(&written)).transpose();
    let pubtime = head.pubtime.map(|Text(written)| pubtime(&written)).transpose();
    let entry = VersionEntry {
        yanked: head.yanked.unwrap_or(false),
        rust_version: rust_version.map_err(|reason| reject(text, reason))?,
        whole_rust_version,
        pubtime: pubtime.map_err(|reason| reject(text, reason))?,
        version,
    };
    let raw = RawDetails { deps: head.deps, features: head.features, features2: head.features2, links: head.links };
    Ok(Usable { entry, checksum, raw })
}

/// What a line that is no valid entry seems to say about its version, for the message.
fn claimed_version(line: &[u8]) -> &str {
    let text = std::str::from_utf8(line).unwrap_or_default();
    text.split_once("\"vers\":\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(version, _)| version)
}

fn checksum(text: &str) -> Result<[u8; 32], String> {
    let invalid = || "its `cksum` is not written as 64 lower-case hexadecimal digits".to_owned();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(invalid()) };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().map_err(|_| invalid())?;
    let mut bytes = [0; 32];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low).ok_or_else(invalid)?;
    }
    Ok(bytes)
}

/// Reads `1`, `1.70` or `1.70.0`.
fn rust_version(text: &str) -> Result<Version, String> {
    let invalid = || format!("invalid `rust_version` {:?}", cut(text));
    let mut numbers = [0u64; 3];
    let mut parts = text.split('.');
    for number in &mut numbers {
        let Some(part) = parts.next() else { break };
        let canonical =
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
        *number = canonical.then(|| part.parse().ok()).flatten().ok_or_else(invalid)?;
    }
    if parts.next().is_some() {
        return Err(invalid());
    }
    let [major, minor, patch] = numbers;
    Ok(Version::new(major, minor, patch))
}

/// Reads `yyyy-mm-ddThh:mm:ssZ` as seconds since 1970.
fn pubtime(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid `pubtime` {:?}", cut(text));
    let shape = text.len() == 20
        && text.bytes().zip(b"dddd-dd-ddTdd:dd:ddZ").all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            other => byte == *other,
        });
    if !shape {
        return Err(invalid());
    }
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<i64>().ok()).unwrap_or(0);
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (hour, minute, second) = (number(11..13), number(14..16), number(17..19));
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return Err(invalid());
    }
    // Days since 1970-01-01 in the proleptic Gregorian calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Ok(days * 86_400 + hour * 3600 + minute * 60 + second)
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
