//! `build --verify-reproducible`: builds the same plan twice, in different folders and at different times, and names every
//! unit whose bytes differ, with what may be to blame.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_executor::compare::{Cause, Difference, Side, compare};
use bulkhead_unit_graph::{Context, UnitGraph, UnitIndex};
use bulkhead_workspace::metadata::{package_id_spec, target_json};
use serde_json::{Value, json};

use crate::compile::{self, Prepared};
use crate::error::Result;
use crate::future_incompat::FutureIncompatibilities;
use crate::options::{CompileOptions, GlobalOptions, MessageFormat};
use crate::permissions::{self, Permissions};
use crate::reporter::describe;
use crate::{Error, ErrorKind, Event, build, disk};

/// Below the target folder: where both builds are.
const FOLDER: &str = "reproducible";

/// The folders of the two builds. Their names differ in length, so that padding with it shows, too.
const BUILDS: [&str; 2] = ["first", "second"];

/// How often it is tried to get the lock.
const TURN: Duration = Duration::from_millis(50);

/// How much later the second build begins at least: what a unit takes from a clock that counts seconds differs then.
const APART: Duration = Duration::from_secs(2);

/// Builds twice what `options` asks for, without the cache of compiled units, and compares.
///
/// # Errors
/// The project cannot be planned; a unit failed (each was reported as it happened); units differ.
pub fn verify(
    global: &GlobalOptions,
    options: &CompileOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    global.place.disk.never_repeat();
    let mut prepared = compile::prepare(global, options, events)?;
    prepared.graph.set_doctests_aside();
    prepared.graph.compile_at_once();
    prepared.project.policy.unit_cache.enabled = Some(false);
    let permissions = permissions::of(global, &prepared, events)?;
    permissions.check_grants(&prepared.graph)?;
    let folder = Folder::prepare(&prepared.build_options.target_dir.join(FOLDER), stop, events)?;
    let jobs = prepared.build_options.jobs;
    let run = Run { global, options, permissions: &permissions, stop };

    let begun = Instant::now();
    turn_to(&mut prepared, &folder.path.join(BUILDS[0]), jobs);
    events(status("Building", format!("the first time, in `{}`", prepared.build_options.target_dir.display())));
    run.build(&prepared, events)?;
    wait_until(begun + APART, stop)?;
    // Another number of jobs is another order, and one that scripts are told.
    turn_to(&mut prepared, &folder.path.join(BUILDS[1]), jobs.saturating_add(1));
    events(status("Building", format!("the second time, in `{}`", prepared.build_options.target_dir.display())));
    run.build_quietly(&prepared, events)?;

    let differences = differences(&mut prepared, &folder.path)?;
    if matches!(options.message_format, MessageFormat::Json { .. }) {
        json_lines(&prepared.graph, &differences).into_iter().for_each(|line| events(Event::Json(line.to_string())));
    }
    tell(&prepared.graph, &differences, &folder, events)
}

/// What both builds have in common.
struct Run<'a> {
    global: &'a GlobalOptions,
    options: &'a CompileOptions,
    permissions: &'a Permissions,
    stop: &'a AtomicBool,
}

impl Run<'_> {
    fn build(&self, prepared: &Prepared, events: &(dyn Fn(Event) + Sync)) -> Result<()> {
        let Self { global, options, permissions, stop } = *self;
        let ignored = FutureIncompatibilities::default();
        build::execute(global, options, prepared, permissions, &ignored, stop, events).map(drop)
    }

    /// What the first build has said is said again only if this one fails.
    fn build_quietly(&self, prepared: &Prepared, events: &(dyn Fn(Event) + Sync)) -> Result<()> {
        let held = Mutex::new(Vec::new());
        let hold = |event| held.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        let result = self.build(prepared, &|event| match event {
            Event::Rendered(_) | Event::Text(_) | Event::Warning(_) | Event::Diagnostic(_) | Event::Json(_) => {
                hold(event);
            }
            other => events(other),
        });
        if result.is_err() {
            held.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().for_each(events);
        }
        result
    }
}

