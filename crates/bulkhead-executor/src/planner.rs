//! What the executor asks of the planner: command lines, file names and folders of a unit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_schema::build_script::BuildScriptOutput;
use bulkhead_unit_graph::{Command, Output, UnitIndex};

/// What the build scripts that have run so far said, by their [`RunBuildScript`] unit.
///
/// [`RunBuildScript`]: bulkhead_unit_graph::CompileMode::RunBuildScript
pub type ScriptOutputs = BTreeMap<UnitIndex, Arc<BuildScriptOutput>>;

/// Folders and files of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFolders {
    /// `target/<profile>` or `target/<platform>/<profile>`.
    pub profile_dir: PathBuf,
    /// Where rustc writes (`…/deps`, `…/examples`, `…/build/<pkg>-<hash>`); for a build-script run the folder of the
    /// run, in which `output`, `stderr` and `out` lie.
    pub output_dir: PathBuf,
    /// `OUT_DIR` of a build-script run.
    pub out_dir: Option<PathBuf>,
    /// `…/.fingerprint/<pkg>-<hash>`.
    pub fingerprint_dir: PathBuf,
    /// A name within `fingerprint_dir` that no other unit has, such as `lib-serde`.
    pub fingerprint_name: String,
    /// Where rustc writes its dep-info (`--emit=dep-info`).
    pub dep_info: Option<PathBuf>,
    /// Folder for incremental compilation, if the unit uses it.
    pub incremental: Option<PathBuf>,
}

/// The questions that the executor asks about a unit.
pub trait Planner: Sync {
    /// The rustc command line, or the start of the build script. The build scripts that `unit` depends on have run.
    fn command(&self, unit: UnitIndex, scripts: &ScriptOutputs) -> Command;

    /// The files that the unit must leave.
    fn outputs(&self, unit: UnitIndex) -> Vec<Output>;

    /// Folders and files that its process may read, besides the system, the toolchain and its own outputs.
    fn readable_paths(&self, unit: UnitIndex, scripts: &ScriptOutputs) -> Vec<PathBuf>;

    /// Everything but files, environment and dependencies that makes the unit stale when it changes, as named hashes
    /// or values; the name is the reason shown to users.
    fn fingerprint(&self, unit: UnitIndex) -> Vec<(&'static str, String)>;

    /// Where things of the unit lie.
    fn folders(&self, unit: UnitIndex) -> UnitFolders;
}
