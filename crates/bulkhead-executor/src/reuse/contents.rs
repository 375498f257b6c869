//! Digests of what units left: inputs of the units that depend on them, and what is kept of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_store::{UnitContent, UnitFile};
use bulkhead_trust::{Digest, Hasher};
use bulkhead_unit_graph::{CompileMode, OutputKind, Unit, UnitGraph, UnitIndex};

use super::key::Places;
use crate::run::Build;
use crate::{files, schedule};

/// How much is read at once, in bytes.
const PART: usize = 1 << 18;

/// What is known already of units, as it is asked for again by each unit that depends on them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Of the metadata alone, or of everything.
    digests: Mutex<BTreeMap<(UnitIndex, Part), Digest>>,
    names: Mutex<BTreeMap<UnitIndex, Arc<str>>>,
}

/// Which of the files of a unit count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Metadata,
    Everything,
}

impl Known {
    fn get(&self, index: UnitIndex, part: Part) -> Option<Digest> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).get(&(index, part)).copied()
    }

    fn set(&self, index: UnitIndex, part: Part, digest: Digest) {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert((index, part), digest);
    }

    fn name(&self, index: UnitIndex, work_out: impl FnOnce() -> Arc<str>) -> Arc<str> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(names.entry(index).or_insert_with(work_out))
    }

    /// Takes up what is known of a unit's files.
    pub(crate) fn note(&self, index: UnitIndex, files: &[UnitFile]) {
        self.set(index, Part::Everything, digest_of(files.iter()));
        let metadata: Vec<_> = files.iter().filter(|file| file.name.ends_with(".rmeta")).collect();
        if !metadata.is_empty() {
            self.set(index, Part::Metadata, digest_of(metadata.into_iter()));
        }
    }
}

/// Names and digests of everything that other units left and the process of the unit at `index` can use.
pub(crate) fn dependencies(build: &Build<'_>, index: UnitIndex) -> io::Result<Vec<(Arc<str>, Digest)>> {
    let mut found = BTreeSet::new();
    for (next, part) in used_by(build.graph, index) {
        found.insert((build.contents.name(next, || name(build, next)), digest(build, next, part)?));
    }
    Ok(found.into_iter().collect())
}

/// That of the first file the unit leaves, or of its package.
fn name(build: &Build<'_>, index: UnitIndex) -> Arc<str> {
    let unit = build.unit(index);
    let is_run = unit.mode == CompileMode::RunBuildScript;
    let outputs = if is_run { Vec::new() } else { build.planner.outputs(index) };
    let name = outputs.first().and_then(|output| output.path.file_name());
    name.map_or_else(|| unit.package.id.to_string(), |name| name.to_string_lossy().into_owned()).into()
}

/// The units of which the process of the unit at `index` can use files, and which of these.
pub(crate) fn used_by(graph: &UnitGraph, index: UnitIndex) -> Vec<(UnitIndex, Part)> {
    let unit = graph.unit(index);
    let part = if schedule::links(unit) { Part::Everything } else { Part::Metadata };
    let mut pending: Vec<_> = unit.dependencies.iter().map(|dependency| dependency.unit).collect();
    let mut seen: BTreeSet<_> = pending.iter().copied().collect();
    let mut found = Vec::new();
    while let Some(next) = pending.pop() {
        let other = graph.unit(next);
        let is_run = other.mode == CompileMode::RunBuildScript;
        found.push((next, if is_run || !schedule::gives_metadata(other) { Part::Everything } else { part }));
        if !is_run && other.target.is_lib() && !other.target.is_proc_macro() {
            let further = other.dependencies.iter().map(|dependency| dependency.unit);
            pending.extend(further.filter(|unit| seen.insert(*unit)));
        }
    }
    found
}

pub(crate) fn digest(build: &Build<'_>, index: UnitIndex, part: Part) -> io::Result<Digest> {
    if let Some(known) = build.contents.get(index, part) {
        return Ok(known);
    }
    let digest = if let Some(output) = build.planner.given(index) {
        Digest::of(format!("{output:?}").as_bytes())
    } else if build.unit(index).mode == CompileMode::RunBuildScript {
        digest_of(folder(&build.planner.script_folder(index).join("out"), None)?.0.iter().map(|(file, _)| file))
    } else {
        digest_of(outputs(build, index, part, None)?.0.iter().map(|(file, _)| file))
    };
    build.contents.set(index, part, digest);
    Ok(digest)
}

/// Files with their places, and whether one of them names a folder of the workspace.
pub(crate) type Found = (Vec<(UnitFile, PathBuf)>, bool);

