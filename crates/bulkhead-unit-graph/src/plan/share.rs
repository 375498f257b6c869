//! Folding: without `--target`, what the program and the build scripts need alike is built once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bulkhead_schema::{Diagnostic, PackageId, Symbol};
use bulkhead_workspace::{DebugInfo, Profile, Strip, Target};

use super::draft::{Draft, Key, Node, NodeIndex};
use crate::{CompileKind, CompileMode, Unit, UnitDependency, UnitGraph, UnitIndex};

/// Orders the nodes with dependencies first, folds equal ones, and settles what depends on neighbours.
pub(super) fn finish(draft: &Draft<'_>, roots: &[NodeIndex]) -> Result<UnitGraph, Diagnostic> {
    let order = dependencies_first(draft, roots)?;
    let program = Probes::new(draft, &order);
    let mut sharing = Sharing { units: UnitGraph::default(), known: HashMap::new(), profiles: HashMap::new() };
    let mut placed: Vec<Option<UnitIndex>> = vec![None; draft.nodes.len()];
    for &index in &order {
        let unit = sharing.unit(draft, index, &placed, &program);
        placed[index] = Some(sharing.place(unit));
    }
    let mut graph = sharing.units;
    for root in roots.iter().filter_map(|&root| placed[root]) {
        if !graph.roots.contains(&root) {
            graph.roots.push(root);
        }
    }
    Ok(graph)
}

/// Depth first without recursion, so that no manifest can exhaust the stack.
fn dependencies_first(draft: &Draft<'_>, roots: &[NodeIndex]) -> Result<Vec<NodeIndex>, Diagnostic> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; draft.nodes.len()];
    let mut order = Vec::with_capacity(draft.nodes.len());
    for &root in roots {
        let mut stack = vec![(root, 0)];
        while let Some((node, next)) = stack.pop() {
            if next == 0 {
                match states[node] {
                    State::New => states[node] = State::Open,
                    State::Done => continue,
                    State::Open => return Err(cycle(&draft.nodes[node])),
                }
            }
            let Some(edge) = draft.nodes[node].dependencies.get(next) else {
                states[node] = State::Done;
                order.push(node);
                continue;
            };
            stack.push((node, next + 1));
            match states[edge.node] {
                State::New => stack.push((edge.node, 0)),
                State::Open => return Err(cycle(&draft.nodes[edge.node])),
                State::Done => {}
            }
        }
    }
    Ok(order)
}

fn cycle(node: &Node) -> Diagnostic {
    let message = format!("cyclic dependency: building `{}` of `{}` needs itself", node.target.name, node.key.package);
    Diagnostic::error("plan-cycle", message)
}

/// The units that the program needs at their full debug level, for build-script units to join.
struct Probes(HashSet<(PackageId, usize, CompileMode, Vec<Symbol>, Profile)>);

impl Probes {
    fn new(draft: &Draft<'_>, order: &[NodeIndex]) -> Self {
        if draft.input.request.platforms.iter().any(|platform| *platform != CompileKind::Host) {
            return Self(HashSet::new());
        }
        let program = order.iter().map(|&index| &draft.nodes[index]).filter(|node| node.shared_debug.is_none());
        Self(program.map(|node| Self::key(node, node.profile.debug)).collect())
    }

    fn key(node: &Node, debug: DebugInfo) -> (PackageId, usize, CompileMode, Vec<Symbol>, Profile) {
        let Key { package, target, mode, .. } = node.key;
        // What is stripped follows from the debug level, so that it must not keep equal units apart.
        let profile = Profile { debug, strip: Strip::None, ..node.profile.clone() };
        (package, target, mode, node.features.iter().copied().collect(), profile)
    }

    fn contain(&self, node: &Node, debug: DebugInfo) -> bool {
        self.0.contains(&Self::key(node, debug))
    }
}

struct Sharing {
    units: UnitGraph,
    known: HashMap<Identity, UnitIndex>,
    profiles: HashMap<Profile, Arc<Profile>>,
}

/// What makes two units the same, their dependencies included.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    package: PackageId,
    target: Arc<Target>,
    mode: CompileMode,
    platform: CompileKind,
    profile: Arc<Profile>,
    features: Vec<Symbol>,
    dependencies: Vec<(UnitIndex, Symbol)>,
}

impl Sharing {
    fn unit(&mut self, draft: &Draft<'_>, index: NodeIndex, placed: &[Option<UnitIndex>], program: &Probes) -> Unit {
        let node = &draft.nodes[index];
        let explicit = !draft.input.request.platforms.contains(&CompileKind::Host);
        let platform = match node.key.platform {
            CompileKind::Target(triple) if triple == draft.input.toolchain.host && !explicit => CompileKind::Host,
            other => other,
        };
        let mut dependencies: Vec<UnitDependency> = node
            .dependencies
            .iter()
            .filter_map(|edge| {
                let unit = placed[edge.node]?;
                Some(UnitDependency { unit, extern_crate_name: edge.extern_crate_name })
            })
            .collect();
        let rank = |dependency: &UnitDependency| self.units.unit(dependency.unit).rank();
        dependencies.sort_by(|a, b| rank(a).cmp(&rank(b)).then(a.cmp(b)));
        dependencies.dedup();
        let profile = self.settle(node, &dependencies, program, explicit);
        Unit {
            package: Arc::clone(&node.package),
            target: Arc::clone(&node.target),
            mode: node.key.mode,
            platform,
            profile: Arc::clone(self.profiles.entry(profile.clone()).or_insert_with(|| Arc::new(profile))),
            features: (*node.features).clone(),
            is_host_dependency: node.key.purpose.for_host,
            is_local: node.package.id.source().is_path(),
            dependencies,
        }
    }

    /// The final debug level and what is stripped.
    fn settle(&self, node: &Node, dependencies: &[UnitDependency], program: &Probes, explicit: bool) -> Profile {
        let mut profile = node.profile.clone();
        let full = node.shared_debug.unwrap_or(profile.debug);
        // The standard library's debug information is dropped where nobody else has any, unless a manifest set `strip`.
        if node.strip_is_default {
            let none = |dependency: &UnitDependency| self.units.unit(dependency.unit).profile.debug == DebugInfo::None;
            let bare = full == DebugInfo::None && dependencies.iter().all(none);
            profile.strip = if bare { Strip::DebugInfo } else { Strip::None };
        }
        if node.shared_debug.is_some() && (explicit || program.contain(node, full)) {
            profile.debug = full;
        }
        profile
    }

    fn place(&mut self, unit: Unit) -> UnitIndex {
        let identity = Identity {
            package: unit.package.id,
            target: Arc::clone(&unit.target),
            mode: unit.mode,
            platform: unit.platform,
            profile: Arc::clone(&unit.profile),
            features: unit.features.iter().copied().collect(),
            dependencies: unit.dependencies.iter().map(|each| (each.unit, each.extern_crate_name)).collect(),
        };
        if let Some(&known) = self.known.get(&identity) {
            self.units.units[known.0 as usize].is_host_dependency &= unit.is_host_dependency;
            return known;
        }
        let index = UnitIndex(u32::try_from(self.units.units.len()).unwrap_or(u32::MAX));
        self.units.units.push(unit);
        self.known.insert(identity, index);
        index
    }
}
