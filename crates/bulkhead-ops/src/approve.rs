//! `approve`: which build-time code may run, where policy wants it approved.

use std::collections::BTreeSet;

use bulkhead_policy::Standing;
pub use bulkhead_review::Change;
use bulkhead_review::changes;
use bulkhead_schema::{PackageId, PackageSpec};

use crate::approvals::{self, BuildCodePackage};
use crate::audit::{self, Kind};
use crate::bulkhead_lock::LockFile;
use crate::compile::{self, Prepared};
use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions};
use crate::{Error, Event, listing, versions};

/// What `approve` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApproveRequest {
    /// Approve what these specifications name.
    Add(Vec<String>),
    /// Approve all build-time code of the plan.
    All,
    /// Forget the approvals of what these specifications name.
    Revoke(Vec<String>),
    /// Tell how everything stands.
    List,
    /// Show what changed since these were approved; none: everything that changed.
    Diff(Vec<String>),
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Approved {
    /// How each package stands.
    Listed(Vec<BuildCodePackage>),
    /// What changed in each package, for those that were approved in another form.
    Changes(Vec<ChangedPackage>),
    /// Approvals were given or taken: this many.
    Written(usize),
}

/// How build-time code differs from what was approved.
#[derive(Debug, Clone)]
pub struct ChangedPackage {
    /// The package.
    pub id: PackageId,
    /// What was approved.
    pub former: PackageId,
    /// Per file.
    pub changes: Vec<Change>,
}

/// Approves, forgets, lists or compares.
///
/// # Errors
/// The project cannot be planned; a specification names nothing of it; approvals by somebody else stand in the way.
pub fn approve(
    global: &GlobalOptions,
    options: &CompileOptions,
    request: &ApproveRequest,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Approved> {
    global.place.disk.never_repeat();
    if let ApproveRequest::Revoke(specs) = request {
        return revoke(global, specs, events).map(Approved::Written);
    }
    let prepared = compile::prepare(global, options, events)?;
    let kept = LockFile::read(global, &prepared.project.workspace.root)?;
    let packages = approvals::survey(global, &prepared, &kept.lock, true)?;
    match request {
        ApproveRequest::List => Ok(Approved::Listed(packages)),
        ApproveRequest::All => write(global, &prepared, kept, &packages, events).map(Approved::Written),
        ApproveRequest::Add(specs) => {
            let chosen = chosen(packages, specs)?;
            write(global, &prepared, kept, &chosen, events).map(Approved::Written)
        }
        ApproveRequest::Diff(specs) => {
            let chosen = if specs.is_empty() { packages } else { chosen(packages, specs)? };
            diff(global, &prepared, chosen, events).map(Approved::Changes)
        }
        ApproveRequest::Revoke(_) => Ok(Approved::Written(0)),
    }
}

fn parsed(spec: &str) -> Result<PackageSpec> {
    PackageSpec::parse(spec)
        .map_err(|error| Error::failure(format!("invalid package ID specification: `{spec}`")).because(error))
}

/// The packages that `specs` name, each of which must name one at least.
fn chosen(packages: Vec<BuildCodePackage>, specs: &[String]) -> Result<Vec<BuildCodePackage>> {
    let mut wanted = BTreeSet::new();
    for spec in specs {
        let parsed = parsed(spec)?;
        let found: Vec<_> = packages.iter().map(|it| it.facts.id).filter(|id| parsed.matches(*id)).collect();
        if found.is_empty() {
            return Err(Error::failure(format!("no package `{spec}` has code that runs while this project is built"))
                .help("name features and platforms as for `build`, if it is only there with them")
                .help("`bulkhead approve --list` shows what there is"));
        }
        wanted.extend(found);
    }
    Ok(packages.into_iter().filter(|it| wanted.contains(&it.facts.id)).collect())
}

fn write(
    global: &GlobalOptions,
    prepared: &Prepared,
    mut kept: LockFile,
    packages: &[BuildCodePackage],
    events: &dyn Fn(Event),
) -> Result<usize> {
    let had_none = kept.lock.approvals.is_empty();
    if !had_none && packages.iter().any(|it| !kept.counts_for(it.asked_by)) {
        return Err(approvals::untrusted(&kept));
    }
    let mut count = 0;
    for it in packages.iter().filter(|it| it.standing != Standing::Approved) {
        let id = it.facts.id;
        let approval = approvals::approval(global, it, kept.lock.approvals.get(&id))?;
        let what = approvals::describe(&it.facts.kinds, &it.standing);
        let kinds = approval.kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ");
        let details = [("digest", approval.digest.as_str()), ("kinds", &*kinds)];
        audit::record(&global.place, Kind::Approval, id.to_string(), &details)?;
        events(Event::Status { verb: "Approving", message: format!("{id}: {what}") });
        kept.lock.approvals.insert(id, approval);
        count += 1;
    }
    // What is approved in another version has an entry of its own only while it is needed.
    let used: BTreeSet<PackageId> = prepared.locked.iter().copied().collect();
    let renewed: BTreeSet<_> = packages.iter().map(|it| it.facts.id.name()).collect();
    kept.lock.approvals.retain(|id, _| used.contains(id) || !renewed.contains(&id.name()));
    if count > 0 {
        kept.save(global, had_none)?;
    }
    Ok(count)
}

fn revoke(global: &GlobalOptions, specs: &[String], events: &dyn Fn(Event)) -> Result<usize> {
    let project = crate::project::open(global, events)?;
    let mut kept = LockFile::read(global, &project.workspace.root)?;
    let mut count = 0;
    for spec in specs {
        let parsed = parsed(spec)?;
        let found: Vec<_> = kept.lock.approvals.keys().copied().filter(|id| parsed.matches(*id)).collect();
        if found.is_empty() {
            return Err(Error::failure(format!("nothing of `{spec}` is approved")));
        }
        for id in found {
            kept.lock.approvals.remove(&id);
            audit::record(&global.place, Kind::Revoke, id.to_string(), &[("file", "bulkhead.lock")])?;
            events(Event::Status { verb: "Revoking", message: id.to_string() });
            count += 1;
        }
    }
    kept.save(global, false)?;
    Ok(count)
}

/// What changed since each package was approved, in those files that count.
fn diff(
    global: &GlobalOptions,
    prepared: &Prepared,
    packages: Vec<BuildCodePackage>,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Vec<ChangedPackage>> {
    let mut changed = Vec::new();
    for it in packages {
        let Standing::Changed { former } = it.standing else { continue };
        let before = versions::load(global, &prepared.project, former, events)?;
        let counted = |package: &bulkhead_workspace::Package| -> Result<bulkhead_review::Listing> {
            let top = listing::top(package, &global.place.bulkhead_home);
            let files = listing::read(&top, package.id.source().is_path())?;
            let layout = listing::layout(package, &top);
            let counted = bulkhead_review::build_code::counted(&layout, &it.facts.kinds, &files);
            Ok(counted.into_iter().map(|(path, file)| (path.to_owned(), file.clone())).collect())
        };
        let changes = changes(&counted(&before)?, &counted(&it.package)?);
        changed.push(ChangedPackage { id: it.facts.id, former, changes });
    }
    Ok(changed)
}
