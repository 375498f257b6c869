//! From a finished search to a [`Resolve`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_schema::{DependencyKind, PackageId};

use super::explain::Limit;
use super::{Search, explain};
use crate::{Node, Resolve, ResolveError, ResolvedDependency};

/// The graph that the search found.
pub(super) fn resolve(search: &Search<'_>) -> Result<Resolve, ResolveError> {
    let universe = &search.universe;
    let mut edges: Vec<_> = search.state.edges.iter().map(|edge| (edge.parent, edge.child, edge.place)).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut nodes: BTreeMap<PackageId, Node> = BTreeMap::new();
    let children = edges.iter().map(|&(_, child, _)| child);
    let all: BTreeSet<u32> = search.members.iter().copied().chain(children).collect();
    for version in all {
        let summary = Arc::clone(&universe.candidate(version).summary);
        let features = search.state.features(version).iter().copied().collect();
        nodes.insert(summary.id, Node { summary, dependencies: Vec::new(), features });
    }
    for (parent, child, place) in edges {
        let child = universe.id(child);
        let Some(node) = nodes.get_mut(&universe.id(parent)) else { continue };
        let declared = node.summary.dependencies[place as usize].clone();
        match node.dependencies.iter_mut().find(|dependency| dependency.id == child) {
            Some(known) => known.declared.push(declared),
            None => node.dependencies.push(ResolvedDependency { id: child, declared: vec![declared] }),
        }
    }
    for node in nodes.values_mut() {
        node.dependencies.sort_by_key(|dependency| dependency.id);
    }
    // Cargo keeps the order of the patches.
    let mut unused_patches: Vec<PackageId> = Vec::new();
    for id in search.request.patches.iter().map(|patch| patch.summary.id) {
        if !nodes.contains_key(&id) && !unused_patches.contains(&id) {
            unused_patches.push(id);
        }
    }
    let metadata = search.request.previous.map(|previous| previous.metadata.clone()).unwrap_or_default();
    let resolve = Resolve { nodes, unused_patches, metadata };
    check_cycles(&resolve)?;
    check_depth(search, &resolve)?;
    check_checksums(search, &resolve)?;
    Ok(resolve)
}

/// A package must not depend on itself, except through development dependencies.
fn check_cycles(resolve: &Resolve) -> Result<(), ResolveError> {
    let mut done: BTreeSet<PackageId> = BTreeSet::new();
    for &start in resolve.nodes.keys() {
        if done.contains(&start) {
            continue;
        }
        // The path from `start`, each with the dependencies that are still to be looked at.
        let mut path: Vec<(PackageId, Vec<PackageId>)> = vec![(start, build_edges(resolve, start))];
        let mut on_path: BTreeSet<PackageId> = BTreeSet::from([start]);
        while let Some((id, waiting)) = path.last_mut() {
            match waiting.pop() {
                Some(next) if on_path.contains(&next) => {
                    let cycle: Vec<_> = path.iter().map(|(id, _)| *id).skip_while(|&id| id != next).collect();
                    return Err(explain::cycle(resolve, &cycle));
                }
                Some(next) if done.contains(&next) => {}
                Some(next) => {
                    on_path.insert(next);
                    path.push((next, build_edges(resolve, next)));
                }
                None => {
                    done.insert(*id);
                    on_path.remove(id);
                    path.pop();
                }
            }
        }
    }
    Ok(())
}

/// The search knows how deep a package was when it first came up; whether a longer way leads there is known at the end.
/// There are no cycles left.
fn check_depth(search: &Search<'_>, resolve: &Resolve) -> Result<(), ResolveError> {
    let limit = search.request.limits.depth;
    let mut depths: BTreeMap<PackageId, usize> = BTreeMap::new();
    for &start in resolve.nodes.keys() {
        let mut path: Vec<(PackageId, Vec<PackageId>)> = vec![(start, build_edges(resolve, start))];
        while let Some((id, waiting)) = path.last_mut() {
            let id = *id;
            match waiting.pop() {
                Some(next) if depths.contains_key(&next) => {}
                Some(next) => path.push((next, build_edges(resolve, next))),
                None => {
                    let below = build_edges(resolve, id).into_iter().filter_map(|next| depths.get(&next)).max();
                    let depth = below.copied().unwrap_or(0) + 1;
                    if depth > limit {
                        return Err(explain::limit(search, Limit::Depth, limit as u64));
                    }
                    depths.insert(id, depth);
                    path.pop();
                }
            }
        }
    }
    Ok(())
}

/// What has to be built before `id`.
fn build_edges(resolve: &Resolve, id: PackageId) -> Vec<PackageId> {
    let dependencies = resolve.nodes.get(&id).map(|node| node.dependencies.as_slice()).unwrap_or_default();
    let needed = dependencies
        .iter()
        .filter(|dependency| dependency.declared.iter().any(|declared| declared.kind != DependencyKind::Development));
    needed.map(|dependency| dependency.id).rev().collect()
}

/// A version that was locked with one checksum must not come back with another.
fn check_checksums(search: &Search<'_>, resolve: &Resolve) -> Result<(), ResolveError> {
    let Some(previous) = search.request.previous else { return Ok(()) };
    for (id, node) in &resolve.nodes {
        if let (Some(old), Some(new)) = (previous.checksums.get(id), &node.summary.checksum)
            && !old.eq_ignore_ascii_case(new)
        {
            return Err(explain::checksum_changed(*id, old, new));
        }
    }
    Ok(())
}
