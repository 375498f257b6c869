//! `[patch]` of the root manifest and of the configuration, with the packages that they name (Cargo Book, "Overriding
//! Dependencies").

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_config::{Config, Item, Origin, Tree};
use bulkhead_resolver::lock::Previous;
use bulkhead_resolver::{Registry, Resolve, VersionEntry};
use bulkhead_schema::manifest::{DependencyTable, Spanned};
use bulkhead_schema::{Dependency, DependencyKind, Diagnostic, PackageId, PackageName, SourceId, Summary};
use bulkhead_workspace::{ConfiguredPatch, Patch, Workspace};

use crate::error::Result;
use crate::project::Project;
use crate::sources::{Freshness, Need, Sources};
use crate::{Error, Event};

/// `[patch]` of files and `--config`.
///
/// # Errors
/// An entry that is none of a dependency table.
pub fn configured(config: &Config) -> Result<Vec<ConfiguredPatch>> {
    let mut patches = Vec::new();
    for (source, table) in config.table("patch")?.into_iter().flatten() {
        for (name, item) in table.as_table().into_iter().flatten() {
            let origin = match item.definition.origin() {
                Origin::File { path, .. } => path.clone(),
                Origin::Environment(_) | Origin::CommandLine(_) => PathBuf::from("--config cli option"),
            };
            let entry = entry(config, source, name, item)?;
            let from_project = item.definition.is_repository();
            patches.push(ConfiguredPatch { source: source.clone(), entry, origin, from_project });
        }
    }
    Ok(patches)
}

fn entry(config: &Config, source: &str, name: &str, item: &Item) -> Result<DependencyTable> {
    let spanned = |text: &str| Spanned::new(0..0, text.to_owned());
    let mut entry = DependencyTable::new(spanned(name), 0..0, DependencyKind::Normal, None);
    let wrong = |item: &Item, key: &str| {
        let message = format!("`patch.{source}.{name}{key}` in {} is not what a dependency has there", item.definition);
        Error::from(item.definition.error("config-patch", message))
    };
    let table = match &item.tree {
        Tree::String(version) => {
            entry.version = Some(spanned(version));
            return Ok(entry);
        }
        Tree::Table(table) => table,
        _ => return Err(wrong(item, "")),
    };
    for (key, value) in table {
        let slot = match (key.as_str(), &value.tree) {
            ("path", Tree::String(path)) => {
                let path = value.definition.base(config.current_dir()).join(path);
                entry.path = Some(spanned(&path.to_string_lossy()));
                continue;
            }
            ("version", _) => &mut entry.version,
            ("git", _) => &mut entry.git,
            ("branch", _) => &mut entry.branch,
            ("tag", _) => &mut entry.tag,
            ("rev", _) => &mut entry.rev,
            ("registry", _) => &mut entry.registry,
            ("registry-index", _) => &mut entry.registry_index,
            ("package", _) => &mut entry.package,
            _ => return Err(wrong(value, &format!(".{key}"))),
        };
        let Tree::String(text) = &value.tree else { return Err(wrong(value, &format!(".{key}"))) };
        *slot = Some(spanned(text));
    }
    Ok(entry)
}

/// The patches of a project with the packages that they stand for. Those of the project's own configuration are told:
/// nothing in a manifest shows them.
///
/// # Errors
/// A patch that names no package, several, or one of the very source that it patches.
pub fn load(
    project: &Project,
    sources: &mut Sources<'_>,
    previous: Option<&Previous>,
    events: &dyn Fn(Event),
) -> Result<Vec<bulkhead_resolver::Patch>> {
    let mut patches: Vec<bulkhead_resolver::Patch> = Vec::new();
    let mut taken: BTreeSet<(SourceId, PackageId)> = BTreeSet::new();
    for patch in &project.workspace.patches {
        let dependency = &patch.dependency;
        let name = dependency.name_in_manifest();
        if dependency.source.as_patched() == patch.source.as_patched() {
            let message =
                format!("patch for `{name}` points to the same source, but patches must point to different sources");
            return Err(Error::failure(message).help(definition(patch)));
        }
        let summary = match dependency.source.local_path() {
            Some(folder) => local(&project.workspace, patch, &folder)?,
            None => remote(patch, sources, previous, events)?,
        };
        let id = summary.id;
        let same = |(source, other): &(SourceId, PackageId)| {
            *source == patch.source && other.name() == id.name() && other.version() == id.version()
        };
        if taken.iter().any(same) {
            let shown = format!("{} v{}", id.name(), id.version());
            let message = format!("several `[patch]` entries resolving to same version `{shown}`");
            return Err(Error::failure(message).help(definition(patch)));
        }
        taken.insert((patch.source, id));
        if patch.from_project {
            let origin = patch.origin.display();
            events(Event::Note(format!("`{id}` takes the place of `{}` as {origin} says", id.name())));
        }
        patches.push(bulkhead_resolver::Patch { patched: patch.source, summary });
    }
    Ok(patches)
}

