//! The commands, each with the flags that Cargo gives it.

mod build_code;
mod cache;
mod compiling;
mod fixing;
mod installing;
mod manifests;
mod reports;
mod sandbox;
mod security;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};

use crate::arguments::{COMMON, SharedArguments as _, Words, flag, global, heading, option, optional_option};
use crate::registry_commands;

/// The whole command line, for the program name `program` (`bulkhead` or `cargo`).
pub(crate) fn command_line(program: &'static str) -> Command {
    let about = if program == "cargo" { "Rust's package manager" } else { "Rust's package manager, confined" };
    let command = Command::new(program)
        .bin_name(program)
        .about(about)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .allow_external_subcommands(true)
        .arg_required_else_help(false)
        .help_template("{about-with-newline}\n{usage-heading} {usage}\n\nOptions:\n{options}{after-help}")
        .override_usage(format!("{program} [OPTIONS] [COMMAND]"))
        .after_help(summary(program))
        .arg(
            Arg::new("version")
                .long("version")
                .short('V')
                .help("Print version info and exit")
                .action(ArgAction::SetTrue),
        )
        .arg(flag("list", "List installed commands"))
        .arg(option("explain", "CODE", "Provide a detailed explanation of a rustc error message"));
    let directory = Arg::new("directory").short('C').value_name("DIRECTORY");
    let compiling = compiling::all().into_iter().chain(installing::all()).chain(reports::all());
    let compiling = compiling.chain(security::all()).chain(build_code::all()).chain(sandbox::all());
    let compiling = compiling.chain(cache::all());
    let commands = all().into_iter().chain(compiling).chain(manifests::all()).chain(registry_commands::commands());
    global(command)
        .arg(directory.help("Change to DIRECTORY before doing anything"))
        .subcommands(commands.map(|command| finish(command, program)))
}

fn all() -> [Command; 19] {
    [
        build(),
        check(),
        clean(),
        completions(),
        explain(),
        fetch(),
        vendor(),
        generate_lockfile(),
        help(),
        init(),
        metadata(),
        new(),
        run(),
        test(),
        tree(),
        trust(),
        update(),
        verify(),
        version(),
    ]
}

/// What all commands end with.
fn finish(command: Command, program: &str) -> Command {
    let name = command.get_name().to_owned();
    let mut after = match name.as_str() {
        "help" => String::new(),
        _ => format!("Run `{program} help {name}` for more detailed information."),
    };
    match name.as_str() {
        "run" => after.push_str("\nTo pass `--help` to the specified binary, use `-- --help`."),
        "bench" => after.push_str(&format!("\nRun `{program} bench -- --help` for benchmark binary options.")),
        "test" => after.push_str(&format!("\nRun `{program} test -- --help` for test binary options.")),
        _ => {}
    }
    let command = match name.as_str() {
        "add" => command.override_usage(manifests::usage_of_add(program)),
        _ => command,
    };
    command.after_help(after).disable_version_flag(true)
}

fn summary(program: &str) -> String {
    format!(
        "Commands:
    build, b    Compile the current package
    check, c    Analyze the current package and report errors, but don't build object files
    clean       Remove the target directory
    new         Create a new cargo package
    init        Create a new cargo package in an existing directory
    doc, d      Build this package's and its dependencies' documentation
    run, r      Run a binary or example of the local package
    test, t     Run the tests
    bench       Run the benchmarks
    add         Add dependencies to a manifest file
    remove, rm  Remove dependencies from a manifest file
    install     Install a Rust binary
    uninstall   Uninstall a Rust binary
    fix         Apply what rustc suggests
    report      Generate and display various kinds of reports
    update      Update dependencies listed in Cargo.lock
    tree        Display the tree of dependencies
    explain     Explain why a package, its version and its features are in the graph
    trust       Trust a configuration or policy file that came with a project
    approve     Approve build-time code where policy wants it approved
    review      Show what a package can do, before anything of it is built
    sandbox     Look at what build code may do, try it, and learn what it asks for
    ...         See all commands with --list

See '{program} help <command>' for more information on a specific command."
    )
}

/// Help of `build --verify-reproducible`.
const VERIFY_REPRODUCIBLE: &str =
    "Build twice in different folders, without the cache of compiled units, and name every unit whose bytes differ";