/// The folder in which both builds are, locked.
struct Folder {
    path: PathBuf,
    #[expect(dead_code, reason = "dropping it is what releases the lock")]
    lock: std::fs::File,
}

impl Folder {
    /// Waits for whoever else uses it, and removes what is left of an earlier comparison.
    fn prepare(path: &Path, stop: &AtomicBool, events: &dyn Fn(Event)) -> Result<Self> {
        let failed = |error| Error::failure(format!("failed to prepare `{}`", path.display())).because(error);
        if disk::is_link(path) {
            return Err(Error::failure(format!("`{}` is a symbolic link", path.display())).help("remove it"));
        }
        std::fs::create_dir_all(path).map_err(failed)?;
        let place = path.join(".lock");
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut open = std::fs::File::options();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut open, no_link);
        // Read and write: a pipe in its place is opened at once, and holds nobody up.
        let lock = open.read(true).write(true).create(true).truncate(false).open(&place).map_err(failed)?;
        let mut waits = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if !waits => {
                    waits = true;
                    events(Event::Blocking { what: "comparison".to_owned(), path: place.clone() });
                }
                Err(TryLockError::WouldBlock) => wait_until(Instant::now() + TURN, stop)?,
            }
        }
        let folder = Self { path: path.to_owned(), lock };
        folder.clear().map_err(failed)?;
        Ok(folder)
    }

    fn clear(&self) -> std::io::Result<()> {
        for build in BUILDS {
            match std::fs::remove_dir_all(self.path.join(build)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn turn_to(prepared: &mut Prepared, folder: &Path, jobs: u32) {
    let options = &mut prepared.build_options;
    options.target_dir = folder.to_owned();
    options.build_dir = folder.to_owned();
    options.jobs = jobs;
}

fn wait_until(time: Instant, stop: &AtomicBool) -> Result<()> {
    while let Some(rest) = time.checked_duration_since(Instant::now()) {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, ""));
        }
        std::thread::sleep(rest.min(Duration::from_millis(50)));
    }
    Ok(())
}

fn differences(prepared: &mut Prepared, folder: &Path) -> Result<Vec<Difference>> {
    let options = BUILDS.map(|build| {
        turn_to(prepared, &folder.join(build), 1);
        prepared.build_options.clone()
    });
    let contexts = options.each_ref().map(|options| Context::new(&prepared.graph, &prepared.toolchain, options));
    let sides =
        contexts.each_ref().map(|context| Side { planner: context, places: vec![context.options.target_dir.clone()] });
    let [first, second] = &sides;
    compare(first, second).map_err(|error| Error::failure("failed to read what was built").because(error))
}

/// Names what differs. What was built is removed if nothing does.
fn tell(graph: &UnitGraph, differences: &[Difference], folder: &Folder, events: &dyn Fn(Event)) -> Result<()> {
    let all = graph.units.len();
    if differences.is_empty() {
        // Scratch that cannot be removed now is removed before the next comparison.
        let _ = folder.clear();
        let units = if all == 1 { "unit" } else { "units" };
        events(status("Reproducible", format!("{all} {units}: two builds left the same bytes")));
        return Ok(());
    }
    for difference in differences {
        let unit = graph.unit(difference.unit);
        let what = format!("{} ({}): {}", unit.package.id, describe(unit), blame(graph, difference));
        events(status("Differs", what));
    }
    let count = differences.len();
    let blamed = differences.iter().filter(|difference| !matches!(difference.cause, Cause::Inherited(_))).count();
    let message =
        format!("two builds left different bytes of {count} of {all} units, {blamed} of which made the difference");
    let [first, second] = BUILDS.map(|build| folder.path.join(build).display().to_string());
    Err(Error::refusal(ErrorKind::Verification, "not-reproducible", message)
        .help(format!("both builds are kept to be compared: `{first}` and `{second}`")))
}

