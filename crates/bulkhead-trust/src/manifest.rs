//! The packaged manifest against the index entry that promised it.
//!
//! A registry's index decides which packages are chosen, the manifest inside the archive decides what is built. Where the
//! two differ, somebody who looks at one of them is shown another package than the one that is used ("manifest
//! confusion"), so that a package whose two descriptions disagree is refused.

use std::collections::BTreeMap;
use std::fmt;

use bulkhead_schema::{
    Dependency, DependencyKind, Diagnostic, FeatureValue, Features, PackageId, SourceId, Summary, Symbol,
};
use semver::{Comparator, Op, Version, VersionReq};

use crate::Digest;

/// Most differences that a [`Disagreement`] tells of.
const MOST_SHOWN: usize = 8;

/// A package of which index entry and manifest tell different stories. Exit code 104 (verification failure).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The package, as the index names it.
    pub id: PackageId,
    /// What differs, in the order of the manifest's tables. Never empty.
    pub fields: Vec<Difference>,
}

/// One field, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, as a manifest would name it.
    pub field: String,
    /// What the index entry says; empty if it says nothing. Untrusted.
    pub index: String,
    /// What the packaged manifest says; empty if it says nothing. Untrusted.
    pub manifest: String,
}

/// Compares the index entry by which a package was chosen with the summary of the manifest in its archive: name, version,
/// dependencies (alias, package, requirement, table, platform, features, `optional`, `default-features`, registry),
/// features, `links` and `rust-version`.
///
/// Order and repetition mean nothing, nor does the spelling of a requirement. Development dependencies of a package that
/// was downloaded are neither resolved nor built, and registries have dropped or rewritten some, so that only what is none
/// counts. `docs/decisions/manifest-and-index.md` tells on how many packages this was tried.
///
/// # Errors
/// Everything that differs.
pub fn verify_manifest(index: &Summary, manifest: &Summary) -> Result<(), Box<Disagreement>> {
    let mut fields = Vec::new();
    let mut note = |field: &str, index: String, manifest: String| {
        fields.push(Difference { field: field.to_owned(), index, manifest });
    };
    if index.id.name() != manifest.id.name() {
        note("package.name", index.id.name().to_string(), manifest.id.name().to_string());
    }
    if index.id.version() != manifest.id.version() {
        note("package.version", index.id.version().to_string(), manifest.id.version().to_string());
    }
    // Registries began to list these two after they had accepted packages, so that old entries lack them.
    if index.links.is_some() && index.links != manifest.links {
        note("package.links", shown(index.links), shown(manifest.links));
    }
    if index.rust_version.is_some() && index.rust_version != manifest.rust_version {
        note("package.rust-version", shown(index.rust_version.as_ref()), shown(manifest.rust_version.as_ref()));
    }
    compare_dependencies(index, manifest, &mut fields);
    compare_features(&index.features, &manifest.features, &mut fields);
    if fields.is_empty() { Ok(()) } else { Err(Box::new(Disagreement { id: index.id, fields })) }
}

/// Stands for everything of an index entry that [`verify_manifest`] compares: what was compared once need not be compared
/// again while it stays the same.
///
/// It is not kept longer than the program that made it, so that its form is free: numbers stand in it as such, since writing
/// them as text takes longer than hashing them.
pub fn index_fingerprint(index: &Summary) -> Digest {
    let mut out = Vec::with_capacity(4096);
    put(&mut out, index.id.name().as_str());
    put_version(&mut out, index.id.version());
    put(&mut out, index.id.source().url());
    put(&mut out, index.links.as_ref().map_or("", |links| links.as_str()));
    out.push(u8::from(index.rust_version.is_some()));
    index.rust_version.iter().for_each(|version| put_version(&mut out, version));
    let counts = |dependency: &&Dependency| dependency.kind != DependencyKind::Development;
    for dependency in index.dependencies.iter().filter(counts) {
        // More follows: what does not begin so are the features.
        out.push(1);
        put_dependency(&mut out, dependency, index.id.source());
    }
    out.push(0);
    for (name, values) in index.features.iter() {
        put(&mut out, name.as_str());
        put_count(&mut out, values.len());
        values.iter().for_each(|value| put_value(&mut out, value));
    }
    Digest::of(&out)
}

