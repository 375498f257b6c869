//! What is asked of the planner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_resolver::{ActivatedFeatures, Resolve};
use bulkhead_schema::{PackageId, Symbol};
use bulkhead_workspace::{Package, Profiles};

use crate::{CompileKind, Toolchain};

/// What the user wants done with the selected targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// `build`, `run` (which selects one target), `install`.
    Build,
    /// `check`, with the test harness if `test`.
    Check {
        /// `--profile test`
        test: bool,
    },
    /// `test`
    Test,
    /// `bench`
    Bench,
    /// `doc`
    Doc {
        /// Also document the dependencies (not `--no-deps`).
        dependencies: bool,
    },
}

impl Intent {
    /// Whether tests are among the default targets.
    pub fn is_test(self) -> bool {
        matches!(self, Self::Test | Self::Bench | Self::Check { test: true })
    }
}

/// Which targets of one kind are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NameFilter {
    /// None of them.
    #[default]
    None,
    /// All of them (`--bins`).
    All,
    /// Those with these names, which may be patterns with `*`, `?` and `[…]` (`--bin name`).
    Named(Vec<String>),
}

impl NameFilter {
    fn is_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}

/// The target options of the command line (Cargo Book, "Target Selection").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetFilter {
    /// `--lib`
    pub lib: bool,
    /// `--bin`, `--bins`
    pub bins: NameFilter,
    /// `--example`, `--examples`
    pub examples: NameFilter,
    /// `--test`, `--tests`
    pub tests: NameFilter,
    /// `--bench`, `--benches`
    pub benches: NameFilter,
    /// `--all-targets`: everything, and what is missing is no error.
    pub all_targets: bool,
    /// `test --doc`: only the libraries, for rustdoc.
    pub doctests: bool,
}

impl TargetFilter {
    /// Whether no option was given, so that the command's default applies.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether some target was asked for by its name, so that missing `required-features` are an error.
    pub fn names_any(&self) -> bool {
        [&self.bins, &self.examples, &self.tests, &self.benches].into_iter().any(NameFilter::is_named)
    }
}

/// One invocation, as far as the plan depends on it.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The members selected with `-p`, `--workspace` or the working folder.
    pub packages: BTreeSet<PackageId>,
    /// What is done.
    pub intent: Intent,
    /// To which targets.
    pub targets: TargetFilter,
    /// Profile asked for: `dev`, `release`, `test`, `bench` or a custom one.
    pub profile: Symbol,
    /// `[CompileKind::Host]`, or one entry for each `--target`.
    pub platforms: Vec<CompileKind>,
    /// The `links` of packages whose build scripts are not run, since configuration says what they would, by platform.
    pub given_scripts: BTreeSet<(CompileKind, String)>,
    /// Whether `test` plans [`crate::CompileMode::Doctest`] units where Cargo does. They are roots that start no rustc:
    /// their dependencies are what rustdoc needs.
    pub doctests: bool,
}

/// Everything the planner reads.
#[derive(Clone, Copy)]
pub struct PlanInput<'a> {
    /// Every package that the plan may need: members and all packages active on some platform asked for.
    pub packages: &'a BTreeMap<PackageId, Arc<Package>>,
    /// The workspace's members.
    pub members: &'a BTreeSet<PackageId>,
    /// Who depends on whom.
    pub resolve: &'a Resolve,
    /// What is switched on.
    pub features: &'a ActivatedFeatures,
    /// The compiler, with the platforms asked for and the host.
    pub toolchain: &'a Toolchain,
    /// The settings of the units.
    pub profiles: &'a Profiles,
    /// What is wanted.
    pub request: &'a PlanRequest,
}
