//! What the executor asks of the planner. [`Context`] answers for real builds; tests answer by hand.

use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_schema::build_script::BuildScriptOutput;
use bulkhead_unit_graph::{
    Command, CompileKind, CompileMode, Context, Fingerprint, Layout, Output, ScriptOutputs, UnitGraph, UnitIndex,
};

/// The questions that the executor asks about units; see the functions of the same name in `bulkhead-unit-graph`.
pub trait Planner: Sync {
    /// The plan.
    fn graph(&self) -> &UnitGraph;
    /// What is said in the place of a build script that is not run.
    fn given(&self, _index: UnitIndex) -> Option<Arc<BuildScriptOutput>> {
        None
    }
    /// The rustc command line, or the start of the build script. All build scripts that `index` depends on have run.
    fn command(&self, index: UnitIndex, scripts: &ScriptOutputs) -> Command;
    /// The files that the unit must leave.
    fn outputs(&self, index: UnitIndex) -> Vec<Output>;
    /// Where rustc writes the list of source files; empty if it writes none.
    fn dep_info(&self, index: UnitIndex) -> PathBuf;
    /// The folder of a build-script run, which holds `out` (OUT_DIR), `output` and `stderr`.
    fn script_folder(&self, index: UnitIndex) -> PathBuf;
    /// `.fingerprint/<package>-<hash>`.
    fn fingerprint_folder(&self, index: UnitIndex) -> PathBuf;
    /// How names of this unit's files in the fingerprint folder begin.
    fn fingerprint_name(&self, index: UnitIndex) -> String;
    /// What the process may read besides system and toolchain.
    fn readable_paths(&self, index: UnitIndex) -> Vec<PathBuf>;
    /// Folders that the process may write.
    fn writable_paths(&self, index: UnitIndex) -> Vec<PathBuf>;
    /// What makes units stale besides files, by [`UnitIndex`].
    fn fingerprints(&self) -> Vec<Fingerprint>;
    /// The folders of a platform.
    fn layout(&self, platform: CompileKind) -> Layout;
}

impl Planner for Context<'_> {
    fn graph(&self) -> &UnitGraph {
        self.graph
    }
    fn given(&self, index: UnitIndex) -> Option<Arc<BuildScriptOutput>> {
        Context::given(self, index)
    }
    fn command(&self, index: UnitIndex, scripts: &ScriptOutputs) -> Command {
        match self.unit(index).mode {
            CompileMode::RunBuildScript => bulkhead_unit_graph::script_command(self, index, scripts),
            _ => bulkhead_unit_graph::compile_command(self, index, scripts),
        }
    }
    fn outputs(&self, index: UnitIndex) -> Vec<Output> {
        bulkhead_unit_graph::outputs(self, index)
    }
    fn dep_info(&self, index: UnitIndex) -> PathBuf {
        bulkhead_unit_graph::dep_info(self, index)
    }
    fn script_folder(&self, index: UnitIndex) -> PathBuf {
        bulkhead_unit_graph::script_folder(self, index)
    }
    fn fingerprint_folder(&self, index: UnitIndex) -> PathBuf {
        bulkhead_unit_graph::fingerprint_folder(self, index)
    }
    fn fingerprint_name(&self, index: UnitIndex) -> String {
        bulkhead_unit_graph::fingerprint_name(self, index)
    }
    fn readable_paths(&self, index: UnitIndex) -> Vec<PathBuf> {
        bulkhead_unit_graph::readable_paths(self, index)
    }
    fn writable_paths(&self, index: UnitIndex) -> Vec<PathBuf> {
        bulkhead_unit_graph::writable_paths(self, index)
    }
    fn fingerprints(&self) -> Vec<Fingerprint> {
        bulkhead_unit_graph::fingerprints(self)
    }
    fn layout(&self, platform: CompileKind) -> Layout {
        Context::layout(self, platform)
    }
}
