//! Small registries made from a number, for tests that compare a resolver with another: every difficulty that the public
//! registry has, in a space so small that they meet.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A registry and a workspace that uses it. The same seed makes the same values, on every machine.
#[derive(Clone, Debug)]
pub struct GeneratedRegistry {
    /// Everything published, by package and ascending version.
    pub published: Vec<GeneratedVersion>,
    /// The workspace's members, which depend on nothing but what is published.
    pub members: Vec<GeneratedVersion>,
}

/// One version of one package.
#[derive(Clone, Debug)]
pub struct GeneratedVersion {
    /// The package.
    pub name: String,
    /// The version.
    pub version: String,
    /// Whether it was yanked.
    pub yanked: bool,
    /// The native library that it claims.
    pub links: Option<String>,
    /// What it depends on.
    pub dependencies: Vec<GeneratedDependency>,
    /// Its feature table, as the manifest has it.
    pub features: BTreeMap<String, Vec<String>>,
}

/// One dependency.
#[derive(Clone, Debug)]
pub struct GeneratedDependency {
    /// The package wanted.
    pub package: String,
    /// Under which name, if another.
    pub renamed: Option<String>,
    /// Which versions.
    pub requirement: String,
    /// `normal`, `build` or `dev`.
    pub kind: &'static str,
    /// Whether a feature has to switch it on.
    pub optional: bool,
    /// Whether the default feature is wanted.
    pub default_features: bool,
    /// Features wanted.
    pub features: Vec<String>,
}

const VERSIONS: &[&str] = &["0.1.0", "0.1.1", "0.2.0", "1.0.0", "1.1.0", "1.2.0", "1.3.0-beta.1", "2.0.0", "2.1.0"];
const FEATURES: &[&str] = &["std", "alloc", "extra"];

/// SplitMix64: enough for tests, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

impl GeneratedRegistry {
    /// The registry of a seed, with up to `packages` packages (at least 2). Packages depend on later ones only, so that
    /// there are no cycles.
    pub fn new(seed: u64, packages: usize) -> GeneratedRegistry {
        let mut dice = Dice(seed);
        let count = 2 + dice.below(packages.saturating_sub(1));
        // From the last package to the first: what is depended on is there already.
        let mut published: Vec<GeneratedVersion> = Vec::new();
        for place in (0..count).rev() {
            let mut versions: Vec<&str> = (0..1 + dice.below(4)).map(|_| dice.one(VERSIONS)).collect();
            versions.sort_by_key(|version| VERSIONS.iter().position(|known| known == version));
            versions.dedup();
            let name = format!("pkg-{}", char::from(b'a' + u8::try_from(place % 26).unwrap_or(0)));
            let new: Vec<_> =
                versions.iter().map(|version| version_of(&mut dice, &name, version, &published)).collect();
            published.splice(0..0, new);
        }
        let members = (0..1 + dice.below(2)).map(|place| {
            let mut member = version_of(&mut dice, &format!("member-{place}"), "0.1.0", &published);
            (member.yanked, member.links) = (false, None);
            if member.dependencies.is_empty() {
                member.dependencies.push(dependency(&mut dice, &published));
            }
            member
        });
        let members = members.collect();
        GeneratedRegistry { published, members }
    }
}

fn version_of(dice: &mut Dice, name: &str, version: &str, later: &[GeneratedVersion]) -> GeneratedVersion {
    let mut dependencies: Vec<GeneratedDependency> = Vec::new();
    if !later.is_empty() {
        for _ in 0..dice.below(4) {
            let new = dependency(dice, later);
            // One name may stand in several tables, but then means the same in all.
            let clash = |old: &GeneratedDependency| {
                old.name() == new.name()
                    && (old.kind == new.kind || old.package != new.package || old.optional != new.optional)
            };
            if !dependencies.iter().any(clash) {
                dependencies.push(new);
            }
        }
    }
    let features = features(dice, &dependencies);
    GeneratedVersion {
        name: name.to_owned(),
        version: version.to_owned(),
        yanked: dice.chance(8),
        links: dice.chance(8).then(|| dice.one(&["z", "ssl"]).to_owned()),
        dependencies,
        features,
    }
}

/// A dependency on something that exists, most often as it exists.
fn dependency(dice: &mut Dice, later: &[GeneratedVersion]) -> GeneratedDependency {
    let wanted = &later[dice.below(later.len())];
    let kind = dice.one(&["normal", "normal", "normal", "build", "dev"]);
    let mut features: Vec<String> = Vec::new();
    if dice.chance(30) {
        let known: Vec<&str> = wanted.features.keys().map(String::as_str).collect();
        let any = known.is_empty() || dice.chance(10);
        features.push(if any { dice.one(FEATURES) } else { dice.one(&known) }.to_owned());
    }
    GeneratedDependency {
        package: wanted.name.clone(),
        renamed: dice.chance(10).then(|| format!("{}-alias", wanted.name)),
        requirement: requirement(dice, &wanted.version),
        kind,
        optional: kind != "dev" && dice.chance(35),
        default_features: dice.chance(75),
        features,
    }
}

