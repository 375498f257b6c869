//! The project's own chores, run as `cargo xtask COMMAND`: `tidy` holds the rules of the house, `compare` judges
//! Bulkhead against the stock `cargo` beside it, `bench` times the two on the same work, `fuzz` and `release` are what their
//! names say.
//!
//! Not part of the product: nothing in `crates/` depends on it. Start with the module named like the command.

// A chore's output is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod attacks;
mod bench;
mod compare;
mod fuzz;
mod projects;
mod release;
mod sides;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND [--help]

commands:
  attacks [--check]  write docs/security/attacks.md from the catalogue of attacks and the tests that carry their numbers;
                     --check only compares
  bench [--bin PATH] [--runs N] [--syscalls] [--dir PATH] [ROW]…
                     time cargo and Bulkhead alternately on the same work, print a Markdown table; rows are lock,
                     update, metadata, fetch (each for all applications, or one: lock-b), noop, edit, clean
  bench confinement [--bin PATH] [--runs N] [--dir PATH] [--project PATH]
                     what confinement adds to a build script and to rustc, by mechanism, what it costs to watch their memory,
                     and what that is of a clean build (of --project; fetched before)
  compare [--bin PATH] [--small] [--dir PATH] [--only TEXT] [--seed N] [PART]…
                     resolve, describe, build and plan the same input with cargo and with Bulkhead (release build unless
                     --bin says otherwise), print every difference; --small is what CI runs; --only narrows by name;
                     --seed is the first of the generated registries; parts are lock, generated, applications, workspaces,
                     sources, vendor, manifests, apps, profiles, matrix, hostile; what differs on purpose is recorded in
                     xtask/data/known-differences.toml
  fuzz [--minutes N] [TARGET]…
                     fuzz every target (or those named), N minutes (10) in all
  projects [--bin PATH] [--dir PATH] [--only TEXT] [--resume] [--minutes N] [crates] [projects]
                     check widely used crates with build scripts or macros, and build, test and install released
                     projects, with the default confinement and no grants; what only cargo can do is a finding;
                     --resume leaves out what was judged before; --minutes is how long (20) a step may take
  release [--verify] [--dir PATH] [--builder URI]
                     build what is shipped from the last commit, with its digest and a SLSA provenance statement;
                     --verify builds it twice in different folders and compares byte for byte
  tidy [--update]    check the rules of the house; --update lowers the ratchet of long functions and writes the inventory
                     of `unsafe`
";

/// What every command returns: `Ok(true)` is success, `Ok(false)` a finding already printed.
type CommandResult = Result<bool, String>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    if let Some(help) = help(&command, &rest) {
        print!("{help}");
        return ExitCode::SUCCESS;
    }
    let result: CommandResult = match command.as_str() {
        "attacks" => attacks::run(&rest),
        "bench" => bench::run(&rest),
        bench::MEASURE => bench::measure(&rest),
        "compare" => compare::run(&rest),
        "fuzz" => fuzz::run(&rest),
        "projects" => projects::run(&rest),
        "release" => release::run(&rest),
        "tidy" => tidy::run(&rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::from(2)
        }
    }
}

/// What `--help` prints: everything, or the command's own lines of [`USAGE`]. `None` where it was not asked for, or where
/// there is no such command.
fn help(command: &str, rest: &[String]) -> Option<String> {
    let asks = |word: &str| matches!(word, "--help" | "-h");
    if command == "help" || asks(command) {
        return Some(USAGE.to_owned());
    }
    if !rest.iter().any(|word| asks(word)) {
        return None;
    }
    let is_of = |line: &&str| line.trim_start().split(' ').next() == Some(command);
    let mut lines = USAGE.lines().skip_while(|line| !line.starts_with("  ") || !is_of(line));
    let first = lines.next()?;
    let more: Vec<&str> = lines.take_while(|line| line.starts_with("   ")).map(str::trim_start).collect();
    let (synopsis, said) = first.trim_start().split_once("  ").unwrap_or((first.trim_start(), ""));
    let said = [said.trim_start()].into_iter().chain(more).filter(|line| !line.is_empty());
    Some(format!("usage: cargo xtask {synopsis}\n\n{}\n", said.collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_tells_how_it_is_used() {
        let asked = ["--help".to_owned()];
        for command in ["attacks", "bench", "compare", "fuzz", "projects", "release", "tidy"] {
            let text = help(command, &asked).unwrap();
            assert!(text.starts_with(&format!("usage: cargo xtask {command} [")), "{text}");
            assert!(text.lines().count() > 2 && !text.contains("  "), "{text}");
            assert_eq!(help(command, &[]), None);
        }
        assert_eq!(help("none-such", &asked), None);
        assert_eq!(help("--help", &[]).as_deref(), Some(USAGE));
    }
}
