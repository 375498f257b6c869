//! Which packages of the previous lockfile stay as they are: Cargo's conservative updates.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::git::ObjectId;
use bulkhead_schema::{Dependency, DependencyKind, PackageId, PackageName, SourceId};
use semver::Version;

use crate::lock::Previous;
use crate::{Request, Unlock};

/// What resolution takes from the previous lockfile.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Versions that are taken before all others, and even if they have been yanked.
    pub(crate) preferred: BTreeMap<(SourceId, PackageName), Vec<Version>>,
    /// Packages that are locked, each with its locked dependencies: a requirement that one of them meets is not
    /// resolved again.
    pub(crate) locked: BTreeMap<PackageId, Vec<PackageId>>,
    /// The keys of `locked`, by package.
    locked_by_name: BTreeMap<(SourceId, PackageName), Vec<PackageId>>,
    /// `update --precise`: requirements on this package that the old version meets get exactly the new one.
    pub(crate) precise: Option<(PackageId, Version)>,
}

impl Kept {
    /// The exact package to which `dependency` of `parent` is locked, if any.
    pub(crate) fn lock_of(
        &self,
        parent: PackageId,
        dependency: &Dependency,
        patches: &[PackageId],
    ) -> Option<PackageId> {
        let own = self.locked.get(&parent).and_then(|dependencies| {
            dependencies.iter().copied().find(|&id| {
                matches_ignoring_source(dependency, id)
                    && (dependency.source == id.source().without_commit() || patches.contains(&id))
            })
        });
        own.or_else(|| self.locked_as(dependency))
    }

    /// The first locked package that meets `dependency`.
    fn locked_as(&self, dependency: &Dependency) -> Option<PackageId> {
        let named = self.locked_by_name.get(&(dependency.source, dependency.package))?;
        named.iter().copied().find(|&id| matches_ignoring_source(dependency, id))
    }
}

/// Whether name and version of `id` meet `dependency`. A dependency that names no version takes pre-releases too.
pub(crate) fn matches_ignoring_source(dependency: &Dependency, id: PackageId) -> bool {
    dependency.package == id.name()
        && (!dependency.specified_requirement || dependency.requirement.matches(id.version()))
}

/// Decides what is kept.
pub(crate) fn kept(request: &Request<'_>) -> Kept {
    let (Some(previous), false) = (request.previous, request.unlock == Unlock::All) else { return Kept::default() };
    let avoided = avoided(previous, &request.unlock);
    let mut preferred: BTreeMap<_, Vec<Version>> = BTreeMap::new();
    for id in previous.packages.keys().filter(|id| !avoided.contains(id)) {
        preferred.entry((id.source().without_commit(), id.name())).or_default().push(id.version().clone());
    }
    let unlocked = unlocked(request, previous, &avoided);
    let stays = |id: &&PackageId| !avoided.contains(*id) && !unlocked.contains(*id);
    let locked: BTreeMap<PackageId, Vec<PackageId>> = previous
        .packages
        .iter()
        .filter(|(id, _)| stays(id))
        .map(|(&id, dependencies)| (id, dependencies.iter().filter(stays).copied().collect()))
        .collect();
    let mut locked_by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for &id in locked.keys() {
        locked_by_name.entry((id.source().without_commit(), id.name())).or_default().push(id);
    }
    let precise = match &request.unlock {
        Unlock::Packages { packages, precise: Some(version), .. } => {
            packages.first().map(|&package| (package, version.clone()))
        }
        _ => None,
    };
    Kept { preferred, locked, locked_by_name, precise }
}

/// The packages that `update -p` names, and with `--recursive` all that they depend on.
fn avoided(previous: &Previous, unlock: &Unlock) -> BTreeSet<PackageId> {
    let Unlock::Packages { packages, recursive, .. } = unlock else { return BTreeSet::new() };
    let mut avoided = packages.clone();
    if *recursive {
        avoided.clear();
        for &package in packages {
            add_with_dependencies(previous, package, &mut avoided);
        }
    }
    // A repository stands at one commit: all its packages move together.
    let moving: BTreeSet<SourceId> = avoided.iter().map(|id| id.source()).filter(|source| source.is_git()).collect();
    avoided.extend(previous.packages.keys().filter(|id| moving.contains(&id.source())));
    avoided
}

