//! The stage on which Bulkhead is tested: a registry on the loopback interface that can be told to misbehave, projects
//! and crates from text, programs run in an exact environment, and canaries that notice what a program must not touch.
//!
//! For tests, benchmarks and `xtask` only, so a stage that cannot be set stops the test by panicking. It shares no code
//! with the product: an oracle that used the product's own parser would agree with its mistakes. It needs no network and
//! no toolchain beyond the one that builds the tests.
//!
//! A whole end-to-end test:
//!
//! ```no_run
//! use bulkhead_test_support::{CrateBuilder, Home, Registry, project};
//!
//! let registry = Registry::start();
//! registry.publish(CrateBuilder::new("greet", "1.0.0").file("src/lib.rs", "pub fn hello() -> u8 { 1 }"));
//! let home = Home::new();
//! home.use_registry(&registry);
//! let project = project(
//!     r#"
//! //- /Cargo.toml
//! [package]
//! name = "app"
//! version = "0.1.0"
//! edition = "2024"
//! [dependencies]
//! greet = "1"
//! //- /src/main.rs
//! fn main() { assert_eq!(greet::hello(), 1) }
//! "#,
//! );
//! home.command("cargo").args(["run"]).current_dir(project.root()).run().assert_success();
//! assert!(registry.requests().iter().any(|request| request.path == "/dl/greet/1.0.0/download"));
//! ```
//!
//! Start with [`Registry`], [`project`] and [`Home`].

// A test whose stage cannot be set has to stop, and says why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod canary;
mod crates;
mod generated;
mod git;
mod http;
mod pack;
mod process;
mod project;
mod registry;
mod snapshot;
mod ssh;

pub use archive::{Entry, EntryKind, archive, sha256_hex, tar_bytes};
pub use canary::Canaries;
pub use crates::{CrateBuilder, DependencyBuilder};
pub use generated::{GeneratedDependency, GeneratedRegistry, GeneratedVersion};
pub use git::{GitRepository, GitServer};
pub use http::Request;
pub use pack::{Pack, PackObject};
pub use process::{Home, Invocation, Outcome, Running, sysroot, toolchain_program};
pub use project::{TempProject, project, split_fixture};
pub use registry::{Fault, Misbehaviour, Registry};
pub use snapshot::Snapshot;
pub use ssh::SshServer;
