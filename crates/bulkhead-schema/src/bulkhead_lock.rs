//! `bulkhead.lock`: what `Cargo.lock` has no field for. It belongs beside it, in version control.
//!
//! It holds the identity of each registry besides the public one, as it was when the project first used it, the digests of
//! folders of which `Cargo.lock` knows no checksum of what stands in them, and the build-time code that somebody has approved.
//! The form is TOML, one table per registry in the order of the addresses and one per package in the order of names and
//! versions, one value per line, and no times: two people who lock the same project write the same bytes, and two branches
//! that add different things merge.

mod approvals;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::config::{Data, Entry, Node, parse};
use crate::policy::toml_string;
use crate::{Diagnostic, PackageId, SourceId};

pub use approvals::{Approval, BuildCodeKind};

/// Largest file that is read, in bytes.
pub const MAX_BULKHEAD_LOCK: u64 = 1 << 20;

/// The version of the form that is written.
const VERSION: i64 = 1;

/// Most registries of one project.
const MAX_REGISTRIES: usize = 1_000;

/// What a digest begins with.
const SHA256: &str = "sha256:";

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkheadLock {
    /// `[[registry]]`, by source.
    pub registries: BTreeMap<SourceId, RegistryPin>,
    /// `[vendored]`: packages of directory sources.
    pub vendored: Contents,
    /// `[overrides]`: folders outside of the workspace that its configuration puts in the place of packages, relative to it.
    pub overrides: Contents,
    /// `[[build-code]]`, by package.
    pub approvals: BTreeMap<PackageId, Approval>,
}

/// `sha256:` and the digest of what stands in a folder, by what it is called.
pub type Contents = BTreeMap<String, String>;

/// What was seen of one registry at first use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryPin {
    /// `names`: what configuration and manifests call it.
    pub names: BTreeSet<String>,
    /// `download`: origin (scheme, host, port) of its archives, once one was downloaded.
    pub download: Option<String>,
    /// `api`: origin of its web API, if it has one.
    pub api: Option<String>,
}

impl BulkheadLock {
    /// Reads the file.
    ///
    /// # Errors
    /// `bulkhead-lock`: broken TOML (such as the marks of an unfinished merge), another version, unknown keys, the same
    /// registry or name twice. What is not understood protects nobody.
    pub fn parse(path: &Path, text: &Arc<str>) -> Result<Self, Diagnostic> {
        let reader = Reader { path, text };
        let root = parse(path, text)?;
        let (mut lock, mut version) = (Self::default(), None);
        for (key, entry) in root.as_table().into_iter().flatten() {
            match (key.as_str(), &entry.node.data) {
                ("version", Data::Integer(number)) => version = Some(*number),
                ("registry", Data::List(tables)) if tables.len() <= MAX_REGISTRIES => {
                    tables.iter().try_for_each(|node| reader.registry(node, &mut lock))?;
                }
                ("vendored", Data::Table(_)) => lock.vendored = reader.contents(entry)?,
                ("overrides", Data::Table(_)) => lock.overrides = reader.contents(entry)?,
                ("build-code", Data::List(tables)) => reader.approvals(tables, &mut lock)?,
                _ => return Err(reader.error(entry, format!("`{key}` does not belong here"))),
            }
        }
        match version {
            Some(VERSION) => Ok(lock),
            Some(other) => Err(Diagnostic::error("bulkhead-lock", format!("{} has version {other}", path.display()))
                .help("this program understands version 1: use the one that wrote the file")),
            None => Err(Diagnostic::error("bulkhead-lock", format!("{} has no `version`", path.display()))
                .help("restore it from version control")),
        }
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a Arc<str>,
}

impl Reader<'_> {
    fn error(&self, entry: &Entry, message: String) -> Diagnostic {
        Diagnostic::error("bulkhead-lock", message).at(self.path, self.text, entry.key_span.clone())
    }

    fn whole(&self, node: &Node, message: &str) -> Diagnostic {
        Diagnostic::error("bulkhead-lock", message).at(self.path, self.text, node.span.clone())
    }

    fn registry(&self, node: &Node, lock: &mut BulkheadLock) -> Result<(), Diagnostic> {
        let whole = |message: &str| self.whole(node, message);
        let table = node.as_table().ok_or_else(|| whole("`registry` is an array of tables"))?;
        let (mut pin, mut index) = (RegistryPin::default(), None);
        for (key, entry) in table {
            let text = || entry.node.as_str().ok_or_else(|| self.error(entry, format!("`{key}` is a string")));
            match key.as_str() {
                "index" => {
                    let source = SourceId::parse(text()?).map_err(|error| self.error(entry, error.to_string()))?;
                    index = Some(source);
                }
                "names" => pin.names = self.names(entry, lock)?,
                "download" => pin.download = Some(self.origin(entry, text()?)?),
                "api" => pin.api = Some(self.origin(entry, text()?)?),
                _ => return Err(self.error(entry, format!("`{key}` does not belong here"))),
            }
        }
        let index = index.ok_or_else(|| whole("a registry has an `index`"))?;
        if lock.registries.insert(index, pin).is_some() {
            return Err(whole("this registry is listed twice"));
        }
        Ok(())
    }

    fn names(&self, entry: &Entry, lock: &BulkheadLock) -> Result<BTreeSet<String>, Diagnostic> {
        let wrong = || self.error(entry, "`names` is an array of strings".to_owned());
        let mut names = BTreeSet::new();
        for item in entry.node.as_list().ok_or_else(wrong)? {
            let name = item.as_str().ok_or_else(wrong)?.to_owned();
            if lock.registries.values().any(|pin| pin.names.contains(&name)) || !names.insert(name.clone()) {
                return Err(self.error(entry, format!("the name `{name}` is listed twice")));
            }
        }
        Ok(names)
    }

