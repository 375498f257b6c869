//! Runs a plan: decides which units are fresh, schedules the others, runs each rustc and build script confined, keeps
//! what they said for replay, and puts the artifacts where users look for them.
//!
//! It prints nothing (it emits [`Event`]s), chooses nothing (command lines come from the planner, permissions from the
//! caller), and reads no environment of its own.
//!
//! Start with [`run`], then `schedule`, `job` and `freshness`.

mod claims;
pub mod compare;
pub mod confinement;
mod content;
pub mod dep_info;
mod documentation;
pub mod event;
mod files;
mod folders;
mod freshness;
mod hold;
mod incremental;
mod inputs;
mod job;
mod limit;
mod lock;
pub mod messages;
pub mod options;
pub mod outcome;
mod place;
mod plain;
pub mod planner;
mod priority;
mod process;
mod record;
mod removal;
mod reuse;
mod run;
mod schedule;
mod script;
mod staging;
mod tokens;
mod told;
mod uplift;

pub use confinement::Confinement;
pub use event::{Event, MessageLevel, Stream};
pub use inputs::Inputs;
pub use limit::Reached;
pub use lock::{TARGET_MARKER, target_mark};
pub use options::{Grants, Options};
pub use outcome::{BuildError, Executable, Failure, FailureKind, Outcome};
pub use planner::Planner;
pub use process::noteworthy;
pub use removal::{Removed, remove_at};
pub use reuse::Cache;
pub use run::run;
