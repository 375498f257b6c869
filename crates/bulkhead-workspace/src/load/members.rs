//! The members of a workspace, and the packages that they reach by `path`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::manifest::{Manifest, Spanned};
use bulkhead_schema::{Dependency, DependencyKind, Diagnostic, PackageId};

use super::root::is_excluded;
use super::{Loader, Patch, Replacement, globs};
use crate::{Package, path};

impl Loader<'_> {
    /// The members in Cargo's order: each entry of `members` followed by the path dependencies it leads to inside the
    /// workspace's folder, at last the root package with its own.
    pub(super) fn members(&mut self, root: &Arc<Manifest>, folder: &Path) -> Option<Vec<Arc<Package>>> {
        let mut found = Found { root, folder, seen: BTreeSet::new(), members: Vec::new() };
        for entry in root.workspace.iter().flat_map(|table| &table.members) {
            for member in self.expand(root, folder, entry)? {
                let manifest_path = member.join("Cargo.toml");
                // A pattern passes over what is excluded; an entry that names a package outright wins over `exclude`.
                if root.workspace.as_ref().is_some_and(|table| is_excluded(folder, table, &manifest_path)) {
                    continue;
                }
                if !self.manifest_exists(&manifest_path) {
                    let via = if globs::is_pattern(entry.get_ref()) {
                        format!(" via `{}`", entry.get_ref())
                    } else {
                        String::new()
                    };
                    let message = format!(
                        "failed to load manifest for workspace member `{}`, referenced{via} by workspace at `{}`: failed \
                         to read `{}`: no such file",
                        member.display(),
                        root.path.display(),
                        manifest_path.display()
                    );
                    self.findings.push(root.error("member-missing", message, entry.span()));
                    continue;
                }
                self.follow(&mut found, manifest_path);
            }
        }
        if root.package.is_some() {
            self.follow(&mut found, root.path.clone());
        }
        let members = found.members;
        self.check_names(&members);
        Some(members)
    }

    /// Adds the package at `start`, and depth first what its path dependencies lead to.
    fn follow(&mut self, found: &mut Found<'_>, start: PathBuf) {
        let mut pending = vec![start];
        while let Some(manifest_path) = pending.pop() {
            if !found.seen.insert(manifest_path.clone()) {
                continue;
            }
            let Some(package) = self.package(&manifest_path) else { continue };
            if !found.is_root(&manifest_path) && !self.agrees_on_root(found.root, &manifest_path) {
                continue;
            }
            let mut next = Vec::new();
            if found.root.workspace.is_some() {
                for dependency in &package.summary.dependencies {
                    next.extend(self.inner_path_dependency(found, &package, dependency));
                }
            }
            found.members.push(package);
            pending.extend(next.into_iter().rev());
        }
    }

    /// The manifest of `dependency`, if it lies inside the workspace's folder and isn't excluded.
    fn inner_path_dependency(
        &mut self,
        found: &Found<'_>,
        package: &Package,
        dependency: &Dependency,
    ) -> Option<PathBuf> {
        let path = dependency.source.local_path()?;
        let manifest_path = path.join("Cargo.toml");
        let table = found.root.workspace.as_ref()?;
        if !path.starts_with(found.folder) || is_excluded(found.folder, table, &manifest_path) {
            return None;
        }
        if self.manifest_exists(&manifest_path) {
            return Some(manifest_path);
        }
        let missing = self.missing_dependency(package, dependency, &manifest_path);
        self.findings.push(missing);
        None
    }

    /// Whether the manifest at `path` is in the same workspace, and not the root of its own or of another one.
    fn agrees_on_root(&mut self, root: &Manifest, manifest_path: &Path) -> bool {
        let Some(manifest) = self.manifest(manifest_path) else { return false };
        match self.root_of(&manifest) {
            Some(theirs) if theirs == root.path => true,
            Some(theirs) if theirs == manifest_path => {
                let message = format!(
                    "multiple workspace roots found in the same workspace: `{}` and `{}`",
                    root.path.display(),
                    theirs.display()
                );
                self.findings.push(Diagnostic::error("workspace-root", message));
                false
            }
            _ => {
                let message = format!(
                    "package `{}` is a member of the wrong workspace, expected: `{}`",
                    manifest_path.display(),
                    root.path.display()
                );
                self.findings.push(Diagnostic::error("workspace-root", message));
                false
            }
        }
    }

    fn check_names(&mut self, members: &[Arc<Package>]) {
        let mut names: BTreeMap<&str, &Package> = BTreeMap::new();
        for member in members {
            if let Some(other) = names.insert(member.id.name().as_str(), member) {
                let message = format!(
                    "two packages named `{}` in this workspace: `{}` and `{}`",
                    member.id.name(),
                    other.manifest_path.display(),
                    member.manifest_path.display()
                );
                self.findings.push(Diagnostic::error("member-duplicate", message));
            }
        }
    }

    fn expand(&mut self, root: &Manifest, folder: &Path, entry: &Spanned<String>) -> Option<Vec<PathBuf>> {
        match globs::expand(self.files, folder, entry.get_ref()) {
            Ok(folders) => Some(folders),
            Err(reason) => {
                let message = format!("could not parse pattern `{}`: {reason}", entry.get_ref());
                self.findings.push(root.error("member-pattern", message, entry.span()));
                None
            }
        }
    }

    /// The members that commands act on by default: the package that the user stands in; at the root `default-members`,
    /// else the root package, else all.
    pub(super) fn default_members(
        &mut self,
        root: &Manifest,
        folder: &Path,
        members: &[Arc<Package>],
        current_path: &Path,
        current: Option<PackageId>,
    ) -> Option<Vec<PackageId>> {
        if let Some(id) = current.filter(|_| current_path != root.path) {
            return Some(vec![id]);
        }
        let table = root.workspace.as_ref();
        let Some(entries) = table.and_then(|table| table.default_members.as_ref()) else {
            return Some(current.map_or_else(|| members.iter().map(|member| member.id).collect(), |id| vec![id]));
        };
        let mut wanted = Vec::new();
        for entry in entries {
            for path in self.expand(root, folder, entry)? {
                match members.iter().find(|member| member.root == path) {
                    Some(member) if !wanted.contains(&member.id) => wanted.push(member.id),
                    Some(_) => {}
                    None if table.is_some_and(|table| is_excluded(folder, table, &path)) => {}
                    None => {
                        let message =
                            format!("package `{}` is listed in default-members but is not a member", path.display());
                        self.findings.push(root.error("default-members", message, entry.span()));
                    }
                }
            }
        }
        Some(wanted)
    }

    pub(super) fn not_a_member(&mut self, current: &Manifest, root_path: &Path) {
        let root_folder = root_path.parent().unwrap_or(root_path);
        let folder = current.path.parent().unwrap_or(root_path);
        let span = current.package.as_ref().map_or(0..0, |package| package.span.clone());
        let message = format!(
            "current package believes it's in a workspace when it's not: current: `{}`, workspace: `{}`",
            current.path.display(),
            root_path.display()
        );
        let relative = path::relative(root_folder, folder);
        let finding = current
            .error("not-a-member", message, span)
            .help(format!(
                "this may be fixable by adding `{}` to the `workspace.members` array of the manifest located at: {}",
                relative.display(),
                root_path.display()
            ))
            .help(
                "alternatively, to keep it out of the workspace, add the package to the `workspace.exclude` array, or add \
                 an empty `[workspace]` table to the package's manifest",
            );
        self.findings.push(finding);
    }

    /// Everything that members, patches and replacements reach by `path` and that is no member. Development dependencies
    /// count only for members, as in Cargo.
    pub(super) fn path_packages(
        &mut self,
        members: &[Arc<Package>],
        (patches, replacements, overrides): (&[Patch], &[Replacement], &[Arc<Package>]),
        unloaded: &mut Vec<Diagnostic>,
    ) -> BTreeMap<PackageId, Arc<Package>> {
        let known: BTreeSet<PackageId> = members.iter().map(|member| member.id).collect();
        let mut reached: BTreeMap<PackageId, Arc<Package>> = BTreeMap::new();
        let mut pending: Vec<(Arc<Package>, bool)> = members.iter().map(|member| (Arc::clone(member), true)).collect();
        for package in overrides.iter().filter(|package| !known.contains(&package.id)) {
            reached.insert(package.id, Arc::clone(package));
            pending.push((Arc::clone(package), false));
        }
        let extra = patches.iter().map(|patch| &patch.dependency);
        let extra = extra.chain(replacements.iter().map(|replacement| &replacement.dependency));
        let mut wanted: Vec<(Option<Arc<Package>>, Dependency)> =
            extra.map(|dependency| (None, dependency.clone())).collect();
        loop {
            while let Some((by, dependency)) = wanted.pop() {
                match self.path_package(by.as_deref(), &dependency) {
                    Ok(Some(package)) if !known.contains(&package.id) && !reached.contains_key(&package.id) => {
                        reached.insert(package.id, Arc::clone(&package));
                        pending.push((package, false));
                    }
                    Ok(_) => {}
                    Err(finding) => unloaded.push(finding),
                }
            }
            let Some((package, is_member)) = pending.pop() else { return reached };
            for dependency in &package.summary.dependencies {
                if is_member || dependency.kind != DependencyKind::Development {
                    wanted.push((Some(Arc::clone(&package)), dependency.clone()));
                }
            }
        }
    }

    /// The packages in the folders of `paths`.
    pub(super) fn overrides(&mut self, unloaded: &mut Vec<Diagnostic>) -> Vec<Arc<Package>> {
        let mut found = Vec::new();
        for folder in &self.options.overrides {
            let manifest_path = path::join(folder, "Cargo.toml");
            let before = self.findings.len();
            let package = if self.manifest_exists(&manifest_path) { self.package(&manifest_path) } else { None };
            match package {
                Some(package) => found.push(package),
                None => {
                    let errors = self.findings.split_off(before);
                    unloaded.push(errors.into_iter().next().unwrap_or_else(|| super::missing(&manifest_path)));
                }
            }
        }
        found
    }

    fn path_package(
        &mut self,
        by: Option<&Package>,
        dependency: &Dependency,
    ) -> Result<Option<Arc<Package>>, Diagnostic> {
        let Some(path) = dependency.source.local_path() else { return Ok(None) };
        let manifest_path = path.join("Cargo.toml");
        let before = self.findings.len();
        let package = if self.manifest_exists(&manifest_path) { self.package(&manifest_path) } else { None };
        if package.is_some() {
            return Ok(package);
        }
        // A broken package outside the workspace stops what resolves, not what only looks at the members.
        let errors = self.findings.split_off(before);
        match errors.into_iter().find(|finding| finding.level == bulkhead_schema::Level::Error) {
            Some(error) => Err(error),
            None => match by {
                Some(by) => Err(self.missing_dependency(by, dependency, &manifest_path)),
                None => Err(super::missing(&manifest_path)),
            },
        }
    }

    fn missing_dependency(&mut self, package: &Package, dependency: &Dependency, wanted: &Path) -> Diagnostic {
        let name = dependency.name_in_manifest();
        let message = format!(
            "failed to load `{name}`, a dependency of package `{}`: failed to read `{}`: no such file",
            package.id,
            wanted.display()
        );
        let Some(manifest) = self.manifest(&package.manifest_path) else {
            return Diagnostic::error("dependency-missing", message);
        };
        let entry = manifest.dependencies.iter().find(|entry| **entry.name.get_ref() == *name);
        manifest.error("dependency-missing", message, entry.map_or(0..0, |entry| entry.span.clone()))
    }

    fn manifest_exists(&self, path: &Path) -> bool {
        self.manifests.get(path).map_or_else(|| self.files.is_file(path), Option::is_some)
    }
}

/// The search for members as far as it has come.
struct Found<'a> {
    root: &'a Manifest,
    folder: &'a Path,
    seen: BTreeSet<PathBuf>,
    members: Vec<Arc<Package>>,
}

impl Found<'_> {
    fn is_root(&self, manifest_path: &Path) -> bool {
        self.root.path == manifest_path
    }
}
