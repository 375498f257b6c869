//! One line of the index → [`VersionEntry`] and [`Summary`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use semver::{Version, VersionReq};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::{IndexFile, Line, MAX_INDEX_FILE, MAX_VERSIONS, RejectedVersion, Validators, VersionEntry, cache};
use crate::ids::CRATES_IO_DOMAIN;
use crate::platform::Platform;
use crate::{
    Dependency, DependencyKind, Diagnostic, FeatureValue, Features, PackageId, PackageName, SourceId, Summary, Symbol,
};

/// The newest schema of index entries that this program understands (Cargo Book, "Registry Index", `v`).
const NEWEST_SCHEMA: u32 = 2;

/// Longest text accepted inside an entry (version, requirement, feature value, platform), in bytes.
const MAX_TEXT: usize = 4096;

/// Most dependencies and features accepted in one entry. The public registry's own limits are far lower.
const MAX_ITEMS: usize = 50_000;

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
    // Named so that a second one is refused here already.
    #[serde(default, rename = "deps")]
    _deps: IgnoredAny,
    #[serde(default, rename = "features")]
    _features: IgnoredAny,
    #[serde(default, rename = "features2")]
    _features2: IgnoredAny,
    #[serde(default, rename = "links")]
    _links: IgnoredAny,
}

/// The fields that a [`Summary`] needs besides.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    cksum: Text<'a>,
    #[serde(borrow, default)]
    deps: Vec<IndexDependency<'a>>,
    #[serde(borrow, default)]
    features: UniqueMap<'a>,
    #[serde(borrow)]
    features2: Option<UniqueMap<'a>>,
    #[serde(borrow)]
    links: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct IndexDependency<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    req: Text<'a>,
    #[serde(borrow, default)]
    features: Vec<Text<'a>>,
    #[serde(default)]
    optional: bool,
    #[serde(default = "yes")]
    default_features: bool,
    #[serde(borrow)]
    target: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    registry: Option<Text<'a>>,
    #[serde(borrow)]
    package: Option<Text<'a>>,
}

fn yes() -> bool {
    true
}

/// A text, borrowed from the line unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A JSON object of lists of texts in which no key stands twice.
#[derive(Default)]
struct UniqueMap<'a>(Vec<(Text<'a>, Vec<Text<'a>>)>);

impl<'de: 'a, 'a> Deserialize<'de> for UniqueMap<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueMapVisitor).map(|map| UniqueMap(map.0))
    }
}

struct UniqueMapVisitor;

impl<'de> Visitor<'de> for UniqueMapVisitor {
    type Value = UniqueMap<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of features")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs: Vec<(Text<'de>, Vec<Text<'de>>)> = Vec::new();
        while let Some(pair) = map.next_entry()? {
            if pairs.len() >= MAX_ITEMS {
                return Err(serde::de::Error::custom(format_args!("more than {MAX_ITEMS} features")));
            }
            pairs.push(pair);
        }
        let mut keys: Vec<&str> = pairs.iter().map(|(Text(key), _)| &**key).collect();
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(serde::de::Error::custom(format_args!("duplicate feature {:?}", twice.first())));
        }
        Ok(UniqueMap(pairs))
    }
}

