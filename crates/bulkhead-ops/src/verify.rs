//! `verify`: read every byte of the store again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bulkhead_config::Place;
use bulkhead_schema::lockfile::Lockfile;
use bulkhead_schema::{Diagnostic, PackageName, SourceId};
use bulkhead_store::Store;
use bulkhead_trust::Digest;

use crate::directory::Directory;
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::{Error, ErrorKind, lock, project};

/// How the packages of a workspace stand in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Packages of the lockfile whose archive, and unpacked files if something needed them yet, are in the store, byte for
    /// byte, or that stand in the folder of a directory source as its list has them.
    pub whole: usize,
    /// Packages of the lockfile that are not in the store.
    pub absent: usize,
}

/// Compares every file of the store with what was put there, and the lockfile's checksums with what is there.
///
/// # Errors
/// Something in the store differs from its record (`verification`), or there is no lockfile.
pub fn verify(global: &GlobalOptions, events: &dyn Fn(crate::Event)) -> Result<Verified> {
    let project = project::open(global, events)?;
    let path = global.lockfile(&project.workspace.root);
    let Some(lockfile) = lock::read(&global.place.disk, &path)? else {
        return Err(Error::failure(format!("there is no lock file at `{}`", path.display()))
            .help("`bulkhead generate-lockfile` makes one"));
    };
    let verification = |diagnostics: Vec<Diagnostic>| Error { kind: ErrorKind::Verification, ..diagnostics.into() };
    let store = Store::open(&global.place.bulkhead_home).map_err(|finding| verification(vec![finding]))?;
    let findings = store.verify_deep().map_err(|finding| verification(vec![finding]))?;
    if !findings.is_empty() {
        let damaged = |finding: &bulkhead_store::Finding| {
            Diagnostic::error("store-damaged", format!("`{}`: {}", finding.path.display(), finding.problem))
        };
        return Err(verification(findings.iter().map(damaged).collect())
            .help("delete what is named here; the next build fetches it again"));
    }
    let in_folders = verify_folders(global, &project, &lockfile)?;
    let elsewhere = lockfile.packages.iter().filter(|package| !in_folders.contains(&(package.name, &package.version)));
    let checksums: BTreeSet<_> = elsewhere.filter_map(|package| package.checksum.as_deref()).collect();
    let present = |checksum: &&&str| Digest::parse(checksum).is_ok_and(|digest| store.contains(digest));
    let whole = checksums.iter().filter(present).count();
    Ok(Verified { whole: whole + in_folders.len(), absent: checksums.len() - whole })
}

/// Reads the packages of directory sources again. Returns which those are.
fn verify_folders<'l>(
    global: &GlobalOptions,
    project: &Project,
    lockfile: &'l Lockfile,
) -> Result<BTreeSet<(PackageName, &'l semver::Version)>> {
    let table = project.configuration.config.sources()?;
    let mut directories: BTreeMap<SourceId, Option<Directory>> = BTreeMap::new();
    let mut verified = BTreeSet::new();
    for package in &lockfile.packages {
        let Some(source) = package.source else { continue };
        if let Entry::Vacant(unknown) = directories.entry(source) {
            let open = |folder: &Path| Directory::open(folder, source, &global.place.bulkhead_home);
            unknown.insert(match table.replacement(source)?.map(|replacement| replacement.place) {
                Some(Place::Directory(folder)) => Some(open(&folder)?),
                _ => None,
            });
        }
        if let Some(Some(directory)) = directories.get(&source)
            && directory.verify_deep(package.name, &package.version)?
        {
            verified.insert((package.name, &package.version));
        }
    }
    Ok(verified)
}
