//! Which members of the workspace a command is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use bulkhead_schema::edit_distance::distance;
use bulkhead_schema::{PackageId, PackageSpec};
use bulkhead_workspace::{Package, Workspace};

use crate::error::Result;
use crate::options::PackageOptions;
use crate::{Error, Event};

/// The selected members, in workspace order.
///
/// # Errors
/// A specification that matches no member, and `--exclude` without `--workspace`.
pub fn members(workspace: &Workspace, options: &PackageOptions, events: &dyn Fn(Event)) -> Result<Vec<Arc<Package>>> {
    if !options.exclude.is_empty() && !options.workspace {
        return Err(Error::failure("--exclude can only be used together with --workspace"));
    }
    let wanted: BTreeSet<PackageId> = if options.workspace {
        excluded(workspace, &options.exclude, events)?
    } else if !options.packages.is_empty() {
        named(workspace, &options.packages)?
    } else {
        workspace.current.map_or_else(|| workspace.default_members.iter().copied().collect(), |id| BTreeSet::from([id]))
    };
    let selected: Vec<_> = workspace.members.iter().filter(|package| wanted.contains(&package.id)).cloned().collect();
    if selected.is_empty() {
        return Err(
            Error::failure("no packages were selected").help("the workspace has no members, or all are excluded")
        );
    }
    Ok(selected)
}

/// What the options name where `-p` may mean any package of the graph, and not only members.
pub struct Choice {
    /// The members whose features are on: those that were named, else all.
    pub members: Vec<Arc<Package>>,
    /// Whether these are what the command is about, too.
    pub is_about_members: bool,
    /// What names other packages, which are known once dependencies are resolved.
    pub others: Vec<String>,
}

/// As [`members`], but that a specification may mean no member.
///
/// # Errors
/// A pattern that matches no member, and `--exclude` without `--workspace`.
pub fn packages(workspace: &Workspace, options: &PackageOptions, events: &dyn Fn(Event)) -> Result<Choice> {
    let is_member = |spec: &String| matching(workspace, spec).is_ok_and(|found| !found.is_empty());
    let is_other = |spec: &String| !is_pattern(spec) && !is_member(spec);
    let (others, own): (Vec<String>, Vec<String>) = match options.workspace {
        true => (Vec::new(), options.packages.clone()),
        false => options.packages.iter().cloned().partition(is_other),
    };
    let is_about_members = others.is_empty() || !own.is_empty();
    let own = PackageOptions { packages: own, workspace: options.workspace || !is_about_members, ..options.clone() };
    Ok(Choice { members: members(workspace, &own, events)?, is_about_members, others })
}

fn excluded(workspace: &Workspace, exclude: &[String], events: &dyn Fn(Event)) -> Result<BTreeSet<PackageId>> {
    let mut ids: BTreeSet<PackageId> = workspace.members.iter().map(|package| package.id).collect();
    let (mut unknown, mut unknown_patterns) = (Vec::new(), Vec::new());
    for spec in exclude {
        let found = matching(workspace, spec)?;
        match found.is_empty() {
            true if is_pattern(spec) => unknown_patterns.push(format!("`{spec}`")),
            true => unknown.push(format!("`{spec}`")),
            false => ids.retain(|id| !found.contains(id)),
        }
    }
    for (what, specs) in [("package", unknown), ("package pattern", unknown_patterns)] {
        if !specs.is_empty() {
            let (specs, root) = (specs.join(", "), workspace.root.display());
            events(Event::Warning(format!("excluded {what}(s) {specs} not found in workspace `{root}`")));
        }
    }
    Ok(ids)
}

fn is_pattern(spec: &str) -> bool {
    spec.contains(['*', '?', '['])
}

fn named(workspace: &Workspace, specs: &[String]) -> Result<BTreeSet<PackageId>> {
    let (mut ids, mut unknown_patterns) = (BTreeSet::new(), Vec::new());
    for spec in specs {
        let found = matching(workspace, spec)?;
        match found.is_empty() {
            true if is_pattern(spec) => unknown_patterns.push(spec.as_str()),
            true => return Err(unknown(workspace, spec)),
            false => ids.extend(found),
        }
    }
    if unknown_patterns.is_empty() {
        return Ok(ids);
    }
    let (patterns, root) = (unknown_patterns.join(", "), workspace.root.display());
    Err(Error::failure(format!("package pattern(s) `{patterns}` not found in workspace `{root}`")))
}

/// Members that `spec`, a package id specification or a glob over names, means.
fn matching(workspace: &Workspace, spec: &str) -> Result<Vec<PackageId>> {
    let ids = workspace.members.iter().map(|package| package.id);
    if is_pattern(spec) {
        let glob = globset::Glob::new(spec)
            .map_err(|error| Error::failure(format!("cannot build glob pattern from `{spec}`")).because(error))?;
        let matcher = glob.compile_matcher();
        return Ok(ids.filter(|id| matcher.is_match(id.name().as_str())).collect());
    }
    let parsed = PackageSpec::parse(spec)
        .map_err(|error| Error::failure(format!("invalid package ID specification: `{spec}`")).because(error))?;
    Ok(ids.filter(|id| parsed.matches(*id)).collect())
}

fn unknown(workspace: &Workspace, spec: &str) -> Error {
    let names = workspace.members.iter().map(|package| package.id.name().as_str());
    let near = names.min_by_key(|name| distance(name, spec)).filter(|name| distance(name, spec) <= 3);
    let error = Error::failure(format!("package ID specification `{spec}` did not match any packages"));
    match near {
        Some(name) => error.help(format!("a package with a similar name exists: `{name}`")),
        None => error,
    }
}
