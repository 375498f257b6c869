//! Packages to publish, from in-memory files.

use crate::archive::{Entry, archive, sha256_hex};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A package on its way to the registry: `Cargo.toml`, the index line and the archive are made from the same values,
/// unless a test sets one of them apart.
#[derive(Clone, Debug)]
pub struct CrateBuilder {
    pub(crate) name: String,
    pub(crate) version: String,
    edition: String,
    files: BTreeMap<String, Vec<u8>>,
    dependencies: Vec<DependencyBuilder>,
    features: BTreeMap<String, Vec<String>>,
    proc_macro: bool,
    links: Option<String>,
    rust_version: Option<String>,
    manifest_extra: String,
    entries: Vec<Entry>,
    yanked: bool,
    pubtime: Option<String>,
    checksum: Option<String>,
    index_line: Option<String>,
}

/// One dependency of a [`CrateBuilder`].
#[derive(Clone, Debug)]
pub struct DependencyBuilder {
    name: String,
    requirement: String,
    kind: &'static str,
    optional: bool,
    default_features: bool,
    features: Vec<String>,
    target: Option<String>,
    renamed: Option<String>,
    registry: Option<String>,
}

impl DependencyBuilder {
    /// A normal dependency on `name` with a version requirement such as `^1.2`.
    pub fn new(name: &str, requirement: &str) -> DependencyBuilder {
        DependencyBuilder {
            name: name.to_owned(),
            requirement: requirement.to_owned(),
            kind: "normal",
            optional: false,
            default_features: true,
            features: Vec::new(),
            target: None,
            renamed: None,
            registry: None,
        }
    }

    /// Wants it from the registry with this index (`sparse+…`, as [`crate::Registry::index_url`] gives it).
    pub fn registry(mut self, index: &str) -> DependencyBuilder {
        self.registry = Some(index.to_owned());
        self
    }

    /// Makes it a build dependency.
    pub fn build(mut self) -> DependencyBuilder {
        self.kind = "build";
        self
    }

    /// Makes it a development dependency.
    pub fn dev(mut self) -> DependencyBuilder {
        self.kind = "dev";
        self
    }

    /// Makes it optional.
    pub fn optional(mut self) -> DependencyBuilder {
        self.optional = true;
        self
    }

    /// Turns its default features off.
    pub fn no_default_features(mut self) -> DependencyBuilder {
        self.default_features = false;
        self
    }

    /// Asks for features.
    pub fn features(mut self, features: &[&str]) -> DependencyBuilder {
        self.features.extend(features.iter().map(|&feature| feature.to_owned()));
        self
    }

    /// Only on a platform: `cfg(…)` or a target triple.
    pub fn target(mut self, platform: &str) -> DependencyBuilder {
        self.target = Some(platform.to_owned());
        self
    }

    /// The name under which the depending package knows it.
    pub fn renamed(mut self, name: &str) -> DependencyBuilder {
        self.renamed = Some(name.to_owned());
        self
    }

    fn index_value(&self) -> Value {
        let mut value = json!({
            "name": self.renamed.as_ref().unwrap_or(&self.name),
            "req": self.requirement,
            "features": self.features,
            "optional": self.optional,
            "default_features": self.default_features,
            "target": self.target,
            "kind": self.kind,
            "registry": self.registry,
        });
        if self.renamed.is_some() {
            value["package"] = json!(self.name);
        }
        value
    }

    fn manifest_text(&self) -> String {
        let table = match self.kind {
            "dev" => "dev-dependencies",
            "build" => "build-dependencies",
            _ => "dependencies",
        };
        let name = self.renamed.as_ref().unwrap_or(&self.name);
        let mut text = match &self.target {
            Some(platform) => format!("\n[target.{}.{table}.{name}]\n", quoted(platform)),
            None => format!("\n[{table}.{name}]\n"),
        };
        let _ = writeln!(text, "version = {}", quoted(&self.requirement));
        if self.renamed.is_some() {
            let _ = writeln!(text, "package = {}", quoted(&self.name));
        }
        if let Some(index) = &self.registry {
            let _ = writeln!(text, "registry-index = {}", quoted(index));
        }
        if self.optional {
            text.push_str("optional = true\n");
        }
        if !self.default_features {
            text.push_str("default-features = false\n");
        }
        if !self.features.is_empty() {
            let _ = writeln!(text, "features = {}", json!(self.features));
        }
        text
    }
}

/// A basic TOML string; JSON's escapes are a subset of TOML's.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

impl CrateBuilder {
    /// A library package with nothing in it.
    pub fn new(name: &str, version: &str) -> CrateBuilder {
        CrateBuilder {
            name: name.to_owned(),
            version: version.to_owned(),
            edition: "2021".to_owned(),
            files: BTreeMap::new(),
            dependencies: Vec::new(),
            features: BTreeMap::new(),
            proc_macro: false,
            links: None,
            rust_version: None,
            manifest_extra: String::new(),
            entries: Vec::new(),
            yanked: false,
            pubtime: None,
            checksum: None,
            index_line: None,
        }
    }

