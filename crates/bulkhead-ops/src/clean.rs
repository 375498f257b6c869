//! `clean`: deletes only what Bulkhead has marked as its own for this workspace.

#![expect(clippy::disallowed_methods, reason = "this command is never answered from a snapshot")]

mod target_folder;

use std::path::{Path, PathBuf};

pub use bulkhead_executor::Removed;
use bulkhead_executor::{TARGET_MARKER, target_mark};
use bulkhead_schema::PackageSpec;
use bulkhead_workspace::TargetKind;

use self::target_folder::TargetFolder;
use crate::error::Result;
use crate::options::{CleanOptions, GlobalOptions};
use crate::project::{self, Project};
use crate::{Error, Event, compile, profiles};

/// Removes the target folder, or the part of it that the options name.
///
/// # Errors
/// The folder does not carry the marker that Bulkhead writes when it makes one for this workspace: a repository's
/// configuration must not choose what is deleted.
pub fn clean(global: &GlobalOptions, options: &CleanOptions, events: &(dyn Fn(Event) + Sync)) -> Result<Removed> {
    options.platforms.iter().try_for_each(|platform| compile::check_platform(platform))?;
    let project = project::open(global, events)?;
    let target_dir = compile::target_dir(global, options.target_dir.as_ref(), &project)?;
    if std::fs::symlink_metadata(&target_dir).is_err() {
        return Ok(Removed::default());
    }
    check_marker(&target_dir, &project)?;
    let folder = TargetFolder::open(&target_dir)?;
    let mut removed = Removed::default();
    for path in doomed(&folder, options, &project)? {
        removed += folder.remove(&path, options.dry_run, events)?;
    }
    Ok(removed)
}

fn check_marker(target_dir: &Path, project: &Project) -> Result<()> {
    let refuse = |reason: String| {
        Err(Error::failure(format!("`{}` is not removed", target_dir.display()))
            .because(reason)
            .help("if it holds nothing that you need, remove it by hand"))
    };
    // A link is never followed; removing the link alone harms nobody.
    if std::fs::symlink_metadata(target_dir).is_ok_and(|metadata| metadata.file_type().is_symlink()) {
        return refuse("it is a symbolic link".to_owned());
    }
    let marker = target_dir.join(TARGET_MARKER);
    let own = std::fs::symlink_metadata(&marker).is_ok_and(|metadata| metadata.is_file() && metadata.len() < 1 << 16);
    let text = if own { std::fs::read_to_string(&marker) } else { Err(std::io::ErrorKind::NotFound.into()) };
    match text {
        Ok(text) if target_mark(target_dir, &project.workspace.root).is_ok_and(|mark| mark == text) => Ok(()),
        // What was made at its usual place holds nothing of anybody else's, by whichever of the two, and moved or not.
        _ if *target_dir == project.workspace.root.join("target") && is_tagged(target_dir) => Ok(()),
        Ok(text) => {
            let workspace = text.lines().next().unwrap_or_default();
            let reason = if workspace == project.workspace.root.to_string_lossy() {
                format!("its `{TARGET_MARKER}` was written for another folder")
            } else {
                format!("it was made for the workspace `{workspace}`")
            };
            refuse(reason)
        }
        Err(_) => {
            let configured = project.configuration.config.target_dir().ok().flatten();
            let place = configured.map(|value| format!(" (set in {})", value.definition)).unwrap_or_default();
            refuse(format!("Bulkhead did not make that folder{place}: it has no `{TARGET_MARKER}`"))
        }
    }
}

fn is_tagged(folder: &Path) -> bool {
    let path = folder.join("CACHEDIR.TAG");
    // A repository may have put a pipe or a link to an endless device there.
    let is_plain =
        std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() < 1 << 16);
    let tag = if is_plain { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
    tag.starts_with(
        b"Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by cargo.",
    )
}

/// What has to go, each as a path below the target folder (empty: all of it). `-p` names units by the prefix of their files,
/// so that every profile and platform is cleaned of them.
fn doomed(folders: &TargetFolder, options: &CleanOptions, project: &Project) -> Result<Vec<PathBuf>> {
    let mut roots = vec![PathBuf::new()];
    if !options.platforms.is_empty() {
        roots = options.platforms.iter().map(PathBuf::from).collect();
    }
    if options.doc {
        return Ok(roots.into_iter().map(|root| root.join("doc")).collect());
    }
    if let Some(profile) = &options.profile {
        let mut profiles = project.workspace.profiles.clone();
        profiles::hear(&project.configuration.config, &mut profiles, Some(profile))?;
        let folder = profiles.directory(profile)?;
        roots = roots.into_iter().map(|root| root.join(folder.as_str())).collect();
    }
    if options.packages.is_empty() && !options.workspace {
        return Ok(roots);
    }
    let members = project.workspace.members.iter().filter(|_| options.workspace);
    let mut names: Vec<String> = members.map(|member| member.id.name().to_string()).collect();
    for spec in &options.packages {
        let parsed = PackageSpec::parse(spec)
            .map_err(|error| Error::failure(format!("invalid package ID specification: `{spec}`")).because(error))?;
        let name = parsed.name().ok_or_else(|| Error::failure(format!("`{spec}` names no package to clean")))?;
        names.push(name.to_string());
    }
    // What a member's programs and libraries are called, where that is not what the package is called.
    let members =
        project.workspace.members.iter().filter(|member| names.iter().any(|name| name == member.id.name().as_str()));
    let targets: Vec<String> = members
        .flat_map(|member| &member.targets)
        .filter(|target| target.kind != TargetKind::BuildScript)
        .map(|target| target.name.to_string())
        .collect();
    names.extend(targets);
    let mut found = Vec::new();
    for root in roots {
        found.extend(folders.files_of(&root, &names)?);
    }
    Ok(found)
}
