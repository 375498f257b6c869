//! `run` and `test`: compile, then start what was compiled.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use bulkhead_config::Runner;
use bulkhead_executor::Executable;
use bulkhead_policy::ProcessKind;
use bulkhead_sandbox::Status;
use bulkhead_unit_graph::{CompileKind, CompileMode, Unit};
use bulkhead_workspace::TargetKind;

use crate::build::{self, Built};
use crate::compile::Prepared;
use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions, Intent, MessageFormat, NameFilter, PackageOptions, Place};
use crate::project::{self, Project};
use crate::{Error, ErrorKind, Event, confined, doctest, own_limits};

/// A program that is ready to be started, described completely.
#[derive(Debug)]
pub struct Launch {
    /// The program, its arguments, environment and folder.
    pub command: Command,
    /// The program and its arguments as they are shown.
    pub shown: String,
}

/// What is to be started, and how.
pub struct Run {
    /// The program.
    pub launch: Launch,
    /// What confines it; `None` where it may do all that its user may.
    confined: Option<Box<Built>>,
}

impl Run {
    /// Runs the program to its end, if it is to be confined; `None` if not.
    ///
    /// # Errors
    /// It cannot be confined, was interrupted, or reached a limit.
    pub fn confined(&self, place: &Place, stop: &AtomicBool, events: &dyn Fn(Event)) -> Result<Option<ExitStatus>> {
        let Some(built) = &self.confined else { return Ok(None) };
        let Built { prepared, permissions, .. } = &**built;
        let command = &self.launch.command;
        confined::run(place, prepared, permissions, ProcessKind::Run, command, stop, events).map(Some)
    }
}

