//! `fetch`: bring every package of the lockfile onto this machine.

use std::collections::BTreeSet;

use bulkhead_schema::{Dependency, PackageId};
use bulkhead_unit_graph::Toolchain;

use crate::client::client;
use crate::error::Result;
use crate::lock::{self, LockRequest, Locked};
use crate::options::GlobalOptions;
use crate::project::{self, Project};
use crate::{Event, compile, packages, status};

/// Downloads, verifies and unpacks what the workspace depends on: for every platform, or only for `platforms`.
///
/// # Errors
/// The project cannot be resolved, or a package cannot be fetched or is not what was promised.
pub fn fetch(global: &GlobalOptions, platforms: &[String], events: &(dyn Fn(Event) + Sync)) -> Result<()> {
    let project = project::open(global, events)?;
    let toolchain = compile::platforms(global, &project, platforms)?;
    let client = client(global, &project.configuration)?;
    let request = LockRequest { rustc: Some(toolchain.release.clone()), ..LockRequest::keep() };
    let mut locked = lock::resolve(global, &project, &client, &request, events)?;
    status::report_changes(&locked, events);
    let wanted = match platforms.is_empty() {
        true => locked.resolve.nodes.keys().copied().collect(),
        false => needed(&project, &locked, &toolchain),
    };
    packages::load(global, &project, &mut locked, &wanted, &client, events)?;
    Ok(())
}

/// What the platforms in `toolchain` (the host, for build code, among them) can need.
fn needed(project: &Project, locked: &Locked<'_>, toolchain: &Toolchain) -> BTreeSet<PackageId> {
    let applies = |dependency: &Dependency| {
        dependency
            .platform
            .as_ref()
            .is_none_or(|platform| toolchain.platforms.values().any(|info| platform.matches(&info.triple, &info.cfg)))
    };
    let mut reached = BTreeSet::new();
    let mut pending: Vec<_> = project.workspace.members.iter().map(|package| package.id).collect();
    while let Some(id) = pending.pop() {
        if !reached.insert(id) {
            continue;
        }
        let edges = locked.resolve.nodes.get(&id).into_iter().flat_map(|node| &node.dependencies);
        pending.extend(edges.filter(|edge| edge.declared.iter().any(&applies)).map(|edge| edge.id));
    }
    reached
}
