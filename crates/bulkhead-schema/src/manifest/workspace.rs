//! `[workspace]`

use std::ops::Range;

use super::reader::{Reader, Unknown, Value};
use super::{DependencyTable, Lints, PackageTable, Spanned};
use crate::DependencyKind;

/// `[workspace]` as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkspaceTable {
    /// Where the table stands.
    pub span: Range<usize>,
    /// `members`: paths and glob patterns.
    pub members: Vec<Spanned<String>>,
    /// `default-members`
    pub default_members: Option<Vec<Spanned<String>>>,
    /// `exclude`
    pub exclude: Vec<Spanned<String>>,
    /// `resolver`
    pub resolver: Option<Spanned<String>>,
    /// `[workspace.package]`: what members may inherit. Its fields are never [`super::Inheritable::Workspace`].
    pub package: Option<Box<PackageTable>>,
    /// `[workspace.dependencies]`, sorted by name.
    pub dependencies: Vec<DependencyTable>,
    /// `[workspace.lints]`
    pub lints: Option<Lints>,
    /// `[workspace.metadata]`
    pub metadata: Option<serde_json::Value>,
}

const WORKSPACE_KEYS: &[&str] =
    &["default-members", "dependencies", "exclude", "lints", "members", "metadata", "package", "resolver"];

impl Reader<'_> {
    pub(super) fn workspace(&mut self, value: Value<'_>) -> Option<WorkspaceTable> {
        let mut section = self.section("workspace", value)?;
        let section = &mut section;
        let package = section.take("package").and_then(|value| self.package("workspace.package", value));
        let dependencies = section.take("dependencies");
        let lints = section.take("lints").and_then(|value| self.lints("workspace.lints", value));
        let table = WorkspaceTable {
            span: section.span.clone(),
            members: section.strings(self, "members").unwrap_or_default(),
            default_members: section.strings(self, "default-members"),
            exclude: section.strings(self, "exclude").unwrap_or_default(),
            resolver: section.string(self, "resolver"),
            package: package.map(Box::new),
            dependencies: dependencies.map_or_else(Vec::new, |value| {
                self.dependencies("workspace.dependencies", value, DependencyKind::Normal, None)
            }),
            lints,
            metadata: section.take("metadata").map(|value| super::json(value.get_ref())),
        };
        for dependency in table.dependencies.iter().filter(|dependency| dependency.optional == Some(true)) {
            let name = dependency.name.get_ref();
            let message = format!("{name} is optional, but workspace dependencies cannot be optional");
            self.error("manifest-workspace-dependency", message, dependency.span.clone());
        }
        self.unknown_keys(section, WORKSPACE_KEYS, Unknown::Warn);
        Some(table)
    }
}
