//! `[package]` and `[workspace.package]`.

use std::ops::Range;

use toml::de::DeValue;

use super::reader::{Reader, Section, Unknown, Value};
use super::{Inheritable, Origin, Spanned};

/// `publish`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// `true` or `false`
    Flag(bool),
    /// The registries it may go to.
    Registries(Vec<String>),
}

/// `readme`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readme {
    /// `false`: none; `true`: the usual `README.md`.
    Flag(bool),
    /// A file.
    Path(String),
}

/// `build`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildScript {
    /// `false`: none even if `build.rs` is there; `true`: `build.rs`.
    Flag(bool),
    /// A file.
    Path(String),
}

type Field<T> = Option<Spanned<Inheritable<T>>>;

/// `[package]` as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PackageTable {
    /// Where the table stands.
    pub span: Range<usize>,
    /// `name`; absent only in `[workspace.package]`.
    pub name: Option<Spanned<String>>,
    /// `version`; absent means `0.0.0`, not to be published.
    pub version: Field<String>,
    /// `edition`
    pub edition: Field<String>,
    /// `rust-version`
    pub rust_version: Field<String>,
    /// `authors`
    pub authors: Field<Vec<String>>,
    /// `description`
    pub description: Field<String>,
    /// `homepage`
    pub homepage: Field<String>,
    /// `documentation`
    pub documentation: Field<String>,
    /// `readme`
    pub readme: Field<Readme>,
    /// `repository`
    pub repository: Field<String>,
    /// `license`
    pub license: Field<String>,
    /// `license-file`
    pub license_file: Field<String>,
    /// `keywords`
    pub keywords: Field<Vec<String>>,
    /// `categories`
    pub categories: Field<Vec<String>>,
    /// `exclude`
    pub exclude: Field<Vec<String>>,
    /// `include`
    pub include: Field<Vec<String>>,
    /// `publish`
    pub publish: Field<Publish>,
    /// `links`
    pub links: Option<Spanned<String>>,
    /// `build`
    pub build: Option<Spanned<BuildScript>>,
    /// `default-run`
    pub default_run: Option<Spanned<String>>,
    /// `autolib`
    pub autolib: Option<bool>,
    /// `autobins`
    pub autobins: Option<bool>,
    /// `autoexamples`
    pub autoexamples: Option<bool>,
    /// `autotests`
    pub autotests: Option<bool>,
    /// `autobenches`
    pub autobenches: Option<bool>,
    /// `resolver`
    pub resolver: Option<Spanned<String>>,
    /// `workspace`: where the workspace root is.
    pub workspace: Option<Spanned<String>>,
    /// `package.metadata`
    pub metadata: Option<serde_json::Value>,
}

const PACKAGE_KEYS: &[&str] = &[
    "authors",
    "autobenches",
    "autobins",
    "autoexamples",
    "autolib",
    "autotests",
    "build",
    "categories",
    "default-run",
    "description",
    "documentation",
    "edition",
    "exclude",
    "homepage",
    "include",
    "keywords",
    "license",
    "license-file",
    "links",
    "metadata",
    "name",
    "publish",
    "readme",
    "repository",
    "resolver",
    "rust-version",
    "version",
    "workspace",
];

