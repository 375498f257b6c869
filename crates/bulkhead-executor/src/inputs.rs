//! What the verdict that everything is fresh rests on, for whoever wants to know later whether it still stands.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use bulkhead_unit_graph::OutputKind;
use bulkhead_workspace::Package;

use crate::job;
use crate::run::Build;
use crate::{files, lock};

/// Files and folders by which a build in which nothing was to be done can be known again.
///
/// While all of `present` is as it is, `sources` hold what they hold, `absent` is not there, and nobody holds `locks`, the same plan under the same
/// permissions and variables finds every unit fresh, and every artifact and message where it belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Records, outputs, artifacts.
    pub present: Vec<PathBuf>,
    /// Sources, and folders whose names count: while they hold the same, nothing else about them matters.
    pub sources: Vec<PathBuf>,
    /// What would be used if it were there.
    pub absent: Vec<PathBuf>,
    /// The locks of the build folders.
    pub locks: Vec<PathBuf>,
}

/// Collects them after a survey that found every unit fresh. `None` if a folder could not be walked.
pub(crate) fn gather(build: &Build<'_>, folders: impl IntoIterator<Item = PathBuf>) -> Option<Inputs> {
    let mut inputs = Inputs::default();
    inputs.present.push(build.options.target_dir.join(lock::TARGET_MARKER));
    inputs.locks.extend(folders.into_iter().map(|folder| lock::path(&folder)));
    for (index, unit) in build.graph.iter().filter(|(index, _)| build.planner.given(*index).is_none()) {
        let record = build.record(index)?;
        let files = build.files(index);
        inputs.present.push(files.record.clone());
        inputs.present.extend(record.has_messages.then(|| files.messages.clone()));
        inputs.present.extend(record.outputs.iter().map(|output| output.path.clone()));
        for output in build.planner.outputs(index) {
            let is_there = output.kind != OutputKind::DebugInfo || output.path.exists();
            let list = if is_there { &mut inputs.present } else { &mut inputs.absent };
            list.push(output.path);
            if let Some(uplifted) = output.uplifted.filter(|_| is_there) {
                if output.kind != OutputKind::DebugInfo && build.graph.roots.contains(&index) {
                    inputs.present.push(job::rule_path(&uplifted));
                }
                inputs.present.push(uplifted);
            }
        }
        // What lies in a package of the store cannot change; what its build script named elsewhere can.
        let is_mutable = |path: &&PathBuf| unit.is_local || !path.starts_with(&unit.package.root);
        for source in record.sources.iter().map(|source| &source.path).filter(is_mutable) {
            below(source, &mut inputs.sources)?;
        }
        if record.whole_package && unit.is_local {
            package(build, &unit.package, &mut inputs.sources)?;
        }
    }
    for list in [&mut inputs.present, &mut inputs.sources, &mut inputs.absent] {
        list.sort();
        list.dedup();
    }
    Some(inputs)
}

/// A file, or a folder with all in it.
fn below(path: &Path, into: &mut Vec<PathBuf>) -> Option<()> {
    into.push(path.to_owned());
    if !path.is_dir() {
        return Some(());
    }
    let mut visit = |path: &Path, _: &Metadata| {
        into.push(path.to_owned());
        Ok(())
    };
    files::walk(path, &|_| true, &mut visit).ok()
}

/// The files of a package, and the folders in which more could appear. Who lists them otherwise has to look again.
fn package(build: &Build<'_>, package: &Package, into: &mut Vec<PathBuf>) -> Option<()> {
    if (build.options.package_files)(package).is_some() {
        return None;
    }
    into.extend(
        files::package_entries(&package.root, &build.options.target_dir).ok()?.into_iter().map(|(path, _)| path),
    );
    Some(())
}
