//! `metadata --format-version 1`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bulkhead_resolver::lock as resolved_lock;
use bulkhead_resolver::{Member, Outcome, Request, Resolve, features};
use bulkhead_schema::{Dependency, DependencyKind, Diagnostic, PackageId, Symbol};
use bulkhead_unit_graph::{CompileKind, Toolchain};
use bulkhead_workspace::metadata::{metadata_json, package_id_spec};
use serde::Serialize;

use crate::client::project_client;
use crate::error::Result;
use crate::lock::{self, LockRequest, Locked};
use crate::options::{FeatureOptions, GlobalOptions, MetadataOptions};
use crate::packages::Described;
use crate::project::{self, Project};
use crate::{Error, Event, compile, overrides, packages, status};

/// The answer after `packages`, with Cargo's keys in Cargo's order.
#[derive(Serialize)]
struct Rest<'a> {
    workspace_members: Vec<String>,
    workspace_default_members: Vec<String>,
    resolve: Option<Graph<'a>>,
    target_directory: &'a Path,
    build_directory: &'a Path,
    version: u32,
    workspace_root: &'a Path,
    metadata: &'a Option<serde_json::Value>,
}

#[derive(Serialize)]
struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    root: Option<String>,
}

#[derive(Serialize)]
struct Node<'a> {
    id: &'a str,
    dependencies: Vec<&'a str>,
    deps: Vec<Link<'a>>,
    features: &'a BTreeSet<Symbol>,
}

#[derive(Serialize)]
struct Link<'a> {
    name: String,
    pkg: &'a str,
    dep_kinds: Vec<Kind>,
}

#[derive(Serialize)]
struct Kind {
    kind: Option<&'static str>,
    target: Option<String>,
}

/// The whole answer, in the shape of `cargo metadata`, as JSON without line ends.
///
/// # Errors
/// The project cannot be resolved or fetched.
pub fn metadata(global: &GlobalOptions, options: &MetadataOptions, events: &(dyn Fn(Event) + Sync)) -> Result<String> {
    let project = project::open(global, events)?;
    let target_dir = compile::target_dir(global, None, &project)?;
    let resolved = match options.no_deps {
        true => None,
        false => Some(resolved(global, options, &project, events)?),
    };
    let workspace = &project.workspace;
    let spec = |id: &PackageId| package_id_spec(*id);
    let packages: Vec<Cow<'_, str>> = match &resolved {
        Some((packages, _)) => packages.values().map(|package| package.json.as_str().into()).collect(),
        None => {
            let members = workspace.members.iter();
            let written = members.map(|package| serde_json::to_string(&metadata_json(package)).map(Cow::from));
            written.collect::<std::result::Result<_, _>>().map_err(not_text)?
        }
    };
    let nodes = resolved.iter().flat_map(|(_, resolve)| resolve.nodes.keys());
    let specs: Specs = nodes.map(|id| (*id, package_id_spec(*id))).collect();
    let answer = Rest {
        workspace_members: workspace.members.iter().map(|package| spec(&package.id)).collect(),
        workspace_default_members: workspace.default_members.iter().map(spec).collect(),
        resolve: resolved.as_ref().map(|(packages, resolve)| Graph {
            nodes: resolve.nodes.iter().map(|(id, found)| node(*id, found, packages, &specs)).collect(),
            root: workspace.current.map(package_id_spec),
        }),
        target_directory: &target_dir,
        build_directory: &target_dir,
        version: 1,
        workspace_root: &workspace.root,
        metadata: &workspace.metadata,
    };
    global.place.disk.may_repeat();
    let rest = serde_json::to_string(&answer).map_err(not_text)?;
    // What is known of packages is JSON already, and by far the most of it: it is copied once.
    let length = packages.iter().map(|package| package.len() + 1).sum::<usize>();
    let mut text = String::with_capacity(length + rest.len() + 32);
    text.push_str("{\"packages\":[");
    for (position, package) in packages.iter().enumerate() {
        text.push_str(if position == 0 { "" } else { "," });
        text.push_str(package);
    }
    text.push_str("],");
    text.push_str(rest.trim_start_matches('{'));
    // The process ends here: to take tens of thousands of small things apart is of use to nobody.
    std::mem::forget(answer);
    std::mem::forget(packages);
    std::mem::forget((specs, resolved, project));
    Ok(text)
}

fn not_text(error: serde_json::Error) -> Error {
    Error::failure("a path is not UTF-8").because(error)
}

type Packages = BTreeMap<PackageId, Described>;
type Specs = BTreeMap<PackageId, String>;

