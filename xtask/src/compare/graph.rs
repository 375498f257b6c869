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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Metadata and the plain tree.
    Brief,
    /// [`QUESTIONS`].
    Whole,
    /// [`MORE_QUESTIONS`] and [`METADATA`] as well.
    Thorough,
}

/// Questions whose answers are plain text that must be equal to the letter; `PACKAGE` is one that is depended on.
const QUESTIONS: &[(&str, &str)] = &[
    ("tree", "tree"),
    ("tree inverted", "tree -i PACKAGE --target all"),
    ("pkgid of a dependency", "pkgid PACKAGE"),
    ("tree of everything", "tree --target all -e all"),
    ("tree of features", "tree -e features --depth 4"),
    ("tree of duplicates", "tree -d --target all --depth 2"),
    ("tree formatted", "tree --prefix depth -f {p}|{l}|{f}|{lib} -e no-dev"),
    ("pkgid", "pkgid"),
];
/// How many of them are brief.
const BRIEF: usize = 3;

/// Every flag and format of `tree`, alone and where two meet.
const MORE_QUESTIONS: &[(&str, &str)] = &[
    ("tree, flat", "tree --prefix none"),
    ("tree in ASCII", "tree --charset ascii --workspace"),
    ("tree repeated", "tree --no-dedupe --depth 5"),
    ("tree to a depth", "tree --depth 1"),
    ("tree of the workspace", "tree --workspace --depth 3"),
    ("tree to the workspace's border", "tree --workspace --depth workspace -e features"),
    ("tree of normal dependencies", "tree -e normal"),
    ("tree of build dependencies", "tree -e build"),
    ("tree of dev-dependencies", "tree -e dev"),
    ("tree of kinds left out", "tree -e no-normal --workspace"),
    ("tree without build dependencies", "tree -e no-build,no-dev --target all"),
    ("tree without macros", "tree -e no-proc-macro"),
    ("tree of normal features", "tree -e normal,features --prefix depth --depth 6"),
    ("tree of duplicates, whole", "tree -d"),
    ("tree of duplicates by feature", "tree -d -e features --depth 3"),
    ("tree of duplicates, flat", "tree -d --prefix none --no-dedupe --depth 2"),
    ("tree inverted by feature", "tree -i PACKAGE -e features"),
    ("tree inverted in the workspace", "tree -i PACKAGE --workspace --depth 3"),
    ("tree inverted without dev-dependencies", "tree -i PACKAGE -e no-dev --prefix depth"),
    ("tree inverted, every edge", "tree -i PACKAGE -e all --target all --charset ascii --depth 4"),
    ("tree pruned", "tree --prune PACKAGE --target all"),
    ("tree pruned by feature", "tree --prune PACKAGE -e features --depth 4"),
    ("tree of a package", "tree -p PACKAGE --target all"),
    ("tree with every format", "tree -f {p}|{l}|{r}|{f}|{lib} --prefix none --target all"),
    ("tree for another platform", "tree --target x86_64-pc-windows-msvc"),
    ("tree for two platforms", "tree --target aarch64-apple-darwin --target x86_64-unknown-linux-gnu"),
    ("tree of all features", "tree --all-features"),
    ("tree without default features", "tree --no-default-features -e features --depth 3"),
];

/// Ways to ask for metadata, which is compared in the order in which it is said.
const METADATA: &[(&str, &str)] = &[
    ("metadata without dependencies", "metadata --format-version 1 --no-deps"),
    ("metadata of one platform", "metadata --format-version 1 --filter-platform x86_64-unknown-linux-gnu"),
    (
        "metadata of two platforms",
        "metadata --format-version 1 --filter-platform x86_64-pc-windows-msvc --filter-platform aarch64-apple-darwin",
    ),
    ("metadata without default features", "metadata --format-version 1 --no-default-features"),
    (
        "metadata of all features on one platform",
        "metadata --format-version 1 --all-features --filter-platform x86_64-unknown-linux-gnu",
    ),
];
/// The only one of them that is asked when not everything is.
const METADATA_OF_ONE_PLATFORM: usize = 1;

