//! Runs one described process, confined.
//!
//! A [`Process`] says everything about the run: the program, its arguments, its exact environment, what it may read and
//! write, whether it may use the network, and its limits. [`spawn`] starts it in namespaces of its own with a root file
//! system that holds only what was named, under Landlock and seccomp, without capabilities and without a terminal; the
//! [`Child`] ends, with everything it started, when it is waited for, killed or dropped.
//!
//! This crate decides nothing: what a build script may read is the executor's and the policy's business. It never falls
//! back to a weaker confinement on its own: [`support`] says what the host offers, and a caller that accepts
//! [`Level::LandlockOnly`] says so in the description.
//!
//! Start at [`Process`], then `linux/spawn.rs` (the parent's side) and `linux/enter.rs` (the child's side, which may
//! neither allocate nor lock). The reasons for the mechanism and its measured cost: `docs/decisions/confinement.md`.

mod bytes;
mod child;
mod denial;
mod error;
mod process;
mod support;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "linux/mod.rs"]
mod platform;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[path = "unsupported.rs"]
mod platform;

pub use bytes::ByteLock;
pub use child::{Child, Exit, Killer, LimitHit, Output, Status, Stream, Usage};
pub use denial::{Denial, DenialKind, Target};
pub use error::SandboxError;
pub use platform::{LastWords, control_group, end_after, last_words, lock_bytes, prefer_large_pages, spawn, support};
pub use process::{BaseView, Endpoint, Gate, Level, Limits, Network, Process, Stdin, Stdout};
pub use support::{ControlGroup, Support};
