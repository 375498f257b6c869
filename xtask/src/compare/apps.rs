//! Released applications, built as their users build them.

use super::graph::{both_ends, json};
use super::lock::last_lines;
use super::metadata::{Roots, normalised_lines};
use super::report::{Report, Verdict};
use super::text_diff::{diff, same_lines};
use super::{Options, commands, data_lines, published, units};
use crate::sides::{Side, Sides};
use bulkhead_test_support::Outcome;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const APPS: &str = include_str!("../../data/apps.txt");

struct Application {
    package: &'static str,
    version: &'static str,
    binary: &'static str,
    /// Its unpacked source.
    root: PathBuf,
}

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let count = if options.small { 1 } else { usize::MAX };
    for words in data_lines(APPS).filter(|words| options.wants(words[0])).take(count) {
        let [package, version, binary] = words[..] else { return Err(format!("xtask/data/apps.txt: {words:?}")) };
        println!("-- {package} {version}");
        let root = published::unpack(&options.folder.join("apps"), package, version, &sides.cargo)?;
        let application = Application { package, version, binary, root };
        let Some([cargo_roots, bulkhead_roots]) = compare_metadata(&application, sides, report) else { continue };
        let profiles: &[&str] = if options.small { &["dev"] } else { &["dev", "release"] };
        for profile in profiles {
            compare_units(&application, profile, sides, &cargo_roots, &bulkhead_roots, report);
            compare_builds(&application, profile, sides, &cargo_roots, &bulkhead_roots, report)?;
        }
    }
    Ok(())
}

fn compare_metadata(application: &Application, sides: &Sides, report: &mut Report) -> Option<[Roots; 2]> {
    let Application { package, root, .. } = application;
    let outcomes = sides.both().map(|side| side.run(root, &["metadata", "--format-version", "1", "--locked"]));
    let [cargo, bulkhead] = &outcomes;
    let values = [json(cargo), json(bulkhead)];
    let [Some(cargo_value), Some(bulkhead_value)] = &values else {
        report.add(package, "metadata", Verdict::Different(both_ends(cargo, bulkhead)));
        return values.into_iter().next().flatten().map(|value| [Roots::of(&value), Roots::of(&value)]);
    };
    let roots = [Roots::of(cargo_value), Roots::of(bulkhead_value)];
    let (left, right) = (normalised_lines(cargo_value, &roots[0]), normalised_lines(bulkhead_value, &roots[1]));
    report.add(package, "metadata", Verdict::from_differences(diff(&left, &right)));
    Some(roots)
}

fn compare_units(
    application: &Application,
    profile: &str,
    sides: &Sides,
    cargo_roots: &Roots,
    bulkhead_roots: &Roots,
    report: &mut Report,
) {
    let Application { package, root, .. } = application;
    let commands: &[&[&str]] = if profile == "dev" {
        &[&["build"], &["check", "--all-targets"], &["test", "--no-run"]]
    } else {
        &[&["build", "--release"]]
    };
    for command in commands {
        let subject = format!("{package} ({})", command.join(" "));
        let mut arguments = command.to_vec();
        arguments.push("--locked");
        let [cargo, bulkhead] = sides.both().map(|side| side.unit_graph(root, &arguments));
        let verdict = match (json(&cargo), json(&bulkhead)) {
            (Some(left), Some(right)) => {
                Verdict::from_differences(units::difference(&left, &right, cargo_roots, bulkhead_roots))
            }
            // Some archives leave out what their tests need; then the oracle has no answer.
            (None, _) => Verdict::Skipped(format!("cargo: {}", last_lines(&cargo.stderr))),
            _ => Verdict::Different(both_ends(&cargo, &bulkhead)),
        };
        report.add(&subject, "unit graph", verdict);
    }
}

/// One side's build from nothing.
struct Build {
    outcome: Outcome,
    lockfile_kept: bool,
    artifacts: Vec<String>,
    /// What the binary prints as its version.
    version: String,
    /// The JSON messages of a second build, in which everything is fresh.
    messages: Vec<String>,
    status_lines: Vec<String>,
}

fn build(application: &Application, profile: &str, side: &Side, roots: &Roots) -> Result<Build, String> {
    let root = &application.root;
    let failed = |error: std::io::Error| format!("{}: {error}", root.display());
    let before = std::fs::read(root.join("Cargo.lock")).map_err(failed)?;
    // The same folder for both, one after the other, so that command lines and messages are as equal as they can be.
    let target = root.join("target");
    if target.exists() {
        std::fs::remove_dir_all(&target).map_err(failed)?;
    }
    let outcome = side.run(root, &["build", "-v", "--locked", "--profile", profile]);
    println!("   {} {profile}: {:.1} s", side.name, outcome.elapsed.as_secs_f64());
    let lockfile_kept = std::fs::read(root.join("Cargo.lock")).is_ok_and(|after| after == before);
    let output = target.join(if profile == "dev" { "debug" } else { profile });
    let artifacts = artifacts(&output);
    let version = Command::new(output.join(application.binary)).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let again = side.run(root, &["build", "--locked", "--profile", profile, "--message-format=json"]);
    let messages = again.stdout.lines().flat_map(|line| fields(&commands::hashless(&roots.normalise(line)))).collect();
    let status_lines =
        outcome.stderr.lines().filter_map(|line| status_line(&commands::hashless(&roots.normalise(line)))).collect();
    Ok(Build { outcome, lockfile_kept, artifacts, version, messages, status_lines })
}