    fn contents(&self, table: &Entry) -> Result<Contents, Diagnostic> {
        let mut contents = Contents::new();
        for (name, entry) in table.node.as_table().into_iter().flatten() {
            let text = entry.node.as_str().filter(|text| is_digest(text));
            let wrong = || self.error(entry, format!("the value of `{name}` is `{SHA256}` and 64 hexadecimal digits"));
            contents.insert(name.clone(), text.ok_or_else(wrong)?.to_owned());
        }
        Ok(contents)
    }

    fn origin(&self, entry: &Entry, text: &str) -> Result<String, Diagnostic> {
        match origin(text) {
            Some(origin) if origin == text => Ok(origin),
            _ => Err(self.error(entry, format!("{text:?} is no origin, such as `https://example.org`"))),
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix(SHA256).is_some_and(|digits| {
        digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Scheme, host and port of an address; `None` if it has none.
pub fn origin(address: &str) -> Option<String> {
    let origin = url::Url::parse(address).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// The content of the file.
impl fmt::Display for BulkheadLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.approvals.is_empty() {
            true => "what this project's sources were when they were first used",
            false => "what this project's sources were at first use, and approved build-time code",
        };
        writeln!(f, "# Written by Bulkhead: {what}.")?;
        writeln!(f, "# It belongs in version control, beside Cargo.lock.\nversion = {VERSION}")?;
        for (source, pin) in &self.registries {
            writeln!(f, "\n[[registry]]\nindex = {}", toml_string(&source.to_string()))?;
            if !pin.names.is_empty() {
                let names: Vec<String> = pin.names.iter().map(|name| toml_string(name)).collect();
                writeln!(f, "names = [{}]", names.join(", "))?;
            }
            for (key, value) in [("download", &pin.download), ("api", &pin.api)] {
                if let Some(value) = value {
                    writeln!(f, "{key} = {}", toml_string(value))?;
                }
            }
        }
        for (table, contents) in [("vendored", &self.vendored), ("overrides", &self.overrides)] {
            if !contents.is_empty() {
                writeln!(f, "\n[{table}]")?;
            }
            for (name, digest) in contents {
                writeln!(f, "{} = {}", toml_string(name), toml_string(digest))?;
            }
        }
        self.approvals.iter().try_for_each(|(id, approval)| approvals::print(f, id, approval))
    }
}

#[cfg(test)]
mod tests {
    use super::{BulkheadLock, RegistryPin};
    use crate::SourceId;
    use std::path::Path;
    use std::sync::Arc;

    fn parsed(text: &str) -> Result<BulkheadLock, String> {
        BulkheadLock::parse(Path::new("bulkhead.lock"), &Arc::from(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut lock = BulkheadLock::default();
        let pin = RegistryPin {
            names: ["t".to_owned(), "acme\"\u{202e}".to_owned()].into(),
            download: Some("https://dl.example:8443".to_owned()),
            api: Some("https://api.example".to_owned()),
        };
        lock.registries.insert(SourceId::parse("sparse+https://b.example/index/").unwrap(), pin);
        lock.registries.insert(SourceId::parse("registry+https://a.example/index").unwrap(), RegistryPin::default());
        lock.vendored.insert("a 1.0.0".to_owned(), format!("sha256:{}", "0a".repeat(32)));
        lock.overrides.insert("../with \"quotes\"".to_owned(), format!("sha256:{}", "b1".repeat(32)));
        let text = lock.to_string();
        expect_test::expect![[r##"
            # Written by Bulkhead: what this project's sources were when they were first used.
            # It belongs in version control, beside Cargo.lock.
            version = 1

            [[registry]]
            index = "registry+https://a.example/index"

            [[registry]]
            index = "sparse+https://b.example/index/"
            names = ["acme\"\u202E", "t"]
            download = "https://dl.example:8443"
            api = "https://api.example"

            [vendored]
            "a 1.0.0" = "sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"

            [overrides]
            "../with \"quotes\"" = "sha256:b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1"
        "##]]
        .assert_eq(&text);
        assert_eq!(parsed(&text).unwrap(), lock);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        let pin = "version = 1\n[[registry]]\nindex = 'sparse+https://a.example/'\n";
        for (text, message) in [
            (String::new(), "has no `version`"),
            ("version = 2".to_owned(), "has version 2"),
            ("version = 1\nregistries = []".to_owned(), "bulkhead.lock:2:1: `registries` does not belong here"),
            ("version = 1\n<<<<<<< HEAD".to_owned(), "bulkhead.lock:2:"),
            ("version = 1\nvendored = 1".to_owned(), "bulkhead.lock:2:1: `vendored` does not belong here"),
            ("version = 1\n[vendored]\n'a 1' = 'sha256:0'".to_owned(), "bulkhead.lock:3:1: the value of `a 1` is"),
            ("version = 1\n[overrides]\n'a' = 1".to_owned(), "bulkhead.lock:3:1: the value of `a` is"),
            (format!("{pin}digest = 'x'"), "bulkhead.lock:4:1: `digest` does not belong here"),
            (format!("{pin}download = 'https://a.example/path'"), "is no origin"),
            (format!("{pin}download = 'file:///x'"), "is no origin"),
            (format!("{pin}{}", pin.replace("version = 1\n", "")), "listed twice"),
            (format!("{pin}names = ['x', 'x']"), "the name `x` is listed twice"),
            ("version = 1\n[[registry]]\nnames = []".to_owned(), "a registry has an `index`"),
            ("version = 1\n[[registry]]\nindex = 'x'".to_owned(), "invalid source"),
        ] {
            let error = parsed(&text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
