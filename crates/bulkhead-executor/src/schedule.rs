//! Which unit runs when: as many at once as the jobserver admits, those with the longest way to go first, and libraries'
//! dependents as soon as the metadata is there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use bulkhead_schema::Diagnostic;
use bulkhead_unit_graph::{CompileMode, Unit, UnitGraph, UnitIndex};
use bulkhead_workspace::{CrateType, TargetKind};
use jobserver::{Acquired, HelperThread};

use crate::hold::Hold;
use crate::priority::priorities;
use crate::reuse::{Foreseen, Found};
use crate::run::Build;
use crate::{BuildError, Event, Failure, FailureKind, job, script};

/// How often a wish to stop is noticed.
const STOP_INTERVAL: Duration = Duration::from_millis(50);

/// Most units that are made ready before their time.
const MOST_HELD: usize = 4;

/// How the work on one unit ended, or that on all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything is there.
    Built,
    /// What was foreseen could not be put in place, and what was to be done has to be found out again.
    Lost,
}

/// Builds the units of `dirty`, or puts in place what was `foreseen` of them. All others are fresh. `built` is called for each
/// that succeeded.
pub(crate) fn run(
    build: &Build<'_>,
    dirty: &BTreeSet<UnitIndex>,
    foreseen: &Foreseen,
    built: &(dyn Fn(UnitIndex) + Sync),
) -> Result<End, BuildError> {
    if dirty.is_empty() {
        return Ok(End::Built);
    }
    let (sender, receiver) = channel();
    let tokens = sender.clone();
    let helper = build.jobserver.client.clone().into_helper_thread(move |token| {
        // Nobody listens when the build has ended: the token goes back by being dropped.
        let _ = tokens.send(News::Token(token));
    });
    let helper = helper.map_err(|error| {
        BuildError::Fatal(Diagnostic::error("jobserver", format!("failed to start the jobserver's thread: {error}")))
    })?;
    std::thread::scope(|scope| {
        let start = |index: UnitIndex, hold: Option<Arc<Hold>>| {
            let sender = sender.clone();
            scope.spawn(move || work(build, index, foreseen.get(&index), hold.as_deref(), built, &sender));
        };
        Scheduler::new(build, dirty, foreseen).run(&start, &helper, &receiver)
    })
}

/// What threads tell the scheduler.
enum News {
    /// One more process may run.
    Token(std::io::Result<Acquired>),
    /// The metadata of a unit is complete.
    Metadata(UnitIndex),
    /// A unit ended.
    Ended(UnitIndex, Result<End, Box<Failure>>),
}

fn work(
    build: &Build<'_>,
    index: UnitIndex,
    found: Option<&Found>,
    hold: Option<&Hold>,
    built: &(dyn Fn(UnitIndex) + Sync),
    sender: &Sender<News>,
) {
    let job = || match (build.unit(index).mode, found) {
        (CompileMode::RunBuildScript, _) => script::run(build, index, found),
        (_, Some(found)) => job::place(build, index, found),
        (_, None) => job::compile(build, index, hold, &mut || drop(sender.send(News::Metadata(index)))),
    };
    // The scheduler waits for every unit that it started: not even a bug may keep one from reporting.
    let result = catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|_| {
        let bug = Diagnostic::error("bug", "Bulkhead itself failed while it built this unit");
        Err(Failure { unit: index, kind: FailureKind::Other(bug), denied: false })
    });
    if matches!(result, Ok(End::Built)) {
        built(index);
    }
    // The scheduler outlives all threads of its scope.
    let _ = sender.send(News::Ended(index, result.map_err(Box::new)));
}

/// Starts the thread of a unit.
type Start<'a> = dyn Fn(UnitIndex, Option<Arc<Hold>>) + 'a;

/// What a unit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// The metadata of a library.
    Metadata(UnitIndex),
    /// Everything that a unit leaves.
    Whole(UnitIndex),
}

