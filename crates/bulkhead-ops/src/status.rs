//! Status lines that several commands share.

use bulkhead_resolver::lock::{Change, PackageChange};
use bulkhead_schema::policy::Reaction;
use bulkhead_schema::publish_age::describe;
use bulkhead_schema::{Diagnostic, PackageId, PackageName, PackageSpec};

use crate::lock::Locked;
use crate::project::Project;
use crate::{Event, sources, specs, withdrawn};

/// Tells what a resolution changed in the lockfile, as `cargo` does, if it changed at all.
pub fn report_changes(locked: &Locked<'_>, events: &dyn Fn(Event)) {
    if locked.changed {
        report_new(locked, events);
    }
}

/// Names packages that only the lockfile keeps: their authors have withdrawn them since (attack 48). The lockfile of what is
/// `fetched` to be installed is not the user's to change.
pub fn warn_of_yanked(project: &Project, locked: &Locked<'_>, fetched: bool, events: &dyn Fn(Event)) {
    let Some(previous) = &locked.previous else { return };
    if project.policy.withdrawn.yanked == Some(Reaction::Allow) {
        return;
    }
    let kept = locked.resolve.nodes.keys().filter(|id| previous.packages.contains_key(id));
    for &id in kept.filter(|id| withdrawn::is_yanked(&locked.sources, **id)) {
        let told = |message| Diagnostic::warning("yanked-locked", message);
        let place = sources::name_of(id.source());
        let advice = "consider running without --locked";
        events(Event::Diagnostic(match fetched {
            true => told(format!("package `{id}` in Cargo.lock is yanked in {place}, {advice}")),
            false => told(withdrawn::yanked_message(id)).help(withdrawn::yanked_advice(id)),
        }));
    }
}

/// Names settings of profiles for packages that are not there.
pub fn warn_of_unmatched_profiles(project: &Project, locked: &Locked<'_>, events: &dyn Fn(Event)) {
    let packages = || locked.resolve.nodes.keys().copied();
    for (profile, text) in project.workspace.profiles.package_specs().filter(|(_, spec)| *spec != "*") {
        let Ok(spec) = PackageSpec::parse(text) else { continue };
        if packages().any(|id| spec.matches(id)) {
            continue;
        }
        let subject = format!("profile package spec `{text}` in profile `{profile}`");
        let named: Vec<_> = packages().filter(|id| Some(id.name()) == spec.name()).map(|id| id.to_string()).collect();
        let warning = if named.is_empty() {
            let warning = Diagnostic::warning("profile-spec", format!("{subject} did not match any packages"));
            let name = spec.name().map_or_else(|| text.to_owned(), |name| name.to_string());
            specs::nearest(&name, packages()).into_iter().fold(warning, |warning, advice| warning.help(advice))
        } else {
            let others = named.join(", ");
            let message = format!("{subject} has a version or URL that does not match any of the packages: {others}");
            Diagnostic::warning("profile-spec", message)
        };
        events(Event::Diagnostic(warning));
    }
}

/// The same for a lockfile that is made anew, even if it says what it said before. What fell out of use or stayed behind
/// is not worth a line unless an update was asked for.
pub fn report_new(locked: &Locked<'_>, events: &dyn Fn(Event)) {
    if locked.changes.locked > 0 {
        locking(locked, events);
    }
    let told = |it: &&PackageChange| !matches!(it.change, Change::Removed(_) | Change::Unchanged(_));
    locked.changes.packages.iter().filter(told).for_each(|change| report(change, events));
}

/// The same for `update`, which says so even if there was nothing to do, and what stays behind. `precise` is the package
/// of which the user named the version: nothing is said about others of it.
pub fn report_update(locked: &Locked<'_>, precise: Option<PackageName>, verbose: bool, events: &dyn Fn(Event)) {
    if precise.is_none() {
        locking(locked, events);
    }
    let mut behind = 0;
    for change in &locked.changes.packages {
        let (id, unchanged) = (change.id(), matches!(change.change, Change::Unchanged(_)));
        match unchanged {
            true if precise == Some(id.name()) => {}
            true => {
                behind += 1;
                if verbose {
                    report(change, events);
                }
            }
            false if precise == Some(id.name()) && change.available.is_some() => {
                report(&PackageChange { available: None, requires_rust: None, youth: None, ..change.clone() }, events);
            }
            false => report(change, events),
        }
    }
    if verbose {
        events(Event::Note("to see how you depend on a package, run `cargo tree --invert <dep>@<ver>`".to_owned()));
    } else if behind > 0 {
        events(Event::Note(format!("pass `--verbose` to see {behind} unchanged dependencies behind latest")));
    }
}

fn locking(locked: &Locked<'_>, events: &dyn Fn(Event)) {
    let count = locked.changes.locked;
    let plural = if count == 1 { "" } else { "s" };
    let rust = locked.rust_version.as_ref().map(|version| format!("Rust {version} ")).unwrap_or_default();
    let age = locked.age.as_ref().filter(|age| age.minimum > 0);
    let age = age.map(|age| format!(" at least {} old", describe(age.minimum))).unwrap_or_default();
    let message = format!("{count} package{plural} to latest {rust}compatible version{plural}{age}");
    events(Event::Status { verb: "Locking", message });
}

fn report(change: &PackageChange, events: &dyn Fn(Event)) {
    let (verb, what) = match change.change {
        Change::Added(id) => ("Adding", id.to_string()),
        Change::Removed(id) => ("Removing", id.to_string()),
        Change::Updated(old, new) => ("Updating", format!("{old} -> {}", told_apart(new))),
        Change::Downgraded(old, new) => ("Downgrading", format!("{old} -> {}", told_apart(new))),
        Change::Unchanged(id) => ("Unchanged", id.to_string()),
    };
    events(Event::Status { verb, message: format!("{what}{}", change.note()) });
}

/// What tells a new package from the one before: its version, or the commit of a git package.
fn told_apart(id: PackageId) -> String {
    match id.source().commit() {
        Some(commit) => format!("#{}", commit.to_string().get(..8).unwrap_or_default()),
        None => format!("v{}", id.version()),
    }
}
