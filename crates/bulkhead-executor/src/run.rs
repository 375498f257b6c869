//! One build from beginning to end: claim, survey what is fresh, schedule the rest, say what came out.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bulkhead_sandbox::Killer;
use bulkhead_schema::Diagnostic;
use bulkhead_unit_graph::{Command, CompileKind, CompileMode, Fingerprint, ScriptOutputs, Unit, UnitGraph, UnitIndex};
use bulkhead_workspace::{Package, TargetKind};

use crate::claims::Claims;
use crate::files::failed;
use crate::freshness::{self, Dependency, DependencyState, Freshness, Now, Reason};
use crate::lock::{BuildLock, Use};
use crate::place::Place;
use crate::process::Jobserver;
use crate::record::{Record, RecordFiles, Remembered};
use crate::told::Told;
use crate::{
    BuildError, Event, Options, Outcome, Planner, documentation, folders, inputs, job, lock, outcome, reuse, schedule,
    script, staging,
};

/// Builds every unit of the plan that is not fresh.
///
/// Events arrive from several threads, but those of one unit arrive in order. When it returns, all work has ended and no
/// process that it started is alive.
///
/// # Errors
/// See [`BuildError`].
pub fn run(
    planner: &dyn Planner,
    options: &Options<'_>,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Outcome, BuildError> {
    lock::prepare_target(&options.target_dir, &options.workspace_root).map_err(BuildError::Fatal)?;
    let entered = Entered::new(planner, options, events)?;
    let told = Told::default();
    let first = |event: Event| {
        told.note(&event);
        events(event);
    };
    let news = |event: Event| {
        if !told.holds(&event) {
            events(event);
        }
    };
    // What could be taken out of the cache and then was not to be had is looked for again when its turn comes.
    let outcome = match attempt(&entered, planner, options, &first, true) {
        Ok(None) => entered.give_back().and_then(|()| attempt(&entered, planner, options, &news, false)),
        ended => ended,
    };
    entered.leave();
    outcome.map(Option::unwrap_or_default)
}

/// Builds what is not fresh. `Ok(None)`: something that was foreseen was lost, and what is not fresh has to be found out again.
fn attempt(
    entered: &Entered,
    planner: &dyn Planner,
    options: &Options<'_>,
    events: &(dyn Fn(Event) + Sync),
    foresees: bool,
) -> Result<Option<Outcome>, BuildError> {
    let (build, dirty) = entered.claim(planner, options, events)?;
    let share = |index| entered.claims.iter().for_each(|claims| claims.share(index));
    events(Event::Planned { total: build.graph.units.len(), dirty: dirty.len() });
    for (index, _) in build.graph.iter().filter(|(index, _)| !dirty.contains(index)) {
        report_fresh(&build, index).map_err(BuildError::Fatal)?;
        share(index);
    }
    if !dirty.is_empty() {
        make_folders(planner, options).map_err(BuildError::Fatal)?;
    }
    let foreseen = if foresees { reuse::foresee(&build, &dirty) } else { reuse::Foreseen::new() };
    let built = dirty.iter().filter(|index| !foreseen.contains_key(index));
    let packages = built.map(|index| build.unit(*index).package.id).collect();
    (options.verify)(&packages).map_err(BuildError::Fatal)?;
    let end = reuse::beside(&build, || schedule::run(&build, &dirty, &foreseen, &share));
    let scanned = documentation::scan(&build, &dirty);
    let end = end?;
    scanned.map_err(BuildError::Fatal)?;
    if end == schedule::End::Built {
        job::write_rules(&build).map_err(BuildError::Fatal)?;
    }
    Ok((end == schedule::End::Built).then(|| {
        let inputs = dirty.is_empty().then(|| inputs::gather(&build, entered.folders.clone())).flatten();
        outcome::gather(&build, dirty.len(), inputs)
    }))
}

/// The folders of a build, in which nobody else does what would be in its way.
struct Entered {
    folders: Vec<PathBuf>,
    locks: Vec<BuildLock>,
    /// `None` where nobody else is in the folders.
    claims: Option<Claims>,
}

impl Entered {
    fn new(planner: &dyn Planner, options: &Options<'_>, events: &(dyn Fn(Event) + Sync)) -> Result<Self, BuildError> {
        let folders = profile_folders(planner);
        for folder in &folders {
            folders::make(options, folder).map_err(|error| BuildError::Fatal(failed("create", folder, &error)))?;
        }
        let claims = Claims::new(planner, &folders);
        let claims =
            claims.map_err(|error| BuildError::Fatal(failed("open the locks in", &options.target_dir, &error)))?;
        let wanted = if claims.is_some() { Use::Shared } else { Use::Alone };
        let mut blocked = once(events);
        let locks = folders.iter().map(|folder| lock::lock(folder, wanted, options.stop, &mut blocked));
        let locks = locks.collect::<Result<_, _>>()?;
        Ok(Self { folders, locks, claims })
    }

