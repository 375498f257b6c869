//! Options that came without their value: a question, which is answered as Cargo answers it, with what could be named.

use bulkhead_ops::choices::{self, Choice};
use bulkhead_ops::options::GlobalOptions;
use bulkhead_ops::{Error, ErrorKind};
use clap::ArgMatches;

use crate::escape::escaped_line;
use crate::options;
use crate::shell::Shell;

/// What `cargo tree -i` answers; some tools read it.
const NOTHING_TO_INVERT: &str = "\
The `-i` flag requires a package name.

The `-i` flag is used to inspect the reverse dependencies of a specific
package. It will invert the tree and display the packages that depend on the
given package.

Note that in a workspace, by default it will only display the package's
reverse dependencies inside the tree of the workspace member in the current
directory. The --workspace flag can be used to extend it so that it will show
the package's reverse dependencies across the entire workspace. The -p flag
can be used to display the package's reverse dependencies only with the
subtree of the package given to -p.
";

/// Kinds of targets, in the order in which Cargo looks whether they are asked for.
const TARGETS: [(&str, Choice, &str); 4] = [
    ("example", Choice::Example, "examples"),
    ("bin", Choice::Bin, "binaries"),
    ("test", Choice::Test, "test targets"),
    ("bench", Choice::Bench, "bench targets"),
];

/// Answers the first question of the command line, if there is one.
///
/// # Errors
/// There was one; or there is no workspace that could answer it.
pub(crate) fn answer(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    for name in ["package", "package2"] {
        if is_asked(arguments, name) {
            return Err(tell(shell, &packages(name.trim_end_matches('2'), &choices::packages(global)?)));
        }
    }
    for (name, choice, what) in TARGETS {
        if is_asked(arguments, name) {
            let found = choices::targets(global, &options::packages(arguments), choice)?;
            return Err(tell(shell, &targets(name, what, &found)));
        }
    }
    if is_asked(arguments, "invert") {
        return Err(tell(shell, NOTHING_TO_INVERT));
    }
    if is_asked(arguments, "target") {
        let by_rustup = global.place.variable("RUSTUP_TOOLCHAIN").is_some();
        let program = if by_rustup { "rustup target list" } else { "rustc --print target-list" };
        let question = "\"--target\" takes a target architecture as an argument.";
        return Err(tell(shell, &format!("{question}\n\nRun `{program}` to see possible targets.")));
    }
    Ok(())
}

/// Whether the option was given, and nowhere with a value.
fn is_asked(arguments: &ArgMatches, name: &str) -> bool {
    match arguments.try_get_occurrences::<String>(name) {
        Ok(Some(mut occurrences)) => occurrences.all(|values| values.count() == 0),
        _ => false,
    }
}

fn packages(name: &str, found: &[String]) -> String {
    let mut text = format!(
        "\"--{name} <SPEC>\" requires a SPEC format value, which can be any package ID specifier in the dependency \
         graph.\nRun `cargo help pkgid` for more information about SPEC format.\n\n"
    );
    text += &list("No packages/workspace members available.", "Possible packages/workspace members:", found);
    text
}

fn targets(name: &str, what: &str, found: &[String]) -> String {
    let mut text = format!("\"--{name}\" takes one argument.\n");
    text += &list(&format!("No {what} available."), &format!("Available {what}:"), found);
    text
}

fn list(none: &str, some: &str, found: &[String]) -> String {
    let names: String = found.iter().map(|name| format!("    {}\n", escaped_line(name))).collect();
    if names.is_empty() { format!("{none}\n") } else { format!("{some}\n{names}") }
}

/// Prints the lines of `text` as an error; what is left to do is to end.
fn tell(shell: &Shell, text: &str) -> Error {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    shell.error(first, None);
    shell.line(rest);
    Error::new(ErrorKind::Child(ErrorKind::Failure.exit_code()), "")
}
