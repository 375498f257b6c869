//! Dependency tables.

use std::ops::Range;

use toml::de::DeValue;

use super::reader::{Reader, Section, Unknown, Value};
use super::{Origin, Spanned};
use crate::DependencyKind;

/// One entry of a dependency table as written.
#[derive(Debug, Clone, PartialEq)]
pub struct DependencyTable {
    /// The key.
    pub name: Spanned<String>,
    /// Where the whole entry stands.
    pub span: Range<usize>,
    /// Which table; [`DependencyKind::Normal`] in `[workspace.dependencies]`, `[patch]` and `[replace]`.
    pub kind: DependencyKind,
    /// The text between `target.` and `.dependencies`.
    pub platform: Option<Spanned<String>>,
    /// `workspace = true`
    pub workspace: bool,
    /// `version`, or the whole entry if it is a string.
    pub version: Option<Spanned<String>>,
    /// `path`
    pub path: Option<Spanned<String>>,
    /// `git`
    pub git: Option<Spanned<String>>,
    /// `branch`
    pub branch: Option<Spanned<String>>,
    /// `tag`
    pub tag: Option<Spanned<String>>,
    /// `rev`
    pub rev: Option<Spanned<String>>,
    /// `registry`
    pub registry: Option<Spanned<String>>,
    /// `registry-index`, which `cargo publish` writes for alternative registries.
    pub registry_index: Option<Spanned<String>>,
    /// `package`
    pub package: Option<Spanned<String>>,
    /// `features`
    pub features: Vec<Spanned<String>>,
    /// `optional`
    pub optional: Option<bool>,
    /// `default-features`, or `default_features`.
    pub default_features: Option<bool>,
}

const DEPENDENCY_KEYS: &[&str] = &[
    "branch",
    "default-features",
    "features",
    "git",
    "optional",
    "package",
    "path",
    "registry",
    "registry-index",
    "rev",
    "tag",
    "version",
    "workspace",
];

/// Keys that only nightly Cargo gives a meaning to.
const UNSTABLE_DEPENDENCY_KEYS: &[&str] = &["artifact", "base", "lib", "target"];

impl DependencyTable {
    /// An entry that says nothing yet.
    pub fn new(
        name: Spanned<String>,
        span: Range<usize>,
        kind: DependencyKind,
        platform: Option<&Spanned<String>>,
    ) -> Self {
        Self {
            name,
            span,
            kind,
            platform: platform.cloned(),
            workspace: false,
            version: None,
            path: None,
            git: None,
            branch: None,
            tag: None,
            rev: None,
            registry: None,
            registry_index: None,
            package: None,
            features: Vec::new(),
            optional: None,
            default_features: None,
        }
    }
}

impl Reader<'_> {
    /// All entries of the dependency table `name`, sorted by key.
    pub(super) fn dependencies(
        &mut self,
        name: &str,
        value: Value<'_>,
        kind: DependencyKind,
        platform: Option<&Spanned<String>>,
    ) -> Vec<DependencyTable> {
        let Some(section) = self.section(name, value) else { return Vec::new() };
        let mut entries = Vec::with_capacity(section.entries.len());
        for (key, (span, value)) in &section.entries {
            let key_text = Spanned::new(span.clone(), (*key).to_owned());
            let mut table = DependencyTable::new(key_text, span.start..value.span().end, kind, platform);
            let full = section.child(key);
            match value.get_ref() {
                DeValue::String(_) => table.version = self.string(&full, value),
                DeValue::Table(_) => self.dependency(&full, value, &mut table),
                other => self.wrong_type(&full, "a version string like \"0.9.8\" or a table", other, value.span()),
            }
            entries.push(table);
        }
        entries
    }

    fn dependency(&mut self, name: &str, value: Value<'_>, table: &mut DependencyTable) {
        let Some(mut section) = self.section(name, value) else { return };
        let section = &mut section;
        if let Some(flag) = section.take("workspace") {
            table.workspace = self.boolean(&section.child("workspace"), flag) == Some(true);
            if !table.workspace {
                self.error("manifest-type", format!("`{name}.workspace` cannot be false"), flag.span());
            }
        }
        table.version = section.string(self, "version");
        table.path = section.string(self, "path");
        table.git = section.string(self, "git");
        table.branch = section.string(self, "branch");
        table.tag = section.string(self, "tag");
        table.rev = section.string(self, "rev");
        table.registry = section.string(self, "registry");
        table.registry_index = section.string(self, "registry-index");
        table.package = section.string(self, "package");
        table.features = section.strings(self, "features").unwrap_or_default();
        table.optional = section.boolean(self, "optional");
        let default_features = section.take_either(self, "default-features");
        table.default_features =
            default_features.and_then(|value| self.boolean(&section.child("default-features"), value));
        self.odd_dependency_keys(name, section);
        self.unknown_keys(section, DEPENDENCY_KEYS, Unknown::Refuse);
    }

    /// Keys that are known, but mean nothing on stable Cargo.
    fn odd_dependency_keys(&mut self, name: &str, section: &mut Section<'_>) {
        if let Some((span, _)) = section.entries.remove("public") {
            self.warn(
                "manifest-unused-key",
                format!("ignoring `public` on dependency {name}, which needs nightly"),
                span,
            );
        }
        for key in UNSTABLE_DEPENDENCY_KEYS {
            if let Some((span, _)) = section.entries.remove(key)
                && self.origin == Origin::Local
            {
                self.error(
                    "manifest-unstable-key",
                    format!("`{name}.{key}` requires nightly Cargo, which this is not"),
                    span,
                );
            }
        }
    }
}
