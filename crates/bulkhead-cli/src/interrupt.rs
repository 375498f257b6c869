//! Ctrl-C and its kin: what runs is ended in an orderly way, then the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bulkhead_ops::Error;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Time for the command to end by itself. Confined processes die with this one in any case.
const GRACE: Duration = Duration::from_secs(2);

/// Whether there is something to end in an orderly way. All that comes before the first process is started can be cut off:
/// files are replaced in one step or not at all.
static ORDERLY: AtomicBool = AtomicBool::new(false);

/// From now on processes may be running.
pub(crate) fn processes_run() {
    ORDERLY.store(true, Ordering::Relaxed);
}

/// A flag that is set when the user wants the command to end; some time later it ends whether it has noticed or not.
///
/// # Errors
/// The system refuses the handlers.
pub(crate) fn watch() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Error::failure("could not watch for signals").because(error))?;
    let flag = Arc::clone(&stop);
    std::thread::spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        flag.store(true, Ordering::Relaxed);
        if ORDERLY.load(Ordering::Relaxed) {
            std::thread::sleep(GRACE);
        }
        // The shell that started us learns from the signal that the user wanted this.
        let _ = emulate_default_handler(signal);
    });
    Ok(stop)
}
