//! Reading a lockfile.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use semver::Version;
use serde::Deserialize;
use toml::Spanned;

use super::print::HEADER;
use super::{LockedDependency, LockedPackage, Lockfile, MAX_LOCKFILE, NEWEST_VERSION};
use crate::{Diagnostic, PackageName, SourceId};

#[derive(Deserialize)]
struct RawLockfile {
    version: Option<Spanned<u32>>,
    #[serde(default)]
    package: Vec<RawPackage>,
    root: Option<RawPackage>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    patch: RawPatch,
}

#[derive(Deserialize, Default)]
struct RawPatch {
    #[serde(default)]
    unused: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: Spanned<String>,
    version: Spanned<String>,
    source: Option<Spanned<String>>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<Spanned<String>>,
    replace: Option<Spanned<String>>,
}

/// Reads a lockfile. `path` is used in messages only.
///
/// # Errors
/// Not TOML (merge-conflict markers are named as such), unknown version, duplicate package, malformed name, version,
/// source or checksum, or a file above [`MAX_LOCKFILE`]. The code is `lockfile`.
pub fn parse(path: &Path, text: &str) -> Result<Lockfile, Diagnostic> {
    if text.len() > MAX_LOCKFILE {
        let message = format!("the lockfile {} is larger than {} MiB", path.display(), MAX_LOCKFILE >> 20);
        return Err(Diagnostic::error("lockfile", message));
    }
    Parser { path, text, shared: None }.parse()
}

struct Parser<'a> {
    path: &'a Path,
    text: &'a str,
    /// The text again, in the form that diagnostics hold; only made when there is one.
    shared: Option<Arc<str>>,
}

