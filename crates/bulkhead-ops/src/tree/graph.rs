//! The graph to be drawn: packages with the features they have, and who leads to whom for what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_resolver::{ActivatedFeatures, FeaturesFor, Resolve};
use bulkhead_schema::platform::Cfg;
use bulkhead_schema::{Dependency, DependencyKind, PackageId, Symbol};
use bulkhead_workspace::Package;

/// Which kinds of dependency are drawn.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Edges {
    pub(super) normal: bool,
    pub(super) build: bool,
    pub(super) development: bool,
}

impl Edges {
    fn wants(self, kind: DependencyKind) -> bool {
        match kind {
            DependencyKind::Normal => self.normal,
            DependencyKind::Build => self.build,
            DependencyKind::Development => self.development,
        }
    }
}

/// Position of a node in a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeIndex(usize);

/// A package with one set of features: with resolver 2 a package may be there twice.
pub(super) struct Node<'a> {
    pub(super) package: &'a Package,
    pub(super) features: &'a BTreeSet<Symbol>,
    /// Sorted by kind, then package.
    pub(super) edges: Vec<(DependencyKind, NodeIndex)>,
}

/// Packages and edges.
pub(super) struct Graph<'a> {
    nodes: Vec<Node<'a>>,
}

/// What a [`Graph`] is built from.
struct Input<'a, 'b> {
    resolve: &'a Resolve,
    features: &'a ActivatedFeatures,
    packages: &'a BTreeMap<PackageId, Arc<Package>>,
    edges: &'b Edges,
    platforms: Option<&'b [(&'b str, &'b [Cfg])]>,
    members: &'b [PackageId],
}

type Key<'a> = (PackageId, &'a BTreeSet<Symbol>);

impl<'a> Graph<'a> {
    /// What `members` lead to. `platforms` restricts dependencies to those that apply to one of them.
    pub(super) fn build(
        members: &[PackageId],
        resolve: &'a Resolve,
        features: &'a ActivatedFeatures,
        packages: &'a BTreeMap<PackageId, Arc<Package>>,
        edges: &Edges,
        platforms: Option<&[(&str, &[Cfg])]>,
    ) -> Self {
        let input = Input { resolve, features, packages, edges, platforms, members };
        let mut graph = Self { nodes: Vec::new() };
        let mut known: BTreeMap<Key<'a>, NodeIndex> = BTreeMap::new();
        let mut pending: Vec<(PackageId, FeaturesFor)> = members.iter().map(|id| (*id, FeaturesFor::Target)).collect();
        let mut seen = BTreeSet::new();
        let mut links = Vec::new();
        while let Some(place) = pending.pop() {
            if !seen.insert(place) {
                continue;
            }
            let Some(from) = graph.node(place, &input, &mut known) else { continue };
            for (kind, to) in input.dependencies(place) {
                if let Some(index) = graph.node(to, &input, &mut known) {
                    links.push((from, kind, index));
                    pending.push(to);
                }
            }
        }
        for (from, kind, to) in links {
            graph.nodes[from.0].edges.push((kind, to));
        }
        graph.sort();
        graph
    }

    fn node(
        &mut self,
        place: (PackageId, FeaturesFor),
        input: &Input<'a, '_>,
        known: &mut BTreeMap<Key<'a>, NodeIndex>,
    ) -> Option<NodeIndex> {
        let (id, _) = place;
        let features = input.features.features.get(&place)?;
        let package = input.packages.get(&id)?;
        let next = NodeIndex(self.nodes.len());
        let index = *known.entry((id, features)).or_insert(next);
        if index == next {
            self.nodes.push(Node { package, features, edges: Vec::new() });
        }
        Some(index)
    }

    fn sort(&mut self) {
        let keys: Vec<_> = self.nodes.iter().map(|node| (node.package.id, node.features.clone())).collect();
        for node in &mut self.nodes {
            node.edges.sort_by(|a, b| (order(a.0), &keys[a.1.0]).cmp(&(order(b.0), &keys[b.1.0])));
            node.edges.dedup();
        }
    }

