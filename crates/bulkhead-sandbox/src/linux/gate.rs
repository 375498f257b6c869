//! What a process that is ready waits for before it executes its program.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::syscall::{check, owned};

/// The value that lets the process execute.
pub(super) const OPEN: u64 = 1;

/// Any other value ends it.
const CANCEL: u64 = 2;

/// An event descriptor, to which one of the two values is written once.
#[derive(Debug)]
pub(crate) struct Gate(OwnedFd);

impl Gate {
    pub(crate) fn new() -> io::Result<Gate> {
        // SAFETY: numbers only.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }.into())?;
        Ok(Gate(owned(fd)))
    }

    pub(crate) fn open(&self) {
        self.write(OPEN);
    }

    pub(crate) fn cancel(&self) {
        self.write(CANCEL);
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }

    fn write(&self, value: u64) {
        // SAFETY: eight bytes, as an event descriptor takes them. It takes far more than two small values without blocking.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const value).cast(), 8) };
    }
}
