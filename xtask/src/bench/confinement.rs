//! `cargo xtask bench confinement`: what each confined process of a build costs more than one that is not, and what that is of
//! a clean build. The processes have the profiles that Bulkhead gives them, as `sandbox show` prints them.

use crate::arguments::{Given, bin, dir, path, value};
use crate::sides::{Side, Sides};
use crate::tidy::repository_root;
use clap::{ArgMatches, value_parser};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How `bench` is told to measure this.
pub(super) const NAME: &str = "confinement";

/// The project whose profiles are taken and which is built if no other is named: a build script and a program.
const PROJECT: [(&str, &str); 3] = [
    ("Cargo.toml", "[package]\nname = \"measured\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
    ("build.rs", "fn main() {}\n"),
    ("src/main.rs", "fn main() {}\n"),
];

/// A kind of process: its name, how much its confinement may cost at most in milliseconds, and what stands for it.
const KINDS: [(&str, f64, Program); 2] = [("build-script", 2.5, Program::True), ("rustc", 1.0, Program::Rustc)];

/// What of a clean build confinement may cost, in parts of a hundred.
const SHARE: f64 = 0.5;

#[derive(Clone, Copy)]
enum Program {
    True,
    Rustc,
}

/// Milliseconds: median and tenth percentile on the clock, median of processor time.
type Cost = [f64; 3];

pub(super) fn command() -> clap::Command {
    let runs = value("runs", "N").default_value("300").value_parser(value_parser!(u32).range(1..));
    clap::Command::new(NAME)
        .about(
            "What confinement adds to a build script and to rustc, by mechanism, what it costs to watch their memory, and \
             what that is of a clean build",
        )
        .args([bin(), dir("bulkhead-bench")])
        .arg(path("project").help("Whose clean build; its dependencies are fetched before"))
        .arg(runs.help("Of each mechanism"))
}

pub(super) fn run(arguments: &ArgMatches) -> Result<bool, String> {
    let folder = arguments.path_of("dir").unwrap_or_default();
    let (bin, project) = (arguments.path_of("bin"), arguments.path_of("project"));
    let runs = arguments.number_of("runs");
    let sides = Sides::prepare(bin.as_deref(), &folder)?.without_shared_units();
    let own = folder.join("confinement");
    write_project(&own)?;
    let example = build_example()?;
    let mut added = Vec::new();
    for (kind, aim, program) in KINDS {
        let profile = profile(&sides.bulkhead, &own, kind)?;
        let costs = costs(&example, runs, program, &profile)?;
        print_costs(kind, aim, &costs);
        added.push(difference(&costs, "shipped", "plain")?);
    }
    let [script, rustc] = added[..] else { return Err("two kinds of processes are measured".to_owned()) };
    share(&sides.bulkhead, project.as_deref().unwrap_or(&own), script, rustc)
}

fn write_project(folder: &Path) -> Result<(), String> {
    for (name, text) in PROJECT {
        super::rows::write(&folder.join(name), text)?;
    }
    Ok(())
}

fn build_example() -> Result<PathBuf, String> {
    let root = repository_root();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "-p", "bulkhead-sandbox", "--example", "confinement_cost"]);
    match cargo.current_dir(&root).status() {
        Ok(status) if status.success() => Ok(root.join("target/release/examples/confinement_cost")),
        Ok(status) => Err(format!("the example cannot be built: {status}")),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

/// The profile of the first process of a kind, as lines for the example.
fn profile(side: &Side, project: &Path, kind: &str) -> Result<String, String> {
    let shown = side.run(project, &["sandbox", "show", "--process", kind, "--json"]);
    let json: Value = serde_json::from_str(&shown.stdout).map_err(|error| format!("{error}: {shown}"))?;
    let profile = json.pointer("/profiles/0").ok_or_else(|| format!("no profile: {shown}"))?;
    let mut lines = String::new();
    for (list, key) in [("required", "required"), ("read", "read"), ("write", "write")] {
        for path in profile[list].as_array().into_iter().flatten().filter_map(|entry| entry["path"].as_str()) {
            if key == "write" {
                std::fs::create_dir_all(path).map_err(|error| format!("{path}: {error}"))?;
            }
            lines += &format!("{key} {path}\n");
        }
    }
    lines += &format!("folder {}\n", profile["current_dir"].as_str().unwrap_or("/"));
    let variables = profile["environment"].as_object().into_iter().flatten();
    for (name, value) in variables.filter(|(_, value)| value["value"].as_str().is_some_and(|text| !text.contains('\n')))
    {
        lines += &format!("variable {name}={}\n", value["value"].as_str().unwrap_or_default());
    }
    // What only joins a namespace finds itself not in the `/proc` of it, where loaders look for the place of a program.
    Ok(lines + &format!("variable LD_LIBRARY_PATH={}\n", bulkhead_test_support::sysroot().join("lib").display()))
}

fn costs(example: &Path, runs: u32, program: Program, profile: &str) -> Result<BTreeMap<String, Cost>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", example.display());
    let mut command = Command::new(example);
    match program {
        Program::True => command.args([&runs.to_string(), "/usr/bin/true"]),
        Program::Rustc => {
            let rustc = bulkhead_test_support::sysroot().join("bin/rustc");
            command.arg((runs / 4).max(1).to_string()).arg(rustc).arg("-vV")
        }
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(profile.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("{} failed: {}", example.display(), output.status));
    }
    let line = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        let numbers: Vec<f64> = words.filter_map(|word| word.parse::<f64>().ok()).map(|number| number / 1e3).collect();
        Some((name, numbers.try_into().ok()?))
    };
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(line).collect())
}

