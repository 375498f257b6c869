//! `vendor`: the same folder to the byte, the same lines of configuration, and the same graph and plan read from it again.

use super::graph::{both_ends, json};
use super::metadata::Roots;
use super::report::{Report, Verdict};
use super::text_diff::diff;
use super::{Options, sources, units, workspaces};
use crate::sides::{Side, Sides};
use bulkhead_test_support::{Outcome, sha256_hex};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Ways to vendor; what comes last is what is built from. `OTHER` is the manifest of a second workspace.
const WAYS: &[&str] = &[
    "vendor --locked --versioned-dirs",
    "vendor --locked --respect-source-config --no-delete",
    "vendor --sync OTHER third/party",
    "vendor --locked",
];

/// What is then asked without a registry, a repository or what was downloaded before.
const QUESTIONS: &[&str] = &[
    "metadata --format-version 1 --locked --offline",
    "tree --workspace --target all -e all --locked --offline",
    "pkgid --offline",
];

const OTHER: &str = "[package]\nname = \"other\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n[dependencies]\n\
                     itoa = \"1\"\nsemver = { version = \"1\", features = [\"serde\"] }\n";

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let folder = options.folder.join("vendor");
    let mut one = |name: &str, root: &Path, member: &Path| -> Result<(), String> {
        println!("-- {name}");
        write(&folder.join("other/Cargo.toml"), OTHER)?;
        write(&folder.join("other/src/lib.rs"), "")?;
        let lockfile = sides.cargo.run(root, &["generate-lockfile"]);
        if lockfile.code() != Some(0) {
            return Err(format!("{name}: cargo generate-lockfile: {}", lockfile.stderr));
        }
        let Some(config) = compare_folders(name, root, &folder.join("other/Cargo.toml"), sides, report)? else {
            return Ok(());
        };
        write(&root.join(".cargo/config.toml"), &config)?;
        compare_readers(name, member, sides, report)
    };
    let count = if options.small { 1 } else { usize::MAX };
    for (name, members) in workspaces::listed(options).take(count) {
        let root = workspaces::assemble(&folder.join(name), &members, sides)?;
        one(&format!("workspace of {name}"), &root, &root.join(workspaces::first_member(&members)?.0))?;
    }
    let repository = sources::Repository::make(&folder.join("repository"), sides)?;
    for (name, tables, _) in sources::CASES.iter().filter(|case| options.wants(case.0)).take(count) {
        let project = folder.join("project");
        repository.write_project(&project, tables)?;
        one(name, &project, &project)?;
    }
    Ok(())
}

/// Vendors with both in every way, and returns the configuration that the last one printed if it did its work and there was no
/// difference in it.
fn compare_folders(
    name: &str,
    root: &Path,
    other: &Path,
    sides: &Sides,
    report: &mut Report,
) -> Result<Option<String>, String> {
    let mut config = None;
    for way in WAYS {
        let arguments: Vec<String> =
            way.split(' ').map(|word| word.replace("OTHER", &other.to_string_lossy())).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut results: Vec<(Outcome, BTreeMap<PathBuf, String>)> = Vec::new();
        for side in sides.both() {
            remove(&root.join("vendor"))?;
            remove(&root.join("third"))?;
            // What does not belong there: `--no-delete` keeps it.
            write(&root.join("vendor/stranger/file"), "x")?;
            let outcome = side.run(root, &arguments);
            results.push((outcome, files(root)?));
        }
        let [(cargo, theirs), (bulkhead, ours)] = &results[..] else { return Ok(None) };
        let verdict = match bulkhead.ends_as(cargo) {
            true => Verdict::from_differences(diff(&cargo.stdout, &bulkhead.stdout) + &differences(theirs, ours)),
            false => Verdict::Different(both_ends(cargo, bulkhead)),
        };
        // Where neither of them vendors there is nothing to read.
        let is_done = bulkhead.code() == Some(0) && matches!(verdict, Verdict::Same);
        config = is_done.then(|| bulkhead.stdout.clone());
        report.add(name, &way.replace("OTHER", "…"), verdict);
    }
    Ok(config)
}

/// Both read the folder, from homes that hold nothing else.
fn compare_readers(name: &str, project: &Path, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let [cargo, bulkhead] = [sides.cargo.at_home_in("vendored")?, sides.bulkhead.at_home_in("vendored")?];
    let trusted = bulkhead.run(project, &["trust", "--yes"]);
    if trusted.code() != Some(0) {
        return Err(format!("{name}: bulkhead trust: {}", trusted.stderr));
    }
    for question in QUESTIONS {
        let arguments: Vec<&str> = question.split(' ').collect();
        let [left, right] = [&cargo, &bulkhead].map(|side| side.run(project, &arguments));
        let verdict = match right.ends_as(&left) {
            true => Verdict::from_differences(diff(&readable(&left), &readable(&right))),
            false => Verdict::Different(both_ends(&left, &right)),
        };
        report.add(name, &format!("vendored: {}", arguments[0]), verdict);
    }
    report.add(name, "vendored: unit graph", compare_plans(project, &cargo, &bulkhead));
    Ok(())
}

fn compare_plans(project: &Path, cargo: &Side, bulkhead: &Side) -> Verdict {
    // Both read the same folder: nothing has to be renamed.
    let roots = Roots::of(&serde_json::Value::Null);
    let [left, right] = [cargo, bulkhead].map(|side| side.unit_graph(project, &["build", "--locked", "--offline"]));
    match (json(&left), json(&right)) {
        (Some(theirs), Some(ours)) => Verdict::from_differences(units::difference(&theirs, &ours, &roots, &roots)),
        _ => Verdict::Different(both_ends(&left, &right)),
    }
}

/// JSON with one value a line, and everything else as it is.
fn readable(outcome: &Outcome) -> String {
    let pretty = json(outcome).and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| outcome.stdout.clone())
}

/// Every vendored file below `root`: what it holds, and whether it may be executed.
fn files(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.join("vendor"), root.join("third")];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            if metadata.is_dir() {
                pending.push(entry.path());
                continue;
            }
            let content = std::fs::read(entry.path()).map_err(failed)?;
            let text = match entry.file_name().to_str() {
                // Those are generated: a difference should show itself.
                Some("Cargo.toml" | ".cargo-checksum.json") => String::from_utf8_lossy(&content).into_owned(),
                _ => sha256_hex(&content),
            };
            let mode = metadata.permissions().mode() & 0o111;
            found.insert(entry.path(), format!("{} {text}", if mode == 0 { "file" } else { "program" }));
        }
    }
    Ok(found)
}

fn differences(cargo: &BTreeMap<PathBuf, String>, bulkhead: &BTreeMap<PathBuf, String>) -> String {
    let mut text = String::new();
    for path in cargo.keys().chain(bulkhead.keys().filter(|path| !cargo.contains_key(*path))) {
        match (cargo.get(path), bulkhead.get(path)) {
            (Some(left), Some(right)) if left == right => {}
            (Some(left), Some(right)) => _ = write!(text, "{}\n{}", path.display(), diff(left, right)),
            (Some(_), None) => _ = writeln!(text, "-{}", path.display()),
            (None, _) => _ = writeln!(text, "+{}", path.display()),
        }
    }
    text
}

fn remove(folder: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
