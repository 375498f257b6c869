//! The audit log in `BULKHEAD_HOME/audit`: what happened that matters to security, one line each, chained by hashes.
//!
//! [`record`] writes down an event; [`observe`] writes down what differs from the last time (a policy that changed, a grant
//! that acts now), so that a command that finds everything as it was writes nothing. The chain itself is
//! [`bulkhead_trust::audit`], the form of a line [`bulkhead_schema::audit`]; what this cannot detect is said in
//! `docs/audit-log.md`.

#![expect(clippy::disallowed_methods, reason = "no answer depends on the log")]

mod files;
mod seen;
mod show;

use std::collections::BTreeMap;
use std::path::Path;

use bulkhead_schema::PackageId;
pub use bulkhead_schema::audit::{Entry, Kind, Record};

pub use show::{AuditFilter, AuditFormat, ExportFormat, Verified, entries, export, verify};

use crate::error::Result;
use crate::options::Place;
use crate::{Error, ErrorKind, Event};

/// Writes down that something happened. It is on the disk when this returns, so that what it allows is known before it acts.
///
/// # Errors
/// The log cannot be written. What widens what is allowed must then not go on.
pub fn record(place: &Place, kind: Kind, subject: impl Into<String>, details: &[(&str, &str)]) -> Result<()> {
    append(place, vec![new(kind, subject.into(), details)], true)
}

fn new(kind: Kind, subject: String, details: &[(&str, &str)]) -> Record {
    let details = details.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    Record { kind, subject, details }
}

fn append(place: &Place, records: Vec<Record>, durable: bool) -> Result<()> {
    let time = bulkhead_schema::time::rfc3339(u64::try_from(place.now).unwrap_or(0));
    files::append(&place.bulkhead_home, records, &time, durable)
        .map_err(|error| Error::failure("failed to write the audit log").because(error))
}

/// Values by subject, as [`observe`] compares them: a file and its digest, a package and what it is granted.
pub type Values = BTreeMap<String, String>;

/// Writes down what of `now` is not as it was when `scope` (the root of a workspace, or a folder of the user's) was last
/// looked at, and nothing if it all is.
pub fn observe<const N: usize>(place: &Place, scope: &Path, now: [(Kind, Values); N], events: &dyn Fn(Event)) {
    let result = seen::changes(&place.bulkhead_home, scope, now).and_then(|changes| {
        let Some(changes) = changes else { return Ok(()) };
        let scope = scope.display().to_string();
        let records = changes.differences().map(|(kind, subject, before, now)| {
            let known = [("scope", Some(scope.as_str())), ("before", before), ("now", now)];
            let details: Vec<_> = known.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
            new(kind, subject.to_owned(), &details)
        });
        append(place, records.collect(), false)?;
        changes.keep()
    });
    // What is observed acts whether it is written down or not; a full disk is no reason to stop a build.
    if let Err(error) = result {
        events(Event::Warning(error.to_string()));
    }
}

/// Writes down what the confinement denied to a process of a package, also where the process made nothing of it.
pub fn record_denied(place: &Place, package: PackageId, denials: &[bulkhead_sandbox::Denial]) {
    let message: Vec<_> = denials.iter().map(|denial| format!("{} {}", denial.kind, target(denial))).collect();
    let details = [("package", &*package.to_string()), ("message", &*message.join("; "))];
    // Nothing is allowed here that would have to be known before.
    let _ = append(place, vec![new(Kind::Denial, "sandbox-denied".to_owned(), &details)], false);
}

/// What a process wanted to touch.
pub fn target(denial: &bulkhead_sandbox::Denial) -> String {
    match &denial.target {
        bulkhead_sandbox::Target::Path(path) => path.display().to_string(),
        bulkhead_sandbox::Target::Address(address) | bulkhead_sandbox::Target::Host(address) => address.clone(),
    }
}

/// Writes down that a command was refused, or that something did not verify.
pub fn record_failure(place: &Place, command: &str, error: &Error) {
    let kind = match error.kind {
        ErrorKind::Verification => Kind::VerificationFailure,
        ErrorKind::Policy | ErrorKind::UntrustedConfiguration | ErrorKind::Sandbox => Kind::Denial,
        _ => return,
    };
    let rule = error.rule.or_else(|| error.diagnostics.first().map(|finding| finding.code)).unwrap_or("unnamed");
    let folder = place.current_dir.display().to_string();
    let message = error.to_string();
    // The command has failed already; that its failure is not written down changes nothing for it.
    let _ = record(place, kind, rule, &[("command", command), ("folder", &folder), ("message", message.trim())]);
}