fn resolved(
    global: &GlobalOptions,
    options: &MetadataOptions,
    project: &Project,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(Packages, Resolve)> {
    let toolchain = compile::platforms(global, project, &options.filter_platforms)?;
    let client = project_client(global, project)?;
    let request = LockRequest { rustc: Some(toolchain.release.clone()), ..LockRequest::keep() };
    let mut locked = lock::resolve(global, project, &client, &request, events)?;
    status::report_changes(&locked, events);
    let mut part = targeted(project, &locked, &options.features)?;
    if !options.filter_platforms.is_empty() {
        retain_platforms(project, part.get_or_insert_with(|| locked.resolve.clone()), &toolchain);
    }
    let wanted: BTreeSet<PackageId> = part.as_ref().unwrap_or(&locked.resolve).nodes.keys().copied().collect();
    let packages = packages::describe(global, project, &mut locked, &wanted, &client, events)?;
    let resolve = part.unwrap_or_else(|| std::mem::take(&mut locked.resolve));
    std::mem::forget(locked);
    Ok((packages, resolve))
}

/// The part of the locked graph that the requested features reach, with development dependencies. `None` if that is all.
fn targeted(project: &Project, locked: &Locked<'_>, options: &FeatureOptions) -> Result<Option<Resolve>> {
    let workspace = &project.workspace;
    let summaries: Vec<_> = workspace.members.iter().map(|package| Arc::clone(&package.summary)).collect();
    let requested =
        features::requested(&summaries, &options.features, options.all_features, options.no_default_features)
            .map_err(|error| Error::from(Diagnostic::from(error)))?;
    if workspace.members.iter().all(|package| package.summary.features.is_empty()) {
        // There is nothing to leave out: the lockfile's graph has all features of the members.
        return Ok(None);
    }
    let requested: BTreeMap<_, _> = requested.into_iter().collect();
    let path_packages: Vec<_> = workspace.path_packages.values().map(|package| Arc::clone(&package.summary)).collect();
    let whole = locked.original.as_ref().unwrap_or(&locked.resolve);
    // A lockfile that did not change says of the graph what a new one would.
    let unchanged = locked.previous.as_ref().filter(|_| !locked.changed);
    let rewritten = || resolved_lock::decode(&resolved_lock::encode(whole, 4), &summaries);
    let previous = unchanged.map_or_else(|| Cow::Owned(rewritten()), Cow::Borrowed);
    let mut request = Request::for_lockfile(&summaries, &path_packages, Some(&previous));
    request.members = summaries
        .iter()
        .map(|summary| Member {
            summary: Arc::clone(summary),
            features: requested.get(&summary.id).cloned().unwrap_or_default(),
            development: true,
        })
        .collect();
    request.patches = &locked.patches;
    match bulkhead_resolver::resolve(&request, &locked.sources) {
        Ok(Outcome::Resolved(mut resolve)) => {
            overrides::record(&mut resolve, locked.sources.stand_ins());
            Ok(Some(overrides::substituted(resolve)))
        }
        Ok(Outcome::Missing(names)) => Err(Error::failure(format!("the index was not loaded for {names:?}"))),
        Err(error) => Err(Diagnostic::from(error).into()),
    }
}

/// `--filter-platform`: what no named platform needs is left out. Cargo does not ask for whom build code runs.
fn retain_platforms(project: &Project, resolve: &mut Resolve, toolchain: &Toolchain) {
    let named = toolchain.platforms.iter().filter(|(kind, _)| **kind != CompileKind::Host);
    let named: Vec<_> = named.map(|(_, info)| info).collect();
    let matches = |dependency: &Dependency| {
        let platform = dependency.platform.as_ref();
        platform.is_none_or(|platform| named.iter().any(|info| platform.matches(&info.triple, &info.cfg)))
    };
    for node in resolve.nodes.values_mut() {
        // An edge that some platform needs is told with all its declarations.
        node.dependencies.retain(|edge| edge.declared.iter().any(matches));
    }
    let mut reached = BTreeSet::new();
    let mut pending: Vec<_> = project.workspace.members.iter().map(|package| package.id).collect();
    while let Some(id) = pending.pop() {
        if reached.insert(id) {
            pending.extend(resolve.nodes.get(&id).into_iter().flat_map(|node| &node.dependencies).map(|edge| edge.id));
        }
    }
    resolve.nodes.retain(|id, _| reached.contains(id));
}

fn node<'a>(id: PackageId, node: &'a bulkhead_resolver::Node, packages: &Packages, specs: &'a Specs) -> Node<'a> {
    let spec = |id: PackageId| specs.get(&id).map_or("", String::as_str);
    let mut deps = Vec::new();
    for edge in &node.dependencies {
        // One entry per name by which the package is used.
        let mut by_name: BTreeMap<String, Vec<&Dependency>> = BTreeMap::new();
        for declared in &edge.declared {
            by_name.entry(extern_name(declared, packages.get(&edge.id))).or_default().push(declared);
        }
        let pkg = spec(edge.id);
        deps.extend(by_name.into_iter().map(|(name, declared)| Link { name, pkg, dep_kinds: kinds(&declared) }));
    }
    let dependencies = node.dependencies.iter().map(|edge| spec(edge.id)).collect();
    Node { id: spec(id), dependencies, deps, features: &node.features }
}

/// The name under which Rust code uses the dependency: its new name, or that of the library. Empty without a library.
fn extern_name(dependency: &Dependency, package: Option<&Described>) -> String {
    match (dependency.rename, package.and_then(|package| package.library.as_ref())) {
        (_, None) => String::new(),
        (Some(rename), _) => rename.replace('-', "_"),
        (None, Some(library)) => library.clone(),
    }
}

fn kinds(declared: &[&Dependency]) -> Vec<Kind> {
    // Platforms have an order of their own, which is not that of their texts.
    let mut kinds: Vec<_> = declared.iter().map(|dependency| (dependency.kind, dependency.platform.as_ref())).collect();
    kinds.sort();
    kinds.dedup();
    let name = |kind| match kind {
        DependencyKind::Normal => None,
        DependencyKind::Development => Some("dev"),
        DependencyKind::Build => Some("build"),
    };
    kinds
        .into_iter()
        .map(|(kind, platform)| Kind { kind: name(kind), target: platform.map(ToString::to_string) })
        .collect()
}
