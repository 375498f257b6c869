//! What a version asks for, given the features that are asked of it.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use bulkhead_schema::{Dependency, DependencyKind, FeatureValue, Summary, Symbol};

use super::universe::{FastMap, Mix, default_feature};
use crate::MemberFeatures;

/// Features asked of a version.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    /// By another package.
    ByDependency { features: &'a [Symbol], default: bool },
    /// By the command line, of a member.
    ByUser { features: &'a MemberFeatures, development: bool },
}

/// Features switched on, and which dependencies they want with which features.
#[derive(Debug, Default)]
pub(super) struct Demand {
    /// Features, in order of their discovery.
    pub(super) features: Vec<Symbol>,
    seen: HashSet<Symbol, BuildHasherDefault<Mix>>,
    /// By the dependency's name in the manifest: optional dependencies that are switched on, and features passed on.
    pub(super) dependencies: FastMap<Symbol, Vec<Symbol>>,
    /// Whether development dependencies are wanted.
    development: bool,
}

impl Demand {
    /// Whether a dependency is part of the graph. A weak feature (`name?/feature`) counts here: the lockfile has every
    /// package that some choice of features could need.
    pub(super) fn wants(&self, dependency: &Dependency) -> bool {
        (dependency.kind != DependencyKind::Development || self.development)
            && (!dependency.optional || self.dependencies.contains_key(&dependency.name_in_manifest()))
    }
}

/// A feature that was asked for and cannot be switched on.
#[derive(Debug, Clone, Copy)]
pub(super) enum BadFeature {
    /// It does not exist: another version may have it.
    Missing(Symbol),
    /// It includes itself, which Cargo does not accept of any package.
    IncludesItself(Symbol),
}

/// Follows the features `asked` of `summary` through its feature table.
pub(super) fn demand(summary: &Summary, asked: Asked<'_>) -> Result<Demand, BadFeature> {
    let mut demand = Demand::default();
    let mut waiting: Vec<FeatureValue> = Vec::new();
    let default = match asked {
        Asked::ByDependency { features, default } => {
            waiting.extend(features.iter().map(|&feature| FeatureValue::Feature(feature)));
            default
        }
        Asked::ByUser { features, development } => {
            demand.development = development;
            if features.all {
                waiting.extend(summary.features.keys().map(|&feature| FeatureValue::Feature(feature)));
            }
            waiting.extend(features.features.iter().copied());
            features.default
        }
    };
    if default && summary.features.contains_key(&default_feature()) {
        waiting.push(FeatureValue::Feature(default_feature()));
    }
    waiting.reverse();
    while let Some(value) = waiting.pop() {
        match value {
            FeatureValue::Feature(feature) => follow(summary, feature, &mut demand, &mut waiting)?,
            FeatureValue::Dependency(name) => {
                demand.dependencies.entry(name).or_default();
            }
            FeatureValue::DependencyFeature { dependency, feature, weak } => {
                let optional = |d: &Dependency| d.optional && d.name_in_manifest() == dependency;
                if !weak && summary.dependencies.iter().any(optional) && summary.features.contains_key(&dependency) {
                    waiting.push(FeatureValue::Feature(dependency));
                }
                demand.dependencies.entry(dependency).or_default().push(feature);
            }
        }
    }
    Ok(demand)
}

fn follow(
    summary: &Summary,
    feature: Symbol,
    demand: &mut Demand,
    waiting: &mut Vec<FeatureValue>,
) -> Result<(), BadFeature> {
    if !demand.seen.insert(feature) {
        return Ok(());
    }
    let values = summary.features.get(&feature).ok_or(BadFeature::Missing(feature))?;
    if values.contains(&FeatureValue::Feature(feature)) {
        return Err(BadFeature::IncludesItself(feature));
    }
    demand.features.push(feature);
    waiting.extend(values.iter().rev());
    Ok(())
}
