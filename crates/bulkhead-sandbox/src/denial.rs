//! What the child was refused.

use std::fmt;
use std::path::PathBuf;

/// One refused access, with how often it was tried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// What was asked for.
    pub kind: DenialKind,
    /// What it was asked for on.
    pub target: Target,
    /// How often.
    pub count: u32,
}

/// What a process asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DenialKind {
    /// To read, list or look for a file that exists on the host and is not in the view.
    Read,
    /// To create, change, rename or remove.
    Write,
    /// To run a program.
    Execute,
    /// To connect, or to send to an address.
    Connect,
    /// To listen.
    Bind,
}

/// What an access was for. Untrusted: the child chose it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// An absolute path as the child spelled it, with `.` and `..` removed.
    Path(PathBuf),
    /// A socket address: `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `unix:@abstract`.
    Address(String),
    /// A host and port that the proxy was asked for: `example.com:443`.
    Host(String),
}

impl fmt::Display for DenialKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DenialKind::Read => "read",
            DenialKind::Write => "write",
            DenialKind::Execute => "execute",
            DenialKind::Connect => "connect",
            DenialKind::Bind => "bind",
        })
    }
}
