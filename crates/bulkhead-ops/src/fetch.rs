//! `fetch`: bring every package of the lockfile onto this machine.

use bulkhead_unit_graph::CompileKind;

use crate::client::project_client;
use crate::error::Result;
use crate::lock::{self, LockRequest};
use crate::options::GlobalOptions;
use crate::packages::{Purpose, Sketch};
use crate::project;
use crate::{Event, compile, packages, status};

/// Downloads and verifies what the workspace depends on: for every platform, or only for `platforms`. What this machine,
/// or the platform of the configuration, has no use for is unpacked when something needs it.
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
    status::warn_of_yanked(&project, &locked, false, events);
    let members: Vec<_> = project.workspace.members.iter().map(|package| package.id).collect();
    // As Cargo does with `--target`: what build code needs on this machine alone is left out.
    let counts = |kind: &CompileKind| platforms.is_empty() || *kind != CompileKind::Host;
    let needed = compile::needed(&members, &locked, &toolchain, &counts);
    let wanted = match platforms.is_empty() {
        true => &locked.resolve.nodes.keys().copied().collect(),
        false => &needed,
    };
    let purpose = Purpose::Fetch { needed: &needed };
    packages::load_for::<Sketch>(purpose, global, &project, &mut locked, wanted, &client, events)?;
    Ok(())
}
