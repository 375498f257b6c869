//! `update` and `generate-lockfile`.

use std::collections::BTreeSet;

use bulkhead_resolver::Unlock;
use bulkhead_schema::{PackageId, PackageSpec};

use crate::client::client;
use crate::error::Result;
use crate::lock::{self, LockRequest, Locked};
use crate::options::{GlobalOptions, UpdateOptions};
use crate::project;
use crate::{Error, Event, compile, status};

/// Resolves everything anew and writes `Cargo.lock`.
///
/// # Errors
/// No graph satisfies the manifests, or a registry cannot be reached.
pub fn generate_lockfile(global: &GlobalOptions, events: &(dyn Fn(Event) + Sync)) -> Result<()> {
    relock(global, Unlock::All, true, events, &|locked| status::report_changes(locked, events))
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
    let unlock = match (options.workspace, options.packages.is_empty()) {
        (true, _) => Unlock::None,
        (false, true) => Unlock::All,
        (false, false) => named(global, options, events)?,
    };
    relock(global, unlock, !options.dry_run, events, &|locked| {
        status::report_update(locked, options.precise.is_some(), global.verbose > 0, events);
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

fn relock(
    global: &GlobalOptions,
    unlock: Unlock,
    write: bool,
    events: &(dyn Fn(Event) + Sync),
    report: &dyn Fn(&Locked<'_>),
) -> Result<()> {
    let project = project::open(global, events)?;
    let toolchain = compile::platforms(global, &project, &[])?;
    let client = client(global, &project.configuration)?;
    let request = LockRequest { unlock, current: true, write, rustc: Some(toolchain.release), ..LockRequest::keep() };
    report(&lock::resolve(global, &project, &client, &request, events)?);
    Ok(())
}

/// The locked packages that `-p` names, each of which must be unambiguous.
fn named(global: &GlobalOptions, options: &UpdateOptions, events: &(dyn Fn(Event) + Sync)) -> Result<Unlock> {
    let project = project::open(global, &|_| {})?;
    let client = client(global, &project.configuration)?;
    let request = LockRequest { write: false, ..LockRequest::keep() };
    let locked = lock::resolve(global, &project, &client, &request, events)?;
    let mut packages = BTreeSet::new();
    for spec in &options.packages {
        packages.insert(one(&locked, spec)?);
    }
    let precise = options.precise.as_ref().map(|text| {
        semver::Version::parse(text).map_err(|error| {
            Error::failure(format!("invalid version format for precise version `{text}`")).because(error)
        })
    });
    Ok(Unlock::Packages { packages, recursive: options.recursive, precise: precise.transpose()? })
}

/// The one locked package that `spec` means.
pub fn one(locked: &Locked<'_>, spec: &str) -> Result<PackageId> {
    let parsed = PackageSpec::parse(spec)
        .map_err(|error| Error::failure(format!("invalid package ID specification: `{spec}`")).because(error))?;
    let known = locked.previous.iter().flat_map(|previous| previous.packages.keys());
    let known: BTreeSet<PackageId> = known.chain(locked.resolve.nodes.keys()).copied().collect();
    let found: Vec<_> = known.into_iter().filter(|id| parsed.matches(*id)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::failure(format!("package ID specification `{spec}` did not match any packages"))),
        many => {
            let error = Error::failure(format!("there are multiple `{spec}` packages in your project"));
            Err(many
                .iter()
                .fold(error, |error, id| error.help(format!("name one of them: `{}@{}`", id.name(), id.version()))))
        }
    }
}
