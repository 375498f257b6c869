//! Where packages come from: asks registries and hands on what they answered, as *untrusted* bytes.
//!
//! Nothing here decides whether bytes are the right ones: checksums belong to the trust crate, which this crate cannot
//! reach any more than it can reach the store. Index answers pass the strict grammar of `schema::index` before anyone
//! sees them. No environment variable is read here: everything stands in [`ClientOptions`]. (The system's proxy settings
//! are the one exception, read by the HTTP library, and only if [`Proxy::System`] is chosen.)
//!
//! Start with [`Client`] (one per process, the only place that speaks HTTP) and [`SparseIndex`].

mod authorization;
mod client;
mod download;
mod error;
mod https_pins;
pub mod index_cache;
mod local;
mod request;
mod sparse;
mod url_rules;

pub use authorization::Authorization;
pub use client::{Authorize, Client, ClientOptions, Grant, Proxy};
pub use download::{DownloadRequest, Downloads, Progress};
pub use error::{ErrorKind, SourceError};
pub use https_pins::HttpsPins;
pub use local::LocalRegistry;
pub use sparse::{Fetched, RegistryConfig, SparseIndex};