struct Scheduler<'a, 'b> {
    build: &'a Build<'b>,
    /// By unit: what it still waits for.
    needs: BTreeMap<UnitIndex, BTreeSet<Need>>,
    /// Who waits for what.
    waiting: BTreeMap<Need, Vec<UnitIndex>>,
    /// Units that can start, the most urgent first.
    ready: BTreeSet<(Reverse<u64>, UnitIndex)>,
    priorities: Vec<u64>,
    running: BTreeSet<UnitIndex>,
    /// Units that wait for one thing alone, and whose processes stand ready.
    held: BTreeMap<UnitIndex, Arc<Hold>>,
    tokens: Vec<Acquired>,
    requested: usize,
    done: usize,
    failures: Vec<Arc<Failure>>,
    /// Whether something that was foreseen is not to be had.
    lost: bool,
    interrupted: bool,
}

impl<'a, 'b> Scheduler<'a, 'b> {
    fn new(build: &'a Build<'b>, dirty: &BTreeSet<UnitIndex>, foreseen: &Foreseen) -> Self {
        let needs: BTreeMap<_, _> =
            dirty.iter().map(|&index| (index, needs(build.graph, index, dirty, foreseen))).collect();
        let mut waiting: BTreeMap<Need, Vec<UnitIndex>> = BTreeMap::new();
        for (&index, needs) in &needs {
            for &need in needs {
                waiting.entry(need).or_default().push(index);
            }
        }
        let mut priorities = priorities(build.graph, dirty);
        hurry(&mut priorities, &needs, foreseen);
        let free = needs.iter().filter(|(_, needs)| needs.is_empty()).map(|(&index, _)| index);
        let ready = free.map(|index| (Reverse(priorities[index.0 as usize]), index)).collect();
        Self {
            build,
            needs,
            waiting,
            ready,
            priorities,
            running: BTreeSet::new(),
            held: BTreeMap::new(),
            tokens: Vec::new(),
            requested: 0,
            done: build.graph.units.len() - dirty.len(),
            failures: Vec::new(),
            lost: false,
            interrupted: false,
        }
    }

