//! Dependencies, features and `links` of a version: from the text of an entry to checked values, and these in bytes.
//!
//! ```text
//! 1 · reason                                          an entry that breaks a rule, and which
//! 0 · table of texts · links · dependencies · features    every name by its place in the table
//! ```

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use semver::{Comparator, Op, Prerelease, VersionReq};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::block::{Reader, put_count, put_number, put_text};
use super::entry::{MAX_TEXT, Raw, RawDetails, Text, cut};
use crate::platform::Platform;
use crate::{Dependency, DependencyKind, FeatureValue, Features, PackageName, SourceId, Symbol};

/// Most dependencies and features accepted in one entry. The public registry's own limits are far lower.
const MAX_ITEMS: usize = 50_000;

const USABLE: u8 = 0;
const REFUSED: u8 = 1;

const OPTIONAL: u8 = 4;
const DEFAULT_FEATURES: u8 = 8;
const PLATFORM: u8 = 16;
const RENAMED: u8 = 32;
const ELSEWHERE: u8 = 64;

/// What an entry says of a dependency.
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

/// Features with what they include, by name.
type Table<'a> = BTreeMap<&'a str, Vec<Cow<'a, str>>>;

/// The bytes of what `raw` says, or of the reason why it cannot be used.
pub(super) fn encode(raw: RawDetails<'_>, registry: SourceId) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(reason) = encode_checked(raw, registry, &mut out) {
        out.clear();
        out.push(REFUSED);
        put_text(&mut out, &reason);
    }
    out
}

fn parsed<'a, T: Deserialize<'a> + Default>(raw: Raw<'a>) -> Result<T, String> {
    raw.0.map_or(Ok(T::default()), |text| serde_json::from_str(text).map_err(|error| error.to_string()))
}

fn encode_checked(raw: RawDetails<'_>, registry: SourceId, out: &mut Vec<u8>) -> Result<(), String> {
    let declared: Vec<IndexDependency<'_>> = parsed(raw.deps)?;
    if declared.len() > MAX_ITEMS {
        return Err(format!("it has more than {MAX_ITEMS} dependencies"));
    }
    let (features, features2): (UniqueMap<'_>, Option<UniqueMap<'_>>) = (parsed(raw.features)?, parsed(raw.features2)?);
    let links: Option<Text<'_>> = parsed(raw.links)?;
    let mut texts = Texts::default();
    let mut dependencies = Vec::new();
    put_count(&mut dependencies, declared.len());
    for dependency in &declared {
        put_dependency(&mut dependencies, &mut texts, dependency, registry)?;
    }
    let mut table = Table::new();
    for (Text(name), values) in features.0.iter().chain(features2.iter().flat_map(|map| &map.0)) {
        feature_name(name)?;
        let list = table.entry(name).or_default();
        for Text(value) in values {
            list.push(plain_text("feature value", value)?.into());
        }
    }
    complete_features(&mut table, &declared)?;
    let mut features = Vec::new();
    put_features(&mut features, &mut texts, &table);
    let links = links.as_ref().map(|Text(links)| plain_text("`links`", links)).transpose()?;
    let links = links.map_or(0, |links| texts.place(links) + 1);
    out.push(USABLE);
    put_count(out, texts.list.len());
    texts.list.iter().for_each(|text| put_text(out, text));
    put_count(out, links);
    out.append(&mut dependencies);
    out.append(&mut features);
    Ok(())
}

/// The texts of an entry, each once.
#[derive(Default)]
struct Texts<'a> {
    list: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Texts<'a> {
    fn place(&mut self, text: &'a str) -> usize {
        *self.places.entry(text).or_insert_with(|| {
            self.list.push(text);
            self.list.len() - 1
        })
    }
}

/// A short text without control characters.
fn plain_text<'a>(what: &str, text: &'a str) -> Result<&'a str, String> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(format!("invalid {what} {:?}", cut(text)));
    }
    Ok(text)
}

