//! How a build ended.

use std::path::PathBuf;

use bulkhead_schema::Diagnostic;
use bulkhead_unit_graph::UnitIndex;

/// What a successful build leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Programs, tests, benchmarks and examples among the roots, in their order.
    pub executables: Vec<Executable>,
    /// Number of units that were run.
    pub built: usize,
    /// Number of units that were fresh.
    pub fresh: usize,
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
    Units(Vec<Failure>),
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
    /// Whether something was denied to it, so that the denial is the likely cause.
    pub denied: bool,
}

/// How a unit failed.
#[derive(Debug, Clone)]
pub enum FailureKind {
    /// The process ended badly. rustc's errors were already emitted; for a build script `output` holds what it said.
    Exit {
        /// The command line, quoted for people.
        command: String,
        /// `exit status: 101`, `signal: 9 (SIGKILL)`.
        status: String,
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
    /// Anything else: bad directive, missing output, a link in OUT_DIR, an operating-system error.
    Other(Diagnostic),
}
