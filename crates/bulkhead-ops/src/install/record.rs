//! What is installed: Cargo's `.crates.toml` and `.crates2.json`, with the digest of each program beside what Cargo knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bulkhead_schema::{PackageId, PackageName, SourceId};
use serde::{Deserialize, Serialize};

use crate::build::Built;
use crate::error::Result;
use crate::observed::Disk;
use crate::options::CompileOptions;
use crate::{Error, disk};

/// Largest record that is read, in bytes.
const MAX_RECORD: u64 = 16 << 20;

/// Everything that is installed below one root, by the text with which Cargo names a package.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) packages: BTreeMap<String, Installed>,
}

/// One installed package. Fields of Cargo's that mean nothing here are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Installed {
    #[serde(default)]
    version_req: Option<String>,
    #[serde(default, rename = "bins")]
    pub(super) programs: BTreeSet<String>,
    #[serde(default)]
    features: BTreeSet<String>,
    #[serde(default)]
    all_features: bool,
    #[serde(default)]
    no_default_features: bool,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    rustc: Option<String>,
    /// SHA-256 of each program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) digests: BTreeMap<String, String>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

impl Installed {
    pub(super) fn new(
        built: &Built,
        compile: &CompileOptions,
        programs: BTreeSet<String>,
        requirement: Option<&str>,
    ) -> Self {
        let toolchain = &built.prepared.toolchain;
        Self {
            version_req: requirement.map(str::to_owned),
            programs,
            features: compile.features.features.iter().cloned().collect(),
            all_features: compile.features.all_features,
            no_default_features: compile.features.no_default_features,
            profile: built.prepared.build_options.profile.to_string(),
            target: Some(compile.platforms.first().cloned().unwrap_or_else(|| toolchain.host.to_string())),
            rustc: Some(toolchain.verbose_version.clone()),
            ..Self::default()
        }
    }

    /// Whether building it so would give what is there (Cargo Book, `cargo install`: "any of these values changing").
    pub(super) fn is_same(&self, compile: &CompileOptions, programs: &BTreeSet<String>) -> bool {
        let features: BTreeSet<String> = compile.features.features.iter().cloned().collect();
        let target = compile.platforms.first();
        self.programs == *programs
            && self.features == features
            && self.all_features == compile.features.all_features
            && self.no_default_features == compile.features.no_default_features
            && Some(&self.profile) == compile.profile.as_ref()
            && target.is_none_or(|target| self.target.as_ref() == Some(target))
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Second {
    #[serde(default)]
    installs: BTreeMap<String, Installed>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

impl Records {
    /// Reads both files. The first says what is installed, the second more of it.
    ///
    /// # Errors
    /// They cannot be read or understood.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let broken = |name: &str, reason: String| {
            Error::failure(format!("failed to parse crate metadata at `{}`", root.join(name).display())).because(reason)
        };
        let text = |name: &str| -> Result<Option<String>> {
            let (path, disk) = (root.join(name), Disk::default());
            match disk.exists(&path) {
                false => Ok(None),
                true => disk.read_text(&path, MAX_RECORD).map(Some).map_err(|error| broken(name, error.to_string())),
            }
        };
        let second: Second = match text(".crates2.json")? {
            None => Second::default(),
            Some(text) if text.is_empty() => Second::default(),
            Some(text) => serde_json::from_str(&text).map_err(|error| broken(".crates2.json", error.to_string()))?,
        };
        let mut packages = BTreeMap::new();
        if let Some(text) = text(".crates.toml")? {
            let first: toml::Table =
                text.parse().map_err(|error: toml::de::Error| broken(".crates.toml", error.to_string()))?;
            let listed = first.get("v1").and_then(toml::Value::as_table).cloned().unwrap_or_default();
            for (key, programs) in listed {
                let programs = programs.as_array().into_iter().flatten();
                let programs = programs.filter_map(|name| name.as_str().map(str::to_owned)).collect();
                let mut package = second.installs.get(&key).cloned().unwrap_or_default();
                package.programs = programs;
                packages.insert(key, package);
            }
        }
        Ok(Self { packages })
    }

    /// Writes both files.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let mut first = String::from("[v1]\n");
        for (key, package) in &self.packages {
            let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
            let programs: Vec<String> = package.programs.iter().map(quoted).collect();
            let list = match programs.as_slice() {
                [only] => format!("[{only}]"),
                many => format!("[\n{}]", many.iter().map(|name| format!("    {name},\n")).collect::<String>()),
            };
            first.push_str(&format!("{} = {list}\n", quoted(key)));
        }
        let second = Second { installs: self.packages.clone(), ..Second::default() };
        let second = serde_json::to_string(&second)
            .map_err(|error| Error::failure("failed to write what is installed").because(error))?;
        std::fs::create_dir_all(root)
            .map_err(|error| Error::failure(format!("failed to create `{}`", root.display())).because(error))?;
        disk::write_atomically(&root.join(".crates.toml"), first.as_bytes())?;
        disk::write_atomically(&root.join(".crates2.json"), second.as_bytes())
    }

