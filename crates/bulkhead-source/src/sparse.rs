//! A registry whose index is read over HTTP, file by file (Cargo Book, "Registry Index", sparse protocol).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bulkhead_schema::ids::CRATES_IO_DOMAIN;
use bulkhead_schema::index::{self, IndexFile, Validators, VersionEntry};
use bulkhead_schema::{PackageId, PackageName, SourceId};
use semver::Version;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use url::Url;

use crate::index_cache::{self, IndexCache};
use crate::request::{Answer, Get, get};
use crate::{Authorization, Client, ClientOptions, DownloadRequest, ErrorKind, SourceError, url_rules};

/// A registry's `config.json` (Cargo Book, "Registry Index", index configuration).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RegistryConfig {
    /// Template of download addresses.
    pub dl: String,
    /// Root of the web API.
    pub api: Option<String>,
    /// Whether every request needs a token.
    #[serde(default, rename = "auth-required")]
    pub auth_required: bool,
}

impl RegistryConfig {
    /// Reads a `config.json`, which was found at `url`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(url: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        serde_json::from_slice(bytes).map_err(|error| {
            // The parser's own words would quote what the server sent, which may be what it got.
            let place = format!("line {}, column {}", error.line(), error.column());
            SourceError::new(ErrorKind::Protocol, url, format!("not a registry configuration ({place})"))
        })
    }

    /// What to ask for the archive of `id` of `registry`, whose index stands at `root` and is not read over HTTP.
    ///
    /// # Errors
    /// The address breaks the rules for addresses, or the registry wants a token that nobody has.
    pub fn download(
        &self,
        client: &Client,
        registry: SourceId,
        root: &Url,
        id: PackageId,
        checksum: &str,
    ) -> Result<DownloadRequest, SourceError> {
        let url = SparseIndex::download_url(self, id, checksum);
        let parsed = url_rules::check_named_by(root, &url, client.options().allow_http_loopback)?;
        let authorization = self.authorization(client, registry, root, &parsed)?;
        Ok(DownloadRequest { id, url, authorization })
    }

    /// The answer of the web API of `registry`, whose index stands at `root` and is not read over HTTP, to a GET of
    /// `path`, which begins with `/` (Cargo Book, "Web API"), and the API's address.
    ///
    /// # Errors
    /// The registry has no API, cannot be reached, or wants a token that nobody has.
    pub fn ask(
        &self,
        client: &Client,
        registry: SourceId,
        root: &Url,
        path: &str,
    ) -> Result<(String, Vec<u8>), SourceError> {
        let (api, url) = self.api_url(client, registry, root, path)?;
        let authorization = self.authorization(client, registry, root, &url)?;
        Ok((api, ask(client, &url, &authorization)?))
    }

    fn authorization(
        &self,
        client: &Client,
        registry: SourceId,
        root: &Url,
        url: &Url,
    ) -> Result<Authorization, SourceError> {
        match client.has_tokens() && self.auth_required {
            true => Authorization::for_request(&client.grant(registry, &[])?, registry, root, url),
            false => Ok(Authorization::Public),
        }
    }

    /// The address of the API, and that of `path` in it.
    fn api_url(
        &self,
        client: &Client,
        registry: SourceId,
        root: &Url,
        path: &str,
    ) -> Result<(String, Url), SourceError> {
        let Some(api) = &self.api else {
            let message = format!("the registry `{}` has no web API", registry.registry_name());
            return Err(SourceError::new(ErrorKind::NotFound, root.as_str(), message));
        };
        let api = api.trim_end_matches('/').to_owned();
        let url = url_rules::check_named_by(root, &format!("{api}{path}"), client.options().allow_http_loopback)?;
        Ok((api, url))
    }
}

/// The answer for one name.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The name.
    pub name: PackageName,
    /// Its versions; `None` if the registry does not have the package.
    pub index: Result<Option<Arc<IndexFile>>, SourceError>,
    /// Versions that this machine has seen before and that the registry no longer lists: worth a warning, since
    /// registries do not take versions back.
    pub vanished: Vec<Version>,
    /// Versions of which this machine has seen another checksum before: the archive of a version never changes.
    pub exchanged: Vec<Version>,
}

