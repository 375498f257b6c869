//! What the command line learnt, as narrow values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::PackageId;

use crate::observed::Disk;

pub use bulkhead_schema::DependencyKind;
pub use bulkhead_unit_graph::MessageFormat;
pub use bulkhead_unit_graph::request::{Intent, NameFilter, TargetFilter};
pub use bulkhead_workspace::edit::Section;

/// Where a command runs, read once from the process.
#[derive(Debug, Clone)]
pub struct Place {
    /// Absolute working folder.
    pub current_dir: PathBuf,
    /// `BULKHEAD_HOME`.
    pub bulkhead_home: PathBuf,
    /// `CARGO_HOME`, for the user's `config.toml` and credentials.
    pub cargo_home: PathBuf,
    /// The user's home folder, if there is one.
    pub home: Option<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// Absolute path of this program, which becomes `$CARGO`.
    pub program: PathBuf,
    /// The present, in seconds since 1970-01-01 UTC.
    pub now: i64,
    /// The disk, which notes what the command looks at.
    pub disk: Disk,
}

impl Place {
    /// The value of an environment variable that is valid UTF-8 and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(std::ffi::OsStr::new(name))?.to_str().filter(|value| !value.is_empty())
    }
}

/// Options that every command takes.
#[derive(Debug, Clone)]
pub struct GlobalOptions {
    /// Where.
    pub place: Place,
    /// `--config`, in order.
    pub config: Vec<String>,
    /// `--manifest-path`
    pub manifest_path: Option<PathBuf>,
    /// How far the lockfile and the network may be used.
    pub lock: LockOptions,
    /// Another lockfile than the one beside the workspace's manifest: rust-analyzer works on a copy of its own.
    pub lockfile: Option<PathBuf>,
    /// `-v` count.
    pub verbose: u8,
    /// `-q`
    pub quiet: bool,
}

impl GlobalOptions {
    /// The lockfile of the workspace at `root`.
    #[must_use]
    pub fn lockfile(&self, root: &Path) -> PathBuf {
        self.lockfile.clone().unwrap_or_else(|| root.join("Cargo.lock"))
    }
}

/// How far the lockfile and the network may be used.
#[derive(Debug, Clone, Copy, Default)]
pub struct LockOptions {
    /// `--locked`: `Cargo.lock` must stay as it is.
    pub locked: bool,
    /// `--offline`: no network.
    pub offline: bool,
    /// `--frozen`, which means both.
    pub frozen: bool,
}

impl LockOptions {
    /// The flag that keeps files as they are, for messages.
    pub fn flag(self) -> &'static str {
        if self.frozen { "--frozen" } else { "--locked" }
    }
}

/// `-p`, `--workspace`, `--exclude`.
#[derive(Debug, Clone, Default)]
pub struct PackageOptions {
    /// `-p SPEC`, in order. Specs may hold globs.
    pub packages: Vec<String>,
    /// `--workspace` or `--all`
    pub workspace: bool,
    /// `--exclude SPEC`
    pub exclude: Vec<String>,
}

/// `--features`, `--all-features`, `--no-default-features`.
#[derive(Debug, Clone, Default)]
pub struct FeatureOptions {
    /// `--features`, split at commas and spaces.
    pub features: Vec<String>,
    /// `--all-features`
    pub all_features: bool,
    /// `--no-default-features`
    pub no_default_features: bool,
}

/// Everything that steers a compilation.
#[derive(Debug, Clone)]
pub struct CompileOptions {
    /// What for.
    pub intent: Intent,
    /// Which packages.
    pub packages: PackageOptions,
    /// Which of their targets.
    pub targets: TargetFilter,
    /// Only the build scripts and procedural macros among what would be compiled, as rust-analyzer wants it.
    pub compile_time_deps: bool,
    /// With which features.
    pub features: FeatureOptions,
    /// `--profile NAME`; `--release` is `release`. `None` for the command's own default.
    pub profile: Option<String>,
    /// `--target TRIPLE`, in order.
    pub platforms: Vec<String>,
    /// `--target-dir`
    pub target_dir: Option<PathBuf>,
    /// `-j N`; negative counts back from the number of processors.
    pub jobs: Option<i32>,
    /// `--keep-going`
    pub keep_going: bool,
    /// `--no-fail-fast` for `test`.
    pub no_fail_fast: bool,
    /// `--ignore-rust-version`
    pub ignore_rust_version: bool,
    /// How diagnostics are wanted.
    pub message_format: MessageFormat,
    /// `json-render-diagnostics`: rustc's messages are rendered on standard error instead of printed as JSON.
    pub render_diagnostics: bool,
    /// `--unit-graph`: plan only.
    pub unit_graph: bool,
    /// `--future-incompat-report`
    pub future_incompat_report: bool,
    /// `--timings`: a page that tells how long each unit took.
    pub timings: bool,
    /// `--no-run` for `test`.
    pub no_run: bool,
    /// `--confined` for `run`, `test` and `bench`.
    pub confined: bool,
    /// `-q`: the test harness says less.
    pub quiet_harness: bool,
    /// Whether rustc's rendered diagnostics are to be coloured.
    pub color: bool,
    /// `--color` as it was wished: `auto`, `always`, `never`.
    pub color_choice: &'static str,
    /// Terminal width for `--diagnostic-width`, if standard error is a terminal.
    pub terminal_width: Option<usize>,
    /// `clippy`: the arguments for clippy, which compiles the workspace's members.
    pub clippy: Option<Vec<String>>,
    /// `doc --document-private-items`
    pub document_private_items: bool,
    /// `rustc` and `rustdoc`: one target is compiled with arguments of its own.
    pub single: Option<SingleTarget>,
    /// `fix`: lints that are switched on for what is asked for.
    pub lint_arguments: Vec<String>,
    /// What the user's program gets after `--`.
    pub arguments: Vec<OsString>,
    /// `install`: the project was fetched for this, so that its own packages are not the user's either.
    pub foreign: Option<Foreign>,
}

