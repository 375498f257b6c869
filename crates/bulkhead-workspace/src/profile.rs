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
    /// What is stripped from linked artifacts. The default where `debug = false` is [`Strip::DebugInfo`]; see
    /// [`Profiles::is_strip_default`].
    pub strip: Strip,
}

/// All profiles of a workspace: the built-in ones, the root manifest's, and the configuration's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profiles {
    /// Manifest and configuration merged, by name; the four built-in ones are always there.
    tables: BTreeMap<String, ProfileTable>,
    /// The same with all that they inherit.
    merged: BTreeMap<String, ProfileTable>,
    /// What is wrong with an `inherits`: an error to whoever compiles, not to whoever only looks.
    problem: Option<Diagnostic>,
    incremental: Option<bool>,
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

/// Two tables speak of the same package, and neither says that it counts more.
fn ambiguous_override(profile: &str, package: PackageId, specs: &[&str]) -> Diagnostic {
    let message = format!(
        "multiple package overrides in profile `{profile}` match package `{package}`\nfound package specs: {}",
        specs.join(", ")
    );
    Diagnostic::error("profile", message)
}

/// Names that Cargo keeps for itself, or that would clash with folders below `target/`.
const RESERVED: &[&str] = &[
    "build",
    "check",
    "clean",
    "config",
    "debug",
    "fetch",
    "fix",
    "install",
    "metadata",
    "package",
    "publish",
    "report",
    "root",
    "run",
    "rust",
    "rustc",
    "rustdoc",
    "target",
    "tmp",
    "uninstall",
];

impl Profiles {
    /// The profiles of a root manifest and of the configuration, which wins.
    ///
    /// # Errors
    ///
    /// A name that is reserved or malformed. An `inherits` that is missing, unknown or circular is reported by
    /// [`Profiles::resolve`], since Cargo minds it only when it compiles.
    pub fn new(
        manifest: BTreeMap<String, ProfileTable>,
        config: BTreeMap<String, ProfileTable>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut tables = manifest;
        for name in ["dev", "release", "test", "bench"] {
            tables.entry(name.to_owned()).or_default();
        }
        for (name, table) in config {
            tables.entry(name).or_default().merge(&table);
        }
        let errors: Vec<_> = tables.keys().filter_map(|name| name_problem(name)).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut profiles = Self { tables, merged: BTreeMap::new(), problem: None, incremental: None };
        profiles.problem = profiles.tables.iter().find_map(|(name, table)| profiles.problem(name, table));
        if profiles.problem.is_none() {
            profiles.merged = profiles.tables.keys().map(|name| (name.clone(), profiles.merge_chain(name))).collect();
        }
        Ok(profiles)
    }

    /// The same profiles, with incremental compilation forced on or off for all of them: `CARGO_INCREMENTAL`, or
    /// `build.incremental`.
    #[must_use]
    pub fn with_incremental(mut self, incremental: Option<bool>) -> Self {
        self.incremental = incremental;
        self
    }

    /// The same profiles with more tables, which win.
    ///
    /// # Errors
    ///
    /// As [`Profiles::new`].
    pub fn with(self, tables: BTreeMap<String, ProfileTable>) -> Result<Self, Vec<Diagnostic>> {
        if tables.is_empty() {
            return Ok(self);
        }
        Ok(Self::new(self.tables, tables)?.with_incremental(self.incremental))
    }

