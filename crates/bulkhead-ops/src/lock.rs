//! From manifests, `Cargo.lock` and index to exact packages, and the lockfile kept true.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_resolver::lock::{self, Changes, Previous, RustSupport};
use bulkhead_resolver::{Deadline, Outcome, PublishAge, Request, Resolve, ResolveError, ResolveErrorKind, Unlock};
use bulkhead_schema::lockfile::{self, Lockfile};
use bulkhead_schema::{DependencyKind, Diagnostic, PackageId, PackageName, SourceId, Summary};
use bulkhead_source::Client;
use bulkhead_store::Store;
use bulkhead_workspace::Workspace;

use crate::audit::{self, Kind};
use crate::error::Result;
use crate::git::GitSources;
use crate::observed::Disk;
use crate::options::GlobalOptions;
use crate::patches::Patched;
use crate::project::Project;
use crate::provenance::{self, Provenance};
use crate::sources::{Freshness, Need, Sources};
use crate::withdrawn::Withdrawals;
use crate::{
    Error, ErrorKind, Event, disk, explain, limits, overrides, patches, pins, preferences, registries, tampering,
    unusable, withdrawn,
};

/// Largest lockfile that is read, in bytes.
const MAX_LOCKFILE_SIZE: u64 = 64 << 20;

/// Rounds of fetching what the resolver misses. The depth of the deepest real graphs is a fraction of it.
const MAX_ROUNDS: usize = 200;

/// What a resolution may change.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// Which locked packages may move.
    pub unlock: Unlock,
    /// Whether the registry must be asked even if the lockfile suffices (`update`, `generate-lockfile`).
    pub current: bool,
    /// Whether a changed lockfile is written.
    pub write: bool,
    /// Whether everything counts as new in what is said about changes (`generate-lockfile`).
    pub anew: bool,
    /// `update --precise REVISION` of a git source.
    pub git_precise: Option<(SourceId, String)>,
    /// Whether rust-version is ignored when versions are chosen.
    pub ignore_rust_version: bool,
    /// rustc's version, for workspaces whose members name none.
    pub rustc: Option<semver::Version>,
    /// Whether what members need for tests and examples alone is left out.
    pub without_development: bool,
    /// What counts as locked where there is no lockfile.
    pub before: Option<Previous>,
    /// Whether only the packages themselves are looked up that the workspace names, and nothing that they depend on.
    pub alone: bool,
}

impl LockRequest {
    /// What `build`, `fetch`, `metadata` … need: the lockfile as it is, completed if manifests ask for more.
    pub fn keep() -> Self {
        Self {
            unlock: Unlock::None,
            current: false,
            write: true,
            anew: false,
            git_precise: None,
            ignore_rust_version: false,
            rustc: None,
            without_development: false,
            before: None,
            alone: false,
        }
    }
}

/// The exact packages of a workspace.
pub struct Locked<'a> {
    /// The graph.
    pub resolve: Resolve,
    /// The graph before packages on this machine took the place of others (`[replace]`, `paths`), if any did.
    pub original: Option<Resolve>,
    /// What was read of its sources.
    pub sources: Sources<'a>,
    /// `[patch]` of manifests and configuration.
    pub patches: Vec<bulkhead_resolver::Patch>,
    /// What differs from the lockfile on disk.
    pub changes: Changes,
    /// The lockfile on disk before, decoded.
    pub previous: Option<Previous>,
    /// Whether the lockfile's bytes changed.
    pub changed: bool,
    /// The lowest Rust version that was preferred, as it is written.
    pub rust_version: Option<String>,
    /// How old versions had to be.
    pub age: Option<PublishAge>,
}

