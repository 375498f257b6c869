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
        let field = |name: &str| {
            let line = version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            line.ok_or_else(|| not_understood(&format!("`rustc -vV` printed no `{name}` line")))
        };
        let host = Symbol::new(field("host:")?);
        let release = field("release:")?;
        let release = semver::Version::parse(release)
            .map_err(|error| not_understood(&format!("`rustc -vV` calls itself release {release:?}: {error}")))?;
        let mut sysroot = None;
        let mut platforms = BTreeMap::new();
        for probe in probes {
            let (info, root) = platform(probe, host)?;
            platforms.insert(probe.platform, info);
            sysroot = Some(root);
        }
        if !platforms.contains_key(&CompileKind::Host) {
            return Err(not_understood("rustc was not asked about the host"));
        }
        let sysroot = sysroot.ok_or_else(|| not_understood("rustc did not name its sysroot"))?;
        Ok(Self { rustc, rustdoc, sysroot, verbose_version: version.to_owned(), release, host, platforms })
    }
}

fn not_understood(reason: &str) -> Diagnostic {
    Diagnostic::error("toolchain-output", format!("the output of rustc is not understood: {reason}"))
        .help("Check that the configured `rustc` is a Rust compiler")
}

/// What the answer to [`probe_arguments`] says of the platform, and the sysroot.
fn platform(probe: &Probe<'_>, host: Symbol) -> Result<(PlatformInfo, PathBuf), Diagnostic> {
    let mut lines = probe.stdout.lines();
    let mut file_names = BTreeMap::new();
    for crate_type in PROBED_CRATE_TYPES {
        if probe.stderr.contains(&format!("crate type `{crate_type}`")) {
            continue;
        }
        let line = lines.next().ok_or_else(|| not_understood("it names too few files"))?;
        let (prefix, suffix) = line
            .split_once("___")
            .ok_or_else(|| not_understood(&format!("{line:?} is not the file name of a {crate_type}")))?;
        file_names.insert(Symbol::new(crate_type), (prefix.to_owned(), suffix.to_owned()));
    }
    let mut path = || lines.next().map(PathBuf::from).filter(|path| path.is_absolute());
    let sysroot = path().ok_or_else(|| not_understood("it does not name its sysroot"))?;
    let target_libdir = path().ok_or_else(|| not_understood("it does not name the platform's libraries"))?;
    let mut cfg = Vec::new();
    for line in lines {
        let parsed = line.parse::<Cfg>().map_err(|error| not_understood(&error.to_string()))?;
        // An answer about the crate types in the question, not about the platform.
        if parsed != Cfg::Name(cargo_platform_ident("proc_macro")) {
            cfg.push(parsed);
        }
    }
    let triple = match probe.platform {
        CompileKind::Host => host,
        CompileKind::Target(triple) => triple,
    };
    Ok((PlatformInfo { triple, cfg, file_names, target_libdir }, sysroot))
}

fn cargo_platform_ident(name: &str) -> bulkhead_schema::platform::Ident {
    bulkhead_schema::platform::Ident { name: name.to_owned(), raw: false }
}

impl PlatformInfo {
    /// The name of the file that a crate type ends in, or `None` if the platform lacks the type.
    pub fn file_name(&self, crate_type: bulkhead_workspace::CrateType, name: &str) -> Option<String> {
        let key = match crate_type {
            bulkhead_workspace::CrateType::Lib => "rlib",
            other => other.as_str(),
        };
        let (prefix, suffix) = self.file_names.get(&Symbol::new(key))?;
        Some(format!("{prefix}{name}{suffix}"))
    }
}
