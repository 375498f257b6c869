//! A folder of its own for each compiler: rustc writes there, and what the unit is known to leave is moved to where Cargo
//! has it. So a procedural macro that runs inside rustc cannot replace the artifacts of other units.

use std::io;
use std::path::{Path, PathBuf};

use bulkhead_unit_graph::{Command, CompileMode, Output, UnitIndex};

use crate::incremental::Own as Incremental;
use crate::run::Build;
use crate::uplift::uplift;
use crate::{Options, files, folders, incremental, removal};

/// Below the build folder: where the staging folders are.
const FOLDER: &str = ".bulkhead";

/// Makes the folder of staging folders, by which the next build knows that this one has not come to its end.
pub(crate) fn make(options: &Options<'_>, intermediate: &Path) -> io::Result<()> {
    folders::make(options, &intermediate.join(FOLDER))
}

/// Removes the folder of staging folders, which is empty when no process runs.
pub(crate) fn clear(intermediate: &Path) {
    // If something is left in it, the next build will see to it.
    let _ = std::fs::remove_dir(intermediate.join(FOLDER));
}

/// What a folder that is a unit's own is called.
pub(crate) fn name(build: &Build<'_>, index: UnitIndex) -> String {
    format!("{}-{}", unit_name(build, index), build.planner.fingerprint_name(index))
}

fn unit_name(build: &Build<'_>, index: UnitIndex) -> String {
    let folder = build.planner.fingerprint_folder(index);
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Removes what a build has left that was ended in the midst of it. Nobody else may use the folder.
pub(crate) fn sweep(profile_dir: &Path) {
    // What cannot be removed is in nobody's way, and is tried again next time.
    files::remove_temporaries(profile_dir);
    let left = profile_dir.join(FOLDER);
    if !left.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return;
    }
    incremental::sweep(profile_dir);
    for folder in ["deps", "examples", ".fingerprint", "build"].map(|folder| profile_dir.join(folder)) {
        files::remove_temporaries(&folder);
        let below = folder.read_dir().into_iter().flatten().flatten();
        let folders = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.for_each(|folder| files::remove_temporaries(&folder.path()));
    }
    let _ = removal::remove_folder(&left);
}

/// The staging folder of one process. Dropping it removes the folder with what is left there.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    /// Where rustc would have written.
    destination: PathBuf,
    /// What names of the unit's own files contain, `-0123456789abcdef`.
    own: String,
    /// The folder of what the user has named with `-o`, which may be anywhere.
    named: Option<PathBuf>,
}

/// What a compiler has left in its staging folder.
pub(crate) enum Left {
    /// What the unit is known to leave.
    Whole,
    /// That, and more that bears its hash.
    More,
    /// Only what the user has named with `-o`.
    Named,
}

/// Where in the staging folder files lie that `-o` has named.
const NAMED: &str = "named";

impl Staging {
    /// Makes a staging folder, where the compiler remembers things from build to build beside these, and turns `command` to it.
    /// `None` where rustc has to write in place: rustdoc, whose output is shared by all crates, and debug information that is
    /// found by its path.
    pub(crate) fn begin(
        build: &Build<'_>,
        index: UnitIndex,
        command: &mut Command,
        incremental: Option<&Incremental>,
    ) -> io::Result<Option<Self>> {
        let unit = build.unit(index);
        let position = command.arguments.iter().position(|argument| argument == "--out-dir");
        let Some(out_dir) = position.and_then(|position| command.arguments.get_mut(position + 1)) else {
            return Ok(None);
        };
        if !Self::is_used(build, index) {
            return Ok(None);
        }
        let apart = || build.planner.layout(unit.platform).intermediate.join(FOLDER).join(name(build, index));
        let folder = incremental.and_then(|own| own.outputs(Path::new(out_dir))).unwrap_or_else(apart);
        match removal::remove_folder(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => folders::make(build.options, &folder)?,
        }
        let own = unit_name(build, index).rsplit_once('-').map_or(String::new(), |(_, hash)| format!("-{hash}"));
        let destination = PathBuf::from(std::mem::replace(out_dir, folder.display().to_string()));
        let named = stage_named(command, &folder.join(NAMED))?;
        Ok(Some(Self { folder, destination, own, named }))
    }

