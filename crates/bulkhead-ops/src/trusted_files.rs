//! The configuration files that the user has enrolled with `bulkhead trust`: bound to path and content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_trust::Digest;

use crate::error::Result;
use crate::{Error, disk};

/// `trust/files` in `BULKHEAD_HOME`: one line `SHA256 PATH` for each enrolled file.
#[derive(Debug, Clone, Default)]
pub struct TrustedFiles {
    digests: BTreeMap<PathBuf, String>,
}

impl TrustedFiles {
    /// Reads the record; a missing one is empty.
    ///
    /// # Errors
    /// The record can be written by others or is damaged: nothing is trusted on doubtful grounds.
    pub fn load(bulkhead_home: &Path) -> Result<Self> {
        let path = Self::path(bulkhead_home);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Self::default()) };
        disk::check_ownership(&path).map_err(|reason| {
            Error::failure(format!("`{}` {reason}", path.display())).help("delete it, then trust again")
        })?;
        let digests = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Self { digests: digests.map(|(digest, path)| (PathBuf::from(path), digest.to_owned())).collect() })
    }

    fn path(bulkhead_home: &Path) -> PathBuf {
        bulkhead_home.join("trust/files")
    }

    /// Whether exactly this content is enrolled under this path.
    pub fn contains(&self, path: &Path, content: &[u8]) -> bool {
        self.digests.get(path).is_some_and(|digest| *digest == Digest::of(content).to_string())
    }

    /// Enrols `content` under `path`.
    pub fn insert(&mut self, path: &Path, content: &[u8]) {
        self.digests.insert(path.to_path_buf(), Digest::of(content).to_string());
    }

    /// Forgets a file. Returns whether it was enrolled.
    pub fn remove(&mut self, path: &Path) -> bool {
        self.digests.remove(path).is_some()
    }

    /// Path and digest of every enrolled file.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.digests.iter().map(|(path, digest)| (path.as_path(), digest.as_str()))
    }

    /// Writes the record.
    ///
    /// # Errors
    /// A path holds a line break, or the disk refuses.
    pub fn save(&self, bulkhead_home: &Path) -> Result<()> {
        let path = Self::path(bulkhead_home);
        let folder = path.parent().unwrap_or(bulkhead_home);
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::failure(format!("failed to create `{}`", folder.display())).because(error))?;
        let mut text = String::new();
        for (path, digest) in &self.digests {
            let path = path.to_str().filter(|path| !path.contains('\n')).ok_or_else(|| {
                Error::failure(format!("`{}` cannot be trusted: its path is not plain text", path.display()))
            })?;
            text.push_str(&format!("{digest} {path}\n"));
        }
        disk::write_atomically(&path, text.as_bytes())
    }
}
