//! The parent's side of starting a process: prepare everything, start, say what went wrong.

use std::ffi::{CString, OsStr, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use super::clone::clone_into;
use super::control_group::Group;
use super::enter::{self, Answer, Entry, Failure, Stage};
use super::handover::Handover;
use super::namespaces::{self, Maps, Shared};
use super::observe::Observer;
use super::proxy::Proxy;
use super::syscall::{Errno, check, owned, pipe};
use super::total_memory::{TotalMemory, available_memory};
use super::view::{self, ROOT, Step, View};
use super::wait::{self, Readers};
use super::{init, landlock, seccomp, support};
use crate::child::Child;
use crate::error::SandboxError;
use crate::process::{Level, Limits, Network, Process, Stdin, Stdout};

/// Options of the memory file system that holds the view's shells, `/tmp` and `HOME`: half of the memory at most, and no more
/// than the processes may have.
fn root_options(limits: &Limits) -> CString {
    let half = available_memory().unwrap_or(u64::MAX) / 2;
    let size = match limits.total_memory_bytes.filter(|bytes| *bytes < half) {
        Some(bytes) => bytes.to_string(),
        None => "50%".to_owned(),
    };
    CString::new(format!("mode=0755,size={size},nr_inodes=1048576")).unwrap_or_default()
}

/// Starts a process, confined as described.
///
/// The child is ended when the calling *thread* ends, so spawn and wait on one thread.
///
/// # Errors
/// Every error means that the program was not started: the description is unusable, the host cannot confine it, or the
/// program cannot be executed inside. Nothing is ever started with less confinement than was asked for.
pub fn spawn(process: &Process) -> Result<Child, SandboxError> {
    let abi = landlock_abi();
    if let Some(text) = support::missing_landlock(abi, process.level) {
        return Err(SandboxError::Unsupported(text));
    }
    let private = wait::PrivateFolder::for_level(process.level)?;
    let adjusted = private.as_ref().map(|private| private.adjust(process));
    let process = adjusted.as_ref().unwrap_or(process);
    let own_network = OwnNetwork::of(process)?;
    let view = view::prepare(process, abi)?;
    let strings = Strings::of(process)?;
    let pipes = Pipes::open(process)?;
    let group = Group::take(&process.limits);
    let (mut entry, shown) = entry(process, abi, view, &strings, &pipes, own_network.namespaces(), group.as_ref())?;
    start(&mut entry, group.as_ref()).map_err(|failure| explain(failure, process, &entry))?;
    let deadline = process.limits.wall_time.and_then(|limit| Instant::now().checked_add(limit));
    let answer = &entry.answer;
    // SAFETY: numbers only. The process is not waited for before its number is turned into a descriptor here.
    let pidfd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, answer.process, 0) })
        .map_err(|errno| SandboxError::Setup { step: "opening the process".into(), source: errno.into() })?;
    let pidfd = owned(pidfd);
    let listener = match entry.handover.take().map(Handover::receive).transpose() {
        Ok(listener) => listener,
        Err(source) => {
            wait::kill(&pidfd);
            reap(entry.answer.process);
            return Err(SandboxError::Setup { step: "receiving the notices".into(), source });
        }
    };
    let observer = listener.map(|listener| Observer::new(listener, &shown, process.network));
    let Pipes { stdout, stderr, status, .. } = pipes;
    Ok(Child(wait::Child::new(wait::Started {
        process: answer.process,
        pidfd,
        level: process.level,
        readers: Readers { stdout: stdout.map(|(read, _)| read), stderr: stderr.map(|(read, _)| read) },
        status: status.0,
        observer,
        deadline,
        output_bytes: process.limits.output_bytes,
        memory: process
            .limits
            .total_memory_bytes
            .filter(|_| !group.as_ref().is_some_and(Group::holds_memory))
            .map(TotalMemory::new),
        group,
        private,
        proxy: own_network.into_proxy(),
    })))
}

/// The network namespace that one process has for itself.
enum OwnNetwork {
    None,
    Loopback(Shared),
    Proxy(Proxy),
}

