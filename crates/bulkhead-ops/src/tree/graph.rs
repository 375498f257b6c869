//! The graph to be drawn: packages and features, and who leads to whom for what.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bulkhead_resolver::{ActivatedFeatures, FeaturesFor, MemberFeatures, Resolve};
use bulkhead_schema::platform::Cfg;
use bulkhead_schema::{Dependency, DependencyKind, FeatureValue, PackageId, Summary, Symbol};
use bulkhead_unit_graph::CompileKind;

use crate::packages::Sketch;

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edges {
    pub(super) normal: bool,
    pub(super) build: bool,
    pub(super) development: bool,
    /// Features as nodes of their own.
    pub(super) features: bool,
    /// Dependencies on procedural macros.
    pub(super) macros: bool,
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

/// For what a node leads to another. In the order in which they are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EdgeKind {
    Normal,
    Build,
    Development,
    /// A feature leads to its package and to what it switches on.
    Feature,
}

impl From<DependencyKind> for EdgeKind {
    fn from(kind: DependencyKind) -> Self {
        match kind {
            DependencyKind::Normal => Self::Normal,
            DependencyKind::Build => Self::Build,
            DependencyKind::Development => Self::Development,
        }
    }
}

/// A feature that another one switches on.
struct Meant {
    feature: NodeIndex,
    /// Whether what it switches on in turn has still to be looked at.
    to_follow: bool,
}

/// Position of a node in a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeIndex(usize);

impl NodeIndex {
    pub(super) fn number(self) -> usize {
        self.0
    }
}

/// A package, and what resolution knows of it.
#[derive(Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) sketch: &'a Sketch,
    summary: &'a Summary,
}

/// What stands in a line.
pub(super) enum Subject<'a> {
    /// A package with one set of features, for one platform: it may be there several times.
    Package { package: Drawn<'a>, features: &'a BTreeSet<Symbol>, platform: CompileKind },
    /// A feature that somebody asks for.
    Feature { of: NodeIndex, name: Symbol, by_command_line: bool },
}

/// A line and where it leads.
pub(super) struct Node<'a> {
    pub(super) subject: Subject<'a>,
    /// Sorted as they are drawn.
    pub(super) edges: Vec<(EdgeKind, NodeIndex)>,
}

/// Packages, features and edges.
pub(super) struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    packages: BTreeMap<(PackageId, &'a BTreeSet<Symbol>, CompileKind), NodeIndex>,
    /// The nodes of the places that were come by: several may have one.
    places: HashMap<Place, NodeIndex>,
    features: BTreeMap<(NodeIndex, Symbol), NodeIndex>,
}

/// The platforms' names and properties.
pub(super) type Platforms<'a> = BTreeMap<CompileKind, (&'a str, &'a [Cfg])>;

/// What a [`Graph`] is built from.
pub(super) struct Input<'a, 'b> {
    pub(super) resolve: &'a Resolve,
    pub(super) features: &'a ActivatedFeatures,
    pub(super) packages: &'a BTreeMap<PackageId, Sketch>,
    pub(super) edges: Edges,
    /// The platforms that are compiled for.
    pub(super) targets: &'b [CompileKind],
    /// By these, dependencies are left out; `None` for none.
    pub(super) platforms: Option<&'b Platforms<'b>>,
    /// Where it begins, and what is asked of each.
    pub(super) members: &'b [(PackageId, MemberFeatures)],
}

/// A package, and as what it is built.
type Place = (PackageId, FeaturesFor, CompileKind);

/// The packages that a package's dependencies lead to, by the name that its manifest gives them; whether the dependency
/// is optional.
type Named = BTreeMap<(NodeIndex, Symbol), BTreeSet<(NodeIndex, bool)>>;

