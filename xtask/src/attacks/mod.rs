//! `cargo xtask attacks`: joins the catalogue of attacks with the tests that carry their numbers, and writes
//! `docs/security/attacks.md`. `--check` only compares.
//!
//! A test carries the number of a case in its name (`case_058_…`, `attack_58_…`, `attacks_22_and_24_…`, `campaign_13_…`) or
//! in a comment above it (`/// Attack 58: …`, `/// Attacks 98, 99 and 101.`, `/// Variants of attack 58: …`).

mod markers;

use crate::arguments::switch;
use clap::{ArgMatches, Command};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::tidy::{SourceFile, repository_root, tracked_files};
use markers::{Subject, Test, tests_of};

const CATALOGUE: &str = "crates/bulkhead-cli/tests/it/attacks/catalogue.toml";
const PAGE: &str = "docs/security/attacks.md";
/// What a case may come to; those from `UNTESTED` on may lack a test.
const RESULTS: [&str; 7] = ["refused", "inert", "confined", "contained", "limited", "later", "not stopped"];
const UNTESTED: [&str; 2] = ["later", "not stopped"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    case: Vec<Case>,
    #[serde(default)]
    campaign: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    number: u32,
    title: String,
    /// What cargo 1.95 does: `vulnerable`, `safe` or `unknown`.
    cargo: String,
    result: String,
    defence: String,
}

pub(crate) fn command() -> Command {
    Command::new("attacks")
        .about("Write docs/security/attacks.md from the catalogue of attacks and the tests that carry their numbers")
        .arg(switch("check").help("Only compare"))
}

/// Writes the page, or with `--check` says whether it is as it would be written.
pub(crate) fn run(arguments: &ArgMatches) -> Result<bool, String> {
    let root = repository_root();
    let files = tracked_files(&root)?;
    let (page, mut findings) = page(&files)?;
    if arguments.get_flag("check") {
        let current = files.iter().find(|file| file.path == PAGE);
        if current.is_none_or(|file| file.text != page) {
            findings.push(format!("{PAGE}: not as the suite is: run `cargo xtask attacks`"));
        }
    } else {
        let path = root.join(PAGE);
        std::fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for finding in &findings {
        println!("{finding}");
    }
    Ok(findings.is_empty())
}

/// Cases without a test, and tests of cases that the catalogue does not know. (That the page is current is for CI to say:
/// whoever lands beside others would have to write it anew each time.)
pub(crate) fn gaps(files: &[SourceFile]) -> Result<Vec<String>, String> {
    Ok(page(files)?.1)
}

fn page(files: &[SourceFile]) -> Result<(String, Vec<String>), String> {
    let file = files.iter().find(|file| file.path == CATALOGUE).ok_or_else(|| format!("{CATALOGUE} is missing"))?;
    let catalogue: Catalogue = toml::from_str(&file.text).map_err(|error| format!("{CATALOGUE}: {error}"))?;
    let mut tests: BTreeMap<Subject, Vec<String>> = BTreeMap::new();
    let mut varied = BTreeSet::new();
    for file in files.iter().filter(|file| file.path.starts_with("crates/") && file.path.ends_with(".rs")) {
        for test in tests_of(&file.text) {
            varied.extend(test.has_variants.then_some(test.subject));
            tests.entry(test.subject).or_default().push(link(&file.path, &test));
        }
    }
    let mut findings = Vec::new();
    let mut text = HEAD.to_owned();
    for (result, count) in counts(&catalogue.case) {
        let _ = writeln!(text, "| {result} | {count} |");
    }
    let _ = write!(text, "\n{} {VARIANTS}", varied.len());
    text.push_str("\n## Cases\n");
    text.push_str(&table(&catalogue.case, Subject::Case, &mut tests, &mut findings));
    text.push_str(CAMPAIGNS);
    text.push_str(&table(&catalogue.campaign, Subject::Campaign, &mut tests, &mut findings));
    findings
        .extend(tests.iter().map(|(subject, names)| format!("{CATALOGUE}: no {subject:?}, but {}", names.join(", "))));
    Ok((text, findings))
}

fn counts(cases: &[Case]) -> impl Iterator<Item = (&'static str, usize)> {
    RESULTS.into_iter().map(|result| (result, cases.iter().filter(|case| case.result == result).count()))
}

fn table(
    cases: &[Case],
    subject: impl Fn(u32) -> Subject,
    tests: &mut BTreeMap<Subject, Vec<String>>,
    findings: &mut Vec<String>,
) -> String {
    let mut text = String::from("\n| | attack | cargo 1.95 | result | defence | tests |\n|---|---|---|---|---|---|\n");
    for case in cases {
        let Case { number, title, cargo, result, defence } = case;
        let names = tests.remove(&subject(*number)).unwrap_or_default();
        if names.is_empty() && !UNTESTED.contains(&result.as_str()) {
            findings.push(format!("{CATALOGUE}: {:?} has no test", subject(*number)));
        }
        if !RESULTS.contains(&result.as_str()) {
            findings.push(format!("{CATALOGUE}: {:?} has no such result as `{result}`", subject(*number)));
        }
        let names = names.join(", ");
        let _ = writeln!(text, "| {number} | {title} | {cargo} | {result} | {defence} | {names} |");
    }
    text
}

/// A link from the page to the file of a test.
fn link(path: &str, test: &Test) -> String {
    let variants = if test.has_variants { " +" } else { "" };
    format!("[{}](../../{path}){variants}", test.name)
}

const VARIANTS: &str = "\
cases have variants that the catalogue does not list: other spellings, other ways in, other ways to the same harm. The tests that
play them are marked `+`.
";

const HEAD: &str = "\
# The attack catalogue

<!-- Written by `cargo xtask attacks` from the tests and the catalogue beside them. Do not edit. -->

Attacks that Cargo and its peers have suffered, each as a harmless simulation, and what Bulkhead does about it. Where the
column says that cargo 1.95 is vulnerable, the harmful effect was measured. Numbers that are missing are those of registry
servers, or reserved.

*Refused*: an error names it, and nothing happens. *Inert*: it does nothing, and is named where it matters. *Confined*: the
process that tries cannot. *Contained*: it happens within bounds that we set. *Limited*: less is left of it, and it is told.
*Later*: what it attacks is no part of Bulkhead yet, or no test
shows it yet. *Not stopped*: it works, and the line says why.

Run the suite with `cargo test -p bulkhead-cli --test it -- attacks`; tests elsewhere carry the number in a comment.

| result | cases |
|---|---|
";

const CAMPAIGNS: &str = "
## Campaigns

What happened to people, from the first look to the last step, as small packages in a loopback registry: with default
settings no mark is left, no listener is reached and no planted secret is read; under cargo the same package does all of it.
";