/// Resolves the workspace and writes `Cargo.lock` if it changed and may.
///
/// # Errors
/// No graph satisfies the manifests; a registry cannot be reached; `--locked` forbids the change; the lockfile and the
/// index disagree about a checksum.
pub fn resolve<'a>(
    global: &GlobalOptions,
    project: &Project,
    client: &'a Client,
    request: &LockRequest,
    events: &dyn Fn(Event),
) -> Result<Locked<'a>> {
    let workspace = &project.workspace;
    let path = global.lockfile(&workspace.root);
    if !workspace.unloaded.is_empty() {
        return Err(workspace.unloaded.clone().into());
    }
    let on_disk = read_lockfile(&global.place.disk, &path)?;
    let locals = local_summaries(workspace);
    let mut previous = on_disk.as_ref().map(|(_, lockfile)| lock::decode(lockfile, &locals));
    previous = previous.or_else(|| request.before.clone());
    if let Some(previous) = &mut previous {
        limits::check_lockfile(previous, &project.policy)?;
        tampering::check(previous, project, &request.unlock)?;
    }
    pins::check(global, &workspace.root, &pins::used(project, None), false, events)?;
    let mut sources = sources_of(global, project, client, previous.as_ref())?;
    let path_packages: Vec<_> = workspace.path_packages.values().map(|package| Arc::clone(&package.summary)).collect();
    let members = members(workspace, request.without_development);
    let mut question = Request::for_lockfile(&members, &path_packages, previous.as_ref());
    question.unlock = request.unlock.clone();
    let locked = previous.iter().flat_map(|previous| previous.packages.keys().copied());
    let commits = bulkhead_resolver::locked_commits(&question);
    sources.read_git(GitSources::new(global, project, locked, commits, request.git_precise.clone())?);
    sources.leave_alone(request.alone);
    let patches = patches::load(project, &mut sources, previous.as_ref(), events)?;
    overrides::replacements(workspace, &mut sources, events)?;
    question.patches = &patches;
    question.limits = limits::solver(&project.policy);
    question.rust_versions = preferences::rust_versions(project, request)?;
    let age = preferences::publish_age(project, global.place.now, &project.policy.publish_age)?;
    question.publish_age = age.as_ref();
    let rust_version = question.rust_versions.iter().min().cloned();
    let told = |error| explain::located(error, global, project);
    let limit = limits::solving_time(&project.policy);
    let mut resolve = solve(&question, &mut sources, request.current, limit, &told, events)
        .map_err(|error| project.blame_untrusted_sources(error))
        .map_err(|error| withdrawn::failed(project, &sources, previous.as_ref(), error))?;
    sources.complete(&mut resolve);
    let original = overrides::recorded(workspace, &mut resolve, sources.stand_ins(), events)?;
    tampering::check_checksums(previous.as_ref(), &resolve)?;
    patches::warn_of_unused(&resolve, &patches, events);
    sources.provenance().check_graph(&resolve)?;
    provenance::check_names(project, previous.as_ref(), &resolve, events)?;
    unusable::warn(&sources, previous.as_ref(), &resolve, events);
    withdrawn::check(project, &sources, previous.as_ref(), &resolve, events)?;
    pins::check(global, &workspace.root, &pins::used(project, Some(&resolve)), request.write, events)?;
    let in_folders = pins::InFolders::of(global, project, &resolve, &sources)?;
    pins::check_folders(global, project, &resolve, &in_folders, request.write, events)?;
    let changed = write_back(global, project, request, on_disk.as_ref(), &resolve)?;
    let mut changes = Changes::default();
    // Otherwise nothing changed, and the registry was not asked: nobody knows what is behind.
    if changed || request.current {
        let is_member = |id| workspace.members.iter().any(|package| package.id == id);
        let rust = RustSupport { rustc: request.rustc.as_ref(), of_members: rust_version.is_some() };
        let before = previous.as_ref().filter(|_| !request.anew);
        let told = Patched::new(&sources, &patches);
        changes = lock::changes(before, &resolve, &is_member, &told, rust, age.as_ref());
    }
    let rust_version = rust_version.map(|version| preferences::as_written(&version, workspace));
    observe_sources(global, workspace, &resolve, &patches, events);
    let (resolve, original) = overrides::built(workspace, (resolve, original), &mut sources, events)?;
    Ok(Locked { resolve, original, sources, patches, changes, previous, changed, rust_version, age })
}

fn members(workspace: &Workspace, without_development: bool) -> Vec<Arc<Summary>> {
    let summary = |summary: &Arc<Summary>| match without_development {
        false => Arc::clone(summary),
        true => {
            let mut summary = Summary::clone(summary);
            summary.dependencies.retain(|dependency| dependency.kind != DependencyKind::Development);
            Arc::new(summary)
        }
    };
    workspace.members.iter().map(|package| summary(&package.summary)).collect()
}

/// Writes into the audit log from where packages come besides the public registry, and what takes the place of what, if
/// that is not as it was.
fn observe_sources(
    global: &GlobalOptions,
    workspace: &Workspace,
    resolve: &Resolve,
    patches: &[bulkhead_resolver::Patch],
    events: &dyn Fn(Event),
) {
    let sources: BTreeSet<SourceId> = resolve.nodes.keys().map(|id| id.source()).collect();
    let elsewhere = sources.into_iter().filter(|source| !source.is_crates_io() && source.local_path().is_none());
    let sources = elsewhere.map(|source| (source.to_string(), "used".to_owned())).collect();
    let patches = patches.iter().map(|patch| {
        let id = patch.summary.id;
        (format!("{} of {}", id.name(), patch.patched), id.to_string())
    });
    let now = [(Kind::LockfileSources, sources), (Kind::Patch, patches.collect())];
    audit::observe(&global.place, &workspace.root, now, events);
}

