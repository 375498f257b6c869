//! The top level of a manifest.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Section, Unknown, Value};
use super::{DependencyTable, Inheritable, Lints, Manifest, Origin, Spanned, TargetTable};
use crate::DependencyKind;

const TOP_LEVEL_KEYS: &[&str] = &[
    "badges",
    "bench",
    "bin",
    "build-dependencies",
    "cargo-features",
    "dependencies",
    "dev-dependencies",
    "example",
    "features",
    "hints",
    "lib",
    "lints",
    "package",
    "patch",
    "profile",
    "replace",
    "target",
    "test",
    "workspace",
];

/// Sections that only a manifest with `[package]` may have.
const PACKAGE_SECTIONS: &[&str] = &[
    "badges",
    "bench",
    "bin",
    "build-dependencies",
    "build_dependencies",
    "dependencies",
    "dev-dependencies",
    "dev_dependencies",
    "example",
    "features",
    "lib",
    "lints",
    "target",
    "test",
];

/// Features of `cargo-features` that have been stabilised: naming them does nothing.
const STABLE_CARGO_FEATURES: &[&str] = &[
    "alternative-registries",
    "default-run",
    "edition",
    "edition2021",
    "edition2024",
    "named-profiles",
    "profile-overrides",
    "rename-dependency",
    "resolver",
    "rust-version",
    "strip",
    "test-dummy-stable",
    "workspace-inheritance",
];

