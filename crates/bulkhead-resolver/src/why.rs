//! Why a package is in the graph: who brings it, why this version, why these features.

mod features;
mod paths;
mod versions;

use std::collections::BTreeMap;

use bulkhead_schema::{Dependency, PackageId, Symbol};
use semver::{Version, VersionReq};

use crate::lock::Previous;
use crate::{ActivatedFeatures, MemberFeatures, PublishAge, Registry, Resolve, Youth};

/// What explanations are made from.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The graph.
    pub resolve: &'a Resolve,
    /// The features that are active in what is asked about.
    pub features: &'a ActivatedFeatures,
    /// The members that were selected, with the features that the command line asks of them.
    pub selected: &'a [(PackageId, MemberFeatures)],
    /// All members.
    pub members: &'a [PackageId],
    /// What was published.
    pub registry: &'a dyn Registry,
    /// The lockfile as it was before.
    pub previous: Option<&'a Previous>,
    /// The Rust versions that versions are chosen for; none where `rust-version` has no say.
    pub rust_versions: &'a [Version],
    /// How old versions have to be.
    pub age: Option<&'a PublishAge>,
    /// How many paths are listed at most.
    pub max_paths: usize,
}

/// Everything there is to say about one package.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Which package.
    pub package: PackageId,
    /// Whether it is part of what was asked about; otherwise only the lockfile needs it, for other features, platforms or
    /// members.
    pub active: bool,
    /// Who requires it, directly.
    pub required_by: Vec<Requirement>,
    /// Ways from a member to it, the shortest first; empty for members that nobody requires.
    pub paths: Vec<Vec<PackageId>>,
    /// Whether there are more ways than are listed.
    pub more_paths: bool,
    /// Newer versions that were not taken: the newest compatible one and the newest of all.
    pub newer: Vec<Newer>,
    /// Its active features, and why each is on.
    pub features: BTreeMap<Symbol, Vec<Cause>>,
}

/// A package that requires the one in question.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// Who.
    pub by: PackageId,
    /// How: as it stands in its manifest or index entry.
    pub dependency: Dependency,
}

/// A version that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// Which.
    pub version: Version,
    /// Whether a caret requirement on the chosen version accepts it.
    pub compatible: bool,
    /// Why not; never empty.
    pub held_back: Vec<HeldBack>,
}

/// What keeps a version from being taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBack {
    /// A requirement does not accept it.
    Requirement {
        /// Whose.
        by: PackageId,
        /// Which.
        requirement: VersionReq,
    },
    /// Its author withdrew it.
    Yanked,
    /// It is a pre-release, which has to be asked for.
    PreRelease,
    /// It needs a newer Rust than the workspace supports.
    Rust(Version),
    /// It has not been public for long.
    Youth(Youth),
    /// The lockfile keeps the older one; nothing else is in the way of an update.
    Lock,
    /// It was possible by itself: something that it requires, or its features or native library, did not fit the rest.
    Conflict,
}

/// One link of the chain that switched a feature on; each is switched on by the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// This feature of the package itself includes it.
    Own(PackageId, Symbol),
    /// This feature of a package that depends on it passes it on (`name/feature`).
    PassedOn(PackageId, Symbol),
    /// A package that depends on it lists the feature in that dependency.
    Listed(PackageId),
    /// A package that depends on it leaves default features on.
    Default(PackageId),
    /// The command line asked for it, or nobody said that default features are not wanted.
    CommandLine,
}

/// Explains `package`; `None` if it is not in the graph.
pub fn explain(facts: &Facts<'_>, package: PackageId) -> Option<Explanation> {
    facts.resolve.nodes.get(&package)?;
    let required_by = requirements(facts, package);
    let (paths, more_paths) = paths::paths(facts, package);
    let newer = versions::newer(facts, package, &required_by);
    Some(Explanation {
        package,
        active: facts.is_active(package),
        required_by,
        paths,
        more_paths,
        newer,
        features: features::causes(facts, package),
    })
}

fn requirements(facts: &Facts<'_>, package: PackageId) -> Vec<Requirement> {
    let mut found = Vec::new();
    for (&by, node) in &facts.resolve.nodes {
        for edge in node.dependencies.iter().filter(|edge| edge.id == package) {
            found.extend(edge.declared.iter().map(|it| Requirement { by, dependency: it.clone() }));
        }
    }
    found
}

impl Facts<'_> {
    fn is_active(&self, package: PackageId) -> bool {
        self.purposes(package).next().is_some()
    }

    /// The feature sets of a package: one, or with a split between host and target two.
    fn purposes(&self, package: PackageId) -> impl Iterator<Item = crate::FeaturesFor> + '_ {
        let both = [crate::FeaturesFor::Target, crate::FeaturesFor::Host];
        both.into_iter().filter(move |purpose| self.features.features.contains_key(&(package, *purpose)))
    }

    /// Whether a feature of a package is on for any purpose.
    fn has_feature(&self, package: PackageId, feature: Symbol) -> bool {
        self.purposes(package).any(|purpose| self.features.features[&(package, purpose)].contains(&feature))
    }

    /// Whether a dependency has a part in what was asked about.
    fn counts(&self, by: PackageId, dependency: &Dependency) -> bool {
        let switched_on = || {
            let on = |purpose| self.features.dependencies.get(&(by, purpose));
            self.purposes(by).filter_map(on).any(|names| names.contains(&dependency.name_in_manifest()))
        };
        let development = dependency.kind == bulkhead_schema::DependencyKind::Development;
        self.is_active(by) && (!dependency.optional || switched_on()) && (!development || self.members.contains(&by))
    }
}