impl Fetched {
    /// An answer in which nothing goes back behind what this machine has seen.
    pub fn new(name: PackageName, index: Result<Option<Arc<IndexFile>>, SourceError>) -> Self {
        Self { name, index, vanished: Vec::new(), exchanged: Vec::new() }
    }

    /// Notes in what `new` goes back behind `old`, which this machine has seen before.
    fn compare(&mut self, old: Option<&IndexFile>, new: Option<&IndexFile>) {
        for (position, VersionEntry { version, .. }) in old.iter().flat_map(|old| old.versions().iter().enumerate()) {
            match new.and_then(|new| Some((new, new.position(version)?))) {
                None => self.vanished.push(version.clone()),
                Some((new, place)) if old.and_then(|old| old.checksum(position)) != new.checksum(place) => {
                    self.exchanged.push(version.clone());
                }
                Some(_) => {}
            }
        }
    }
}

/// A sparse registry and its cache on this machine.
pub struct SparseIndex {
    source: SourceId,
    root: Url,
    folder: PathBuf,
    cache: IndexCache,
    /// What this process has asked already: each name is asked once per run.
    fresh: Mutex<HashMap<PackageName, Option<Arc<IndexFile>>>>,
    config: Mutex<Option<RegistryConfig>>,
    /// Whether it is known, without asking, to need no token.
    answers_everybody: bool,
}

/// Longest time for one index file.
const DEADLINE: Duration = Duration::from_secs(300);

/// Largest `config.json`.
const MAX_CONFIG: u64 = 64 << 10;

/// Largest answer of the web API.
const MAX_API: u64 = 4 << 20;

impl SparseIndex {
    /// The public registry, cached below `cache_root`.
    pub fn crates_io(cache_root: &Path) -> Result<Self, SourceError> {
        let root = format!("https://index.{CRATES_IO_DOMAIN}/");
        Ok(Self { answers_everybody: true, ..Self::at(SourceId::crates_io(), &root, cache_root, false)? })
    }

    /// The registry of `source`, whose index stands at `root` (canonical, ending in `/`), cached below `cache_root`.
    pub fn at(source: SourceId, root: &str, cache_root: &Path, allow_http_loopback: bool) -> Result<Self, SourceError> {
        let root = url_rules::check_root(root, allow_http_loopback)?;
        // The host is for people; the rest tells apart everything else. `IndexFile::from_cache` checks the source again.
        let name = format!(
            "{}-{:016x}",
            root.host_str().unwrap_or("registry").trim_matches(['[', ']']),
            fingerprint(root.as_str())
        );
        let folder = cache_root.join(name);
        let cache = IndexCache::at(folder.join("packages"));
        Ok(Self {
            source,
            root,
            folder,
            cache,
            fresh: Mutex::default(),
            config: Mutex::default(),
            answers_everybody: false,
        })
    }

    /// The registry.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// What the local cache knows of `name`, without asking the registry.
    pub fn cached(&self, name: PackageName) -> Option<Arc<IndexFile>> {
        if let Some(known) = lock(&self.fresh).get(&name) {
            return known.clone();
        }
        self.read_cache(name).map(Arc::new)
    }

    fn read_cache(&self, name: PackageName) -> Option<IndexFile> {
        is_registry_name(name).then(|| self.cache.get(name, self.source))?
    }

    /// The versions of `names`, in that order: from the registry, which is asked for all of them at once and only for
    /// what changed since last time; in offline mode from the cache alone. `answered` hears how many of how many
    /// answers have arrived.
    pub fn fetch(
        &self,
        client: &Client,
        names: &[PackageName],
        answered: &mut dyn FnMut(usize, usize),
    ) -> Vec<Fetched> {
        let mut answers: HashMap<PackageName, Fetched> = HashMap::with_capacity(names.len());
        let mut ask = Vec::new();
        for &name in names {
            let known = if is_registry_name(name) { lock(&self.fresh).get(&name).cloned() } else { Some(None) };
            match known {
                _ if answers.contains_key(&name) => {}
                Some(index) => drop(answers.insert(name, Fetched::new(name, Ok(index)))),
                None => {
                    answers.insert(name, Fetched::new(name, Ok(None)));
                    ask.push((name, self.read_cache(name)));
                }
            }
        }
        let results = if client.options().offline { self.offline(ask) } else { self.ask(client, ask, answered) };
        for fetched in results {
            if let Ok(index) = &fetched.index {
                lock(&self.fresh).insert(fetched.name, index.clone());
            }
            answers.insert(fetched.name, fetched);
        }
        names.iter().filter_map(|name| answers.get(name).cloned()).collect()
    }

