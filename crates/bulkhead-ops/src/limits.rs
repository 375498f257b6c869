//! What resolution and git repositories may cost: the defaults, as far as policy does not say otherwise (`limits.resolve`,
//! `limits.git`).

use std::time::Duration;

use bulkhead_policy::Effective;
use bulkhead_resolver::lock::Previous;
use bulkhead_schema::index::MAX_INDEX_FILE;
use bulkhead_schema::policy::{GitLimits, ResolveLimits};
use bulkhead_source::ClientOptions;
use bulkhead_store::CheckoutLimits;

use crate::error::Result;
use crate::{Error, ErrorKind};

/// Longest time that the solver may take. An untroubled resolution of two thousand packages takes a fraction of a second.
const SOLVING_TIME: Duration = Duration::from_secs(60);

fn in_force(policy: &Effective) -> ResolveLimits {
    let solver = bulkhead_resolver::Limits::default();
    let number = |value: usize| u64::try_from(value).ok();
    policy.resolve_limits(ResolveLimits {
        packages: number(solver.packages),
        depth: number(solver.depth),
        edges: number(solver.edges),
        features: number(solver.features),
        steps: Some(solver.steps),
        time_seconds: Some(SOLVING_TIME.as_secs()),
        index_mib: number(MAX_INDEX_FILE >> 20),
        archive_mib: Some(ClientOptions::default().max_crate_size >> 20),
    })
}

/// The bounds of the solver.
pub fn solver(policy: &Effective) -> bulkhead_resolver::Limits {
    let (limits, defaults) = (in_force(policy), bulkhead_resolver::Limits::default());
    let size = |value: Option<u64>, default: usize| {
        value.map_or(default, |value| usize::try_from(value).unwrap_or(usize::MAX))
    };
    bulkhead_resolver::Limits {
        steps: limits.steps.unwrap_or(defaults.steps),
        packages: size(limits.packages, defaults.packages),
        depth: size(limits.depth, defaults.depth),
        edges: size(limits.edges, defaults.edges),
        features: size(limits.features, defaults.features),
    }
}

/// Holds a lockfile to the bounds of the graphs that it may describe: each of its packages would be asked for.
///
/// # Errors
/// `resolve-limit`: it has more packages.
pub fn check_lockfile(previous: &Previous, policy: &Effective) -> Result<()> {
    let (count, limit) = (previous.packages.len(), solver(policy).packages);
    if count <= limit {
        return Ok(());
    }
    let message = format!("Cargo.lock has {count} packages, more than the {limit} that are allowed");
    Err(Error::refusal(ErrorKind::Policy, "resolve-limit", message)
        .help("restore it from version control, or raise `limits.resolve.packages` in a policy"))
}

/// Longest time that the solver may take.
pub fn solving_time(policy: &Effective) -> Duration {
    in_force(policy).time_seconds.map_or(SOLVING_TIME, Duration::from_secs)
}

/// The same client options, with the sizes of answers that policy allows. More than the program can hold in memory at once
/// is not to be had: an index file stays below its own bound.
pub fn answers(policy: &Effective, options: ClientOptions) -> ClientOptions {
    let limits = in_force(policy);
    let bytes = |mib: Option<u64>, default: u64| mib.map_or(default, |mib| mib.saturating_mul(1 << 20));
    ClientOptions {
        max_index_size: bytes(limits.index_mib, options.max_index_size).min(MAX_INDEX_FILE as u64),
        max_crate_size: bytes(limits.archive_mib, options.max_crate_size),
        ..options
    }
}

/// What one git repository may cost, and one checkout of it.
pub fn git(policy: &Effective) -> (bulkhead_git::Limits, CheckoutLimits) {
    let (git, checkout) = (bulkhead_git::Limits::default(), CheckoutLimits::default());
    let limits = policy.git_limits(GitLimits {
        pack_mib: Some(git.pack >> 20),
        objects: Some(git.objects),
        object_mib: Some(git.object >> 20),
        references: Some(git.references),
        checkout_mib: Some(checkout.bytes >> 20),
        checkout_entries: u64::try_from(checkout.entries).ok(),
        time_seconds: Some(git.time.as_secs()),
    });
    let bytes = |mib: Option<u64>, default: u64| mib.map_or(default, |mib| mib.saturating_mul(1 << 20));
    let entries =
        limits.checkout_entries.map_or(checkout.entries, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let git = bulkhead_git::Limits {
        pack: bytes(limits.pack_mib, git.pack),
        objects: limits.objects.unwrap_or(git.objects),
        object: bytes(limits.object_mib, git.object),
        references: limits.references.unwrap_or(git.references),
        entries,
        time: limits.time_seconds.map_or(git.time, Duration::from_secs),
    };
    (git, CheckoutLimits { entries, bytes: bytes(limits.checkout_mib, checkout.bytes) })
}
