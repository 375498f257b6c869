//! The partial solution, and how steps are taken back.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use bulkhead_schema::Symbol;

use super::universe::{Bucket, FastMap, Mix, Target, VersionIndex, number};

/// The number of an activation. Activations are the events that make up a partial solution, in order.
pub(super) type Event = u32;

/// A dependency waiting to be resolved.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Its place in the parent's summary.
    pub(super) place: u32,
    /// What it can lead to.
    pub(super) target: Target,
    /// Features it asks for, without duplicates.
    pub(super) features: Rc<[Symbol]>,
    /// Whether it asks for the default feature.
    pub(super) default: bool,
}

/// The dependencies of one activation, fewest candidates first.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The version whose dependencies they are.
    pub(super) parent: VersionIndex,
    /// The activation that asked for them.
    pub(super) event: Event,
    /// The dependencies.
    pub(super) wishes: Rc<[Wish]>,
    /// The first that is still unresolved.
    next: u32,
}

/// A dependency that was resolved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) parent: VersionIndex,
    pub(super) place: u32,
    pub(super) child: VersionIndex,
}

#[derive(Debug, Clone, Copy)]
enum Undo {
    Activate(Bucket),
    Link(Symbol),
    Feature(VersionIndex),
    Advance(u32),
}

/// Where a partial solution stood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    undo: usize,
    edges: usize,
    frames: usize,
}

/// The partial solution.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By range: the chosen version and when it was chosen.
    active: Vec<Option<(VersionIndex, Event)>>,
    /// How many of those are chosen.
    packages: usize,
    links: FastMap<Symbol, (VersionIndex, Event)>,
    /// By version.
    features: Vec<Vec<Symbol>>,
    has_feature: HashSet<(VersionIndex, Symbol), BuildHasherDefault<Mix>>,
    frames: Vec<Frame>,
    pub(super) edges: Vec<Edge>,
    undo: Vec<Undo>,
    /// Frames with unresolved dependencies: by number of candidates of the next one, then by age.
    queue: BinaryHeap<Reverse<(u32, u32)>>,
}

impl State {
    pub(super) fn active(&self, bucket: Bucket) -> Option<(VersionIndex, Event)> {
        self.active.get(bucket as usize).copied().flatten()
    }

    pub(super) fn activate(&mut self, bucket: Bucket, version: VersionIndex, event: Event) {
        let place = bucket as usize;
        if self.active.len() <= place {
            self.active.resize(place + 1, None);
        }
        self.active[place] = Some((version, event));
        self.packages += 1;
        self.undo.push(Undo::Activate(bucket));
    }

    /// How many ranges have a chosen version.
    pub(super) fn packages(&self) -> usize {
        self.packages
    }

    /// How many features are switched on, over all packages.
    pub(super) fn feature_count(&self) -> usize {
        self.has_feature.len()
    }

    pub(super) fn link(&self, links: Symbol) -> Option<(VersionIndex, Event)> {
        self.links.get(&links).copied()
    }

    pub(super) fn set_link(&mut self, links: Symbol, version: VersionIndex, event: Event) {
        self.links.insert(links, (version, event));
        self.undo.push(Undo::Link(links));
    }

    pub(super) fn features(&self, version: VersionIndex) -> &[Symbol] {
        self.features.get(version as usize).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn has_feature(&self, version: VersionIndex, feature: Symbol) -> bool {
        self.has_feature.contains(&(version, feature))
    }

    pub(super) fn add_feature(&mut self, version: VersionIndex, feature: Symbol) {
        if self.has_feature.insert((version, feature)) {
            let place = version as usize;
            if self.features.len() <= place {
                self.features.resize_with(place + 1, Vec::new);
            }
            self.features[place].push(feature);
            self.undo.push(Undo::Feature(version));
        }
    }

    pub(super) fn push_frame(&mut self, parent: VersionIndex, event: Event, wishes: Rc<[Wish]>) {
        let Some(first) = wishes.first() else { return };
        let candidates = number(first.target.candidates.len());
        self.queue.push(Reverse((candidates, number(self.frames.len()))));
        self.frames.push(Frame { parent, event, wishes, next: 0 });
    }

    /// Takes the dependency that is to be resolved next: of those that come first in their frame the one with the
    /// fewest candidates, and of equals the one that was asked for first.
    pub(super) fn pop(&mut self) -> Option<(u32, u32)> {
        let Reverse((_, frame_number)) = self.queue.pop()?;
        let frame = &mut self.frames[frame_number as usize];
        let place = frame.next;
        frame.next += 1;
        self.undo.push(Undo::Advance(frame_number));
        if let Some(wish) = frame.wishes.get(frame.next as usize) {
            self.queue.push(Reverse((number(wish.target.candidates.len()), frame_number)));
        }
        Some((frame_number, place))
    }

    pub(super) fn frame(&self, frame: u32) -> &Frame {
        &self.frames[frame as usize]
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), edges: self.edges.len(), frames: self.frames.len() }
    }

    /// Takes back everything since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) {
        let mut queue_changed = self.frames.len() > mark.frames;
        self.edges.truncate(mark.edges);
        while self.undo.len() > mark.undo {
            match self.undo.pop() {
                Some(Undo::Activate(bucket)) => {
                    self.active[bucket as usize] = None;
                    self.packages -= 1;
                }
                Some(Undo::Link(links)) => drop(self.links.remove(&links)),
                Some(Undo::Feature(version)) => {
                    if let Some(feature) = self.features[version as usize].pop() {
                        self.has_feature.remove(&(version, feature));
                    }
                }
                Some(Undo::Advance(frame)) => {
                    self.frames[frame as usize].next -= 1;
                    queue_changed = true;
                }
                None => break,
            }
        }
        self.frames.truncate(mark.frames);
        if queue_changed {
            self.rebuild_queue();
        }
    }

    /// Going back is rare, so that the queue keeps no history of its own.
    fn rebuild_queue(&mut self) {
        let waiting = self.frames.iter().enumerate().filter_map(|(place, frame)| {
            let wish = frame.wishes.get(frame.next as usize)?;
            Some(Reverse((number(wish.target.candidates.len()), number(place))))
        });
        self.queue = waiting.collect();
    }
}
