//! `cargo xtask fuzz`: every fuzz target in turn, for as long as somebody has. The building and the running is `fuzz/run`'s.

use std::process::Command;

use crate::CommandResult;
use crate::tidy::repository_root;

/// Runs `fuzz/run` with the minutes shared between the targets (all, unless some are named).
pub(crate) fn run(arguments: &[String]) -> CommandResult {
    let (minutes, targets) = parse(arguments)?;
    let root = repository_root();
    let known = targets_in(&root.join("fuzz/fuzz_targets"))?;
    if let Some(stranger) = targets.iter().find(|target| !known.contains(target)) {
        return Err(format!("fuzz: there is no target {stranger}; there are {}", known.join(", ")));
    }
    let targets = if targets.is_empty() { known } else { targets };
    let seconds = (minutes * 60.0 / targets.len() as f64).max(1.0).round();
    let status = Command::new(root.join("fuzz/run")).arg(seconds.to_string()).args(&targets).status();
    let status = status.map_err(|error| format!("fuzz/run: {error}"))?;
    Ok(status.success())
}

fn parse(arguments: &[String]) -> Result<(f64, Vec<String>), String> {
    let mut minutes = 10.0;
    let mut targets = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--minutes" => {
                let value = rest.next().ok_or("--minutes needs a number")?;
                minutes = value.parse().map_err(|_| format!("fuzz: {value} is not a number of minutes"))?;
            }
            flag if flag.starts_with('-') => return Err(format!("fuzz: {flag} is not known")),
            target => targets.push(target.to_owned()),
        }
    }
    Ok((minutes, targets))
}

fn targets_in(folder: &std::path::Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    Ok(names)
}
