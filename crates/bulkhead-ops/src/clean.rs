//! `clean`: deletes only what Bulkhead has marked as its own for this workspace.

#![expect(clippy::disallowed_methods, reason = "this command is never answered from a snapshot")]

use std::path::{Path, PathBuf};

use bulkhead_executor::TARGET_MARKER;
use bulkhead_schema::PackageSpec;

use crate::error::Result;
use crate::options::{CleanOptions, GlobalOptions};
use crate::project::{self, Project};
use crate::{Error, Event, compile, disk};

/// What was (or with `--dry-run` would be) removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of files.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

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
    let mut removed = Removed::default();
    for path in doomed(&target_dir, options, &project)? {
        refuse_behind_links(&target_dir, &path)?;
        removed.add(remove(&path, options.dry_run, events)?);
    }
    Ok(removed)
}

impl Removed {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
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
    match std::fs::read_to_string(target_dir.join(TARGET_MARKER)) {
        Ok(text) if text.trim_end() == project.workspace.root.to_string_lossy() => Ok(()),
        Ok(text) => refuse(format!("it was made for the workspace `{}`", text.trim_end())),
        // What Cargo made at its usual place holds nothing of anybody else's.
        Err(_) if *target_dir == project.workspace.root.join("target") && is_tagged(target_dir) => Ok(()),
        Err(_) => {
            let configured = project.configuration.config.target_dir().ok().flatten();
            let place = configured.map(|value| format!(" (set in {})", value.definition)).unwrap_or_default();
            refuse(format!("Bulkhead did not make that folder{place}: it has no `{TARGET_MARKER}`"))
        }
    }
}

/// A link in the target folder may lead anywhere: it can be removed, what is behind it cannot.
fn refuse_behind_links(target_dir: &Path, path: &Path) -> Result<()> {
    let mut above = path.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(target_dir));
    match above.find(|ancestor| disk::is_link(ancestor)) {
        None => Ok(()),
        Some(link) => Err(Error::failure(format!("`{}` is not removed", path.display()))
            .because(format!("`{}` is a symbolic link", link.display()))
            .help("remove the link by hand")),
    }
}

fn is_tagged(folder: &Path) -> bool {
    let tag = std::fs::read(folder.join("CACHEDIR.TAG")).unwrap_or_default();
    tag.starts_with(
        b"Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by cargo.",
    )
}

/// What has to go. `-p` names units by the prefix of their files, so that every profile and platform is cleaned of them.
fn doomed(target_dir: &Path, options: &CleanOptions, project: &Project) -> Result<Vec<PathBuf>> {
    let mut roots = vec![target_dir.to_path_buf()];
    if !options.platforms.is_empty() {
        roots = options.platforms.iter().map(|platform| target_dir.join(platform)).collect();
    }
    if options.doc {
        return Ok(roots.into_iter().map(|root| root.join("doc")).collect());
    }
    if let Some(profile) = &options.profile {
        let folder = project.workspace.profiles.directory(profile)?;
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
    Ok(roots.iter().flat_map(|root| files_of(root, &names)).collect())
}

/// Files of packages: `<name>-<hash>` folders and files, and `lib<name>-<hash>` with `_` for `-`.
fn files_of(root: &Path, names: &[String]) -> Vec<PathBuf> {
    let belongs = |file: &str| {
        let stem = file.split('.').next().unwrap_or_default();
        let stem = stem.rsplit_once('-').map_or(stem, |(stem, _)| stem);
        names.iter().any(|name| {
            let crate_name = name.replace('-', "_");
            stem == name || stem == crate_name || stem.strip_prefix("lib") == Some(&crate_name)
        })
    };
    let mut found = Vec::new();
    let mut pending = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = pending.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if belongs(&name) {
                found.push(entry.path());
            } else if depth < 3 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push((entry.path(), depth + 1));
            }
        }
    }
    found
}

fn remove(path: &Path, dry_run: bool, events: &dyn Fn(Event)) -> Result<Removed> {
    let failed =
        |error: std::io::Error| Error::failure(format!("failed to remove `{}`", path.display())).because(error);
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(Removed::default()) };
    let removed =
        if metadata.is_dir() { count(path).map_err(failed)? } else { Removed { files: 1, bytes: metadata.len() } };
    if dry_run {
        events(Event::Note(path.display().to_string()));
        return Ok(removed);
    }
    // `remove_dir_all` works relative to directory descriptors and follows no link.
    let result = if metadata.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    result.map_err(failed)?;
    Ok(removed)
}

fn count(folder: &Path) -> std::io::Result<Removed> {
    let mut removed = Removed::default();
    let mut pending = vec![PathBuf::from(folder)];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                removed.add(Removed { files: 1, bytes: metadata.len() });
            }
        }
    }
    Ok(removed)
}
