//! From parsed manifests and file listings to the packages that can be planned: members, inherited fields, discovered
//! targets, and profiles.
//!
//! Pure: files are reached only through the [`Files`] that the caller hands in (the disk in `ops`, a map in tests), and
//! nothing is remembered between calls. It does not choose versions (resolver) and does not know how to compile
//! (unit-graph).
//!
//! Start with [`load()`], then [`Package`] and [`Target`].

pub mod compact;
pub mod edit;
pub mod files;
pub mod load;
pub mod metadata;
mod normalized;
pub mod package;
mod package_files;
mod path;
pub mod profile;
pub mod target;

pub use files::{FileType, Files};
pub use load::{
    ConfiguredPatch, LoadOptions, Patch, Replacement, Repository, ResolverBehavior, Workspace, find_manifest, load,
    load_local, load_package, load_repository,
};
pub use metadata::{metadata_json, package_id_spec};
pub use normalized::normalized_manifest;
pub use package::{Package, PackageDetails};
pub use package_files::package_files;
pub use path::{normalize, relative};
pub use profile::{DebugInfo, Lto, PanicStrategy, Profile, ProfileRequest, Profiles, Strip};
pub use target::{CrateType, Edition, Target, TargetKind};

#[cfg(test)]
mod tests;
