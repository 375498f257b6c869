//! Packages on this machine in the place of exact others: `[replace]` of the root manifest, which the lockfile records,
//! and `paths` of the configuration, of which the lockfile knows nothing (Cargo Book, "Overriding Dependencies").
//!
//! The resolver is told that the original has the dependencies of its replacement; in the graph that it finds the one then
//! takes the place of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_config::Config;
use bulkhead_resolver::{Node, Outcome, Registry as _, Request, Resolve, lock};
use bulkhead_schema::{Dependency, Diagnostic, PackageId, PackageName, PackageSpec, SourceId, Summary};
use bulkhead_workspace::{Package, Workspace};

use crate::error::Result;
use crate::lock::Locked;
use crate::sources::{Freshness, Need, Sources};
use crate::{Error, Event, disk};

/// A package that takes the place of others.
#[derive(Debug, Clone)]
pub struct StandIn {
    /// Of which.
    replaced: Replaced,
    /// The package.
    pub package: Arc<Package>,
}

#[derive(Debug, Clone)]
enum Replaced {
    /// `[replace]`
    Exactly { spec: PackageSpec, shown: String },
    /// `paths`
    Named(PackageName),
}

impl StandIn {
    /// Whether it takes the place of `id`.
    pub fn replaces(&self, id: PackageId) -> bool {
        match &self.replaced {
            _ if id.source().is_path() => false,
            Replaced::Exactly { spec, .. } => spec.matches(id),
            Replaced::Named(name) => *name == id.name() && is_compatible(id.version(), self.package.id.version()),
        }
    }

    /// What the resolver is told of `original`.
    pub fn summary(&self, original: &Summary) -> Arc<Summary> {
        Arc::new(Summary {
            id: original.id,
            checksum: original.checksum.clone(),
            yanked: original.yanked,
            ..(*self.package.summary).clone()
        })
    }
}

/// The folders of `paths`, in order.
///
/// # Errors
/// It is no list of strings.
pub fn configured(config: &Config) -> Result<Vec<PathBuf>> {
    let base = config.current_dir();
    Ok(config.list("paths")?.into_iter().map(|value| value.definition.base(base).join(value.value)).collect())
}

/// Those folders of `paths` that the project's own configuration names.
///
/// # Errors
/// As [`configured`].
pub fn of_project(config: &Config) -> Result<Vec<PathBuf>> {
    let base = config.current_dir();
    let named = config.list("paths")?.into_iter().filter(|value| value.definition.is_repository());
    Ok(named.map(|value| disk::normalize(&value.definition.base(base).join(value.value))).collect())
}

/// Tells `sources` of `[replace]`, with the packages that it names.
///
/// # Errors
/// A specification that is none, or a replacement that is not there.
pub fn replacements(workspace: &Workspace, sources: &mut Sources<'_>, events: &dyn Fn(Event)) -> Result<()> {
    let mut found = Vec::new();
    for replacement in &workspace.replacements {
        let text = &replacement.spec;
        let shown = if text.contains("://") {
            text.clone()
        } else {
            format!("{}#{}", SourceId::crates_io().url(), text.replace(':', "@"))
        };
        let spec = PackageSpec::parse(&shown)
            .map_err(|error| Error::failure(format!("the key `{text}` of `[replace]` is no package")).because(error))?;
        let dependency = &replacement.dependency;
        let local = workspace.members.iter().chain(workspace.path_packages.values());
        let mut local = local.filter(|package| package.id.source() == dependency.source);
        let there = match dependency.source.is_git() {
            true => in_repository(dependency, sources, events)?,
            false => local.find(|package| package.id.name() == dependency.package).map(Arc::clone),
        };
        let Some(package) = there else { return Err(no_match(&shown, dependency.source)) };
        found.push(StandIn { replaced: Replaced::Exactly { spec, shown }, package });
    }
    sources.stand_in(found);
    Ok(())
}

