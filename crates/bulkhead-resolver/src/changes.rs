//! What a new resolution changes, for status lines.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::{PackageId, PackageName, SourceId};
use semver::Version;

use crate::lock::Previous;
use crate::{PublishAge, Registry, Resolve, VersionEntry, Youth};

/// What became of one package between two resolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// New.
    Added(PackageId),
    /// Gone.
    Removed(PackageId),
    /// `Updating name v1 -> v2`
    Updated(PackageId, PackageId),
    /// `Downgrading name v2 -> v1`
    Downgraded(PackageId, PackageId),
    /// The same, though a newer version exists.
    Unchanged(PackageId),
}

/// A status line about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageChange {
    /// What became of it.
    pub change: Change,
    /// The newest compatible version, or for a direct dependency the newest of all, that was not taken:
    /// `(available: v2.0.0)`.
    pub available: Option<Version>,
    /// What that version, or if there is none the chosen one, needs and the workspace does not promise:
    /// `(available: v2.0.0, requires Rust 1.80)`, `(requires Rust 1.80)`.
    pub requires_rust: Option<String>,
    /// Why `available` is too young to be taken:
    /// `(available: v2.0.0, published 2 hours ago, minimum age 3 days)`.
    pub youth: Option<Youth>,
}

impl PackageChange {
    fn bare(change: Change) -> Self {
        Self { change, available: None, requires_rust: None, youth: None }
    }

    /// The package as it is now, or for one that is gone as it was.
    pub fn id(&self) -> PackageId {
        match self.change {
            Change::Added(id) | Change::Removed(id) | Change::Unchanged(id) => id,
            Change::Updated(_, id) | Change::Downgraded(_, id) => id,
        }
    }

    /// The note behind the status line, with its leading space; empty if there is nothing to note.
    pub fn note(&self) -> String {
        let rust = self.requires_rust.as_ref().map(|rust| format!("requires Rust {rust}"));
        let available = self.available.as_ref().map(|version| format!("available: v{version}"));
        let notes = [available, rust, self.youth.map(|youth| youth.to_string())];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) }
    }
}

/// What a new resolution changes, in the order of Cargo's status lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// One entry per package that Cargo reports: for a new lockfile those with a note, otherwise all that changed, and
    /// unchanged ones of which a newer version exists. Removals and unchanged packages are shown by `update` only.
    pub packages: Vec<PackageChange>,
    /// How many packages, members left out, were locked anew: `Locking N packages to latest compatible versions`.
    pub locked: usize,
}

/// Which Rust has to be able to compile a package.
#[derive(Debug, Clone, Copy)]
pub struct RustSupport<'a> {
    /// The version of rustc, where it is known.
    pub rustc: Option<&'a Version>,
    /// Whether instead the lowest `rust-version` counts of the members that depend on the package, if any of them has
    /// one: where `rust-version` chooses versions.
    pub of_members: bool,
}

/// Compares two resolutions. `old` is `None` for a new lockfile.
///
/// `is_member` tells the workspace's members, of which nothing is said.
pub fn changes(
    old: Option<&Previous>,
    new: &Resolve,
    is_member: &dyn Fn(PackageId) -> bool,
    registry: &dyn Registry,
    rust: RustSupport<'_>,
    age: Option<&PublishAge>,
) -> Changes {
    let supported = if rust.of_members { supported(new, is_member) } else { BTreeMap::new() };
    let (direct, replaced) = (direct_dependencies(new), &new.replacements);
    let notes = Notes { registry, rustc: rust.rustc, supported, age, direct, replaced };
    let mut packages: BTreeMap<(PackageName, SourceId), (Vec<PackageId>, Vec<PackageId>)> = BTreeMap::new();
    let key = |id: PackageId| (id.name(), id.source().without_commit());
    let is_foreign = |id: &&PackageId| !is_member(**id);
    for &id in old.iter().flat_map(|old| old.packages.keys()).filter(is_foreign) {
        packages.entry(key(id)).or_default().0.push(id);
    }
    for &id in new.nodes.keys().filter(is_foreign) {
        packages.entry(key(id)).or_default().1.push(id);
    }
    let mut changes = Changes::default();
    for (before, after) in packages.into_values() {
        let removed: Vec<PackageId> = before.iter().copied().filter(|id| !after.contains(id)).collect();
        let (unchanged, added): (Vec<_>, Vec<_>) = after.into_iter().partition(|id| before.contains(id));
        match (removed.as_slice(), added.as_slice()) {
            (&[from], &[to]) if from.version() > to.version() => {
                changes.packages.push(notes.on(Change::Downgraded(from, to), to));
            }
            (&[from], &[to]) => changes.packages.push(notes.on(Change::Updated(from, to), to)),
            _ => {
                changes.packages.extend(removed.iter().map(|&id| PackageChange::bare(Change::Removed(id))));
                changes.packages.extend(added.iter().map(|&id| notes.on(Change::Added(id), id)));
            }
        }
        changes.locked += added.len();
        let behind = unchanged.into_iter().map(|id| notes.on(Change::Unchanged(id), id));
        changes.packages.extend(behind.filter(|change| change.available.is_some() || change.requires_rust.is_some()));
    }
    if old.is_none() {
        changes.packages.retain(|change| change.available.is_some() || change.requires_rust.is_some());
    }
    changes
}

