//! One compilation: rustc, its messages, its outputs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bulkhead_sandbox::{SandboxError, Stream as Pipe};
use bulkhead_schema::Diagnostic;
use bulkhead_unit_graph::{Command, CompileMode, Output, OutputKind, UnitIndex};
use bulkhead_workspace::{CrateType, TargetKind};

use crate::content::Source;
use crate::files::{self, failed};
use crate::hold::Hold;
use crate::incremental::Own as Incremental;
use crate::messages::{self, Counts, Line, Lines};
use crate::process::{self, Observe, Reach};
use crate::record::{OutputStamp, Record};
use crate::reuse::Found;
use crate::run::{Build, seen_variable};
use crate::schedule::End;
use crate::staging::{Left, Staging};
use crate::{Event, Failure, FailureKind, Stream, dep_info, folders, removal, reuse, uplift};

/// Largest file of stored messages that is replayed, and largest dep-info file.
const MAX_TEXT: u64 = 256 << 20;

/// Runs rustc or rustdoc for the unit at `index`. `on_metadata` is called once its `.rmeta` is complete. With a hold, all is
/// made ready, and the compiler starts when the hold is released.
pub(crate) fn compile(
    build: &Build<'_>,
    index: UnitIndex,
    hold: Option<&Hold>,
    on_metadata: &mut dyn FnMut(),
) -> Result<End, Failure> {
    let other = |diagnostic| Failure { unit: index, kind: FailureKind::Other(diagnostic), denied: false };
    let sandbox = |error| Failure { unit: index, kind: FailureKind::Sandbox(Arc::new(error)), denied: false };
    let command = Arc::new(build.planner.command(index, &build.scripts()));
    let mut record = build.begin(index).map_err(other)?;
    let outputs = build.planner.outputs(index);
    make_folders(build, &outputs, &command).map_err(other)?;
    match hold {
        None => {
            forget(build, index, &outputs).map_err(other)?;
            if let Some(taken) = reuse(build, index, &command, &outputs) {
                return finish_reused(build, index, record, &command, &taken).map_err(other).map(|()| End::Built);
            }
            build.set_compiling(index);
            build.emit(Event::Started { unit: index, command: Arc::clone(&command) });
        }
        Some(hold) => hold.announce(build, index, &command),
    }
    let mut staged_command = Command::clone(&command);
    staged_command.arguments.extend(reuse::remap(build, index, &command));
    let unmade = |error: &std::io::Error| other(failed("make a folder beside", &build.files(index).folder, error));
    let incremental = Incremental::begin(build, index, &mut staged_command).map_err(|error| unmade(&error))?;
    let staging = Staging::begin(build, index, &mut staged_command, incremental.as_ref());
    let staging = staging.map_err(|error| unmade(&error))?;
    let reach = reach(build, index, staging.as_ref(), incremental.as_ref());
    let gate = hold.map(|hold| &hold.gate);
    let running = process::start(build, index, &staged_command, reach.clone(), gate, Observe::ForeignCode);
    let running = running.map_err(sandbox)?;
    if let Some(hold) = hold {
        // The compiler writes elsewhere: until now everything was as the build before had left it.
        forget(build, index, &outputs).map_err(other)?;
        record.started = hold.released().unwrap_or(record.started);
    }
    let mut listener = Listener::new(build, index, &outputs, staging.as_ref(), on_metadata);
    let (ended, stored, counts) = listen(build, running, &mut listener);
    let ended = ended.map_err(sandbox)?;
    if !ended.exit.status.success() {
        report_counts(build, index, counts);
        let denied = ended.denied || counts.about_files > 0 && was_refused(build, index, &staged_command, reach);
        return Err(exited(index, command, &ended, denied, counts));
    }
    report_counts(build, index, counts);
    let mut is_whole = !ended.denied;
    if let Some(staging) = staging {
        let dep_info = build.planner.dep_info(index);
        match staging.finish(&outputs, &dep_info) {
            Ok(Left::Whole) => (),
            Ok(Left::More) => is_whole = false,
            // As under cargo, nothing is known of the unit that could be fresh.
            Ok(Left::Named) => return Ok(built(build, index)),
            Err(error) => return Err(other(failed("move the outputs to their places beside", &dep_info, &error))),
        }
    }
    let settled = settle(build, index, &mut record, &command, &stored);
    settled.map_err(|diagnostic| Failure { denied: ended.denied, ..other(diagnostic) })?;
    // A hard link changes the state of the file: what is remembered is how it is after that.
    uplift_outputs(build, index).map_err(other)?;
    seal(build, index, &mut record, |_| None).map_err(other)?;
    build.set_record(index, record);
    if is_whole {
        keep(build, index, &command, &stored);
    }
    Ok(built(build, index))
}

