//! Registries and workspaces of every shape, cycles, patches and old lockfiles among them: resolution ends, its lockfile
//! reads back as it was, and can be updated.
#![no_main]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bulkhead_resolver::lock::{self, Previous};
use bulkhead_resolver::{Limits, Outcome, Patch, Registry, Request, Resolve, ResolveErrorKind, Unlock, VersionEntry};
use bulkhead_schema::{
    Dependency, DependencyKind, Diagnostic, FeatureValue, Features, PackageId, PackageName, SourceId, Summary, Symbol,
};
use libfuzzer_sys::fuzz_target;
use semver::{Version, VersionReq};

/// The input as a source of decisions; when it is used up, all further ones are the first choice.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % limit.max(1)
    }

    fn one<'v, T: ?Sized>(&mut self, of: &[&'v T]) -> &'v T {
        of[self.below(of.len())]
    }
}

const NAMES: &[&str] = &["a", "b", "c", "d", "e", "f"];
const VERSIONS: &[&str] =
    &["0.0.1", "0.1.0", "0.1.1", "1.0.0", "1.1.0", "1.1.1-rc.1", "2.0.0", "18446744073709551615.0.0"];
const REQUIREMENTS: &[&str] =
    &["*", "^1", "^0.1", "=1.0.0", "<2", ">=0.1, <1.1", "=1.1.1-rc.1", "~1.1", ">18446744073709551614"];
const FEATURES: &[&str] = &["default", "x", "y"];

#[derive(Default)]
struct World {
    entries: BTreeMap<PackageName, Vec<VersionEntry>>,
    summaries: BTreeMap<PackageId, Arc<Summary>>,
}

impl Registry for World {
    fn versions(&self, _: SourceId, name: PackageName) -> Option<&[VersionEntry]> {
        Some(self.entries.get(&name).map_or(&[], Vec::as_slice))
    }
    fn summary(&self, id: PackageId) -> Result<Arc<Summary>, Diagnostic> {
        self.summaries.get(&id).cloned().ok_or_else(|| Diagnostic::error("index-entry", "broken"))
    }
}

fn summary(choices: &mut Choices<'_>, name: &str, version: &str, source: SourceId) -> Summary {
    let mut dependencies = Vec::new();
    for _ in 0..choices.below(4) {
        let name = PackageName::local(choices.one(NAMES)).expect("a name");
        let requirement = choices.one(REQUIREMENTS);
        let flags = choices.below(256);
        dependencies.push(Dependency {
            package: name,
            rename: (flags & 1 != 0).then(|| Symbol::new("alias")),
            requirement: VersionReq::parse(requirement).expect("a requirement"),
            kind: [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development][flags / 2 % 3],
            platform: None,
            optional: flags & 8 != 0,
            default_features: flags & 16 != 0,
            features: (flags & 32 != 0).then(|| Symbol::new(choices.one(FEATURES))).into_iter().collect(),
            source: SourceId::crates_io(),
            specified_requirement: requirement != "*",
        });
    }
    let mut features = Features::new();
    for _ in 0..choices.below(3) {
        let values = (0..choices.below(3)).map(|_| {
            let (name, feature) = (choices.one(NAMES), choices.one(FEATURES));
            FeatureValue::parse(&match choices.below(4) {
                0 => feature.to_owned(),
                1 => format!("dep:{name}"),
                2 => format!("{name}/{feature}"),
                _ => format!("{name}?/{feature}"),
            })
        });
        let values: Vec<_> = values.collect();
        features.insert(Symbol::new(choices.one(FEATURES)), values);
    }
    Summary {
        id: PackageId::new(PackageName::local(name).expect("a name"), version.parse().expect("a version"), source),
        dependencies,
        features: Arc::new(features),
        links: (choices.below(5) == 1).then(|| Symbol::new("z")),
        checksum: (!source.is_path()).then(|| "0".repeat(64).into()),
        rust_version: (choices.below(4) == 1).then(|| Version::new(1, 70, 0)),
        yanked: choices.below(8) == 1,
    }
}

