//! Identifiers: each can only be constructed through its grammar.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use semver::Version;

use crate::hash::Keyed;
use crate::{Symbol, git, secrets};

/// The domain of the public registry: its index, download and API addresses, and nothing else, derive from it.
pub const CRATES_IO_DOMAIN: &str = "crates.io";

/// The URL by which `Cargo.lock` and `cargo metadata` have always named the public registry, however it is reached.
pub const CRATES_IO_INDEX: &str = "https://github.com/rust-lang/crates.io-index";

/// Longest accepted package or feature name, in bytes. The public registry's own limit is 64; private registries and
/// local packages get some room.
pub const MAX_NAME_LENGTH: usize = 256;

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId {
    /// What kind of identifier was wanted, such as `package name`.
    pub kind: &'static str,
    /// The offending text, cut to a printable length. Untrusted.
    pub text: String,
    /// The broken rule.
    pub reason: String,
}

impl InvalidId {
    /// An error about `text`, which is cut so that a hostile name cannot flood the terminal.
    pub fn new(kind: &'static str, text: &str, reason: impl Into<String>) -> Self {
        Self { kind, text: text.chars().take(80).collect(), reason: reason.into() }
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {} {:?}: {}", self.kind, self.text, self.reason)
    }
}
impl std::error::Error for InvalidId {}

/// The name of a package: ASCII letters, digits, `-` and `_`, not beginning with a digit or `-`.
///
/// Cargo accepts Unicode identifiers for local packages; so does [`PackageName::local`]. Names from a registry are
/// ASCII ([`PackageName::registry`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct PackageName(Symbol);

impl PackageName {
    /// A name that came from a registry: ASCII only.
    pub fn registry(text: &str) -> Result<Self, InvalidId> {
        check_name(text, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_')?;
        Ok(Self(Symbol::new(text)))
    }

    /// The same from a text that is interned already.
    pub fn from_symbol(text: Symbol) -> Result<Self, InvalidId> {
        check_name(&text, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_')?;
        Ok(Self(text))
    }

    /// A name in a local manifest: Unicode letters and digits too, as Cargo allows.
    pub fn local(text: &str) -> Result<Self, InvalidId> {
        check_name(text, |c| c.is_alphanumeric() || c == '-' || c == '_')?;
        Ok(Self(Symbol::new(text)))
    }

    /// The text.
    pub fn as_str(self) -> &'static str {
        self.0.as_str()
    }

    /// The interned text.
    pub fn symbol(self) -> Symbol {
        self.0
    }
}

fn check_name(text: &str, allowed: impl Fn(char) -> bool) -> Result<(), InvalidId> {
    let invalid = |reason: String| Err(InvalidId::new("package name", text, reason));
    let Some(first) = text.chars().next() else { return invalid("it is empty".to_owned()) };
    if text.len() > MAX_NAME_LENGTH {
        return invalid(format!("it is longer than {MAX_NAME_LENGTH} bytes"));
    }
    if first.is_ascii_digit() || first == '-' {
        return invalid("it must begin with a letter or `_`".to_owned());
    }
    match text.chars().find(|&c| !allowed(c)) {
        Some(bad) => invalid(format!("the character {bad:?} is not allowed")),
        None => Ok(()),
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a git dependency asks for, in the order in which `Cargo.lock` sorts packages of the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GitReference {
    /// `tag = "…"`.
    Tag(Symbol),
    /// `branch = "…"`.
    Branch(Symbol),
    /// `rev = "…"`.
    Rev(Symbol),
    /// `HEAD` of the remote.
    DefaultBranch,
}

impl GitReference {
    /// The key of the manifest and the value; `None` for the default branch.
    pub fn key_and_name(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Tag(name) => Some(("tag", name.as_str())),
            Self::Branch(name) => Some(("branch", name.as_str())),
            Self::Rev(name) => Some(("rev", name.as_str())),
            Self::DefaultBranch => None,
        }
    }
}

/// The kind of place that packages come from, in the order in which `Cargo.lock` sorts packages of the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// A folder on this machine.
    Path,
    /// A registry whose index is a git repository, and the public registry under whatever protocol.
    Registry,
    /// A registry whose index is read over HTTP, file by file.
    SparseRegistry,
    /// A folder of `.crate` files with an index.
    LocalRegistry,
    /// A folder of unpacked packages (`cargo vendor`).
    Directory,
    /// A git repository.
    Git(GitReference),
}

#[derive(Debug)]
struct SourceData {
    kind: SourceKind,
    /// What identifies the place: for a git repository its canonical URL, otherwise `url`.
    canonical: String,
    /// The URL as it was first written; for sparse registries without the `sparse+` prefix.
    url: String,
    /// The commit of a locked git source.
    precise: Option<String>,
}

impl SourceData {
    fn key(&self) -> (SourceKind, &str, Option<&str>) {
        (self.kind, &self.canonical, self.precise.as_deref())
    }
}

impl PartialEq for SourceData {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for SourceData {}
impl std::hash::Hash for SourceData {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Where a package comes from: kind and canonical URL (and commit, for locked git sources). Interned and `Copy`.
#[derive(Clone, Copy)]
pub struct SourceId(&'static SourceData);

type Table<T> = LazyLock<Mutex<HashSet<&'static T, Keyed>>>;

static SOURCES: Table<SourceData> = LazyLock::new(Default::default);
static PACKAGES: Table<PackageData> = LazyLock::new(Default::default);

/// What the user's configuration calls registries: for people, and no part of their identity, which is the address.
static NAMES: LazyLock<Mutex<HashMap<SourceId, Symbol>>> = LazyLock::new(Default::default);

fn names() -> std::sync::MutexGuard<'static, HashMap<SourceId, Symbol>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn intern<T: Eq + std::hash::Hash>(table: &Mutex<HashSet<&'static T, Keyed>>, value: T) -> &'static T {
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = table.get(&value) {
        return known;
    }
    let leaked: &'static T = Box::leak(Box::new(value));
    table.insert(leaked);
    leaked
}

impl SourceId {
    fn new(kind: SourceKind, url: String, precise: Option<String>) -> Self {
        Self(intern(&SOURCES, SourceData { kind, canonical: url.clone(), url, precise }))
    }

