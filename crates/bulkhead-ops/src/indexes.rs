//! The registries' indexes as the resolver sees them: what is loaded is known, the rest is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_resolver::Registry;
use bulkhead_schema::index::{IndexFile, VersionEntry};
use bulkhead_schema::{Diagnostic, PackageId, PackageName, SourceId, Summary};
use bulkhead_source::{Client, SourceError, SparseIndex};
use bulkhead_store::Store;
use bulkhead_trust::Digest;

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

/// All indexes of one command.
pub struct Indexes<'a> {
    client: &'a Client,
    cache: PathBuf,
    /// Sparse roots by source, for registries that the user's configuration puts elsewhere.
    roots: BTreeMap<SourceId, String>,
    registries: BTreeMap<SourceId, SparseIndex>,
    files: BTreeMap<(SourceId, PackageName), Option<Arc<IndexFile>>>,
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

impl<'a> Indexes<'a> {
    /// No index yet. `cache` is the folder of the index cache.
    pub fn new(client: &'a Client, cache: PathBuf, roots: BTreeMap<SourceId, String>) -> Self {
        let (registries, files, announced) = Default::default();
        Self { client, cache, roots, registries, files, announced, downloaded: None }
    }

    /// From now on, of the packages of which some version is in `store` or in `kept`, the others are passed over.
    pub fn prefer_downloaded(&mut self, store: &Store, kept: BTreeSet<PackageId>) {
        self.downloaded = Some(Downloaded { present: store.listing(), kept, versions: BTreeMap::new() });
    }

    /// The index of `source`, which must be a registry that is read over HTTP.
    pub fn registry(&mut self, source: SourceId) -> Result<&SparseIndex> {
        if !self.registries.contains_key(&source) {
            let index = self.open(source)?;
            self.registries.insert(source, index);
        }
        self.registries.get(&source).ok_or_else(|| Error::failure(format!("the registry `{source}` cannot be used")))
    }

    fn open(&self, source: SourceId) -> Result<SparseIndex> {
        let loopback = self.client.options().allow_http_loopback;
        let index = match self.roots.get(&source) {
            Some(root) => SparseIndex::at(source, root, &self.cache, loopback),
            None if source.is_crates_io() => SparseIndex::crates_io(&self.cache),
            None => SparseIndex::at(source, source.url(), &self.cache, loopback),
        };
        index.map_err(source_error)
    }

    /// Loads the index files of `wanted`. Returns how many were new.
    ///
    /// # Errors
    /// A registry that cannot be reached or answers garbage; offline, a name that the cache lacks.
    pub fn load(
        &mut self,
        wanted: &BTreeSet<(SourceId, PackageName)>,
        freshness: Freshness,
        need: Need,
        events: &dyn Fn(Event),
    ) -> Result<usize> {
        let mut by_source: BTreeMap<SourceId, Vec<PackageName>> = BTreeMap::new();
        for &(source, name) in wanted.iter().filter(|key| source_is_readable(key.0)) {
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
            if self.files.contains_key(&(source, name)) {
                continue;
            }
            if let Some(file) = self.registry(source)?.cached(name) {
                self.files.insert((source, name), Some(file));
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
        if !self.client.options().offline && self.announced.insert(source) {
            let registry =
                if source.is_crates_io() { "crates.io index".to_owned() } else { format!("`{}` index", source.url()) };
            events(Event::UpdatingIndex { registry });
        }
        let client = self.client;
        let fetched = self.registry(source)?.fetch(client, names, &mut |_, _| {});
        let mut new = 0;
        for answer in fetched {
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
            new += usize::from(self.files.insert((source, answer.name), file).is_none());
        }
        Ok(new)
    }

    /// The checksum that the index names for `id`.
    pub fn checksum(&self, id: PackageId) -> Option<Arc<str>> {
        self.summary(id).ok()?.checksum.clone()
    }

    /// Forgets everything loaded, so that the next load decides freshness anew.
    pub fn forget(&mut self) {
        self.files.clear();
    }
}

impl Downloaded {
    fn note(&mut self, source: SourceId, name: PackageName, file: &IndexFile) {
        // The index is asked for the checksum only of versions whose name is there: asking about all of them would cost
        // more than resolving does.
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

/// Git, path and directory sources have no index.
fn source_is_readable(source: SourceId) -> bool {
    source.is_registry()
}

impl Registry for Indexes<'_> {
    fn versions(&self, source: SourceId, name: PackageName) -> Option<&[VersionEntry]> {
        let file = self.files.get(&(source, name))?;
        if let Some(versions) = self.downloaded.as_ref().and_then(|downloaded| downloaded.versions.get(&(source, name)))
        {
            return Some(versions);
        }
        Some(file.as_ref().map(|file| file.versions()).unwrap_or_default())
    }

    fn summary(&self, id: PackageId) -> std::result::Result<Arc<Summary>, Diagnostic> {
        let file = self.files.get(&(id.source(), id.name())).and_then(Option::as_ref);
        let position = file.and_then(|file| file.position(id.version()));
        match (file, position) {
            (Some(file), Some(position)) => file.summary(position),
            _ => Err(Diagnostic::error("index-entry", format!("the index has no entry for {id}"))),
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
