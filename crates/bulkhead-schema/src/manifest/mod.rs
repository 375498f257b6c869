//! `Cargo.toml`: bounded parsing with spans into the raw, not yet inherited, manifest.
//!
//! [`parse`] walks the spanned TOML tree itself instead of deriving a deserialiser, so that several errors can be
//! reported at once, every error points at its text, unknown keys are seen, and the size of the work is bounded.
//! Rules that need more than one manifest (inheritance, discovery, features) live in `bulkhead-workspace`.

mod dependencies;
mod document;
mod lines;
mod lints;
mod package;
mod profile;
mod reader;
mod target;
mod value;
mod workspace;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use dependencies::DependencyTable;
pub use document::feature_name_problem;
pub use lines::dependency_line;
pub use lints::{Lint, LintLevel, LintTool, Lints};
pub use package::{BuildScript, PackageTable, Publish, Readme};
pub use profile::{DebugInfo, Lto, PROFILE_KEYS, PanicStrategy, ProfileTable, ProfileValue, Strip};
pub use target::TargetTable;
pub use toml::Spanned;
pub use value::json;
pub use workspace::WorkspaceTable;

use crate::Diagnostic;
use reader::Reader;

/// Largest accepted manifest, in bytes.
pub const MAX_MANIFEST_SIZE: usize = 1 << 20;

/// Most TOML values that a manifest may hold; the largest published ones hold a few thousand.
pub const MAX_MANIFEST_NODES: usize = 100_000;

/// Where a manifest comes from, which decides how strictly it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The user's own workspace, or a path dependency: mistakes are reported.
    Local,
    /// A downloaded package. `[workspace]`, `[patch]`, `[replace]` and `[profile]` are not even read, unknown keys are
    /// passed over in silence (nobody here can mend them), and what is fetched is decided by the index entry anyway.
    Downloaded,
}

/// A field that may be taken from `[workspace.package]` or `[workspace.lints]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Inheritable<T> {
    /// Stands here.
    Value(T),
    /// `field.workspace = true`
    Workspace,
}

/// A manifest as it is written: shapes checked, nothing inherited, discovered or resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    /// Its text, for messages.
    pub text: Arc<str>,
    /// `[package]` (or `[project]`); absent from a virtual manifest.
    pub package: Option<PackageTable>,
    /// `[lib]`
    pub library: Option<TargetTable>,
    /// `[[bin]]`; `None` if there is no such key, which matters to discovery in edition 2015.
    pub binaries: Option<Vec<TargetTable>>,
    /// `[[example]]`
    pub examples: Option<Vec<TargetTable>>,
    /// `[[test]]`
    pub tests: Option<Vec<TargetTable>>,
    /// `[[bench]]`
    pub benches: Option<Vec<TargetTable>>,
    /// All dependency tables, in the order of `cargo metadata`: normal, development, build, then the same by platform
    /// as normal, build, development; each sorted by name.
    pub dependencies: Vec<DependencyTable>,
    /// `[features]`, sorted by name.
    pub features: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
    /// `[workspace]`
    pub workspace: Option<WorkspaceTable>,
    /// `[profile.*]`
    pub profiles: BTreeMap<String, ProfileTable>,
    /// `[patch.*]`: registry name or source URL, and the replacements.
    pub patches: Vec<(Spanned<String>, Vec<DependencyTable>)>,
    /// `[replace]`: the key of each is a package id specification.
    pub replacements: Vec<DependencyTable>,
    /// `[hints]`, those of known name and type, which Cargo only shows in `metadata` so far.
    pub hints: Option<serde_json::Value>,
    /// Keys in an old spelling (`crate_type`, `[project]`), which edition 2024 refuses; the new spelling is the value's
    /// text.
    pub legacy_keys: Vec<Spanned<String>>,
    /// `[lints]`
    pub lints: Option<Spanned<Inheritable<Lints>>>,
}

impl Manifest {
    /// An error of rule `code` at `span` of this file.
    pub fn error(&self, code: &'static str, message: impl Into<String>, span: Range<usize>) -> Diagnostic {
        Diagnostic::error(code, message).at(&self.path, &self.text, span)
    }

    /// A warning of rule `code` at `span` of this file.
    pub fn warning(&self, code: &'static str, message: impl Into<String>, span: Range<usize>) -> Diagnostic {
        Diagnostic::warning(code, message).at(&self.path, &self.text, span)
    }
}

/// Reads `text`, the content of the manifest at `path`.
///
/// Returns the manifest and warnings, or everything that is wrong with it (warnings included).
///
/// # Errors
///
/// Text that is not TOML, exceeds [`MAX_MANIFEST_SIZE`] or [`MAX_MANIFEST_NODES`], or has a key of the wrong type.
pub fn parse(path: &Path, text: &Arc<str>, origin: Origin) -> Result<(Manifest, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut reader = Reader::new(path, text, origin);
    let document = reader.document().map_err(|error| vec![error])?;
    let manifest = reader.manifest(document.get_ref());
    reader.finish(manifest)
}