fn put_dependency<'a>(
    out: &mut Vec<u8>,
    texts: &mut Texts<'a>,
    dependency: &'a IndexDependency<'_>,
    registry: SourceId,
) -> Result<(), String> {
    let alias = &*dependency.name.0;
    let real = dependency.package.as_ref().map_or(alias, |Text(package)| package);
    for name in [alias, real] {
        PackageName::registry(name).map_err(|error| format!("invalid dependency name: {error}"))?;
    }
    let of = |what: &str, error: &dyn fmt::Display| format!("dependency {alias}: invalid {what}: {error}");
    let requirement = plain_text("requirement", &dependency.req.0)?;
    let requirement = VersionReq::parse(requirement).map_err(|error| of("requirement", &error))?;
    let platform = match &dependency.target {
        Some(Text(target)) => {
            let target = plain_text("target", target)?;
            target.parse::<Platform>().map_err(|error| of("target", &error))?;
            Some(target)
        }
        None => None,
    };
    let kind = match dependency.kind.as_ref().map(|Text(kind)| &**kind) {
        None | Some("normal") => 0,
        Some("dev") => 1,
        Some("build") => 2,
        Some(other) => return Err(of("kind", &format_args!("{:?}", cut(other)))),
    };
    let source = match &dependency.registry {
        None => registry,
        Some(Text(url)) => dependency_registry(url).map_err(|error| of("registry", &error))?,
    };
    // The public registry accepts no such package: who sees one is not talking to it.
    if registry.is_crates_io() && source != registry {
        return Err(of("registry", &format_args!("a public package may not depend on another registry ({source})")));
    }
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        kind | flag(dependency.optional, OPTIONAL)
            | flag(dependency.default_features, DEFAULT_FEATURES)
            | flag(platform.is_some(), PLATFORM)
            | flag(real != alias, RENAMED)
            | flag(source != registry, ELSEWHERE),
    );
    put_count(out, texts.place(real));
    if real != alias {
        put_count(out, texts.place(alias));
    }
    if let Some(platform) = platform {
        put_count(out, texts.place(platform));
    }
    if source != registry {
        put_text(out, &source.to_string());
    }
    put_requirement(out, &requirement);
    put_count(out, dependency.features.len());
    for Text(feature) in &dependency.features {
        put_count(out, texts.place(plain_text("feature", feature)?));
    }
    Ok(())
}

/// The registry that an entry names for a dependency. Only a plain address is accepted: anything that two programs could
/// read as different places is refused.
fn dependency_registry(text: &str) -> Result<SourceId, String> {
    let text = plain_text("address", text)?;
    let address = text.strip_prefix("sparse+").or_else(|| text.strip_prefix("registry+")).unwrap_or(text);
    let url = url::Url::parse(address).map_err(|error| format!("{error}: {:?}", cut(text)))?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "https" | "http" | "ssh") || !plain || url.host_str().is_none() {
        return Err(format!("not a plain https address: {:?}", cut(text)));
    }
    SourceId::registry(text).map_err(|error| error.to_string())
}

/// The operators of requirements, by their number in the bytes.
const OPERATORS: [Op; 8] =
    [Op::Exact, Op::Greater, Op::GreaterEq, Op::Less, Op::LessEq, Op::Tilde, Op::Caret, Op::Wildcard];

fn put_requirement(out: &mut Vec<u8>, requirement: &VersionReq) {
    put_count(out, requirement.comparators.len());
    for Comparator { op, major, minor, patch, pre } in &requirement.comparators {
        let operator = OPERATORS.iter().position(|known| known == op).unwrap_or(OPERATORS.len());
        let parts = u8::from(minor.is_some()) + u8::from(patch.is_some()) + u8::from(!pre.is_empty());
        out.push(operator as u8 | parts << 4);
        put_number(out, *major);
        minor.iter().chain(patch).for_each(|number| put_number(out, *number));
        if !pre.is_empty() {
            put_text(out, pre);
        }
    }
}

