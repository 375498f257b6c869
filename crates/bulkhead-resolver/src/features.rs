//! Which features each package is compiled with: the step after version selection (Cargo Book, "Features" and
//! "Feature resolver version 2").

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::{PackageId, Symbol};

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
