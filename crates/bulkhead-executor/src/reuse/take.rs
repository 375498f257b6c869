//! Taking a unit out of the cache, in place of building it.

use std::io;
use std::path::{Path, PathBuf};

use bulkhead_store::{Entry, Finding, UnitContent, UnitFile};
use bulkhead_trust::Digest;
use bulkhead_unit_graph::{Output, OutputKind, UnitIndex};

use super::keep::Note;
use super::key::{Keys, Places};
use super::units;
use crate::run::Build;
use crate::{Event, files};

/// What was taken out of a compiled unit.
pub(crate) struct Taken {
    /// rustc's messages.
    pub(crate) messages: String,
    files: Vec<UnitFile>,
}

impl Taken {
    /// The digest of an output: its content was compared with it on the way.
    pub(crate) fn digest(&self, path: &Path) -> Option<&str> {
        let name = path.file_name()?;
        match &self.files.iter().find(|file| name == file.name.as_str())?.content {
            UnitContent::File { digest, .. } => Some(digest),
            UnitContent::Folder | UnitContent::Link(_) => None,
        }
    }
}

/// Puts the outputs of the unit at `index` where its compiler would have, if they are known.
pub(crate) fn take_compiled(build: &Build<'_>, index: UnitIndex, keys: Keys, outputs: &[Output]) -> Option<Taken> {
    let dep_info = build.planner.dep_info(index);
    take(build, index, keys, |entry, note| {
        let Note::Compiled { messages, dep_info: text } = note else { return Err(strange()) };
        let placed = place_outputs(entry, outputs).and_then(|()| files::write(&dep_info, text.as_bytes()));
        if placed.is_err() {
            outputs.iter().for_each(|output| drop(files::remove(&output.path)));
        }
        placed.map(|()| Taken { messages, files: entry.files.clone() })
    })
}

fn place_outputs(entry: &Entry, outputs: &[Output]) -> io::Result<()> {
    let is_there = |output: &Output| entry.files.iter().any(|file| output.path.ends_with(&file.name));
    if outputs.iter().any(|output| output.kind != OutputKind::DebugInfo && !is_there(output)) {
        return Err(strange());
    }
    for file in &entry.files {
        // Whatever else the entry names has no place.
        let is_it = |output: &&Output| output.path.file_name().is_some_and(|name| name == file.name.as_str());
        let output = outputs.iter().find(is_it).ok_or_else(strange)?;
        entry.take_out(file, &output.path)?;
    }
    Ok(())
}

/// Fills the folder `out_dir`, which is empty, as the build script of the unit at `index` would, if that is known. Returns
/// what the script printed on its two streams.
pub(crate) fn take_run(build: &Build<'_>, index: UnitIndex, keys: Keys, out_dir: &Path) -> Option<(Vec<u8>, Vec<u8>)> {
    take(build, index, keys, |entry, note| {
        let Note::Ran { stdout, stderr } = note else { return Err(strange()) };
        let parent = out_dir.parent().ok_or_else(strange)?;
        let part = tempfile::Builder::new().prefix(".out-").tempdir_in(parent)?;
        fill(entry, part.path())?;
        std::fs::set_permissions(part.path(), out_dir.metadata()?.permissions())?;
        std::fs::rename(part.path(), out_dir)?;
        Ok((stdout.into_bytes(), stderr.into_bytes()))
    })
}

/// Folders come before what is in them. Names are relative and stay below, whoever wrote them.
fn fill(entry: &Entry, folder: &Path) -> io::Result<()> {
    for file in &entry.files {
        let name = PathBuf::from(&file.name);
        if !name.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            return Err(strange());
        }
        let place = folder.join(name);
        match &file.content {
            UnitContent::Folder => std::fs::create_dir(&place)?,
            UnitContent::Link(target) => std::os::unix::fs::symlink(target, &place)?,
            UnitContent::File { .. } => entry.take_out(file, &place)?,
        }
    }
    Ok(())
}

/// An entry that bears our seal and does not fit.
fn strange() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Looks under both keys. What is damaged is told, and as if it were not there.
fn take<T>(
    build: &Build<'_>,
    index: UnitIndex,
    keys: Keys,
    place: impl Fn(&Entry, Note) -> io::Result<T>,
) -> Option<T> {
    let (cache, units) = (build.options.cache.as_ref()?, units(build)?);
    let places = Places::new(&cache.places);
    let damaged = |finding: Finding| build.emit(Event::CacheDamaged { unit: index, finding });
    let found = |key: Digest| match units.get(key) {
        Ok(entry) => entry.map(|entry| (key, entry)),
        Err(finding) => {
            damaged(finding);
            None
        }
    };
    let (key, entry) = found(keys.portable).or_else(|| found(keys.bound))?;
    let note: Option<Note> = serde_json::from_str(&entry.note).ok();
    let taken = note.ok_or_else(strange).and_then(|note| place(&entry, note.map(|text| places.local(text))));
    match taken {
        Ok(taken) => {
            units.touch(&entry);
            build.contents.note(index, &entry.files);
            Some(taken)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData && units.holds(key, &entry) => {
            damaged(units.refuse(key, "a file in it is not what was put there".to_owned()));
            None
        }
        // Another process has collected the entry meanwhile, or the disk is full, of which the compiler will tell.
        Err(_) => None,
    }
}
