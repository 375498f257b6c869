//! One confined process of a unit: what it sees, and the jobserver that it shares.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bulkhead_sandbox::{Child, Denial, DenialKind, Exit, Gate, Limits, Process, SandboxError, Stream, Target};
use bulkhead_schema::Diagnostic;
use bulkhead_unit_graph::{Command, UnitIndex};

use crate::confinement::{self, Confinement};
use crate::limit::Reached;
use crate::outcome::LIBRARY_PATH;
use crate::run::Build;
use crate::tokens::Tokens;
use crate::{Event, Options, folders, plain};

/// The jobserver, as children are told of it.
#[derive(Debug)]
pub(crate) struct Jobserver {
    pub(crate) client: jobserver::Client,
    /// Whether its tokens are only ours to give.
    pub(crate) is_own: bool,
    /// Those tokens.
    pub(crate) tokens: Option<Tokens>,
    variables: Vec<(OsString, OsString)>,
    descriptors: Vec<i32>,
}

/// What an ordinary pipe takes without being made larger, less a little.
const MOST_TOKENS: usize = 32 << 10;

impl Jobserver {
    /// The inherited jobserver, or a new one that admits `options.jobs` processes.
    pub(crate) fn new(options: &Options<'_>) -> Result<Self, Diagnostic> {
        let failed = |error| Diagnostic::error("jobserver", format!("failed to make a jobserver: {error}"));
        // Each token is a byte in a pipe that no one empties; more processes than that no machine runs at a time.
        let (is_own, spare) = (options.jobserver.is_none(), options.jobs.saturating_sub(1).min(MOST_TOKENS));
        let client = match &options.jobserver {
            Some(client) => client.clone(),
            // One token is never in the pipe: a process may always run.
            None => jobserver::Client::new(spare).map_err(failed)?,
        };
        // The library only tells the variables through the standard library's type.
        let mut probe = std::process::Command::new("true");
        client.configure(&mut probe);
        let variables: Vec<_> = probe.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
        let descriptors = variables.iter().find_map(|(_, value)| descriptors(value.to_str()?)).unwrap_or_default();
        let tokens = is_own.then(|| Tokens::open(&descriptors, spare)).flatten();
        Ok(Self { client, is_own, tokens, variables, descriptors })
    }
}

/// The numbers in `--jobserver-auth=R,W`.
fn descriptors(flags: &str) -> Option<Vec<i32>> {
    let auth = flags.split_whitespace().find_map(|word| word.strip_prefix("--jobserver-auth="))?;
    auth.split(',').map(|number| number.parse().ok()).collect()
}

/// What a process may do that its command line does not tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// Readable, if present.
    pub(crate) read: Vec<PathBuf>,
    /// Writable folders, made if missing.
    pub(crate) write: Vec<PathBuf>,
}

/// Which processes are observed, so that what they are refused is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observe {
    /// Those in which code runs that is not the toolchain's.
    ForeignCode,
    /// This one.
    Always,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// Whether something was denied to it.
    pub(crate) denied: bool,
    /// The limit that ended it.
    pub(crate) limit: Option<Reached>,
}

/// A process of a unit that executes its program.
pub(crate) struct Running<'a> {
    child: Child,
    index: UnitIndex,
    command: &'a Command,
    limits: Limits,
}

/// Whether code may run in the process that is not the toolchain's: what is refused to it is worth knowing, even if it makes
/// nothing of it.
pub(crate) fn runs_foreign_code(build: &Build<'_>, index: UnitIndex, command: &Command) -> bool {
    build.runs_package_code[index.0 as usize] || !plain::is_plain(command, &build.options.sysroot)
}

/// Starts `command` for the unit at `index`. With a gate, it returns when that opens.
pub(crate) fn start<'a>(
    build: &Build<'_>,
    index: UnitIndex,
    command: &'a Command,
    reach: Reach,
    gate: Option<&Arc<Gate>>,
    observe: Observe,
) -> Result<Running<'a>, SandboxError> {
    for folder in &reach.write {
        folders::make(build.options, folder).map_err(|source| SandboxError::Setup {
            step: format!("making the folder {}", folder.display()),
            source,
        })?;
    }
    let mut process = describe(build, index, command, reach)?;
    process.gate = gate.cloned();
    process.observe = observe == Observe::Always || runs_foreign_code(build, index, command);
    let child = bulkhead_sandbox::spawn(&process)?;
    build.set_killer(index, Some(child.killer()?));
    if build.options.stop.load(Ordering::Relaxed) {
        child.kill();
    }
    Ok(Running { child, index, command, limits: process.limits })
}

impl Running<'_> {
    /// Waits for the end and hands over the output as it comes.
    pub(crate) fn wait(self, build: &Build<'_>, on_output: impl FnMut(Stream, &[u8])) -> Result<Ended, SandboxError> {
        let Self { child, index, command, limits } = self;
        let exit = child.wait_with(on_output);
        build.set_killer(index, None);
        let mut exit = exit?;
        let mut denials = noteworthy(command, std::mem::take(&mut exit.denials));
        denials.retain(|denial| !is_about_descriptor(denial, &build.jobserver.descriptors));
        let denied = !denials.is_empty();
        if denied {
            build.emit(Event::Denied { unit: index, denials });
        }
        let limit = Reached::by(&exit, &limits, confinement::kind_of(build.unit(index)));
        Ok(Ended { exit, denied, limit })
    }
}

/// The denials that tell something about the program.
pub fn noteworthy(command: &Command, mut denials: Vec<Denial>) -> Vec<Denial> {
    denials.retain(|denial| !is_library_search(command, denial));
    denials
}

/// Whether a denial is only the dynamic loader walking through the library path that Cargo's rules put into the
/// environment. What it looks for there and may not see, it finds in the system's folders.
fn is_library_search(command: &Command, denial: &Denial) -> bool {
    let (DenialKind::Read, Target::Path(path)) = (denial.kind, &denial.target) else { return false };
    let library_path = command.environment.iter().find(|(name, _)| name == LIBRARY_PATH);
    let mut folders = library_path.into_iter().flat_map(|(_, value)| std::env::split_paths(value));
    let is_library = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
    folders.any(|folder| *path == folder || is_library && path.parent() == Some(&folder))
}

/// Whether a process tried to open the jobserver's pipe anew by its name, as `cc` does, which goes on with the descriptor
/// itself when that fails. There is nothing to grant.
fn is_about_descriptor(denial: &Denial, descriptors: &[i32]) -> bool {
    let Target::Path(path) = &denial.target else { return false };
    let in_process = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
    let number = path.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok());
    in_process && number.is_some_and(|number| descriptors.contains(&number))
}

fn describe(build: &Build<'_>, index: UnitIndex, command: &Command, reach: Reach) -> Result<Process, SandboxError> {
    let options = build.options;
    let profile = confinement::profile(build.planner, options, index, command, reach.read, reach.write)
        .map_err(|error| SandboxError::Invalid(error.to_string()))?;
    let mut process = Confinement::of(options).process(&profile, command);
    // The jobserver is ours to name.
    let mut environment: BTreeMap<_, _> = std::mem::take(&mut process.environment).into_iter().collect();
    environment.extend(build.jobserver.variables.iter().cloned());
    process.environment = environment.into_iter().collect();
    process.inherit.clone_from(&build.jobserver.descriptors);
    Ok(process)
}
