//! How a build ended.

use std::path::PathBuf;

use bulkhead_schema::Diagnostic;
use bulkhead_unit_graph::{OutputKind, ScriptOutputs, UnitIndex};

use crate::job;
use crate::run::Build;

/// What a successful build leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Programs, tests, benchmarks and examples among the roots, in their order.
    pub executables: Vec<Executable>,
    /// Number of units that were run.
    pub built: usize,
    /// Number of units that were fresh.
    pub fresh: usize,
    /// If nothing had to be run: by what this can be known again.
    pub inputs: Option<crate::Inputs>,
    /// What build scripts said.
    pub scripts: std::sync::Arc<ScriptOutputs>,
    /// Folders within an OUT_DIR in which build scripts told rustc to search, as they wrote them.
    pub native: Vec<String>,
}

/// A program that was built, and what it needs to run as `run` and `test` start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// The unit.
    pub unit: UnitIndex,
    /// The program under its user-visible name, or in `deps/` where it has none (tests).
    pub path: PathBuf,
    /// The variables Cargo documents for `run` and `test` (`CARGO_MANIFEST_DIR`, `CARGO_PKG_*`, `OUT_DIR`, those of
    /// `rustc-env`).
    pub environment: Vec<(String, String)>,
    /// Folders to put in front of the dynamic library path.
    pub library_paths: Vec<PathBuf>,
}

/// Why a build ended without its artifacts.
#[derive(Debug)]
pub enum BuildError {
    /// Units failed; each was reported by [`Event::Failed`](crate::Event::Failed) when it happened.
    Units(Vec<std::sync::Arc<Failure>>),
    /// [`Options::stop`](crate::Options::stop) was set.
    Interrupted,
    /// The build could not go on at all: target folder not writable, confinement not available.
    Fatal(Diagnostic),
}

/// A unit that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The unit.
    pub unit: UnitIndex,
    /// How.
    pub kind: FailureKind,
    /// Whether something was denied to it, so that the denial may be the cause.
    pub denied: bool,
}

/// How a unit failed.
#[derive(Debug, Clone)]
pub enum FailureKind {
    /// The process ended badly. rustc's errors were already emitted; for a build script `output` holds what it said.
    Exit {
        /// What was run.
        command: std::sync::Arc<bulkhead_unit_graph::Command>,
        /// `exit status: 101`, `signal: 9, SIGKILL: kill`.
        status: String,
        /// The limit that ended it.
        limit: Option<Box<crate::Reached>>,
        /// `(stdout, stderr)` of a build script; empty for rustc.
        output: (String, String),
        /// Number of errors that rustc reported.
        errors: usize,
        /// Number of warnings that rustc reported.
        warnings: usize,
    },
    /// The build script printed `cargo::error`.
    ScriptErrors(Vec<String>),
    /// A directive of the build script is not allowed by policy.
    Denied(Diagnostic),
    /// The process could not be confined or started.
    Sandbox(std::sync::Arc<bulkhead_sandbox::SandboxError>),
    /// Anything else: bad directive, missing output, a link in OUT_DIR, an operating-system error.
    Other(Diagnostic),
}

/// Collects what is to be run, after everything was built.
pub(crate) fn gather(build: &Build<'_>, built: usize, inputs: Option<crate::Inputs>) -> Outcome {
    let roots = build.graph.roots.iter().copied();
    let executables =
        roots.filter(|&index| job::is_executable(build, index)).filter_map(|index| executable(build, index));
    Outcome {
        executables: executables.collect(),
        built,
        fresh: build.graph.units.len() - built,
        inputs,
        scripts: build.scripts(),
        native: native_folders(build).into_iter().map(|(text, _)| text).collect(),
    }
}

fn executable(build: &Build<'_>, index: UnitIndex) -> Option<Executable> {
    let output = build.planner.outputs(index).into_iter().find(|output| output.kind == OutputKind::Normal)?;
    let unit = build.unit(index);
    let scripts = build.scripts();
    let compile_only = ["CARGO_CRATE_NAME", "CARGO_BIN_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR"];
    let environment = build.planner.command(index, &scripts).environment.into_iter();
    let environment = environment.filter(|(name, _)| !compile_only.contains(&name.as_str()) && name != LIBRARY_PATH);
    let layout = build.planner.layout(unit.platform);
    let mut library_paths: Vec<_> = native_folders(build).into_iter().map(|(_, path)| path).collect();
    library_paths.extend([layout.artifacts.clone(), layout.dependencies()]);
    Some(Executable {
        unit: index,
        path: output.uplifted.unwrap_or(output.path),
        environment: environment.collect(),
        library_paths,
    })
}

/// Folders within an OUT_DIR in which build scripts told rustc to search, as they wrote them and as paths: only these join
/// the loader's path.
fn native_folders(build: &Build<'_>) -> Vec<(String, PathBuf)> {
    let mut folders: Vec<(String, PathBuf)> = Vec::new();
    for (&index, output) in build.scripts().iter() {
        let out_dir = build.planner.script_folder(index).join("out");
        for text in &output.library_paths {
            let path = PathBuf::from(bulkhead_schema::build_script::split_search_path(text).1);
            if path.starts_with(&out_dir) && folders.iter().all(|(_, known)| *known != path) {
                folders.push((text.clone(), path));
            }
        }
    }
    folders
}

/// The variable with the dynamic loader's search path.
pub(crate) const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
