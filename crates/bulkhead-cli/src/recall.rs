//! Giving an answer again that was given before, without looking at what was asked: the command line is not even parsed.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use bulkhead_ops::observed::Disk;
use bulkhead_ops::snapshot::{self, Answer, Question};

use crate::place;
use crate::shell::Shell;

/// Set to `0`, nothing is recalled and nothing is kept to be recalled.
const SWITCH: &str = "BULKHEAD_SNAPSHOTS";

/// One question, by which its answer is found again.
pub(crate) struct Recall {
    home: PathBuf,
    question: snapshot::Digest,
    disk: Disk,
}

impl Recall {
    /// The question that `arguments` ask here. `None` if its answer is not to be kept, or if there is no place for it.
    pub(crate) fn new(arguments: &[OsString], disk: &Disk) -> Option<Self> {
        let place = place::read(None, disk.clone()).ok()?;
        if place.variable(SWITCH) == Some("0") {
            return None;
        }
        let (stdout, stderr) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let width = stderr.then(crate::terminal::width).flatten();
        let surroundings = format!("{stdout} {stderr} {width:?}");
        let question = Question { arguments, place: &place, surroundings: &surroundings };
        Some(Self { question: question.digest(), home: place.bulkhead_home, disk: disk.clone() })
    }

    /// The answer, if it was given before and nothing that it depends on has changed since.
    pub(crate) fn answer(&self) -> Option<Answer> {
        snapshot::find(&self.home, self.question)
    }

    /// Keeps what a command that succeeded has printed, if saying it again is all that the same command would do.
    pub(crate) fn keep(&self, shell: &Shell) {
        let Some(answer) = shell.transcript() else { return };
        // Another version of this program may answer otherwise.
        let is_known = std::env::current_exe().is_ok_and(|program| self.disk.metadata(&program).is_ok());
        if let Some(inputs) = self.disk.inputs().filter(|_| is_known) {
            // An answer that cannot be kept costs time, not correctness.
            let _ = snapshot::keep(&self.home, self.question, &inputs, &answer);
        }
    }
}
