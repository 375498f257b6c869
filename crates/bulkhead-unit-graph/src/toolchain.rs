//! What is known of a rustc: values that the caller got by asking it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bulkhead_schema::Symbol;
use bulkhead_schema::platform::Cfg;

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