fn blame(graph: &UnitGraph, difference: &Difference) -> String {
    let names = |units: &[UnitIndex]| {
        let mut names: Vec<_> = units.iter().map(|unit| graph.unit(*unit).package.id.to_string()).collect();
        names.dedup();
        names.join(", ")
    };
    let files = difference.files.join(", ");
    let folder = if difference.names_folder { ", and holds the name of its folder" } else { "" };
    match &difference.cause {
        Cause::Inherited(units) => format!("it is made of what differs: {}", names(units)),
        Cause::Script => format!("its build script is to blame: {files} differs{folder}"),
        Cause::Compiler(_) if difference.names_folder => {
            let how = "through `env!(\"OUT_DIR\")`, or code that was generated there";
            format!("it holds the name of the folder it was built in ({how}): {files} differs")
        }
        Cause::Compiler(macros) if macros.is_empty() => format!("the compiler is to blame: {files} differs"),
        Cause::Compiler(macros) => {
            format!("a procedural macro may be to blame ({}), or the compiler: {files} differs", names(macros))
        }
    }
}

/// A line for each unit that differs, and one in the end.
fn json_lines(graph: &UnitGraph, differences: &[Difference]) -> Vec<Value> {
    let specs = |units: &[UnitIndex]| -> Vec<String> {
        let mut specs: Vec<_> = units.iter().map(|unit| package_id_spec(graph.unit(*unit).package.id)).collect();
        specs.dedup();
        specs
    };
    let line = |difference: &Difference| {
        let unit = graph.unit(difference.unit);
        let (cause, packages) = match &difference.cause {
            Cause::Inherited(units) => ("dependency", specs(units)),
            Cause::Script => ("build-script", specs(&[difference.unit])),
            Cause::Compiler(macros) if macros.is_empty() => ("compiler", Vec::new()),
            Cause::Compiler(macros) => ("compiler-or-macro", specs(macros)),
        };
        json!({
            "reason": "unit-differs",
            "package_id": package_id_spec(unit.package.id),
            "target": target_json(&unit.target),
            "unit": describe(unit),
            "files": difference.files,
            "cause": cause,
            "packages": packages,
            "names_folder": difference.names_folder,
        })
    };
    let mut lines: Vec<_> = differences.iter().map(line).collect();
    let all = graph.units.len();
    lines.push(json!({
        "reason": "reproducibility-verified",
        "units": all,
        "differing": differences.len(),
        "success": differences.is_empty(),
    }));
    lines
}

fn status(verb: &'static str, message: String) -> Event {
    Event::Status { verb, message }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{Event, Folder};
    use crate::ErrorKind;

    #[test]
    fn whoever_waits_for_another_comparison_can_be_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reproducible");
        let first = Folder::prepare(&path, &AtomicBool::new(false), &|_| ()).unwrap();
        let (said, heard) = channel();
        let second = path.clone();
        std::thread::spawn(move || {
            let stop = AtomicBool::new(false);
            // Ctrl-C comes once it is said that it waits.
            let told = |event| {
                assert!(matches!(event, Event::Blocking { .. }));
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            };
            said.send(Folder::prepare(&second, &stop, &told).err().map(|error| error.kind))
        });
        assert_eq!(heard.recv_timeout(Duration::from_secs(60)).unwrap(), Some(ErrorKind::Interrupted));
        // The twin: once the first has gone, nobody waits.
        drop(first);
        Folder::prepare(&path, &AtomicBool::new(true), &|_| panic!("nothing is waited for")).unwrap();
    }

    #[test]
    fn a_pipe_in_the_place_of_the_lock_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reproducible");
        std::fs::create_dir(&path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path.join(".lock"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let (said, heard) = channel();
        std::thread::spawn(move || said.send(Folder::prepare(&path, &AtomicBool::new(false), &|_| ()).is_ok()));
        assert_eq!(heard.recv_timeout(Duration::from_secs(60)), Ok(true));
    }
}
