//! `required-features` of targets.

use bulkhead_resolver::FeaturesFor;
use bulkhead_schema::{PackageId, Symbol};
use bulkhead_workspace::Target;

use super::draft::Draft;

/// The `required-features` of `target` that are not active. `name/feature` asks for a feature of a dependency.
pub(super) fn missing(draft: &mut Draft<'_>, id: PackageId, purpose: FeaturesFor, target: &Target) -> Vec<Symbol> {
    let active = draft.features(id, purpose);
    let mut missing = Vec::new();
    for &wanted in target.required_features.iter().flatten() {
        let found = match wanted.split_once('/') {
            Some((dependency, feature)) => dependency_has(draft, id, dependency, feature),
            None => active.contains(&wanted),
        };
        if !found {
            missing.push(wanted);
        }
    }
    missing
}

fn dependency_has(draft: &mut Draft<'_>, id: PackageId, dependency: &str, feature: &str) -> bool {
    let Some(node) = draft.input.resolve.nodes.get(&id) else { return false };
    let named = |edge: &&bulkhead_resolver::ResolvedDependency| {
        edge.declared.iter().any(|declared| declared.name_in_manifest() == *dependency)
    };
    let Some(edge) = node.dependencies.iter().find(named) else { return false };
    draft.features(edge.id, FeaturesFor::Target).iter().any(|active| *active == *feature)
}
