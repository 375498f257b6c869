//! Whether a unit is as a build would leave it, by Cargo's rules (Cargo Book, "Build Cache" and "Change Detection"):
//! times of files, variables, missing outputs, dependencies that were rebuilt.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

use bulkhead_unit_graph::Fingerprint;

use crate::content::{self, Source};
use crate::files::{self, Newest, Stamp};
use crate::place::Place;
use crate::record::{Held, Record, Remembered};

/// What the check finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Nothing to do.
    Fresh,
    /// It must be built, for the first time if there is no reason.
    Dirty(Option<Reason>),
}

/// Why a unit must be built again, in Cargo's words. Dependents are told which of the two it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Files changed, or a dependency's did.
    Files(String),
    /// Something else is asked for than before.
    Request(String),
}

impl Reason {
    /// For people.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Files(text) | Self::Request(text) => text,
        }
    }
}

/// What a unit depends on.
pub(crate) struct Dependency<'a> {
    /// For people.
    pub(crate) name: &'a str,
    /// How it is now.
    pub(crate) state: DependencyState,
}

/// How a dependency is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyState {
    /// Fresh, and left by this build of it.
    Built(u64),
    /// To be built again, because files changed.
    Stale,
    /// To be built again, because something else is asked for.
    Requested,
}

/// What the record of a unit is compared with.
pub(crate) struct Now<'a> {
    /// Where the unit is wanted.
    pub(crate) place: &'a Place,
    /// Whether the unit's process ran code that may have noted folders of the place without telling.
    pub(crate) may_name_place: bool,
    /// Whether what a build script left, by its digest, is as it was and names none of these folders.
    pub(crate) names_none: &'a dyn Fn(&str, &[PathBuf]) -> bool,
    /// What the package is granted, as text.
    pub(crate) grants: &'a str,
    /// The planner's fingerprint.
    pub(crate) fingerprint: &'a Fingerprint,
    /// In the order of the unit's dependencies.
    pub(crate) dependencies: &'a [Dependency<'a>],
    /// Whether it is the run of a build script.
    pub(crate) is_script: bool,
    /// The files that must be there.
    pub(crate) outputs: &'a [PathBuf],
    /// Set when one of them had to be read to be known again.
    pub(crate) was_read: &'a Cell<bool>,
    /// Where files of a package that cannot change lie; their times are not looked at.
    pub(crate) immutable: Option<&'a Path>,
    /// The value that a process of this unit would see.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The folder of the package.
    pub(crate) package_root: &'a Path,
    /// The files of the package.
    pub(crate) package_files: &'a dyn Fn() -> io::Result<Vec<PathBuf>>,
    /// To which paths are shortened in reasons.
    pub(crate) workspace_root: &'a Path,
}

/// Compares what is remembered with what is.
pub(crate) fn check(remembered: &Remembered, now: &Now<'_>) -> Freshness {
    let record = match remembered {
        Remembered::Nothing => return Freshness::Dirty(None),
        Remembered::Foreign => {
            let text = "what is known of the last build was not written by this installation".to_owned();
            return Freshness::Dirty(Some(Reason::Request(text)));
        }
        Remembered::Own(record) => record,
    };
    let reason = changed_surroundings(record, now)
        .or_else(|| changed_place(record, now))
        .or_else(|| changed_dependency(record, now))
        .or_else(|| changed_output(record, now).map(Reason::Files))
        .or_else(|| changed_variable(record, now).map(Reason::Request))
        .or_else(|| changed_source(record, now).map(Reason::Files));
    match reason {
        Some(reason) => Freshness::Dirty(Some(reason)),
        None => Freshness::Fresh,
    }
}

fn changed_surroundings(record: &Record, now: &Now<'_>) -> Option<Reason> {
    let text = if record.grants != now.grants {
        "what the package is granted changed".to_owned()
    } else if record.fingerprint != now.fingerprint.to_text() {
        format!("the {} changed", now.fingerprint.changed_part(&record.fingerprint).unwrap_or("fingerprint"))
    } else {
        return None;
    };
    Some(Reason::Request(text))
}

/// A unit that was moved is as it was, unless it may hold the names of folders that are elsewhere now.
fn changed_place(record: &Record, now: &Now<'_>) -> Option<Reason> {
    if !is_moved(record, now) || !now.may_name_place {
        return None;
    }
    let text = match &record.left {
        Some(left) if (now.names_none)(left, &record.place.left_for(now.place)) => return None,
        _ if now.is_script => "the workspace was moved, and what the build script left names its folders",
        _ => "the workspace was moved, and a macro may have noted where it was",
    };
    Some(Reason::Request(text.to_owned()))
}

fn is_moved(record: &Record, now: &Now<'_>) -> bool {
    record.place != *now.place
}

fn changed_dependency(record: &Record, now: &Now<'_>) -> Option<Reason> {
    let (before, after) = (record.dependencies.len(), now.dependencies.len());
    if before != after {
        return Some(Reason::Request(format!("number of dependencies changed ({before} => {after})")));
    }
    let mut pairs = record.dependencies.iter().zip(now.dependencies);
    let (_, Dependency { name, state }) = pairs.find(|(then, now)| DependencyState::Built(**then) != now.state)?;
    Some(match state {
        DependencyState::Requested => Reason::Request(format!("info of dependency `{name}` changed")),
        _ => Reason::Files(format!("the dependency `{name}` was rebuilt")),
    })
}

