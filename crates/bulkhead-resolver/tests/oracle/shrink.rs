//! Makes a registry on which something goes wrong as small as it can be: it takes away one thing after another, as long as it
//! still goes wrong.

use bulkhead_test_support::{GeneratedRegistry, GeneratedVersion};

/// The smallest registry that can be reached from `generated` by taking things away, such that `wrong` holds for every one on
/// the way. Nothing more can be taken from it. `wrong` has to hold for `generated` itself.
pub(crate) fn shrink(generated: &GeneratedRegistry, wrong: &dyn Fn(&GeneratedRegistry) -> bool) -> GeneratedRegistry {
    let mut smallest = generated.clone();
    // Each step takes something away, so that there is an end.
    while let Some(smaller) = smaller(&smallest).into_iter().find(|candidate| wrong(candidate)) {
        smallest = smaller;
    }
    smallest
}

/// What comes of taking away one thing, the largest things first.
fn smaller(from: &GeneratedRegistry) -> Vec<GeneratedRegistry> {
    let mut found = Vec::new();
    let names: std::collections::BTreeSet<&str> = from.published.iter().map(|it| it.name.as_str()).collect();
    for name in names {
        found.push(with(from, |it| it.published.retain(|version| version.name != name)));
    }
    if from.members.len() > 1 {
        found.extend((0..from.members.len()).map(|place| with(from, |it| drop(it.members.remove(place)))));
    }
    found.extend((0..from.published.len()).map(|place| with(from, |it| drop(it.published.remove(place)))));
    for place in 0..from.published.len() + from.members.len() {
        for version in smaller_versions(at(from, place)) {
            found.push(with(from, |it| *at_mut(it, place) = version));
        }
    }
    found
}

/// The version without one of its dependencies, features, values or traits.
fn smaller_versions(from: &GeneratedVersion) -> Vec<GeneratedVersion> {
    let mut found = Vec::new();
    for (place, dependency) in from.dependencies.iter().enumerate() {
        found.push(with(from, |it| {
            let gone = it.dependencies.remove(place);
            forget(it, gone.name());
        }));
        if dependency.optional {
            found.push(with(from, |it| {
                // A name stands for the same in every table.
                let same = it.dependencies.iter_mut().filter(|other| other.name() == dependency.name());
                same.for_each(|other| other.optional = false);
                forget_optional(it, dependency.name());
            }));
        }
        let plain = with(dependency, |it| it.features.clear());
        if plain.features != dependency.features {
            found.push(with(from, |it| it.dependencies[place] = plain));
        }
        if dependency.requirement != "*" {
            found.push(with(from, |it| "*".clone_into(&mut it.dependencies[place].requirement)));
        }
    }
    for (name, values) in &from.features {
        // Nobody else in the table may speak of it.
        if !from.features.values().flatten().any(|value| value == name) {
            found.push(with(from, |it| drop(it.features.remove(name))));
        }
        for place in 0..values.len() {
            found.push(with(from, |it| drop(it.features.get_mut(name).map(|values| values.remove(place)))));
        }
    }
    if from.yanked {
        found.push(with(from, |it| it.yanked = false));
    }
    if from.links.is_some() {
        found.push(with(from, |it| it.links = None));
    }
    found
}

/// Takes everything out of the feature table that speaks of a dependency that is no longer there.
fn forget(version: &mut GeneratedVersion, dependency: &str) {
    if version.dependencies.iter().any(|it| it.name() == dependency) {
        return;
    }
    forget_optional(version, dependency);
    let speaks = |value: &str| value.split_once('/').is_some_and(|(name, _)| name.trim_end_matches('?') == dependency);
    version.features.values_mut().for_each(|values| values.retain(|value| !speaks(value)));
}

/// Takes out what only an optional dependency can have said of it: its name, `dep:` and `?`.
fn forget_optional(version: &mut GeneratedVersion, dependency: &str) {
    let is_feature = version.features.contains_key(dependency);
    let speaks = |value: &str| {
        value.strip_prefix("dep:") == Some(dependency)
            || (value == dependency && !is_feature)
            || value.split_once("?/").is_some_and(|(name, _)| name == dependency)
    };
    version.features.values_mut().for_each(|values| values.retain(|value| !speaks(value)));
}

fn at(registry: &GeneratedRegistry, place: usize) -> &GeneratedVersion {
    registry.published.get(place).unwrap_or_else(|| &registry.members[place - registry.published.len()])
}

fn at_mut(registry: &mut GeneratedRegistry, place: usize) -> &mut GeneratedVersion {
    let published = registry.published.len();
    match place < published {
        true => &mut registry.published[place],
        false => &mut registry.members[place - published],
    }
}

fn with<T: Clone>(value: &T, change: impl FnOnce(&mut T)) -> T {
    let mut changed = value.clone();
    change(&mut changed);
    changed
}
