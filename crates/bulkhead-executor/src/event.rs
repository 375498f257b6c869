//! What happens during a build, for status lines, progress bar, JSON messages and reports.

use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_schema::build_script::BuildScriptOutput;
use bulkhead_unit_graph::{Command, UnitIndex};

use crate::Failure;

/// Something happened. Texts are untrusted unless said otherwise.
#[derive(Debug, Clone)]
pub enum Event {
    /// Another process holds the lock on the build folder; the build waits.
    Blocking {
        /// The lock file.
        path: PathBuf,
    },
    /// How much there is to do, before anything starts.
    Planned {
        /// All units.
        total: usize,
        /// How many of them must run.
        dirty: usize,
    },
    /// The unit is as it should be. Its messages are replayed after this.
    Fresh {
        /// The unit.
        unit: UnitIndex,
    },
    /// The unit must run, and why (`-v` shows it).
    Dirty {
        /// The unit.
        unit: UnitIndex,
        /// Such as `the file `src/lib.rs` has changed (…)`; `None` when it has never been built.
        reason: Option<String>,
    },
    /// Its process is about to start.
    Started {
        /// The unit.
        unit: UnitIndex,
        /// Command line and Bulkhead's part of the environment (`-v`, `-vv`).
        command: Arc<Command>,
    },
    /// A diagnostic of rustc.
    Message {
        /// The unit.
        unit: UnitIndex,
        /// How bad it is.
        level: MessageLevel,
        /// rustc's rendering, with colour escapes as rustc made them. Contains source text.
        rendered: Arc<str>,
        /// rustc's whole JSON object.
        json: Arc<str>,
        /// Whether another unit of this build said the same (human output shows it once).
        duplicate: bool,
        /// Whether it only sums up the others (`2 warnings emitted`, `aborting due to …`); human output leaves it out.
        summary: bool,
    },
    /// rustc's report of code that a future rustc will refuse, as JSON.
    FutureIncompatibility {
        /// The unit.
        unit: UnitIndex,
        /// rustc's whole JSON object.
        json: Arc<str>,
    },
    /// A line that is not rustc's JSON: plain, untrusted text.
    Text {
        /// The unit.
        unit: UnitIndex,
        /// Which stream it came from.
        stream: Stream,
        /// The line, without its end.
        line: String,
    },
    /// The unit reported warnings (and errors): the summary line.
    Counts {
        /// The unit.
        unit: UnitIndex,
        /// Warnings, without rustc's own summary.
        warnings: usize,
        /// Warnings equal to one of another unit of the package (lib and lib test).
        duplicates: usize,
        /// Errors.
        errors: usize,
        /// Warnings that `fix` could apply.
        fixable: usize,
    },
    /// `cargo::warning` of a build script. The caller decides whether to show it (Cargo: local packages, or failed).
    ScriptWarning {
        /// The unit.
        unit: UnitIndex,
        /// The text.
        message: String,
        /// Whether the script failed, in which case the warnings of any package are shown.
        failed: bool,
    },
    /// What a build script said, be it now or in an earlier run.
    ScriptOutput {
        /// The unit.
        unit: UnitIndex,
        /// Its directives.
        output: Arc<BuildScriptOutput>,
        /// `OUT_DIR`.
        out_dir: PathBuf,
    },
    /// A process asked for what it was not given.
    Denied {
        /// The unit.
        unit: UnitIndex,
        /// What was asked for.
        denials: Vec<bulkhead_sandbox::Denial>,
    },
    /// A build script asked about variables that the user has set and that it was not given.
    Withheld {
        /// The unit.
        unit: UnitIndex,
        /// Their names.
        variables: Vec<String>,
    },
    /// The unit is not shared with other workspaces, for a reason of its own (`-v` shows it).
    NotShared {
        /// The unit.
        unit: UnitIndex,
        /// Such as `it was granted the network`.
        reason: String,
    },
    /// The unit was not built but taken out of the cache of compiled units. Its messages are replayed after this.
    Reused {
        /// The unit.
        unit: UnitIndex,
    },
    /// What the cache held of the unit was not what was put there. It was removed, and the unit is built.
    CacheDamaged {
        /// The unit.
        unit: UnitIndex,
        /// Where, and what is wrong.
        finding: bulkhead_store::Finding,
    },
    /// The unit's files are in place.
    Artifact {
        /// The unit.
        unit: UnitIndex,
        /// The files, under their user-visible names where they have one.
        filenames: Vec<PathBuf>,
        /// The program, if it is one.
        executable: Option<PathBuf>,
        /// Whether nothing had to be run.
        fresh: bool,
    },
    /// The unit's metadata is there: dependents may start.
    MetadataReady {
        /// The unit.
        unit: UnitIndex,
    },
    /// The unit is done.
    Finished {
        /// The unit.
        unit: UnitIndex,
        /// How many units are done, fresh ones among them.
        done: usize,
    },
    /// The unit failed.
    Failed {
        /// Which, and how.
        failure: Arc<Failure>,
        /// How many other processes are still running and are waited for.
        running: usize,
    },
}

/// Severity of a [`Event::Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageLevel {
    /// `note`, `help`, `failure-note`
    Note,
    /// `warning`
    Warning,
    /// `error` and internal compiler errors
    Error,
}

/// An output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}
