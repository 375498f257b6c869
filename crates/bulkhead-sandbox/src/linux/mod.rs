//! Confinement on Linux.
//!
//! `spawn` prepares everything (`view`: what is to be mounted; `landlock`, `seccomp`: the rules) and starts the child, which
//! runs `enter` in the parent's memory until it executes the program. `wait` is the parent's loop afterwards, `observe`
//! answers and records what seccomp notifies of. `control_group` limits all processes of a run together, where that can be had,
//! and `total_memory` where not.

mod bytes;
mod clone;
mod control_group;
mod enter;
mod gate;
mod handover;
mod init;
mod landlock;
mod last_words;
mod memory;
mod namespaces;
mod observe;
mod places;
mod proxy;
mod seccomp;
mod spawn;
mod support;
mod syscall;
mod total_memory;
mod view;
mod wait;

pub use bytes::lock_bytes;
pub use control_group::control_group;
pub(crate) use gate::Gate;
pub use last_words::{LastWords, end_after, last_words};
pub use memory::prefer_large_pages;
pub use spawn::spawn;
pub use support::support;
pub(crate) use total_memory::available_memory;
pub(crate) use wait::{Child, Killer};
