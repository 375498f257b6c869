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
    /// Something waits for a lock that another process holds.
    Blocking {
        /// What is locked.
        what: String,
        /// The lock file.
        path: PathBuf,
    },
}
