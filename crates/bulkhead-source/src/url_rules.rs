//! Which addresses may be asked.

use url::{Host, Url};

use crate::{ErrorKind, SourceError};

/// Reads an address that a server or the user named: https, or http on literal loopback where that is allowed; without
/// user, password and fragment.
pub(crate) fn check(text: &str, allow_http_loopback: bool) -> Result<Url, SourceError> {
    let shown: String = text.chars().take(300).collect();
    let refused = |reason: String| SourceError::new(ErrorKind::RefusedAddress, shown.clone(), reason);
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(refused("the address holds a character that addresses must not hold".to_owned()));
    }
    let url = Url::parse(text).map_err(|error| refused(error.to_string()))?;
    check_parsed(&url, allow_http_loopback)
        .map_err(|reason| SourceError::new(ErrorKind::RefusedAddress, printable(&url), reason))?;
    Ok(url)
}

/// The same for an address that the registry with its index at `root` names: it does not lead from https to plain http.
pub(crate) fn check_named_by(root: &Url, text: &str, allow_http_loopback: bool) -> Result<Url, SourceError> {
    let url = check(text, allow_http_loopback)?;
    if root.scheme() == "https" && url.scheme() != "https" {
        let reason = format!("a registry that is reached over https (`{}`) sends nobody to http", printable(root));
        return Err(SourceError::new(ErrorKind::RefusedAddress, printable(&url), reason));
    }
    Ok(url)
}

/// Reads the root of an index, which is an identity: it has exactly one spelling (the canonical one), ends in `/`, and
/// carries no query.
pub(crate) fn check_root(text: &str, allow_http_loopback: bool) -> Result<Url, SourceError> {
    let url = check(text, allow_http_loopback)?;
    let refused = |reason: String| Err(SourceError::new(ErrorKind::RefusedAddress, printable(&url), reason));
    if url.query().is_some() {
        return refused("the address of an index has no query".to_owned());
    }
    if !url.path().ends_with('/') {
        return refused("the address of a sparse index ends in `/`".to_owned());
    }
    if url.as_str() != text {
        return refused(format!("the address is not written canonically: write `{url}`"));
    }
    Ok(url)
}

pub(crate) fn check_parsed(url: &Url, allow_http_loopback: bool) -> Result<(), String> {
    match url.scheme() {
        "https" => {}
        "http" if allow_http_loopback && is_loopback(url) => {}
        other => return Err(format!("the scheme `{other}` is refused: only https is asked")),
    }
    if url.host().is_none() {
        return Err("it names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user name or password".to_owned());
    }
    match url.fragment() {
        Some(_) => Err("it has a fragment".to_owned()),
        None => Ok(()),
    }
}

/// Whether the host is a literal loopback address: a name is whatever whoever answers for it says.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// The address for a message: no credentials.
pub(crate) fn printable(url: &Url) -> String {
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // Fails only for addresses that cannot have credentials.
        let _ = (url.set_username("***"), url.set_password(None));
    }
    url.as_str().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::{check, check_root};

    /// Attack 154.
    #[test]
    fn only_https_and_loopback_on_request() {
        for bad in [
            "http://example.org/",
            "ftp://example.org/",
            "file:///etc/hostname",
            "data:,x",
            "https://u@example.org/",
            "https://u:p@example.org/",
            "https://example.org/#x",
            "https://exa mple.org/",
            "https://example.org\\@x/",
            "gopher://x/",
            "//example.org/",
            "http://localhost/",
            "http://127.0.0.1.example.org/",
            "",
        ] {
            assert!(check(bad, true).is_err(), "{bad:?}");
        }
        assert!(check("http://127.0.0.1:80/", false).is_err());
        for good in ["https://example.org/x?y", "https://example.org:443/", "http://127.0.0.1:8080/", "http://[::1]/"] {
            assert!(check(good, true).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn an_index_root_has_one_spelling() {
        for bad in [
            "https://example.org",
            "https://example.org/x",
            "https://example.org/x/../index/",
            "https://EXAMPLE.org/",
            "https://example.org:443/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://example.org/?q",
            "https://example.org/x/./",
        ] {
            assert!(check_root(bad, true).is_err(), "{bad:?}");
        }
        assert!(check_root("https://example.org/index/", false).is_ok());
    }
}
