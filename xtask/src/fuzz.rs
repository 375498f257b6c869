//! `cargo xtask fuzz`: every fuzz target in turn, for as long as somebody has. The building and the running is `fuzz/run`'s.

use clap::{ArgMatches, value_parser};
use std::process::Command;

use crate::CommandResult;
use crate::arguments::{Given, value, words};
use crate::tidy::repository_root;

pub(crate) fn command() -> clap::Command {
    let minutes = value("minutes", "N").default_value("10").value_parser(value_parser!(u32).range(1..));
    clap::Command::new("fuzz")
        .about("Fuzz every target (or those named) from its seeds")
        .arg(minutes.help("How long, all targets together"))
        .arg(words("TARGET").help("The targets, by the names of fuzz/fuzz_targets"))
}

/// Runs `fuzz/run` with the minutes shared between the targets (all, unless some are named).
pub(crate) fn run(arguments: &ArgMatches) -> CommandResult {
    let minutes: u32 = arguments.number_of("minutes");
    let targets = arguments.all_words();
    let root = repository_root();
    let known = targets_in(&root.join("fuzz/fuzz_targets"))?;
    if let Some(stranger) = targets.iter().find(|target| !known.contains(target)) {
        return Err(format!("fuzz: there is no target {stranger}; there are {}", known.join(", ")));
    }
    let targets = if targets.is_empty() { known } else { targets };
    let seconds = (minutes as usize * 60 / targets.len()).max(1);
    let status = Command::new(root.join("fuzz/run")).arg(seconds.to_string()).args(&targets).status();
    let status = status.map_err(|error| format!("fuzz/run: {error}"))?;
    Ok(status.success())
}

fn targets_in(folder: &std::path::Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    Ok(names)
}
