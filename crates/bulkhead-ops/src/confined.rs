//! Programs and tests of the project under `--confined`: what they may do, and their run.

use std::path::{Path, PathBuf};
use std::process::{Command as Start, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bulkhead_executor::{Confinement, Reached};
use bulkhead_policy::profile::{Profile, compile};
use bulkhead_policy::{Granted, Origin, ProcessKind};
use bulkhead_sandbox::{Child, Denial, Exit, Killer, Stdin, Stdout};
use bulkhead_schema::Diagnostic;
use bulkhead_unit_graph::Command;

use crate::audit;
use crate::compile::Prepared;
use crate::error::Result;
use crate::options::Place;
use crate::permissions::{Permissions, denied};
use crate::{Error, ErrorKind, Event, reporter};

/// How often an interruption is looked for.
const ATTENTION: Duration = Duration::from_millis(50);

/// What a program that is started like `start` may do: read the workspace and what was built, write the folder that is meant
/// for it below the target folder, use a loopback of its own, and what policy grants.
///
/// # Errors
/// A grant that no profile can hold.
pub fn profile(
    place: &Place,
    prepared: &Prepared,
    permissions: &Permissions,
    kind: ProcessKind,
    start: &Start,
) -> Result<Profile> {
    let environment = permissions.environment();
    let confinement = Confinement {
        sysroot: &prepared.toolchain.sysroot,
        level: permissions.level(),
        limits: &|kind| permissions.limits(kind),
        environment: &environment,
        protected: &permissions.protected,
    };
    let mut facts = confinement.facts(kind, &command(place, start), permissions.program_grants(kind));
    let workspace = &prepared.project.workspace;
    let (target, intermediate) = (&prepared.build_options.target_dir, &prepared.build_options.build_dir);
    let members = workspace.members.iter().map(|member| member.root.clone());
    let read = members.chain([workspace.root.clone(), target.clone(), intermediate.clone()]);
    facts.read.extend(read.map(|path| Granted::new(path, Origin::Workspace)));
    facts.read.push(Granted::new(place.program.clone(), Origin::Configuration));
    facts.write.push(Granted::new(intermediate.join("tmp"), Origin::Workspace));
    compile(facts).map_err(|error| could_not(&error))
}

/// Runs the program to its end; output and input are ours. What it was denied is reported after that.
///
/// # Errors
/// It cannot be confined, or reached a limit.
pub fn run(
    place: &Place,
    prepared: &Prepared,
    permissions: &Permissions,
    kind: ProcessKind,
    start: &Start,
    stop: &AtomicBool,
    events: &dyn Fn(Event),
) -> Result<ExitStatus> {
    let profile = profile(place, prepared, permissions, kind, start)?;
    for folder in profile.write.iter().filter(|folder| matches!(folder.origin, Origin::Workspace)) {
        std::fs::create_dir_all(&folder.value).map_err(|error| could_not(&error))?;
    }
    let mut process = bulkhead_executor::confinement::process(&profile, permissions.level());
    process.arguments = start.get_args().map(ToOwned::to_owned).collect();
    process.stdin = Stdin::Inherit;
    process.stdout = Stdout::Inherit;
    process.observe = true;
    let child = bulkhead_sandbox::spawn(&process).map_err(|error| could_not(&error))?;
    let exit = wait(child, stop)?;
    if !exit.denials.is_empty() {
        let id = prepared.selected.first().map(|package| package.id);
        id.into_iter().for_each(|id| audit::record_denied(place, id, &exit.denials));
        events(Event::Diagnostic(denials(permissions, kind, &exit.denials)));
    }
    match Reached::by(&exit, &process.limits, kind) {
        Some(limit) => Err(Error::failure(format!("the program was ended: {limit}")).help(limit.help())),
        None => Ok(exit.status.to_std()),
    }
}

/// Waits for the end, or ends it when the user wants that.
pub fn wait(child: Child, stop: &AtomicBool) -> Result<Exit> {
    let killer = child.killer().map_err(|error| could_not(&error))?;
    let ended = AtomicBool::new(false);
    let exit = std::thread::scope(|scope| {
        let guard = scope.spawn(|| kill_on_stop(&killer, stop, &ended));
        let exit = child.wait();
        ended.store(true, Ordering::Relaxed);
        guard.thread().unpark();
        exit
    });
    if stop.load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Interrupted, ""));
    }
    exit.map_err(|error| could_not(&error))
}

fn kill_on_stop(killer: &Killer, stop: &AtomicBool, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        if stop.load(Ordering::Relaxed) {
            return killer.kill();
        }
        std::thread::park_timeout(ATTENTION);
    }
}

/// `start` as the planner describes processes. Arguments are not part of a profile.
fn command(place: &Place, start: &Start) -> Command {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let current_dir = start.get_current_dir().unwrap_or(&place.current_dir);
    Command {
        program: PathBuf::from(start.get_program()),
        arguments: Vec::new(),
        environment: start.get_envs().filter_map(|(name, value)| Some((text(name), text(value?)))).collect(),
        current_dir: bulkhead_workspace::normalize(Path::new(current_dir)),
    }
}

fn denials(permissions: &Permissions, kind: ProcessKind, denials: &[Denial]) -> Diagnostic {
    let lines: Vec<_> = denials.iter().map(|it| reporter::denial_line(permissions, it)).collect();
    let message = format!("the program was denied under `--confined`:{}", lines.concat());
    let what: Vec<_> = denials.iter().map(denied).collect();
    let secrets = what.iter().any(|what| permissions.is_secret(what));
    let table = bulkhead_policy::propose_program(kind.name(), &what, |what| permissions.is_secret(what));
    Diagnostic::warning("sandbox-denied", message).help(reporter::advice(&table, secrets))
}

/// The error for a process that was not started.
pub fn could_not(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Sandbox, "could not run the program confined").because(error)
}
