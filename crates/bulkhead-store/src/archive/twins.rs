//! Files that some file systems take for one, such as `README.md` and `readme.md`. Where they are equal it does not matter
//! which of them is read; where they are not, a package would be another one elsewhere.

use std::collections::HashMap;
use std::io;

use bulkhead_trust::{Digest, Hasher};

use super::{Refusal, Sink};
use crate::names::confused;

/// Two paths for which some file systems have one place.
pub(super) struct Twins {
    pub(super) first: String,
    pub(super) second: String,
}

/// Takes the digests of twins in a second walk over the archive: few archives have any, and the others need no digests.
pub(super) struct Comparison<'a> {
    twins: &'a [Twins],
    /// Whether it is executable, and its content, by path.
    files: HashMap<&'a str, (bool, Hasher)>,
    /// The twin whose content is coming.
    current: Option<&'a str>,
}

impl<'a> Comparison<'a> {
    pub(super) fn of(twins: &'a [Twins]) -> Self {
        let paths = twins.iter().flat_map(|Twins { first, second }| [first.as_str(), second.as_str()]);
        Self { twins, files: paths.map(|path| (path, (false, Hasher::new()))).collect(), current: None }
    }

    /// Refuses the first pair that is not equal.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        let files: HashMap<&str, (bool, Digest)> =
            self.files.into_iter().map(|(path, (executable, hasher))| (path, (executable, hasher.finish()))).collect();
        let differing = self.twins.iter().find(|twins| files.get(&*twins.first) != files.get(&*twins.second));
        match differing {
            None => Ok(()),
            Some(Twins { first, second }) => {
                let reason = format!("{}, and the two are not the same", confused(first));
                Err(Refusal::of_entry(second.as_bytes(), reason))
            }
        }
    }
}

impl Sink for Comparison<'_> {
    fn folder(&mut self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn file(&mut self, path: &str, executable: bool, _size: u64) -> io::Result<()> {
        self.current = self.files.get_key_value(path).map(|(&path, _)| path);
        if let Some((known, _)) = self.current.and_then(|path| self.files.get_mut(path)) {
            *known = executable;
        }
        Ok(())
    }

    fn content(&mut self, part: &[u8]) -> io::Result<()> {
        if let Some((_, hasher)) = self.current.and_then(|path| self.files.get_mut(path)) {
            hasher.update(part);
        }
        Ok(())
    }
}
