//! Where packages come from: each source is read through one reader, which is chosen in one place ([`Sources::open`]).
//!
//! To the resolver all of them are one [`Registry`]: what is loaded is known, the rest is missing. A source either has an
//! index, whose entries are read one by one and whose packages are archives that still have to be brought here; or it is
//! a folder, whose packages have been read whole. Which of the two it is, [`Listing`] tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_resolver::Registry;
use bulkhead_schema::index::{IndexFile, VersionEntry};
use bulkhead_schema::{Diagnostic, PackageId, PackageName, SourceId, SourceKind, Summary};
use bulkhead_source::{Client, SourceError, SparseIndex};
use bulkhead_store::Store;
use bulkhead_trust::Digest;
use bulkhead_workspace::Package;

use crate::error::Result;
use crate::{Error, ErrorKind, Event};

/// Where answers may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The local cache will do; what it lacks stays missing.
    Cached,
    /// The registry is asked about every name (once per run); in offline mode the cache answers for it.
    Current,
}

/// Whether an answer is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Without it the command fails.
    Required,
    /// A guess at what will be needed next: a failure is not reported, since nobody asked.
    Likely,
}

/// How the packages of one source are found.
enum Reader {
    /// Index files over HTTP, one per package.
    Sparse(SparseIndex),
}

/// What a source has under one name.
pub enum Listing {
    /// No such package.
    Absent,
    /// Entries of an index; each is read when it is asked for.
    Index(Arc<IndexFile>),
    /// Packages whose folders are on this machine, checked and read: nothing has to be downloaded for them.
    Unpacked {
        /// Their versions, ascending.
        versions: Vec<VersionEntry>,
        /// The packages, parallel to `versions`.
        packages: Vec<Arc<Package>>,
    },
}

impl Listing {
    /// The packages of one name that stand in folders.
    pub fn unpacked(mut packages: Vec<Arc<Package>>) -> Self {
        packages.sort_by(|a, b| a.id.version().cmp(b.id.version()));
        let entry = |package: &Arc<Package>| VersionEntry {
            version: package.id.version().clone(),
            yanked: package.summary.yanked,
            rust_version: package.summary.rust_version.clone(),
            pubtime: None,
        };
        Self::Unpacked { versions: packages.iter().map(entry).collect(), packages }
    }

    fn index(file: Option<Arc<IndexFile>>) -> Self {
        file.map_or(Self::Absent, Self::Index)
    }

    fn versions(&self) -> &[VersionEntry] {
        match self {
            Self::Absent => &[],
            Self::Index(file) => file.versions(),
            Self::Unpacked { versions, .. } => versions,
        }
    }

    fn package(&self, version: &semver::Version) -> Option<&Arc<Package>> {
        let Self::Unpacked { packages, .. } = self else { return None };
        packages.iter().find(|package| package.id.version() == version)
    }
}

/// All sources of one command.
pub struct Sources<'a> {
    client: &'a Client,
    cache: PathBuf,
    /// Sparse roots by source, for registries that the user's configuration puts elsewhere.
    roots: BTreeMap<SourceId, String>,
    readers: BTreeMap<SourceId, Reader>,
    listings: BTreeMap<(SourceId, PackageName), Listing>,
    announced: BTreeSet<SourceId>,
    downloaded: Option<Downloaded>,
}

/// What offline resolution prefers: versions that are on this machine.
struct Downloaded {
    /// Digests of archives by `<name>-<version>`.
    present: BTreeMap<String, Vec<Digest>>,
    /// What the lockfile names counts as there: it must not be changed behind the user's back.
    kept: BTreeSet<PackageId>,
    /// The versions of each package that are there, where any is.
    versions: BTreeMap<(SourceId, PackageName), Vec<VersionEntry>>,
}

impl<'a> Sources<'a> {
    /// Nothing is read yet. `cache` is the folder of the index cache.
    pub fn new(client: &'a Client, cache: PathBuf, roots: BTreeMap<SourceId, String>) -> Self {
        let (readers, listings, announced) = Default::default();
        Self { client, cache, roots, readers, listings, announced, downloaded: None }
    }

