//! rustc's dep-info: which files and variables a compilation read.

use std::path::{Path, PathBuf};

/// What a dep-info file lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DepInfo {
    /// The source files, as rustc names them.
    pub sources: Vec<PathBuf>,
    /// Names of the variables that the code asked for at compile time (`env!`, `option_env!`).
    pub variables: Vec<String>,
}

/// Reads a file in the form of a makefile: one rule for each output, all with the same sources, then one rule without
/// sources for each of these, and comments `# env-dep:NAME[=VALUE]`. Only the first rule is read.
pub fn parse(text: &str) -> DepInfo {
    let mut dep_info = DepInfo::default();
    let mut seen_rule = false;
    for line in text.lines() {
        if let Some(variable) = line.strip_prefix("# env-dep:") {
            let name = variable.split_once('=').map_or(variable, |(name, _)| name);
            dep_info.variables.push(unescaped(name));
        } else if let Some((_, sources)) = line.split_once(": ")
            && !seen_rule
            && !line.starts_with('#')
        {
            seen_rule = true;
            dep_info.sources = split_words(sources);
        }
    }
    dep_info
}

/// A name as the code spelled it: rustc escapes backslashes and ends of lines.
fn unescaped(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let meant = match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        };
        name.push(meant);
    }
    name
}

/// Splits at spaces that no backslash escapes.
fn split_words(text: &str) -> Vec<PathBuf> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => word.extend(characters.next()),
            ' ' if word.is_empty() => (),
            ' ' => words.push(PathBuf::from(std::mem::take(&mut word))),
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(PathBuf::from(word));
    }
    words
}

/// One rule of a makefile: the artifact that users find, and all files of the user's own packages that went into it.
pub fn rule(artifact: &Path, sources: impl IntoIterator<Item = PathBuf>) -> String {
    let escaped = |path: &Path| path.to_string_lossy().replace(' ', "\\ ");
    let mut text = format!("{}:", escaped(artifact));
    for source in sources {
        text.push(' ');
        text.push_str(&escaped(&source));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::{DepInfo, parse, rule};

    #[test]
    fn sources_and_variables_are_found() {
        let text = "/t/liba.rlib: src/lib.rs src/a\\ b.rs /o/x.rs\n\n/t/liba.rmeta: src/lib.rs\n\nsrc/lib.rs:\n\n\
            # env-dep:A=1\n# env-dep:B\n# checksum:blake3=ab file_len:1 src/lib.rs\n";
        let expected = DepInfo {
            sources: vec!["src/lib.rs".into(), "src/a b.rs".into(), "/o/x.rs".into()],
            variables: vec!["A".to_owned(), "B".to_owned()],
        };
        assert_eq!(parse(text), expected);
        assert_eq!(parse("garbage"), DepInfo::default());
    }

    #[test]
    fn names_of_variables_are_as_the_code_spells_them() {
        let names = parse("# env-dep:a\\\\nb=1\n# env-dep:a\\nb\n# env-dep:c\\\n").variables;
        assert_eq!(names, ["a\\nb", "a\nb", "c\\"]);
    }

    #[test]
    fn rules_escape_spaces() {
        assert_eq!(rule("/t/a b".as_ref(), ["/s/c d".into(), "/s/e".into()]), "/t/a\\ b: /s/c\\ d /s/e\n");
    }
}
