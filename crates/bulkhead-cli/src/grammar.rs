//! Every value on the command line passes the grammar of its kind before anything uses it.

use bulkhead_ops::Error;
use bulkhead_schema::words::Grammar;
use clap::ArgMatches;

/// The grammar of an argument by its name; one that is not here is text.
const GRAMMARS: &[(&str, Grammar)] = &[
    ("bench", Grammar::Target),
    ("bin", Grammar::Target),
    ("branch", Grammar::Reference),
    ("config", Grammar::KeyValue),
    ("crate", Grammar::Spec),
    ("crate-type", Grammar::Name),
    ("crates", Grammar::Spec),
    ("dependencies", Grammar::Spec),
    ("depth", Grammar::Name),
    ("directory", Grammar::Path),
    ("example", Grammar::Target),
    ("exclude", Grammar::Spec),
    ("explain", Grammar::Name),
    ("features", Grammar::Features),
    ("filter-platform", Grammar::Platform),
    ("git", Grammar::Url),
    ("index", Grammar::Url),
    ("invert", Grammar::Spec),
    ("manifest-path", Grammar::Path),
    ("package", Grammar::Spec),
    ("package2", Grammar::Spec),
    ("precise", Grammar::Reference),
    ("print", Grammar::Name),
    ("profile", Grammar::Name),
    ("prune", Grammar::Spec),
    ("registry", Grammar::Name),
    ("rename", Grammar::Target),
    ("rev", Grammar::Reference),
    ("spec", Grammar::Spec),
    ("tag", Grammar::Reference),
    ("target", Grammar::Condition),
    ("target-dir", Grammar::Path),
    ("test", Grammar::Target),
    ("version", Grammar::Version),
];

/// What is handed to a program that the user starts by it, as it is.
const HANDED_ON: &[&str] = &["args", "clippy-args", "compiler-args", "rustfmt-args"];

/// Checks what a command line says, its subcommand included.
///
/// # Errors
/// A value breaks its grammar.
pub(crate) fn check(matches: &ArgMatches) -> Result<(), Error> {
    for id in matches.ids().map(clap::Id::as_str).filter(|id| !HANDED_ON.contains(id)) {
        let grammar = GRAMMARS.iter().find(|(name, _)| *name == id).map_or(Grammar::Text, |(_, grammar)| *grammar);
        let Ok(Some(values)) = matches.try_get_raw(id) else { continue };
        for value in values.map(|value| value.to_string_lossy()) {
            grammar.check(&value).map_err(|reason| refused(id, &value, &reason))?;
        }
    }
    matches.subcommand().map_or(Ok(()), |(_, matches)| check(matches))
}

fn refused(id: &str, value: &str, reason: &str) -> Error {
    if id == "target" && value.ends_with(".json") {
        return Error::failure("`.json` target specs require -Zjson-target-spec");
    }
    let shown: String = value.chars().take(80).collect();
    let more = if shown.len() < value.len() { "…" } else { "" };
    Error::failure(format!("invalid value `{shown}{more}` for `{id}`: it {reason}"))
}
