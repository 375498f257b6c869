//! `bulkhead.lock`: registries stay what they were when the project first used them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bulkhead_resolver::Resolve;
use bulkhead_schema::SourceId;
use bulkhead_schema::bulkhead_lock::{BulkheadLock, MAX_BULKHEAD_LOCK, RegistryPin, origin};
use bulkhead_trust::pin_registry;

use crate::error::Result;
use crate::observed::Disk;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::{Error, ErrorKind, Event, disk, registries};

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
    let path = workspace_root.join("bulkhead.lock");
    let on_disk = read(&global.place.disk, &path)?;
    let exists = on_disk.is_some();
    let mut lock = on_disk.unwrap_or_default();
    let mut added = false;
    for (&source, pin) in seen {
        let new = !lock.registries.contains_key(&source);
        added |= pin_registry(&mut lock, source, pin)
            .map_err(|diagnostic| Error { kind: ErrorKind::Verification, ..diagnostic.into() })?;
        if new && exists && global.lock.locked {
            return Err(Error::failure(format!(
                "cannot update the lock file {} because --locked was passed to prevent this",
                path.display()
            ))
            .because(format!("it does not have the registry `{source}` yet"))
            .help("run the command without --locked, look at what it adds, and commit the file"));
        }
    }
    if added && write && !global.lock.locked {
        save(&path, &lock, events);
    }
    Ok(())
}

/// A source tree that cannot be written is no reason to stop: nothing was pinned there before either.
fn save(path: &Path, lock: &BulkheadLock, events: &dyn Fn(Event)) {
    if let Err(error) = disk::write_atomically(path, lock.to_string().as_bytes()) {
        events(Event::Warning(format!("the registries of this project are not pinned: {error}")));
    }
}

fn read(disk: &Disk, path: &Path) -> Result<Option<BulkheadLock>> {
    let failed = |reason: String| Error::failure(format!("failed to read `{}`", path.display())).because(reason);
    let text: Arc<str> = match disk.read_text(path, MAX_BULKHEAD_LOCK) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
        Ok(text) => text.into(),
    };
    let lock = BulkheadLock::parse(path, &text);
    lock.map(Some).map_err(|finding| Error { kind: ErrorKind::Verification, ..finding.into() })
}
