//! The packages of a git repository (Cargo Book, "Specifying dependencies from git repositories"): Cargo searches the
//! whole repository for the package that is named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::manifest::{DependencyTable, Manifest};
use bulkhead_schema::{Diagnostic, Level, PackageId, SourceId};

use super::{LoadOptions, Loader};
use crate::package::Standing;
use crate::{FileType, Files, Package, path};

/// Most folders that are searched for packages.
const MAX_FOLDERS: usize = 100_000;

/// What a repository holds.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    /// Its packages, each once, in the order in which they were found.
    pub packages: Vec<Arc<Package>>,
    /// Manifests that could not be read, for a package that is looked for and not found.
    pub broken: Vec<Diagnostic>,
    /// Packages that were found again elsewhere, with the manifest that was passed over.
    pub duplicates: Vec<(PackageId, PathBuf)>,
}

/// Finds the packages of the checkout at `root`, all of which belong to `source`.
///
/// Workspaces inside the repository are honoured as far as packages inherit from them; `[patch]`, `[replace]` and
/// `[profile]` mean nothing here. A dependency by `path` is one on a package of the same repository. No path may lead out
/// of it. Hidden folders, `target/` and `submodules` are not searched, but packages in them are found by `path`.
pub fn load_repository(
    files: &dyn Files,
    root: &Path,
    source: SourceId,
    submodules: &[String],
    registry: &dyn Fn(&str) -> Result<Option<SourceId>, String>,
) -> Repository {
    let options = LoadOptions {
        manifest_path: root.join("Cargo.toml"),
        ceilings: vec![root.to_owned()],
        registry,
        profiles: BTreeMap::new(),
        patches: Vec::new(),
        overrides: Vec::new(),
    };
    let mut loader = Loader::new(files, &options, Standing::Repository { root, source });
    let mut repository = Repository::default();
    let skipped: BTreeSet<PathBuf> = submodules.iter().map(|path| root.join(path)).collect();
    let mut seen = BTreeSet::new();
    let mut known = BTreeMap::new();
    for manifest_path in search(files, root, &skipped, &mut repository.broken) {
        loader.collect(manifest_path, &mut seen, &mut known, &mut repository);
    }
    repository
}

impl Loader<'_> {
    /// Adds the package at `start` and, depth first, those that its `path` dependencies name.
    fn collect(
        &mut self,
        start: PathBuf,
        seen: &mut BTreeSet<PathBuf>,
        known: &mut BTreeMap<PackageId, PathBuf>,
        repository: &mut Repository,
    ) {
        let mut pending = vec![start];
        while let Some(manifest_path) = pending.pop() {
            if !seen.insert(manifest_path.clone()) {
                continue;
            }
            let Some(manifest) = self.manifest(&manifest_path) else {
                repository.broken.extend(self.errors());
                continue;
            };
            if manifest.package.is_none() {
                continue;
            }
            let package = self.package(&manifest_path);
            repository.broken.extend(self.errors());
            let Some(package) = package else { continue };
            pending.extend(self.neighbours(&manifest));
            match known.insert(package.id, manifest_path.clone()) {
                None => repository.packages.push(package),
                Some(first) => {
                    known.insert(package.id, first);
                    repository.duplicates.push((package.id, manifest_path));
                }
            }
        }
    }

    /// Manifests that the dependency tables of a package name by `path`, the first one last.
    fn neighbours(&mut self, manifest: &Manifest) -> Vec<PathBuf> {
        let root = self.root_of(manifest).and_then(|root| self.manifest(&root));
        let shared = root.as_ref().and_then(|root| Some((root.workspace.as_ref()?, root.path.parent()?)));
        let own = manifest.path.parent();
        let folder_of = |table: &DependencyTable| -> Option<PathBuf> {
            if !table.workspace {
                return Some(path::join(own?, table.path.as_ref()?.get_ref()));
            }
            let (workspace, folder) = shared?;
            let entry = workspace.dependencies.iter().find(|entry| entry.name.get_ref() == table.name.get_ref())?;
            Some(path::join(folder, entry.path.as_ref()?.get_ref()))
        };
        let manifests =
            manifest.dependencies.iter().rev().filter_map(folder_of).map(|folder| folder.join("Cargo.toml"));
        manifests.collect()
    }

    /// The errors since the last call. Warnings are for the repository's authors.
    fn errors(&mut self) -> Vec<Diagnostic> {
        let findings = std::mem::take(&mut self.findings);
        findings.into_iter().filter(|finding| finding.level == Level::Error).collect()
    }
}

/// The manifests below `root`, each folder's own before those of the folders in it. Hidden folders, a package's `target/`,
/// links and what is a repository of its own are not entered. What `broken` is told of was not searched.
pub(super) fn search(
    files: &dyn Files,
    root: &Path,
    skipped: &BTreeSet<PathBuf>,
    broken: &mut Vec<Diagnostic>,
) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    let mut visited = 0;
    while let Some(folder) = pending.pop() {
        visited += 1;
        if visited > MAX_FOLDERS {
            let message = format!("`{}` has more than {MAX_FOLDERS} folders to be searched", root.display());
            broken.push(Diagnostic::error("too-many-folders", message));
            break;
        }
        let mut entries = files.list(&folder);
        if folder != root && entries.iter().any(|(name, _)| name == ".git") {
            continue;
        }
        entries.sort_by(|a, b| b.0.cmp(&a.0));
        let is_package = entries.iter().any(|(name, kind)| name == "Cargo.toml" && *kind == FileType::File);
        if is_package {
            found.push(folder.join("Cargo.toml"));
        }
        for (name, kind) in entries {
            let inner = folder.join(&name);
            let passed_over = name.starts_with('.') || (name == "target" && is_package) || skipped.contains(&inner);
            if kind == FileType::Directory && !passed_over && !files.is_link(&inner) {
                pending.push(inner);
            }
        }
    }
    found
}
