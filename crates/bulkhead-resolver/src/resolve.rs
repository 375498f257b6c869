//! The result of resolution: a graph of exact packages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_schema::{Dependency, PackageId, Summary, Symbol};

/// The packages chosen and who depends on whom, for all platforms and all workspace members at once; what `Cargo.lock`
/// records.
#[derive(Debug, Clone, Default)]
pub struct Resolve {
    /// Every package in the graph.
    pub nodes: BTreeMap<PackageId, Node>,
    /// `[[patch.unused]]`: patches that no dependency matched.
    pub unused_patches: Vec<PackageId>,
    /// `[replace]`: packages in whose place others stand, which are nodes too and have their dependencies.
    pub replacements: BTreeMap<PackageId, PackageId>,
    /// `[metadata]` of an old lockfile that Cargo keeps, verbatim.
    pub metadata: BTreeMap<String, String>,
}

/// One package of a [`Resolve`].
#[derive(Debug, Clone)]
pub struct Node {
    /// Its summary.
    pub summary: Arc<Summary>,
    /// The packages its dependencies lead to, sorted by id.
    pub dependencies: Vec<ResolvedDependency>,
    /// Features activated anywhere in the workspace, as version-1 unification has it. What is compiled is decided by
    /// [`crate::features`].
    pub features: BTreeSet<Symbol>,
}

/// An edge of a [`Resolve`].
#[derive(Debug, Clone)]
pub struct ResolvedDependency {
    /// The package depended on.
    pub id: PackageId,
    /// Every dependency declaration that leads there: a package may name another as a normal, build and development
    /// dependency, per platform, and under several names.
    pub declared: Vec<Dependency>,
}
