//! One program that hands out tokens: started by its absolute path, bounded in time and output.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bulkhead_schema::credential::{
    Action, Answer, MAX_ANSWER, Refusal, RegistryInfo, Secret, parse_answer, request, speaks_our_version,
};
use zeroize::Zeroizing;

/// A program, as it will be started.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// How long it may take in all. People may have to unlock something.
    pub deadline: Duration,
}

impl Process {
    /// Asks a provider by Cargo's protocol: its greeting, one question, one answer, its end. `extra` are the arguments
    /// that the question carries.
    ///
    /// # Errors
    /// What the provider says, or how it breaks the protocol.
    pub fn ask(&self, registry: RegistryInfo<'_>, action: Action<'_>, extra: &[String]) -> Result<Answer, Refusal> {
        let failed = |problem: String| Refusal::Other(vec![problem]);
        let mut running = self.start(Stdio::piped()).map_err(failed)?;
        let hello = running.line().map_err(failed)?;
        if !speaks_our_version(&hello) {
            return Err(failed("it does not offer version 1 of the credential-provider protocol".to_owned()));
        }
        let question = request(registry, action, extra);
        let mut input = running.child.stdin.take();
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
        let program = self.program.display();
        let mut running = self.start(Stdio::inherit())?;
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
        let mut running = self.start(Stdio::piped())?;
        if let Some(mut pipe) = running.child.stdin.take() {
            // A program may end without having read its input.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = running.rest()?;
        Ok((running.end()?.success(), output))
    }

    fn start(&self, input: Stdio) -> Result<Running, String> {
        if !self.program.is_absolute() {
            return Err(format!("the program `{}` has no absolute path", self.program.display()));
        }
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| format!("failed to start `{}`: {error}", self.program.display()))?;
        let output = child.stdout.take().map(lines);
        Ok(Running { child, output, until: Instant::now() + self.deadline, seconds: self.deadline.as_secs() })
    }
}

/// A program that runs; it does not outlive this value.
struct Running {
    child: Child,
    output: Option<Receiver<Line>>,
    until: Instant,
    seconds: u64,
}

type Line = Result<Zeroizing<String>, String>;

impl Running {
    /// The next line with its line feed; empty at the end.
    fn line(&mut self) -> Line {
        let Some(output) = &self.output else { return Err("it has no output".to_owned()) };
        match output.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => Ok(Zeroizing::default()),
            Err(RecvTimeoutError::Timeout) => Err(self.late()),
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

    fn end(&mut self) -> Result<ExitStatus, String> {
        loop {
            match self.child.try_wait() {
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
        // It has ended already, unless something went wrong.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads lines on a thread of its own, so that waiting for them can be given up.
fn lines(output: ChildStdout) -> Receiver<Line> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut bytes = Zeroizing::new(Vec::new());
            let read = (&mut output).take(MAX_ANSWER as u64 + 1).read_until(b'\n', &mut bytes);
            let line = match read {
                Ok(0) => return,
                Ok(length) if length > MAX_ANSWER => Err("it says more than 64 KiB in one line".to_owned()),
                Ok(_) => match std::str::from_utf8(&bytes) {
                    Ok(text) => Ok(Zeroizing::new(text.to_owned())),
                    Err(_) => Err("its output is not UTF-8".to_owned()),
                },
                Err(error) => Err(format!("its output cannot be read: {error}")),
            };
            let last = line.is_err();
            if sender.send(line).is_err() || last {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::Process;
    use bulkhead_schema::credential::{Action, Answer, Refusal, RegistryInfo, Secret};
    use std::time::{Duration, Instant};

    fn shell(script: &str) -> Process {
        Process {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
            deadline: Duration::from_secs(20),
        }
    }

    fn ask(script: &str) -> Result<Answer, Refusal> {
        let registry = RegistryInfo { index_url: "sparse+https://example.org/", name: None, headers: &[] };
        shell(script).ask(registry, Action::Get, &[])
    }

    const GOOD: &str = r#"echo '{"v":[1]}'; read line; echo '{"Ok":{"kind":"get","token":"t","cache":"never"}}'"#;

    #[test]
    fn a_provider_is_asked_by_the_protocol() {
        let token = Secret::token("t".to_owned()).unwrap();
        assert_eq!(ask(GOOD), Ok(Answer::Token { token: token.clone(), expires: None }));
        assert_eq!(shell("echo t").token_from_stdout(), Ok(token));
        assert_eq!(
            ask(r#"echo '{"v":[1]}'; read line; echo '{"Err":{"kind":"not-found"}}'; exit 1"#),
            Err(Refusal::NotFound)
        );
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
            match ask(script) {
                Err(Refusal::Other(causes)) => assert!(causes[0].contains(says), "{script}: {causes:?}"),
                other => panic!("{script}: {other:?}"),
            }
        }
        for (script, says) in [
            ("echo a; echo b", "more than one line"),
            ("echo a; exit 3", "exit status: 3"),
            ("true", "non-empty"),
            ("printf 'a\\rb'", "invalid characters"),
            ("yes x | tr -d '\\n' | head -c 100000000", "64 KiB"),
        ] {
            let error = shell(script).token_from_stdout().unwrap_err();
            assert!(error.contains(says), "{script}: {error}");
        }
    }

    #[test]
    fn a_helper_that_hangs_is_ended() {
        let begin = Instant::now();
        let hangs = Process { deadline: Duration::from_millis(200), ..shell("exec sleep 60") };
        assert!(hangs.token_from_stdout().unwrap_err().contains("did not answer"));
        let registry = RegistryInfo { index_url: "x", name: None, headers: &[] };
        assert!(hangs.ask(registry, Action::Get, &[]).is_err());
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_without_a_path_is_not_started() {
        let process = Process { program: "sh".into(), ..shell("") };
        assert!(process.token_from_stdout().unwrap_err().contains("absolute"));
    }
}
