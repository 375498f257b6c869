//! What a build has told already, where what is not fresh has to be found out a second time: whoever reads messages gets each once.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use crate::{Event, script};

/// What was told of units.
#[derive(Default)]
pub(crate) struct Told(Mutex<HashSet<u64>>);

impl Told {
    /// Remembers that it was told.
    pub(crate) fn note(&self, event: &Event) {
        if let Some(identity) = identity(event) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(identity);
        }
    }

    /// Whether it was told.
    pub(crate) fn holds(&self, event: &Event) -> bool {
        identity(event)
            .is_some_and(|identity| self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&identity))
    }
}

/// What makes it the same for readers. Files are the same, be they put in place or made; what else is new may be told again.
fn identity(event: &Event) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(event).hash(&mut hasher);
    match event {
        Event::Message { unit, json, .. } | Event::FutureIncompatibility { unit, json } => {
            (unit, json).hash(&mut hasher);
        }
        Event::Counts { unit, warnings, errors, .. } => (unit, warnings, errors).hash(&mut hasher),
        Event::ScriptWarning { unit, message, failed } => (unit, message, failed).hash(&mut hasher),
        Event::ScriptOutput { unit, output, .. } => (unit, script::identity(output)).hash(&mut hasher),
        Event::Artifact { unit, .. } => unit.hash(&mut hasher),
        _ => return None,
    }
    Some(hasher.finish())
}
