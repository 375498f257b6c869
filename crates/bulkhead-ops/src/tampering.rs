//! What a lockfile must not have lost or changed since it was written.

use std::collections::BTreeSet;

use bulkhead_resolver::lock::Previous;
use bulkhead_resolver::{Resolve, Unlock};
use bulkhead_schema::{Dependency, PackageId, SourceId, SourceKind};

use crate::error::Result;
use crate::project::Project;
use crate::{Error, ErrorKind, registries};

/// Checks a lockfile before anything is asked of a registry. With [`Unlock::All`] nothing in it counts, and what comes from
/// unknown registries is left out.
///
/// # Errors
/// A registry package without checksum, or from a registry that neither manifests nor configuration name; a package that a
/// registry has, but from a repository that no manifest names.
pub fn check(previous: &mut Previous, project: &Project, unlock: &Unlock) -> Result<()> {
    let known = registries::known(project);
    let foreign = |id: &PackageId| id.source().is_registry() && !known.contains(&id.source());
    let strangers = repositories_that_nobody_names(previous, project);
    if *unlock == Unlock::All {
        previous.packages.retain(|id, _| !foreign(id) && !strangers.contains(id));
        return Ok(());
    }
    // A repository that was exchanged in the manifest is locked anew, as by Cargo; the old one is not asked.
    let moved = |id: &&PackageId| wanted(**id, previous, project).is_none_or(|source| !source.is_registry());
    let (moved, exchanged): (Vec<_>, Vec<_>) = strangers.iter().partition(moved);
    if let Some(&id) = previous.packages.keys().find(|id| foreign(id)).or(exchanged.first().copied()) {
        return Err(unknown_source(id, previous, project));
    }
    for id in moved {
        previous.packages.remove(id);
        for dependencies in previous.packages.values_mut() {
            dependencies.remove(id);
        }
    }
    require_checksums(previous)
}

/// Packages from git repositories that neither a manifest names nor a package from a repository that one names: registries
/// have no packages that depend on repositories.
fn repositories_that_nobody_names(previous: &Previous, project: &Project) -> BTreeSet<PackageId> {
    let is_git = |source: SourceId| matches!(source.kind(), SourceKind::Git(_));
    let locked: BTreeSet<PackageId> = previous.packages.keys().copied().filter(|id| is_git(id.source())).collect();
    if locked.is_empty() {
        return locked;
    }
    let workspace = &project.workspace;
    let patches = workspace.patches.iter().map(|patch| &patch.dependency);
    let replacements = workspace.replacements.iter().map(|replacement| &replacement.dependency);
    let sources = declared(project).chain(patches).chain(replacements).map(|dependency| dependency.source);
    let named: BTreeSet<&str> = sources.filter(|&source| is_git(source)).map(SourceId::url).collect();
    let mut pending: Vec<_> = locked.iter().copied().filter(|id| named.contains(id.source().url())).collect();
    let mut strangers = locked;
    while let Some(id) = pending.pop() {
        if strangers.remove(&id) {
            pending.extend(previous.packages.get(&id).into_iter().flatten().filter(|id| is_git(id.source())));
        }
    }
    strangers
}

/// What the user's own packages depend on.
fn declared(project: &Project) -> impl Iterator<Item = &Dependency> {
    let packages = project.workspace.members.iter().chain(project.workspace.path_packages.values());
    packages.flat_map(|package| &package.summary.dependencies)
}

/// Where the package `id` should come from, as far as manifests and those that depend on it tell.
fn wanted(id: PackageId, previous: &Previous, project: &Project) -> Option<SourceId> {
    let direct = declared(project).find(|dependency| dependency.package == id.name());
    let requirers = || previous.packages.iter().filter(|(_, dependencies)| dependencies.contains(&id));
    let registry = || requirers().map(|(requirer, _)| requirer.source()).find(|source| source.is_registry());
    direct.map(|dependency| dependency.source).or_else(registry).filter(|&source| source != id.source())
}

fn unknown_source(id: PackageId, previous: &Previous, project: &Project) -> Error {
    let wanted = wanted(id, previous, project);
    let (name, version, found) = (id.name(), id.version(), id.source());
    let message = match wanted {
        Some(wanted) => format!(
            "Cargo.lock has `{name} v{version}` from another source than what depends on it wants\n\
             - source = \"{wanted}\"\n+ source = \"{found}\""
        ),
        None => format!(
            "Cargo.lock has `{name} v{version}` from a source that no manifest and no configuration names\n\
             + source = \"{found}\""
        ),
    };
    let error = Error::refusal(ErrorKind::Verification, "lock-source", message);
    error.help("if you did not change that, restore Cargo.lock from version control").help(
        "if you did, remove the package's entry from Cargo.lock, or lock everything anew with `bulkhead \
         generate-lockfile`",
    )
}

/// A lockfile records what was trusted at first use. An entry without its checksum would be filled in with whatever the
/// registry says today.
fn require_checksums(previous: &Previous) -> Result<()> {
    let bare = |id: &&PackageId| id.source().is_registry() && !previous.checksums.contains_key(*id);
    let Some(id) = previous.packages.keys().find(bare) else { return Ok(()) };
    let message = format!("the entry of `{id}` in Cargo.lock has no checksum");
    Err(Error::refusal(ErrorKind::Verification, "lock-checksum", message)
        .because("without one, another archive of the same version would not be noticed")
        .help("restore Cargo.lock from version control")
        .help(format!(
            "to trust what the registry says now, remove the whole entry of `{}` from Cargo.lock",
            id.name()
        )))
}

/// A version's archive never changes: a lockfile that names another checksum than the index is a sign of tampering.
///
/// # Errors
/// They differ.
pub fn check_checksums(previous: Option<&Previous>, resolve: &Resolve) -> Result<()> {
    for (id, node) in &resolve.nodes {
        let locked = previous.and_then(|previous| previous.checksums.get(id));
        let Some(locked) = locked else { continue };
        let Some(listed) = &node.summary.checksum else {
            let shown = format!("`{} v{}`", id.name(), id.version());
            let message = format!(
                "checksum for {shown} could not be calculated, but a checksum is listed in the existing lock file"
            );
            return Err(Error::new(ErrorKind::Verification, message)
                .because(format!(
                    "the source `{}` supports checksums, but was replaced with one that doesn't",
                    id.source()
                ))
                .because(format!("unable to verify that {shown} is the same as when the lockfile was generated"))
                .help("vendor the package anew: `package` in its .cargo-checksum.json is its checksum"));
        };
        if **locked != **listed {
            let message = format!(
                "checksum for `{id}` changed between lock files\n--- the index of {}\n+++ Cargo.lock\n\
                 - checksum = \"{listed}\"\n+ checksum = \"{locked}\"",
                id.source()
            );
            return Err(Error::refusal(ErrorKind::Verification, "lock-checksum", message)
                .help("one of the two was tampered with or damaged; find out which before you go on")
                .help("to accept what the index says, remove the package's entry from Cargo.lock"));
        }
    }
    Ok(())
}