    /// The specifications of packages that have settings of their own, after the profile's name.
    pub fn package_specs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tables.iter().flat_map(|(name, table)| table.packages.keys().map(|spec| (name.as_str(), spec.as_str())))
    }

    /// The names of all profiles, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
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
            other => self.table(other).map(|_| other.into()),
        }
    }

    /// The settings for one package under the requested profile `name` (Cargo Book, "Profiles": overrides by package,
    /// then `"*"`, then `build-override`, then the profile, then what it inherits, then the defaults).
    ///
    /// # Errors
    ///
    /// There is no profile of that name.
    pub fn resolve(&self, name: &str, request: &ProfileRequest) -> Result<Profile, Diagnostic> {
        Ok(self.compute(name, request)?.profile)
    }

    /// The debug level that a unit for the host takes if the same unit is also built for the target without `--target`.
    ///
    /// Build scripts and proc macros and what they depend on get no debug information by default, but a unit that the
    /// program needs too is shared with it rather than compiled twice. `None` where an override names a level, and for
    /// units of the target.
    ///
    /// # Errors
    ///
    /// There is no profile of that name.
    pub fn shared_debug(&self, name: &str, request: &ProfileRequest) -> Result<Option<DebugInfo>, Diagnostic> {
        Ok(self.compute(name, request)?.shared_debug)
    }

    /// Whether no table names `strip`. Then [`Profile::strip`] is what the unit's own debug level implies, and a unit
    /// that links a dependency *with* debug information is not stripped all the same.
    ///
    /// # Errors
    ///
    /// There is no profile of that name.
    pub fn is_strip_default(&self, name: &str, request: &ProfileRequest) -> Result<bool, Diagnostic> {
        Ok(self.compute(name, request)?.is_strip_default)
    }

    /// The optimisation level and the debug level of the profile `name` without overrides, as Cargo sums it up.
    ///
    /// # Errors
    ///
    /// There is no profile of that name.
    pub fn levels(&self, name: &str) -> Result<(Symbol, DebugInfo), Diagnostic> {
        let settings = Settings::new(self.table(name)?, self.is_release_like(name));
        Ok((settings.opt_level, settings.debug))
    }

    fn compute(&self, name: &str, request: &ProfileRequest) -> Result<Computed, Diagnostic> {
        let table = self.table(name)?;
        let mut settings = Settings::new(table, self.is_release_like(name));
        let mut shared_debug = None;
        if request.for_host {
            settings.opt_level = "0".into();
            settings.codegen_units = None;
            shared_debug = Some(settings.debug);
            if let Some(table) = &table.build_override {
                settings.apply_override(table, &mut shared_debug);
            }
        }
        if let Some(table) = table.packages.get("*").filter(|_| !request.is_member) {
            settings.apply_override(table, &mut shared_debug);
        }
        let named = |spec: &str| spec != "*" && matches(spec, request.package);
        let mut overrides = table.packages.iter().filter(|(spec, _)| named(spec));
        if let Some((_, table)) = overrides.next() {
            settings.apply_override(table, &mut shared_debug);
        }
        if overrides.next().is_some() {
            let specs: Vec<_> = table.packages.keys().map(String::as_str).filter(|spec| named(spec)).collect();
            return Err(ambiguous_override(name, request.package, &specs));
        }
        let strip = match settings.strip {
            Some(strip) => strip,
            None if settings.debug == DebugInfo::None => Strip::DebugInfo,
            None => Strip::None,
        };
        let profile = Profile {
            name: name.into(),
            opt_level: settings.opt_level,
            lto: table.lto.unwrap_or(Lto::ThinLocal),
            codegen_units: settings.codegen_units,
            debug: if shared_debug.is_some() { DebugInfo::None } else { settings.debug },
            split_debuginfo: settings.split_debuginfo,
            debug_assertions: settings.debug_assertions,
            overflow_checks: settings.overflow_checks,
            rpath: table.rpath.unwrap_or(false),
            incremental: request.is_local && self.incremental.unwrap_or(settings.incremental),
            panic: match table.panic {
                Some(panic) if !request.always_unwind => panic,
                _ => PanicStrategy::Unwind,
            },
            strip,
        };
        Ok(Computed { profile, shared_debug, is_strip_default: settings.strip.is_none() })
    }

    /// The table of the profile `name` laid over those it inherits from.
    fn table(&self, name: &str) -> Result<&ProfileTable, Diagnostic> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let undefined = || Diagnostic::error("unknown-profile", format!("profile `{name}` is not defined"));
        self.merged.get(name).ok_or_else(undefined)
    }

    /// The same, worked out. Only called where [`Profiles::problem`] has found nothing, so that the chain ends.
    fn merge_chain(&self, name: &str) -> ProfileTable {
        let mut chain: Vec<&ProfileTable> = self.tables.get(name).into_iter().collect();
        let mut current = name;
        while let Some(parent) = self.parent(current) {
            chain.extend(self.tables.get(parent));
            current = parent;
        }
        let mut merged = ProfileTable::default();
        for table in chain.into_iter().rev() {
            merged.merge(table);
        }
        merged
    }

    /// What the profile `name` inherits from.
    fn parent(&self, name: &str) -> Option<&str> {
        match name {
            "dev" | "release" => None,
            "test" => Some("dev"),
            "bench" => Some("release"),
            other => self.tables.get(other)?.inherits.as_deref(),
        }
    }

    /// Whether the chain of the profile `name` ends in `release`.
    pub fn is_release_like(&self, name: &str) -> bool {
        let mut current = name;
        while let Some(parent) = self.parent(current) {
            current = parent;
        }
        current == "release"
    }

    /// Which rule of inheritance the profile `name` breaks.
    fn problem(&self, name: &str, table: &ProfileTable) -> Option<Diagnostic> {
        let error = |message: String| Some(Diagnostic::error("profile", message));
        match name {
            "dev" | "release" if table.inherits.is_some() => {
                return error(format!("`inherits` must not be specified in root profile `{name}`"));
            }
            "dev" | "release" | "test" | "bench" => return None,
            _ => {}
        }
        let mut seen = vec![name];
        loop {
            let last = seen[seen.len() - 1];
            if matches!(last, "dev" | "release") {
                return None;
            }
            let Some(parent) = self.parent(last) else {
                return error(format!(
                    "profile `{last}` is missing an `inherits` directive (`inherits` is required for all profiles except \
                     `dev` or `release`)"
                ));
            };
            if seen.contains(&parent) {
                return error(format!("profile inheritance loop detected with profile `{last}` inheriting `{parent}`"));
            }
            if !self.tables.contains_key(parent) {
                return error(format!("profile `{last}` inherits from `{parent}`, but that profile is not defined"));
            }
            seen.push(parent);
        }
    }
}

