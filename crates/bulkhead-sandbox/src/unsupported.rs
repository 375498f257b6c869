//! The seam for hosts on which nothing is confined yet: everything is refused, and says so.

use crate::child::{self, Exit, Stream};
use crate::error::SandboxError;
use crate::process::Process;
use crate::support::{ControlGroup, Support};

const TEXT: &str = "confinement is not available on this operating system or processor yet (Linux on x86-64 and aarch64 is); \
                    nothing is run without it";

/// Refuses.
///
/// # Errors
/// Always [`SandboxError::Unsupported`].
pub fn spawn(_process: &Process) -> Result<child::Child, SandboxError> {
    Err(SandboxError::Unsupported(TEXT.into()))
}

/// Says that nothing is available here.
pub fn support() -> Support {
    Support { full: Some(TEXT.into()), landlock_only: Some(TEXT.into()), landlock_abi: 0 }
}

/// There are no control groups here.
///
/// # Errors
/// Always.
pub fn control_group() -> Result<ControlGroup, String> {
    Err("this system has no control groups".to_owned())
}

/// Large pages are asked for on Linux alone.
pub fn prefer_large_pages() {}

/// Nothing is built here, so that nothing has to be locked.
///
/// # Errors
/// Always.
pub fn lock_bytes(
    _file: &std::fs::File,
    _bytes: std::ops::Range<u64>,
    _lock: crate::ByteLock,
) -> std::io::Result<bool> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// What is said at the end, a whole line each.
#[derive(Debug, Clone, Default)]
pub struct LastWords {
    /// When the processor time is used up.
    pub processor_time: String,
    /// When the time of [`end_after`] has passed.
    pub time: String,
    /// When the program aborts.
    pub abort: String,
}

/// Does nothing.
pub fn last_words(_words: LastWords) {}

/// Does nothing.
pub fn end_after(_time: Option<std::time::Duration>) {}

pub(crate) fn available_memory() -> Option<u64> {
    None
}

/// A child cannot exist here.
#[derive(Debug)]
pub(crate) enum Child {}

impl Child {
    pub(crate) fn id(&self) -> u32 {
        match *self {}
    }

    pub(crate) fn kill(&self) {
        match *self {}
    }

    pub(crate) fn killer(&self) -> Result<Killer, SandboxError> {
        match *self {}
    }

    pub(crate) fn wait_with(self, _on_output: impl FnMut(Stream, &[u8])) -> Result<Exit, SandboxError> {
        match self {}
    }
}

/// Neither can its killer.
#[derive(Debug)]
pub(crate) enum Killer {}

impl Killer {
    pub(crate) fn kill(&self) {
        match *self {}
    }
}

/// Nothing can wait for a gate here.
#[derive(Debug)]
pub(crate) enum Gate {}

impl Gate {
    pub(crate) fn new() -> std::io::Result<Gate> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn open(&self) {
        match *self {}
    }

    pub(crate) fn cancel(&self) {
        match *self {}
    }
}
