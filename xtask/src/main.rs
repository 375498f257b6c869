//! The project's own chores, run as `cargo xtask COMMAND`: `tidy` holds the rules of the house, `compare` judges
//! Bulkhead against the stock `cargo` beside it, `bench` times the two on the same work, `fuzz` and `release` are what their
//! names say.
//!
//! Not part of the product: nothing in `crates/` depends on it. Start with the module named like the command.

// A chore's output is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod attacks;
mod bench;
mod compare;
mod fuzz;
mod projects;
mod release;
mod sides;
mod tidy;
mod vm;

use clap::ArgMatches;
use std::process::ExitCode;

/// What every command returns: `Ok(true)` is success, `Ok(false)` a finding already printed.
type CommandResult = Result<bool, String>;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some(bench::MEASURE) => bench::measure(&std::env::args().skip(2).collect::<Vec<_>>()),
        _ => run(&arguments::command().get_matches()),
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

fn run(arguments: &ArgMatches) -> CommandResult {
    match arguments.subcommand() {
        Some(("attacks", rest)) => attacks::run(rest),
        Some(("bench", rest)) => bench::run(rest),
        Some(("compare", rest)) => compare::run(rest),
        Some(("fuzz", rest)) => fuzz::run(rest),
        Some(("projects", rest)) => projects::run(rest),
        Some(("release", rest)) => release::run(rest),
        Some(("tidy", rest)) => tidy::run(rest),
        Some(("vm", rest)) => vm::run(rest),
        _ => Err("there is no such chore".to_owned()),
    }
}
