//! What a workspace looked like when it was last looked at, so that only what changed is written down.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bulkhead_schema::audit::Kind;
use bulkhead_trust::Digest;

use super::{Values, files};
use crate::Error;
use crate::error::Result;

/// Largest state that is read, in bytes.
const MAX_STATE: u64 = 4 << 20;

/// What is not as it was.
pub(super) struct Changes {
    path: PathBuf,
    all: BTreeMap<String, Values>,
    now: Vec<(Kind, Values)>,
}

/// What is different from the last time; `None` if nothing is.
pub(super) fn changes<const N: usize>(home: &Path, scope: &Path, now: [(Kind, Values); N]) -> Result<Option<Changes>> {
    let path = home.join("audit/seen").join(Digest::of(scope.as_os_str().as_encoded_bytes()).to_string());
    let all: BTreeMap<String, Values> = match files::read(&path, MAX_STATE) {
        // What was damaged is as if it had never been seen: all of it is written down once more.
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(Error::failure(format!("failed to read `{}`", path.display())).because(error)),
    };
    let is_new = |(kind, now): &(Kind, Values)| all.get(kind.name()).map_or(!now.is_empty(), |before| before != now);
    let now: Vec<_> = now.into_iter().filter(is_new).collect();
    Ok((!now.is_empty()).then_some(Changes { path, all, now }))
}

impl Changes {
    /// Each subject that differs, with its value before and now.
    pub(super) fn differences(&self) -> impl Iterator<Item = (Kind, &str, Option<&str>, Option<&str>)> {
        self.now.iter().flat_map(|(kind, now)| {
            let before = self.all.get(kind.name());
            let gone = before.into_iter().flatten().filter(|(subject, _)| !now.contains_key(*subject));
            let gone = gone.map(|(subject, value)| (*kind, subject.as_str(), Some(value.as_str()), None));
            let here = now.iter().filter_map(move |(subject, value)| {
                let old = before.and_then(|before| before.get(subject)).map(String::as_str);
                (old != Some(value)).then_some((*kind, subject.as_str(), old, Some(value.as_str())))
            });
            gone.chain(here)
        })
    }

    /// Remembers how it is now.
    pub(super) fn keep(mut self) -> Result<()> {
        self.all.extend(self.now.into_iter().map(|(kind, values)| (kind.name().to_owned(), values)));
        let text = serde_json::to_string(&self.all).map_err(|error| Error::failure("no JSON").because(error))?;
        crate::disk::create_private(self.path.parent().unwrap_or(&self.path))?;
        crate::disk::write_private(&self.path, text.as_bytes())
    }
}
