//! Commands that change or inspect manifests and configuration.

use bulkhead_ops::config_explain::{self, Explanation, Outcome};
use bulkhead_ops::options::GlobalOptions;
use bulkhead_ops::{Error, ErrorKind, inspect};
use clap::ArgMatches;

use super::{Events, print, print_json};
use crate::escape::{escaped, escaped_line};
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
        "remove" => bulkhead_ops::remove::remove(global, &options::remove(arguments), events),
        "locate-project" => locate_project(arguments, global, shell, events),
        "pkgid" => pkgid(arguments, global, shell, events),
        "read-manifest" => inspect::read_manifest(global, events).and_then(|manifest| print_json(shell, &manifest)),
        "verify-project" => verify_project(global, shell, events),
        "config" => config(arguments, global, shell, events),
        _ => return None,
    })
}

fn locate_project(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let root = inspect::locate_project(global, arguments.get_flag("workspace"), events)?;
    let root = root.to_str().ok_or_else(|| {
        let message = "your package path contains characters not representable in Unicode";
        Error::failure(message)
    })?;
    match arguments.get_one::<String>("message-format").map(|format| format.to_ascii_lowercase()).as_deref() {
        Some("plain") => print(shell, &escaped(root)),
        _ => print_json(shell, &serde_json::json!({ "root": root }).to_string()),
    }
}

fn pkgid(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    let spec = options::specification(arguments);
    print(shell, &escaped(&inspect::package_id(global, spec.as_deref(), events)?))
}

fn verify_project(global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    match inspect::verify_project(global, events) {
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
    let Some((command, arguments)) = arguments.subcommand() else {
        return Err(Error::new(ErrorKind::Usage, "`config` needs to be told what to do, such as `config get`"));
    };
    let json = || arguments.get_one::<String>("message-format").is_some_and(|format| format == "json");
    match command {
        "explain" => {
            let key = arguments.get_one::<String>("key").map(String::as_str).unwrap_or_default();
            let explanation = config_explain::explain(global, key)?;
            if json() { print_value(shell, &explanation) } else { print(shell, &explained(&explanation).join("\n")) }
        }
        "list" => {
            let explanations = config_explain::list(global, events)?;
            if json() {
                return print_value(shell, &explanations);
            }
            let lines: Vec<_> = explanations.iter().flat_map(listed).collect();
            if lines.is_empty() { Ok(()) } else { print(shell, &lines.join("\n")) }
        }
        "schema" => {
            let cargo = arguments.get_one::<String>("file").is_some_and(|file| file == "cargo");
            print_json(shell, &config_explain::schema(cargo)?)
        }
        _ => {
            let lines = bulkhead_ops::config_get::config_get(global, &options::config_get(arguments)?, events)?;
            let lines: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
            if lines.is_empty() { Ok(()) } else { print(shell, &lines.join("\n")) }
        }
    }
}

fn print_value(shell: &Shell, value: &impl serde::Serialize) -> Result<(), Error> {
    let json = serde_json::to_string(value).map_err(|error| Error::failure("failed to write JSON").because(error))?;
    print_json(shell, &json)
}

fn explained(explanation: &Explanation) -> Vec<String> {
    let Explanation { key, about, kind, class, default, precedence, layers } = explanation;
    let mut lines = vec![
        escaped_line(key).into_owned(),
        format!("  {about}"),
        format!("  type:        {kind}"),
        format!("  class:       {class}"),
        format!("  precedence:  {precedence}"),
        format!("  default:     {default}"),
    ];
    if !layers.iter().any(|layer| layer.outcome == Outcome::Wins) {
        lines.push("  no layer that counts sets it: the default holds".to_owned());
    }
    for layer in layers {
        let word = match layer.outcome {
            Outcome::Wins => "counts",
            Outcome::Joined => "joined",
            Outcome::Overridden => "overridden",
            Outcome::Inert => "inert",
        };
        let (value, origin) = (escaped_line(&layer.value), escaped_line(&layer.origin));
        lines.push(format!("  {word:<11}  {value}"));
        lines.push(format!("               {origin} ({}): {}", layer.layer, escaped_line(&layer.reason)));
    }
    lines
}

fn listed(explanation: &Explanation) -> Vec<String> {
    let line = |layer: &config_explain::Statement| {
        let inert = if layer.outcome == Outcome::Inert { "# inert: " } else { "" };
        let (key, value) = (escaped_line(&explanation.key), escaped_line(&layer.value));
        format!("{inert}{key} = {value} # {} ({})", escaped_line(&layer.origin), layer.layer)
    };
    explanation.layers.iter().filter(|layer| layer.outcome != Outcome::Overridden).map(line).collect()
}
