//! The namespaces in which no child can leave anything, and which therefore all children of this process share.
//!
//! Making a network namespace costs more than everything else together, and an empty one holds no state: no interface is
//! up, no child has capabilities over it, and Landlock keeps every child's abstract sockets to itself. A host's name cannot be
//! changed without capabilities, and there are no message queues for children that cannot make any. So these are made once,
//! in a user namespace of their own, which each child enters before it makes its other, private namespaces inside.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use super::spawn::on_a_new_stack;
use super::syscall::{Errno, check, close, open, owned, prctl, write_file};

/// A user namespace and others that it owns.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) user: OwnedFd,
    pub(super) network: OwnedFd,
    /// The host's name.
    uts: OwnedFd,
    /// System V's shared memory, semaphores and message queues, and POSIX message queues.
    ipc: OwnedFd,
}

impl Shared {
    /// What a child enters, in this order: all, or all but the one for message queues.
    pub(super) fn to_join(&self, ipc: bool) -> Vec<RawFd> {
        let all = [&self.user, &self.network, &self.uts, &self.ipc].map(AsRawFd::as_raw_fd);
        all[..if ipc { 4 } else { 3 }].to_vec()
    }
}

/// The shared namespaces, made at the first call.
///
/// # Errors
/// When the host refuses user or network namespaces.
pub(super) fn shared() -> io::Result<&'static Shared> {
    static SHARED: OnceLock<Result<Shared, i32>> = OnceLock::new();
    SHARED
        .get_or_init(|| create().map_err(|errno| errno.0))
        .as_ref()
        .map_err(|errno| io::Error::from_raw_os_error(*errno))
}

/// The lines that map this user and group to themselves, and nobody else.
#[derive(Debug)]
pub(super) struct Maps {
    user: CString,
    group: CString,
}

impl Maps {
    pub(super) fn of_this_process() -> Maps {
        // SAFETY: these calls take nothing and cannot fail.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        let line = |id: u32| CString::new(format!("{id} {id} 1")).unwrap_or_default();
        Maps { user: line(user), group: line(group) }
    }

    /// Maps the ids in the user namespace that the calling process has just entered. Runs in the child.
    pub(super) fn write(&self, refuse_setgroups: bool) -> Result<(), Errno> {
        if refuse_setgroups {
            write_file(c"/proc/self/setgroups", b"deny")?;
        }
        write_file(c"/proc/self/uid_map", self.user.to_bytes())?;
        write_file(c"/proc/self/gid_map", self.group.to_bytes())
    }
}

struct Creation {
    maps: Maps,
    /// Whether the loopback interface is put up.
    loopback: bool,
    /// Where to listen on it.
    port: Option<u16>,
    /// User, network, host's name, message queues; and the socket.
    result: Result<([i32; 4], Option<i32>), Errno>,
}

/// A pair of namespaces with nothing but loopback in them, and a socket that listens there on `port`, if one is given.
///
/// # Errors
/// When the host refuses user or network namespaces.
pub(super) fn with_loopback(port: Option<u16>) -> io::Result<(Shared, Option<OwnedFd>)> {
    Ok(make(true, port)?)
}

fn create() -> Result<Shared, Errno> {
    Ok(make(false, None)?.0)
}

fn make(loopback: bool, port: Option<u16>) -> Result<(Shared, Option<OwnedFd>), Errno> {
    let mut creation = Creation { maps: Maps::of_this_process(), loopback, port, result: Err(Errno(libc::EIO)) };
    // The descriptor table is shared, so that what the child opens stays open here.
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    let flags = namespaces | libc::CLONE_FILES;
    let child = on_a_new_stack(flags, None, open_namespaces, (&raw mut creation).cast())?;
    // SAFETY: the child is ours and not waited for elsewhere; no status is asked for.
    check(unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WALL) }.into())?;
    let (namespaces, socket) = creation.result?;
    let [user, network, uts, ipc] = namespaces.map(|fd| owned(fd.into()));
    let shared = Shared { user, network, uts, ipc };
    Ok((shared, socket.map(|socket| owned(socket.into()))))
}

/// The child: opens its namespaces for the parent and ends.
extern "C" fn open_namespaces(creation: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent passes this struct and is suspended until this process has ended.
    let creation = unsafe { &mut *creation.cast::<Creation>() };
    creation.result = prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
        .and_then(|()| creation.maps.write(true))
        .and_then(|()| if creation.loopback { put_up_loopback() } else { Ok(()) })
        .and_then(|()| name_host())
        .and_then(|()| {
            let user = open(c"/proc/self/ns/user", libc::O_RDONLY)?;
            let network = open(c"/proc/self/ns/net", libc::O_RDONLY)?;
            let uts = open(c"/proc/self/ns/uts", libc::O_RDONLY)?;
            let ipc = open(c"/proc/self/ns/ipc", libc::O_RDONLY)?;
            Ok(([user, network, uts, ipc], creation.port.map(listen).transpose()?))
        });
    // SAFETY: ends this process only, without running the parent's exit handlers.
    unsafe { libc::_exit(0) }
}

/// Gives the host the same name everywhere. Runs in the child.
pub(super) fn name_host() -> Result<(), Errno> {
    // SAFETY: the name is valid for its length.
    check(unsafe { libc::sethostname(c"localhost".as_ptr(), 9) }.into()).map(|_| ())
}

/// Runs in the child.
fn put_up_loopback() -> Result<(), Errno> {
    let socket = tcp_socket()?;
    // SAFETY: an all-zero struct is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, letter) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *place = *letter as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the struct is valid for the call.
    let result = check(unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request) }.into());
    close(socket);
    result.map(|_| ())
}

fn tcp_socket() -> Result<i32, Errno> {
    // SAFETY: numbers only.
    check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) }.into()).map(|fd| fd as i32)
}

/// A socket that listens on loopback. Runs in the child.
fn listen(port: u16) -> Result<i32, Errno> {
    let socket = tcp_socket()?;
    // SAFETY: an all-zero struct is valid.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_be_bytes([127, 0, 0, 1]).to_be();
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: the struct has the kernel's layout, whose length is passed.
    check(unsafe { libc::bind(socket, (&raw const address).cast(), length) }.into())?;
    // SAFETY: numbers only.
    check(unsafe { libc::listen(socket, 64) }.into())?;
    Ok(socket)
}
