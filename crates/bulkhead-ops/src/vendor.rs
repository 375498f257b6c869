//! `vendor`: copies of all packages in a folder, for a directory source.

#![expect(clippy::disallowed_methods, reason = "what is looked at here is about to be replaced")]

mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::{PackageId, PackageName, SourceId, SourceKind, manifest};
use bulkhead_workspace::Package;

use self::write::{Content, write_package};
use crate::client::project_client;
use crate::error::Result;
use crate::lock::{self, LockRequest, Locked};
use crate::options::GlobalOptions;
use crate::project;
use crate::{Error, ErrorKind, Event, compile, disk, overrides, packages, pins, status};

/// `vendor`.
#[derive(Debug, Clone)]
pub struct VendorOptions {
    /// Where to; `vendor` if the user names nothing.
    pub path: PathBuf,
    /// `--versioned-dirs`
    pub versioned_dirs: bool,
    /// `--no-delete`
    pub no_delete: bool,
    /// `--sync`: further manifests.
    pub sync: Vec<PathBuf>,
    /// `--respect-source-config`
    pub respect_source_config: bool,
}

/// A package to be copied.
struct Vendored {
    package: Arc<Package>,
    /// SHA-256 of its archive, if it comes from a registry.
    checksum: Option<String>,
    /// Folder of the repository that it lies in, if it comes from one.
    repository: Option<PathBuf>,
}

