//! `Cargo.lock`, versions 1 to 4: parsing, and printing the bytes that Cargo would write.

mod canonical;
mod parse;
mod print;

use std::collections::BTreeMap;

use semver::Version;

use crate::{PackageName, SourceId};

pub use parse::parse;

/// Largest lockfile accepted, in bytes.
pub const MAX_LOCKFILE: usize = 64 << 20;

/// The newest format that is understood and written.
pub const NEWEST_VERSION: u8 = 4;

/// A `Cargo.lock`, as it is written: packages without a source are local.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lockfile {
    /// The format, 1 to 4.
    pub version: u8,
    /// `[[package]]`, sorted.
    pub packages: Vec<LockedPackage>,
    /// `[[patch.unused]]`, sorted.
    pub unused_patches: Vec<LockedPackage>,
    /// `[metadata]` that is not a checksum.
    pub metadata: BTreeMap<String, String>,
    /// Lines of comment at the head of the file, beyond the two that Cargo writes; they are kept.
    pub comments: Vec<String>,
}

/// One `[[package]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// `name`
    pub name: PackageName,
    /// `version`
    pub version: Version,
    /// `source`; absent for path packages.
    pub source: Option<SourceId>,
    /// `checksum`, or the one that version 1 keeps in `[metadata]`.
    pub checksum: Option<String>,
    /// `dependencies`, sorted.
    pub dependencies: Vec<LockedDependency>,
    /// `replace`
    pub replace: Option<LockedDependency>,
}

/// One entry of `dependencies`, with as much as was needed to tell packages apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDependency {
    /// The package's name.
    pub name: PackageName,
    /// Its version, if several packages have that name.
    pub version: Option<Version>,
    /// Its source, if several packages have that name and version.
    pub source: Option<SourceId>,
}

#[cfg(test)]
mod tests;
