//! The program as its users meet it: real projects, a registry on the loopback interface, a home of their own.
//!
//! Start with `stage`, which has what the tests share. Where stock `cargo` is the oracle, the test runs it too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has to stop")]

mod ages;
mod approving;
mod asking;
mod attacks;
mod auditing;
mod authentication;
mod bad_input;
mod cargo_flags;
mod collisions;
mod compiling;
mod config_get;
mod configuration;
mod confinement;
mod disks;
mod doctests;
mod documenting;
mod editors_and_tools;
mod environment;
mod explaining;
mod fixing;
mod flags;
mod fresh;
mod git;
mod git_limits;
mod git_servers;
mod hostile_index;
mod hostile_lockfiles;
mod hostile_places;
mod https;
mod installing;
mod interruption;
mod json_schema;
mod killing;
mod lockfiles;

mod locking;
mod manifests;
mod messages;
mod moving;
mod ordinary_user;
mod organisation;
mod own_folders;
mod patching;
mod platforms;
mod projects;
mod provenance;
mod rebuilding;
mod registries;
mod replacing;
mod reports;
mod reproducing;
mod resolving;
mod reviewing;
mod sandboxing;
mod shapes;
mod snapshots;
mod stage;
mod subcommands;
mod toolchain_programs;
mod trees;
mod unit_cache;
mod unit_sharing;
mod updating;
mod vendoring;