    /// Adds a file at a path below the package's folder. A `Cargo.toml` added here replaces the generated one.
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> CrateBuilder {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// Adds a normal dependency.
    pub fn dependency(self, name: &str, requirement: &str) -> CrateBuilder {
        self.dependency_with(DependencyBuilder::new(name, requirement))
    }

    /// Adds a dependency of any kind.
    pub fn dependency_with(mut self, dependency: DependencyBuilder) -> CrateBuilder {
        self.dependencies.push(dependency);
        self
    }

    /// Declares a feature.
    pub fn feature(mut self, name: &str, enables: &[&str]) -> CrateBuilder {
        self.features.insert(name.to_owned(), enables.iter().map(|&value| value.to_owned()).collect());
        self
    }

    /// Gives it a `build.rs`.
    pub fn build_script(self, source: &str) -> CrateBuilder {
        self.file("build.rs", source)
    }

    /// Makes the library a procedural macro.
    pub fn proc_macro(mut self) -> CrateBuilder {
        self.proc_macro = true;
        self
    }

    /// Sets `package.links`.
    pub fn links(mut self, library: &str) -> CrateBuilder {
        self.links = Some(library.to_owned());
        self
    }

    /// Sets `package.rust-version`.
    pub fn rust_version(mut self, version: &str) -> CrateBuilder {
        self.rust_version = Some(version.to_owned());
        self
    }

    /// Sets `package.edition` (2021 otherwise).
    pub fn edition(mut self, edition: &str) -> CrateBuilder {
        edition.clone_into(&mut self.edition);
        self
    }

    /// Appends text to the generated manifest.
    pub fn manifest_extra(mut self, text: &str) -> CrateBuilder {
        self.manifest_extra.push_str(text);
        self
    }

    /// Appends an archive entry as it stands, hostile ones included.
    pub fn entry(mut self, entry: Entry) -> CrateBuilder {
        self.entries.push(entry);
        self
    }

    /// Publishes it as yanked.
    pub fn yanked(mut self) -> CrateBuilder {
        self.yanked = true;
        self
    }

    /// When the index says it was published: `2026-01-31T23:59:59Z`.
    pub fn published_at(mut self, time: &str) -> CrateBuilder {
        self.pubtime = Some(time.to_owned());
        self
    }

    /// The checksum that the index will claim, whatever the archive's is.
    pub fn claim_checksum(mut self, hex: &str) -> CrateBuilder {
        self.checksum = Some(hex.to_owned());
        self
    }

    /// The index line, whatever the package says. `{cksum}` in it is replaced by the archive's checksum.
    pub fn index_line(mut self, line: &str) -> CrateBuilder {
        self.index_line = Some(line.to_owned());
        self
    }

    /// The manifest that the archive will hold.
    pub fn manifest(&self) -> String {
        let mut text = format!(
            "[package]\nname = {}\nversion = {}\nedition = {}\ndescription = \"A package of a test\"\nlicense = \"MIT\"\n",
            quoted(&self.name),
            quoted(&self.version),
            quoted(&self.edition)
        );
        if let Some(links) = &self.links {
            let _ = writeln!(text, "links = {}", quoted(links));
        }
        if let Some(version) = &self.rust_version {
            let _ = writeln!(text, "rust-version = {}", quoted(version));
        }
        if self.proc_macro {
            text.push_str("\n[lib]\nproc-macro = true\n");
        }
        if !self.features.is_empty() {
            text.push_str("\n[features]\n");
            for (name, enables) in &self.features {
                let _ = writeln!(text, "{} = {}", quoted(name), json!(enables));
            }
        }
        for dependency in &self.dependencies {
            text.push_str(&dependency.manifest_text());
        }
        text.push_str(&self.manifest_extra);
        text
    }

    /// The `.crate` and the index line that belongs to it.
    pub(crate) fn finish(&self) -> (Vec<u8>, Value) {
        let mut files = self.files.clone();
        files.entry("Cargo.toml".to_owned()).or_insert_with(|| self.manifest().into_bytes());
        if !files.keys().any(|path| path.starts_with("src/")) {
            files.insert("src/lib.rs".to_owned(), Vec::new());
        }
        let folder = format!("{}-{}", self.name, self.version);
        let mut entries: Vec<Entry> =
            files.into_iter().map(|(path, content)| Entry::file(format!("{folder}/{path}"), content)).collect();
        entries.extend(self.entries.iter().cloned());
        let bytes = archive(&entries);
        let checksum = self.checksum.clone().unwrap_or_else(|| sha256_hex(&bytes));
        if let Some(line) = &self.index_line {
            let line = line.replace("{cksum}", &checksum);
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            return (bytes, value);
        }
        (bytes, self.index_value(&checksum))
    }

    fn index_value(&self, checksum: &str) -> Value {
        let extended =
            |values: &Vec<String>| values.iter().any(|value| value.starts_with("dep:") || value.contains("?/"));
        let (features2, features): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.features.iter().partition(|(_, values)| extended(values));
        let mut value = json!({
            "name": self.name,
            "vers": self.version,
            "deps": self.dependencies.iter().map(DependencyBuilder::index_value).collect::<Vec<_>>(),
            "cksum": checksum,
            "features": features,
            "yanked": self.yanked,
        });
        if !features2.is_empty() {
            value["features2"] = json!(features2);
            value["v"] = json!(2);
        }
        if let Some(links) = &self.links {
            value["links"] = json!(links);
        }
        if let Some(version) = &self.rust_version {
            value["rust_version"] = json!(version);
        }
        if let Some(time) = &self.pubtime {
            value["pubtime"] = json!(time);
        }
        value
    }
}