/// A project that is somebody else's.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The package that is built, as its registry or repository names it.
    pub id: PackageId,
    /// SHA-256 of the archive, or the tree of the commit, in which it came.
    pub checksum: Option<Arc<str>>,
    /// The folder that was made for this build, and goes after it, with a copy of what came.
    pub copy: PathBuf,
}

/// What `rustc` and `rustdoc` ask for besides what all compilations do.
#[derive(Debug, Clone, Default)]
pub struct SingleTarget {
    /// `rustc` or `rustdoc`, for messages.
    pub command: &'static str,
    /// Arguments for the compiler of the one target.
    pub arguments: Vec<String>,
    /// `--crate-type`, split at commas.
    pub crate_types: Vec<String>,
}

/// `add`.
#[derive(Debug, Clone)]
pub struct AddOptions {
    /// `NAME[@REQUIREMENT]…`
    pub crates: Vec<String>,
    /// `--dev`, `--build`, `--target`
    pub section: Section,
    /// `-p SPEC`
    pub package: Option<String>,
    /// `--path`, relative to the current folder.
    pub path: Option<String>,
    /// `--git`
    pub git: Option<String>,
    /// `--branch`, `--tag` or `--rev`, and its value.
    pub reference: Option<(&'static str, String)>,
    /// `--registry`
    pub registry: Option<String>,
    /// `--rename`
    pub rename: Option<String>,
    /// `--features`, split at commas and spaces.
    pub features: Vec<String>,
    /// `--default-features`, `--no-default-features`
    pub default_features: Option<bool>,
    /// `--optional`, `--no-optional`
    pub optional: Option<bool>,
    /// `--public`, `--no-public`
    pub public: Option<bool>,
    /// `--ignore-rust-version`
    pub ignore_rust_version: bool,
    /// `--dry-run`
    pub dry_run: bool,
}

/// `remove`.
#[derive(Debug, Clone)]
pub struct RemoveOptions {
    /// Keys of dependencies.
    pub dependencies: Vec<String>,
    /// `--dev`, `--build`, `--target`
    pub section: Section,
    /// `-p SPEC`
    pub package: Option<String>,
    /// `--dry-run`
    pub dry_run: bool,
}

/// `update`.
#[derive(Debug, Clone, Default)]
pub struct UpdateOptions {
    /// `SPEC…` or `-p SPEC`
    pub packages: Vec<String>,
    /// `--precise VERSION`
    pub precise: Option<String>,
    /// `--recursive`
    pub recursive: bool,
    /// `--workspace`
    pub workspace: bool,
    /// `--dry-run`
    pub dry_run: bool,
    /// `--ignore-rust-version`
    pub ignore_rust_version: bool,
    /// `--why`
    pub why: bool,
}

/// `explain`.
#[derive(Debug, Clone, Default)]
pub struct ExplainOptions {
    /// `SPEC`: what is asked about.
    pub spec: String,
    /// The members that are looked at.
    pub packages: PackageOptions,
    /// With which features.
    pub features: FeatureOptions,
    /// `--target TRIPLE`; the host if empty.
    pub platforms: Vec<String>,
}

/// `new` and `init`.
#[derive(Debug, Clone)]
pub struct NewOptions {
    /// The folder.
    pub path: PathBuf,
    /// `--name`
    pub name: Option<String>,
    /// `--lib` or `--bin`; `None` for what is there already, or else a program.
    pub lib: Option<bool>,
    /// `--registry`: where alone it may be published.
    pub registry: Option<String>,
    /// `--edition`
    pub edition: Option<String>,
    /// `--vcs`: `git` or `none`; `None` for git unless already inside a repository.
    pub vcs: Option<String>,
    /// `init`: the folder exists, and its files are kept.
    pub init: bool,
}

/// `clean`.
#[derive(Debug, Clone, Default)]
pub struct CleanOptions {
    /// `-p SPEC`
    pub packages: Vec<String>,
    /// `--workspace`
    pub workspace: bool,
    /// `--profile`, `--release`
    pub profile: Option<String>,
    /// `--target`
    pub platforms: Vec<String>,
    /// `--target-dir`
    pub target_dir: Option<PathBuf>,
    /// `--doc`
    pub doc: bool,
    /// `--dry-run`
    pub dry_run: bool,
}

/// `metadata`.
#[derive(Debug, Clone, Default)]
pub struct MetadataOptions {
    /// `--no-deps`
    pub no_deps: bool,
    /// `--filter-platform`
    pub filter_platforms: Vec<String>,
    /// Features to resolve with.
    pub features: FeatureOptions,
}

/// `tree`.
#[derive(Debug, Clone)]
pub struct TreeOptions {
    /// Which packages are the roots.
    pub packages: PackageOptions,
    /// With which features.
    pub features: FeatureOptions,
    /// `--target TRIPLE`; `all` for every platform. Empty for the host.
    pub platforms: Vec<String>,
    /// `-e`: `normal`, `build`, `dev`, `features`, `all`, `no-…`, in order.
    pub edges: Vec<String>,
    /// `-i SPEC`
    pub invert: Vec<String>,
    /// `--prune SPEC`
    pub prune: Vec<String>,
    /// `--depth N` or `workspace`
    pub depth: Option<String>,
    /// `--no-dedupe`
    pub no_dedupe: bool,
    /// `-d`
    pub duplicates: bool,
    /// `--charset ascii`
    pub ascii: bool,
    /// `--prefix`: `indent`, `depth`, `none`.
    pub prefix: String,
    /// `-f FORMAT`
    pub format: String,
}