    /// The node at `index`.
    pub(super) fn get(&self, index: NodeIndex) -> &Node<'a> {
        &self.nodes[index.0]
    }

    /// Turns every edge round.
    pub(super) fn invert(&mut self) {
        let mut edges = vec![Vec::new(); self.nodes.len()];
        for (from, node) in self.nodes.iter().enumerate() {
            for (kind, to) in &node.edges {
                edges[to.0].push((*kind, NodeIndex(from)));
            }
        }
        for (node, edges) in self.nodes.iter_mut().zip(edges) {
            node.edges = edges;
        }
        self.sort();
    }

    /// Forgets edges to packages that `unwanted` names.
    pub(super) fn prune(&mut self, unwanted: &dyn Fn(PackageId) -> bool) {
        let gone: Vec<bool> = self.nodes.iter().map(|node| unwanted(node.package.id)).collect();
        for node in &mut self.nodes {
            node.edges.retain(|(_, to)| !gone[to.0]);
        }
    }

    /// The nodes of some packages, in their order.
    pub(super) fn nodes_of(&self, packages: &BTreeSet<PackageId>) -> Vec<NodeIndex> {
        let mut found: Vec<_> =
            (0..self.nodes.len()).filter(|i| packages.contains(&self.nodes[*i].package.id)).collect();
        found.sort_by_key(|i| (self.nodes[*i].package.id, self.nodes[*i].features.clone()));
        found.into_iter().map(NodeIndex).collect()
    }

    /// Every package.
    pub(super) fn packages(&self) -> impl Iterator<Item = PackageId> {
        self.nodes.iter().map(|node| node.package.id).collect::<BTreeSet<_>>().into_iter()
    }

    /// Packages whose name occurs with several versions or sources, or that are built with several sets of features.
    pub(super) fn duplicates(&self) -> Vec<PackageId> {
        let mut by_name: BTreeMap<_, Vec<PackageId>> = BTreeMap::new();
        for node in &self.nodes {
            by_name.entry(node.package.id.name()).or_default().push(node.package.id);
        }
        by_name.into_values().filter(|ids| ids.len() > 1).flatten().collect()
    }
}

/// Normal dependencies come first, then build, then development, as `cargo tree` lists them.
fn order(kind: DependencyKind) -> u8 {
    match kind {
        DependencyKind::Normal => 0,
        DependencyKind::Build => 1,
        DependencyKind::Development => 2,
    }
}

impl Input<'_, '_> {
    /// Where a package's active dependencies lead.
    fn dependencies(&self, (id, purpose): (PackageId, FeaturesFor)) -> Vec<(DependencyKind, (PackageId, FeaturesFor))> {
        let Some(node) = self.resolve.nodes.get(&id) else { return Vec::new() };
        let mut found = Vec::new();
        for edge in &node.dependencies {
            for declared in edge.declared.iter().filter(|declared| self.is_active(id, purpose, declared)) {
                let place = (edge.id, self.purpose_of(edge.id, purpose, declared.kind));
                found.push((declared.kind, place));
            }
        }
        found
    }

    fn is_active(&self, id: PackageId, purpose: FeaturesFor, dependency: &Dependency) -> bool {
        let optional = || {
            let active = self.features.dependencies.get(&(id, purpose));
            active.is_some_and(|names| names.contains(&dependency.name_in_manifest()))
        };
        let applies = || match (&dependency.platform, self.platforms) {
            (Some(platform), Some(platforms)) => platforms.iter().any(|(triple, cfg)| platform.matches(triple, cfg)),
            _ => true,
        };
        let member = dependency.kind != DependencyKind::Development || self.members.contains(&id);
        self.edges.wants(dependency.kind) && member && applies() && (!dependency.optional || optional())
    }

    /// Build dependencies and proc macros, and what they need, are for the host if features are kept apart at all.
    fn purpose_of(&self, to: PackageId, from: FeaturesFor, kind: DependencyKind) -> FeaturesFor {
        let is_macro = self.packages.get(&to).is_some_and(|package| package.is_proc_macro());
        let host = from == FeaturesFor::Host || kind == DependencyKind::Build || is_macro;
        match host && self.features.features.contains_key(&(to, FeaturesFor::Host)) {
            true => FeaturesFor::Host,
            false => FeaturesFor::Target,
        }
    }
}
