//! What the command lines of all units have in common.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_schema::build_script::BuildScriptOutput;
use bulkhead_schema::{PackageId, Symbol};

use crate::hash::{self, UnitHash};
use crate::lto::{self, LtoRole};
use crate::{CompileKind, CompileMode, Layout, PlatformInfo, Toolchain, Unit, UnitGraph, UnitIndex};

/// What build scripts said, by the unit that ran them ([`crate::CompileMode::RunBuildScript`]).
pub type ScriptOutputs = BTreeMap<UnitIndex, Arc<BuildScriptOutput>>;

/// In which form rustc is asked to report. The executor always reads JSON and prints the `rendered` field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MessageFormat {
    /// Full text, with colours as for a terminal.
    #[default]
    Human,
    /// One line each.
    Short,
    /// `--message-format json`, passed on to the user.
    Json {
        /// `json-diagnostic-short`
        short: bool,
        /// `json-diagnostic-rendered-ansi`
        ansi: bool,
    },
}

/// Flags and programs of one platform, from configuration and environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlatformFlags {
    /// `RUSTFLAGS`, `target.*.rustflags` or `build.rustflags`, whichever applies.
    pub rustflags: Vec<String>,
    /// The same for rustdoc.
    pub rustdocflags: Vec<String>,
    /// `target.*.linker`
    pub linker: Option<PathBuf>,
    /// `target.*.<links>`: what stands for runs of build scripts, by the `links` of their packages.
    pub scripts: BTreeMap<String, Arc<BuildScriptOutput>>,
}

/// How the units of one invocation are compiled, beyond what the plan says.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// The workspace's root: rustc runs there for packages below it, so that messages show short paths.
    pub workspace_root: PathBuf,
    /// Absolute target folder.
    pub target_dir: PathBuf,
    /// Absolute folder of intermediate files; equal to `target_dir` unless `build.build-dir` is set.
    pub build_dir: PathBuf,
    /// The profile asked for, which names the folder below the target folder.
    pub profile: Symbol,
    /// `PROFILE` of build scripts: `debug` if the profile derives from `dev`, `release` if it derives from `release`.
    pub script_profile: &'static str,
    /// What `$CARGO` becomes: an absolute path of a program with Cargo's command line.
    pub cargo: PathBuf,
    /// `CARGO_HOME`, `RUSTUP_HOME`-like variables and `[env]` entries that every process gets, already decided upon by
    /// the caller. Cargo's own variables win over them.
    pub environment: BTreeMap<String, String>,
    /// By platform; a platform without entry has no flags.
    pub flags: BTreeMap<CompileKind, PlatformFlags>,
    /// `build.rustc-wrapper`
    pub rustc_wrapper: Option<PathBuf>,
    /// Variables that only that wrapper and what it starts get.
    pub rustc_wrapper_environment: BTreeMap<String, String>,
    /// `build.rustc-workspace-wrapper`
    pub rustc_workspace_wrapper: Option<PathBuf>,
    /// Variables that only the workspace wrapper and what it starts get.
    pub wrapper_environment: BTreeMap<String, String>,
    /// How messages are wanted.
    pub message_format: MessageFormat,
    /// Width of the terminal in columns, if messages go to one.
    pub diagnostic_width: Option<usize>,
    /// Packages that the user selected (`CARGO_PRIMARY_PACKAGE`).
    pub primary_packages: BTreeSet<PackageId>,
    /// The workspace's members, to which the workspace wrapper applies.
    pub members: BTreeSet<PackageId>,
    /// Folders with the verified sources of all downloaded packages, which compilers (not build scripts) may read.
    pub shared_sources: Vec<PathBuf>,
    /// `NUM_JOBS`
    pub jobs: u32,
    /// `-vv`: warnings of dependencies are shown.
    pub show_dependency_warnings: bool,
    /// Arguments after `--` of `cargo rustc` and `cargo rustdoc`, for the roots.
    pub extra_arguments: Vec<String>,
    /// `doc --document-private-items`
    pub document_private_items: bool,
}

impl BuildOptions {
    /// Options in which everything else is off or empty.
    pub fn new(workspace_root: PathBuf, target_dir: PathBuf, profile: Symbol, cargo: PathBuf) -> Self {
        Self {
            workspace_root,
            build_dir: target_dir.clone(),
            target_dir,
            profile,
            script_profile: if matches!(profile.as_str(), "dev" | "test") { "debug" } else { "release" },
            cargo,
            environment: BTreeMap::new(),
            flags: BTreeMap::new(),
            rustc_wrapper: None,
            rustc_workspace_wrapper: None,
            rustc_wrapper_environment: BTreeMap::new(),
            wrapper_environment: BTreeMap::new(),
            message_format: MessageFormat::Human,
            diagnostic_width: None,
            primary_packages: BTreeSet::new(),
            members: BTreeSet::new(),
            shared_sources: Vec::new(),
            jobs: 1,
            show_dependency_warnings: false,
            extra_arguments: Vec::new(),
            document_private_items: false,
        }
    }
}

