//! What is in the cache, what of it is damaged, and what goes when there is too much.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, SystemTime};

use bulkhead_schema::Diagnostic;
use bulkhead_trust::Digest;
use rustix::fs::AtFlags;

use super::{ENTRY, Entry, UnitCache};
use crate::Finding;
use crate::folder::{failed, names_in, open_folder};

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries.
    pub entries: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// What went.
    pub removed: Stats,
    /// What is left.
    pub left: Stats,
}

/// One entry, as far as it matters to which one goes first.
struct Candidate {
    key: Digest,
    bytes: u64,
    used: SystemTime,
}

impl UnitCache {
    /// Counts everything.
    ///
    /// # Errors
    /// `store-file`: the disk refuses.
    pub fn stats(&self) -> Result<Stats, Diagnostic> {
        let candidates = self.candidates()?;
        Ok(sum(&candidates))
    }

    /// Removes what has not been used for `age`, then what was not used for the longest time, until `bytes` are left.
    ///
    /// # Errors
    /// `store-file`: the disk refuses.
    pub fn collect(&self, bytes: u64, age: Duration) -> Result<Collected, Diagnostic> {
        let mut candidates = self.candidates()?;
        candidates.sort_by(|a, b| a.used.cmp(&b.used).then(a.key.cmp(&b.key)));
        let before = sum(&candidates);
        let oldest = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut left = before;
        for candidate in candidates {
            if left.bytes <= bytes && candidate.used >= oldest {
                break;
            }
            self.remove(candidate.key)
                .map_err(|error| failed("remove", &self.path.join(candidate.key.to_string()), error))?;
            left.entries -= 1;
            left.bytes -= candidate.bytes;
        }
        let removed = Stats { entries: before.entries - left.entries, bytes: before.bytes - left.bytes };
        Ok(Collected { removed, left })
    }

    /// Reads everything and compares it with its digests and seals. What is damaged is removed, and told.
    ///
    /// # Errors
    /// `store-file`: the disk refuses.
    pub fn verify(&self) -> Result<(Stats, Vec<Finding>), Diagnostic> {
        let mut findings = Vec::new();
        for key in self.keys()? {
            match self.get(key) {
                Ok(Some(entry)) => findings.extend(self.check(key, &entry)),
                Ok(None) => {}
                Err(finding) => findings.push(finding),
            }
        }
        Ok((self.stats()?, findings))
    }

    fn check(&self, key: Digest, entry: &Entry) -> Option<Finding> {
        let error = entry.check().err().filter(|_| self.holds(key, entry))?;
        Some(self.refuse(key, error.to_string()))
    }

    fn keys(&self) -> Result<Vec<Digest>, Diagnostic> {
        let names = names_in(self.folder.as_fd()).map_err(|error| failed("list", &self.path, error))?;
        Ok(names.iter().filter_map(|name| Digest::parse(name.to_str()?).ok()).collect())
    }

    fn candidates(&self) -> Result<Vec<Candidate>, Diagnostic> {
        Ok(self.keys()?.into_iter().map(|key| self.candidate(key)).collect())
    }

    /// An entry that cannot be looked at was never used, and is the first to go.
    fn candidate(&self, key: Digest) -> Candidate {
        let look = || -> io::Result<Candidate> {
            let folder = open_folder(&self.folder, key.to_string().as_ref())?;
            let (mut bytes, mut used) = (0, SystemTime::UNIX_EPOCH);
            for name in names_in(folder.as_fd())? {
                let stat = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                bytes += stat.st_size.cast_unsigned();
                if name == ENTRY {
                    let seconds = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
                    let fraction = Duration::from_nanos(stat.st_mtime_nsec);
                    used = SystemTime::UNIX_EPOCH + seconds + fraction;
                }
            }
            Ok(Candidate { key, bytes, used })
        };
        look().unwrap_or(Candidate { key, bytes: 0, used: SystemTime::UNIX_EPOCH })
    }
}

fn sum(candidates: &[Candidate]) -> Stats {
    Stats { entries: candidates.len() as u64, bytes: candidates.iter().map(|candidate| candidate.bytes).sum() }
}
