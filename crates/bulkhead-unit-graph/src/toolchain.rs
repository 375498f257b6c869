//! What is known of a rustc: values that the caller got by asking it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bulkhead_schema::platform::Cfg;
use bulkhead_schema::{Diagnostic, Symbol};

use crate::CompileKind;

/// One Rust toolchain.
#[derive(Debug, Clone, PartialEq)]
pub struct Toolchain {
    /// Absolute path of the real rustc (never a rustup shim).
    pub rustc: PathBuf,
    /// Absolute path of rustdoc.
    pub rustdoc: PathBuf,
    /// The sysroot.
    pub sysroot: PathBuf,
    /// What `rustc -vV` printed.
    pub verbose_version: String,
    /// The `release:` line.
    pub release: semver::Version,
    /// The `host:` line.
    pub host: Symbol,
    /// What differs by platform.
    pub platforms: BTreeMap<CompileKind, PlatformInfo>,
}

/// What rustc says of one platform.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformInfo {
    /// The target triple.
    pub triple: Symbol,
    /// `rustc --print cfg`, with the flags in force.
    pub cfg: Vec<Cfg>,
    /// Prefix and suffix of file names, by crate type as rustc spells it; a type that the platform does not support
    /// is absent.
    pub file_names: BTreeMap<Symbol, (String, String)>,
    /// Folder of the platform's standard library.
    pub target_libdir: PathBuf,
}

/// The arguments that make rustc tell what [`Toolchain::parse`] reads about one platform, to be followed by the flags in
/// force (`RUSTFLAGS`), and by `--target` unless it is asked about the host. Standard input must be empty.
pub fn probe_arguments() -> Vec<&'static str> {
    let mut arguments = vec!["-", "--crate-name", "___", "--print=file-names"];
    for crate_type in PROBED_CRATE_TYPES {
        arguments.extend(["--crate-type", crate_type]);
    }
    arguments.extend(["--print=sysroot", "--print=target-libdir", "--print=cfg"]);
    arguments
}

const PROBED_CRATE_TYPES: [&str; 6] = ["bin", "rlib", "dylib", "cdylib", "staticlib", "proc-macro"];

/// What rustc answered to [`probe_arguments`] for one platform.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// The platform asked about.
    pub platform: CompileKind,
    /// Standard output.
    pub stdout: &'a str,
    /// Standard error, where rustc names the crate types that the platform lacks.
    pub stderr: &'a str,
}

impl Toolchain {
    /// Understands what `rustc -vV` printed and what rustc answered to the probes, of which one must be for the host.
    ///
    /// # Errors
    /// Output that does not have the expected form, in a sentence.
    pub fn parse(rustc: PathBuf, rustdoc: PathBuf, version: &str, probes: &[Probe<'_>]) -> Result<Self, Diagnostic> {
        let _ = (rustc, rustdoc, version, probes);
        Err(Diagnostic::error("toolchain-output", "the output of rustc is not understood"))
    }
}
