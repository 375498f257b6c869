//! The command line, environment and output files of a unit.

use std::path::PathBuf;

/// A program to start, described completely: what is not named here, the process does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The variables that Cargo documents for this process. The executor adds the allowed part of the user's own
    /// environment.
    pub environment: Vec<(String, String)>,
    /// Working folder.
    pub current_dir: PathBuf,
}

/// What an output file is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// A program or library that users want.
    Normal,
    /// What a dependent links (`rlib`, `dylib`, proc macro).
    Linkable,
    /// Metadata (`.rmeta`) that lets dependents start early.
    Metadata,
    /// The first page of a crate's documentation. rustdoc writes it beside those of other crates.
    Documentation,
    /// Separate debug information.
    DebugInfo,
}

/// A file that a unit leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where rustc writes it.
    pub path: PathBuf,
    /// The name under which users find it (`target/debug/name`), if it gets one.
    pub uplifted: Option<PathBuf>,
    /// What it is good for.
    pub kind: OutputKind,
}