/// The package of a repository that a replacement names.
fn in_repository(
    dependency: &Dependency,
    sources: &mut Sources<'_>,
    events: &dyn Fn(Event),
) -> Result<Option<Arc<Package>>> {
    let (source, name) = (dependency.source, dependency.package);
    let wanted = BTreeSet::from([(source, name)]);
    sources.load(&wanted, Freshness::Cached, Need::Likely, events)?;
    if sources.versions(source, name).is_none() {
        sources.load(&wanted, Freshness::Current, Need::Required, events)?;
    }
    let Some(entry) = sources.versions(source, name).and_then(|versions| versions.last()) else { return Ok(None) };
    let summary = sources.summary(PackageId::new(name, entry.version.clone(), source))?;
    Ok(sources.unpacked(summary.id).map(Arc::clone))
}

fn no_match(shown: &str, source: SourceId) -> Error {
    let location = source.local_path().map_or_else(|| source.to_string(), |path| path.display().to_string());
    Error::failure(format!("no matching package for override `{shown}` found"))
        .because(format!("location searched: {location}"))
        .help("a replacement is a folder with a package of the same name and version; `[patch]` can do more")
}

/// Whether Cargo takes one for an update of the other.
fn is_compatible(a: &semver::Version, b: &semver::Version) -> bool {
    let range = |version: &semver::Version| match (version.major, version.minor, version.patch) {
        (0, 0, patch) => (0, 0, patch),
        (0, minor, _) => (0, minor, 0),
        (major, _, _) => (major, 0, 0),
    };
    range(a) == range(b)
}

/// Checks and records what replaces what in `resolve`. Returns the graph before, if anything takes the place of anything.
///
/// # Errors
/// A replacement that is used is not of the version that it replaces.
pub fn recorded(
    workspace: &Workspace,
    resolve: &mut Resolve,
    stand_ins: &[StandIn],
    events: &dyn Fn(Event),
) -> Result<Option<Resolve>> {
    if stand_ins.is_empty() && workspace.overrides.is_empty() {
        return Ok(None);
    }
    for stand_in in stand_ins {
        let Replaced::Exactly { shown, .. } = &stand_in.replaced else { continue };
        let replaced: Vec<_> = resolve.nodes.keys().filter(|id| stand_in.replaces(**id)).collect();
        if replaced.is_empty() {
            events(Event::Warning(format!("package replacement is not used: {shown}")));
        }
        if replaced.iter().any(|id| id.version() != stand_in.package.id.version()) {
            return Err(no_match(shown, stand_in.package.id.source()));
        }
    }
    let original = resolve.clone();
    record(resolve, stand_ins);
    Ok(Some(original))
}

/// `paths`, with the packages in those folders.
pub fn paths(workspace: &Workspace) -> Vec<StandIn> {
    let packages = workspace.overrides.iter().filter_map(|id| workspace.package(*id));
    packages
        .map(|package| StandIn { replaced: Replaced::Named(package.id.name()), package: Arc::clone(package) })
        .collect()
}

/// Writes into `resolve` what replaces what, as the lockfile has it: both are in the graph, the original without
/// dependencies.
pub fn record(resolve: &mut Resolve, stand_ins: &[StandIn]) {
    if stand_ins.is_empty() {
        return;
    }
    let mut added = BTreeMap::new();
    for (&id, node) in &mut resolve.nodes {
        let Some(StandIn { package, .. }) = stand_ins.iter().find(|stand_in| stand_in.replaces(id)) else { continue };
        let dependencies = std::mem::take(&mut node.dependencies);
        let features = node.features.clone();
        added.insert(package.id, Node { summary: Arc::clone(&package.summary), dependencies, features });
        resolve.replacements.insert(id, package.id);
    }
    resolve.nodes.extend(added);
}

/// The graph that is built: originals are gone.
pub fn substituted(mut resolve: Resolve) -> Resolve {
    let replacements = std::mem::take(&mut resolve.replacements);
    if replacements.is_empty() {
        return resolve;
    }
    resolve.nodes.retain(|id, _| !replacements.contains_key(id));
    for node in resolve.nodes.values_mut() {
        for edge in &mut node.dependencies {
            edge.id = replacements.get(&edge.id).copied().unwrap_or(edge.id);
        }
        node.dependencies.sort_by_key(|edge| edge.id);
    }
    resolve
}

