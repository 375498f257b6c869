//! Which names a new package may have, and which are unwise (observed with `cargo new`).

use bulkhead_schema::PackageName;

use crate::error::Result;
use crate::{Error, Event};

const KEYWORDS: &str = " Self abstract as async await become box break const continue crate do dyn else enum extern \
    false final fn for if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield ";
const ARTIFACT_FOLDERS: [&str; 4] = ["deps", "examples", "build", "incremental"];
const STANDARD_LIBRARY: [&str; 5] = ["core", "std", "alloc", "proc_macro", "proc-macro"];
const WINDOWS_DEVICES: &str = " con prn aux nul com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt1 lpt2 lpt3 lpt4 lpt5 \
    lpt6 lpt7 lpt8 lpt9 ";

/// Refuses what cannot be a package's name, and warns of what had better not be one. `given` says that the user chose it
/// with `--name`, and not by the folder.
///
/// # Errors
/// The broken rule.
pub(super) fn check(name: &str, given: bool, lib: bool, events: &dyn Fn(Event)) -> Result<()> {
    let advised = |error: Error, other_binary: bool| {
        let advice = if given { Vec::new() } else { advice(name, other_binary && !lib) };
        advice.into_iter().fold(error, |error, advice| error.help(advice))
    };
    if let Some((reason, numeric)) = grammar(name) {
        return Err(advised(Error::failure(reason), numeric));
    }
    PackageName::local(name).map_err(|error| Error::failure(error.to_string()))?;
    if KEYWORDS.contains(&format!(" {name} ")) {
        let error = Error::failure(format!("invalid package name `{name}`: it is a Rust keyword"));
        return Err(advised(error, true));
    }
    if ARTIFACT_FOLDERS.contains(&name) {
        let what = "it conflicts with cargo's build directory names";
        if !lib {
            return Err(advised(Error::failure(format!("invalid package name `{name}`: {what}")), false));
        }
        let message = "will not support binary executables with that name";
        events(Event::Warning(format!("package `{name}` {message}, {what}")));
    }
    if name == "test" {
        let message = "invalid package name `test`: it conflicts with Rust's built-in test library";
        return Err(advised(Error::failure(message), true));
    }
    warn(name, events);
    Ok(())
}

/// The rule of a name's letters that is broken, and whether it is that about digits.
fn grammar(name: &str) -> Option<(String, bool)> {
    let invalid = |bad: char, rule: &str| format!("invalid character `{bad}` in package name: `{name}`, {rule}");
    let Some(first) = name.chars().next() else { return Some(("package name cannot be empty".to_owned(), false)) };
    if first.is_ascii_digit() {
        return Some((invalid(first, "the name cannot start with a digit"), true));
    }
    if !first.is_alphabetic() && first != '_' {
        let rule = "the first character must be a Unicode XID start character (most letters or `_`)";
        return Some((invalid(first, rule), false));
    }
    let bad = name.chars().find(|&c| !c.is_alphanumeric() && c != '-' && c != '_')?;
    let rule = "characters must be Unicode XID characters (numbers, `-`, `_`, or most letters)";
    Some((invalid(bad, rule), false))
}

fn advice(name: &str, other_binary: bool) -> Vec<String> {
    let mut advice = vec!["to override the package name, pass `--name <pkgname>`".to_owned()];
    if other_binary {
        advice.push(format!(
            "to name the binary \"{name}\", use a valid package name, and set the binary name to be different from the \
             package. This can be done by setting the binary filename to `src/bin/{name}.rs` or change the name in \
             Cargo.toml with:\n\n  [[bin]]\n  name = \"{name}\"\n  path = \"src/main.rs\""
        ));
    }
    advice
}

fn warn(name: &str, events: &dyn Fn(Event)) {
    let warning = |message: String| events(Event::Warning(message));
    if STANDARD_LIBRARY.contains(&name) {
        warning(format!(
            "package name `{name}` may be confused with the package with that name in Rust's standard library\nIt is \
             recommended to use a different name to avoid problems."
        ));
    }
    if WINDOWS_DEVICES.contains(&format!(" {} ", name.to_ascii_lowercase())) {
        warning(format!(
            "package name `{name}` is a reserved Windows filename\nThis package will not work on Windows platforms."
        ));
    }
    if !name.is_ascii() {
        let rule = "contains non-ASCII characters\nNon-ASCII crate names are not supported by Rust.";
        warning(format!("invalid package name `{name}`: {rule}"));
    }
    let lower = name.to_lowercase();
    if lower != name || (name.contains('_') && name.contains('-')) {
        let wanted = if name.contains('_') { lower.replace('-', "_") } else { lower };
        let rule = "is not snake_case or kebab-case which is recommended for package names";
        warning(format!("package name `{name}` {rule}, consider `{wanted}`"));
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use std::cell::RefCell;

    #[test]
    fn names_that_cannot_be_are_refused_and_unwise_ones_are_spoken_of() {
        let warnings = |name: &str| {
            let count = RefCell::new(0);
            check(name, false, false, &|_| *count.borrow_mut() += 1).map(|()| count.into_inner()).ok()
        };
        for bad in ["", "1a", "a.b", "a b", "-x", "fn", "test", "build", "../x", "a\u{1b}"] {
            assert_eq!(warnings(bad), None, "{bad:?}");
        }
        let unwise = [("good", 0), ("so-good", 0), ("core", 1), ("Foo", 1), ("NUL", 2), ("größe", 1)];
        unwise.iter().for_each(|(name, count)| assert_eq!(warnings(name), Some(*count), "{name}"));
    }
}
