//! What `add` tells of a dependency before it writes it down.

use std::collections::BTreeSet;

use bulkhead_schema::edit_distance::distance;
use bulkhead_schema::{FeatureValue, Symbol};
use bulkhead_workspace::edit::{Place, Section};

use super::Addition;
use crate::error::Result;
use crate::{Error, Event};

/// Most features that are listed one by one.
const MAX_LISTED: usize = 30;

/// `Adding serde v1.0.200 to optional dependencies`. Every name that will be added passes here.
pub(super) fn dependency(addition: &Addition, section: &Section, events: &dyn Fn(Event)) {
    let from = match &addition.entry.place {
        Place::Registry { version } if version.starts_with(|c: char| c.is_ascii_digit()) => format!("v{version}"),
        Place::Registry { version } => version.clone(),
        Place::Path { .. } => "(local)".to_owned(),
        Place::Git { .. } => "(git)".to_owned(),
        Place::Workspace => "(workspace)".to_owned(),
    };
    let optional = if addition.entry.optional == Some(true) { "optional " } else { "" };
    let public = if addition.entry.public == Some(true) { "public " } else { "" };
    let message = format!("{} {from} to {optional}{public}{}", addition.name, section.described());
    events(Event::Status { verb: "Adding", message });
}

/// Which features will be on and which off.
///
/// # Errors
/// A feature that was asked for does not exist.
pub(super) fn features(addition: &Addition, quiet: bool, events: &dyn Fn(Event)) -> Result<()> {
    let (active, inactive) = split(addition);
    refuse_unknown(addition, &active, &inactive)?;
    if quiet || active.is_empty() && inactive.is_empty() {
        return Ok(());
    }
    let line = |text: String| events(Event::Text(format!("{:13}{text}", "")));
    match addition.lowest {
        true => line(format!("Features as of v{}:", addition.summary.id.version())),
        false => line("Features:".to_owned()),
    }
    if active.len() > MAX_LISTED {
        line(format!("{} activated features", active.len()));
    } else {
        active.iter().for_each(|feature| line(format!("+ {feature}")));
    }
    if active.len() + inactive.len() > MAX_LISTED {
        if !inactive.is_empty() {
            line(format!("{} deactivated features", inactive.len()));
        }
    } else {
        inactive.iter().for_each(|feature| line(format!("- {feature}")));
    }
    Ok(())
}

/// The features that are on, and those that are off; `default` is not worth a line.
fn split(addition: &Addition) -> (BTreeSet<Symbol>, BTreeSet<Symbol>) {
    let known = &addition.summary.features;
    let mut pending: Vec<Symbol> = asked(addition).map(Symbol::new).collect();
    if addition.entry.default_features != Some(false) {
        pending.push(Symbol::new("default"));
    }
    let mut active = BTreeSet::new();
    while let Some(feature) = pending.pop() {
        let Some(values) = known.get(&feature) else { continue };
        if active.insert(feature) {
            pending.extend(values.iter().filter_map(|value| match value {
                FeatureValue::Feature(other) => Some(*other),
                _ => None,
            }));
        }
    }
    let mut inactive: BTreeSet<Symbol> = known.keys().filter(|feature| !active.contains(*feature)).copied().collect();
    active.remove(&Symbol::new("default"));
    inactive.remove(&Symbol::new("default"));
    (active, inactive)
}

fn asked(addition: &Addition) -> impl Iterator<Item = &str> {
    let own = addition.entry.features.iter().flatten();
    own.chain(&addition.inherited_features).map(String::as_str)
}

fn refuse_unknown(addition: &Addition, active: &BTreeSet<Symbol>, inactive: &BTreeSet<Symbol>) -> Result<()> {
    let known = &addition.summary.features;
    let unknown: BTreeSet<&str> = asked(addition).filter(|name| !known.contains_key(&Symbol::new(name))).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let plural = if unknown.len() == 1 { "" } else { "s" };
    let name = &addition.name;
    let list: Vec<&str> = unknown.iter().copied().collect();
    let message = format!("unrecognized feature{plural} for crate {name}: {}", list.join(", "));
    if known.is_empty() {
        return Err(Error::failure(format!("{message}\n\nno features available for crate {name}")));
    }
    let nearest = |wanted: &&str| {
        let features = inactive.iter().chain(active).map(|feature| feature.as_str());
        features.min_by_key(|feature| distance(feature, wanted)).filter(|feature| distance(feature, wanted) <= 3)
    };
    let near: Vec<&str> = unknown.iter().filter_map(nearest).collect();
    if !near.is_empty() {
        let advice = near.iter().map(|near| format!("a feature with a similar name exists: `{near}`"));
        return Err(advice.fold(Error::failure(message), |error, advice| error.help(advice)));
    }
    let listed = [("disabled", inactive), ("enabled", active)].into_iter().filter(|(_, features)| !features.is_empty());
    let listed = listed.map(|(state, features)| match features.len() {
        0..=MAX_LISTED => {
            let names: Vec<&str> = features.iter().map(|feature| feature.as_str()).collect();
            format!("\n\n{state} features:\n    {}", names.join(", "))
        }
        count => format!("\n\n{count} {state} features available"),
    });
    Err(Error::failure(format!("{message}{}", listed.collect::<String>())))
}
