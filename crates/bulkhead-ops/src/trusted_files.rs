//! The project files that the user has enrolled with `bulkhead trust`: bound to path and content.

#![expect(clippy::disallowed_methods, reason = "what is removed is no input of any answer")]

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

    /// Enrols `content` under `path`, and keeps it to tell later what changed.
    ///
    /// # Errors
    /// The path is not plain text; the disk refuses.
    pub fn insert(&mut self, bulkhead_home: &Path, path: &Path, content: &[u8]) -> Result<()> {
        let digest = digest(content);
        let kept = Self::content_path(bulkhead_home, &digest);
        if !self.record.insert(path, digest) {
            return Err(Error::failure(format!("`{}` cannot be trusted: its path is not UTF-8", path.display())));
        }
        disk::create_private(kept.parent().unwrap_or(bulkhead_home))?;
        disk::write_private(&kept, content)
    }

    fn content_path(bulkhead_home: &Path, digest: &Digest) -> PathBuf {
        let digest = digest.as_str();
        bulkhead_home.join("trust/contents").join(digest.strip_prefix("sha256:").unwrap_or(digest))
    }

    /// The digest under which a file is enrolled.
    pub fn digest_of(&self, path: &Path) -> Option<&Digest> {
        self.iter().find(|(enrolled, _)| Path::new(enrolled) == path).map(|(_, digest)| digest)
    }

    /// What a file held when it was enrolled; `None` if it is not enrolled, or if that is not there any more.
    pub fn enrolled(&self, bulkhead_home: &Path, path: &Path) -> Option<String> {
        let wanted = self.digest_of(path)?;
        let kept = Self::content_path(bulkhead_home, wanted);
        let content = Disk::default().read_text(&kept, MAX_RECORD_SIZE).ok()?;
        (digest(content.as_bytes()) == *wanted).then_some(content)
    }

    /// Forgets a file. Returns under which digest it was enrolled.
    pub fn remove(&mut self, path: &Path) -> Option<Digest> {
        let digest = self.digest_of(path)?.clone();
        self.record.remove(path).then_some(digest)
    }

    /// Removes what was kept of contents that no file is enrolled with any more.
    pub fn forget_contents(&self, bulkhead_home: &Path) {
        let used: Vec<_> = self.iter().map(|(_, digest)| Self::content_path(bulkhead_home, digest)).collect();
        for entry in std::fs::read_dir(bulkhead_home.join("trust/contents")).into_iter().flatten().flatten() {
            if !used.contains(&entry.path()) {
                // What stays costs a few bytes.
                let _ = std::fs::remove_file(entry.path());
            }
        }
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
        disk::write_private(&path, self.record.to_string().as_bytes())
    }
}

/// The digest by which content is trusted.
pub(crate) fn digest(content: &[u8]) -> Digest {
    Digest::from_sha256(*bulkhead_trust::Digest::of(content).as_bytes())
}
