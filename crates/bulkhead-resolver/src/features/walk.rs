//! The walk that activates features: everything is monotone, so that the order of work does not matter.

use std::collections::{BTreeSet, HashMap};

use bulkhead_schema::{Dependency, DependencyKind, FeatureValue, PackageId, Symbol};

use super::{ActivatedFeatures, FeatureOptions, FeaturePlatform, FeatureResolver, FeaturesFor};
use crate::{MemberFeatures, Node, Resolve, ResolveError, ResolveErrorKind};

/// A node's number.
type Place = usize;

/// What remains to be done.
enum Task {
    /// Visit a package's dependencies, if that has not been done.
    Visit(Place, FeaturesFor),
    /// Switch on what a feature value means; the package that asked, if any, for the error message.
    Value(Place, FeaturesFor, FeatureValue, Option<Place>),
}

/// A package's state for one purpose.
#[derive(Default)]
struct Purpose {
    built: bool,
    visited: bool,
    features: BTreeSet<Symbol>,
    /// Optional dependencies that are on.
    dependencies: BTreeSet<Symbol>,
    /// `name?/feature` values that wait for `name`.
    waiting: HashMap<Symbol, BTreeSet<Symbol>>,
}

pub(super) struct Walk<'a> {
    options: &'a FeatureOptions<'a>,
    nodes: Vec<(PackageId, &'a Node)>,
    places: HashMap<PackageId, Place>,
    selected: Vec<bool>,
    proc_macro: Vec<bool>,
    purposes: Vec<[Purpose; 2]>,
    tasks: Vec<Task>,
    default: Symbol,
}

