//! Code that a future rustc will refuse: what rustc reported of it during builds, kept as Cargo keeps it, and told again by
//! `report future-incompatibilities`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bulkhead_executor::Event as BuildEvent;
use bulkhead_schema::PackageId;
use bulkhead_unit_graph::UnitGraph;
use serde::{Deserialize, Serialize};

use crate::compile::{self, Prepared};
use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions};
use crate::{Error, Event, disk, project};

/// Where reports are kept, below the build folder: Cargo's own file.
const FILE: &str = ".future-incompat-report.json";

/// Version of that file's form.
const VERSION: u32 = 0;

/// Most reports that are kept.
const MOST_REPORTS: usize = 5;

/// Largest file of reports that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Listens to a build for what rustc says of the future.
#[derive(Default)]
pub(crate) struct FutureIncompatibilities {
    /// rustc's renderings by package, each once.
    found: Mutex<BTreeMap<PackageId, BTreeSet<String>>>,
}

/// rustc's report.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    future_incompat_report: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    diagnostic: Rendered,
}

#[derive(Deserialize)]
struct Rendered {
    #[serde(default)]
    rendered: Option<String>,
}

impl FutureIncompatibilities {
    /// Notes what `event` says.
    pub(crate) fn note(&self, graph: &UnitGraph, event: &BuildEvent) {
        let BuildEvent::FutureIncompatibility { unit, json } = event else { return };
        let Ok(said) = serde_json::from_str::<Said>(json) else { return };
        let rendered = said.future_incompat_report.into_iter().filter_map(|finding| finding.diagnostic.rendered);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.entry(graph.unit(*unit).package.id).or_default().extend(rendered);
    }

    /// Keeps the report and says that there is one.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn tell(self, options: &CompileOptions, prepared: &Prepared, events: &dyn Fn(Event)) -> Result<()> {
        let found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let frequency = prepared.project.configuration.config.string("future-incompat-report.frequency")?;
        if found.is_empty() || frequency.is_some_and(|frequency| frequency.value == "never") {
            if found.is_empty() && options.future_incompat_report {
                events(Event::Note("0 dependencies had future-incompatible warnings".to_owned()));
            }
            return Ok(());
        }
        let packages: Vec<_> = found.keys().map(ToString::to_string).collect();
        let per_package = found.iter().map(|(id, texts)| (format!("{}@{}", id.name(), id.version()), text(*id, texts)));
        let per_package = per_package.collect();
        let path = prepared.build_options.target_dir.join(FILE);
        // What is there and not understood is no report of ours, and replaced.
        let mut reports = Reports::read(&path).unwrap_or_default();
        let id = reports.add(per_package);
        reports.write(&path)?;
        let list = packages.join(", ");
        events(Event::Warning(format!(
            "the following packages contain code that will be rejected by a future version of Rust: {list}"
        )));
        let command = format!("`cargo report future-incompatibilities --id {id}`");
        events(Event::Note(match options.future_incompat_report {
            true => format!("this report can be shown with {command}"),
            false => {
                format!("to see what the problems were, use the option `--future-incompat-report`, or run {command}")
            }
        }));
        Ok(())
    }
}

fn text(id: PackageId, rendered: &BTreeSet<String>) -> String {
    let mut text = format!("The package `{id}` currently triggers the following future incompatibility lints:\n");
    for line in rendered.iter().flat_map(|rendered| rendered.lines()) {
        text.push_str(&format!("> {line}\n"));
    }
    text
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Reports {
    version: u32,
    next_id: u32,
    reports: Vec<Report>,
}

/// What one build found.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    id: u32,
    #[serde(default)]
    suggestion_message: String,
    /// By `NAME@VERSION`.
    per_package: BTreeMap<String, String>,
}

impl Reports {
    fn read(path: &Path) -> Option<Self> {
        let text = crate::observed::Disk::default().read_text(path, MAX_FILE).ok()?;
        serde_json::from_str::<Self>(&text).ok().filter(|reports| reports.version == VERSION)
    }