fn built(build: &Build<'_>, index: UnitIndex) -> End {
    publish(build, index, false);
    End::Built
}

/// Takes the unit's outputs out of the cache, if they are there.
fn reuse(build: &Build<'_>, index: UnitIndex, command: &Command, outputs: &[Output]) -> Option<reuse::Taken> {
    let keys = reuse::keys(build, index, command).ok()?;
    let found = reuse::find(build, index, keys)?;
    let taken = reuse::place_compiled(build, index, &found, outputs)?;
    build.emit(Event::Reused { unit: index });
    Some(taken)
}

/// Puts the outputs of the unit at `index`, which were `found`, in place of a compilation.
pub(crate) fn place(build: &Build<'_>, index: UnitIndex, found: &Found) -> Result<End, Failure> {
    let act = || -> Result<End, Diagnostic> {
        let record = build.begin(index)?;
        let command = build.planner.command(index, &build.scripts());
        let outputs = build.planner.outputs(index);
        make_folders(build, &outputs, &command)?;
        forget(build, index, &outputs)?;
        let Some(taken) = reuse::place_compiled(build, index, found, &outputs) else { return Ok(End::Lost) };
        build.emit(Event::Reused { unit: index });
        finish_reused(build, index, record, &command, &taken)?;
        Ok(End::Built)
    };
    act().map_err(|diagnostic| Failure { unit: index, kind: FailureKind::Other(diagnostic), denied: false })
}

/// A unit whose outputs were put in place is remembered as if its compiler had run just now, and told as if it were fresh.
fn finish_reused(
    build: &Build<'_>,
    index: UnitIndex,
    mut record: Record,
    command: &Command,
    taken: &reuse::Taken,
) -> Result<(), Diagnostic> {
    settle(build, index, &mut record, command, &taken.messages)?;
    uplift_outputs(build, index)?;
    seal(build, index, &mut record, |path| taken.digest(path))?;
    build.set_record(index, record);
    replay(build, index);
    publish(build, index, true);
    Ok(())
}

/// Hands the unit in for other workspaces, where nothing speaks against it.
fn keep(build: &Build<'_>, index: UnitIndex, command: &Command, messages: &str) {
    let note = |error: std::io::Error| Some(format!("it could not be kept: {error}"));
    let kept = reuse::keys(build, index, command).and_then(|keys| {
        let note = reuse::compiled(messages, &build.planner.dep_info(index)).map_err(note)?;
        build.keeper.keep(reuse::Job { index, keys, note });
        Ok(())
    });
    if let Err(Some(reason)) = kept {
        build.emit(Event::NotShared { unit: index, reason });
    }
}

/// Whether the unit can be made ready before what it waits for is there: its compiler must write into a folder of its own.
pub(crate) fn can_be_held(build: &Build<'_>, index: UnitIndex) -> bool {
    build.unit(index).mode != CompileMode::RunBuildScript && Staging::is_used(build, index)
}

/// Reads what the compiler says until it has ended.
fn listen(
    build: &Build<'_>,
    running: process::Running<'_>,
    listener: &mut Listener<'_, '_>,
) -> (Result<process::Ended, SandboxError>, String, Counts) {
    let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
    let ended = running.wait(build, |pipe, bytes| match pipe {
        Pipe::Stdout => stdout.push(bytes, &mut |line| listener.text(Stream::Stdout, line)),
        Pipe::Stderr => stderr.push(bytes, &mut |line| listener.line(line)),
    });
    stdout.finish(&mut |line| listener.text(Stream::Stdout, line));
    stderr.finish(&mut |line| listener.line(line));
    (ended, std::mem::take(&mut listener.stored), std::mem::take(&mut listener.counts))
}

/// Runs a compiler again that complained of files and was not observed: whether it is confinement that kept them from it, and
/// which they are, which is reported.
fn was_refused(build: &Build<'_>, index: UnitIndex, command: &Command, reach: Reach) -> bool {
    if process::runs_foreign_code(build, index, command) || build.options.stop.load(Ordering::Relaxed) {
        return false;
    }
    let running = process::start(build, index, command, reach, None, Observe::Always);
    // What it says has been said. If it cannot be started any more, its failure stands as it is.
    running.and_then(|running| running.wait(build, |_, _| ())).is_ok_and(|ended| ended.denied)
}