/// Copies what the workspaces depend on into a folder and removes what else is in it. Returns the configuration that makes
/// use of the folder, or nothing if there is nothing to copy.
///
/// # Errors
/// A project cannot be resolved or fetched, the folder must not be written to, or the disk refuses.
pub fn vendor(
    global: &GlobalOptions,
    options: &VendorOptions,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Option<String>> {
    let mut wanted = BTreeMap::new();
    let mut roots = Vec::new();
    let manifests = std::iter::once(global.manifest_path.clone()).chain(options.sync.iter().cloned().map(Some));
    for manifest_path in manifests {
        let global = GlobalOptions { manifest_path, ..global.clone() };
        let root = collect(&global, options, &mut wanted, events)
            .map_err(|error| if error.message.is_empty() { error } else { error.while_doing("failed to sync") })?;
        roots.push(root);
    }
    if wanted.is_empty() {
        if !global.quiet {
            events(Event::Text("There is no dependency to vendor in this project.".to_owned()));
        }
        return Ok(None);
    }
    let folder = global.place.current_dir.join(&options.path);
    check_destination(&folder, &roots, global)?;
    // Cargo shows the folder as it was given while it does not exist.
    let shown = std::fs::canonicalize(&folder).unwrap_or_else(|_| options.path.clone());
    std::fs::create_dir_all(&folder).map_err(|error| failed("create", &folder, error))?;
    let mut obsolete = if options.no_delete { BTreeSet::new() } else { visible_names(&folder)? };
    let mut written = BTreeMap::new();
    for (name, vendored) in folders(&wanted, options.versioned_dirs)? {
        let id = vendored.package.id;
        let versioned = name != id.name().as_str();
        obsolete.remove(&name);
        // What bears its version in its name does not change.
        if versioned && folder.join(&name).exists() {
            continue;
        }
        let (from, to) = (vendored.package.root.display(), shown.join(&name));
        events(Event::Status { verb: "Vendoring", message: format!("{id} ({from}) to {}", to.display()) });
        written.insert(id, write_package(&folder, &name, &content(vendored)?)?);
    }
    for root in &roots {
        pins::vendored_anew(global, root, &written, events)?;
    }
    for name in obsolete {
        let path = folder.join(name);
        let is_folder = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_folder { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(|error| failed("remove", &path, error))?;
    }
    let sources: BTreeSet<SourceId> = wanted.keys().map(|id| id.source().without_commit()).collect();
    if !global.quiet {
        let message = "To use vendored sources, add this to your .cargo/config.toml for this project:";
        [message, ""].iter().for_each(|&line| events(Event::Text(line.to_owned())));
    }
    Ok((!global.quiet).then(|| configuration(&sources, &options.path)))
}

/// Resolves and fetches one workspace, and adds what is to be copied. Returns the workspace's folder.
fn collect(
    global: &GlobalOptions,
    options: &VendorOptions,
    wanted: &mut BTreeMap<PackageId, Vendored>,
    events: &(dyn Fn(Event) + Sync),
) -> Result<PathBuf> {
    // Cargo has no advice about manifests here.
    let mut project = project::open(&GlobalOptions { quiet: true, ..global.clone() }, events)?;
    if !options.respect_source_config {
        project.configuration.config = project.configuration.config.without("source");
    }
    let toolchain = compile::platforms(global, &project, &[])?;
    let client = project_client(global, &project)?;
    let request = LockRequest { rustc: Some(toolchain.release), ..LockRequest::keep() };
    let mut locked = lock::resolve(global, &project, &client, &request, events)?;
    status::report_changes(&locked, events);
    overrides::restore_replaced(&mut locked)?;
    let foreign: BTreeSet<_> = locked.resolve.nodes.keys().copied().filter(|id| !id.source().is_path()).collect();
    let loaded = packages::load(global, &project, &mut locked, &foreign, &client, events)?;
    for (id, package) in loaded {
        wanted.insert(id, vendored(&locked, package));
    }
    Ok(project.workspace.root)
}

fn vendored(locked: &Locked<'_>, package: Arc<Package>) -> Vendored {
    let id = package.id;
    let checksum = locked.resolve.nodes.get(&id).and_then(|node| node.summary.checksum.as_deref()).map(str::to_owned);
    let repository = locked.sources.repository(id).map(|repository| repository.root.clone());
    Vendored { package, checksum, repository }
}

/// The folder's name for each package: the highest version of a name needs no version in it.
fn folders(wanted: &BTreeMap<PackageId, Vendored>, versioned_dirs: bool) -> Result<Vec<(String, &Vendored)>> {
    let mut highest: BTreeMap<PackageName, PackageId> = BTreeMap::new();
    let mut named: BTreeMap<String, PackageId> = BTreeMap::new();
    for &id in wanted.keys() {
        highest.insert(id.name(), id);
        let other = named.insert(format!("{} v{}", id.name(), id.version()), id);
        if let Some(other) = other {
            let message = format!(
                "found duplicate version of package `{} v{}` vendored from two sources",
                id.name(),
                id.version()
            );
            return Err(Error::failure(message)
                .because(format!("source 1: {}", other.source()))
                .because(format!("source 2: {}", id.source())));
        }
    }
    let name = |id: &PackageId| match versioned_dirs || highest.get(&id.name()) != Some(id) {
        true => format!("{}-{}", id.name(), id.version()),
        false => id.name().to_string(),
    };
    Ok(wanted.iter().map(|(id, vendored)| (name(id), vendored)).collect())
}

/// What is copied of a package: of a registry's all that was in its archive; of a repository's what its manifest says
/// belongs to it, with a manifest that stands alone.
fn content(vendored: &Vendored) -> Result<Content> {
    let Vendored { package, checksum, repository } = vendored;
    let refused =
        |reason: String| Error::failure(format!("failed to vendor `{}`", package.id)).because(format!("it {reason}"));
    let Some(repository) = repository else {
        let files = write::all_files(&package.root).map_err(refused)?;
        return Ok(Content { root: package.root.clone(), files, manifest: None, checksum: checksum.clone() });
    };
    let disk = crate::observed::Disk::default();
    let files = bulkhead_workspace::package_files(&disk, package).map_err(refused)?;
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| failed("read", path, error));
    let text = read(&package.manifest_path)?;
    let root = workspace_root(package, repository)?;
    let root = root.as_ref().map(|(text, folder)| (text.as_str(), folder.as_path()));
    let manifest = bulkhead_workspace::normalized_manifest(package, &text, root)
        .map_err(|reason| refused(format!("has a manifest that cannot stand alone: {reason}")))?;
    Ok(Content { root: package.root.clone(), files, manifest: Some(manifest), checksum: None })
}

/// The manifest of the workspace that a package of a repository belongs to, and its folder.
fn workspace_root(package: &Package, repository: &Path) -> Result<Option<(String, PathBuf)>> {
    for folder in package.root.ancestors().take_while(|folder| folder.starts_with(repository)) {
        let path = folder.join("Cargo.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let (manifest, _) = manifest::parse(&path, &Arc::from(text.as_str()), manifest::Origin::Local)?;
        if manifest.workspace.is_some() {
            return Ok(Some((text, folder.to_owned())));
        }
        let named = manifest.package.filter(|_| folder == package.root).and_then(|package| package.workspace);
        if let Some(named) = named {
            let folder = disk::normalize(&folder.join(named.get_ref()));
            let path = folder.join("Cargo.toml");
            let text = std::fs::read_to_string(&path).map_err(|error| failed("read", &path, error))?;
            return Ok(Some((text, folder)));
        }
    }
    Ok(None)
}

/// Everything in the folder that is not a vendored package is removed, so that it must not be one that holds something
/// else: a workspace, or a place to which a link in the repository leads.
fn check_destination(folder: &Path, workspaces: &[PathBuf], global: &GlobalOptions) -> Result<()> {
    let refused = |reason: &str| {
        Err(Error::new(ErrorKind::Policy, format!("`{}` cannot be the folder of vendored packages", folder.display()))
            .because(reason.to_owned())
            .help("name a folder that is for nothing else"))
    };
    let folder = disk::normalize(folder);
    let mut within = folder.clone();
    loop {
        match std::fs::symlink_metadata(&within) {
            Ok(metadata)
                if metadata.file_type().is_symlink() && workspaces.iter().any(|root| within.starts_with(root)) =>
            {
                return refused("it is reached over a symbolic link of the project: what it leads to would be emptied");
            }
            _ => {}
        }
        if !within.pop() {
            break;
        }
    }
    let real = std::fs::canonicalize(&folder).unwrap_or(folder);
    let holds = |path: &Path| std::fs::canonicalize(path).is_ok_and(|path| path.starts_with(&real));
    let home = global.place.home.as_deref();
    if workspaces.iter().any(|root| holds(root)) || home.is_some_and(holds) || real.join("Cargo.toml").exists() {
        return refused("it holds a package, a workspace or a home folder, all of which would be removed");
    }
    Ok(())
}

/// What is in the folder, hidden files excepted.
fn visible_names(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed("list", folder, error))? {
        let name = entry.map_err(|error| failed("list", folder, error))?.file_name();
        let name = name.into_string().map_err(|name| {
            Error::failure(format!("`{}` has a name that is not UTF-8", folder.join(name).display()))
        })?;
        if !name.starts_with('.') {
            names.insert(name);
        }
    }
    Ok(names)
}

/// The lines for `.cargo/config.toml`, as Cargo prints them.
fn configuration(sources: &BTreeSet<SourceId>, folder: &Path) -> String {
    let quoted = |text: &str| toml_string(text);
    let mut tables: BTreeMap<String, String> = BTreeMap::new();
    for source in sources {
        let replaced = "replace-with = \"vendored-sources\"\n";
        if source.is_crates_io() {
            tables.insert("crates-io".to_owned(), format!("[source.crates-io]\n{replaced}"));
            continue;
        }
        let mut lines = match source.kind() {
            SourceKind::Git(_) => format!("git = {}\n", quoted(source.url())),
            SourceKind::SparseRegistry => format!("registry = {}\n", quoted(&source.to_string())),
            _ => format!("registry = {}\n", quoted(source.url())),
        };
        if let SourceKind::Git(reference) = source.kind()
            && let Some((key, name)) = reference.key_and_name()
        {
            lines.push_str(&format!("{key} = {}\n", quoted(name)));
        }
        let name = source.to_string();
        tables.insert(name.clone(), format!("[source.{}]\n{lines}{replaced}", quoted(&name)));
    }
    let directory = quoted(&folder.to_string_lossy());
    tables.insert("vendored-sources".to_owned(), format!("[source.vendored-sources]\ndirectory = {directory}\n"));
    tables.into_values().collect::<Vec<_>>().join("\n")
}

fn toml_string(text: &str) -> String {
    // JSON's escapes are a subset of TOML's.
    serde_json::Value::from(text).to_string()
}

fn failed(doing: &str, path: &Path, error: impl std::fmt::Display) -> Error {
    Error::failure(format!("failed to {doing} `{}`", path.display())).because(error)
}