/// The commits at which git sources stay, by source: those of which no package is up for resolution.
pub fn locked_commits(request: &Request<'_>) -> BTreeMap<SourceId, ObjectId> {
    let (Some(previous), false) = (request.previous, request.unlock == Unlock::All) else { return BTreeMap::new() };
    if !previous.packages.keys().chain(&previous.unused_patches).any(|id| id.source().is_git()) {
        return BTreeMap::new();
    }
    let kept = kept(request);
    let mut commits = BTreeMap::new();
    // A patch that nothing wanted stays where it was, too.
    for id in previous.packages.keys().filter(|id| kept.locked.contains_key(id)).chain(&previous.unused_patches) {
        if let Some(commit) = id.source().commit() {
            commits.entry(id.source().without_commit()).or_insert(commit);
        }
    }
    commits
}

/// Packages that are resolved again although nobody named them. They are still preferred.
fn unlocked(request: &Request<'_>, previous: &Previous, avoided: &BTreeSet<PackageId>) -> BTreeSet<PackageId> {
    let mut unlocked = BTreeSet::new();
    for &id in avoided {
        add_with_dependencies(previous, id, &mut unlocked);
    }
    // A manifest asks for something that no locked package meets. What else it drags along cannot be known, so all
    // packages of that source are up for resolution.
    for source in changed_sources(request, previous) {
        for &id in previous.packages.keys().filter(|id| id.source().without_commit() == source) {
            add_with_dependencies(previous, id, &mut unlocked);
        }
    }
    // Path packages whose version was edited.
    let local: BTreeSet<PackageId> = local_packages(request).map(|summary| summary.id).collect();
    let gone = previous.packages.keys().filter(|id| id.source().is_path() && !local.contains(id));
    unlocked.extend(gone.copied());
    unlocked
}

fn local_packages<'a>(request: &'a Request<'_>) -> impl Iterator<Item = &'a bulkhead_schema::Summary> {
    let members = request.members.iter().map(|member| &*member.summary);
    let patches = request.patches.iter().map(|patch| &*patch.summary);
    members.chain(request.path_packages.iter().map(|summary| &**summary)).chain(patches)
}

/// Sources of those direct dependencies of local packages that no locked package meets.
fn changed_sources(request: &Request<'_>, previous: &Previous) -> BTreeSet<SourceId> {
    let mut by_name: BTreeMap<PackageName, Vec<PackageId>> = BTreeMap::new();
    for &id in previous.packages.keys() {
        by_name.entry(id.name()).or_default().push(id);
    }
    let is_met = |dependency: &Dependency| {
        let named = by_name.get(&dependency.package).map(Vec::as_slice).unwrap_or_default();
        named.iter().any(|&id| matches_ignoring_source(dependency, id))
    };
    let of_members = request.members.iter().flat_map(|member| {
        let wanted = |dependency: &&Dependency| dependency.kind != DependencyKind::Development || member.development;
        member.summary.dependencies.iter().filter(wanted)
    });
    let of_others = request.path_packages.iter().flat_map(|summary| {
        let wanted = |d: &&Dependency| d.kind != DependencyKind::Development && !d.optional;
        summary.dependencies.iter().filter(wanted)
    });
    let local: BTreeSet<SourceId> = local_packages(request).map(|summary| summary.id.source()).collect();
    of_members
        .chain(of_others)
        .filter(|dependency| !local.contains(&dependency.source) && !is_met(dependency))
        .map(|dependency| dependency.source)
        .collect()
}

/// Adds `package` and everything below it.
fn add_with_dependencies(previous: &Previous, package: PackageId, set: &mut BTreeSet<PackageId>) {
    let mut waiting = vec![package];
    while let Some(id) = waiting.pop() {
        if set.insert(id) {
            waiting.extend(previous.packages.get(&id).into_iter().flatten());
        }
    }
}