impl<'a> Graph<'a> {
    /// What the members lead to.
    pub(super) fn build(input: &Input<'a, '_>) -> Self {
        let (nodes, packages, places, features) = Default::default();
        let mut graph = Self { nodes, packages, places, features };
        let links = graph.visit(input);
        let mut named = Named::new();
        for (from, declared, place) in links {
            let Some(to) = graph.find(place) else { continue };
            if input.edges.features {
                named.entry((from, declared.name_in_manifest())).or_default().insert((to, declared.optional));
                graph.link(from, declared, to);
            } else {
                graph.edge(from, EdgeKind::from(declared.kind), to);
            }
        }
        if input.edges.features {
            graph.ask(input, &named);
            graph.expand(&named);
        }
        graph.sort();
        graph
    }

    /// Adds the packages, and returns what leads from which to which: of a package that is depended on first what leads on from
    /// it, then what leads to it. It is the order in which Cargo comes by features, which decides how some are drawn.
    fn visit(&mut self, input: &Input<'a, '_>) -> Vec<(NodeIndex, &'a Dependency, Place)> {
        enum Step<'a> {
            Enter(Place),
            Link(NodeIndex, &'a Dependency, Place),
        }
        let mut pending: Vec<Step<'a>> = Vec::new();
        for (id, _) in input.members.iter().rev() {
            pending.extend(input.targets.iter().rev().map(|kind| Step::Enter(input.member(*id, *kind))));
        }
        let mut links = Vec::new();
        while let Some(step) = pending.pop() {
            let place = match step {
                Step::Enter(place) => place,
                Step::Link(from, declared, to) => {
                    links.push((from, declared, to));
                    continue;
                }
            };
            if self.places.contains_key(&place) {
                continue;
            }
            let Some((package, features)) = input.package(place) else { continue };
            let key = (place.0, features, place.2);
            if let Some(known) = self.packages.get(&key) {
                self.places.insert(place, *known);
                continue;
            }
            let index = self.add(Subject::Package { package, features, platform: place.2 });
            self.packages.insert(key, index);
            self.places.insert(place, index);
            for (declared, place) in input.dependencies(place).into_iter().rev() {
                pending.push(Step::Link(index, declared, place));
                pending.push(Step::Enter(place));
            }
        }
        links
    }

    fn add(&mut self, subject: Subject<'a>) -> NodeIndex {
        self.nodes.push(Node { subject, edges: Vec::new() });
        NodeIndex(self.nodes.len() - 1)
    }

    fn find(&self, place: Place) -> Option<NodeIndex> {
        self.places.get(&place).copied()
    }

    /// Through the features that are asked for.
    fn link(&mut self, from: NodeIndex, declared: &Dependency, to: NodeIndex) {
        let kind = EdgeKind::from(declared.kind);
        let default = declared.default_features.then(|| Symbol::new("default"));
        let wanted: Vec<Symbol> = default.into_iter().chain(declared.features.iter().copied()).collect();
        if wanted.is_empty() {
            self.edge(from, kind, to);
            return;
        }
        for feature in wanted {
            let feature = self.feature(to, feature);
            self.edge(from, kind, feature);
        }
    }

    fn edge(&mut self, from: NodeIndex, kind: EdgeKind, to: NodeIndex) {
        self.nodes[from.0].edges.push((kind, to));
    }

    /// The node of a feature, which leads to its package.
    fn feature(&mut self, of: NodeIndex, name: Symbol) -> NodeIndex {
        self.feature_or_new(of, name).0
    }

    /// The same, and whether nobody had come by it before.
    fn feature_or_new(&mut self, of: NodeIndex, name: Symbol) -> (NodeIndex, bool) {
        if let Some(known) = self.features.get(&(of, name)) {
            return (*known, false);
        }
        let index = self.add(Subject::Feature { of, name, by_command_line: false });
        self.edge(index, EdgeKind::Feature, of);
        self.features.insert((of, name), index);
        (index, true)
    }

    /// The features that the command line asks of the members.
    fn ask(&mut self, input: &Input<'a, '_>, named: &Named) {
        for (id, wanted) in input.members {
            for kind in input.targets {
                let Some(member) = self.find(input.member(*id, *kind)) else { continue };
                let mut values: Vec<FeatureValue> = wanted.features.iter().copied().collect();
                if wanted.all {
                    let known = input.resolve.nodes.get(id).into_iter().flat_map(|node| node.summary.features.keys());
                    values.extend(known.map(|name| FeatureValue::Feature(*name)));
                }
                if wanted.default {
                    values.push(FeatureValue::Feature(Symbol::new("default")));
                }
                for value in values {
                    for meant in self.meant(member, value, named) {
                        self.mark(meant.feature);
                    }
                }
            }
        }
    }