fn changed_output(record: &Record, now: &Now<'_>) -> Option<String> {
    let recorded = |path: &PathBuf| record.outputs.iter().any(|output| output.path == *path);
    if let Some(path) = now.outputs.iter().find(|path| !recorded(path)) {
        return Some(format!("the output `{}` was not built", short(path, now)));
    }
    record.outputs.iter().find_map(|output| match output.holds(is_moved(record, now)) {
        Ok(Held::State) => None,
        Ok(Held::Content) => {
            now.was_read.set(true);
            None
        }
        Ok(Held::Nothing) => Some(format!("the output `{}` was changed", short(&output.path, now))),
        Err(_) => Some(format!("couldn't read metadata for file `{}`", short(&output.path, now))),
    })
}

fn changed_variable(record: &Record, now: &Now<'_>) -> Option<String> {
    let mut variables = record.variables.iter();
    let (name, _) = variables.find(|(name, value)| (now.variable)(name) != *value)?;
    let kind = if now.is_script { "env" } else { "environment" };
    Some(format!("the {kind} variable {name} changed"))
}

fn changed_source(record: &Record, now: &Now<'_>) -> Option<String> {
    let is_mutable = |source: &&Source| !now.immutable.is_some_and(|folder| source.path.starts_with(folder));
    let reason = record.sources.iter().filter(is_mutable).find_map(|source| changed_file(source, record, now));
    if reason.is_some() || !record.whole_package || now.immutable.is_some() {
        return reason;
    }
    match (now.package_files)() {
        Ok(files) => changed_package(record, files, now),
        Err(error) => Some(format!("the files of the package could not be listed: {error}")),
    }
}

fn changed_file(source: &Source, record: &Record, now: &Now<'_>) -> Option<String> {
    let (path, started, was_moved) = (&source.path, record.started, is_moved(record, now));
    let newest = match files::newest(path) {
        Ok(Some(newest)) => newest,
        Ok(None) => return Some(format!("the file `{}` is missing", short(path, now))),
        Err(error) => return Some(format!("the file `{}` cannot be read: {error}", short(path, now))),
    };
    let holds = match &source.digest {
        // There may be another file with an older time where it was moved to.
        Some(digest) if was_moved || may_have_changed(&newest, started) => {
            content::digest(path).as_ref() == Some(digest)
        }
        Some(_) => true,
        None => newest.modified <= started && !was_moved,
    };
    (!holds).then(|| has_changed(&newest, started, now))
}

/// A change in the same tick of the clock, or one that kept the modification time, shows at most in the other time.
fn may_have_changed(newest: &Newest, started: Stamp) -> bool {
    newest.changed.saturating_add(content::TICK) > started
}

fn changed_package(record: &Record, mut files: Vec<PathBuf>, now: &Now<'_>) -> Option<String> {
    let started = record.started;
    let mut newest: Option<Newest> = None;
    for path in &files {
        match files::newest(path) {
            Ok(Some(found)) if newest.as_ref().is_none_or(|newest| latest(&found) > latest(newest)) => {
                newest = Some(found);
            }
            Ok(_) => {}
            Err(error) => return Some(format!("the file `{}` cannot be read: {error}", short(path, now))),
        }
    }
    // A file that is gone has no time, and one that was moved here an old one.
    let names = content::digest_of_names(now.package_root, &mut files);
    if record.names.as_ref().is_some_and(|before| *before != names)
        && newest.as_ref().is_none_or(|it| it.modified <= started)
    {
        return Some("the package has other files than before".to_owned());
    }
    let was_changed = |newest: &Newest| match record.package {
        Some(_) => newest.modified > started || may_have_changed(newest, started),
        None => newest.modified > started,
    };
    let newest = newest.filter(|newest| was_changed(newest) || is_moved(record, now))?;
    let holds = record.package.is_some() && content::digest_of_files(now.package_root, &mut files) == record.package;
    (!holds).then(|| has_changed(&newest, started, now))
}

fn latest(found: &Newest) -> Stamp {
    found.modified.max(found.changed)
}

fn has_changed(newest: &Newest, started: Stamp, now: &Now<'_>) -> String {
    let time = if newest.modified > started { newest.modified } else { newest.changed };
    format!(
        "the file `{}` has changed ({}s, {} after last build at {}s)",
        short(&newest.path, now),
        seconds(time),
        age(time.saturating_sub(started)),
        seconds(started)
    )
}

fn short<'a>(path: &'a Path, now: &Now<'_>) -> std::path::Display<'a> {
    path.strip_prefix(now.workspace_root).unwrap_or(path).display()
}

fn seconds(time: Stamp) -> String {
    format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000)
}

fn age(nanoseconds: u64) -> String {
    match nanoseconds / 1_000_000_000 {
        0 => format!("{nanoseconds}ns"),
        seconds => format!("{seconds}s"),
    }
}
