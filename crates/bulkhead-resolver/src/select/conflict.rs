//! Why something failed, and what is learnt from it.

use std::rc::Rc;

use bulkhead_schema::Symbol;

use super::demand::BadFeature;
use super::state::{Event, Wish};
use super::universe::{FastMap, Target, VersionIndex};
use super::{Activation, Attempt};

/// In which way an event has a part in a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// The version that it chose stands in the way.
    Active,
    /// It asked for the dependency that failed.
    Asked,
}

/// Events that cannot stand together, ascending.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons(Vec<(Event, Reason)>);

impl Reasons {
    pub(super) fn one(event: Event, reason: Reason) -> Self {
        Self(vec![(event, reason)])
    }

    pub(super) fn add(&mut self, event: Event, reason: Reason) {
        match self.0.binary_search_by_key(&event, |&(event, _)| event) {
            Ok(place) => self.0[place].1 = self.0[place].1.max(reason),
            Err(place) => self.0.insert(place, (event, reason)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for &(event, reason) in &other.0 {
            self.add(event, reason);
        }
    }

    pub(super) fn pop_latest(&mut self) -> Option<Event> {
        self.0.pop().map(|(event, _)| event)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Event, Reason)> + '_ {
        self.0.iter().copied()
    }
}

/// Dependencies that cannot be met as long as certain versions are chosen.
#[derive(Debug, Default)]
pub(super) struct Nogoods {
    /// By the address of the list of candidates, which lives as long as the search.
    by_candidates: FastMap<usize, Vec<Nogood>>,
}

#[derive(Debug)]
struct Nogood {
    features: Rc<[Symbol]>,
    default: bool,
    versions: Vec<VersionIndex>,
}

/// More is not kept: a search that fails in so many ways hits its step limit anyway.
const MAX_NOGOODS: usize = 64;

fn key(wish: &Wish) -> usize {
    Rc::as_ptr(&wish.target.candidates).cast::<u32>() as usize
}

impl Nogoods {
    /// Remembers a dependency that has no candidate left, if chosen versions alone are to blame.
    pub(super) fn learn(&mut self, attempt: &Attempt, version_of: impl Fn(Event) -> VersionIndex) {
        if attempt.reasons.iter().any(|(_, reason)| reason == Reason::Asked) {
            return;
        }
        let wish = attempt.wish();
        let versions = attempt.reasons.iter().map(|(event, _)| version_of(event)).collect();
        let known = self.by_candidates.entry(key(wish)).or_default();
        if known.len() < MAX_NOGOODS {
            known.push(Nogood { features: Rc::clone(&wish.features), default: wish.default, versions });
        }
    }

    /// The reasons why one of `wishes`, new dependencies of `candidate`, is known to fail.
    pub(super) fn forbid(
        &self,
        wishes: &[Wish],
        active: impl Fn(VersionIndex) -> Option<Event>,
        candidate: VersionIndex,
    ) -> Option<Reasons> {
        if self.by_candidates.is_empty() {
            return None;
        }
        let known = |wish: &Wish| self.by_candidates.get(&key(wish)).map(Vec::as_slice).unwrap_or_default();
        wishes.iter().find_map(|wish| {
            let same = |nogood: &&Nogood| nogood.features == wish.features && nogood.default == wish.default;
            known(wish).iter().filter(same).find_map(|nogood| {
                let mut reasons = Reasons::default();
                for &version in &nogood.versions {
                    let event = active(version)?;
                    if version != candidate {
                        reasons.add(event, Reason::Active);
                    }
                }
                Some(reasons)
            })
        })
    }
}

/// What is remembered of failures, for the explanation.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// The first dependency that had no candidate left, and with it the state of affairs at that time.
    pub(super) first: Option<Exhausted>,
    /// Features asked for that do not exist: by whom, of whom.
    pub(super) missing_features: Vec<(VersionIndex, VersionIndex, Symbol)>,
    /// A feature that includes itself, and whose it is.
    pub(super) feature_cycle: Option<(VersionIndex, Symbol)>,
}

/// A dependency without candidates left.
#[derive(Debug)]
pub(super) struct Exhausted {
    pub(super) parent: VersionIndex,
    pub(super) place: u32,
    /// What it could have led to.
    pub(super) target: Target,
    /// The chain of versions that led there, from a member down to the parent, with the place of the dependency in
    /// the previous one.
    pub(super) path: Vec<(VersionIndex, Option<u32>)>,
    /// Versions that stood in the way, each with its own chain.
    pub(super) blockers: Vec<Vec<(VersionIndex, Option<u32>)>>,
}

impl Failures {
    pub(super) fn bad_feature(&mut self, parent: VersionIndex, version: VersionIndex, bad: BadFeature) {
        let feature = match bad {
            BadFeature::Missing(feature) => feature,
            BadFeature::IncludesItself(feature) => {
                self.feature_cycle = Some((version, feature));
                return;
            }
        };
        let entry = (parent, version, feature);
        if self.missing_features.len() < 1000 && !self.missing_features.contains(&entry) {
            self.missing_features.push(entry);
        }
    }

    pub(super) fn exhausted(&mut self, attempt: &Attempt, activations: &[Activation]) {
        if self.first.is_some() {
            return;
        }
        let path = chain(attempt.event, activations);
        let blockers = attempt.reasons.iter().filter(|&(_, reason)| reason == Reason::Active);
        let blockers = blockers.map(|(event, _)| chain(event, activations)).collect();
        self.first = Some(Exhausted {
            parent: attempt.parent,
            place: attempt.wish().place,
            target: attempt.wish().target.clone(),
            path,
            blockers,
        });
    }
}

/// How an activation came about: from a member down to it.
pub(super) fn chain(event: Event, activations: &[Activation]) -> Vec<(VersionIndex, Option<u32>)> {
    let mut chain = Vec::new();
    let mut event = event;
    while let Some(activation) = activations.get(event as usize) {
        let origin = activation.origin.as_ref();
        chain.push((activation.version, origin.map(|(attempt, _)| attempt.wish().place)));
        // The asking event is always earlier than what it asked for.
        match origin {
            Some((attempt, _)) if attempt.event < event => event = attempt.event,
            _ => break,
        }
    }
    chain.reverse();
    chain
}