/// Compiles the one program that is meant and says how to start it. Unless it is to be confined, the caller replaces itself
/// by it, so that signals and the terminal are the program's own.
///
/// # Errors
/// The compilation failed, or it is not clear which program is meant.
pub fn run(
    global: &GlobalOptions,
    options: &CompileOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Run> {
    if options.platforms.len() > 1 {
        return Err(Error::failure("only one `--target` argument is supported"));
    }
    let project = project::open(global, events)?;
    let mut options = options.clone();
    choose_binary(&project, &mut options)?;
    let built = build::build_project(global, project, &options, stop, events)?;
    // The program is still to be run.
    global.place.disk.never_repeat();
    let executable = match built.outcome.executables.as_slice() {
        [one] => one,
        [] => return Err(Error::failure("a bin target must be available for `bulkhead run`")),
        many => return Err(ambiguous(&built, many)),
    };
    let shown = executable.path.strip_prefix(&global.place.current_dir).unwrap_or(&executable.path);
    let launch = launch(global, &built, executable, shown, &options.arguments, &global.place.current_dir)?;
    let confined = built.permissions.confines(ProcessKind::Run, options.confined);
    Ok(Run { launch, confined: confined.then(|| Box::new(built)) })
}

/// Without `--bin` or `--example`: the package's `default-run`, if there is one.
fn choose_binary(project: &Project, options: &mut CompileOptions) -> Result<()> {
    if options.targets.bins != NameFilter::None || options.targets.examples != NameFilter::None {
        return Ok(());
    }
    let selected = crate::select::members(&project.workspace, &options.packages, &|_| {})?;
    let defaults: Vec<_> = selected.iter().filter_map(|package| package.default_run).collect();
    options.targets.bins = match defaults.as_slice() {
        [one] => NameFilter::Named(vec![one.to_string()]),
        _ => NameFilter::All,
    };
    let bins = selected.iter().flat_map(|package| &package.targets).filter(|target| target.kind == TargetKind::Bin);
    let names: Vec<_> = bins.map(|target| target.name.to_string()).collect();
    if defaults.is_empty() && names.len() > 1 {
        return Err(Error::failure(
            "could not determine which binary to run. Use the `--bin` option to specify a binary, or the `default-run` \
             manifest key",
        )
        .because(format!("available binaries: {}", names.join(", "))));
    }
    if names.is_empty() {
        return Err(Error::failure("a bin target must be available for `bulkhead run`"));
    }
    Ok(())
}

fn ambiguous(built: &Built, many: &[Executable]) -> Error {
    let names: Vec<_> =
        many.iter().map(|executable| built.prepared.graph.unit(executable.unit).target.name.to_string()).collect();
    Error::failure("`bulkhead run` can run at most one executable, but multiple were specified")
        .because(format!("candidates: {}", names.join(", ")))
}

fn launch(
    global: &GlobalOptions,
    built: &Built,
    executable: &Executable,
    shown: &Path,
    arguments: &[OsString],
    current_dir: &Path,
) -> Result<Launch> {
    // What the user wants to run has the user's limits.
    own_limits::lift();
    let mut words = vec![shown.as_os_str().to_owned()];
    let mut command = Command::new(&executable.path);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::arg0(&mut command, shown);
    if let Some(Runner { program, arguments }) = runner(built, built.prepared.graph.unit(executable.unit).platform)? {
        command = Command::new(&program);
        command.args(&arguments).arg(shown);
        words.splice(0..0, [program.into_os_string()].into_iter().chain(arguments.into_iter().map(OsString::from)));
    }
    command.args(arguments).current_dir(current_dir);
    words.extend(arguments.iter().cloned());
    command.envs(executable.environment.iter().map(|(name, value)| (name, value)));
    command.env("CARGO", &global.place.program);
    command.env(LIBRARY_PATH, library_path(global, built, executable));
    let shown: Vec<_> = words.iter().map(|word| crate::reporter::quoted(&word.to_string_lossy())).collect();
    Ok(Launch { command, shown: shown.join(" ") })
}

/// `target.PLATFORM.runner`, which starts programs of that platform.
pub fn runner(built: &Built, platform: CompileKind) -> Result<Option<Runner>> {
    let Prepared { project, toolchain, .. } = &built.prepared;
    let Some(platform) = toolchain.platforms.get(&platform) else { return Ok(None) };
    let target = project.configuration.config.target_table(&platform.triple, &platform.cfg)?;
    Ok(target.runner.map(|runner| runner.value))
}

const LIBRARY_PATH: &str = if cfg!(target_os = "macos") { "DYLD_FALLBACK_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

fn library_path(global: &GlobalOptions, built: &Built, executable: &Executable) -> OsString {
    let toolchain = &built.prepared.toolchain;
    let libdir = toolchain.platforms.get(&CompileKind::Host).map(|info| info.target_libdir.clone());
    let mut folders: Vec<PathBuf> = executable.library_paths.clone();
    folders.extend(libdir);
    folders.push(toolchain.sysroot.join("lib"));
    if let Some(old) = global.place.environment.get(std::ffi::OsStr::new(LIBRARY_PATH)) {
        folders.extend(std::env::split_paths(old));
    }
    std::env::join_paths(folders).unwrap_or_default()
}

/// Compiles tests and runs them one after the other, and the doctests at last.
///
/// # Errors
/// The compilation failed, or a test did; with `--no-fail-fast` all run first.
pub fn test(
    global: &GlobalOptions,
    options: &CompileOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    if options.targets.doctests && options.no_run {
        return Err(Error::failure("can't skip running doc tests with --no-run"));
    }
    let built = build::build(global, options, stop, events)?;
    global.place.disk.never_repeat();
    let tests = Tests { global, built: &built, confined: options.confined, stop, events };
    let mut failures = Failures { options, events, all: Vec::new() };
    for executable in &built.outcome.executables {
        let unit = built.prepared.graph.unit(executable.unit);
        if !is_test(unit) {
            continue;
        }
        let arguments = harness_arguments(options, unit);
        let launch = launch(global, &built, executable, &executable.path, &arguments, &unit.package.root)?;
        let shown = shown_path(global, &executable.path);
        if options.no_run {
            // Whoever reads JSON has the path from there.
            if !matches!(options.message_format, MessageFormat::Json { .. }) {
                let what = if options.intent == Intent::Bench { "benches" } else { "unittests" };
                let message = match global.verbose {
                    0 => title(what, unit, &shown),
                    _ => format!("`{}`", executable.path.display()),
                };
                events(Event::Status { verb: "Executable", message });
            }
            continue;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, ""));
        }
        let message = if global.verbose > 0 { format!("`{}`", launch.shown) } else { title("unittests", unit, &shown) };
        events(Event::Status { verb: "Running", message });
        if let Err(failure) = start(launch, &tests)?
            && !failures.add("test", rerun_flags(unit, &built, &options.packages), failure)
        {
            return failures.result();
        }
    }
    if !options.no_run {
        doctest::run(&built, global, options, stop, events, &mut |unit, reason| {
            let failure = TestFailure { reason, code: None };
            failures.add("doctest", rerun_flags(unit, &built, &options.packages), failure)
        })?;
    }
    failures.result()
}

/// What the test harness of `unit` is told; programs of one's own get only what the user says.
pub fn harness_arguments(options: &CompileOptions, unit: &Unit) -> Vec<OsString> {
    let mut arguments = options.arguments.clone();
    if unit.target.harness && options.quiet_harness {
        arguments.push("--quiet".into());
    }
    if options.intent == Intent::Bench {
        arguments.push("--bench".into());
    }
    arguments
}

/// How a test failed.
struct TestFailure {
    /// Empty if the harness has said it.
    reason: String,
    /// How it ended of its own accord, if not as harnesses do.
    code: Option<i32>,
}

