//! `remove`: dependencies taken out of a manifest, and with them what only they needed.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::edit_distance::distance;
use bulkhead_workspace::Workspace;
use bulkhead_workspace::edit::{ManifestEditor, Place, Section};

use crate::client::project_client;
use crate::error::Result;
use crate::lock::{self, LockRequest};
use crate::options::{GlobalOptions, RemoveOptions};
use crate::{Error, Event, compile, manifests, project};

/// Removes dependencies from the manifest of one member, what the workspace's root said for them alone, and what the
/// lockfile has for them.
///
/// # Errors
/// A dependency that is not there: then nothing is changed. A workspace that cannot be resolved any more.
pub fn remove(global: &GlobalOptions, options: &RemoveOptions, events: &(dyn Fn(Event) + Sync)) -> Result<()> {
    let workspace = project::open(global, &|_| ())?.workspace;
    let package = manifests::member(&workspace, options.package.as_deref())?.ok_or_else(|| unselected(&workspace))?;
    let mut editor = manifests::open(global, &package.manifest_path)?;
    for key in &options.dependencies {
        let message = format!("{key} from {}", options.section.described());
        events(Event::Status { verb: "Removing", message });
        if !editor.take(&options.section, key) {
            return Err(absent(&editor, &options.section, key));
        }
        editor.mend_features(key);
    }
    if options.dry_run {
        events(Event::Warning("aborting remove due to dry run".to_owned()));
        return Ok(());
    }
    manifests::write(&editor, &package.manifest_path)?;
    clean_root(global, &workspace)?;
    relock(global)
}

fn unselected(workspace: &Workspace) -> Error {
    Error::failure("no package selected to modify")
        .help(format!("specify a package with `-p <PKGID>`\n    available packages: {}", manifests::names(workspace)))
}

/// Removes from the root manifest what no member depends on any more.
fn clean_root(global: &GlobalOptions, workspace: &Workspace) -> Result<()> {
    let mut root = manifests::open(global, &workspace.root_manifest)?;
    let (mut inherited, mut packages) = (BTreeSet::new(), BTreeSet::new());
    for member in &workspace.members {
        let manifest = manifests::open(global, &member.manifest_path)?;
        for section in manifest.sections() {
            for key in manifest.keys(&section) {
                let Some(entry) = manifest.entry(&section, &key).ok().flatten() else { continue };
                let mut package = entry.package;
                if entry.place == Place::Workspace {
                    package = root.workspace_entry(&key).ok().flatten().and_then(|entry| entry.package);
                    inherited.insert(key.clone());
                }
                packages.insert(package.unwrap_or(key));
            }
        }
    }
    root.remove_unused_workspace_dependencies(&inherited);
    root.remove_unused_profile_overrides(&packages);
    if root.is_changed() { manifests::write(&root, &workspace.root_manifest) } else { Ok(()) }
}

/// Resolves without a word, as Cargo does. Patches from git that nothing uses any more go first.
fn relock(global: &GlobalOptions) -> Result<()> {
    let workspace = project::open(global, &|_| ())?.workspace;
    let mut root = manifests::open(global, &workspace.root_manifest)?;
    let patches = root.git_patches();
    if !patches.is_empty() {
        let unused = unused_patches(global, &patches)?;
        root.remove_patches(&unused);
        if root.is_changed() {
            manifests::write(&root, &workspace.root_manifest)?;
        }
    }
    resolve(global, true).map(drop)
}

fn unused_patches(global: &GlobalOptions, patches: &[(String, String, String)]) -> Result<Vec<(String, String)>> {
    let used = resolve(global, false)?;
    let unused = patches.iter().filter(|(_, key, url)| !used.get(key).is_some_and(|urls| urls.contains(url)));
    Ok(unused.map(|(source, key, _)| (source.clone(), key.clone())).collect())
}

/// The packages of the graph: from a name to the addresses of its sources.
fn resolve(global: &GlobalOptions, write: bool) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let project = project::open(global, &|_| ())?;
    let toolchain = compile::platforms(global, &project, &[])?;
    let client = project_client(global, &project)?;
    let request = LockRequest { rustc: Some(toolchain.release), write, ..LockRequest::keep() };
    let locked = lock::resolve(global, &project, &client, &request, &|_| ())?;
    let mut sources: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for id in locked.resolve.nodes.keys() {
        sources.entry(id.name().to_string()).or_default().insert(id.source().url().to_owned());
    }
    Ok(sources)
}

/// Says where the dependency is instead, or what is there by a similar name.
fn absent(editor: &ManifestEditor, section: &Section, key: &str) -> Error {
    let error = Error::failure(format!("the dependency `{key}` could not be found in `{section}`"));
    let has = |other: &Section| other != section && editor.keys(other).iter().any(|known| known == key);
    if let Some(other) = editor.sections().into_iter().find(has) {
        let flags = section.flags_towards(&other);
        return error.help(match flags.is_empty() {
            true => format!("a dependency with the same name exists in `{other}`"),
            false => format!("pass `{}` to remove `{key}` from `{other}`", flags.join(" ")),
        });
    }
    let keys = editor.keys(section);
    let near = keys.iter().min_by_key(|known| distance(known, key)).filter(|known| distance(known, key) <= 3);
    match near {
        Some(near) => error.help(format!("a dependency with a similar name exists: `{near}`")),
        None => error,
    }
}