/// A requirement that `version` meets, but for a few.
fn requirement(dice: &mut Dice, version: &str) -> String {
    let release = version.split('-').next().unwrap_or(version);
    let (series, _) = release.rsplit_once('.').unwrap_or((release, ""));
    match dice.below(20) {
        0..6 => format!("^{version}"),
        6..9 => format!("={version}"),
        9..11 => format!("~{series}"),
        11..13 => format!("<={version}"),
        13..15 => "*".to_owned(),
        15..17 => format!(">={version}, <9"),
        17 => format!(">{version}"),
        18 => format!("<{version}"),
        _ => dice.one(&["^1", "^2", "^0.1", "^3"]).to_owned(),
    }
}

/// A table in which every value means something (Cargo Book, "Features").
fn features(dice: &mut Dice, dependencies: &[GeneratedDependency]) -> BTreeMap<String, Vec<String>> {
    let mut names: Vec<&str> = FEATURES.iter().copied().filter(|_| dice.chance(50)).collect();
    if dice.chance(40) {
        names.push("default");
    }
    let optional: Vec<&str> = dependencies.iter().filter(|it| it.optional).map(GeneratedDependency::name).collect();
    // All values speak of optional dependencies in the same way: a `dep:` anywhere hides the implicit feature.
    let namespaced = dice.chance(50);
    let mut table = BTreeMap::new();
    for name in &names {
        let mut values = Vec::new();
        for _ in 0..dice.below(3) {
            let feature = dice.one(FEATURES);
            values.extend(match dice.below(4) {
                // A feature that names itself is an error to Cargo.
                0 if names.contains(&feature) && feature != *name => Some(feature.to_owned()),
                1 if !optional.is_empty() => {
                    let name = dice.one(&optional);
                    Some(if namespaced { format!("dep:{name}") } else { name.to_owned() })
                }
                2 if !optional.is_empty() => Some(format!("{}?/{feature}", dice.one(&optional))),
                3 if !dependencies.is_empty() => {
                    let it = &dependencies[dice.below(dependencies.len())];
                    (it.kind != "dev").then(|| format!("{}/{feature}", it.name()))
                }
                _ => None,
            });
        }
        table.insert((*name).to_owned(), values);
    }
    // A dependency that `dep:` names in one place is named in all.
    if namespaced {
        table.insert("everything".to_owned(), optional.iter().map(|name| format!("dep:{name}")).collect());
    }
    table
}

impl GeneratedDependency {
    /// The name under which the depending package knows it.
    pub fn name(&self) -> &str {
        self.renamed.as_deref().unwrap_or(&self.package)
    }
}

impl GeneratedVersion {
    /// Its line in the index, with a checksum of nothing.
    pub fn index_line(&self) -> String {
        let dependencies: Vec<Value> = self.dependencies.iter().map(index_dependency).collect();
        json!({
            "name": self.name,
            "vers": self.version,
            "deps": dependencies,
            "cksum": "0".repeat(64),
            "features": {},
            "features2": self.features,
            "yanked": self.yanked,
            "links": self.links,
            "v": 2,
        })
        .to_string()
    }

    /// Its manifest, for members.
    pub fn manifest(&self) -> String {
        let mut text =
            format!("[package]\nname = \"{}\"\nversion = \"{}\"\nedition = \"2021\"\n", self.name, self.version);
        for it in &self.dependencies {
            let table = match it.kind {
                "normal" => "dependencies".to_owned(),
                kind => format!("{kind}-dependencies"),
            };
            let _ = write!(
                text,
                "\n[{table}.{}]\npackage = \"{}\"\nversion = \"{}\"\n",
                it.name(),
                it.package,
                it.requirement
            );
            let _ = writeln!(text, "default-features = {}\nfeatures = {}", it.default_features, json!(it.features));
            if it.optional {
                text.push_str("optional = true\n");
            }
        }
        text.push_str("\n[features]\n");
        for (name, values) in &self.features {
            let _ = writeln!(text, "{name} = {}", json!(values));
        }
        text
    }
}

fn index_dependency(it: &GeneratedDependency) -> Value {
    let mut value = json!({
        "name": it.name(),
        "req": it.requirement,
        "features": it.features,
        "optional": it.optional,
        "default_features": it.default_features,
        "target": null,
        "kind": it.kind,
    });
    if it.renamed.is_some() {
        value["package"] = json!(it.package);
    }
    value
}
