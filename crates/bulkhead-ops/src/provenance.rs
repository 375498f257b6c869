//! Where packages may come from, and whether their names may be what they are, as policy says: asked before a registry is
//! asked, and again of the finished graph.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_policy::{Effective, lookalike};
use bulkhead_resolver::Resolve;
use bulkhead_resolver::lock::Previous;
use bulkhead_schema::policy::{Reaction, canonical_name};
use bulkhead_schema::{Diagnostic, PackageId, PackageName, SourceId};

use crate::configuration::Configuration;
use crate::error::Result;
use crate::project::Project;
use crate::{Error, ErrorKind, Event, registries};

/// The rules about places, with the registries that their names stand for.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    rules: bulkhead_policy::Sources,
    registries: BTreeMap<String, SourceId>,
}

impl Provenance {
    /// The rules of `policy`, where names mean what `configuration` says.
    pub fn new(policy: &Effective, configuration: &Configuration) -> Self {
        let named = |name: &str| Some((name.to_owned(), registries::named(configuration, name).ok().flatten()?));
        let registries = policy.sources.registry_names().into_iter().filter_map(named).collect();
        Self { rules: policy.sources.clone(), registries }
    }

    /// Decides whether `package` may come from `source`.
    ///
    /// # Errors
    /// It may not; the error names the rule and the layer that has it.
    pub fn check(&self, package: PackageName, source: SourceId) -> std::result::Result<(), Diagnostic> {
        if self.rules.is_empty() {
            return Ok(());
        }
        self.rules.check(package, source, &|name| self.registries.get(name).copied())
    }

    /// Decides about everything in a graph: what was never asked for by name, such as a patch, is found here.
    ///
    /// # Errors
    /// As [`Provenance::check`].
    pub fn check_graph(&self, resolve: &Resolve) -> Result<()> {
        let mut refused = resolve.nodes.keys().filter_map(|id| Some((id, self.check(id.name(), id.source()).err()?)));
        match refused.next() {
            None => Ok(()),
            Some((id, diagnostic)) => {
                let needs =
                    |node: &&bulkhead_resolver::Node| node.dependencies.iter().any(|dependency| dependency.id == *id);
                let requirer = resolve.nodes.values().find(needs);
                Err(refusal(diagnostic, requirer.map(|node| node.summary.id.to_string())))
            }
        }
    }
}

/// A policy's refusal of a package that `requirer` asks for.
pub fn refusal(mut diagnostic: Diagnostic, requirer: Option<String>) -> Error {
    if let Some(requirer) = requirer {
        diagnostic.message.push_str(&format!("\nit is required by `{requirer}`"));
    }
    Error { kind: ErrorKind::Policy, ..diagnostic.into() }
}

/// Looks at the names of packages that come from elsewhere: those that are new in the lockfile, or all of them where
/// policy refuses look-alikes.
///
/// # Errors
/// `lookalike`: policy refuses names that are easily taken for those of well-known packages, and there is one.
pub fn check_names(
    project: &Project,
    previous: Option<&Previous>,
    resolve: &Resolve,
    events: &dyn Fn(Event),
) -> Result<()> {
    let level = project.policy.lookalike_level();
    if level == Reaction::Allow {
        return Ok(());
    }
    let known: BTreeSet<PackageName> = match level {
        Reaction::Deny => BTreeSet::new(),
        _ => previous.iter().flat_map(|previous| previous.packages.keys()).map(|id| id.name()).collect(),
    };
    let foreign = resolve.nodes.keys().filter(|id| !id.source().is_path() && !known.contains(&id.name()));
    let names: BTreeMap<PackageName, SourceId> = foreign.map(|id| (id.name(), id.source())).collect();
    for (name, source) in names {
        if let Some(finding) = suspicion(&project.policy, name.as_str(), source) {
            if level == Reaction::Deny {
                return Err(Error { kind: ErrorKind::Policy, ..finding.into() });
            }
            events(Event::Diagnostic(Diagnostic { level: bulkhead_schema::Level::Warning, ..finding }));
        }
    }
    Ok(())
}

/// Refuses a dependency before it is written down; a warning comes when it enters the lockfile.
///
/// # Errors
/// `lookalike`, as [`check_names`].
pub fn refuse_name(policy: &Effective, id: PackageId) -> Result<()> {
    if policy.lookalike_level() < Reaction::Deny || id.source().is_path() {
        return Ok(());
    }
    match suspicion(policy, id.name().as_str(), id.source()) {
        Some(finding) => Err(Error { kind: ErrorKind::Policy, ..finding.into() }),
        None => Ok(()),
    }
}

/// What there is to say about a name that somebody is about to use, such as with `add`: nothing, unless it is easily taken
/// for that of a well-known package and policy does not exempt it. The public registry has never two names that differ in
/// `-` and `_` alone.
pub fn suspicion(policy: &Effective, name: &str, source: SourceId) -> Option<Diagnostic> {
    if policy.lookalike_level() == Reaction::Allow || policy.lookalikes.allow.iter().any(|known| known == name) {
        return None;
    }
    let found = lookalike(name)?;
    if source.is_crates_io() && canonical_name(name) == canonical_name(found.known) {
        return None;
    }
    let message = format!("`{name}` may not be the package that you want: {found}");
    Some(
        Diagnostic::error("lookalike", message)
            .help(format!("if it is, add `{name}` to `lookalikes.allow` in `bulkhead.toml` or in your policy")),
    )
}
