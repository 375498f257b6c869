//! Flags that several commands share, worded as Cargo words them.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

/// Headings of `--help`.
pub(crate) mod heading {
    pub(crate) const PACKAGES: &str = "Package Selection";
    pub(crate) const TARGETS: &str = "Target Selection";
    pub(crate) const FEATURES: &str = "Feature Selection";
    pub(crate) const COMPILATION: &str = "Compilation Options";
    pub(crate) const MANIFEST: &str = "Manifest Options";
}

/// A switch.
pub(crate) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// An option with a value.
pub(crate) fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).value_name(value)
}

/// An option that may come without its value, so that the answer can say which values there are.
pub(crate) fn optional_option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help).num_args(0..=1).action(ArgAction::Append)
}

/// One word for each place where the commands' help differs: `("Build", "Build")`, `("Check", "Check")`.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    /// `Build only this package's library`
    pub(crate) verb: &'static str,
    /// `Build artifacts in release mode`
    pub(crate) artifacts: &'static str,
    /// Help of `-p`.
    pub(crate) package: &'static str,
    /// `Exclude packages from the build`
    pub(crate) noun: &'static str,
}

/// Help texts live as long as the program; they are made once for each command.
fn text(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Adds shared flags to a command.
pub(crate) trait SharedArguments: Sized {
    /// Adds `argument`.
    fn add(self, argument: Arg) -> Self;

    /// `-p`
    fn package(self, help: &'static str) -> Self {
        let argument = optional_option("package", "SPEC", help).short('p');
        self.add(argument.help_heading(heading::PACKAGES))
    }

    /// `-p`, `--workspace`, `--exclude`, `--all`
    fn packages(self, words: Words) -> Self {
        let Words { verb, noun, package, .. } = words;
        self.package(package)
            .add(
                flag("workspace", text(format!("{verb} all packages in the workspace")))
                    .help_heading(heading::PACKAGES),
            )
            .add(
                optional_option("exclude", "SPEC", text(format!("Exclude packages from the {noun}")))
                    .num_args(1)
                    .help_heading(heading::PACKAGES),
            )
            .add(flag("all", "Alias for --workspace (deprecated)").help_heading(heading::PACKAGES))
    }

    /// `--lib`, `--bin`, `--example` and their plurals
    fn products(self, words: Words) -> Self {
        let verb = words.verb;
        let target = |name, help: String| flag(name, text(help)).help_heading(heading::TARGETS);
        let named = |name, what: &str| {
            optional_option(name, "NAME", text(format!("{verb} only the specified {what}")))
                .help_heading(heading::TARGETS)
        };
        self.add(target("lib", format!("{verb} only this package's library")))
            .add(target("bins", format!("{verb} all binaries")))
            .add(named("bin", "binary"))
            .add(target("examples", format!("{verb} all examples")))
            .add(named("example", "example"))
    }

    /// `--lib`, `--bin`, … and `--all-targets`
    fn targets(self, words: Words, all_targets: &'static str) -> Self {
        let verb = words.verb;
        let target = |name, help: String| flag(name, text(help)).help_heading(heading::TARGETS);
        let named = |name, what: &str| {
            optional_option(name, "NAME", text(format!("{verb} only the specified {what}")))
                .help_heading(heading::TARGETS)
        };
        self.products(words)
            .add(target("tests", format!("{verb} all targets that have `test = true` set")))
            .add(named("test", "test target"))
            .add(target("benches", format!("{verb} all targets that have `bench = true` set")))
            .add(named("bench", "bench target"))
            .add(target("all-targets", all_targets.to_owned()))
    }

    /// `-F`, `--all-features`, `--no-default-features`
    fn features(self) -> Self {
        let features = "Space or comma separated list of features to activate";
        self.add(
            option("features", "FEATURES", features)
                .short('F')
                .action(ArgAction::Append)
                .help_heading(heading::FEATURES),
        )
        .add(flag("all-features", "Activate all available features").help_heading(heading::FEATURES))
        .add(flag("no-default-features", "Do not activate the `default` feature").help_heading(heading::FEATURES))
    }

    /// How to compile, and where: what follows the choice of targets in most commands. `platform` is the help of `--target`.
    fn compilation(self, words: Words, platform: &'static str) -> Self {
        self.features()
            .jobs()
            .keep_going()
            .release(words)
            .platform(platform)
            .target_dir()
            .reports()
            .manifest_path()
            .ignore_rust_version()
    }

    /// `--compile-time-deps`
    fn compile_time_deps(self) -> Self {
        let help = "Only compile proc macros and build scripts, and run the latter (unstable)";
        self.add(flag("compile-time-deps", help).hide(true))
    }

    /// `-j`
    fn jobs(self) -> Self {
        let help = "Number of parallel jobs, defaults to # of CPUs.";
        let jobs = option("jobs", "N", help).short('j').allow_hyphen_values(true);
        self.add(jobs.help_heading(heading::COMPILATION))
    }

    /// `--keep-going`
    fn keep_going(self) -> Self {
        let help = "Do not abort the build as soon as there is an error";
        self.add(flag("keep-going", help).help_heading(heading::COMPILATION))
    }

    /// `-r`, `--profile`
    fn release(self, words: Words) -> Self {
        let release = text(format!("{} artifacts in release mode, with optimizations", words.artifacts));
        let profile = text(format!("{} artifacts with the specified profile", words.artifacts));
        self.release_with(release, profile)
    }

    /// The same with help of one's own.
    fn release_with(self, release: &'static str, profile: &'static str) -> Self {
        self.add(flag("release", release).short('r').conflicts_with("profile").help_heading(heading::COMPILATION))
            .profile(profile)
    }

    /// `--profile` alone
    fn profile(self, help: &'static str) -> Self {
        self.add(option("profile", "PROFILE-NAME", help).help_heading(heading::COMPILATION))
    }

    /// `--target`
    fn platform(self, help: &'static str) -> Self {
        self.add(optional_option("target", "TRIPLE", help).help_heading(heading::COMPILATION))
    }

    /// `--target-dir`
    fn target_dir(self) -> Self {
        let help = "Directory for all generated artifacts";
        self.add(option("target-dir", "DIRECTORY", help).help_heading(heading::COMPILATION))
    }

    /// `--unit-graph`, `--timings`
    fn reports(self) -> Self {
        let timings = "Output a build timing report at the end of the build";
        self.add(flag("unit-graph", "Output build graph in JSON (unstable)").help_heading(heading::COMPILATION))
            .add(flag("timings", timings).help_heading(heading::COMPILATION))
    }

    /// `--manifest-path`
    fn manifest_path(self) -> Self {
        self.add(option("manifest-path", "PATH", "Path to Cargo.toml").help_heading(heading::MANIFEST))
    }

    /// `--ignore-rust-version`
    fn ignore_rust_version(self) -> Self {
        let help = "Ignore `rust-version` specification in packages";
        self.add(flag("ignore-rust-version", help).help_heading(heading::MANIFEST))
    }

    /// `--future-incompat-report`
    fn future_incompat_report(self) -> Self {
        self.add(flag("future-incompat-report", "Outputs a future incompatibility report at the end of the build"))
    }

    /// `--message-format`
    fn message_format(self) -> Self {
        self.add(
            option("message-format", "FMT", "Error format")
                .action(ArgAction::Append)
                .ignore_case(true)
                .value_delimiter(',')
                .value_parser(PossibleValuesParser::new([
                    "human",
                    "short",
                    "json",
                    "json-diagnostic-short",
                    "json-diagnostic-rendered-ansi",
                    "json-render-diagnostics",
                ])),
        )
    }

    /// `-n`
    fn dry_run(self, help: &'static str) -> Self {
        self.add(flag("dry-run", help).short('n'))
    }
}

impl SharedArguments for Command {
    fn add(self, argument: Arg) -> Self {
        self.arg(argument)
    }
}

/// Position in `--help`: behind a command's own flags.
pub(crate) const COMMON: usize = 900;

/// What every command takes, before or after its name.
pub(crate) fn global(command: Command) -> Command {
    let quiet = Arg::new("quiet").long("quiet").short('q').help("Do not print cargo log messages");
    command
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .short('v')
                .help("Use verbose output (-vv very verbose/build.rs output)")
                .action(ArgAction::Count)
                .display_order(COMMON + 1)
                .global(true),
        )
        .arg(quiet.action(ArgAction::SetTrue).display_order(COMMON + 2).global(true))
        .arg(
            option("color", "WHEN", "Coloring")
                .display_order(COMMON + 3)
                .global(true)
                .value_parser(PossibleValuesParser::new(["auto", "always", "never"]))
                .ignore_case(true),
        )
        .arg(lock(5, "locked", "Assert that `Cargo.lock` will remain unchanged"))
        .arg(lock(6, "offline", "Run without accessing the network"))
        .arg(lock(7, "frozen", "Equivalent to specifying both --locked and --offline"))
        .arg(
            option("config", "KEY=VALUE|PATH", "Override a configuration value")
                .action(ArgAction::Append)
                .display_order(COMMON + 4)
                .global(true),
        )
        .arg(
            Arg::new("unstable")
                .short('Z')
                .value_name("FLAG")
                .help("Unstable flags are refused: Bulkhead follows stable Cargo")
                .action(ArgAction::Append)
                .hide(true)
                .global(true),
        )
}

fn lock(order: usize, name: &'static str, help: &'static str) -> Arg {
    flag(name, help).help_heading(heading::MANIFEST).display_order(COMMON + order).global(true)
}
