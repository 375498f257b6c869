//! Commands that change or inspect manifests and configuration.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgGroup, Command};

use crate::arguments::{SharedArguments as _, flag, heading, option, optional_option};

const SOURCE: &str = "Source";
const SECTION: &str = "Section";

pub(super) fn all() -> [Command; 7] {
    [add(), remove(), locate_project(), pkgid(), read_manifest(), verify_project(), config()]
}

/// How `add` is used, by the program's name.
pub(super) fn usage_of_add(program: &str) -> String {
    format!(
        "{program} add [OPTIONS] <DEP>[@<VERSION>] ...\n       {program} add [OPTIONS] --path <PATH> ...\n       {program} \
         add [OPTIONS] --git <URL> ..."
    )
}

fn add() -> Command {
    let crates = Arg::new("crates")
        .value_name("DEP_ID")
        .num_args(0..)
        .help("Reference to a package to add as a dependency")
        .long_help(
            "Reference to a package to add as a dependency\n\nYou can reference a package by:\n- `<name>`, like `cargo \
             add serde` (latest version will be used)\n- `<name>@<version-req>`, like `cargo add serde@1` or `cargo add \
             serde@=1.0.38`",
        );
    Command::new("add")
        .about("Add dependencies to a Cargo.toml manifest file")
        .group(ArgGroup::new("selected").multiple(true).required(true))
        .arg(crates.group("selected"))
        .arg(flag("no-default-features", "Disable the default features"))
        .arg(flag("default-features", "Re-enable the default features").overrides_with("no-default-features"))
        .arg(
            option("features", "FEATURES", "Space or comma separated list of features to activate")
                .short('F')
                .action(ArgAction::Append),
        )
        .arg(
            flag("optional", "Mark the dependency as optional").long_help(
                "Mark the dependency as optional\n\nThe package name will be exposed as feature of your crate.",
            ),
        )
        .arg(
            flag("no-optional", "Mark the dependency as required")
                .long_help("Mark the dependency as required\n\nThe package will be removed from your features.")
                .overrides_with("optional"),
        )
        .arg(flag("public", "Mark the dependency as public (unstable)"))
        .arg(flag("no-public", "Mark the dependency as private (unstable)").overrides_with("public"))
        .arg(option("rename", "NAME", "Rename the dependency"))
        .dry_run("Don't actually write the manifest")
        .arg(one_package("Package to modify"))
        .args(sources())
        .args(sections("Add as", "dependency"))
        .mut_arg("dev", |dev| dev.conflicts_with_all(["build", "optional", "no-optional"]))
        .manifest_path()
        .ignore_rust_version()
}

fn sources() -> [Arg; 7] {
    let source = |name, value, help| option(name, value, help).help_heading(SOURCE);
    let reference = |name, help| source(name, "X", help).requires("git");
    [
        source("path", "PATH", "Filesystem path to local crate to add").group("selected").conflicts_with("git"),
        source("base", "BASE", "The path base to use when adding from a local crate (unstable).").requires("path"),
        source("git", "URI", "Git repository location").group("selected"),
        reference("branch", "Git branch to download the crate from")
            .value_name("BRANCH")
            .conflicts_with_all(["tag", "rev"]),
        reference("tag", "Git tag to download the crate from").value_name("TAG").conflicts_with("rev"),
        reference("rev", "Git reference to download the crate from").value_name("REV"),
        source("registry", "NAME", "Package registry for this dependency"),
    ]
}

/// `--dev`, `--build`, `--target`
fn sections(verb: &str, noun: &str) -> [Arg; 3] {
    let text = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let (development, build, platform) = match noun {
        "dependency" => (
            text(format!("{verb} development dependency")),
            text(format!("{verb} build dependency")),
            text(format!("{verb} dependency to the given target platform")),
        ),
        _ => (
            text(format!("{verb} dev-dependencies")),
            text(format!("{verb} build-dependencies")),
            text(format!("{verb} target-dependencies")),
        ),
    };
    let target = option("target", "TARGET", platform).value_parser(clap::builder::NonEmptyStringValueParser::new());
    [flag("dev", development), flag("build", build), target].map(|section| section.help_heading(SECTION))
}

