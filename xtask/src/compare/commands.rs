//! The command lines that `build -v` reports, as sets of arguments.

use super::metadata::Roots;
use super::text_diff::multiset_difference;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The differences between the commands of two verbose outputs, empty when there are none.
pub(super) fn difference(cargo: &str, bulkhead: &str, cargo_roots: &Roots, bulkhead_roots: &Roots) -> String {
    let (cargo, bulkhead) = (commands(cargo, cargo_roots), commands(bulkhead, bulkhead_roots));
    let (missing, extra) = multiset_difference(&joined(&cargo), &joined(&bulkhead));
    if missing.is_empty() && extra.is_empty() {
        return String::new();
    }
    let mut text = format!("cargo ran {} commands, bulkhead {}\n", cargo.len(), bulkhead.len());
    let (missing, mut extra) = (by_subject(&missing), by_subject(&extra));
    for (subject, commands) in &missing {
        let others = extra.remove(subject).unwrap_or_default();
        for (index, command) in commands.iter().enumerate() {
            match others.get(index) {
                Some(other) => {
                    let _ = writeln!(text, "{subject}");
                    let (gone, new) = multiset_difference(&arguments(command), &arguments(other));
                    gone.iter().for_each(|argument| _ = writeln!(text, "  - {argument}"));
                    new.iter().for_each(|argument| _ = writeln!(text, "  + {argument}"));
                }
                None => _ = writeln!(text, "not run: {subject}"),
            }
        }
    }
    for (subject, commands) in &extra {
        let _ = writeln!(text, "run in excess: {subject} ×{}", commands.len());
    }
    text.lines().take(80).map(|line| format!("{line}\n")).collect()
}

/// Each command as its normalised arguments, options joined with their values, sorted.
fn commands(output: &str, roots: &Roots) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for line in output.lines() {
        let Some(command) = line.trim_start().strip_prefix("Running `").and_then(|rest| rest.strip_suffix('`')) else {
            continue;
        };
        let mut words = split_words(&roots.normalise(command)).into_iter();
        let mut arguments = Vec::new();
        // Variables before the program are not part of the command line proper.
        let program = words.by_ref().find(|word| !is_assignment(word)).unwrap_or_default();
        arguments.push(format!("program {}", hashless(program.rsplit('/').next().unwrap_or_default())));
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let takes_value = matches!(word.as_str(), "-C" | "-L" | "-l" | "-A" | "-W" | "-D" | "-F")
                || matches!(
                    word.as_str(),
                    "--crate-name"
                        | "--crate-type"
                        | "--extern"
                        | "--cfg"
                        | "--check-cfg"
                        | "--out-dir"
                        | "--cap-lints"
                        | "--target"
                        | "--emit"
                        | "--env-set"
                );
            let word = match words.next_if(|_| takes_value) {
                Some(value) => format!("{word} {value}"),
                None => word,
            };
            arguments.push(hashless(&word));
        }
        arguments.sort();
        commands.push(arguments);
    }
    commands
}

fn joined(commands: &[Vec<String>]) -> Vec<String> {
    commands.iter().map(|arguments| arguments.join("\t")).collect()
}

fn arguments(command: &str) -> Vec<String> {
    command.split('\t').map(str::to_owned).collect()
}

/// Groups commands by what they are about: crate name, crate types and whether it is a test.
fn by_subject(commands: &[String]) -> BTreeMap<String, Vec<&str>> {
    let mut map: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for command in commands {
        let about = ["program ", "--crate-name", "--crate-type", "--test", "--out-dir"];
        let words = command.split('\t').filter(|word| about.iter().any(|prefix| word.starts_with(prefix)));
        map.entry(words.collect::<Vec<_>>().join(" ")).or_default().push(command);
    }
    map
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

/// Replaces the 16 hexadecimal digits of a unit's hash, which each program chooses for itself.
pub(super) fn hashless(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find(['-', '=', '/', '_']) {
        let (before, after) = rest.split_at(position + 1);
        result.push_str(before);
        let digits = after.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
        if digits == 16 {
            result.push_str("HASH");
            rest = &after[16..];
        } else {
            rest = after;
        }
    }
    result.push_str(rest);
    result
}

/// Splits as a shell would, for the quoting that Cargo prints.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' => words.extend(word.take()),
            '\'' => {
                let quoted: String = characters.by_ref().take_while(|character| *character != '\'').collect();
                word.get_or_insert_default().push_str(&quoted);
            }
            '"' => {
                let quoted: String = characters.by_ref().take_while(|character| *character != '"').collect();
                word.get_or_insert_default().push_str(&quoted);
            }
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_hashes() {
        assert_eq!(split_words(r#"a 'b c'"d"\ e"#), ["a", "b cd e"]);
        assert_eq!(hashless("extra-filename=-0123456789abcdef"), "extra-filename=-HASH");
        assert_eq!(hashless("x=/deps/libfoo-0123456789abcdef.rmeta"), "x=/deps/libfoo-HASH.rmeta");
        assert_eq!(hashless("0.1.0-beta"), "0.1.0-beta");
    }
}
