//! What a build script prints: `cargo:` and `cargo::` directives, parsed line by line as hostile input (Cargo Book,
//! "Build Scripts").

use std::path::PathBuf;

/// What the directives of one build script say, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildScriptOutput {
    /// `rustc-link-search`: `KIND=PATH` or `PATH`.
    pub library_paths: Vec<String>,
    /// `rustc-link-lib`
    pub library_links: Vec<String>,
    /// `rustc-link-arg*`: to which targets, and the argument.
    pub link_arguments: Vec<(LinkArgTarget, String)>,
    /// `rustc-cfg`
    pub cfgs: Vec<String>,
    /// `rustc-check-cfg`
    pub check_cfgs: Vec<String>,
    /// `rustc-env`
    pub environment: Vec<(String, String)>,
    /// `metadata`, and unknown keys of the old form: for `DEP_<links>_<KEY>`.
    pub metadata: Vec<(String, String)>,
    /// `rerun-if-changed`
    pub rerun_if_changed: Vec<PathBuf>,
    /// `rerun-if-env-changed`
    pub rerun_if_env_changed: Vec<String>,
    /// `warning`
    pub warnings: Vec<String>,
    /// `error`
    pub errors: Vec<String>,
}

/// Which targets of the package a link argument is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkArgTarget {
    /// `rustc-link-arg`: all that link.
    All,
    /// `rustc-link-arg-cdylib` and `rustc-cdylib-link-arg`
    Cdylib,
    /// `rustc-link-arg-bins`
    Bins,
    /// `rustc-link-arg-bin=NAME=…`
    Bin(String),
    /// `rustc-link-arg-tests`
    Tests,
    /// `rustc-link-arg-benches`
    Benches,
    /// `rustc-link-arg-examples`
    Examples,
}