    fn mark(&mut self, feature: NodeIndex) {
        if let Subject::Feature { by_command_line, .. } = &mut self.nodes[feature.0].subject {
            *by_command_line = true;
        }
    }

    /// The features that a value in a feature of `package` switches on.
    fn meant(&mut self, package: NodeIndex, value: FeatureValue, named: &Named) -> Vec<Meant> {
        match value {
            FeatureValue::Feature(name) => {
                let (feature, is_new) = self.feature_or_new(package, name);
                vec![Meant { feature, to_follow: is_new }]
            }
            FeatureValue::Dependency(_) => Vec::new(),
            FeatureValue::DependencyFeature { dependency, feature, weak } => {
                let mut found = Vec::new();
                for (to, optional) in named.get(&(package, dependency)).into_iter().flatten() {
                    if *optional && !weak {
                        found.push(Meant { feature: self.feature(package, dependency), to_follow: false });
                    }
                    let (feature, is_new) = self.feature_or_new(*to, feature);
                    found.push(Meant { feature, to_follow: is_new });
                }
                found
            }
        }
    }

    /// Follows every feature that somebody asks for to those that it switches on, each as soon as it is come by. As with Cargo,
    /// the feature of an optional dependency is not followed if what brought it up first was a feature *of* that dependency.
    fn expand(&mut self, named: &Named) {
        for asked in (0..self.nodes.len()).map(NodeIndex) {
            let mut pending: Vec<_> =
                self.values_of(asked).map(|(of, values)| (asked, of, values)).into_iter().collect();
            while let Some((from, of, values)) = pending.last_mut() {
                let (from, of) = (*from, *of);
                let Some(value) = values.next() else {
                    pending.pop();
                    continue;
                };
                let mut to_follow = Vec::new();
                for meant in self.meant(of, value, named) {
                    self.edge(from, EdgeKind::Feature, meant.feature);
                    to_follow.extend(meant.to_follow.then_some(meant.feature));
                }
                for feature in to_follow.into_iter().rev() {
                    pending.extend(self.values_of(feature).map(|(of, values)| (feature, of, values)));
                }
            }
        }
    }

    /// The package of a feature, and what the feature switches on. `None` for packages.
    fn values_of(&self, feature: NodeIndex) -> Option<(NodeIndex, std::vec::IntoIter<FeatureValue>)> {
        let Subject::Feature { of, name, .. } = self.nodes.get(feature.0)?.subject else { return None };
        let Subject::Package { package, .. } = &self.nodes.get(of.0)?.subject else { return None };
        let values = package.summary.features.get(&name).cloned().unwrap_or_default();
        Some((of, values.into_iter()))
    }

    /// The nodes in the order in which they are drawn: packages before features, by name and version.
    fn ranks(&self) -> Vec<usize> {
        let key = |index: usize| match &self.nodes[index].subject {
            Subject::Package { package, features, platform } => (Some((package.sketch.id, *features, *platform)), None),
            Subject::Feature { of, name, .. } => (None, Some((*of, *name))),
        };
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_cached_key(|index| {
            let (package, feature) = key(*index);
            (package.is_none(), package, feature)
        });
        let mut ranks = vec![0; order.len()];
        order.into_iter().enumerate().for_each(|(rank, index)| ranks[index] = rank);
        ranks
    }

    fn sort(&mut self) {
        let ranks = self.ranks();
        for node in &mut self.nodes {
            node.edges.sort_by_key(|(kind, to)| (*kind, ranks[to.0]));
            node.edges.dedup();
        }
    }

    /// How many nodes there are.
    pub(super) fn size(&self) -> usize {
        self.nodes.len()
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

    /// The package that a node is.
    pub(super) fn package(&self, index: NodeIndex) -> Option<&'a Sketch> {
        match &self.nodes[index.0].subject {
            Subject::Package { package, .. } => Some(package.sketch),
            Subject::Feature { .. } => None,
        }
    }