impl OwnNetwork {
    fn of(process: &Process) -> Result<OwnNetwork, SandboxError> {
        match (process.network, process.level) {
            (Network::None | Network::Host, _) | (Network::Loopback, Level::LandlockOnly) => Ok(OwnNetwork::None),
            (Network::Loopback, Level::Full) => {
                let made = namespaces::with_loopback(None).map_err(support::namespaces_refused)?;
                Ok(OwnNetwork::Loopback(made.0))
            }
            (Network::Hosts, Level::Full) => {
                Proxy::start(&process.hosts).map(OwnNetwork::Proxy).map_err(support::namespaces_refused)
            }
            (Network::Hosts, Level::LandlockOnly) => Err(SandboxError::Unsupported(
                "without namespaces, network access cannot be limited to some hosts".into(),
            )),
        }
    }

    fn namespaces(&self) -> Option<&Shared> {
        match self {
            OwnNetwork::None => None,
            OwnNetwork::Loopback(namespaces) => Some(namespaces),
            OwnNetwork::Proxy(proxy) => Some(&proxy.namespaces),
        }
    }

    fn into_proxy(self) -> Option<Proxy> {
        match self {
            OwnNetwork::Proxy(proxy) => Some(proxy),
            OwnNetwork::None | OwnNetwork::Loopback(_) => None,
        }
    }
}

fn landlock_abi() -> u32 {
    static ABI: OnceLock<u32> = OnceLock::new();
    *ABI.get_or_init(landlock::abi)
}