fn build() -> Command {
    let words = Words {
        verb: "Build",
        artifacts: "Build",
        package: "Package to build (see `cargo help pkgid`)",
        noun: "build",
    };
    Command::new("build")
        .visible_alias("b")
        .about("Compile a local package and all of its dependencies")
        .arg(flag("verify-reproducible", VERIFY_REPRODUCIBLE).help_heading(heading::COMPILATION).conflicts_with_all([
            "unit-graph",
            "timings",
            "future-incompat-report",
        ]))
        .future_incompat_report()
        .compile_time_deps()
        .message_format()
        .packages(words)
        .targets(words, "Build all targets")
        .features()
        .release(words)
        .jobs()
        .keep_going()
        .platform("Build for the target triple")
        .target_dir()
        .arg(
            option("artifact-dir", "PATH", "Copy final artifacts to this directory (unstable)")
                .help_heading(heading::COMPILATION),
        )
        .reports()
        .manifest_path()
        .ignore_rust_version()
}

fn check() -> Command {
    check_arguments(Command::new("check"))
        .visible_alias("c")
        .about("Check a local package and all of its dependencies for errors")
}

fn check_arguments(command: Command) -> Command {
    let words = Words { verb: "Check", artifacts: "Check", package: "Package(s) to check", noun: "check" };
    command
        .future_incompat_report()
        .compile_time_deps()
        .message_format()
        .packages(words)
        .targets(words, "Check all targets")
        .compilation(words, "Check for the target triple")
}

/// Help of `test --confined` and `bench --confined`.
const CONFINED_TESTS: &str = "Run tests confined: no network but a loopback of their own, no files but the workspace's and \
    what `[test]` grants";

fn confined(help: &'static str) -> Arg {
    flag("confined", help)
}

fn run() -> Command {
    let words = Words { verb: "Run", artifacts: "Build", package: "Package with the target to run", noun: "run" };
    let named = |name, help| optional_option(name, "NAME", help).help_heading(heading::TARGETS);
    Command::new("run")
        .visible_alias("r")
        .about("Run a binary or example of the local package")
        .arg(
            Arg::new("args")
                .value_name("ARGS")
                .help("Arguments for the binary or example to run")
                .value_parser(clap::value_parser!(std::ffi::OsString))
                .num_args(0..)
                .trailing_var_arg(true),
        )
        .arg(confined("Run the program confined: no network, no files but the workspace's and what `[run]` grants"))
        .message_format()
        .package(words.package)
        .arg(named("bin", "Name of the bin target to run"))
        .arg(named("example", "Name of the example target to run"))
        .compilation(words, "Build for the target triple")
}

fn test() -> Command {
    let words = Words { verb: "Test", artifacts: "Build", package: "Package to run tests for", noun: "test" };
    Command::new("test")
        .visible_alias("t")
        .about("Execute all unit and integration tests and build examples of a local package")
        .arg(Arg::new("TESTNAME").help("If specified, only run tests containing this string in their names"))
        .arg(
            Arg::new("args")
                .value_name("ARGS")
                .help("Arguments for the test binary")
                .value_parser(clap::value_parser!(std::ffi::OsString))
                .num_args(0..)
                .last(true),
        )
        .arg(flag("no-run", "Compile, but don't run tests"))
        .arg(confined(CONFINED_TESTS))
        .arg(flag("no-fail-fast", "Run all tests regardless of failure"))
        .arg(flag("quiet", "Display one character per test instead of one line").short('q').display_order(COMMON))
        .future_incompat_report()
        .message_format()
        .packages(words)
        .targets(words, "Test all targets (does not include doctests)")
        .arg(flag("doc", "Test only this library's documentation").help_heading(heading::TARGETS))
        .features()
        .jobs()
        .release(words)
        .platform("Build for the target triple")
        .target_dir()
        .reports()
        .manifest_path()
        .ignore_rust_version()
}

fn clean() -> Command {
    let workspace = flag("workspace", "Clean artifacts of the workspace members").help_heading(heading::PACKAGES);
    Command::new("clean")
        .about("Remove artifacts that cargo has generated in the past")
        .arg(flag("doc", "Whether or not to clean just the documentation directory"))
        .dry_run("Display what would be deleted without deleting anything")
        .package("Package to clean artifacts for")
        .arg(workspace)
        .release_with("Whether or not to clean release artifacts", "Clean artifacts of the specified profile")
        .platform("Target triple to clean output for")
        .target_dir()
        .manifest_path()
}

fn explain() -> Command {
    let spec = Arg::new("spec").value_name("SPEC").help("Package to explain, such as `serde` or `serde@1.0.1`");
    Command::new("explain")
        .about("Explain why a package is in the dependency graph: who brings it, why this version, why these features")
        .arg(spec.required(true))
        .arg(
            option("format", "FORMAT", "Format of the answer")
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .default_value("text"),
        )
        .package("Member of the workspace whose graph is looked at")
        .arg(flag("workspace", "Look at the graph of all members").help_heading(heading::PACKAGES))
        .arg(
            optional_option("exclude", "SPEC", "Exclude specific workspace members")
                .num_args(1)
                .help_heading(heading::PACKAGES),
        )
        .features()
        .platform("Look at the graph for the target triple")
        .manifest_path()
}

