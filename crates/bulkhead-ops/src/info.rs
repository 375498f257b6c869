//! `info`: what a package says of itself, as the workspace uses it or as the registry has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bulkhead_resolver::Registry as _;
use bulkhead_schema::credential::index_url;
use bulkhead_schema::index::VersionEntry;
use bulkhead_schema::{PackageId, PackageName, PackageSpec, SourceId};
use bulkhead_source::Client;
use bulkhead_unit_graph::CompileKind;
use bulkhead_workspace::{Package, find_manifest};
use semver::Version;

use crate::add::request::other_spellings;
use crate::client::client;
use crate::configuration::Configuration;
use crate::error::Result;
use crate::lock::{self, LockRequest, Locked};
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::sources::{Freshness, Need, Sources};
use crate::{
    Error, ErrorKind, Event, compile, configuration, manifests, packages, probe, project, registries, status,
    toolchain, versions,
};

/// Which package, and where.
#[derive(Debug, Clone)]
pub struct InfoOptions {
    /// `SPEC`: a name, perhaps with a version.
    pub spec: String,
    /// `--registry`
    pub registry: Option<String>,
    /// `--index`
    pub index: Option<String>,
    /// What replaces the public registry will do: the package is wanted as a build would get it.
    pub as_built: bool,
}

/// What is known of a package.
pub struct Info {
    /// The package. Its texts are untrusted.
    pub package: Arc<Package>,
    /// Its folder relative to the current one, if it is part of the workspace.
    pub folder: Option<String>,
    /// The highest version that the registry has, if it is another.
    pub latest: Option<Version>,
    /// Whether the workspace uses exactly this version.
    pub used: bool,
    /// When the registry says that it was published, in seconds since 1970-01-01 UTC.
    pub published: Option<i64>,
}

/// Finds a package: in the workspace, among its locked packages, or in a registry.
///
/// # Errors
/// There is no such package; it cannot be fetched or is not what was promised.
pub fn info(global: &GlobalOptions, options: &InfoOptions, events: &(dyn Fn(Event) + Sync)) -> Result<Info> {
    let invalid =
        |error| Error::failure(format!("invalid package ID specification: `{}`", options.spec)).because(error);
    let spec = PackageSpec::parse(&options.spec).map_err(invalid)?;
    let project = open(global, events)?;
    let outside;
    let configuration = match &project {
        Some(project) => &project.configuration,
        None => {
            refuse_lock_flags(global)?;
            outside = configuration::load(global, events)?;
            &outside
        }
    };
    let (registry, index) = (options.registry.as_deref(), options.index.as_deref());
    let choose = if options.as_built { registries::meant } else { registries::chosen };
    let source = choose(configuration, registry, index)?;
    let client = client(global, configuration)?;
    let wanted = |id: PackageId| {
        let elsewhere = (registry.is_some() || index.is_some()) && id.source() != source;
        spec.matches(id) && !elsewhere
    };
    if let Some(project) = &project {
        if let Some(info) = of_member(global, project, &|package| spec.matches(package.id)) {
            return Ok(info);
        }
        if let Some(info) = of_locked(global, project, &client, &wanted, events)? {
            return Ok(info);
        }
    }
    of_registry(global, project.as_ref(), configuration, &client, source, &spec, &options.spec, events)
}