    /// Finds out which units must be built, and has those alone.
    fn claim<'a>(
        &self,
        planner: &'a dyn Planner,
        options: &'a Options<'a>,
        events: &'a (dyn Fn(Event) + Sync),
    ) -> Result<(Build<'a>, BTreeSet<UnitIndex>), BuildError> {
        let mut blocked = once(events);
        let mut blocked = || self.folders.iter().take(1).for_each(|folder| blocked(&lock::path(folder)));
        let mut writers = BTreeSet::new();
        loop {
            if let Some(claims) = &self.claims {
                claims.wait(&writers, options.stop, &mut blocked)?;
            }
            let mut build = Build::new(planner, options, events).map_err(BuildError::Fatal)?;
            let dirty = survey(&mut build);
            let wanted = written(&build, &dirty);
            if self.claims.as_ref().map_or(Ok(true), |claims| claims.try_write(&wanted))? {
                self.prepare(options, &wanted).map_err(BuildError::Fatal)?;
                settle(&build, &dirty).map_err(BuildError::Fatal)?;
                return Ok((build, tell(events, dirty)));
            }
            // Somebody reads what is to be written: what is so when all of it can be had has to be found out again.
            self.give_back()?;
            writers.extend(wanted);
        }
    }

    /// Before anything is written.
    fn prepare(&self, options: &Options<'_>, wanted: &BTreeSet<UnitIndex>) -> Result<(), Diagnostic> {
        let mut folders = self.folders.iter().filter(|_| !wanted.is_empty());
        folders.try_for_each(|folder| {
            staging::make(options, folder).map_err(|error| failed("make a folder in", folder, &error))
        })
    }

    /// Claims nothing any more.
    fn give_back(&self) -> Result<(), BuildError> {
        self.claims.as_ref().map_or(Ok(()), Claims::release)
    }

    fn leave(self) {
        drop(self.claims);
        for (lock, folder) in self.locks.into_iter().zip(&self.folders) {
            lock.leave(folder);
        }
    }
}

/// Tells of the first time that a build has to wait.
fn once<'a>(events: &'a (dyn Fn(Event) + Sync)) -> impl FnMut(&Path) + 'a {
    let mut told = false;
    move |path| {
        if !std::mem::replace(&mut told, true) {
            events(Event::Blocking { path: path.to_owned() });
        }
    }
}

/// The units of which files will be written: those that are built, and those that others have put out of their place.
fn written(build: &Build<'_>, dirty: &BTreeMap<UnitIndex, Verdict>) -> BTreeSet<UnitIndex> {
    let indices = build.graph.iter().map(|(index, _)| index);
    indices
        .filter(|index| dirty.contains_key(index) || build.is_unsettled(*index) || !job::is_uplifted(build, *index))
        .collect()
}

/// Remembers the units that are fresh, and were moved or had to be read to be known again, as they are here and now.
fn settle(build: &Build<'_>, dirty: &BTreeMap<UnitIndex, Verdict>) -> Result<(), Diagnostic> {
    let unsettled = build.graph.iter().map(|(index, _)| index).filter(|index| build.is_unsettled(*index));
    for index in unsettled.filter(|index| !dirty.contains_key(index)) {
        let Some(mut record) = build.record(index).map(Arc::unwrap_or_clone) else { continue };
        let path = &build.files(index).record;
        let settled = job::uplift_outputs(build, index).map(|()| record.settle_at(&build.place));
        let written = settled?.and_then(|()| record.write(path, build.options.owner));
        written.map_err(|error| failed("write", path, &error))?;
        build.set_record(index, record);
    }
    Ok(())
}

/// Says what must be built, and why.
fn tell(events: &(dyn Fn(Event) + Sync), dirty: BTreeMap<UnitIndex, Verdict>) -> BTreeSet<UnitIndex> {
    let tell = |(index, verdict): (UnitIndex, Verdict)| {
        if let Freshness::Dirty(reason) = verdict.freshness {
            events(Event::Dirty { unit: index, reason: reason.map(Reason::into_text) });
        }
        index
    };
    dirty.into_iter().map(tell).collect()
}

