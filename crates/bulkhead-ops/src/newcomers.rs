//! Packages that bring code which runs while something is built, named when they enter the lockfile: most malicious releases do
//! their work there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_resolver::Registry as _;
use bulkhead_schema::bulkhead_lock::BuildCodeKind;
use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_source::Client;
use bulkhead_workspace::Package;

use crate::approvals::spec;
use crate::error::Result;
use crate::lock::Locked;
use crate::options::GlobalOptions;
use crate::packages::{self, Purpose};
use crate::project::Project;
use crate::sources::{Freshness, Need};
use crate::{Event, compile};

/// The kinds of build-time code that a package has by itself.
pub fn kinds(package: &Package) -> BTreeSet<BuildCodeKind> {
    let has = [
        (package.build_script().is_some(), BuildCodeKind::BuildScript),
        (package.is_proc_macro(), BuildCodeKind::ProcMacro),
        (package.summary.links.is_some(), BuildCodeKind::Links),
    ];
    has.into_iter().filter(|(has, _)| *has).map(|(_, kind)| kind).collect()
}

/// Names what is new in a lockfile that was there before, and has build code that the version before did not have. What their
/// manifests say is only known with the archives, which the next build needs anyway; those that no platform in question needs
/// are left alone.
pub fn announce(
    global: &GlobalOptions,
    project: &Project,
    locked: &mut Locked<'_>,
    client: &Client,
    events: &(dyn Fn(Event) + Sync),
) {
    let Some(former) = &locked.previous else { return };
    let foreign = |id: &&PackageId| !id.source().is_path() && !former.packages.contains_key(id);
    let new: BTreeSet<PackageId> = locked.resolve.nodes.keys().filter(foreign).copied().collect();
    let former: BTreeSet<PackageId> = former.packages.keys().copied().collect();
    if new.is_empty() {
        return;
    }
    match look(global, project, locked, client, &new, &former) {
        Ok(lines) if lines.is_empty() => {}
        Ok(lines) => events(Event::Diagnostic(message(&lines))),
        Err(error) => {
            let reason = error.to_string();
            events(Event::Warning(format!(
                "it is not known whether new packages bring code that runs while something is built: {reason}"
            )));
        }
    }
}

/// A package, and what is to be said of its build code.
type Line = (PackageId, String);

fn look(
    global: &GlobalOptions,
    project: &Project,
    locked: &mut Locked<'_>,
    client: &Client,
    new: &BTreeSet<PackageId>,
    former: &BTreeSet<PackageId>,
) -> Result<Vec<Line>> {
    let toolchain = compile::platforms(global, project, &[])?;
    let roots: Vec<PackageId> = project.workspace.members.iter().map(|package| package.id).collect();
    let needed = compile::needed(&roots, locked, &toolchain, &|_| true);
    let wanted: BTreeSet<PackageId> = new.intersection(&needed).copied().collect();
    let packages =
        packages::load_for::<Arc<Package>>(Purpose::Look, global, project, locked, &wanted, client, &|_| ())?;
    let mut lines = Vec::new();
    for (id, package) in packages {
        let has = kinds(&package);
        if has.is_empty() {
            continue;
        }
        let before = before(id, former);
        let had = match before {
            Some(before) => former_kinds(global, locked, client, before),
            None => Some(BTreeSet::new()),
        };
        let added: BTreeSet<_> = has.difference(had.as_ref().unwrap_or(&BTreeSet::new())).copied().collect();
        if added.is_empty() {
            continue;
        }
        let words = added.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        lines.push((
            id,
            match (before, &had) {
                (None, _) => format!("{words} (new)"),
                (Some(before), Some(_)) => format!("{words} (v{} had none)", before.version()),
                (Some(before), None) => format!("{words} (v{} is not here to compare)", before.version()),
            },
        ));
    }
    Ok(lines)
}

/// The version that was in use: the highest below, else the lowest above.
fn before(id: PackageId, former: &BTreeSet<PackageId>) -> Option<PackageId> {
    let same = former
        .iter()
        .copied()
        .filter(|other| other.name() == id.name() && other.source().without_commit() == id.source().without_commit());
    let (below, above): (Vec<_>, Vec<_>) = same.partition(|other| other.version() <= id.version());
    below.into_iter().max().or_else(|| above.into_iter().min())
}

/// What build code the version in use has; `None` if it cannot be looked at.
fn former_kinds(
    global: &GlobalOptions,
    locked: &mut Locked<'_>,
    client: &Client,
    id: PackageId,
) -> Option<BTreeSet<BuildCodeKind>> {
    let package = |locked: &mut Locked<'_>| -> Result<Arc<Package>> {
        let name = BTreeSet::from([(id.source(), id.name())]);
        locked.sources.load(&name, Freshness::Cached, Need::Likely, &|_| ())?;
        let summary = locked.sources.summary(id)?;
        packages::one(global, &mut locked.sources, &summary, client, &|_| ())
    };
    package(locked).ok().map(|package| kinds(&package))
}

fn message(lines: &[Line]) -> Diagnostic {
    let count = match lines.len() {
        1 => "1 package brings".to_owned(),
        many => format!("{many} packages bring"),
    };
    let each: BTreeMap<PackageId, &String> = lines.iter().map(|(id, text)| (*id, text)).collect();
    let listed = each.iter().map(|(id, text)| format!("\n{id}: {text}")).collect::<String>();
    let first = lines.first().map(|(id, _)| spec(*id)).unwrap_or_default();
    Diagnostic::warning("new-build-code", format!("{count} code that runs while something is built{listed}"))
        .help(format!("`bulkhead review {first}` shows what it can do"))
}
