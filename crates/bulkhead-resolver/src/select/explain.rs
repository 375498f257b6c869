//! Failures in words.

use bulkhead_schema::{PackageId, Symbol};

use super::Search;
use super::universe::VersionIndex;
use crate::{Resolve, ResolveError, ResolveErrorKind};

fn error(kind: ResolveErrorKind, message: String) -> ResolveError {
    ResolveError { kind, message, because: Vec::new(), help: Vec::new() }
}

pub(super) fn limit(search: &Search<'_>) -> ResolveError {
    let message = format!("gave up after {} steps without finding versions that fit together", search.steps);
    ResolveError {
        help: vec!["Narrow the version requirements of direct dependencies.".to_owned()],
        ..error(ResolveErrorKind::Limit, message)
    }
}

pub(super) fn members_share_links(
    search: &Search<'_>,
    one: VersionIndex,
    other: VersionIndex,
    links: Symbol,
) -> ResolveError {
    let (one, other) = (search.universe.id(one), search.universe.id(other));
    error(
        ResolveErrorKind::Conflict,
        format!("workspace members {one} and {other} both link to the native library `{links}`"),
    )
}

pub(super) fn member_feature(search: &Search<'_>, version: VersionIndex, feature: Symbol) -> ResolveError {
    let id = search.universe.id(version);
    error(ResolveErrorKind::MissingFeature, format!("package `{id}` has no feature `{feature}`"))
}

pub(super) fn cycle(_resolve: &Resolve, cycle: Vec<PackageId>) -> ResolveError {
    let first = cycle.first().map(ToString::to_string).unwrap_or_default();
    let mut because: Vec<String> = cycle.windows(2).map(|pair| format!("{} depends on {}", pair[0], pair[1])).collect();
    if let (Some(first), Some(last)) = (cycle.first(), cycle.last()) {
        because.push(format!("{last} depends on {first}"));
    }
    ResolveError {
        because,
        ..error(ResolveErrorKind::Cycle, format!("cyclic package dependency: package `{first}` depends on itself"))
    }
}

pub(super) fn checksum_changed(id: PackageId, old: &str, new: &str) -> ResolveError {
    let because = vec![format!("Cargo.lock records {old}"), format!("the registry now says {new}")];
    ResolveError {
        because,
        ..error(ResolveErrorKind::ChecksumChanged, format!("checksum for `{id}` changed between lock files"))
    }
}

pub(super) fn unsolvable(search: &Search<'_>) -> ResolveError {
    let Some(first) = &search.failures.first else {
        return error(ResolveErrorKind::Conflict, "no versions fit together".to_owned());
    };
    let parent = &search.universe.candidate(first.parent).summary;
    let dependency = &parent.dependencies[first.place as usize];
    let message = format!("failed to select a version for `{}`", dependency.package);
    error(ResolveErrorKind::Conflict, message)
}
