//! Bytes and expectations → [`Verified`] values. Checksums and git's object ids today; signatures,
//! log proofs and attestations later.
//!
//! [`Verified<T>`] can only be built here, and the store takes packages in no other form, so that skipping verification
//! does not compile. Pure: it reads no file and no clock; who expected what, and the time, are arguments.
//!
//! Start with [`verify_archive`]; what is in the archive, [`verify_manifest`] compares
//! with the index; whether a registry is still the one that a project has used, [`pin_registry`] tells, and
//! whether a folder still holds what it held, [`pin_contents`].

mod archive;
pub mod audit;
mod contents;
mod digest;
pub mod git;
mod manifest;
mod registry;
mod tree;

pub use archive::{CrateArchive, Expected, Mismatch, Origin, Verified, verify_archive};
pub use contents::{Pinned, pin_contents};
pub use digest::{Digest, Hasher, InvalidDigest};
pub use manifest::{Difference, Disagreement, index_fingerprint, verify_manifest};
pub use registry::pin_registry;
pub use tree::{EntryKind, TreeEntry, tree_digest};
