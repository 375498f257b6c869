//! One program that hands out tokens: started by its absolute path, confined, bounded in time and output.

use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bulkhead_sandbox::{Killer, Stdin, Stdout, Stream, spawn};
use bulkhead_schema::credential::{
    Action, Answer, MAX_ANSWER, Refusal, RegistryInfo, Secret, parse_answer, request, speaks_our_version,
};
use zeroize::Zeroizing;

/// A program, as it will be started.
#[derive(Debug, Clone)]
pub struct Process {
    /// What is run, and what it may do. How long it may take in all is its limit on the clock: people may have to unlock
    /// something.
    pub description: bulkhead_sandbox::Process,
    /// Whether the description is enforced. Otherwise only its program, arguments, environment, folder and time count.
    pub confined: bool,
    /// Whether what it says on standard error is thrown away. People may have to be asked something there.
    pub quiet: bool,
}

/// How long a program may take of which nobody said it.
const USUAL_TIME: Duration = Duration::from_secs(300);

impl Process {
    /// Asks a provider by Cargo's protocol: its greeting, one question, one answer, its end. `extra` are the arguments
    /// that the question carries.
    ///
    /// # Errors
    /// What the provider says, or how it breaks the protocol.
    pub fn ask(&self, registry: RegistryInfo<'_>, action: Action<'_>, extra: &[String]) -> Result<Answer, Refusal> {
        let failed = |problem: String| Refusal::Other(vec![problem]);
        let mut running = self.start(true).map_err(failed)?;
        let hello = running.line().map_err(failed)?;
        if !speaks_our_version(&hello) {
            return Err(failed("it does not offer version 1 of the credential-provider protocol".to_owned()));
        }
        let question = request(registry, action, extra);
        let mut input = running.input.take();
        let written = input.as_mut().map(|input| input.write_all(question.as_bytes()).and_then(|()| input.flush()));
        if let Some(Err(error)) = written {
            return Err(failed(format!("it does not listen: {error}")));
        }
        let answer = running.line().map_err(failed)?;
        drop(input);
        let rest = running.line().map_err(failed)?;
        if !rest.trim().is_empty() {
            return Err(failed("it says more than one line in answer".to_owned()));
        }
        let status = running.end().map_err(failed)?;
        let answer = parse_answer(answer.trim_end(), action)?;
        if status.success() { Ok(answer) } else { Err(failed(format!("it failed with status `{status}`"))) }
    }

    /// The one line that the program prints: a token.
    ///
    /// # Errors
    /// It fails, takes too long, or prints something else.
    pub fn token_from_stdout(&self) -> Result<Secret, String> {
        let program = self.description.program.display();
        let mut running = self.start(false)?;
        let output = running.rest()?;
        let status = running.end()?;
        if !status.success() {
            return Err(format!("process `{program}` failed with status `{status}`"));
        }
        let token = output.trim_end_matches(['\n', '\r']);
        if token.contains('\n') {
            return Err(format!("process `{program}` returned more than one line of output; expected a single token"));
        }
        Secret::token(token.to_owned()).map_err(str::to_owned)
    }

