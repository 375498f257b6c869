//! Verdicts, one line for each step, kept in a file from run to run.

use super::steps::{Kind, Verdict};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The verdicts so far.
pub(super) struct Results {
    path: PathBuf,
    rows: Vec<Row>,
}

/// The verdict of one step.
struct Row {
    part: String,
    project: String,
    step: String,
    kind: Kind,
    remark: String,
}

impl Results {
    /// An empty file, or what it holds already.
    pub(super) fn open(path: &Path, resume: bool) -> Result<Results, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = match std::fs::read_to_string(path) {
            Ok(text) if resume => text,
            Err(error) if resume && error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {
                std::fs::write(path, "").map_err(failed)?;
                String::new()
            }
        };
        // A line that was cut short has no verdict.
        Ok(Results { path: path.to_owned(), rows: text.lines().filter_map(Row::read).collect() })
    }

    pub(super) fn holds(&self, part: &str, project: &str) -> bool {
        self.rows.iter().any(|row| row.part == part && row.project == project)
    }

    /// Writes down what came of a project.
    pub(super) fn add(&mut self, part: &str, project: &str, verdicts: &[(&str, Verdict)]) -> Result<(), String> {
        let rows: Vec<Row> = verdicts.iter().map(|(step, verdict)| Row::new(part, project, step, verdict)).collect();
        let text: String = rows.iter().map(Row::line).collect();
        let file = std::fs::File::options().append(true).create(true).open(&self.path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| format!("{}: {error}", self.path.display()))?;
        self.rows.extend(rows);
        Ok(())
    }

    pub(super) fn are_good(&self) -> bool {
        self.rows.iter().all(|row| row.kind != Kind::Differs)
    }

    /// For each step how many came out as by cargo, and those that did not.
    pub(super) fn print(&self, part: &str) {
        for step in ["check", "build", "test", "install"] {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.part == part && row.step == step).collect();
            if rows.is_empty() {
                continue;
            }
            let of = |kind: Kind| rows.iter().filter(move |row| row.kind == kind);
            let (same, counted) = (of(Kind::Same).count(), rows.len() - of(Kind::NotCounted).count());
            let share = same as f64 * 100.0 / counted.max(1) as f64;
            println!("== {part}, {step}: {same} of {counted} succeed without a grant ({share:.0} %)");
            for row in of(Kind::Differs).chain(of(Kind::NotCounted)) {
                println!("   {} {}: {}", row.kind.word(), row.project, row.remark);
            }
        }
    }
}

impl Row {
    fn new(part: &str, project: &str, step: &str, verdict: &Verdict) -> Row {
        let remark: Vec<&str> = verdict.remark.split_whitespace().collect();
        Row {
            part: part.to_owned(),
            project: project.to_owned(),
            step: step.to_owned(),
            kind: verdict.kind,
            remark: remark.join(" "),
        }
    }

    fn line(&self) -> String {
        format!("{}\t{}\t{}\t{}\t{}\n", self.part, self.project, self.step, self.kind.word(), self.remark)
    }

    fn read(line: &str) -> Option<Row> {
        let [part, project, step, kind, remark] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
        let kind = [Kind::Same, Kind::Differs, Kind::NotCounted].into_iter().find(|known| known.word() == kind)?;
        let owned = |text: &str| text.to_owned();
        Some(Row { part: owned(part), project: owned(project), step: owned(step), kind, remark: owned(remark) })
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Same => "same",
            Kind::Differs => "differs",
            Kind::NotCounted => "not-counted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Row, Verdict};

    #[test]
    fn a_verdict_is_read_as_it_was_written() {
        let verdict = Verdict { kind: Kind::NotCounted, remark: "cargo fails too:\n\terror".to_owned() };
        let row = Row::new("projects", "a", "build", &verdict);
        let line = row.line();
        assert_eq!(line, "projects\ta\tbuild\tnot-counted\tcargo fails too: error\n");
        assert_eq!(Row::read(line.trim_end()).map(|row| row.line()), Some(line));
        assert!(Row::read("projects\ta\tbuild\tnot-cou").is_none());
    }
}
