//! Whether two builds of one plan, in different folders, left the same bytes; where they did not, what may be to blame.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bulkhead_store::UnitContent;
use bulkhead_trust::Digest;
use bulkhead_unit_graph::{CompileMode, OutputKind, UnitGraph, UnitIndex};

use crate::files;
use crate::planner::Planner;
use crate::reuse::contents::{Part, file, folder, used_by};
use crate::reuse::key::Places;

/// Largest output of a build script that is compared.
const MAX_OUTPUT: u64 = 1 << 30;

/// What a build script printed, among the files it left.
const PRINTED: &str = "output";

/// One of the two builds.
pub struct Side<'a> {
    /// The plan, with the folders of this build.
    pub planner: &'a dyn Planner,
    /// The target folder and the build folder.
    pub places: Vec<PathBuf>,
}

/// A unit of which the two builds left different bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The unit.
    pub unit: UnitIndex,
    /// What differs, by name.
    pub files: Vec<String>,
    /// What may be to blame.
    pub cause: Cause,
    /// Whether it names a folder of its build in what differs.
    pub names_folder: bool,
}

/// What may be to blame for a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It was made of these units, which differ themselves.
    Inherited(Vec<UnitIndex>),
    /// The build script: what it is and what it was given is the same.
    Script,
    /// The compiler, or one of these macros that ran in it: what it was given is the same.
    Compiler(Vec<UnitIndex>),
}

/// Compares what two builds of one plan have left, dependencies before dependents.
///
/// # Errors
/// Something that a build left cannot be read.
pub fn compare(first: &Side<'_>, second: &Side<'_>) -> io::Result<Vec<Difference>> {
    let graph = first.planner.graph();
    let sides = [first, second].map(|side| (side, Places::new(&side.places)));
    let mut differing: BTreeMap<UnitIndex, Vec<String>> = BTreeMap::new();
    let mut differences = Vec::new();
    for (index, _) in graph.iter().filter(|(_, unit)| unit.mode != CompileMode::Doctest) {
        let [one, other] = [left(&sides[0], index)?, left(&sides[1], index)?];
        let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
        let files: Vec<String> =
            names.into_iter().filter(|name| content(&one, name) != content(&other, name)).cloned().collect();
        if files.is_empty() {
            continue;
        }
        let names_folder = files.iter().any(|name| one.get(name).is_some_and(|found| found.names_folder));
        let cause = cause(graph, index, &differing);
        differing.insert(index, files.clone());
        differences.push(Difference { unit: index, files, cause, names_folder });
    }
    Ok(differences)
}

/// One file, folder or link that a unit left.
struct Left {
    content: UnitContent,
    names_folder: bool,
}

fn content<'a>(left: &'a BTreeMap<String, Left>, name: &str) -> Option<&'a UnitContent> {
    left.get(name).map(|found| &found.content)
}

/// What the unit at `index` left, by name.
fn left((side, places): &(&Side<'_>, Places), index: UnitIndex) -> io::Result<BTreeMap<String, Left>> {
    if side.planner.graph().unit(index).mode == CompileMode::RunBuildScript {
        return ran(&side.planner.script_folder(index), places);
    }
    let mut left = BTreeMap::new();
    for output in side.planner.outputs(index) {
        let name = output.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match file(&output.path, Some(places)) {
            Ok((content, names_folder)) => drop(left.insert(name, Left { content, names_folder })),
            Err(error) if output.kind == OutputKind::DebugInfo && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

/// What a build script left in `OUT_DIR`, and what it printed, in which its own folder may stand.
fn ran(folder_of_run: &Path, places: &Places) -> io::Result<BTreeMap<String, Left>> {
    let mut left = BTreeMap::new();
    for (found, path) in folder(&folder_of_run.join("out"), None)?.0 {
        let names_folder = match found.content {
            UnitContent::File { .. } => file(&path, Some(places))?.1,
            UnitContent::Folder | UnitContent::Link(_) => false,
        };
        left.insert(format!("out/{}", found.name), Left { content: found.content, names_folder });
    }
    let printed = files::read(&folder_of_run.join(PRINTED), MAX_OUTPUT)?;
    let printed = places.portable(&String::from_utf8_lossy(&printed));
    let digest = Digest::of(printed.as_bytes()).to_string();
    let content = UnitContent::File { digest, length: printed.len() as u64, executable: false };
    left.insert(PRINTED.to_owned(), Left { content, names_folder: false });
    Ok(left)
}

/// A unit inherits a difference from what it was made of, as far as that was at hand to its process.
fn cause(graph: &UnitGraph, index: UnitIndex, differing: &BTreeMap<UnitIndex, Vec<String>>) -> Cause {
    let differs = |(unit, part): (UnitIndex, Part)| {
        let files = differing.get(&unit)?;
        let counts = |name: &String| part == Part::Everything || name.ends_with(".rmeta");
        files.iter().any(counts).then_some(unit)
    };
    let mut inherited: Vec<_> = used_by(graph, index).into_iter().filter_map(differs).collect();
    inherited.sort_unstable();
    match inherited.is_empty() {
        false => Cause::Inherited(inherited),
        true if graph.unit(index).mode == CompileMode::RunBuildScript => Cause::Script,
        true => Cause::Compiler(macros(graph, index)),
    }
}

/// The procedural macros that can run while the unit at `index` is compiled: its own, and those that libraries hand on.
fn macros(graph: &UnitGraph, index: UnitIndex) -> Vec<UnitIndex> {
    let used = used_by(graph, index).into_iter().map(|(unit, _)| unit);
    let mut macros: Vec<_> = used.filter(|unit| graph.unit(*unit).target.is_proc_macro()).collect();
    macros.sort_unstable();
    macros
}
