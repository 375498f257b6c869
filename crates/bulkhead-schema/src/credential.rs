//! Tokens, and Cargo's protocol for the programs that keep them (Cargo Book, "Credential Provider Protocol").

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::SourceId;

/// Longest token, in bytes. Signed tokens have a few hundred.
pub const MAX_TOKEN: usize = 16 << 10;

/// Longest answer of a credential provider, in bytes.
pub const MAX_ANSWER: usize = 64 << 10;

/// A text that must not be seen: it is not printed, not even by `{:?}`, and its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A token as a registry will receive it, in the header `Authorization`.
    ///
    /// # Errors
    /// It is empty, too long, or holds what does not belong into a header. The message does not quote it.
    pub fn token(text: impl Into<Zeroizing<String>>) -> Result<Self, &'static str> {
        let text = text.into();
        if text.is_empty() {
            return Err("please provide a non-empty token");
        }
        if text.len() > MAX_TOKEN {
            return Err("the token is longer than 16 KiB");
        }
        if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.trim() != text.as_str() {
            return Err("token contains invalid characters: only printable ASCII can be sent in a header");
        }
        Ok(Self(text))
    }

    /// The text, for the one place that has to send or store it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The address by which tokens and providers know a registry.
pub fn index_url(source: SourceId) -> String {
    match source.kind() {
        crate::SourceKind::SparseRegistry => source.to_string(),
        _ => source.url().to_owned(),
    }
}

/// `WHAT for NAME`, and how to log in.
pub fn login_advice(what: &str, source: SourceId) -> String {
    let name = source.registry_name();
    if name == index_url(source) {
        return format!(
            "{what} for `{name}`, which has no name in your configuration: define `[registries.NAME] index`"
        );
    }
    let variable: String =
        name.chars().map(|c| if c == '-' || c == '.' { '_' } else { c.to_ascii_uppercase() }).collect();
    format!(
        "{what} for `{name}`, please run `cargo login --registry {name}`\nor use environment variable \
         CARGO_REGISTRIES_{variable}_TOKEN"
    )
}

/// The address of the page that hands out tokens, from headers such as `www-authenticate: Cargo login_url="…"`.
pub fn login_url(challenges: &[String]) -> Option<&str> {
    challenges.iter().find_map(|challenge| {
        let value = challenge.strip_prefix("www-authenticate: ")?;
        let (scheme, parameters) = value.trim().split_once(' ')?;
        let (_, rest) = parameters.split_once("login_url=\"").filter(|_| scheme.eq_ignore_ascii_case("cargo"))?;
        rest.split_once('"').map(|(url, _)| url).filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    })
}

/// What is wanted of a provider.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// The token for reading.
    Get,
    /// To keep a token.
    Login {
        /// What the user typed or piped.
        token: Option<&'a Secret>,
        /// Where the user could get one.
        login_url: Option<&'a str>,
    },
    /// To forget it.
    Logout,
}

impl Action<'_> {
    /// The protocol's word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Login { .. } => "login",
            Self::Logout => "logout",
        }
    }
}

/// The registry that a provider is asked about.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RegistryInfo<'a> {
    /// Its address.
    #[serde(rename = "index-url")]
    pub index_url: &'a str,
    /// What configuration calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The headers with which it refused (`WWW-Authenticate` and no other).
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub headers: &'a [String],
}

#[derive(Serialize)]
struct Request<'a> {
    v: u32,
    registry: RegistryInfo<'a>,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(rename = "login-url", skip_serializing_if = "Option::is_none")]
    login_url: Option<&'a str>,
    args: &'a [String],
}

/// The line that asks a provider, with its line feed.
pub fn request(registry: RegistryInfo<'_>, action: Action<'_>, args: &[String]) -> Zeroizing<String> {
    let (operation, token, login_url) = match action {
        Action::Get => (Some("read"), None, None),
        Action::Login { token, login_url } => (None, token.map(Secret::expose), login_url),
        Action::Logout => (None, None, None),
    };
    let request = Request { v: 1, registry, kind: action.kind(), operation, token, login_url, args };
    // These are texts and lists, whose serialization cannot fail.
    Zeroizing::new(serde_json::to_string(&request).unwrap_or_default() + "\n")
}

