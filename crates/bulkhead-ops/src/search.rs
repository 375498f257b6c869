//! `search`: asks a registry's web API.

pub use bulkhead_schema::api::{Found, FoundPackage};
use bulkhead_schema::{SourceId, SourceKind};
use bulkhead_source::{Client, SparseIndex};

use crate::error::Result;
use crate::git::GitSources;
use crate::options::GlobalOptions;
use crate::sources::source_error;
use crate::{Error, Event, client, configuration, registries};

/// The most results that a registry is asked for.
pub const MOST_RESULTS: u32 = 100;

/// What to search for, and where.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// The words, joined.
    pub query: String,
    /// How many results at most.
    pub limit: u32,
    /// `--registry`
    pub registry: Option<String>,
    /// `--index`
    pub index: Option<String>,
}

/// Searches a registry. What it found is untrusted text.
///
/// # Errors
/// There is no such registry, it has no API, cannot be reached, or says that something is wrong.
pub fn search(global: &GlobalOptions, options: &SearchOptions, events: &(dyn Fn(Event) + Sync)) -> Result<Found> {
    let configuration = configuration::load(global, events)?;
    let source = registries::chosen(&configuration, options.registry.as_deref(), options.index.as_deref())?;
    let client = client::client(global, &configuration)?;
    if client.options().offline {
        let flag = if global.lock.locked { "--frozen" } else { "--offline" };
        return Err(Error::failure(format!("attempting to make an HTTP request, but {flag} was specified")));
    }
    let path = format!("/api/v1/crates?q={}&per_page={}", encoded(&options.query), options.limit.min(MOST_RESULTS));
    let is_git = !source.is_crates_io() && source.kind() != SourceKind::SparseRegistry;
    let (api, bytes) = match is_git {
        true => {
            let git = GitSources::outside(global, &configuration)?;
            let mut index = git.index(source, source)?;
            if !index.is_known() {
                events(Event::UpdatingIndex { registry: source.index_name() });
                git.update_index(&mut index)?;
            }
            git.index_api(&index, &client, &path)?
        }
        false => ask_sparse(global, &client, source, &path, events)?,
    };
    bulkhead_schema::api::parse_found(&bytes).map_err(|problem| {
        Error::failure(format!("failed to retrieve search results from the registry at {api}")).because(problem)
    })
}

fn ask_sparse(
    global: &GlobalOptions,
    client: &Client,
    source: SourceId,
    path: &str,
    events: &dyn Fn(Event),
) -> Result<(String, Vec<u8>)> {
    let cache = global.place.bulkhead_home.join("index");
    let index = match source.is_crates_io() {
        true => SparseIndex::crates_io(&cache),
        false => SparseIndex::at(source, source.url(), &cache, client.options().allow_http_loopback),
    };
    let index = index.map_err(source_error)?;
    if !index.recall_config() {
        events(Event::UpdatingIndex { registry: source.index_name() });
    }
    index.api(client, path).map_err(source_error)
}

/// Percent-encodes everything but letters, digits and what never needs it.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