impl Reader<'_> {
    pub(super) fn manifest(&mut self, document: &DeTable<'_>) -> Manifest {
        let mut top = Section::document(document);
        if let Some(value) = top.take("cargo-features") {
            self.cargo_features(value);
        }
        let package = self.package_section(&mut top);
        if package.is_none() && document.contains_key("workspace") {
            self.refuse_package_sections(&top);
        }
        let library = top.take("lib").and_then(|value| self.target("lib", value));
        let mut targets = |key: &str| {
            let tables = top.take(key).map(|value| self.targets(key, value));
            tables.unwrap_or_default()
        };
        let (binaries, examples) = (targets("bin"), targets("example"));
        let (tests, benches) = (targets("test"), targets("bench"));
        let dependencies = self.all_dependencies(&mut top);
        let features = top.take("features").map(|value| self.features(value)).unwrap_or_default();
        let lints = top.take("lints").and_then(|value| self.inheritable_lints(value));
        if let Some(value) = top.take("badges") {
            self.badges(value);
        }
        let hints = top.take("hints").and_then(|value| self.hints(value));
        let mut manifest = Manifest {
            path: self.path().to_owned(),
            text: self.text().clone(),
            package,
            library,
            binaries,
            examples,
            tests,
            benches,
            dependencies,
            features,
            workspace: None,
            profiles: BTreeMap::new(),
            patches: Vec::new(),
            replacements: Vec::new(),
            hints,
            legacy_keys: Vec::new(),
            lints,
        };
        if self.origin == Origin::Local {
            self.workspace_sections(&mut top, &mut manifest);
        }
        if manifest.package.is_none() && manifest.workspace.is_none() && self.origin == Origin::Local {
            self.error("manifest-empty", "manifest is missing either a `[package]` or a `[workspace]`", 0..0);
        }
        manifest.legacy_keys = std::mem::take(&mut self.legacy_keys);
        self.unknown_keys(&top, TOP_LEVEL_KEYS, Unknown::Warn);
        manifest
    }

    /// What only counts at the root of the user's own workspace.
    fn workspace_sections(&mut self, top: &mut Section<'_>, manifest: &mut Manifest) {
        manifest.workspace = top.take("workspace").and_then(|value| self.workspace(value));
        if let Some(section) = top.take("profile").and_then(|value| self.section("profile", value)) {
            for (name, (_, value)) in &section.entries {
                if let Some(table) = self.profile(&section.child(name), value, super::profile::Nesting::Profile) {
                    manifest.profiles.insert((*name).to_owned(), table);
                }
            }
        }
        if let Some(section) = top.take("patch").and_then(|value| self.section("patch", value)) {
            for (name, (span, value)) in &section.entries {
                let entries = self.dependencies(&section.child(name), value, DependencyKind::Normal, None);
                manifest.patches.push((Spanned::new(span.clone(), (*name).to_owned()), entries));
            }
        }
        if let Some(value) = top.take("replace") {
            manifest.replacements = self.dependencies("replace", value, DependencyKind::Normal, None);
        }
    }

    fn package_section(&mut self, top: &mut Section<'_>) -> Option<super::PackageTable> {
        if let Some(value) = top.take("package") {
            return self.package("package", value);
        }
        let (span, value) = top.entries.remove("project")?;
        self.warn("manifest-project-table", "`[project]` is deprecated in favor of `[package]`", span.clone());
        self.legacy_keys.push(Spanned::new(span, "package".to_owned()));
        self.package("project", value)
    }

    /// Sections that describe a package have no place in a virtual manifest.
    fn refuse_package_sections(&mut self, top: &Section<'_>) {
        for key in PACKAGE_SECTIONS {
            if let Some((span, _)) = top.entries.get(key) {
                let message = format!("this virtual manifest specifies a `{key}` section, which is not allowed");
                self.error("manifest-virtual-section", message, span.clone());
            }
        }
    }

    fn cargo_features(&mut self, value: Value<'_>) {
        let mut seen = Vec::new();
        for feature in self.strings("cargo-features", value).unwrap_or_default() {
            let name = feature.get_ref().as_str();
            if seen.contains(&name.to_owned()) {
                let message = format!("the cargo feature `{name}` has already been activated");
                self.error("manifest-cargo-feature-twice", message, feature.span());
            }
            seen.push(name.to_owned());
            if STABLE_CARGO_FEATURES.contains(&name) {
                let message = format!(
                    "the cargo feature `{name}` has been stabilized in the Rust toolchain and is no longer necessary \
                     to be listed in the manifest"
                );
                self.warn("manifest-stable-cargo-feature", message, feature.span());
            } else if self.origin == Origin::Local {
                let message = format!(
                    "the cargo feature `{name}` is unknown, or requires a nightly version of Cargo, which this is not"
                );
                self.error("manifest-unstable-cargo-feature", message, feature.span());
            }
        }
    }

    fn all_dependencies(&mut self, top: &mut Section<'_>) -> Vec<DependencyTable> {
        use DependencyKind::{Build, Development, Normal};
        let mut all = Vec::new();
        for kind in [Normal, Development, Build] {
            self.dependency_kind(top, kind, None, &mut all);
        }
        let Some(platforms) = top.take("target").and_then(|value| self.section("target", value)) else { return all };
        for (platform, (span, value)) in &platforms.entries {
            let platform_name = Spanned::new(span.clone(), (*platform).to_owned());
            let Some(mut section) = self.section(platforms.child(platform), value) else { continue };
            for kind in [Normal, Build, Development] {
                self.dependency_kind(&mut section, kind, Some(&platform_name), &mut all);
            }
            self.unknown_keys(&section, &["dependencies", "dev-dependencies", "build-dependencies"], Unknown::Warn);
        }
        all
    }

    fn dependency_kind(
        &mut self,
        section: &mut Section<'_>,
        kind: DependencyKind,
        platform: Option<&Spanned<String>>,
        all: &mut Vec<DependencyTable>,
    ) {
        let key = match kind {
            DependencyKind::Normal => "dependencies",
            DependencyKind::Development => "dev-dependencies",
            DependencyKind::Build => "build-dependencies",
        };
        if let Some(value) = section.take_either(self, key) {
            all.extend(self.dependencies(&section.child(key), value, kind, platform));
        }
    }

    fn features(&mut self, value: Value<'_>) -> Vec<(Spanned<String>, Vec<Spanned<String>>)> {
        let Some(section) = self.section("features", value) else { return Vec::new() };
        let mut features = Vec::with_capacity(section.entries.len());
        for (name, (span, value)) in &section.entries {
            if let Some(problem) = feature_name_problem(name) {
                self.error("manifest-feature-name", format!("invalid feature name `{name}`: {problem}"), span.clone());
            }
            let values = self.strings(&section.child(name), value).unwrap_or_default();
            features.push((Spanned::new(span.clone(), (*name).to_owned()), values));
        }
        features
    }

    fn inheritable_lints(&mut self, value: Value<'_>) -> Option<Spanned<Inheritable<Lints>>> {
        let inherits = match value.get_ref() {
            DeValue::Table(table) => table.get("workspace").filter(|value| value.get_ref().is_bool()),
            _ => None,
        };
        let lints = match inherits {
            Some(flag) if self.boolean("lints.workspace", flag) == Some(true) => Inheritable::Workspace,
            Some(flag) => {
                self.error("manifest-type", "`workspace` cannot be false", flag.span());
                return None;
            }
            None => Inheritable::Value(self.lints("lints", value)?),
        };
        Some(Spanned::new(value.span(), lints))
    }

    /// Badges are no longer shown anywhere; only their shape is checked.
    fn badges(&mut self, value: Value<'_>) {
        let Some(section) = self.section("badges", value) else { return };
        for (name, (_, value)) in &section.entries {
            let Some(badge) = self.section(section.child(name), value) else { continue };
            for (key, (_, value)) in &badge.entries {
                self.string(&badge.child(key), value);
            }
        }
    }

    /// The one hint that `cargo metadata` shows, whatever its type; others are passed over, as the Cargo Book demands.
    fn hints(&mut self, value: Value<'_>) -> Option<serde_json::Value> {
        let mut section = self.section("hints", value)?;
        let mostly_unused = section.take("mostly-unused").map(|value| super::json(value.get_ref()));
        Some(serde_json::json!({ "mostly-unused": mostly_unused }))
    }

    fn targets(&mut self, key: &str, value: Value<'_>) -> Option<Vec<TargetTable>> {
        match value.get_ref() {
            DeValue::Array(items) => Some(items.iter().filter_map(|item| self.target(key, item)).collect()),
            other => {
                self.wrong_type(key, "an array of tables", other, value.span());
                None
            }
        }
    }
}

/// Why `name` cannot name a feature (Cargo Book, "Features"), if it cannot.
pub fn feature_name_problem(name: &str) -> Option<String> {
    let Some(first) = name.chars().next() else { return Some("it is empty".to_owned()) };
    if name.len() > crate::ids::MAX_NAME_LENGTH {
        return Some(format!("it is longer than {} bytes", crate::ids::MAX_NAME_LENGTH));
    }
    if name.starts_with("dep:") {
        return Some("feature names are not allowed to start with `dep:`".to_owned());
    }
    if name.contains('/') {
        return Some("feature names are not allowed to contain slashes".to_owned());
    }
    if !(first.is_alphanumeric() || first == '_') {
        return Some(format!("it begins with {first:?}, but must begin with a letter, digit or `_`"));
    }
    let bad = name.chars().find(|&c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.')));
    bad.map(|bad| format!("the character {bad:?} is not allowed; letters, digits, `_`, `-`, `+` and `.` are"))
}
