//! The project files that the user has enrolled with `bulkhead trust`: bound to path and content.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::policy::{Digest, TrustRecord};

use crate::error::Result;
use crate::observed::Disk;
use crate::{Error, disk};

/// Largest record that is read, in bytes.
const MAX_RECORD_SIZE: u64 = 16 << 20;

/// `trust/files.toml` in `BULKHEAD_HOME`.
#[derive(Debug, Clone, Default)]
pub struct TrustedFiles {
    record: TrustRecord,
}

impl TrustedFiles {
    /// Reads the record; a missing one is empty.
    ///
    /// # Errors
    /// The record can be written by others or is damaged: nothing is trusted on doubtful grounds.
    pub fn load(disk: &Disk, bulkhead_home: &Path) -> Result<Self> {
        let path = Self::path(bulkhead_home);
        let text: Arc<str> = match disk.read_text(&path, MAX_RECORD_SIZE) {
            Ok(text) => text.into(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::failure(format!("failed to read `{}`", path.display())).because(error)),
        };
        disk.check_ownership(&path).map_err(|reason| {
            Error::failure(format!("`{}` {reason}", path.display())).help("delete it, then trust again")
        })?;
        Ok(Self { record: TrustRecord::parse(&path, &text)? })
    }

    fn path(bulkhead_home: &Path) -> PathBuf {
        bulkhead_home.join("trust/files.toml")
    }

    /// Whether exactly this content is enrolled under this path.
    pub fn contains(&self, path: &Path, content: &[u8]) -> bool {
        self.record.contains(path, &digest(content))
    }

    /// Enrols `content` under `path`.
    ///
    /// # Errors
    /// The path is not plain text.
    pub fn insert(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        if self.record.insert(path, digest(content)) {
            return Ok(());
        }
        Err(Error::failure(format!("`{}` cannot be trusted: its path is not UTF-8", path.display())))
    }

    /// Forgets a file. Returns whether it was enrolled.
    pub fn remove(&mut self, path: &Path) -> bool {
        self.record.remove(path)
    }

    /// Path and digest of every enrolled file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.record.files()
    }

    /// Writes the record.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save(&self, bulkhead_home: &Path) -> Result<()> {
        let path = Self::path(bulkhead_home);
        let folder = path.parent().unwrap_or(bulkhead_home);
        disk::create_private(folder)?;
        disk::write_atomically(&path, self.record.to_string().as_bytes())
    }
}

fn digest(content: &[u8]) -> Digest {
    Digest::from_sha256(*bulkhead_trust::Digest::of(content).as_bytes())
}
