//! Why a process could not be run.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a process could not be run, or not be waited for. Nothing ran unconfined in any of these cases.
#[derive(Debug)]
pub enum SandboxError {
    /// The host cannot confine at the level that was asked for. The text says what it lacks and what to do.
    Unsupported(String),
    /// The description is not usable: a relative path, a NUL byte, a symbolic link where a writable folder was named.
    Invalid(String),
    /// A path that was to be made visible cannot be looked at.
    Path {
        /// The path as described.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The confinement could not be set up. The program was not started.
    Setup {
        /// What was being done, with the path where there is one.
        step: String,
        /// What the system answered.
        source: io::Error,
    },
    /// The confinement stood, and the program could not be executed.
    Execute {
        /// The program.
        program: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Its [`Gate`](crate::Gate) was closed for good. The program was not started.
    Cancelled,
    /// The child could not be waited for, or its output not be read.
    Wait(io::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxError::Unsupported(text) => write!(formatter, "this host cannot confine the process: {text}"),
            SandboxError::Invalid(text) => write!(formatter, "unusable description of a process: {text}"),
            SandboxError::Path { path, source } => {
                write!(formatter, "cannot make {path:?} visible to the process: {source}")
            }
            SandboxError::Setup { step, source } => write!(formatter, "cannot confine the process: {step}: {source}"),
            SandboxError::Execute { program, source } => write!(formatter, "cannot execute {program:?}: {source}"),
            SandboxError::Cancelled => formatter.write_str("the process is not wanted any more"),
            SandboxError::Wait(source) => write!(formatter, "cannot wait for the process: {source}"),
        }
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SandboxError::Unsupported(_) | SandboxError::Invalid(_) | SandboxError::Cancelled => None,
            SandboxError::Path { source, .. }
            | SandboxError::Setup { source, .. }
            | SandboxError::Execute { source, .. }
            | SandboxError::Wait(source) => Some(source),
        }
    }
}
