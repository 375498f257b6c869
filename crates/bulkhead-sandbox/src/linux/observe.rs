//! Hearing what the child asks for, and recording what the view refuses.
//!
//! seccomp suspends the calls that name a path or an address and notifies the parent, which reads the name from the child's
//! memory, compares it with what the view shows, and lets the call go on. Nothing is enforced here: a child that changes
//! the name in between only falsifies its own report. What does not exist on the host either is no denial, so the search
//! along a `PATH` leaves no trace.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::places::{Places, append};
use super::view::{Access, Shown};
use crate::denial::{Denial, DenialKind, Target};
use crate::process::Network;

/// More different denials than this are not recorded, so that a child cannot fill the parent's memory.
const MOST_DENIALS: usize = 1000;
/// The kernel takes no longer path.
const LONGEST_PATH: usize = 4096;
/// Most paths are shorter.
const USUAL_PATH: usize = 256;

/// What is looked for by nearly every program that is started, and means nothing for what it does.
const NOISE: &[&str] = &[
    // Fresh and the child's own: what is missing there is missing on every machine. `/dev/fd` leads into it.
    "/proc",
    "/dev/fd",
    // There is no terminal; whoever asks about its size or colours goes on without.
    "/dev/tty",
    "/dev/pts",
    // The C library's, the allocators' and the runtimes' look at how many processors there are and how memory is set up.
    "/sys/fs/cgroup",
    "/sys/devices/system",
    "/sys/kernel/mm",
    // The C library's own configuration: without it, it does what its defaults say.
    "/etc/ld.so.preload",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/gnutls",
    "/etc/ssl/openssl.cnf",
    "/etc/python3",
    "/etc/inputrc",
    "/etc/terminfo",
    "/etc/debian_version",
    "/etc/os-release",
];

/// Listens to one child.
#[derive(Debug)]
pub(super) struct Observer {
    listener: Option<OwnedFd>,
    places: Places,
    network: Network,
    denials: BTreeMap<(DenialKind, Target), u32>,
}

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Default)]
struct Notice {
    id: u64,
    pid: u32,
    flags: u32,
    call: i32,
    architecture: u32,
    instruction_pointer: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Default)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const SET_FLAGS: libc::c_ulong = 0x4008_2104;
/// Wakes the other side on the same processor, as both never run at once.
const SYNCHRONOUS_WAKE_UP: libc::c_ulong = 1;
const CONTINUE: u32 = 1;

