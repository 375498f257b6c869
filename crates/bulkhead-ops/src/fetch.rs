//! `fetch`: bring every package of the lockfile onto this machine.

use bulkhead_unit_graph::CompileKind;

use crate::client::project_client;
use crate::error::Result;
use crate::lock::{self, LockRequest};
use crate::options::GlobalOptions;
use crate::project;
use crate::{Event, compile, packages, status};

/// Downloads, verifies and unpacks what the workspace depends on: for every platform, or only for `platforms`.
///
/// # Errors
/// The project cannot be resolved, or a package cannot be fetched or is not what was promised.
pub fn fetch(global: &GlobalOptions, platforms: &[String], events: &(dyn Fn(Event) + Sync)) -> Result<()> {
    let project = project::open(global, events)?;
    let toolchain = compile::platforms(global, &project, platforms)?;
    let client = project_client(global, &project)?;
    let request = LockRequest { rustc: Some(toolchain.release.clone()), ..LockRequest::keep() };
    let mut locked = lock::resolve(global, &project, &client, &request, events)?;
    status::report_changes(&locked, events);
    status::warn_of_yanked(&locked, events);
    let members: Vec<_> = project.workspace.members.iter().map(|package| package.id).collect();
    let wanted = match platforms.is_empty() {
        true => locked.resolve.nodes.keys().copied().collect(),
        // As Cargo does: what build code needs on this machine alone is left out.
        false => compile::needed(&members, &locked, &toolchain, &|kind| *kind != CompileKind::Host),
    };
    packages::load(global, &project, &mut locked, &wanted, &client, events)?;
    Ok(())
}
