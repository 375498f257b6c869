//! Which of several versions that fit is taken, as configuration and manifests want it.

use std::sync::Arc;

use bulkhead_config::Config;
use bulkhead_policy as policy;
use bulkhead_resolver::PublishAge;
use bulkhead_schema::publish_age;
use bulkhead_workspace::{Package, ResolverBehavior, Workspace};
use semver::Version;

use crate::Error;
use crate::error::Result;
use crate::lock::LockRequest;
use crate::project::Project;
use crate::registries;

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

/// How old versions have to be, by Cargo's configuration and by `policy`; `None` where every age will do.
///
/// # Errors
/// A key has a value that is not understood.
pub fn publish_age(project: &Project, now: i64, policy: &policy::PublishAge) -> Result<Option<PublishAge>> {
    let config = &project.configuration.config;
    let floor = policy.floor.unwrap_or(0);
    let allowed = match config.string("resolver.incompatible-publish-age")? {
        None => false,
        Some(value) => match value.value.as_str() {
            "allow" => true,
            "deny" => false,
            other => {
                let reason = format!("unknown variant `{other}`, expected `allow` or `deny`");
                let key = "could not load config key `resolver.incompatible-publish-age`";
                return Err(Error::failure(key).because(reason));
            }
        },
    };
    let mut rule = PublishAge { now, minimum: floor, ..PublishAge::default() };
    if !allowed {
        let configured = seconds(config, &["registry", "global-min-publish-age"])?;
        let default = policy.minimum.unwrap_or(publish_age::DEFAULT_MINIMUM);
        rule.minimum = configured.unwrap_or(default).max(floor);
        for name in config.registry_names().into_iter().chain(["crates-io"]) {
            let Some(age) = seconds(config, &["registries", name, "min-publish-age"])? else { continue };
            if let Some(source) = registries::named(&project.configuration, name).map_err(Error::failure)? {
                rule.by_registry.insert(source, age.max(floor));
            }
        }
    }
    rule.exempt = policy.exempt.iter().map(|it| (it.package, it.version.clone())).collect();
    let acts = rule.minimum > 0 || rule.by_registry.values().any(|age| *age > 0);
    Ok(acts.then_some(rule))
}

fn seconds(config: &Config, key: &[&str]) -> Result<Option<u64>> {
    let Some(value) = config.string(key)? else { return Ok(None) };
    let parsed = publish_age::parse(&value.value).ok_or_else(|| {
        let message = format!("`{}` is `{}`, which is no span of time", key.join("."), value.value);
        Error::failure(message).because("expected `0`, or a number and a unit such as `3 days`")
    });
    parsed.map(Some)
}

/// A `rust-version` in the form that the member has which asks for it.
pub fn as_written(version: &Version, workspace: &Workspace) -> String {
    let asks = |package: &&Arc<Package>| package.summary.rust_version.as_ref() == Some(version);
    let member = workspace.members.iter().find(asks);
    member.and_then(|package| package.details.rust_version.clone()).unwrap_or_else(|| version.to_string())
}
