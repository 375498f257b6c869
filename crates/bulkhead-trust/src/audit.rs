//! The chain of the audit log: each entry holds the hash of the one before, and a head that is kept elsewhere says where the
//! log begins and ends. So what is changed, taken out, put between or cut off does not go unnoticed, unless head and log
//! are both rewritten by somebody who may write both.

use bulkhead_schema::audit::{Entry, Kind, Record};

use crate::Digest;

/// Where the log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 before the first.
    pub sequence: u64,
    /// Its hash.
    pub hash: Digest,
    /// The number of the entry before the oldest that is kept.
    pub base: u64,
    /// Its hash.
    pub base_hash: Digest,
}

impl Default for Head {
    fn default() -> Self {
        let none = Digest::from_bytes([0; 32]);
        Self { sequence: 0, hash: none, base: 0, base_hash: none }
    }
}

impl Head {
    /// The entry that follows, and the head with it.
    pub fn append(&self, record: Record, time: String) -> (Entry, Self) {
        let mut entry = Entry::new(record, self.sequence + 1, time, self.hash.to_string());
        let hash = Digest::of(entry.body().as_bytes());
        entry.hash = hash.to_string();
        let sequence = entry.sequence;
        (entry, Self { sequence, hash, ..*self })
    }

    /// The head as one line: numbers and hashes of end and beginning.
    pub fn line(&self) -> String {
        format!("{} {} {} {}", self.sequence, self.hash, self.base, self.base_hash)
    }

    /// Reads what [`line`](Self::line) wrote.
    pub fn parse(line: &str) -> Option<Self> {
        let [sequence, hash, base, base_hash] = line.trim_end().split(' ').collect::<Vec<_>>().try_into().ok()?;
        Some(Self {
            sequence: sequence.parse().ok()?,
            hash: Digest::parse(hash).ok()?,
            base: base.parse().ok()?,
            base_hash: Digest::parse(base_hash).ok()?,
        })
    }
}

/// Something about the log is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The number of the entry where it shows.
    pub sequence: u64,
    /// What is wrong, one clause.
    pub reason: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "entry {}: {}", self.sequence, self.reason)
    }
}
impl std::error::Error for Broken {}

/// A walk along the log.
#[derive(Debug)]
pub struct Walk {
    head: Head,
    sequence: u64,
    hash: Digest,
    /// Whether the walk came by the entry that the head names.
    met_head: bool,
    /// Entries that say of losses before them.
    losses: Vec<u64>,
}