impl Observer {
    pub(super) fn new(listener: OwnedFd, shown: &Shown, network: Network) -> Observer {
        // SAFETY: numbers only. Kernels before 6.6 refuse, and are merely slower.
        unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNCHRONOUS_WAKE_UP) };
        Observer { listener: Some(listener), places: Places::of(shown), network, denials: BTreeMap::new() }
    }

    pub(super) fn listener(&self) -> Option<&OwnedFd> {
        self.listener.as_ref()
    }

    /// Stops listening; a call that still waits for an answer fails.
    pub(super) fn close(&mut self) {
        self.listener = None;
    }

    /// Takes one notice, records it when it will be refused, and lets the call go on.
    pub(super) fn answer(&mut self) {
        let Some(listener) = &self.listener else { return };
        let fd = listener.as_raw_fd();
        let mut notice = Notice::default();
        // SAFETY: the struct has the kernel's layout, whose size is part of the request's number, and is zeroed.
        if unsafe { libc::ioctl(fd, RECEIVE, &raw mut notice) } != 0 {
            match std::io::Error::last_os_error().raw_os_error() {
                // The caller was killed before the notice was taken.
                Some(libc::ENOENT | libc::EINTR | libc::EAGAIN) => {}
                _ => self.listener = None,
            }
            return;
        }
        self.judge(&notice);
        let answer = Answer { id: notice.id, flags: CONTINUE, ..Answer::default() };
        // SAFETY: as above. That the caller was killed meanwhile is no error.
        unsafe { libc::ioctl(fd, SEND, &raw const answer) };
    }

    /// What was refused, in order.
    pub(super) fn denials(self) -> Vec<Denial> {
        self.denials.into_iter().map(|((kind, target), count)| Denial { kind, target, count }).collect()
    }

    fn judge(&mut self, notice: &Notice) {
        let Some(request) = request(notice) else { return };
        match request {
            Request::Path { intent, folder, path } => {
                let Some(path) = read_path(notice.pid, folder, path) else { return };
                if let Some(kind) = self.refused(notice.pid, intent, &path) {
                    self.record(kind, Target::Path(as_path(&path).to_owned()));
                } else if matches!(intent, Intent::Create | Intent::ChangeOrCreate) {
                    self.forget(&path);
                }
                if let Some(path) = destination(notice) {
                    self.forget(&path);
                }
            }
            Request::Address { kind, address, length } => {
                let Some(address) = read_address(notice.pid, address, length) else { return };
                match address {
                    Address::Path(path) => {
                        let Some(path) = absolute(notice.pid, None, &path) else { return };
                        if self.refused(notice.pid, Intent::Read, &path).is_some() {
                            self.record(kind, Target::Address(format!("unix:{}", as_path(&path).display())));
                        }
                    }
                    // Listening on an abstract name is possible and reaches nobody.
                    Address::Abstract(_) if kind == DenialKind::Bind => {}
                    Address::Abstract(name) => self.record(kind, Target::Address(format!("unix:@{name}"))),
                    Address::Internet(_) if self.network == Network::Host => {}
                    // Loopback is the child's own, and so is what listens on it.
                    Address::Internet(address) if self.network != Network::None && is_loopback(&address, kind) => {}
                    Address::Internet(address) => self.record(kind, Target::Address(address)),
                }
            }
        }
    }

    fn record(&mut self, kind: DenialKind, target: Target) {
        if self.denials.len() < MOST_DENIALS || self.denials.contains_key(&(kind, target.clone())) {
            let count = self.denials.entry((kind, target)).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Drops what was recorded of a path that the child now makes in a folder of its own: that the host has a file of this
    /// name in `/tmp` too meant nothing to it.
    fn forget(&mut self, path: &[u8]) {
        if !self.denials.is_empty() && self.places.look_up(path).1.access == Some(Access::Private) {
            let path = as_path(path);
            self.denials.retain(|(_, target), _| !matches!(target, Target::Path(denied) if denied == path));
        }
    }

    /// Whether the view refuses this, although the host has it.
    fn refused(&self, pid: u32, intent: Intent, path: &[u8]) -> Option<DenialKind> {
        let (place, found) = self.places.look_up(path);
        let place = as_path(&place);
        let reads = matches!(intent, Intent::Read | Intent::Execute);
        let makes = matches!(intent, Intent::Create | Intent::ChangeOrCreate);
        let allowed = match found.access {
            Some(Access::Write | Access::Device) => true,
            // What exists cannot be made: the answer is that it exists, inside as outside.
            Some(Access::Read) => reads || intent == Intent::Create && exists(place),
            Some(Access::Private) => {
                exists_inside(pid, place) || makes && place.parent().is_some_and(|parent| exists_inside(pid, parent))
            }
            Some(Access::Hidden) | None => (reads || intent == Intent::Create) && found.is_named,
        };
        if allowed || is_noise(place) {
            return None;
        }
        let on_the_host = if makes { place.parent().is_some_and(exists) } else { exists(place) };
        on_the_host.then_some(match intent {
            Intent::Read => DenialKind::Read,
            Intent::Execute => DenialKind::Execute,
            Intent::Change | Intent::Create | Intent::ChangeOrCreate => DenialKind::Write,
        })
    }
}

fn is_loopback(address: &str, kind: DenialKind) -> bool {
    let address = address.parse::<std::net::SocketAddr>().map(|address| address.ip());
    kind == DenialKind::Bind || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

fn is_noise(path: &Path) -> bool {
    NOISE.iter().any(|noise| path.starts_with(noise))
}

/// Whether the host has it. What this process may not look at, the child would not have had without confinement either.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether the child has it itself, in a folder that began empty.
fn exists_inside(pid: u32, path: &Path) -> bool {
    let inside = format!("/proc/{pid}/root");
    let Ok(path) = path.strip_prefix("/") else { return false };
    fs::symlink_metadata(Path::new(&inside).join(path)).is_ok()
}

/// What a call asks for.
enum Request {
    Path { intent: Intent, folder: Option<i32>, path: u64 },
    Address { kind: DenialKind, address: u64, length: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Read,
    /// To change or remove what exists.
    Change,
    /// To make what does not exist.
    Create,
    /// To write to what exists, or to make it.
    ChangeOrCreate,
    Execute,
}

/// Which argument of a call names what.
fn request(notice: &Notice) -> Option<Request> {
    let argument = |index: usize| notice.arguments.get(index).copied().unwrap_or(0);
    let at = |index: usize, intent| {
        Some(Request::Path { intent, folder: Some(argument(index) as i32), path: argument(index + 1) })
    };
    let plain = |intent| Some(Request::Path { intent, folder: None, path: argument(0) });
    let address = |kind, address, length| Some(Request::Address { kind, address, length });
    #[cfg(target_arch = "x86_64")]
    match notice.call.into() {
        libc::SYS_open => return plain(opening(argument(1))),
        libc::SYS_stat | libc::SYS_lstat | libc::SYS_access => return plain(Intent::Read),
        libc::SYS_creat | libc::SYS_mkdir => return plain(Intent::Create),
        libc::SYS_rmdir | libc::SYS_unlink | libc::SYS_rename => return plain(Intent::Change),
        libc::SYS_chmod | libc::SYS_chown | libc::SYS_lchown => return plain(Intent::Change),
        libc::SYS_link | libc::SYS_symlink => {
            return Some(Request::Path { intent: Intent::Create, folder: None, path: argument(1) });
        }
        _ => {}
    }
    match notice.call.into() {
        libc::SYS_openat => at(0, opening(argument(2))),
        libc::SYS_newfstatat | libc::SYS_statx | libc::SYS_faccessat | libc::SYS_faccessat2 => at(0, Intent::Read),
        libc::SYS_chdir => plain(Intent::Read),
        libc::SYS_execve => plain(Intent::Execute),
        libc::SYS_execveat => at(0, Intent::Execute),
        libc::SYS_mkdirat => at(0, Intent::Create),
        libc::SYS_linkat => at(2, Intent::Create),
        libc::SYS_symlinkat => at(1, Intent::Create),
        libc::SYS_renameat2 | libc::SYS_renameat | libc::SYS_unlinkat => at(0, Intent::Change),
        libc::SYS_fchmodat | libc::SYS_fchownat | 452 => at(0, Intent::Change),
        // Without a path, the times of an open file are set.
        libc::SYS_utimensat if argument(1) == 0 => None,
        libc::SYS_utimensat => at(0, Intent::Change),
        libc::SYS_truncate | libc::SYS_setxattr | libc::SYS_lsetxattr => plain(Intent::Change),
        libc::SYS_connect => address(DenialKind::Connect, argument(1), argument(2)),
        libc::SYS_bind => address(DenialKind::Bind, argument(1), argument(2)),
        libc::SYS_sendto => address(DenialKind::Connect, argument(4), argument(5)),
        libc::SYS_sendmsg => {
            // `struct msghdr` begins with the address and its length.
            let (name, length) = (read_word(notice.pid, argument(1))?, read_word(notice.pid, argument(1) + 8)?);
            if name == 0 { None } else { address(DenialKind::Connect, name, length & 0xffff_ffff) }
        }
        _ => None,
    }
}

/// Where a call moves a file to.
fn destination(notice: &Notice) -> Option<Vec<u8>> {
    let argument = |index: usize| notice.arguments.get(index).copied().unwrap_or(0);
    #[cfg(target_arch = "x86_64")]
    if i64::from(notice.call) == libc::SYS_rename {
        return read_path(notice.pid, None, argument(1));
    }
    match notice.call.into() {
        libc::SYS_renameat2 | libc::SYS_renameat => read_path(notice.pid, Some(argument(2) as i32), argument(3)),
        _ => None,
    }
}

/// What opening with these flags asks for.
fn opening(flags: u64) -> Intent {
    let flags = flags as i32;
    if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 {
        Intent::Create
    } else if flags & libc::O_CREAT != 0 {
        Intent::ChangeOrCreate
    } else if flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0 {
        Intent::Change
    } else {
        Intent::Read
    }
}

enum Address {
    Internet(String),
    Path(Vec<u8>),
    Abstract(String),
}

fn read_address(pid: u32, address: u64, length: u64) -> Option<Address> {
    let mut bytes = [0; 128];
    let length = usize::try_from(length).ok()?.min(bytes.len());
    let read = read_memory(pid, address, &mut bytes[..length]);
    let bytes = bytes.get(..read)?;
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = || bytes.get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]]));
    match i32::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(Address::Internet(std::net::SocketAddr::from((octets, port()?)).to_string()))
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some(Address::Internet(std::net::SocketAddr::from((octets, port()?)).to_string()))
        }
        libc::AF_UNIX => match bytes.get(2..)? {
            [] => None,
            [0, name @ ..] => Some(Address::Abstract(String::from_utf8_lossy(name).into_owned())),
            path => {
                let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                Some(Address::Path(path.get(..end)?.to_vec()))
            }
        },
        _ => None,
    }
}

