//! From a manifest's path to the workspace it belongs to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::manifest::ProfileTable;
use bulkhead_schema::{Dependency, Diagnostic, PackageId, SourceId};

use crate::{Files, Package, Profiles};

/// What loading has to be told.
pub struct LoadOptions<'a> {
    /// Absolute, normalised path of a `Cargo.toml`: of the workspace's root or of any package in it.
    pub manifest_path: PathBuf,
    /// Folders above which the upward search for the workspace's root does not go.
    pub ceilings: Vec<PathBuf>,
    /// The registry that configuration calls by a name (`registry = "name"`, `[patch.name]`). `crates-io` is known.
    pub registry: &'a dyn Fn(&str) -> Option<SourceId>,
    /// `[profile.*]` of the configuration, which wins over the manifest.
    pub profiles: BTreeMap<String, ProfileTable>,
}

/// Which rules resolution follows (Cargo Book, "Resolver versions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResolverBehavior {
    /// `"1"`: one set of features per package.
    V1,
    /// `"2"`: separate features for build dependencies, other platforms and tests.
    V2,
    /// `"3"`: as 2, and versions that suit `rust-version` are preferred.
    V3,
}

/// `[patch.SOURCE]`
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// The source whose packages are replaced.
    pub source: SourceId,
    /// What replaces them.
    pub dependencies: Vec<Dependency>,
}

/// One entry of `[replace]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// The package id specification that is replaced.
    pub spec: String,
    /// What replaces it.
    pub dependency: Dependency,
}

/// A loaded workspace; a lone package is a workspace of one.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Absolute path of the root's `Cargo.toml`.
    pub root_manifest: PathBuf,
    /// Its folder, where `Cargo.lock` and `target/` are.
    pub root: PathBuf,
    /// Whether the root manifest has no package of its own.
    pub is_virtual: bool,
    /// The members, in Cargo's order.
    pub members: Vec<Arc<Package>>,
    /// The members that commands act on where the user names none and stands in no member.
    pub default_members: Vec<PackageId>,
    /// The package whose manifest was asked for, unless that was a virtual manifest.
    pub current: Option<PackageId>,
    /// Packages that members reach by `path` and that are no members, `[patch]` and `[replace]` included.
    pub path_packages: BTreeMap<PackageId, Arc<Package>>,
    /// `[profile.*]` of root manifest and configuration.
    pub profiles: Profiles,
    /// The resolver's version.
    pub resolver: ResolverBehavior,
    /// `[patch]`, sorted by source.
    pub patches: Vec<Patch>,
    /// `[replace]`
    pub replacements: Vec<Replacement>,
    /// `[workspace.metadata]`, as JSON.
    pub metadata: Option<serde_json::Value>,
}

impl Workspace {
    /// The member or path package `id`.
    pub fn package(&self, id: PackageId) -> Option<&Arc<Package>> {
        self.members.iter().find(|package| package.id == id).or_else(|| self.path_packages.get(&id))
    }

    /// Whether `id` is a member.
    pub fn is_member(&self, id: PackageId) -> bool {
        self.members.iter().any(|package| package.id == id)
    }
}

/// Loads the workspace that [`LoadOptions::manifest_path`] belongs to, and what there is to warn of.
///
/// # Errors
///
/// Everything that was found to be wrong, warnings included.
pub fn load(files: &dyn Files, options: &LoadOptions<'_>) -> Result<(Workspace, Vec<Diagnostic>), Vec<Diagnostic>> {
    let _ = (files, &options.registry);
    Err(vec![Diagnostic::error("workspace-load", "loading a workspace is being written")])
}

/// Loads one package outside the workspace: downloaded and unpacked in the store, or checked out from git.
///
/// `[workspace]`, `[patch]` and `[profile]` are not read, nothing is inherited, and every path must be relative and stay
/// inside the package: a published crate must not make the build compile files of the machine.
///
/// # Errors
///
/// Everything that was found to be wrong.
pub fn load_package(
    files: &dyn Files,
    manifest_path: &Path,
    source: SourceId,
) -> Result<Arc<Package>, Vec<Diagnostic>> {
    let _ = (files, manifest_path, source);
    Err(vec![Diagnostic::error("workspace-load", "loading a package is being written")])
}

/// The `Cargo.toml` in `cwd` or the nearest folder above it.
///
/// # Errors
///
/// There is none.
pub fn find_manifest(files: &dyn Files, cwd: &Path) -> Result<PathBuf, Diagnostic> {
    cwd.ancestors().map(|dir| dir.join("Cargo.toml")).find(|path| files.is_file(path)).ok_or_else(|| {
        let message = format!("could not find `Cargo.toml` in `{}` or any parent directory", cwd.display());
        Diagnostic::error("manifest-not-found", message)
    })
}
