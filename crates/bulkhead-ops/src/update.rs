//! `update` and `generate-lockfile`.

use std::collections::BTreeSet;

use bulkhead_resolver::Unlock;
use bulkhead_resolver::lock::Previous;
use bulkhead_schema::{PackageId, PackageName, SourceId};

use crate::client::project_client;
use crate::error::Result;
use crate::lock::{self, LockRequest, Locked};
use crate::options::{GlobalOptions, UpdateOptions};
use crate::project::{self, Project};
use crate::{Error, Event, compile, explain, newcomers, specs, status, withdrawn};

/// Resolves everything anew and writes `Cargo.lock`.
///
/// # Errors
/// No graph satisfies the manifests, or a registry cannot be reached.
pub fn generate_lockfile(
    global: &GlobalOptions,
    ignore_rust_version: bool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let request =
        LockRequest { unlock: Unlock::All, current: true, anew: true, ignore_rust_version, ..LockRequest::keep() };
    relock(global, &project::open(global, events)?, request, events, &|locked| {
        status::report_new(locked, events);
        Ok(())
    })
}

/// Moves locked packages to the newest versions that the manifests allow.
///
/// # Errors
/// As [`generate_lockfile`]; a specification that matches nothing or too much; `--precise` with a version that does not
/// exist or is not allowed.
pub fn update(global: &GlobalOptions, options: &UpdateOptions, events: &(dyn Fn(Event) + Sync)) -> Result<()> {
    if options.precise.is_some() && options.packages.len() != 1 {
        return Err(Error::new(crate::ErrorKind::Usage, "--precise needs exactly one package specification"));
    }
    let project = project::open(global, events)?;
    let Named { unlock, git_precise, before } = match (options.workspace, options.packages.is_empty()) {
        (true, _) => Named { unlock: Unlock::None, git_precise: None, before: None },
        (false, true) => Named { unlock: Unlock::All, git_precise: None, before: None },
        (false, false) => named(global, &project, options, events)?,
    };
    // What only follows the members' own manifests needs no news.
    let (current, precise) = match &unlock {
        Unlock::None => (false, None),
        Unlock::All => (true, None),
        Unlock::Packages { packages, precise, .. } => (
            packages.iter().any(|id| !id.source().is_path()),
            precise.as_ref().map(drop).or(git_precise.as_ref().map(drop)).and(packages.first()).map(|id| id.name()),
        ),
    };
    let request = LockRequest {
        unlock,
        current,
        write: !options.dry_run,
        git_precise,
        before,
        ignore_rust_version: options.ignore_rust_version,
        ..LockRequest::keep()
    };
    relock(global, &project, request, events, &|locked| {
        if let Some(name) = precise {
            warn_if_yanked(locked, name, events);
        }
        status::report_update(locked, precise, global.verbose > 0, events);
        if options.why {
            explain::behind(global, &project, locked, events)?;
        }
        Ok(())
    })
    .map_err(|error| match &options.precise {
        Some(version) if error.kind == crate::ErrorKind::Failure => error.help(format!(
            "`--precise {version}` was asked for: is that version published, and does every requirement allow it?"
        )),
        _ => error,
    })?;
    if options.dry_run {
        events(Event::Warning("not updating lockfile due to dry run".to_owned()));
    }
    Ok(())
}

/// A version that was named is taken even if it was yanked, but not without a word.
fn warn_if_yanked(locked: &Locked<'_>, name: PackageName, events: &dyn Fn(Event)) {
    let chosen = locked.changes.packages.iter().filter(|change| change.id().name() == name);
    for id in chosen.map(|change| change.id()).filter(|id| withdrawn::is_yanked(&locked.sources, *id)) {
        let (spec, advice) = (format!("{name}@{}", id.version()), "if possible, try a compatible non-yanked version");
        events(Event::Warning(format!("selected package `{spec}` was yanked by the author\n|\n= help: {advice}")));
    }
}

fn relock(
    global: &GlobalOptions,
    project: &Project,
    request: LockRequest,
    events: &(dyn Fn(Event) + Sync),
    report: &dyn Fn(&Locked<'_>) -> Result<()>,
) -> Result<()> {
    let toolchain = compile::platforms(global, project, &[])?;
    let client = project_client(global, project)?;
    let request = LockRequest { rustc: Some(toolchain.release), ..request };
    let mut locked = lock::resolve(global, project, &client, &request, events)?;
    report(&locked)?;
    newcomers::announce(global, project, &mut locked, &client, events);
    // The process ends here: to take tens of thousands of small things apart is of use to nobody.
    std::mem::forget(locked);
    Ok(())
}

/// What is to be moved.
struct Named {
    unlock: Unlock,
    /// What `--precise` says of a git source.
    git_precise: Option<(SourceId, String)>,
    /// What is moved away from, where no lockfile says it.
    before: Option<Previous>,
}

/// The locked packages that `-p` names, each of which must be unambiguous. Without a lockfile, those that would be locked.
fn named(
    global: &GlobalOptions,
    project: &Project,
    options: &UpdateOptions,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Named> {
    let (locked, before) = match lock::previous(global, project)? {
        Some(previous) => (previous, None),
        // Where nothing is locked there is nothing to be named either.
        None if options.precise.is_none() => return Ok(Named { unlock: Unlock::All, git_precise: None, before: None }),
        None => {
            let client = project_client(global, project)?;
            let request = LockRequest { write: false, ..LockRequest::keep() };
            let resolve = lock::resolve(global, project, &client, &request, events)?.resolve;
            let locked = lock::as_locked(project, &resolve);
            (locked.clone(), Some(locked))
        }
    };
    let known: BTreeSet<PackageId> = locked.packages.into_keys().collect();
    let mut packages = BTreeSet::new();
    for spec in &options.packages {
        packages.insert(specs::one(spec, &known, &global.place)?);
    }
    let git = packages.first().map(|id| id.source()).filter(|source| source.is_git());
    if let (Some(source), Some(revision)) = (git, &options.precise) {
        let unlock = Unlock::Packages { packages, recursive: options.recursive, precise: None };
        return Ok(Named { unlock, git_precise: Some((source.without_commit(), revision.clone())), before });
    }
    let precise = options.precise.as_ref().map(|text| {
        semver::Version::parse(text).map_err(|error| {
            Error::failure(format!("invalid version format for precise version `{text}`")).because(error)
        })
    });
    let unlock = Unlock::Packages { packages, recursive: options.recursive, precise: precise.transpose()? };
    Ok(Named { unlock, git_precise: None, before })
}