    /// The public registry.
    pub fn crates_io() -> Self {
        static CRATES_IO: LazyLock<SourceId> =
            LazyLock::new(|| SourceId::new(SourceKind::Registry, CRATES_IO_INDEX.to_owned(), None));
        *CRATES_IO
    }

    /// The folder `path`, which must be absolute and normalised.
    pub fn path(path: &std::path::Path) -> Result<Self, InvalidId> {
        let url = url::Url::from_file_path(path)
            .map_err(|()| InvalidId::new("path source", &path.to_string_lossy(), "the path is not absolute"))?;
        Ok(Self::new(SourceKind::Path, url.into(), None))
    }

    /// Reads the address of a registry's index as configuration and manifests give it (`index`, `registry-index`):
    /// `sparse+https://…/`, or the address of a git repository.
    ///
    /// # Errors
    /// Not an address, or one that two programs could read as different places.
    pub fn registry(index: &str) -> Result<Self, InvalidId> {
        let source = match index.starts_with("sparse+") || index.starts_with("registry+") {
            true => Self::parse(index),
            false => Self::parse(&format!("registry+{index}")),
        }?;
        let public = match source.kind() {
            SourceKind::SparseRegistry => source.url() == format!("https://index.{CRATES_IO_DOMAIN}/"),
            _ => source.url() == CRATES_IO_INDEX,
        };
        Ok(if public { Self::crates_io() } else { source })
    }