pub(super) fn parse_file(
    name: PackageName,
    source: SourceId,
    body: Vec<u8>,
    validators: Validators,
) -> Result<IndexFile, Diagnostic> {
    let broken =
        |reason: String| Diagnostic::error("index-file", format!("registry {source}: index of {name}: {reason}"));
    if body.len() > MAX_INDEX_FILE {
        return Err(broken(format!("it is larger than {} MiB", MAX_INDEX_FILE >> 20)));
    }
    let mut usable: Vec<(VersionEntry, Line)> = Vec::new();
    let mut rejected = Vec::new();
    let mut offset = 0;
    for line in body.split(|&byte| byte == b'\n') {
        let start = offset;
        offset += line.len() + 1;
        if line.is_empty() {
            continue;
        }
        if usable.len() + rejected.len() >= MAX_VERSIONS {
            return Err(broken(format!("it holds more than {MAX_VERSIONS} versions")));
        }
        match head(name, line) {
            Ok(entry) => {
                let (Ok(offset), Ok(length)) = (u32::try_from(start), u32::try_from(line.len())) else {
                    return Err(broken("it is too large".to_owned()));
                };
                usable.push((entry, Line { offset, length, hash: cache::hash(line) }));
            }
            Err(Unusable::Entry(version)) => rejected.push(version),
            Err(Unusable::OtherName(found)) => return Err(other_name(name, source, &found)),
        }
    }
    usable.sort_by(|(a, _), (b, _)| a.version.cmp(&b.version));
    let (versions, lines): (Vec<_>, Vec<_>) = without_ambiguous(usable, &mut rejected).into_iter().unzip();
    let summaries = no_summaries(versions.len());
    Ok(IndexFile { name, source, validators, bytes: body, rest: None, versions, lines, summaries, rejected })
}

pub(super) fn no_summaries(count: usize) -> Box<[OnceLock<Arc<Summary>>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
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
fn without_ambiguous(
    usable: Vec<(VersionEntry, Line)>,
    rejected: &mut Vec<RejectedVersion>,
) -> Vec<(VersionEntry, Line)> {
    let same = |a: &Version, b: &Version| a.cmp_precedence(b).is_eq();
    let mut kept: Vec<(VersionEntry, Line)> = Vec::with_capacity(usable.len());
    let mut ambiguous: Option<Version> = None;
    for (entry, line) in usable {
        let repeats_last = kept.last().is_some_and(|(last, _)| same(&last.version, &entry.version));
        if repeats_last || ambiguous.as_ref().is_some_and(|known| same(known, &entry.version)) {
            let reason = || "the index holds this version more than once".to_owned();
            if repeats_last && let Some((last, _)) = kept.pop() {
                rejected.push(RejectedVersion { version: last.version.to_string(), reason: reason() });
            }
            rejected.push(RejectedVersion { version: entry.version.to_string(), reason: reason() });
            ambiguous = Some(entry.version);
        } else {
            kept.push((entry, line));
        }
    }
    kept
}

enum Unusable {
    Entry(RejectedVersion),
    OtherName(String),
}

fn head(name: PackageName, line: &[u8]) -> Result<VersionEntry, Unusable> {
    let reject = |version: &str, reason: String| {
        Unusable::Entry(RejectedVersion { version: version.chars().take(80).collect(), reason })
    };
    let head: Head<'_> =
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
    checksum(&head.cksum.0).map_err(|reason| reject(text, reason))?;
    let rust_version = head.rust_version.map(|Text(written)| rust_version(&written)).transpose();
    let pubtime = head.pubtime.map(|Text(written)| pubtime(&written)).transpose();
    Ok(VersionEntry {
        yanked: head.yanked.unwrap_or(false),
        rust_version: rust_version.map_err(|reason| reject(text, reason))?,
        pubtime: pubtime.map_err(|reason| reject(text, reason))?,
        version,
    })
}

/// What a line that is no valid entry seems to say about its version, for the message.
fn claimed_version(line: &[u8]) -> &str {
    let text = std::str::from_utf8(line).unwrap_or_default();
    text.split_once("\"vers\":\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(version, _)| version)
}

fn checksum(text: &str) -> Result<Arc<str>, String> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 64 && text.bytes().all(lower_hex) {
        Ok(text.into())
    } else {
        Err("its `cksum` is not written as 64 lower-case hexadecimal digits".to_owned())
    }
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

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The whole entry of the version at `position`.
pub(super) fn summary(file: &IndexFile, position: usize, line: Line) -> Result<Summary, Diagnostic> {
    let (Some(entry), Some(text)) = (file.versions.get(position), file.line(line)) else {
        return Err(Diagnostic::error("index-entry", format!("registry entry {}: no such position", file.name)));
    };
    let invalid = |reason: String| {
        let (source, name, version) = (file.source, file.name, &entry.version);
        Diagnostic::error("index-entry", format!("registry {source}: entry {name} {version}: {reason}"))
    };
    if cache::hash(&text) != line.hash {
        return Err(
            invalid("the cached entry is damaged".to_owned()).help("remove the `index` folder of Bulkhead's home")
        );
    }
    let body: Body<'_> = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    if body.deps.len() > MAX_ITEMS {
        return Err(invalid(format!("it has more than {MAX_ITEMS} dependencies")));
    }
    let dependencies: Result<Vec<_>, String> = body.deps.into_iter().map(|dep| dependency(dep, file.source)).collect();
    let dependencies = dependencies.map_err(&invalid)?;
    let features2 = body.features2.unwrap_or_default();
    let features = features(body.features.0.into_iter().chain(features2.0)).map_err(&invalid)?;
    let features = complete_features(features, &dependencies).map_err(&invalid)?;
    let links = body.links.map(|Text(links)| plain_text("`links`", &links).map(Symbol::new)).transpose();
    Ok(Summary {
        id: PackageId::new(file.name, entry.version.clone(), file.source),
        dependencies,
        features: Arc::new(features),
        links: links.map_err(&invalid)?,
        checksum: Some(checksum(&body.cksum.0).map_err(&invalid)?),
        rust_version: entry.rust_version.clone(),
        yanked: entry.yanked,
    })
}

/// A short text without control characters.
fn plain_text<'a>(what: &str, text: &'a str) -> Result<&'a str, String> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(format!("invalid {what} {:?}", cut(text)));
    }
    Ok(text)
}