    /// Whether the compiler of the unit can write into a folder of its own.
    pub(crate) fn is_used(build: &Build<'_>, index: UnitIndex) -> bool {
        let unit = build.unit(index);
        let unpacked = unit.profile.split_debuginfo.is_some_and(|kind| kind.as_str() == "unpacked");
        !unpacked && !matches!(unit.mode, CompileMode::Doc | CompileMode::Doctest)
    }

    /// What the process may write: the staging folder instead of the one that other units share.
    pub(crate) fn writable(&self, planned: Vec<PathBuf>) -> Vec<PathBuf> {
        let mut folders: Vec<_> = planned.into_iter().filter(|path| *path != self.destination).collect();
        // A folder of its own in the view would be another mount.
        if !folders.iter().any(|folder| self.folder.starts_with(folder)) {
            folders.push(self.folder.clone());
        }
        folders
    }

    /// The place at which a staged file will be found.
    pub(crate) fn place(&self, staged: &Path) -> PathBuf {
        match staged.strip_prefix(&self.folder) {
            Ok(name) => self.destination.join(name),
            Err(_) => staged.to_owned(),
        }
    }

    /// Shows the file for `path` at its place while rustc, which announces its metadata before it reads it again, still
    /// needs it where it is.
    pub(crate) fn show(&self, path: &Path) -> io::Result<()> {
        files::remove(path)?;
        std::fs::hard_link(self.folder.join(path.file_name().unwrap_or_default()), path)?;
        if path.symlink_metadata()?.is_file() {
            return Ok(());
        }
        files::remove(path)?;
        Err(io::Error::other("it is not a file"))
    }

    /// Moves the file for `path` to its place, if it was staged and is a file.
    fn publish(&self, path: &Path) -> io::Result<()> {
        let staged = self.folder.join(path.file_name().unwrap_or_default());
        match staged.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => std::fs::rename(&staged, path),
            Ok(_) => Err(io::Error::other("it is not a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves everything to its place that the unit is known to leave, that bears its own hash (`--emit=asm`), or that the
    /// user has named.
    pub(crate) fn finish(self, outputs: &[Output], dep_info: &Path) -> io::Result<Left> {
        if let Some(destination) = &self.named {
            return hand_over(&self.folder.join(NAMED), destination).map(|()| Left::Named);
        }
        for path in outputs.iter().map(|output| output.path.as_path()).chain([dep_info]) {
            self.publish(path)?;
        }
        let mut left = Left::Whole;
        for entry in self.folder.read_dir()? {
            let name = entry?.file_name();
            let place = self.destination.join(&name);
            // Metadata that was shown early is in both places, which are one file. Others are reading it: it must not be away
            // even for a moment.
            let is_there = outputs.iter().any(|output| output.path == place);
            if !is_there && self.own.len() == 17 && name.to_string_lossy().contains(&self.own) {
                files::remove(&place)?;
                self.publish(&place)?;
                left = Left::More;
            }
        }
        Ok(left)
    }
}

/// Turns `-o FILE` to a folder of the unit's own, which no other place has to be writable for. Returns where it belongs.
fn stage_named(command: &mut Command, folder: &Path) -> io::Result<Option<PathBuf>> {
    let Some(position) = command.arguments.iter().rposition(|argument| argument == "-o") else { return Ok(None) };
    // To standard output.
    let Some(file) = command.arguments.get_mut(position + 1).filter(|file| *file != "-") else { return Ok(None) };
    let path = command.current_dir.join(&*file);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    std::fs::create_dir(folder)?;
    *file = folder.join(name).display().to_string();
    Ok(Some(parent.to_owned()))
}

/// Puts the files in `folder` into the user's own: rustc has named them after the one that `-o` names, and links are none.
fn hand_over(folder: &Path, destination: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            uplift(&entry.path(), &destination.join(entry.file_name()))?;
        }
    }
    Ok(())
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed before the unit is built again.
        let _ = removal::remove_folder(&self.folder);
    }
}
