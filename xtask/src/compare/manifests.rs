//! `add` and `remove` on the manifests of released applications, and what `info` and `search` say: the same lines, and the same
//! manifest to the byte.

use super::graph::both_ends;
use super::lock::last_lines;
use super::report::{Report, Verdict};
use super::text_diff::diff;
use super::{Options, data_lines, published};
use crate::sides::Sides;
use bulkhead_test_support::Outcome;
use std::path::Path;

const APPLICATIONS: &str = include_str!("../../data/applications.txt");

/// Applications whose manifests are edited: enough to meet every style of writing them.
const SAMPLE: usize = 10;

/// What is tried on each manifest as it was published; `FIRST` is the first of its dependencies.
const EDITS: &[&str] = &[
    "add fnv",
    "add rand --no-default-features --features std,small_rng",
    "add serde@1 --features derive --dev",
    "add cc --build --optional --rename compiler",
    "add libc --target cfg(unix)",
    "add FIRST --optional",
    "add itoa ryu@1 --dry-run",
    "add none-such-package-of-anybody",
    "remove FIRST",
    "remove FIRST none-such",
    "remove FIRST --dry-run",
];

const QUESTIONS: &[&str] = &[
    "info serde",
    "info tokio@1.40.0",
    "info clap -v",
    "info rand@^0.7",
    "info openssl-sys",
    "search bitflags --limit 3",
];

/// What is said of downloads.
const PASSING: [&str; 5] = ["Updating ", "Downloading ", "Downloaded ", "Blocking ", "Locking "];

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let folder = options.folder.join("manifests");
    let count = if options.small { 1 } else { SAMPLE };
    for words in data_lines(APPLICATIONS).filter(|words| options.wants(words[0])).take(count) {
        let [package, version] = words[..] else { return Err(format!("xtask/data/applications.txt: {words:?}")) };
        println!("-- {package} {version}");
        let root = published::unpack(&folder, package, version, &sides.cargo)?;
        // As its authors wrote it, with the comments and the order that have to be kept.
        let original = root.join("Cargo.toml.orig");
        let written = std::fs::read_to_string(&original).map_err(|error| format!("{}: {error}", original.display()))?;
        let published = std::fs::read_to_string(root.join("Cargo.toml")).map_err(|error| error.to_string())?;
        // Where it names neighbours that were not published, the normalised one has to do.
        let text = if written.contains("path =") || written.contains("workspace = true") { published } else { written };
        for edit in EDITS {
            compare_edit(package, &root, &text, edit, sides, report)?;
        }
    }
    for question in QUESTIONS.iter().filter(|question| options.wants(question)).take(if options.small { 2 } else { 99 })
    {
        let [cargo, bulkhead] = sides.both().map(|side| side.run(&folder, &words(question)));
        let verdict = match question.starts_with("search") && cargo.code() != Some(0) {
            true => Verdict::Skipped(format!("this registry does not search: {}", last_lines(&cargo.stderr))),
            false => said(&cargo, &bulkhead),
        };
        report.add(question, "what is said", verdict);
    }
    Ok(())
}

fn compare_edit(
    package: &str,
    root: &Path,
    manifest: &str,
    edit: &str,
    sides: &Sides,
    report: &mut Report,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", root.display());
    let edit = edit.replace("FIRST", &first_dependency(manifest).unwrap_or_default());
    let mut results = Vec::new();
    let lockfile = std::fs::read(root.join("Cargo.lock")).map_err(failed)?;
    for side in sides.both() {
        std::fs::write(root.join("Cargo.toml"), manifest).map_err(failed)?;
        let outcome = side.run(root, &words(&edit));
        results.push((outcome, std::fs::read_to_string(root.join("Cargo.toml")).map_err(failed)?));
        std::fs::write(root.join("Cargo.lock"), &lockfile).map_err(failed)?;
    }
    let [(cargo, theirs), (bulkhead, ours)] = &results[..] else { return Ok(()) };
    let subject = format!("{package}: {edit}");
    report.add(&subject, "Cargo.toml after an edit", Verdict::from_differences(diff(theirs, ours)));
    report.add(&subject, "what an edit says", said(cargo, bulkhead));
    Ok(())
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Compares codes, output and status lines, less what is said of downloads and what only Bulkhead has to say.
fn said(cargo: &Outcome, bulkhead: &Outcome) -> Verdict {
    if !bulkhead.ends_as(cargo) {
        return Verdict::Different(both_ends(cargo, bulkhead));
    }
    let lines = |outcome: &Outcome| {
        let mut about_build_code = false;
        let mut text = String::new();
        // How continued lines are indented, and in which words a reason is told, is each program's own business.
        let lines = outcome.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        for line in lines.take_while(|line| *line != "Caused by:") {
            about_build_code |=
                line.starts_with("warning: ") && line.contains(" code that runs while something is built");
            if !about_build_code && !PASSING.iter().any(|start| line.starts_with(start)) {
                text += &format!("{line}\n");
            }
            about_build_code &= !line.starts_with("help: ");
        }
        text
    };
    let differences = diff(&cargo.stdout, &bulkhead.stdout) + &diff(&lines(cargo), &lines(bulkhead));
    Verdict::from_differences(differences.replace("cargo", "bulkhead"))
}

/// The first dependency in the manifest's own order.
fn first_dependency(manifest: &str) -> Option<String> {
    let table: toml::Table = manifest.parse().ok()?;
    let names: Vec<&String> = table.get("dependencies")?.as_table()?.keys().collect();
    names.first().map(|name| (*name).clone())
}
