//! The part of a policy that speaks about the cache of compiled units.

use super::Reader;
use crate::Diagnostic;
use crate::config::{Data, Entry};

/// `[unit-cache]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitCacheRules {
    /// `enabled`: whether there is one. `None` if nobody says: there is.
    pub enabled: Option<bool>,
    /// `max-mib`: how much stays in it.
    pub max_mib: Option<u64>,
    /// `max-days`: how long what is not used stays in it.
    pub max_days: Option<u64>,
}

impl Reader<'_> {
    pub(super) fn unit_cache(&self, entry: &Entry) -> Result<UnitCacheRules, Diagnostic> {
        let mut rules = UnitCacheRules::default();
        for (key, entry) in self.table(entry, "unit-cache")? {
            let number = match key.as_str() {
                "enabled" => match entry.node.data {
                    Data::Boolean(enabled) => {
                        rules.enabled = Some(enabled);
                        continue;
                    }
                    _ => return Err(self.wrong(entry, key, "a boolean")),
                },
                "max-mib" => &mut rules.max_mib,
                "max-days" => &mut rules.max_days,
                _ => return Err(self.unknown(key, entry)),
            };
            match entry.node.data {
                Data::Integer(value) if value > 0 => *number = u64::try_from(value).ok(),
                _ => return Err(self.wrong(entry, key, "a positive integer")),
            }
        }
        Ok(rules)
    }
}