    /// Reads the form used in `Cargo.lock` and in index entries: `registry+URL`, `sparse+URL`, `git+URL?branch=…#COMMIT`,
    /// `path+file:///…`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let invalid = |reason: &str| InvalidId::new("source", &secrets::without_password(text), reason);
        let (kind, url) = text.split_once('+').ok_or_else(|| invalid("it has no `kind+` prefix"))?;
        if kind == "git" {
            return Self::parse_git(text, url);
        }
        let parsed = url::Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
        if parsed.host_str().is_some_and(|host| host.starts_with('-')) || parsed.username().starts_with('-') {
            return Err(invalid("host and user must not begin with `-`"));
        }
        if secrets::password(url).is_some() || secrets::password(parsed.as_str()).is_some() {
            let shown = secrets::without_password(parsed.as_str());
            return Err(InvalidId::new("source", &shown, "it holds a password or a token"));
        }
        match kind {
            "registry" => Ok(Self::new(SourceKind::Registry, url.to_owned(), None)),
            "sparse" => match sparse_address_problem(url, &parsed) {
                None => Ok(Self::new(SourceKind::SparseRegistry, url.to_owned(), None)),
                Some(problem) => Err(invalid(&problem)),
            },
            "path" => Ok(Self::new(SourceKind::Path, url.to_owned(), None)),
            other => Err(invalid(&format!("unknown kind `{other}`"))),
        }
    }

    fn parse_git(text: &str, url: &str) -> Result<Self, InvalidId> {
        let invalid = |reason: String| InvalidId::new("source", &secrets::without_password(text), reason);
        let mut url = git::parse_url(url).map_err(|error| invalid(error.reason))?;
        let mut reference = GitReference::DefaultBranch;
        for (key, value) in url.query_pairs() {
            reference = match &*key {
                "branch" => GitReference::Branch(Symbol::new(&value)),
                "tag" => GitReference::Tag(Symbol::new(&value)),
                "rev" => GitReference::Rev(Symbol::new(&value)),
                _ => reference,
            };
        }
        let commit =
            url.fragment().map(git::ObjectId::parse).transpose().map_err(|error| invalid(error.to_string()))?;
        url.set_fragment(None);
        url.set_query(None);
        let source = Self::git(&url, reference).map_err(|error| invalid(error.to_string()))?;
        Ok(commit.map_or(source, |commit| source.with_commit(commit)))
    }

    /// The git repository at `url`, which [`git::parse_url`] has read.
    ///
    /// # Errors
    /// The reference breaks its grammar.
    pub fn git(url: &url::Url, reference: GitReference) -> Result<Self, InvalidId> {
        git::check_reference(&reference)?;
        let canonical = git::canonical_url(url);
        Ok(Self(intern(
            &SOURCES,
            SourceData { kind: SourceKind::Git(reference), canonical, url: url.as_str().to_owned(), precise: None },
        )))
    }

    /// The form that [`parse`](Self::parse) reads back whatever a git reference is called: a branch may have `#` or `&` in its
    /// name, which Cargo shows as they are.
    pub fn encoded(self) -> String {
        let SourceData { kind: SourceKind::Git(reference), url, precise, .. } = self.0 else { return self.to_string() };
        let commit = precise.as_ref().map(|commit| format!("#{commit}"));
        format!("git+{url}{}{}", ReferenceQuery(*reference), commit.unwrap_or_default())
    }

    /// The same git source, locked to `commit`.
    #[must_use]
    pub fn with_commit(self, commit: git::ObjectId) -> Self {
        let SourceData { kind, canonical, url, .. } = self.0;
        let (canonical, url) = (canonical.clone(), url.clone());
        Self(intern(&SOURCES, SourceData { kind: *kind, canonical, url, precise: Some(commit.to_string()) }))
    }

    /// The source as manifests name it: without the commit to which a git source is locked.
    #[must_use]
    pub fn without_commit(self) -> Self {
        if self.0.precise.is_none() {
            return self;
        }
        let SourceData { kind, canonical, url, .. } = self.0;
        let (canonical, url) = (canonical.clone(), url.clone());
        Self(intern(&SOURCES, SourceData { kind: *kind, canonical, url, precise: None }))
    }

