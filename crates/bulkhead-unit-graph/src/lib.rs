//! The plan: packages + features + profiles → units of work, their edges, the rustc command line and output files of
//! each, and what makes one stale.
//!
//! Pure: a plan is a value that can be printed and compared (`bulkhead build --unit-graph` prints it in the form of
//! `cargo build --unit-graph`). Nothing is run and no file is looked at; the executor does that, and hands back what
//! build scripts said ([`bulkhead_schema::build_script`]) where a command line needs it.
//!
//! Start with [`plan`](plan()) and [`UnitGraph`], then [`Context`] and [`compile_command`].

mod collisions;
pub mod command;
pub mod context;
mod environment;
pub mod fingerprint;
mod hash;
mod json;
pub mod layout;
mod lto;
pub mod paths;
mod plan;
pub mod request;
mod rustc;
mod rustdoc;
mod script;
#[cfg(test)]
mod tests;
pub mod toolchain;
pub mod unit;

pub use collisions::collisions;
pub use command::{Command, Output, OutputKind};
pub use context::{BuildOptions, Context, MessageFormat, PlatformFlags, ScriptOutputs};
pub use fingerprint::{Fingerprint, fingerprint, fingerprints};
pub use json::{debuginfo_json, unit_graph_json};
pub use layout::Layout;
pub use paths::{
    dep_info, fingerprint_folder, fingerprint_name, incremental_folder, output_folder, outputs, readable_by_compiler,
    readable_paths, script_folder, script_program, writable_paths,
};
pub use plan::plan;
pub use request::{Intent, NameFilter, PlanInput, PlanRequest, TargetFilter};
pub use rustc::compile_command;
pub use rustdoc::{DoctestOptions, doctest_command};
pub use script::script_command;
pub use toolchain::{PlatformInfo, Probe, Toolchain};
pub use unit::{CompileKind, CompileMode, Unit, UnitDependency, UnitGraph, UnitIndex};
