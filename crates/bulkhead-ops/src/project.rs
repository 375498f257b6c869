//! The project that a command works on: its configuration and its workspace.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::{Diagnostic, SourceId};
use bulkhead_workspace::{FileType, Files, LoadOptions, Workspace};

use crate::configuration::{self, Configuration};
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::{Error, Event, disk, profiles};

/// Configuration and workspace of one command.
pub struct Project {
    /// The configuration in force.
    pub configuration: Configuration,
    /// The workspace.
    pub workspace: Workspace,
}

/// Loads both for the current folder, or for `--manifest-path`.
///
/// # Errors
/// There is no manifest, or manifests or configuration are wrong.
pub fn open(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<Project> {
    let configuration = configuration::load(global, events)?;
    let manifest_path = manifest_path(global)?;
    let options = LoadOptions {
        manifest_path: manifest_path.clone(),
        ceilings: ceilings(&manifest_path),
        registry: &|name| registry_named(&configuration, name),
        profiles: profiles::configured(&configuration.config)?,
    };
    let (mut workspace, warnings) = bulkhead_workspace::load(&Disk, &options)?;
    let incremental = configuration.config.incremental()?;
    workspace.profiles = workspace.profiles.with_incremental(incremental);
    if !global.quiet {
        warnings.into_iter().for_each(|warning| events(Event::Diagnostic(warning)));
    }
    Ok(Project { configuration, workspace })
}

/// The manifest that the command is about.
pub fn manifest_path(global: &GlobalOptions) -> Result<PathBuf> {
    let Some(given) = &global.manifest_path else {
        let found = bulkhead_workspace::find_manifest(&Disk, &global.place.current_dir)?;
        return Ok(found);
    };
    let path = disk::normalize(&global.place.current_dir.join(given));
    if path.file_name().is_none_or(|name| name != "Cargo.toml") {
        return Err(Error::failure("the manifest-path must be a path to a Cargo.toml file"));
    }
    if !path.is_file() {
        return Err(Error::failure(format!("manifest path `{}` does not exist", given.display())));
    }
    Ok(path)
}

/// Where the upward search for a workspace ends: at the repository, and where folders belong to somebody else.
fn ceilings(manifest_path: &Path) -> Vec<PathBuf> {
    let mut ceilings = Vec::new();
    for folder in manifest_path.ancestors().skip(1) {
        let foreign = folder.parent().is_none_or(|parent| disk::check_ownership(parent).is_err());
        if foreign || folder.join(".git").exists() {
            ceilings.push(folder.to_path_buf());
            break;
        }
    }
    ceilings
}

/// The registry that configuration calls `name`.
pub fn registry_named(configuration: &Configuration, name: &str) -> Option<SourceId> {
    if name == "crates-io" {
        return Some(SourceId::crates_io());
    }
    let index = configuration.config.registry(name).ok()?.index?;
    let index = index.value;
    SourceId::parse(&index).or_else(|_| SourceId::parse(&format!("registry+{index}"))).ok()
}

/// The real file system, as `workspace` wants to see it.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> std::result::Result<Option<Arc<str>>, Diagnostic> {
        let failed = |reason: String| {
            Err(Diagnostic::error("manifest-unreadable", format!("failed to read `{}`: {reason}", path.display())))
        };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return failed(error.to_string()),
        };
        if !metadata.is_file() {
            return failed("it is not a regular file".to_owned());
        }
        if metadata.len() > bulkhead_schema::manifest::MAX_MANIFEST_SIZE as u64 {
            return failed("it is larger than 1 MiB".to_owned());
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.into())),
            Err(error) => failed(error.to_string()),
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, folder: &Path) -> Vec<(String, FileType)> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let described = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let kind = entry.file_type().ok()?;
            let kind = match kind.is_symlink() {
                true => std::fs::metadata(entry.path()).map(|metadata| metadata.file_type()).unwrap_or(kind),
                false => kind,
            };
            let kind = match (kind.is_file(), kind.is_dir()) {
                (true, _) => FileType::File,
                (_, true) => FileType::Directory,
                _ => FileType::Other,
            };
            Some((name, kind))
        };
        let mut listed: Vec<_> = entries.flatten().filter_map(described).collect();
        listed.sort_by(|a, b| a.0.cmp(&b.0));
        listed
    }
}