/// The strings that `execve` takes, and the arrays of pointers to them.
struct Strings {
    program: CString,
    current_dir: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Strings {
    fn of(process: &Process) -> Result<Strings, SandboxError> {
        if !process.program.is_absolute() || !process.current_dir.is_absolute() {
            let (program, folder) = (&process.program, &process.current_dir);
            let text = format!("the program {program:?} and its working folder {folder:?} have to be absolute paths");
            return Err(SandboxError::Invalid(text));
        }
        let mut arguments = vec![text(process.program.as_os_str())?];
        for argument in &process.arguments {
            arguments.push(text(argument)?);
        }
        let mut environment = Vec::with_capacity(process.environment.len());
        for (name, value) in &process.environment {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            environment.push(text(&pair)?);
        }
        let program = text(process.program.as_os_str())?;
        Ok(Strings { program, current_dir: text(process.current_dir.as_os_str())?, arguments, environment })
    }
}

fn text(text: &OsStr) -> Result<CString, SandboxError> {
    CString::new(text.as_bytes())
        .map_err(|_| SandboxError::Invalid(format!("a NUL byte in the program, an argument or a variable: {text:?}")))
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// The descriptors between parent and child, each (read, write).
struct Pipes {
    stdout: Option<(OwnedFd, OwnedFd)>,
    stderr: Option<(OwnedFd, OwnedFd)>,
    status: (OwnedFd, OwnedFd),
    null: &'static OwnedFd,
}

impl Pipes {
    fn open(process: &Process) -> Result<Pipes, SandboxError> {
        let fault = |source| SandboxError::Setup { step: "opening the pipes".into(), source };
        let pipe_if = |wanted: bool| wanted.then(|| pipe().map_err(fault)).transpose();
        let stdout = pipe_if(process.stdout != Stdout::Inherit)?;
        let stderr = pipe_if(process.stdout == Stdout::Piped)?;
        Ok(Pipes { stdout, stderr, status: pipe().map_err(fault)?, null: null().map_err(fault)? })
    }
}

/// `/dev/null`, opened once.
fn null() -> io::Result<&'static OwnedFd> {
    static NULL: OnceLock<Result<OwnedFd, i32>> = OnceLock::new();
    let open = || std::fs::File::open("/dev/null").map(OwnedFd::from);
    NULL.get_or_init(|| open().map_err(|error| error.raw_os_error().unwrap_or(libc::EIO)))
        .as_ref()
        .map_err(|errno| io::Error::from_raw_os_error(*errno))
}

/// Prepares what the child needs. The pointers in it are good as long as `strings` is.
fn entry(
    process: &Process,
    abi: u32,
    view: View,
    strings: &Strings,
    pipes: &Pipes,
    own_network: Option<&Shared>,
    group: Option<&Group>,
) -> Result<(Entry, view::Shown), SandboxError> {
    let full = process.level == Level::Full;
    let (namespaces, join) = namespaces_of(process, abi, own_network)?;
    let fault = |source| SandboxError::Setup { step: "making an executable memory file for init".into(), source };
    let init = init::executable().map_err(fault)?;
    let program = strings.program.clone();
    let fault = |source| SandboxError::Setup { step: "making a socket for notices".into(), source };
    let handover = process.observe.then(Handover::new).transpose().map_err(fault)?;
    let filter = seccomp::compile(seccomp::Options {
        level: process.level,
        network: process.network,
        local_sockets: local_sockets(process, abi),
        // At the weaker level they would be the host's.
        ipc: process.ipc && full,
        observe: process.observe,
        first_path: program.as_ptr() as u64,
        first_message: handover.as_ref().map_or(0, Handover::message_address),
    });
    let writer = |ends: &Option<(OwnedFd, OwnedFd)>, inherited: i32| {
        ends.as_ref().map_or(inherited, |(_, write)| write.as_raw_fd())
    };
    let stdin = input_of(process, pipes);
    let (stdout, stderr) = (writer(&pipes.stdout, 1), writer(&pipes.stderr, 2));
    let status = (pipes.status.0.as_raw_fd(), pipes.status.1.as_raw_fd());
    let gate = process.gate.as_ref().map_or(-1, |gate| gate.0.descriptor());
    let own = [stdin, stdout, stderr, status.0, status.1, init.as_raw_fd(), gate].into_iter();
    let keep = above_the_first(
        own.chain(join.iter().copied()).chain(handover.as_ref().map(Handover::descriptor)),
        &process.inherit,
    );
    let entry = Entry {
        join,
        namespaces,
        maps: Maps::of_this_process(),
        steps: view.steps,
        root_options: root_options(&process.limits),
        pid_max: pid_max(&process.limits),
        limits: limits(&process.limits, full, group)?,
        terminal: process.terminal,
        landlock: view.landlock,
        filter,
        handover,
        current_dir: strings.current_dir.clone(),
        program,
        arguments: pointers(&strings.arguments),
        environment: pointers(&strings.environment),
        stdin,
        stdout,
        stderr,
        inherit: process.inherit.clone(),
        gate,
        keep,
        status,
        init: init.as_raw_fd(),
        stacks: [Stack::new(), Stack::new()],
        answer: Answer::default(),
    };
    Ok((entry, view.shown))
}

fn input_of(process: &Process, pipes: &Pipes) -> i32 {
    match process.stdin {
        Stdin::Null => pipes.null.as_raw_fd(),
        Stdin::Inherit => 0,
        Stdin::From(descriptor) => descriptor,
    }
}

/// Whether a process can make Unix sockets: where it reaches none but its own, or may reach those of the host.
fn local_sockets(process: &Process, abi: u32) -> bool {
    match process.level {
        // Landlock does not keep a process from the sockets that lie in the file system, behind which services of the user
        // (D-Bus, Docker) would run programs for it. Only a view without them does.
        Level::LandlockOnly => false,
        Level::Full => process.network != Network::Host || abi >= support::ABI_WITH_SCOPES || process.local_sockets,
    }
}

/// The namespaces to make, and those to join first.
fn namespaces_of(
    process: &Process,
    abi: u32,
    own_network: Option<&Shared>,
) -> Result<(c_int, Vec<RawFd>), SandboxError> {
    if process.level != Level::Full {
        return Ok((0, Vec::new()));
    }
    let own = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    if let Some(namespaces) = own_network {
        return Ok((own, namespaces.to_join(true)));
    }
    if process.network == Network::None && abi >= support::ABI_WITH_SCOPES {
        let shared = namespaces::shared().map_err(support::namespaces_refused)?;
        let ipc = if process.ipc { libc::CLONE_NEWIPC } else { 0 };
        return Ok((own | ipc, shared.to_join(!process.ipc)));
    }
    // Without Landlock's scopes an abstract socket would reach other children: each has its own namespace then.
    let network = if process.network == Network::None { libc::CLONE_NEWNET } else { 0 };
    Ok((own | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | network, Vec::new()))
}

/// The descriptors above those of standard input and output, ascending.
fn above_the_first(own: impl Iterator<Item = i32>, inherited: &[i32]) -> Vec<i32> {
    let mut descriptors: Vec<i32> = own.chain(inherited.iter().copied()).filter(|&descriptor| descriptor > 2).collect();
    descriptors.sort_unstable();
    descriptors
}

/// The highest process number in the child's pid namespace. Numbers below 300 are not used a second time. `None` before
/// Linux 6.14, where the number is the *host's*, and root's child might change it.
fn pid_max(limits: &Limits) -> Option<CString> {
    static PER_NAMESPACE: OnceLock<bool> = OnceLock::new();
    let per_namespace = *PER_NAMESPACE.get_or_init(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(|text| text.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0_u32), numbers.next().unwrap_or(0_u32)) >= (6, 14)
    });
    let processes = limits.processes.filter(|_| per_namespace)?;
    CString::new((processes.saturating_add(301)).min(4_194_304).to_string()).ok()
}