fn dependency(dep: IndexDependency<'_>, registry: SourceId) -> Result<Dependency, String> {
    let Text(name) = dep.name;
    let alias = PackageName::registry(&name).map_err(|error| format!("invalid dependency name: {error}"))?;
    let real = match &dep.package {
        Some(Text(package)) => {
            PackageName::registry(package).map_err(|error| format!("invalid dependency name: {error}"))?
        }
        None => alias,
    };
    let of = |what: &str, error: &dyn fmt::Display| format!("dependency {alias}: invalid {what}: {error}");
    let Text(req) = plain_text("requirement", &dep.req.0).map(|text| Text(Cow::Borrowed(text)))?;
    let requirement = VersionReq::parse(&req).map_err(|error| of("requirement", &error))?;
    let platform = match &dep.target {
        Some(Text(target)) => {
            let target = plain_text("target", target)?;
            Some(target.parse::<Platform>().map_err(|error| of("target", &error))?)
        }
        None => None,
    };
    let kind = match dep.kind.as_ref().map(|Text(kind)| &**kind) {
        None | Some("normal") => DependencyKind::Normal,
        Some("dev") => DependencyKind::Development,
        Some("build") => DependencyKind::Build,
        Some(other) => return Err(of("kind", &format_args!("{:?}", cut(other)))),
    };
    let features: Result<Vec<Symbol>, String> =
        dep.features.iter().map(|Text(feature)| plain_text("feature", feature).map(Symbol::new)).collect();
    let source = match &dep.registry {
        None => registry,
        Some(Text(url)) => dependency_registry(url).map_err(|error| of("registry", &error))?,
    };
    Ok(Dependency {
        package: real,
        rename: (real != alias).then(|| alias.symbol()),
        requirement,
        kind,
        platform,
        optional: dep.optional,
        default_features: dep.default_features,
        features: features.map_err(|error| of("feature", &error))?,
        source,
        specified_requirement: true,
    })
}

/// The registry that an entry names for a dependency. Only a plain address is accepted: anything that two programs could
/// read as different places is refused.
fn dependency_registry(text: &str) -> Result<SourceId, String> {
    let text = plain_text("address", text)?;
    let (kind, address) = match text.strip_prefix("sparse+") {
        Some(address) => ("sparse", address),
        None => ("registry", text.strip_prefix("registry+").unwrap_or(text)),
    };
    let url = url::Url::parse(address).map_err(|error| format!("{error}: {:?}", cut(text)))?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "https" | "http" | "ssh") || !plain || url.host_str().is_none() {
        return Err(format!("not a plain https address: {:?}", cut(text)));
    }
    if kind == "registry" && address == crate::ids::CRATES_IO_INDEX
        || kind == "sparse" && address == format!("https://index.{CRATES_IO_DOMAIN}/")
    {
        return Ok(SourceId::crates_io());
    }
    SourceId::parse(&format!("{kind}+{address}")).map_err(|error| error.to_string())
}

