//! Where packages come from: each source is read through one reader, which is chosen in one place ([`Sources::open`]).
//!
//! To the resolver all of them are one [`Registry`]: what is loaded is known, the rest is missing. A source either has an
//! index, whose entries are read one by one and whose packages are archives that still have to be brought here; or it is
//! a folder, whose packages have been read whole. Which of the two it is, [`Listing`] tells.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bulkhead_config::{Place, Replacement, SourceTable};
use bulkhead_resolver::{Registry, Resolve};
use bulkhead_schema::index::{IndexFile, VersionEntry};
use bulkhead_schema::{Dependency, Diagnostic, PackageId, PackageName, SourceId, SourceKind, Summary};
use bulkhead_source::{Client, DownloadRequest, Fetched, LocalRegistry, SourceError, SparseIndex};
use bulkhead_store::Store;
use bulkhead_trust::Digest;
use bulkhead_workspace::Package;
use semver::Version;

use crate::append_map::AppendMap;
use crate::directory::Directory;
use crate::error::Result;
use crate::git::{GitIndex, GitPackages, GitSources};
use crate::overrides::StandIn;
use crate::provenance::Provenance;
use crate::withdrawn::Withdrawals;
use crate::{Error, ErrorKind, Event, pins, provenance, registries};

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
    Sparse(Box<SparseIndex>),
    /// Index files and archives in a folder.
    Local(LocalRegistry),
    /// Unpacked packages in a folder.
    Directory(Directory),
    /// Index files in a git repository.
    GitIndex(GitIndex),
    /// A checkout that is searched for packages; `None` until it is needed.
    Git(Option<GitPackages>),
}

impl Reader {
    /// What a folder has under `name`.
    fn on_this_machine(&self, name: PackageName) -> Result<Listing> {
        match self {
            Self::Sparse(_) | Self::GitIndex(_) | Self::Git(_) => Ok(Listing::Absent),
            Self::Local(registry) => Ok(Listing::index(registry.index(name).map_err(source_error)?.map(Arc::new))),
            Self::Directory(directory) => match directory.packages(name)? {
                packages if packages.is_empty() => Ok(Listing::Absent),
                packages => Ok(Listing::unpacked(packages)),
            },
        }
    }
}

/// Where an archive is.
pub enum Archive {
    /// To be asked for.
    Remote(DownloadRequest),
    /// In a local registry.
    Local {
        /// The registry's folder.
        registry: PathBuf,
        /// What is there.
        bytes: std::result::Result<Vec<u8>, SourceError>,
    },
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
            whole_rust_version: package.details.rust_version.as_ref().is_some_and(|it| it.split('.').count() == 3),
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

    fn package(&self, version: &Version) -> Option<&Arc<Package>> {
        let Self::Unpacked { packages, .. } = self else { return None };
        packages.iter().find(|package| package.id.version() == version)
    }
}

/// All sources of one command.
pub struct Sources<'a> {
    client: &'a Client,
    bulkhead_home: PathBuf,
    /// What configuration puts in the place of others.
    table: SourceTable,
    readers: BTreeMap<SourceId, Reader>,
    listings: AppendMap<(SourceId, PackageName), Known>,
    announced: BTreeSet<SourceId>,
    downloaded: Option<Downloaded>,
    /// The registries that may be asked.
    named: BTreeSet<SourceId>,
    git: Option<GitSources>,
    provenance: Provenance,
    withdrawals: Withdrawals,
    /// The servers of registries, as far as something was looked for there.
    servers: pins::Seen,
    /// Repositories that could not be read: none is asked twice.
    failures: BTreeMap<SourceId, Error>,
    /// Whether the cache is read as the resolver asks for names, and not only for those that were loaded.
    as_needed: bool,
    /// Packages on this machine in the place of others.
    stand_ins: Vec<StandIn>,
    /// Whether packages count without what they depend on.
    alone: bool,
}

