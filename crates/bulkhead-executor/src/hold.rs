//! A unit that is made ready while it still waits for another: its process stands confined before a closed gate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulkhead_sandbox::{Gate, SandboxError};
use bulkhead_unit_graph::{Command, UnitIndex};

use crate::Event;
use crate::files::Stamp;
use crate::run::Build;

/// What the scheduler and the thread of the unit share.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) gate: Arc<Gate>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is about to be run, once it is known.
    command: Option<Arc<Command>>,
    /// When the unit was let go, by the file system's clock.
    released: Option<Stamp>,
}

impl Hold {
    /// # Errors
    /// When no descriptor is left.
    pub(crate) fn new() -> Result<Self, SandboxError> {
        Ok(Self { gate: Arc::new(Gate::new()?), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The unit's thread knows what it will run.
    pub(crate) fn announce(&self, build: &Build<'_>, index: UnitIndex, command: &Arc<Command>) {
        let mut state = self.state();
        match state.released {
            Some(_) => build.emit(Event::Started { unit: index, command: Arc::clone(command) }),
            None => state.command = Some(Arc::clone(command)),
        }
    }

    /// What the unit waited for is there: its process may run.
    pub(crate) fn release(&self, build: &Build<'_>, index: UnitIndex) {
        let mut state = self.state();
        // A source that is changed from now on is newer than the build.
        state.released = Some(build.files(index).touch());
        if let Some(command) = state.command.take() {
            build.emit(Event::Started { unit: index, command });
        }
        drop(state);
        self.gate.open();
    }

    /// When the unit was let go; `None` if that was not to be found out.
    pub(crate) fn released(&self) -> Option<Stamp> {
        self.state().released.filter(|time| *time > 0)
    }
}