/// What local packages depend on.
fn direct_dependencies(resolve: &Resolve) -> BTreeSet<PackageId> {
    let local = resolve.nodes.iter().filter(|(id, _)| id.source().is_path());
    local.flat_map(|(_, node)| node.dependencies.iter().map(|dependency| dependency.id)).collect()
}

/// The lowest `rust-version` of the members that depend on a package, directly or not.
fn supported<'a>(resolve: &'a Resolve, is_member: &dyn Fn(PackageId) -> bool) -> BTreeMap<PackageId, &'a Version> {
    let members = resolve.nodes.iter().filter(|(id, _)| is_member(**id));
    let mut members: Vec<_> =
        members.filter_map(|(&id, node)| Some((node.summary.rust_version.as_ref()?, id))).collect();
    members.sort();
    let mut supported = BTreeMap::new();
    for (version, member) in members {
        let mut waiting = vec![member];
        while let Some(id) = waiting.pop() {
            if let Entry::Vacant(entry) = supported.entry(id) {
                entry.insert(version);
                let node = resolve.nodes.get(&id);
                waiting.extend(node.iter().flat_map(|node| node.dependencies.iter().map(|it| it.id)));
            }
        }
    }
    supported
}

struct Notes<'a> {
    registry: &'a dyn Registry,
    rustc: Option<&'a Version>,
    supported: BTreeMap<PackageId, &'a Version>,
    age: Option<&'a PublishAge>,
    direct: BTreeSet<PackageId>,
    /// What `[replace]` takes out of use, of which no other version is of interest.
    replaced: &'a BTreeMap<PackageId, PackageId>,
}

impl Notes<'_> {
    fn on(&self, change: Change, id: PackageId) -> PackageChange {
        if self.replaced.contains_key(&id) {
            return PackageChange::bare(change);
        }
        let (source, name) = (id.source().without_commit(), id.name());
        let all = self.registry.versions(source, name).unwrap_or_default();
        let published = match self.registry.downloaded(source, name) {
            Some(here) => {
                Cow::Owned(all.iter().zip(here).filter(|it| *it.1).map(|it| it.0.clone()).collect::<Vec<_>>())
            }
            None => Cow::Borrowed(all),
        };
        let published = &*published;
        let own = published.binary_search_by(|entry| entry.version.cmp(id.version())).ok();
        let own = own.and_then(|place| published.get(place));
        if let Some(needed) = own.filter(|entry| !self.compiles(id, entry)).and_then(VersionEntry::written_rust_version)
        {
            return PackageChange { change, available: None, requires_rust: Some(needed), youth: None };
        }
        let newest = self.newest(published, id);
        let available = newest.map(|entry| entry.version.clone());
        let requires_rust =
            newest.filter(|entry| !self.compiles(id, entry)).and_then(VersionEntry::written_rust_version);
        let youth = newest.and_then(|entry| self.age?.youth(id.source(), id.name(), entry, published));
        PackageChange { change, available, requires_rust, youth }
    }

    /// The newest version that could have been wished for: compatible ones before others, of which only direct
    /// dependencies hear; and those that compile before those that do not.
    fn newest<'e>(&self, published: &'e [VersionEntry], id: PackageId) -> Option<&'e VersionEntry> {
        let current = id.version();
        let higher = published.partition_point(|entry| entry.version <= *current);
        let higher = published.get(higher..).unwrap_or_default();
        let of =
            |wanted: &dyn Fn(&VersionEntry) -> bool| higher.iter().rev().find(|entry| !entry.yanked && wanted(entry));
        let compatible = |entry: &VersionEntry| entry.version.pre.is_empty() && is_compatible(current, &entry.version);
        let same_release =
            |other: &Version| (other.major, other.minor, other.patch) == (current.major, current.minor, current.patch);
        let latest = |entry: &VersionEntry| {
            self.direct.contains(&id) && (entry.version.pre.is_empty() || same_release(&entry.version))
        };
        of(&|entry| compatible(entry) && self.compiles(id, entry))
            .or_else(|| of(&|entry| latest(entry) && self.compiles(id, entry)))
            .or_else(|| of(&compatible))
            .or_else(|| of(&latest))
    }

    fn compiles(&self, id: PackageId, entry: &VersionEntry) -> bool {
        let rust = self.supported.get(&id).copied().or(self.rustc);
        let (Some(rust), Some(needed)) = (rust, &entry.rust_version) else { return true };
        (needed.major, needed.minor, needed.patch) <= (rust.major, rust.minor, rust.patch)
    }
}

/// Whether a caret requirement on `a` accepts `b`, which is higher.
pub(crate) fn is_compatible(a: &Version, b: &Version) -> bool {
    match (a.major, a.minor) {
        (0, 0) => (b.major, b.minor, b.patch) == (0, 0, a.patch),
        (0, minor) => (b.major, b.minor) == (0, minor),
        (major, _) => b.major == major,
    }
}
