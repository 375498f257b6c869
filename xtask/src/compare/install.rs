//! Programs of the registry, installed, replaced and removed: both say the same, leave the same programs and write down the
//! same.

use super::apps::status_line;
use super::graph::both_ends;
use super::report::{Report, Verdict};
use super::text_diff::{diff, same_lines};
use super::{Options, commands, published};
use crate::sides::{Side, Sides};
use bulkhead_test_support::Outcome;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const TABLE: &str = include_str!("../../data/installs.txt");
const TABLE_NAME: &str = "xtask/data/installs.txt";
const END_OF_SMALL: &str = "--small ends here";

/// A program in two versions.
struct Program {
    name: &'static str,
    old: &'static str,
    new: &'static str,
}

/// A line of the table: what it is called, and the words that are said.
type Step = (&'static str, &'static str);

/// Where one side installs a program.
struct Place<'a> {
    side: &'a Side,
    root: PathBuf,
    /// The newer version, unpacked.
    checkout: PathBuf,
}

/// What is there after a step.
struct Left {
    outcome: Outcome,
    status_lines: Vec<String>,
    output: String,
    /// The names of the programs, and what they say of themselves.
    programs: Vec<String>,
    first_record: String,
    second_record: String,
}

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let (programs, steps) = parse(TABLE, options.small)?;
    for program in programs.iter().filter(|program| options.wants(program.name)) {
        println!("-- {} {} and {}", program.name, program.old, program.new);
        let folder = options.folder.join("install").join(program.name);
        let [cargo, bulkhead] = sides.both().map(|side| prepare(&folder.join(side.name), program, side, sides));
        let (cargo, bulkhead) = (cargo?, bulkhead?);
        for (name, words) in &steps {
            let arguments = |place: &Place<'_>| program.fill(words, place);
            let [theirs, ours] = [&cargo, &bulkhead].map(|place| place.run(&arguments(place)));
            judge(&format!("{}: {name}", program.name), &theirs, &ours, report);
        }
    }
    Ok(())
}

/// The programs and steps of the table.
fn parse(table: &'static str, small: bool) -> Result<(Vec<Program>, Vec<Step>), String> {
    let (mut programs, mut steps) = (Vec::new(), Vec::new());
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if line == END_OF_SMALL {
            if small {
                break;
            }
        } else if let Some((name, words)) = line.split_once(" | ") {
            steps.push((name, words));
        } else if let ["program", name, old, new] = line.split(' ').collect::<Vec<_>>()[..] {
            programs.push(Program { name, old, new });
        } else {
            return Err(format!("{TABLE_NAME}: {line}"));
        }
    }
    programs.truncate(if small { 1 } else { usize::MAX });
    Ok((programs, steps))
}

/// An empty root and a checkout.
fn prepare<'a>(folder: &Path, program: &Program, side: &'a Side, sides: &Sides) -> Result<Place<'a>, String> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let checkout = published::unpack(&folder.join("checkouts"), program.name, program.new, &sides.cargo)?;
    Ok(Place { side, root: folder.join("root"), checkout })
}

impl Program {
    fn fill(&self, words: &str, place: &Place<'_>) -> Vec<String> {
        let checkout = place.checkout.to_string_lossy();
        let names = [("{name}", self.name), ("{old}", self.old), ("{new}", self.new), ("{checkout}", &*checkout)];
        let fill = |word: &str| names.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value));
        words.split(' ').map(fill).collect()
    }
}

impl Place<'_> {
    /// Says these words with this root, outside of any project, and looks at what is there then.
    fn run(&self, words: &[String]) -> Left {
        let root = self.root.to_string_lossy();
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--root", &*root]).collect();
        let outcome = self.side.run(&std::env::temp_dir(), &arguments);
        let record = |name: &str| self.neutral(&std::fs::read_to_string(self.root.join(name)).unwrap_or_default());
        let said = told(&outcome.stderr, outcome.code() == Some(0));
        let status_lines = said.filter_map(|line| status_line(&self.neutral(line))).collect();
        Left {
            status_lines,
            output: self.neutral(&outcome.stdout),
            programs: self.programs(),
            first_record: record(".crates.toml"),
            second_record: without_digests(&record(".crates2.json")),
            outcome,
        }
    }

    fn neutral(&self, text: &str) -> String {
        let places = [(&self.root, "[root]"), (&self.checkout, "[checkout]")];
        let text =
            places.iter().fold(text.to_owned(), |text, (path, name)| text.replace(&*path.to_string_lossy(), name));
        commands::hashless(&text)
    }

    fn programs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join("bin")).into_iter().flatten().flatten();
        let said = |path: &Path| {
            let output = Command::new(path).arg("--version").output();
            output.map_or_else(|error| error.to_string(), |it| String::from_utf8_lossy(&it.stdout).into_owned())
        };
        entries.map(|entry| format!("{}: {}", entry.file_name().display(), said(&entry.path()))).collect()
    }
}

