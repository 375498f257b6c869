//! Ways from a member to a package.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bulkhead_schema::PackageId;

use super::Facts;

/// How many beginnings of ways are looked at: there may be exponentially many.
const MAX_STEPS: usize = 100_000;

/// The ways from members to `package`, the shortest first, and whether there are more. Of a package that is not active,
/// the ways through the whole lockfile.
pub(super) fn paths(facts: &Facts<'_>, package: PackageId) -> (Vec<Vec<PackageId>>, bool) {
    let active = facts.is_active(package);
    let mut parents: BTreeMap<PackageId, BTreeSet<PackageId>> = BTreeMap::new();
    for (&by, node) in &facts.resolve.nodes {
        for edge in &node.dependencies {
            if !active || edge.declared.iter().any(|declared| facts.counts(by, declared)) {
                parents.entry(edge.id).or_default().insert(by);
            }
        }
    }
    let members: BTreeSet<PackageId> = facts.members.iter().copied().collect();
    let mut found = Vec::new();
    let mut steps = 0;
    // Each way grows from its end; a queue makes the short ones come first.
    let mut pending: VecDeque<Vec<PackageId>> = VecDeque::from([vec![package]]);
    while let Some(way) = pending.pop_front() {
        let Some(&first) = way.last() else { continue };
        steps += 1;
        if steps > MAX_STEPS {
            return (found, true);
        }
        if way.len() > 1 && members.contains(&first) {
            if found.len() == facts.max_paths {
                return (found, true);
            }
            found.push(way.iter().rev().copied().collect());
            continue;
        }
        // Development dependencies make cycles; a way does not go round.
        for &parent in parents.get(&first).into_iter().flatten().filter(|parent| !way.contains(parent)) {
            let mut longer = way.clone();
            longer.push(parent);
            pending.push_back(longer);
        }
        if pending.len() > MAX_STEPS {
            return (found, true);
        }
    }
    (found, false)
}
