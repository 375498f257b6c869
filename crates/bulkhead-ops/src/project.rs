//! The project that a command works on: its configuration and its workspace.

use std::path::{Path, PathBuf};

use bulkhead_workspace::{Files as _, LoadOptions, Workspace};

use crate::configuration::{self, Configuration};
use crate::error::Result;
use crate::observed::Disk;
use crate::options::GlobalOptions;
use crate::{Error, ErrorKind, Event, disk, in_force, overrides, patches, policy, profiles, registries, switches};

/// Configuration, workspace and policy of one command.
pub struct Project {
    /// The configuration in force.
    pub configuration: Configuration,
    /// The workspace.
    pub workspace: Workspace,
    /// What organisation, user and project allow.
    pub policy: bulkhead_policy::Effective,
}

impl Project {
    /// A failure to find or fetch packages, where the project's own files say that they stand elsewhere, and nobody has
    /// trusted those files: then this is what is to be told.
    pub fn blame_untrusted_sources(&self, error: Error) -> Error {
        let mut ignored = self.configuration.ignored.iter();
        let Some(key) = ignored.find(|key| key.key.starts_with("source.")) else { return error };
        if error.kind != ErrorKind::Failure {
            return error;
        }
        let message = "the project's configuration says that its packages come from elsewhere, and is not trusted";
        let error = error.while_doing(message).help(key.how_to_trust.clone());
        Error { kind: ErrorKind::UntrustedConfiguration, ..error }
    }
}

/// Loads both for the current folder, or for `--manifest-path`.
///
/// # Errors
/// There is no manifest, or manifests, configuration or policy are wrong.
pub fn open(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<Project> {
    let configuration = configuration::load(global, events)?;
    let manifest_path = manifest_path(global)?;
    let options = LoadOptions {
        manifest_path: manifest_path.clone(),
        ceilings: ceilings(&global.place.disk, &manifest_path),
        registry: &|name| Ok(registries::named(&configuration, name)?.map(|source| source.called(name))),
        profiles: profiles::configured(&configuration.config)?,
        patches: patches::configured(&configuration.config)?,
        overrides: overrides::configured(&configuration.config)?,
    };
    let (mut workspace, warnings) = bulkhead_workspace::load(&global.place.disk, &options)?;
    profiles::hear(&configuration.config, &mut workspace.profiles, None)?;
    let incremental = configuration.config.incremental()?;
    workspace.profiles = workspace.profiles.with_incremental(incremental);
    if !global.quiet {
        warnings.into_iter().for_each(|warning| events(Event::Diagnostic(warning)));
    }
    let policies = policy::layers(&global.place, &workspace.root)?;
    let policy = policy::together(&policies);
    switches::check_by(&global.place, &policy)?;
    in_force::observe(&global.place, &workspace.root, &configuration.files, &policies, &policy, events);
    Ok(Project { configuration, workspace, policy })
}

/// The manifest that the command is about.
pub fn manifest_path(global: &GlobalOptions) -> Result<PathBuf> {
    let Some(given) = &global.manifest_path else {
        let found = bulkhead_workspace::find_manifest(&global.place.disk, &global.place.current_dir)?;
        return Ok(found);
    };
    let path = disk::normalize(&global.place.current_dir.join(given));
    if path.file_name().is_none_or(|name| name != "Cargo.toml") {
        return Err(Error::failure("the manifest-path must be a path to a Cargo.toml file"));
    }
    if !global.place.disk.is_file(&path) {
        return Err(Error::failure(format!("manifest path `{}` does not exist", given.display())));
    }
    Ok(path)
}

/// Where the upward search for a workspace ends: at the repository, and where folders belong to somebody else.
pub fn ceilings(disk: &Disk, manifest_path: &Path) -> Vec<PathBuf> {
    let mut ceilings = Vec::new();
    for folder in manifest_path.ancestors().skip(1) {
        let foreign = folder.parent().is_none_or(|parent| disk.check_ownership(parent).is_err());
        if foreign || configuration::is_repository(disk, folder) {
            ceilings.push(folder.to_path_buf());
            break;
        }
    }
    ceilings
}
