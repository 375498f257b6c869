//! Commands that compile in ways of their own: `bench`, `doc`, `rustc`, `rustdoc`.

use clap::{Arg, Command};

use crate::arguments::{SharedArguments as _, Words, flag, option};

/// The commands of this module.
pub(super) fn all() -> [Command; 7] {
    [bench(), clippy(), doc(), super::fixing::fix(), fmt(), rustc(), rustdoc()]
}

/// What stands behind `--`, for a program.
pub(super) fn trailing(help: &'static str) -> Arg {
    Arg::new("args")
        .value_name("ARGS")
        .help(help)
        .value_parser(clap::value_parser!(std::ffi::OsString))
        .num_args(0..)
        .last(true)
}

fn bench() -> Command {
    let words =
        Words { verb: "Benchmark", artifacts: "Build", package: "Package to run benchmarks for", noun: "benchmark" };
    Command::new("bench")
        .about("Execute all benchmarks of a local package")
        .arg(
            Arg::new("TESTNAME")
                .value_name("BENCHNAME")
                .help("If specified, only run benches containing this string in their names"),
        )
        .arg(trailing("Arguments for the bench binary"))
        .arg(flag("no-run", "Compile, but don't run benchmarks"))
        .arg(super::confined(super::CONFINED_TESTS))
        .arg(flag("no-fail-fast", "Run all benchmarks regardless of failure"))
        .message_format()
        .packages(words)
        .targets(words, "Benchmark all targets")
        .features()
        .jobs()
        .profile("Build artifacts with the specified profile")
        .platform("Build for the target triple")
        .target_dir()
        .reports()
        .manifest_path()
        .ignore_rust_version()
}

fn clippy() -> Command {
    super::check_arguments(Command::new("clippy"))
        .about("Checks a package to catch common mistakes and improve your Rust code.")
        .arg(flag("no-deps", "Run Clippy only on the given crate, without linting the dependencies"))
        .arg(
            flag("fix", "Automatically apply lint suggestions. This flag implies --no-deps and --all-targets")
                .help_heading(None),
        )
        .arg(flag("version", "Print version info and exit").short('V').help_heading(None))
        .args(super::fixing::permissions())
        .arg(option("explain", "LINT", "Print the documentation for a given lint"))
        .arg(
            Arg::new("clippy-args")
                .value_name("ARGS")
                .help("Lint levels: `-W LINT`, `-A LINT`, `-D LINT`, `-F LINT`, and other arguments of rustc")
                .num_args(0..)
                .allow_hyphen_values(true)
                .last(true),
        )
}

fn fmt() -> Command {
    let formats = clap::builder::PossibleValuesParser::new(["short", "json", "human"]);
    Command::new("fmt")
        .about("Formats all bin and lib files of the current crate using rustfmt.")
        .package("Specify package to format")
        .arg(flag("all", "Format all packages, and also their local path-based dependencies"))
        .arg(flag("check", "Run rustfmt in check mode"))
        .arg(flag("version", "Print rustfmt version and exit"))
        .arg(option("message-format", "FMT", "Specify message-format").value_parser(formats))
        .arg(
            Arg::new("rustfmt-args")
                .value_name("rustfmt_options")
                .help("Options passed to rustfmt")
                .num_args(0..)
                .allow_hyphen_values(true)
                .last(true),
        )
        .manifest_path()
}

fn doc() -> Command {
    let words = Words { verb: "Document", artifacts: "Build", package: "Package to document", noun: "build" };
    Command::new("doc")
        .visible_alias("d")
        .about("Build a package's documentation")
        .arg(flag("open", "Opens the docs in a browser after the operation"))
        .arg(flag("no-deps", "Don't build documentation for dependencies"))
        .arg(flag("document-private-items", "Document private items"))
        .message_format()
        .packages(words)
        .products(words)
        .compilation(words, "Build for the target triple")
}

fn rustc() -> Command {
    let words = Words { verb: "Build", artifacts: "Build", package: "Package to build", noun: "build" };
    Command::new("rustc")
        .about("Compile a package, and pass extra options to the compiler")
        .arg(compiler_arguments("Extra rustc flags"))
        .arg(option("print", "INFO", "Output compiler information without compiling").hide(true))
        .arg(
            option("crate-type", "CRATE-TYPE", "Comma separated list of types of crates for the compiler to emit")
                .action(clap::ArgAction::Append)
                .value_delimiter(','),
        )
        .future_incompat_report()
        .message_format()
        .package(words.package)
        .targets(words, "Build all targets")
        .compilation(words, "Target triple which compiles will be for")
}

fn rustdoc() -> Command {
    let words = Words { verb: "Build", artifacts: "Build", package: "Package to document", noun: "build" };
    Command::new("rustdoc")
        .about("Build a package's documentation, using specified custom flags.")
        .arg(compiler_arguments("Extra rustdoc flags"))
        .arg(flag("open", "Opens the docs in a browser after the operation"))
        .message_format()
        .arg(option("output-format", "FMT", "The output type to write (unstable)").hide(true))
        .package(words.package)
        .targets(words, "Build all targets")
        .compilation(words, "Build for the target triple")
}

fn compiler_arguments(help: &'static str) -> Arg {
    Arg::new("compiler-args").value_name("ARGS").help(help).num_args(0..).trailing_var_arg(true)
}