/// A path made absolute against the folder that it is relative to, and normalised.
fn absolute(pid: u32, folder: Option<i32>, path: &[u8]) -> Option<Vec<u8>> {
    let mut place = Vec::with_capacity(path.len() + 1);
    if !path.starts_with(b"/") {
        append(&mut place, &folder_of(pid, folder, path)?);
    }
    append(&mut place, path);
    if place.is_empty() {
        place.push(b'/');
    }
    Some(place)
}

/// The folder that a relative path begins at; none for an empty one, which names an open file.
fn folder_of(pid: u32, folder: Option<i32>, path: &[u8]) -> Option<Vec<u8>> {
    let link = match folder {
        _ if path.is_empty() => return None,
        Some(fd) if fd != libc::AT_FDCWD => format!("/proc/{pid}/fd/{fd}"),
        _ => format!("/proc/{pid}/cwd"),
    };
    let folder = fs::read_link(link).ok()?.into_os_string().into_vec();
    folder.starts_with(b"/").then_some(folder)
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The path at an address of the child's, absolute and normalised.
fn read_path(pid: u32, folder: Option<i32>, address: u64) -> Option<Vec<u8>> {
    let mut short = [0; USUAL_PATH];
    if let Some(path) = read_text(pid, address, &mut short)? {
        return absolute(pid, folder, path);
    }
    let mut long = vec![0; LONGEST_PATH];
    absolute(pid, folder, read_text(pid, address, &mut long)??)
}

/// What is at an address up to its end, unless there is nothing; `Some(None)` if it is longer than the buffer.
fn read_text(pid: u32, address: u64, buffer: &mut [u8]) -> Option<Option<&[u8]>> {
    let read = read_memory(pid, address, buffer);
    let text = buffer.get(..read).filter(|text| !text.is_empty())?;
    Some(text.iter().position(|byte| *byte == 0).map(|end| &text[..end]))
}

fn read_word(pid: u32, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (read_memory(pid, address, &mut bytes) == 8).then(|| u64::from_ne_bytes(bytes))
}

/// Reads the child's memory, as far as it is mapped; answers how much.
fn read_memory(pid: u32, address: u64, bytes: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: the local buffer is valid for its length; the remote address is checked by the kernel.
    let read = unsafe { libc::process_vm_readv(pid as i32, &raw const local, 1, &raw const remote, 1, 0) };
    if read > 0 {
        return read as usize;
    }
    // A read that crosses into unmapped memory may fail as a whole: take what is left of the page.
    let rest = (4096 - (address as usize & 4095)).min(bytes.len());
    let remote = libc::iovec { iov_len: rest, ..remote };
    let local = libc::iovec { iov_len: rest, ..local };
    // SAFETY: as above, with a smaller length.
    let read = unsafe { libc::process_vm_readv(pid as i32, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}