/// Brings the lockfile up to what `resolve` says, if that is wanted. Says whether it is another text than before.
///
/// # Errors
/// `--locked` forbids the change, or the file cannot be written.
fn write_back(
    global: &GlobalOptions,
    project: &Project,
    request: &LockRequest,
    on_disk: Option<&(String, Lockfile)>,
    resolve: &Resolve,
) -> Result<bool> {
    let workspace = &project.workspace;
    let lowest = workspace.members.iter().filter_map(|package| package.summary.rust_version.as_ref()).min();
    let old = on_disk.map(|(text, lockfile)| (lockfile, text.as_str()));
    let Some(text) = lock::updated(resolve, old, lowest, request.anew) else { return Ok(false) };
    let path = global.lockfile(&workspace.root);
    global.place.disk.never_repeat();
    if global.lock.locked {
        refuse_change(global, &path, old.map(|(lockfile, _)| lockfile), resolve, &local_summaries(workspace))?;
    } else if request.write {
        disk::write_atomically(&path, text.as_bytes())?;
    }
    Ok(true)
}

/// The sources of a project, of which nothing is read yet.
fn sources_of<'a>(
    global: &GlobalOptions,
    project: &Project,
    client: &'a Client,
    previous: Option<&Previous>,
) -> Result<Sources<'a>> {
    let table = project.configuration.config.sources()?;
    let home = global.place.bulkhead_home.clone();
    let mut sources = Sources::new(client, home, table, registries::known(project));
    sources.restrict(Provenance::new(&project.policy, &project.configuration));
    let reaction = project.policy.withdrawn.vanished.unwrap_or_default();
    sources.remember(Withdrawals::new(global.place.bulkhead_home.clone(), reaction));
    if client.options().offline {
        let store = Store::open(&global.place.bulkhead_home)?;
        let kept = previous.iter().flat_map(|previous| previous.packages.keys().copied());
        sources.prefer_downloaded(store, kept);
    }
    Ok(sources)
}

/// What the workspace's lockfile says, if there is one.
///
/// # Errors
/// It cannot be read or parsed.
pub fn previous(global: &GlobalOptions, project: &Project) -> Result<Option<Previous>> {
    let lockfile = read(&global.place.disk, &global.lockfile(&project.workspace.root))?;
    Ok(lockfile.map(|lockfile| lock::decode(&lockfile, &local_summaries(&project.workspace))))
}

/// What a lockfile would say of the graph.
pub fn as_locked(project: &Project, resolve: &Resolve) -> Previous {
    lock::decode(&lock::encode(resolve, lockfile::NEWEST_VERSION), &local_summaries(&project.workspace))
}

/// The lockfile at `path`, if there is one.
///
/// # Errors
/// It cannot be read or parsed.
pub fn read(disk: &Disk, path: &Path) -> Result<Option<Lockfile>> {
    Ok(read_lockfile(disk, path)?.map(|(_, lockfile)| lockfile))
}

fn read_lockfile(disk: &Disk, path: &Path) -> Result<Option<(String, Lockfile)>> {
    let text = match disk.read_text(path, MAX_LOCKFILE_SIZE) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::failure(format!("failed to read `{}`", path.display())).because(error)),
        Ok(text) => text,
    };
    let lockfile = lockfile::parse(path, &text).map_err(|diagnostic| {
        Error::from(diagnostic).while_doing(format!("failed to parse lock file at: {}", path.display()))
    })?;
    Ok(Some((text, lockfile)))
}

fn local_summaries(workspace: &Workspace) -> Vec<Arc<Summary>> {
    let packages = workspace.members.iter().chain(workspace.path_packages.values());
    packages.map(|package| Arc::clone(&package.summary)).collect()
}

/// Asks the resolver until nothing is missing: first with what the cache knows of the locked packages, so that a
/// lockfile that still fits costs no request; if that is not enough, with current answers.
fn solve(
    question: &Request<'_>,
    sources: &mut Sources<'_>,
    current: bool,
    time: Duration,
    told: &dyn Fn(ResolveError) -> Diagnostic,
    events: &dyn Fn(Event),
) -> Result<Resolve> {
    if !current && let Some(previous) = question.previous {
        if let Some(resolve) = solve_from_cache(question, previous, sources, time, events)? {
            return Ok(resolve);
        }
        sources.forget();
    }
    for _ in 0..MAX_ROUNDS {
        match ask(question, sources, time) {
            Ok(Outcome::Resolved(resolve)) => return Ok(resolve),
            Ok(Outcome::Missing(names)) => {
                registries::refuse_unnamed(&names, question, sources)?;
                load_closure(&names, question, sources, events)?;
            }
            Err(error) => {
                let kind = match error.kind {
                    ResolveErrorKind::ChecksumChanged => ErrorKind::Verification,
                    ResolveErrorKind::Limit => ErrorKind::Policy,
                    _ => ErrorKind::Failure,
                };
                let unusable = unusable::of_failure(sources, &error.to_string());
                let error = Error { kind, ..told(error).into() };
                let error = unusable.into_iter().fold(error, Error::because);
                return Err(sources.replacements().into_iter().fold(error, Error::help));
            }
        }
    }
    Err(Error::failure(format!("the dependency graph is deeper than {MAX_ROUNDS} levels")))
}

