//! Manifests that commands change: which one, read and written.

use std::path::Path;
use std::sync::Arc;

use bulkhead_schema::{Diagnostic, PackageSpec};
use bulkhead_workspace::edit::ManifestEditor;
use bulkhead_workspace::{Package, Workspace};

use crate::error::Result;
use crate::options::GlobalOptions;
use crate::{Error, disk};

/// The one member that a command changes: the one that `spec` (a name, a specification, a glob) means, else the one in
/// whose folder the command runs, else the only default member. `None` if that leaves several.
///
/// # Errors
/// `spec` means no member.
pub fn member(workspace: &Workspace, spec: Option<&str>) -> Result<Option<Arc<Package>>> {
    let only = |mut found: Vec<&Arc<Package>>| if found.len() == 1 { found.pop().cloned() } else { None };
    let Some(spec) = spec else {
        let current = workspace.current.and_then(|id| workspace.package(id)).cloned();
        let default = || only(workspace.default_members.iter().filter_map(|id| workspace.package(*id)).collect());
        return Ok(current.or_else(default));
    };
    let found: Vec<_> = if spec.contains(['*', '?', '[']) {
        let glob = globset::Glob::new(spec)
            .map_err(|error| Error::failure(format!("cannot build glob pattern from `{spec}`")).because(error))?;
        let glob = glob.compile_matcher();
        workspace.members.iter().filter(|member| glob.is_match(member.id.name().as_str())).collect()
    } else {
        let parsed = PackageSpec::parse(spec)
            .map_err(|error| Error::failure(format!("invalid package ID specification: `{spec}`")).because(error))?;
        workspace.members.iter().filter(|member| parsed.matches(member.id)).collect()
    };
    if found.is_empty() {
        let root = workspace.root.display();
        return Err(Error::failure(format!("package(s) `{spec}` not found in workspace `{root}`")));
    }
    Ok(only(found))
}

/// The members' names, for messages.
pub fn names(workspace: &Workspace) -> String {
    let mut names: Vec<&str> = workspace.members.iter().map(|member| member.id.name().as_str()).collect();
    names.sort_unstable();
    names.join(", ")
}

/// Reads a manifest to change it.
///
/// # Errors
/// It is not there, cannot be read, or is not a valid manifest.
pub fn open(global: &GlobalOptions, path: &Path) -> Result<ManifestEditor> {
    let text = bulkhead_workspace::Files::read(&global.place.disk, path)?.ok_or_else(|| {
        Diagnostic::error("manifest-unreadable", format!("failed to read `{}`: it is gone", path.display()))
    })?;
    Ok(ManifestEditor::parse(path, &text)?)
}

/// Puts the changed manifest in the place of the old one.
///
/// # Errors
/// It would not be a valid manifest; the file is a link that leaves its folder; the disk refuses.
pub fn write(editor: &ManifestEditor, path: &Path) -> Result<()> {
    disk::write_atomically(path, editor.finish()?.as_bytes())
}
