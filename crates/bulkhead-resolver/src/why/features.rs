//! Who switched a feature on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bulkhead_schema::{FeatureValue, PackageId, Symbol};

use super::{Cause, Facts};

/// For each active feature of `package` the shortest chain of causes, from the nearest to one that needs no other.
pub(super) fn causes(facts: &Facts<'_>, package: PackageId) -> BTreeMap<Symbol, Vec<Cause>> {
    let active = facts.purposes(package).flat_map(|purpose| facts.features.features[&(package, purpose)].iter());
    let active: BTreeSet<Symbol> = active.copied().collect();
    active.into_iter().map(|feature| (feature, chain(facts, package, feature))).collect()
}

fn chain(facts: &Facts<'_>, package: PackageId, feature: Symbol) -> Vec<Cause> {
    // By feature: what it switched on, so that the way back can be told.
    let mut came_from: BTreeMap<(PackageId, Symbol), ((PackageId, Symbol), Cause)> = BTreeMap::new();
    let mut seen = BTreeSet::from([(package, feature)]);
    let mut pending = VecDeque::from([(package, feature)]);
    while let Some(place) = pending.pop_front() {
        for cause in direct_causes(facts, place) {
            let next = match cause {
                Cause::Own(package, feature) | Cause::PassedOn(package, feature) => (package, feature),
                Cause::Listed(_) | Cause::Default(_) | Cause::CommandLine => {
                    let mut chain = vec![cause];
                    let mut at = place;
                    while let Some((before, cause)) = came_from.get(&at) {
                        chain.push(*cause);
                        at = *before;
                    }
                    chain.reverse();
                    return chain;
                }
            };
            if seen.insert(next) {
                came_from.insert(next, (place, cause));
                pending.push_back(next);
            }
        }
    }
    Vec::new()
}

/// What switches one feature on at once; causes that need no other come first.
fn direct_causes(facts: &Facts<'_>, (package, feature): (PackageId, Symbol)) -> Vec<Cause> {
    let mut causes = Vec::new();
    if facts.selected.iter().any(|(member, wanted)| *member == package && asks(wanted, feature)) {
        causes.push(Cause::CommandLine);
    }
    for (&by, node) in &facts.resolve.nodes {
        for edge in node.dependencies.iter().filter(|edge| edge.id == package) {
            for declared in edge.declared.iter().filter(|declared| facts.counts(by, declared)) {
                if declared.features.contains(&feature) {
                    causes.push(Cause::Listed(by));
                } else if declared.default_features && feature.as_str() == "default" {
                    causes.push(Cause::Default(by));
                }
                for (&own, values) in node.summary.features.iter() {
                    let passes = |value: &FeatureValue| {
                        matches!(value, FeatureValue::DependencyFeature { dependency, feature: passed, .. }
                            if *dependency == declared.name_in_manifest() && *passed == feature)
                    };
                    if values.iter().any(passes) && facts.has_feature(by, own) {
                        causes.push(Cause::PassedOn(by, own));
                    }
                }
            }
        }
    }
    let table = facts.resolve.nodes.get(&package).map(|node| &*node.summary.features);
    for (&own, values) in table.into_iter().flatten() {
        let optional = |value: &FeatureValue| matches!(value, FeatureValue::DependencyFeature { dependency, weak: false, .. } if *dependency == feature);
        let includes = values.contains(&FeatureValue::Feature(feature)) || values.iter().any(optional);
        if own != feature && includes && facts.has_feature(package, own) {
            causes.push(Cause::Own(package, own));
        }
    }
    causes.sort_by_key(|cause| matches!(cause, Cause::Own(..) | Cause::PassedOn(..)));
    causes
}

fn asks(wanted: &crate::MemberFeatures, feature: Symbol) -> bool {
    wanted.all
        || wanted.features.contains(&FeatureValue::Feature(feature))
        || wanted.default && feature.as_str() == "default"
}
