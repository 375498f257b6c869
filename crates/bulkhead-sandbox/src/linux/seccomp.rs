//! The system call filter: a list of what no build needs, and, to observe, of what the parent wants to hear of.
//!
//! The default is to allow: the filter takes kernel surface away (mounting, tracing, key rings, BPF, io_uring, new
//! namespaces, odd socket families, terminal injection), it is not what hides files. Refused calls answer EPERM, or ENOSYS
//! where the C library then takes an older way. The kernel caches "always allowed" per call, so calls that are not named
//! here do not run the filter at all.

use std::collections::BTreeMap;

use libc::{c_long, sock_filter};

use super::syscall::{Errno, check};
use crate::process::{Level, Network};

/// A compiled filter.
#[derive(Debug)]
pub(super) struct Filter {
    program: Vec<sock_filter>,
    observe: bool,
}

/// What the filter depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) level: Level,
    pub(super) network: Network,
    /// Whether Unix sockets can be made; pairs of them always can.
    pub(super) local_sockets: bool,
    /// Whether System V's shared memory, semaphores and message queues, and POSIX message queues can be made.
    pub(super) ipc: bool,
    /// Notify the parent of calls that name a path or an address.
    pub(super) observe: bool,
    /// The address of the program's path in the parent's memory, whose `execve` by the child is not notified: the parent
    /// cannot answer yet. The child knows no such address, and only a notice depends on it.
    pub(super) first_path: u64,
    /// Likewise, the address of the message with which the child hands over the notices.
    pub(super) first_message: u64,
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Calls above this number came after this list was written (Linux 6.18) and do not exist for the child.
const LAST_KNOWN_CALL: u32 = 470;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const EACCES: u32 = libc::SECCOMP_RET_ERRNO | libc::EACCES as u32;
const EAFNOSUPPORT: u32 = libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;

/// Refused with EPERM always. Grouped by what they would reach.
const REFUSED: &[c_long] = &[
    // The mount tree and root.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    457, // statmount
    458, // listmount
    467, // open_tree_attr
    libc::SYS_setns,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_fanotify_init,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Key rings, which are kept per user and not per namespace.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The kernel itself, its clock and its log.
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
];

/// Like [`REFUSED`], on this processor only.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS__sysctl,
    libc::SYS_kexec_file_load,
];
#[cfg(target_arch = "aarch64")]
const REFUSED_HERE: &[c_long] = &[libc::SYS_kexec_file_load];

/// Answered as if the kernel did not have them: programs have another way.
const ABSENT: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_clone3, // its flags lie in memory, where a filter cannot look; the C library falls back to clone
    libc::SYS_memfd_secret,
    libc::SYS_openat2, // the mode of a new file lies in memory, too
];

/// Calls by which shared memory, semaphores and message queues are made or found; the others need what these answer.
const IPC: &[c_long] = &[libc::SYS_shmget, libc::SYS_semget, libc::SYS_msgget, libc::SYS_mq_open, libc::SYS_mq_unlink];

/// Calls that give a file a mode, with the number of the argument.
const MODES: &[(c_long, u32)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (452, 2), // fchmodat2
    (libc::SYS_mknodat, 2),
];
#[cfg(target_arch = "x86_64")]
const MODES_HERE: &[(c_long, u32)] = &[(libc::SYS_chmod, 1), (libc::SYS_creat, 1), (libc::SYS_mknod, 1)];
#[cfg(target_arch = "aarch64")]
const MODES_HERE: &[(c_long, u32)] = &[];

/// Calls that give a file a mode if they make one, with the number of the argument that says so; the mode follows.
#[cfg(target_arch = "x86_64")]
const OPENING: &[(c_long, u32)] = &[(libc::SYS_openat, 2), (libc::SYS_open, 1)];
#[cfg(target_arch = "aarch64")]
const OPENING: &[(c_long, u32)] = &[(libc::SYS_openat, 2)];

/// Calls whose path or address the parent wants to see. Not `readlink`: making a path canonical calls it for every folder on
/// the way (three quarters of all calls of a short rustc), and what comes of it is opened or looked at next.
const OBSERVED: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_faccessat,
    libc::SYS_chdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_renameat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_truncate,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_connect,
    libc::SYS_bind,
];
#[cfg(target_arch = "x86_64")]
const OBSERVED_HERE: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
];
#[cfg(target_arch = "aarch64")]
const OBSERVED_HERE: &[c_long] = &[];

