//! `cargo xtask projects`: whether real projects build with the default confinement and no grants, and whether they build, test
//! and install with the same result as by cargo.
//!
//! A project that cargo cannot build either says nothing about Bulkhead and is not counted. With `--alone`, and for the crates,
//! cargo is asked only where Bulkhead fails. Verdicts are written down as they come, so that a run that was ended is gone on
//! with by `--resume`.

mod results;
mod sources;
mod steps;

use crate::CommandResult;
use crate::arguments::{Given, bin, dir, only, switch, value, words};
use crate::sides::Sides;
use clap::{ArgMatches, Command, value_parser};
use results::Results;
use sources::Project;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::Judge;

const CRATES: &str = include_str!("../../data/build-crates.txt");
const PROJECTS: &str = include_str!("../../data/projects.txt");

/// What builds share is thrown away when it has grown beyond this, in bytes.
const MAX_TARGET: u64 = 6 << 30;

struct Options {
    /// Cargo is asked only where Bulkhead fails.
    alone: bool,
    bin: Option<PathBuf>,
    folder: PathBuf,
    only: Option<String>,
    /// Leaves out what a former run has judged.
    resume: bool,
    /// When a step that has not ended counts as one that never does.
    step_limit: Duration,
    parts: BTreeSet<String>,
}

pub(crate) fn command() -> Command {
    let minutes = value("minutes", "N").default_value("20").value_parser(value_parser!(u64).range(1..));
    Command::new("projects")
        .about(
            "Check widely used crates with build scripts or macros, and build, test and install released projects, with the \
             default confinement and no grants; what only cargo can do is a finding",
        )
        .args([bin(), dir("bulkhead-projects"), only()])
        .arg(switch("alone").help("Ask cargo only where Bulkhead fails"))
        .arg(switch("resume").help("Leave out what was judged before"))
        .arg(minutes.help("How long a step may take"))
        .arg(words("PART").value_parser(["crates", "projects"]).help("Both, unless one is named"))
}

/// Judges the crates, the projects or both, and prints the share that needs no grant.
pub(crate) fn run(arguments: &ArgMatches) -> CommandResult {
    let options = Options::of(arguments);
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
            let judge = Judge { sides: &sides, alone: options.alone || part == "crates", limit: options.step_limit };
            results.add(part, &project.name, &judge.verdicts(&project)?)?;
            for side in sides.both() {
                tidied(&project.target.join(side.name))?;
            }
        }
        results.print(part);
    }
    Ok(results.are_good())
}

impl Options {
    fn of(arguments: &ArgMatches) -> Options {
        Options {
            alone: arguments.get_flag("alone"),
            bin: arguments.path_of("bin"),
            folder: arguments.path_of("dir").unwrap_or_default(),
            only: arguments.text_of("only"),
            resume: arguments.get_flag("resume"),
            step_limit: Duration::from_secs(arguments.number_of::<u64>("minutes") * 60),
            parts: arguments.all_words().into_iter().collect(),
        }
    }
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
