//! Why a git source is not used, and what to do about it.

use bulkhead_git::{GitError, GitErrorKind};
use bulkhead_schema::git::ObjectId;
use bulkhead_schema::{GitReference, SourceId};
use url::Url;

use crate::{Error, ErrorKind};

/// A reference in the words of an error.
pub(super) fn told(reference: &GitReference) -> String {
    match reference {
        GitReference::DefaultBranch => "the default branch".to_owned(),
        GitReference::Branch(name) => format!("branch `{name}`"),
        GitReference::Tag(name) => format!("tag `{name}`"),
        GitReference::Rev(name) => format!("revision `{name}`"),
    }
}

pub(super) fn local_repository(url: &Url) -> Error {
    Error::new(ErrorKind::Policy, format!("the git repository `{url}` is on this machine"))
        .because(
            "only the manifests of this workspace may name one: a dependency or a submodule that does could read any",
        )
        .help("if you need it, name the repository in a `[patch]` of your own manifest")
}

pub(super) fn unreachable(source: SourceId, reference: &GitReference, commit: ObjectId) -> Error {
    let message = format!("the commit {commit} is on no branch or tag of `{}`", source.url());
    Error::new(ErrorKind::Verification, message)
        .because(format!("Cargo.lock or the command line wants it from {}", told(reference)))
        .because("anybody who can propose a change or make a fork can put a commit there, or its history was rewritten")
        .help("`bulkhead update` with the package's name takes what is there now")
        .help(format!("if you mean exactly this commit, say `rev = \"{commit}\"` in the manifest"))
}

/// A failed run of git, with what to do about it.
pub(super) fn git_error(error: GitError) -> Error {
    let GitError { kind: cause, url, message } = error;
    let kind = match cause {
        GitErrorKind::Refused | GitErrorKind::HostKey | GitErrorKind::Certificate | GitErrorKind::HttpsPinned => {
            ErrorKind::Verification
        }
        GitErrorKind::Transport | GitErrorKind::Limit(_) => ErrorKind::Policy,
        _ => ErrorKind::Failure,
    };
    let raise;
    let help = match cause {
        GitErrorKind::Limit(key) => {
            raise = format!("if this repository is meant, raise `limits.git.{key}` in a policy");
            Some(raise.as_str())
        }
        GitErrorKind::Transport => Some("use `https://` or `ssh://`"),
        GitErrorKind::HttpsPinned => Some(
            "find out who changed the address; if the server has no https any more, and that is meant, remove its line from \
             that file",
        ),
        GitErrorKind::Offline => Some("run the command without --offline once, so that the repository can be fetched"),
        GitErrorKind::Authentication => Some(
            "set up a credential helper for this host in your own git configuration, or an ssh key in your agent: \
             nothing is ever asked",
        ),
        GitErrorKind::HostKey => {
            Some("compare the server's key with what its operator publishes, then add it to ~/.ssh/known_hosts")
        }
        GitErrorKind::Certificate => Some(
            "the certificate is signed by nobody whom this machine trusts, has expired, or is for another name: if it is \
             your own authority's, name its file in `http.cainfo` of your own config.toml",
        ),
        GitErrorKind::NotFound => Some("was it renamed or deleted? `git ls-remote` shows what is there"),
        GitErrorKind::Ambiguous => Some("write the whole commit id"),
        GitErrorKind::Fetch => Some("check the URL and the network; --offline works with what was fetched before"),
        GitErrorKind::Refused | GitErrorKind::Program => None,
    };
    let whole = format!("failed to read the git repository `{url}`");
    let mut failure = match cause {
        GitErrorKind::HostKey => Error::refusal(kind, "git-host-key", whole),
        GitErrorKind::Certificate => Error::refusal(kind, "git-certificate", whole),
        GitErrorKind::HttpsPinned => Error::refusal(kind, "https-pinned", whole),
        GitErrorKind::Limit(_) => Error::refusal(kind, "git-limit", whole),
        _ => Error::new(kind, whole),
    };
    for line in message.lines().filter(|line| !line.trim().is_empty()) {
        failure = failure.because(line);
    }
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}
