//! Which features each package is compiled with: the step after version selection (Cargo Book, "Features" and
//! "Feature resolver version 2").

mod requested;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::platform::Cfg;
use bulkhead_schema::{PackageId, Symbol};

use self::walk::Walk;
use crate::{MemberFeatures, Resolve, ResolveError};

pub use self::requested::requested;

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
    /// Active features. A package that is absent is not built for that purpose; with resolver 1, one that is present may
    /// still belong to another platform.
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
    resolve: &Resolve,
    members: &[(PackageId, MemberFeatures)],
    options: &FeatureOptions<'_>,
) -> Result<ActivatedFeatures, ResolveError> {
    let mut walk = Walk::new(resolve, members, options);
    for (member, features) in members {
        walk.member(*member, features);
    }
    walk.finish()
}
