//! A registry whose index is a git repository (Cargo Book, "Registry Index", git protocol): its files are read out of the
//! newest commit, without a checkout, and are parsed as strictly as answers over HTTP.

use std::sync::{Arc, OnceLock};

use bulkhead_git::{Database, GitErrorKind, Wanted};
use bulkhead_schema::git::{ObjectId, parse_url};
use bulkhead_schema::index::{IndexFile, MAX_INDEX_FILE, Validators, index_path};
use bulkhead_schema::{GitReference, PackageId, PackageName, SourceId};
use bulkhead_source::{Client, DownloadRequest, ErrorKind as SourceErrorKind, Fetched, RegistryConfig, SourceError};
use url::Url;

use super::GitSources;
use super::failure::git_error;
use crate::Error;
use crate::error::Result;
use crate::sources::source_error;

/// Largest `config.json`, in bytes.
const MAX_CONFIG: u64 = 64 << 10;

/// An index in a git repository.
pub struct GitIndex {
    source: SourceId,
    url: Url,
    /// The commit that was `HEAD` when the repository was asked last.
    commit: Option<ObjectId>,
    config: OnceLock<RegistryConfig>,
}

impl GitIndex {
    /// Whether it was ever fetched.
    pub fn is_known(&self) -> bool {
        self.commit.is_some()
    }
}

impl GitSources {
    /// The index of `source`, which stands in the repository of `place`, as this machine saw it last.
    ///
    /// # Errors
    /// The address is none of a git repository that may be read.
    pub fn index(&self, source: SourceId, place: SourceId) -> Result<GitIndex> {
        let url = parse_url(place.url()).map_err(|error| Error::failure(error.to_string()))?;
        let database = Database::open_index(&self.options, &url).map_err(git_error)?;
        let commit = database.resolve(&GitReference::DefaultBranch).map_err(git_error)?;
        Ok(GitIndex { source, url, commit, config: OnceLock::new() })
    }

    /// Asks the repository what is new. Offline, what was seen last is kept.
    ///
    /// # Errors
    /// It cannot be reached, or what it sends is refused.
    pub fn update_index(&self, index: &mut GitIndex) -> Result<()> {
        let database = Database::open_index(&self.options, &index.url).map_err(git_error)?;
        match database.fetch(Wanted::Tip) {
            Err(error) if error.kind == GitErrorKind::Offline && index.commit.is_some() => return Ok(()),
            other => other.map_err(git_error)?,
        }
        self.disk.never_repeat();
        index.commit = database.resolve(&GitReference::DefaultBranch).map_err(git_error)?;
        Ok(())
    }

    /// What the index has under `names`; nothing if it was never fetched.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn index_files(&self, index: &GitIndex, names: &[PackageName]) -> Result<Vec<Fetched>> {
        let Some(commit) = index.commit else { return Ok(Vec::new()) };
        let database = Database::open_index(&self.options, &index.url).map_err(git_error)?;
        let valid = |name: &PackageName| PackageName::registry(name.as_str()).is_ok();
        let (asked, impossible): (Vec<_>, Vec<_>) = names.iter().copied().partition(valid);
        let paths: Vec<String> = asked.iter().map(|&name| index_path(name)).collect();
        let files = database.files(commit, &paths, MAX_INDEX_FILE as u64).map_err(git_error)?;
        let parse = |name, bytes| {
            IndexFile::parse(name, index.source, bytes, Validators::default()).map(Arc::new).map_err(|error| {
                SourceError {
                    kind: SourceErrorKind::Protocol,
                    url: index.url.to_string(),
                    message: error.message,
                    challenge: Vec::new(),
                }
            })
        };
        let found =
            |(name, bytes): (_, Option<_>)| Fetched::new(name, bytes.map(|bytes| parse(name, bytes)).transpose());
        let answers = asked.into_iter().zip(files).map(found);
        let absent = impossible.into_iter().map(|name| Fetched::new(name, Ok(None)));
        Ok(answers.chain(absent).collect())
    }

    /// What to ask for the archive of `id`, as the registry's `config.json` says.
    ///
    /// # Errors
    /// There is no such file, it says nothing, or the registry wants a token that nobody has.
    pub fn index_download(
        &self,
        index: &GitIndex,
        client: &Client,
        id: PackageId,
        checksum: &str,
    ) -> Result<DownloadRequest> {
        let config = self.index_config(index)?;
        config.download(client, index.source, &index.url, id, checksum).map_err(source_error)
    }

    /// The answer of the registry's web API to a GET of `path`, and the API's address.
    ///
    /// # Errors
    /// As for [`index_download`](Self::index_download); the registry has no API.
    pub fn index_api(&self, index: &GitIndex, client: &Client, path: &str) -> Result<(String, Vec<u8>)> {
        self.index_config(index)?.ask(client, index.source, &index.url, path).map_err(source_error)
    }

    fn index_config<'a>(&self, index: &'a GitIndex) -> Result<&'a RegistryConfig> {
        if let Some(config) = index.config.get() {
            return Ok(config);
        }
        let read = self.read_config(index)?;
        Ok(index.config.get_or_init(|| read))
    }

    fn read_config(&self, index: &GitIndex) -> Result<RegistryConfig> {
        let missing = || Error::failure(format!("the index `{}` has no `config.json`", index.url));
        let database = Database::open_index(&self.options, &index.url).map_err(git_error)?;
        let commit = index.commit.ok_or_else(missing)?;
        let files = database.files(commit, &["config.json".to_owned()], MAX_CONFIG).map_err(git_error)?;
        let bytes = files.into_iter().next().flatten().ok_or_else(missing)?;
        RegistryConfig::parse(index.url.as_str(), &bytes).map_err(source_error)
    }
}
