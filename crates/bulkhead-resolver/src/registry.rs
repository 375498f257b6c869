//! What resolution is allowed to know about registries: a snapshot that answers at once or says "not loaded yet".

use std::collections::BTreeSet;
use std::sync::Arc;

pub use bulkhead_schema::index::VersionEntry;
use bulkhead_schema::{Dependency, DependencyKind, Diagnostic, PackageId, PackageName, SourceId, Summary};

/// A snapshot of the packages that the caller has at hand. Members and other path packages are not asked for here: they
/// stand in the [`crate::Request`].
pub trait Registry {
    /// The usable versions of `name` in `source`, yanked ones included, ascending by version. `None` if the index entry
    /// has not been loaded yet; an empty slice if the package does not exist.
    fn versions(&self, source: SourceId, name: PackageName) -> Option<&[VersionEntry]>;

    /// Which of those versions are on this machine, in their order, if they are preferred: where a requirement is met by
    /// some of them, only these are candidates. `None` if it makes no difference, or none is here.
    fn downloaded(&self, _source: SourceId, _name: PackageName) -> Option<&[bool]> {
        None
    }

    /// The whole entry of one of those versions.
    ///
    /// # Errors
    /// The entry is broken; that version is then treated as if it did not exist.
    fn summary(&self, id: PackageId) -> Result<Arc<Summary>, Diagnostic>;

    /// Existing names close to `name`, for an error message. Best first; may be empty.
    fn similar(&self, _source: SourceId, _name: PackageName) -> Vec<String> {
        Vec::new()
    }
}

/// The packages that will most likely be asked for next, now that `name` is loaded: everything that the newest version
/// matching one of the `wanted` requirements depends on, optional and development dependencies excepted. For callers
/// that want to fetch before the resolver's next round.
pub fn likely_dependencies(
    registry: &dyn Registry,
    source: SourceId,
    name: PackageName,
    wanted: &semver::VersionReq,
) -> BTreeSet<(SourceId, PackageName)> {
    let newest = registry
        .versions(source, name)
        .and_then(|versions| versions.iter().rev().find(|entry| !entry.yanked && wanted.matches(&entry.version)));
    let Some(entry) = newest else { return BTreeSet::new() };
    match registry.summary(PackageId::new(name, entry.version.clone(), source)) {
        Ok(summary) => {
            summary.dependencies.iter().filter(|dependency| is_likely(dependency)).map(wanted_package).collect()
        }
        Err(_) => BTreeSet::new(),
    }
}

fn is_likely(dependency: &Dependency) -> bool {
    !dependency.optional && dependency.kind != DependencyKind::Development && !dependency.source.is_path()
}

fn wanted_package(dependency: &Dependency) -> (SourceId, PackageName) {
    (dependency.source, dependency.package)
}
