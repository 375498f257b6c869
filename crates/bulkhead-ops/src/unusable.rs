//! Entries of an index that break a rule: passed over, and told where that changes what the user gets.

use std::collections::BTreeSet;

use bulkhead_resolver::Resolve;
use bulkhead_resolver::lock::Previous;
use bulkhead_schema::{PackageId, SourceId};
use semver::Version;

use crate::Event;
use crate::sources::Sources;

/// Most entries that are told of.
const MOST_SHOWN: usize = 5;

/// Warns of entries newer than what was chosen, that might have been chosen instead: for packages that are new in the
/// lockfile, or have another version there now.
pub fn warn(sources: &Sources<'_>, previous: Option<&Previous>, resolve: &Resolve, events: &dyn Fn(Event)) {
    let kept = |id: &PackageId| previous.is_some_and(|previous| previous.packages.contains_key(id));
    let chosen = resolve.nodes.keys().filter(|id| id.source().is_registry() && !kept(id));
    let better = |id: &PackageId, other: &Version| {
        let compatible = match (id.version().major, id.version().minor) {
            (0, 0) => false,
            (0, minor) => other.major == 0 && other.minor == minor,
            (major, _) => other.major == major,
        };
        compatible && other > id.version()
    };
    let found = chosen.flat_map(|id| {
        let broken = sources.unusable(id.source(), id.name(), &|version| better(id, version));
        broken.into_iter().map(|reason| (*id, reason))
    });
    for (id, reason) in found.take(MOST_SHOWN) {
        events(Event::Warning(format!("{reason}; `{id}` is used instead")));
    }
}

/// What to add to the failure of a resolution whose text is `message`: the unusable entries of the packages that it names.
pub fn of_failure(sources: &Sources<'_>, message: &str) -> Vec<String> {
    let words: BTreeSet<&str> = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).collect();
    let named: Vec<_> = sources.loaded().into_iter().filter(|(_, name)| words.contains(name.as_str())).collect();
    let all = |(source, name): (SourceId, _)| sources.unusable(source, name, &|_| true);
    named.into_iter().flat_map(all).take(MOST_SHOWN).collect()
}