impl Walk {
    /// A walk from the beginning that `head` names.
    pub fn new(head: Head) -> Self {
        Self {
            sequence: head.base,
            hash: head.base_hash,
            met_head: head.sequence == head.base,
            losses: Vec::new(),
            head,
        }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// It does not follow the one before.
    pub fn step(&mut self, line: &str) -> Result<Entry, Broken> {
        let sequence = self.sequence + 1;
        let broken = |reason: String| Broken { sequence, reason };
        let entry = Entry::parse(line).map_err(broken)?;
        if entry.sequence != sequence && entry.kind != Kind::LogDamaged {
            return Err(broken(format!("entry {} stands in its place: entries are missing", entry.sequence)));
        }
        let hash = Digest::of(entry.body().as_bytes());
        if entry.hash != hash.to_string() {
            return Err(broken("it was changed after it was written".to_owned()));
        }
        if entry.kind == Kind::LogDamaged {
            // Written when the loss was noticed: the chain goes on from the head, so that nobody can deny it.
            self.losses.push(entry.sequence);
        } else if entry.previous != self.hash.to_string() {
            return Err(broken("it does not follow the entry before it".to_owned()));
        }
        (self.sequence, self.hash) = (entry.sequence, hash);
        if self.sequence == self.head.sequence {
            if hash != self.head.hash {
                return Err(broken("it is another entry than the one that was written last".to_owned()));
            }
            self.met_head = true;
        }
        Ok(entry)
    }

    /// Ends the walk; the number of the last entry.
    ///
    /// # Errors
    /// The log ends before its head, or it says itself that entries are missing.
    pub fn finish(self) -> Result<u64, Broken> {
        if !self.met_head {
            let reason = format!("the log ends here, but {} entries had been written", self.head.sequence);
            return Err(Broken { sequence: self.sequence, reason });
        }
        match self.losses.first() {
            Some(&sequence) => Err(Broken { sequence, reason: "entries before it are missing".to_owned() }),
            None => Ok(self.sequence),
        }
    }

    /// Where the chain ends as far as it was walked.
    pub fn end(&self) -> Head {
        Head { sequence: self.sequence, hash: self.hash, ..self.head }
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, Walk};
    use bulkhead_schema::audit::{Kind, Record};

    fn record(kind: Kind, subject: &str) -> Record {
        Record { kind, subject: subject.to_owned(), details: Default::default() }
    }

    fn log(subjects: &[&str]) -> (Vec<String>, Head) {
        let mut head = Head::default();
        let lines = subjects.iter().map(|subject| {
            let (entry, next) = head.append(record(Kind::Trust, subject), "2026".to_owned());
            head = next;
            entry.line()
        });
        (lines.collect(), head)
    }

    fn walk(lines: &[String], head: Head) -> Result<u64, String> {
        let mut walk = Walk::new(head);
        lines.iter().try_for_each(|line| walk.step(line).map(drop)).map_err(|broken| broken.to_string())?;
        walk.finish().map_err(|broken| broken.to_string())
    }

    #[test]
    fn what_is_whole_is_found_whole() {
        let (lines, head) = log(&["a", "b", "c"]);
        assert_eq!(walk(&lines, head), Ok(3));
        assert_eq!(Head::parse(&head.line()), Some(head));
        assert_eq!(walk(&[], Head::default()), Ok(0));
        // A writer was killed between the line and the head.
        let (_, behind) = log(&["a", "b"]);
        assert_eq!(walk(&lines, behind), Ok(3));
        // The oldest entries went by rotation.
        let (_, base) = log(&["a"]);
        assert_eq!(walk(&lines[1..], Head { base: 1, base_hash: base.hash, ..head }), Ok(3));
    }

    #[test]
    fn every_change_shows() {
        let (lines, head) = log(&["a", "b", "c"]);
        let (others, _) = log(&["a", "x", "c"]);
        let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat();
        let cases = [
            ("cut off", lines[..2].to_vec(), "ends here"),
            ("emptied", Vec::new(), "ends here"),
            ("one taken out", without(1), "missing"),
            ("the first taken out", without(0), "missing"),
            ("one changed", vec![lines[0].clone(), lines[1].replace("\"b\"", "\"x\""), lines[2].clone()], "changed"),
            ("one of another log", vec![lines[0].clone(), others[1].clone(), lines[2].clone()], "does not follow"),
            ("another log", others, "another entry"),
            ("turned round", vec![lines[1].clone(), lines[0].clone(), lines[2].clone()], "missing"),
            ("said twice", vec![lines[0].clone(), lines[0].clone(), lines[1].clone()], "missing"),
            ("no line of ours", vec!["{}".to_owned()], "no entry"),
        ];
        for (name, lines, expected) in cases {
            let found = walk(&lines, head).unwrap_err();
            assert!(found.contains(expected), "{name}: {found}");
        }
    }

    #[test]
    fn a_loss_that_was_noticed_cannot_be_denied() {
        let (lines, head) = log(&["a", "b", "c"]);
        let (damaged, head) = head.append(record(Kind::LogDamaged, "1"), "2026".to_owned());
        let (entry, head) = head.append(record(Kind::Trust, "d"), "2026".to_owned());
        let kept = [lines[0].clone(), damaged.line(), entry.line()];
        assert!(walk(&kept, head).unwrap_err().contains("entries before it are missing"));
        assert!(walk(&[lines[0].clone(), entry.line()], head).unwrap_err().contains("missing"));
    }
}