    /// From now on, of the packages of which some version is in `store` or in `kept`, the others are passed over.
    pub fn prefer_downloaded(&mut self, store: &Store, kept: BTreeSet<PackageId>) {
        self.downloaded = Some(Downloaded { present: store.listing(), kept, versions: BTreeMap::new() });
    }

    /// The address of the archive of `id`, which comes from a source with an index.
    ///
    /// # Errors
    /// The registry does not say where its archives are, or the source is of another kind.
    pub fn archive_url(&mut self, id: PackageId, checksum: &str) -> Result<String> {
        let client = self.client;
        match self.reader(id.source())? {
            Reader::Sparse(index) => {
                let config = index.config(client).map_err(source_error)?;
                Ok(SparseIndex::download_url(&config, id, checksum))
            }
        }
    }

    /// The package `id`, if it comes from a source whose packages stand in folders.
    pub fn unpacked(&self, id: PackageId) -> Option<&Arc<Package>> {
        self.listings.get(&(id.source(), id.name()))?.package(id.version())
    }

    fn reader(&mut self, source: SourceId) -> Result<&Reader> {
        if !self.readers.contains_key(&source) {
            let reader = self.open(source)?;
            self.readers.insert(source, reader);
        }
        self.readers.get(&source).ok_or_else(|| unsupported(source))
    }

    /// The one place that decides how a source is read.
    fn open(&self, source: SourceId) -> Result<Reader> {
        let loopback = self.client.options().allow_http_loopback;
        let index = match (self.roots.get(&source), source.kind()) {
            (Some(root), _) => SparseIndex::at(source, root, &self.cache, loopback),
            (None, _) if source.is_crates_io() => SparseIndex::crates_io(&self.cache),
            (None, SourceKind::Registry | SourceKind::SparseRegistry) => {
                SparseIndex::at(source, source.url(), &self.cache, loopback)
            }
            (None, _) => return Err(unsupported(source)),
        };
        index.map(Reader::Sparse).map_err(source_error)
    }

    /// Loads what their sources have under the names in `wanted`. Returns how many were new.
    ///
    /// # Errors
    /// A source that cannot be reached or answers garbage; offline, a name that the cache lacks.
    pub fn load(
        &mut self,
        wanted: &BTreeSet<(SourceId, PackageName)>,
        freshness: Freshness,
        need: Need,
        events: &dyn Fn(Event),
    ) -> Result<usize> {
        let mut by_source: BTreeMap<SourceId, Vec<PackageName>> = BTreeMap::new();
        for &(source, name) in wanted.iter().filter(|(source, _)| !source.is_path()) {
            by_source.entry(source).or_default().push(name);
        }
        let mut new = 0;
        for (source, names) in by_source {
            new += match freshness {
                Freshness::Cached => self.load_cached(source, &names)?,
                Freshness::Current => self.load_current(source, &names, need, events)?,
            };
        }
        Ok(new)
    }

    fn load_cached(&mut self, source: SourceId, names: &[PackageName]) -> Result<usize> {
        let mut new = 0;
        for &name in names {
            if self.listings.contains_key(&(source, name)) {
                continue;
            }
            let found = match self.reader(source)? {
                Reader::Sparse(index) => index.cached(name).map(|file| Listing::index(Some(file))),
            };
            if let Some(listing) = found {
                self.listings.insert((source, name), listing);
                new += 1;
            }
        }
        Ok(new)
    }

