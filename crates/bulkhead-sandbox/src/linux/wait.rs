//! The parent's loop: output, limits, notices, the end.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::control_group::Group;
use super::init::{Message, MessageBytes};
use super::observe::Observer;
use super::proxy::Proxy;
use super::syscall::check;
use super::total_memory::TotalMemory;
use crate::child::{Exit, LimitHit, Status, Stream, Usage};
use crate::error::SandboxError;
use crate::process::{Level, Process};

/// What a successful start hands over.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) level: Level,
    pub(super) readers: Readers,
    /// Where init writes the program's wait status.
    pub(super) status: OwnedFd,
    pub(super) observer: Option<Observer>,
    pub(super) deadline: Option<Instant>,
    pub(super) output_bytes: Option<u64>,
    /// Where no group keeps the limit.
    pub(super) memory: Option<TotalMemory>,
    /// What all processes of the run are in.
    pub(super) group: Option<Group>,
    /// Removed when the child has ended.
    #[expect(dead_code, reason = "held for its destructor")]
    pub(super) private: Option<PrivateFolder>,
    /// Ends with the child.
    pub(super) proxy: Option<Proxy>,
}

#[derive(Debug)]
pub(super) struct Readers {
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// A started process that was not waited for yet.
#[derive(Debug)]
pub(crate) struct Child {
    started: Started,
    message: Option<Message>,
    reaped: bool,
}

/// Kills from another thread. At the weaker level it kills the program itself, and the wait then kills the rest.
#[derive(Debug)]
pub(crate) struct Killer(OwnedFd);

impl Killer {
    pub(crate) fn kill(&self) {
        kill(&self.0);
    }
}

pub(super) fn kill(pidfd: &OwnedFd) {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: numbers and a null pointer. That the process has ended already is no error.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, none, 0) };
}

impl Child {
    pub(super) fn new(started: Started) -> Child {
        Child { started, message: None, reaped: false }
    }

    pub(crate) fn id(&self) -> u32 {
        self.started.process as u32
    }

    pub(crate) fn kill(&self) {
        kill(&self.started.pidfd);
        if let Some(group) = &self.started.group {
            group.kill();
        }
        if self.started.level == Level::LandlockOnly && !self.reaped {
            // SAFETY: numbers only; the group's leader is not reaped, so its number is not another's.
            unsafe { libc::kill(-self.started.process, libc::SIGKILL) };
        }
    }

    pub(crate) fn killer(&self) -> Result<Killer, SandboxError> {
        self.started.pidfd.try_clone().map(Killer).map_err(SandboxError::Wait)
    }

    pub(crate) fn wait_with(mut self, on_output: impl FnMut(Stream, &[u8])) -> Result<Exit, SandboxError> {
        let limit = self.attend(on_output)?;
        let (status, usage) = match self.message.take() {
            Some(message) if message.alone == 1 => {
                // Nothing runs any more; init's own end is not waited for.
                self.reaped = true;
                reap_later(self.started.process);
                (decode(message.status), usage(&message.usage))
            }
            message => {
                let (init_status, init_usage) = self.reap()?;
                let status = match (self.started.level, message.or_else(|| self.read_message())) {
                    (Level::LandlockOnly, _) => decode(init_status),
                    (Level::Full, Some(message)) => decode(message.status),
                    // Init could not report: it was killed.
                    (Level::Full, None) => Status::Signal(libc::SIGKILL),
                };
                (status, usage(&init_usage))
            }
        };
        let limit = limit.or(match status {
            Status::Signal(libc::SIGXCPU) => Some(LimitHit::CpuTime),
            Status::Signal(libc::SIGXFSZ) => Some(LimitHit::FileSize),
            // The kernel ends what goes beyond the group's memory; a process that it refuses to start is the program's to bear.
            status if !status.success() => self.started.group.as_ref().and_then(Group::reached),
            _ => None,
        });
        let mut denials = self.started.observer.take().map(Observer::denials).unwrap_or_default();
        denials.extend(self.started.proxy.iter().flat_map(Proxy::denials));
        Ok(Exit { status, denials, limit, usage })
    }

