//! The running process, seen from the parent, and how it ended.

use std::fmt;
use std::time::Duration;

use crate::denial::Denial;
use crate::error::SandboxError;
use crate::platform;

/// A confined process that was started. Everything it started dies with it: when it exits, when [`kill`](Child::kill) is
/// called, when this value is dropped, and when the *thread* that called [`spawn`](crate::spawn) ends (so spawn and wait on
/// one thread).
#[derive(Debug)]
pub struct Child(pub(crate) platform::Child);

impl Child {
    /// The process id on the host.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills the process and everything it started. Does nothing when it has ended.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// A handle with which another thread kills the process (Ctrl-C).
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn killer(&self) -> Result<Killer, SandboxError> {
        self.0.killer().map(Killer)
    }

    /// Waits for the end and collects the output. See [`Child::wait_with`].
    ///
    /// # Errors
    /// As for [`Child::wait_with`].
    pub fn wait_with_output(self) -> Result<Output, SandboxError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = self.wait_with(|stream, bytes| match stream {
            Stream::Stdout => stdout.extend_from_slice(bytes),
            Stream::Stderr => stderr.extend_from_slice(bytes),
        })?;
        Ok(Output { exit, stdout, stderr })
    }

    /// Waits for the end, throwing the output away. See [`Child::wait_with`].
    ///
    /// # Errors
    /// As for [`Child::wait_with`].
    pub fn wait(self) -> Result<Exit, SandboxError> {
        self.wait_with(|_, _| ())
    }

    /// Waits for the end, handing over each piece of output as it comes, from this thread. The limits on time and on output
    /// are enforced here: a run that passes one is killed, and [`Exit::limit`] says which. What came before the limit on
    /// output was reached was handed over.
    ///
    /// # Errors
    /// [`SandboxError::Execute`] when the program could not be executed inside, [`SandboxError::Wait`] when the system
    /// refuses to wait. The process is dead in either case.
    pub fn wait_with(self, on_output: impl FnMut(Stream, &[u8])) -> Result<Exit, SandboxError> {
        self.0.wait_with(on_output)
    }
}

/// Kills a [`Child`] from elsewhere.
#[derive(Debug)]
pub struct Killer(platform::Killer);

impl Killer {
    /// Kills the process and everything it started. Does nothing when it has ended.
    pub fn kill(&self) {
        self.0.kill();
    }
}

/// Which of the two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a process ended and what it wrote.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// Exit code or signal.
    pub status: Status,
    /// What was refused, in order of kind and target; those of the view
    /// only with [`Process::observe`](crate::Process::observe).
    pub denials: Vec<Denial>,
    /// The limit that ended it.
    pub limit: Option<LimitHit>,
    /// What it used, with everything it started and waited for.
    pub usage: Usage,
}

/// Exit code or signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// It was ended by this signal.
    Signal(i32),
}

impl Status {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == Status::Code(0)
    }

    /// The same as the standard library's type, for its wording in messages.
    #[cfg(unix)]
    pub fn to_std(self) -> std::process::ExitStatus {
        use std::os::unix::process::ExitStatusExt;
        std::process::ExitStatus::from_raw(match self {
            Status::Code(code) => (code & 0xff) << 8,
            Status::Signal(signal) => signal & 0x7f,
        })
    }
}

#[cfg(unix)]
impl From<std::process::ExitStatus> for Status {
    fn from(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match status.signal() {
            Some(signal) => Self::Signal(signal),
            None => Self::Code(status.code().unwrap_or_default()),
        }
    }
}

/// As Cargo tells it: `exit status: 101`, `signal: 9, SIGKILL: kill`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status: {code}"),
            Self::Signal(signal) => {
                write!(f, "signal: {signal}")?;
                signal_name(*signal).map_or(Ok(()), |name| write!(f, ", {name}"))
            }
        }
    }
}

/// The signals that Cargo knows by name.
#[cfg(unix)]
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGABRT => "SIGABRT: process abort signal",
        libc::SIGALRM => "SIGALRM: alarm clock",
        libc::SIGBUS => "SIGBUS: access to undefined memory",
        libc::SIGFPE => "SIGFPE: erroneous arithmetic operation",
        libc::SIGHUP => "SIGHUP: hangup",
        libc::SIGILL => "SIGILL: illegal instruction",
        libc::SIGINT => "SIGINT: terminal interrupt signal",
        libc::SIGKILL => "SIGKILL: kill",
        libc::SIGPIPE => "SIGPIPE: write on a pipe with no one to read",
        libc::SIGQUIT => "SIGQUIT: terminal quit signal",
        libc::SIGSEGV => "SIGSEGV: invalid memory reference",
        libc::SIGSYS => "SIGSYS: bad system call",
        libc::SIGTERM => "SIGTERM: termination signal",
        libc::SIGTRAP => "SIGTRAP: trace/breakpoint trap",
        _ => return None,
    })
}

#[cfg(not(unix))]
fn signal_name(_: i32) -> Option<&'static str> {
    None
}

/// The limit that ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitHit {
    /// [`Limits::wall_time`](crate::Limits::wall_time).
    WallTime,
    /// [`Limits::total_memory_bytes`](crate::Limits::total_memory_bytes).
    TotalMemory,
    /// [`Limits::processes`](crate::Limits::processes): a process that was refused another one failed. Only a control group
    /// counts this.
    Processes,
    /// [`Limits::cpu_time`](crate::Limits::cpu_time).
    CpuTime,
    /// [`Limits::output_bytes`](crate::Limits::output_bytes).
    Output,
    /// [`Limits::file_size`](crate::Limits::file_size).
    FileSize,
}

/// What a process used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// Largest resident memory of one process, in bytes.
    pub max_rss_bytes: u64,
}
