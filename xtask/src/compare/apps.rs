//! Released applications, built as their users build them.

use super::lock::last_lines;
use super::metadata::{Roots, normalised_lines};
use super::report::{Report, Verdict};
use super::text_diff::{diff, multiset_difference};
use super::{Options, commands, data_lines, units};
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
        let root = unpack(&options.folder.join("apps"), package, version, &sides.cargo)?;
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

/// Lets cargo download the `.crate`, and unpacks it afresh.
fn unpack(folder: &Path, package: &str, version: &str, cargo: &Side) -> Result<PathBuf, String> {
    let failed = |what: &str, why: String| format!("{what}: {why}");
    std::fs::create_dir_all(folder).map_err(|error| failed("apps", error.to_string()))?;
    let file = format!("{package}-{version}.crate");
    let find = || {
        let caches = std::fs::read_dir(cargo.cargo_home().join("registry/cache")).ok()?;
        caches.flatten().map(|cache| cache.path().join(&file)).find(|path| path.exists())
    };
    if find().is_none() {
        let outcome = cargo.run(folder, &["info", &format!("{package}@{version}")]);
        if outcome.code() != Some(0) {
            return Err(failed("cargo info", outcome.stderr));
        }
    }
    let archive = find().ok_or_else(|| failed(&file, "cargo did not download it".to_owned()))?;
    let root = folder.join(format!("{package}-{version}"));
    if root.exists() {
        std::fs::remove_dir_all(&root).map_err(|error| failed("apps", error.to_string()))?;
    }
    let status = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(failed(&file, "tar cannot unpack it".to_owned()));
    }
    Ok(root)
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

fn json(outcome: &Outcome) -> Option<Value> {
    serde_json::from_str(&outcome.stdout).ok().filter(|_| outcome.code() == Some(0))
}

fn both_ends(cargo: &Outcome, bulkhead: &Outcome) -> String {
    format!(
        "cargo: {:?}\n{}\nbulkhead: {:?}\n{}\n",
        cargo.code(),
        last_lines(&cargo.stderr),
        bulkhead.code(),
        last_lines(&bulkhead.stderr)
    )
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

fn compare_builds(
    application: &Application,
    profile: &str,
    sides: &Sides,
    cargo_roots: &Roots,
    bulkhead_roots: &Roots,
    report: &mut Report,
) -> Result<(), String> {
    let Application { package, version, binary, root } = application;
    let subject = format!("{package} ({profile})");
    let lockfile = root.join("Cargo.lock");
    let before = std::fs::read(&lockfile).map_err(|error| format!("{}: {error}", lockfile.display()))?;
    let mut runs = Vec::new();
    for side in sides.both() {
        // The same name for both, so that command lines and messages are as equal as they can be.
        let target = root.join("target");
        if target.exists() {
            std::fs::remove_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
        }
        let outcome = side.run(root, &["build", "-v", "--locked", "--profile", profile]);
        let kept = std::fs::read(&lockfile).is_ok_and(|after| after == before);
        let output = target.join(if profile == "dev" { "debug" } else { profile });
        let version_run = Command::new(output.join(binary)).arg("--version").output();
        let said = version_run.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        println!("   {} {profile}: {:.1} s", side.name, outcome.elapsed.as_secs_f64());
        runs.push((outcome, kept, artifacts(&output), said));
    }
    let [(cargo, cargo_kept, cargo_files, cargo_said), (bulkhead, bulkhead_kept, bulkhead_files, bulkhead_said)] =
        &runs[..]
    else {
        return Ok(());
    };
    let verdict =
        if cargo.code() == bulkhead.code() { Verdict::Same } else { Verdict::Different(both_ends(cargo, bulkhead)) };
    report.add(&subject, "exit status of build", verdict);
    report.add(&subject, "Cargo.lock untouched", Verdict::of_values(cargo_kept, bulkhead_kept));
    let (missing, extra) = multiset_difference(cargo_files, bulkhead_files);
    let listed =
        |sign: char, names: Vec<String>| names.iter().map(|name| format!("{sign}{name}\n")).collect::<String>();
    report.add(
        &subject,
        "artifact names",
        Verdict::from_differences(format!("{}{}", listed('-', missing), listed('+', extra))),
    );
    report.add(&subject, "binary --version", Verdict::of_values(cargo_said, bulkhead_said));
    if !cargo_said.contains(version) {
        report.add(&subject, "binary says its version", Verdict::Skipped(format!("it says {cargo_said:?}")));
    }
    report.add(
        &subject,
        "command lines",
        Verdict::from_differences(commands::difference(&cargo.stderr, &bulkhead.stderr, cargo_roots, bulkhead_roots)),
    );
    Ok(())
}

/// What a user finds below `target/debug`: the files there, and those of `deps` without their hashes.
fn artifacts(output: &Path) -> Vec<String> {
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