/// What the compiler left.
pub(crate) fn outputs(build: &Build<'_>, index: UnitIndex, part: Part, places: Option<&Places>) -> io::Result<Found> {
    let mut outputs = build.planner.outputs(index);
    if part == Part::Metadata {
        outputs.retain(|output| output.kind == OutputKind::Metadata);
    }
    let (mut found, mut names_place) = (Vec::new(), false);
    for output in outputs {
        let name = output.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match known(build, index, &output.path, places).map_or_else(|| file(&output.path, places), Ok) {
            Ok((content, names)) => {
                names_place |= names;
                found.push((UnitFile { name, content }, output.path));
            }
            Err(error) if output.kind == OutputKind::DebugInfo && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((found, names_place))
}

/// What was found out when the unit was built. Whether a name stands in the file was not.
fn known(build: &Build<'_>, index: UnitIndex, path: &Path, places: Option<&Places>) -> Option<(UnitContent, bool)> {
    let record = build.record(index).filter(|_| places.is_none())?;
    let stamp = record.outputs.iter().find(|stamp| stamp.path == path)?;
    let executable = path.metadata().ok()?.mode() & 0o111 != 0;
    let content = UnitContent::File { digest: stamp.digest()?.to_owned(), length: stamp.length, executable };
    Some((content, false))
}

/// All that is in the folder `root`, sorted.
pub(crate) fn folder(root: &Path, places: Option<&Places>) -> io::Result<Found> {
    let mut paths = Vec::new();
    files::walk(root, &|_| true, &mut |path, metadata| {
        paths.push((path.to_owned(), metadata.file_type()));
        Ok(())
    })?;
    paths.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut found, mut names_place) = (Vec::new(), false);
    for (path, kind) in paths {
        let relative = path.strip_prefix(root).map_err(io::Error::other)?;
        let name = relative.to_str().ok_or(io::ErrorKind::InvalidData)?.to_owned();
        let content = if kind.is_dir() {
            UnitContent::Folder
        } else if kind.is_symlink() {
            let target = path.read_link()?;
            names_place |= target.is_absolute();
            UnitContent::Link(target.to_str().ok_or(io::ErrorKind::InvalidData)?.to_owned())
        } else {
            let (content, names) = file(&path, places)?;
            names_place |= names;
            content
        };
        found.push((UnitFile { name, content }, path));
    }
    Ok((found, names_place))
}

/// Reads a file once: what it holds, and whether it names one of `places`.
pub(crate) fn file(path: &Path, places: Option<&Places>) -> io::Result<(UnitContent, bool)> {
    let mut file = files::open(path)?;
    let executable = file.metadata()?.mode() & 0o111 != 0;
    let needles: Vec<_> = places.into_iter().flat_map(Places::folders).map(memchr::memmem::Finder::new).collect();
    let overlap = needles.iter().map(|needle| needle.needle().len()).max().unwrap_or(1) - 1;
    let mut hasher = Hasher::new();
    let (mut buffer, mut kept, mut length, mut names) = (vec![0; PART + overlap], 0, 0, false);
    loop {
        // The end of the part before stays, since a name may begin in it.
        let count = file.read(buffer.get_mut(kept..).unwrap_or_default())?;
        if count == 0 {
            break;
        }
        let filled = buffer.get(..kept + count).unwrap_or_default();
        hasher.update(filled.get(kept..).unwrap_or_default());
        names = names || needles.iter().any(|needle| needle.find(filled).is_some());
        length += count as u64;
        let end = kept + count;
        kept = overlap.min(end);
        buffer.copy_within(end - kept..end, 0);
    }
    Ok((UnitContent::File { digest: hasher.finish().to_string(), length, executable }, names))
}

/// A digest over files and their names.
pub(crate) fn digest_of<'a>(files: impl Iterator<Item = &'a UnitFile>) -> Digest {
    let mut hasher = Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for file in files {
        add(&file.name);
        match &file.content {
            UnitContent::Folder => add("folder"),
            UnitContent::Link(target) => {
                add("link");
                add(target);
            }
            UnitContent::File { digest, executable, length: _ } => {
                add(if *executable { "program" } else { "file" });
                add(digest);
            }
        }
    }
    hasher.finish()
}

/// Whether the unit's code may end up in what other units link, or runs while they are built.
pub(crate) fn uses_system(unit: &Unit, arguments: &[String]) -> bool {
    schedule::links(unit) || arguments.iter().any(|argument| argument.starts_with("-l"))
}

#[cfg(test)]
mod tests {
    use bulkhead_store::UnitContent;

    use super::{PART, file, folder};
    use crate::reuse::key::Places;

    /// A name across two parts is found as well.
    #[test]
    fn names_of_the_workspace_are_found_wherever_they_stand() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        let places = Places::new(&["/work/space/target".into(), "/b".into()]);
        for (before, expected) in [(0, true), (PART - 7, true), (PART + 3, true), (2 * PART - 1, true)] {
            let text = format!("{}/work/space/target/x", "x".repeat(before));
            std::fs::write(&path, text).unwrap();
            assert_eq!(file(&path, Some(&places)).unwrap().1, expected, "{before}");
        }
        std::fs::write(&path, "/work/space/targe").unwrap();
        let (content, names) = file(&path, Some(&places)).unwrap();
        assert!(!names && matches!(content, UnitContent::File { length: 17, .. }));
    }

    #[test]
    fn links_to_places_bind_a_folder_to_them() {
        let scratch = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("a", scratch.path().join("b")).unwrap();
        assert!(!folder(scratch.path(), None).unwrap().1);
        std::os::unix::fs::symlink("/usr", scratch.path().join("c")).unwrap();
        assert!(folder(scratch.path(), None).unwrap().1);
    }
}
