//! What was compared, and what came of it.

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

/// Every comparison so far.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(String, String, &'static str)>,
}

impl Report {
    #[expect(clippy::needless_pass_by_value, reason = "a verdict is made to be handed in")]
    /// Notes one comparison, and prints it at once if there is something to say.
    pub(crate) fn add(&mut self, subject: &str, check: &str, verdict: Verdict) {
        let word = match &verdict {
            Verdict::Same => "same",
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
        self.rows.push((subject.to_owned(), check.to_owned(), word));
    }

    /// Prints the table; true when nothing differs.
    pub(crate) fn print_summary(&self) -> bool {
        let mut checks: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for (_, check, word) in &self.rows {
            let column = ["same", "DIFFERENT", "skipped"].iter().position(|name| name == word).unwrap_or(2);
            checks.entry(check).or_default()[column] += 1;
        }
        println!("\n| check | same | different | skipped |\n|---|---:|---:|---:|");
        for (check, [same, different, skipped]) in &checks {
            println!("| {check} | {same} | {different} | {skipped} |");
        }
        let differing: Vec<_> = self.rows.iter().filter(|row| row.2 == "DIFFERENT").collect();
        if !differing.is_empty() {
            println!("\nDifferent:");
            for (subject, check, _) in &differing {
                println!("- {subject}: {check}");
            }
        }
        println!("\ncompare: {} comparisons, {} different", self.rows.len(), differing.len());
        differing.is_empty()
    }
}