/// A plan with everything that is needed to write its command lines; what is costly is computed once.
#[derive(Debug)]
pub struct Context<'a> {
    /// The plan.
    pub graph: &'a UnitGraph,
    /// The compiler.
    pub toolchain: &'a Toolchain,
    /// The options.
    pub options: &'a BuildOptions,
    hashes: Vec<UnitHash>,
    roles: Vec<LtoRole>,
    /// Units of which another one comes first that would have the same names.
    seconds: BTreeSet<UnitIndex>,
}

impl<'a> Context<'a> {
    /// Prepares command lines for `graph`.
    pub fn new(graph: &'a UnitGraph, toolchain: &'a Toolchain, options: &'a BuildOptions) -> Self {
        let roles = lto::roles(graph);
        let hashes = hash::hashes(graph, &roles, toolchain, options);
        Self { graph, toolchain, options, hashes, roles, seconds: seconds(graph) }
    }

    /// The unit at `index`.
    pub fn unit(&self, index: UnitIndex) -> &'a Unit {
        self.graph.unit(index)
    }

    /// What separates the files of this unit from those of others: 16 hexadecimal digits.
    pub fn hash(&self, index: UnitIndex) -> &str {
        &self.hashes[index.0 as usize].file
    }

    /// What separates the unit's symbols from those of other crates: 16 hexadecimal digits for `-C metadata`.
    pub fn symbol_hash(&self, index: UnitIndex) -> &str {
        &self.hashes[index.0 as usize].symbols
    }

    /// Whether the same target is also compiled in another way, and files without a hash are that one's.
    pub(crate) fn is_second(&self, index: UnitIndex) -> bool {
        self.seconds.contains(&index)
    }

    pub(crate) fn lto(&self, index: UnitIndex) -> LtoRole {
        self.roles[index.0 as usize]
    }

    /// The platform as the toolchain knows it; the host's for one it was not asked about.
    pub(crate) fn platform(&self, platform: CompileKind) -> Option<&'a PlatformInfo> {
        let platforms = &self.toolchain.platforms;
        platforms.get(&platform).or_else(|| platforms.get(&CompileKind::Host))
    }

    /// The run of the unit's own build script.
    pub fn own_script(&self, index: UnitIndex) -> Option<UnitIndex> {
        self.own_script_of(self.unit(index))
    }

    /// The same for a unit that may stand beside the graph.
    pub(crate) fn own_script_of(&self, unit: &Unit) -> Option<UnitIndex> {
        let own = |dependency: &UnitIndex| {
            let other = self.unit(*dependency);
            other.mode == CompileMode::RunBuildScript && other.package.id == unit.package.id
        };
        let mut dependencies = unit.dependencies.iter().map(|dependency| dependency.unit);
        if unit.mode == CompileMode::RunBuildScript { None } else { dependencies.find(own) }
    }

    /// What configuration says in the place of a build script, if the unit is its run.
    pub fn given(&self, index: UnitIndex) -> Option<Arc<BuildScriptOutput>> {
        let unit = self.unit(index);
        let is_run = unit.mode == CompileMode::RunBuildScript;
        let links = unit.package.summary.links.filter(|_| is_run)?;
        self.options.flags.get(&unit.platform)?.scripts.get(links.as_str()).cloned()
    }

    /// The folders of a platform.
    pub fn layout(&self, platform: CompileKind) -> Layout {
        let triple = match platform {
            CompileKind::Host => None,
            CompileKind::Target(triple) => Some(triple),
        };
        Layout::new(&self.options.target_dir, &self.options.build_dir, triple, self.options.profile)
    }
}

/// Where one target is compiled in several ways for one platform (with `panic = "abort"` for programs and without for tests),
/// all but one: those that users find come first.
fn seconds(graph: &UnitGraph) -> BTreeSet<UnitIndex> {
    let roots = graph.roots.iter().copied();
    let others = graph.iter().map(|(index, _)| index).filter(|index| !graph.roots.contains(index));
    let builds = roots.chain(others).filter(|index| graph.unit(*index).mode == CompileMode::Build);
    let mut seen = HashSet::new();
    let key = |index: &UnitIndex| {
        let unit = graph.unit(*index);
        (unit.package.id, unit.target.name, unit.target.is_lib(), unit.platform)
    };
    builds.filter(|index| !seen.insert(key(index))).collect()
}
