//! `cargo xtask projects`: whether real projects build with the default confinement and no grants.
//!
//! A project that cargo cannot build either says nothing about confinement and is not counted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bulkhead_test_support::Outcome;

use crate::CommandResult;
use crate::compare::{last_lines, unpack};
use crate::sides::{Side, Sides};

const CRATES: &str = include_str!("../data/build-crates.txt");
const APPLICATIONS: &str = include_str!("../data/projects.txt");

/// What builds share is thrown away when it has grown beyond this, in bytes.
const MAX_TARGET: u64 = 2 << 30;

struct Options {
    bin: Option<PathBuf>,
    folder: PathBuf,
    only: Option<String>,
    parts: BTreeSet<String>,
}

/// What came of one project.
enum Verdict {
    /// It builds.
    Builds,
    /// Only cargo can build it; what was said.
    NeedsGrant(String),
    /// Cargo cannot build it either.
    NotCounted(String),
}

/// Builds the crates, the applications or both, and prints the share that needs no grant.
pub(crate) fn run(arguments: &[String]) -> CommandResult {
    let options = parse(arguments)?;
    let sides = Sides::prepare(options.bin.as_deref(), &options.folder)?;
    let mut failed = false;
    for (part, list) in [("crates", CRATES), ("applications", APPLICATIONS)] {
        if !options.parts.is_empty() && !options.parts.contains(part) {
            continue;
        }
        let lines = list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let wanted = |line: &&str| options.only.as_ref().is_none_or(|only| line.contains(only.as_str()));
        let mut tally = Tally::default();
        for line in lines.filter(wanted) {
            let project = if part == "crates" {
                of_crate(line, &options.folder)?
            } else {
                of_application(line, &options.folder, &sides.cargo)?
            };
            tally.take(&project, judge(&project, &sides)?);
        }
        tally.print(part);
        failed |= !tally.need_grants.is_empty();
    }
    Ok(!failed)
}

/// A project on disk, and how it is called.
struct Project {
    name: String,
    root: PathBuf,
    command: &'static str,
    target: PathBuf,
}

/// A project whose only dependency is the crate of a line.
fn of_crate(line: &str, folder: &Path) -> Result<Project, String> {
    let (head, code) = line.split_once(" | ").unwrap_or((line, ""));
    let [name, requirement, features] = head.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("xtask/data/build-crates.txt: {line}"));
    };
    let features: Vec<String> = features.split(',').filter(|it| *it != "-").map(|it| format!("\"{it}\"")).collect();
    let root = folder.join("crates").join(name);
    let manifest = format!(
        "[package]\nname = \"uses-{name}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[dependencies]\n{name} = {{ version = \
         \"{requirement}\", features = [{}] }}\n[workspace]\n",
        features.join(", ")
    );
    let source = format!("#![allow(dead_code)]\n{code}\n");
    for (path, text) in [("Cargo.toml", manifest), ("src/lib.rs", source)] {
        let path = root.join(path);
        let written =
            std::fs::create_dir_all(path.parent().unwrap_or(&root)).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(Project { name: name.to_owned(), root, command: "check", target: folder.join("target") })
}

/// A released package with its own lockfile.
fn of_application(line: &str, folder: &Path, cargo: &Side) -> Result<Project, String> {
    let [name, version, _kind] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("xtask/data/projects.txt: {line}"));
    };
    let root = unpack(&folder.join("applications"), name, version, cargo)?;
    Ok(Project { name: format!("{name} {version}"), root, command: "build", target: folder.join("target") })
}

fn judge(project: &Project, sides: &Sides) -> Result<Verdict, String> {
    let build = |side: &Side| {
        let target = project.target.join(side.name);
        let arguments = ["--config", "profile.dev.debug=false", "--target-dir", &target.to_string_lossy()];
        let outcome = side.run(&project.root, &[&[project.command][..], &arguments].concat());
        tidied(&target).map(|()| outcome)
    };
    let ours = build(&sides.bulkhead)?;
    if ours.code() == Some(0) {
        return Ok(Verdict::Builds);
    }
    let theirs = build(&sides.cargo)?;
    let said = |outcome: &Outcome| last_lines(&outcome.stderr);
    Ok(if theirs.code() == Some(0) { Verdict::NeedsGrant(said(&ours)) } else { Verdict::NotCounted(said(&theirs)) })
}

/// The disk is not endless.
fn tidied(target: &Path) -> Result<(), String> {
    if size(target) <= MAX_TARGET {
        return Ok(());
    }
    std::fs::remove_dir_all(target).map_err(|error| format!("{}: {error}", target.display()))
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

#[derive(Default)]
struct Tally {
    builds: usize,
    need_grants: Vec<String>,
    not_counted: Vec<String>,
}

impl Tally {
    fn take(&mut self, project: &Project, verdict: Verdict) {
        let name = &project.name;
        match verdict {
            Verdict::Builds => {
                println!("{name}: builds");
                self.builds += 1;
            }
            Verdict::NeedsGrant(said) => {
                println!("{name}: only cargo builds it\n{said}");
                self.need_grants.push(name.clone());
            }
            Verdict::NotCounted(said) => {
                println!("{name}: not counted, cargo does not build it either\n{said}");
                self.not_counted.push(name.clone());
            }
        }
    }

    fn print(&self, part: &str) {
        let counted = self.builds + self.need_grants.len();
        let share = self.builds as f64 * 100.0 / counted.max(1) as f64;
        println!("== {part}: {} of {counted} build without a grant ({share:.0} %)", self.builds);
        for (what, names) in [("only cargo builds", &self.need_grants), ("not counted", &self.not_counted)] {
            if !names.is_empty() {
                println!("   {what}: {}", names.join(", "));
            }
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let folder = std::env::temp_dir().join("bulkhead-projects");
    let mut options = Options { bin: None, folder, only: None, parts: BTreeSet::new() };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--bin" => options.bin = Some(PathBuf::from(value()?)),
            "--dir" => options.folder = PathBuf::from(value()?),
            "--only" => options.only = Some(value()?.clone()),
            "crates" | "applications" => drop(options.parts.insert(argument.clone())),
            other => return Err(format!("projects: {other} is not known")),
        }
    }
    Ok(options)
}
