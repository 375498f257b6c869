//! The child's side: from clone to exec, in the parent's memory.
//!
//! Until it executes a program, the child shares the parent's memory, and the thread that started it is suspended. So this
//! code allocates nothing, takes no lock and cannot panic; all it needs was prepared in an [`Entry`], into which it also
//! writes what went wrong. Three processes take part:
//!
//! - the *usher* joins the namespaces that were made before, starts process 1 as a sibling of itself, and ends;
//! - *process 1* makes the other namespaces, builds the view, gives up everything, starts the program, and becomes
//!   [`init`](super::init);
//! - the *program* arranges its descriptors and executes.

use std::ffi::{CString, c_char, c_int, c_void};

use super::gate::OPEN;
use super::handover::Handover;
use super::landlock::Ruleset;
use super::namespaces::Maps;
use super::seccomp::Filter;
use super::syscall::{Errno, check, close, mount, mount_setattr, prctl, write_file};
use super::view::{ROOT, Step};
use super::{init, namespaces, spawn};

/// Everything the child needs, and the room for its answers.
#[derive(Debug)]
pub(super) struct Entry {
    /// The namespaces to join first, that of users before those that it owns.
    pub(super) join: Vec<i32>,
    /// The namespaces to make; 0 at the weaker level.
    pub(super) namespaces: c_int,
    pub(super) maps: Maps,
    pub(super) steps: Vec<Step>,
    pub(super) root_options: CString,
    pub(super) pid_max: Option<CString>,
    pub(super) limits: Vec<(u32, libc::rlimit)>,
    /// Whether the controlling terminal is kept.
    pub(super) terminal: bool,
    pub(super) landlock: Ruleset,
    pub(super) filter: Filter,
    /// How the parent gets the filter's notices, when it wants them.
    pub(super) handover: Option<Handover>,
    pub(super) current_dir: CString,
    pub(super) program: CString,
    /// Null-terminated, as `execve` takes them; they point into strings that the parent keeps.
    pub(super) arguments: Vec<*const c_char>,
    pub(super) environment: Vec<*const c_char>,
    pub(super) stdin: i32,
    pub(super) stdout: i32,
    pub(super) stderr: i32,
    pub(super) inherit: Vec<i32>,
    /// What the program waits for before it executes; -1 if it need not.
    pub(super) gate: i32,
    /// All descriptors above 2 that are still needed, ascending.
    pub(super) keep: Vec<i32>,
    /// The pipe to which process 1 writes the wait status, and its other end.
    pub(super) status: (i32, i32),
    pub(super) init: i32,
    /// Stacks for process 1 and for the program.
    pub(super) stacks: [spawn::Stack; 2],
    pub(super) answer: Answer,
}

/// What the child answers through the shared memory.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Process 1 (or the program itself, at the weaker level), as the parent sees it.
    pub(super) process: i32,
    pub(super) failure: Option<Failure>,
}

/// What the child was doing when it failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) stage: Stage,
    pub(super) errno: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Join,
    Namespaces,
    Maps,
    Root,
    /// The step of the view with this index.
    View(usize),
    Proc,
    Pivot,
    Session,
    Limits,
    Privileges,
    Landlock,
    Seccomp,
    Descriptors,
    Start,
    /// The gate stayed closed.
    Gate,
    Directory,
    Execute,
    Init,
}

trait At<T> {
    /// Says at which stage a call failed.
    fn at(self, stage: Stage) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, stage: Stage) -> Result<T, Failure> {
        self.map_err(|Errno(errno)| Failure { stage, errno })
    }
}

/// Entry point of the usher.
pub(super) extern "C" fn usher(entry: *mut c_void) -> c_int {
    // SAFETY: the parent passes the entry and is suspended until this process ends.
    let entry = unsafe { &mut *entry.cast::<Entry>() };
    if let Err(failure) = start_first(entry) {
        entry.answer.failure = Some(failure);
    }
    // SAFETY: ends this process only.
    unsafe { libc::_exit(0) }
}

