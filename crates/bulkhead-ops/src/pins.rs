//! `bulkhead.lock`: registries, vendored packages and folders of other projects stay what they were when the project first
//! used them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bulkhead_resolver::Resolve;
use bulkhead_schema::bulkhead_lock::{BulkheadLock, Contents, RegistryPin, origin};
use bulkhead_schema::{Diagnostic, PackageId, SourceId};
use bulkhead_store::{Store, Vendored};
use bulkhead_trust::{Digest, Pinned, pin_contents, pin_registry};
use bulkhead_workspace::relative;

use crate::audit::{self, Kind};
use crate::bulkhead_lock::LockFile;
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::sources::Sources;
use crate::{Error, ErrorKind, Event, overrides, registries};

/// What is known of registries now, by source.
pub type Seen = BTreeMap<SourceId, RegistryPin>;

/// The registries that the project uses besides the public one (before anything is resolved: those that it names), under the names that its configuration gives them.
pub fn used(project: &Project, resolve: Option<&Resolve>) -> Seen {
    let workspace = &project.workspace;
    let packages = workspace.members.iter().chain(workspace.path_packages.values());
    let declared = packages.flat_map(|package| package.summary.dependencies.iter().map(|dependency| dependency.source));
    let resolved = resolve.into_iter().flat_map(|resolve| resolve.nodes.keys()).map(|id| id.source());
    let used: BTreeSet<SourceId> = declared.chain(resolved).filter(|&source| is_pinned(source)).collect();
    let mut seen: Seen = used.into_iter().map(|source| (source, RegistryPin::default())).collect();
    if seen.is_empty() {
        return seen;
    }
    for name in project.configuration.config.registry_names() {
        let source = registries::named(&project.configuration, name).ok().flatten();
        if let Some(pin) = source.and_then(|source| seen.get_mut(&source)) {
            pin.names.insert(name.to_owned());
        }
    }
    seen
}

/// What is known of a registry whose archives are at `download`.
pub fn servers(download: &str, api: Option<&str>) -> RegistryPin {
    RegistryPin { names: BTreeSet::new(), download: origin(download), api: api.and_then(origin) }
}

/// The public registry's identity is built into the program; what is a folder of this machine has none to lose.
fn is_pinned(source: SourceId) -> bool {
    use bulkhead_schema::SourceKind::{Registry, SparseRegistry};
    matches!(source.kind(), Registry | SparseRegistry) && !source.is_crates_io()
}

/// Compares `seen` with `bulkhead.lock`, and adds to the file what it lacks, if it may be written.
///
/// # Errors
/// `registry-identity` (104): a registry is not what it was. With `--locked`, a registry that the file does not have. A
/// project without the file has pinned nothing yet, so that `--locked` finds nothing to refuse and writes nothing.
pub fn check(
    global: &GlobalOptions,
    workspace_root: &Path,
    seen: &Seen,
    write: bool,
    events: &dyn Fn(Event),
) -> Result<()> {
    let seen: Vec<_> = seen.iter().filter(|(source, _)| is_pinned(**source)).collect();
    if seen.is_empty() {
        return Ok(());
    }
    let mut file = LockFile::read(global, workspace_root)?;
    let mut changed = false;
    for (&source, pin) in seen {
        let new = !file.lock.registries.contains_key(&source);
        changed |= pin_registry(&mut file.lock, source, pin).map_err(falsified)?;
        if new {
            refuse_new(&file, global, &format!("the registry `{source}`"))?;
        }
    }
    save(&file, changed && write, global, events);
    Ok(())
}

/// What is in folders of which `Cargo.lock` knows no checksum of what is built.
#[derive(Debug, Default)]
pub struct InFolders {
    /// Packages of directory sources.
    vendored: Contents,
    /// Folders outside of the workspace that its own configuration puts in the place of packages.
    overrides: Contents,
}

impl InFolders {
    /// Reads what `resolve` takes from folders.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn of(global: &GlobalOptions, project: &Project, resolve: &Resolve, sources: &Sources<'_>) -> Result<Self> {
        let vendored = |id: &PackageId| Some((name_of(*id), shown(sources.vendored(*id)?)));
        let vendored = resolve.nodes.keys().filter_map(vendored).collect();
        let outside = outside_folders(project)?;
        let mut overrides = Contents::new();
        if !outside.is_empty() {
            let store = Store::open(&global.place.bulkhead_home)?;
            let reader = Vendored::open(&global.place.bulkhead_home, &store)?;
            for folder in outside {
                let name = relative(&project.workspace.root, &folder).to_string_lossy().into_owned();
                overrides.insert(name, shown(reader.content(&folder)?));
            }
        }
        Ok(Self { vendored, overrides })
    }
}

