//! From what is known about a process to the profile that policy makes of it, and from that to what the sandbox takes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_policy::profile::{Facts, Impossible, Profile, compile};
use bulkhead_policy::{Granted, Origin, ProcessKind};
use bulkhead_sandbox::{Endpoint, Level, Limits, Network, Process};
use bulkhead_schema::policy::{NetworkRule, ProcessLimits};
use bulkhead_unit_graph::{Command, CompileMode, Unit, UnitIndex};

use crate::files::normalise;
use crate::{Grants, Options, Planner};

/// What all confined processes of a project have in common.
#[derive(Clone, Copy)]
pub struct Confinement<'a> {
    /// See [`Options::sysroot`].
    pub sysroot: &'a Path,
    /// See [`Options::level`].
    pub level: Level,
    /// See [`Options::limits`].
    pub limits: &'a (dyn Fn(ProcessKind) -> ProcessLimits + Sync),
    /// See [`Options::environment`].
    pub environment: &'a [(String, String)],
    /// See [`Options::protected`].
    pub protected: &'a [PathBuf],
}

impl<'a> Confinement<'a> {
    /// That of a build.
    pub fn of(options: &'a Options<'_>) -> Self {
        let Options { sysroot, level, limits, environment, protected, .. } = options;
        Self { sysroot, level: *level, limits: *limits, environment, protected }
    }

    /// `command` with nothing but the toolchain, its own programs and what was granted. The planner's variables win over the
    /// granted ones, and these over the allowed ones.
    pub fn facts(&self, kind: ProcessKind, command: &Command, grants: Grants) -> Facts {
        let mut facts = Facts::new(kind, &command.program, &command.current_dir);
        facts.required.push(Granted::new(self.sysroot.to_owned(), Origin::Toolchain));
        facts.read.extend(programs(command).map(|path| Granted::new(normalise(&path), Origin::Configuration)));
        // Macros and build scripts ask it where their workspace is. It runs confined as they do.
        let cargo = command.environment.iter().filter(|(name, _)| *name == "CARGO").map(|(_, path)| Path::new(path));
        facts.read.extend(cargo.map(|path| Granted::new(normalise(path), Origin::Toolchain)));
        facts.read.extend(grants.read);
        facts.write.extend(grants.write.into_iter().filter(|granted| granted.value.exists()));
        let variable = |(name, value): &(String, String), origin| Granted::new((name.clone(), value.clone()), origin);
        facts.environment.extend(self.environment.iter().map(|pair| variable(pair, Origin::AllowList)));
        let set = grants
            .environment
            .into_iter()
            .filter_map(|Granted { value: (name, value), origin }| Some(Granted::new((name, value?), origin)));
        facts.environment.extend(set);
        let planned = command.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        facts.environment.extend(planned.map(|pair| Granted::new(pair, Origin::Package)));
        if let Some(network) = grants.network {
            facts.network = network;
        }
        facts.directives = grants.directives;
        facts.limits = (self.limits)(kind);
        facts.protected = self.protected.iter().cloned().chain([self.sysroot.to_owned()]).collect();
        facts
    }

    /// The process that runs `command` under `profile`.
    pub fn process(&self, profile: &Profile, command: &Command) -> Process {
        let mut process = process(profile, self.level);
        process.arguments = command.arguments.iter().map(OsString::from).collect();
        process
    }
}

/// The process that a profile describes, without arguments.
pub fn process(profile: &Profile, level: Level) -> Process {
    let paths = |entries: &[Granted<PathBuf>]| entries.iter().map(|entry| entry.value.clone()).collect();
    let mut process = Process::new(&profile.program);
    process.current_dir.clone_from(&profile.current_dir);
    process.read = paths(&profile.required);
    process.read_if_present = paths(&profile.read);
    process.write = paths(&profile.write);
    process.hidden = paths(&profile.hidden);
    process.terminal = profile.kind.asks_people();
    let variables = profile.environment.iter();
    process.environment = variables.map(|(name, value)| (name.into(), value.value.clone().into())).collect();
    (process.network, process.hosts) = network(profile);
    // Agents and keyrings, which these ask, are behind Unix sockets.
    process.local_sockets = matches!(profile.kind, ProcessKind::Git | ProcessKind::CredentialHelper);
    // A compiler needs none, and starts sooner without.
    process.ipc = profile.kind != ProcessKind::Rustc;
    process.limits = limits(profile);
    process.level = level;
    process
}

