//! What was compared, and what came of it.

use super::known::Known;
use std::collections::BTreeMap;

/// Lines of differences are cut after so many characters.
const LONGEST: usize = 500;

/// The result of one comparison.
pub(crate) enum Verdict {
    Same,
    /// What differs, ready to print.
    Different(String),
    /// Why it could not be compared.
    Skipped(String),
}

impl Verdict {
    /// Same when the text that describes the differences is empty.
    pub(crate) fn from_differences(differences: String) -> Verdict {
        if differences.is_empty() { Verdict::Same } else { Verdict::Different(differences) }
    }

    /// Compares two values that are short to print.
    pub(crate) fn of_values<T: PartialEq + std::fmt::Debug>(cargo: &T, bulkhead: &T) -> Verdict {
        if cargo == bulkhead {
            return Verdict::Same;
        }
        Verdict::Different(format!("cargo:    {cargo:?}\nbulkhead: {bulkhead:?}\n"))
    }
}

/// What came of a comparison, as the tables call it.
const OUTCOMES: [&str; 4] = ["same", "DIFFERENT", "recorded", "skipped"];

struct Row {
    part: &'static str,
    subject: String,
    check: String,
    /// One of [`OUTCOMES`].
    outcome: &'static str,
}

/// Every comparison so far.
pub(crate) struct Report {
    rows: Vec<Row>,
    known: Vec<Known>,
    part: &'static str,
    /// Parts that were compared as a whole, in which each record has to be of use.
    whole: Vec<&'static str>,
}

impl Report {
    /// A report that knows what differs on purpose.
    pub(crate) fn new(known: Vec<Known>) -> Report {
        Report { rows: Vec::new(), known, part: "", whole: Vec::new() }
    }

    /// What follows belongs to `part`; `whole` says that nothing of it is left out.
    pub(crate) fn begin(&mut self, part: &'static str, whole: bool) {
        self.part = part;
        self.whole.extend(whole.then_some(part));
    }

    #[expect(clippy::needless_pass_by_value, reason = "a verdict is made to be handed in")]
    /// Notes one comparison, and prints it at once if there is something to say.
    pub(crate) fn add(&mut self, subject: &str, check: &str, verdict: Verdict) {
        let outcome = match &verdict {
            Verdict::Same => "same",
            Verdict::Different(text) if self.is_known(subject, check, text) => "recorded",
            Verdict::Different(text) => {
                println!("DIFFERENT {subject}: {check}");
                for line in text.lines() {
                    let shown: String = line.chars().take(LONGEST).collect();
                    println!("    {shown}{}", if shown.len() < line.len() { "…" } else { "" });
                }
                "DIFFERENT"
            }
            Verdict::Skipped(why) => {
                println!("skipped {subject}: {check}: {}", why.trim_end());
                "skipped"
            }
        };
        self.rows.push(Row { part: self.part, subject: subject.to_owned(), check: check.to_owned(), outcome });
    }

    fn is_known(&self, subject: &str, check: &str, text: &str) -> bool {
        self.known.iter().any(|known| known.is_about(self.part, subject, check) && text.contains(&known.shows))
    }

    /// Prints the tables; true when nothing differs but what is recorded, and every record is of use.
    pub(crate) fn print_summary(&self) -> bool {
        let mut checks: BTreeMap<&str, [usize; OUTCOMES.len()]> = BTreeMap::new();
        for row in &self.rows {
            let column = OUTCOMES.iter().position(|name| *name == row.outcome).unwrap_or(0);
            checks.entry(&row.check).or_default()[column] += 1;
        }
        println!("\n| check | same | different | recorded | skipped |\n|---|---:|---:|---:|---:|");
        for (check, [same, different, recorded, skipped]) in &checks {
            println!("| {check} | {same} | {different} | {recorded} | {skipped} |");
        }
        self.print_recorded();
        let differing: Vec<_> = self.rows.iter().filter(|row| row.outcome == "DIFFERENT").collect();
        print_list("Different", differing.iter().map(|row| format!("{}: {}: {}", row.part, row.subject, row.check)));
        let stale = self.stale();
        let tell = |known: &&Known| format!("{}: {}: {}", known.part, known.subject, known.check);
        print_list("Recorded in xtask/data/known-differences.toml, and not seen", stale.iter().map(tell));
        let counts = (self.rows.len(), differing.len(), stale.len());
        println!("\ncompare: {} comparisons, {} different, {} stale records", counts.0, counts.1, counts.2);
        differing.is_empty() && stale.is_empty()
    }

    /// What differs on purpose, under the row of docs/differences.md that says why.
    fn print_recorded(&self) {
        let recorded = self.rows.iter().filter(|row| row.outcome == "recorded");
        let tell = |row: &Row| {
            let known = self.known.iter().find(|known| known.is_about(row.part, &row.subject, &row.check));
            let why = known.map_or("", |known| known.row.as_str());
            format!("{}: {}: {} ({why})", row.part, row.subject, row.check)
        };
        print_list("Different as docs/differences.md says", recorded.map(tell));
    }

    /// Records whose comparison was made, or should have been, and did not differ in that way.
    fn stale(&self) -> Vec<&Known> {
        let used = |known: &Known| {
            let mut rows = self.rows.iter().filter(|row| known.is_about(row.part, &row.subject, &row.check)).peekable();
            match rows.peek() {
                None => !self.whole.contains(&known.part.as_str()),
                Some(_) => rows.any(|row| row.outcome != "same"),
            }
        };
        self.known.iter().filter(|known| !used(known)).collect()
    }
}

fn print_list(title: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        println!("\n{title}:");
        lines.iter().for_each(|line| println!("- {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(known: &[(&str, &str, &str)]) -> Report {
        let known = known.iter().map(|(part, subject, shows)| Known {
            part: (*part).to_owned(),
            subject: (*subject).to_owned(),
            check: "tree".to_owned(),
            shows: (*shows).to_owned(),
            row: "`tree`".to_owned(),
        });
        let mut report = Report::new(known.collect());
        report.begin("sources", true);
        report
    }

    fn different() -> Verdict {
        Verdict::Different("-a (ambiguous)\n".to_owned())
    }

    #[test]
    fn only_what_is_recorded_may_differ() {
        let mut exact = report(&[("sources", "patch", "ambiguous")]);
        exact.add("patch", "tree", different());
        assert!(exact.print_summary());
        exact.add("replace", "tree", different());
        assert!(!exact.print_summary());
    }

    #[test]
    fn a_record_is_of_one_part_one_check_and_one_difference() {
        for known in [("lock", "patch", "ambiguous"), ("sources", "patch", "another")] {
            let mut report = report(&[known]);
            report.add("patch", "tree", different());
            assert!(!report.print_summary(), "{known:?}");
        }
        let mut report = report(&[("sources", "patch", "ambiguous")]);
        report.add("patch", "metadata", different());
        assert!(!report.print_summary());
    }

    #[test]
    fn a_record_that_is_not_seen_is_stale() {
        let mut same = report(&[("sources", "patch", "ambiguous")]);
        same.add("patch", "tree", Verdict::Same);
        assert!(!same.print_summary());
        let never = report(&[("sources", "patch", "ambiguous")]);
        assert!(!never.print_summary());
        let mut narrowed = report(&[("lock", "patch", "ambiguous")]);
        narrowed.begin("lock", false);
        assert!(narrowed.print_summary());
    }
}