fn fetch() -> Command {
    Command::new("fetch")
        .about("Fetch dependencies of a package from the network")
        .platform("Fetch dependencies for the target triple")
        .manifest_path()
}

fn vendor() -> Command {
    let path = Arg::new("path").value_name("PATH").help("Where to vendor crates (`vendor` by default)");
    let sync = Arg::new("tomls")
        .value_name("TOML")
        .long("sync")
        .short('s')
        .help("Additional `Cargo.toml` to sync and vendor")
        .action(ArgAction::Append);
    Command::new("vendor")
        .about("Vendor all dependencies for a project locally")
        .arg(flag("no-delete", "Don't delete older crates in the vendor directory"))
        .arg(sync)
        .arg(flag("respect-source-config", "Respect `[source]` config in `.cargo/config`"))
        .arg(flag("versioned-dirs", "Always include version in subdir name"))
        .arg(path)
        .manifest_path()
}

fn generate_lockfile() -> Command {
    Command::new("generate-lockfile")
        .about("Generate the lockfile for a package")
        .arg(option(
            "publish-time",
            "yyyy-mm-ddThh:mm:ssZ",
            "Latest publish time allowed for registry packages (unstable)",
        ))
        .manifest_path()
        .ignore_rust_version()
}

fn update() -> Command {
    let workspace = flag("workspace", "Only update the workspace packages").short('w').help_heading(heading::PACKAGES);
    // The old spelling of SPEC, which Cargo still takes without showing it.
    let package = optional_option("package2", "SPEC", "Package to update").long("package").short('p').hide(true);
    let specs = Arg::new("package").value_name("SPEC").help("Package to update").num_args(0..);
    Command::new("update")
        .about("Update dependencies as recorded in the local lock file")
        .dry_run("Don't actually write the lockfile")
        .arg(flag("recursive", "Force updating all dependencies of [SPEC]... as well"))
        .arg(flag("aggressive", "Old name of --recursive").hide(true))
        .arg(option("precise", "PRECISE", "Update [SPEC] to exactly PRECISE").conflicts_with("recursive"))
        .arg(flag("why", "Tell of each dependency that stays behind latest what holds it back"))
        .arg(flag("breaking", "Update [SPEC] to latest SemVer-breaking version (unstable)").short('b'))
        .arg(workspace)
        .arg(package)
        .arg(specs.help_heading(heading::PACKAGES))
        .manifest_path()
        .ignore_rust_version()
}

fn metadata() -> Command {
    let no_deps = "Output information only about the workspace members and don't fetch dependencies";
    let platform = "Only include resolve dependencies matching the given target-triple";
    let version = option("format-version", "VERSION", "Format version").value_parser(PossibleValuesParser::new(["1"]));
    Command::new("metadata")
        .about(
            "Output the resolved dependencies of a package, the concrete used versions including overrides, in \
             machine-readable format",
        )
        .arg(optional_option("filter-platform", "TRIPLE", platform).num_args(1))
        .arg(flag("no-deps", no_deps))
        .arg(version)
        .features()
        .manifest_path()
}

fn tree() -> Command {
    let edges =
        ["all", "normal", "build", "dev", "features", "public", "no-normal", "no-build", "no-dev", "no-proc-macro"];
    let platform = "Filter dependencies matching the given target-triple (default host platform). Pass `all` to include \
                    all targets.";
    Command::new("tree")
        .about("Display a tree visualization of a dependency graph")
        .arg(
            option("edges", "KINDS", "The kinds of dependencies to display")
                .short('e')
                .action(ArgAction::Append)
                .value_delimiter(',')
                .value_parser(PossibleValuesParser::new(edges)),
        )
        .arg(optional_option("invert", "SPEC", "Invert the tree direction and focus on the given package").short('i'))
        .arg(
            optional_option("prune", "SPEC", "Prune the given package from the display of the dependency tree")
                .num_args(1),
        )
        .arg(option("depth", "DEPTH", "Maximum display depth of the dependency tree"))
        .arg(
            option("prefix", "PREFIX", "Change the prefix (indentation) of how each entry is displayed")
                .value_parser(PossibleValuesParser::new(["depth", "indent", "none"]))
                .default_value("indent"),
        )
        .arg(flag("no-dedupe", "Do not de-duplicate (repeats all shared dependencies)"))
        .arg(
            flag("duplicates", "Show only dependencies which come in multiple versions (implies -i)")
                .short('d')
                .alias("duplicate"),
        )
        .arg(
            option("charset", "CHARSET", "Character set to use in output")
                .value_parser(PossibleValuesParser::new(["utf8", "ascii"])),
        )
        .arg(option("format", "FORMAT", "Format string used for printing dependencies").short('f').default_value("{p}"))
        .package("Package to be used as the root of the tree")
        .arg(flag("workspace", "Display the tree for all packages in the workspace").help_heading(heading::PACKAGES))
        .arg(
            optional_option("exclude", "SPEC", "Exclude specific workspace members")
                .num_args(1)
                .help_heading(heading::PACKAGES),
        )
        .arg(Arg::new("repeat-all").long("all").short('a').action(ArgAction::SetTrue).hide(true))
        .args(["no-indent", "prefix-depth", "all-targets", "no-dev-dependencies"].map(|old| flag(old, "").hide(true)))
        .features()
        .platform(platform)
        .manifest_path()
}

