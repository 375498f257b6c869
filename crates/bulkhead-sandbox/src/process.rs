//! The description of a run. Everything the child will see stands here; nothing is taken from the parent's surroundings.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::SandboxError;
use crate::platform;

/// One process to run, confined. [`Process::new`] gives the tightest description; a caller then adds what is needed.
#[derive(Clone, Debug)]
pub struct Process {
    /// The program, as an absolute path that was resolved once. It has to lie in the view.
    pub program: PathBuf,
    /// The arguments after the program's own name.
    pub arguments: Vec<OsString>,
    /// The whole environment: nothing is inherited. When `HOME` names a folder that is not in the view, the child finds
    /// an empty, private, writable folder there.
    pub environment: Vec<(OsString, OsString)>,
    /// The working folder, absolute and in the view.
    pub current_dir: PathBuf,
    /// Files and folders that can be read and executed besides the base view, absolute. A missing one is an error.
    pub read: Vec<PathBuf>,
    /// Like `read`, but one that is missing is passed over. It is looked at once, when the process starts.
    pub read_if_present: Vec<PathBuf>,
    /// Files and folders that can be read, written and executed, absolute. A missing one, or a symbolic link, is an error.
    pub write: Vec<PathBuf>,
    /// Files and folders that stay out of sight, whatever is named besides: a folder is empty, a file cannot be opened. One
    /// that is missing is passed over. Only namespaces can do this: at the weaker level it is refused.
    pub hidden: Vec<PathBuf>,
    /// What the view holds besides `read` and `write`.
    pub base: BaseView,
    /// Whether the process reaches the network.
    pub network: Network,
    /// Whether it can make Unix sockets with [`Network::Host`] where Landlock cannot keep the host's abstract ones out of reach
    /// (before Linux 6.12): for programs that the user has chosen, and that need them.
    pub local_sockets: bool,
    /// Whether it has shared memory, semaphores and message queues of System V, and message queues of POSIX: its own, which no
    /// other process reaches. To those without, the kernel seems not to have them.
    pub ipc: bool,
    /// What the process reaches with [`Network::Hosts`].
    pub hosts: Vec<Endpoint>,
    /// Limits on time, memory, processes and output.
    pub limits: Limits,
    /// Whether refused accesses are recorded in [`Exit::denials`](crate::Exit::denials). Enforcement does not depend on it.
    pub observe: bool,
    /// Open descriptors, above 2, that the child keeps under the same number (the jobserver's pipe). All others are closed.
    /// They have to stay open until [`spawn`](crate::spawn) has returned.
    pub inherit: Vec<RawFd>,
    /// Standard input.
    pub stdin: Stdin,
    /// Standard output and standard error.
    pub stdout: Stdout,
    /// Whether it keeps the parent's controlling terminal, and sees it as `/dev/tty`, because people are to be asked something
    /// there. It can read from it and write to it, but not type into it.
    pub terminal: bool,
    /// How strong the confinement has to be.
    pub level: Level,
    /// If set, the process is confined at once and executes the program when the gate opens. [`spawn`](crate::spawn) returns
    /// only then.
    pub gate: Option<Arc<Gate>>,
}

/// Keeps a process that is otherwise ready from executing its program: what is to come next can be prepared while it
/// still waits for something. The process waits confined, without any of the program's code.
#[derive(Debug)]
pub struct Gate(pub(crate) platform::Gate);

impl Gate {
    /// A closed gate.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn new() -> Result<Gate, SandboxError> {
        let fault = |source| SandboxError::Setup { step: "making a gate".into(), source };
        platform::Gate::new().map(Gate).map_err(fault)
    }

    /// Lets the process execute its program, now or as soon as it is ready.
    pub fn open(&self) {
        self.0.open();
    }

    /// Ends the process, if the gate has not been opened.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl Process {
    /// A run of `program` that sees the system's base view and nothing else, writes nothing but its private `/tmp`, and has
    /// an empty environment, no network and the default limits.
    pub fn new(program: impl Into<PathBuf>) -> Process {
        Process {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            current_dir: PathBuf::from("/"),
            read: Vec::new(),
            read_if_present: Vec::new(),
            write: Vec::new(),
            hidden: Vec::new(),
            base: BaseView::System,
            network: Network::None,
            local_sockets: false,
            ipc: false,
            hosts: Vec::new(),
            limits: Limits::default(),
            observe: false,
            inherit: Vec::new(),
            stdin: Stdin::Null,
            stdout: Stdout::Piped,
            terminal: false,
            level: Level::Full,
            gate: None,
        }
    }
}