fn features<'a>(pairs: impl Iterator<Item = (Text<'a>, Vec<Text<'a>>)>) -> Result<Features, String> {
    let mut features = Features::new();
    for (Text(name), values) in pairs {
        feature_name(&name)?;
        let list = features.entry(Symbol::new(&name)).or_default();
        for Text(value) in values {
            list.push(FeatureValue::parse(plain_text("feature value", &value)?));
        }
    }
    Ok(features)
}

/// Cargo Book, "Features": letters, digits and `_` first, then also `-`, `+` and `.`.
fn feature_name(name: &str) -> Result<(), String> {
    let first = |c: char| c.is_alphanumeric() || c == '_';
    let mut chars = name.chars();
    let valid = chars.next().is_some_and(first) && chars.all(|c| first(c) || matches!(c, '-' | '+' | '.'));
    if valid && name.len() <= crate::ids::MAX_NAME_LENGTH {
        Ok(())
    } else {
        Err(format!("invalid feature name {:?}", cut(name)))
    }
}

/// Adds the implicit feature of each optional dependency that no `dep:` names, and checks that every value of every
/// feature refers to something (Cargo Book, "Features").
pub(super) fn complete_features(mut features: Features, dependencies: &[Dependency]) -> Result<Features, String> {
    let mut optional_by_name: BTreeMap<Symbol, bool> = BTreeMap::new();
    for dependency in dependencies {
        *optional_by_name.entry(dependency.name_in_manifest()).or_default() |= dependency.optional;
    }
    let explicit: BTreeSet<Symbol> = features
        .values()
        .flatten()
        .filter_map(|value| if let FeatureValue::Dependency(name) = value { Some(*name) } else { None })
        .collect();
    for (&name, _) in optional_by_name.iter().filter(|&(name, &optional)| optional && !explicit.contains(name)) {
        features.entry(name).or_insert_with(|| vec![FeatureValue::Dependency(name)]);
    }
    let mut used = BTreeSet::new();
    for (feature, values) in &features {
        for value in values {
            check_value(*value, &features, &optional_by_name)
                .map_err(|reason| format!("feature `{feature}` includes `{value}`, {reason}"))?;
            if let FeatureValue::Dependency(name) | FeatureValue::DependencyFeature { dependency: name, .. } = value {
                used.insert(*name);
            }
        }
    }
    match optional_by_name.iter().find(|&(name, &optional)| optional && !used.contains(name)) {
        Some((name, _)) => Err(format!("optional dependency `{name}` is not included in any feature")),
        None => Ok(features),
    }
}

fn check_value(
    value: FeatureValue,
    features: &Features,
    optional: &BTreeMap<Symbol, bool>,
) -> Result<(), &'static str> {
    match value {
        FeatureValue::Feature(name) if features.contains_key(&name) => Ok(()),
        FeatureValue::Feature(name) => match optional.get(&name) {
            Some(true) => Err("an optional dependency that needs `dep:` here"),
            Some(false) => Err("a dependency that is not optional"),
            None => Err("neither a dependency nor another feature"),
        },
        FeatureValue::Dependency(name) => match optional.get(&name) {
            Some(true) => Ok(()),
            Some(false) => Err("a dependency that is not optional"),
            None => Err("but there is no such dependency"),
        },
        FeatureValue::DependencyFeature { dependency, feature, weak } => match optional.get(&dependency) {
            _ if feature.contains('/') => Err("which has more than one `/`"),
            Some(false) if weak => Err("but `?` is only for optional dependencies"),
            Some(_) => Ok(()),
            None => Err("but there is no such dependency"),
        },
    }
}
