//! Version selection: a depth-first search in Cargo's order that jumps back over choices which had no part in a
//! conflict.
//!
//! The order is what makes the result Cargo's: members are activated first; then, of the dependencies that come first in
//! their frame, the one with the fewest candidates is resolved next, best candidate first. Any sound way of skipping
//! hopeless branches finds the same first solution, so that the bookkeeping of conflicts is free to be our own: every
//! activation is an *event*, a failure is a set of events that cannot stand together, and going back undoes the
//! latest of them that had an alternative.

mod conflict;
mod demand;
mod explain;
mod finish;
mod state;
mod universe;

use std::rc::Rc;
use std::sync::Arc;

use bulkhead_schema::Symbol;

use self::conflict::{Failures, Nogoods, Reason, Reasons};
use self::demand::{Asked, BadFeature, demand};
use self::explain::Limit;
use self::state::{Event, Mark, State, Wish};
use self::universe::{Universe, VersionIndex, default_feature, number};
use crate::{Member, Outcome, Registry, Request, ResolveError};

/// Chooses versions as Cargo would at the same state of the index.
///
/// # Errors
/// There is no solution, or none within the limits; the error tells why.
pub fn resolve(request: &Request<'_>, registry: &dyn Registry) -> Result<Outcome, ResolveError> {
    let mut search = Search::new(request, registry);
    let found = search.run();
    if !search.universe.missing.is_empty() {
        return Ok(Outcome::Missing(search.universe.missing));
    }
    found?;
    finish::resolve(&search).map(Outcome::Resolved)
}

/// A dependency in the course of being resolved.
#[derive(Debug, Clone)]
struct Attempt {
    parent: VersionIndex,
    /// The activation that asked for it.
    event: Event,
    wishes: Rc<[Wish]>,
    place: u32,
    /// The next of its candidates to be tried.
    next: u32,
    /// Why earlier candidates were passed over.
    reasons: Reasons,
}

impl Attempt {
    fn wish(&self) -> &Wish {
        &self.wishes[self.place as usize]
    }
}

/// One activation.
#[derive(Debug)]
struct Activation {
    version: VersionIndex,
    /// How it came about, and the state before; `None` for members.
    origin: Option<(Attempt, Mark)>,
    /// How many activations led to it.
    depth: usize,
}

/// How many steps pass before the clock is looked at.
const STEPS_PER_LOOK: u64 = 4096;

/// A search under way.
struct Search<'a> {
    request: &'a Request<'a>,
    universe: Universe<'a>,
    state: State,
    activations: Vec<Activation>,
    members: Vec<VersionIndex>,
    nogoods: Nogoods,
    failures: Failures,
    steps: u64,
}

impl<'a> Search<'a> {
    fn new(request: &'a Request<'a>, registry: &'a dyn Registry) -> Self {
        Self {
            request,
            universe: Universe::new(request, registry),
            state: State::default(),
            activations: Vec::new(),
            members: Vec::new(),
            nogoods: Nogoods::default(),
            failures: Failures::default(),
            steps: 0,
        }
    }

    fn run(&mut self) -> Result<(), ResolveError> {
        for member in &self.request.members {
            self.activate_member(member)?;
        }
        while let Some((frame, place)) = self.state.pop() {
            let frame = self.state.frame(frame);
            let wishes = Rc::clone(&frame.wishes);
            let attempt = Attempt {
                parent: frame.parent,
                event: frame.event,
                wishes,
                place,
                next: 0,
                reasons: Reasons::default(),
            };
            self.settle(attempt)?;
            self.check_size()?;
        }
        Ok(())
    }

    /// Gives up a graph that has grown beyond all measure, which a hostile registry can bring about.
    fn check_size(&self) -> Result<(), ResolveError> {
        let limits = &self.request.limits;
        let depth = self.activations.last().map_or(0, |activation| activation.depth);
        let exceeded = [
            (self.state.packages(), limits.packages, Limit::Packages),
            (self.state.edges.len(), limits.edges, Limit::Edges),
            (self.state.feature_count(), limits.features, Limit::Features),
            (depth, limits.depth, Limit::Depth),
        ];
        match exceeded.into_iter().find(|(size, limit, _)| size > limit) {
            Some((_, limit, which)) => Err(explain::limit(self, which, limit as u64)),
            None => Ok(()),
        }
    }

