//! `update` and `generate-lockfile`.

use std::collections::BTreeSet;

use bulkhead_resolver::Unlock;
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
    let (unlock, git_precise) = match (options.workspace, options.packages.is_empty()) {
        (true, _) => (Unlock::None, None),
        (false, true) => (Unlock::All, None),
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

/// The locked packages that `-p` names, each of which must be unambiguous; and what `--precise` says of a git source.
fn named(
    global: &GlobalOptions,
    project: &Project,
    options: &UpdateOptions,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(Unlock, Option<(SourceId, String)>)> {
    let known: BTreeSet<PackageId> = match lock::previous(global, project)? {
        Some(previous) => previous.packages.into_keys().collect(),
        None => {
            let client = project_client(global, project)?;
            let request = LockRequest { write: false, ..LockRequest::keep() };
            lock::resolve(global, project, &client, &request, events)?.resolve.nodes.into_keys().collect()
        }
    };
    let mut packages = BTreeSet::new();
    for spec in &options.packages {
        packages.insert(specs::one(spec, &known, &global.place)?);
    }
    let git = packages.first().map(|id| id.source()).filter(|source| source.is_git());
    if let (Some(source), Some(revision)) = (git, &options.precise) {
        let unlock = Unlock::Packages { packages, recursive: options.recursive, precise: None };
        return Ok((unlock, Some((source.without_commit(), revision.clone()))));
    }
    let precise = options.precise.as_ref().map(|text| {
        semver::Version::parse(text).map_err(|error| {
            Error::failure(format!("invalid version format for precise version `{text}`")).because(error)
        })
    });
    Ok((Unlock::Packages { packages, recursive: options.recursive, precise: precise.transpose()? }, None))
}