    /// What the program prints when it reads `input`, and whether it ended well.
    ///
    /// # Errors
    /// It cannot be started, takes too long, or prints too much.
    pub fn exchange(&self, input: &str) -> Result<(bool, Zeroizing<String>), String> {
        let mut running = self.start(true)?;
        if let Some(mut pipe) = running.input.take() {
            // A program may end without having read its input.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = running.rest()?;
        Ok((running.end()?.success(), output))
    }

    /// Starts it, with a pipe to its standard input or with ours.
    fn start(&self, asked: bool) -> Result<Running, String> {
        let program = &self.description.program;
        if !program.is_absolute() {
            return Err(format!("the program `{}` has no absolute path", program.display()));
        }
        let failed = |error: &dyn std::fmt::Display| format!("failed to start `{}`: {error}", program.display());
        let time = self.description.limits.wall_time.unwrap_or(USUAL_TIME);
        let until = Instant::now() + time;
        let (reader, input) =
            if asked { std::io::pipe().map(|(read, write)| (Some(read), Some(write))) } else { Ok((None, None)) }
                .map_err(|error| failed(&error))?;
        let (handle, output) = if self.confined { self.start_confined(reader) } else { self.start_free(reader) }
            .map_err(|error| failed(&error))?;
        Ok(Running { handle, input, output, until, seconds: time.as_secs() })
    }

    fn start_free(&self, input: Option<PipeReader>) -> Result<(Handle, Receiver<Line>), String> {
        let description = &self.description;
        let mut child = Command::new(&description.program)
            .args(&description.arguments)
            .env_clear()
            .envs(description.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&description.current_dir)
            .stdin(input.map_or_else(Stdio::inherit, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(if self.quiet { Stdio::null() } else { Stdio::inherit() })
            .spawn()
            .map_err(|error| error.to_string())?;
        let (sender, receiver) = channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || read(output, &sender));
        }
        Ok((Handle::Free(child), receiver))
    }

    /// The program lives as long as the thread that starts it, which therefore waits for it as well.
    fn start_confined(&self, input: Option<PipeReader>) -> Result<(Handle, Receiver<Line>), String> {
        let mut description = self.description.clone();
        description.stdout = if self.quiet { Stdout::Piped } else { Stdout::OnlyOutput };
        let (sender, output) = channel();
        let (started, killer) = channel();
        let (end, ended) = channel();
        std::thread::spawn(move || {
            description.stdin = input.as_ref().map_or(Stdin::Inherit, |input| Stdin::From(input.as_raw_fd()));
            let child = spawn(&description);
            // Its reading end is the program's alone.
            drop(input);
            let child = match child.and_then(|child| Ok((child.killer()?, child))) {
                Ok((killer, child)) => started.send(Ok(killer)).map(|()| child).ok(),
                Err(error) => started.send(Err(error.to_string())).err().and(None),
            };
            let Some(child) = child else { return };
            let mut lines = Lines { sender, part: Zeroizing::default() };
            let exit = child.wait_with(|stream, bytes| {
                if stream == Stream::Stdout {
                    lines.take(bytes);
                }
            });
            lines.finish();
            let status = exit.map(|exit| exit.status.to_std()).map_err(|error| error.to_string());
            // Nobody waits any more if it was given up.
            let _ = end.send(status);
        });
        let killer = killer.recv().map_err(|_| "it did not start".to_owned())??;
        Ok((Handle::Confined { killer, ended }, output))
    }
}

/// A program that runs; it does not outlive this value.
struct Running {
    handle: Handle,
    input: Option<PipeWriter>,
    output: Receiver<Line>,
    until: Instant,
    seconds: u64,
}

enum Handle {
    Free(Child),
    Confined { killer: Killer, ended: Receiver<Result<ExitStatus, String>> },
}

type Line = Result<Zeroizing<String>, String>;

impl Running {
    /// The next line with its line feed; empty at the end.
    fn line(&mut self) -> Line {
        match self.output.recv_timeout(self.left()) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) if !self.left().is_zero() => Ok(Zeroizing::default()),
            Err(_) => Err(self.late()),
        }
    }

    /// All that is left of the output.
    fn rest(&mut self) -> Line {
        let mut output = Zeroizing::new(String::new());
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(output);
            }
            output.push_str(&line);
            if output.len() > MAX_ANSWER {
                return Err("it says more than 64 KiB".to_owned());
            }
        }
    }

    fn late(&self) -> String {
        format!("it did not answer within {} seconds", self.seconds)
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn end(&mut self) -> Result<ExitStatus, String> {
        let left = self.left();
        let child = match &mut self.handle {
            Handle::Confined { ended, .. } => return ended.recv_timeout(left).map_err(|_| self.late())?,
            Handle::Free(child) => child,
        };
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() >= self.until => return Err(self.late()),
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => return Err(format!("it cannot be waited for: {error}")),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match &mut self.handle {
            Handle::Confined { killer, .. } => killer.kill(),
            // It has ended already, unless something went wrong.
            Handle::Free(child) => {
                if !matches!(child.try_wait(), Ok(Some(_))) {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        }
    }
}

/// Cuts output into lines, as it comes.
struct Lines {
    sender: Sender<Line>,
    part: Zeroizing<Vec<u8>>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // More than this is refused, however long it is.
            let room = (MAX_ANSWER + 1).saturating_sub(self.part.len());
            self.part.extend_from_slice(&piece[..piece.len().min(room)]);
            if self.part.ends_with(b"\n") || self.part.len() > MAX_ANSWER {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        if !self.part.is_empty() {
            // Nobody listens any more if it was given up.
            let _ = self.sender.send(line(std::mem::take(&mut *self.part)));
        }
    }
}

fn line(bytes: Vec<u8>) -> Line {
    let bytes = Zeroizing::new(bytes);
    if bytes.len() > MAX_ANSWER {
        return Err("it says more than 64 KiB in one line".to_owned());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err("its output is not UTF-8".to_owned()),
    }
}

/// Hands over the lines of `output`, on a thread of its own, so that waiting for them can be given up.
fn read(output: ChildStdout, sender: &Sender<Line>) {
    let mut output = BufReader::new(output);
    loop {
        let mut bytes = Vec::new();
        let line = match (&mut output).take(MAX_ANSWER as u64 + 1).read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) => line(bytes),
            Err(error) => Err(format!("its output cannot be read: {error}")),
        };
        let last = line.is_err();
        if sender.send(line).is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Process;
    use bulkhead_sandbox::Limits;
    use bulkhead_schema::credential::{Action, Answer, Refusal, RegistryInfo, Secret};
    use std::time::{Duration, Instant};

    /// Confined if this machine can do it, and not: the words of a program mean the same.
    fn both(script: &str) -> [Process; 2] {
        let mut description = bulkhead_sandbox::Process::new("/bin/sh");
        description.arguments = vec!["-c".into(), script.into()];
        description.environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
        description.limits = Limits { wall_time: Some(Duration::from_secs(20)), ..Limits::default() };
        [true, false].map(|confined| Process { description: description.clone(), confined, quiet: false })
    }

    fn ask(process: &Process) -> Result<Answer, Refusal> {
        let registry = RegistryInfo { index_url: "sparse+https://example.org/", name: None, headers: &[] };
        process.ask(registry, Action::Get, &[])
    }

    const GOOD: &str = r#"echo '{"v":[1]}'; read line; echo '{"Ok":{"kind":"get","token":"t","cache":"never"}}'"#;

    #[test]
    fn a_provider_is_asked_by_the_protocol() {
        let token = Secret::token("t".to_owned()).unwrap();
        for process in both(GOOD) {
            assert_eq!(ask(&process), Ok(Answer::Token { token: token.clone(), expires: None }));
        }
        for process in both("echo t") {
            assert_eq!(process.token_from_stdout(), Ok(token.clone()));
        }
        for process in both("read -r line; echo $line; exit 1") {
            let (success, said) = process.exchange("hello\n").unwrap();
            assert!(!success && *said == "hello\n");
        }
        for process in both(r#"echo '{"v":[1]}'; read line; echo '{"Err":{"kind":"not-found"}}'; exit 1"#) {
            assert_eq!(ask(&process), Err(Refusal::NotFound));
        }
    }

    /// Attack 157: whatever a helper does, it ends, in time and memory, and its words are not taken for a token.
    #[test]
    fn a_helper_that_misbehaves_gives_no_token() {
        for (script, says) in [
            ("exit 0", "does not offer version 1"),
            ("echo '{\"v\":[2]}'", "does not offer version 1"),
            ("echo '{\"v\":[1]}'; read line", "breaks the protocol"),
            (&format!("{GOOD}; echo '{{}}'"), "more than one line"),
            (&format!("{GOOD}; exit 3"), "exit status: 3"),
            ("echo '{\"v\":[1]}'; read line; yes x | tr -d '\\n' | head -c 100000000", "64 KiB"),
            ("printf '\\377\\n'", "not UTF-8"),
        ] {
            for process in both(script) {
                match ask(&process) {
                    Err(Refusal::Other(causes)) => assert!(causes[0].contains(says), "{script}: {causes:?}"),
                    other => panic!("{script}: {other:?}"),
                }
            }
        }
        for (script, says) in [
            ("echo a; echo b", "more than one line"),
            ("echo a; exit 3", "exit status: 3"),
            ("true", "non-empty"),
            ("printf 'a\\rb'", "invalid characters"),
            ("yes x | tr -d '\\n' | head -c 100000000", "64 KiB"),
        ] {
            for process in both(script) {
                let error = process.token_from_stdout().unwrap_err();
                assert!(error.contains(says), "{script}: {error}");
            }
        }
    }

    #[test]
    fn a_helper_that_hangs_is_ended() {
        let begin = Instant::now();
        for mut hangs in both("exec sleep 60") {
            hangs.description.limits.wall_time = Some(Duration::from_millis(200));
            assert!(hangs.token_from_stdout().unwrap_err().contains("did not answer"));
            let registry = RegistryInfo { index_url: "x", name: None, headers: &[] };
            assert!(hangs.ask(registry, Action::Get, &[]).is_err());
        }
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_without_a_path_is_not_started() {
        for mut process in both("") {
            process.description.program = "sh".into();
            assert!(process.token_from_stdout().unwrap_err().contains("absolute"));
        }
    }
}