fn exited(index: UnitIndex, command: Arc<Command>, ended: &process::Ended, denied: bool, counts: Counts) -> Failure {
    let kind = FailureKind::Exit {
        command,
        status: ended.exit.status.to_string(),
        limit: ended.limit.map(Box::new),
        output: (String::new(), String::new()),
        errors: counts.errors,
        warnings: counts.warnings - counts.duplicates,
    };
    Failure { unit: index, kind, denied }
}

/// After success: looks at what rustc left and remembers it.
fn settle(
    build: &Build<'_>,
    index: UnitIndex,
    record: &mut Record,
    command: &Command,
    stored: &str,
) -> Result<(), Diagnostic> {
    let unit = build.unit(index);
    if let Some(path) = required_outputs(build, index).into_iter().find(|path| !path.exists()) {
        return Err(missing_output(&path));
    }
    let path = build.planner.dep_info(index);
    if !path.as_os_str().is_empty() {
        let bytes = files::read(&path, MAX_TEXT).map_err(|error| failed("read", &path, &error))?;
        let dep_info = dep_info::parse(&String::from_utf8_lossy(&bytes));
        for name in dep_info.variables {
            let value = seen_variable(build, unit, command, &name);
            record.variables.push((name, value));
        }
        if unit.is_local {
            let sources = dep_info.sources.iter().map(|source| command.current_dir.join(source));
            record.sources = sources.map(|path| Source::take(path, record.started)).collect();
        }
    }
    // rustdoc does not tell what it has read.
    record.whole_package = unit.mode == CompileMode::Doc;
    let files = build.files(index);
    if !stored.is_empty() {
        files::write(&files.messages, stored.as_bytes()).map_err(|error| failed("write", &files.messages, &error))?;
        record.has_messages = true;
    }
    Ok(())
}

/// Notes how the outputs were left, and that the unit is done. `known` are the digests of files that need not be read again.
fn seal<'a>(
    build: &Build<'_>,
    index: UnitIndex,
    record: &mut Record,
    known: impl Fn(&Path) -> Option<&'a str>,
) -> Result<(), Diagnostic> {
    let unit = build.unit(index);
    for path in required_outputs(build, index) {
        let is_used = unit.target.is_build_script() || is_used_by_compilers(&path);
        let stamp = match unit.mode {
            // Crates of one name share a page, and the last one has it.
            CompileMode::Doc => Ok(OutputStamp::any(&path)),
            _ if is_used => match known(&path) {
                Some(digest) => OutputStamp::take_known(&path, digest),
                None => OutputStamp::take_with_digest(&path),
            },
            _ => OutputStamp::take(&path),
        };
        record.outputs.push(stamp.map_err(|_| missing_output(&path))?);
    }
    let path = &build.files(index).record;
    record.write(path, build.options.owner).map_err(|error| failed("write", path, &error))
}

/// Whether other units are compiled with the file, or it is loaded while they are.
fn is_used_by_compilers(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    ["rlib", "rmeta", "so", "dylib", "dll"].iter().any(|used| ending == *used)
}

fn missing_output(path: &Path) -> Diagnostic {
    let message = format!("the compiler reported success and did not write `{}`", path.display());
    Diagnostic::error("missing-output", message)
        .help("a proc macro may have ended the compiler early; its package, or one it depends on, is to blame")
}

/// The folders of the outputs, and the one that integration tests find in `CARGO_TARGET_TMPDIR`.
fn make_folders(build: &Build<'_>, outputs: &[Output], command: &Command) -> Result<(), Diagnostic> {
    let temporary = command.environment.iter().find(|(name, _)| name == "CARGO_TARGET_TMPDIR");
    let temporary = temporary.map(|(_, folder)| Path::new(folder));
    for folder in outputs.iter().filter_map(|output| output.path.parent()).chain(temporary) {
        folders::make(build.options, folder).map_err(|error| failed("create", folder, &error))?;
    }
    Ok(())
}

