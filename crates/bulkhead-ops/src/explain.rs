//! `explain`: why a package is in the graph, why in this version, and why with these features.

mod answer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bulkhead_resolver::ActivatedFeatures;
use bulkhead_resolver::why::{self, Facts};
use bulkhead_schema::manifest::dependency_line;
use bulkhead_schema::{Dependency, Diagnostic, PackageId, PackageSpec};

use crate::client::project_client;
use crate::compile::{self, Wanted};
use crate::error::Result;
use crate::lock::{self, LockRequest, Locked};
use crate::options::{ExplainOptions, GlobalOptions};
use crate::packages::Purpose;
use crate::project::Project;
use crate::sources::{Freshness, Need};
use crate::{Error, Event, preferences, project, select, status};

pub use answer::Answer;

/// Ways to a package that are listed, without and with `-v`.
const PATHS: (usize, usize) = (5, 100);

/// Largest manifest that is looked into for a line.
const MAX_MANIFEST: u64 = 1 << 20;

/// One answer for each locked package that the specification means. Downloads no package: what has to be known stands in
/// manifests, lockfile and index.
///
/// # Errors
/// The project cannot be resolved; the specification means no package.
pub fn explain(
    global: &GlobalOptions,
    options: &ExplainOptions,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Vec<Answer>> {
    let project = project::open(global, events)?;
    let selected = select::members(&project.workspace, &options.packages, events)?;
    let toolchain = compile::platforms(global, &project, &options.platforms)?;
    let client = project_client(global, &project)?;
    let request = LockRequest { rustc: Some(toolchain.release.clone()), ..LockRequest::keep() };
    let mut locked = lock::resolve(global, &project, &client, &request, events)?;
    status::report_changes(&locked, events);
    let wanted = Wanted {
        features: &options.features,
        development: true,
        selected: &selected,
        toolchain: &toolchain,
        targets: compile::requested_platforms(&compile::platforms_of(&toolchain)),
        purpose: Purpose::Look,
    };
    let requested = compile::requested(&wanted)?;
    // Whether a package is a proc macro only tells for whom it is built, which makes no difference to these answers.
    let features = compile::activated(&project, &locked, &requested, &wanted, &|_| false)?;
    let packages = meant(&locked, &options.spec)?;
    let names: BTreeSet<_> = packages.iter().map(|id| (id.source(), id.name())).collect();
    locked.sources.load(&names, Freshness::Cached, Need::Likely, events)?;
    let members: Vec<PackageId> = project.workspace.members.iter().map(|package| package.id).collect();
    let rust_versions = preferences::rust_versions(&project, &request)?;
    let facts = Facts {
        resolve: &locked.resolve,
        features: &features,
        selected: &requested,
        members: &members,
        registry: &locked.sources,
        previous: locked.previous.as_ref(),
        rust_versions: &rust_versions,
        age: locked.age.as_ref(),
        max_paths: if global.verbose > 0 { PATHS.1 } else { PATHS.0 },
    };
    let mut lines = Lines { global, project: &project, texts: BTreeMap::new() };
    let explained = packages.into_iter().filter_map(|id| why::explain(&facts, id));
    Ok(explained.map(|explanation| answer::answer(&explanation, &mut lines)).collect())
}

/// What holds back each package of which a newer version was not taken, a note each.
///
/// # Errors
/// The configuration about `rust-version` is wrong.
pub fn behind(global: &GlobalOptions, project: &Project, locked: &Locked<'_>, events: &dyn Fn(Event)) -> Result<()> {
    let members: Vec<PackageId> = project.workspace.members.iter().map(|package| package.id).collect();
    let rust_versions = match locked.rust_version {
        Some(_) => preferences::rust_versions(project, &LockRequest::keep())?,
        None => Vec::new(),
    };
    let facts = Facts {
        resolve: &locked.resolve,
        features: &ActivatedFeatures::default(),
        selected: &[],
        members: &members,
        registry: &locked.sources,
        previous: locked.previous.as_ref(),
        rust_versions: &rust_versions,
        age: locked.age.as_ref(),
        max_paths: 0,
    };
    let mut lines = Lines { global, project, texts: BTreeMap::new() };
    let told =
        locked.changes.packages.iter().filter(|change| change.available.is_some() || change.requires_rust.is_some());
    for explanation in told.filter_map(|change| why::explain(&facts, change.id())) {
        let answer = answer::answer(&explanation, &mut lines);
        for newer in &answer.newer {
            for reason in &newer.held_back {
                let message = format!("{}: {} is not taken, since {}", answer.shown, newer.version, reason.message);
                events(Event::Note(message));
            }
        }
    }
    Ok(())
}

fn meant(locked: &Locked<'_>, spec: &str) -> Result<Vec<PackageId>> {
    let parsed = PackageSpec::parse(spec)
        .map_err(|error| Error::failure(format!("invalid package ID specification: `{spec}`")).because(error))?;
    let found: Vec<PackageId> = locked.resolve.nodes.keys().copied().filter(|id| parsed.matches(*id)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let error = Error::failure(format!("package ID specification `{spec}` did not match any packages"));
    let wanted = parsed.name().map_or(spec, |name| name.as_str());
    let same = locked.resolve.nodes.keys().filter(|id| id.name().as_str() == wanted);
    let same: Vec<String> = same.map(|id| format!("{}@{}", id.name(), id.version())).collect();
    if !same.is_empty() {
        return Err(error.help(format!("the graph has {}", same.join(", "))));
    }
    let distance = |id: &&PackageId| bulkhead_schema::edit_distance::distance(id.name().as_str(), wanted);
    let near = locked.resolve.nodes.keys().min_by_key(distance).filter(|id| distance(id) <= 3);
    Err(match near {
        Some(id) => error.help(format!("a package with a similar name exists: `{}`", id.name())),
        None => error.help("only packages of the graph can be explained; `Cargo.lock` lists them"),
    })
}

/// Where dependencies of local packages stand.
struct Lines<'a> {
    global: &'a GlobalOptions,
    project: &'a Project,
    texts: BTreeMap<PackageId, Option<Arc<str>>>,
}

impl Lines<'_> {
    /// `app/Cargo.toml:7`, below the workspace's root.
    fn place(&mut self, by: PackageId, dependency: &Dependency) -> Option<String> {
        place(self.global, self.project, by, dependency, &mut self.texts)
    }
}

