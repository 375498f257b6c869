//! Whether a version is old enough to be taken.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::publish_age::describe;
use bulkhead_schema::{PackageName, SourceId};
use semver::Version;

use crate::VersionEntry;

/// The rule that fresh versions are passed over, unless the lockfile has them: most malicious releases are found out
/// within hours. Without a rule every age is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishAge {
    /// The present, in seconds since 1970-01-01 UTC.
    pub now: i64,
    /// The least age, in seconds, of versions from registries that are not in `by_registry`.
    pub minimum: u64,
    /// The same for single registries.
    pub by_registry: BTreeMap<SourceId, u64>,
    /// Versions that are taken all the same.
    pub exempt: BTreeSet<(PackageName, Version)>,
}

/// Why a version is not old enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Youth {
    /// It was published so many seconds ago, and the least age is so many.
    Fresh {
        /// In seconds.
        age: u64,
        /// In seconds.
        minimum: u64,
    },
    /// The registry dates it in the future.
    Future,
    /// The registry dates other versions of the package, but not this one.
    Undated,
}

impl PublishAge {
    /// Why `entry`, one of the `published` versions of a package, is too young; `None` if it is not.
    ///
    /// A registry that dates no version of the package leaves nothing to judge by, so that all are old enough. Where it
    /// dates some, one without a date counts as old if a higher version is dated and old: it is from before the registry
    /// began to date.
    pub fn youth(
        &self,
        source: SourceId,
        name: PackageName,
        entry: &VersionEntry,
        published: &[VersionEntry],
    ) -> Option<Youth> {
        let minimum = self.by_registry.get(&source).copied().unwrap_or(self.minimum);
        if minimum == 0 || self.exempt.contains(&(name, entry.version.clone())) {
            return None;
        }
        let Some(time) = entry.pubtime else {
            let dated = || published.iter().filter_map(|it| Some((&it.version, it.pubtime?)));
            let old = |time: i64| matches!(self.age(time), Some(age) if age >= minimum);
            let from_before = dated().any(|(version, time)| *version > entry.version && old(time));
            return (dated().next().is_some() && !from_before).then_some(Youth::Undated);
        };
        match self.age(time) {
            None => Some(Youth::Future),
            Some(age) => (age < minimum).then_some(Youth::Fresh { age, minimum }),
        }
    }

    /// Seconds since `time`; `None` if that is still to come.
    fn age(&self, time: i64) -> Option<u64> {
        u64::try_from(self.now.checked_sub(time)?).ok()
    }
}

/// A clause such as `published 2 hours ago, minimum age 3 days`.
impl std::fmt::Display for Youth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fresh { age, minimum } => {
                write!(f, "published {} ago, minimum age {}", describe(*age), describe(*minimum))
            }
            Self::Future => f.write_str("the registry says that it was published in the future"),
            Self::Undated => f.write_str("the registry does not say when it was published, unlike of other versions"),
        }
    }
}
