//! What this program itself may use, whatever a project brings: the last resort behind the limits of each parser, answer and
//! resolution (`docs/limits.md`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::Result;
use crate::{Error, ErrorKind};

/// The variable, the resource, its unit in those of the system, and what holds without the variable.
const LIMITS: [(&str, Resource, u64, u64); 2] = [
    ("BULKHEAD_LIMIT_MEMORY_MIB", Resource::Data, 1 << 20, 4096),
    ("BULKHEAD_LIMIT_PROCESSOR_SECONDS", Resource::Cpu, 1, 3600),
];

/// Limits this process. Confined processes have limits of their own instead.
///
/// # Errors
/// A variable holds no number.
pub fn restrict(variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    for (name, resource, unit, default) in LIMITS {
        let value = match variable(name) {
            Some(text) => text.parse().ok().filter(|value| *value > 0).ok_or_else(|| {
                Error::new(ErrorKind::Usage, format!("`{name}` is a positive whole number, not `{text}`"))
            })?,
            None => default,
        };
        let Rlimit { current, maximum } = getrlimit(resource);
        // `None` is no limit. What the user's own shell allows is not exceeded.
        let own = value.saturating_mul(unit);
        let own = current.into_iter().chain(maximum).fold(own, u64::min);
        // Where the system refuses, the limits of each part hold all the same.
        let _ = setrlimit(resource, Rlimit { current: Some(own), maximum });
    }
    Ok(())
}

/// Takes back what [`restrict`] did, before this process becomes, or starts, a program that the user wants to run.
pub fn lift() {
    for (_, resource, ..) in LIMITS {
        let maximum = getrlimit(resource).maximum;
        let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
    }
}