impl Reader<'_> {
    /// `[package]`, or `[workspace.package]`, where nothing can be inherited.
    pub(super) fn package(&mut self, name: &str, value: Value<'_>) -> Option<PackageTable> {
        let mut section = self.section(name, value)?;
        let section = &mut section;
        let mut table = PackageTable { span: section.span.clone(), ..PackageTable::default() };
        self.shared_fields(section, &mut table);
        if name != "workspace.package" {
            self.own_fields(section, &mut table);
            if table.name.is_none() && self.origin == Origin::Local {
                self.error("manifest-missing-name", format!("missing field `{name}.name`"), section.span.clone());
            }
        }
        self.unknown_keys(section, PACKAGE_KEYS, Unknown::Warn);
        Some(table)
    }

    /// Fields that can be inherited.
    fn shared_fields(&mut self, section: &mut Section<'_>, table: &mut PackageTable) {
        table.version = self.field(section, "version", Self::plain);
        table.edition = self.field(section, "edition", Self::plain);
        table.rust_version = self.field(section, "rust-version", Self::plain);
        table.authors = self.field(section, "authors", Self::list);
        table.description = self.field(section, "description", Self::plain);
        table.homepage = self.field(section, "homepage", Self::plain);
        table.documentation = self.field(section, "documentation", Self::plain);
        table.readme = self.field(section, "readme", |reader, name, value| {
            reader.flag_or_path(name, value).map(|found| match found {
                BuildScript::Flag(flag) => Readme::Flag(flag),
                BuildScript::Path(path) => Readme::Path(path),
            })
        });
        table.repository = self.field(section, "repository", Self::plain);
        table.license = self.field(section, "license", Self::plain);
        table.license_file = self.field(section, "license-file", Self::plain);
        table.keywords = self.field(section, "keywords", Self::list);
        table.categories = self.field(section, "categories", Self::list);
        table.exclude = self.field(section, "exclude", Self::list);
        table.include = self.field(section, "include", Self::list);
        table.publish = self.field(section, "publish", |reader, name, value| match value.get_ref() {
            DeValue::Boolean(flag) => Some(Publish::Flag(*flag)),
            _ => reader.list(name, value).map(Publish::Registries),
        });
    }

    /// Fields that cannot be inherited.
    fn own_fields(&mut self, section: &mut Section<'_>, table: &mut PackageTable) {
        table.name = section.string(self, "name");
        table.links = section.string(self, "links");
        table.default_run = section.string(self, "default-run");
        table.resolver = section.string(self, "resolver");
        table.workspace = section.string(self, "workspace");
        table.build = section.take("build").and_then(|value| {
            let name = section.child("build");
            self.flag_or_path(&name, value).map(|found| Spanned::new(value.span(), found))
        });
        table.autolib = section.boolean(self, "autolib");
        table.autobins = section.boolean(self, "autobins");
        table.autoexamples = section.boolean(self, "autoexamples");
        table.autotests = section.boolean(self, "autotests");
        table.autobenches = section.boolean(self, "autobenches");
        table.metadata = section.take("metadata").map(|value| super::json(value.get_ref()));
        self.unstable_fields(section);
    }

    fn unstable_fields(&mut self, section: &mut Section<'_>) {
        if let Some((span, _)) = section.entries.remove("cargo-features") {
            let message = "the field `cargo-features` should be set at the top of Cargo.toml before any tables";
            self.error("manifest-cargo-features", message, span);
        }
        for key in ["default-target", "forced-target", "im-a-teapot", "metabuild", "different-binary-name"] {
            if let Some((span, _)) = section.entries.remove(key)
                && self.origin == Origin::Local
            {
                let full = section.child(key);
                self.error(
                    "manifest-unstable-key",
                    format!("`{full}` requires nightly Cargo, which this is not"),
                    span,
                );
            }
        }
    }

    fn field<T>(
        &mut self,
        section: &mut Section<'_>,
        key: &str,
        read: impl Fn(&mut Self, &str, Value<'_>) -> Option<T>,
    ) -> Field<T> {
        let value = section.take(key)?;
        let name = section.child(key);
        let field = match value.get_ref() {
            DeValue::Table(table) if table.contains_key("workspace") => {
                let mut section = self.section(name.clone(), value)?;
                if section.boolean(self, "workspace") != Some(true) {
                    self.error("manifest-type", format!("`{name}.workspace` cannot be false"), value.span());
                }
                self.unknown_keys(&section, &["workspace"], Unknown::Warn);
                Inheritable::Workspace
            }
            _ => Inheritable::Value(read(self, &name, value)?),
        };
        Some(Spanned::new(value.span(), field))
    }

    fn plain(&mut self, name: &str, value: Value<'_>) -> Option<String> {
        self.string(name, value).map(Spanned::into_inner)
    }

    fn list(&mut self, name: &str, value: Value<'_>) -> Option<Vec<String>> {
        Some(self.strings(name, value)?.into_iter().map(Spanned::into_inner).collect())
    }

    fn flag_or_path(&mut self, name: &str, value: Value<'_>) -> Option<BuildScript> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(BuildScript::Flag(*flag)),
            DeValue::String(text) => Some(BuildScript::Path(text.to_string())),
            other => {
                self.wrong_type(name, "a boolean or a string", other, value.span());
                None
            }
        }
    }
}
