//! Why no newer version was taken.

use bulkhead_schema::PackageId;

use super::{Facts, HeldBack, Newer, Requirement};
use crate::VersionEntry;
use crate::changes::is_compatible;

/// The newest compatible version and the newest of all, where they are newer than `package`.
pub(super) fn newer(facts: &Facts<'_>, package: PackageId, required_by: &[Requirement]) -> Vec<Newer> {
    let published = facts.registry.versions(package.source(), package.name()).unwrap_or_default();
    let chosen = package.version();
    let above = || published.iter().rev().filter(|entry| entry.version > *chosen);
    // A withdrawn or a preliminary version is worth a word only if there is no other.
    let ordinary = |entry: &&VersionEntry| !entry.yanked && entry.version.pre.is_empty();
    let newest = above().find(ordinary).or_else(|| above().next());
    let compatible = |entry: &&VersionEntry| is_compatible(chosen, &entry.version);
    let newest_compatible = above().filter(compatible).find(ordinary).or_else(|| above().find(compatible));
    let mut entries: Vec<&VersionEntry> = newest_compatible.into_iter().chain(newest).collect();
    entries.dedup_by(|a, b| a.version == b.version);
    let judged = entries.into_iter().map(|entry| Newer {
        version: entry.version.clone(),
        compatible: is_compatible(chosen, &entry.version),
        held_back: held_back(facts, package, required_by, entry, published),
    });
    judged.collect()
}

fn held_back(
    facts: &Facts<'_>,
    package: PackageId,
    required_by: &[Requirement],
    entry: &VersionEntry,
    published: &[VersionEntry],
) -> Vec<HeldBack> {
    let mut reasons: Vec<HeldBack> = Vec::new();
    for Requirement { by, dependency } in required_by {
        let refuses = dependency.specified_requirement && !dependency.requirement.matches(&entry.version);
        let reason = HeldBack::Requirement { by: *by, requirement: dependency.requirement.clone() };
        if refuses && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if entry.yanked {
        reasons.push(HeldBack::Yanked);
    }
    if !entry.version.pre.is_empty() {
        reasons.push(HeldBack::PreRelease);
    }
    let lowest = facts.rust_versions.iter().min();
    if let (Some(rust), Some(needed)) = (lowest, &entry.rust_version)
        && (needed.major, needed.minor, needed.patch) > (rust.major, rust.minor, rust.patch)
    {
        reasons.push(HeldBack::Rust(needed.clone()));
    }
    let youth = facts.age.and_then(|age| age.youth(package.source(), package.name(), entry, published));
    reasons.extend(youth.map(HeldBack::Youth));
    if reasons.is_empty() {
        let locked = facts.previous.is_some_and(|previous| previous.packages.contains_key(&package));
        reasons.push(if locked { HeldBack::Lock } else { HeldBack::Conflict });
    }
    reasons
}
