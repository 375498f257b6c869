//! What can be taken out of the cache, found out before anything is.
//!
//! The key of a unit asks for digests of what other units left, and those stand in the descriptions of these: nobody has to
//! wait for their files. So files are put in place in whatever order serves the compilers that will run, and those that no
//! compiler waits for are put in place beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_unit_graph::{CompileMode, UnitIndex};

use super::keep::Note;
use super::take::{Found, find};
use super::{keys, units};
use crate::run::Build;
use crate::script;

/// Units that stand in the cache. All that one of them depends on is one of them too, or fresh.
pub(crate) type Foreseen = BTreeMap<UnitIndex, Found>;

/// Looks for the units of `dirty`. What scripts among them said is taken up, if it is allowed.
pub(crate) fn foresee(build: &Build<'_>, dirty: &BTreeSet<UnitIndex>) -> Foreseen {
    let mut foreseen = Foreseen::new();
    if units(build).is_none() {
        return foreseen;
    }
    // Dependencies stand before those who depend on them.
    for &index in dirty {
        let is_known = |unit: UnitIndex| !dirty.contains(&unit) || foreseen.contains_key(&unit);
        let is_open = build.unit(index).dependencies.iter().all(|dependency| is_known(dependency.unit));
        if let Some(found) = is_open.then(|| look_up(build, index)).flatten() {
            build.contents.note(index, found.files());
            foreseen.insert(index, found);
        }
    }
    foreseen
}

fn look_up(build: &Build<'_>, index: UnitIndex) -> Option<Found> {
    let is_run = build.unit(index).mode == CompileMode::RunBuildScript;
    if is_run && !script::is_vacant(&build.planner.script_folder(index).join("out")) {
        return None;
    }
    let command = build.planner.command(index, &build.scripts());
    let found = find(build, index, keys(build, index, &command).ok()?)?;
    match &found.note {
        Note::Ran { stdout, .. } if is_run => {
            // What is not allowed is told when the unit's turn comes.
            let output = script::parse(build, index, stdout.as_bytes()).ok()?;
            build.add_script(index, Arc::new(output));
        }
        Note::Compiled { .. } if !is_run => {}
        _ => return None,
    }
    Some(found)
}