/// What every view holds, besides the paths that were named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BaseView {
    /// `/usr` with its links (`/bin`, `/lib`…), the few files of `/etc` that loaders, compilers and name look-ups need, a
    /// `/dev` of `null zero full random urandom`, a fresh read-only `/proc`, and a private empty `/tmp`.
    #[default]
    System,
    /// `/dev`, `/proc` and `/tmp` as in [`System`](BaseView::System), but neither `/usr` nor `/etc`.
    None,
}

/// Whether the process reaches the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// An empty network namespace: no interface is up, not even loopback; the host's abstract sockets are out of reach.
    #[default]
    None,
    /// A network of its own, in which there is only loopback, as tests need it that start a server. At the weaker level there
    /// is none, as with [`None`](Network::None).
    Loopback,
    /// A network of its own, in which there is only a proxy at `http://127.0.0.1:3128` that leads to
    /// [`Process::hosts`] and to nowhere else. It looks names up outside, and does not go to an address of this machine or of
    /// a private network unless that is named itself. What was asked of it in vain is among the denials.
    Hosts,
    /// The host's network, because it was granted, with the files of `/etc` for look-ups of names and for certificates.
    /// Abstract sockets stay out of reach: before Linux 6.12 no Unix socket can be made at all, unless
    /// [`Process::local_sockets`] says so.
    Host,
}

/// A host, which is compared whole, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// A name in lower case, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Limits. `None` leaves the parent's own limit (of memory and processor time, its hard one). Those that the kernel keeps per process are named as such.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time on the clock until everything is killed.
    pub wall_time: Option<Duration>,
    /// Processor time, per process, in whole seconds (rounded up).
    pub cpu_time: Option<Duration>,
    /// Private writable memory per process, in bytes (`RLIMIT_DATA`). Address space as such is not limited: rustc maps far
    /// more of it than it uses.
    pub memory_bytes: Option<u64>,
    /// Memory of all processes of the run together, in bytes: what is their own, not the files that they map. Looked at as
    /// often as it could be reached (every tenth of a second at most) by [`Child::wait_with`](crate::Child::wait_with), which
    /// kills a run that has more.
    pub total_memory_bytes: Option<u64>,
    /// Processes and threads alive at once, in the whole run.
    pub processes: Option<u64>,
    /// Open descriptors per process. `None` leaves the parent's own limit, and lets a process raise it to 65536 at most.
    pub open_files: Option<u64>,
    /// Largest file that can be written, in bytes.
    pub file_size: Option<u64>,
    /// Bytes of standard output and standard error together. The run is killed when it writes more. Enforced as the output
    /// is read, through [`Child::wait_with`](crate::Child::wait_with).
    pub output_bytes: Option<u64>,
}

impl Default for Limits {
    /// Far above what ordinary builds use, far below what harms the machine: one hour, 4096 processes, files of 32 GiB,
    /// 128 MiB of output, nine tenths of the memory (the system would end it, or something else, at ten).
    fn default() -> Limits {
        Limits {
            wall_time: Some(Duration::from_secs(3600)),
            cpu_time: None,
            memory_bytes: None,
            total_memory_bytes: platform::available_memory().map(|bytes| bytes / 10 * 9),
            processes: Some(4096),
            open_files: None,
            file_size: Some(32 << 30),
            output_bytes: Some(128 << 20),
        }
    }
}

/// Standard input of the child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// The parent's own (for `run`).
    Inherit,
    /// This descriptor, which has to stay open until [`spawn`](crate::spawn) has returned.
    From(RawFd),
}

/// Standard output and standard error of the child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdout {
    /// One pipe each, read through [`Child::wait_with`](crate::Child::wait_with).
    #[default]
    Piped,
    /// A pipe for standard output, the parent's own standard error, on which people are asked something.
    OnlyOutput,
    /// The parent's own (for `run`). [`Limits::output_bytes`] is then not enforced.
    Inherit,
}

/// How strong the confinement has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Namespaces, Landlock and seccomp. [`spawn`](crate::spawn) refuses when the host cannot give all of it.
    #[default]
    Full,
    /// Landlock and seccomp alone, for hosts that refuse user namespaces, when policy accepts it. What is lost: names and
    /// metadata of hidden files can be seen, `/proc` shows other processes of the user, metadata (mode, times) of the user's
    /// own files can be changed, a refused socket is not recorded as a denial, and `TMPDIR` and `HOME` are set to a private
    /// folder, whatever the description says. No socket of any kind can be made, except by [`Network::Host`] those of IP.
    LandlockOnly,
}
