//! What the operating system knows about the terminal.

/// Columns of the terminal on standard error.
#[cfg(unix)]
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Unknown where no one has written it yet.
#[cfg(not(unix))]
pub(crate) fn width() -> Option<usize> {
    None
}
