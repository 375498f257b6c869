//! Which workspace a manifest belongs to (Cargo Book, "Workspaces").

use std::path::{Path, PathBuf};

use bulkhead_schema::manifest::{Manifest, WorkspaceTable};

use super::Loader;
use crate::path;

impl Loader<'_> {
    /// The root manifest of the workspace that `manifest` is in, itself perhaps; `None` if it is in none.
    pub(super) fn root_of(&mut self, manifest: &Manifest) -> Option<PathBuf> {
        if manifest.workspace.is_some() {
            return Some(manifest.path.clone());
        }
        let folder = manifest.path.parent()?;
        if let Some(root) = manifest.package.as_ref().and_then(|package| package.workspace.as_ref()) {
            let root_path = path::join(folder, root.get_ref()).join("Cargo.toml");
            if self.manifest(&root_path).is_none_or(|root| root.workspace.is_none()) {
                let message =
                    format!("`{}` is not a workspace root, though `package.workspace` says so", root_path.display());
                self.findings.push(manifest.error("workspace-root", message, root.span()));
            }
            return Some(root_path);
        }
        self.search_upwards(&manifest.path)
    }

    fn search_upwards(&mut self, manifest_path: &Path) -> Option<PathBuf> {
        let own = manifest_path.parent()?;
        for folder in own.ancestors() {
            // The manifest itself is known to have no `[workspace]`.
            if folder != own
                && let Some(root) = self.root_at(folder, manifest_path)
            {
                return Some(root);
            }
            // A ceiling is the last folder that is looked at; the manifest's own may be one.
            if self.options.ceilings.iter().any(|ceiling| ceiling == folder) {
                return None;
            }
        }
        None
    }

    /// The root that the manifest in `folder` is, or names, if `manifest_path` belongs to it.
    fn root_at(&mut self, folder: &Path, manifest_path: &Path) -> Option<PathBuf> {
        let candidate = folder.join("Cargo.toml");
        let manifest = self.candidate(&candidate)?;
        if let Some(table) = &manifest.workspace {
            return (!is_excluded(folder, table, manifest_path)).then_some(candidate);
        }
        let root = manifest.package.as_ref().and_then(|package| package.workspace.as_ref())?;
        Some(path::join(folder, root.get_ref()).join("Cargo.toml"))
    }

    /// The manifest at `path`, if there is one.
    fn candidate(&mut self, path: &Path) -> Option<std::sync::Arc<Manifest>> {
        if self.manifests.contains_key(path) || self.files.is_file(path) { self.manifest(path) } else { None }
    }
}

/// Whether `exclude` of the workspace in `folder` covers `manifest_path`, and `members` doesn't name it all the same.
pub(super) fn is_excluded(folder: &Path, table: &WorkspaceTable, manifest_path: &Path) -> bool {
    let covers = |entry: &str| manifest_path.starts_with(path::join(folder, entry));
    table.exclude.iter().any(|entry| covers(entry.get_ref()))
        && !table.members.iter().any(|entry| covers(entry.get_ref()))
}
