//! One short function per command, joining the pure crates to the edges: `build`, `fetch`, `update`, `metadata`, …
//!
//! It prints nothing and reads no environment: what the command line learnt arrives as `…Options` values, progress
//! leaves as [`Event`]s, results as values, failures as [`Error`]s that say what kind of failure it was and what to do.
//! It decides nothing that a pure crate can decide.
//!
//! Start with [`build`], which is the straight line that most other commands share.

pub mod add;
mod append_map;
pub mod approvals;
pub mod approve;
pub mod audit;
pub mod build;
pub mod bulkhead_lock;
pub mod catalogue;
pub mod choices;
pub mod clean;
pub mod client;
pub mod clippy;
pub mod compile;
pub mod config_explain;
pub mod config_get;
pub mod configuration;
pub mod confined;
pub mod credentials;
pub mod directory;
pub mod disk;
pub mod doc;
pub mod doctest;
pub mod error;
pub mod event;
pub mod explain;
pub mod fetch;
pub mod fix;
pub mod flood;
pub mod fmt;
pub mod future_incompat;
pub mod git;
pub mod in_force;
pub mod info;
pub mod inspect;
pub mod install;
pub mod limits;
pub mod listing;
pub mod lock;
pub mod login;
pub mod manifests;
pub mod metadata;
pub mod new;
pub mod newcomers;
pub mod observed;
pub mod options;
pub mod overrides;
pub mod own_limits;
pub mod packages;
pub mod patches;
pub mod permissions;
pub mod pins;
pub mod policy;
pub mod preferences;
pub mod prefetch;
pub mod print;
pub mod probe;
pub mod profiles;
pub mod programs;
pub mod project;
pub mod provenance;
pub mod registries;
pub mod remove;
pub mod reporter;
pub mod review;
pub mod run;
pub mod sandbox;
pub mod search;
pub mod select;
pub mod single;
pub mod snapshot;
pub mod sources;
pub mod specs;
pub mod status;
pub mod subcommands;
pub mod tampering;
pub(crate) mod timings;
pub mod toolchain;
pub mod tree;
pub mod trust;
pub mod trusted_files;
pub mod unit_cache;
pub mod unusable;
pub mod update;
pub mod vendor;
pub mod verify;
pub mod versions;
pub mod withdrawn;

pub use bulkhead_sandbox::prefer_large_pages;
pub use error::{Error, ErrorKind};
pub use event::Event;
