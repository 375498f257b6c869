//! Commands that are programs of their own: `bulkhead nextest` starts `cargo-nextest`.
//!
//! They run with all of the user's rights, so that only programs count that the user, or the system, has put where nobody
//! else can: below `$CARGO_HOME/bin` or an absolute folder of `PATH`, outside of the project, and not to be written by
//! others. A built-in command is never looked for.

#![expect(clippy::disallowed_methods, reason = "these commands are never answered from a snapshot")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Result;
use crate::options::{GlobalOptions, Place};
use crate::{Error, ErrorKind, disk, programs, project};

/// Longest name of a command.
const MAX_NAME: usize = 64;

/// The start of the command `name`, whose `arguments` begin with its own name; `None` if there is no such program.
///
/// # Errors
/// There is one, and somebody else could have put it there.
pub fn find(global: &GlobalOptions, name: &str, arguments: &[OsString]) -> Result<Option<Command>> {
    if !is_name(name) {
        return Ok(None);
    }
    let file = format!("cargo-{name}{}", std::env::consts::EXE_SUFFIX);
    let mut refused = None;
    for folder in folders(global) {
        let program = folder.join(&file);
        if !global.place.disk.is_executable(&program) {
            continue;
        }
        match whole_path_is_ours(&program) {
            Ok(()) => {
                let mut command = Command::new(&program);
                command.args(arguments).env("CARGO", &global.place.program);
                command.current_dir(&global.place.current_dir);
                return Ok(Some(command));
            }
            Err(reason) => refused = refused.or(Some((program, reason))),
        }
    }
    match refused {
        None => Ok(None),
        Some((program, reason)) => {
            let message = format!("the command `{name}` is not run: {} {reason}", program.display());
            let error = Error::refusal(ErrorKind::Policy, "subcommand-writable", message);
            Err(error.help("only programs are run that nobody but you and the system's administrator can change"))
        }
    }
}

/// The names of all commands that [`find`] finds, each with its program.
pub fn all(global: &GlobalOptions) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for folder in folders(global) {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let stem = file.to_str().and_then(|file| file.strip_suffix(std::env::consts::EXE_SUFFIX));
            let Some(name) = stem.and_then(|stem| stem.strip_prefix("cargo-")).filter(|name| is_name(name)) else {
                continue;
            };
            let path = entry.path();
            if global.place.disk.is_executable(&path) && whole_path_is_ours(&path).is_ok() {
                found.entry(name.to_owned()).or_insert(path);
            }
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-')
}

/// `$CARGO_HOME/bin`, then those of `PATH`; a folder of the project could hold what the project wants.
fn folders(global: &GlobalOptions) -> Vec<PathBuf> {
    let place = &global.place;
    let own = place.cargo_home.join("bin");
    let named = programs::outside(place, &project_folders(global));
    let mut folders = vec![own];
    for folder in named {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn project_folders(global: &GlobalOptions) -> Vec<PathBuf> {
    let place: &Place = &global.place;
    let Ok(manifest) = project::manifest_path(global) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = manifest.parent().map(Path::to_path_buf).into_iter().collect();
    if let Ok(project) = project::open(global, &|_| {}) {
        folders.push(project.workspace.root);
    }
    let repository = manifest.ancestors().skip(1).find(|folder| place.disk.exists(&folder.join(".git")));
    folders.extend(repository.map(Path::to_path_buf));
    folders
}

/// Whether nobody else can change the program, put another in its place, or do so with a folder above it.
fn whole_path_is_ours(program: &Path) -> std::result::Result<(), String> {
    let real = program.canonicalize().map_err(|error| format!("cannot be examined: {error}"))?;
    for path in [program, &real] {
        for (depth, part) in path.ancestors().enumerate() {
            let metadata = part.symlink_metadata().map_err(|error| format!("cannot be examined: {error}"))?;
            // In a folder like `/tmp` nobody can replace what belongs to somebody else.
            let is_sticky = depth > 1 && metadata.mode() & 0o1000 != 0;
            if let Err(reason) = disk::check_owner(&metadata)
                && !is_sticky
            {
                return Err(if depth == 0 { reason } else { format!("lies in {}, which {reason}", part.display()) });
            }
        }
    }
    Ok(())
}
