//! Between a [`Resolve`] and a `Cargo.lock`: encoding, decoding, and what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_schema::lockfile::{LockedDependency, LockedPackage, Lockfile};
use bulkhead_schema::{PackageId, PackageName, SourceId, Summary};
use semver::Version;

use crate::Resolve;

pub use crate::changes::{Change, Changes, PackageChange, RustSupport, changes};

/// A lockfile whose packages have been identified: what the resolver prefers and keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Previous {
    /// Each package with what it depends on.
    pub packages: BTreeMap<PackageId, BTreeSet<PackageId>>,
    /// Checksums by package, where recorded.
    pub checksums: BTreeMap<PackageId, String>,
    /// `[[patch.unused]]`
    pub unused_patches: Vec<PackageId>,
    /// Unknown `[metadata]`, kept.
    pub metadata: BTreeMap<String, String>,
    /// The file's format.
    pub version: u8,
}

/// Identifies the packages of `lockfile`. Packages without a source are looked up among `local` (members, path packages
/// and path patches) by name, and by version where a name is ambiguous; those that are gone are left out, and so are
/// dependencies on them.
pub fn decode(lockfile: &Lockfile, local: &[Arc<Summary>]) -> Previous {
    let sources = local_sources(local);
    let identify = |package: &LockedPackage| {
        let source = package.source.or_else(|| local_source(&sources, package.name, &package.version))?;
        Some(PackageId::new(package.name, package.version.clone(), source))
    };
    let mut by_name: BTreeMap<PackageName, Vec<(PackageId, Option<SourceId>)>> = BTreeMap::new();
    let mut known = Vec::with_capacity(lockfile.packages.len());
    for package in &lockfile.packages {
        if let Some(id) = identify(package) {
            by_name.entry(package.name).or_default().push((id, package.source));
            known.push((id, package));
        }
    }
    let mut previous =
        Previous { metadata: lockfile.metadata.clone(), version: lockfile.version, ..Previous::default() };
    for (id, package) in known {
        let dependencies = package.dependencies.iter().filter_map(|dependency| find(&by_name, dependency)).collect();
        previous.packages.insert(id, dependencies);
        if let Some(checksum) = &package.checksum {
            previous.checksums.insert(id, checksum.clone());
        }
    }
    previous.unused_patches = lockfile.unused_patches.iter().filter_map(identify).collect();
    previous
}

type LocalSources = BTreeMap<PackageName, BTreeMap<Version, SourceId>>;

fn local_sources(local: &[Arc<Summary>]) -> LocalSources {
    let mut sources = LocalSources::new();
    for summary in local {
        let versions = sources.entry(summary.id.name()).or_default();
        versions.insert(summary.id.version().clone(), summary.id.source());
    }
    sources
}

/// Where a package without a source is. Its version may have been edited since.
fn local_source(sources: &LocalSources, name: PackageName, version: &Version) -> Option<SourceId> {
    let versions = sources.get(&name)?;
    match versions.len() {
        1 => versions.values().next().copied(),
        _ => versions.get(version).copied(),
    }
}

/// The package that an entry of `dependencies` means: the parts that it leaves out were not needed to tell it apart.
fn find(
    by_name: &BTreeMap<PackageName, Vec<(PackageId, Option<SourceId>)>>,
    dependency: &LockedDependency,
) -> Option<PackageId> {
    let named = by_name.get(&dependency.name)?;
    let same_version = |id: PackageId| dependency.version.as_ref().is_none_or(|version| id.version() == version);
    let mut fitting = named.iter().filter(|(id, source)| {
        same_version(*id)
            && dependency
                .source
                .is_none_or(|wanted| source.map(SourceId::without_commit) == Some(wanted.without_commit()))
    });
    let first = fitting.next()?;
    match fitting.next() {
        None => Some(first.0),
        // Of packages that differ only in their source, the one without a source is the one written without.
        Some(_) => named.iter().find(|(id, source)| same_version(*id) && source.is_none()).map(|(id, _)| *id),
    }
}

/// The lockfile that records `resolve`, in format `version` (1 to 4).
pub fn encode(resolve: &Resolve, version: u8) -> Lockfile {
    let mut counts: BTreeMap<PackageName, BTreeMap<&Version, usize>> = BTreeMap::new();
    for id in resolve.nodes.keys() {
        *counts.entry(id.name()).or_default().entry(id.version()).or_default() += 1;
    }
    let packages = resolve.nodes.iter().map(|(&id, node)| {
        let mut dependencies: Vec<LockedDependency> =
            node.dependencies.iter().map(|dependency| reference(dependency.id, version, &counts)).collect();
        // They are in the order of their ids, which is another only where versions of one name follow each other.
        if !dependencies.is_sorted_by(|a, b| a.name < b.name) {
            dependencies.sort_by_cached_key(|it| (it.name, it.version.as_ref().map(Version::to_string), it.source));
            dependencies.dedup();
        }
        let checksum = node.summary.checksum.as_deref().map(str::to_owned);
        let replace = resolve.replacements.get(&id).map(|&other| reference(other, version, &counts));
        LockedPackage { dependencies, checksum, replace, ..bare(id) }
    });
    Lockfile {
        version,
        packages: packages.collect(),
        unused_patches: resolve.unused_patches.iter().map(|&id| bare(id)).collect(),
        metadata: resolve.metadata.clone(),
        comments: Vec::new(),
    }
}