impl Parser<'_> {
    fn parse(mut self) -> Result<Lockfile, Diagnostic> {
        let raw: RawLockfile = match toml::from_str(self.text) {
            Ok(raw) => raw,
            Err(error) => return Err(self.syntax(&error)),
        };
        let declared = match &raw.version {
            Some(version) => Some(self.version(version)?),
            None => None,
        };
        let mut metadata = raw.metadata;
        let mut packages = Vec::with_capacity(raw.package.len() + 1);
        let mut seen = BTreeSet::new();
        for package in raw.package.iter().chain(&raw.root) {
            let locked = self.package(package, &mut metadata)?;
            if !seen.insert((locked.name, locked.version.clone(), locked.source)) {
                let message = format!("package `{}` is specified twice in the lockfile", locked.name);
                return Err(self.error(message, package.name.span()));
            }
            packages.push(locked);
        }
        let mut unused_patches = Vec::with_capacity(raw.patch.unused.len());
        for package in &raw.patch.unused {
            unused_patches.push(self.package(package, &mut metadata)?);
        }
        metadata.retain(|key, _| !key.starts_with("checksum "));
        let is_new = |package: &LockedPackage| {
            package.checksum.is_some() || package.dependencies.iter().any(|dependency| dependency.version.is_none())
        };
        let checksums_in_metadata = packages.iter().any(|package| package.checksum.is_some())
            && raw.package.iter().all(|package| package.checksum.is_none());
        let version = declared.unwrap_or(if !checksums_in_metadata && packages.iter().any(is_new) { 2 } else { 1 });
        Ok(Lockfile { version, packages, unused_patches, metadata, comments: comments(self.text) })
    }

    fn version(&mut self, version: &Spanned<u32>) -> Result<u8, Diagnostic> {
        match u8::try_from(*version.as_ref()) {
            Ok(known @ 1..=NEWEST_VERSION) => Ok(known),
            _ => {
                let message = format!("lock file version `{}` is not understood by this version", version.as_ref());
                let help = format!("Versions up to {NEWEST_VERSION} are known; a newer tool wrote this file.");
                Err(self.error(message, version.span()).help(help))
            }
        }
    }

    fn package(
        &mut self,
        raw: &RawPackage,
        metadata: &mut BTreeMap<String, String>,
    ) -> Result<LockedPackage, Diagnostic> {
        let name = self.name(raw.name.as_ref(), raw.name.span())?;
        let version = self.semver(raw.version.as_ref(), raw.version.span())?;
        let source = match &raw.source {
            Some(source) => Some(self.source(source.as_ref(), source.span())?),
            None => None,
        };
        let old_key =
            || format!("checksum {name} {version} ({})", raw.source.as_ref().map_or("", |source| source.as_ref()));
        let checksum = match &raw.checksum {
            Some(checksum) => Some(checksum.clone()),
            None if metadata.is_empty() => None,
            None => metadata.remove(&old_key()).filter(|checksum| checksum != "<none>"),
        };
        let is_sha256 = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if checksum.as_ref().is_some_and(|checksum| !is_sha256(checksum)) {
            let message = format!("the checksum of package `{name}` is not a SHA-256 in hexadecimal");
            return Err(self.error(message, raw.name.span()));
        }
        let mut dependencies = Vec::with_capacity(raw.dependencies.len());
        for dependency in &raw.dependencies {
            dependencies.push(self.dependency(dependency)?);
        }
        let replace = match &raw.replace {
            Some(replace) => Some(self.dependency(replace)?),
            None => None,
        };
        Ok(LockedPackage { name, version, source, checksum, dependencies, replace })
    }

    /// `name`, `name version` or `name version (source)`.
    fn dependency(&mut self, raw: &Spanned<String>) -> Result<LockedDependency, Diagnostic> {
        let mut parts = raw.as_ref().splitn(3, ' ');
        let name = self.name(parts.next().unwrap_or_default(), raw.span())?;
        let version = match parts.next() {
            Some(version) => Some(self.semver(version, raw.span())?),
            None => None,
        };
        let source = match parts.next() {
            Some(source) => match source.strip_prefix('(').and_then(|source| source.strip_suffix(')')) {
                Some(source) => Some(self.source(source, raw.span())?),
                None => return Err(self.error("invalid serialized package ID in a dependency".to_owned(), raw.span())),
            },
            None => None,
        };
        Ok(LockedDependency { name, version, source })
    }

    fn name(&mut self, text: &str, span: Range<usize>) -> Result<PackageName, Diagnostic> {
        PackageName::local(text).map_err(|error| self.error(error.to_string(), span))
    }

    fn semver(&mut self, text: &str, span: Range<usize>) -> Result<Version, Diagnostic> {
        Version::parse(text).map_err(|error| self.error(format!("invalid version: {error}"), span))
    }

    fn source(&mut self, text: &str, span: Range<usize>) -> Result<SourceId, Diagnostic> {
        SourceId::parse(text).map_err(|error| self.error(error.to_string(), span))
    }

    fn syntax(&mut self, error: &toml::de::Error) -> Diagnostic {
        let marker = self.text.lines().scan(0, |offset, line| {
            let start = *offset;
            *offset += line.len() + 1;
            Some((start, line))
        });
        let marker = marker.into_iter().find(|(_, line)| line.starts_with("<<<<<<< ") || *line == "=======");
        if let Some((start, line)) = marker {
            let message = "the lockfile contains merge-conflict markers".to_owned();
            let diagnostic = self.error(message, start..start + line.len());
            return diagnostic.help("Take either side of the conflict; the next command completes the file.");
        }
        let span = error.span().unwrap_or(0..0);
        self.error(format!("failed to parse lock file: {}", error.message()), span)
    }

    fn error(&mut self, message: String, span: Range<usize>) -> Diagnostic {
        let text = self.shared.get_or_insert_with(|| self.text.into());
        Diagnostic::error("lockfile", message).at(self.path, text, span)
    }
}

/// Comment lines at the head of the file that Cargo did not write itself.
fn comments(text: &str) -> Vec<String> {
    let lines = text.lines().take_while(|line| line.starts_with('#')).enumerate();
    let own = lines.filter(|(place, line)| HEADER.get(*place) != Some(line));
    own.map(|(_, line)| line.to_owned()).collect()
}