fn new_options(command: Command) -> Command {
    let vcs = "Initialize a new repository for the given version control system, overriding a global configuration.";
    let editions = ["2015", "2018", "2021", "2024"];
    command
        .arg(
            option("vcs", "VCS", vcs).value_parser(PossibleValuesParser::new(["git", "hg", "pijul", "fossil", "none"])),
        )
        .arg(flag("bin", "Use a binary (application) template [default]"))
        .arg(flag("lib", "Use a library template"))
        .arg(
            option("edition", "YEAR", "Edition to set for the crate generated")
                .value_parser(PossibleValuesParser::new(editions)),
        )
        .arg(option("name", "NAME", "Set the resulting package name, defaults to the directory name"))
        .arg(option("registry", "REGISTRY", "Registry to use"))
}

fn new() -> Command {
    let path = Arg::new("path").value_name("PATH").required(true).value_parser(clap::value_parser!(std::path::PathBuf));
    new_options(Command::new("new").about("Create a new cargo package at <path>").arg(path))
}

fn init() -> Command {
    let path =
        Arg::new("path").value_name("PATH").default_value(".").value_parser(clap::value_parser!(std::path::PathBuf));
    new_options(Command::new("init").about("Create a new cargo package in an existing directory").arg(path))
}

fn version() -> Command {
    Command::new("version").about("Show version information")
}

fn help() -> Command {
    Command::new("help").about("Displays help for a cargo command").arg(Arg::new("COMMAND"))
}

fn completions() -> Command {
    let shells = PossibleValuesParser::new(["bash", "elvish", "fish", "powershell", "zsh"]);
    Command::new("completions")
        .about("Print completions for a shell")
        .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(shells))
}

/// A command that is a program of its own, of whose arguments nothing is known.
pub(crate) fn external(name: String) -> Command {
    let arguments = Arg::new("arguments").num_args(0..).trailing_var_arg(true).value_hint(ValueHint::AnyPath);
    Command::new(name).about("A program of its own").arg(arguments).disable_help_flag(true)
}

fn trust() -> Command {
    let file = Arg::new("file")
        .value_name("FILE")
        .help("A `.cargo/config.toml` or `bulkhead.toml`; without one, those of the current project")
        .num_args(0..)
        .value_parser(clap::value_parser!(std::path::PathBuf));
    Command::new("trust")
        .about("Trust a configuration or policy file of a project, exactly as it is now")
        .arg(file)
        .arg(flag("revoke", "Trust these files no longer"))
        .arg(flag("list", "List what is trusted, and how it stands").conflicts_with("revoke"))
        .arg(flag("diff", "Show what changed since the files were trusted").conflicts_with_all(["revoke", "list"]))
        .arg(flag("yes", "Do not ask").short('y').conflicts_with_all(["revoke", "list", "diff"]))
        .arg(
            option("format", "FORMAT", "Format of `--list`")
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .default_value("text"),
        )
}

fn verify() -> Command {
    Command::new("verify")
        .about("Verify every byte of the packages that a workspace uses, in the store and against Cargo.lock")
        .manifest_path()
}

#[cfg(test)]
mod tests {
    use super::command_line;

    #[test]
    fn the_command_line_is_consistent() {
        command_line("bulkhead").debug_assert();
        command_line("cargo").debug_assert();
    }

    #[test]
    fn no_alias_of_a_project_may_shadow_a_command() {
        for command in command_line("bulkhead").get_subcommands() {
            for name in std::iter::once(command.get_name()).chain(command.get_all_aliases()) {
                assert!(bulkhead_ops::configuration::BUILT_IN_COMMANDS.contains(&name), "{name}");
            }
        }
    }
}
