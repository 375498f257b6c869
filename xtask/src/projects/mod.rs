//! `cargo xtask projects`: whether real projects build with the default confinement and no grants, and whether they build, test
//! and install with the same result as by cargo.
//!
//! A project that cargo cannot build either says nothing about Bulkhead and is not counted. Verdicts are written down as they
//! come, so that a run that was ended is gone on with by `--resume`.

mod results;
mod sources;
mod steps;

use crate::CommandResult;
use crate::sides::Sides;
use results::Results;
use sources::Project;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CRATES: &str = include_str!("../../data/build-crates.txt");
const PROJECTS: &str = include_str!("../../data/projects.txt");

/// What builds share is thrown away when it has grown beyond this, in bytes.
const MAX_TARGET: u64 = 6 << 30;

struct Options {
    bin: Option<PathBuf>,
    folder: PathBuf,
    only: Option<String>,
    /// Leaves out what a former run has judged.
    resume: bool,
    /// When a step that has not ended counts as one that never does.
    step_limit: Duration,
    parts: BTreeSet<String>,
}

/// Judges the crates, the projects or both, and prints the share that needs no grant.
pub(crate) fn run(arguments: &[String]) -> CommandResult {
    let options = parse(arguments)?;
    let sides = Sides::prepare(options.bin.as_deref(), &options.folder)?;
    let mut results = Results::open(&options.folder.join("results.tsv"), options.resume)?;
    for (part, list) in [("crates", CRATES), ("projects", PROJECTS)] {
        if !options.parts.is_empty() && !options.parts.contains(part) {
            continue;
        }
        let lines = list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        for line in lines.filter(|line| options.only.as_ref().is_none_or(|only| line.contains(only.as_str()))) {
            if results.holds(part, sources::name(line)) {
                continue;
            }
            let project = match part {
                "crates" => Project::of_crate(line, &options.folder)?,
                _ => Project::released(line, &options.folder, &sides)?,
            };
            results.add(part, &project.name, &steps::judge(&project, &sides, options.step_limit)?)?;
            for side in sides.both() {
                tidied(&project.target.join(side.name))?;
            }
        }
        results.print(part);
    }
    Ok(results.are_good())
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

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        bin: None,
        folder: std::env::temp_dir().join("bulkhead-projects"),
        only: None,
        resume: false,
        step_limit: Duration::from_secs(20 * 60),
        parts: BTreeSet::new(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--bin" => options.bin = Some(PathBuf::from(value()?)),
            "--dir" => options.folder = PathBuf::from(value()?),
            "--only" => options.only = Some(value()?.clone()),
            "--resume" => options.resume = true,
            "--minutes" => {
                let minutes: u64 = value()?.parse().map_err(|_| "--minutes needs a number".to_owned())?;
                options.step_limit = Duration::from_secs(minutes * 60);
            }
            "crates" | "projects" => drop(options.parts.insert(argument.clone())),
            other => return Err(format!("projects: {other} is not known")),
        }
    }
    Ok(options)
}
