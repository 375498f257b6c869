//! The one place that speaks HTTP.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bulkhead_schema::SourceId;
use bulkhead_schema::credential::{Secret, index_url};
use bulkhead_schema::index::MAX_INDEX_FILE;
use url::Url;

use crate::{ErrorKind, HttpsPins, SourceError, url_rules};

/// How to reach servers. Plain values: whoever builds this has read configuration and environment already.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Never open a connection.
    pub offline: bool,
    /// `User-Agent` header.
    pub user_agent: String,
    /// Which proxy to use (`http.proxy`).
    pub proxy: Proxy,
    /// A PEM file with the certificate authorities to trust (`http.cainfo`, `SSL_CERT_FILE`); without it the system's.
    pub ca_bundle: Option<PathBuf>,
    /// How long a connection may take to open, and how long an answer may stand still (`http.timeout`).
    pub timeout: Duration,
    /// Least bytes per second, averaged over `timeout`, below which a transfer is given up (`http.low-speed-limit`).
    pub low_speed_limit: u64,
    /// How often a request is repeated after a failure that may pass (`net.retry`).
    pub retries: u32,
    /// How long to wait before the first repetition; doubled each time, plus some chance.
    pub retry_delay: Duration,
    /// HTTP/2 with many requests on one connection (`http.multiplexing`).
    pub multiplexing: bool,
    /// Accept `http://` for literal loopback addresses. For tests and local mirrors.
    pub allow_http_loopback: bool,
    /// The servers that are asked over https for ever.
    pub https_pins: HttpsPins,
    /// Largest answer of an index accepted, in bytes.
    pub max_index_size: u64,
    /// Largest `.crate` accepted, in bytes.
    pub max_crate_size: u64,
    /// How many index requests may be under way at once.
    pub parallel_index: usize,
    /// How many downloads may be under way at once.
    pub parallel_downloads: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            offline: false,
            user_agent: concat!("bulkhead/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: Proxy::System,
            ca_bundle: None,
            timeout: Duration::from_secs(30),
            low_speed_limit: 10,
            retries: 3,
            retry_delay: Duration::from_millis(500),
            multiplexing: true,
            allow_http_loopback: false,
            https_pins: HttpsPins::default(),
            max_index_size: MAX_INDEX_FILE as u64,
            max_crate_size: 64 << 20,
            parallel_index: 100,
            parallel_downloads: 32,
        }
    }
}

/// Which proxy to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// What the environment says (`HTTPS_PROXY`, `NO_PROXY` …).
    System,
    /// None at all.
    Direct,
    /// This one, for everything but loopback.
    Explicit(String),
}

/// What opens a registry that answers only to those whom it knows.
#[derive(Debug, Clone)]
pub struct Grant {
    /// What it wants to see.
    pub token: Secret,
    /// Seconds since 1970 after which the token is of no use.
    pub expires: Option<u64>,
    /// Other servers that may see the token (`https://host[:port]`), because the user says that they are the registry's.
    pub origins: Vec<String>,
}

/// Hands out the token for the registry with this index, told how the registry asked for it (see
/// [`SourceError::challenge`]).
pub type Authorize = dyn Fn(SourceId, &[String]) -> Result<Grant, SourceError> + Send + Sync;

/// Connections to servers. Cheap to make: threads, TLS and certificates are set up at the first request.
pub struct Client {
    options: ClientOptions,
    authorize: Option<Box<Authorize>>,
    /// What opened registries in this run.
    grants: Mutex<HashMap<SourceId, Grant>>,
    connected: OnceLock<Result<Connected, SourceError>>,
}

/// What the first request sets up. Tasks hold the parts that they need and never this: it must not be dropped by one of
/// the threads that it owns.
pub(crate) struct Connected {
    /// `None` only while it is dropped.
    runtime: Option<tokio::runtime::Runtime>,
    pub(crate) handle: tokio::runtime::Handle,
    pub(crate) http: reqwest::Client,
    /// Servers that a request was sent to.
    contacted: Mutex<BTreeSet<String>>,
}

