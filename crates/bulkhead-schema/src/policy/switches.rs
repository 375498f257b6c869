//! Variables of the user's own that take something from the protection, and the part of a policy that forbids them.

use super::Reader;
use crate::Diagnostic;
use crate::config::Entry;

/// A variable that Bulkhead obeys, and from which value on it loosens something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// The variable.
    pub name: &'static str,
    loosened_by: LoosenedBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoosenedBy {
    /// This value.
    Value(&'static str),
    /// Whatever is not empty.
    Anything,
    /// A number above what holds without the variable.
    More(u64),
}

impl Switch {
    /// Plain http to this machine.
    pub const HTTP_LOOPBACK: Self = Self::new("BULKHEAD_ALLOW_HTTP_LOOPBACK", LoosenedBy::Value("1"));
    /// Credential helpers without confinement.
    pub const CREDENTIAL_CONFINED: Self = Self::new("BULKHEAD_CREDENTIAL_CONFINED", LoosenedBy::Value("false"));
    /// Names of more variables that credential helpers see.
    pub const CREDENTIAL_ENV: Self = Self::new("BULKHEAD_CREDENTIAL_ENV", LoosenedBy::Anything);
    /// Seconds that a credential helper may take; people may have to unlock something first.
    pub const CREDENTIAL_TIMEOUT: Self = Self::new("BULKHEAD_CREDENTIAL_TIMEOUT", LoosenedBy::More(300));
    /// Memory of Bulkhead itself.
    pub const LIMIT_MEMORY: Self = Self::new("BULKHEAD_LIMIT_MEMORY_MIB", LoosenedBy::More(4096));
    /// Processor time of Bulkhead itself.
    pub const LIMIT_PROCESSOR: Self = Self::new("BULKHEAD_LIMIT_PROCESSOR_SECONDS", LoosenedBy::More(3600));
    /// Time of Bulkhead itself on the clock: what hangs ends some day.
    pub const LIMIT_TIME: Self = Self::new("BULKHEAD_LIMIT_TIME_SECONDS", LoosenedBy::More(86_400));

    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::HTTP_LOOPBACK,
        Self::CREDENTIAL_CONFINED,
        Self::CREDENTIAL_ENV,
        Self::CREDENTIAL_TIMEOUT,
        Self::LIMIT_MEMORY,
        Self::LIMIT_PROCESSOR,
        Self::LIMIT_TIME,
    ];

    const fn new(name: &'static str, loosened_by: LoosenedBy) -> Self {
        Self { name, loosened_by }
    }

    /// Whether `value` takes something from the protection. A number that is none does: nobody knows what it means.
    pub fn is_loosened_by(&self, value: &str) -> bool {
        match self.loosened_by {
            LoosenedBy::Value(word) => value == word,
            LoosenedBy::Anything => !value.is_empty(),
            LoosenedBy::More(number) => value.parse().map_or(true, |value: u64| value > number),
        }
    }

    /// The number that holds without the variable; 0 if it holds no number.
    pub const fn default_number(&self) -> u64 {
        match self.loosened_by {
            LoosenedBy::More(number) => number,
            LoosenedBy::Value(_) | LoosenedBy::Anything => 0,
        }
    }
}

/// The words of `forbidden-variables`.
pub(super) const SWITCH_NAMES: &[&str] = &{
    let mut names = [""; Switch::ALL.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = Switch::ALL[place].name;
        place += 1;
    }
    names
};

impl Reader<'_> {
    pub(super) fn forbidden_variables(&self, entry: &Entry) -> Result<Vec<Switch>, Diagnostic> {
        let names = self.strings(entry, "forbidden-variables")?;
        let switch = |name: &String| {
            Switch::ALL.into_iter().find(|switch| switch.name == name).ok_or_else(|| {
                let error = self.error(&entry.node.span, format!("no variable called `{name}` can be forbidden"));
                error.help(format!("those that take something from the protection are {}", SWITCH_NAMES.join(", ")))
            })
        };
        names.iter().map(switch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Switch;

    #[test]
    fn what_loosens_is_told_from_what_tightens() {
        let cases = [
            (Switch::CREDENTIAL_CONFINED, "false", "true"),
            (Switch::HTTP_LOOPBACK, "1", "0"),
            (Switch::CREDENTIAL_ENV, "TOKEN", ""),
            (Switch::LIMIT_MEMORY, "4097", "4096"),
            (Switch::CREDENTIAL_TIMEOUT, "3e9", "5"),
        ];
        for (switch, loose, strict) in cases {
            assert!(switch.is_loosened_by(loose) && !switch.is_loosened_by(strict), "{}", switch.name);
        }
    }
}