fn start_first(entry: &mut Entry) -> Result<(), Failure> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong).at(Stage::Join)?;
    close_others(&entry.keep).at(Stage::Descriptors)?;
    for namespace in &entry.join {
        // SAFETY: numbers only.
        check(unsafe { libc::setns(*namespace, 0) }.into()).at(Stage::Join)?;
    }
    let flags = entry.namespaces | libc::CLONE_PARENT | libc::CLONE_VM | libc::CLONE_VFORK;
    let stack = entry.stacks[0].top();
    // SAFETY: the stack is large enough for `first` and used by nothing else; the entry outlives the suspended parents.
    let child = check(unsafe { libc::clone(first, stack, flags, (&raw mut *entry).cast()) }.into());
    // On success the process number was stored from here, since process 1 does not know it.
    entry.answer.process = child.at(Stage::Namespaces)? as i32;
    Ok(())
}

/// Entry point of process 1.
pub(super) extern "C" fn first(entry: *mut c_void) -> c_int {
    // SAFETY: as for the usher, which is suspended, too.
    let entry = unsafe { &mut *entry.cast::<Entry>() };
    let failure = match confine(entry) {
        Ok(()) if entry.namespaces == 0 => execute(entry),
        Ok(()) => start_program(entry),
        Err(failure) => failure,
    };
    // The program's own failure comes first: that process 1 then has nothing to wait for is its consequence.
    entry.answer.failure = entry.answer.failure.or(Some(failure));
    // SAFETY: ends this process only.
    unsafe { libc::_exit(1) }
}

fn confine(entry: &mut Entry) -> Result<(), Failure> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong).at(Stage::Session)?;
    close_others(&entry.keep).at(Stage::Descriptors)?;
    if entry.namespaces != 0 {
        entry.maps.write(entry.join.is_empty()).at(Stage::Maps)?;
        build_view(entry)?;
        if entry.namespaces & libc::CLONE_NEWUTS != 0 {
            namespaces::name_host().at(Stage::Namespaces)?;
        }
    }
    // Before the filter: an observed call would wait for the parent, which waits for this process.
    // SAFETY: NUL-terminated path.
    check(unsafe { libc::chdir(entry.current_dir.as_ptr()) }.into()).at(Stage::Directory)?;
    if !entry.terminal {
        // A new session has no controlling terminal.
        // SAFETY: takes nothing.
        check(unsafe { libc::setsid() }.into()).at(Stage::Session)?;
    }
    default_signals();
    for (resource, limit) in &entry.limits {
        // SAFETY: the struct is valid; the resource is one of the C library's constants.
        check(unsafe { libc::setrlimit(*resource as _, limit) }.into()).at(Stage::Limits)?;
    }
    drop_privileges(entry.namespaces != 0).at(Stage::Privileges)?;
    entry.landlock.restrict().at(Stage::Landlock)?;
    let listener = entry.filter.install().at(Stage::Seccomp)?;
    if let (Some(listener), Some(handover)) = (listener, &mut entry.handover) {
        handover.send(listener).at(Stage::Seccomp)?;
    }
    const CLOEXEC: u32 = 1 << 2;
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, CLOEXEC) }).at(Stage::Descriptors)?;
    parent_is_alive(entry.status).at(Stage::Session)
}

/// The parent may have been killed before it was told to take this process with it.
fn parent_is_alive((read, write): (i32, i32)) -> Result<(), Errno> {
    close(read);
    let mut poll = libc::pollfd { fd: write, events: 0, revents: 0 };
    // SAFETY: one valid struct.
    check(unsafe { libc::poll(&raw mut poll, 1, 0) }.into())?;
    if poll.revents & libc::POLLERR != 0 { Err(Errno(libc::ESRCH)) } else { Ok(()) }
}