    /// The package that has installed the program `name`.
    pub(super) fn owner(&self, name: &str) -> Option<String> {
        let mut packages = self.packages.iter();
        packages.find(|(_, package)| package.programs.contains(name)).map(|(key, _)| key.clone())
    }

    /// Whether the record `owner` is of the package `id`, in whatever version.
    pub(super) fn is_of(owner: &str, id: PackageId) -> bool {
        let name = |key: &str| key.split(' ').next().unwrap_or_default().to_owned();
        name(owner) == name(&key(id))
    }

    /// The package that has installed one of these programs.
    pub(super) fn owner_of_any(&self, names: &BTreeSet<String>) -> Option<String> {
        names.iter().find_map(|name| self.owner(name))
    }

    /// The package that `spec` means: a name, perhaps with `@VERSION` or `:VERSION`.
    pub(super) fn find(&self, spec: &str) -> Option<String> {
        let (name, version) = match spec.split_once(['@', ':']) {
            Some((name, version)) => (name, Some(version)),
            None => (spec, None),
        };
        let matches = |key: &&String| {
            let mut words = key.split(' ');
            words.next() == Some(name) && version.is_none_or(|version| words.next() == Some(version))
        };
        self.packages.keys().find(matches).cloned()
    }

    /// Adds a package, whose programs are no one else's any more.
    pub(super) fn insert(&mut self, key: String, mut installed: Installed) {
        let before = self.packages.remove(&key).unwrap_or_default();
        for package in self.packages.values_mut() {
            package.programs.retain(|name| !installed.programs.contains(name));
            package.digests.retain(|name, _| !installed.programs.contains(name));
        }
        installed.programs.extend(before.programs);
        for (name, digest) in before.digests {
            installed.digests.entry(name).or_insert(digest);
        }
        self.packages.insert(key, installed);
        self.packages.retain(|_, package| !package.programs.is_empty());
    }

    /// Programs that older versions of the package have installed, and which are none of `programs`: each with its owner.
    pub(super) fn orphans(&self, id: PackageId, programs: &BTreeSet<String>) -> Vec<(String, String)> {
        let older = self.packages.iter().filter(|(key, _)| Self::is_of(key, id));
        let pairs = older.flat_map(|(key, package)| package.programs.iter().map(move |name| (key, name)));
        let gone = pairs.filter(|(_, name)| !programs.contains(*name));
        gone.map(|(key, name)| (key.clone(), name.clone())).collect()
    }

    /// Forgets programs, and the package with its last one.
    pub(super) fn remove(&mut self, key: &str, programs: &BTreeSet<String>) {
        if let Some(package) = self.packages.get_mut(key) {
            package.programs.retain(|name| !programs.contains(name));
            package.digests.retain(|name, _| !programs.contains(name));
        }
        self.packages.retain(|_, package| !package.programs.is_empty());
    }
}

/// `clp 0.1.0 (path+file:///…)`, as Cargo writes it.
pub(super) fn key(id: PackageId) -> String {
    format!("{} {} ({})", id.name(), id.version(), id.source())
}

/// The package of a key.
pub(super) fn parse_key(key: &str) -> Option<PackageId> {
    let mut words = key.splitn(3, ' ');
    let name = PackageName::local(words.next()?).ok()?;
    let version = words.next()?.parse().ok()?;
    let source = words.next()?.strip_prefix('(')?.strip_suffix(')')?;
    Some(PackageId::new(name, version, SourceId::parse(source).ok()?))
}
