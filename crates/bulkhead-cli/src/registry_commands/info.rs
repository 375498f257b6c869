//! How `info` shows a package.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_ops::info::Info;
use bulkhead_schema::ids::CRATES_IO_DOMAIN;
use bulkhead_schema::{DependencyKind, FeatureValue, Summary, Symbol};

use crate::escape::{escaped, escaped_line};
use crate::shell::{DIM, REMARK, STATUS, Shell, WARNING};

/// Most features that are listed without `-v`.
const MOST_FEATURES: usize = 30;

/// How far a feature or dependency is on when nobody asks for any, in the order in which they are shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// By itself: the feature `default`, and dependencies that are not optional.
    On,
    /// Because the feature `default` leads to it.
    Reached,
    /// Off.
    Off,
}

/// The lines.
pub(super) fn lines(info: &Info, verbose: bool, shell: &Shell) -> String {
    let package = &info.package;
    let mut text = shell.paint_result(STATUS, package.id.name().as_str());
    if !package.details.keywords.is_empty() {
        let keywords: Vec<String> = package.details.keywords.iter().map(|word| format!("#{word}")).collect();
        text.push_str(&format!(" {}", shell.paint_result(REMARK, &keywords.join(" "))));
    }
    text.push('\n');
    if let Some(description) = &package.details.description {
        text.push_str(&format!("{}\n", escaped(description.trim_end())));
    }
    let mut field = |name: &str, value: String| {
        text.push_str(&format!("{} {value}\n", shell.paint_result(STATUS, &format!("{name}:"))));
    };
    field("version", version(info, shell));
    let known = |value: Option<&str>| match value {
        Some(value) => escaped_line(value).into_owned(),
        None => shell.paint_result(WARNING, "unknown"),
    };
    let details = &package.details;
    field("license", known(details.license.as_deref()));
    field("rust-version", known(details.rust_version.as_deref()));
    let (name, number, public) = (package.id.name(), package.id.version(), package.id.source().is_crates_io());
    let documented = details.documentation.clone();
    let documentation = documented.or_else(|| public.then(|| format!("https://docs.rs/{name}/{number}")));
    let page = public.then(|| format!("https://{CRATES_IO_DOMAIN}/crates/{name}/{number}"));
    for (name, value) in [
        ("documentation", documentation),
        ("homepage", details.homepage.clone()),
        ("repository", details.repository.clone()),
        (CRATES_IO_DOMAIN, page),
    ] {
        if let Some(value) = value {
            field(name, escaped_line(&value).into_owned());
        }
    }
    features(&mut text, info, verbose, shell);
    if verbose {
        dependencies(&mut text, "dependencies", DependencyKind::Normal, &package.summary, shell);
        dependencies(&mut text, "build-dependencies", DependencyKind::Build, &package.summary, shell);
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

fn version(info: &Info, shell: &Shell) -> String {
    let id = info.package.id;
    let from = match &info.folder {
        Some(folder) => Some(format!("from {folder}")),
        None if id.source().is_crates_io() => None,
        None => Some(format!("from registry `{}`", id.source().registry_name())),
    };
    let number = id.version().to_string();
    match (&info.latest, from) {
        (None, None) => number,
        (None, Some(from)) => format!("{number} {}", shell.paint_result(REMARK, &format!("({from})"))),
        (Some(latest), None) => format!("{number} {}", shell.paint_result(WARNING, &format!("(latest {latest})"))),
        (Some(latest), Some(from)) => format!(
            "{number} {}{}{}",
            shell.paint_result(WARNING, &format!("(latest {latest} ")),
            shell.paint_result(REMARK, &from),
            shell.paint_result(WARNING, ")")
        ),
    }
}

fn features(text: &mut String, info: &Info, verbose: bool, shell: &Shell) {
    let summary = &info.package.summary;
    let (reached, _) = reached(summary);
    let state = |name: Symbol| match (name.as_str() == "default", reached.contains(&name)) {
        (true, _) => State::On,
        (false, true) => State::Reached,
        (false, false) => State::Off,
    };
    let listed = &info.package.details.features;
    let mut sorted: Vec<(State, Symbol, &Vec<String>)> =
        listed.iter().map(|(name, values)| (state(*name), *name, values)).collect();
    sorted.sort_by_key(|(state, name, _)| (*state, name.as_str()));
    if sorted.is_empty() {
        return;
    }
    text.push_str(&format!("{}\n", shell.paint_result(STATUS, "features:")));
    let margin = sorted.iter().map(|(_, name, _)| name.as_str().chars().count()).max().unwrap_or(0);
    let on = sorted.iter().filter(|(state, ..)| *state != State::Off).count();
    let (all_on, all_off) = (verbose || on <= MOST_FEATURES, verbose || sorted.len() <= MOST_FEATURES);
    if !all_on {
        text.push_str(&format!("  {on} activated features\n"));
    }
    for (state, name, values) in &sorted {
        if if *state == State::Off { all_off } else { all_on } {
            let name = format!("{:<margin$}", name.as_str());
            let values: Vec<String> = values.iter().map(|value| dimmed(*state, value, shell)).collect();
            let line = format!("{}{} = [{}]\n", sign(*state, shell), dimmed(*state, &name, shell), values.join(", "));
            text.push_str(&line);
        }
    }
    if !all_off {
        text.push_str(&format!("  {} deactivated features\n", sorted.len() - on));
    }
}

fn dependencies(text: &mut String, title: &str, kind: DependencyKind, summary: &Summary, shell: &Shell) {
    let (_, reached) = reached(summary);
    let mut lines = BTreeSet::new();
    for dependency in summary.dependencies.iter().filter(|dependency| dependency.kind == kind) {
        let state = match (dependency.optional, reached.contains(&dependency.name_in_manifest())) {
            (false, _) => State::On,
            (true, true) => State::Reached,
            (true, false) => State::Off,
        };
        let requirement = dependency.requirement.to_string();
        let requirement = requirement.strip_prefix('^').unwrap_or(&requirement);
        lines.insert((state, format!("{}@{requirement}", dependency.package)));
    }
    if !lines.is_empty() {
        text.push_str(&format!("{}\n", shell.paint_result(STATUS, &format!("{title}:"))));
    }
    for (state, line) in lines {
        text.push_str(&format!("{}{}\n", sign(state, shell), dimmed(state, &line, shell)));
    }
}

fn sign(state: State, shell: &Shell) -> String {
    match state {
        State::On => format!(" {}", shell.paint_result(STATUS, "+")),
        State::Reached | State::Off => "  ".to_owned(),
    }
}

fn dimmed(state: State, text: &str, shell: &Shell) -> String {
    match state {
        State::Off => shell.paint_result(DIM, text),
        State::On | State::Reached => escaped_line(text).into_owned(),
    }
}

/// The features and optional dependencies to which the feature `default` leads.
fn reached(summary: &Summary) -> (BTreeSet<Symbol>, BTreeSet<Symbol>) {
    let features: BTreeMap<Symbol, _> = summary.features.iter().map(|(name, values)| (*name, values)).collect();
    let (mut reached, mut dependencies) = (BTreeSet::new(), BTreeSet::new());
    let mut waiting = vec![Symbol::new("default")];
    while let Some(name) = waiting.pop() {
        let Some(values) = features.get(&name) else { continue };
        if !reached.insert(name) {
            continue;
        }
        for value in *values {
            match value {
                FeatureValue::Feature(other) => waiting.push(*other),
                FeatureValue::Dependency(name) => drop(dependencies.insert(*name)),
                FeatureValue::DependencyFeature { dependency, weak: false, .. } => {
                    dependencies.insert(*dependency);
                }
                FeatureValue::DependencyFeature { .. } => {}
            }
        }
    }
    (reached, dependencies)
}
