//! `install` and `uninstall`.

use bulkhead_ops::install::requirement;
use clap::{Arg, ArgAction, Command};

use crate::arguments::{SharedArguments as _, flag, heading, option, optional_option};

/// The commands of this module.
pub(super) fn all() -> [Command; 2] {
    [install(), uninstall()]
}

fn install() -> Command {
    let named = |name, help| optional_option(name, "NAME", help).help_heading(heading::TARGETS);
    let all = |name, help| flag(name, help).help_heading(heading::TARGETS);
    Command::new("install")
        .about("Install a Rust binary")
        .arg(
            Arg::new("crate")
                .value_name("CRATE[@<VER>]")
                .help("Select the package from the given source")
                .value_parser(package_and_version)
                .num_args(0..),
        )
        .arg(
            option("version", "VERSION", "Specify a version to install")
                .alias("vers")
                .value_parser(version)
                .requires("crate"),
        )
        .arg(option("index", "INDEX", "Registry index to install from").requires("crate"))
        .arg(option("registry", "REGISTRY", "Registry to use").requires("crate").conflicts_with("index"))
        .arg(
            option("git", "URL", "Git URL to install the specified crate from")
                .conflicts_with_all(["path", "index", "registry"]),
        )
        .arg(option("branch", "BRANCH", "Branch to use when installing from git").requires("git"))
        .arg(option("tag", "TAG", "Tag to use when installing from git").requires("git"))
        .arg(option("rev", "SHA", "Specific commit to use when installing from git").requires("git"))
        .arg(
            option("path", "PATH", "Filesystem path to local crate to install from")
                .conflicts_with_all(["index", "registry"]),
        )
        .arg(option("root", "DIR", "Directory to install packages into"))
        .arg(flag("force", "Force overwriting existing crates or binaries").short('f'))
        .dry_run("Perform all checks without installing (unstable)")
        .arg(flag("no-track", "Do not save tracking information"))
        .arg(
            option("shadow", "NAME", "Install a binary although a program of that name is on PATH already")
                .action(ArgAction::Append),
        )
        .arg(
            flag("list", "List all installed packages and their versions")
                .conflicts_with_all(["crate", "path", "git", "bin", "bins", "example", "examples"]),
        )
        .message_format()
        .arg(
            flag("debug", "Build in debug mode (with the 'dev' profile) instead of release mode")
                .conflicts_with("profile"),
        )
        .ignore_rust_version()
        .arg(named("bin", "Install only the specified binary"))
        .arg(all("bins", "Install all binaries"))
        .arg(named("example", "Install only the specified example"))
        .arg(all("examples", "Install all examples"))
        .features()
        .jobs()
        .keep_going()
        .profile("Install artifacts with the specified profile")
        .platform("Build for the target triple")
        .target_dir()
        .arg(flag("timings", "Output a build timing report at the end of the build").help_heading(heading::COMPILATION))
}

/// A version that makes no sense is told of with the flag that it was given to.
fn version(text: &str) -> Result<String, String> {
    requirement(text).map(|_| text.to_owned())
}

fn package_and_version(text: &str) -> Result<String, String> {
    text.split_once('@').map_or(Ok(()), |(_, version)| requirement(version).map(drop)).map(|()| text.to_owned())
}

fn uninstall() -> Command {
    let specs = Arg::new("spec").value_name("SPEC").help("Package to uninstall").num_args(0..);
    Command::new("uninstall")
        .about("Remove a Rust binary")
        .arg(specs)
        .arg(option("root", "DIR", "Directory to uninstall packages from"))
        .package("Package to uninstall")
        .arg(
            option("bin", "NAME", "Only uninstall the binary NAME")
                .action(ArgAction::Append)
                .help_heading(heading::TARGETS),
        )
}
