//! The words and file formats that every other crate speaks: identifiers ([`PackageName`], [`SourceId`], [`PackageId`]),
//! the shapes shared by resolver and planner ([`Dependency`], [`Summary`]), and one module per file format (manifest,
//! lockfile, index entry, configuration, policy, build-script output).
//!
//! Pure: text in, values or [`Diagnostic`]s out. Everything parsed here comes from outside and is hostile until it has
//! passed the grammar of its type; there is no other way to construct an identifier. It decides nothing (resolution,
//! trust and policy live in their own crates) and touches no file.
//!
//! Start with [`ids`], then [`manifest`].

pub mod api;
pub mod audit;
pub mod build_script;
pub mod bulkhead_lock;
pub mod config;
pub mod credential;
pub mod dependency;
pub mod diagnostic;
pub mod edit_distance;
pub mod file_list;
pub mod git;
mod hash;
pub mod ids;
pub mod index;
pub mod lockfile;
pub mod manifest;
pub mod package_spec;
pub mod policy;
pub mod publish_age;
pub mod secrets;
pub mod summary;
pub mod symbol;
pub mod time;
pub mod words;

pub use cargo_platform as platform;
pub use dependency::{Dependency, DependencyKind};
pub use diagnostic::{Diagnostic, Level, Location};
pub use ids::{GitReference, PackageId, PackageName, SourceId, SourceKind};
pub use package_spec::PackageSpec;
pub use summary::{FeatureValue, Features, Summary};
pub use symbol::Symbol;
