//! The file `bulkhead.lock` of a workspace: read, written, and whose approvals are in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_policy::PolicySource;
use bulkhead_schema::bulkhead_lock::{BulkheadLock, MAX_BULKHEAD_LOCK};

use crate::error::Result;
use crate::options::GlobalOptions;
use crate::trusted_files::TrustedFiles;
use crate::{Error, ErrorKind, disk};

/// `bulkhead.lock` of one workspace, and who has looked at it.
pub struct LockFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is there.
    pub exists: bool,
    /// What it says.
    pub lock: BulkheadLock,
    /// Whether the user trusts exactly this content.
    trusted: bool,
}

impl LockFile {
    /// Reads the file; one that is missing says nothing.
    ///
    /// # Errors
    /// `bulkhead-lock` (104): it cannot be understood.
    pub fn read(global: &GlobalOptions, workspace_root: &Path) -> Result<Self> {
        let path = workspace_root.join("bulkhead.lock");
        let disk = &global.place.disk;
        let text: Arc<str> = match disk.read_text(&path, MAX_BULKHEAD_LOCK) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, exists: false, lock: BulkheadLock::default(), trusted: false });
            }
            Err(error) => {
                return Err(Error::failure(format!("failed to read `{}`", path.display())).because(error));
            }
            Ok(text) => text.into(),
        };
        let lock = BulkheadLock::parse(&path, &text)
            .map_err(|finding| Error { kind: ErrorKind::Verification, ..finding.into() })?;
        let trusted = !lock.approvals.is_empty()
            && TrustedFiles::load(disk, &global.place.bulkhead_home)?.contains(&path, text.as_bytes());
        Ok(Self { path, exists: true, lock, trusted })
    }

    /// Whether its approvals are an answer to who asks for them. A project that asks for approvals may bring them along;
    /// where the user or the organisation asks, it is the user who has to have looked.
    pub fn counts_for(&self, asked_by: Option<PolicySource>) -> bool {
        self.trusted || matches!(asked_by, None | Some(PolicySource::Workspace { .. }))
    }

    /// Writes the file. Where every approval in it is the user's, as it is when the user gave all that there are, it stays
    /// so.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save(&self, global: &GlobalOptions, all_are_own: bool) -> Result<()> {
        let text = self.lock.to_string();
        disk::write_atomically(&self.path, text.as_bytes())?;
        if !self.trusted && !all_are_own {
            return Ok(());
        }
        let home = &global.place.bulkhead_home;
        let mut files = TrustedFiles::load(&global.place.disk, home)?;
        files.insert(home, &self.path, text.as_bytes())?;
        files.save(home)
    }
}
