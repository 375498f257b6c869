//! Servers that were reached over https once are never asked over plain http again, whatever configuration, registries or
//! redirects say later (for registries what HSTS, RFC 6797, is for browsers; here nobody has to ask for it).
//!
//! Plain http is asked of literal loopback addresses only ([`crate::url_rules`]), so that those alone have to be remembered:
//! for every other server this holds without any file.

use std::collections::BTreeSet;
use std::io::{ErrorKind as IoKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;
use url::Url;

use crate::url_rules::{is_loopback, printable};
use crate::{ErrorKind, SourceError};

/// The servers that were reached over https. Copies share what they know.
#[derive(Debug, Clone, Default)]
pub struct HttpsPins(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// One server on each line; without it they are forgotten when the process ends.
    file: Option<PathBuf>,
    /// `None` until it was read.
    known: Mutex<Option<BTreeSet<String>>>,
}

/// Largest file that is read.
const MAX_FILE: u64 = 1 << 20;

impl HttpsPins {
    /// Those in `file`, which need not be there yet.
    pub fn at(file: PathBuf) -> Self {
        Self(Arc::new(Inner { file: Some(file), known: Mutex::default() }))
    }

    /// Refuses an address of plain http whose server was reached over https before.
    ///
    /// # Errors
    /// [`ErrorKind::HttpsPinned`], or what is known cannot be read.
    pub fn check(&self, url: &Url) -> Result<(), SourceError> {
        let Some(server) = (url.scheme() == "http").then(|| server(url)).flatten() else { return Ok(()) };
        if !self.known(|known| known.contains(&server))? {
            return Ok(());
        }
        let message = match &self.0.file {
            Some(file) => format!("its server was reached over https before, as `{}` says", file.display()),
            None => "its server was reached over https before".to_owned(),
        };
        Err(SourceError::new(ErrorKind::HttpsPinned, printable(url), message))
    }

    /// Remembers that the server of `url` answered, if that was over https.
    pub fn saw(&self, url: &Url) {
        let Some(server) = (url.scheme() == "https" && is_loopback(url)).then(|| server(url)).flatten() else { return };
        let line = format!("{server}\n");
        // Where the file cannot be read, nothing is asked over plain http.
        if self.known(|known| known.insert(server)) != Ok(true) {
            return;
        }
        // A home that cannot be written remembers nothing else of a registry, either.
        let _ = self.0.file.as_ref().map(|file| {
            std::fs::create_dir_all(file.parent().unwrap_or(file))?;
            options().append(true).create(true).open(file)?.write_all(line.as_bytes())
        });
    }

    fn known<T>(&self, use_it: impl FnOnce(&mut BTreeSet<String>) -> T) -> Result<T, SourceError> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *known {
            Some(known) => Ok(use_it(known)),
            None => Ok(use_it(known.insert(self.read()?))),
        }
    }

    fn read(&self) -> Result<BTreeSet<String>, SourceError> {
        let Some(file) = &self.0.file else { return Ok(BTreeSet::new()) };
        let failed = |reason: String| SourceError::new(ErrorKind::File, file.to_string_lossy(), reason);
        let mut text = String::new();
        match options().read(true).open(file).and_then(|open| open.take(MAX_FILE + 1).read_to_string(&mut text)) {
            Err(error) if error.kind() == IoKind::NotFound => Ok(BTreeSet::new()),
            Err(error) => Err(failed(error.to_string())),
            Ok(read) if read as u64 > MAX_FILE => Err(failed(format!("it is larger than {MAX_FILE} bytes"))),
            Ok(_) => Ok(text.lines().map(str::to_owned).collect()),
        }
    }
}

/// A link in its place is not followed, and a pipe not waited for.
fn options() -> std::fs::OpenOptions {
    let mut options = std::fs::File::options();
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

/// `host`, and its port if it is not the one of the scheme: `http://h/` and `https://h/` are one server.
fn server(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or(host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::HttpsPins;
    use crate::ErrorKind;
    use url::Url;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_server_that_was_seen_over_https_is_not_asked_over_http() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trust/https");
        let pins = HttpsPins::at(file.clone());
        assert_eq!(pins.check(&url("http://127.0.0.1/index/")), Ok(()));
        for seen in ["https://127.0.0.1/index/", "https://127.0.0.1:8443/", "https://[::1]/", "https://127.0.0.1/"] {
            pins.saw(&url(seen));
        }
        // Neither what is never asked over http nor what was seen over http needs to be remembered.
        pins.saw(&url("https://example.org/"));
        pins.saw(&url("http://127.0.0.1:81/"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "127.0.0.1\n127.0.0.1:8443\n[::1]\n");
        for pins in [pins, HttpsPins::at(file)] {
            // Other spellings of the same server are the same to the parser of addresses.
            for bad in ["http://127.0.0.1/dl/x", "http://127.0.0.1:80/", "http://2130706433/", "http://[0::1]/x"] {
                assert_eq!(pins.check(&url(bad)).unwrap_err().kind, ErrorKind::HttpsPinned, "{bad}");
            }
            assert!(pins.check(&url("http://127.0.0.1:8443/")).is_err());
            for good in ["http://127.0.0.1:81/", "https://127.0.0.1/", "http://127.0.0.2/"] {
                assert_eq!(pins.check(&url(good)), Ok(()), "{good}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_lets_nothing_pass() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("https");
        std::os::unix::fs::symlink("/dev/null", &file).unwrap();
        assert_eq!(HttpsPins::at(file.clone()).check(&url("http://127.0.0.1/")).unwrap_err().kind, ErrorKind::File);
        HttpsPins::at(file.clone()).saw(&url("https://127.0.0.1/"));
        assert!(file.is_symlink());
    }
}
