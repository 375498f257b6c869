//! Where the package comes from that is to be installed.
//!
//! It is looked up as the one dependency of a project that is made for this, so that all rules about versions, registries
//! and archives hold, and then copied: the store is read-only, and builds write beside the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_resolver::ResolveErrorKind;
use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_workspace::{Files as _, Package, TargetKind};
use tempfile::TempDir;

use crate::add::git_source;
use crate::client::project_client;
use crate::error::Result;
use crate::git::GitSources;
use crate::lock::{self, LockRequest};
use crate::options::{Foreign, GlobalOptions, NameFilter, TargetFilter};
use crate::packages;
use crate::provenance::Provenance;
use crate::sources::Sources;
use crate::{Error, Event, disk, project, registries};

/// What is installed.
#[derive(Debug, Clone)]
pub enum Origin {
    /// `--path`
    Path(PathBuf),
    /// A package of a registry or repository.
    Package {
        /// Its name; of a repository, none for the only package with programs.
        name: Option<String>,
        /// The requirement, as a manifest has it; none for the newest.
        requirement: Option<String>,
        /// The other fields of the dependency: `registry`, `registry-index`, `git`, `branch`, `tag`, `rev`.
        fields: Vec<(&'static str, String)>,
    },
}

impl Origin {
    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Origin::Path(path) => path.display().to_string(),
            Origin::Package { name, .. } => name.clone().unwrap_or_default(),
        }
    }

    /// The requirement, as the record holds it.
    pub(super) fn requirement(&self) -> Option<&str> {
        match self {
            Origin::Path(_) => None,
            Origin::Package { requirement, .. } => requirement.as_deref(),
        }
    }
}

/// A package that can be built.
pub(super) struct Source {
    pub(super) id: PackageId,
    /// The options with which its folder is the project.
    pub(super) global: GlobalOptions,
    /// What was fetched. A package in a folder that the user named is the user's own.
    pub(super) foreign: Option<Foreign>,
    /// The programs that its manifest promises.
    every_program: BTreeSet<String>,
    every_example: BTreeSet<String>,
    /// Holds the copy, and is removed with this value.
    _temporary: Option<TempDir>,
}

impl Source {
    fn new(id: PackageId, global: GlobalOptions, package: &Package) -> Self {
        let names = |is_meant: fn(&TargetKind) -> bool| {
            let targets = package.targets.iter().filter(move |target| is_meant(&target.kind));
            targets.map(|target| format!("{}{}", target.name, std::env::consts::EXE_SUFFIX)).collect()
        };
        let every_program = names(|kind| *kind == TargetKind::Bin);
        let every_example = names(|kind| matches!(kind, TargetKind::Example(_)));
        Self { id, global, foreign: None, every_program, every_example, _temporary: None }
    }

    /// Everything that could be installed of it.
    pub(super) fn every_name(&self) -> BTreeSet<String> {
        self.every_program.union(&self.every_example).cloned().collect()
    }

    /// Those of its programs that `filter` means.
    pub(super) fn programs(&self, filter: &TargetFilter) -> BTreeSet<String> {
        let named = |filter: &NameFilter, every: &BTreeSet<String>| match filter {
            NameFilter::None => BTreeSet::new(),
            NameFilter::All => every.clone(),
            // A pattern may mean each.
            NameFilter::Named(names) if names.iter().any(|name| name.contains(['*', '?', '['])) => every.clone(),
            NameFilter::Named(names) => {
                names.iter().map(|name| format!("{name}{}", std::env::consts::EXE_SUFFIX)).collect()
            }
        };
        let examples = named(&filter.examples, &self.every_example);
        named(&filter.bins, &self.every_program).into_iter().chain(examples).collect()
    }
}

/// # Errors
/// There is no such package; it cannot be had; it is not what was promised.
pub(super) fn fetch(global: &GlobalOptions, origin: &Origin, events: &(dyn Fn(Event) + Sync)) -> Result<Source> {
    match origin {
        Origin::Path(path) => {
            let folder = disk::normalize(&global.place.current_dir.join(path));
            if !global.place.disk.is_file(&folder.join("Cargo.toml")) {
                let is_folder = global.place.disk.is_dir(&folder);
                let what = if is_folder { "does not contain a Cargo.toml file" } else { "is not a directory" };
                let advice = "--path must point to a directory containing a Cargo.toml file.";
                return Err(Error::failure(format!("`{}` {what}. {advice}", folder.display())));
            }
            let global = at(global, &folder, folder.clone());
            let package = package_in(&global, events)?;
            Ok(Source::new(package.id, global, &package))
        }
        Origin::Package { name, requirement, fields } => {
            let home = &global.place.bulkhead_home;
            disk::create_private(home)?;
            let temporary = tempfile::Builder::new().prefix("install-").tempdir_in(home).map_err(unwritable)?;
            let asking = temporary.path().join("asking");
            write(&asking, "lib.rs", "")?;
            let name = match name {
                Some(name) => name.clone(),
                None => only_package(global, &asking, fields, events)?,
            };
            write(&asking, "Cargo.toml", &manifest(&name, requirement.as_deref(), fields))?;
            let found = from_elsewhere(global, &name, &asking, temporary, events);
            found.map_err(|error| not_found(error, &name, requirement.as_deref(), fields))
        }
    }
}

