//! `sandbox`: what processes may do, shown as it is enforced, tried by hand, and learnt from what they asked for in vain.

mod apart;
mod learn;
mod text;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command as Start, ExitStatus};
use std::sync::atomic::AtomicBool;

use bulkhead_executor::confinement;
use bulkhead_policy::{ProcessKind, Profile};
use bulkhead_sandbox::{Level, Stdin, Stdout};
use bulkhead_schema::PackageId;
use bulkhead_unit_graph::request::Intent;
use bulkhead_unit_graph::{CompileMode, Context, ScriptOutputs, Unit, UnitIndex};
use bulkhead_workspace::{CrateType, Files as _};

pub use learn::{LearnOptions, Learnt, learn};

use crate::compile::{self, Prepared};
use crate::confined::{self, could_not};
use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions};
use crate::permissions::{self, Permissions};
use crate::{Error, ErrorKind, Event, build, own_limits, reporter, specs};

/// What one process may do.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The process, as a title.
    pub title: String,
    /// The package; none for those that belong to no package.
    pub package: Option<PackageId>,
    /// What it may do.
    pub profile: Profile,
    /// How it is enforced; `None` if the user wants it not to be.
    pub level: Option<Level>,
    /// Its unit; none for programs and tests.
    unit: Option<UnitIndex>,
}

/// Which processes are meant.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The package; the current one if none is named.
    pub spec: Option<String>,
    /// The kind of process; all of a build, and programs and tests of members, if none is named.
    pub kind: Option<ProcessKind>,
}

