//! `sandbox`: what processes may do.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

use crate::arguments::{SharedArguments as _, Words, flag, option};

/// The kinds of processes that have a profile of their own in a build.
const KINDS: [&str; 5] = ["build-script", "rustc", "rustdoc", "run", "test"];

/// Those that `show` knows besides: the linker has the profile of its rustc, and the others are no part of a build.
const KINDS_SHOWN: [&str; 3] = ["linker", "git", "credential-helper"];

pub(super) fn all() -> [Command; 1] {
    let command = Command::new("sandbox")
        .about("Look at what build code and programs may do, try it, and learn what they ask for")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([show(), shell(), learn()].map(|command| command.disable_version_flag(true)));
    [command]
}

fn spec() -> Arg {
    Arg::new("spec").value_name("SPEC").help("Package, such as `libz-sys@1.1.20`; the current one if none is named")
}

fn kind(kinds: impl IntoIterator<Item = &'static str>) -> Arg {
    option("process", "KIND", "Only processes of this kind").value_parser(PossibleValuesParser::new(kinds))
}

fn planned(command: Command) -> Command {
    let words = Words { verb: "Plan", artifacts: "Plan", package: "", noun: "plan" };
    command.features().release(words).platform("Plan for the target triple").target_dir().manifest_path()
}

fn show() -> Command {
    let format = Arg::new("format").long("message-format").value_name("FMT").help("Format of the answer");
    planned(
        Command::new("show")
            .about("Show what each process that builds a package, or runs it, may read, write, see and reach, and why")
            .arg(spec())
            .arg(kind(KINDS.into_iter().chain(KINDS_SHOWN)))
            .arg(format.value_parser(PossibleValuesParser::new(["text", "human", "json"])).default_value("text"))
            .arg(flag("json", "The same as `--message-format json`")),
    )
}

fn shell() -> Command {
    let command = Arg::new("args")
        .value_name("COMMAND")
        .help("Program to run instead of a shell, and its arguments")
        .value_parser(clap::value_parser!(std::ffi::OsString))
        .num_args(0..)
        .last(true);
    planned(
        Command::new("shell")
            .about("Run a shell as confined as the build script of a package, or its compiler if it has none")
            .arg(spec())
            .arg(kind(KINDS))
            .arg(command),
    )
}

fn learn() -> Command {
    let output = option("output", "FILE", "Write the proposed grants to a file instead of standard output").short('o');
    let command = Command::new("learn")
        .about("Build from scratch, confined as ever, and propose grants for all that was denied")
        .arg(spec().help("Only what this package asked for"))
        .arg(output.value_parser(clap::value_parser!(std::path::PathBuf)))
        .arg(
            Arg::new("write")
                .long("write")
                .help("Add the proposed grants to `bulkhead.toml`, which then has to be trusted")
                .action(ArgAction::SetTrue)
                .requires("reason")
                .conflicts_with("output"),
        )
        .arg(option(
            "reason",
            "TEXT",
            "Why they are given; else it is left to be filled in, without which no grant acts",
        ));
    planned(command.jobs())
}