/// A message as one line per field, so that a difference names the field.
fn fields(line: &str) -> Vec<String> {
    let Ok(Value::Object(message)) = serde_json::from_str(line) else { return vec![line.to_owned()] };
    let package = message.get("package_id").and_then(Value::as_str).and_then(|id| id.rsplit('/').next());
    let kind =
        message.get("target").map(|target| format!(" {} {}", target["kind"][0], target["name"])).unwrap_or_default();
    let about = format!("{} {}{kind}", message.get("reason").unwrap_or(&Value::Null), package.unwrap_or_default());
    message.iter().map(|(key, value)| format!("{about}: {key} = {}", in_order(value))).collect()
}

/// The value with the members of its objects in alphabetical order, which has no meaning: Cargo changes rustc's order when
/// it takes the colours out of a message.
fn in_order(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| format!("{name:?}:{}", in_order(value))).collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(in_order).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// A status line without what may differ: times, commands (compared apart), and what is said of downloads.
pub(super) fn status_line(line: &str) -> Option<String> {
    let line = line.trim();
    let passing = ["Running `", "Downloading ", "Downloaded ", "Updating ", "Blocking "];
    if line.is_empty() || passing.iter().any(|start| line.starts_with(start)) || is_about_trust(line) {
        return None;
    }
    let text = if line.starts_with("Finished") { line.split(" target(s) in ").next().unwrap_or(line) } else { line };
    Some(text.to_owned())
}

/// Whether Bulkhead names a key of the repository's `.cargo/config.toml` that waits for `bulkhead trust`: a difference by
/// design (`docs/differences.md`). That the key did not act would show in the command lines.
fn is_about_trust(line: &str) -> bool {
    let names_key =
        line.starts_with("warning: `") && line.contains("/.cargo/config.toml:") && line.contains(" is ignored: ");
    names_key || line.starts_with("help: look at the file, then run `bulkhead trust ")
}

fn compare_builds(
    application: &Application,
    profile: &str,
    sides: &Sides,
    cargo_roots: &Roots,
    bulkhead_roots: &Roots,
    report: &mut Report,
) -> Result<(), String> {
    let subject = format!("{} ({profile})", application.package);
    let cargo = build(application, profile, &sides.cargo, cargo_roots)?;
    let bulkhead = build(application, profile, &sides.bulkhead, bulkhead_roots)?;
    let verdict = if bulkhead.outcome.ends_as(&cargo.outcome) {
        Verdict::Same
    } else {
        Verdict::Different(both_ends(&cargo.outcome, &bulkhead.outcome))
    };
    report.add(&subject, "exit status of build", verdict);
    report.add(&subject, "Cargo.lock untouched", Verdict::of_values(&cargo.lockfile_kept, &bulkhead.lockfile_kept));
    report.add(&subject, "artifact names", same_lines(&cargo.artifacts, &bulkhead.artifacts));
    report.add(&subject, "binary --version", Verdict::of_values(&cargo.version, &bulkhead.version));
    if !cargo.version.contains(application.version) {
        report.add(&subject, "binary says its version", Verdict::Skipped(format!("it says {:?}", cargo.version)));
    }
    report.add(&subject, "JSON messages", same_lines(&cargo.messages, &bulkhead.messages));
    report.add(&subject, "status lines", same_lines(&cargo.status_lines, &bulkhead.status_lines));
    let (left, right) = (&cargo.outcome.stderr, &bulkhead.outcome.stderr);
    let differences = commands::difference(left, right, cargo_roots, bulkhead_roots);
    report.add(&subject, "command lines", Verdict::from_differences(differences));
    Ok(())
}

/// What a user finds below `target/debug`: the files there, and those of `deps` without their hashes.
pub(super) fn artifacts(output: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for (folder, prefix) in [(output.to_owned(), ""), (output.join("deps"), "deps/")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Hidden files and rustc's incremental folders are each program's own business.
            if !name.starts_with('.') && !name.ends_with(".o") {
                names.push(format!("{prefix}{}", commands::hashless(&name)));
            }
        }
    }
    names.sort();
    names
}