/// What all parts of one build share.
pub(crate) struct Build<'a> {
    pub(crate) planner: &'a dyn Planner,
    pub(crate) graph: &'a UnitGraph,
    pub(crate) options: &'a Options<'a>,
    pub(crate) place: Place,
    pub(crate) events: &'a (dyn Fn(Event) + Sync),
    pub(crate) jobserver: Jobserver,
    /// By [`UnitIndex`].
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// By [`UnitIndex`].
    pub(crate) files: Vec<RecordFiles>,
    /// What identifies the build of each unit: an old one of a fresh unit, or the one that is now to be done.
    pub(crate) builds: Vec<u64>,
    /// By [`UnitIndex`]: whether the process runs code of a package, so that what it is refused is worth observing.
    pub(crate) runs_package_code: Vec<bool>,
    /// Units to be kept for other workspaces.
    pub(crate) keeper: reuse::Keeper,
    /// What units left.
    pub(crate) contents: reuse::Known,
    /// Fresh units of which files had to be read to be known again.
    read: BTreeSet<UnitIndex>,
    /// Units whose compilers were started, because nothing was known of them.
    compiling: Mutex<BTreeSet<UnitIndex>>,
    records: Mutex<BTreeMap<UnitIndex, Arc<Record>>>,
    scripts: Mutex<Arc<ScriptOutputs>>,
    /// Messages that were already shown.
    seen: Mutex<HashSet<u64>>,
    killers: Mutex<BTreeMap<UnitIndex, Killer>>,
}

/// Build scripts do, and compilers that load a procedural macro: of a direct dependency, or handed on by one. A linker
/// or compiler that loads nothing is confined all the same, but has nothing to tell.
fn runs_package_code(graph: &UnitGraph) -> Vec<bool> {
    let mut loads_macros: Vec<bool> = Vec::with_capacity(graph.units.len());
    for unit in &graph.units {
        let dependencies = unit.dependencies.iter().map(|dependency| dependency.unit);
        let loads = dependencies.filter(|&index| graph.unit(index).mode != CompileMode::RunBuildScript).any(|index| {
            graph.unit(index).target.is_proc_macro() || loads_macros.get(index.0 as usize).is_none_or(|loads| *loads)
        });
        loads_macros.push(loads);
    }
    let is_script = |unit: &Unit| unit.mode == CompileMode::RunBuildScript;
    graph.units.iter().zip(loads_macros).map(|(unit, loads)| loads || is_script(unit)).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Build<'a> {
    fn new(
        planner: &'a dyn Planner,
        options: &'a Options<'a>,
        events: &'a (dyn Fn(Event) + Sync),
    ) -> Result<Self, Diagnostic> {
        let graph = planner.graph();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let base = u64::try_from(now).unwrap_or_default();
        let record_files =
            |index| RecordFiles::new(planner.fingerprint_folder(index), &planner.fingerprint_name(index));
        Ok(Self {
            planner,
            graph,
            options,
            place: Place::of(options),
            events,
            jobserver: Jobserver::new(options)?,
            fingerprints: planner.fingerprints(),
            files: graph.iter().map(|(index, _)| record_files(index)).collect(),
            builds: (0..graph.units.len() as u64).map(|number| base.wrapping_add(number)).collect(),
            runs_package_code: runs_package_code(graph),
            keeper: reuse::Keeper::default(),
            contents: reuse::Known::default(),
            read: BTreeSet::new(),
            compiling: Mutex::default(),
            records: Mutex::default(),
            scripts: Mutex::default(),
            seen: Mutex::default(),
            killers: Mutex::default(),
        })
    }

    pub(crate) fn unit(&self, index: UnitIndex) -> &'a Unit {
        self.graph.unit(index)
    }

    pub(crate) fn emit(&self, event: Event) {
        (self.events)(event);
    }

    pub(crate) fn files(&self, index: UnitIndex) -> &RecordFiles {
        &self.files[index.0 as usize]
    }

    pub(crate) fn record(&self, index: UnitIndex) -> Option<Arc<Record>> {
        locked(&self.records).get(&index).cloned()
    }

    pub(crate) fn set_record(&self, index: UnitIndex, record: Record) {
        locked(&self.records).insert(index, Arc::new(record));
    }

    /// Whether what is known of the unit was written where its folders were then, or before something was done to its files
    /// that shows.
    fn is_unsettled(&self, index: UnitIndex) -> bool {
        self.read.contains(&index) || self.record(index).is_some_and(|record| record.place != self.place)
    }

    /// What build scripts have said so far.
    pub(crate) fn scripts(&self) -> Arc<ScriptOutputs> {
        Arc::clone(&locked(&self.scripts))
    }

    pub(crate) fn add_script(&self, index: UnitIndex, output: Arc<bulkhead_schema::build_script::BuildScriptOutput>) {
        Arc::make_mut(&mut locked(&self.scripts)).insert(index, output);
    }

    /// The compiler of `index` is started.
    pub(crate) fn set_compiling(&self, index: UnitIndex) {
        locked(&self.compiling).insert(index);
    }

    /// Whether the unit was not to be had without its compiler, so that what depends on it will hardly be either.
    pub(crate) fn is_compiling(&self, index: UnitIndex) -> bool {
        reuse::units(self).is_none() || locked(&self.compiling).contains(&index)
    }

    /// Whether a message is new to this build.
    pub(crate) fn is_first(&self, message: u64) -> bool {
        locked(&self.seen).insert(message)
    }

    pub(crate) fn set_killer(&self, index: UnitIndex, killer: Option<Killer>) {
        let mut killers = locked(&self.killers);
        match killer {
            Some(killer) => killers.insert(index, killer),
            None => killers.remove(&index),
        };
    }

    /// Ends every process.
    pub(crate) fn kill_all(&self) {
        locked(&self.killers).values().for_each(Killer::kill);
    }

    /// Forgets what is remembered of an earlier build of `index`.
    pub(crate) fn invalidate(&self, index: UnitIndex) -> Result<(), Diagnostic> {
        let files = self.files(index);
        files.invalidate().map_err(|error| failed("prepare", &files.folder, &error))
    }

    /// The value of a variable that a process of `unit` sees and that the planner did not set.
    pub(crate) fn variable(&self, unit: &Unit, name: &str) -> Option<String> {
        let general = self.options.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        general.or_else(|| {
            let granted = (self.options.grants)(unit).environment;
            granted.into_iter().find(|granted| granted.value.0 == name).and_then(|granted| granted.value.1)
        })
    }

    /// The files of a package on which a build script depends that names none.
    pub(crate) fn package_files(&self, package: &Package) -> std::io::Result<Vec<PathBuf>> {
        match (self.options.package_files)(package) {
            Some(files) => Ok(files),
            None => crate::files::package_files(&package.root, &self.options.target_dir),
        }
    }

    /// A record with what is known before the process of `index` starts.
    pub(crate) fn begin(&self, index: UnitIndex) -> Result<Record, Diagnostic> {
        let files = self.files(index);
        let made = folders::make(self.options, &files.folder);
        let started = made.and_then(|()| files.begin()).map_err(|error| failed("prepare", &files.folder, &error))?;
        let unit = self.unit(index);
        let builds = unit.dependencies.iter().map(|dependency| match is_tracked(unit, self.unit(dependency.unit)) {
            true => self.builds[dependency.unit.0 as usize],
            false => 0,
        });
        let position = index.0 as usize;
        Ok(Record {
            fingerprint: self.fingerprints[position].to_text(),
            build: self.builds[position],
            dependencies: builds.collect(),
            started,
            ..Record::new(self.place.clone(), (self.options.grants)(unit).to_text())
        })
    }
}

