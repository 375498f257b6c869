//! `verify`: read every byte of the store again.

use std::collections::BTreeSet;

use bulkhead_schema::Diagnostic;
use bulkhead_store::Store;
use bulkhead_trust::Digest;

use crate::error::Result;
use crate::options::GlobalOptions;
use crate::{Error, ErrorKind, lock, project};

/// How the packages of a workspace stand in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Packages of the lockfile whose archive and unpacked files are in the store, byte for byte.
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
    let path = project.workspace.root.join("Cargo.lock");
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
    let checksums: BTreeSet<_> = lockfile.packages.iter().filter_map(|package| package.checksum.as_deref()).collect();
    let present = |checksum: &&&str| Digest::parse(checksum).is_ok_and(|digest| store.contains(digest));
    let whole = checksums.iter().filter(present).count();
    Ok(Verified { whole, absent: checksums.len() - whole })
}
