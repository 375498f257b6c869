//! `[features]` and the implicit features of optional dependencies (Cargo Book, "Features").

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bulkhead_schema::manifest::Manifest;
use bulkhead_schema::{Dependency, Diagnostic, FeatureValue, Features, Symbol};

/// The features of a package; every rule that is broken is added to `findings`.
pub(crate) fn features(manifest: &Manifest, dependencies: &[Dependency], findings: &mut Vec<Diagnostic>) -> Features {
    let mut features: Features = manifest
        .features
        .iter()
        .map(|(name, values)| {
            (Symbol::new(name.get_ref()), values.iter().map(|value| FeatureValue::parse(value.get_ref())).collect())
        })
        .collect();
    let named: BTreeSet<Symbol> = features
        .values()
        .flatten()
        .filter_map(|value| match value {
            FeatureValue::Dependency(name) => Some(*name),
            _ => None,
        })
        .collect();
    let mut declared: BTreeMap<Symbol, bool> = BTreeMap::new();
    for dependency in dependencies {
        let name = dependency.name_in_manifest();
        *declared.entry(name).or_default() |= dependency.optional;
        if dependency.optional && !named.contains(&name) {
            features.entry(name).or_insert_with(|| vec![FeatureValue::Dependency(name)]);
        }
    }
    check_values(&features, &declared, manifest, findings);
    check_reachable(&features, &declared, manifest, findings);
    features
}

fn check_values(
    features: &Features,
    declared: &BTreeMap<Symbol, bool>,
    manifest: &Manifest,
    findings: &mut Vec<Diagnostic>,
) {
    for (feature, values) in &manifest.features {
        for value in values {
            if let Some(problem) = value_problem(feature.get_ref(), value.get_ref(), features, declared) {
                findings.push(manifest.error("feature-value", problem, value.span()));
            }
        }
    }
}

/// Which rule `text`, an element of `feature`, breaks, if it breaks one.
fn value_problem(feature: &str, text: &str, features: &Features, declared: &BTreeMap<Symbol, bool>) -> Option<String> {
    let includes = format!("feature `{feature}` includes `{text}`");
    match FeatureValue::parse(text) {
        FeatureValue::Feature(name) if features.contains_key(&name) => None,
        FeatureValue::Feature(name) => Some(match declared.get(&name) {
            None => format!("{includes} which is neither a dependency nor another feature"),
            Some(true) => format!(
                "{includes}, but `{name}` is an optional dependency without an implicit feature; use `dep:{name}` to \
                 enable the dependency"
            ),
            Some(false) => format!(
                "{includes}, but `{name}` is not an optional dependency; a non-optional dependency of the same name is \
                 defined, consider adding `optional = true` to its definition"
            ),
        }),
        FeatureValue::Dependency(name) => match declared.get(&name) {
            Some(true) => None,
            None => Some(format!("{includes}, but `{name}` is not listed as a dependency")),
            Some(false) => Some(format!(
                "{includes}, but `{name}` is not an optional dependency; a non-optional dependency of the same name is \
                 defined, consider adding `optional = true` to its definition"
            )),
        },
        FeatureValue::DependencyFeature { dependency, feature: wanted, weak } => {
            if wanted.contains('/') {
                return Some(format!(
                    "multiple slashes in feature `{text}` (included by feature `{feature}`) are not allowed"
                ));
            }
            if let Some(name) = dependency.strip_prefix("dep:") {
                return Some(format!(
                    "{includes} with both `dep:` and `/`; use the two values \"dep:{name}\", \"{name}/{wanted}\""
                ));
            }
            match declared.get(&dependency) {
                None => Some(format!("{includes}, but `{dependency}` is not a dependency")),
                Some(false) if weak => Some(format!(
                    "{includes} with a `?`, but `{dependency}` is not an optional dependency; remove the `?` or make the \
                     dependency optional"
                )),
                Some(_) => None,
            }
        }
    }
}

/// An optional dependency whose name is taken by an unrelated feature could never be switched on.
fn check_reachable(
    features: &Features,
    declared: &BTreeMap<Symbol, bool>,
    manifest: &Manifest,
    findings: &mut Vec<Diagnostic>,
) {
    let used: BTreeSet<Symbol> = features
        .values()
        .flatten()
        .filter_map(|value| match value {
            FeatureValue::Dependency(name) | FeatureValue::DependencyFeature { dependency: name, .. } => Some(*name),
            _ => None,
        })
        .collect();
    for (&name, _) in declared.iter().filter(|(name, optional)| **optional && !used.contains(*name)) {
        let message = format!(
            "optional dependency `{name}` is not included in any feature; make sure that `dep:{name}` is included in one \
             of the features in the [features] table"
        );
        findings.push(manifest.error("unreachable-dependency", message, span_of(manifest, name)));
    }
}

fn span_of(manifest: &Manifest, name: Symbol) -> Range<usize> {
    let entry = manifest.dependencies.iter().find(|entry| *entry.name.get_ref() == *name);
    entry.map_or(0..0, |entry| entry.span.clone())
}