fn open(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<Option<Project>> {
    match find_manifest(&global.place.disk, &global.place.current_dir) {
        Ok(_) => project::open(global, events).map(Some),
        Err(_) => Ok(None),
    }
}

fn refuse_lock_flags(global: &GlobalOptions) -> Result<()> {
    let flag = match (global.lock.locked, global.lock.offline) {
        (true, true) => "--frozen",
        (true, false) => "--locked",
        _ => return Ok(()),
    };
    Err(Error::failure(format!("the option `{flag}` can only be used within a workspace")))
}

/// A package whose manifest is the user's own.
fn of_member(global: &GlobalOptions, project: &Project, wanted: &dyn Fn(&Package) -> bool) -> Option<Info> {
    let package = project.workspace.members.iter().find(|package| wanted(package))?;
    let folder = Some(relative(&package.root, &global.place.current_dir));
    Some(Info { package: Arc::clone(package), folder, latest: None, used: false, published: None })
}

/// `./` and the way from `from` to `to`.
fn relative(to: &Path, from: &Path) -> String {
    let up = from.ancestors().take_while(|folder| !to.starts_with(folder)).count();
    let common = from.ancestors().nth(up).unwrap_or(from);
    let rest = to.strip_prefix(common).unwrap_or(to);
    format!("./{}{}", "../".repeat(up), rest.display())
}

/// A package that the lockfile has. Of several, the one that the current package names, then the highest.
fn of_locked(
    global: &GlobalOptions,
    project: &Project,
    client: &Client,
    wanted: &dyn Fn(PackageId) -> bool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Option<Info>> {
    let toolchain = compile::platforms(global, project, &[])?;
    let request = LockRequest { rustc: Some(toolchain.release), ..LockRequest::keep() };
    let mut locked = match lock::resolve(global, project, client, &request, events) {
        Ok(locked) => locked,
        // Nothing may be locked, so nothing is; the registry may have the package all the same.
        Err(_) if global.lock.locked => return Ok(None),
        Err(error) => return Err(error),
    };
    status::report_changes(&locked, events);
    let current = manifests::member(&project.workspace, None)?;
    let named = |id: PackageId| {
        let dependencies = current.iter().flat_map(|package| &package.summary.dependencies);
        dependencies.into_iter().any(|it| it.package == id.name() && it.requirement.matches(id.version()))
    };
    let candidates = locked.resolve.nodes.keys().copied().filter(|id| wanted(*id));
    let Some(id) = candidates.max_by_key(|id| (named(*id), id.version().clone())) else { return Ok(None) };
    let package: Option<Arc<Package>> = packages::load_for(
        packages::Purpose::Look,
        global,
        project,
        &mut locked,
        &BTreeSet::from([id]),
        client,
        events,
    )?
    .remove(&id);
    let latest = latest(&locked, id);
    let published = published(&locked.sources, id);
    Ok(package.map(|package| Info { package, folder: None, latest, used: true, published }))
}

/// When a version was published, as far as its registry's answers are known here.
pub fn published(sources: &Sources<'_>, id: PackageId) -> Option<i64> {
    let versions = sources.versions(id.source(), id.name()).unwrap_or_default();
    versions.iter().find(|entry| entry.version == *id.version())?.pubtime
}

fn latest(locked: &Locked<'_>, id: PackageId) -> Option<Version> {
    let versions = locked.sources.versions(id.source(), id.name()).unwrap_or_default();
    highest(versions).filter(|version| version > id.version())
}

fn highest(versions: &[VersionEntry]) -> Option<Version> {
    versions.iter().filter(|entry| !entry.yanked).map(|entry| entry.version.clone()).max()
}

#[expect(clippy::too_many_arguments, reason = "each is one thing that the search needs")]
fn of_registry(
    global: &GlobalOptions,
    project: Option<&Project>,
    configuration: &Configuration,
    client: &Client,
    source: SourceId,
    spec: &PackageSpec,
    text: &str,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Info> {
    let absent = || Error::failure(format!("could not find `{text}` in registry `{}`", index_url(source)));
    let name = spec.name().and_then(|name| PackageName::registry(name.as_str()).ok()).ok_or_else(absent)?;
    let mut sources = versions::sources(global, project, configuration, client, source)?;
    let name = published_name(&mut sources, source, name, client, events)?.ok_or_else(absent)?;
    if spec.name() != Some(name) {
        events(Event::Warning(format!("translating `{}` to `{name}`", spec.name().unwrap_or(name))));
    }
    let versions = sources.versions(source, name).unwrap_or_default().to_vec();
    let id = |entry: &VersionEntry| PackageId::new(name, entry.version.clone(), source);
    // The version alone: the name may have been spelt differently.
    let version = text.split_once('@').map(|(_, version)| PackageSpec::parse(&format!("{name}@{version}")));
    let meant = version.transpose().ok().flatten();
    let fits = |entry: &&VersionEntry| !entry.yanked && meant.as_ref().is_none_or(|spec| spec.matches(id(entry)));
    let rust = rust_version(global, project, configuration)?;
    let suits = |entry: &&VersionEntry| entry.rust_version.as_ref().is_none_or(|needed| *needed <= rust);
    let mut fitting: Vec<&VersionEntry> = versions.iter().filter(fits).collect();
    if fitting.iter().any(|entry| entry.version.pre.is_empty()) {
        fitting.retain(|entry| entry.version.pre.is_empty());
    }
    let best = fitting.iter().copied().filter(suits).max_by_key(|entry| &entry.version);
    let best = best.or_else(|| fitting.iter().copied().max_by_key(|entry| &entry.version)).ok_or_else(absent)?;
    let summary = sources.summary(id(best))?;
    let package = packages::one(global, &mut sources, &summary, client, events)?;
    let latest = highest(&versions).filter(|version| *version > best.version);
    Ok(Info { package, folder: None, latest, used: false, published: best.pubtime })
}

/// The name under which the registry has the package, if it has it: `-` and `_` are mixed up easily, and capitals.
fn published_name(
    sources: &mut Sources<'_>,
    source: SourceId,
    name: PackageName,
    client: &Client,
    events: &dyn Fn(Event),
) -> Result<Option<PackageName>> {
    let mut names = vec![name];
    names.extend(other_spellings(name));
    // A registry that has the name in other letters answers with those, which is refused for this name.
    let mut refused = None;
    for (position, name) in names.into_iter().enumerate() {
        let need = if position == 0 && !client.options().offline { Need::Required } else { Need::Likely };
        match sources.load(&BTreeSet::from([(source, name)]), Freshness::Current, need, events) {
            Err(error) if error.kind == ErrorKind::Verification => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        if sources.versions(source, name).is_some_and(|versions| !versions.is_empty()) {
            return Ok(Some(name));
        }
    }
    refused.map_or(Ok(None), Err)
}

/// The Rust version that a chosen version should suit: what the current package declares, else the compiler's.
fn rust_version(global: &GlobalOptions, project: Option<&Project>, configuration: &Configuration) -> Result<Version> {
    if let Some(project) = project {
        let current = manifests::member(&project.workspace, None)?;
        let declared = current.and_then(|package| package.summary.rust_version.clone());
        return declared.map_or_else(|| Ok(compile::platforms(global, project, &[])?.release), Ok);
    }
    let rustc = configuration.config.tool("rustc")?.map(|tool| tool.value);
    let rustc = toolchain::find_rustc(&global.place, rustc.as_deref(), &global.place.current_dir)?;
    let host = BTreeMap::from([(CompileKind::Host, Vec::new())]);
    Ok(probe::toolchain(&global.place, &rustc, None, &host)?.release)
}

#[cfg(test)]
mod tests {
    use super::relative;
    use std::path::Path;

    #[test]
    fn folders_are_named_from_here() {
        let from_a = |to: &str| relative(Path::new(to), Path::new("/w/a"));
        assert_eq!([from_a("/w/a"), from_a("/w/a/b"), from_a("/w/b"), from_a("/w")], ["./", "./b", "./../b", "./../"]);
    }
}