/// Forgets the unit, and removes what an earlier build of it left: rustc must not write through a hard link into an artifact
/// that users hold, and a compiler that was ended early must not pass with old files. Pages go as a whole: rustdoc leaves those
/// of items that are no more.
fn forget(build: &Build<'_>, index: UnitIndex, outputs: &[Output]) -> Result<(), Diagnostic> {
    build.invalidate(index)?;
    for output in outputs {
        files::remove(&output.path).map_err(|error| failed("remove", &output.path, &error))?;
    }
    match build.unit(index).mode {
        CompileMode::Doc => outputs.iter().filter_map(|output| output.path.parent()).try_for_each(|pages| {
            let cleared = removal::remove_folder(pages).and_then(|()| folders::make(build.options, pages));
            cleared.map_err(|error| failed("remove", pages, &error))
        }),
        _ => Ok(()),
    }
}

/// What the compiler reads besides what the planner knows: where build scripts told it to look for libraries.
fn reach(build: &Build<'_>, index: UnitIndex, staging: Option<&Staging>, incremental: Option<&Incremental>) -> Reach {
    let mut planned = build.planner.writable_paths(index);
    if let Some(incremental) = incremental {
        planned = incremental.writable(planned);
    }
    let write = match staging {
        Some(staging) => staging.writable(planned),
        None => planned,
    };
    let scripts = build.scripts();
    let paths = scripts.values().flat_map(|script| &script.library_paths);
    let read = paths.map(|text| PathBuf::from(bulkhead_schema::build_script::split_search_path(text).1));
    Reach { read: read.filter(|path| path.is_absolute()).collect(), write }
}

/// The files without which the unit is not built.
pub(crate) fn required_outputs(build: &Build<'_>, index: UnitIndex) -> Vec<PathBuf> {
    if build.unit(index).mode == CompileMode::RunBuildScript {
        return vec![build.planner.script_folder(index).join("output")];
    }
    let outputs = build.planner.outputs(index).into_iter();
    outputs.filter(|output| output.kind != OutputKind::DebugInfo).map(|output| output.path).collect()
}

/// Listens to one rustc.
struct Listener<'a, 'b> {
    build: &'a Build<'b>,
    index: UnitIndex,
    outputs: &'a [Output],
    staging: Option<&'a Staging>,
    /// JSON lines to replay when the unit is fresh.
    stored: String,
    counts: Counts,
    on_metadata: &'a mut dyn FnMut(),
}

impl<'a, 'b> Listener<'a, 'b> {
    fn new(
        build: &'a Build<'b>,
        index: UnitIndex,
        outputs: &'a [Output],
        staging: Option<&'a Staging>,
        on_metadata: &'a mut dyn FnMut(),
    ) -> Self {
        Self { build, index, outputs, staging, stored: String::new(), counts: Counts::default(), on_metadata }
    }

    fn line(&mut self, line: &str) {
        match messages::parse(line) {
            Line::Artifact { path, emit } => {
                if emit == "metadata" {
                    self.metadata(&path);
                }
            }
            Line::Text => self.text(Stream::Stderr, line),
            Line::Ignored => (),
            said @ (Line::Diagnostic(_) | Line::FutureIncompatibility) => {
                self.stored.push_str(line);
                self.stored.push('\n');
                say(self.build, self.index, line, said, &mut self.counts);
            }
        }
    }

    /// Dependents start once the file is at its place. If it cannot be put there, they wait for the end, which reports it.
    fn metadata(&mut self, path: &Path) {
        let place = self.staging.map_or_else(|| path.to_owned(), |staging| staging.place(path));
        if !self.outputs.iter().any(|output| output.path == place) {
            return;
        }
        let published = self.staging.map_or(Ok(()), |staging| staging.show(&place));
        if published.is_ok() && place.exists() {
            (self.on_metadata)();
        }
    }

    fn text(&self, stream: Stream, line: &str) {
        self.build.emit(Event::Text { unit: self.index, stream, line: line.to_owned() });
    }
}

fn say(build: &Build<'_>, index: UnitIndex, json: &str, said: Line, counts: &mut Counts) {
    match said {
        Line::Diagnostic(message) => {
            let duplicate = !message.summary && !build.is_first(message.identity());
            counts.add(&message, duplicate);
            build.emit(Event::Message {
                unit: index,
                level: message.level,
                rendered: message.rendered.into(),
                json: json.into(),
                duplicate,
                summary: message.summary,
            });
        }
        Line::FutureIncompatibility => build.emit(Event::FutureIncompatibility { unit: index, json: json.into() }),
        Line::Artifact { .. } | Line::Ignored | Line::Text => (),
    }
}

fn report_counts(build: &Build<'_>, index: UnitIndex, counts: Counts) {
    let Counts { warnings, duplicates, errors, fixable, .. } = counts;
    if warnings + errors > 0 {
        build.emit(Event::Counts { unit: index, warnings, duplicates, errors, fixable });
    }
}

