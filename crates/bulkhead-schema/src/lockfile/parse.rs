//! Reading a lockfile.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use semver::Version;
use serde::Deserialize;
use toml::Spanned;

use super::canonical::{self, Piece, RawPackage};
use super::print::HEADER;
use super::{LockedDependency, LockedPackage, Lockfile, MAX_LOCKFILE, NEWEST_VERSION};
use crate::{Diagnostic, PackageName, SourceId};

/// A lockfile as it is written.
#[derive(Default)]
struct RawLockfile<'a> {
    version: Option<Piece<'a>>,
    packages: Vec<RawPackage<'a>>,
    root: Option<RawPackage<'a>>,
    metadata: BTreeMap<String, String>,
    unused: Vec<RawPackage<'a>>,
}

/// The same in any TOML.
#[derive(Deserialize)]
struct TomlLockfile {
    version: Option<Spanned<u32>>,
    #[serde(default)]
    package: Vec<TomlPackage>,
    root: Option<TomlPackage>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    patch: TomlPatch,
}

#[derive(Deserialize, Default)]
struct TomlPatch {
    #[serde(default)]
    unused: Vec<TomlPackage>,
}

#[derive(Deserialize)]
struct TomlPackage {
    name: Spanned<String>,
    version: Spanned<String>,
    source: Option<Spanned<String>>,
    checksum: Option<Spanned<String>>,
    #[serde(default)]
    dependencies: Vec<Spanned<String>>,
    replace: Option<Spanned<String>>,
}

fn piece<T: ToString>(spanned: Spanned<T>) -> Piece<'static> {
    let span = spanned.span();
    Piece { text: spanned.into_inner().to_string().into(), span }
}

impl From<TomlPackage> for RawPackage<'static> {
    fn from(toml: TomlPackage) -> Self {
        Self {
            name: Some(piece(toml.name)),
            version: Some(piece(toml.version)),
            source: toml.source.map(piece),
            checksum: toml.checksum.map(piece),
            dependencies: toml.dependencies.into_iter().map(piece).collect(),
            replace: toml.replace.map(piece),
        }
    }
}

impl From<TomlLockfile> for RawLockfile<'static> {
    fn from(toml: TomlLockfile) -> Self {
        let packages = |list: Vec<TomlPackage>| list.into_iter().map(RawPackage::from).collect();
        Self {
            version: toml.version.map(piece),
            packages: packages(toml.package),
            root: toml.root.map(RawPackage::from),
            metadata: toml.metadata,
            unused: packages(toml.patch.unused),
        }
    }
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
    Parser { path, text, shared: None, last_source: None }.parse()
}

struct Parser<'a> {
    path: &'a Path,
    text: &'a str,
    /// The text again, in the form that diagnostics hold; only made when there is one.
    shared: Option<Arc<str>>,
    last_source: Option<(String, SourceId)>,
}

fn span_of(piece: &Option<Piece<'_>>) -> Range<usize> {
    piece.as_ref().map_or(0..0, |piece| piece.span.clone())
}

impl Parser<'_> {
    fn parse(mut self) -> Result<Lockfile, Diagnostic> {
        let raw = match canonical::read(self.text) {
            Some((version, packages)) => RawLockfile { version, packages, ..RawLockfile::default() },
            None => match toml::from_str::<TomlLockfile>(self.text) {
                Ok(raw) => raw.into(),
                Err(error) => return Err(self.syntax(&error)),
            },
        };
        let declared = match &raw.version {
            Some(version) => Some(self.version(version)?),
            None => None,
        };
        let mut metadata = raw.metadata;
        let mut packages = Vec::with_capacity(raw.packages.len() + 1);
        let mut seen = HashSet::with_capacity(raw.packages.len() + 1);
        for package in raw.packages.iter().chain(&raw.root) {
            let locked = self.package(package, &mut metadata)?;
            if !seen.insert((locked.name, locked.version.clone(), locked.source)) {
                let message = format!("package `{}` is specified twice in the lockfile", locked.name);
                return Err(self.error(message, span_of(&package.name)));
            }
            packages.push(locked);
        }
        let mut unused_patches = Vec::with_capacity(raw.unused.len());
        for package in &raw.unused {
            unused_patches.push(self.package(package, &mut metadata)?);
        }
        metadata.retain(|key, _| !key.starts_with("checksum "));
        let is_new = |package: &LockedPackage| {
            package.checksum.is_some() || package.dependencies.iter().any(|dependency| dependency.version.is_none())
        };
        let checksums_in_metadata = packages.iter().any(|package| package.checksum.is_some())
            && raw.packages.iter().all(|package| package.checksum.is_none());
        let version = declared.unwrap_or(if !checksums_in_metadata && packages.iter().any(is_new) { 2 } else { 1 });
        Ok(Lockfile { version, packages, unused_patches, metadata, comments: comments(self.text) })
    }

    fn version(&mut self, version: &Piece<'_>) -> Result<u8, Diagnostic> {
        match version.text.parse::<u8>() {
            Ok(known @ 1..=NEWEST_VERSION) => Ok(known),
            _ => {
                let message = format!("lock file version `{}` is not understood by this version", version.text);
                let help = format!("Versions up to {NEWEST_VERSION} are known; a newer tool wrote this file.");
                Err(self.error(message, version.span.clone()).help(help))
            }
        }
    }

    fn package(
        &mut self,
        raw: &RawPackage<'_>,
        metadata: &mut BTreeMap<String, String>,
    ) -> Result<LockedPackage, Diagnostic> {
        let (Some(name), Some(version)) = (&raw.name, &raw.version) else {
            return Err(self.error("a package has no name or no version".to_owned(), 0..0));
        };
        let name_span = name.span.clone();
        let name = self.name(&name.text, name.span.clone())?;
        let version = self.semver(&version.text, version.span.clone())?;
        let source = match &raw.source {
            Some(source) => Some(self.source(&source.text, source.span.clone())?),
            None => None,
        };
        let old_key =
            || format!("checksum {name} {version} ({})", raw.source.as_ref().map_or("", |source| &source.text));
        let checksum = match &raw.checksum {
            Some(checksum) => Some(checksum.text.clone().into_owned()),
            None if metadata.is_empty() => None,
            None => metadata.remove(&old_key()).filter(|checksum| checksum != "<none>"),
        };
        let is_sha256 = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if checksum.as_ref().is_some_and(|checksum| !is_sha256(checksum)) {
            let message = format!("the checksum of package `{name}` is not a SHA-256 in hexadecimal");
            return Err(self.error(message, name_span));
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
    fn dependency(&mut self, raw: &Piece<'_>) -> Result<LockedDependency, Diagnostic> {
        let span = || raw.span.clone();
        let mut parts = raw.text.splitn(3, ' ');
        let name = self.name(parts.next().unwrap_or_default(), span())?;
        let version = match parts.next() {
            Some(version) => Some(self.semver(version, span())?),
            None => None,
        };
        let source = match parts.next() {
            Some(source) => match source.strip_prefix('(').and_then(|source| source.strip_suffix(')')) {
                Some(source) => Some(self.source(source, span())?),
                None => return Err(self.error("invalid serialized package ID in a dependency".to_owned(), span())),
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

    /// Nearly all packages have the same source: the address is parsed once.
    fn source(&mut self, text: &str, span: Range<usize>) -> Result<SourceId, Diagnostic> {
        if let Some((_, source)) = self.last_source.as_ref().filter(|(last, _)| last == text) {
            return Ok(*source);
        }
        let source = SourceId::parse(text).map_err(|error| self.error(error.to_string(), span))?;
        self.last_source = Some((text.to_owned(), source));
        Ok(source)
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
