//! One step of one project, by Bulkhead and, where there is something to compare, by cargo.

use super::sources::Project;
use crate::compare::last_lines;
use crate::sides::{Side, Sides};
use bulkhead_test_support::Outcome;
use std::collections::BTreeSet;
use std::fmt::{Display, Formatter};
use std::path::Path;
use std::time::Duration;

/// What came of one step, and what there is to say about it.
pub(super) struct Verdict {
    pub(super) kind: Kind,
    pub(super) remark: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It succeeds; as by cargo, where cargo was asked.
    Same,
    /// Only cargo succeeds, or something else comes out.
    Differs,
    /// Cargo fails too.
    NotCounted,
}

impl Verdict {
    fn new(kind: Kind, remark: impl Into<String>) -> Verdict {
        Verdict { kind, remark: remark.into() }
    }
}

/// How projects are judged.
pub(super) struct Judge<'a> {
    pub(super) sides: &'a Sides,
    /// Cargo is asked only where Bulkhead fails.
    pub(super) alone: bool,
    /// When a step that has not ended counts as one that never does.
    pub(super) limit: Duration,
}

impl Judge<'_> {
    /// The steps of a project, up to the first that leaves nothing for the next ones.
    pub(super) fn verdicts(&self, project: &Project) -> Result<Vec<(&'static str, Verdict)>, String> {
        let mut verdicts = Vec::new();
        for &step in project.steps {
            let verdict = self.verdict(step, project)?;
            println!("{} {step}: {}", project.name, verdict.remark);
            let goes_on = step != "build" || verdict.kind == Kind::Same;
            verdicts.push((step, verdict));
            if !goes_on {
                break;
            }
        }
        Ok(verdicts)
    }

    fn verdict(&self, step: &str, project: &Project) -> Result<Verdict, String> {
        let ours = Done::by(&self.sides.bulkhead, step, project, self.limit)?;
        if ours.succeeded() && (self.alone || step == "build") {
            return Ok(Verdict::new(Kind::Same, format!("{ours}; cargo was not asked")));
        }
        let theirs = Done::by(&self.sides.cargo, step, project, self.limit)?;
        Ok(compared(step, &ours, &theirs))
    }
}

fn compared(step: &str, ours: &Done, theirs: &Done) -> Verdict {
    match (ours.succeeded(), theirs.succeeded()) {
        (true, true) if ours.result == theirs.result => Verdict::new(Kind::Same, format!("{ours}; the same by cargo")),
        (false, false) if step == "test" && ours.result == theirs.result && ours.has_run_tests() => {
            Verdict::new(Kind::Same, format!("{ours}; the same by cargo"))
        }
        (false, false) if !ours.failed_more_than(theirs) => {
            Verdict::new(Kind::NotCounted, format!("cargo fails too: {}", theirs.said()))
        }
        (true, false) => Verdict::new(Kind::NotCounted, format!("only cargo fails: {}", theirs.said())),
        (false, true) => Verdict::new(Kind::Differs, format!("cargo: {theirs}; only Bulkhead fails: {}", ours.said())),
        _ => Verdict::new(Kind::Differs, format!("{ours}; cargo: {theirs}; {}", ours.said())),
    }
}

/// One side's run of a step.
struct Done {
    outcome: Outcome,
    result: Outcomes,
    limit: Duration,
}

/// What is compared.
#[derive(Default, PartialEq, Eq)]
struct Outcomes {
    /// Numbers of tests that passed, failed and were left out.
    tests: [u64; 3],
    failed: BTreeSet<String>,
    installed: BTreeSet<String>,
}

impl Done {
    fn by(side: &Side, step: &str, project: &Project, limit: Duration) -> Result<Done, String> {
        let mut result = Outcomes::default();
        let outcome = match step {
            "check" => built(side, project, &project.root, &["check"], limit),
            "build" => {
                let fetched = fetched(side, project, limit);
                let builds = || built(side, project, &project.root, &["build", "--locked", "--offline"], limit);
                if fetched.code() == Some(0) { builds() } else { fetched }
            }
            "test" => {
                // Cargo has not always built before.
                fetched(side, project, limit);
                let words = ["test", "--locked", "--offline", "--no-fail-fast"];
                let outcome = built(side, project, &project.root, &words, limit);
                result.take_tests(&outcome.stdout);
                outcome
            }
            _ => {
                let root = project.target.join("installed").join(side.name);
                emptied(&root)?;
                let outcome = installed(side, project, &root, limit);
                result.installed = names_in(&root.join("bin"));
                outcome
            }
        };
        Ok(Done { outcome, result, limit })
    }