/// The folders that builds of a profile share, always in the same order.
fn profile_folders(planner: &dyn Planner) -> Vec<PathBuf> {
    let platforms: BTreeSet<_> = planner.graph().units.iter().map(|unit| unit.platform).collect();
    let layouts = platforms.into_iter().map(|platform| planner.layout(platform));
    let folders: BTreeSet<_> = layouts.flat_map(|layout| [layout.artifacts, layout.intermediate]).collect();
    folders.into_iter().collect()
}

/// Makes the folders that Cargo makes, needed or not.
fn make_folders(planner: &dyn Planner, options: &Options<'_>) -> Result<(), Diagnostic> {
    let platforms = planner.graph().units.iter().map(|unit| unit.platform).chain([CompileKind::Host]);
    for layout in platforms.collect::<BTreeSet<_>>().into_iter().map(|platform| planner.layout(platform)) {
        let folders = [
            layout.dependencies(),
            layout.build(),
            layout.examples(),
            layout.intermediate_examples(),
            layout.incremental(),
            layout.fingerprints(),
        ];
        for folder in folders {
            folders::make(options, &folder).map_err(|error| failed("create", &folder, &error))?;
        }
    }
    Ok(())
}

/// A unit that must be built.
struct Verdict {
    /// For its dependents.
    state: DependencyState,
    freshness: Freshness,
}

