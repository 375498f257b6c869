//! Which files a unit reads, writes and leaves.

use std::path::PathBuf;

use crate::{Context, Output, UnitIndex};

/// The files that the unit leaves, the main one first. Empty for the run of a build script, whose results are in
/// [`script_folder`].
pub fn outputs(context: &Context<'_>, index: UnitIndex) -> Vec<Output> {
    let _ = (context, index);
    Vec::new()
}

/// Where rustc writes the unit's list of source files (make format).
pub fn dep_info(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    let _ = (context, index);
    PathBuf::new()
}

/// The folder of one build script's run, which holds `out` (OUT_DIR), `output`, `stderr` and `root-output`.
pub fn script_folder(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    let _ = (context, index);
    PathBuf::new()
}

/// The program to start for the run of a build script.
pub fn script_program(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    let _ = (context, index);
    PathBuf::new()
}

/// The folder in which freshness of the unit is remembered: `.fingerprint/<package>-<hash>`.
pub fn fingerprint_folder(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    let _ = (context, index);
    PathBuf::new()
}

/// What the name of files in [`fingerprint_folder`] begins with, such as `lib-serde` or
/// `run-build-script-build-script-build`.
pub fn fingerprint_name(context: &Context<'_>, index: UnitIndex) -> String {
    let _ = (context, index);
    String::new()
}

/// Folders and files that the unit's process must be able to read, for the sandbox; system folders are not listed.
pub fn readable_paths(context: &Context<'_>, index: UnitIndex) -> Vec<PathBuf> {
    let _ = (context, index);
    Vec::new()
}

/// Folders that the unit's process must be able to write.
pub fn writable_paths(context: &Context<'_>, index: UnitIndex) -> Vec<PathBuf> {
    let _ = (context, index);
    Vec::new()
}
