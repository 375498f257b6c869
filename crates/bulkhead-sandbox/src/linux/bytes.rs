//! Locks on parts of a file, which belong to the open file and not to the process. No safe library offers them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;

use crate::ByteLock;

/// Changes the lock that `file` has on some bytes, which need not be there, in one step. Says whether it was possible: it
/// is not while another open file has a lock on one of them that forbids it.
///
/// # Errors
/// Those of the operating system: file systems without locks have one.
pub fn lock_bytes(file: &File, bytes: Range<u64>, lock: ByteLock) -> io::Result<bool> {
    let kind = match lock {
        ByteLock::Shared => libc::F_RDLCK,
        ByteLock::Exclusive => libc::F_WRLCK,
        ByteLock::None => libc::F_UNLCK,
    };
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let wanted = libc::flock {
        l_type: libc::c_short::try_from(kind).map_err(invalid)?,
        l_whence: libc::c_short::try_from(libc::SEEK_SET).map_err(invalid)?,
        l_start: i64::try_from(bytes.start).map_err(invalid)?,
        l_len: i64::try_from(bytes.end.saturating_sub(bytes.start)).map_err(invalid)?,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open as long as `file` is, and the kernel only reads the structure, which outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const wanted) } {
        -1 => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            error => Err(error),
        },
        _ => Ok(true),
    }
}
