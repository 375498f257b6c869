//! Why a repository could not be read.

use std::fmt;

/// Why a repository could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitError {
    /// What went wrong.
    pub kind: GitErrorKind,
    /// The repository. Untrusted.
    pub url: String,
    /// One line, and after it what git said. Untrusted.
    pub message: String,
}

/// What went wrong, where a caller acts differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitErrorKind {
    /// The URL is reached in a way that is not allowed.
    Transport,
    /// The server was reached over https before, and is to be asked over plain http.
    HttpsPinned,
    /// The network would have been needed in offline mode.
    Offline,
    /// The server asked for a user name or refused the one it got.
    Authentication,
    /// A server's key is unknown, or not the one that is known.
    HostKey,
    /// A server's certificate is signed by nobody whom this machine trusts, has expired, or is for another name.
    Certificate,
    /// The repository could not be reached or did not answer well.
    Fetch,
    /// The branch, tag or revision does not exist.
    NotFound,
    /// A revision means several commits.
    Ambiguous,
    /// What arrived breaks git's own rules.
    Refused,
    /// A limit was passed: its key in `limits.git` of a policy.
    Limit(&'static str),
    /// There is no git here, or it cannot be run confined.
    Program,
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git repository `{}`: {}", self.url, self.message)
    }
}
impl std::error::Error for GitError {}
