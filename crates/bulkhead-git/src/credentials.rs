//! A user name and password for one host, from the user's own credential helpers.
//!
//! The helpers are programs that the user chose in the user's own configuration of git; they run as the user would run
//! them, outside the confinement, and are told protocol and host and nothing that a repository chose besides. What they
//! answer goes to the confined git as a file that names the one host for which it is good.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use url::Url;

use crate::GitOptions;

/// Most bytes of a helper's answer.
const MAX_ANSWER: u64 = 64 << 10;

/// Asks the user's helpers for `url`; the answer is a file in the format of git's `store` helper, which is gone when the
/// returned folder is dropped. `None` if nobody knows anything.
pub(crate) fn ask(options: &GitOptions, url: &Url) -> Option<tempfile::TempDir> {
    let (program, home) = (options.program.as_ref()?, options.user_home.as_ref()?);
    let host = url.host_str()?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut question = format!("protocol={}\nhost={host}\n", url.scheme());
    if !url.username().is_empty() {
        question.push_str(&format!("username={}\n", url.username()));
    }
    question.push('\n');
    let answer = fill(program, home, &question)?;
    let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    // A helper that answers for another host is not listened to.
    if value("host").is_some_and(|answered| answered != host) {
        return None;
    }
    let mut filled = url.clone();
    filled.set_path("");
    filled.set_username(value("username")?).ok()?;
    filled.set_password(Some(value("password")?)).ok()?;
    let folder = tempfile::tempdir().ok()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).ok()?;
    let mut file = std::fs::File::create_new(folder.path().join("credentials")).ok()?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).ok()?;
    writeln!(file, "{}", filled.as_str().trim_end_matches('/')).ok()?;
    Some(folder)
}

fn fill(program: &Path, home: &Path, question: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(["credential", "fill"]).env_clear().current_dir("/");
    command.env("HOME", home).env("PATH", "/usr/local/bin:/usr/bin:/bin").env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_ASKPASS", "/bin/false").env("GIT_CEILING_DIRECTORIES", "/").env("GIT_DIR", "/nonexistent");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(question.as_bytes()).ok()?;
    let mut answer = String::new();
    let read = child.stdout.take()?.take(MAX_ANSWER).read_to_string(&mut answer);
    let ended = child.wait().ok()?;
    (read.is_ok() && ended.success()).then_some(answer)
}