/// Calls that are observed unless they name an open descriptor (`AT_EMPTY_PATH`), with the number of their flags argument.
const OBSERVED_BY_PATH: &[(c_long, u32)] = &[
    (libc::SYS_newfstatat, 3),
    (libc::SYS_statx, 2),
    (libc::SYS_execveat, 4),
    (libc::SYS_faccessat2, 3),
    (452, 3), // fchmodat2
    (libc::SYS_utimensat, 3),
];

/// Compiles the filter.
pub(super) fn compile(options: Options) -> Filter {
    let mut rules = Rules::default();
    rules.namespaces();
    rules.answer(REFUSED, EPERM);
    rules.answer(REFUSED_HERE, EPERM);
    rules.answer(ABSENT, ENOSYS);
    if options.level == Level::LandlockOnly {
        // Without a pid namespace the process group is what everything is killed by, so nobody may leave it.
        rules.answer(&[libc::SYS_setsid, libc::SYS_setpgid], EPERM);
    }
    if !options.ipc {
        rules.answer(IPC, ENOSYS);
    }
    rules.terminal();
    rules.modes();
    rules.sockets(options);
    if options.observe {
        rules.observed(options);
    }
    Filter { program: rules.compile(), observe: options.observe }
}

impl Filter {
    /// Installs the filter on the calling thread, which needs no-new-privileges. Answers the descriptor on which the parent
    /// listens, when the filter observes. Runs in the child.
    pub(super) fn install(&self) -> Result<Option<i32>, Errno> {
        let program = libc::sock_fprog { len: self.program.len() as u16, filter: self.program.as_ptr().cast_mut() };
        let flags = if self.observe { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
        // SAFETY: the kernel only reads the program, whose length is passed with it.
        let result = check(unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        })?;
        Ok(self.observe.then_some(result as i32))
    }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// Offsets in `struct seccomp_data`.
const CALL_NUMBER: u32 = 0;
const CALL_ARCHITECTURE: u32 = 4;
/// The low half of an argument (both processors are little-endian).
const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

/// BPF instructions. Before a rule's body the accumulator holds the number of the call.
#[derive(Default)]
struct Code(Vec<sock_filter>);

impl Code {
    fn push(&mut self, code: u32, k: u32, if_true: u8, if_false: u8) {
        self.0.push(sock_filter { code: code as u16, jt: if_true, jf: if_false, k });
    }

    fn finish(&mut self, action: u32) {
        self.push(RETURN, action, 0, 0);
    }

    /// When the accumulator is `value`, finish.
    fn finish_on(&mut self, value: i32, action: u32) {
        self.push(EQUAL, value as u32, 0, 1);
        self.finish(action);
    }
}

/// What happens for each call that is not simply allowed.
#[derive(Default)]
struct Rules(BTreeMap<u32, Code>);

impl Rules {
    fn answer(&mut self, calls: &[c_long], action: u32) {
        for call in calls {
            self.decide(*call, |body| body.finish(action));
        }
    }

    /// One call with a body that decides. Bodies for one call run one after the other; what the last leaves open is allowed.
    fn decide(&mut self, call: c_long, body: impl FnOnce(&mut Code)) {
        body(self.0.entry(call as u32).or_default());
    }

    /// The whole program. The kernel runs it once for each call when it is installed, to see which are always allowed, so
    /// it is a search tree and not a list.
    fn compile(self) -> Vec<sock_filter> {
        let mut code = Code::default();
        code.push(LOAD, CALL_ARCHITECTURE, 0, 0);
        code.push(EQUAL, ARCHITECTURE, 1, 0);
        // Calls of another numbering (32-bit programs) would pass by every rule.
        code.finish(libc::SECCOMP_RET_KILL_PROCESS);
        code.push(LOAD, CALL_NUMBER, 0, 0);
        code.push(GREATER, LAST_KNOWN_CALL, 0, 1);
        code.finish(ENOSYS);
        let mut rules: Vec<(u32, Code)> = self.0.into_iter().collect();
        for (_, body) in &mut rules {
            if body.0.last().is_none_or(|last| u32::from(last.code) != RETURN) {
                body.finish(ALLOW);
            }
        }
        code.0.append(&mut tree(&rules));
        code.0
    }

    /// No new namespaces, by clone or unshare.
    fn namespaces(&mut self) {
        const NEW: i32 = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP;
        const NEWTIME: u32 = 0x80; // in clone, a part of the exit signal
        for (call, flags) in [(libc::SYS_clone, NEW as u32), (libc::SYS_unshare, NEW as u32 | NEWTIME)] {
            self.decide(call, |body| {
                body.push(LOAD, low(0), 0, 0);
                body.push(ANY_BIT, flags, 0, 1);
                body.finish(EPERM);
            });
        }
    }

