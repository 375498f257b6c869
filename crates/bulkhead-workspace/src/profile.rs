//! Profiles: how code is compiled.

use std::collections::BTreeMap;

use bulkhead_schema::manifest::ProfileTable;
pub use bulkhead_schema::manifest::{DebugInfo, Lto, PanicStrategy, Strip};
use bulkhead_schema::{Diagnostic, PackageId, Symbol};

/// The settings one unit is compiled with, overrides applied.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Profile {
    /// The name, such as `dev` or `release`.
    pub name: Symbol,
    /// `0`, `1`, `2`, `3`, `s` or `z`.
    pub opt_level: Symbol,
    /// Link-time optimisation.
    pub lto: Lto,
    /// `None`: rustc's default.
    pub codegen_units: Option<u32>,
    /// Debug information.
    pub debug: DebugInfo,
    /// `split-debuginfo`, `None` for the platform's default.
    pub split_debuginfo: Option<Symbol>,
    /// `debug-assertions`
    pub debug_assertions: bool,
    /// `overflow-checks`
    pub overflow_checks: bool,
    /// `rpath`
    pub rpath: bool,
    /// Whether incremental compilation is asked for (it only happens for workspace members and path dependencies).
    pub incremental: bool,
    /// Panic strategy.
    pub panic: PanicStrategy,
    /// What is stripped from linked artifacts. The default where `debug = false` is [`Strip::DebugInfo`].
    pub strip: Strip,
}

/// All profiles of a workspace: the built-in ones, the root manifest's, and the configuration's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profiles {
    manifest: BTreeMap<String, ProfileTable>,
    config: BTreeMap<String, ProfileTable>,
}

/// For whom a profile is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileRequest {
    /// The package that is compiled.
    pub package: PackageId,
    /// Whether it is a workspace member: `package."*"` applies only to those that are not.
    pub is_member: bool,
    /// Whether it is a member or a path dependency: only those are compiled incrementally.
    pub is_local: bool,
    /// Whether it is compiled for a build script or proc macro (`build-override`).
    pub for_host: bool,
    /// Whether the panic strategy is `unwind` whatever the profile says: tests, benchmarks, build scripts, proc macros
    /// and all they depend on.
    pub always_unwind: bool,
}

impl Profiles {
    /// The profiles of a root manifest and of the configuration.
    ///
    /// # Errors
    ///
    /// A name that is reserved, an `inherits` that is missing, unknown or circular.
    pub fn new(
        manifest: BTreeMap<String, ProfileTable>,
        config: BTreeMap<String, ProfileTable>,
    ) -> Result<Self, Vec<Diagnostic>> {
        Ok(Self { manifest, config })
    }

    /// The folder below `target/` for the profile `name`: `debug` for `dev` and `test`, `release` for `release` and
    /// `bench`, else the name itself.
    ///
    /// # Errors
    ///
    /// There is no profile of that name.
    pub fn directory(&self, name: &str) -> Result<Symbol, Diagnostic> {
        match name {
            "dev" | "test" => Ok("debug".into()),
            "release" | "bench" => Ok("release".into()),
            other => {
                self.defined(other)?;
                Ok(other.into())
            }
        }
    }

    /// The settings for one package under the requested profile `name`.
    ///
    /// # Errors
    ///
    /// There is no profile of that name.
    pub fn resolve(&self, name: &str, request: &ProfileRequest) -> Result<Profile, Diagnostic> {
        self.defined(name)?;
        let _ = request;
        Err(Diagnostic::error("profile", "resolving profiles is being written"))
    }

    /// The debug level that a unit for the host takes if the same unit is also built for the target without `--target`.
    ///
    /// Build scripts and proc macros and what they depend on get no debug information by default, but a unit that the
    /// program needs too is shared with it rather than compiled twice. `None` where the profile names a level.
    ///
    /// # Errors
    ///
    /// There is no profile of that name.
    pub fn shared_debug(&self, name: &str, request: &ProfileRequest) -> Result<Option<DebugInfo>, Diagnostic> {
        self.defined(name)?;
        let _ = request;
        Ok(None)
    }

    fn defined(&self, name: &str) -> Result<(), Diagnostic> {
        let built_in = matches!(name, "dev" | "release" | "test" | "bench");
        if built_in || self.manifest.contains_key(name) || self.config.contains_key(name) {
            return Ok(());
        }
        Err(Diagnostic::error("unknown-profile", format!("profile `{name}` is not defined")))
    }
}