fn bare(id: PackageId) -> LockedPackage {
    LockedPackage {
        name: id.name(),
        version: id.version().clone(),
        source: source_of(id),
        checksum: None,
        dependencies: Vec::new(),
        replace: None,
    }
}

fn source_of(id: PackageId) -> Option<SourceId> {
    Some(id.source()).filter(|source| !source.is_path())
}

/// As much of `id` as tells it apart.
fn reference(
    id: PackageId,
    version: u8,
    counts: &BTreeMap<PackageName, BTreeMap<&Version, usize>>,
) -> LockedDependency {
    let full = LockedDependency { name: id.name(), version: Some(id.version().clone()), source: source_of(id) };
    let Some(versions) = counts.get(&id.name()).filter(|_| version > 1) else { return full };
    match versions.get(id.version()) {
        Some(1) if versions.len() == 1 => LockedDependency { version: None, source: None, ..full },
        Some(1) => LockedDependency { source: None, ..full },
        _ => full,
    }
}

/// The format of a new lockfile, given the lowest `rust-version` of the workspace's members: the newest that this Rust
/// can read.
pub fn default_version(lowest_rust_version: Option<&Version>) -> u8 {
    let Some(rust) = lowest_rust_version.map(|rust| (rust.major, rust.minor)) else { return 4 };
    match rust {
        (1, ..41) | (0, _) => 1,
        (1, 41..53) => 2,
        (1, 53..83) => 3,
        _ => 4,
    }
}

/// The text to be written for `resolve`; `None` if the existing file already says the same.
///
/// An existing file keeps its format and its comments as long as it says the same; when it has to change, an older format
/// is brought up to the default. `anew` writes the default format in any case; comments stay.
pub fn updated(
    resolve: &Resolve,
    existing: Option<(&Lockfile, &str)>,
    lowest_rust_version: Option<&Version>,
    anew: bool,
) -> Option<String> {
    let default = default_version(lowest_rust_version);
    let Some((old, text)) = existing else { return Some(encode(resolve, default).to_string()) };
    let in_format = |version| {
        let mut lockfile = encode(resolve, version);
        lockfile.comments.clone_from(&old.comments);
        lockfile.to_string()
    };
    let same = in_format(if anew { default } else { old.version });
    // Line ends are no matter.
    if same == text || same.lines().eq(text.lines()) {
        return None;
    }
    Some(if old.version < default && !anew { in_format(default) } else { same })
}

/// Whether two lockfiles mean the same to a workspace with the packages `local`: the order of entries is no matter, nor are
/// entries without a source of packages that are not there.
pub fn same_meaning(old: &Lockfile, new: &Lockfile, local: &[Arc<Summary>]) -> bool {
    let meaning = |lockfile| Previous { version: 0, ..decode(lockfile, local) };
    meaning(old) == meaning(new)
}

/// Where a new lockfile differs from an old one, for `--locked` errors, in the words in which an update would tell it: one line
/// each, at most `limit`, and then how many more there are.
pub fn difference(old: &Lockfile, new: &Lockfile, limit: usize) -> Vec<String> {
    let key = |package: &LockedPackage| (package.name, package.version.clone(), package.source);
    let of = |lockfile: &Lockfile| lockfile.packages.iter().map(|it| (key(it), it.clone())).collect::<BTreeMap<_, _>>();
    let (before, after) = (of(old), of(new));
    let label = |package: &LockedPackage| format!("{} v{}", package.name, package.version);
    let mut changed: BTreeMap<PackageName, [Vec<&LockedPackage>; 2]> = BTreeMap::new();
    for (side, (these, others)) in [(&before, &after), (&after, &before)].into_iter().enumerate() {
        for (_, package) in these.iter().filter(|(key, _)| !others.contains_key(key)) {
            changed.entry(package.name).or_default()[side].push(package);
        }
    }
    let mut lines = Vec::new();
    for [gone, new] in changed.values() {
        match (gone.as_slice(), new.as_slice()) {
            ([old], [new]) if old.version != new.version => {
                let verb = if new.version < old.version { "Downgrading" } else { "Updating" };
                lines.push(format!("{verb} {} -> v{}", label(old), new.version));
            }
            ([old], [_]) => lines.push(format!("Taking {} from elsewhere", label(old))),
            _ => {
                lines.extend(gone.iter().map(|it| format!("Removing {}", label(it))));
                lines.extend(new.iter().map(|it| format!("Adding {}", label(it))));
            }
        }
    }
    for (key, package) in &before {
        match after.get(key) {
            Some(now) if now.checksum != package.checksum => {
                lines.push(format!("Another checksum for {}", label(package)));
            }
            Some(now) if names(now) != names(package) => {
                lines.push(format!("Other dependencies of {}", label(package)));
            }
            _ => {}
        }
    }
    if old.unused_patches != new.unused_patches {
        lines.push("Another list of unused patches".to_owned());
    }
    let more = lines.len().saturating_sub(limit);
    lines.truncate(limit);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn names(package: &LockedPackage) -> BTreeSet<(PackageName, Option<Version>)> {
    package.dependencies.iter().map(|dependency| (dependency.name, dependency.version.clone())).collect()
}

/// The packages of `previous` with this name, for package specs of `update`.
pub fn named(previous: &Previous, name: PackageName) -> impl Iterator<Item = PackageId> + '_ {
    previous.packages.keys().copied().filter(move |id| id.name() == name)
}