    /// Reads and answers until the process has ended and its output was read.
    fn attend(&mut self, mut on_output: impl FnMut(Stream, &[u8])) -> Result<Option<LimitHit>, SandboxError> {
        let mut limit = None;
        let mut left = self.started.output_bytes.unwrap_or(u64::MAX);
        let mut buffer = vec![0; 64 * 1024];
        let mut ended = false;
        while !(ended && self.started.readers.stdout.is_none() && self.started.readers.stderr.is_none()) {
            let ready = self.poll(ended, limit.is_some())?;
            if ready.late && ended {
                // Somebody outside holds the pipe; nothing of the run is left to write to it.
                break;
            }
            if ready.late && limit.is_none() {
                limit = Some(LimitHit::WallTime);
                self.kill();
            }
            if limit.is_none() && !ended && self.holds_too_much() {
                limit = Some(LimitHit::TotalMemory);
                self.kill();
            }
            if ready.notice
                && let Some(observer) = &mut self.started.observer
            {
                observer.answer();
            }
            if ready.deaf {
                self.started.observer.iter_mut().for_each(Observer::close);
            }
            for (is_ready, stream) in [(ready.stdout, Stream::Stdout), (ready.stderr, Stream::Stderr)] {
                let Some(bytes) = is_ready.then(|| self.read(stream, &mut buffer)).flatten() else { continue };
                let allowed = bytes.min(usize::try_from(left).unwrap_or(usize::MAX));
                left -= allowed as u64;
                if allowed > 0 && limit.is_none() {
                    on_output(stream, &buffer[..allowed]);
                }
                if allowed < bytes && limit.is_none() {
                    limit = Some(LimitHit::Output);
                    self.kill();
                }
            }
            if ready.message && self.message.is_none() {
                self.message = self.read_message();
            }
            let alone = self.message.as_ref().is_some_and(|message| message.alone == 1);
            if (ready.ended || alone) && !ended {
                ended = true;
                if self.started.level == Level::LandlockOnly {
                    // This ends what the program left behind. With namespaces the kernel has done so.
                    self.kill();
                }
                self.started.observer.iter_mut().for_each(Observer::close);
            }
        }
        Ok(limit)
    }

    fn holds_too_much(&mut self) -> bool {
        let process = self.started.process;
        self.started.memory.as_mut().is_some_and(|memory| memory.is_exceeded(process))
    }

    /// Reads once; at the end of the pipe, closes it.
    fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Option<usize> {
        let reader = match stream {
            Stream::Stdout => &mut self.started.readers.stdout,
            Stream::Stderr => &mut self.started.readers.stderr,
        };
        let mut file = File::from(reader.take()?);
        let result = file.read(buffer);
        match result {
            Ok(0) => None,
            Err(error) if error.kind() != ErrorKind::Interrupted => None,
            other => {
                *reader = Some(file.into());
                other.ok()
            }
        }
    }

    fn poll(&self, ended: bool, killed: bool) -> Result<Ready, SandboxError> {
        let started = &self.started;
        let reports = started.level == Level::Full && self.message.is_none();
        let number = |fd: Option<&OwnedFd>| fd.map_or(-1, AsRawFd::as_raw_fd);
        let listener = started.observer.as_ref().and_then(Observer::listener);
        let fds = [
            number(Some(&started.pidfd).filter(|_| !ended)),
            number(started.readers.stdout.as_ref()),
            number(started.readers.stderr.as_ref()),
            number(listener),
            number(Some(&started.status).filter(|_| !ended && reports)),
        ];
        let mut polls = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let left = started.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let next = left.into_iter().chain(started.memory.as_ref().map(TotalMemory::wait)).min();
        let timeout = match next {
            _ if ended => 200,
            Some(next) if !killed => milliseconds(next),
            _ => -1,
        };
        // SAFETY: the array is valid for its length.
        let count = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, timeout) };
        if count < 0 {
            let error = std::io::Error::last_os_error();
            return if error.kind() == ErrorKind::Interrupted {
                Ok(Ready::default())
            } else {
                Err(SandboxError::Wait(error))
            };
        }
        let [process, stdout, stderr, _, _] = polls.map(|poll| poll.revents != 0);
        let notice = polls[3].revents & libc::POLLIN != 0;
        let message = polls[4].revents & libc::POLLIN != 0;
        // Nobody is left who could be notified of.
        let deaf = polls[3].revents != 0 && !notice;
        let passed = started.deadline.is_some_and(|deadline| !killed && Instant::now() >= deadline);
        let late = if ended { count == 0 } else { passed };
        Ok(Ready { ended: process, stdout, stderr, notice, deaf, message, late })
    }

    fn reap(&mut self) -> Result<(i32, libc::rusage), SandboxError> {
        let mut status = 0;
        // SAFETY: an all-zero struct is valid; both are valid for writing.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: as above. The process is ours and not waited for elsewhere.
        check(unsafe { libc::wait4(self.started.process, &raw mut status, libc::__WALL, &raw mut usage) }.into())
            .map_err(|errno| SandboxError::Wait(errno.into()))?;
        self.reaped = true;
        Ok((status, usage))
    }

    /// What init reported. Its write is a single one, shorter than what a pipe takes at once.
    fn read_message(&self) -> Option<Message> {
        let mut bytes = [0; size_of::<MessageBytes>()];
        let mut pipe = self.started.status.try_clone().map(File::from).ok()?;
        pipe.read_exact(&mut bytes).ok().map(|()| Message::from_bytes(bytes))
    }
}