/// Where a patch is defined, as advice.
fn definition(patch: &Patch) -> String {
    let (name, url, origin) = (patch.dependency.name_in_manifest(), patch.source.url(), patch.origin.display());
    format!("check `{name}` patch definition for `{url}` in `{origin}`")
}

fn local(workspace: &Workspace, patch: &Patch, folder: &Path) -> Result<Arc<Summary>> {
    let dependency = &patch.dependency;
    let packages = || workspace.members.iter().chain(workspace.path_packages.values());
    let there = packages().find(|package| package.id.source() == dependency.source);
    let Some(package) = there.filter(|package| package.id.name() == dependency.package) else {
        let location = folder.display();
        let message =
            format!("patch location `{location}` does not contain packages matching `{}`", dependency.package);
        return Err(Error::failure(message).help(definition(patch)));
    };
    if dependency.specified_requirement && !dependency.requirement.matches(package.id.version()) {
        return Err(Error::failure(format!("patch `{}` version mismatch", dependency.package))
            .because(format!(
                "patch location contains version `{}`, but patch definition requires `{}`",
                package.id.version(),
                dependency.requirement
            ))
            .help(format!("check patch location `{}`", folder.display()))
            .help(definition(patch)));
    }
    Ok(Arc::clone(&package.summary))
}

/// The one package of a git repository or another registry that a patch means: the one that is locked, if it still fits.
fn remote(
    patch: &Patch,
    sources: &mut Sources<'_>,
    previous: Option<&Previous>,
    events: &dyn Fn(Event),
) -> Result<Arc<Summary>> {
    let dependency = &patch.dependency;
    let (source, package) = (dependency.source, dependency.package);
    let wanted = BTreeSet::from([(source, package)]);
    let locked = previous.and_then(|previous| locked(previous, dependency));
    if locked.is_some() {
        sources.load(&wanted, Freshness::Cached, Need::Likely, events)?;
    }
    if sources.versions(source, package).is_none() {
        sources.load(&wanted, Freshness::Current, Need::Required, events)?;
    }
    let published = sources.versions(source, package).unwrap_or_default();
    let fits = |version: &semver::Version| !dependency.specified_requirement || dependency.requirement.matches(version);
    let versions: Vec<_> = published
        .iter()
        .filter(|entry| fits(&entry.version))
        .filter(|entry| !entry.yanked || locked.as_ref() == Some(&entry.version))
        .map(|entry| entry.version.clone())
        .collect();
    let version = match (locked.filter(|locked| versions.contains(locked)), versions.as_slice()) {
        (Some(locked), _) => locked,
        (None, [one]) => one.clone(),
        (None, []) => {
            let message = format!("patch location `{source}` does not contain packages matching `{package}`");
            return Err(Error::failure(message).help(definition(patch)));
        }
        (None, many) => {
            let shown: Vec<_> = many.iter().map(|version| format!("`{version}`")).collect();
            let message = format!("patch for `{}` resolved to more than one candidate", dependency.name_in_manifest());
            return Err(Error::failure(message)
                .because(format!("found versions: {}", shown.join(", ")))
                .help(definition(patch))
                .help(format!("select only one package using `version = \"={}\"`", many.last().unwrap_or(&many[0]))));
        }
    };
    Ok(sources.summary(PackageId::new(package, version, source))?)
}