    /// Counts a step.
    fn step(&mut self) -> Result<(), ResolveError> {
        self.steps += 1;
        if self.steps > self.request.limits.steps {
            return Err(explain::limit(self, Limit::Steps, self.request.limits.steps));
        }
        match self.request.deadline {
            Some(deadline) if self.steps.is_multiple_of(STEPS_PER_LOOK) && (deadline.0)() => {
                Err(explain::limit(self, Limit::Time, self.steps))
            }
            _ => Ok(()),
        }
    }

    fn activate_member(&mut self, member: &Member) -> Result<(), ResolveError> {
        let summary = Arc::clone(&member.summary);
        let known = self.members.iter().copied().find(|&version| self.universe.id(version) == summary.id);
        let version = known.unwrap_or_else(|| self.universe.add(summary));
        self.members.push(version);
        let event = number(self.activations.len());
        self.activations.push(Activation { version, origin: None, depth: 1 });
        let (bucket, links) = (self.universe.candidate(version).bucket, self.universe.candidate(version).summary.links);
        if self.state.active(bucket).is_none() {
            self.state.activate(bucket, version, event);
        }
        if let Some(links) = links {
            match self.state.link(links) {
                Some((other, _)) if other != version => {
                    return Err(explain::members_share_links(self, version, other, links));
                }
                _ => self.state.set_link(links, version, event),
            }
        }
        let asked = Asked::ByUser { features: &member.features, development: member.development };
        let wishes = self.wishes(version, asked).map_err(|bad| explain::member_feature(self, version, bad))?;
        self.state.push_frame(version, event, wishes);
        Ok(())
    }

    /// Resolves one dependency, going back and resolving earlier ones otherwise as often as needed.
    fn settle(&mut self, mut attempt: Attempt) -> Result<(), ResolveError> {
        loop {
            self.step()?;
            if let Some(version) = self.next_candidate(&mut attempt) {
                let mark = self.state.mark();
                match self.activate(&attempt, version) {
                    Ok(()) => {
                        let depth = self.activations.get(attempt.event as usize).map_or(1, |asker| asker.depth + 1);
                        self.activations.push(Activation { version, origin: Some((attempt, mark)), depth });
                        return Ok(());
                    }
                    Err(_) if self.failures.feature_cycle.is_some() => return Err(explain::feature_cycle(self)),
                    Err(reasons) => {
                        self.state.rewind(mark);
                        attempt.reasons.merge(&reasons);
                    }
                }
            } else {
                // With index entries still missing, conflicts mean nothing yet.
                if !self.universe.missing.is_empty() {
                    return Ok(());
                }
                attempt = self.go_back(attempt)?;
            }
        }
    }

    /// The next candidate that fits into the partial solution by its version and `links`.
    fn next_candidate(&mut self, attempt: &mut Attempt) -> Option<VersionIndex> {
        let target = attempt.wish().target.clone();
        while let Some(&position) = target.candidates.get(attempt.next as usize) {
            attempt.next += 1;
            let bucket = self.universe.bucket_at(target.package, position);
            if let Some((active, event)) = self.state.active(bucket) {
                if self.universe.id(active).version() == self.universe.version_at(target.package, position) {
                    return Some(active);
                }
                attempt.reasons.add(event, Reason::Active);
                continue;
            }
            let Some(version) = self.universe.load(target.package, position) else { continue };
            let links = self.universe.candidate(version).summary.links;
            match links.and_then(|links| self.state.link(links)) {
                Some((other, event)) if other != version => attempt.reasons.add(event, Reason::Active),
                _ => return Some(version),
            }
        }
        None
    }