/// `-p`, at most once.
fn one_package(help: &'static str) -> Arg {
    optional_option("package", "SPEC", help).short('p').action(ArgAction::Set).help_heading(heading::PACKAGES)
}

fn remove() -> Command {
    let dependencies = Arg::new("dependencies").value_name("DEP_ID").num_args(1..).required(true);
    Command::new("remove")
        .visible_alias("rm")
        .about("Remove dependencies from a Cargo.toml manifest file")
        .arg(dependencies.help("Dependencies to be removed"))
        .dry_run("Don't actually write the manifest")
        .args(sections("Remove from", "dependencies"))
        .mut_arg("dev", |dev| dev.conflicts_with("build"))
        .arg(one_package("Package to remove from"))
        .manifest_path()
}

fn locate_project() -> Command {
    Command::new("locate-project")
        .about("Print a JSON representation of a Cargo.toml file's location")
        .arg(flag("workspace", "Locate Cargo.toml of the workspace root"))
        .arg(
            option("message-format", "FMT", "Output representation")
                .ignore_case(true)
                .value_parser(PossibleValuesParser::new(["json", "plain"])),
        )
        .manifest_path()
}

fn pkgid() -> Command {
    Command::new("pkgid")
        .about("Print a fully qualified package specification")
        .arg(Arg::new("spec").value_name("SPEC").help("Package id specification, or a part of one"))
        .arg(one_package("Argument to get the package ID specifier for"))
        .manifest_path()
}

fn read_manifest() -> Command {
    Command::new("read-manifest")
        .about("DEPRECATED: Print a JSON representation of a Cargo.toml manifest.")
        .long_about(
            "DEPRECATED: Print a JSON representation of a Cargo.toml manifest.\n\nUse `cargo metadata --no-deps` instead.",
        )
        .manifest_path()
}

fn verify_project() -> Command {
    Command::new("verify-project").about("DEPRECATED: Check correctness of crate manifest.").manifest_path()
}

fn config_explain() -> Command {
    Command::new("explain")
        .about("Explain a key of configuration or policy: every layer that sets it, which one counts, and why")
        .disable_version_flag(true)
        .arg(Arg::new("key").value_name("KEY").help("The key, such as build.jobs or limits.memory-mib").required(true))
        .arg(answer_format())
}

fn config_list() -> Command {
    Command::new("list")
        .about("List every key of configuration and policy that is set, with its value and who says so")
        .disable_version_flag(true)
        .arg(answer_format())
}

fn config_schema() -> Command {
    let file = Arg::new("file").help("Of which file").value_parser(PossibleValuesParser::new(["policy", "cargo"]));
    Command::new("schema")
        .about("Print the JSON Schema of bulkhead.toml, or of Cargo's configuration, for editors")
        .disable_version_flag(true)
        .arg(file.default_value("policy"))
}

fn answer_format() -> Arg {
    option("message-format", "FMT", "Format of the answer")
        .value_parser(PossibleValuesParser::new(["human", "json"]))
        .default_value("human")
}

fn config() -> Command {
    let formats = PossibleValuesParser::new(["toml", "json", "json-value"]);
    let get = Command::new("get")
        .about("Show what the configuration says; secrets are not shown")
        .disable_version_flag(true)
        .arg(Arg::new("key").help("The config key to display"))
        .arg(option("format", "format", "Display format").value_parser(formats).default_value("toml"))
        .arg(flag("show-origin", "Display where the config value is defined, and whether that file is trusted"))
        .arg(
            option("merged", "merged", "Whether or not to merge config values")
                .value_parser(PossibleValuesParser::new(["yes", "no"]))
                .default_value("yes"),
        );
    Command::new("config")
        .about("Inspect configuration values")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([get, config_explain(), config_list(), config_schema()])
}
