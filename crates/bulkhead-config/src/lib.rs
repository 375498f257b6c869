//! Layers of configuration (`.cargo/config.toml` files, environment, `--config`) become one [`Config`] in which every
//! value knows where it was defined, and in which a project's own file only says what a stranger may say.
//!
//! Pure: the caller finds and reads the files, decides which are enrolled, and passes the environment. Nothing here
//! decides what the values mean for a build.
//!
//! Start with [`merge`], then the table of keys in [`keys`].

pub mod explain;
pub mod flags;
pub mod include;
pub mod json_schema;
pub mod keys;
pub mod layer;
mod merge;
mod read;
pub mod show;
mod sources;
pub mod tables;
mod target;

pub use include::{Expanded, expand};
pub use layer::{Definition, Layer, LayerClass, Origin, Value};
pub use merge::{IgnoredKey, Merged, merge};
pub use read::{Config, Item, KeyPath, Tree};
pub use sources::{Place, Replacement, SourceTable};
pub use tables::{EnvVariable, HttpConfig, NetConfig, ProgressWhen, RegistryConfig, TermConfig};
pub use target::{LinksOverride, Runner, TargetConfig};

#[cfg(test)]
mod tests;