    /// The nodes of some packages, in their order.
    pub(super) fn nodes_of(&self, packages: &BTreeSet<PackageId>) -> Vec<NodeIndex> {
        // The map has them in that order.
        self.packages.iter().filter(|((id, ..), _)| packages.contains(id)).map(|(_, index)| *index).collect()
    }

    /// Packages whose name occurs with several versions or sources, or that are built with several sets of features.
    pub(super) fn duplicates(&self) -> BTreeSet<PackageId> {
        let mut by_name: BTreeMap<_, BTreeSet<(PackageId, &BTreeSet<Symbol>)>> = BTreeMap::new();
        for (id, features, _) in self.packages.keys() {
            by_name.entry(id.name()).or_default().insert((*id, features));
        }
        by_name.into_values().filter(|found| found.len() > 1).flatten().map(|(id, _)| id).collect()
    }
}

impl<'a> Input<'a, '_> {
    /// A member as it is built: a procedural macro is for the host, and so are the packages that its tests need.
    fn member(&self, id: PackageId, kind: CompileKind) -> Place {
        let is_macro = self.packages.get(&id).is_some_and(|package| package.is_proc_macro);
        let apart = self.features.features.contains_key(&(id, FeaturesFor::Host));
        match is_macro {
            true => (id, if apart { FeaturesFor::Host } else { FeaturesFor::Target }, CompileKind::Host),
            false => (id, FeaturesFor::Target, kind),
        }
    }

    fn package(&self, (id, purpose, _): Place) -> Option<(Drawn<'a>, &'a BTreeSet<Symbol>)> {
        let package = Drawn { sketch: self.packages.get(&id)?, summary: &self.resolve.nodes.get(&id)?.summary };
        Some((package, self.features.features.get(&(id, purpose))?))
    }

    /// Where a package's active dependencies lead.
    fn dependencies(&self, place: Place) -> Vec<(&'a Dependency, Place)> {
        let Some(node) = self.resolve.nodes.get(&place.0) else { return Vec::new() };
        let active = self.features.dependencies.get(&(place.0, place.1));
        let of_member = self.members.iter().any(|(member, _)| *member == place.0);
        let mut found = Vec::new();
        for edge in &node.dependencies {
            let is_macro = self.packages.get(&edge.id).is_some_and(|package| package.is_proc_macro);
            if is_macro && !self.edges.macros {
                continue;
            }
            let wanted = |declared: &&Dependency| {
                (declared.kind != DependencyKind::Development || of_member)
                    && self.applies(place.2, declared)
                    && (!declared.optional || active.is_some_and(|it| it.contains(&declared.name_in_manifest())))
            };
            for declared in edge.declared.iter().filter(wanted) {
                found.push((declared, self.place_of(edge.id, is_macro, place, declared.kind)));
            }
        }
        found
    }

    /// Whether such dependencies are drawn, on this platform.
    fn applies(&self, kind: CompileKind, dependency: &Dependency) -> bool {
        // A build script runs here, whatever it builds for.
        let kind = if dependency.kind == DependencyKind::Build { CompileKind::Host } else { kind };
        self.edges.wants(dependency.kind)
            && match (&dependency.platform, self.platforms) {
                (Some(platform), Some(known)) => {
                    known.get(&kind).is_some_and(|(triple, cfg)| platform.matches(triple, cfg))
                }
                _ => true,
            }
    }

    /// Build dependencies and proc macros, and what they need, are for the host, and have features of their own if
    /// features are kept apart at all.
    fn place_of(&self, to: PackageId, is_macro: bool, from: Place, kind: DependencyKind) -> Place {
        let host = kind == DependencyKind::Build || is_macro;
        let wants_host = host || from.1 == FeaturesFor::Host;
        let purpose = match wants_host && self.features.features.contains_key(&(to, FeaturesFor::Host)) {
            true => FeaturesFor::Host,
            false => FeaturesFor::Target,
        };
        (to, purpose, if host { CompileKind::Host } else { from.2 })
    }
}