/// Most descriptors that a process may ask for where nothing was said.
const MOST_OPEN_FILES: u64 = 1 << 16;

/// The resource limits, none above what this process may give.
fn limits(limits: &Limits, full: bool, group: Option<&Group>) -> Result<Vec<(u32, libc::rlimit)>, SandboxError> {
    let seconds = |time: std::time::Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
    // The group shall be what refuses: it counts that it did.
    let more = if group.is_some_and(Group::holds_processes) { 16 } else { 0 };
    let processes = limits.processes.filter(|_| full).map(|processes| processes.saturating_add(more));
    let wanted = [
        (libc::RLIMIT_CORE, Some(0), 0),
        (libc::RLIMIT_CPU, limits.cpu_time.map(seconds), 1),
        (libc::RLIMIT_DATA, limits.memory_bytes, 0),
        // Counted per user namespace: at the weaker level it would count the user's other processes.
        (libc::RLIMIT_NPROC, processes, 0),
        (libc::RLIMIT_NOFILE, limits.open_files, 0),
        (libc::RLIMIT_FSIZE, limits.file_size, 0),
    ];
    let mut result = Vec::with_capacity(wanted.len());
    for (resource, value, grace) in wanted {
        let is_own = resource == libc::RLIMIT_DATA || resource == libc::RLIMIT_CPU;
        let value = match value {
            Some(value) => value,
            // The parent's soft limits of these are about the parent.
            None if is_own => u64::MAX,
            None if resource == libc::RLIMIT_NOFILE => MOST_OPEN_FILES,
            None => continue,
        };
        let mut current = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the struct is valid for writing.
        check(unsafe { libc::getrlimit(resource, &raw mut current) }.into()).map_err(|errno| SandboxError::Setup {
            step: "reading the resource limits".into(),
            source: errno.into(),
        })?;
        let hard = value.saturating_add(grace).min(current.rlim_max);
        // Programs that count on descriptors below 1024 would not bear another soft limit than the user's.
        let unset = resource == libc::RLIMIT_NOFILE && limits.open_files.is_none();
        let soft = if unset { current.rlim_cur } else { value };
        result.push((resource, libc::rlimit { rlim_cur: soft.min(hard), rlim_max: hard }));
    }
    Ok(result)
}

