//! What this program itself may use, whatever a project brings: the last resort behind the limits of each parser, answer and
//! resolution (`docs/limits.md`).

use std::time::Duration;

use bulkhead_sandbox::{LastWords, end_after, last_words};
use bulkhead_schema::policy::Switch;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::Result;
use crate::{Error, ErrorKind};

/// The variable, the resource, and its unit in those of the system.
const LIMITS: [(Switch, Resource, u64); 2] =
    [(Switch::LIMIT_MEMORY, Resource::Data, 1 << 20), (Switch::LIMIT_PROCESSOR, Resource::Cpu, 1)];

/// Limits this process, which says so when it is ended by one. Confined processes have limits of their own instead.
///
/// # Errors
/// A variable holds no number.
pub fn restrict(variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    let mut values = [0; LIMITS.len()];
    for ((switch, resource, unit), value) in LIMITS.into_iter().zip(&mut values) {
        *value = number(switch, &variable)?;
        let Rlimit { current, maximum } = getrlimit(resource);
        // `None` is no limit. What the user's own shell allows is not exceeded.
        let own = value.saturating_mul(unit);
        let own = current.into_iter().chain(maximum).fold(own, u64::min);
        *value = own / unit;
        // Where the system refuses, the limits of each part hold all the same.
        let _ = setrlimit(resource, Rlimit { current: Some(own), maximum });
    }
    let time = number(Switch::LIMIT_TIME, &variable)?;
    let [memory, processor] = values;
    last_words(LastWords {
        processor_time: words(&format!("used {processor} s of processor time, its limit"), Switch::LIMIT_PROCESSOR),
        time: words(&format!("ran for {time} s, its limit"), Switch::LIMIT_TIME),
        abort: format!(
            "note: if memory was refused: Bulkhead itself may use {memory} MiB; `{}` sets another number\n",
            Switch::LIMIT_MEMORY.name
        ),
    });
    end_after(Some(Duration::from_secs(time)));
    Ok(())
}

fn words(what: &str, Switch { name, .. }: Switch) -> String {
    format!("error: Bulkhead itself {what}, and ends\nhelp: `{name}` sets another number (docs/limits.md)\n")
}

fn number(switch: Switch, variable: impl Fn(&str) -> Option<String>) -> Result<u64> {
    let name = switch.name;
    let Some(text) = variable(name) else { return Ok(switch.default_number()) };
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
