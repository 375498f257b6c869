//! Which of several versions that fit is taken, as configuration and manifests want it.

use std::sync::Arc;

use bulkhead_workspace::{Package, ResolverBehavior, Workspace};
use semver::Version;

use crate::Error;
use crate::error::Result;
use crate::lock::LockRequest;
use crate::project::Project;

/// With resolver 3 (or `resolver.incompatible-rust-versions = "fallback"`) versions that suit the workspace's
/// `rust-version`s, or the compiler, are preferred.
///
/// # Errors
/// The key has another value than `allow` or `fallback`.
pub fn rust_versions(project: &Project, request: &LockRequest) -> Result<Vec<Version>> {
    let configured = project.configuration.config.string("resolver.incompatible-rust-versions")?;
    let fallback = match configured.as_ref().map(|value| value.value.as_str()) {
        Some("fallback") => true,
        Some("allow") => false,
        Some(other) => {
            let key = "could not load config key `resolver.incompatible-rust-versions`";
            return Err(
                Error::failure(key).because(format!("unknown variant `{other}`, expected `allow` or `fallback`"))
            );
        }
        None => project.workspace.resolver == ResolverBehavior::V3,
    };
    if !fallback || request.ignore_rust_version {
        return Ok(Vec::new());
    }
    let members = &project.workspace.members;
    let declared: Vec<_> = members.iter().filter_map(|package| package.summary.rust_version.clone()).collect();
    Ok(if declared.is_empty() { request.rustc.clone().into_iter().collect() } else { declared })
}

/// A `rust-version` in the form that the member has which asks for it.
pub fn as_written(version: &Version, workspace: &Workspace) -> String {
    let asks = |package: &&Arc<Package>| package.summary.rust_version.as_ref() == Some(version);
    let member = workspace.members.iter().find(asks);
    member.and_then(|package| package.details.rust_version.clone()).unwrap_or_else(|| version.to_string())
}
