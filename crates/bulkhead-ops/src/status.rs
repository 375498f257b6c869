//! Status lines that several commands share.

use bulkhead_resolver::lock::{Change, PackageChange};

use crate::Event;
use crate::lock::Locked;

/// Tells what a resolution changed in the lockfile, as `cargo` does, if it changed at all. What fell out of use is not
/// worth a line unless an update was asked for.
pub fn report_changes(locked: &Locked<'_>, events: &dyn Fn(Event)) {
    if locked.changed {
        if locked.changes.locked > 0 {
            locking(locked, events);
        }
        let changes = locked.changes.packages.iter();
        changes.filter(|change| !matches!(change.change, Change::Removed(_))).for_each(|change| report(change, events));
    }
}

/// The same for `update`, which says so even if there was nothing to do, and what stays behind. With `--precise` there
/// is nothing to say about latest versions.
pub fn report_update(locked: &Locked<'_>, precise: bool, verbose: bool, events: &dyn Fn(Event)) {
    if !precise {
        locking(locked, events);
    }
    for change in &locked.changes.packages {
        // Who names a version knows that there are others.
        let (available, requires_rust) =
            if precise { (None, None) } else { (change.available.clone(), change.requires_rust.clone()) };
        report(&PackageChange { available, requires_rust, ..change.clone() }, events);
    }
    let behind = &locked.changes.behind;
    if behind.is_empty() {
        return;
    }
    if verbose {
        behind.iter().for_each(|change| report(change, events));
        events(Event::Note("to see how you depend on a package, run `cargo tree --invert <dep>@<ver>`".to_owned()));
    } else {
        let message = format!("pass `--verbose` to see {} unchanged dependencies behind latest", behind.len());
        events(Event::Note(message));
    }
}

fn locking(locked: &Locked<'_>, events: &dyn Fn(Event)) {
    let count = locked.changes.locked;
    let plural = if count == 1 { "" } else { "s" };
    let rust = locked.rust_version.as_ref().map(|version| format!("Rust {version} ")).unwrap_or_default();
    let message = format!("{count} package{plural} to latest {rust}compatible version{plural}");
    events(Event::Status { verb: "Locking", message });
}

fn report(change: &PackageChange, events: &dyn Fn(Event)) {
    let (verb, what) = match change.change {
        Change::Added(id) => ("Adding", id.to_string()),
        Change::Removed(id) => ("Removing", id.to_string()),
        Change::Updated(old, new) => ("Updating", format!("{old} -> v{}", new.version())),
        Change::Downgraded(old, new) => ("Downgrading", format!("{old} -> v{}", new.version())),
        Change::Unchanged(id) => ("Unchanged", id.to_string()),
    };
    events(Event::Status { verb, message: format!("{what}{}", change.note()) });
}
