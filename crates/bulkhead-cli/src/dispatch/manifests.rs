//! Commands that change or inspect manifests and configuration.

use bulkhead_ops::options::GlobalOptions;
use bulkhead_ops::{Error, ErrorKind, inspect};
use clap::ArgMatches;

use super::{Events, print, print_json};
use crate::escape::escaped;
use crate::options::manifests as options;
use crate::report;
use crate::shell::Shell;

/// Runs the command `name`; `None` if it is not one of these.
pub(super) fn command(
    name: &str,
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Option<Result<(), Error>> {
    Some(match name {
        "add" => options::add(arguments).and_then(|options| bulkhead_ops::add::add(global, &options, events)),
        "remove" => {
            options::remove(arguments).and_then(|options| bulkhead_ops::remove::remove(global, &options, events))
        }
        "locate-project" => locate_project(arguments, global, shell),
        "pkgid" => pkgid(arguments, global, shell),
        "read-manifest" => inspect::read_manifest(global).and_then(|manifest| print_json(shell, &manifest)),
        "verify-project" => verify_project(global, shell),
        "config" => config(arguments, global, shell, events),
        _ => return None,
    })
}

fn locate_project(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let root = inspect::locate_project(global, arguments.get_flag("workspace"))?;
    let root = root.to_str().ok_or_else(|| {
        let message = "your package path contains characters not representable in Unicode";
        Error::failure(message)
    })?;
    match arguments.get_one::<String>("message-format").map(|format| format.to_ascii_lowercase()).as_deref() {
        Some("plain") => print(shell, &escaped(root)),
        _ => print_json(shell, &serde_json::json!({ "root": root }).to_string()),
    }
}

fn pkgid(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let spec = options::specification(arguments)?;
    print(shell, &escaped(&inspect::package_id(global, spec.as_deref())?))
}

fn verify_project(global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    match inspect::verify_project(global) {
        Ok(()) => print(shell, "{\"success\":\"true\"}"),
        Err(error) => {
            let answer = invalid(&error, shell);
            error.diagnostics.iter().for_each(|finding| report::diagnostic(shell, finding));
            answer
        }
    }
}

/// The answer of `verify-project` that says what is wrong.
pub(super) fn invalid(error: &Error, shell: &Shell) -> Result<(), Error> {
    let finding = error.diagnostics.iter().find(|finding| finding.level == bulkhead_schema::Level::Error);
    let message = finding.map_or_else(|| error.message.clone(), |finding| finding.message.clone());
    print_json(shell, &serde_json::json!({ "invalid": message }).to_string())?;
    Err(Error::new(ErrorKind::Usage, ""))
}

fn config(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    let Some(("get", arguments)) = arguments.subcommand() else {
        return Err(Error::new(ErrorKind::Usage, "`config` needs to be told what to do: `config get`"));
    };
    let lines = bulkhead_ops::config_get::config_get(global, &options::config_get(arguments)?, events)?;
    let lines: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
    if lines.is_empty() { Ok(()) } else { print(shell, &lines.join("\n")) }
}
