//! Commands that use what the toolchain brings besides rustc, install programs, and tell what builds have found.

use bulkhead_ops::fix::FixOptions;
use bulkhead_ops::options::{CompileOptions, GlobalOptions, Intent};
use bulkhead_ops::{Error, ErrorKind};
use clap::ArgMatches;

use super::{Events, build, installing, print, unit_graph};
use crate::escape::escaped;
use crate::shell::Shell;
use crate::{interrupt, options};

/// Runs the command `name`, if it is one of these.
pub(super) fn command(
    name: &str,
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Option<Result<(), Error>> {
    Some(match name {
        "install" => installing::install(arguments, global, shell, events),
        "uninstall" => installing::uninstall(arguments, global, events),
        "report" => report(arguments, global, shell, events),
        "clippy" => clippy(arguments, global, shell, events),
        "fix" => options::compile(arguments, Intent::Check { test: false }, shell)
            .and_then(|compile| fix(arguments, compile, global, shell, events)),
        "fmt" => fmt(arguments, global, events),
        _ => return None,
    })
}

fn fmt(arguments: &ArgMatches, global: &GlobalOptions, events: &Events<'_>) -> Result<(), Error> {
    if arguments.get_flag("version") {
        return run_to_end(bulkhead_ops::clippy::version(global, "rustfmt", "rustfmt")?);
    }
    match bulkhead_ops::fmt::fmt(global, &options::fmt(arguments)?, events)? {
        0 => Ok(()),
        code => Err(Error::new(ErrorKind::Child(code), "")),
    }
}

/// `rustc`, which with `--print` only tells something.
pub(super) fn rustc(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let options = options::compile_one(arguments, Intent::Build, shell)?;
    let Some(what) = arguments.get_one::<String>("print") else {
        return build(&options, global, shell, events);
    };
    for (index, mut command) in bulkhead_ops::print::print(global, &options, what)?.into_iter().enumerate() {
        if index > 0 {
            print(shell, "")?;
        }
        let failed = |error| Error::failure("could not start rustc").because(error);
        let status = command.status().map_err(failed)?;
        if !status.success() {
            return Err(bulkhead_ops::print::failure(&command, status));
        }
    }
    Ok(())
}

/// Runs a program of the toolchain that only tells something; its exit code becomes ours.
fn run_to_end(mut command: std::process::Command) -> Result<(), Error> {
    let program = command.get_program().display().to_string();
    let failed = |error| Error::failure(format!("could not start `{program}`")).because(error);
    match command.status().map_err(failed)? {
        status if status.success() => Ok(()),
        status => Err(Error::new(ErrorKind::Child(status.code().unwrap_or(101)), "")),
    }
}

/// `report future-incompatibilities`, which is the only one that is stable.
fn report(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    let arguments = arguments.subcommand().map(|(_, arguments)| arguments);
    let id = arguments.and_then(|arguments| arguments.get_one::<u32>("id").copied());
    let package = arguments.and_then(|arguments| arguments.get_one::<String>("package"));
    let text = bulkhead_ops::future_incompat::report(global, id, package.map(String::as_str), events)?;
    print(shell, &escaped(text.strip_suffix('\n').unwrap_or(&text)))
}

fn clippy(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    if let Some(lint) = arguments.get_one::<String>("explain") {
        return run_to_end(bulkhead_ops::clippy::explain(global, lint)?);
    }
    if arguments.get_flag("version") {
        return run_to_end(bulkhead_ops::clippy::version(global, "clippy-driver", "clippy")?);
    }
    let mut options = options::compile(arguments, Intent::Check { test: false }, shell)?;
    let no_deps = (arguments.get_flag("no-deps") || arguments.get_flag("fix")).then(|| "--no-deps".to_owned());
    let given = arguments.get_many::<String>("clippy-args").into_iter().flatten().cloned();
    options.clippy = Some(no_deps.into_iter().chain(given).collect());
    if arguments.get_flag("fix") {
        return fix(arguments, options, global, shell, events);
    }
    if options.unit_graph {
        return unit_graph(&options, global, shell, events);
    }
    bulkhead_ops::build::build(global, &options, interrupt::watch()?.as_ref(), events).map(|_| ())
}

fn fix(
    arguments: &ArgMatches,
    compile: CompileOptions,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    if compile.unit_graph {
        return unit_graph(&compile, global, shell, events);
    }
    let given = |name: &str| arguments.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
    let options = FixOptions {
        edition: given("edition"),
        idioms: given("edition-idioms"),
        broken_code: given("broken-code"),
        allow_no_vcs: given("allow-no-vcs"),
        allow_dirty: given("allow-dirty"),
        allow_staged: given("allow-staged"),
        compile,
    };
    bulkhead_ops::fix::fix(global, &options, interrupt::watch()?.as_ref(), events)
}