    /// What `[patch]` tells apart: of a git source the repository, whatever branch or commit is meant; otherwise itself.
    #[must_use]
    pub fn as_patched(self) -> Self {
        let SourceData { kind: SourceKind::Git(_), canonical, url, .. } = self.0 else { return self };
        let (canonical, url) = (canonical.clone(), url.clone());
        let kind = SourceKind::Git(GitReference::DefaultBranch);
        Self(intern(&SOURCES, SourceData { kind, canonical, url, precise: None }))
    }

    /// The commit to which a git source is locked.
    pub fn commit(self) -> Option<git::ObjectId> {
        git::ObjectId::parse(self.0.precise.as_deref()?).ok()
    }

    /// Whether this is a git repository.
    pub fn is_git(self) -> bool {
        matches!(self.0.kind, SourceKind::Git(_))
    }

    /// For a git repository, the form in which all URLs of it are the same; otherwise the URL.
    pub fn canonical_url(self) -> &'static str {
        &self.0.canonical
    }

    /// The kind of place.
    pub fn kind(self) -> SourceKind {
        self.0.kind
    }

    /// The canonical URL, without a `kind+` prefix.
    pub fn url(self) -> &'static str {
        &self.0.url
    }

    /// The same source; from now on messages call it `name`, as the configuration does. The first name stays.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        names().entry(self).or_insert_with(|| Symbol::new(name));
        self
    }

    /// What people call this registry: the name in configuration, else the address.
    pub fn registry_name(self) -> String {
        let name = names().get(&self).copied();
        match (name, self.kind()) {
            _ if self.is_crates_io() => "crates-io".to_owned(),
            (Some(name), _) => name.as_str().to_owned(),
            (None, SourceKind::SparseRegistry) => self.to_string(),
            (None, _) => self.url().to_owned(),
        }
    }

    /// The registry's index in a sentence: `` `NAME` index ``, or `crates.io index`.
    pub fn index_name(self) -> String {
        match self.is_crates_io() {
            true => format!("{CRATES_IO_DOMAIN} index"),
            false => format!("`{}` index", self.registry_name()),
        }
    }

    /// Whether this is a folder on this machine.
    pub fn is_path(self) -> bool {
        self.0.kind == SourceKind::Path
    }

    /// Whether packages from here are identified by version and checksum.
    pub fn is_registry(self) -> bool {
        matches!(self.0.kind, SourceKind::Registry | SourceKind::SparseRegistry | SourceKind::LocalRegistry)
    }

    /// Whether this is the public registry.
    pub fn is_crates_io(self) -> bool {
        self == Self::crates_io()
    }

    /// The folder of a path source.
    pub fn local_path(self) -> Option<std::path::PathBuf> {
        self.is_path().then(|| url::Url::parse(&self.0.url).ok()?.to_file_path().ok())?
    }
}

impl PartialEq for SourceId {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
impl Eq for SourceId {}
impl std::hash::Hash for SourceId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.0).hash(state);
    }
}
impl Ord for SourceId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self == other { std::cmp::Ordering::Equal } else { self.0.key().cmp(&other.0.key()) }
    }
}
impl PartialOrd for SourceId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What is wrong with the root of a sparse index, which is an identity to which tokens are bound: it has exactly one
/// spelling, the canonical one of [`url::Url`], and nothing that servers read in different ways.
fn sparse_address_problem(text: &str, url: &url::Url) -> Option<String> {
    let problem = if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        "it is not an https address"
    } else if !url.username().is_empty() || url.password().is_some() {
        "registry URLs may not contain user names or passwords"
    } else if url.query().is_some() || url.fragment().is_some() {
        "it has a query or a fragment"
    } else if !url.path().ends_with('/') {
        "sparse registry url must end in a slash `/`"
    } else if url.as_str() != text {
        return Some(format!("it is not written canonically: write `sparse+{url}`"));
    } else {
        let path = url.path().to_ascii_lowercase();
        let ambiguous = ["//", "%2f", "%5c", "%2e", "%00"].iter().any(|part| path.contains(part));
        let dotted = url.host_str().is_some_and(|host| host.ends_with('.'));
        return (ambiguous || dotted).then(|| "servers read such an address in different ways".to_owned());
    };
    Some(problem.to_owned())
}

