//! Whether build-time code is the code that somebody has approved.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::PackageId;
use bulkhead_schema::bulkhead_lock::{Approval, BuildCodeKind};
use bulkhead_schema::policy::Digest;

/// What is known of a package whose code is about to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildCodeFacts {
    /// Which package.
    pub id: PackageId,
    /// Why its code runs.
    pub kinds: BTreeSet<BuildCodeKind>,
    /// Digest of its archive, if it has one.
    pub archive: Option<Digest>,
}

/// How build-time code stands to what was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// This code was approved, here or in another version.
    Approved,
    /// Nothing of this package was.
    New,
    /// The code was, but not for all that it runs for now.
    MoreKinds {
        /// What is new.
        added: BTreeSet<BuildCodeKind>,
    },
    /// Another version was, or the same one with other code.
    Changed {
        /// Which.
        former: PackageId,
    },
}

/// Compares. `digest` computes the digest of the package's build code for some kinds; it is asked only where the archive
/// does not settle the question.
///
/// # Errors
/// Those of `digest`.
pub fn standing<E>(
    approvals: &BTreeMap<PackageId, Approval>,
    facts: &BuildCodeFacts,
    digest: &mut dyn FnMut(&BTreeSet<BuildCodeKind>) -> Result<Digest, E>,
) -> Result<Standing, E> {
    let exact = approvals.get(&facts.id);
    let same_archive = |it: &&Approval| it.archive.is_some() && it.archive == facts.archive;
    if exact.filter(same_archive).is_some_and(|it| it.kinds.is_superset(&facts.kinds)) {
        return Ok(Standing::Approved);
    }
    let mut computed: BTreeMap<BTreeSet<BuildCodeKind>, Digest> = BTreeMap::new();
    let mut agrees = |it: &Approval| -> Result<bool, E> {
        if !computed.contains_key(&it.kinds) {
            computed.insert(it.kinds.clone(), digest(&it.kinds)?);
        }
        Ok(computed.get(&it.kinds) == Some(&it.digest))
    };
    let former: Vec<_> = formerly(approvals, facts.id);
    let mut narrower: Option<&Approval> = None;
    for (_, approval) in &former {
        if agrees(approval)? {
            if approval.kinds.is_superset(&facts.kinds) {
                return Ok(Standing::Approved);
            }
            narrower = narrower.or(Some(approval));
        }
    }
    Ok(match (narrower, former.first()) {
        (Some(approval), _) => Standing::MoreKinds { added: &facts.kinds - &approval.kinds },
        (None, Some((id, _))) => Standing::Changed { former: **id },
        (None, None) => Standing::New,
    })
}

/// The approvals of a package: of this version, then of lower ones, then of higher ones.
fn formerly(approvals: &BTreeMap<PackageId, Approval>, id: PackageId) -> Vec<(&PackageId, &Approval)> {
    let same = |other: &PackageId| {
        other.name() == id.name() && other.source().without_commit() == id.source().without_commit()
    };
    let mut found: Vec<_> = approvals.iter().filter(|(other, _)| same(other)).collect();
    found.sort_by(|(left, _), (right, _)| {
        let rank = |it: &PackageId| (*it != id, it.version() > id.version());
        rank(left).cmp(&rank(right)).then_with(|| right.version().cmp(left.version()))
    });
    found
}

#[cfg(test)]
mod tests {
    use super::{BuildCodeFacts, Standing, standing};
    use bulkhead_schema::bulkhead_lock::{Approval, BuildCodeKind};
    use bulkhead_schema::policy::Digest;
    use bulkhead_schema::{PackageId, PackageName, SourceId};
    use semver::Version;
    use std::collections::{BTreeMap, BTreeSet};

    const SCRIPT: &[BuildCodeKind] = &[BuildCodeKind::BuildScript];
    const BOTH: &[BuildCodeKind] = &[BuildCodeKind::BuildScript, BuildCodeKind::Dependency];

    fn digest(number: u8) -> Digest {
        Digest::from_sha256([number; 32])
    }

    fn id(version: &str) -> PackageId {
        let name = PackageName::registry("a").unwrap();
        PackageId::new(name, Version::parse(version).unwrap(), SourceId::crates_io())
    }

    /// One approval per line: version, kinds, archive, digest.
    fn approvals(list: &[(&str, &[BuildCodeKind], u8, u8)]) -> BTreeMap<PackageId, Approval> {
        let approval = |&(version, kinds, archive, code): &(&str, &[BuildCodeKind], u8, u8)| {
            let kinds = kinds.iter().copied().collect();
            (id(version), Approval { kinds, archive: Some(digest(archive)), digest: digest(code) })
        };
        list.iter().map(approval).collect()
    }

    #[track_caller]
    fn check(
        list: &[(&str, &[BuildCodeKind], u8, u8)],
        (version, kinds, archive, code): (&str, &[BuildCodeKind], u8, u8),
        expected: &Standing,
    ) {
        let facts =
            BuildCodeFacts { id: id(version), kinds: kinds.iter().copied().collect(), archive: Some(digest(archive)) };
        let mut compute = |_: &BTreeSet<BuildCodeKind>| Ok::<_, ()>(digest(code));
        assert_eq!(standing(&approvals(list), &facts, &mut compute).unwrap(), *expected);
    }

    #[test]
    fn approved_is_what_was_looked_at() {
        check(&[], ("1.0.0", SCRIPT, 1, 1), &Standing::New);
        check(&[("1.0.0", SCRIPT, 1, 1)], ("1.0.0", SCRIPT, 1, 9), &Standing::Approved);
        check(&[("1.0.0", SCRIPT, 1, 1)], ("1.0.1", SCRIPT, 2, 1), &Standing::Approved);
        check(&[("1.0.0", BOTH, 1, 1)], ("1.0.1", SCRIPT, 2, 1), &Standing::Approved);
        let changed = Standing::Changed { former: id("1.0.0") };
        check(&[("1.0.0", SCRIPT, 1, 1)], ("1.0.1", SCRIPT, 2, 2), &changed);
        check(&[("1.0.0", SCRIPT, 1, 1), ("0.9.0", SCRIPT, 8, 8)], ("1.0.1", SCRIPT, 2, 2), &changed);
        check(&[("1.0.0", SCRIPT, 1, 1), ("2.0.0", SCRIPT, 8, 8)], ("1.0.1", SCRIPT, 2, 2), &changed);
        check(&[("1.0.0", SCRIPT, 1, 1)], ("1.0.0", SCRIPT, 2, 2), &changed);
    }

    #[test]
    fn an_approval_is_for_what_the_code_ran_for() {
        let added = Standing::MoreKinds { added: [BuildCodeKind::Dependency].into() };
        check(&[("1.0.0", SCRIPT, 1, 1)], ("1.0.0", BOTH, 1, 1), &added);
        check(&[("1.0.0", BOTH, 1, 1)], ("1.0.0", SCRIPT, 1, 1), &Standing::Approved);
    }
}
