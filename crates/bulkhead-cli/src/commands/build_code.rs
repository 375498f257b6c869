//! Commands about code that runs while something is built, or of which somebody wants to know what it does.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};

use crate::arguments::{SharedArguments as _, flag, option, optional_option};

pub(super) fn all() -> [Command; 3] {
    [approve(), grants(), review()]
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

fn review() -> Command {
    let spec =
        Arg::new("spec").value_name("PKG[@VERSION]").help("Package to look at; of the workspace, or of a registry");
    let everything = Arg::new("everything").long("all").action(clap::ArgAction::SetTrue);
    let deny = option("deny", "WEIGHT", "Fail if there are findings of this weight or more");
    Command::new("review")
        .about("Show what a package can do, before anything of it is built")
        .arg(spec)
        .arg(
            everything
                .help("Look at all build-time code of the workspace [default without PKG]")
                .conflicts_with("spec"),
        )
        .arg(
            optional_option("diff", "VERSION", "Show what changed since VERSION [default: the version in use]")
                .default_missing_value(""),
        )
        .arg(flag("no-repository", "Don't compare with the source repository"))
        .arg(deny.value_parser(PossibleValuesParser::new(["note", "low", "medium", "high"])))
        .arg(format(&["text", "json", "sarif"]))
        .arg(option("index", "INDEX", "Registry index URL to look in").conflicts_with("registry"))
        .arg(option("registry", "REGISTRY", "Registry to look in"))
        .features()
        .platform("Look at what is built for the target triple")
        .manifest_path()
}

fn grants() -> Command {
    let name = Arg::new("name").value_name("NAME").help("Name of the grants").required(true);
    let list = Command::new("list").about("List all grants that come with the program, and which of them act here");
    let show = Command::new("show").about("Show what the grants of a name allow, and why").arg(name);
    Command::new("grants")
        .about("Look at the grants that come with the program")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(
            [list, show]
                .map(|command| command.arg(format(&["text", "json"])).manifest_path().disable_version_flag(true)),
        )
}
