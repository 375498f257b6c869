//! Variables of the user's own that take something from the protection: which of them are set, and whether a policy lets them.

use bulkhead_policy::Effective;
use bulkhead_schema::policy::Switch;

use crate::audit::Values;
use crate::error::Result;
use crate::options::Place;
use crate::{Error, ErrorKind, policy};

/// Those that are set to something that loosens, with their values.
fn in_use(place: &Place) -> impl Iterator<Item = (Switch, &str)> {
    let set = Switch::ALL.into_iter().filter_map(|switch| Some((switch, place.variable(switch.name)?)));
    set.filter(|(switch, value)| switch.is_loosened_by(value))
}

/// Whether this one is set to something that loosens.
pub(crate) fn is_on(place: &Place, switch: Switch) -> bool {
    place.variable(switch.name).is_some_and(|value| switch.is_loosened_by(value))
}

/// Those that are in use, as the audit log has them.
pub(crate) fn values(place: &Place) -> Values {
    in_use(place).map(|(switch, value)| (format!("environment variable `{}`", switch.name), value.to_owned())).collect()
}

/// Refuses what the policies above all projects forbid, before a command does anything.
///
/// # Errors
/// A variable is set that may not be; a policy cannot be read.
pub fn check(place: &Place) -> Result<()> {
    match in_use(place).next() {
        None => Ok(()),
        Some(_) => check_by(place, &policy::of_user(place)?),
    }
}

/// Refuses what `policy` forbids.
///
/// # Errors
/// A variable is set that may not be.
pub(crate) fn check_by(place: &Place, policy: &Effective) -> Result<()> {
    for (switch, value) in in_use(place) {
        let forbids = |(_, forbidden): &&(_, Switch)| *forbidden == switch;
        let Some((source, _)) = policy.forbidden_variables.iter().find(forbids) else { continue };
        let name = switch.name;
        let message = format!("`{name}={value}` is set, and {source} forbids it (`forbidden-variables`)");
        let refusal = Error::refusal(ErrorKind::Policy, "variable-forbidden", message);
        return Err(refusal.help(format!("unset `{name}`, or ask whoever is responsible for the policy")));
    }
    Ok(())
}
