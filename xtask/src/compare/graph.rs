//! What the two programs say about one resolved project: `Cargo.lock`, `metadata`, `tree`, `pkgid`.

use super::lock::last_lines;
use super::metadata::Roots;
use super::report::{Report, Verdict};
use super::text_diff::diff;
use crate::sides::{Side, Sides};
use bulkhead_test_support::Outcome;
use serde_json::Value;
use std::path::Path;

/// How much is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Metadata and the plain tree.
    Brief,
    /// Every question below.
    Whole,
}

/// Questions whose answers are plain text that must be equal to the letter.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("tree", &["tree"]),
    ("tree of everything", &["tree", "--target", "all", "-e", "all"]),
    ("tree of features", &["tree", "-e", "features", "--depth", "4"]),
    ("tree of duplicates", &["tree", "-d", "--target", "all", "--depth", "2"]),
    ("tree formatted", &["tree", "--prefix", "depth", "-f", "{p} {l} {f} {lib}", "-e", "no-dev"]),
    ("pkgid", &["pkgid"]),
];

/// Lets both write `Cargo.lock` in `project` from nothing (or from what `prepare` puts there) and compares the bytes.
/// True when they are equal, so that what follows can be asked of the same graph.
pub(super) fn compare_locks(
    subject: &str,
    project: &Path,
    arguments: &[&str],
    prepare: &dyn Fn(&Path) -> std::io::Result<()>,
    sides: &Sides,
    report: &mut Report,
) -> Result<bool, String> {
    let mut results = Vec::new();
    for side in sides.both() {
        prepare(project).map_err(|error| format!("{}: {error}", project.display()))?;
        let outcome = side.run(project, arguments);
        let lockfile = std::fs::read_to_string(project.join("Cargo.lock")).unwrap_or_default();
        results.push((outcome, lockfile));
    }
    let [(cargo, cargo_lock), (bulkhead, bulkhead_lock)] = &results[..] else { return Ok(false) };
    let verdict = match cargo.code() == bulkhead.code() {
        true => Verdict::from_differences(diff(cargo_lock, bulkhead_lock)),
        false => Verdict::Different(both_ends(cargo, bulkhead)),
    };
    let same = matches!(verdict, Verdict::Same) && cargo.code() == Some(0);
    report.add(subject, &format!("Cargo.lock after {}", arguments.join(" ")), verdict);
    Ok(same)
}

/// Asks both about the graph in `project`, whose `Cargo.lock` is up to date. `package` is one that is depended on.
pub(super) fn compare_answers(
    subject: &str,
    project: &Path,
    package: &str,
    depth: Depth,
    sides: &Sides,
    report: &mut Report,
) {
    let roots = compare_metadata(subject, project, sides, report);
    let Some([cargo_roots, bulkhead_roots]) = roots else { return };
    let inverse: &[&str] = &["tree", "-i", package, "--target", "all"];
    let package_id: &[&str] = &["pkgid", package];
    let named = [("tree inverted", inverse), ("pkgid of a dependency", package_id)];
    let asked = match depth {
        Depth::Brief => &QUESTIONS[..1],
        Depth::Whole => QUESTIONS,
    };
    for (check, arguments) in asked.iter().copied().chain(named) {
        let [cargo, bulkhead] = sides.both().map(|side| ask(side, project, arguments));
        let (left, right) = (cargo_roots.normalise(&cargo.stdout), bulkhead_roots.normalise(&bulkhead.stdout));
        let verdict = match cargo.code() == bulkhead.code() {
            true => Verdict::from_differences(diff(&left, &right)),
            false => Verdict::Different(both_ends(&cargo, &bulkhead)),
        };
        report.add(subject, check, verdict);
    }
    if depth == Depth::Whole {
        let arguments = ["metadata", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"];
        let [cargo, bulkhead] = sides.both().map(|side| ask(side, project, &arguments));
        let [left, right] = [(&cargo, &cargo_roots), (&bulkhead, &bulkhead_roots)].map(pretty);
        report.add(subject, "metadata of one platform", Verdict::from_differences(diff(&left, &right)));
    }
}

fn ask(side: &Side, project: &Path, arguments: &[&str]) -> Outcome {
    // Everything is on this machine since `metadata`: neither asks the registry again.
    side.run(project, &[arguments, &["--frozen"]].concat())
}

/// Metadata of both, in the order in which they say it.
fn compare_metadata(subject: &str, project: &Path, sides: &Sides, report: &mut Report) -> Option<[Roots; 2]> {
    let outcomes = sides.both().map(|side| side.run(project, &["metadata", "--format-version", "1", "--locked"]));
    let [Some(left), Some(right)] = [json(&outcomes[0]), json(&outcomes[1])] else {
        let [cargo, bulkhead] = &outcomes;
        // Where both refuse, the difference is only in the words.
        let verdict = match cargo.code() == bulkhead.code() {
            true => Verdict::Skipped(format!("both end with {:?}: {}", cargo.code(), last_lines(&cargo.stderr))),
            false => Verdict::Different(both_ends(cargo, bulkhead)),
        };
        report.add(subject, "metadata", verdict);
        return None;
    };
    let roots = [Roots::of(&left), Roots::of(&right)];
    let lines = [(&outcomes[0], &roots[0]), (&outcomes[1], &roots[1])].map(pretty);
    report.add(subject, "metadata", Verdict::from_differences(diff(&lines[0], &lines[1])));
    Some(roots)
}

fn pretty((outcome, roots): (&Outcome, &Roots)) -> String {
    let value = json(outcome).unwrap_or(Value::Null);
    roots.normalise(&serde_json::to_string_pretty(&value).unwrap_or_default())
}

pub(super) fn json(outcome: &Outcome) -> Option<Value> {
    serde_json::from_str(&outcome.stdout).ok().filter(|_| outcome.code() == Some(0))
}

pub(super) fn both_ends(cargo: &Outcome, bulkhead: &Outcome) -> String {
    format!(
        "cargo: {:?}\n{}\nbulkhead: {:?}\n{}\n",
        cargo.code(),
        last_lines(&cargo.stderr),
        bulkhead.code(),
        last_lines(&bulkhead.stderr)
    )
}
