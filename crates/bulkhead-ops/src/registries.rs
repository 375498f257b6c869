//! The registries that the user or the manifests name. No other is ever asked, whatever an index entry says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bulkhead_resolver::{Registry as _, Request};
use bulkhead_schema::{Dependency, DependencyKind, PackageName, SourceId, SourceKind, Summary};

use crate::configuration::Configuration;
use crate::error::Result;
use crate::project::Project;
use crate::sources::Sources;
use crate::{Error, ErrorKind};

/// The registry that configuration calls `name`, if it does.
///
/// # Errors
/// Its address is none, or is one that servers or programs could read in different ways.
pub fn named(configuration: &Configuration, name: &str) -> std::result::Result<Option<SourceId>, String> {
    if name == "crates-io" {
        return Ok(Some(SourceId::crates_io()));
    }
    let registry = configuration.config.registry(name).map_err(|diagnostic| diagnostic.message)?;
    let Some(index) = registry.index else { return Ok(None) };
    SourceId::registry(&index.value)
        .map(Some)
        .map_err(|error| format!("invalid index URL for registry `{name}` defined in {}: {error}", index.definition))
}

/// The registry that `--registry NAME` means, which people will read of by that name.
///
/// # Errors
/// Nothing defines it, or wrongly.
pub fn required(configuration: &Configuration, name: &str) -> Result<SourceId> {
    let unknown = || Error::failure(format!("registry index was not found in any configuration: `{name}`"));
    Ok(named(configuration, name).map_err(Error::failure)?.ok_or_else(unknown)?.called(name))
}

/// The registry that `--registry` or `--index` names, else `registry.default`, else the public one.
///
/// # Errors
/// Nothing defines it, or the public one is replaced: then it has to be named, so that nobody is misled.
pub fn chosen(configuration: &Configuration, name: Option<&str>, index: Option<&str>) -> Result<SourceId> {
    let source = meant(configuration, name, index)?;
    let is_named = name.is_some() || index.is_some() || configuration.config.string("registry.default")?.is_some();
    if !is_named && let Some(replacement) = configuration.config.sources()?.replacement(source)? {
        return Err(Error::failure(format!(
            "crates-io is replaced with non-remote-registry source registry `{}`;\ninclude `--registry crates-io` to \
             use crates.io",
            replacement.name
        )));
    }
    Ok(source)
}

/// The same for a command that reads packages as a build does: from what replaces the registry, if something does.
///
/// # Errors
/// Nothing defines it.
pub fn meant(configuration: &Configuration, name: Option<&str>, index: Option<&str>) -> Result<SourceId> {
    if let Some(index) = index {
        return SourceId::registry(index).map_err(|error| Error::failure(error.to_string()));
    }
    let default = configuration.config.string("registry.default")?;
    let chosen = name.map(str::to_owned).or(default.map(|default| default.value));
    chosen.map_or_else(|| Ok(SourceId::crates_io()), |name| required(configuration, &name))
}

/// The registries of which manifests and configuration speak.
pub fn known(project: &Project) -> BTreeSet<SourceId> {
    let workspace = &project.workspace;
    let packages = workspace.members.iter().chain(workspace.path_packages.values());
    let declared = packages.flat_map(|package| package.summary.dependencies.iter().map(|dependency| dependency.source));
    let patched = workspace.patches.iter().map(|patch| patch.source);
    let addresses = project.configuration.config.registry_addresses();
    let configured = addresses.iter().filter_map(|address| SourceId::registry(address).ok());
    declared.chain(patched).chain(configured).chain([SourceId::crates_io()]).collect()
}

/// Refuses, before anything is asked, packages from registries that nobody named.
///
/// # Errors
/// One of `missing` is such a package; the error tells on whose behalf it would be asked for.
pub fn refuse_unnamed(
    missing: &BTreeSet<(SourceId, PackageName)>,
    question: &Request<'_>,
    sources: &Sources<'_>,
) -> Result<()> {
    let unnamed = missing.iter().find(|(source, _)| !sources.may_ask(*source));
    let Some(&(source, name)) = unnamed else { return Ok(()) };
    let message = format!("`{name}` would come from a registry that nobody named: `{}`", source.registry_name());
    let error = Error::new(ErrorKind::Policy, message);
    let error = match chain(source, name, question, sources) {
        Some(chain) => error.because(format!("it is wanted by {}", chain.join(" → "))),
        None => error,
    };
    let address = match source.kind() {
        SourceKind::SparseRegistry => source.to_string(),
        _ => source.url().to_owned(),
    };
    Err(error
        .because("an index entry of another registry points there, and index entries do not choose whom you talk to")
        .help(format!("if you want it, define it in your own configuration: [registries.NAME] index = {address:?}")))
}

/// Whether a registry is one of `known`; what is not a registry on the network is no matter of names.
pub fn is_named(source: SourceId, known: &BTreeSet<SourceId>) -> bool {
    !matches!(source.kind(), SourceKind::Registry | SourceKind::SparseRegistry) || known.contains(&source)
}

/// Who wants `name` of `source`, from a member of the workspace on, through the newest versions that fit.
fn chain(source: SourceId, name: PackageName, question: &Request<'_>, sources: &Sources<'_>) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<(SourceId, PackageName), Vec<String>> = BTreeMap::new();
    let mut waiting = VecDeque::new();
    let mut visit = |summary: &Summary, path: &[String], waiting: &mut VecDeque<(Dependency, Vec<String>)>| {
        let member = path.is_empty();
        let mut path = path.to_vec();
        path.push(format!("{} v{}", summary.id.name(), summary.id.version()));
        let wanted = summary.dependencies.iter().filter(|it| member || it.kind != DependencyKind::Development);
        for dependency in wanted {
            if came_from.insert((dependency.source, dependency.package), path.clone()).is_none() {
                waiting.push_back((dependency.clone(), path.clone()));
            }
        }
    };
    question.members.iter().for_each(|member| visit(&member.summary, &[], &mut waiting));
    question.path_packages.iter().for_each(|summary| visit(summary, &[], &mut waiting));
    while let Some((dependency, mut path)) = waiting.pop_front() {
        if (dependency.source, dependency.package) == (source, name) {
            path.push(name.to_string());
            return Some(path);
        }
        let versions = sources.versions(dependency.source, dependency.package).unwrap_or_default();
        let newest = versions.iter().rev().find(|entry| dependency.requirement.matches(&entry.version));
        let summary = newest.and_then(|entry| {
            let id = bulkhead_schema::PackageId::new(dependency.package, entry.version.clone(), dependency.source);
            sources.summary(id).ok()
        });
        if let Some(summary) = summary {
            visit(&summary, &path, &mut waiting);
        }
    }
    None
}