/// Closes what this process inherited and does not need: it may wait long before it executes, and the ends of other
/// children's pipes must not stay open so long.
fn close_others(keep: &[i32]) -> Result<(), Errno> {
    let mut first = 3_u32;
    let ends = keep.iter().map(|&fd| fd.unsigned_abs()).chain([u32::MAX]);
    for end in ends {
        if end > first {
            let last = if end == u32::MAX { end } else { end - 1 };
            // SAFETY: numbers only.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) })?;
        }
        first = end.saturating_add(1).max(first);
    }
    Ok(())
}

fn build_view(entry: &Entry) -> Result<(), Failure> {
    let none = c"none";
    mount(none, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None).at(Stage::Root)?;
    // SAFETY: `ROOT` holds no NUL and this is its only spelling as a C string.
    let root = c"/proc";
    debug_assert!(root.to_bytes() == ROOT.as_bytes());
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    mount(none, root, Some(c"tmpfs"), flags, Some(&entry.root_options)).at(Stage::Root)?;
    for (index, step) in entry.steps.iter().enumerate() {
        take(step).at(Stage::View(index))?;
    }
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount(none, c"/proc/proc", Some(c"proc"), flags, None).at(Stage::Proc)?;
    if let Some(maximum) = &entry.pid_max {
        // The limits on user namespaces remain where this is refused.
        let _ = write_file(c"/proc/proc/sys/kernel/pid_max", maximum.to_bytes());
    }
    mount_setattr(c"/proc/proc", libc::MOUNT_ATTR_RDONLY).at(Stage::Proc)?;
    // SAFETY: NUL-terminated paths.
    check(unsafe { libc::chdir(root.as_ptr()) }.into()).at(Stage::Pivot)?;
    // SAFETY: as above. The old root is put over the new one, and taken away from there.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) }).at(Stage::Pivot)?;
    // SAFETY: as above.
    check(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) }.into()).at(Stage::Pivot)?;
    // SAFETY: as above.
    check(unsafe { libc::chdir(c"/".as_ptr()) }.into()).at(Stage::Pivot).map(|_| ())
}

fn take(step: &Step) -> Result<(), Errno> {
    match step {
        Step::Folder(path) => {
            // SAFETY: NUL-terminated path.
            match check(unsafe { libc::mkdir(path.as_ptr(), 0o755) }.into()) {
                Ok(_) | Err(Errno(libc::EEXIST)) => Ok(()),
                Err(errno) => Err(errno),
            }
        }
        Step::File(path) => super::syscall::open(path, libc::O_CREAT | libc::O_WRONLY).map(close),
        Step::Link { target, path } => {
            // SAFETY: NUL-terminated paths.
            check(unsafe { libc::symlink(target.as_ptr(), path.as_ptr()) }.into()).map(|_| ())
        }
        Step::Bind { source, path, attributes } => {
            mount(source, path, None, libc::MS_BIND | libc::MS_REC, None)?;
            mount_setattr(path, *attributes)
        }
        Step::Cover(path) => {
            let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            mount(c"none", path, Some(c"tmpfs"), flags, Some(c"mode=0755,size=4k"))
        }
    }
}

/// Gives the signals that programs commonly ignore their default action; exec does so for those that are handled.
fn default_signals() {
    let commonly_ignored = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGTERM,
        libc::SIGCHLD,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGXFSZ,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ];
    for signal in commonly_ignored {
        // SAFETY: an all-zero action is the default one.
        unsafe {
            let action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// No capability, now or by executing anything, and no privilege by set-user-id.
fn drop_privileges(in_user_namespace: bool) -> Result<(), Errno> {
    if in_user_namespace {
        for capability in 0..64 {
            // The call refuses the first number that the kernel does not know.
            if prctl(libc::PR_CAPBSET_DROP, capability).is_err() {
                break;
            }
        }
        // NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each locked.
        const SECURE_BITS: libc::c_ulong = 0b1110_1111;
        prctl(libc::PR_SET_SECUREBITS, SECURE_BITS)?;
    }
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: both structs have the layout of the named version.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) })?;
    // Changing capabilities may have cleared it.
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
}

