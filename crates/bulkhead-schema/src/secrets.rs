//! What looks like a secret: by the name of its key, or by its own form. Such text is not shown, and not taken from a project.

use std::ops::Range;
use std::sync::Arc;

/// Stands in the place of a secret.
pub const REDACTED: &str = "<redacted>";

/// Whether a key of this name (the last part of a dotted one) holds a secret: `token`, `secret-key`, `DEPLOY_TOKEN`.
pub fn is_secret_name(name: &str) -> bool {
    let words = name.to_ascii_lowercase().replace('-', "_");
    const ENDINGS: &[&str] = &[
        "token",
        "secret",
        "secret_key",
        "private_key",
        "access_key",
        "api_key",
        "apikey",
        "password",
        "passwd",
        "passphrase",
        "credentials",
    ];
    ENDINGS.iter().any(|ending| words.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('_')))
}

/// Whether a text is a secret whatever it is called: see [`holds_token`] and [`password`].
pub fn is_secret_value(text: &str) -> bool {
    holds_token(text) || password(text).is_some()
}

/// Whether a text holds a token of a well-known form or a private key.
pub fn holds_token(text: &str) -> bool {
    // What comes behind these beginnings is random letters and digits, at least so many.
    const BEGINNINGS: &[(&str, usize)] = &[
        ("cio", 32),
        ("ghp_", 20),
        ("gho_", 20),
        ("ghs_", 20),
        ("github_pat_", 20),
        ("glpat-", 16),
        ("npm_", 20),
        ("pypi-", 20),
        ("xoxb-", 16),
        ("xoxp-", 16),
        ("AKIA", 16),
        ("k3.secret.", 20),
    ];
    let is_token = |word: &str| {
        BEGINNINGS.iter().any(|(beginning, least)| {
            word.strip_prefix(beginning).is_some_and(|rest| {
                rest.len() >= *least && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            })
        })
    };
    let is_key = text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----");
    is_key || text.split(|c: char| c.is_whitespace() || "\"',=;".contains(c)).any(is_token)
}

/// `text` without the password of the URL that it is, which keeps its user unless that is a token.
pub fn without_password(text: &str) -> String {
    let mut shown = text.to_owned();
    if let Some(secret) = password(text) {
        shown.replace_range(secret, REDACTED);
    }
    shown
}

/// The password of the first URL in `text` that has one; a token of a well-known form in the place of a user counts as one.
pub fn password(text: &str) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find("://") {
        let start = from + at + 3;
        let rest = text.get(start..)?;
        let end = rest.find(|c: char| "/?#\"'".contains(c) || c.is_whitespace()).unwrap_or(rest.len());
        let authority = rest.get(..end)?;
        if let Some((user, _)) = authority.rsplit_once('@') {
            let (name, word) = user.split_once(':').unwrap_or((user, ""));
            let begin = start + name.len() + 1;
            match word.is_empty() {
                false => return Some(begin..begin + word.len()),
                true if holds_token(name) => return Some(start..start + name.len()),
                true => {}
            }
        }
        from = start;
    }
    None
}

/// The text of a configuration file with a star for every byte of a secret, or the text itself without one. Places of lines
/// and columns stay. It has to do for text that is no TOML, since errors about that show it.
pub fn masked(text: &Arc<str>) -> Arc<str> {
    // A key may be an address, too.
    let mut hidden = passwords(text);
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find('=')) {
        let equals = from + at;
        from = equals + 1;
        let value = value(text, equals + 1);
        let shown = text.get(value.clone()).unwrap_or_default();
        if is_secret_name(name(text.get(..equals).unwrap_or_default())) || is_secret_value(shown) {
            from = value.end.max(from);
            hidden.push(value);
        }
    }
    if hidden.is_empty() { Arc::clone(text) } else { Arc::from(starred(text, hidden)) }
}

