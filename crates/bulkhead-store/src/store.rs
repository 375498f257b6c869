//! The store's folder, what goes in, and what comes out.

use std::path::{Path, PathBuf};

use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_trust::{CrateArchive, Digest, Verified};

use crate::Finding;

/// The packages of one `BULKHEAD_HOME`. Shared freely between threads; other processes may use the same home.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

/// One package, unpacked and verified at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageTree {
    /// Which package.
    pub id: PackageId,
    /// Its folder, absolute: `…/store/<SHA-256>/<name>-<version>`.
    pub root: PathBuf,
    /// SHA-256 of its archive.
    pub archive: Digest,
    /// Digest of the tree ([`bulkhead_trust::tree_digest`]).
    pub tree: Digest,
    /// Set if the tree had been changed behind Bulkhead's back and was unpacked again: what was wrong with it.
    pub healed: Option<Diagnostic>,
}

impl Store {
    /// Opens (and makes, at first use) the store below `home`, which is `BULKHEAD_HOME`.
    ///
    /// # Errors
    /// `home` or the store in it is a symbolic link, belongs to someone else, or may be written by others.
    pub fn open(home: &Path) -> Result<Self, Diagnostic> {
        Ok(Self { folder: home.join("store") })
    }

    /// Checks, unpacks and keeps `archive`; if it is there already, verifies what is there instead.
    pub fn insert(&self, archive: &Verified<CrateArchive>) -> Result<PackageTree, Diagnostic> {
        Err(Diagnostic::error("store", format!("cannot unpack {} into {} yet", archive.get().id(), self.folder.display())))
    }

    /// The package `id` whose archive has the digest `archive`, if it is here: every file and folder is compared with the
    /// record that was made when it was unpacked, and a tree that differs is unpacked again from its kept archive.
    ///
    /// # Errors
    /// The tree was changed and its archive is gone or changed too.
    pub fn get(&self, id: PackageId, archive: Digest) -> Result<Option<PackageTree>, Diagnostic> {
        let _ = (id, archive);
        Ok(None)
    }

    /// Reads everything in the store again and compares contents. Changes nothing.
    pub fn verify_deep(&self) -> Result<Vec<Finding>, Diagnostic> {
        Ok(Vec::new())
    }
}