/// Finds out which units must be built, and why.
fn survey(build: &mut Build<'_>) -> BTreeMap<UnitIndex, Verdict> {
    let mut dirty = BTreeMap::new();
    for (index, unit) in build.graph.iter() {
        if let Some(output) = build.planner.given(index) {
            build.builds[index.0 as usize] = script::identity(&output);
            build.add_script(index, output);
            continue;
        }
        let remembered = match Record::read(&build.files(index).record, build.options.owner) {
            Remembered::Own(record) if record.place != build.place => {
                Remembered::Own(Box::new(record.moved_to(&build.place)))
            }
            other => other,
        };
        let was_read = Cell::new(false);
        let mut freshness = check(build, index, unit, &remembered, &dirty, &was_read);
        if was_read.get() {
            build.read.insert(index);
        }
        if freshness == Freshness::Fresh && unit.mode == CompileMode::RunBuildScript {
            freshness = script::recall(build, index);
        }
        match (freshness, remembered) {
            (Freshness::Fresh, Remembered::Own(record)) => {
                build.builds[index.0 as usize] = record.build;
                build.set_record(index, *record);
            }
            (freshness, _) => {
                let is_requested = matches!(freshness, Freshness::Dirty(Some(Reason::Request(_))));
                let state = if is_requested { DependencyState::Requested } else { DependencyState::Stale };
                dirty.insert(index, Verdict { state, freshness });
            }
        }
    }
    dirty
}

fn check(
    build: &Build<'_>,
    index: UnitIndex,
    unit: &Unit,
    remembered: &Remembered,
    dirty: &BTreeMap<UnitIndex, Verdict>,
    was_read: &Cell<bool>,
) -> Freshness {
    let dependencies = unit.dependencies.iter().map(|dependency| {
        let found = DependencyState::Built(build.builds[dependency.unit.0 as usize]);
        let state = match is_tracked(unit, build.unit(dependency.unit)) {
            true => dirty.get(&dependency.unit).map_or(found, |verdict| verdict.state),
            false => DependencyState::Built(0),
        };
        Dependency { name: dependency.extern_crate_name.as_str(), state }
    });
    let options = build.options;
    let planned = OnceCell::new();
    // Scripts ask about variables of the user's, whatever their names.
    let is_script = unit.mode == CompileMode::RunBuildScript;
    let now = Now {
        place: &build.place,
        may_name_place: may_name_place(build, index),
        names_none: &|left, folders| script::names_none(build, index, left, folders),
        grants: &(options.grants)(unit).to_text(),
        fingerprint: &build.fingerprints[index.0 as usize],
        dependencies: &dependencies.collect::<Vec<_>>(),
        is_script,
        outputs: &job::required_outputs(build, index),
        was_read,
        immutable: (!unit.is_local).then_some(unit.package.root.as_path()),
        variable: &|name| match is_script {
            true => build.variable(unit, name),
            false => {
                let command = planned.get_or_init(|| build.planner.command(index, &build.scripts()));
                seen_variable(build, unit, command, name)
            }
        },
        package_root: &unit.package.root,
        package_files: &|| build.package_files(&unit.package),
        workspace_root: &options.workspace_root,
    };
    freshness::check(remembered, &now)
}

/// Whether code of a package ran that could see a folder of the workspace or of its target folder, and write its name into
/// what it left. What the unit's own code asked for is known, and compared like other variables.
fn may_name_place(build: &Build<'_>, index: UnitIndex) -> bool {
    let unit = build.unit(index);
    let is_run = |unit: &Unit| unit.mode == CompileMode::RunBuildScript;
    let has_out_dir = unit.dependencies.iter().any(|dependency| is_run(build.unit(dependency.unit)));
    build.runs_package_code[index.0 as usize] && (unit.is_local || is_run(unit) || has_out_dir)
}

/// Whether a rebuild of `dependency` makes `unit` stale. Integration tests depend on programs, which they start and do not
/// contain.
fn is_tracked(unit: &Unit, dependency: &Unit) -> bool {
    dependency.target.kind != TargetKind::Bin || unit.mode == CompileMode::RunBuildScript
}

/// The value of a variable that the code asked for, as its compiler sees it: from configuration, a build script, the fields
/// of the manifest (all of which begin so), or from the user.
pub(crate) fn seen_variable(build: &Build<'_>, unit: &Unit, command: &Command, name: &str) -> Option<String> {
    let planned = command.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    if planned.is_some() || name.starts_with("CARGO") { planned } else { build.variable(unit, name) }
}

/// Says what a fresh unit said when it was built, and makes sure that its files are where users look for them.
fn report_fresh(build: &Build<'_>, index: UnitIndex) -> Result<(), Diagnostic> {
    if build.planner.given(index).is_some() {
        return Ok(());
    }
    build.emit(Event::Fresh { unit: index });
    if build.unit(index).mode == CompileMode::RunBuildScript {
        script::report(build, index);
        return Ok(());
    }
    job::replay(build, index);
    job::uplift_outputs(build, index)?;
    job::publish(build, index, true);
    Ok(())
}