    fn succeeded(&self) -> bool {
        self.outcome.code() == Some(0)
    }

    fn has_run_tests(&self) -> bool {
        self.result.tests.iter().sum::<u64>() > 0
    }

    fn failed_more_than(&self, other: &Done) -> bool {
        self.outcome.timed_out && !other.outcome.timed_out
            || self.has_run_tests() != other.has_run_tests()
            || !self.result.failed.is_subset(&other.result.failed)
    }

    fn said(&self) -> String {
        if self.outcome.timed_out {
            return format!("did not end in {} minutes", self.limit.as_secs() / 60);
        }
        let failed: Vec<&str> = self.result.failed.iter().map(String::as_str).collect();
        format!("{} {}", failed.join(", "), last_lines(&self.outcome.stderr))
    }
}

impl Display for Done {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let [passed, failed, ignored] = self.result.tests;
        if self.outcome.timed_out {
            return write!(formatter, "did not end in {} minutes", self.limit.as_secs() / 60);
        }
        if self.has_run_tests() {
            write!(formatter, "{passed} passed, {failed} failed, {ignored} ignored")?;
        } else {
            write!(formatter, "{}", if self.succeeded() { "succeeds" } else { "fails" })?;
        }
        if !self.result.installed.is_empty() {
            let names: Vec<&str> = self.result.installed.iter().map(String::as_str).collect();
            write!(formatter, ": {}", names.join(", "))?;
        }
        write!(formatter, " ({:.0} s)", self.outcome.elapsed.as_secs_f64())
    }
}

impl Outcomes {
    /// Adds up what the test programs say at their ends.
    fn take_tests(&mut self, stdout: &str) {
        for line in stdout.lines() {
            if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
                self.failed.insert(name.to_owned());
            }
            let Some(counts) = line.strip_prefix("test result: ") else { continue };
            for part in counts.split([';', '.']) {
                let words: Vec<&str> = part.split_whitespace().collect();
                let [number, what] = words[..] else { continue };
                let place = ["passed", "failed", "ignored"].iter().position(|known| *known == what);
                if let (Some(place), Ok(number)) = (place, number.parse::<u64>()) {
                    self.tests[place] += number;
                }
            }
        }
    }
}

fn fetched(side: &Side, project: &Project, limit: Duration) -> Outcome {
    side.invocation(&project.root, &["fetch", "--locked"]).timeout(limit).run()
}

/// Runs a command that builds, in the side's part of the folder that all projects share.
fn built(side: &Side, project: &Project, folder: &Path, words: &[&str], limit: Duration) -> Outcome {
    let target = project.target.join(side.name);
    let common = ["--config", "profile.dev.debug=false", "--target-dir", &target.to_string_lossy()];
    side.invocation(folder, &[words, &common].concat()).args(&project.arguments).timeout(limit).run()
}

fn installed(side: &Side, project: &Project, root: &Path, limit: Duration) -> Outcome {
    let place = root.to_string_lossy();
    let words = ["install", "--path", ".", "--root", &place, "--debug", "--locked", "--offline"];
    let outcome = built(side, project, &project.package, &words, limit);
    // This machine happens to have a program of that name, which cargo does not mind and Bulkhead asks about.
    let Some(name) = program_in_the_way(&outcome.stderr) else { return outcome };
    println!("   install: with --shadow {name}");
    built(side, project, &project.package, &[&words[..], &["--shadow", name]].concat(), limit)
}

fn program_in_the_way(stderr: &str) -> Option<&str> {
    stderr.split_once("add `--shadow ")?.1.split_once('`').map(|(name, _)| name)
}

fn emptied(folder: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::Outcomes;

    #[test]
    fn results_of_all_test_programs_are_added_up() {
        let mut outcomes = Outcomes::default();
        outcomes.take_tests(
            "test a::b ... ok\ntest c - d (line 3) ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.50s\n",
        );
        assert_eq!(outcomes.tests, [41, 1, 2]);
        assert_eq!(outcomes.failed.into_iter().collect::<Vec<_>>(), ["c - d (line 3)"]);
    }
}
