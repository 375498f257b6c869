//! System calls as plain functions that return an error number. None allocates, locks or panics, so that the child may use
//! them between clone and exec, while it runs in the parent's memory.

use std::ffi::CStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// An error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i32);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.0)
    }
}

/// The result of a libc call that answers -1 and sets errno.
pub(super) fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    // SAFETY: the C library gives every thread a valid errno location.
    Err(Errno(unsafe { *libc::__errno_location() }))
}

/// Opens a file; close-on-exec is always set. The caller closes it.
pub(super) fn open(path: &CStr, flags: i32) -> Result<RawFd, Errno> {
    // SAFETY: the path is NUL-terminated and outlives the call.
    check(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) }.into()).map(|fd| fd as RawFd)
}

/// Closes a descriptor that this code opened.
pub(super) fn close(fd: RawFd) {
    // SAFETY: closing a number touches no memory. Errors of close leave nothing to do.
    unsafe { libc::close(fd) };
}

/// Writes the whole (short) text to a file of `/proc`.
pub(super) fn write_file(path: &CStr, text: &[u8]) -> Result<(), Errno> {
    let fd = open(path, libc::O_WRONLY)?;
    // SAFETY: the buffer is valid for its length.
    let written = check(unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) } as libc::c_long);
    close(fd);
    written.map(|_| ())
}

/// `prctl` with one argument.
pub(super) fn prctl(option: i32, argument: libc::c_ulong) -> Result<(), Errno> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options used here take numbers, not pointers.
    check(unsafe { libc::prctl(option, argument, zero, zero, zero) }.into()).map(|_| ())
}

/// A mount; the absent strings are null pointers.
pub(super) fn mount(
    source: &CStr,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    data: Option<&CStr>,
) -> Result<(), Errno> {
    let kind = kind.map_or(std::ptr::null(), CStr::as_ptr);
    let data = data.map_or(std::ptr::null(), |data| data.as_ptr().cast());
    // SAFETY: all strings are NUL-terminated and outlive the call.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, data) }.into()).map(|_| ())
}

/// Sets mount attributes on `target` and on everything mounted below it (`mount_setattr(2)`).
pub(super) fn mount_setattr(target: &CStr, set: u64) -> Result<(), Errno> {
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = Attributes { set, clear: 0, propagation: 0, user_namespace: 0 };
    const AT_RECURSIVE: libc::c_int = 0x8000;
    // SAFETY: the struct has the layout of `struct mount_attr` and its size is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target.as_ptr(),
            AT_RECURSIVE,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    })
    .map(|_| ())
}

/// A pipe of which both ends are closed on exec: (read, write).
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: both were just opened and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Takes ownership of a descriptor that a system call just returned.
pub(super) fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: callers pass the fresh result of a call that opens a descriptor.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}
