//! Which request carries the token of a registry: those to the registry's own server, and to no other.

use bulkhead_schema::SourceId;
use bulkhead_schema::credential::login_advice;
use reqwest::header::HeaderValue;
use url::Url;

use crate::{ErrorKind, Grant, SourceError};

/// What a request says about who asks.
#[derive(Debug, Clone, Default)]
pub enum Authorization {
    /// The registry answers everybody.
    #[default]
    Public,
    /// The registry's token, to one of its servers.
    Token {
        /// The header, which is not printed.
        header: HeaderValue,
        /// The registry.
        registry: SourceId,
    },
    /// The registry has a token, but this server is not known to be the registry's: it does not get to see it.
    Withheld {
        /// The server, as `https://host[:port]`.
        origin: String,
        /// The registry.
        registry: SourceId,
    },
}

impl Authorization {
    /// How a request to `url` is made, for the registry `registry` with its index at `root`.
    pub(crate) fn for_request(grant: &Grant, registry: SourceId, root: &Url, url: &Url) -> Result<Self, SourceError> {
        let origin = url.origin().ascii_serialization();
        if url.origin() != root.origin() && !grant.origins.contains(&origin) {
            return Ok(Self::Withheld { origin, registry });
        }
        let mut header = HeaderValue::from_str(grant.token.expose()).map_err(|_| {
            SourceError::new(ErrorKind::Unauthorized, root.as_str(), "the token cannot be sent in a header")
        })?;
        header.set_sensitive(true);
        Ok(Self::Token { header, registry })
    }

    pub(crate) fn header(&self) -> Option<&HeaderValue> {
        if let Self::Token { header, .. } = self { Some(header) } else { None }
    }

    /// Says what to do where the server does not answer those whom it does not know.
    pub(crate) fn explain(&self, error: SourceError) -> SourceError {
        if error.kind != ErrorKind::Unauthorized {
            return error;
        }
        let message = match self {
            Self::Public => return error,
            Self::Token { registry, .. } => {
                format!("{} ({})", login_advice("token rejected", *registry), error.message)
            }
            Self::Withheld { origin, registry } => format!(
                "{}, and the token of `{}` is sent to the server of its index only; if {origin} belongs to that registry, \
                 say so in your own configuration: `token-origins = [\"{origin}\"]`",
                error.message,
                registry.registry_name()
            ),
        };
        SourceError { message, ..error }
    }
}

#[cfg(test)]
mod tests {
    use super::Authorization;
    use crate::Grant;
    use bulkhead_schema::SourceId;
    use bulkhead_schema::credential::Secret;
    use url::Url;

    /// Attacks 149 and 156: other servers do not see the token, and neither does anybody who prints the request.
    #[test]
    fn a_token_goes_to_the_server_of_the_index() {
        let root = Url::parse("https://example.org/index/").unwrap();
        let registry = SourceId::parse("sparse+https://example.org/index/").unwrap();
        let token = Secret::token("s3cr3t".to_owned()).unwrap();
        let grant = Grant { token, expires: None, origins: vec!["https://files.example.org".to_owned()] };
        let made = |url: &str| Authorization::for_request(&grant, registry, &root, &Url::parse(url).unwrap()).unwrap();
        for good in ["https://example.org/dl/x", "https://example.org:443/x", "https://files.example.org/x"] {
            assert_eq!(made(good).header().unwrap(), "s3cr3t", "{good}");
            assert!(!format!("{:?} {grant:?}", made(good)).contains("s3cr3t"));
        }
        for bad in [
            "http://example.org/x",
            "https://example.org:444/x",
            "https://example.org.evil.example/x",
            "https://evil.example/example.org/",
            "https://files.example.org:8443/x",
            "https://sub.files.example.org/x",
        ] {
            assert!(made(bad).header().is_none(), "{bad}");
        }
    }
}