/// Puts the packages that `[replace]` took out of the graph into it again, as their sources have them: whoever copies all
/// packages copies them too, since the lockfile names them. What `paths` took out stays out.
///
/// # Errors
/// Their source does not have them.
pub fn restore_replaced(locked: &mut Locked<'_>) -> Result<()> {
    let Some(original) = &locked.original else { return Ok(()) };
    let exact = |stand_in: &&StandIn| matches!(stand_in.replaced, Replaced::Exactly { .. });
    for (&id, node) in &original.nodes {
        if locked.sources.stand_ins().iter().filter(exact).any(|stand_in| stand_in.replaces(id)) {
            let summary = locked.sources.own_summary(id)?;
            locked
                .resolve
                .nodes
                .insert(id, Node { summary, dependencies: Vec::new(), features: node.features.clone() });
        }
    }
    Ok(())
}

/// The graph that is built, once the lockfile has been written, and the one in which nothing takes the place of anything:
/// for `paths`, of which the lockfile knows nothing, it is found anew.
///
/// # Errors
/// A package of `paths` needs something that is not there.
pub fn built(
    workspace: &Workspace,
    (resolve, original): (Resolve, Option<Resolve>),
    sources: &mut Sources<'_>,
    events: &dyn Fn(Event),
) -> Result<(Resolve, Option<Resolve>)> {
    let paths = paths(workspace);
    let Some(original) = original else { return Ok((resolve, None)) };
    if paths.is_empty() {
        return Ok((substituted(resolve), Some(original)));
    }
    warn_of_altered(&original, &paths, events);
    sources.stand_in(paths);
    let members: Vec<_> = workspace.members.iter().map(|package| Arc::clone(&package.summary)).collect();
    let local: Vec<_> = workspace.path_packages.values().map(|package| Arc::clone(&package.summary)).collect();
    let known: Vec<_> = members.iter().chain(&local).cloned().collect();
    let previous = lock::decode(&lock::encode(&original, 4), &known);
    let question = Request::for_lockfile(&members, &local, Some(&previous));
    let mut wanted = BTreeSet::new();
    loop {
        match bulkhead_resolver::resolve(&question, sources) {
            Ok(Outcome::Resolved(mut resolve)) => {
                let original = resolve.clone();
                record(&mut resolve, sources.stand_ins());
                return Ok((substituted(resolve), Some(original)));
            }
            Ok(Outcome::Missing(names)) if !names.is_subset(&wanted) => {
                sources.load(&names, Freshness::Current, Need::Required, events)?;
                wanted.extend(names);
            }
            Ok(Outcome::Missing(names)) => return Err(Error::failure(format!("nothing is known of {names:?}"))),
            Err(error) => return Err(Diagnostic::from(error).into()),
        }
    }
}

/// Warns of folders of `paths` whose packages need something else than what they take the place of.
pub fn warn_of_altered(resolve: &Resolve, stand_ins: &[StandIn], events: &dyn Fn(Event)) {
    const ADVICE: &str = "This is currently allowed but is known to produce buggy behavior with spurious\n\
        recompiles and changes to the crate graph. Path overrides unfortunately were\n\
        never intended to support this feature, so for now this message is just a\n\
        warning. In the future, however, this message will become a hard error.\n\n\
        To change the dependency graph via an override it's recommended to use the\n\
        `[patch]` feature of Cargo instead of the path override feature. This is\n\
        documented online at the url below for more information.\n\n\
        https://doc.rust-lang.org/cargo/reference/overriding-dependencies.html";
    for stand_in in stand_ins {
        let Some((_, node)) = resolve.nodes.iter().find(|(id, _)| stand_in.replaces(**id)) else { continue };
        let (own, mut original) = (&stand_in.package.summary.dependencies, node.summary.dependencies.clone());
        let added = own.iter().find(|dependency| {
            let known = original.iter().position(|other| other == *dependency);
            known.map(|place| original.remove(place)).is_none()
        });
        let change = match (added, original.first()) {
            (Some(added), _) => format!(
                "the dependency on `{}` was either added or\nmodified to not match the previously resolved version",
                added.package
            ),
            (None, Some(removed)) => format!("the dependency on `{}` was removed", removed.package),
            (None, None) => continue,
        };
        let name = stand_in.package.id.name();
        events(Event::Warning(format!(
            "path override for crate `{name}` has altered the original list of\ndependencies; {change}\n\n{ADVICE}\n"
        )));
    }
}
