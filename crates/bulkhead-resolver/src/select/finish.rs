//! From a finished search to a [`Resolve`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_schema::{DependencyKind, PackageId};

use super::explain::Limit;
use super::universe::FastMap;
use super::{Search, explain};
use crate::{Node, Resolve, ResolveError, ResolvedDependency};

/// The graph that the search found.
pub(super) fn resolve(search: &Search<'_>) -> Result<Resolve, ResolveError> {
    let nodes = nodes(search);
    // Cargo keeps the order of the patches.
    let mut unused_patches: Vec<PackageId> = Vec::new();
    for id in search.request.patches.iter().map(|patch| patch.summary.id) {
        if !nodes.contains_key(&id) && !unused_patches.contains(&id) {
            unused_patches.push(id);
        }
    }
    let metadata = search.request.previous.map(|previous| previous.metadata.clone()).unwrap_or_default();
    let resolve = Resolve { nodes, unused_patches, replacements: BTreeMap::new(), metadata };
    check_shape(search, &resolve)?;
    check_checksums(search, &resolve)?;
    Ok(resolve)
}

fn nodes(search: &Search<'_>) -> BTreeMap<PackageId, Node> {
    let universe = &search.universe;
    let mut edges: Vec<_> = search.state.edges.iter().map(|edge| (edge.parent, edge.child, edge.place)).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut versions: Vec<u32> = search.members.clone();
    versions.extend(edges.iter().map(|&(_, child, _)| child));
    versions.sort_unstable();
    versions.dedup();
    let mut places: FastMap<PackageId, usize> = FastMap::default();
    let mut nodes: Vec<Node> = Vec::with_capacity(versions.len());
    for version in versions {
        let summary = Arc::clone(&universe.candidate(version).summary);
        let features = search.state.features(version).iter().copied().collect();
        let id = summary.id;
        let node = Node { summary, dependencies: Vec::new(), features };
        match places.get(&id).and_then(|&place| nodes.get_mut(place)) {
            Some(known) => *known = node,
            None => {
                places.insert(id, nodes.len());
                nodes.push(node);
            }
        }
    }
    for (parent, child, place) in edges {
        let child = universe.id(child);
        let Some(node) = places.get(&universe.id(parent)).and_then(|&place| nodes.get_mut(place)) else { continue };
        let declared = node.summary.dependencies[place as usize].clone();
        match node.dependencies.iter_mut().find(|dependency| dependency.id == child) {
            Some(known) => known.declared.push(declared),
            None => node.dependencies.push(ResolvedDependency { id: child, declared: vec![declared] }),
        }
    }
    for node in &mut nodes {
        node.dependencies.sort_by_key(|dependency| dependency.id);
    }
    nodes.into_iter().map(|node| (node.summary.id, node)).collect()
}

/// A package must not depend on itself, except through development dependencies, and the graph must not be too deep: the
/// search knows how deep a package was when it first came up; whether a longer way leads there is known at the end.
fn check_shape(search: &Search<'_>, resolve: &Resolve) -> Result<(), ResolveError> {
    let graph = Graph::of(resolve);
    let order = graph.bottom_up().map_err(|cycle| explain::cycle(resolve, &cycle))?;
    let limit = search.request.limits.depth;
    let mut depths = vec![0; graph.ids.len()];
    for number in order {
        let below = graph.below[number].iter().map(|&next| depths[next]).max();
        depths[number] = below.unwrap_or(0) + 1;
        if depths[number] > limit {
            return Err(explain::limit(search, Limit::Depth, limit as u64));
        }
    }
    Ok(())
}

/// What has to be built before what, by the places of the packages among the nodes.
struct Graph {
    ids: Vec<PackageId>,
    below: Vec<Vec<usize>>,
}

impl Graph {
    fn of(resolve: &Resolve) -> Self {
        let ids: Vec<PackageId> = resolve.nodes.keys().copied().collect();
        let places: FastMap<PackageId, usize> = ids.iter().enumerate().map(|(place, &id)| (id, place)).collect();
        let is_needed = |dependency: &&ResolvedDependency| {
            dependency.declared.iter().any(|declared| declared.kind != DependencyKind::Development)
        };
        let below = |node: &Node| {
            let needed = node.dependencies.iter().filter(is_needed);
            needed.filter_map(|dependency| places.get(&dependency.id).copied()).collect()
        };
        Self { below: resolve.nodes.values().map(below).collect(), ids }
    }

    /// All packages, each after what has to be built before it; or packages that need each other.
    fn bottom_up(&self) -> Result<Vec<usize>, Vec<PackageId>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            No,
            OnPath,
            Done,
        }
        let mut seen = vec![Seen::No; self.ids.len()];
        let mut order = Vec::with_capacity(self.ids.len());
        for start in 0..self.ids.len() {
            // The path from `start`, each with the place of the dependency that is to be looked at next.
            let mut path = if seen[start] == Seen::No { vec![(start, 0)] } else { Vec::new() };
            while let Some((number, next)) = path.last_mut() {
                seen[*number] = Seen::OnPath;
                let Some(&below) = self.below[*number].get(*next) else {
                    seen[*number] = Seen::Done;
                    order.push(*number);
                    path.pop();
                    continue;
                };
                *next += 1;
                match seen[below] {
                    Seen::OnPath => {
                        let cycle = path.iter().map(|&(number, _)| number).skip_while(|&number| number != below);
                        return Err(cycle.map(|number| self.ids[number]).collect());
                    }
                    Seen::Done => {}
                    Seen::No => path.push((below, 0)),
                }
            }
        }
        Ok(order)
    }
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