fn requirement(reader: &mut Reader<'_>) -> Option<VersionReq> {
    let count = reader.count(2)?;
    let mut comparators = Vec::with_capacity(count);
    for _ in 0..count {
        let form = reader.byte()?;
        let op = *OPERATORS.get(usize::from(form & 15))?;
        let parts = form >> 4;
        let major = reader.number()?;
        let minor = if parts > 0 { Some(reader.number()?) } else { None };
        let patch = if parts > 1 { Some(reader.number()?) } else { None };
        let pre = if parts > 2 { Prerelease::new(reader.text()?).ok()? } else { Prerelease::EMPTY };
        comparators.push(Comparator { op, major, minor, patch, pre });
    }
    Some(VersionReq { comparators })
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

/// The parts of a feature's element (as [`FeatureValue`], before anything is interned).
enum Value<'a> {
    Feature(&'a str),
    Dependency(&'a str),
    DependencyFeature { dependency: &'a str, feature: &'a str, weak: bool },
}

fn value(text: &str) -> Value<'_> {
    match text.split_once('/') {
        Some((dependency, feature)) => match dependency.strip_suffix('?') {
            Some(dependency) => Value::DependencyFeature { dependency, feature, weak: true },
            None => Value::DependencyFeature { dependency, feature, weak: false },
        },
        None => text.strip_prefix("dep:").map_or(Value::Feature(text), Value::Dependency),
    }
}

/// Adds the implicit feature of each optional dependency that no `dep:` names, and checks that every value of every
/// feature refers to something (Cargo Book, "Features").
fn complete_features<'a>(table: &mut Table<'a>, dependencies: &'a [IndexDependency<'_>]) -> Result<(), String> {
    let mut optional_by_name: BTreeMap<&str, bool> = BTreeMap::new();
    for dependency in dependencies {
        *optional_by_name.entry(&dependency.name.0).or_default() |= dependency.optional;
    }
    let named: Vec<Cow<'a, str>> = table.values().flatten().filter(|text| text.starts_with("dep:")).cloned().collect();
    let explicit: BTreeSet<&str> = named
        .iter()
        .filter_map(|text| if let Value::Dependency(name) = value(text) { Some(name) } else { None })
        .collect();
    for (&name, _) in optional_by_name.iter().filter(|&(name, &optional)| optional && !explicit.contains(name)) {
        table.entry(name).or_insert_with(|| vec![format!("dep:{name}").into()]);
    }
    let mut used = BTreeSet::new();
    for (feature, values) in &*table {
        for text in values {
            let value = value(text);
            check_value(&value, table, &optional_by_name)
                .map_err(|reason| format!("feature `{feature}` includes `{text}`, {reason}"))?;
            if let Value::Dependency(name) | Value::DependencyFeature { dependency: name, .. } = value {
                used.insert(name);
            }
        }
    }
    match optional_by_name.iter().find(|&(name, &optional)| optional && !used.contains(name)) {
        Some((name, _)) => Err(format!("optional dependency `{name}` is not included in any feature")),
        None => Ok(()),
    }
}

fn check_value(value: &Value<'_>, table: &Table<'_>, optional: &BTreeMap<&str, bool>) -> Result<(), &'static str> {
    match *value {
        Value::Feature(name) if table.contains_key(name) => Ok(()),
        Value::Feature(name) => match optional.get(name) {
            Some(true) => Err("an optional dependency that needs `dep:` here"),
            Some(false) => Err("a dependency that is not optional"),
            None => Err("neither a dependency nor another feature"),
        },
        Value::Dependency(name) => match optional.get(name) {
            Some(true) => Ok(()),
            Some(false) => Err("a dependency that is not optional"),
            None => Err("but there is no such dependency"),
        },
        Value::DependencyFeature { dependency, feature, weak } => match optional.get(dependency) {
            _ if feature.contains('/') => Err("which has more than one `/`"),
            Some(false) if weak => Err("but `?` is only for optional dependencies"),
            Some(_) => Ok(()),
            None => Err("but there is no such dependency"),
        },
    }
}

