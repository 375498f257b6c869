//! What this program says when the system ends it at one of its own limits, which it would else do without a word.

use std::sync::OnceLock;
use std::time::Duration;

/// The texts, which a handler can only read.
static WORDS: OnceLock<LastWords> = OnceLock::new();

/// What is said at the end, a whole line each.
#[derive(Debug, Clone, Default)]
pub struct LastWords {
    /// When the processor time is used up (`SIGXCPU`).
    pub processor_time: String,
    /// When the time of [`end_after`] has passed (`SIGALRM`).
    pub time: String,
    /// When the program aborts, as it does where memory is refused.
    pub abort: String,
}

/// From now on the end is not silent. Counts once.
pub fn last_words(words: LastWords) {
    if WORDS.set(words).is_err() {
        return;
    }
    for signal in [libc::SIGXCPU, libc::SIGALRM, libc::SIGABRT] {
        // SAFETY: an all-zero action is valid: no flags, nothing blocked.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = speak as extern "C" fn(libc::c_int) as usize;
        // SAFETY: the handler calls only what a handler may. Where the system refuses, the end is silent as before.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
}

/// Ends this program after a time on the clock; `None` takes that back.
pub fn end_after(time: Option<Duration>) {
    let seconds = time.map_or(0, |time| libc::c_uint::try_from(time.as_secs()).unwrap_or(libc::c_uint::MAX));
    // SAFETY: takes a number.
    unsafe { libc::alarm(seconds) };
}

extern "C" fn speak(signal: libc::c_int) {
    let text = WORDS.get().map(|words| match signal {
        libc::SIGXCPU => &words.processor_time,
        libc::SIGALRM => &words.time,
        _ => &words.abort,
    });
    if let Some(text) = text {
        // SAFETY: the text is valid for its length and never freed. `write` may be called in a handler.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    }
    if signal != libc::SIGABRT {
        // SAFETY: ends the process at once, which a handler may. An abort goes on to its own end.
        unsafe { libc::_exit(101) };
    }
}