    /// Adds `version` to the partial solution, with the features that the dependency asks for.
    fn activate(&mut self, attempt: &Attempt, version: VersionIndex) -> Result<(), Reasons> {
        let wish = attempt.wish();
        let event = number(self.activations.len());
        self.state.edges.push(state::Edge { parent: attempt.parent, place: wish.place, child: version });
        let candidate = self.universe.candidate(version);
        let (bucket, links, id) = (candidate.bucket, candidate.summary.links, candidate.summary.id);
        let active = self.state.active(bucket).is_some();
        if !active {
            self.state.activate(bucket, version, event);
            if let Some(links) = links {
                self.state.set_link(links, version, event);
            }
            self.claim_patched_range(wish, version, id, event)?;
        } else if self.has_features(version, wish) {
            return Ok(());
        }
        let asked = Asked::ByDependency { features: &wish.features, default: wish.default };
        // A feature that does not exist has no other reason than the dependency itself.
        let wishes = self.wishes(version, asked).map_err(|bad| {
            self.failures.bad_feature(attempt.parent, version, bad);
            Reasons::default()
        })?;
        if let Some(reasons) = self.nogoods.forbid(&wishes, |other| self.active_event(other), version) {
            return Err(reasons);
        }
        self.state.push_frame(version, event, wishes);
        Ok(())
    }

    /// A patch also takes the place of the versions that it is compatible with in the source that it patches.
    fn claim_patched_range(
        &mut self,
        wish: &Wish,
        version: VersionIndex,
        id: bulkhead_schema::PackageId,
        event: Event,
    ) -> Result<(), Reasons> {
        let (source, name) = self.universe.package_key(wish.target.package);
        if source == id.source().without_commit() {
            return Ok(());
        }
        let bucket = self.universe.bucket(name, source, id.version());
        if let Some((_, earlier)) = self.state.active(bucket) {
            return Err(Reasons::one(earlier, Reason::Active));
        }
        self.state.activate(bucket, version, event);
        Ok(())
    }

    fn active_event(&self, version: VersionIndex) -> Option<Event> {
        let (active, event) = self.state.active(self.universe.candidate(version).bucket)?;
        (active == version).then_some(event)
    }

    fn has_features(&self, version: VersionIndex, wish: &Wish) -> bool {
        let has = |feature: &Symbol| self.state.has_feature(version, *feature);
        let default = || {
            !wish.default
                || has(&default_feature())
                || !self.universe.candidate(version).summary.features.contains_key(&default_feature())
        };
        wish.features.iter().all(has) && default()
    }

    /// The dependencies that `version` has with the features `asked`, which are recorded.
    fn wishes(&mut self, version: VersionIndex, asked: Asked<'_>) -> Result<Rc<[Wish]>, BadFeature> {
        let summary = Arc::clone(&self.universe.candidate(version).summary);
        let demand = demand(&summary, asked)?;
        let targets = self.universe.targets(version, |_, dependency| demand.wants(dependency));
        let mut wishes = Vec::new();
        for (place, (dependency, target)) in summary.dependencies.iter().zip(targets).enumerate() {
            let Some(target) = target else { continue };
            let mut features: Vec<Symbol> = dependency.features.clone();
            features.extend(demand.dependencies.get(&dependency.name_in_manifest()).into_iter().flatten());
            features.sort_unstable();
            features.dedup();
            wishes.push(Wish {
                place: number(place),
                target,
                features: features.into(),
                default: dependency.default_features,
            });
        }
        for &feature in &demand.features {
            self.state.add_feature(version, feature);
        }
        wishes.sort_by_key(|wish| wish.target.candidates.len());
        Ok(wishes.into())
    }

    /// Called when a dependency has no candidate left: undoes the latest activation that had a part in that and had an
    /// alternative.
    fn go_back(&mut self, attempt: Attempt) -> Result<Attempt, ResolveError> {
        self.failures.exhausted(&attempt, &self.activations);
        self.nogoods.learn(&attempt, |event| self.activations[event as usize].version);
        let mut reasons = attempt.reasons;
        reasons.add(attempt.event, Reason::Asked);
        while let Some(latest) = reasons.pop_latest() {
            let Some((earlier, mark)) = self.activations.get_mut(latest as usize).and_then(|it| it.origin.as_mut())
            else {
                continue;
            };
            earlier.reasons.merge(&reasons);
            if (earlier.next as usize) < earlier.wish().target.candidates.len() {
                let (attempt, mark) = (earlier.clone(), *mark);
                self.state.rewind(mark);
                self.activations.truncate(latest as usize);
                return Ok(attempt);
            }
            reasons = earlier.reasons.clone();
            reasons.add(earlier.event, Reason::Asked);
        }
        Err(explain::unsolvable(self))
    }
}