fn cost(costs: &BTreeMap<String, Cost>, name: &str) -> Result<Cost, String> {
    costs.get(name).copied().ok_or_else(|| format!("`{name}` was not measured"))
}

fn difference(costs: &BTreeMap<String, Cost>, more: &str, less: &str) -> Result<Cost, String> {
    let (more, less) = (cost(costs, more)?, cost(costs, less)?);
    Ok([0, 1, 2].map(|index| more[index] - less[index]))
}

fn print_costs(kind: &str, aim: f64, costs: &BTreeMap<String, Cost>) {
    println!("\n{kind}: start and end, milliseconds (aim: at most {aim} more than plain)\n");
    println!("| mechanism | clock, median | more | clock, 10 % | more | processor | more |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let row = |title: &str, own: Cost, base: Cost| {
        let cells = (0..3).map(|index| format!("{:.2} | {:+.2}", own[index], own[index] - base[index]));
        println!("| {title} | {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    let of = |name: &str| cost(costs, name).unwrap_or_default();
    let plain = of("plain");
    row("plain", plain, plain);
    row("all namespaces of its own, observed", of("all-namespaces"), plain);
    row("**shipped**: the same with one empty network for all", of("shipped"), plain);
    row("the same, unobserved", of("unobserved"), plain);
    row("shipped, without the limits that a control group keeps where there is one", of("ungrouped"), plain);
    // Joining says nothing of the filter, which every mechanism needs.
    let (joined, forked, filtered) = (of("joined"), of("forked"), of("landlock-and-seccomp"));
    let prepared = [0, 1, 2].map(|index| filtered[index] + joined[index] - forked[index]);
    row("a prepared namespace, joined, and Landlock and seccomp", prepared, plain);
    row("Landlock and seccomp alone", filtered, plain);
    for (title, name) in [("one process", "one"), ("sixteen processes", "sixteen")] {
        let more = of(&format!("{name}-watched"))[2] - of(&format!("{name}-unwatched"))[2];
        println!("\n`total-memory-mib`: {more:.2} ms of processor time for each second of {title}");
    }
}

/// What confinement is of a clean build, by the number of processes that it starts. Whether it is within the aim.
fn share(side: &Side, project: &Path, script: Cost, rustc: Cost) -> Result<bool, String> {
    let target = std::env::temp_dir().join(format!("bulkhead-bench-target-{}", std::process::id()));
    let arguments = ["build", "--message-format=json", "--target-dir", &target.display().to_string()];
    let counted = side.run(project, &arguments);
    std::fs::remove_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    if counted.code() != Some(0) {
        return Err(format!("the build failed: {counted}"));
    }
    let count = |reason: &str| counted.stdout.matches(&format!("\"reason\":\"{reason}\"")).count() as f64;
    let (compilers, scripts) = (count("compiler-artifact"), count("build-script-executed"));
    let sample = super::measure::run(&side.command(project, &arguments))?;
    std::fs::remove_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let milliseconds = sample.processor.as_secs_f64() * 1e3;
    let of_build = |index: usize| (compilers * rustc[index] + scripts * script[index]) / milliseconds * 100.0;
    println!(
        "\nclean build: {compilers} compilers and {scripts} build scripts, {:.2} s of processor time, {:.2} s on the clock; \
         confinement is {:.2} % of the processor time (aim: at most {SHARE} %)",
        milliseconds / 1e3,
        sample.wall.as_secs_f64(),
        of_build(2),
    );
    Ok(true)
}
