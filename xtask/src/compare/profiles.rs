//! Settings of profiles, from manifests, configuration and variables, on a workspace with every crate type: both programs
//! must plan the same units, give rustc the same arguments and leave the same artifacts.

use super::Options;
use super::apps::{artifacts, status_line};
use super::commands;
use super::graph::{both_ends, json};
use super::metadata::Roots;
use super::report::{Report, Verdict};
use super::text_diff::same_lines;
use super::units;
use crate::sides::{Side, Sides};
use bulkhead_test_support::{Outcome, split_fixture};
use std::path::{Path, PathBuf};

const FIXTURE: &str = include_str!("../../data/profiles.fixture");
const CASES: &str = include_str!("../../data/profiles.txt");

/// One line of the table: a name, what is added to the workspace's manifest, and what is run in which environment.
struct Case {
    name: &'static str,
    manifest: String,
    environment: Vec<(&'static str, &'static str)>,
    arguments: Vec<&'static str>,
}

impl Case {
    /// `name | manifest lines joined by ; | NAME=VALUE … | arguments`
    fn parse(line: &'static str) -> Result<Case, String> {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, manifest, environment, arguments] = parts[..] else {
            return Err(format!("xtask/data/profiles.txt: {line}"));
        };
        Ok(Case {
            name,
            manifest: manifest.split(';').map(|line| format!("{}\n", line.trim())).collect(),
            environment: environment.split_whitespace().filter_map(|word| word.split_once('=')).collect(),
            arguments: arguments.split_whitespace().collect(),
        })
    }
}

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let lines = CASES.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let cases = lines.map(Case::parse).collect::<Result<Vec<_>, _>>()?;
    let count = if options.small { 4 } else { usize::MAX };
    for case in cases.iter().filter(|case| options.wants(case.name)).take(count) {
        println!("-- {}", case.name);
        let root = write_project(&options.folder.join("profiles"), case)?;
        compare_units(case, &root, sides, report);
        compare_builds(case, &root, sides, report)?;
    }
    Ok(())
}

fn write_project(root: &Path, case: &Case) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", root.display());
    for (path, content) in split_fixture(FIXTURE) {
        let content = if path == "Cargo.toml" { format!("{content}{}", case.manifest) } else { content };
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(root)).map_err(failed)?;
        std::fs::write(path, content).map_err(failed)?;
    }
    Ok(root.to_owned())
}

/// Says in one way what both programs may say in two: rustc takes `lto` and `lto=fat` for the same, and the unit graph tells
/// besides how a setting came to be.
fn in_one_way(mut outcome: Outcome) -> Outcome {
    outcome.stderr = outcome.stderr.replace("-C lto=fat", "-C lto");
    outcome.stdout =
        outcome.stdout.replace("\"lto\":\"fat\"", "\"lto\":\"true\"").replace("{\"resolved\":", "{\"deferred\":");
    outcome
}

fn run(side: &Side, case: &Case, root: &Path, extra: &[&str]) -> Outcome {
    let invocation = side.invocation(root, &case.arguments).args(["--offline"]).args(extra);
    in_one_way(case.environment.iter().fold(invocation, |run, (name, value)| run.env(name, value)).run())
}

fn compare_units(case: &Case, root: &Path, sides: &Sides, report: &mut Report) {
    let mut arguments = case.arguments.clone();
    arguments.push("--offline");
    // Variables that stand for configuration count here as well.
    let [cargo, bulkhead] =
        sides.both().map(|side| in_one_way(side.unit_graph_with(root, &arguments, &case.environment)));
    let roots = Roots::of(&serde_json::Value::Null);
    let verdict = match (json(&cargo), json(&bulkhead)) {
        (Some(left), Some(right)) => Verdict::from_differences(units::difference(&left, &right, &roots, &roots)),
        (None, None) => Verdict::Same,
        _ => Verdict::Different(both_ends(&cargo, &bulkhead)),
    };
    report.add(case.name, "unit graph", verdict);
}

fn compare_builds(case: &Case, root: &Path, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let target = root.join("target");
    let mut builds = Vec::new();
    for side in sides.both() {
        if target.exists() {
            std::fs::remove_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
        }
        let outcome = run(side, case, root, &["-v"]);
        let mut names = Vec::new();
        for folder in std::fs::read_dir(&target).into_iter().flatten().flatten() {
            let below = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
            // Below `--target` there is a folder for the platform in between.
            for profile in
                below.map(|entry| entry.path()).chain([folder.path()]).filter(|path| path.join("deps").exists())
            {
                let shown = profile.strip_prefix(&target).unwrap_or(&profile).display().to_string();
                // The names of split debug information are rustc's.
                let named = artifacts(&profile).into_iter().filter(|name| !name.ends_with(".dwo"));
                names.extend(named.map(|name| format!("{shown}/{name}")));
            }
        }
        let lines: Vec<_> = outcome.stderr.lines().filter_map(|line| status_line(&commands::hashless(line))).collect();
        builds.push((outcome, names, lines));
    }
    let [(cargo, cargo_names, cargo_lines), (bulkhead, bulkhead_names, bulkhead_lines)] = &builds[..] else {
        return Ok(());
    };
    let same_end = bulkhead.ends_as(cargo);
    let end = if same_end { Verdict::Same } else { Verdict::Different(both_ends(cargo, bulkhead)) };
    report.add(case.name, "exit status", end);
    let roots = Roots::of(&serde_json::Value::Null);
    let differences = commands::difference(&cargo.stderr, &bulkhead.stderr, &roots, &roots);
    report.add(case.name, "command lines", Verdict::from_differences(differences));
    report.add(case.name, "artifact names", same_lines(cargo_names, bulkhead_names));
    // What else was under way when a unit failed is a matter of luck; so is what of a package is told of that is checked and,
    // for a macro or script, built.
    if cargo.code() == Some(0) && !matches!(case.arguments.first(), Some(&("check" | "doc"))) {
        report.add(case.name, "status lines", same_lines(cargo_lines, bulkhead_lines));
    }
    Ok(())
}
