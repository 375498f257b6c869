//! Whether a graph is a solution, looked at by itself.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_resolver::{Node, Resolve};
use bulkhead_schema::PackageId;
use bulkhead_test_support::{GeneratedDependency, GeneratedRegistry, GeneratedVersion};

use super::sat::{fitting, range, table};

/// Everything that is wrong with `resolve`.
pub(crate) fn faults(generated: &GeneratedRegistry, resolve: &Resolve) -> Vec<String> {
    let mut faults = Vec::new();
    let all: Vec<&GeneratedVersion> = generated.published.iter().chain(&generated.members).collect();
    let by_id = |id: PackageId| {
        let same = |it: &&&GeneratedVersion| it.name == id.name().as_str() && it.version == id.version().to_string();
        all.iter().find(same).copied().expect("a version that exists")
    };
    unique(resolve, &by_id, &mut faults);
    let features = features(generated, resolve, &by_id);
    // A dependency that is asked for again, with more features, may lead to a second package that has them. Cargo does
    // the same; which features belong to which of the two cannot be told from the graph alone.
    let doubled = resolve
        .nodes
        .iter()
        .any(|(&id, node)| by_id(id).dependencies.iter().any(|dependency| leads_to(node, dependency).len() > 1));
    for (&id, node) in &resolve.nodes {
        let version = by_id(id);
        if version.yanked {
            faults.push(format!("{id} was yanked"));
        }
        let wanted = &features[&id];
        if !doubled && node.features.iter().map(ToString::to_string).collect::<BTreeSet<_>>() != *wanted {
            faults.push(format!("{id} has features {:?} instead of {wanted:?}", node.features));
        }
        let missing = wanted.iter().find(|feature| !table(version).contains_key(*feature));
        if let Some(missing) = missing.filter(|_| !doubled) {
            faults.push(format!("{id} is asked for `{missing}`"));
        }
        let count: usize = node.dependencies.iter().map(|it| it.declared.len()).sum();
        let needed = needed(version, wanted, id.source().is_path());
        if !doubled && count != needed.len() {
            faults.push(format!("{id} has {count} dependencies instead of {}", needed.len()));
        }
        for dependency in needed {
            let leads = leads_to(node, dependency);
            let fitting = fitting(&all, generated.published.len(), dependency);
            let fits = |to: &PackageId| fitting.iter().any(|&place| std::ptr::eq(all[place], by_id(*to)));
            if leads.is_empty() || !leads.iter().all(|to| fits(to) && resolve.nodes.contains_key(to)) {
                faults.push(format!("{id} needs {dependency:?}, which leads to {leads:?}"));
            }
        }
    }
    reachable(resolve, &mut faults);
    faults
}

fn unique<'a>(resolve: &Resolve, by_id: &dyn Fn(PackageId) -> &'a GeneratedVersion, faults: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for &id in resolve.nodes.keys() {
        let version = by_id(id);
        let range = (version.name.clone(), range(&version.version));
        let links = version.links.as_ref().map(|links| ("links".to_owned(), links.clone()));
        for claim in [Some(range), links].into_iter().flatten() {
            if !seen.insert(claim.clone()) {
                faults.push(format!("{id} is the second for {claim:?}"));
            }
        }
    }
}

/// What a version needs in the graph, given its features.
fn needed<'a>(
    version: &'a GeneratedVersion,
    features: &BTreeSet<String>,
    member: bool,
) -> Vec<&'a GeneratedDependency> {
    let table = table(version);
    let values = features.iter().filter_map(|feature| table.get(feature)).flatten();
    let on: BTreeSet<&str> = values
        .filter_map(|value| match value.split_once('/') {
            Some((name, _)) => Some(name.trim_end_matches('?')),
            None => value.strip_prefix("dep:"),
        })
        .collect();
    let wanted = |it: &&GeneratedDependency| (it.kind != "dev" || member) && (!it.optional || on.contains(it.name()));
    version.dependencies.iter().filter(wanted).collect()
}

fn leads_to(node: &Node, dependency: &GeneratedDependency) -> Vec<PackageId> {
    let same = |declared: &bulkhead_schema::Dependency| {
        let kind = match declared.kind {
            bulkhead_schema::DependencyKind::Normal => "normal",
            bulkhead_schema::DependencyKind::Build => "build",
            bulkhead_schema::DependencyKind::Development => "dev",
        };
        kind == dependency.kind && declared.name_in_manifest().as_str() == dependency.name()
    };
    node.dependencies.iter().filter(|it| it.declared.iter().any(same)).map(|it| it.id).collect()
}

/// The features that each package of the graph has to have, and no more: everything that the members' own features and
/// the dependencies among the packages switch on.
fn features<'a>(
    generated: &GeneratedRegistry,
    resolve: &Resolve,
    by_id: &dyn Fn(PackageId) -> &'a GeneratedVersion,
) -> BTreeMap<PackageId, BTreeSet<String>> {
    let mut features: BTreeMap<PackageId, BTreeSet<String>> =
        resolve.nodes.keys().map(|&id| (id, BTreeSet::new())).collect();
    for id in resolve.nodes.keys().filter(|id| id.source().is_path()) {
        let member = generated.members.iter().find(|it| it.name == id.name().as_str()).expect("a member");
        features.insert(*id, table(member).into_keys().collect());
    }
    loop {
        let before: usize = features.values().map(BTreeSet::len).sum();
        for (&id, node) in &resolve.nodes {
            let version = by_id(id);
            let table = table(version);
            let own = features[&id].clone();
            for value in own.iter().filter_map(|feature| table.get(feature)).flatten() {
                match value.split_once('/') {
                    Some((name, feature)) => {
                        let optional = version.dependencies.iter().any(|it| it.optional && it.name() == name);
                        if optional && table.contains_key(name) {
                            features.entry(id).or_default().insert(name.to_owned());
                        }
                        let name = name.trim_end_matches('?');
                        let named = needed(version, &own, id.source().is_path());
                        for to in named.iter().filter(|it| it.name() == name).flat_map(|it| leads_to(node, it)) {
                            features.entry(to).or_default().insert(feature.to_owned());
                        }
                    }
                    None if value.starts_with("dep:") => {}
                    None => drop(features.entry(id).or_default().insert(value.clone())),
                }
            }
            for dependency in needed(version, &own, id.source().is_path()) {
                for to in leads_to(node, dependency) {
                    let default = dependency.default_features && by_id(to).features.contains_key("default");
                    let asked = features.entry(to).or_default();
                    asked.extend(dependency.features.iter().cloned());
                    asked.extend(default.then(|| "default".to_owned()));
                }
            }
        }
        if features.values().map(BTreeSet::len).sum::<usize>() == before {
            return features;
        }
    }
}

fn reachable(resolve: &Resolve, faults: &mut Vec<String>) {
    let mut waiting: Vec<PackageId> = resolve.nodes.keys().copied().filter(|id| id.source().is_path()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            waiting.extend(resolve.nodes[&id].dependencies.iter().map(|it| it.id));
        }
    }
    faults.extend(resolve.nodes.keys().filter(|id| !seen.contains(*id)).map(|id| format!("nobody needs {id}")));
}