/// The locked version of the package that a patch means.
fn locked(previous: &Previous, dependency: &Dependency) -> Option<semver::Version> {
    let known = previous.packages.keys().chain(&previous.unused_patches);
    let fits = |id: &&PackageId| {
        id.name() == dependency.package
            && id.source().without_commit() == dependency.source
            && (!dependency.specified_requirement || dependency.requirement.matches(id.version()))
    };
    known.into_iter().find(fits).map(|id| id.version().clone())
}

/// Sources with their patches among the versions that there are: for those who tell what is available.
pub struct Patched<'a> {
    sources: &'a Sources<'a>,
    versions: BTreeMap<(SourceId, PackageName), Vec<VersionEntry>>,
}

impl<'a> Patched<'a> {
    /// `sources` as `patches` change them.
    pub fn new(sources: &'a Sources<'a>, patches: &[bulkhead_resolver::Patch]) -> Self {
        let mut versions: BTreeMap<_, Vec<VersionEntry>> = BTreeMap::new();
        for bulkhead_resolver::Patch { patched, summary } in patches {
            let key = (*patched, summary.id.name());
            let known =
                versions.entry(key).or_insert_with(|| sources.versions(key.0, key.1).unwrap_or_default().to_vec());
            known.retain(|entry| entry.version != *summary.id.version());
            known.push(VersionEntry {
                version: summary.id.version().clone(),
                yanked: false,
                rust_version: summary.rust_version.clone(),
                whole_rust_version: false,
                pubtime: None,
            });
            known.sort_by(|a, b| a.version.cmp(&b.version));
        }
        Self { sources, versions }
    }
}

impl Registry for Patched<'_> {
    fn versions(&self, source: SourceId, name: PackageName) -> Option<&[VersionEntry]> {
        match self.versions.get(&(source, name)) {
            Some(versions) => Some(versions),
            None => self.sources.versions(source, name),
        }
    }

    fn downloaded(&self, source: SourceId, name: PackageName) -> Option<&[bool]> {
        if self.versions.contains_key(&(source, name)) { None } else { self.sources.downloaded(source, name) }
    }

    fn summary(&self, id: PackageId) -> std::result::Result<Arc<Summary>, Diagnostic> {
        self.sources.summary(id)
    }
}

/// What Cargo says of patches that nothing wanted.
const UNUSED_PATCH: &str = "Check that the patched package version and available features are compatible\n    \
    with the dependency requirements. If the patch has a different version from\n    \
    what is locked in the Cargo.lock file, run `cargo update` to use the new\n    \
    version. This may also occur with an optional dependency that is not enabled.";

/// Warns of the patches that no dependency matched.
pub fn warn_of_unused(resolve: &Resolve, patches: &[bulkhead_resolver::Patch], events: &dyn Fn(Event)) {
    let mut sources: BTreeMap<PackageName, BTreeSet<SourceId>> = BTreeMap::new();
    for id in resolve.nodes.keys().filter(|id| !id.source().is_path()) {
        sources.entry(id.name()).or_default().insert(id.source());
    }
    let mut plain = Vec::new();
    for &id in &resolve.unused_patches {
        let message = format!("patch `{id}` was not used in the crate graph");
        let patched: BTreeSet<_> =
            patches.iter().filter(|patch| patch.summary.id == id).map(|patch| patch.patched).collect();
        match sources.get(&id.name()) {
            Some(others) if others.is_disjoint(&patched) => {
                let name = |source: &SourceId| {
                    if source.is_crates_io() { "crates-io".to_owned() } else { source.url().to_owned() }
                };
                let names: Vec<_> = others.iter().map(name).collect();
                let names = names.join("\n        \t");
                events(Event::Warning(format!(
                    "{message}\n|\n= help: perhaps you meant one of the following:\n        \t{names}"
                )));
            }
            _ => plain.push(Diagnostic::warning("patch-unused", message)),
        }
    }
    if let Some(last) = plain.last_mut() {
        last.help.push(UNUSED_PATCH.to_owned());
    }
    plain.into_iter().for_each(|warning| events(Event::Diagnostic(warning)));
}