/// What is not there is told as of what was asked for, and not as of the project that was made to ask.
fn not_found(error: Error, name: &str, requirement: Option<&str>, fields: &[(&'static str, String)]) -> Error {
    let is_it = |diagnostic: &Diagnostic| {
        let codes = [ResolveErrorKind::UnknownPackage.code(), ResolveErrorKind::NoMatchingVersion.code()];
        codes.contains(&diagnostic.code) && diagnostic.message.contains(&format!("`{name}"))
    };
    if !error.diagnostics.iter().any(is_it) {
        return error;
    }
    let field = |wanted: &[&str]| fields.iter().find(|(key, _)| wanted.contains(key)).map(|(_, value)| value.as_str());
    let place = match field(&["git"]) {
        Some(url) => url.to_owned(),
        None => format!("registry `{}`", field(&["registry", "registry-index"]).unwrap_or("crates-io")),
    };
    // Below its headline, an explanation says why; where it was looked, and for whom, comes last.
    let is_why = |line: &&str| !line.starts_with("location searched");
    let whys = error.diagnostics.iter().flat_map(|diagnostic| diagnostic.message.lines().skip(1).take_while(is_why));
    let causes: Vec<String> = whys.map(str::to_owned).chain(error.causes).collect();
    let is_one = requirement.is_some_and(|requirement| requirement.starts_with('='));
    let message = match is_one && causes.iter().any(|cause| cause.starts_with("versions that match were yanked")) {
        true => format!("cannot install package `{name}`, it has been yanked from {place}"),
        false => format!("could not find `{name}` in {place} with version `{}`", requirement.unwrap_or("*")),
    };
    let advice = error.diagnostics.iter().flat_map(|diagnostic| diagnostic.help.clone());
    let help = advice.chain(error.help).collect();
    Error { message, causes, help, diagnostics: Vec::new(), ..error }
}

/// The one package with programs of the repository that `fields` name.
fn only_package(
    global: &GlobalOptions,
    asking: &Path,
    fields: &[(&'static str, String)],
    events: &(dyn Fn(Event) + Sync),
) -> Result<String> {
    let url = fields.iter().find(|(key, _)| *key == "git").map(|(_, url)| url.as_str()).unwrap_or_default();
    let source = git_source(url, fields.iter().find(|(key, _)| matches!(*key, "branch" | "tag" | "rev")))?;
    write(asking, "Cargo.toml", SHELL)?;
    let inner = at(global, asking, global.place.cargo_home.clone());
    let project = project::open(&inner, events)?;
    let client = project_client(&inner, &project)?;
    let table = project.configuration.config.sources()?;
    let mut sources = Sources::new(&client, inner.place.bulkhead_home.clone(), table, registries::known(&project));
    sources.restrict(Provenance::new(&project.policy, &project.configuration));
    let git = GitSources::new(&inner, &project, std::iter::empty(), BTreeMap::new(), None)?;
    sources.read_git(git.allowing(source));
    let packages = sources.packages_in(source, events)?;
    let is_program = |kind: &TargetKind| matches!(kind, TargetKind::Bin | TargetKind::Example(_));
    let with = |is_meant: &dyn Fn(&TargetKind) -> bool| -> Vec<&str> {
        let meant = packages.iter().filter(|package| package.targets.iter().any(|target| is_meant(&target.kind)));
        meant.map(|package| package.id.name().as_str()).collect()
    };
    let mut names = with(&|kind| *kind == TargetKind::Bin);
    if names.is_empty() {
        names = with(&is_program);
    }
    match names.as_slice() {
        [] => Err(Error::failure("no packages found with binaries or examples")),
        [one] => Ok((*one).to_owned()),
        [first, ..] => {
            let list = names.join(", ");
            Err(Error::failure(format!("multiple packages with binaries found: {list}"))
                .because("the whole repository is searched for packages")
                .help(format!("name the package: `install --git {url} {first}`")))
        }
    }
}

/// A project that depends on nothing yet.
const SHELL: &str = "[package]\nname = \"bulkhead-install\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
                     [lib]\npath = \"lib.rs\"\n[workspace]\n";

/// The project whose only dependency is what is looked for. Text goes in as TOML strings, whatever it holds.
fn manifest(name: &str, requirement: Option<&str>, fields: &[(&'static str, String)]) -> String {
    let mut dependency = toml::Table::new();
    dependency.insert("package".to_owned(), name.into());
    dependency.insert("default-features".to_owned(), false.into());
    let is_git = fields.iter().any(|(key, _)| *key == "git");
    if let Some(requirement) = requirement.or((!is_git).then_some("*")) {
        dependency.insert("version".to_owned(), requirement.into());
    }
    for (key, value) in fields {
        dependency.insert((*key).to_owned(), value.clone().into());
    }
    format!("{SHELL}[dependencies]\nwanted = {}\n", toml::Value::Table(dependency))
}

fn from_elsewhere(
    global: &GlobalOptions,
    name: &str,
    asking: &Path,
    temporary: TempDir,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Source> {
    // What would be locked for that project is nobody's business.
    let quiet = |event| match event {
        Event::Status { verb: "Locking" | "Adding", .. } => (),
        other => events(other),
    };
    let mut inner = at(global, asking, global.place.cargo_home.clone());
    inner.lock.locked = false;
    let project = project::open(&inner, &quiet)?;
    let client = project_client(&inner, &project)?;
    // What it depends on is found out where it is built, perhaps as its author has locked it.
    let request = LockRequest { alone: true, ..LockRequest::keep() };
    let mut locked = lock::resolve(&inner, &project, &client, &request, &quiet)?;
    let found = locked.resolve.nodes.keys().copied().find(|id| id.name().as_str() == name && !id.source().is_path());
    let id = found.ok_or_else(|| Error::failure(format!("could not find `{name}`")))?;
    let wanted = BTreeSet::from([id]);
    let packages: BTreeMap<_, Arc<Package>> = packages::load(&inner, &project, &mut locked, &wanted, &client, &quiet)?;
    let package = packages.get(&id).ok_or_else(|| Error::failure(format!("could not load `{id}`")))?;
    let whole = locked.sources.repository(id).map_or_else(|| package.root.clone(), |git| git.root.clone());
    let copy = temporary.path().join("package");
    copy_tree(&whole, &copy).map_err(unwritable)?;
    let folder = copy.join(package.root.strip_prefix(&whole).unwrap_or(Path::new("")));
    let mut global = at(global, &folder, global.place.cargo_home.clone());
    decide_lockfile(&mut global, &copy.join("Cargo.lock"), id, events)?;
    let package = package_in(&global, &|_| {})?;
    let checksum = match locked.sources.repository(id) {
        Some(git) => Some(git.tree.to_string().into()),
        None => locked.resolve.nodes.get(&id).and_then(|node| node.summary.checksum.clone()),
    };
    let foreign = Some(Foreign { id, checksum, copy });
    Ok(Source { foreign, _temporary: Some(temporary), ..Source::new(id, global, &package) })
}

/// What the author locked counts with `--locked` only.
fn decide_lockfile(
    global: &mut GlobalOptions,
    lockfile: &Path,
    id: PackageId,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    match (global.lock.locked, lockfile.is_file()) {
        (true, false) => {
            global.lock.locked = false;
            events(Event::Warning(format!("no Cargo.lock file published in {id}")));
        }
        (false, true) => std::fs::remove_file(lockfile).map_err(unwritable)?,
        _ => {}
    }
    Ok(())
}

/// The package that lies in the folder.
pub(super) fn package_in(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<Arc<Package>> {
    let project = project::open(global, events)?;
    let current = project.workspace.current;
    let package = project.workspace.members.iter().find(|package| Some(package.id) == current);
    package.cloned().ok_or_else(|| {
        Error::failure("the folder holds a virtual manifest, and no package to install")
            .help("name the folder of the package with `--path`")
    })
}

/// The same options for the project in `folder`, with the configuration that holds in `standing`: what was fetched has no
/// say in how it is built.
pub(super) fn at(global: &GlobalOptions, folder: &Path, standing: PathBuf) -> GlobalOptions {
    let mut inner = global.clone();
    let here = std::mem::replace(&mut inner.place.current_dir, standing);
    for argument in &mut inner.config {
        let path = here.join(&*argument);
        if global.place.disk.is_file(&path) {
            *argument = path.display().to_string();
        }
    }
    inner.manifest_path = Some(folder.join("Cargo.toml"));
    inner
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    std::fs::write(folder.join(name), text).map_err(unwritable)
}

fn unwritable(error: std::io::Error) -> Error {
    Error::failure("could not make a folder for the installation").because(error)
}

/// Copies files and folders; a link of the tree is copied as the link it is, which the store has checked.
fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut pending = vec![(from.to_path_buf(), to.to_path_buf())];
    while let Some((from, to)) = pending.pop() {
        std::fs::create_dir_all(&to)?;
        for entry in std::fs::read_dir(&from)? {
            let entry = entry?;
            let (source, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                pending.push((source, target));
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(&source)?, &target)?;
            } else {
                std::fs::copy(&source, &target)?;
                use std::os::unix::fs::PermissionsExt as _;
                let mode = std::fs::metadata(&target)?.permissions().mode() | 0o200;
                std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
            }
        }
    }
    Ok(())
}
