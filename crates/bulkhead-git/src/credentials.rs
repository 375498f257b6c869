//! A user name and password for one host, from the user's own credential helpers.
//!
//! The helpers are programs that the user chose in the user's own configuration of git; they run as credential helpers do,
//! apart from the git that fetches, and are told protocol and host and nothing that a repository chose besides. What they
//! answer goes to the confined git as a file that names the one host for which it is good.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use url::Url;

use crate::GitOptions;

/// The arguments with which git asks the user's helpers.
pub const ASK_HELPERS: [&str; 2] = ["credential", "fill"];

/// With what environment it does so, besides the user's: nobody is asked anything, and no repository's configuration counts.
pub const HELPERS_ENVIRONMENT: [(&str, &str); 4] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "/bin/false"),
    ("GIT_CEILING_DIRECTORIES", "/"),
    ("GIT_DIR", "/nonexistent"),
];

/// Asks the user's helpers for `url`; the answer is a file in the format of git's `store` helper, which is gone when the
/// returned folder is dropped. `None` if nobody knows anything.
///
/// # Errors
/// The helpers cannot be asked.
pub(crate) fn ask(options: &GitOptions, url: &Url) -> Result<Option<tempfile::TempDir>, String> {
    let (Some(helper), Some(host)) = (&options.helper, url.host_str()) else { return Ok(None) };
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut question = format!("protocol={}\nhost={host}\n", url.scheme());
    if !url.username().is_empty() {
        question.push_str(&format!("username={}\n", url.username()));
    }
    question.push('\n');
    let (success, answer) = helper.exchange(&question)?;
    if !success {
        return Ok(None);
    }
    let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    // A helper that answers for another host is not listened to.
    if value("host").is_some_and(|answered| answered != host) {
        return Ok(None);
    }
    let (Some(user), Some(password)) = (value("username"), value("password")) else { return Ok(None) };
    Ok(file(url, user, password))
}

fn file(url: &Url, user: &str, password: &str) -> Option<tempfile::TempDir> {
    let mut filled = url.clone();
    filled.set_path("");
    filled.set_username(user).ok()?;
    filled.set_password(Some(password)).ok()?;
    let folder = tempfile::tempdir().ok()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).ok()?;
    let mut file = std::fs::File::create_new(folder.path().join("credentials")).ok()?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).ok()?;
    writeln!(file, "{}", filled.as_str().trim_end_matches('/')).ok()?;
    Some(folder)
}
