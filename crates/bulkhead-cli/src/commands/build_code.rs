//! Commands about code that runs while something is built.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};

use crate::arguments::{SharedArguments as _, flag};

pub(super) fn all() -> [Command; 1] {
    [approve()]
}

fn format(formats: &'static [&'static str]) -> Arg {
    Arg::new("format")
        .long("message-format")
        .value_name("FMT")
        .help("Format of the answer")
        .value_parser(PossibleValuesParser::new(formats))
        .default_value("text")
}

fn approve() -> Command {
    let spec = Arg::new("spec").value_name("SPEC").help("Package to approve, such as `libz-sys@1.1.20`").num_args(0..);
    let everything = Arg::new("everything").long("all").help("Approve all build-time code of the workspace");
    Command::new("approve")
        .about("Approve build scripts, procedural macros and what they are made of, exactly as they are now")
        .arg(spec)
        .arg(everything.action(clap::ArgAction::SetTrue))
        .arg(flag("list", "List all build-time code of the workspace and how it stands"))
        .arg(flag("diff", "Show what changed since it was approved").conflicts_with("list"))
        .arg(flag("revoke", "Approve these packages no longer").conflicts_with_all(["list", "diff"]))
        .arg(format(&["text", "json"]))
        .features()
        .platform("Look at what is built for the target triple")
        .manifest_path()
}
