//! What the host offers.

use crate::process::Level;

/// What the host offers, and why something is missing.
#[derive(Clone, Debug)]
pub struct Support {
    /// Why [`Level::Full`] is not to be had; `None` when it is.
    pub full: Option<String>,
    /// Why [`Level::LandlockOnly`] is not to be had; `None` when it is.
    pub landlock_only: Option<String>,
    /// Landlock's ABI version; 0 without Landlock.
    pub landlock_abi: u32,
}

impl Support {
    /// The text to refuse with, or `None` when `level` is to be had here.
    pub fn missing(&self, level: Level) -> Option<&str> {
        match level {
            Level::Full => self.full.as_deref(),
            Level::LandlockOnly => self.landlock_only.as_deref(),
        }
    }
}

/// Which limits a control group keeps, for all processes of a run together. Where it does not, or there is none, they are kept
/// as far as that goes without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlGroup {
    /// [`Limits::total_memory_bytes`](crate::Limits::total_memory_bytes), exactly and at once.
    pub memory: bool,
    /// [`Limits::processes`](crate::Limits::processes), and that a process was refused for it is known.
    pub processes: bool,
}