/// In the order of their names, so that a reader can build its table in one go.
fn put_features<'a>(out: &mut Vec<u8>, texts: &mut Texts<'a>, table: &'a Table<'a>) {
    put_count(out, table.len());
    for (name, values) in table {
        put_count(out, texts.place(name));
        put_count(out, values.len());
        for text in values {
            match value(text) {
                Value::Feature(name) => {
                    out.push(0);
                    put_count(out, texts.place(name));
                }
                Value::Dependency(name) => {
                    out.push(1);
                    put_count(out, texts.place(name));
                }
                Value::DependencyFeature { dependency, feature, weak } => {
                    out.push(if weak { 3 } else { 2 });
                    put_count(out, texts.place(dependency));
                    put_count(out, texts.place(feature));
                }
            }
        }
    }
}

/// What [`encode`] has put down.
pub(super) enum Decoded {
    /// A usable entry.
    Usable { dependencies: Vec<Dependency>, features: Features, links: Option<Symbol> },
    /// Why the entry cannot be used.
    Refused(String),
}

/// `None` if the bytes are not what [`encode`] makes.
pub(super) fn decode(bytes: &[u8], registry: SourceId) -> Option<Decoded> {
    let mut reader = Reader(bytes);
    if reader.byte()? == REFUSED {
        return Some(Decoded::Refused(reader.text()?.to_owned()));
    }
    let count = reader.count(1)?;
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        let text = reader.text()?;
        texts.push(if text.len() <= MAX_TEXT { Symbol::new(text) } else { return None });
    }
    let links = match reader.number()? {
        0 => None,
        place => Some(*texts.get(usize::try_from(place).ok()? - 1)?),
    };
    let count = reader.count(4)?;
    let mut dependencies = Vec::with_capacity(count);
    for _ in 0..count {
        dependencies.push(dependency(&mut reader, &texts, registry)?);
    }
    let features = features(&mut reader, &texts)?;
    reader.0.is_empty().then_some(Decoded::Usable { dependencies, features, links })
}

fn symbol(reader: &mut Reader<'_>, texts: &[Symbol]) -> Option<Symbol> {
    texts.get(usize::try_from(reader.number()?).ok()?).copied()
}

fn dependency(reader: &mut Reader<'_>, texts: &[Symbol], registry: SourceId) -> Option<Dependency> {
    let flags = reader.byte()?;
    let package = PackageName::from_symbol(symbol(reader, texts)?).ok()?;
    let rename = if flags & RENAMED == 0 { None } else { Some(symbol(reader, texts)?) };
    let platform = match flags & PLATFORM {
        0 => None,
        _ => Some(symbol(reader, texts)?.parse::<Platform>().ok()?),
    };
    let source = if flags & ELSEWHERE == 0 { registry } else { SourceId::parse(reader.text()?).ok()? };
    let requirement = requirement(reader)?;
    let count = reader.count(1)?;
    let mut features = Vec::with_capacity(count);
    for _ in 0..count {
        features.push(symbol(reader, texts)?);
    }
    Some(Dependency {
        package,
        rename,
        requirement,
        kind: match flags & 3 {
            0 => DependencyKind::Normal,
            1 => DependencyKind::Development,
            2 => DependencyKind::Build,
            _ => return None,
        },
        platform,
        optional: flags & OPTIONAL != 0,
        default_features: flags & DEFAULT_FEATURES != 0,
        features,
        source,
        specified_requirement: true,
    })
}

fn features(reader: &mut Reader<'_>, texts: &[Symbol]) -> Option<Features> {
    let count = reader.count(2)?;
    let mut table = Vec::with_capacity(count);
    for _ in 0..count {
        let name = symbol(reader, texts)?;
        let length = reader.count(2)?;
        let mut values = Vec::with_capacity(length);
        for _ in 0..length {
            values.push(match reader.byte()? {
                0 => FeatureValue::Feature(symbol(reader, texts)?),
                1 => FeatureValue::Dependency(symbol(reader, texts)?),
                kind @ (2 | 3) => FeatureValue::DependencyFeature {
                    dependency: symbol(reader, texts)?,
                    feature: symbol(reader, texts)?,
                    weak: kind == 3,
                },
                _ => return None,
            });
        }
        table.push((name, values));
    }
    Some(table.into_iter().collect())
}
