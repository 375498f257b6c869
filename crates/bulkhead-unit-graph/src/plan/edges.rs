//! What each unit depends on.

use bulkhead_schema::{Dependency, DependencyKind, Diagnostic, PackageId, Symbol};
use bulkhead_workspace::{CrateType, Target, TargetKind};

use super::draft::{Draft, Edge, Key, NodeIndex, Purpose, runs_on_host};
use super::required_features;
use crate::request::Intent;
use crate::{CompileKind, CompileMode};

/// Adds the dependencies of all nodes, and the nodes these need in turn.
pub(super) fn complete(draft: &mut Draft<'_>) -> Result<(), Diagnostic> {
    let mut next = 0;
    while next < draft.nodes.len() {
        let mut edges = match draft.nodes[next].key.mode {
            CompileMode::RunBuildScript if draft.is_given(next) => Vec::new(),
            CompileMode::RunBuildScript => vec![script_of_run(draft, next)?],
            CompileMode::Doc => doc_edges(draft, next)?,
            _ => compile_edges(draft, next)?,
        };
        let mut seen = std::collections::HashSet::new();
        edges.retain(|edge| seen.insert(edge.node));
        draft.nodes[next].dependencies = edges;
        next += 1;
    }
    Ok(())
}

fn compile_edges(draft: &mut Draft<'_>, index: NodeIndex) -> Result<Vec<Edge>, Diagnostic> {
    let mut edges = Vec::new();
    for (id, name, development) in library_dependencies(draft, index)? {
        edges.extend(library_edge(draft, index, id, name, development)?);
    }
    let node = &draft.nodes[index];
    if node.target.is_build_script() {
        return Ok(edges);
    }
    let (is_lib, mode) = (node.target.is_lib(), node.key.mode);
    edges.extend(run_edge(draft, index)?);
    if is_lib && mode != CompileMode::Doctest {
        return Ok(edges);
    }
    edges.extend(own_library_edge(draft, index)?);
    let target = &draft.nodes[index].target;
    if mode == CompileMode::Test && matches!(target.kind, TargetKind::Test | TargetKind::Bench) {
        edges.extend(program_edges(draft, index)?);
    }
    Ok(edges)
}

/// rustdoc reads the metadata of the dependencies; with `--deps` these are documented too.
fn doc_edges(draft: &mut Draft<'_>, index: NodeIndex) -> Result<Vec<Edge>, Diagnostic> {
    let with_dependencies = draft.input.request.intent == (Intent::Doc { dependencies: true });
    let mut edges = Vec::new();
    for (id, name, development) in library_dependencies(draft, index)? {
        let edge = library_edge(draft, index, id, name, development)?;
        edges.extend(edge);
        if let Some(edge) = edge.filter(|edge| with_dependencies && draft.nodes[edge.node].target.doc) {
            let key = Key { mode: CompileMode::Doc, ..draft.nodes[edge.node].key };
            edges.push(Edge { node: draft.node(key)?, ..edge });
        }
    }
    edges.extend(run_edge(draft, index)?);
    if matches!(draft.nodes[index].target.kind, TargetKind::Bin | TargetKind::Example(_)) {
        let library = own_library_edge(draft, index)?;
        edges.extend(library);
        if let Some(edge) = library.filter(|edge| draft.nodes[edge.node].target.doc) {
            let key = Key { mode: CompileMode::Doc, ..draft.nodes[edge.node].key };
            edges.push(Edge { node: draft.node(key)?, ..edge });
        }
    }
    Ok(edges)
}

/// The packages whose libraries the unit needs, the name under which it knows each (if it renamed it), and whether only
/// development dependencies lead there.
fn library_dependencies(
    draft: &Draft<'_>,
    index: NodeIndex,
) -> Result<Vec<(PackageId, Option<Symbol>, bool)>, Diagnostic> {
    let node = &draft.nodes[index];
    let Some(resolved) = draft.input.resolve.nodes.get(&node.key.package) else { return Ok(Vec::new()) };
    let platform = draft.platform(node.key.platform)?;
    let applies = |dependency: &Dependency| {
        let of_kind = match dependency.kind {
            DependencyKind::Build => node.target.is_build_script(),
            DependencyKind::Normal => !node.target.is_build_script(),
            DependencyKind::Development => !node.target.is_build_script() && wants_development(&node.target, &node.key),
        };
        let on_platform = || dependency.platform.as_ref().is_none_or(|p| p.matches(&platform.triple, &platform.cfg));
        let purpose = node.key.purpose.features;
        let activated = || draft.is_activated(node.key.package, purpose, dependency.name_in_manifest());
        of_kind && on_platform() && (!dependency.optional || activated())
    };
    let mut found = Vec::new();
    for edge in &resolved.dependencies {
        let declared: Vec<&Dependency> = edge.declared.iter().filter(|dependency| applies(dependency)).collect();
        let Some(first) = declared.first() else { continue };
        let development = declared.iter().all(|dependency| dependency.kind == DependencyKind::Development);
        found.push((edge.id, first.rename, development));
    }
    Ok(found)
}

