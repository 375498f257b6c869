//! How much of a package a command wants to be told: all of it, or what it prints.

use std::path::Path;
use std::sync::Arc;

use bulkhead_schema::{PackageId, Symbol};
use bulkhead_workspace::{Package, metadata_json};

use super::notes::Notes;

/// An answer about a package: from the package itself, or from what was noted of it.
pub trait Told: Sized + Send {
    /// What the package tells.
    fn of(package: &Arc<Package>) -> Self;

    /// The same from notes on the package `id` in the folder `root`, if they have it.
    fn recall(notes: &Notes<'_>, id: PackageId, root: &Path) -> Option<Self>;
}

/// What the shape of a graph depends on, and no index tells for certain.
pub trait Facts: Told {
    /// Whether its library is a procedural macro.
    fn is_proc_macro(&self) -> bool;

    /// The native library that it links.
    fn links(&self) -> Option<Symbol>;
}

impl Told for Arc<Package> {
    fn of(package: &Arc<Package>) -> Self {
        Self::clone(package)
    }

    fn recall(notes: &Notes<'_>, id: PackageId, root: &Path) -> Option<Self> {
        notes.package(id, root).map(Self::new)
    }
}

impl Facts for Arc<Package> {
    fn is_proc_macro(&self) -> bool {
        Package::is_proc_macro(self)
    }

    fn links(&self) -> Option<Symbol> {
        self.summary.links
    }
}

/// A package as `metadata` shows it.
#[derive(Debug, Clone)]
pub struct Described {
    /// The element of `packages`.
    pub json: String,
    /// The name of its library, as Rust code writes it.
    pub library: Option<String>,
}

impl Told for Described {
    fn of(package: &Arc<Package>) -> Self {
        let json = serde_json::to_string(&metadata_json(package)).unwrap_or_default();
        Self { json, library: package.library().map(|target| target.crate_name()) }
    }

    fn recall(notes: &Notes<'_>, _: PackageId, root: &Path) -> Option<Self> {
        notes.described(root)
    }
}

/// A package as `tree` draws it.
#[derive(Debug, Clone)]
pub struct Sketch {
    /// Which package.
    pub id: PackageId,
    /// Whether its library is a procedural macro.
    pub is_proc_macro: bool,
    /// The name of its library, as Rust code writes it.
    pub library: Option<String>,
    /// The native library that it links.
    pub links: Option<Symbol>,
    /// `license`
    pub license: Option<String>,
    /// `repository`
    pub repository: Option<String>,
}

impl Told for Sketch {
    fn of(package: &Arc<Package>) -> Self {
        Self {
            id: package.id,
            is_proc_macro: package.is_proc_macro(),
            library: package.library().map(|target| target.crate_name()),
            links: package.summary.links,
            license: package.details.license.clone(),
            repository: package.details.repository.clone(),
        }
    }

    fn recall(notes: &Notes<'_>, id: PackageId, _: &Path) -> Option<Self> {
        Some(notes.sketch(id))
    }
}

impl Facts for Sketch {
    fn is_proc_macro(&self) -> bool {
        self.is_proc_macro
    }

    fn links(&self) -> Option<Symbol> {
        self.links
    }
}
