//! Status lines that several commands share.

use bulkhead_resolver::lock::{Change, PackageChange};

use crate::Event;
use crate::lock::Locked;

/// Tells what a resolution changed in the lockfile, as `cargo` does, if it changed at all.
pub fn report_changes(locked: &Locked<'_>, events: &dyn Fn(Event)) {
    if locked.changed {
        report_update(locked, events);
    }
}

/// The same for commands that were asked to change it, which say so even if there was nothing to do.
pub fn report_update(locked: &Locked<'_>, events: &dyn Fn(Event)) {
    let count = locked.changes.locked;
    if count > 0 || !locked.changed {
        let plural = if count == 1 { "" } else { "s" };
        let rust = locked.rust_version.as_ref().map(|version| format!("Rust {version} ")).unwrap_or_default();
        let message = format!("{count} package{plural} to latest {rust}compatible version{plural}");
        events(Event::Status { verb: "Locking", message });
    }
    for change in &locked.changes.packages {
        report(change, events);
    }
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