fn slot(purpose: FeaturesFor) -> usize {
    match purpose {
        FeaturesFor::Target => 0,
        FeaturesFor::Host => 1,
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        resolve: &'a Resolve,
        members: &[(PackageId, MemberFeatures)],
        options: &'a FeatureOptions<'a>,
    ) -> Self {
        let nodes: Vec<(PackageId, &Node)> = resolve.nodes.iter().map(|(&id, node)| (id, node)).collect();
        let places: HashMap<PackageId, Place> = nodes.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
        let mut selected = vec![false; nodes.len()];
        for (member, _) in members {
            if let Some(&place) = places.get(member) {
                selected[place] = true;
            }
        }
        Self {
            options,
            proc_macro: nodes.iter().map(|(id, _)| (options.is_proc_macro)(*id)).collect(),
            purposes: nodes.iter().map(|_| Default::default()).collect(),
            nodes,
            places,
            selected,
            tasks: Vec::new(),
            default: Symbol::new("default"),
        }
    }

    /// A member that the user selected. A proc macro is built for the host; its tests and binaries are not.
    pub(super) fn member(&mut self, id: PackageId, features: &MemberFeatures) {
        let Some(&place) = self.places.get(&id) else { return };
        let known = &self.nodes[place].1.summary.features;
        let mut values: Vec<FeatureValue> = if features.all {
            known.keys().map(|&feature| FeatureValue::Feature(feature)).collect()
        } else {
            features.features.iter().copied().collect()
        };
        if features.default && known.contains_key(&self.default) {
            values.push(FeatureValue::Feature(self.default));
        }
        self.package(place, FeaturesFor::Target, &values, None);
        if self.splits() && self.proc_macro[place] {
            self.package(place, FeaturesFor::Host, &values, None);
        }
    }

    /// Whether host and target have features of their own.
    fn splits(&self) -> bool {
        self.options.resolver >= FeatureResolver::Two
    }

    fn package(&mut self, place: Place, purpose: FeaturesFor, values: &[FeatureValue], asker: Option<Place>) {
        self.purposes[place][slot(purpose)].built = true;
        self.tasks.push(Task::Visit(place, purpose));
        self.tasks.extend(values.iter().map(|&value| Task::Value(place, purpose, value, asker)));
    }

    pub(super) fn finish(mut self) -> Result<ActivatedFeatures, ResolveError> {
        while let Some(task) = self.tasks.pop() {
            match task {
                Task::Visit(place, purpose) => self.visit(place, purpose),
                Task::Value(place, purpose, FeatureValue::Feature(feature), asker) => {
                    self.feature(place, purpose, feature, asker)?;
                }
                Task::Value(place, purpose, FeatureValue::Dependency(name), _) => self.switch_on(place, purpose, name),
                Task::Value(place, purpose, FeatureValue::DependencyFeature { dependency, feature, weak }, _) => {
                    self.pass_on(place, purpose, dependency, feature, weak);
                }
            }
        }
        let mut activated = ActivatedFeatures::default();
        for ((id, _), purposes) in self.nodes.iter().zip(self.purposes) {
            for (purpose, it) in [FeaturesFor::Target, FeaturesFor::Host].into_iter().zip(purposes) {
                if it.built {
                    activated.features.insert((*id, purpose), it.features);
                    if !it.dependencies.is_empty() {
                        activated.dependencies.insert((*id, purpose), it.dependencies);
                    }
                }
            }
        }
        Ok(activated)
    }

    fn visit(&mut self, place: Place, purpose: FeaturesFor) {
        if std::mem::replace(&mut self.purposes[place][slot(purpose)].visited, true) {
            return;
        }
        for (child, declared, child_purpose) in self.dependencies(place, purpose, |declared| !declared.optional) {
            let values = self.asked(child, declared);
            self.package(child, child_purpose, &values, Some(place));
        }
    }

    fn feature(
        &mut self,
        place: Place,
        purpose: FeaturesFor,
        feature: Symbol,
        asker: Option<Place>,
    ) -> Result<(), ResolveError> {
        if !self.purposes[place][slot(purpose)].features.insert(feature) {
            return Ok(());
        }
        let Some(values) = self.nodes[place].1.summary.features.get(&feature) else {
            return Err(self.missing(place, feature, asker));
        };
        self.tasks.extend(values.iter().map(|&value| Task::Value(place, purpose, value, Some(place))));
        Ok(())
    }

    /// Switches on an optional dependency, and with it what waited for it.
    fn switch_on(&mut self, place: Place, purpose: FeaturesFor, name: Symbol) {
        let it = &mut self.purposes[place][slot(purpose)];
        let waiting = it.waiting.remove(&name).unwrap_or_default();
        if !it.dependencies.insert(name) && waiting.is_empty() {
            return;
        }
        let named = self.dependencies(place, purpose, |declared| declared.name_in_manifest() == name);
        for (child, declared, child_purpose) in named {
            let mut values = self.asked(child, declared);
            values.extend(waiting.iter().map(|&feature| FeatureValue::Feature(feature)));
            self.package(child, child_purpose, &values, Some(place));
        }
    }

    /// `name/feature` and `name?/feature`.
    fn pass_on(&mut self, place: Place, purpose: FeaturesFor, name: Symbol, feature: Symbol, weak: bool) {
        for (child, declared, child_purpose) in self.dependencies(place, purpose, |it| it.name_in_manifest() == name) {
            if declared.optional {
                let it = &mut self.purposes[place][slot(purpose)];
                if weak && !it.dependencies.contains(&name) {
                    it.waiting.entry(name).or_default().insert(feature);
                    continue;
                }
                self.tasks.push(Task::Value(place, purpose, FeatureValue::Dependency(name), Some(place)));
                // As it was before there were weak features: the dependency's implicit feature goes along.
                if !weak && self.nodes[place].1.summary.features.contains_key(&name) {
                    self.tasks.push(Task::Value(place, purpose, FeatureValue::Feature(name), Some(place)));
                }
            }
            self.tasks.push(Task::Value(child, child_purpose, FeatureValue::Feature(feature), Some(place)));
        }
    }

    /// What a dependency asks of the package that it leads to.
    fn asked(&self, child: Place, declared: &Dependency) -> Vec<FeatureValue> {
        let mut values: Vec<FeatureValue> =
            declared.features.iter().map(|&feature| FeatureValue::Feature(feature)).collect();
        if declared.default_features && self.nodes[child].1.summary.features.contains_key(&self.default) {
            values.push(FeatureValue::Feature(self.default));
        }
        values
    }

    /// The dependencies of a package that count, with the purpose for which each is built.
    fn dependencies(
        &self,
        place: Place,
        purpose: FeaturesFor,
        wanted: impl Fn(&Dependency) -> bool,
    ) -> Vec<(Place, &'a Dependency, FeaturesFor)> {
        let mut found = Vec::new();
        for dependency in &self.nodes[place].1.dependencies {
            let Some(&child) = self.places.get(&dependency.id) else { continue };
            for declared in &dependency.declared {
                if wanted(declared) && self.counts(place, purpose, declared) {
                    let on_host = declared.kind == DependencyKind::Build || self.proc_macro[child];
                    let child_purpose = if self.splits() && on_host { FeaturesFor::Host } else { purpose };
                    found.push((child, declared, child_purpose));
                }
            }
        }
        found
    }

    /// Whether a dependency has a say. Development dependencies are those of selected members only.
    fn counts(&self, place: Place, purpose: FeaturesFor, declared: &Dependency) -> bool {
        if declared.kind == DependencyKind::Development
            && (!self.selected[place] || (self.splits() && !self.options.development))
        {
            return false;
        }
        let Some(platform) = declared.platform.as_ref().filter(|_| self.splits()) else { return true };
        let matches = |it: &FeaturePlatform<'_>| platform.matches(it.triple, it.cfg);
        if purpose == FeaturesFor::Host || declared.kind == DependencyKind::Build {
            return self.options.targets.is_empty() || matches(&self.options.host);
        }
        self.options.targets.is_empty() || self.options.targets.iter().any(matches)
    }

    fn missing(&self, place: Place, feature: Symbol, asker: Option<Place>) -> ResolveError {
        let (id, node) = self.nodes[place];
        let message = match asker.filter(|&asker| asker != place) {
            Some(asker) => {
                let asker = self.nodes[asker].0;
                format!("package `{asker}` asks for feature `{feature}` of `{id}`, which does not have it")
            }
            None => format!("package `{id}` does not have feature `{feature}`"),
        };
        let help = super::requested::suggestion(&feature, node.summary.features.keys().copied());
        ResolveError {
            kind: ResolveErrorKind::MissingFeature,
            message,
            because: Vec::new(),
            help: help.into_iter().collect(),
            local: Vec::new(),
        }
    }
}
