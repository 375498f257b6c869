//! A package, as its manifest describes it after inheritance.

mod assemble;
mod dependencies;
mod discovery;
mod features;
mod inherit;
mod lints;
mod targets;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::manifest::Manifest;
use bulkhead_schema::{Diagnostic, PackageId, SourceId, Summary, Symbol};

pub(crate) use assemble::{Assembly, NO_EDITION, assemble};
pub(crate) use dependencies::DependencyRules;
pub(crate) use inherit::{Inheritance, has_errors};
pub(crate) use targets::MISSING_FILE;

/// Where a package stands, which decides what its manifest may name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standing<'a> {
    /// In the user's workspace, or reached from it by `path`.
    Local,
    /// In an archive of a registry. It ends at its own folder.
    Archive,
    /// In a checkout of a git repository. Its paths may lead to other parts of the repository, not out of it.
    Repository {
        /// The checkout.
        root: &'a Path,
        /// The repository at its commit.
        source: SourceId,
    },
}

impl Standing<'_> {
    /// Whether others wrote the package, so that mistakes in it are not for the user to mend.
    pub(crate) fn is_foreign(self) -> bool {
        !matches!(self, Self::Local)
    }

    /// Whether the package in `folder` may name `file`.
    pub(crate) fn allows(self, folder: &Path, file: &Path) -> bool {
        match self {
            Self::Local => true,
            Self::Archive => path::stays_inside(file),
            Self::Repository { root, .. } => path::join(folder, file).starts_with(root),
        }
    }
}

use crate::{Edition, Target, path};

/// A package whose manifest has been read, inherited and checked, and whose targets have been discovered.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// Which package.
    pub id: PackageId,
    /// Absolute path of its `Cargo.toml`.
    pub manifest_path: PathBuf,
    /// Absolute path of its folder.
    pub root: PathBuf,
    /// Its default edition.
    pub edition: Edition,
    /// Its targets, in the order in which `cargo metadata` lists them.
    pub targets: Vec<Arc<Target>>,
    /// Dependencies, features, `links`.
    pub summary: Arc<Summary>,
    /// `default-run`.
    pub default_run: Option<Symbol>,
    /// rustc flags that its `[lints]` table stands for, in Cargo's order.
    pub lint_flags: Vec<String>,
    /// What `lints.rust.unexpected_cfgs.check-cfg` lists, for `--check-cfg`.
    pub check_cfg: Vec<String>,
    /// Everything that is only passed on: to `metadata` and to `CARGO_PKG_*`.
    pub details: PackageDetails,
}

/// Fields of `[package]` that inform but do not steer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PackageDetails {
    /// `authors`
    pub authors: Vec<String>,
    /// `description`
    pub description: Option<String>,
    /// `homepage`
    pub homepage: Option<String>,
    /// `documentation`
    pub documentation: Option<String>,
    /// `readme`, relative to the package, discovered if the manifest does not say.
    pub readme: Option<String>,
    /// `repository`
    pub repository: Option<String>,
    /// `license`
    pub license: Option<String>,
    /// `license-file`
    pub license_file: Option<String>,
    /// `keywords`
    pub keywords: Vec<String>,
    /// `categories`
    pub categories: Vec<String>,
    /// `rust-version` as written.
    pub rust_version: Option<String>,
    /// `links`
    pub links: Option<String>,
    /// `publish`: `None` anywhere, `Some([])` nowhere, else the registries named.
    pub publish: Option<Vec<String>>,
    /// `package.metadata`, as JSON.
    pub metadata: Option<serde_json::Value>,
    /// `[hints]`, as JSON.
    pub hints: Option<serde_json::Value>,
    /// `package.exclude`, for packaging.
    pub exclude: Vec<String>,
    /// `package.include`, for packaging.
    pub include: Vec<String>,
    /// `[features]` and the implicit features of optional dependencies, as `cargo metadata` prints them.
    pub features: BTreeMap<Symbol, Vec<String>>,
}

impl Package {
    /// The library target, if there is one.
    pub fn library(&self) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.is_lib())
    }

    /// The build script, if there is one.
    pub fn build_script(&self) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.is_build_script())
    }

    /// Whether its library is a procedural macro.
    pub fn is_proc_macro(&self) -> bool {
        self.library().is_some_and(|target| target.is_proc_macro())
    }
}

/// The edition called `text`; an unknown one is reported, and read as the newest.
fn edition(manifest: &Manifest, text: &str, span: Range<usize>, findings: &mut Vec<Diagnostic>) -> Edition {
    if let Some(edition) = Edition::parse(text) {
        return edition;
    }
    let message = match text.parse::<u16>() {
        Ok(year) if year > 2024 && year < 3000 => format!(
            "this version of Bulkhead is older than the `{text}` edition, and only supports `2015`, `2018`, `2021`, and \
             `2024` editions"
        ),
        _ => format!("supported edition values are `2015`, `2018`, `2021`, or `2024`, but `{text}` is unknown"),
    };
    findings.push(manifest.error("edition", message, span));
    Edition::E2024
}
