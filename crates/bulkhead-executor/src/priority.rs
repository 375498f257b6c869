//! How urgent each unit is: how long it and what can only follow it will take, as far as that can be guessed beforehand.
//!
//! Guesses need not be right, only in proportion: code that takes long is where much code is. Counting units instead would start
//! the script that compiles a database when everything else is done.

use std::collections::BTreeSet;

use bulkhead_store::PackageTree;
use bulkhead_unit_graph::{CompileMode, Unit, UnitGraph, UnitIndex};
use bulkhead_workspace::{CrateType, TargetKind};

/// What every compiler costs, whatever it compiles. The unit of the others is about a tenth of a millisecond.
const COMPILER: u64 = 1000;

/// What a KiB of a package's archive adds to it.
const PER_KIB: u64 = 50;

/// An archive that is larger holds more than Rust code.
const MOST_RUST_KIB: u64 = 400;

/// What to link adds.
const LINKING: u64 = 2000;

/// A build script that sets a few flags.
const SCRIPT: u64 = 300;

/// What a KiB adds to the run of a script that brings a native library, which it may have to compile.
const NATIVE_PER_KIB: u64 = 100;

/// No archive is guessed to be larger.
const MOST_KIB: u64 = 20 << 10;

/// Stands for packages that come without an archive.
const USUAL_KIB: u64 = 20;

/// By unit: the time of the longest way from it to a root; then those with more direct dependents.
pub(crate) fn priorities(graph: &UnitGraph, dirty: &BTreeSet<UnitIndex>) -> Vec<u64> {
    let archive = |unit: &Unit| PackageTree::archive_size(&unit.package.root).map(|bytes| bytes >> 10);
    along_ways(graph, dirty, &|unit| guess(unit, archive(unit).unwrap_or(USUAL_KIB)))
}

fn along_ways(graph: &UnitGraph, dirty: &BTreeSet<UnitIndex>, time: &dyn Fn(&Unit) -> u64) -> Vec<u64> {
    let mut ways = vec![0_u64; graph.units.len()];
    let mut dependents = vec![0_u64; graph.units.len()];
    for &index in dirty.iter().rev() {
        let position = index.0 as usize;
        // What comes after it is known: dependents stand behind what they depend on.
        ways[position] += time(graph.unit(index));
        for dependency in &graph.unit(index).dependencies {
            let before = dependency.unit.0 as usize;
            ways[before] = ways[before].max(ways[position]);
            dependents[before] += 1;
        }
    }
    ways.into_iter().zip(dependents).map(|(way, dependents)| way * 1024 + dependents.min(1023)).collect()
}

/// How long a unit will take whose package has an archive of this size.
fn guess(unit: &Unit, kib: u64) -> u64 {
    let links = match &unit.target.kind {
        TargetKind::Lib(types) => !types.iter().all(|kind| matches!(kind, CrateType::Lib | CrateType::Rlib)),
        _ => true,
    };
    match (unit.mode, &unit.target.kind) {
        (CompileMode::RunBuildScript, _) if unit.package.summary.links.is_some() => {
            SCRIPT + NATIVE_PER_KIB * kib.min(MOST_KIB)
        }
        (CompileMode::RunBuildScript, _) => SCRIPT,
        (_, TargetKind::BuildScript) => COMPILER + LINKING / 2,
        (mode, _) => {
            let linking = if links && !mode.is_check() { LINKING } else { 0 };
            COMPILER + PER_KIB * kib.min(MOST_RUST_KIB) + linking
        }
    }
}