/// Compares `seen` with `bulkhead.lock`, adds to the file what it lacks, and takes away what is not in `resolve` any more.
///
/// # Errors
/// `content-pinned` (104): a folder does not hold what it held. With `--locked`, one that the file does not have.
pub fn check_folders(
    global: &GlobalOptions,
    project: &Project,
    resolve: &Resolve,
    seen: &InFolders,
    write: bool,
    events: &dyn Fn(Event),
) -> Result<()> {
    let mut file = LockFile::read(global, &project.workspace.root)?;
    let tables = [
        (&mut file.lock.vendored, &seen.vendored, Pinned::Vendored),
        (&mut file.lock.overrides, &seen.overrides, Pinned::Overrides),
    ];
    let mut new = Vec::new();
    for (known, seen, pinned) in tables {
        new.extend(pin_contents(known, seen, pinned).map_err(falsified)?);
    }
    if let Some(first) = new.first() {
        refuse_new(&file, global, &format!("`{first}`"))?;
    }
    let resolved: BTreeSet<String> = resolve.nodes.keys().map(|id| name_of(*id)).collect();
    let before = file.lock.vendored.len() + file.lock.overrides.len();
    file.lock.vendored.retain(|name, _| resolved.contains(name));
    file.lock.overrides.retain(|name, _| seen.overrides.contains_key(name));
    let changed = !new.is_empty() || file.lock.vendored.len() + file.lock.overrides.len() < before;
    save(&file, changed && write, global, events);
    Ok(())
}

/// Pins `written`, packages that were vendored just now from what `Cargo.lock` promises, whatever was pinned before.
///
/// # Errors
/// `bulkhead.lock` cannot be read.
pub fn vendored_anew(
    global: &GlobalOptions,
    workspace_root: &Path,
    written: &BTreeMap<PackageId, Digest>,
    events: &dyn Fn(Event),
) -> Result<()> {
    let mut file = LockFile::read(global, workspace_root)?;
    let mut changed = false;
    for (&id, &digest) in written {
        let old = file.lock.vendored.insert(name_of(id), shown(digest));
        changed |= old != Some(shown(digest));
    }
    save(&file, changed, global, events);
    Ok(())
}

/// As in the lists of `Cargo.lock`: the source stands there unless it is the public registry.
fn name_of(id: PackageId) -> String {
    match id.source() {
        source if source.is_crates_io() => format!("{} {}", id.name(), id.version()),
        source => format!("{} {} ({source})", id.name(), id.version()),
    }
}

fn shown(digest: Digest) -> String {
    format!("sha256:{digest}")
}

/// Folders of `[patch]` and `paths` in the project's own configuration that do not lie in the workspace: what lies in it is
/// the project's own, and changes under its version control.
fn outside_folders(project: &Project) -> Result<BTreeSet<PathBuf>> {
    let workspace = &project.workspace;
    let patched = workspace.patches.iter().filter(|patch| patch.from_project);
    let mut folders: BTreeSet<PathBuf> = patched.filter_map(|patch| patch.dependency.source.local_path()).collect();
    let paths = overrides::of_project(&project.configuration.config)?;
    let packages = workspace.overrides.iter().filter_map(|id| workspace.package(*id));
    let named = |root: &Path| paths.iter().any(|folder| root.starts_with(folder));
    folders.extend(packages.map(|package| package.root.clone()).filter(|root| named(root)));
    folders.retain(|folder| !folder.starts_with(&workspace.root));
    Ok(folders)
}

/// With `--locked`, a file that is there has to have everything.
fn refuse_new(file: &LockFile, global: &GlobalOptions, what: &str) -> Result<()> {
    if !(file.exists && global.lock.locked) {
        return Ok(());
    }
    let path = file.path.display();
    let message = format!("cannot update the lock file {path} because --locked was passed to prevent this");
    Err(Error::failure(message)
        .because(format!("it does not have {what} yet"))
        .help("run the command without --locked, look at what it adds, and commit the file"))
}

/// Writes what was `changed`. A source tree that cannot be written is no reason to stop: nothing was pinned there before either.
fn save(file: &LockFile, changed: bool, global: &GlobalOptions, events: &dyn Fn(Event)) {
    if !changed || global.lock.locked {
        return;
    }
    if let Err(error) = file.save(global, false) {
        events(Event::Warning(format!("the sources of this project are not pinned: {error}")));
        return;
    }
    let root = file.path.parent().unwrap_or(&file.path);
    audit::observe(&global.place, root, [(Kind::SourceIdentity, pinned(&file.lock))], events);
}

/// What is pinned, as the audit log has it.
fn pinned(lock: &BulkheadLock) -> audit::Values {
    let registries = lock.registries.iter().map(|(source, pin)| {
        let name = pin.names.iter().cloned().collect::<Vec<_>>().join(", ");
        let parts = [Some(name), pin.download.clone(), pin.api.clone()];
        (source.to_string(), parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    });
    let contents = lock.vendored.iter().chain(&lock.overrides).map(|(name, digest)| (name.clone(), digest.clone()));
    registries.chain(contents).collect()
}

fn falsified(diagnostic: Diagnostic) -> Error {
    Error { kind: ErrorKind::Verification, ..diagnostic.into() }
}
