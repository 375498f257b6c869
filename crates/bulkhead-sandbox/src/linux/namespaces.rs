//! The empty network namespace that all children of this process share.
//!
//! Making a network namespace costs more than everything else together, and an empty one holds no state: no interface is
//! up, no child has capabilities over it, and Landlock keeps every child's abstract sockets to itself. So it is made once,
//! in a user namespace of its own, which each child enters before it makes its other, private namespaces inside.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use super::spawn::on_a_new_stack;
use super::syscall::{Errno, check, open, owned, prctl, write_file};

/// A user namespace and a network namespace that it owns.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) user: OwnedFd,
    pub(super) network: OwnedFd,
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
    result: Result<(i32, i32), Errno>,
}

fn create() -> Result<Shared, Errno> {
    let mut creation = Creation { maps: Maps::of_this_process(), result: Err(Errno(libc::EIO)) };
    // The descriptor table is shared, so that what the child opens stays open here.
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_FILES;
    let child = on_a_new_stack(flags, open_namespaces, (&raw mut creation).cast())?;
    // SAFETY: the child is ours and not waited for elsewhere; no status is asked for.
    check(unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WALL) }.into())?;
    let (user, network) = creation.result?;
    Ok(Shared { user: owned(user.into()), network: owned(network.into()) })
}

/// The child: opens its namespaces for the parent and ends.
extern "C" fn open_namespaces(creation: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent passes this struct and is suspended until this process has ended.
    let creation = unsafe { &mut *creation.cast::<Creation>() };
    creation.result = prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
        .and_then(|()| creation.maps.write(true))
        .and_then(|()| {
            let user = open(c"/proc/self/ns/user", libc::O_RDONLY)?;
            let network = open(c"/proc/self/ns/net", libc::O_RDONLY)?;
            Ok((user, network))
        });
    // SAFETY: ends this process only, without running the parent's exit handlers.
    unsafe { libc::_exit(0) }
}
