//! What happens while a command runs, for whoever shows it.

use std::path::PathBuf;

use bulkhead_schema::{Diagnostic, PackageId};

/// One thing that happened. Text inside is untrusted unless it says otherwise; the renderer escapes it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A finding that does not stop the command.
    Diagnostic(Diagnostic),
    /// A warning in one sentence.
    Warning(String),
    /// A remark in one sentence.
    Note(String),
    /// A status line: Cargo's verb, and what it is about.
    Status {
        /// Such as `Updating` or `Locking`.
        verb: &'static str,
        /// The rest of the line.
        message: String,
    },
    /// Index answers are being fetched.
    UpdatingIndex {
        /// The registry as Cargo names it, such as `crates.io index`.
        registry: String,
    },
    /// One package arrived.
    Downloaded {
        /// Which.
        package: PackageId,
        /// How many bytes the archive has.
        bytes: u64,
    },
    /// Downloads go on, for a progress bar.
    DownloadProgress {
        /// Packages that have arrived.
        done: usize,
        /// Packages in all.
        total: usize,
        /// Bytes so far.
        bytes: u64,
    },
    /// All downloads arrived.
    DownloadsFinished {
        /// How many.
        packages: usize,
        /// Bytes in all.
        bytes: u64,
    },
    /// Something failed, while the command goes on to finish what runs.
    Error(crate::Error),
    /// A diagnostic as rustc rendered it, with its own colours. It quotes source code.
    Rendered(String),
    /// A line of a child process that is not understood: plain, untrusted text.
    Text(String),
    /// A JSON message for standard output.
    Json(String),
    /// The build goes on, for a progress bar.
    BuildProgress {
        /// Units that are done.
        done: usize,
        /// Units in all.
        total: usize,
        /// What is running.
        running: Vec<String>,
    },
    /// Everything asked for is built.
    Finished {
        /// Such as `` `dev` profile [unoptimized + debuginfo] ``.
        profile: String,
        /// Since the command began.
        duration: std::time::Duration,
    },
    /// Something waits for a lock that another process holds.
    Blocking {
        /// What is locked.
        what: String,
        /// The lock file.
        path: PathBuf,
    },
}