    fn run(mut self, start: &Start<'_>, helper: &HelperThread, news: &Receiver<News>) -> Result<End, BuildError> {
        loop {
            self.start_ready(start, helper);
            self.hold_next(start);
            if self.running.is_empty() {
                break;
            }
            if let Some(tokens) = &self.build.jobserver.tokens {
                tokens.take_out_surplus();
            }
            match news.recv_timeout(STOP_INTERVAL) {
                Ok(news) => self.note(news),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.build.options.stop.load(Ordering::Relaxed) {
                self.interrupted = true;
                self.build.kill_all();
                self.let_go(|_| true);
            }
        }
        self.let_go(|_| true);
        match (self.interrupted, self.failures.is_empty()) {
            (true, _) => Err(BuildError::Interrupted),
            (false, true) if self.lost => Ok(End::Lost),
            (false, true) => Ok(End::Built),
            (false, false) => Err(BuildError::Units(self.failures)),
        }
    }

    fn start_ready(&mut self, start: &Start<'_>, helper: &HelperThread) {
        if self.interrupted || self.lost || (!self.failures.is_empty() && !self.build.options.keep_going) {
            self.ready.clear();
        }
        let most = if self.build.jobserver.is_own { self.build.options.jobs.max(1) } else { usize::MAX };
        while !self.ready.is_empty() && self.running.len() < most && self.running.len() <= self.tokens.len() {
            if let Some((_, index)) = self.ready.pop_first() {
                self.running.insert(index);
                match self.held.remove(&index) {
                    Some(hold) => hold.release(self.build, index),
                    None => start(index, None),
                }
            }
        }
        // One process runs on the token that every build has from the start.
        for token in self.tokens.split_off(self.running.len().saturating_sub(1).min(self.tokens.len())) {
            self.give_back(token);
        }
        let wanted = self.ready.len().min(most.saturating_sub(self.running.len()));
        while self.requested < wanted {
            self.requested += 1;
            helper.request_token();
        }
    }

    fn give_back(&self, token: Acquired) {
        match &self.build.jobserver.tokens {
            Some(tokens) => tokens.give_back(token),
            None => drop(token),
        }
    }

    /// Makes units ready that can start as soon as one unit that runs has come so far: to be confined takes a process longer
    /// than to be told that it may begin.
    fn hold_next(&mut self, start: &Start<'_>) {
        if self.interrupted || self.lost || !self.failures.is_empty() {
            return;
        }
        let most = self.build.options.jobs.clamp(1, MOST_HELD);
        while self.held.len() < most {
            let runs = |need: &Need| match need {
                Need::Metadata(unit) | Need::Whole(unit) => {
                    let compiles = !is_run(self.build.graph, *unit) && self.build.is_compiling(*unit);
                    self.running.contains(unit) && compiles
                }
            };
            let waiting = self.running.iter().flat_map(|&unit| [Need::Metadata(unit), Need::Whole(unit)]);
            let candidates = waiting.filter_map(|need| self.waiting.get(&need)).flatten().copied();
            let free = candidates.filter(|index| {
                let needs = self.needs.get(index);
                let alone = needs.is_some_and(|needs| needs.len() == 1 && needs.iter().all(runs));
                alone && !self.held.contains_key(index) && job::can_be_held(self.build, *index)
            });
            let Some(next) = free.max_by_key(|index| (self.priorities[index.0 as usize], Reverse(*index))) else {
                return;
            };
            // Where there are no descriptors left, units start when their time comes.
            let Ok(hold) = Hold::new().map(Arc::new) else { return };
            self.held.insert(next, Arc::clone(&hold));
            start(next, Some(hold));
        }
    }

    /// Ends processes that stand ready.
    fn let_go(&mut self, which: impl Fn(UnitIndex) -> bool) {
        for (_, hold) in self.held.extract_if(.., |index, _| which(*index)) {
            hold.gate.cancel();
        }
    }

    fn note(&mut self, news: News) {
        match news {
            News::Token(token) => {
                self.requested -= 1;
                // Without a token the build goes on, one process at a time.
                self.tokens.extend(token);
            }
            News::Metadata(index) => {
                self.satisfy(Need::Metadata(index));
                self.build.emit(Event::MetadataReady { unit: index });
            }
            // What stood ready and is not wanted any more has neither run nor failed.
            News::Ended(index, _) if !self.running.contains(&index) => drop(self.held.remove(&index)),
            News::Ended(index, result) => self.end(index, result),
        }
    }

    fn end(&mut self, index: UnitIndex, result: Result<End, Box<Failure>>) {
        self.running.remove(&index);
        if self.running.is_empty()
            && let Some(tokens) = &self.build.jobserver.tokens
        {
            tokens.replace_lost(self.tokens.len() + self.requested);
        }
        match result {
            Ok(End::Lost) => self.lost = true,
            Ok(End::Built) => {
                self.done += 1;
                self.satisfy(Need::Metadata(index));
                self.satisfy(Need::Whole(index));
                self.build.emit(Event::Finished { unit: index, done: self.done });
            }
            // What was killed because the user wished so has not failed.
            Err(_) if self.build.options.stop.load(Ordering::Relaxed) => self.interrupted = true,
            Err(failure) => {
                let failure: Arc<Failure> = Arc::new(*failure);
                self.failures.push(Arc::clone(&failure));
                // What waits for it will never start; what waits for others still may.
                let waiting = self.waiting_for(index);
                self.let_go(|held| waiting.contains(&held));
                self.build.emit(Event::Failed { failure, running: self.running.len() });
            }
        }
    }

    fn waiting_for(&self, index: UnitIndex) -> BTreeSet<UnitIndex> {
        let needs = [Need::Metadata(index), Need::Whole(index)];
        needs.iter().filter_map(|need| self.waiting.get(need)).flatten().copied().collect()
    }

    fn satisfy(&mut self, need: Need) {
        for index in self.waiting.remove(&need).unwrap_or_default() {
            let Some(needs) = self.needs.get_mut(&index) else { continue };
            needs.remove(&need);
            if needs.is_empty() {
                self.ready.insert((Reverse(self.priorities[index.0 as usize]), index));
            }
        }
    }
}

/// What was foreseen is as urgent as the most urgent unit that waits for it.
fn hurry(priorities: &mut [u64], needs: &BTreeMap<UnitIndex, BTreeSet<Need>>, foreseen: &Foreseen) {
    foreseen.keys().for_each(|index| priorities[index.0 as usize] = 0);
    for (index, needs) in needs {
        let own = priorities[index.0 as usize];
        for Need::Metadata(unit) | Need::Whole(unit) in needs {
            let before = &mut priorities[unit.0 as usize];
            if foreseen.contains_key(unit) {
                *before = own.max(*before);
            }
        }
    }
}

/// What the unit at `index` waits for among the units that are to be built. One that was foreseen waits for nothing.
fn needs(graph: &UnitGraph, index: UnitIndex, dirty: &BTreeSet<UnitIndex>, foreseen: &Foreseen) -> BTreeSet<Need> {
    if foreseen.contains_key(&index) {
        return BTreeSet::new();
    }
    let unit = graph.unit(index);
    let links = links(unit);
    let mut needs = BTreeSet::new();
    for dependency in &unit.dependencies {
        let whole = links || !gives_metadata(graph.unit(dependency.unit));
        needs.insert(if whole { Need::Whole(dependency.unit) } else { Need::Metadata(dependency.unit) });
    }
    if links && unit.mode != CompileMode::RunBuildScript {
        needs.extend(linked(graph, index).into_iter().map(Need::Whole));
    }
    // Of others it is enough that they have come so far that their dependents could start.
    if !foreseen.is_empty() {
        needs.extend(reached(graph, index).into_iter().filter(|unit| foreseen.contains_key(unit)).map(Need::Whole));
    }
    needs.retain(|need| match need {
        Need::Metadata(unit) | Need::Whole(unit) => dirty.contains(unit),
    });
    needs
}

/// All libraries that end up in what the unit at `index` links: those below its dependencies may still be compiling when
/// these are done, since they only waited for metadata.
fn linked(graph: &UnitGraph, index: UnitIndex) -> BTreeSet<UnitIndex> {
    let mut found = BTreeSet::new();
    let mut pending = vec![index];
    while let Some(next) = pending.pop() {
        for dependency in &graph.unit(next).dependencies {
            if gives_metadata(graph.unit(dependency.unit)) && found.insert(dependency.unit) {
                pending.push(dependency.unit);
            }
        }
    }
    found
}

/// All units of which the process of the unit at `index` can use files, be it that a library of them is loaded with another.
fn reached(graph: &UnitGraph, index: UnitIndex) -> BTreeSet<UnitIndex> {
    let mut found = BTreeSet::new();
    let mut pending = vec![index];
    while let Some(next) = pending.pop() {
        // What was linked holds what it needs of plain libraries, and what a script left is files.
        let is_whole = next != index && !gives_metadata(graph.unit(next));
        for dependency in &graph.unit(next).dependencies {
            let is_plain = gives_metadata(graph.unit(dependency.unit)) || is_run(graph, dependency.unit);
            if !(is_whole && (is_plain || is_run(graph, next))) && found.insert(dependency.unit) {
                pending.push(dependency.unit);
            }
        }
    }
    found
}

fn is_run(graph: &UnitGraph, index: UnitIndex) -> bool {
    graph.unit(index).mode == CompileMode::RunBuildScript
}

/// Whether dependents that do not link can start with the unit's metadata.
pub(crate) fn gives_metadata(unit: &Unit) -> bool {
    let is_library = |types: &[CrateType]| types.iter().all(|kind| matches!(kind, CrateType::Lib | CrateType::Rlib));
    let mode = matches!(unit.mode, CompileMode::Build | CompileMode::Check);
    mode && matches!(&unit.target.kind, TargetKind::Lib(types) if unit.mode.is_check() || is_library(types))
}

/// Whether the unit needs the code of its dependencies, and not only their metadata.
pub(crate) fn links(unit: &Unit) -> bool {
    match unit.mode {
        CompileMode::Check | CompileMode::CheckTest | CompileMode::Doc => false,
        CompileMode::Build => !gives_metadata(unit),
        CompileMode::Test | CompileMode::Doctest | CompileMode::RunBuildScript => true,
    }
}