    /// Adds a report, or finds the equal one that is there; returns its number.
    fn add(&mut self, per_package: BTreeMap<String, String>) -> u32 {
        if let Some(known) = self.reports.iter().find(|report| report.per_package == per_package) {
            return known.id;
        }
        let id = self.next_id.max(1);
        self.next_id = id.saturating_add(1);
        self.reports.push(Report { id, suggestion_message: String::new(), per_package });
        let surplus = self.reports.len().saturating_sub(MOST_REPORTS);
        self.reports.drain(..surplus);
        id
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self)
            .map_err(|error| Error::failure("failed to write the report of future incompatibilities").because(error))?;
        disk::write_atomically(path, text.as_bytes())
    }
}

/// What stands before the reports.
const PREFACE: &str = "\
The following warnings were discovered during the build. These warnings are an
indication that the packages contain code that will become an error in a
future release of Rust. These warnings typically cover changes to close
soundness problems, unintended or undocumented behavior, or critical problems
that cannot be fixed in a backwards-compatible fashion, and are not expected
to be in wide use.

Each warning should contain a link for more information on what the warning
means and how to resolve it.

";

/// `report future-incompatibilities`: the text of a report, the newest without `id`, of one package with `package`.
///
/// # Errors
/// There is no such report or package.
pub fn report(
    global: &GlobalOptions,
    id: Option<u32>,
    package: Option<&str>,
    events: &(dyn Fn(Event) + Sync),
) -> Result<String> {
    global.place.disk.never_repeat();
    let project = project::open(global, events)?;
    let path = compile::target_dir(global, None, &project)?.join(FILE);
    let none = || Error::failure("no reports are currently available");
    if !global.place.disk.exists(&path) {
        return Err(none());
    }
    let reports = Reports::read(&path).ok_or_else(none)?;
    let report = match id {
        None => reports.reports.last().ok_or_else(none)?,
        Some(id) => reports.reports.iter().find(|report| report.id == id).ok_or_else(|| {
            let known: Vec<_> = reports.reports.iter().map(|report| report.id.to_string()).collect();
            Error::failure(format!("could not find report with ID {id}\nAvailable IDs are: {}", known.join(", ")))
        })?,
    };
    let mut text = PREFACE.to_owned();
    text.push_str(&report.suggestion_message);
    match package {
        None => report.per_package.values().for_each(|part| text.push_str(&format!("\n{part}"))),
        Some(package) => {
            let part = report.per_package.get(package).ok_or_else(|| {
                let known: Vec<_> = report.per_package.keys().map(String::as_str).collect();
                Error::failure(format!("could not find package with ID `{package}`"))
                    .because(format!("available packages are: {}", known.join(", ")))
                    .help("omit the `--package` flag to display a report for all packages")
            })?;
            text.push_str(&format!("\n{part}"));
        }
    }
    Ok(without_colours(&text))
}

/// rustc renders with colours, which say nothing in a report.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\u{1b}[") {
        plain.push_str(rest.get(..start).unwrap_or_default());
        let sequence = rest.get(start + 2..).unwrap_or_default();
        let end = sequence.find(|c: char| !c.is_ascii_digit() && c != ';').map_or(sequence.len(), |end| end + 1);
        rest = sequence.get(end..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::{MOST_REPORTS, Reports, without_colours};
    use std::collections::BTreeMap;

    #[test]
    fn equal_reports_are_one_and_old_ones_go() {
        let mut reports = Reports::default();
        let found = |text: &str| BTreeMap::from([("a@1.0.0".to_owned(), text.to_owned())]);
        assert_eq!([reports.add(found("x")), reports.add(found("y")), reports.add(found("x"))], [1, 2, 1]);
        for number in 0..10 {
            reports.add(found(&number.to_string()));
        }
        assert_eq!(reports.reports.len(), MOST_REPORTS);
        assert_eq!(reports.add(found("x")), 13);
    }

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(without_colours("\u{1b}[1m\u{1b}[38;5;9mé\u{1b}[0m x\u{1b}["), "é x");
    }
}