fn network(profile: &Profile) -> (Network, Vec<Endpoint>) {
    match &profile.network.value {
        // Tests start servers.
        NetworkRule::None if profile.kind.is_program() => (Network::Loopback, Vec::new()),
        NetworkRule::None => (Network::None, Vec::new()),
        NetworkRule::All => (Network::Host, Vec::new()),
        NetworkRule::Hosts(hosts) => {
            let endpoint =
                |host: &bulkhead_schema::policy::Endpoint| Endpoint { host: host.host().to_owned(), port: host.port() };
            (Network::Hosts, hosts.iter().map(endpoint).collect())
        }
    }
}

/// What processes of a kind may use where policy does not say it: as much as the sandbox lets everybody; programs run as long
/// as they like, and print as much as they like.
pub fn usual_limits(kind: ProcessKind) -> ProcessLimits {
    let usual = Limits::default();
    let bounded = !kind.is_program();
    // What git prints are the files of a checkout, which are counted as they are written.
    let prints_data = kind == ProcessKind::Git;
    let mebibytes = |bytes: u64| bytes >> 20;
    ProcessLimits {
        time_seconds: usual.wall_time.filter(|_| bounded).map(|time| time.as_secs()),
        cpu_seconds: usual.cpu_time.map(|time| time.as_secs()),
        memory_mib: usual.memory_bytes.map(mebibytes),
        total_memory_mib: usual.total_memory_bytes.filter(|_| bounded).map(mebibytes),
        processes: usual.processes,
        open_files: usual.open_files,
        file_mib: usual.file_size.map(mebibytes),
        output_mib: usual.output_bytes.filter(|_| bounded && !prints_data).map(mebibytes),
        ..ProcessLimits::default()
    }
}

/// The sandbox's limits: those of the profile, else the usual ones.
pub fn limits(profile: &Profile) -> Limits {
    let limits = profile.limits.or(usual_limits(profile.kind));
    let bytes = |value: Option<u64>| value.map(|mebibytes| mebibytes.saturating_mul(1 << 20));
    Limits {
        wall_time: limits.time_seconds.map(Duration::from_secs),
        cpu_time: limits.cpu_seconds.map(Duration::from_secs),
        memory_bytes: bytes(limits.memory_mib),
        total_memory_bytes: bytes(limits.total_memory_mib),
        processes: limits.processes,
        open_files: limits.open_files,
        file_size: bytes(limits.file_mib),
        output_bytes: bytes(limits.output_mib),
    }
}

/// What kind of process a unit is.
pub fn kind_of(unit: &Unit) -> ProcessKind {
    match unit.mode {
        CompileMode::RunBuildScript => ProcessKind::BuildScript,
        CompileMode::Doc | CompileMode::Doctest => ProcessKind::Rustdoc,
        _ => ProcessKind::Rustc,
    }
}

/// The profile of the process of the unit at `index`, which reads and writes besides what the planner knows: `read`, and
/// `write` in the place of the planner's folders.
///
/// # Errors
/// A grant that no profile can hold.
pub fn profile(
    planner: &dyn Planner,
    options: &Options<'_>,
    index: UnitIndex,
    command: &Command,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
) -> Result<Profile, Impossible> {
    let unit = planner.graph().unit(index);
    let mut facts = Confinement::of(options).facts(kind_of(unit), command, (options.grants)(unit));
    let planned = planner.readable_paths(index).into_iter().chain(read);
    facts.read.extend(planned.map(|path| {
        let origin = origin(&path, unit, options);
        Granted::new(normalise(&path), origin)
    }));
    facts.write.extend(write.into_iter().map(|path| Granted::new(path, Origin::Package)));
    compile(facts)
}

fn origin(path: &Path, unit: &Unit, options: &Options<'_>) -> Origin {
    if path.starts_with(&unit.package.root) {
        Origin::Package
    } else if unit.is_local && path == options.workspace_root {
        Origin::Workspace
    } else {
        Origin::Dependency
    }
}

/// Wrappers, the compiler behind them, and the linker: whoever configured these programs wants them to be started.
fn programs(command: &Command) -> impl Iterator<Item = PathBuf> {
    let wrapped = command.arguments.iter().take_while(|argument| argument.starts_with('/')).map(String::as_str);
    let linker =
        command.arguments.iter().filter_map(|argument| argument.trim_start_matches("-C").strip_prefix("linker="));
    let program = std::iter::once(command.program.clone());
    program.chain(wrapped.chain(linker).filter(|path| path.starts_with('/')).map(PathBuf::from))
}