/// What a provider did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The token.
    Token {
        /// The token.
        token: Secret,
        /// Seconds since 1970 after which it is no longer of use.
        expires: Option<u64>,
    },
    /// It was kept or forgotten.
    Done,
}

/// Why a provider did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not serve this registry: the next provider is asked.
    UrlNotSupported,
    /// It has no token: the next provider is asked.
    NotFound,
    /// It cannot do such a thing.
    OperationNotSupported,
    /// Anything else, with causes. Untrusted.
    Other(Vec<String>),
}

/// Whether a provider's first line offers the version that we speak.
pub fn speaks_our_version(line: &str) -> bool {
    #[derive(Deserialize)]
    struct Hello {
        v: Vec<u32>,
    }
    line.len() <= MAX_ANSWER && serde_json::from_str::<Hello>(line).is_ok_and(|hello| hello.v.contains(&1))
}

#[derive(Deserialize)]
enum Response {
    Ok(Success),
    Err(Failure),
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Success {
    Get { token: Zeroizing<String>, cache: Option<String>, expiration: Option<u64> },
    Login,
    Logout,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Failure {
    UrlNotSupported,
    NotFound,
    OperationNotSupported,
    Other {
        message: String,
        #[serde(rename = "caused-by", default)]
        caused_by: Vec<String>,
    },
    #[serde(other)]
    Unknown,
}

/// Reads a provider's answer to `action`. Nothing in it is repeated in messages but what the provider says as an error.
///
/// # Errors
/// The provider refused, or its answer breaks the protocol.
pub fn parse_answer(line: &str, action: Action<'_>) -> Result<Answer, Refusal> {
    let broken = |reason: &str| Refusal::Other(vec![format!("its answer breaks the protocol: {reason}")]);
    if line.len() > MAX_ANSWER {
        return Err(broken("it is longer than 64 KiB"));
    }
    let response: Response = serde_json::from_str(line)
        .map_err(|error| broken(&format!("not a known message (column {})", error.column())))?;
    match (response, action) {
        (Response::Ok(Success::Get { token, cache, expiration }), Action::Get) => {
            let token = Secret::token(token).map_err(broken)?;
            match (cache.as_deref(), expiration) {
                (Some("never" | "session"), _) => Ok(Answer::Token { token, expires: None }),
                (Some("expires"), Some(at)) => Ok(Answer::Token { token, expires: Some(at) }),
                _ => Err(broken("`cache` is `never`, `session`, or `expires` with an `expiration`")),
            }
        }
        (Response::Ok(Success::Login), Action::Login { .. }) | (Response::Ok(Success::Logout), Action::Logout) => {
            Ok(Answer::Done)
        }
        (Response::Ok(_), _) => Err(broken("it answers another question")),
        (Response::Err(Failure::UrlNotSupported), _) => Err(Refusal::UrlNotSupported),
        (Response::Err(Failure::NotFound), _) => Err(Refusal::NotFound),
        (Response::Err(Failure::OperationNotSupported), _) => Err(Refusal::OperationNotSupported),
        (Response::Err(Failure::Other { message, caused_by }), _) => {
            let cut = |text: String| text.chars().take(1000).collect();
            Err(Refusal::Other(std::iter::once(message).chain(caused_by).take(10).map(cut).collect()))
        }
        (Response::Err(Failure::Unknown), _) => Err(broken("an unknown kind of error")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Answer, Refusal, RegistryInfo, Secret, login_url, parse_answer, request, speaks_our_version};

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::token("abc".to_owned()).unwrap();
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(***) Some(Secret(***))");
        for bad in ["", " x", "x\r\nAuthorization: y", "x\u{7f}", "é", "x\0"] {
            let error = Secret::token(bad.to_owned()).unwrap_err();
            assert!(bad.is_empty() || !error.contains(bad));
        }
        assert!(Secret::token("x".repeat(17_000)).is_err());
    }

    #[test]
    fn requests_are_those_of_cargo() {
        let headers = ["WWW-Authenticate: Cargo".to_owned()];
        let registry = RegistryInfo { index_url: "sparse+https://example.org/", name: Some("mine"), headers: &headers };
        assert_eq!(
            *request(registry, Action::Get, &["a".to_owned()]),
            "{\"v\":1,\"registry\":{\"index-url\":\"sparse+https://example.org/\",\"name\":\"mine\",\"headers\":\
             [\"WWW-Authenticate: Cargo\"]},\"kind\":\"get\",\"operation\":\"read\",\"args\":[\"a\"]}\n"
        );
        let secret = Secret::token("t".to_owned()).unwrap();
        let registry = RegistryInfo { name: None, headers: &[], ..registry };
        assert_eq!(
            *request(registry, Action::Login { token: Some(&secret), login_url: None }, &[]),
            "{\"v\":1,\"registry\":{\"index-url\":\"sparse+https://example.org/\"},\"kind\":\"login\",\"token\":\"t\",\
             \"args\":[]}\n"
        );
    }

    /// Attack 157: a helper's answer is data, of one form.
    #[test]
    fn answers_are_read_strictly() {
        let get = |line: &str| parse_answer(line, Action::Get);
        let good = r#"{"Ok":{"kind":"get","token":"t","cache":"expires","expiration":7,"operation_independent":true}}"#;
        let token = Secret::token("t".to_owned()).unwrap();
        assert_eq!(get(good), Ok(Answer::Token { token, expires: Some(7) }));
        assert_eq!(get(r#"{"Err":{"kind":"not-found"}}"#), Err(Refusal::NotFound));
        assert_eq!(get(r#"{"Err":{"kind":"url-not-supported"}}"#), Err(Refusal::UrlNotSupported));
        for bad in [
            "",
            "garbage",
            r#"{"Ok":{"kind":"login"}}"#,
            r#"{"Ok":{"kind":"get","token":"t\r\nX: y","cache":"never"}}"#,
            r#"{"Ok":{"kind":"get","token":"","cache":"never"}}"#,
            r#"{"Ok":{"kind":"get","token":"t"}}"#,
            r#"{"Ok":{"kind":"get","token":"t","cache":"expires"}}"#,
            r#"{"Ok":{"kind":"get","token":"t","token":"u","cache":"never"}}"#,
            r#"{"Ok":{"kind":"get","token":"t","cache":"never"}} {}"#,
            r#"{"Err":{"kind":"new"}}"#,
            &format!(r#"{{"Err":{{"kind":"other","message":"{}"}}}}"#, "x".repeat(70_000)),
        ] {
            let refused = get(bad);
            assert!(matches!(refused, Err(Refusal::Other(_))), "{bad}");
            assert!(!format!("{refused:?}").contains("X: y"));
        }
        assert!(speaks_our_version(r#"{"v":[1]}"#) && speaks_our_version(r#"{"v":[2,1]}"#));
        assert!(!speaks_our_version(r#"{"v":[2]}"#) && !speaks_our_version("hello"));
    }

    #[test]
    fn the_login_page_is_taken_from_the_challenge() {
        let challenge = |text: &str| login_url(&[format!("www-authenticate: {text}")]).map(str::to_owned);
        assert_eq!(challenge("Cargo login_url=\"https://example.org/me\"").as_deref(), Some("https://example.org/me"));
        for bad in ["Basic login_url=\"https://x\"", "Cargo", "Cargo login_url=\"file:///x\"", "Cargo login_url=\"x"] {
            assert_eq!(challenge(bad), None, "{bad}");
        }
    }
}