/// Which rule the name of a profile breaks; it becomes the name of a folder.
fn name_problem(name: &str) -> Option<Diagnostic> {
    let message = match name {
        "debug" => {
            "profile name `debug` is reserved; to configure the default development profile, use the name `dev` as \
                    in [profile.dev]"
                .to_owned()
        }
        _ if RESERVED.contains(&name) || name.starts_with("cargo") => {
            format!("profile name `{name}` is reserved; please choose a different name")
        }
        _ if name.is_empty()
            || name.len() > 64
            || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) =>
        {
            format!("invalid profile name `{name}`: only letters, digits, `_` and `-` are allowed")
        }
        _ => return None,
    };
    Some(Diagnostic::error("profile", message))
}

struct Computed {
    profile: Profile,
    shared_debug: Option<DebugInfo>,
    is_strip_default: bool,
}

/// The settings that overrides can change.
struct Settings {
    opt_level: Symbol,
    codegen_units: Option<u32>,
    debug: DebugInfo,
    split_debuginfo: Option<Symbol>,
    debug_assertions: bool,
    overflow_checks: bool,
    incremental: bool,
    strip: Option<Strip>,
}

impl Settings {
    fn new(table: &ProfileTable, release: bool) -> Self {
        Self {
            opt_level: table.opt_level.unwrap_or_else(|| if release { "3" } else { "0" }.into()),
            codegen_units: table.codegen_units,
            debug: table.debug.unwrap_or(if release { DebugInfo::None } else { DebugInfo::Full }),
            split_debuginfo: table.split_debuginfo,
            debug_assertions: table.debug_assertions.unwrap_or(!release),
            overflow_checks: table.overflow_checks.unwrap_or(!release),
            incremental: table.incremental.unwrap_or(!release),
            strip: table.strip,
        }
    }

    /// Lays an override over the settings. Cargo forgets an earlier `strip` wherever an override applies that names
    /// none; so does this, since the artifacts have to be the same.
    fn apply_override(&mut self, table: &ProfileTable, shared_debug: &mut Option<DebugInfo>) {
        self.opt_level = table.opt_level.unwrap_or(self.opt_level);
        self.codegen_units = table.codegen_units.or(self.codegen_units);
        if let Some(debug) = table.debug {
            self.debug = debug;
            *shared_debug = None;
        }
        self.split_debuginfo = table.split_debuginfo.or(self.split_debuginfo);
        self.debug_assertions = table.debug_assertions.unwrap_or(self.debug_assertions);
        self.overflow_checks = table.overflow_checks.unwrap_or(self.overflow_checks);
        self.incremental = table.incremental.unwrap_or(self.incremental);
        self.strip = table.strip;
    }
}

/// Whether the package id specification `spec` (`name`, `name@1.2`, `name:1.2`, `URL`, `URL#name@1.2`) means `package`.
fn matches(spec: &str, package: PackageId) -> bool {
    let (url, tail) = match spec.split_once('#') {
        Some((url, tail)) => (Some(url), tail),
        None if spec.contains("://") => (Some(spec), ""),
        None => (None, spec),
    };
    if let Some(url) = url {
        let plain = url.split_once('+').filter(|(kind, _)| !kind.contains(':')).map_or(url, |(_, url)| url);
        if plain.trim_end_matches('/') != package.source().url().trim_end_matches('/') {
            return false;
        }
    }
    let (name, version) = match tail.split_once(['@', ':']) {
        Some((name, version)) => (name, version),
        None if tail.starts_with(|c: char| c.is_ascii_digit()) => ("", tail),
        None => (tail, ""),
    };
    let full = package.version().to_string();
    let suits = version.is_empty()
        || full == version
        || full.strip_prefix(version).is_some_and(|rest| rest.starts_with(['.', '-', '+']));
    (name.is_empty() || name == package.name().as_str()) && suits
}