/// `text` with a star for every byte of a password in an address, as [`masked`] does it.
pub fn masked_addresses(text: &str) -> String {
    starred(text, passwords(text))
}

fn passwords(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(secret) = text.get(from..).and_then(password) {
        found.push(from + secret.start..from + secret.end);
        from += secret.end;
    }
    found
}

fn starred(text: &str, hidden: Vec<Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    hidden.into_iter().flatten().for_each(|at| {
        if let Some(byte) = bytes.get_mut(at).filter(|byte| !b"\"'\r\n".contains(byte)) {
            *byte = b'*';
        }
    });
    String::from_utf8(bytes).unwrap_or_default()
}

/// The last part of the key that ends here.
fn name(before: &str) -> &str {
    let before = before.trim_end().trim_end_matches(['"', '\'']);
    let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    before.get(start.map_or(0, |start| start + 1)..).unwrap_or_default()
}

/// The value that begins here: to its closing quotes, else (also for arrays and what is not closed) to the end of the line.
fn value(text: &str, from: usize) -> Range<usize> {
    let rest = text.get(from..).unwrap_or_default();
    let start = from + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
    let rest = text.get(start..).unwrap_or_default();
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inner) = rest.strip_prefix(quotes) {
            return start..inner.find(quotes).map_or(text.len(), |end| start + end + 6);
        }
    }
    let line = rest.find('\n').unwrap_or(rest.len());
    let quote = rest.chars().next().filter(|c| "\"'".contains(*c));
    let closed = quote.and_then(|quote| rest.get(1..line)?.find(quote)).map(|end| end + 2);
    start..start + closed.unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::{is_secret_name, is_secret_value, masked, password, without_password};
    use std::sync::Arc;

    #[test]
    fn names_of_secrets() {
        for name in ["token", "secret-key", "CARGO_REGISTRY_TOKEN", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "api_key"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["token-origins", "TOKENIZERS_PARALLELISM", "secretary", "credential-provider", "broken", "key"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn forms_of_secrets() {
        let token = format!("cio{}", "aB3".repeat(11));
        for text in
            [&*token, "https://me:hunter2@host/x", "-----BEGIN OPENSSH PRIVATE KEY-----", "AKIAABCDEFGHIJKLMNOP"]
        {
            assert!(is_secret_value(text), "{text}");
        }
        for text in ["https://host:443/a@b:c", "ssh://git@host/x", "cio", "npm_config", "AKIA", "sha256:0123"] {
            assert!(!is_secret_value(text), "{text}");
        }
        let token = format!("https://ghp_{}@host/x", "a1".repeat(12));
        assert_eq!(without_password(&token), "https://<redacted>@host/x");
        assert_eq!(without_password("https://me:hunter2@host/x"), "https://me:<redacted>@host/x");
        assert_eq!(password("a://b c://u:pw@h").map(|range| &"a://b c://u:pw@h"[range]), Some("pw"));
    }

    #[test]
    fn what_is_masked_keeps_its_place() {
        for (text, shown) in [
            ("[registry]\ntoken = \"hünter2\" # mine\n", "[registry]\ntoken = \"********\" # mine\n"),
            ("x = { index = 'a', token = 'hunter2' }", "x = { index = 'a', token = '*******' }"),
            ("token = \"hunter2\njobs = 1", "token = \"*******\njobs = 1"),
            ("token = ['hunter2']\n", "token = *'*******'*\n"),
            ("\"token\" = '''\nhunter2'''\na = 1", "\"token\" = '''\n*******'''\na = 1"),
            ("url = 'https://me:hunter2@host'", "url = '***********************'"),
            ("[patch.'https://me:hunter2@host'] # ://a:b@c", "[patch.'https://me:*******@host'] # ://a:*@c"),
            ("jobs = 1\nincremental = true", "jobs = 1\nincremental = true"),
        ] {
            assert_eq!(&*masked(&Arc::from(text)), shown);
        }
    }
}