/// The tests that failed.
struct Failures<'a> {
    options: &'a CompileOptions,
    events: &'a (dyn Fn(Event) + Sync),
    /// The flags that run it again, and the error.
    all: Vec<(String, Error)>,
}

impl Failures<'_> {
    /// Takes note of one; returns whether the others are to run all the same.
    fn add(&mut self, what: &str, flags: String, TestFailure { reason, code }: TestFailure) -> bool {
        let what = if self.options.intent == Intent::Bench { "bench" } else { what };
        let mut error = Error::failure(format!("{what} failed, to rerun pass `{flags}`"));
        if !reason.is_empty() {
            error = error.because(reason);
        }
        if self.options.no_fail_fast || code.is_some() {
            (self.events)(Event::Error(error.clone()));
        }
        if let Some(code) = code {
            let shows_all = |argument: &OsString| argument == "--nocapture" || argument == "--no-capture";
            if !self.options.quiet_harness && !self.options.arguments.iter().any(shows_all) {
                let advice = "test exited abnormally; to see the full output pass --no-capture to the harness.";
                (self.events)(Event::Note(advice.to_owned()));
            }
            error = Error::new(ErrorKind::Child(code), "");
        }
        self.all.push((flags, error));
        self.options.no_fail_fast
    }

    fn result(mut self) -> Result<()> {
        if !self.options.no_fail_fast {
            return self.all.pop().map_or(Ok(()), |(_, error)| Err(error));
        }
        let targets: Vec<_> = self.all.iter().map(|(flags, _)| format!("`{flags}`")).collect();
        match targets.len() {
            0 => Ok(()),
            1 => Err(Error::failure(format!("1 target failed:\n  {}", targets[0]))),
            count => Err(Error::failure(format!("{count} targets failed:\n  {}", targets.join("\n  ")))),
        }
    }
}

fn is_test(unit: &Unit) -> bool {
    unit.mode.is_test()
}

/// What all tests of one run have in common.
struct Tests<'a> {
    global: &'a GlobalOptions,
    built: &'a Built,
    confined: bool,
    stop: &'a AtomicBool,
    events: &'a (dyn Fn(Event) + Sync),
}

/// Runs one test program; the inner error says how it failed.
fn start(mut launch: Launch, tests: &Tests<'_>) -> Result<std::result::Result<(), TestFailure>> {
    let program = launch.shown;
    let Tests { global, built: Built { prepared, permissions, .. }, stop, events, .. } = tests;
    let status = match permissions.confines(ProcessKind::Test, tests.confined) {
        true => {
            let (kind, command) = (ProcessKind::Test, &launch.command);
            confined::run(&global.place, prepared, permissions, kind, command, stop, events)?
        }
        false => match launch.command.stdin(Stdio::inherit()).status() {
            Ok(status) => status,
            Err(error) => {
                let reason = format!("could not execute process `{program}`: {error}");
                return Ok(Err(TestFailure { reason, code: None }));
            }
        },
    };
    Ok(match status.code() {
        Some(0) => Ok(()),
        Some(101) => Err(TestFailure { reason: String::new(), code: None }),
        code => {
            let status = Status::from(status);
            Err(TestFailure { reason: format!("process didn't exit successfully: `{program}` ({status})"), code })
        }
    })
}

fn rerun_flags(unit: &Unit, built: &Built, packages: &PackageOptions) -> String {
    let name = unit.target.name;
    let target = match &unit.target.kind {
        TargetKind::Lib(_) if unit.mode == CompileMode::Doctest => "--doc".to_owned(),
        TargetKind::Lib(_) => "--lib".to_owned(),
        TargetKind::Bin => format!("--bin {name}"),
        TargetKind::Example(_) => format!("--example {name}"),
        TargetKind::Test => format!("--test {name}"),
        TargetKind::Bench => format!("--bench {name}"),
        TargetKind::BuildScript => String::new(),
    };
    let named = !packages.packages.is_empty() || !packages.exclude.is_empty();
    match built.prepared.selected.len() {
        1 if !named => target,
        _ => format!("-p {} {target}", unit.package.id.name()),
    }
}

fn shown_path(global: &GlobalOptions, path: &Path) -> String {
    path.strip_prefix(&global.place.current_dir).unwrap_or(path).display().to_string()
}

fn title(what: &str, unit: &Unit, shown: &str) -> String {
    let source = unit.target.path.strip_prefix(&unit.package.root).unwrap_or(&unit.target.path).display().to_string();
    match unit.target.kind {
        TargetKind::Test | TargetKind::Bench | TargetKind::Example(_) => format!("{source} ({shown})"),
        _ => format!("{what} {source} ({shown})"),
    }
}