/// Starts the program as process 2 and becomes init. Returns only what went wrong.
fn start_program(entry: &mut Entry) -> Failure {
    let stack = entry.stacks[1].top();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: as in `start_first`.
    let child = check(unsafe { libc::clone(program, stack, flags, (&raw mut *entry).cast()) }.into());
    match child.at(Stage::Start) {
        Ok(_) if entry.answer.failure.is_some() => Failure { stage: Stage::Execute, errno: 0 },
        Ok(_) => become_init(entry),
        Err(failure) => failure,
    }
}

fn become_init(entry: &Entry) -> Failure {
    for fd in 0..3 {
        close(fd);
    }
    let arguments = [c"bulkhead-init".as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null::<c_char>()];
    // The status pipe may already have the number that the file of init is to give way to.
    // SAFETY: numbers only.
    let moved = check(unsafe { libc::fcntl(entry.init, libc::F_DUPFD_CLOEXEC, 10) }.into());
    let result = moved.and_then(|file| {
        if entry.status.1 == init::STATUS_FD {
            // SAFETY: numbers only.
            check(unsafe { libc::fcntl(init::STATUS_FD, libc::F_SETFD, 0) }.into())?;
        } else {
            // SAFETY: numbers only.
            check(unsafe { libc::dup2(entry.status.1, init::STATUS_FD) }.into())?;
        }
        // SAFETY: null-terminated arrays of NUL-terminated strings; returns only on failure.
        check(unsafe {
            let (arguments, environment) = (arguments.as_ptr(), environment.as_ptr());
            libc::syscall(libc::SYS_execveat, file as c_int, c"".as_ptr(), arguments, environment, libc::AT_EMPTY_PATH)
        })
    });
    Failure { stage: Stage::Init, errno: result.err().map_or(0, |errno| errno.0) }
}

/// Entry point of the program.
extern "C" fn program(entry: *mut c_void) -> c_int {
    // SAFETY: as for process 1, which is suspended, too.
    let entry = unsafe { &mut *entry.cast::<Entry>() };
    let failure = execute(entry);
    entry.answer.failure = Some(failure);
    // SAFETY: ends this process only.
    unsafe { libc::_exit(1) }
}

/// Arranges the descriptors, waits for the gate, and executes. Returns only what went wrong.
fn execute(entry: &Entry) -> Failure {
    match arrange(entry).and_then(|()| wait_for_gate(entry.gate)) {
        Ok(()) => {
            // SAFETY: null-terminated arrays of NUL-terminated strings; returns only on failure.
            let result = check(
                unsafe { libc::execve(entry.program.as_ptr(), entry.arguments.as_ptr(), entry.environment.as_ptr()) }
                    .into(),
            );
            Failure { stage: Stage::Execute, errno: result.err().map_or(0, |errno| errno.0) }
        }
        Err(failure) => failure,
    }
}

fn wait_for_gate(gate: i32) -> Result<(), Failure> {
    if gate < 0 {
        return Ok(());
    }
    let mut value = 0_u64;
    loop {
        // SAFETY: eight bytes, as an event descriptor gives them.
        match check(unsafe { libc::read(gate, (&raw mut value).cast(), 8) } as libc::c_long) {
            Ok(8) if value == OPEN => return Ok(()),
            Ok(_) => return Err(Failure { stage: Stage::Gate, errno: libc::ECANCELED }),
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno).at(Stage::Gate),
        }
    }
}

fn arrange(entry: &Entry) -> Result<(), Failure> {
    for (from, to) in [(entry.stdin, 0), (entry.stdout, 1), (entry.stderr, 2)] {
        if from == to {
            continue;
        }
        // SAFETY: numbers only. The copies stay open on exec.
        check(unsafe { libc::dup2(from, to) }.into()).at(Stage::Descriptors)?;
    }
    for fd in &entry.inherit {
        // SAFETY: numbers only.
        check(unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) }.into()).at(Stage::Descriptors)?;
    }
    // SAFETY: an empty set is valid. The parent blocked all signals while it started this process.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    Ok(())
}
