//! Differences that are meant: each has its row in `docs/differences.md`, where a user reads why.

use crate::tidy::repository_root;
use serde::Deserialize;

const RECORDS: &str = include_str!("../../data/known-differences.toml");
const PAGE: &str = "docs/differences.md";

/// One comparison that is expected to differ, and how.
pub(super) struct Known {
    /// The part of `compare`.
    pub(super) part: String,
    /// What was compared, as the report names it.
    pub(super) subject: String,
    /// The question that was asked.
    pub(super) check: String,
    /// A text that the difference contains: another difference of the same answer is none that is known.
    pub(super) shows: String,
    /// The first column of the row that says why.
    pub(super) row: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    #[serde(default)]
    difference: Vec<Record>,
}

/// Comparisons that differ in one way: each check of each subject.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    part: String,
    subject: OneOrMore,
    check: OneOrMore,
    shows: String,
    row: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(all) => all,
        }
    }
}

impl Record {
    fn each(&self) -> impl Iterator<Item = Known> {
        let of = |subject: &str, check: &str| Known {
            part: self.part.clone(),
            subject: subject.to_owned(),
            check: check.to_owned(),
            shows: self.shows.clone(),
            row: self.row.clone(),
        };
        self.subject.all().iter().flat_map(move |subject| self.check.all().iter().map(move |check| of(subject, check)))
    }
}

impl Known {
    pub(super) fn is_about(&self, part: &str, subject: &str, check: &str) -> bool {
        self.part == part && self.subject == subject && self.check == check
    }
}

/// Every record; one that has no row in the page is an error.
pub(super) fn load() -> Result<Vec<Known>, String> {
    let page = std::fs::read_to_string(repository_root().join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    parse(RECORDS, &page)
}

fn parse(records: &str, page: &str) -> Result<Vec<Known>, String> {
    const FILE: &str = "xtask/data/known-differences.toml";
    let records: Records = toml::from_str(records).map_err(|error| format!("{FILE}: {error}"))?;
    let has_row = |record: &Record| page.lines().any(|line| line.starts_with(&format!("| {} | ", record.row)));
    match records.difference.iter().find(|record| !has_row(record) || record.shows.is_empty()) {
        Some(Record { subject, row, .. }) => {
            Err(format!("{FILE}: {}: {PAGE} has no row `{row}`, or `shows` is empty", subject.all().join(", ")))
        }
        None => Ok(records.difference.iter().flat_map(Record::each).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_has_its_row() {
        load().unwrap();
    }

    #[test]
    fn a_record_without_a_row_is_an_error() {
        let record = "[[difference]]\npart = 'a'\nsubject = 'b'\ncheck = ['c', 'e']\nshows = 'd'\nrow = 'doctests'\n";
        assert_eq!(parse(record, "| doctests | x |\n").unwrap().len(), 2);
        assert!(parse(record, "| doctests of others | x |\n").is_err());
        assert!(parse(&record.replace("'d'", "''"), "| doctests | x |\n").is_err());
    }
}
