//! Programs run in a home of their own and an exact environment, with a time limit.

use crate::registry::Registry;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The folder of the toolchain that builds the tests, asked of `rustc` once.
pub fn sysroot() -> &'static Path {
    static SYSROOT: OnceLock<PathBuf> = OnceLock::new();
    SYSROOT.get_or_init(|| {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc).args(["--print", "sysroot"]).output().expect("rustc runs");
        PathBuf::from(String::from_utf8(output.stdout).expect("a path in UTF-8").trim_end())
    })
}

/// A program of the toolchain itself, not rustup's proxy for it (which would need rustup's own home).
pub fn toolchain_program(name: &str) -> PathBuf {
    sysroot().join("bin").join(name)
}

/// A fresh `HOME` with `CARGO_HOME` and `BULKHEAD_HOME` below it, removed with the value.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// An empty home.
    pub fn new() -> Home {
        let folder = tempfile::Builder::new().prefix("bulkhead-home-").tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(".cargo")).expect("a folder for CARGO_HOME");
        Home { folder }
    }

    /// `HOME`.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `CARGO_HOME`.
    pub fn cargo_home(&self) -> PathBuf {
        self.path().join(".cargo")
    }

    /// `BULKHEAD_HOME`; it does not exist until something makes it.
    pub fn bulkhead_home(&self) -> PathBuf {
        self.path().join(".bulkhead")
    }

    /// Appends to the user-level configuration.
    pub fn configure(&self, text: &str) {
        let path = self.cargo_home().join("config.toml");
        let mut file =
            std::fs::File::options().create(true).append(true).open(&path).expect("a configuration to write");
        file.write_all(text.as_bytes()).expect("a configuration to write");
    }

    /// Puts a loopback registry in the place of the public one, for `cargo` and Bulkhead alike.
    pub fn use_registry(&self, registry: &Registry) {
        self.configure(&registry.source_replacement());
    }

    /// A program to run in this home. `cargo`, `rustc` and the like mean the toolchain's own.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Invocation {
        let program = program.as_ref();
        let in_toolchain = toolchain_program(&program.to_string_lossy());
        let bare = !program.as_encoded_bytes().contains(&b'/');
        let program = if bare && in_toolchain.exists() { in_toolchain.into() } else { program.to_owned() };
        let mut path = sysroot().join("bin").into_os_string();
        path.push(":/usr/local/bin:/usr/bin:/bin");
        let environment = [
            ("HOME", self.path().as_os_str().to_owned()),
            ("CARGO_HOME", self.cargo_home().into()),
            ("BULKHEAD_HOME", self.bulkhead_home().into()),
            ("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1".into()),
            ("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE", "0".into()),
            ("PATH", path),
            ("LANG", "C.UTF-8".into()),
            ("TERM", "dumb".into()),
        ];
        let environment = environment.map(|(name, value)| (name.into(), value)).into();
        Invocation { environment, ..Invocation::new(program) }
    }
}

impl Default for Home {
    fn default() -> Home {
        Home::new()
    }
}

/// A program about to be run.
#[derive(Clone, Debug)]
pub struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    folder: Option<PathBuf>,
    input: Vec<u8>,
    timeout: Duration,
    terminal: bool,
}

/// What a program did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
    /// From start to end.
    pub elapsed: Duration,
    /// Whether it was killed because its time was up.
    pub timed_out: bool,
    /// The most memory that the program itself was seen to hold, in bytes; zero where it ended too soon to be looked at.
    pub peak_memory: u64,
}

impl Invocation {
    /// A program in an empty environment. Tests want [`Home::command`] instead.
    pub fn new(program: impl Into<OsString>) -> Invocation {
        Invocation {
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folder: None,
            input: Vec::new(),
            timeout: Duration::from_secs(120),
            terminal: false,
        }
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Invocation {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Invocation {
        self.environment.insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// Removes a variable.
    pub fn env_remove(mut self, name: &str) -> Invocation {
        self.environment.remove(OsStr::new(name));
        self
    }

    /// Where to run it.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Invocation {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// What it reads from standard input (nothing otherwise).
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Invocation {
        self.input = input.into();
        self
    }

    /// When to kill it with all its children in its process group (120 s otherwise).
    pub fn timeout(mut self, timeout: Duration) -> Invocation {
        self.timeout = timeout;
        self
    }

    /// Gives it a terminal for all three standard streams, where what it writes arrives byte for byte; all of it counts as
    /// standard output. Its input is what is typed before it starts.
    pub fn terminal(mut self) -> Invocation {
        self.terminal = true;
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().wait()
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let command_line = self.to_string();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.environment).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let begin = Instant::now();
        if self.terminal {
            let (terminal, screen) = open_terminal(&self.input);
            let stream = || Stdio::from(terminal.try_clone().expect("a terminal to give away"));
            command.stdin(stream()).stdout(stream()).stderr(stream());
            let child = command.spawn().unwrap_or_else(|error| panic!("{command_line}: {error}"));
            let (stdout, (_, stderr)) = (read_all(screen), channel());
            return Running { command_line, child, stdout, stderr, said: Vec::new(), begin, timeout: self.timeout };
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command_line}: {error}"));
        let stdout = read_all(child.stdout.take().expect("a pipe was asked for"));
        let stderr = read_all(child.stderr.take().expect("a pipe was asked for"));
        // A program may end without having read its input.
        let _ = child.stdin.take().expect("a pipe was asked for").write_all(&self.input);
        Running { command_line, child, stdout, stderr, said: Vec::new(), begin, timeout: self.timeout }
    }
}

/// A program that runs. It is to be waited for.
#[derive(Debug)]
pub struct Running {
    command_line: String,
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    /// What was already taken from `stderr`.
    said: Vec<u8>,
    begin: Instant,
    timeout: Duration,
}

impl Running {
    /// Sends it what Ctrl-C sends. A terminal would send it to the program's children too.
    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("our own child");
    }

    /// Ends it without a chance to clean up (and it alone: what it started has to notice by itself).
    pub fn kill(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).expect("our own child");
    }

