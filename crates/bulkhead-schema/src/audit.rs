//! The audit log: one JSON object per line, each of which holds the hash of the line before.
//!
//! ```text
//! {"sequence":1,"time":"2026-11-26T02:48:11Z","event":"trust","subject":"/p/bulkhead.toml","details":{…},"previous":"0…0","hash":"…"}
//! ```
//!
//! `hash` is the SHA-256 of the bytes of the line up to `,"hash"`, closed by `}`. Lines are ASCII, so that no viewer can be
//! made to show them otherwise than they are. Who computes and compares hashes is `bulkhead-trust`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Longest line that is written or read, in bytes.
pub const MAX_LINE: usize = 64 << 10;

/// Longest text of one field, in bytes of the line; what is longer is cut, so that no line exceeds [`MAX_LINE`].
const MAX_TEXT: usize = 3 << 10;

/// Most details of one entry.
const MAX_DETAILS: usize = 8;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A file was enrolled with `trust`.
    Trust,
    /// A file was struck off with `trust --revoke`.
    Revoke,
    /// What a policy grants to the build code of a package changed.
    Grant,
    /// Build code was approved.
    Approval,
    /// The policy files that are in force changed.
    Policy,
    /// What acts of configuration files changed.
    Configuration,
    /// What is known of a registry was written down, or accepted anew.
    SourceIdentity,
    /// The lockfile takes packages from other sources than before.
    LockfileSources,
    /// Other packages take the place of published ones, or no longer.
    Patch,
    /// A policy, a missing trust or the confinement stopped a command.
    Denial,
    /// A checksum, a signature or a record did not agree.
    VerificationFailure,
    /// A token was stored.
    Login,
    /// A token was forgotten.
    Logout,
    /// The log itself: entries are missing that had been written.
    LogDamaged,
}

impl Kind {
    /// Every kind, as `audit-log show --event` takes them.
    pub const ALL: &[Self] = &[
        Self::Trust,
        Self::Revoke,
        Self::Grant,
        Self::Approval,
        Self::Policy,
        Self::Configuration,
        Self::SourceIdentity,
        Self::LockfileSources,
        Self::Patch,
        Self::Denial,
        Self::VerificationFailure,
        Self::Login,
        Self::Logout,
        Self::LogDamaged,
    ];

    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Revoke => "revoke",
            Self::Grant => "grant",
            Self::Approval => "approval",
            Self::Policy => "policy",
            Self::Configuration => "configuration",
            Self::SourceIdentity => "source-identity",
            Self::LockfileSources => "lockfile-sources",
            Self::Patch => "patch",
            Self::Denial => "denial",
            Self::VerificationFailure => "verification-failure",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::LogDamaged => "log-damaged",
        }
    }
}

/// What is to be written down, before it has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What kind of thing.
    pub kind: Kind,
    /// What it was about: a file, a package, a registry, a rule. Untrusted.
    pub subject: String,
    /// More, by name. Untrusted.
    pub details: BTreeMap<String, String>,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number, from 1 on without gaps.
    pub sequence: u64,
    /// When, in UTC.
    pub time: String,
    /// What kind of thing happened.
    #[serde(rename = "event")]
    pub kind: Kind,
    /// What it was about. Untrusted.
    pub subject: String,
    /// More, by name. Untrusted.
    pub details: BTreeMap<String, String>,
    /// The hash of the entry before, zeros for the first.
    pub previous: String,
    /// Its own hash.
    pub hash: String,
}

/// What of an entry its hash is made of, in this order.
#[derive(Serialize)]
struct Body<'a> {
    sequence: u64,
    time: &'a str,
    event: Kind,
    subject: &'a str,
    details: &'a BTreeMap<String, String>,
    previous: &'a str,
}

impl Entry {
    /// The entry of a record that is still without its hash.
    pub fn new(record: Record, sequence: u64, time: String, previous: String) -> Self {
        let Record { kind, subject, details } = record;
        let details = details.into_iter().take(MAX_DETAILS).map(|(name, text)| (cut(&name), cut(&text))).collect();
        Self { sequence, time, kind, subject: cut(&subject), details, previous, hash: String::new() }
    }

    /// The bytes that are hashed.
    pub fn body(&self) -> String {
        let Self { sequence, time, kind, subject, details, previous, hash: _ } = self;
        ascii(&Body { sequence: *sequence, time, event: *kind, subject, details, previous })
    }

    /// The whole line, without its end.
    pub fn line(&self) -> String {
        ascii(self)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Why it is none that was written here: each entry has one spelling.
    pub fn parse(line: &str) -> Result<Self, String> {
        if line.len() > MAX_LINE {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        let entry: Self = serde_json::from_str(line).map_err(|error| format!("it is no entry: {error}"))?;
        if entry.line() == line { Ok(entry) } else { Err("it is not spelled as Bulkhead spells it".to_owned()) }
    }
}

/// JSON in ASCII. What is beyond it stands in strings only, where it can be escaped.
fn ascii(value: &impl Serialize) -> String {
    let mut text = String::new();
    for c in serde_json::to_string(value).unwrap_or_default().chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(text, "\\u{unit:04x}");
            });
        }
    }
    text
}

/// The text, or what fits of it.
fn cut(text: &str) -> String {
    let mut room = MAX_TEXT;
    for (position, c) in text.char_indices() {
        match room.checked_sub(most_written(c)) {
            Some(rest) => room = rest,
            None => return format!("{}…", text.get(..position).unwrap_or_default()),
        }
    }
    text.to_owned()
}

/// How many bytes of a line a character takes at most.
fn most_written(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        ' '..='~' => 1,
        _ => 6 * c.len_utf16(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Kind, MAX_LINE, Record};

    fn entry(subject: &str) -> Entry {
        let details = [("by".to_owned(), "\u{1b}[2J\u{202e}\n\u{7f}é😀".to_owned())].into();
        let record = Record { kind: Kind::Trust, subject: subject.to_owned(), details };
        Entry { hash: "ff".to_owned(), ..Entry::new(record, 7, "2026".to_owned(), "00".to_owned()) }
    }

    #[test]
    fn a_line_is_plain_ascii_and_reads_back() {
        let written = entry("/a \"b\"");
        let line = written.line();
        assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
        assert_eq!(Entry::parse(&line), Ok(written.clone()));
        assert_eq!(written.body(), format!("{}}}", line.split_once(",\"hash\"").unwrap().0));
        for bad in ["", "{}", &line.replace("{\"sequence\"", "{ \"sequence\""), &line.replace("trust", "\\u0074rust")] {
            assert!(Entry::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_entry_has_a_largest_size() {
        for long in ["é\u{1}", "\"\\", "😀", "a"].map(|text| text.repeat(1 << 14)) {
            let details = (0..100).map(|number| (format!("{number}{long}"), long.clone())).collect();
            let record = Record { kind: Kind::VerificationFailure, subject: long, details };
            let line = Entry::new(record, u64::MAX, "2026-11-26T02:48:11Z".to_owned(), "0".repeat(64)).line();
            assert!(line.len() + 64 < MAX_LINE, "{}", line.len());
            assert!(Entry::parse(&line).is_ok());
        }
    }

    #[test]
    fn kinds_have_the_names_that_are_written() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{}\"", kind.name()));
        }
    }
}
