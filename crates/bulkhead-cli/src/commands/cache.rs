//! The command about the cache of compiled units.

use clap::Command;
use clap::builder::PossibleValuesParser;

use crate::arguments::option;

pub(super) fn all() -> [Command; 1] {
    let format = || {
        option("format", "FORMAT", "Format of the answer")
            .value_parser(PossibleValuesParser::new(["text", "json"]))
            .default_value("text")
    };
    let stats = Command::new("stats").about("Count what is in the cache").arg(format());
    let collect = Command::new("gc")
        .about("Remove what was not used for long, and what is too much")
        .arg(option("max-size", "SIZE", "How much may stay, such as 500MiB or 10GiB [default: 20GiB]"))
        .arg(option("max-age", "DAYS", "How long what is not used may stay [default: 30]"))
        .arg(format());
    let verify = Command::new("verify").about("Compare everything with what was put there").arg(format());
    let command = Command::new("cache")
        .about("Look after the compiled units that workspaces share")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([stats, collect, verify].map(|command| command.disable_version_flag(true)));
    [command]
}