/// The kind of this name on the command line.
pub fn kind(name: &str) -> Option<ProcessKind> {
    ProcessKind::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// A plan, and what policy says about it.
struct Stage {
    prepared: Prepared,
    permissions: Permissions,
}

/// The profiles of the processes that build a package and run it.
///
/// # Errors
/// The project cannot be planned; there is no such package or process.
pub fn show(
    global: &GlobalOptions,
    options: &CompileOptions,
    selection: &Selection,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Vec<Shown>> {
    if let Some(shown) = apart::show(global, selection, events)? {
        return Ok(shown);
    }
    let stage = stage(global, options, selection, events)?;
    profiles(global, options, &stage, selection)
}

fn stage(
    global: &GlobalOptions,
    options: &CompileOptions,
    selection: &Selection,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Stage> {
    global.place.disk.never_repeat();
    let intent = match selection.kind {
        Some(ProcessKind::Rustdoc) => Intent::Doc { dependencies: true },
        _ => options.intent,
    };
    let mut prepared = compile::prepare(global, &CompileOptions { intent, ..options.clone() }, events)?;
    prepared.graph.set_doctests_aside();
    let permissions = permissions::of(global, &prepared, events)?;
    Ok(Stage { prepared, permissions })
}

fn profiles(
    global: &GlobalOptions,
    options: &CompileOptions,
    stage: &Stage,
    selection: &Selection,
) -> Result<Vec<Shown>> {
    let Stage { prepared, permissions } = stage;
    let graph = &prepared.graph;
    let known: BTreeSet<PackageId> = graph.units.iter().map(|unit| unit.package.id).collect();
    let wanted = match (&selection.spec, prepared.selected.as_slice()) {
        (Some(spec), _) => specs::one(spec, &known, &global.place)?,
        (None, [one, ..]) => one.id,
        (None, []) => return Err(Error::new(ErrorKind::Usage, "name a package, such as `libz-sys`")),
    };
    let stop = AtomicBool::new(false);
    let of_units = |context: &Context<'_>, executor: &bulkhead_executor::Options<'_>| {
        let all = (0_u32..).map(UnitIndex).zip(&graph.units);
        let wanted = all.filter(|(_, unit)| unit.package.id == wanted && is_meant(unit, selection.kind));
        let shown = wanted.map(|(index, unit)| {
            let shown = of_unit(context, executor, index, unit)?;
            let linker = linker(unit, &shown);
            let both = [Some(shown), linker].into_iter().flatten();
            Ok(both.filter(|shown| selection.kind.is_none_or(|kind| shown.profile.kind == kind)).collect())
        });
        shown.collect::<Result<Vec<Vec<_>>>>().map(|all| all.concat())
    };
    let mut shown = build::with_executor(global, options, prepared, permissions, None, &stop, &|_| (), of_units)??;
    let is_member = prepared.project.workspace.members.iter().any(|member| member.id == wanted);
    for kind in [ProcessKind::Run, ProcessKind::Test] {
        if is_member && selection.kind.is_none_or(|meant| meant == kind) {
            shown.push(of_program(global, stage, wanted, kind)?);
        }
    }
    if shown.is_empty() {
        let kind = selection.kind.map(ProcessKind::name).unwrap_or_default();
        return Err(Error::failure(format!("the build of `{wanted}` starts no process of the kind `{kind}`")));
    }
    Ok(shown)
}

fn is_meant(unit: &Unit, kind: Option<ProcessKind>) -> bool {
    let wanted = match kind {
        Some(ProcessKind::Linker) => Some(ProcessKind::Rustc),
        kind => kind,
    };
    wanted.is_none_or(|kind| confinement::kind_of(unit) == kind)
}

/// The profile of the linker that the rustc of a unit starts: it is a child of that process, in the same namespaces, under
/// the same rules and limits, none of which can be taken off.
fn linker(unit: &Unit, rustc: &Shown) -> Option<Shown> {
    let needs_linker = |each: &CrateType| !matches!(each, CrateType::Lib | CrateType::Rlib | CrateType::Staticlib);
    let links = match unit.mode {
        CompileMode::Test => true,
        CompileMode::Build => unit.target.crate_types().iter().any(needs_linker),
        _ => false,
    };
    (links && rustc.profile.kind == ProcessKind::Rustc).then(|| Shown {
        title: format!("linker of `{}` ({}), which its rustc starts", unit.package.id, reporter::describe(unit)),
        profile: Profile { kind: ProcessKind::Linker, ..rustc.profile.clone() },
        ..rustc.clone()
    })
}

/// The profile of a unit's process, as the executor would make it, less what build scripts have yet to say.
fn of_unit(
    context: &Context<'_>,
    executor: &bulkhead_executor::Options<'_>,
    index: UnitIndex,
    unit: &Unit,
) -> Result<Shown> {
    use bulkhead_executor::Planner as _;
    let command = context.command(index, &ScriptOutputs::default());
    let read = if unit.mode == CompileMode::RunBuildScript { vec![command.program.clone()] } else { Vec::new() };
    let write = context.writable_paths(index);
    let profile = confinement::profile(context, executor, index, &command, read, write);
    let process = match confinement::kind_of(unit) {
        ProcessKind::BuildScript => "build script",
        ProcessKind::Rustdoc => "rustdoc",
        _ => "rustc, macros in it, and the linker",
    };
    Ok(Shown {
        title: format!("{process} of `{}` ({})", unit.package.id, reporter::describe(unit)),
        package: Some(unit.package.id),
        profile: profile.map_err(|error| could_not(&error))?,
        level: Some(executor.level),
        unit: Some(index),
    })
}

/// The profile of a program or a test under `--confined`.
fn of_program(global: &GlobalOptions, stage: &Stage, package: PackageId, kind: ProcessKind) -> Result<Shown> {
    let Stage { prepared, permissions } = stage;
    let folder = prepared.selected.iter().find(|member| member.id == package);
    let mut start = Start::new(prepared.build_options.target_dir.join("program"));
    start.current_dir(folder.map_or(&global.place.current_dir, |member| &member.root));
    start.env("CARGO", &global.place.program);
    Ok(Shown {
        title: format!("`{} --confined` of `{package}`", kind.name()),
        package: Some(package),
        profile: confined::profile(&global.place, prepared, permissions, kind, &start)?,
        level: Some(permissions.level()),
        unit: None,
    })
}

/// Runs `command` (a shell if empty) as the process that is meant would run: the build script of the package if it has one,
/// else its compiler. Returns how it ended; what was denied is reported.
///
/// # Errors
/// As [`show`]; the process cannot be confined.
pub fn shell(
    global: &GlobalOptions,
    options: &CompileOptions,
    selection: &Selection,
    command: &[OsString],
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<ExitStatus> {
    let stage = stage(global, options, selection, events)?;
    let mut all = profiles(global, options, &stage, selection)?;
    let position = all.iter().position(|shown| shown.profile.kind == ProcessKind::BuildScript).unwrap_or_default();
    let Shown { title, profile, unit, level, .. } = all.swap_remove(position);
    events(Event::Status { verb: "Entering", message: format!("the sandbox of the {title}") });
    for folder in &profile.write {
        std::fs::create_dir_all(&folder.value).map_err(|error| could_not(&error))?;
    }
    let mut process = confinement::process(&profile, level.unwrap_or_default());
    let shell = [OsString::from("/bin/sh")];
    let [program, arguments @ ..] = (if command.is_empty() { &shell[..] } else { command }) else {
        return Err(no_program());
    };
    process.program = find(global, program)?;
    process.arguments = arguments.to_vec();
    process.stdin = Stdin::Inherit;
    process.stdout = Stdout::Inherit;
    process.observe = true;
    process.limits.wall_time = None;
    own_limits::lift();
    let child = bulkhead_sandbox::spawn(&process).map_err(|error| could_not(&error))?;
    let exit = confined::wait(child, stop)?;
    if let Some(unit) = unit.filter(|_| !exit.denials.is_empty()) {
        let unit = stage.prepared.graph.unit(unit);
        events(Event::Diagnostic(reporter::denials(
            &stage.permissions,
            unit,
            "what you ran in the sandbox",
            &exit.denials,
        )));
    }
    Ok(exit.status.to_std())
}

/// Where processes look for programs.
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

fn find(global: &GlobalOptions, program: &OsString) -> Result<PathBuf> {
    let path = Path::new(program);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let plain = path.components().count() == 1;
    let found = PROGRAMS
        .iter()
        .map(|folder| Path::new(folder).join(path))
        .find(|path| plain && global.place.disk.is_file(path));
    found.ok_or_else(|| {
        let message = format!("no program `{}` in {}", path.display(), PROGRAMS.join(", "));
        Error::new(ErrorKind::Usage, message).help("name it by its absolute path")
    })
}

fn no_program() -> Error {
    Error::new(ErrorKind::Usage, "there is no program to run")
}