    fn load_current(
        &mut self,
        source: SourceId,
        names: &[PackageName],
        need: Need,
        events: &dyn Fn(Event),
    ) -> Result<usize> {
        let client = self.client;
        if !client.options().offline && self.announced.insert(source) {
            let registry =
                if source.is_crates_io() { "crates.io index".to_owned() } else { format!("`{}` index", source.url()) };
            events(Event::UpdatingIndex { registry });
        }
        let answers = match self.reader(source)? {
            Reader::Sparse(index) => index.fetch(client, names, &mut |_, _| {}),
        };
        let mut new = 0;
        for answer in answers {
            for version in &answer.vanished {
                events(Event::Warning(format!(
                    "the registry no longer lists `{}` {version}, which this machine has seen there before",
                    answer.name
                )));
            }
            let file = match (answer.index, need) {
                (Ok(file), _) => file,
                (Err(error), Need::Required) => return Err(source_error(error)),
                (Err(_), Need::Likely) => continue,
            };
            if let (Some(downloaded), Some(file)) = (&mut self.downloaded, &file) {
                downloaded.note(source, answer.name, file);
            }
            new += usize::from(self.listings.insert((source, answer.name), Listing::index(file)).is_none());
        }
        Ok(new)
    }

    /// The checksum that the index names for `id`.
    pub fn checksum(&self, id: PackageId) -> Option<Arc<str>> {
        self.summary(id).ok()?.checksum.clone()
    }

    /// Forgets everything loaded, so that the next load decides freshness anew.
    pub fn forget(&mut self) {
        self.listings.clear();
    }
}

impl Downloaded {
    fn note(&mut self, source: SourceId, name: PackageName, file: &IndexFile) {
        // The checksum of a version whose name is not there is not asked for: to read all of them would cost more than
        // resolving does.
        let checksum = |position: usize| Digest::parse(file.summary(position).ok()?.checksum.as_deref()?).ok();
        let is_here = |(position, entry): &(usize, &VersionEntry)| {
            let present = self.present.get(&format!("{name}-{}", entry.version));
            self.kept.contains(&PackageId::new(name, entry.version.clone(), source))
                || present.is_some_and(|digests| checksum(*position).is_some_and(|digest| digests.contains(&digest)))
        };
        let versions: Vec<_> =
            file.versions().iter().enumerate().filter(is_here).map(|(_, entry)| entry.clone()).collect();
        if !versions.is_empty() {
            self.versions.insert((source, name), versions);
        }
    }
}

fn unsupported(source: SourceId) -> Error {
    Error::failure(format!("the source `{source}` is of a kind that is not supported yet"))
}

impl Registry for Sources<'_> {
    fn versions(&self, source: SourceId, name: PackageName) -> Option<&[VersionEntry]> {
        let listing = self.listings.get(&(source, name))?;
        let downloaded = self.downloaded.as_ref().and_then(|downloaded| downloaded.versions.get(&(source, name)));
        Some(downloaded.map_or_else(|| listing.versions(), Vec::as_slice))
    }

    fn summary(&self, id: PackageId) -> std::result::Result<Arc<Summary>, Diagnostic> {
        let absent = || Diagnostic::error("index-entry", format!("the index has no entry for {id}"));
        match self.listings.get(&(id.source(), id.name())).ok_or_else(absent)? {
            Listing::Index(file) => file.summary(file.position(id.version()).ok_or_else(absent)?),
            listing => listing.package(id.version()).map(|package| Arc::clone(&package.summary)).ok_or_else(absent),
        }
    }
}

/// A failed request, with what to do about it.
pub fn source_error(error: SourceError) -> Error {
    use bulkhead_source::ErrorKind as SourceKind;
    let SourceError { kind, url, message } = error;
    let failure = match kind {
        SourceKind::Protocol | SourceKind::TooLarge | SourceKind::RefusedAddress => {
            Error::new(ErrorKind::Verification, format!("refused what `{url}` answered"))
        }
        _ => Error::failure(format!("failed to fetch `{url}`")),
    };
    let help = match kind {
        SourceKind::Offline => Some("run the command without --offline once, so that the cache can be filled"),
        SourceKind::Network => {
            Some("check the network, the proxy settings and `http.cainfo`; --offline works from the cache")
        }
        _ => None,
    };
    let failure = failure.because(message);
    help.map_or(failure.clone(), |help| failure.help(help))
}
