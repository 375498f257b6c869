//! Commands about what is trusted and what was recorded of it.

use bulkhead_ops::audit::Kind;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

use crate::arguments::option;

pub(super) fn all() -> [Command; 1] {
    [audit_log()]
}

fn audit_log() -> Command {
    let show = filters(Command::new("show").about("Show what was recorded, the oldest first")).arg(
        option("format", "FORMAT", "Format of the answer")
            .value_parser(PossibleValuesParser::new(["text", "json"]))
            .default_value("text"),
    );
    let verify = Command::new("verify").about("Check that nothing is missing and nothing was changed");
    let output = option("output", "FILE", "Write to a file instead of standard output").short('o');
    let export = filters(Command::new("export").about("Write the entries for other programs"))
        .arg(
            option("format", "FORMAT", "JSON lines as they are in the log, or comma-separated values")
                .value_parser(PossibleValuesParser::new(["jsonl", "csv"]))
                .default_value("jsonl"),
        )
        .arg(output.value_parser(clap::value_parser!(std::path::PathBuf)));
    Command::new("audit-log")
        .about("Look at the record of what was trusted, granted, changed and refused")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([show, verify, export].map(|command| command.disable_version_flag(true)))
}

fn filters(command: Command) -> Command {
    let kinds = PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name()));
    let number = clap::value_parser!(usize);
    command
        .arg(option("event", "EVENT", "Only events of this kind").action(ArgAction::Append).value_parser(kinds))
        .arg(option("since", "TIME", "Not before this time in UTC, such as 2026-11-26 or 2026-11-26T10:30"))
        .arg(option("until", "TIME", "Not after this time"))
        .arg(option("grep", "TEXT", "Only entries in which this text stands"))
        .arg(Arg::new("last").short('n').long("last").value_name("N").help("Only the last N").value_parser(number))
}