    /// Waits until something has happened.
    ///
    /// # Panics
    /// The program ends first, or nothing happens in 60 seconds.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, happened: impl Fn() -> bool) {
        let begin = Instant::now();
        while !happened() {
            let ended = self.child.try_wait().expect("our own child");
            if ended.is_some() || begin.elapsed() > Duration::from_secs(60) {
                let stderr = received(&self.stderr);
                panic!("{}: not seen: {what} ({ended:?})\n{stderr}", self.command_line);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has written `text` to standard error.
    ///
    /// # Panics
    /// It has not, and ends or falls silent for 60 seconds.
    #[track_caller]
    pub fn wait_until_said(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.said).contains(text) {
            match self.stderr.recv_timeout(Duration::from_secs(60)) {
                Ok(more) => self.said.extend(more),
                Err(_) => panic!("{}: not said: {text}\n{}", self.command_line, String::from_utf8_lossy(&self.said)),
            }
        }
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Outcome {
        let (mut timed_out, mut peak_memory) = (false, 0);
        let status = loop {
            peak_memory = peak_memory.max(memory_of(&self.child));
            if let Some(status) = self.child.try_wait().expect("our own child") {
                break status;
            }
            if self.begin.elapsed() > self.timeout && !timed_out {
                timed_out = true;
                let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let elapsed = self.begin.elapsed();
        Outcome {
            command: self.command_line,
            status,
            stdout: received(&self.stdout),
            stderr: String::from_utf8_lossy(&self.said).into_owned() + &received(&self.stderr),
            elapsed,
            timed_out,
            peak_memory,
        }
    }
}

impl std::fmt::Display for Invocation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.program.display())?;
        for argument in &self.arguments {
            write!(formatter, " {}", argument.display())?;
        }
        Ok(())
    }
}

/// A terminal that changes nothing of what is written to it, and the other side of it, where that arrives.
fn open_terminal(typed: &[u8]) -> (std::fs::File, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("a terminal of our own");
    let name = ptsname(&screen, Vec::new()).expect("the terminal's name");
    let path = Path::new(OsStr::from_bytes(name.as_bytes()));
    let terminal = std::fs::File::options().read(true).write(true).open(path).expect("the terminal");
    let mut modes = tcgetattr(&terminal).expect("a terminal's modes");
    modes.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &modes).expect("a terminal's modes");
    let mut screen = std::fs::File::from(screen);
    screen.write_all(typed).expect("room for what is typed");
    (terminal, screen)
}

/// The most memory that a living process has held so far, in bytes.
fn memory_of(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib * 1024)
}

fn read_all(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Everything that came, until the pipe closed or, where a process left behind keeps it open, until it fell silent.
fn received(receiver: &Receiver<Vec<u8>>) -> String {
    let mut bytes = Vec::new();
    while let Ok(chunk) = receiver.recv_timeout(Duration::from_secs(2)) {
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Outcome {
    /// The exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether both ended by themselves, and with the same exit code: two that were killed say nothing of each other.
    pub fn ends_as(&self, other: &Outcome) -> bool {
        let ended = |outcome: &Outcome| outcome.code().filter(|_| !outcome.timed_out);
        ended(self).is_some_and(|code| ended(other) == Some(code))
    }

    /// Standard output and standard error, each line as it came.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Stops the test unless it ended well.
    #[track_caller]
    pub fn assert_success(&self) -> &Outcome {
        self.assert_code(0)
    }

    /// Stops the test unless it ended with this exit code.
    #[track_caller]
    pub fn assert_code(&self, expected: i32) -> &Outcome {
        assert!(!self.timed_out, "{} took too long\n{self}", self.command);
        assert_eq!(self.code(), Some(expected), "{} (signal: {:?})\n{self}", self.command, self.status.signal());
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome { status, stdout, stderr, .. } = self;
        write!(formatter, "--- {status}\n--- standard output\n{stdout}\n--- standard error\n{stderr}")
    }
}