fn wants_development(target: &Target, key: &Key) -> bool {
    let doctest = key.mode == CompileMode::Doctest;
    doctest || key.mode.is_test() || matches!(target.kind, TargetKind::Test | TargetKind::Example(_))
}

/// The edge to the library of package `id`, unless it has none.
fn library_edge(
    draft: &mut Draft<'_>,
    dependent: NodeIndex,
    id: PackageId,
    rename: Option<Symbol>,
    development: bool,
) -> Result<Option<Edge>, Diagnostic> {
    let package = draft.package(id)?;
    let Some(position) = package.targets.iter().position(|target| target.is_lib()) else { return Ok(None) };
    let library = &package.targets[position];
    let Key { mode, platform, purpose, .. } = draft.nodes[dependent].key;
    let key = Key {
        package: id,
        target: position,
        mode: mode_of_dependency(mode, library),
        platform: if runs_on_host(library) { CompileKind::Host } else { platform },
        purpose: purpose.dependency(&draft.nodes[dependent].target, library),
    };
    let name = rename.map_or_else(|| library.crate_name(), |name| name.replace('-', "_"));
    Ok(Some(Edge { node: draft.node(key)?, extern_crate_name: Symbol::new(&name), development }))
}

/// What a check needs of its dependencies is metadata, except from those that run.
fn mode_of_dependency(mode: CompileMode, library: &Target) -> CompileMode {
    match mode {
        CompileMode::Check | CompileMode::CheckTest | CompileMode::Doc if !runs_on_host(library) => CompileMode::Check,
        _ => CompileMode::Build,
    }
}

/// Programs, tests, examples and doctests link the library of their own package.
fn own_library_edge(draft: &mut Draft<'_>, dependent: NodeIndex) -> Result<Option<Edge>, Diagnostic> {
    let node = &draft.nodes[dependent];
    let Some(library) = node.package.library().filter(|library| is_linkable(library)) else { return Ok(None) };
    let name = Symbol::new(&library.crate_name());
    library_edge(draft, dependent, draft.nodes[dependent].key.package, Some(name), false)
}

/// Whether Rust code can depend on the library.
pub(super) fn is_linkable(target: &Target) -> bool {
    let linkable = [CrateType::Lib, CrateType::Rlib, CrateType::Dylib, CrateType::ProcMacro];
    matches!(&target.kind, TargetKind::Lib(types) if types.iter().any(|each| linkable.contains(each)))
}

/// The edge to the run of the package's own build script.
fn run_edge(draft: &mut Draft<'_>, dependent: NodeIndex) -> Result<Option<Edge>, Diagnostic> {
    let node = &draft.nodes[dependent];
    let Some(position) = node.package.targets.iter().position(|target| target.is_build_script()) else {
        return Ok(None);
    };
    let name = Symbol::new(&node.package.targets[position].crate_name());
    let key = Key { target: position, mode: CompileMode::RunBuildScript, ..node.key };
    Ok(Some(Edge { node: draft.node(key)?, extern_crate_name: name, development: false }))
}

/// A run needs the compiled script. What it needs of other scripts is added by [`super::links`].
fn script_of_run(draft: &mut Draft<'_>, run: NodeIndex) -> Result<Edge, Diagnostic> {
    let node = &draft.nodes[run];
    let name = Symbol::new(&node.target.crate_name());
    let purpose = node.key.purpose.script();
    let key = Key { mode: CompileMode::Build, platform: CompileKind::Host, purpose, ..node.key };
    Ok(Edge { node: draft.node(key)?, extern_crate_name: name, development: false })
}

/// Integration tests and benchmarks may start the package's programs (`CARGO_BIN_EXE_<name>`).
fn program_edges(draft: &mut Draft<'_>, dependent: NodeIndex) -> Result<Vec<Edge>, Diagnostic> {
    let Key { package: id, platform, purpose, .. } = draft.nodes[dependent].key;
    let package = std::sync::Arc::clone(&draft.nodes[dependent].package);
    let mut edges = Vec::new();
    for (position, target) in package.targets.iter().enumerate() {
        let available = required_features::missing(draft, id, purpose.features, target).is_empty();
        if target.kind != TargetKind::Bin || !available {
            continue;
        }
        let key = Key { package: id, target: position, mode: CompileMode::Build, platform, purpose: Purpose::PROGRAM };
        let name = Symbol::new(&target.crate_name());
        edges.push(Edge { node: draft.node(key)?, extern_crate_name: name, development: false });
    }
    Ok(edges)
}