impl Connected {
    /// Whether `url` is on a server that no request has been sent to. The first request to it should go alone until it is
    /// answered: only then is it known whether the others can share its connection, instead of opening one each.
    pub(crate) fn is_first_contact(&self, url: &Url) -> bool {
        let origin = url.origin().ascii_serialization();
        self.contacted.lock().unwrap_or_else(PoisonError::into_inner).insert(origin)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        // Waiting for threads that look up names or keep connections would delay the end of the command by seconds.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    /// A client that will follow `options`.
    pub fn new(options: ClientOptions) -> Self {
        Self { options, authorize: None, grants: Mutex::default(), connected: OnceLock::new() }
    }

    /// The same, with somebody to ask for tokens.
    #[must_use]
    pub fn with_tokens(self, authorize: Box<Authorize>) -> Self {
        Self { authorize: Some(authorize), ..self }
    }

    /// Whether there is somebody to ask for tokens.
    pub(crate) fn has_tokens(&self) -> bool {
        self.authorize.is_some()
    }

    /// What opens `registry`: as long as it is of use, what this run has already.
    pub(crate) fn grant(&self, registry: SourceId, challenge: &[String]) -> Result<Grant, SourceError> {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = grants.get(&registry).filter(|grant| grant.expires.is_none_or(|at| at > now)) {
            return Ok(known.clone());
        }
        let nobody = || SourceError::new(ErrorKind::Unauthorized, index_url(registry), "it needs a token");
        let grant = self.authorize.as_ref().ok_or_else(nobody)?(registry, challenge)?;
        grants.insert(registry, grant.clone());
        Ok(grant)
    }

    /// How it reaches servers.
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// The connection set-up, made at the first call; an error in offline mode.
    pub(crate) fn connected(&self, url: &str) -> Result<&Connected, SourceError> {
        if self.options.offline {
            return Err(SourceError::new(ErrorKind::Offline, url, "not asked in offline mode"));
        }
        self.connected.get_or_init(|| connect(&self.options)).as_ref().map_err(Clone::clone)
    }
}

fn connect(options: &ClientOptions) -> Result<Connected, SourceError> {
    let failed = |message: String| SourceError::new(ErrorKind::Network, "the HTTP client", message);
    // The only place where the process gets its TLS implementation; an error means that it has it already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("bulkhead-net")
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| failed(format!("cannot start its threads: {error}")))?;
    let http = http_client(options)?.build().map_err(|error| failed(crate::request::describe(&error)))?;
    Ok(Connected { handle: runtime.handle().clone(), runtime: Some(runtime), http, contacted: Mutex::default() })
}

fn http_client(options: &ClientOptions) -> Result<reqwest::ClientBuilder, SourceError> {
    let (allow_http_loopback, pins) = (options.allow_http_loopback, options.https_pins.clone());
    let redirects = reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error(RedirectRefused(format!("more than {MAX_REDIRECTS} redirects")));
        }
        let before = attempt.previous().last().map_or("", Url::scheme);
        let kept = match attempt.url().scheme() {
            scheme if scheme == before => Ok(()),
            other => Err(format!("it changes from `{before}` to `{other}`")),
        };
        let pinned = pins.check(attempt.url()).map_err(|error| error.message);
        match url_rules::check_parsed(attempt.url(), allow_http_loopback).and(kept).and(pinned) {
            Ok(()) => attempt.follow(),
            Err(reason) => {
                let refused = RedirectRefused(format!("redirect to {}: {reason}", url_rules::printable(attempt.url())));
                attempt.error(refused)
            }
        }
    });
    let mut builder = reqwest::Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(options.timeout)
        .read_timeout(options.timeout)
        .redirect(redirects)
        // Where a redirect comes from may say more than its target should know.
        .referer(false)
        .https_only(!allow_http_loopback)
        // Room for whole crates on the way: the defaults stall on every 64 KiB.
        .http2_initial_stream_window_size(2 << 20)
        .http2_initial_connection_window_size(16 << 20);
    if !options.multiplexing {
        builder = builder.http1_only();
    }
    builder = match &options.proxy {
        Proxy::System => builder,
        Proxy::Direct => builder.no_proxy(),
        Proxy::Explicit(address) => {
            let proxy = reqwest::Proxy::all(address)
                .map_err(|error| SourceError::new(ErrorKind::RefusedAddress, "http.proxy", error.to_string()))?;
            builder.no_proxy().proxy(proxy.no_proxy(reqwest::NoProxy::from_string("127.0.0.0/8,::1")))
        }
    };
    match ca_bundle(options)? {
        Some(certificates) => Ok(builder.tls_certs_only(certificates)),
        None => Ok(builder),
    }
}

/// Where systems keep their certificate authorities in one file. Reading one file is much faster than what the platform
/// verifier does; where there is none, the platform verifier is used.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn ca_bundle(options: &ClientOptions) -> Result<Option<Vec<reqwest::Certificate>>, SourceError> {
    let (path, pem) = match &options.ca_bundle {
        Some(path) => {
            let read = std::fs::read(path);
            let pem =
                read.map_err(|error| SourceError::new(ErrorKind::File, path.to_string_lossy(), error.to_string()))?;
            (path.to_string_lossy().into_owned(), pem)
        }
        None => match SYSTEM_BUNDLES.iter().find_map(|path| Some((*path, std::fs::read(path).ok()?))) {
            Some((path, pem)) => (path.to_owned(), pem),
            None => return Ok(None),
        },
    };
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|error| SourceError::new(ErrorKind::File, &path, format!("not a PEM bundle: {error}")))?;
    if certificates.is_empty() {
        return Err(SourceError::new(ErrorKind::File, path, "it holds no certificate"));
    }
    Ok(Some(certificates))
}

/// Most redirects that are followed for one request.
const MAX_REDIRECTS: usize = 5;

/// Why a redirect was not followed.
#[derive(Debug)]
pub(crate) struct RedirectRefused(pub(crate) String);

impl std::fmt::Display for RedirectRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for RedirectRefused {}
