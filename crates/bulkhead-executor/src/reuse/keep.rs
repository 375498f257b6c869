//! Keeping what was built, beside the build and behind it: on one thread, which yields to whatever else wants to run.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use bulkhead_schema::build_script::BuildScriptOutput;
use bulkhead_store::UnitFile;
use bulkhead_unit_graph::UnitIndex;
use serde::{Deserialize, Serialize};

use super::contents::{self, Part};
use super::key::{Keys, Places};
use super::units;
use crate::run::Build;
use crate::{Event, files};

/// Longest text that is kept of a unit, in bytes.
pub(super) const MAX_TEXT: u64 = 16 << 20;

/// A unit to keep.
pub(crate) struct Job {
    pub(crate) index: UnitIndex,
    pub(crate) keys: Keys,
    pub(crate) note: Note,
}

/// What is kept of a unit besides its files. Folders of the workspace are replaced in it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Note {
    /// rustc's messages for replay, and its list of sources.
    Compiled { messages: String, dep_info: String },
    /// What a build script printed.
    Ran { stdout: String, stderr: String },
}

impl Note {
    pub(super) fn map(self, act: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Compiled { messages, dep_info } => {
                Self::Compiled { messages: act(&messages), dep_info: act(&dep_info) }
            }
            Self::Ran { stdout, stderr } => Self::Ran { stdout: act(&stdout), stderr: act(&stderr) },
        }
    }

    fn all(&self, holds: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Compiled { messages: a, dep_info: b } | Self::Ran { stdout: a, stderr: b } => holds(a) && holds(b),
        }
    }
}

/// Where units that are to be kept are handed in.
#[derive(Default)]
pub(crate) struct Keeper(Mutex<Option<Sender<Job>>>);

impl Keeper {
    fn set(&self, sender: Option<Sender<Job>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }

    /// Hands a unit in.
    pub(crate) fn keep(&self, job: Job) {
        if let Some(sender) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody listens once the build has ended.
            let _ = sender.send(job);
        }
    }
}

/// Does `work` while what it hands in is kept, and waits for the rest of that.
pub(crate) fn beside<T>(build: &Build<'_>, work: impl FnOnce() -> T) -> T {
    if units(build).is_none() {
        return work();
    }
    let (sender, jobs) = channel();
    let jobs = Mutex::new(jobs);
    build.keeper.set(Some(sender));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As the system calls it, this thread is a process. One that may not step back works on as it is.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
            keep_all(build, &jobs);
        });
        let closing = Closing(&build.keeper);
        let result = work();
        drop(closing);
        // Now somebody waits for it: on a busy machine the other thread might be a long time about it.
        keep_all(build, &jobs);
        result
    })
}

/// Says that nothing more comes, whatever happens: otherwise the thread would wait for ever.
struct Closing<'a>(&'a Keeper);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

fn keep_all(build: &Build<'_>, jobs: &Mutex<Receiver<Job>>) {
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(job) = next() {
        if build.options.stop.load(Ordering::Relaxed) {
            return;
        }
        let index = job.index;
        if let Err(error) = keep(build, job) {
            let reason = format!("it could not be kept: {error}");
            build.emit(Event::NotShared { unit: index, reason });
        }
    }
}

fn keep(build: &Build<'_>, job: Job) -> io::Result<()> {
    let Job { index, keys, note } = job;
    let (Some(cache), Some(units)) = (&build.options.cache, units(build)) else { return Ok(()) };
    let places = Places::new(&cache.places);
    if !note.all(|text| places.can_carry(text)) {
        return Err(io::Error::other("it says what stands for folders here"));
    }
    let (files, is_bound) = match &note {
        Note::Compiled { .. } => contents::outputs(build, index, Part::Everything, Some(&places))?,
        Note::Ran { .. } => contents::folder(&build.planner.script_folder(index).join("out"), Some(&places))?,
    };
    let plain: Vec<UnitFile> = files.iter().map(|(file, _)| file.clone()).collect();
    build.contents.note(index, &plain);
    let key = if is_bound { keys.bound } else { keys.portable };
    let note = serde_json::to_string(&note.map(|text| places.portable(text)))?;
    units.put(key, &files, &note).map(drop)
}

/// The note on a compiled unit.
pub(crate) fn compiled(messages: &str, dep_info: &Path) -> io::Result<Note> {
    let dep_info = String::from_utf8(files::read(dep_info, MAX_TEXT)?).map_err(io::Error::other)?;
    Ok(Note::Compiled { messages: messages.to_owned(), dep_info })
}

/// The note on a build script that has run; why there is none, if the run read what the key does not know.
pub(crate) fn ran(
    stdout: &[u8],
    stderr: &[u8],
    said: &BuildScriptOutput,
    package: &Path,
    out_dir: &Path,
) -> Result<Note, String> {
    let is_known = |path: &Path| {
        let path = package.join(path);
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        !climbs && (path.starts_with(package) || path.starts_with(out_dir))
    };
    if let Some(path) = said.rerun_if_changed.iter().find(|path| !is_known(path)) {
        return Err(format!("its build script depends on `{}`, which is not part of it", path.display()));
    }
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
    match (text(stdout), text(stderr)) {
        (Ok(stdout), Ok(stderr)) => Ok(Note::Ran { stdout, stderr }),
        _ => Err("its build script printed what is no text".to_owned()),
    }
}
