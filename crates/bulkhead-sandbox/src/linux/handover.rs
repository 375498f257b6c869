//! How the parent gets the descriptor on which seccomp notifies it: through a socket, into which process 1 sends it before it
//! executes, and in which it waits until the parent is no longer suspended. (A shared descriptor table would do, too, but
//! children that other threads start meanwhile would inherit what process 1 has open, and keep its mounts busy.)

use std::os::fd::{AsRawFd, OwnedFd};

use super::syscall::{Errno, check, owned};

/// The size of the control data for one descriptor.
const SPACE: usize = 24;

/// A socket and a prepared message; heap-allocated, since the message points into itself.
#[derive(Debug)]
pub(super) struct Handover {
    parent: OwnedFd,
    child: OwnedFd,
    parts: Box<Parts>,
}

#[derive(Debug)]
struct Parts {
    /// Aligned as control data has to be: a header and one descriptor.
    control: [u64; SPACE / 8],
    byte: u8,
    vector: libc::iovec,
    message: libc::msghdr,
}

impl Handover {
    pub(super) fn new() -> std::io::Result<Handover> {
        let mut ends = [0; 2];
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: the array has room for the two descriptors.
        check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }.into())?;
        // SAFETY: all-zero structs are valid.
        let mut parts: Box<Parts> = Box::new(unsafe { std::mem::zeroed() });
        parts.vector = libc::iovec { iov_base: (&raw mut parts.byte).cast(), iov_len: 1 };
        parts.message.msg_iov = &raw mut parts.vector;
        parts.message.msg_iovlen = 1;
        parts.message.msg_control = parts.control.as_mut_ptr().cast();
        parts.message.msg_controllen = SPACE as _;
        Ok(Handover { parent: owned(ends[0].into()), child: owned(ends[1].into()), parts })
    }

    /// Where the message lies: the call that sends it is not notified, as nobody could answer yet.
    pub(super) fn message_address(&self) -> u64 {
        &raw const self.parts.message as u64
    }

    /// What the child sends through.
    pub(super) fn descriptor(&self) -> i32 {
        self.child.as_raw_fd()
    }

    /// Sends the descriptor. Runs in the child.
    pub(super) fn send(&mut self, descriptor: i32) -> Result<(), Errno> {
        let parts = &mut *self.parts;
        // SAFETY: the control data has room for the header and one descriptor, and is aligned for both. The C library's
        // own function may copy the message, so the call is made directly.
        check(unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const parts.message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<i32>() as u32) as _;
            libc::CMSG_DATA(header).cast::<i32>().write(descriptor);
            libc::syscall(libc::SYS_sendmsg, self.child.as_raw_fd(), &raw const parts.message, 0)
        })
        .map(|_| ())
    }

    /// Takes the descriptor that was sent.
    pub(super) fn receive(mut self) -> std::io::Result<OwnedFd> {
        let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
        // SAFETY: the message points to valid buffers of the stated sizes.
        check(unsafe { libc::recvmsg(self.parent.as_raw_fd(), &raw mut self.parts.message, flags) } as libc::c_long)?;
        // SAFETY: the kernel filled the control data; without any, the header is null.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const self.parts.message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return Err(std::io::Error::from_raw_os_error(libc::EPROTO));
            }
            Ok(owned(libc::CMSG_DATA(header).cast::<i32>().read().into()))
        }
    }
}
