//! What is asked of the resolver, and what it answers.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bulkhead_schema::{Dependency, Diagnostic, FeatureValue, PackageId, PackageName, SourceId, Summary};
use semver::Version;

use crate::lock::Previous;
use crate::{PublishAge, Resolve};

/// One resolution, complete but for what the [`crate::Registry`] knows.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The workspace's members, in workspace order.
    pub members: Vec<Member>,
    /// Path packages outside the workspace that are reached from it (and path patches are not repeated here).
    pub path_packages: &'a [Arc<Summary>],
    /// The existing lockfile, decoded.
    pub previous: Option<&'a Previous>,
    /// How much of `previous` may change.
    pub unlock: Unlock,
    /// Which of several matching versions is taken first.
    pub version_order: VersionOrder,
    /// With resolver 3 (or `incompatible-rust-versions = "fallback"`): the `rust-version` of each member that has one,
    /// or else the version of rustc. Versions that all of these can compile are preferred. Empty: no preference.
    pub rust_versions: Vec<Version>,
    /// Versions that are too young for this are passed over.
    pub publish_age: Option<&'a PublishAge>,
    /// `[patch]` tables, in manifest order.
    pub patches: &'a [Patch],
    /// Bounds.
    pub limits: Limits,
    /// When to give up in any case.
    pub deadline: Option<Deadline<'a>>,
}

impl<'a> Request<'a> {
    /// Resolves `members` with all their features and development dependencies, as `Cargo.lock` wants it, keeping what
    /// `previous` has.
    pub fn for_lockfile(
        members: &[Arc<Summary>],
        path_packages: &'a [Arc<Summary>],
        previous: Option<&'a Previous>,
    ) -> Self {
        Self {
            members: members.iter().map(|summary| Member::everything(Arc::clone(summary))).collect(),
            path_packages,
            previous,
            unlock: Unlock::None,
            version_order: VersionOrder::Maximum,
            rust_versions: Vec::new(),
            publish_age: None,
            patches: &[],
            limits: Limits::default(),
            deadline: None,
        }
    }
}

/// A workspace member and what is wanted of it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its summary.
    pub summary: Arc<Summary>,
    /// The features wanted.
    pub features: MemberFeatures,
    /// Whether its development dependencies are wanted.
    pub development: bool,
}

impl Member {
    /// All features and development dependencies.
    pub fn everything(summary: Arc<Summary>) -> Self {
        Self { summary, features: MemberFeatures::all(), development: true }
    }
}

/// Features of a member as the command line chooses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFeatures {
    /// `--features`
    pub features: BTreeSet<FeatureValue>,
    /// `--all-features`
    pub all: bool,
    /// Not `--no-default-features`
    pub default: bool,
}

impl MemberFeatures {
    /// `--all-features`
    pub fn all() -> Self {
        Self { features: BTreeSet::new(), all: true, default: true }
    }
}

/// Without any flag: the default features.
impl Default for MemberFeatures {
    fn default() -> Self {
        Self { features: BTreeSet::new(), all: false, default: true }
    }
}

/// One entry of `[patch.SOURCE]`, whose replacement the caller has already read.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The source whose packages are replaced.
    pub patched: SourceId,
    /// The replacement.
    pub summary: Arc<Summary>,
}

/// How much of the previous lockfile may change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Unlock {
    /// Nothing but what the manifests force (`build`, `fetch`, …).
    #[default]
    None,
    /// Everything (`update`, `generate-lockfile`).
    All,
    /// `update -p`: these packages of the previous lockfile, everything that only they need, and with `recursive`
    /// everything that they depend on.
    Packages {
        /// Packages named on the command line.
        packages: BTreeSet<PackageId>,
        /// `--recursive`
        recursive: bool,
        /// `--precise`: the version that the one named package must get.
        precise: Option<Version>,
    },
}

/// Which of several matching versions is taken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VersionOrder {
    /// The highest, as Cargo does.
    #[default]
    Maximum,
    /// The lowest (`-Z minimal-versions`).
    Minimum,
}

/// What resolution may cost before it gives up. The largest real graphs (two thousand packages) stay far below the
/// defaults; `limits.resolve` of a policy file changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Candidates tried, failed ones included. An untroubled resolution needs about one per dependency edge.
    pub steps: u64,
    /// Packages in the graph.
    pub packages: usize,
    /// The longest chain of packages that require one another.
    pub depth: usize,
    /// Dependencies in the graph.
    pub edges: usize,
    /// Features that are switched on, over all packages.
    pub features: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 20_000_000, packages: 50_000, depth: 1_000, edges: 1_000_000, features: 1_000_000 }
    }
}

/// Tells whether the time for a resolution is over. Asked now and then, so that the resolver needs no clock.
#[derive(Clone, Copy)]
pub struct Deadline<'a>(pub &'a dyn Fn() -> bool);

impl fmt::Debug for Deadline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deadline")
    }
}

/// What came out.
#[derive(Debug)]
pub enum Outcome {
    /// A complete graph.
    Resolved(Resolve),
    /// These index entries have to be loaded first; then ask again. Never empty.
    Missing(BTreeSet<(SourceId, PackageName)>),
}

/// Why there is no graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError {
    /// What went wrong.
    pub kind: ResolveErrorKind,
    /// The first line, without a full stop.
    pub message: String,
    /// The derivation: further lines, in order, each a statement that follows from the manifests and index entries.
    pub because: Vec<String>,
    /// What to do, one sentence each.
    pub help: Vec<String>,
    /// Dependencies of local packages that lines of `because` speak of: a caller who knows the manifests can say where
    /// they stand.
    pub local: Vec<LocalRequirement>,
}

/// A dependency of a local package that has a part in a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRequirement {
    /// The place in [`ResolveError::because`].
    pub line: usize,
    /// Whose dependency.
    pub by: PackageId,
    /// Which.
    pub dependency: Dependency,
}

/// What went wrong, where a caller acts differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveErrorKind {
    /// A package does not exist in its source.
    UnknownPackage,
    /// A package exists, but no version matches.
    NoMatchingVersion,
    /// Requirements that cannot hold together: versions or `links`.
    Conflict,
    /// A feature that is asked for does not exist.
    MissingFeature,
    /// A package depends on itself.
    Cycle,
    /// A version has another checksum than the lockfile recorded.
    ChecksumChanged,
    /// The bounds of [`Limits`] were reached.
    Limit,
    /// The request itself is inconsistent: unknown package to update, bad patch.
    Request,
}

impl ResolveErrorKind {
    /// The diagnostic's code.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownPackage => "resolve-unknown-package",
            Self::NoMatchingVersion => "resolve-no-matching-version",
            Self::Conflict => "resolve-conflict",
            Self::MissingFeature => "resolve-missing-feature",
            Self::Cycle => "resolve-cycle",
            Self::ChecksumChanged => "resolve-checksum-changed",
            Self::Limit => "resolve-limit",
            Self::Request => "resolve-request",
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.because.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}
impl std::error::Error for ResolveError {}

impl From<ResolveError> for Diagnostic {
    fn from(error: ResolveError) -> Self {
        let mut diagnostic = Self::error(error.kind.code(), error.to_string());
        diagnostic.help = error.help;
        diagnostic
    }
}