fn put_dependency(out: &mut Vec<u8>, dependency: &Dependency, home: SourceId) {
    let flags = [dependency.kind == DependencyKind::Build, dependency.optional, dependency.default_features];
    out.extend(flags.map(u8::from));
    put(out, dependency.package.as_str());
    put(out, dependency.name_in_manifest().as_str());
    put_count(out, dependency.requirement.comparators.len());
    for Comparator { op, major, minor, patch, pre } in &dependency.requirement.comparators {
        out.push(operator(*op));
        for number in [Some(*major), *minor, *patch] {
            out.push(u8::from(number.is_some()));
            out.extend_from_slice(&number.unwrap_or_default().to_le_bytes());
        }
        put(out, pre);
    }
    put(out, &shown(dependency.platform.as_ref()));
    // Most come from where the package comes from, and no address is empty.
    put(out, if dependency.source == home { "" } else { dependency.source.url() });
    put_count(out, dependency.features.len());
    dependency.features.iter().for_each(|feature| put(out, feature.as_str()));
}

fn put_version(out: &mut Vec<u8>, Version { major, minor, patch, pre, build }: &Version) {
    [major, minor, patch].into_iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    put(out, pre);
    put(out, build);
}

fn put_value(out: &mut Vec<u8>, value: &FeatureValue) {
    match value {
        FeatureValue::Feature(name) => {
            out.push(0);
            put(out, name.as_str());
        }
        FeatureValue::Dependency(name) => {
            out.push(1);
            put(out, name.as_str());
        }
        FeatureValue::DependencyFeature { dependency, feature, weak } => {
            out.push(if *weak { 3 } else { 2 });
            put(out, dependency.as_str());
            put(out, feature.as_str());
        }
    }
}

fn operator(op: Op) -> u8 {
    match op {
        Op::Exact => 0,
        Op::Greater => 1,
        Op::GreaterEq => 2,
        Op::Less => 3,
        Op::LessEq => 4,
        Op::Tilde => 5,
        Op::Caret => 6,
        Op::Wildcard => 7,
        // The crate may learn others, which cannot be told apart then.
        _ => 8,
    }
}

