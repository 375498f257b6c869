//! What the command line's feature flags mean for each member.

use std::collections::BTreeSet;
use std::sync::Arc;

use bulkhead_schema::{FeatureValue, PackageId, Summary, Symbol};

use crate::nearest::nearest;
use crate::{MemberFeatures, ResolveError, ResolveErrorKind};

/// What `--features`, `--all-features` and `--no-default-features` mean for each selected member.
///
/// A plain name goes to each selected member that has such a feature; `name/feature` to the members that have a
/// dependency `name`, or to the member of that name. `features` may hold several names, separated by commas or spaces.
///
/// # Errors
/// A feature that no selected member has; near names are suggested. A value with `dep:`, which is not for the command
/// line.
pub fn requested(
    selected: &[Arc<Summary>],
    features: &[String],
    all_features: bool,
    no_default_features: bool,
) -> Result<Vec<(PackageId, MemberFeatures)>, ResolveError> {
    let wanted: BTreeSet<FeatureValue> = features
        .iter()
        .flat_map(|text| text.split([',', ' ', '\t', '\n']))
        .filter(|name| !name.is_empty())
        .map(FeatureValue::parse)
        .collect();
    if let Some(value) = wanted.iter().find(|value| matches!(value, FeatureValue::Dependency(_))) {
        return Err(error(format!("feature `{value}` is not allowed to use explicit `dep:` syntax")));
    }
    let mut found = BTreeSet::new();
    let mut each = Vec::with_capacity(selected.len());
    for summary in selected {
        let mut own = BTreeSet::new();
        for &value in &wanted {
            if let Some(meant) = meant_for(summary, value) {
                found.insert(value);
                own.insert(meant);
            }
        }
        each.push((summary.id, MemberFeatures { features: own, all: all_features, default: !no_default_features }));
    }
    let missing: Vec<FeatureValue> = wanted.difference(&found).copied().collect();
    // With `--all-features`, Cargo does not look at the names.
    if missing.is_empty() || all_features { Ok(each) } else { Err(unknown(selected, &missing)) }
}

/// What `value` means for this member, if it means it.
fn meant_for(summary: &Summary, value: FeatureValue) -> Option<FeatureValue> {
    match value {
        FeatureValue::Feature(feature) => summary.features.contains_key(&feature).then_some(value),
        FeatureValue::Dependency(_) => None,
        FeatureValue::DependencyFeature { dependency, feature, .. } => {
            if summary.dependencies.iter().any(|it| it.name_in_manifest() == dependency) {
                return Some(value);
            }
            let own = dependency == summary.id.name().symbol() && summary.features.contains_key(&feature);
            own.then_some(FeatureValue::Feature(feature))
        }
    }
}

fn unknown(selected: &[Arc<Summary>], missing: &[FeatureValue]) -> ResolveError {
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let (these, names) = (if missing.len() == 1 { "this feature" } else { "these features" }, names.join(", "));
    let mut error = match selected {
        [only] => error(format!("the package '{}' does not contain {these}: {names}", only.id.name())),
        several => {
            let message = format!("none of the selected packages contains {these}: {names}");
            let packages: Vec<&str> = several.iter().map(|summary| summary.id.name().as_str()).collect();
            let because = vec![format!("selected packages: {}", packages.join(", "))];
            ResolveError { because, ..error(message) }
        }
    };
    let known: BTreeSet<Symbol> = selected.iter().flat_map(|summary| summary.features.keys().copied()).collect();
    for value in missing {
        let (name, of) = match value {
            FeatureValue::Feature(name) | FeatureValue::Dependency(name) => (*name, known.clone()),
            FeatureValue::DependencyFeature { dependency, .. } => (*dependency, dependencies(selected)),
        };
        error.help.extend(suggestion(&name, of.into_iter()));
    }
    error
}

fn dependencies(selected: &[Arc<Summary>]) -> BTreeSet<Symbol> {
    selected.iter().flat_map(|summary| summary.dependencies.iter().map(|it| it.name_in_manifest())).collect()
}

/// `There is a feature with a similar name`, if there is one.
pub(super) fn suggestion(wanted: &str, known: impl Iterator<Item = Symbol>) -> Option<String> {
    let known: Vec<&'static str> = known.map(Symbol::as_str).collect();
    nearest(wanted, known).map(|name| format!("A similar name exists: `{name}`."))
}

fn error(message: String) -> ResolveError {
    ResolveError {
        kind: ResolveErrorKind::MissingFeature,
        message,
        because: Vec::new(),
        help: Vec::new(),
        local: Vec::new(),
    }
}
