//! The plan: packages + features + profiles → units of work, their edges, the rustc command line and output files of
//! each, and what makes one stale.
//!
//! Pure: a plan is a value that can be printed and compared (`bulkhead build --unit-graph` prints it in the form of
//! `cargo build --unit-graph`). Nothing is run and no file is looked at; the executor does that, and hands back what
//! build scripts said ([`bulkhead_schema::build_script`]) where a command line needs it.
//!
//! Start with [`Unit`] and [`UnitGraph`], then `plan`, then [`command`].

pub mod command;
pub mod toolchain;
pub mod unit;

pub use command::{Command, Output, OutputKind};
pub use toolchain::{PlatformInfo, Toolchain};
pub use unit::{CompileKind, CompileMode, Unit, UnitDependency, UnitGraph, UnitIndex};