/// The form in which Cargo shows it. What is read again is written with [`SourceId::encoded`].
impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceData { kind, url, precise, .. } = self.0;
        let prefix = match kind {
            SourceKind::Path => "path",
            SourceKind::Git(_) => "git",
            SourceKind::Registry => "registry",
            SourceKind::SparseRegistry => "sparse",
            SourceKind::LocalRegistry => "local-registry",
            SourceKind::Directory => "directory",
        };
        write!(f, "{prefix}+{url}")?;
        if let SourceKind::Git(reference) = kind
            && let Some((key, name)) = reference.key_and_name()
        {
            write!(f, "?{key}={name}")?;
        }
        precise.as_ref().map_or(Ok(()), |commit| write!(f, "#{commit}"))
    }
}
impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A git reference as the query of a URL, encoded: the form of lockfiles since version 4, of status lines and of package
/// ids. Empty for the default branch.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceQuery(pub GitReference);

impl fmt::Display for ReferenceQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((key, name)) = self.0.key_and_name() else { return Ok(()) };
        write!(f, "?{key}=")?;
        url::form_urlencoded::byte_serialize(name.as_bytes()).try_for_each(|part| f.write_str(part))
    }
}

#[derive(PartialEq, Eq, Hash)]
struct PackageData {
    /// The first letters of the name, by which most packages are told apart without comparing texts.
    beginning: u64,
    name: PackageName,
    version: Version,
    source: SourceId,
}

/// One exact package: name, version and source. Interned and `Copy`; ordered by name, version, source.
#[derive(Clone, Copy)]
pub struct PackageId(&'static PackageData);

impl PackageId {
    /// The package `name` `version` of `source`.
    pub fn new(name: PackageName, version: Version, source: SourceId) -> Self {
        let mut beginning = [0; 8];
        beginning.iter_mut().zip(name.as_str().bytes()).for_each(|(place, byte)| *place = byte);
        let beginning = u64::from_be_bytes(beginning);
        Self(intern(&PACKAGES, PackageData { beginning, name, version, source }))
    }

    /// Its name.
    pub fn name(self) -> PackageName {
        self.0.name
    }

    /// Its version.
    pub fn version(self) -> &'static Version {
        &self.0.version
    }

    /// Where it comes from.
    pub fn source(self) -> SourceId {
        self.0.source
    }
}

impl PartialEq for PackageId {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
impl Eq for PackageId {}
impl std::hash::Hash for PackageId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.0).hash(state);
    }
}
impl Ord for PackageId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self == other {
            return std::cmp::Ordering::Equal;
        }
        if self.0.beginning != other.0.beginning {
            return self.0.beginning.cmp(&other.0.beginning);
        }
        let key = |id: &Self| (id.0.name, &id.0.version, id.0.source);
        key(self).cmp(&key(other))
    }
}
impl PartialOrd for PackageId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// `name v1.2.3`, with the source where it is not the public registry, as in Cargo's status lines.
impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.0.name, self.0.version)?;
        match self.0.source.local_path() {
            Some(path) => write!(f, " ({})", path.display()),
            None if self.0.source.is_crates_io() => Ok(()),
            None if self.0.source.is_registry() => write!(f, " (registry `{}`)", self.0.source.registry_name()),
            None => write!(f, " ({})", ShownSource(self.0.source)),
        }
    }
}

/// A source as Cargo shows it to people: of a git repository the URL with the first digits of the commit.
#[derive(Debug, Clone, Copy)]
pub struct ShownSource(pub SourceId);

impl fmt::Display for ShownSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceKind::Git(reference) = self.0.kind() else { return fmt::Display::fmt(&self.0, f) };
        write!(f, "{}{}", self.0.url(), ReferenceQuery(reference))?;
        let commit = self.0.0.precise.as_deref().and_then(|commit| commit.get(..8));
        commit.map_or(Ok(()), |commit| write!(f, "#{commit}"))
    }
}