fn place(
    global: &GlobalOptions,
    project: &Project,
    by: PackageId,
    dependency: &Dependency,
    texts: &mut BTreeMap<PackageId, Option<Arc<str>>>,
) -> Option<String> {
    let workspace = &project.workspace;
    let mut local = workspace.members.iter().chain(workspace.path_packages.values());
    let path: &Path = &local.find(|package| package.id == by)?.manifest_path;
    let read = || global.place.disk.read_text(path, MAX_MANIFEST).ok().map(Arc::from);
    let text = texts.entry(by).or_insert_with(read).as_ref()?;
    let line = dependency_line(path, text, dependency)?;
    Some(format!("{}:{line}", path.strip_prefix(&workspace.root).unwrap_or(path).display()))
}

/// A failed resolution, with the lines of the local manifests that its sentences speak of.
pub fn located(error: bulkhead_resolver::ResolveError, global: &GlobalOptions, project: &Project) -> Diagnostic {
    let mut error = error;
    let mut texts = BTreeMap::new();
    for requirement in std::mem::take(&mut error.local) {
        let place = place(global, project, requirement.by, &requirement.dependency, &mut texts);
        if let (Some(place), Some(line)) = (place, error.because.get_mut(requirement.line)) {
            line.push_str(&format!(" at {place}"));
        }
    }
    error.into()
}
