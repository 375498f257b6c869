//! `[lib]`, `[[bin]]`, `[[example]]`, `[[test]]`, `[[bench]]`.

use std::ops::Range;

use super::Spanned;
use super::reader::{Reader, Unknown, Value};

/// One target table as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetTable {
    /// Where the table stands.
    pub span: Range<usize>,
    /// `name`
    pub name: Option<Spanned<String>>,
    /// `path`
    pub path: Option<Spanned<String>>,
    /// `edition`
    pub edition: Option<Spanned<String>>,
    /// `crate-type`, or `crate_type`.
    pub crate_types: Option<Vec<Spanned<String>>>,
    /// `proc-macro`, or `proc_macro`.
    pub proc_macro: Option<bool>,
    /// `plugin`, of old manifests.
    pub plugin: Option<bool>,
    /// `test`
    pub test: Option<bool>,
    /// `doctest`
    pub doctest: Option<bool>,
    /// `bench`
    pub bench: Option<bool>,
    /// `doc`
    pub doc: Option<bool>,
    /// `harness`
    pub harness: Option<bool>,
    /// `required-features`
    pub required_features: Option<Vec<Spanned<String>>>,
}

const TARGET_KEYS: &[&str] = &[
    "bench",
    "crate-type",
    "doc",
    "doctest",
    "edition",
    "harness",
    "name",
    "path",
    "plugin",
    "proc-macro",
    "required-features",
    "test",
];

impl Reader<'_> {
    pub(super) fn target(&mut self, name: &str, value: Value<'_>) -> Option<TargetTable> {
        let mut section = self.section(name, value)?;
        let section = &mut section;
        let crate_types = section.take_either(self, "crate-type");
        let proc_macro = section.take_either(self, "proc-macro");
        let table = TargetTable {
            span: section.span.clone(),
            name: section.string(self, "name"),
            path: section.string(self, "path"),
            edition: section.string(self, "edition"),
            crate_types: crate_types.and_then(|value| self.strings(&section.child("crate-type"), value)),
            proc_macro: proc_macro.and_then(|value| self.boolean(&section.child("proc-macro"), value)),
            plugin: section.boolean(self, "plugin"),
            test: section.boolean(self, "test"),
            doctest: section.boolean(self, "doctest"),
            bench: section.boolean(self, "bench"),
            doc: section.boolean(self, "doc"),
            harness: section.boolean(self, "harness"),
            required_features: section.strings(self, "required-features"),
        };
        section.take("filename");
        section.take("doc-scrape-examples");
        self.unknown_keys(section, TARGET_KEYS, Unknown::Warn);
        Some(table)
    }
}
