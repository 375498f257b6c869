//! Between a [`Resolve`] and a `Cargo.lock`: encoding, decoding, and what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_schema::lockfile::Lockfile;
use bulkhead_schema::{PackageId, PackageName, Summary};
use semver::Version;

use crate::{Registry, Resolve};

/// A lockfile whose packages have been identified: what the resolver prefers and keeps.
#[derive(Debug, Clone, Default)]
pub struct Previous {
    /// Each package with what it depends on.
    pub packages: BTreeMap<PackageId, BTreeSet<PackageId>>,
    /// Checksums by package, where recorded.
    pub checksums: BTreeMap<PackageId, String>,
    /// `[[patch.unused]]`
    pub unused_patches: Vec<PackageId>,
    /// Unknown `[metadata]`, kept.
    pub metadata: BTreeMap<String, String>,
}

/// Identifies the packages of `lockfile`. Packages without a source are looked up among `local` (members, path packages
/// and path patches) by name, and by version where a name is ambiguous; those that are gone are left out.
pub fn decode(_lockfile: &Lockfile, _local: &[Arc<Summary>]) -> Previous {
    Previous::default()
}

/// The lockfile that records `resolve`, in format `version` (3 or 4).
pub fn encode(_resolve: &Resolve, version: u8) -> Lockfile {
    Lockfile { version, ..Lockfile::default() }
}

/// The format in which a lockfile is to be written: 4 for a new one, 3 where the existing one is 3, the current default
/// where it is older.
pub fn version_to_write(existing: Option<&Lockfile>) -> u8 {
    match existing {
        Some(lockfile) if lockfile.version == 3 => 3,
        _ => 4,
    }
}

/// Where a new lockfile differs from an old one, for `--locked` errors: one line each, at most `limit`.
pub fn difference(_old: &Lockfile, _new: &Lockfile, _limit: usize) -> Vec<String> {
    Vec::new()
}

/// What became of one package between two resolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// New.
    Added(PackageId),
    /// Gone.
    Removed(PackageId),
    /// `Updating name v1 -> v2`
    Updated(PackageId, PackageId),
    /// `Downgrading name v2 -> v1`
    Downgraded(PackageId, PackageId),
    /// The same, though a newer version exists; only shown with a note or `--verbose`.
    Unchanged(PackageId),
}

/// A status line about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageChange {
    /// What became of it.
    pub change: Change,
    /// The newest compatible or newest of all versions that could not be taken: `(available: v2.0.0)`.
    pub available: Option<Version>,
    /// `(requires Rust 1.80)`, where the chosen version is too new for the workspace.
    pub requires_rust: Option<Version>,
}

/// What a new resolution changes, in the order of Cargo's status lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// One entry per package that is reported.
    pub packages: Vec<PackageChange>,
    /// How many registry or git packages were locked anew: `Locking N packages to latest compatible versions`.
    pub locked: usize,
}

/// Compares two resolutions. `old` is `None` for a new lockfile.
pub fn changes(_old: Option<&Previous>, _new: &Resolve, _registry: &dyn Registry) -> Changes {
    Changes::default()
}

/// The packages of `previous` with this name, for package specs of `update`.
pub fn named(previous: &Previous, name: PackageName) -> impl Iterator<Item = PackageId> + '_ {
    previous.packages.keys().copied().filter(move |id| id.name() == name)
}
