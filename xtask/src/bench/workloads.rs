//! The applications that are locked, described and fetched.

use super::rows::write;
use crate::compare::unpack;
use crate::sides::Side;
use std::path::Path;

/// An application.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Workload {
    /// A web service: axum, sqlx, reqwest, clap; some 360 packages.
    Service,
    /// The published `cargo` of the toolchain's release, its lockfile included; some 450 packages.
    Cargo,
    /// Some 1,750 packages, to be resolved and fetched only.
    Many,
}

/// The `cargo` package that belongs to the oldest toolchain that builds Bulkhead.
const CARGO_VERSION: &str = "0.96.0";

impl Workload {
    /// The letter by which `docs/performance.md` calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Workload::Service => "b",
            Workload::Cargo => "c",
            Workload::Many => "d",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Workload::Service => "b (a service)",
            Workload::Cargo => "c (cargo itself)",
            Workload::Many => "d (many packages)",
        }
    }

    /// Puts its manifest and a source file at `project`; files that are there and the same keep their times.
    pub(super) fn write(self, project: &Path, side: &Side) -> Result<(), String> {
        let (manifest, source) = match self {
            Workload::Service => (include_str!("../../data/bench-b.toml"), include_str!("../../data/bench-b.rs")),
            Workload::Many => (include_str!("../../data/bench-d.toml"), "fn main() {}\n"),
            Workload::Cargo if project.join("Cargo.toml").exists() => return Ok(()),
            Workload::Cargo => {
                let folder = project.parent().unwrap_or(project);
                let root = unpack(folder, "cargo", CARGO_VERSION, side)?;
                return std::fs::rename(&root, project).map_err(|error| format!("{}: {error}", project.display()));
            }
        };
        write(&project.join("Cargo.toml"), manifest)?;
        write(&project.join("src/main.rs"), source)
    }
}