/// How many packages of a graph are asked for by name and version.
const NAMED: usize = 12;

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
    let verdict = match bulkhead.ends_as(cargo) {
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
    let Some((value, roots)) = compare_metadata(subject, project, depth, sides, report) else { return };
    let mut ask = |check: &str, question: &str, how: &dyn Fn(&Outcome, &Roots) -> String| {
        let arguments: Vec<String> = question.split(' ').map(|word| word.replace("PACKAGE", package)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let [cargo, bulkhead] = sides.both().map(|side| ask(side, project, &arguments));
        let verdict = match bulkhead.ends_as(&cargo) {
            true => Verdict::from_differences(diff(&how(&cargo, &roots[0]), &how(&bulkhead, &roots[1]))),
            false => Verdict::Different(both_ends(&cargo, &bulkhead)),
        };
        report.add(subject, check, verdict);
    };
    let text = |outcome: &Outcome, roots: &Roots| roots.normalise(&outcome.stdout);
    let (questions, more, metadata): (_, &[_], _) = match depth {
        Depth::Brief => (&QUESTIONS[..BRIEF], &[], &METADATA[..0]),
        Depth::Whole => (QUESTIONS, &[], &METADATA[METADATA_OF_ONE_PLATFORM..=METADATA_OF_ONE_PLATFORM]),
        Depth::Thorough => (QUESTIONS, MORE_QUESTIONS, METADATA),
    };
    for (check, question) in questions.iter().chain(more) {
        ask(check, question, &text);
    }
    for (check, question) in metadata {
        ask(check, question, &pretty);
    }
    if depth == Depth::Thorough {
        for specification in some_of(&value) {
            ask("pkgid of NAME@VERSION", &format!("pkgid {specification}"), &text);
        }
    }
}

fn ask(side: &Side, project: &Path, arguments: &[&str]) -> Outcome {
    // Everything is on this machine since `metadata`: neither asks the registry again.
    side.run(project, &[arguments, &["--frozen"]].concat())
}

/// `NAME@VERSION` of a few packages, from all of the list.
fn some_of(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |package: &Value| Some(format!("{}@{}", package["name"].as_str()?, package["version"].as_str()?));
    packages.iter().step_by(packages.len().div_ceil(NAMED).max(1)).filter_map(name).collect()
}

/// Metadata of both, in the order in which they say it: cargo's, and where the packages of each lie.
fn compare_metadata(
    subject: &str,
    project: &Path,
    depth: Depth,
    sides: &Sides,
    report: &mut Report,
) -> Option<(Value, [Roots; 2])> {
    let mut found = None;
    // What all features bring has to lie on the machine for the questions that name them, so that comes last.
    let all: &[&str] = &["--all-features"];
    for features in [&[], all].into_iter().take(if depth == Depth::Thorough { 2 } else { 1 }) {
        let arguments = [&["metadata", "--format-version", "1", "--locked"], features].concat();
        let check = ["metadata", features.first().copied().unwrap_or_default()].join(" ");
        let [cargo, bulkhead] = sides.both().map(|side| side.run(project, &arguments));
        let (Some(left), Some(right)) = (json(&cargo), json(&bulkhead)) else {
            // Where both refuse, the difference is only in the words.
            let verdict = match bulkhead.ends_as(&cargo) {
                true => Verdict::Skipped(format!("both end with {:?}: {}", cargo.code(), last_lines(&cargo.stderr))),
                false => Verdict::Different(both_ends(&cargo, &bulkhead)),
            };
            report.add(subject, check.trim_end(), verdict);
            return found;
        };
        let roots = [Roots::of(&left), Roots::of(&right)];
        let differences = diff(&pretty(&cargo, &roots[0]), &pretty(&bulkhead, &roots[1]));
        report.add(subject, check.trim_end(), Verdict::from_differences(differences));
        found = Some((left, roots));
    }
    found
}

fn pretty(outcome: &Outcome, roots: &Roots) -> String {
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
