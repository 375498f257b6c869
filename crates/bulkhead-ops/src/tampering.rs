//! What a lockfile must not have lost or changed since it was written.

use bulkhead_resolver::lock::Previous;
use bulkhead_resolver::{Resolve, Unlock};
use bulkhead_schema::PackageId;

use crate::error::Result;
use crate::project::Project;
use crate::{Error, ErrorKind, registries};

/// Checks a lockfile before anything is asked of a registry. With [`Unlock::All`] nothing in it counts, and what comes from
/// unknown registries is left out.
///
/// # Errors
/// A registry package without checksum, or from a registry that neither manifests nor configuration name.
pub fn check(previous: &mut Previous, project: &Project, unlock: &Unlock) -> Result<()> {
    let known = registries::known(project);
    let foreign = |id: &PackageId| id.source().is_registry() && !known.contains(&id.source());
    if *unlock == Unlock::All {
        previous.packages.retain(|id, _| !foreign(id));
        return Ok(());
    }
    match previous.packages.keys().find(|id| foreign(id)) {
        Some(id) => Err(unknown_registry(*id, project)),
        None => require_checksums(previous),
    }
}

fn unknown_registry(id: PackageId, project: &Project) -> Error {
    let workspace = &project.workspace;
    let packages = workspace.members.iter().chain(workspace.path_packages.values());
    let mut dependencies = packages.flat_map(|package| &package.summary.dependencies);
    let wanted = dependencies.find(|dependency| dependency.package == id.name()).map(|dependency| dependency.source);
    let message = format!("Cargo.lock has `{} v{}` from {}", id.name(), id.version(), id.source());
    let error = Error::new(ErrorKind::Verification, message);
    let error = match wanted {
        Some(source) => error.because(format!("the manifests want `{}` from {source}", id.name())),
        None => error.because("no manifest and no configuration names that registry"),
    };
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
    Err(Error::new(ErrorKind::Verification, format!("the entry of `{id}` in Cargo.lock has no checksum"))
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
            return Err(Error::new(ErrorKind::Verification, format!("checksum for `{id}` changed between lock files"))
                .because(format!("Cargo.lock says {locked}"))
                .because(format!("the index of {} says {listed}", id.source()))
                .help("one of the two was tampered with or damaged; find out which before you go on")
                .help("to accept what the index says, remove the package's entry from Cargo.lock"));
        }
    }
    Ok(())
}
