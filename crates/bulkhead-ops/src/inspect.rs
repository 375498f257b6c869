//! Questions about a project that need neither network nor resolution: `locate-project`, `pkgid`, `read-manifest`,
//! `verify-project`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_resolver::lock as resolved_lock;
use bulkhead_schema::PackageId;
use bulkhead_workspace::metadata::{metadata_json, package_id_spec};
use bulkhead_workspace::{Package, Workspace};

use crate::error::Result;
use crate::options::GlobalOptions;
use crate::project::{self, Project};
use crate::{Error, Event, lock, specs};

/// The manifest that commands are about, or that of its workspace's root.
///
/// # Errors
/// There is none, or (for the root) it is wrong.
pub fn locate_project(global: &GlobalOptions, root: bool, events: &dyn Fn(Event)) -> Result<PathBuf> {
    match root {
        true => Ok(open(global, events)?.workspace.root_manifest),
        false => project::manifest_path(global),
    }
}

/// The whole specification of the package that `spec` means, by default the one in whose folder the command runs.
///
/// # Errors
/// There is no lockfile; `spec` means none or several of its packages.
pub fn package_id(global: &GlobalOptions, spec: Option<&str>, events: &dyn Fn(Event)) -> Result<String> {
    let workspace = open(global, events)?.workspace;
    let packages = locked_packages(global, &workspace)?;
    let id = match spec {
        Some(spec) => specs::one(spec, &packages, &global.place)?,
        None => current(global, &workspace)?.id,
    };
    Ok(package_id_spec(id))
}

/// The project, with what is said of its configuration; of its manifests these commands say no more than Cargo.
fn open(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<Project> {
    project::open(global, &|event| {
        let is_of_manifests = matches!(&event, Event::Diagnostic(finding) if !finding.code.starts_with("config-"));
        if !is_of_manifests {
            events(event);
        }
    })
}

fn locked_packages(global: &GlobalOptions, workspace: &Workspace) -> Result<BTreeSet<PackageId>> {
    let lockfile = lock::read(&global.place.disk, &global.lockfile(&workspace.root))?
        .ok_or_else(|| Error::failure("a Cargo.lock must exist for this command"))?;
    let locals = workspace.members.iter().chain(workspace.path_packages.values());
    let locals: Vec<_> = locals.map(|package| Arc::clone(&package.summary)).collect();
    let mut packages: BTreeSet<PackageId> = resolved_lock::decode(&lockfile, &locals).packages.into_keys().collect();
    packages.extend(workspace.members.iter().map(|member| member.id));
    Ok(packages)
}

fn current(global: &GlobalOptions, workspace: &Workspace) -> Result<Arc<Package>> {
    let package = workspace.current.and_then(|id| workspace.package(id));
    package.cloned().map_or_else(
        || {
            let path = project::manifest_path(global)?;
            let virtual_manifest = "is a virtual manifest, but this command requires running against an actual package";
            Err(Error::failure(format!("manifest path `{}` {virtual_manifest} in this workspace", path.display())))
        },
        Ok,
    )
}

/// The package in whose folder the command runs, as an element of `packages` in `metadata`.
///
/// # Errors
/// There is none.
pub fn read_manifest(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<String> {
    let workspace = open(global, events)?.workspace;
    let package = current(global, &workspace)?;
    serde_json::to_string(&metadata_json(&package))
        .map_err(|error| Error::failure("a path is not UTF-8").because(error))
}

/// Whether the manifests of the project are right.
///
/// # Errors
/// What is wrong with them.
pub fn verify_project(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<()> {
    open(global, events).map(drop)
}
