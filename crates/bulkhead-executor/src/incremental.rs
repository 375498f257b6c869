//! A folder of its own for what each compiler remembers from one build to the next. rustc takes object code from there, and a
//! procedural macro can write wherever the compiler that it runs in can: in the folder that Cargo gives all units it could
//! exchange the code of a unit that does not use it, and that code would outlive the macro. Nor is the folder's name to be
//! guessed by whoever brings a target folder along with a repository.

use std::io;
use std::path::{Path, PathBuf};

use bulkhead_trust::Digest;
use bulkhead_unit_graph::{Command, UnitIndex};

use crate::run::Build;
use crate::staging::name;
use crate::{Options, folders, removal};

/// In a unit's folder: the outputs of the compiler that runs. rustc's own folders have a hyphen in their names.
const OUTPUTS: &str = "outputs";
/// Hexadecimal digits at the end of a folder's name.
const SECRET: usize = 32;

/// The folder of one unit, in the place of the one that all share.
pub(crate) struct Own {
    shared: PathBuf,
    folder: PathBuf,
}

impl Own {
    /// Makes the folder and turns `command` to it. `None` if the unit is not compiled incrementally.
    pub(crate) fn begin(build: &Build<'_>, index: UnitIndex, command: &mut Command) -> io::Result<Option<Self>> {
        const FLAG: &str = "incremental=";
        let shared = build.planner.layout(build.unit(index).platform).incremental();
        let planned = format!("{FLAG}{}", shared.display());
        let Some(argument) = command.arguments.iter_mut().find(|argument| **argument == planned) else {
            return Ok(None);
        };
        let unit = name(build, index);
        let folder = shared.join(folder_name(&unit, build.options));
        if !folder.exists() {
            remove_lost(&shared, &unit)?;
        }
        folders::make(build.options, &folder)?;
        *argument = format!("{FLAG}{}", folder.display());
        Ok(Some(Self { shared, folder }))
    }

    /// What the process may write: this folder instead of the one that all share.
    pub(crate) fn writable(&self, planned: Vec<PathBuf>) -> Vec<PathBuf> {
        planned.into_iter().map(|path| if path == self.shared { self.folder.clone() } else { path }).collect()
    }

    /// Where in it the compiler can write what belongs into `destination`. rustc links object code from the one to the other,
    /// and has to copy all of it where they are two mounts. `None` if nothing could be renamed from here to there.
    pub(crate) fn outputs(&self, destination: &Path) -> Option<PathBuf> {
        use std::os::unix::fs::MetadataExt as _;
        let device = |folder: &Path| folder.metadata().map(|metadata| metadata.dev()).ok();
        let here = device(&self.folder)?;
        (device(destination)? == here).then(|| self.folder.join(OUTPUTS))
    }
}

/// Removes what builds have left in these folders that were ended in the midst of it. Nobody else may use the folder.
pub(crate) fn sweep(profile_dir: &Path) {
    let folders = profile_dir.join("incremental").read_dir().into_iter().flatten().flatten();
    for folder in folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        // What cannot be removed now is removed before the unit is built again.
        let _ = removal::remove_folder(&folder.path().join(OUTPUTS));
    }
}

/// Only the installation that has written a folder finds it again, and where it was written; the macros that see the name do not learn `owner` from it.
fn folder_name(unit: &str, options: &Options<'_>) -> String {
    let (owner, folder) = (options.owner, options.target_dir.display());
    let mut secret = Digest::of(format!("{owner}\n{folder}\n{unit}").as_bytes()).to_string();
    secret.truncate(SECRET);
    format!("{unit}-{secret}")
}

/// Removes the unit's folders that nobody finds again: the target folder was moved or copied here, or another installation has
/// used it.
fn remove_lost(shared: &Path, unit: &str) -> io::Result<()> {
    let entries = match std::fs::read_dir(shared) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| is_of(name, unit)) {
            removal::remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

fn is_of(name: &str, unit: &str) -> bool {
    let secret = name.strip_prefix(unit).and_then(|rest| rest.strip_prefix('-'));
    secret.is_some_and(|secret| secret.len() == SECRET && secret.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::remove_lost;

    #[test]
    fn only_folders_of_the_unit_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "0123456789abcdef0123456789abcdef";
        let stays = ["app-00", "app-more-1", "app", "other"].map(|name| format!("{name}-{secret}"));
        for name in stays.iter().cloned().chain([format!("app-1-{secret}"), "app-1-work".to_owned()]) {
            std::fs::create_dir_all(folder.path().join(name).join("s-x")).unwrap();
        }
        remove_lost(folder.path(), "app-1").unwrap();
        let mut left: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let mut expected: Vec<_> = stays.iter().map(String::as_str).chain(["app-1-work"]).collect();
        expected.sort_unstable();
        assert_eq!(left, expected);
        remove_lost(&folder.path().join("absent"), "app-1").unwrap();
    }
}