fn world(choices: &mut Choices<'_>) -> World {
    let mut world = World::default();
    for _ in 0..choices.below(16) {
        let (name, version) = (choices.one(NAMES), choices.one(VERSIONS));
        let summary = summary(choices, name, version, SourceId::crates_io());
        // Some entries are listed and cannot be read.
        let broken = choices.below(16) == 1;
        let entry = VersionEntry {
            version: summary.id.version().clone(),
            yanked: summary.yanked,
            rust_version: summary.rust_version.clone(),
            whole_rust_version: false,
            pubtime: None,
        };
        let listed = world.entries.entry(summary.id.name()).or_default();
        if listed.iter().any(|known| known.version == entry.version) {
            continue;
        }
        listed.push(entry);
        listed.sort_by(|a, b| a.version.cmp(&b.version));
        if !broken {
            world.summaries.insert(summary.id, Arc::new(summary));
        }
    }
    world
}

fn local(choices: &mut Choices<'_>, name: &str, folder: &str) -> Arc<Summary> {
    let source = SourceId::path(&Path::new("/w").join(folder)).expect("a path");
    let version = choices.one(VERSIONS);
    Arc::new(Summary { yanked: false, ..summary(choices, name, version, source) })
}

fn solved(request: &Request<'_>, world: &World) -> Option<Resolve> {
    match bulkhead_resolver::resolve(request, world) {
        Ok(Outcome::Resolved(resolve)) => Some(resolve),
        Ok(Outcome::Missing(_)) => panic!("everything is loaded"),
        Err(error) => {
            assert!(!error.message.is_empty(), "a failure says something");
            assert!(error.local.iter().all(|it| it.line < error.because.len()), "and about lines that are there");
            assert_ne!(error.kind, ResolveErrorKind::ChecksumChanged, "no checksum has changed");
            None
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices(bytes.iter());
    let world = world(&mut choices);
    let members: Vec<_> =
        (0..1 + choices.below(2)).map(|place| local(&mut choices, ["m", "n"][place], ["m", "n"][place])).collect();
    let patch = (choices.below(4) == 1).then(|| {
        let name = choices.one(NAMES);
        Patch { patched: SourceId::crates_io(), summary: local(&mut choices, name, "patch") }
    });
    let patches: Vec<Patch> = patch.into_iter().collect();
    let ask = |previous: Option<&Previous>, unlock: Unlock, rust: bool| {
        let mut request = Request::for_lockfile(&members, &[], previous);
        request.patches = &patches;
        request.unlock = unlock;
        request.limits = Limits { steps: 50_000, ..Limits::default() };
        request.rust_versions = rust.then(|| Version::new(1, 60, 0)).into_iter().collect();
        solved(&request, &world)
    };
    let rust = choices.below(2) == 1;
    let Some(first) = ask(None, Unlock::None, rust) else { return };
    let version = u8::try_from(1 + choices.below(4)).unwrap_or(4);
    let text = lock::encode(&first, version).to_string();
    let read = bulkhead_schema::lockfile::parse(Path::new("Cargo.lock"), &text).expect("what was written parses");
    assert_eq!(read.to_string(), text, "and is the same");
    let locals: Vec<_> = members.iter().chain(patches.iter().map(|patch| &patch.summary)).cloned().collect();
    let previous = lock::decode(&read, &locals);
    // A lockfile that was just written holds. It is not always kept to the letter, as with Cargo: where one dependency
    // led to two packages, one of them may do.
    ask(Some(&previous), Unlock::None, rust);
    // Anything may be updated, alone or with all that it needs.
    let names: Vec<PackageId> = previous.packages.keys().copied().collect();
    let package = names[choices.below(names.len())];
    let recursive = choices.below(2) == 1;
    let precise = (choices.below(3) == 1).then(|| choices.one(VERSIONS).parse().expect("a version"));
    ask(Some(&previous), Unlock::Packages { packages: [package].into(), recursive, precise }, rust);
});
