//! From parsed manifests and file listings to the packages that can be planned: members, inherited fields, discovered
//! targets, and profiles.
//!
//! Pure: files are reached only through the [`Files`] that the caller hands in (the disk in `ops`, a map in tests), and
//! nothing is remembered between calls. It does not choose versions (resolver) and does not know how to compile
//! (unit-graph).
//!
//! Start with [`load`], then [`Package`] and [`Target`].

pub mod package;
pub mod profile;
pub mod target;

pub use package::{Package, PackageDetails};
pub use profile::{DebugInfo, Lto, PanicStrategy, Profile, Strip};
pub use target::{CrateType, Edition, Target, TargetKind};