/// A text after its length.
fn put(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Index entries are far shorter than what would not fit.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn shown<T: fmt::Display>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// What makes two dependencies of one manifest different entries. A platform has no order, so that its text stands in.
type Place = (&'static str, Symbol, String);

fn place(dependency: &Dependency) -> Place {
    let table = match dependency.kind {
        DependencyKind::Normal => "dependencies",
        DependencyKind::Development => "dev-dependencies",
        DependencyKind::Build => "build-dependencies",
    };
    (table, dependency.name_in_manifest(), shown(dependency.platform.as_ref()))
}

fn field_name((table, name, platform): &Place) -> String {
    if platform.is_empty() { format!("{table}.{name}") } else { format!("target.'{platform}'.{table}.{name}") }
}

fn compare_dependencies(index: &Summary, manifest: &Summary, fields: &mut Vec<Difference>) {
    let counts = |dependency: &&Dependency| dependency.kind != DependencyKind::Development;
    let left = || index.dependencies.iter().filter(counts);
    let right = || manifest.dependencies.iter().filter(counts);
    let same = |(left, right): (&Dependency, &Dependency)| {
        left.kind == right.kind
            && left.name_in_manifest() == right.name_in_manifest()
            && left.platform == right.platform
            && same_dependency(left, right, index.id)
    };
    // Mostly both list the same in the same order, which is cheaper to find out than where they differ.
    if left().count() == right().count() && left().zip(right()).all(same) {
        return;
    }
    let mut places: BTreeMap<Place, (Vec<&Dependency>, Vec<&Dependency>)> = BTreeMap::new();
    for dependency in left() {
        places.entry(place(dependency)).or_default().0.push(dependency);
    }
    for dependency in right() {
        places.entry(place(dependency)).or_default().1.push(dependency);
    }
    for (place, (listed, packaged)) in places {
        let same = |one: &Dependency, other: &Dependency| same_dependency(one, other, index.id);
        let agree = listed.len() == packaged.len()
            && listed.iter().all(|one| packaged.iter().any(|other| same(one, other)))
            && packaged.iter().all(|other| listed.iter().any(|one| same(one, other)));
        if !agree {
            let describe =
                |list: &[&Dependency]| list.iter().map(|one| description(one)).collect::<Vec<_>>().join(", ");
            fields.push(Difference {
                field: field_name(&place),
                index: describe(&listed),
                manifest: describe(&packaged),
            });
        }
    }
}

/// Everything but the place: that has been found equal already.
fn same_dependency(listed: &Dependency, packaged: &Dependency, owner: PackageId) -> bool {
    // A package that was copied from the public registry into another one still names no registry, and means its own.
    let same_source =
        listed.source == packaged.source || packaged.source.is_crates_io() && listed.source == owner.source();
    listed.package == packaged.package
        && same_versions(&listed.requirement, &packaged.requirement)
        && listed.optional == packaged.optional
        && listed.default_features == packaged.default_features
        && same_source
        && (listed.features == packaged.features || sorted(&listed.features) == sorted(&packaged.features))
}

/// Whether two requirements accept the same versions: `0.*`, `^0` and `>=0.0.0, <1.0.0` do. With pre-releases only equal
/// words count as equal.
fn same_versions(a: &VersionReq, b: &VersionReq) -> bool {
    let plain = |requirement: &VersionReq| requirement.comparators.iter().all(|comparator| comparator.pre.is_empty());
    a == b || plain(a) && plain(b) && range(a) == range(b)
}

type Bound = (u128, u128, u128);

/// The first version that is accepted, and the first above it that is not; `None`: there is none.
fn range(requirement: &VersionReq) -> (Bound, Option<Bound>) {
    let mut range: (Bound, Option<Bound>) = ((0, 0, 0), None);
    for comparator in &requirement.comparators {
        let (low, high) = bounds(comparator);
        range.0 = range.0.max(low);
        range.1 = match (range.1, high) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
    }
    range
}

fn bounds(comparator: &Comparator) -> (Bound, Option<Bound>) {
    let major = u128::from(comparator.major);
    let (minor, patch) = (comparator.minor.map(u128::from), comparator.patch.map(u128::from));
    let low = (major, minor.unwrap_or(0), patch.unwrap_or(0));
    let above_major = (major + 1, 0, 0);
    let above_minor = minor.map_or(above_major, |minor| (major, minor + 1, 0));
    // The first version that has another number in the last place that is given.
    let above = minor.zip(patch).map_or(above_minor, |(minor, patch)| (major, minor, patch + 1));
    match comparator.op {
        Op::Exact | Op::Wildcard => (low, Some(above)),
        Op::Greater => (above, None),
        Op::GreaterEq => (low, None),
        Op::Less => ((0, 0, 0), Some(low)),
        Op::LessEq => ((0, 0, 0), Some(above)),
        Op::Tilde => (low, Some(above_minor)),
        // `^`, and whatever a later version of the grammar may add is at least not mistaken for something wider.
        _ => match (major, minor, patch) {
            (0, Some(0), Some(_)) => (low, Some(above)),
            (0, Some(_), _) => (low, Some(above_minor)),
            _ => (low, Some(above_major)),
        },
    }
}

fn sorted<T: Ord + Copy>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list.dedup();
    list
}

/// A dependency in the words of a manifest, without what goes without saying.
fn description(dependency: &Dependency) -> String {
    let mut parts = Vec::new();
    if dependency.rename.is_some() {
        parts.push(format!("package = \"{}\"", dependency.package));
    }
    parts.push(format!("version = \"{}\"", dependency.requirement));
    if !dependency.source.is_crates_io() {
        parts.push(format!("source = \"{}\"", dependency.source));
    }
    if dependency.optional {
        parts.push("optional = true".to_owned());
    }
    if !dependency.default_features {
        parts.push("default-features = false".to_owned());
    }
    if !dependency.features.is_empty() {
        let features: Vec<&str> = dependency.features.iter().map(|feature| feature.as_str()).collect();
        parts.push(format!("features = {features:?}"));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn compare_features(index: &Features, manifest: &Features, fields: &mut Vec<Difference>) {
    if index == manifest {
        return;
    }
    let names: std::collections::BTreeSet<Symbol> = index.keys().chain(manifest.keys()).copied().collect();
    for name in names {
        let (listed, packaged) = (index.get(&name), manifest.get(&name));
        if listed.map(|values| sorted(values)) != packaged.map(|values| sorted(values)) {
            fields.push(Difference {
                field: format!("features.{name}"),
                index: listed.map(|values| values_shown(values)).unwrap_or_default(),
                manifest: packaged.map(|values| values_shown(values)).unwrap_or_default(),
            });
        }
    }
}

fn values_shown(values: &[FeatureValue]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("{texts:?}")
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
        write!(f, "`{}`: the index says {}, the manifest says {}", self.field, said(&self.index), said(&self.manifest))
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the packaged manifest of `{}` is not what the registry's index says it is", self.id)?;
        self.fields.iter().take(MOST_SHOWN).try_for_each(|difference| write!(f, "\n{difference}"))?;
        match self.fields.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}
impl std::error::Error for Disagreement {}

impl From<Disagreement> for Diagnostic {
    fn from(disagreement: Disagreement) -> Self {
        Self::error("manifest-mismatch", disagreement.to_string())
            .help("do not use this version: tell the registry's operator, and choose another one with `bulkhead update --precise`")
    }
}

#[cfg(test)]
mod tests {
    use super::{index_fingerprint, same_versions, verify_manifest};
    use bulkhead_schema::index::{IndexFile, Validators};
    use bulkhead_schema::{PackageName, SourceId, Summary};
    use semver::VersionReq;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    /// The summary of an index line of which `fields` are the rest. Manifests have summaries of the same form.
    fn summary(source: &str, fields: &str) -> Arc<Summary> {
        let line = format!(r#"{{"name":"a","vers":"1.0.0","cksum":"{}",{fields}}}"#, "0".repeat(64));
        let source = if source.is_empty() { SourceId::crates_io() } else { SourceId::parse(source).unwrap() };
        let name = PackageName::registry("a").unwrap();
        let file = IndexFile::parse(name, source, line.into_bytes(), Validators::default()).unwrap();
        file.summary(0).unwrap_or_else(|error| panic!("{error}: {:?}", file.rejected()))
    }

    fn dependency(fields: &str) -> String {
        format!(r#""deps":[{{"name":"d","req":"^1"{fields}}}]"#)
    }

    #[track_caller]
    fn check(index: &str, manifest: &str, differences: &[&str]) {
        let result = verify_manifest(&summary("", index), &summary("", manifest));
        let found: Vec<String> =
            result.err().into_iter().flat_map(|error| error.fields).map(|field| field.to_string()).collect();
        assert_eq!(found, differences);
    }

    /// Attack 45.
    #[test]
    fn every_field_counts() {
        let plain = dependency("");
        check(&plain, &plain, &[]);
        check(
            &plain,
            r#""deps":[]"#,
            &["`dependencies.d`: the index says { version = \"^1\" }, the manifest says nothing"],
        );
        for (fields, shown) in [
            (r#","optional":true"#, "optional = true"),
            (r#","default_features":false"#, "default-features = false"),
            (r#","features":["f"]"#, "features = [\"f\"]"),
            (r#","package":"other""#, "package = \"other\""),
        ] {
            let other = dependency(fields);
            for (index, manifest) in [(&plain, &other), (&other, &plain)] {
                let result = verify_manifest(&summary("", index), &summary("", manifest));
                assert!(result.unwrap_err().to_string().contains(shown), "{shown}");
            }
        }
        for fields in [r#","kind":"build""#, r#","target":"cfg(unix)""#] {
            let result = verify_manifest(&summary("", &plain), &summary("", &dependency(fields)));
            assert_eq!(result.unwrap_err().fields.len(), 2, "{fields}");
        }
        check(
            r#""features":{"x":[]}"#,
            r#""features":{"x":["y"],"y":[]}"#,
            &[
                "`features.x`: the index says [], the manifest says [\"y\"]",
                "`features.y`: the index says nothing, the manifest says []",
            ],
        );
        check(r#""links":"z""#, r#""deps":[]"#, &["`package.links`: the index says z, the manifest says nothing"]);
        check(r#""links":"z""#, r#""links":"y""#, &["`package.links`: the index says z, the manifest says y"]);
        let rust = "`package.rust-version`: the index says 1.70.0, the manifest says 1.80.0";
        check(r#""rust_version":"1.70""#, r#""rust_version":"1.80""#, &[rust]);
    }

    /// Attack 45: what was noted of a package counts only while its index entry says the same.
    #[test]
    fn everything_that_is_compared_has_a_part_in_the_fingerprint() {
        let mut entries: Vec<String> = [
            "",
            r#","optional":true"#,
            r#","default_features":false"#,
            r#","features":["f"]"#,
            r#","features":["f","g"]"#,
            r#","features":["fg"]"#,
            r#","package":"other""#,
            r#","kind":"build""#,
            r#","target":"cfg(unix)""#,
            r#","registry":"https://example.org/index/""#,
        ]
        .map(dependency)
        .to_vec();
        let requirements =
            ["^2", "^1.1", "^1.0", "^1.0.0", "~1", "=1", ">1", ">=1", "<1", "<=1", "1.*", ">=1, <2", "^1.0.0-a"];
        entries.extend(requirements.map(|requirement| format!(r#""deps":[{{"name":"d","req":"{requirement}"}}]"#)));
        let features = [r#"{}"#, r#"{"x":[]}"#, r#"{"x":["y"],"y":[]}"#, r#"{"x":[],"y":["x"]}"#];
        entries.extend(features.map(|features| format!(r#""features":{features}"#)));
        let values = ["dep:d", "d/f", "d?/f"];
        let optional = r#""deps":[{"name":"d","req":"^1","optional":true}]"#;
        entries.extend(values.map(|value| format!(r#"{optional},"features":{{"z":["{value}","dep:d"]}}"#)));
        entries.extend([r#""links":"z""#, r#""links":"y""#, r#""rust_version":"1.70""#].map(str::to_owned));
        // The public registry has no packages that depend on another.
        let source = "sparse+https://index.example.org/";
        let prints: BTreeSet<_> =
            entries.iter().map(|fields| index_fingerprint(&summary(source, fields)).to_string()).collect();
        assert_eq!(prints.len(), entries.len());
        let elsewhere = index_fingerprint(&summary("", &entries[0]));
        assert!(!prints.contains(&elsewhere.to_string()));
        let development = dependency(r#","kind":"dev""#);
        assert_eq!(index_fingerprint(&summary("", &development)), index_fingerprint(&summary("", r#""deps":[]"#)));
    }

    #[test]
    fn what_registries_do_on_the_way_is_allowed_for() {
        check(r#""deps":[]"#, &dependency(r#","kind":"dev""#), &[]);
        check(&dependency(r#","features":["b","a","a"]"#), &dependency(r#","features":["a","b"]"#), &[]);
        check(&dependency(r#","package":"d""#), &dependency(""), &[]);
        let two = |a: &str, b: &str| {
            let one = |name: &str| format!(r#"{{"name":"{name}","req":"^1"}}"#);
            format!(r#""deps":[{},{}]"#, one(a), one(b))
        };
        check(&two("d", "e"), &two("e", "d"), &[]);
        check(r#""features":{"x":["y"]},"features2":{"y":[]},"v":2"#, r#""features":{"y":[],"x":["y"]}"#, &[]);
        // A private registry that took a package over from the public one.
        let other = "sparse+https://other.example/index/";
        let plain = dependency("");
        assert!(verify_manifest(&summary(other, &plain), &summary("", &plain)).is_ok());
        let turned = |a: &str, b: &str| verify_manifest(&summary(other, &two(a, b)), &summary("", &two(b, a)));
        assert!(turned("d", "e").is_ok(), "in another order as well");
        // But not the other way round, and not from a third one.
        let foreign = dependency(r#","registry":"sparse+https://third.example/""#);
        assert!(verify_manifest(&summary(other, &foreign), &summary("", &plain)).is_err());
        assert!(verify_manifest(&summary(other, &plain), &summary(other, &foreign)).is_err());
    }

    #[test]
    fn requirements_are_the_same_if_they_accept_the_same() {
        let same = |a: &str, b: &str| same_versions(&VersionReq::parse(a).unwrap(), &VersionReq::parse(b).unwrap());
        for (a, b) in [
            ("0.*", "^0"),
            ("^0.1", ">=0.1.0, <0.2.0"),
            ("1", "^1.0.0"),
            ("~1.2", "1.2.*"),
            ("*", ">=0.0.0"),
            ("=1.2.3", ">=1.2.3, <=1.2.3"),
            ("^0.0.3", "=0.0.3"),
            (">1.2", ">=1.3"),
            ("^0.2.54", ">=0.2.54, <0.3.0"),
        ] {
            assert!(same(a, b) && same(b, a), "{a} {b}");
        }
        for (a, b) in
            [("^1", ">=1"), ("*", "^0"), ("^1.2", "~1.2"), ("1.0.0-a", "1.0.0"), ("^0.1.2", "^0.1"), ("<2", "<=2")]
        {
            assert!(!same(a, b), "{a} {b}");
        }
        let most = u64::MAX;
        assert!(same(&format!("={most}.{most}.{most}"), &format!(">={most}.{most}.{most}, <={most}.{most}.{most}")));
    }
}