/// One round, which must not take longer than `time`.
fn ask(question: &Request<'_>, sources: &Sources<'_>, time: Duration) -> std::result::Result<Outcome, ResolveError> {
    let begin = Instant::now();
    let over = || begin.elapsed() > time;
    bulkhead_resolver::resolve(&Request { deadline: Some(Deadline(&over)), ..question.clone() }, sources)
}

/// The graph that the lockfile still describes, as far as the cache can tell.
fn solve_from_cache(
    question: &Request<'_>,
    previous: &Previous,
    sources: &mut Sources<'_>,
    time: Duration,
    events: &dyn Fn(Event),
) -> Result<Option<Resolve>> {
    let registries = previous.packages.keys().filter(|id| id.source().is_registry());
    let mut wanted: BTreeSet<_> = registries.map(|id| (id.source(), id.name())).collect();
    let mut asked = BTreeSet::new();
    // A patched package is not in the lockfile under its registry, but the resolver asks for it there; and a repository is
    // read when it turns out that something still comes from it.
    for _ in 0..MAX_ROUNDS {
        sources.load(&wanted, Freshness::Cached, Need::Required, events)?;
        asked.append(&mut wanted);
        match ask(question, sources, time) {
            Ok(Outcome::Missing(names)) if names.is_subset(&asked) => return Ok(None),
            Ok(Outcome::Missing(names)) => wanted = names,
            Ok(Outcome::Resolved(resolve)) => {
                let locked = |id: &PackageId| id.source().is_path() || previous.packages.contains_key(id);
                return Ok(resolve.nodes.keys().all(locked).then_some(resolve));
            }
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// Loads what is missing, and right away what its newest versions will ask for, so that a fresh graph takes a few
/// rounds of many requests each and not one round per level.
fn load_closure(
    missing: &BTreeSet<(SourceId, PackageName)>,
    question: &Request<'_>,
    sources: &mut Sources<'_>,
    events: &dyn Fn(Event),
) -> Result<()> {
    if sources.is_offline() {
        // From here on the cache is read as the resolver comes to a name: there is nothing to guess.
        return sources.load(missing, Freshness::Current, Need::Required, events).map(drop);
    }
    let mut wanted = missing.clone();
    if let Some(previous) = question.previous {
        let registries = previous.packages.keys().filter(|id| id.source().is_registry());
        wanted.extend(registries.map(|id| (id.source(), id.name())));
    }
    let mut seen = BTreeSet::new();
    // A registry could go on for ever about what its packages need.
    while !wanted.is_empty() && seen.len() <= question.limits.packages {
        sources.load(&wanted, Freshness::Current, Need::Likely, events)?;
        let mut next = BTreeSet::new();
        for &(source, name) in &wanted {
            next.extend(bulkhead_resolver::registry::likely_dependencies(
                sources,
                source,
                name,
                &semver::VersionReq::STAR,
            ));
        }
        seen.append(&mut wanted);
        wanted = next.difference(&seen).copied().collect();
    }
    sources.load(missing, Freshness::Current, Need::Required, events).map(drop)
}

/// With `--locked`: a lockfile that means the same is left as it is, whatever its bytes.
fn refuse_change(
    global: &GlobalOptions,
    path: &Path,
    old: Option<&Lockfile>,
    resolve: &Resolve,
    locals: &[Arc<Summary>],
) -> Result<()> {
    if old.is_some_and(|old| lock::same_meaning(old, &lock::encode(resolve, old.version), locals)) {
        return Ok(());
    }
    let verb = if old.is_some() { "update" } else { "create" };
    let mut error = Error::failure(format!(
        "cannot {verb} the lock file {} because {} was passed to prevent this",
        path.display(),
        global.lock.flag()
    ));
    if let Some(old) = old {
        let lines = lock::difference(old, &lock::encode(resolve, old.version), 20);
        error = error.because(format!("it would change:\n  {}", lines.join("\n  ")));
    }
    Err(error.help(format!(
        "to generate the lock file without accessing the network, remove the {} flag and use --offline instead.",
        global.lock.flag()
    )))
}