impl fmt::Debug for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{PackageName, SourceId};

    #[test]
    fn registry_names_are_ascii_and_cannot_be_paths_or_options() {
        for bad in ["", "-x", "../x", "a/b", "é", "a.b", "1a", "a\nb", "a b"] {
            assert!(PackageName::registry(bad).is_err(), "{bad:?}");
        }
        for good in ["serde", "serde_json", "rand-core", "_x", "a1"] {
            assert_eq!(PackageName::registry(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn sources_round_trip() {
        for text in [
            "registry+https://github.com/rust-lang/crates.io-index",
            "sparse+https://example.org/index/",
            "git+https://example.org/x.git?branch=main#0123456789012345678901234567890123456789",
            "path+file:///a/b",
        ] {
            assert_eq!(SourceId::parse(text).unwrap().to_string(), text);
        }
        for text in [
            // One branch whose name looks like one with a commit behind it, one like two parameters.
            "git+https://example.org/x?branch=main%230123456789012345678901234567890123456789",
            "git+https://example.org/x?branch=feat%2Fx%2By%26rev%3D1#0123456789012345678901234567890123456789",
            "registry+https://github.com/rust-lang/crates.io-index",
        ] {
            let source = SourceId::parse(text).unwrap();
            assert_eq!((source.encoded().as_str(), SourceId::parse(&source.encoded())), (text, Ok(source)));
        }
        assert!(SourceId::parse("git+ssh://-oProxyCommand=x/y").is_err());
        assert!(SourceId::parse("git+https://example.org/x#0123456").is_err(), "a shortened commit is no lock");
    }

    #[test]
    fn a_git_source_is_its_canonical_url_and_reference() {
        let parse = |text| SourceId::parse(text).unwrap();
        let locked = parse("git+https://example.org/y.git?tag=v1#0123456789012345678901234567890123456789");
        assert_eq!(locked.without_commit(), parse("git+https://example.org/y?tag=v1"));
        assert_ne!(locked.without_commit(), parse("git+https://example.org/y?branch=v1"));
        assert_eq!(locked.without_commit().with_commit(locked.commit().unwrap()), locked);
    }

    /// Attacks 152 and 153: tokens are bound to an address, which therefore has one spelling.
    #[test]
    fn a_sparse_registry_has_one_spelling() {
        for bad in [
            "https://example.org",
            "https://example.org/index",
            "https://example.org/x/../index/",
            "https://EXAMPLE.org/index/",
            "HTTPS://example.org/index/",
            "https://example.org:443/index/",
            "https://example.org./index/",
            "https://user@example.org/index/",
            "https://user:secret@example.org/index/",
            "https://2130706433/index/",
            "https://0177.0.0.1/index/",
            "https://[fe80::1%25eth0]/index/",
            "https://exämple.org/index/",
            "https://example.org\\index/",
            "https://example.org/a%2fb/",
            "https://example.org/a%5Cb/",
            "https://example.org/%2e%2e/index/",
            "https://example.org//index/",
            "https://example.org/index/?q/",
            "https://example.org/index/#f/",
            "https://example.org/in dex/",
            "ftp://example.org/index/",
            "file:///index/",
        ] {
            assert!(SourceId::parse(&format!("sparse+{bad}")).is_err(), "{bad}");
        }
        // No suffix is cut off, and letters differ: these are different registries.
        let parse = |path: &str| SourceId::parse(&format!("sparse+https://example.org/{path}")).unwrap();
        assert!(parse("index/") != parse("index.git/") && parse("index/") != parse("Index/"));
        assert!(SourceId::registry("sparse+https://index.crates.io/").unwrap().is_crates_io());
        assert!(SourceId::registry("https://github.com/rust-lang/crates.io-index").unwrap().is_crates_io());
    }

    #[test]
    fn a_name_is_for_people_only() {
        let text = "sparse+https://named.example.org/";
        let source = SourceId::parse(text).unwrap();
        assert_eq!(source.registry_name(), text);
        assert_eq!(source.called("mine").called("other"), source);
        assert_eq!((source.index_name().as_str(), source.to_string().as_str()), ("`mine` index", text));
    }
}