    fn offline(&self, ask: Vec<(PackageName, Option<IndexFile>)>) -> Vec<Fetched> {
        let answer = |(name, cached): (PackageName, Option<IndexFile>)| {
            let missing = || {
                SourceError::new(
                    ErrorKind::Offline,
                    self.url(name),
                    "not in the local cache, and not asked in offline mode",
                )
            };
            Fetched::new(name, cached.map(|index| Some(Arc::new(index))).ok_or_else(missing))
        };
        ask.into_iter().map(answer).collect()
    }

    fn url(&self, name: PackageName) -> String {
        format!("{}{}", self.root, index::index_path(name))
    }

    fn ask(
        &self,
        client: &Client,
        ask: Vec<(PackageName, Option<IndexFile>)>,
        answered: &mut dyn FnMut(usize, usize),
    ) -> Vec<Fetched> {
        if ask.is_empty() {
            return Vec::new();
        }
        let ready = client.connected(self.root.as_str()).and_then(|connected| {
            let authorization = self.authorization(client, &self.root)?;
            Ok((connected, Arc::new(authorization)))
        });
        let (connected, authorization) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                return ask.into_iter().map(|(name, _)| Fetched::new(name, Err(error.clone()))).collect();
            }
        };
        let options = Arc::new(client.options().clone());
        let mut alone = connected.is_first_contact(&self.root);
        connected.handle.block_on(async {
            let total = ask.len();
            let mut waiting = ask.into_iter();
            let mut running = JoinSet::new();
            let mut results = Vec::with_capacity(total);
            let mut unsaved = Unsaved::default();
            loop {
                while running.len() < options.parallel_index.max(1) {
                    let Some((name, cached)) = waiting.next() else { break };
                    let authorization = Arc::clone(&authorization);
                    let question = Question { name, source: self.source, url: self.url(name), cached, authorization };
                    let begun = Arc::new(Notify::new());
                    running.spawn(ask_one(connected.http.clone(), Arc::clone(&options), question, Arc::clone(&begun)));
                    if std::mem::take(&mut alone) {
                        begun.notified().await;
                    }
                }
                match running.join_next().await {
                    Some(Ok((fetched, is_new))) => {
                        if let (true, Ok(Some(file))) = (is_new, &fetched.index) {
                            unsaved.add(&self.cache, file);
                        }
                        results.push(fetched);
                    }
                    Some(Err(_)) => {}
                    None => {
                        unsaved.save(&self.cache);
                        return results;
                    }
                }
                answered(results.len(), total);
            }
        })
    }

    /// The registry's `config.json`: asked once per run, kept for offline mode.
    pub fn config(&self, client: &Client) -> Result<RegistryConfig, SourceError> {
        if let Some(known) = &*lock(&self.config) {
            return Ok(known.clone());
        }
        let (url, path) = (format!("{}config.json", self.root), self.folder.join("config.json"));
        let offline = client.options().offline;
        let bytes = if offline {
            index_cache::read(&path, MAX_CONFIG)
                .ok_or_else(|| SourceError::new(ErrorKind::Offline, &url, "not in the local cache"))?
        } else {
            self.fetch_config(client, &url)?
        };
        let config = RegistryConfig::parse(&url, &bytes)?;
        if !offline {
            // A cache that cannot be written costs the next run a request, no more.
            drop(index_cache::write(&path, &bytes));
        }
        Ok(lock(&self.config).insert(config).clone())
    }

    /// Takes `config.json` as it was in an earlier run, if there was one.
    pub fn recall_config(&self) -> bool {
        let bytes = index_cache::read(&self.folder.join("config.json"), MAX_CONFIG);
        let known = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let recalled = known.is_some();
        *lock(&self.config) = known;
        recalled
    }

    /// `config.json` is asked first without a token; a registry that wants one says so (Cargo Book, "Registry Index").
    fn fetch_config(&self, client: &Client, url: &str) -> Result<Vec<u8>, SourceError> {
        let refused = match fetch_config(client, url, &Authorization::Public) {
            Err(error) if error.kind == ErrorKind::Unauthorized && client.has_tokens() => error,
            other => return other,
        };
        let grant = client.grant(self.identity(), &refused.challenge)?;
        let authorization = Authorization::for_request(&grant, self.identity(), &self.root, &self.root)?;
        fetch_config(client, url, &authorization)
    }

    /// The registry as tokens know it: by the address of its index.
    fn identity(&self) -> SourceId {
        SourceId::parse(&format!("sparse+{}", self.root)).unwrap_or(self.source)
    }

    /// How a request to `url` is made. Where nobody has tokens, there is none to send.
    fn authorization(&self, client: &Client, url: &Url) -> Result<Authorization, SourceError> {
        if self.answers_everybody || !client.has_tokens() || !self.config(client)?.auth_required {
            return Ok(Authorization::Public);
        }
        Authorization::for_request(&client.grant(self.identity(), &[])?, self.identity(), &self.root, url)
    }

    /// What to ask for the archive of `id`.
    ///
    /// # Errors
    /// The registry does not say where its archives are, or wants a token that nobody has.
    pub fn download(&self, client: &Client, id: PackageId, checksum: &str) -> Result<DownloadRequest, SourceError> {
        let url = Self::download_url(&self.config(client)?, id, checksum);
        let parsed = url_rules::check_named_by(&self.root, &url, client.options().allow_http_loopback)?;
        Ok(DownloadRequest { id, url, authorization: self.authorization(client, &parsed)? })
    }

    /// The answer of the registry's web API to a GET of `path`, which begins with `/` (Cargo Book, "Web API"), and the
    /// API's address.
    ///
    /// # Errors
    /// The registry has no API, cannot be reached, or wants a token that nobody has.
    pub fn api(&self, client: &Client, path: &str) -> Result<(String, Vec<u8>), SourceError> {
        let (api, url) = self.config(client)?.api_url(client, self.source, &self.root, path)?;
        let authorization = self.authorization(client, &url)?;
        Ok((api, ask(client, &url, &authorization)?))
    }

    /// Where the archive of `id` is (Cargo Book, "Registry Index", the markers of `dl`).
    pub fn download_url(config: &RegistryConfig, id: PackageId, checksum: &str) -> String {
        let name = id.name().as_str();
        let version = id.version().to_string();
        let markers = [
            ("{crate}", name.to_owned()),
            ("{version}", version.clone()),
            ("{prefix}", index::prefix(name)),
            ("{lowerprefix}", index::prefix(&name.to_ascii_lowercase())),
            ("{sha256-checksum}", checksum.to_owned()),
        ];
        if !markers.iter().any(|(marker, _)| config.dl.contains(marker)) {
            return format!("{}/{name}/{version}/download", config.dl);
        }
        markers.iter().fold(config.dl.clone(), |url, (marker, value)| url.replace(marker, value))
    }
}