/// Says again what rustc said when the unit was built.
pub(crate) fn replay(build: &Build<'_>, index: UnitIndex) {
    if !build.record(index).is_some_and(|record| record.has_messages) {
        return;
    }
    let Ok(bytes) = files::read(&build.files(index).messages, MAX_TEXT) else { return };
    let mut counts = Counts::default();
    for line in String::from_utf8_lossy(&bytes).lines() {
        say(build, index, line, messages::parse(line), &mut counts);
    }
    report_counts(build, index, counts);
}

/// Whether they are there.
pub(crate) fn is_uplifted(build: &Build<'_>, index: UnitIndex) -> bool {
    let outputs = build.planner.outputs(index);
    outputs.iter().all(|output| match &output.uplifted {
        Some(uplifted) => uplift::is_same(&output.path, uplifted),
        None => true,
    })
}

/// Puts the unit's files under the names by which users find them.
pub(crate) fn uplift_outputs(build: &Build<'_>, index: UnitIndex) -> Result<(), Diagnostic> {
    for output in build.planner.outputs(index) {
        if let Some(uplifted) = &output.uplifted
            && (output.kind != OutputKind::DebugInfo || output.path.exists())
        {
            let folder = uplifted.parent().unwrap_or(Path::new("/"));
            let made = folders::make(build.options, folder);
            made.and_then(|()| uplift::uplift(&output.path, uplifted))
                .map_err(|error| failed("write", uplifted, &error))?;
        }
    }
    Ok(())
}

/// Says what files there are now.
pub(crate) fn publish(build: &Build<'_>, index: UnitIndex, fresh: bool) {
    let mut filenames = Vec::new();
    let mut executable = None;
    for output in build.planner.outputs(index) {
        let is_there = output.path.exists();
        let is_program = output.kind == OutputKind::Normal && is_executable(build, index);
        let name = output.uplifted.clone().unwrap_or(output.path);
        if is_program && executable.is_none() {
            executable = Some(name.clone());
        }
        // `-o` has put it elsewhere, or the linker made none.
        if !is_there {
            continue;
        }
        filenames.push(name);
    }
    build.emit(Event::Artifact { unit: index, filenames, executable, fresh });
}

/// Writes down what the artifacts for users were made from, once everything is built.
pub(crate) fn write_rules(build: &Build<'_>) -> Result<(), Diagnostic> {
    for &index in &build.graph.roots {
        for output in build.planner.outputs(index) {
            let is_there = output.kind != OutputKind::DebugInfo && output.path.exists();
            if let Some(artifact) = output.uplifted.filter(|_| is_there) {
                write_rule(build, index, &artifact)?;
            }
        }
    }
    Ok(())
}

/// Whether the unit's main output is a program for users; a build script is none.
pub(crate) fn is_executable(build: &Build<'_>, index: UnitIndex) -> bool {
    let unit = build.unit(index);
    match (unit.mode, &unit.target.kind) {
        (CompileMode::Test, _) => true,
        (CompileMode::Build, TargetKind::Bin | TargetKind::Test | TargetKind::Bench) => true,
        (CompileMode::Build, TargetKind::Example(types)) => types.iter().all(|kind| *kind == CrateType::Bin),
        _ => false,
    }
}

/// Writes `target/debug/name.d`: all files of the user's own packages that went into the artifact.
fn write_rule(build: &Build<'_>, index: UnitIndex, artifact: &Path) -> Result<(), Diagnostic> {
    let mut sources = std::collections::BTreeSet::new();
    let mut seen = std::collections::BTreeSet::from([index]);
    let mut pending = vec![index];
    while let Some(next) = pending.pop() {
        let unit = build.unit(next);
        if !unit.is_local {
            continue;
        }
        if let Some(record) = build.record(next) {
            sources.extend(record.sources.iter().map(|source| source.path.clone()));
        }
        pending.extend(unit.dependencies.iter().map(|dependency| dependency.unit).filter(|unit| seen.insert(*unit)));
    }
    let path = rule_path(artifact);
    let text = dep_info::rule(artifact, sources);
    if files::read(&path, MAX_TEXT).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    files::write(&path, text.as_bytes()).map_err(|error| failed("write", &path, &error))
}

/// Where the rule for an artifact stands.
pub(crate) fn rule_path(artifact: &Path) -> PathBuf {
    artifact.with_extension("d")
}
