//! Taking a unit out of the cache, in place of building it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_store::{ClosedEntry, Entry, Finding, UnitContent, UnitFile};
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
    files: Arc<[UnitFile]>,
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

/// A unit that stands in the cache.
pub(crate) struct Found {
    key: Digest,
    entry: ClosedEntry,
    /// What is to be known of it, with the folders of this workspace.
    pub(crate) note: Note,
}

impl Found {
    /// What the unit left.
    pub(crate) fn files(&self) -> &[UnitFile] {
        &self.entry.files
    }
}

/// Looks under both keys. What is damaged is told, and as if it were not there.
pub(crate) fn find(build: &Build<'_>, index: UnitIndex, keys: Keys) -> Option<Found> {
    let (cache, units) = (build.options.cache.as_ref()?, units(build)?);
    let damaged = |finding: Finding| build.emit(Event::CacheDamaged { unit: index, finding });
    let (key, entry) = [keys.portable, keys.bound].into_iter().find_map(|key| match units.get(key) {
        Ok(entry) => entry.map(|entry| (key, entry)),
        Err(finding) => {
            damaged(finding);
            None
        }
    })?;
    let Ok(note) = serde_json::from_str::<Note>(&entry.note) else {
        damaged(units.refuse(key, "what it says of itself is not understood".to_owned()));
        return None;
    };
    let places = Places::new(&cache.places);
    Some(Found { key, entry: entry.close(key).ok()?, note: note.map(|text| places.local(text)) })
}

/// Puts the outputs of the unit at `index` where its compiler would have, if that is possible.
pub(crate) fn place_compiled(build: &Build<'_>, index: UnitIndex, found: &Found, outputs: &[Output]) -> Option<Taken> {
    let dep_info = build.planner.dep_info(index);
    place(build, index, found, |entry| {
        let Note::Compiled { messages, dep_info: text } = &found.note else { return Err(strange()) };
        let placed = place_outputs(entry, outputs).and_then(|()| files::write(&dep_info, text.as_bytes()));
        if placed.is_err() {
            outputs.iter().for_each(|output| drop(files::remove(&output.path)));
        }
        placed.map(|()| Taken { messages: messages.clone(), files: Arc::clone(&entry.files) })
    })
}

fn place_outputs(entry: &Entry, outputs: &[Output]) -> io::Result<()> {
    let is_there = |output: &Output| entry.files.iter().any(|file| output.path.ends_with(&file.name));
    if outputs.iter().any(|output| output.kind != OutputKind::DebugInfo && !is_there(output)) {
        return Err(strange());
    }
    for file in entry.files.iter() {
        // Whatever else the entry names has no place.
        let is_it = |output: &&Output| output.path.file_name().is_some_and(|name| name == file.name.as_str());
        let output = outputs.iter().find(is_it).ok_or_else(strange)?;
        entry.take_out(file, &output.path)?;
    }
    Ok(())
}

/// What a build script printed on its two streams.
pub(crate) type Printed = (Vec<u8>, Vec<u8>);

/// Fills the folder `out_dir`, which is empty, as the build script of the unit at `index` would, if that is possible. Returns
/// what the script printed.
pub(crate) fn place_run(build: &Build<'_>, index: UnitIndex, found: &Found, out_dir: &Path) -> Option<Printed> {
    place(build, index, found, |entry| {
        let Note::Ran { stdout, stderr } = &found.note else { return Err(strange()) };
        let parent = out_dir.parent().ok_or_else(strange)?;
        let part = tempfile::Builder::new().prefix(".out-").tempdir_in(parent)?;
        fill(entry, part.path())?;
        std::fs::set_permissions(part.path(), out_dir.metadata()?.permissions())?;
        std::fs::rename(part.path(), out_dir)?;
        Ok((stdout.as_bytes().to_vec(), stderr.as_bytes().to_vec()))
    })
}

/// Folders come before what is in them. Names are relative and stay below, whoever wrote them.
fn fill(entry: &Entry, folder: &Path) -> io::Result<()> {
    for file in entry.files.iter() {
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

/// What is damaged is told. An entry that another process has collected meanwhile is not; of a full disk the compiler will tell.
fn place<T>(build: &Build<'_>, index: UnitIndex, found: &Found, act: impl Fn(&Entry) -> io::Result<T>) -> Option<T> {
    let units = units(build)?;
    let entry = units.reopen(&found.entry).ok()?;
    match act(&entry) {
        Ok(taken) => {
            units.touch(&entry);
            build.contents.note(index, &entry.files);
            Some(taken)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData && units.holds(found.key, &entry) => {
            let finding = units.refuse(found.key, "a file in it is not what was put there".to_owned());
            build.emit(Event::CacheDamaged { unit: index, finding });
            None
        }
        Err(_) => None,
    }
}
