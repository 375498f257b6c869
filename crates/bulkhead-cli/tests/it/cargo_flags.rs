//! Every command and flag that stock cargo's help names is known here, or stands below with a reason.

use crate::stage::BULKHEAD;
use std::collections::BTreeSet;
use std::process::Command;

/// Commands that cargo has, and Bulkhead lacks.
const ABSENT_COMMANDS: &[(&str, &str)] = &[
    ("git-checkout", "cargo has removed it"),
    ("owner", "publishing has no part of Bulkhead yet"),
    ("package", "publishing has no part of Bulkhead yet"),
    ("publish", "publishing has no part of Bulkhead yet"),
    ("yank", "publishing has no part of Bulkhead yet"),
];

/// Flags that cargo has and Bulkhead lacks: command, flag, reason.
const ABSENT_FLAGS: &[(&str, &str, &str)] = &[
    ("*", "-Z", "unstable"),
    ("clippy", "-A", "stands behind `--`, and is handed to clippy"),
    ("clippy", "-D", "stands behind `--`, and is handed to clippy"),
    ("clippy", "-W", "stands behind `--`, and is handed to clippy"),
    ("rustc", "--print", "needs -Z unstable-options"),
    ("rustdoc", "--output-format", "needs -Z unstable-options"),
    ("config", "*", "the whole command is unstable in cargo"),
];

/// The flags that a help text names, each in all of its spellings.
fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    // What stands behind two spaces is the explanation.
    let spellings = lines.filter_map(|line| line.split("  ").next()).flat_map(|flag| flag.split(", "));
    let names = spellings.filter_map(|flag| flag.split([' ', '[', '=', '<']).next());
    names.map(|name| name.trim_end_matches('.').to_owned()).filter(|name| name.len() > 1).collect()
}

fn help(program: &str, command: &str) -> String {
    let output = Command::new(program).args([command, "--help"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The commands that are cargo's own: those that are programs of their own have no explanation, but for two.
fn commands() -> Vec<String> {
    let output = Command::new("cargo").arg("--list").output().unwrap();
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = list.lines().skip(1).filter_map(|line| line.trim().split_once(' '));
    let own = words.filter(|(_, about)| !about.trim_start().starts_with("alias:"));
    own.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_flag_of_cargo_is_known_or_excused() {
    let listed = Command::new(BULKHEAD).arg("--list").output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let known: BTreeSet<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let mut lacking = Vec::new();
    let commands = commands();
    assert!(commands.len() > 30, "{commands:?}");
    for command in &commands {
        if ABSENT_COMMANDS.iter().any(|(name, _)| name == command) {
            assert!(!known.contains(command.as_str()), "`{command}` is no longer absent");
            continue;
        }
        if !known.contains(command.as_str()) {
            lacking.push(command.clone());
            continue;
        }
        let excused = |flag: &str| {
            let named = ABSENT_FLAGS.iter().filter(|(name, ..)| name == command || *name == "*");
            named.into_iter().any(|(_, excused, _)| *excused == flag || *excused == "*")
        };
        let (theirs, ours) = (flags(&help("cargo", command)), flags(&help(BULKHEAD, command)));
        let absent = theirs.difference(&ours).filter(|flag| !excused(flag));
        lacking.extend(absent.map(|flag| format!("{command} {flag}")));
    }
    assert!(lacking.is_empty(), "cargo has, and Bulkhead lacks: {lacking:#?}");
}