/// What is said of the progress, and all else where all went well. Reasons and advice are told in each program's own words.
fn told(stderr: &str, is_well: bool) -> impl Iterator<Item = &str> {
    let is_progress = |line: &str| line.get(..12).is_some_and(|verb| verb.starts_with(' ') && !verb.trim().is_empty());
    let is_headline = |line: &str| line.starts_with("error") || line.starts_with("warning");
    let lines = stderr.lines().take_while(|line| line.trim() != "Caused by:");
    lines
        .filter(move |line| is_well || is_headline(line) || is_progress(line) && line.as_bytes().get(12) == Some(&b' '))
}

/// The record without what Bulkhead alone writes, in one order.
fn without_digests(record: &str) -> String {
    let mut value: Value = serde_json::from_str(record).unwrap_or_default();
    let packages = value.get_mut("installs").and_then(Value::as_object_mut).into_iter().flatten();
    packages.filter_map(|(_, package)| package.as_object_mut()).for_each(|package| drop(package.remove("digests")));
    format!("{value:#}")
}

fn judge(subject: &str, cargo: &Left, bulkhead: &Left, report: &mut Report) {
    let end = match bulkhead.outcome.ends_as(&cargo.outcome) {
        true => Verdict::Same,
        false => Verdict::Different(both_ends(&cargo.outcome, &bulkhead.outcome)),
    };
    report.add(subject, "exit status", end);
    report.add(subject, "status lines", same_lines(&cargo.status_lines, &bulkhead.status_lines));
    report.add(subject, "output", Verdict::from_differences(diff(&cargo.output, &bulkhead.output)));
    report.add(subject, "installed programs", same_lines(&cargo.programs, &bulkhead.programs));
    let records = [
        (".crates.toml", &cargo.first_record, &bulkhead.first_record),
        (".crates2.json", &cargo.second_record, &bulkhead.second_record),
    ];
    for (name, theirs, ours) in records {
        report.add(subject, name, Verdict::from_differences(diff(theirs, ours)));
    }
    let (theirs, ours) = (cargo.outcome.code(), bulkhead.outcome.code());
    println!("| {subject} | {theirs:?} | {ours:?} | {} |", cargo.programs.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let (programs, steps) = parse(TABLE, false).unwrap();
        assert!(programs.len() == 3 && steps.len() > 30);
        assert!(steps.iter().all(|(_, words)| words.starts_with("install") || words.starts_with("uninstall")));
        let (programs, few) = parse(TABLE, true).unwrap();
        assert!(programs.len() == 1 && few.len() < steps.len());
        assert!(parse("program one\n", false).is_err());
    }

    #[test]
    fn digests_are_left_out_and_nothing_else() {
        let record = r#"{"installs":{"a":{"bins":["a"],"digests":{"a":"0"}}},"more":1}"#;
        let expected: Value = serde_json::from_str(r#"{"installs":{"a":{"bins":["a"]}},"more":1}"#).unwrap();
        assert_eq!(without_digests(record), format!("{expected:#}"));
        assert_eq!(without_digests(""), "null");
    }

    #[test]
    fn reasons_are_not_compared() {
        let text = "   Compiling a v1.0.0\nerror: no\nAdd --force\nhelp: do\n  tip: x\n\nCaused by:\n  why\n";
        assert_eq!(told(text, false).collect::<Vec<_>>(), ["   Compiling a v1.0.0", "error: no"]);
        assert_eq!(told("  Installing a\nsome words\n", true).count(), 2);
    }
}
