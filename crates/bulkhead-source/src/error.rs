//! Why a source could not answer.

use std::fmt;

use bulkhead_schema::Diagnostic;

/// What kind of failure, where callers act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Offline mode, and the local cache has no answer.
    Offline,
    /// The server says that there is no such thing.
    NotFound,
    /// No connection, a timeout, or a server that fails, after all retries.
    Network,
    /// The server cannot show a certificate for its name. Nothing was sent to it.
    Certificate,
    /// The server answered something that breaks the protocol.
    Protocol,
    /// The answer is larger than allowed.
    TooLarge,
    /// An address that must not be asked: not https, for instance.
    RefusedAddress,
    /// A redirect that is not followed: it leads to such an address, or is one too many.
    RefusedRedirect,
    /// An address of plain http, whose server was reached over https before.
    HttpsPinned,
    /// The server wants to know who asks.
    Unauthorized,
    /// A file of the local cache or the CA bundle could not be read or written.
    File,
}

/// Why a source could not answer. Texts may be untrusted: the renderer escapes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// The address that was asked, without credentials; or the file.
    pub url: String,
    /// What happened, one sentence without a full stop.
    pub message: String,
    /// Where the server wants to know who asks: how, as `www-authenticate: VALUE`.
    pub challenge: Vec<String>,
}

impl SourceError {
    pub(crate) fn new(kind: ErrorKind, url: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, url: url.into(), message: message.into(), challenge: Vec::new() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.message)
    }
}
impl std::error::Error for SourceError {}

impl From<SourceError> for Diagnostic {
    fn from(error: SourceError) -> Self {
        let (code, help) = match error.kind {
            ErrorKind::Offline => ("source-offline", "run the command once without `--offline`"),
            ErrorKind::NotFound => ("source-not-found", "check the name and the registry"),
            ErrorKind::Network => ("source-network", "check the connection and the proxy settings, then try again"),
            ErrorKind::Certificate => ("source-certificate", "check the address; a proxy may stand between you and it"),
            ErrorKind::Protocol => {
                ("source-protocol", "the registry or a proxy on the way to it is broken; tell its operator")
            }
            ErrorKind::TooLarge => ("source-too-large", "if the registry is right to send that much, raise the limit"),
            ErrorKind::RefusedAddress | ErrorKind::RefusedRedirect => {
                ("source-refused-address", "registries are reached by https only")
            }
            ErrorKind::HttpsPinned => ("source-https-pinned", "ask it over https"),
            ErrorKind::Unauthorized => ("source-unauthorized", "this registry needs a login"),
            ErrorKind::File => ("source-file", "check the file and its permissions"),
        };
        Self::error(code, error.to_string()).help(help)
    }
}
