//! Units of work and the graph they form.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bulkhead_schema::{PackageId, Symbol};
use bulkhead_workspace::{Package, Profile, Target, TargetKind};

/// What is done with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CompileMode {
    /// Compile, and link where the crate type links.
    Build,
    /// Only emit metadata.
    Check,
    /// Compile with the test harness.
    Test,
    /// Only emit metadata, with the test harness.
    CheckTest,
    /// Run rustdoc.
    Doc,
    /// Run rustdoc on the doctests.
    Doctest,
    /// Run a compiled build script.
    RunBuildScript,
}

impl CompileMode {
    /// Whether the test harness (`cfg(test)`) is on.
    pub fn is_test(self) -> bool {
        matches!(self, Self::Test | Self::CheckTest)
    }

    /// Whether only metadata is emitted.
    pub fn is_check(self) -> bool {
        matches!(self, Self::Check | Self::CheckTest)
    }
}

/// The platform that code is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CompileKind {
    /// The building machine; what everything is without `--target`.
    Host,
    /// A target triple that was asked for, even if it equals the host's.
    Target(Symbol),
}

/// Position of a [`Unit`] in [`UnitGraph::units`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitIndex(pub u32);

/// One invocation of rustc or rustdoc, or one run of a build script.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// The package it belongs to.
    pub package: Arc<Package>,
    /// The target of that package.
    pub target: Arc<Target>,
    /// What is done with it.
    pub mode: CompileMode,
    /// Where the result runs.
    pub platform: CompileKind,
    /// How it is compiled.
    pub profile: Arc<Profile>,
    /// Active features, sorted.
    pub features: BTreeSet<Symbol>,
    /// Whether it is only built for a build script or proc macro.
    pub is_host_dependency: bool,
    /// Whether the package belongs to the user's own workspace or is a path dependency, so that lints show and
    /// incremental compilation applies (Cargo caps the lints of everything else).
    pub is_local: bool,
    /// Its dependencies, in the order in which Cargo passes them.
    pub dependencies: Vec<UnitDependency>,
}

impl Unit {
    /// Cargo's order of units: by package, target, and what is done with it.
    pub(crate) fn rank(&self) -> (PackageId, u8, Symbol, CompileMode) {
        let kind = match self.target.kind {
            TargetKind::Lib(_) => 0,
            TargetKind::Bin => 1,
            TargetKind::Test => 2,
            TargetKind::Bench => 3,
            TargetKind::Example(_) => 4,
            TargetKind::BuildScript => 5,
        };
        (self.package.id, kind, self.target.name, self.mode)
    }
}

/// An edge of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitDependency {
    /// The unit depended on.
    pub unit: UnitIndex,
    /// The name for `--extern`; for a build-script run the crate name of the script.
    pub extern_crate_name: Symbol,
}

/// All units of one invocation, dependencies before dependents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnitGraph {
    /// The units; each one's dependencies have smaller indexes.
    pub units: Vec<Unit>,
    /// The units that the user asked for.
    pub roots: Vec<UnitIndex>,
    /// Doctests that were set aside: they run after everything else is built, and leave nothing.
    pub doctests: Vec<Unit>,
}

impl UnitGraph {
    /// The unit at `index`, which must come from this graph.
    pub fn unit(&self, index: UnitIndex) -> &Unit {
        &self.units[index.0 as usize]
    }

    /// Nothing of it is the user's own: the whole project was fetched.
    pub fn disown(&mut self) {
        self.units.iter_mut().for_each(|unit| unit.is_local = false);
    }

    /// Compiles nothing incrementally: rustc gives objects other names each time then.
    pub fn compile_at_once(&mut self) {
        self.units.iter_mut().for_each(|unit| Arc::make_mut(&mut unit.profile).incremental = false);
    }

    /// Sets the doctests aside, which start no rustc; what they need stays.
    pub fn set_doctests_aside(&mut self) {
        let stays: Vec<bool> = self.units.iter().map(|unit| unit.mode != CompileMode::Doctest).collect();
        self.doctests = self.take_out(&stays);
    }

    /// Leaves only what compilation runs: build scripts and procedural macros that others depend on, and all that these need.
    pub fn keep_what_compilation_runs(&mut self) {
        let mut stays = vec![false; self.units.len()];
        // Dependents have greater indexes: whether a unit stays is known when its dependencies are looked at.
        for (index, unit) in self.units.iter().enumerate().rev() {
            for dependency in &unit.dependencies {
                let needed = self.unit(dependency.unit);
                let runs = needed.target.is_proc_macro() || needed.mode == CompileMode::RunBuildScript;
                stays[dependency.unit.0 as usize] |= stays[index] || runs;
            }
        }
        self.take_out(&stays);
    }

    /// Leaves out the units in `left_out`, whatever depends on them, and all that only they need.
    pub(crate) fn leave_out(&mut self, left_out: &HashSet<UnitIndex>) {
        let mut stays = vec![false; self.units.len()];
        self.roots.iter().for_each(|root| stays[root.0 as usize] = true);
        // Dependents have greater indexes: whether a unit stays is known when its dependencies are looked at.
        for (index, unit) in self.units.iter_mut().enumerate().rev() {
            unit.dependencies.retain(|dependency| !left_out.contains(&dependency.unit));
            if stays[index] {
                unit.dependencies.iter().for_each(|dependency| stays[dependency.unit.0 as usize] = true);
            }
        }
        self.take_out(&stays);
    }

    /// Takes out the units that do not stay, and on which none that stays depends.
    fn take_out(&mut self, stays: &[bool]) -> Vec<Unit> {
        let mut kept = 0;
        let new_index = |stays: &bool| {
            let index = stays.then_some(UnitIndex(kept));
            kept += u32::from(*stays);
            index
        };
        let new_indexes: Vec<_> = stays.iter().map(new_index).collect();
        let moved = |index: UnitIndex| new_indexes.get(index.0 as usize).copied().flatten();
        for dependency in self.units.iter_mut().flat_map(|unit| &mut unit.dependencies) {
            dependency.unit = moved(dependency.unit).unwrap_or(dependency.unit);
        }
        self.roots = self.roots.iter().filter_map(|root| moved(*root)).collect();
        let mut stays = stays.iter();
        let (units, taken) = std::mem::take(&mut self.units).into_iter().partition(|_| stays.next() == Some(&true));
        self.units = units;
        taken
    }

    /// All units with their indexes, dependencies first.
    pub fn iter(&self) -> impl Iterator<Item = (UnitIndex, &Unit)> {
        (0..).map(UnitIndex).zip(&self.units)
    }
}
