//! `audit-log show`, `verify` and `export`.

use std::path::Path;

use bulkhead_schema::audit::{Entry, Kind};
use bulkhead_trust::audit::{Broken, Head, Walk};

use super::files;
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::{Error, ErrorKind};

/// Which entries are meant; everything that is given has to fit.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// One of these kinds, if any are named.
    pub kinds: Vec<Kind>,
    /// Not before this time: a beginning of `2026-11-26T02:48:11Z`.
    pub since: Option<String>,
    /// Not after this time, in the same form.
    pub until: Option<String>,
    /// Text that stands in the subject or in a detail.
    pub containing: Option<String>,
    /// Only the last so many.
    pub last: Option<usize>,
}

/// How `show` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFormat {
    /// For people.
    Text,
    /// The lines of the log.
    Json,
}

/// How `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// The lines of the log, as they are: they can be verified elsewhere.
    JsonLines,
    /// Comma-separated values for spreadsheets.
    Csv,
}

/// A log that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The number of the first entry that is kept.
    pub first: u64,
    /// The number of the last entry; below `first` if there is none.
    pub last: u64,
}

/// The entries that `filter` lets through, the oldest first. What is no entry is left out here; [`verify`] finds it.
///
/// # Errors
/// The log cannot be read.
pub fn entries(global: &GlobalOptions, filter: &AuditFilter) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (path, _) in files::list(&global.place.bulkhead_home).map_err(unreadable)? {
        let lines = files::lines(&path).map_err(unreadable)?;
        entries.extend(lines.iter().filter_map(|line| Entry::parse(line).ok()).filter(|entry| filter.fits(entry)));
    }
    let surplus = filter.last.map_or(0, |last| entries.len().saturating_sub(last));
    entries.drain(..surplus);
    Ok(entries)
}

impl AuditFilter {
    fn fits(&self, entry: &Entry) -> bool {
        let texts = || std::iter::once(&entry.subject).chain(entry.details.values());
        let until = |until: &String| entry.time.as_str() <= until.as_str() || entry.time.starts_with(until.as_str());
        (self.kinds.is_empty() || self.kinds.contains(&entry.kind))
            && self.since.as_ref().is_none_or(|since| entry.time.as_str() >= since.as_str())
            && self.until.as_ref().is_none_or(until)
            && self.containing.as_ref().is_none_or(|part| texts().any(|text| text.contains(part.as_str())))
    }
}

/// Whether the log is whole.
///
/// # Errors
/// `audit-log` (104): entries are missing or were changed.
pub fn verify(global: &GlobalOptions) -> Result<Verified> {
    verify_in(&global.place.bulkhead_home)
}

pub(super) fn verify_in(home: &Path) -> Result<Verified> {
    let files = files::list(home).map_err(unreadable)?;
    let head = files::head(home).map_err(|error| broken(&error.to_string()))?;
    let mut walk = Walk::new(head.unwrap_or_default());
    for (path, _) in &files {
        for line in files::lines(path).map_err(unreadable)? {
            walk.step(&line).map_err(|found| refusal(&found))?;
        }
    }
    let last = walk.finish().map_err(|found| refusal(&found))?;
    match head {
        None if last > 0 => Err(broken("its head, which says where it ends, is missing")),
        head => Ok(Verified { first: head.unwrap_or(Head::default()).base + 1, last }),
    }
}

fn refusal(found: &Broken) -> Error {
    broken(&found.to_string())
}

fn broken(reason: &str) -> Error {
    Error::refusal(ErrorKind::Verification, "audit-log", "the audit log is not as it was written")
        .because(reason)
        .help("find out who wrote to it; to begin anew, put `audit` and `trust/audit-head` of Bulkhead's home aside")
}

fn unreadable(error: std::io::Error) -> Error {
    Error::failure("failed to read the audit log").because(error)
}

/// The entries as text to be kept elsewhere. Plain ASCII.
pub fn export(entries: &[Entry], format: ExportFormat) -> String {
    let mut text = String::new();
    if format == ExportFormat::Csv {
        text.push_str("sequence,time,event,subject,details,hash\r\n");
    }
    for entry in entries {
        match format {
            ExportFormat::JsonLines => text.push_str(&entry.line()),
            ExportFormat::Csv => text.push_str(&csv(entry)),
        }
        text.push_str(if format == ExportFormat::Csv { "\r\n" } else { "\n" });
    }
    text
}

fn csv(entry: &Entry) -> String {
    let details: Vec<_> = entry.details.iter().map(|(name, text)| format!("{name}={text}")).collect();
    let fields =
        [&entry.sequence.to_string(), &entry.time, entry.kind.name(), &entry.subject, &details.join("; "), &entry.hash];
    fields.map(field).join(",")
}

/// A quoted field that no spreadsheet takes for a formula: what begins like one gets an apostrophe before it, wherever
/// white space or quotes stand in front.
fn field(text: &str) -> String {
    let shown: String = text
        .chars()
        .flat_map(|c| if matches!(c, ' '..='~') { vec![c] } else { c.escape_default().collect() })
        .collect();
    let formula = shown.trim_start_matches([' ', '"', '\'']).starts_with(['=', '+', '-', '@', '|', '%', '\t', '\\']);
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", shown.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn no_field_is_a_formula() {
        for (text, expected) in [
            ("plain", "\"plain\""),
            ("=1+1", "\"'=1+1\""),
            (" @SUM(A1)", "\"' @SUM(A1)\""),
            ("\"=x\"", "\"'\"\"=x\"\"\""),
            ("-2", "\"'-2\""),
            ("\t=1", "\"'\\t=1\""),
            ("a\r\n=1", "\"a\\r\\n=1\""),
            ("\u{202e}x", "\"'\\u{202e}x\""),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