/// Starts the processes, and returns when the program was executed or something failed.
fn start(entry: &mut Entry, group: Option<&Group>) -> Result<(), Failure> {
    let at_start = |Errno(errno)| Failure { stage: Stage::Namespaces, errno };
    let pointer: *mut Entry = entry;
    let group = group.map(Group::descriptor);
    if !entry.join.is_empty() {
        let usher = on_a_new_stack(0, group, enter::usher, pointer.cast()).map_err(at_start)?;
        reap(usher);
    } else {
        entry.answer.process =
            on_a_new_stack(entry.namespaces, group, enter::first, pointer.cast()).map_err(at_start)?;
    }
    match entry.answer.failure {
        None => Ok(()),
        Some(failure) => {
            if entry.answer.process > 0 {
                reap(entry.answer.process);
            }
            Err(failure)
        }
    }
}

/// Waits for a child that is about to end.
pub(super) fn reap(process: i32) {
    loop {
        // SAFETY: the child is ours and not waited for elsewhere; no status is asked for.
        let result = unsafe { libc::waitpid(process, std::ptr::null_mut(), libc::__WALL) };
        if check(result.into()) != Err(Errno(libc::EINTR)) {
            return;
        }
    }
}

/// A stack for a child that runs in this process's memory.
#[derive(Debug)]
pub(super) struct Stack(Box<[std::mem::MaybeUninit<u128>]>);

impl Stack {
    const BYTES: usize = 64 * 1024;

    pub(super) fn new() -> Stack {
        Stack(Box::new_uninit_slice(Stack::BYTES / size_of::<u128>()))
    }

    /// Where the stack begins; it grows downwards.
    pub(super) fn top(&mut self) -> *mut c_void {
        self.0.as_mut_ptr_range().end.cast()
    }
}

/// Starts `function` as a process that shares this one's memory, in a control group if one is given, and returns when it has
/// ended or executed a program. All
/// signals are blocked meanwhile: a handler must not run in the child.
pub(super) fn on_a_new_stack(
    flags: c_int,
    group: Option<RawFd>,
    function: extern "C" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
) -> Result<i32, Errno> {
    let mut stack = Stack::new();
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the sets are valid; the stack is used by the child alone and outlives it, since this thread is suspended
    // until the child has left the shared memory; the child's code obeys the rules of `enter`.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let child = match group {
            None => check(libc::clone(function, stack.top(), flags, argument).into()),
            Some(group) => clone_into(group, flags, stack.top(), function, argument),
        };
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        child.map(|child| child as i32)
    }
}

/// The error for what the child could not do.
fn explain(failure: Failure, process: &Process, entry: &Entry) -> SandboxError {
    let source = io::Error::from_raw_os_error(failure.errno);
    let setup = |step: &str, source| SandboxError::Setup { step: step.into(), source };
    match failure.stage {
        Stage::Join | Stage::Namespaces | Stage::Maps | Stage::Root => support::namespaces_refused(source),
        Stage::Proc if failure.errno == libc::EPERM => support::proc_refused(&source),
        Stage::Proc => setup("mounting /proc", source),
        Stage::View(index) => match entry.steps.get(index) {
            Some(Step::Bind { source: path, .. }) => SandboxError::Path { path: path_of(path), source },
            Some(Step::Folder(path) | Step::File(path) | Step::Link { path, .. } | Step::Cover(path)) => {
                let shown = path_of(path);
                let shown = shown.strip_prefix(ROOT).unwrap_or(&shown);
                SandboxError::Path { path: Path::new("/").join(shown), source }
            }
            None => setup("building the view", source),
        },
        Stage::Directory => SandboxError::Path { path: process.current_dir.clone(), source },
        Stage::Execute => SandboxError::Execute { program: process.program.clone(), source },
        Stage::Pivot => setup("entering the view", source),
        Stage::Session => setup("starting a session", source),
        Stage::Limits => setup("setting the resource limits", source),
        Stage::Privileges => setup("giving up privileges", source),
        Stage::Landlock => setup("restricting by Landlock", source),
        Stage::Seccomp => setup("installing the system call filter", source),
        Stage::Descriptors => setup("arranging the descriptors", source),
        Stage::Gate => SandboxError::Cancelled,
        Stage::Start => setup("starting the program's process", source),
        Stage::Init => setup("executing init", source),
    }
}

fn path_of(path: &CString) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}