/// What was read under one name.
struct Known {
    listing: Listing,
    /// Which versions are on this machine, if these are preferred and there are any.
    downloaded: Option<Vec<bool>>,
}

impl Known {
    fn all_of(listing: Listing) -> Self {
        Self { listing, downloaded: None }
    }
}

/// What offline resolution prefers: versions that are on this machine.
struct Downloaded {
    store: Store,
    /// What the lockfile names counts as there: it must not be changed behind the user's back.
    kept: Vec<PackageId>,
    /// Both, once they matter: while the lockfile fits, they do not.
    here: OnceLock<Here>,
}

/// What is on this machine.
struct Here {
    /// Digests of archives.
    present: HashSet<Digest, BuildHasherDefault<LeadingBytes>>,
    kept: BTreeMap<(SourceId, PackageName), Vec<Version>>,
}

/// A digest is as good as its own hash.
#[derive(Default)]
struct LeadingBytes(u64);

impl Hasher for LeadingBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(self.0, |first| u64::from_le_bytes(*first));
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<'a> Sources<'a> {
    /// Nothing is read yet. `bulkhead_home` has the index cache and the store; of the registries, only those in `named`
    /// will be asked.
    pub fn new(client: &'a Client, bulkhead_home: PathBuf, table: SourceTable, named: BTreeSet<SourceId>) -> Self {
        let (readers, announced, failures, provenance, servers) = Default::default();
        Self {
            client,
            bulkhead_home,
            table,
            readers,
            listings: AppendMap::new(),
            announced,
            downloaded: None,
            named,
            git: None,
            failures,
            provenance,
            withdrawals: Withdrawals::default(),
            servers,
            as_needed: false,
            stand_ins: Vec::new(),
            alone: false,
        }
    }

    /// With `alone`, packages count from now on without what they depend on, until [`Sources::complete`].
    pub fn leave_alone(&mut self, alone: bool) {
        self.alone = alone;
    }

    /// Puts into `resolve` what the sources say of its packages, all of it.
    pub fn complete(&mut self, resolve: &mut Resolve) {
        if std::mem::take(&mut self.alone) {
            for node in resolve.nodes.values_mut().filter(|node| !node.summary.id.source().is_path()) {
                if let Ok(summary) = self.own_summary(node.summary.id) {
                    node.summary = summary;
                }
            }
        }
    }

    /// From now on, no registry is asked for a package that may not come from it.
    pub fn restrict(&mut self, provenance: Provenance) {
        self.provenance = provenance;
    }

    /// From now on, what registries have taken back is noticed.
    pub fn remember(&mut self, withdrawals: Withdrawals) {
        self.withdrawals = withdrawals;
    }

    /// What registries have taken back, as far as they were asked.
    pub fn withdrawals(&self) -> &Withdrawals {
        &self.withdrawals
    }

    /// What [`Sources::restrict`] was given.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// The servers of those registries of which [`Sources::archive`] has spoken, where nothing replaces them.
    pub fn servers(&self) -> &pins::Seen {
        &self.servers
    }

    /// Whether `source` may be asked: index entries may speak of registries that nobody named.
    pub fn may_ask(&self, source: SourceId) -> bool {
        registries::is_named(source, &self.named)
    }

    /// From now on, where a requirement is met by versions that are in `store` or in `kept`, others are passed over.
    pub fn prefer_downloaded(&mut self, store: Store, kept: impl Iterator<Item = PackageId>) {
        self.downloaded = Some(Downloaded { store, kept: kept.collect(), here: OnceLock::new() });
    }

    /// From now on, git sources can be read too.
    pub fn read_git(&mut self, git: GitSources) {
        self.git = Some(git);
    }

    /// The repository from which `id` comes, if it was read.
    pub fn repository(&self, id: PackageId) -> Option<&GitPackages> {
        let Reader::Git(packages) = self.readers.get(&id.source().without_commit())? else { return None };
        packages.as_ref()
    }

    /// Where the archive of `id` is, which comes from a source with an index.
    ///
    /// # Errors
    /// The registry does not say where its archives are, or the source is of another kind.
    pub fn archive(&mut self, id: PackageId, checksum: &str) -> Result<Archive> {
        let client = self.client;
        let source = id.source();
        let replaced = self.table.replacement(source)?.is_some();
        self.reader(source)?;
        match self.readers.get(&source).ok_or_else(|| unsupported(source))? {
            Reader::Sparse(index) => {
                let request = index.download(client, id, checksum).map_err(source_error)?;
                if !replaced {
                    let api = index.config(client).map_err(source_error)?.api;
                    self.servers.entry(source).or_insert_with(|| pins::servers(&request.url, api.as_deref()));
                }
                Ok(Archive::Remote(request))
            }
            Reader::GitIndex(index) => {
                let git = self.git.as_ref().ok_or_else(|| unsupported(source))?;
                let request = git.index_download(index, client, id, checksum)?;
                if !replaced {
                    self.servers.entry(source).or_insert_with(|| pins::servers(&request.url, None));
                }
                Ok(Archive::Remote(request))
            }
            Reader::Local(registry) => {
                Ok(Archive::Local { registry: registry.root().to_owned(), bytes: registry.archive(id) })
            }
            Reader::Directory(_) | Reader::Git(_) => Err(unsupported(id.source())),
        }
    }

    /// The digest of the files of `id`, if it is a package of a directory source.
    pub fn vendored(&self, id: PackageId) -> Option<Digest> {
        match self.readers.get(&id.source().without_commit())? {
            Reader::Directory(directory) => directory.content(id.name(), id.version()),
            Reader::Sparse(_) | Reader::Local(_) | Reader::GitIndex(_) | Reader::Git(_) => None,
        }
    }

    /// What is read in the place of other sources, as sentences for a message about packages that are not there.
    pub fn replacements(&self) -> Vec<String> {
        let place = |place: &Place| match place {
            Place::Directory(folder) => format!("directory source `{}`", folder.display()),
            Place::LocalRegistry(folder) => format!("local registry `{}`", folder.display()),
            Place::Remote(other) => format!("`{other}`"),
        };
        let replaced = |source: &SourceId| {
            let found = self.table.replacement(*source).ok()??;
            Some(format!("location searched: {} (which is replacing {})", place(&found.place), name_of(*source)))
        };
        self.readers.keys().filter_map(replaced).collect()
    }

    /// Whether nobody may be asked.
    pub fn is_offline(&self) -> bool {
        self.client.options().offline
    }

    /// The package `id`, if it comes from a source whose packages stand in folders.
    pub fn unpacked(&self, id: PackageId) -> Option<&Arc<Package>> {
        let known = self.listings.get(&(id.source().without_commit(), id.name()));
        let listed = known.and_then(|known| known.listing.package(id.version()));
        // What a patch names is not asked for again once everything was forgotten.
        listed.or_else(|| self.repository(id)?.repository.packages.iter().find(|package| package.id == id))
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
        let failed = |error: Error| error.while_doing(format!("unable to update {}", name_of(source)));
        let place = self.table.replacement(source)?.map(|replacement| replacement.place);
        let source = if place.is_some() { self.locked(source).map_err(failed)? } else { source };
        match place {
            Some(Place::Directory(folder)) => {
                Directory::open(&folder, source, &self.bulkhead_home).map(Reader::Directory).map_err(failed)
            }
            Some(Place::LocalRegistry(folder)) => {
                let limit = self.client.options().max_crate_size;
                let registry = LocalRegistry::open(source, &folder, limit);
                registry.map(Reader::Local).map_err(|error| failed(Error::failure(error.message)))
            }
            Some(Place::Remote(other)) => self.open_remote(source, other),
            None => self.open_remote(source, source),
        }
    }

    /// A source as packages in a folder bear it: nothing in the folder says at which commit a repository was copied.
    fn locked(&self, source: SourceId) -> Result<SourceId> {
        if !source.is_git() {
            return Ok(source);
        }
        let commit = self.git.as_ref().and_then(|git| git.pinned(source));
        commit.map(|commit| source.with_commit(commit)).ok_or_else(|| {
            let message = format!(
                "the source {source} requires a lock file to be present first before it can be used against vendored \
                 source code"
            );
            Error::failure(message).help(
                "remove the source replacement configuration, generate a lock file, and then restore the source \
                 replacement configuration to continue the build",
            )
        })
    }

    /// Reads at `place` what bears the name of `source`.
    fn open_remote(&self, source: SourceId, place: SourceId) -> Result<Reader> {
        let loopback = self.client.options().allow_http_loopback;
        let cache = self.bulkhead_home.join("index");
        let index = match place.kind() {
            _ if place.is_crates_io() && source == place => SparseIndex::crates_io(&cache),
            SourceKind::Registry => {
                let git = self.git.as_ref().ok_or_else(|| unsupported(source))?;
                return git.index(source, place).map(Reader::GitIndex);
            }
            SourceKind::SparseRegistry => SparseIndex::at(source, place.url(), &cache, loopback),
            SourceKind::Git(_) => return Ok(Reader::Git(None)),
            _ => return Err(unsupported(source)),
        };
        index.map(|index| Reader::Sparse(Box::new(index))).map_err(source_error)
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
        for &(source, name) in wanted.iter().filter(|(source, _)| !source.is_path() && self.may_ask(*source)) {
            match self.provenance.check(name, source) {
                Ok(()) => by_source.entry(source.without_commit()).or_default().push(name),
                Err(_) if need == Need::Likely => {}
                Err(diagnostic) => return Err(provenance::refusal(diagnostic, self.requirer(source, name))),
            }
        }
        let mut new = 0;
        for (source, names) in by_source {
            new += match (self.reader(source)?, freshness) {
                (Reader::Git(_), _) => match (self.load_git(source, &names, freshness, events), need) {
                    (Err(error), Need::Required) => return Err(error),
                    (loaded, _) => loaded.unwrap_or(0),
                },
                (Reader::GitIndex(_), _) => {
                    match (self.load_git_index(source, &names, freshness, need, events), need) {
                        (Err(error), Need::Required) => return Err(error),
                        (loaded, _) => loaded.unwrap_or(0),
                    }
                }
                (_, Freshness::Cached) => self.load_cached(source, &names)?,
                (_, Freshness::Current) => self.load_current(source, &names, need, events)?,
            };
        }
        Ok(new)
    }

    /// A repository is read once, and tells about all names at once.
    fn load_git(
        &mut self,
        source: SourceId,
        names: &[PackageName],
        freshness: Freshness,
        events: &dyn Fn(Event),
    ) -> Result<usize> {
        if let Some(failure) = self.failures.get(&source) {
            return Err(failure.clone());
        }
        if matches!(self.reader(source)?, Reader::Git(None)) {
            let git = self.git.as_ref().ok_or_else(|| unsupported(source))?;
            let place = match self.table.replacement(source)?.map(|replacement| replacement.place) {
                Some(Place::Remote(mirror)) => mirror,
                _ => source,
            };
            let packages = git.read(source, place, freshness == Freshness::Current, events);
            let packages = packages.inspect_err(|error| drop(self.failures.insert(source, error.clone())))?;
            self.readers.insert(source, Reader::Git(packages));
        }
        let Some(Reader::Git(Some(packages))) = self.readers.get(&source) else { return Ok(0) };
        let mut new = 0;
        let there = packages.names().filter(|name| self.listings.get(&(source, *name)).is_none());
        for name in there.chain(names.iter().copied()).collect::<BTreeSet<_>>() {
            let found = packages.named(name, events)?;
            new += usize::from(self.listings.insert((source, name), Known::all_of(found)));
        }
        Ok(new)
    }

    /// All packages in a git repository.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn packages_in(&mut self, source: SourceId, events: &dyn Fn(Event)) -> Result<Vec<Arc<Package>>> {
        self.reader(source)?;
        self.load_git(source, &[], Freshness::Current, events)?;
        let Some(Reader::Git(Some(packages))) = self.readers.get(&source) else { return Ok(Vec::new()) };
        let mut packages = packages.repository.packages.clone();
        packages.sort_by_key(|package| package.id);
        Ok(packages)
    }

    /// The repository of an index is asked once, and read for many names at once.
    fn load_git_index(
        &mut self,
        source: SourceId,
        names: &[PackageName],
        freshness: Freshness,
        need: Need,
        events: &dyn Fn(Event),
    ) -> Result<usize> {
        let is_new = freshness == Freshness::Current && !self.announced.contains(&source);
        if is_new {
            self.announce(source, events)?;
        }
        let (Some(git), Some(Reader::GitIndex(index))) = (&self.git, self.readers.get_mut(&source)) else {
            return Err(unsupported(source));
        };
        if is_new {
            git.update_index(index)?;
            self.announced.insert(source);
        }
        let wanted: Vec<_> =
            names.iter().filter(|name| self.listings.get(&(source, **name)).is_none()).copied().collect();
        let answers = git.index_files(index, &wanted)?;
        self.take(source, answers, need, events)
    }

    /// Says that the index of `source` is asked.
    fn announce(&self, source: SourceId, events: &dyn Fn(Event)) -> Result<()> {
        if self.client.options().offline {
            return Ok(());
        }
        let registry = match self.table.replacement(source)? {
            Some(Replacement { name, .. }) => format!("`{name}` index"),
            None => source.index_name(),
        };
        events(Event::UpdatingIndex { registry });
        Ok(())
    }

    /// A package that asks for `name` from `source`, as far as what was loaded tells: for the message of a failure.
    fn requirer(&self, source: SourceId, name: PackageName) -> Option<String> {
        self.listings.keys().into_iter().find_map(|(from, requirer)| {
            let known = self.listings.get(&(from, requirer))?;
            known.listing.versions().iter().rev().find_map(|entry| {
                let id = PackageId::new(requirer, entry.version.clone(), from);
                let dependencies = &self.summary(id).ok()?.dependencies;
                let wants = |dependency: &Dependency| dependency.package == name && dependency.source == source;
                dependencies.iter().any(wants).then(|| id.to_string())
            })
        })
    }

    fn load_cached(&mut self, source: SourceId, names: &[PackageName]) -> Result<usize> {
        let mut new = 0;
        for &name in names {
            if self.listings.get(&(source, name)).is_some() {
                continue;
            }
            let found = match self.reader(source)? {
                Reader::Sparse(index) => index.cached(name).map(|file| Listing::index(Some(file))),
                reader => Some(reader.on_this_machine(name)?),
            };
            if let Some(listing) = found {
                self.listings.insert((source, name), Known::all_of(listing));
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
        if !matches!(self.reader(source)?, Reader::Sparse(_)) {
            return self.load_cached(source, names);
        }
        let client = self.client;
        self.as_needed = client.options().offline;
        if self.announced.insert(source) {
            self.announce(source, events)?;
        }
        let answers = match self.reader(source)? {
            Reader::Sparse(index) => index.fetch(client, names, &mut |_, _| {}),
            _ => Vec::new(),
        };
        self.take(source, answers, need, events)
    }

    fn take(&mut self, source: SourceId, answers: Vec<Fetched>, need: Need, events: &dyn Fn(Event)) -> Result<usize> {
        let mut new = 0;
        for answer in answers {
            if !self.client.options().offline {
                self.withdrawals.hear(source, &answer).into_iter().for_each(|told| events(Event::Warning(told)));
            }
            for version in &answer.exchanged {
                events(Event::Warning(format!(
                    "the registry lists another archive of `{}` {version} than this machine has seen there before",
                    answer.name
                )));
            }
            let file = match (answer.index, need) {
                (Ok(file), _) => file,
                (Err(error), Need::Required) => return Err(source_error(error)),
                (Err(_), Need::Likely) => continue,
            };
            let known = self.judged(source, answer.name, file);
            new += usize::from(self.listings.insert((source, answer.name), known));
        }
        Ok(new)
    }

    /// The sources and names that were loaded.
    pub fn loaded(&self) -> Vec<(SourceId, PackageName)> {
        self.listings.keys()
    }

    /// Why entries of `name` cannot be used, for those versions that are `wanted`; newest first.
    pub fn unusable(&self, source: SourceId, name: PackageName, wanted: &dyn Fn(&Version) -> bool) -> Vec<String> {
        let known = self.listings.get(&(source, name)).map(|known| &known.listing);
        let Some(Listing::Index(file)) = known else { return Vec::new() };
        let entries = file.versions().iter().enumerate().rev().filter(|(_, entry)| wanted(&entry.version));
        let broken = entries.filter_map(|(position, _)| Some(file.summary(position).err()?.message));
        let rejected = file.rejected().iter().rev().filter_map(|rejected| {
            let version = Version::parse(&rejected.version);
            let matters = version.as_ref().map_or(true, wanted);
            matters.then(|| {
                let version = version.map_or_else(|_| "of no version".to_owned(), |version| version.to_string());
                format!("registry {source}: entry {name} {version}: {}", rejected.reason)
            })
        });
        rejected.chain(broken).collect()
    }

    /// The checksum that the index names for `id`.
    pub fn checksum(&self, id: PackageId) -> Option<Arc<str>> {
        self.summary(id).ok()?.checksum.clone()
    }

    /// From now on, `stand_ins` are described in the place of others.
    pub fn stand_in(&mut self, stand_ins: Vec<StandIn>) {
        self.stand_ins.extend(stand_ins);
    }

    /// What the source itself says of `id`, whatever takes its place.
    pub fn own_summary(&self, id: PackageId) -> std::result::Result<Arc<Summary>, Diagnostic> {
        let absent = || Diagnostic::error("index-entry", format!("the index has no entry for {id}"));
        match &self.known(id.source().without_commit(), id.name()).ok_or_else(absent)?.listing {
            Listing::Index(file) => file.summary(file.position(id.version()).ok_or_else(absent)?),
            listing => listing.package(id.version()).map(|package| Arc::clone(&package.summary)).ok_or_else(absent),
        }
    }

    /// Packages in the place of others.
    pub fn stand_ins(&self) -> &[StandIn] {
        &self.stand_ins
    }

    /// Forgets everything loaded, so that the next load decides freshness anew.
    pub fn forget(&mut self) {
        self.listings = AppendMap::new();
    }

    fn judged(&self, source: SourceId, name: PackageName, file: Option<Arc<IndexFile>>) -> Known {
        let downloaded = self.downloaded.as_ref().zip(file.as_ref());
        let downloaded = downloaded.and_then(|(downloaded, file)| downloaded.versions(source, name, file));
        Known { listing: Listing::index(file), downloaded }
    }

    /// What was read under a name, or what can be read without asking anybody if that is what counts.
    fn known(&self, source: SourceId, name: PackageName) -> Option<&Known> {
        if let Some(known) = self.listings.get(&(source, name)) {
            return Some(known);
        }
        let Some(Reader::Sparse(index)) = self.readers.get(&source).filter(|_| self.as_needed) else { return None };
        let known = self.judged(source, name, Some(index.cached(name)?));
        self.listings.insert((source, name), known);
        self.listings.get(&(source, name))
    }
}

impl Downloaded {
    fn here(&self) -> &Here {
        self.here.get_or_init(|| {
            let mut kept: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for id in &self.kept {
                kept.entry((id.source(), id.name())).or_default().push(id.version().clone());
            }
            Here { present: self.store.listing().into_iter().collect(), kept }
        })
    }

    /// Which versions of a package are on this machine, if any is.
    fn versions(&self, source: SourceId, name: PackageName, file: &IndexFile) -> Option<Vec<bool>> {
        let Here { present, kept } = self.here();
        let kept = kept.get(&(source, name)).map(Vec::as_slice).unwrap_or_default();
        let is_here = |(position, entry): (usize, &VersionEntry)| {
            let digest = file.checksum(position).map(Digest::from_bytes);
            kept.contains(&entry.version) || digest.is_some_and(|digest| present.contains(&digest))
        };
        let here: Vec<bool> = file.versions().iter().enumerate().map(is_here).collect();
        here.contains(&true).then_some(here)
    }
}

/// A source as messages name it.
pub fn name_of(source: SourceId) -> String {
    if source.is_crates_io() { "registry `crates-io`".to_owned() } else { source.to_string() }
}

fn unsupported(source: SourceId) -> Error {
    Error::failure(format!("the source `{source}` is of a kind that is not supported yet"))
}

impl Registry for Sources<'_> {
    fn versions(&self, source: SourceId, name: PackageName) -> Option<&[VersionEntry]> {
        Some(self.known(source, name)?.listing.versions())
    }

    fn downloaded(&self, source: SourceId, name: PackageName) -> Option<&[bool]> {
        self.known(source, name)?.downloaded.as_deref()
    }

    fn summary(&self, id: PackageId) -> std::result::Result<Arc<Summary>, Diagnostic> {
        let own = self.own_summary(id)?;
        if self.alone {
            let (dependencies, features) = (Vec::new(), Arc::default());
            return Ok(Arc::new(Summary { dependencies, features, links: None, ..Summary::clone(&own) }));
        }
        match self.stand_ins.iter().find(|stand_in| stand_in.replaces(id)) {
            Some(stand_in) => Ok(stand_in.summary(&own)),
            None => Ok(own),
        }
    }
}