/// The answer of a web API at `url`.
fn ask(client: &Client, url: &Url, authorization: &Authorization) -> Result<Vec<u8>, SourceError> {
    let connected = client.connected(url.as_str())?;
    let request = Get { limit: MAX_API, ..plain_get(url, authorization) };
    let answer = connected.handle.block_on(get(&connected.http, client.options(), request));
    match answer.map_err(|error| authorization.explain(error))? {
        Answer::Body { bytes, .. } => Ok(bytes),
        Answer::NotFound | Answer::NotModified => {
            Err(SourceError::new(ErrorKind::NotFound, url.as_str(), "the registry does not answer this request"))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Local packages may have names that no registry can have: there is nothing to ask for.
fn is_registry_name(name: PackageName) -> bool {
    PackageName::from_symbol(name.symbol()).is_ok()
}

/// FNV-1a: stable across versions of this program, which the names of cache folders have to be.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn plain_get<'a>(url: &'a Url, authorization: &'a Authorization) -> Get<'a> {
    Get {
        url,
        validators: Validators::default(),
        authorization: authorization.header(),
        compressed: true,
        limit: MAX_CONFIG,
        deadline: DEADLINE,
        progress: None,
        begun: None,
    }
}

fn fetch_config(client: &Client, url: &str, authorization: &Authorization) -> Result<Vec<u8>, SourceError> {
    let parsed = url_rules::check(url, client.options().allow_http_loopback)?;
    let connected = client.connected(url)?;
    connected.is_first_contact(&parsed);
    let request = plain_get(&parsed, authorization);
    let answer = connected.handle.block_on(get(&connected.http, client.options(), request));
    match answer.map_err(|error| authorization.explain(error))? {
        Answer::Body { bytes, .. } => Ok(bytes),
        Answer::NotFound | Answer::NotModified => {
            Err(SourceError::new(ErrorKind::NotFound, url, "there is no registry at this address"))
        }
    }
}

/// Answers that are not in the cache yet: they are written many at a time.
#[derive(Default)]
struct Unsaved {
    files: Vec<Arc<IndexFile>>,
    bytes: usize,
}

impl Unsaved {
    /// How much may be lost if the process is killed, in bytes.
    const MOST: usize = 4 << 20;

    fn add(&mut self, cache: &IndexCache, file: &Arc<IndexFile>) {
        self.bytes += file.to_cache().map_or(0, <[u8]>::len);
        self.files.push(Arc::clone(file));
        if self.bytes > Self::MOST {
            self.save(cache);
        }
    }

    fn save(&mut self, cache: &IndexCache) {
        // A cache that cannot be written costs the next run a request, no more.
        drop(cache.put(&self.files));
        *self = Self::default();
    }
}

struct Question {
    name: PackageName,
    source: SourceId,
    url: String,
    cached: Option<IndexFile>,
    authorization: Arc<Authorization>,
}

/// The answer, and whether it is one that the cache does not have.
async fn ask_one(
    http: reqwest::Client,
    options: Arc<ClientOptions>,
    question: Question,
    begun: Arc<Notify>,
) -> (Fetched, bool) {
    let (mut fetched, mut is_new) = (Fetched::new(question.name, Ok(None)), false);
    let index = answer(&http, &options, question, &begun, &mut fetched, &mut is_new).await;
    begun.notify_one();
    (Fetched { index, ..fetched }, is_new)
}

async fn answer(
    http: &reqwest::Client,
    options: &ClientOptions,
    question: Question,
    begun: &Notify,
    fetched: &mut Fetched,
    is_new: &mut bool,
) -> Result<Option<Arc<IndexFile>>, SourceError> {
    let Question { name, source, url, cached, authorization } = question;
    let parsed = url_rules::check(&url, options.allow_http_loopback)?;
    let validators = cached.as_ref().map(|index| index.validators().clone()).unwrap_or_default();
    let limit = options.max_index_size;
    let request = Get { validators, begun: Some(begun), limit, ..plain_get(&parsed, &authorization) };
    match get(http, options, request).await.map_err(|error| authorization.explain(error))? {
        Answer::NotModified => Ok(cached.map(Arc::new)),
        Answer::NotFound => {
            fetched.compare(cached.as_ref(), None);
            Ok(None)
        }
        Answer::Body { bytes, validators } => {
            let index = IndexFile::parse(name, source, bytes, validators)
                .map_err(|error| SourceError::new(ErrorKind::Protocol, &url, error.message))?;
            fetched.compare(cached.as_ref(), Some(&index));
            // Not every server answers that nothing changed.
            *is_new = !cached.is_some_and(|old| old.is_same(&index));
            Ok(Some(Arc::new(index)))
        }
    }
}