    /// No typing into a terminal, should one be inherited. The kernel looks at the low half of the request only.
    fn terminal(&mut self) {
        self.decide(libc::SYS_ioctl, |body| {
            body.push(LOAD, low(1), 0, 0);
            for request in [libc::TIOCSTI, libc::TIOCCONS, libc::TIOCLINUX] {
                body.finish_on(request as i32, EPERM);
            }
        });
    }

    /// No program that others would run with the rights of whoever builds: what build code leaves belongs to the user.
    fn modes(&mut self) {
        const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
        // `O_TMPFILE` has the bit of `O_DIRECTORY` as well.
        const MAKES: i32 = libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY);
        let mode = |body: &mut Code, argument| {
            body.push(LOAD, low(argument), 0, 0);
            body.push(ANY_BIT, SET_ID, 0, 1);
            body.finish(EPERM);
        };
        for (call, argument) in MODES.iter().chain(MODES_HERE) {
            self.decide(*call, |body| mode(body, *argument));
        }
        for (call, flags) in OPENING {
            self.decide(*call, |body| {
                body.push(LOAD, low(*flags), 0, 0);
                body.push(ANY_BIT, MAKES as u32, 0, 3);
                mode(body, flags + 1);
            });
        }
    }

    /// Unix sockets, and IPv4 and IPv6 where they lead nowhere or were granted. The kernel's own route table may be asked for
    /// (the C library does to list addresses). Virtual machine sockets, for one, belong to no namespace.
    fn sockets(&mut self, options: Options) {
        let granted_or_empty = options.level == Level::Full || options.network == Network::Host;
        let internet = if granted_or_empty { ALLOW } else { EACCES };
        let local = if options.local_sockets { ALLOW } else { EACCES };
        self.decide(libc::SYS_socket, |body| {
            body.push(LOAD, low(0), 0, 0);
            body.finish_on(libc::AF_UNIX, local);
            body.finish_on(libc::AF_INET, internet);
            body.finish_on(libc::AF_INET6, internet);
            body.push(EQUAL, libc::AF_NETLINK as u32, 0, 3);
            body.push(LOAD, low(2), 0, 0);
            body.finish_on(libc::NETLINK_ROUTE, ALLOW);
            body.finish(EAFNOSUPPORT);
        });
        self.decide(libc::SYS_socketpair, |body| {
            body.push(LOAD, low(0), 0, 0);
            body.finish_on(libc::AF_UNIX, ALLOW);
            body.finish(EAFNOSUPPORT);
        });
    }

    fn observed(&mut self, options: Options) {
        const AT_EMPTY_PATH: u32 = 0x1000;
        for (call, flags) in OBSERVED_BY_PATH {
            self.decide(*call, |body| {
                body.push(LOAD, low(*flags), 0, 0);
                body.push(ANY_BIT, AT_EMPTY_PATH, 0, 1);
                body.finish(ALLOW);
                body.finish(NOTIFY);
            });
        }
        for (call, argument, address) in
            [(libc::SYS_execve, 0, options.first_path), (libc::SYS_sendmsg, 1, options.first_message)]
        {
            self.decide(call, |body| {
                body.push(LOAD, low(argument), 0, 0);
                body.push(EQUAL, address as u32, 0, 3);
                body.push(LOAD, low(argument) + 4, 0, 0);
                body.finish_on((address >> 32) as i32, ALLOW);
                body.finish(NOTIFY);
            });
        }
        // Without an address (send) there is nothing to see.
        self.decide(libc::SYS_sendto, |body| {
            body.push(LOAD, low(4), 0, 0);
            body.finish_on(0, ALLOW);
            body.finish(NOTIFY);
        });
        self.answer(OBSERVED, NOTIFY);
        self.answer(OBSERVED_HERE, NOTIFY);
    }
}

/// A search tree over sorted rules; calls without a rule are allowed.
fn tree(rules: &[(u32, Code)]) -> Vec<sock_filter> {
    let mut code = Code::default();
    if rules.len() <= 3 {
        for (call, body) in rules {
            code.push(EQUAL, *call, 0, body.0.len() as u8);
            code.0.extend_from_slice(&body.0);
        }
        code.finish(ALLOW);
    } else {
        let (left, right) = rules.split_at(rules.len() / 2);
        let (mut left, first_right) = (tree(left), right.first().map_or(0, |(call, _)| *call));
        code.push(AT_LEAST, first_right, 0, 1);
        code.push(JUMP, left.len() as u32, 0, 0);
        code.0.append(&mut left);
        code.0.append(&mut tree(right));
    }
    code.0
}