/// Notes a process that is ending, and collects those noted earlier that have ended.
fn reap_later(process: i32) {
    static ENDING: Mutex<Vec<i32>> = Mutex::new(Vec::new());
    let mut ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    ending.push(process);
    ending.retain(|process| {
        // SAFETY: the process is ours; no status is asked for. Zero means that it has not ended.
        unsafe { libc::waitpid(*process, std::ptr::null_mut(), libc::__WALL | libc::WNOHANG) == 0 }
    });
}

fn usage(usage: &libc::rusage) -> Usage {
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Usage { user: time(usage.ru_utime), system: time(usage.ru_stime), max_rss_bytes: usage.ru_maxrss as u64 * 1024 }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            // A notice that nobody answers would not keep a killed process, but its descriptor need not outlive it either.
            self.started.observer.iter_mut().for_each(Observer::close);
            let _ = self.reap();
        }
    }
}

#[derive(Default)]
struct Ready {
    ended: bool,
    stdout: bool,
    stderr: bool,
    notice: bool,
    deaf: bool,
    message: bool,
    late: bool,
}

fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}

fn decode(status: i32) -> Status {
    if libc::WIFSIGNALED(status) {
        Status::Signal(libc::WTERMSIG(status))
    } else {
        Status::Code(libc::WEXITSTATUS(status))
    }
}

/// At the weaker level, where `/tmp` and `HOME` are the host's, a folder of the child's own that stands in for both.
#[derive(Debug)]
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    pub(super) fn for_level(level: Level) -> Result<Option<PrivateFolder>, SandboxError> {
        if level == Level::Full {
            return Ok(None);
        }
        let fault = |source| SandboxError::Setup { step: "making a private temporary folder".into(), source };
        let mut template = std::env::temp_dir().canonicalize().map_err(fault)?.join("bulkhead-XXXXXX");
        template.as_mut_os_string().push("\0");
        let mut bytes = std::os::unix::ffi::OsStringExt::into_vec(template.into_os_string());
        // SAFETY: the buffer ends in NUL and is changed in place. The folder is made with mode 0700.
        let made = unsafe { libc::mkdtemp(bytes.as_mut_ptr().cast()) };
        if made.is_null() {
            return Err(fault(std::io::Error::last_os_error()));
        }
        bytes.pop();
        Ok(Some(PrivateFolder(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes)))))
    }

    /// The description with this folder writable, and named by `TMPDIR` and `HOME`.
    pub(super) fn adjust(&self, process: &Process) -> Process {
        let mut process = process.clone();
        process.write.push(self.0.clone());
        process.environment.retain(|(name, _)| name != "TMPDIR" && name != "HOME");
        for name in ["TMPDIR", "HOME"] {
            process.environment.push((name.into(), self.0.clone().into_os_string()));
        }
        process
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // Best effort: what cannot be removed lies in the user's temporary folder, unreadable for others.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
