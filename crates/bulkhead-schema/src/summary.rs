//! What the resolver knows of one version of a package.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Dependency, PackageId, Symbol};

/// One element of a feature's list (Cargo Book, "Features").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeatureValue {
    /// `"other"`: another feature of the same package.
    Feature(Symbol),
    /// `"dep:name"`: an optional dependency.
    Dependency(Symbol),
    /// `"name/feature"` or `"name?/feature"`: a feature of a dependency.
    DependencyFeature {
        /// The dependency's name in the manifest.
        dependency: Symbol,
        /// The feature of the dependency.
        feature: Symbol,
        /// `?`: only if something else switches the dependency on.
        weak: bool,
    },
}

impl FeatureValue {
    /// Splits the text by its form alone; whether the parts exist is checked with the manifest in hand.
    pub fn parse(text: &str) -> Self {
        if let Some((dependency, feature)) = text.split_once('/') {
            let (dependency, weak) = match dependency.strip_suffix('?') {
                Some(name) => (name, true),
                None => (dependency, false),
            };
            Self::DependencyFeature { dependency: dependency.into(), feature: feature.into(), weak }
        } else if let Some(name) = text.strip_prefix("dep:") {
            Self::Dependency(name.into())
        } else {
            Self::Feature(text.into())
        }
    }
}

impl std::fmt::Display for FeatureValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Feature(name) => write!(f, "{name}"),
            Self::Dependency(name) => write!(f, "dep:{name}"),
            Self::DependencyFeature { dependency, feature, weak } => {
                write!(f, "{dependency}{}/{feature}", if *weak { "?" } else { "" })
            }
        }
    }
}

/// Features by name, implicit features of optional dependencies included.
pub type Features = BTreeMap<Symbol, Vec<FeatureValue>>;

/// What the resolver knows of one version of a package: from its manifest if it is local, from the index otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which package.
    pub id: PackageId,
    /// All its dependencies, in the order of the manifest or index entry.
    pub dependencies: Vec<Dependency>,
    /// Its features, including the implicit feature of each optional dependency that no `dep:` names.
    pub features: Arc<Features>,
    /// The native library it claims to link (`links = "…"`).
    pub links: Option<Symbol>,
    /// Lower-case hexadecimal SHA-256 of the `.crate`, for registry packages.
    pub checksum: Option<Arc<str>>,
    /// `rust-version`, as a partial version (`1.70` means `1.70.0`).
    pub rust_version: Option<semver::Version>,
    /// Whether the version was yanked.
    pub yanked: bool,
}
