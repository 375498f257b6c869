//! What this program itself may use, whatever a project brings: the last resort behind the limits of each parser, answer and
//! resolution (`docs/limits.md`).

use std::time::Duration;

use bulkhead_sandbox::{LastWords, end_after, last_words};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::Result;
use crate::{Error, ErrorKind};

/// The variable, the resource, its unit in those of the system, and what holds without the variable.
const LIMITS: [(&str, Resource, u64, u64); 2] = [
    ("BULKHEAD_LIMIT_MEMORY_MIB", Resource::Data, 1 << 20, 4096),
    ("BULKHEAD_LIMIT_PROCESSOR_SECONDS", Resource::Cpu, 1, 3600),
];

/// The variable for the time on the clock, and what holds without it: what hangs ends some day.
const TIME: (&str, u64) = ("BULKHEAD_LIMIT_TIME_SECONDS", 86_400);

/// Limits this process, which says so when it is ended by one. Confined processes have limits of their own instead.
///
/// # Errors
/// A variable holds no number.
pub fn restrict(variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    let mut values = [0; LIMITS.len()];
    for ((name, resource, unit, default), value) in LIMITS.into_iter().zip(&mut values) {
        *value = number(name, &variable, default)?;
        let Rlimit { current, maximum } = getrlimit(resource);
        // `None` is no limit. What the user's own shell allows is not exceeded.
        let own = value.saturating_mul(unit);
        let own = current.into_iter().chain(maximum).fold(own, u64::min);
        *value = own / unit;
        // Where the system refuses, the limits of each part hold all the same.
        let _ = setrlimit(resource, Rlimit { current: Some(own), maximum });
    }
    let time = number(TIME.0, &variable, TIME.1)?;
    let [memory, processor] = values;
    last_words(LastWords {
        processor_time: words(&format!("used {processor} s of processor time, its limit"), LIMITS[1].0),
        time: words(&format!("ran for {time} s, its limit"), TIME.0),
        abort: format!(
            "note: if memory was refused: Bulkhead itself may use {memory} MiB; `{}` sets another number\n",
            LIMITS[0].0
        ),
    });
    end_after(Some(Duration::from_secs(time)));
    Ok(())
}

fn words(what: &str, name: &str) -> String {
    format!("error: Bulkhead itself {what}, and ends\nhelp: `{name}` sets another number (docs/limits.md)\n")
}

fn number(name: &str, variable: impl Fn(&str) -> Option<String>, default: u64) -> Result<u64> {
    let Some(text) = variable(name) else { return Ok(default) };
    let value = text.parse().ok().filter(|value| *value > 0);
    value.ok_or_else(|| Error::new(ErrorKind::Usage, format!("`{name}` is a positive whole number, not `{text}`")))
}

/// Takes back what [`restrict`] did, before this process becomes, or starts, a program that the user wants to run.
pub fn lift() {
    end_after(None);
    for (_, resource, ..) in LIMITS {
        let maximum = getrlimit(resource).maximum;
        let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
    }
}