/// A failed request, with what to do about it.
pub fn source_error(error: SourceError) -> Error {
    use bulkhead_source::ErrorKind as SourceKind;
    let SourceError { kind, url, message, challenge: _ } = error;
    if kind == SourceKind::Unauthorized {
        return Error::failure(message).because(format!("asked by `{url}`"));
    }
    let failure = match kind {
        SourceKind::Protocol | SourceKind::TooLarge | SourceKind::RefusedRedirect => {
            Error::refusal(ErrorKind::Verification, "registry-answer", format!("refused what `{url}` answered"))
        }
        SourceKind::RefusedAddress => {
            Error::refusal(ErrorKind::Verification, "registry-address", format!("refused to ask `{url}`"))
        }
        SourceKind::HttpsPinned => Error::refusal(
            ErrorKind::Verification,
            "https-pinned",
            format!("refused to ask `{url}` without encryption"),
        ),
        SourceKind::Certificate => {
            let message = format!("the server of `{url}` does not show that it is who it should be");
            Error::refusal(ErrorKind::Verification, "registry-certificate", message)
        }
        _ => Error::failure(format!("failed to fetch `{url}`")),
    };
    let help = match kind {
        SourceKind::Offline => Some("run the command without --offline once, so that the cache can be filled"),
        SourceKind::Network => {
            Some("check the network, the proxy settings and `http.cainfo`; --offline works from the cache")
        }
        SourceKind::Certificate => Some(
            "check the address; if your own authority signs its certificates, or those of a proxy on the way, name its file in \
             `http.cainfo` of your own config.toml",
        ),
        SourceKind::RefusedAddress => Some(
            "registries are asked over https; with `BULKHEAD_ALLOW_HTTP_LOOPBACK=1`, literal loopback addresses are over http as well",
        ),
        SourceKind::HttpsPinned => Some(
            "find out who changed the address; if the server has no https any more, and that is meant, remove its line from that file",
        ),
        _ => None,
    };
    let failure = failure.because(message);
    help.map_or(failure.clone(), |help| failure.help(help))
}
