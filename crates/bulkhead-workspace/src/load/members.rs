//! The members of a workspace, and the packages that they reach by `path`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::manifest::{Manifest, Spanned};
use bulkhead_schema::{Dependency, DependencyKind, Diagnostic, Level, PackageId};

use super::repository::search;
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
                    // The next folder without a manifest would say the same of the same pattern.
                    break;
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
        match globs::expand(self.files, folder, entry.get_ref(), &mut self.folders_left) {
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

    /// Everything that members, patches, replacements and `overrides` reach by `path` and that is no member. Development
    /// dependencies count only for members, as in Cargo.
    pub(super) fn path_packages(
        &mut self,
        members: &[Arc<Package>],
        (patches, replacements, overrides): (&[Patch], &[Replacement], &[Arc<Package>]),
        unloaded: &mut Vec<Diagnostic>,
    ) -> BTreeMap<PackageId, Arc<Package>> {
        let known: BTreeSet<PackageId> = members.iter().map(|member| member.id).collect();
        let mut reached: BTreeMap<PackageId, Arc<Package>> = BTreeMap::new();
        let extra = patches.iter().map(|patch| &patch.dependency);
        let extra = extra.chain(replacements.iter().map(|replacement| &replacement.dependency));
        let wanted = extra.map(|dependency| (None, dependency.clone())).collect();
        self.reach(members, wanted, &known, &mut reached, unloaded);
        let others: Vec<_> = overrides.iter().filter(|package| !known.contains(&package.id)).map(Arc::clone).collect();
        reached.extend(others.iter().map(|package| (package.id, Arc::clone(package))));
        // Most of what stands below a folder of `paths` takes nobody's place, and what it lacks then stops nobody.
        self.reach(&others, Vec::new(), &known, &mut reached, &mut Vec::new());
        reached
    }

    /// Adds to `reached` what `start` and `wanted` (with the package that wants it) lead to by `path`.
    fn reach(
        &mut self,
        start: &[Arc<Package>],
        mut wanted: Vec<(Option<Arc<Package>>, Dependency)>,
        members: &BTreeSet<PackageId>,
        reached: &mut BTreeMap<PackageId, Arc<Package>>,
        unloaded: &mut Vec<Diagnostic>,
    ) {
        let mut pending = start.to_vec();
        loop {
            while let Some((by, dependency)) = wanted.pop() {
                match self.path_package(by.as_deref(), &dependency) {
                    Ok(Some(package)) if !members.contains(&package.id) && !reached.contains_key(&package.id) => {
                        reached.insert(package.id, Arc::clone(&package));
                        pending.push(package);
                    }
                    Ok(_) => {}
                    Err(finding) => unloaded.push(finding),
                }
            }
            let Some(package) = pending.pop() else { return };
            for dependency in &package.summary.dependencies {
                if members.contains(&package.id) || dependency.kind != DependencyKind::Development {
                    wanted.push((Some(Arc::clone(&package)), dependency.clone()));
                }
            }
        }
    }

    /// The packages in the folders of `paths` and below them. Of several with one name and version in a folder, the first.
    /// Only the manifest in the folder itself has to be sound.
    pub(super) fn overrides(&mut self, unloaded: &mut Vec<Diagnostic>) -> Vec<Arc<Package>> {
        let mut found = Vec::new();
        for folder in &self.options.overrides {
            let folder = path::join(folder, ".");
            let own = folder.join("Cargo.toml");
            let mut problems = Vec::new();
            let mut first: BTreeMap<_, Arc<Package>> = BTreeMap::new();
            for manifest_path in search(self.files, &folder, &BTreeSet::new(), &mut problems) {
                let before = self.findings.len();
                let is_package = self.manifest(&manifest_path).is_none_or(|manifest| manifest.package.is_some());
                let package = if is_package { self.package(&manifest_path) } else { None };
                let errors =
                    self.findings.split_off(before).into_iter().filter(|finding| finding.level == Level::Error);
                match package {
                    None if manifest_path == own => unloaded.extend(errors),
                    None => problems.extend(errors),
                    Some(package) => match first.get(&(package.id.name(), package.id.version())) {
                        Some(kept) => problems.push(duplicate(&package, kept)),
                        None => {
                            first.insert((package.id.name(), package.id.version()), Arc::clone(&package));
                            found.push(package);
                        }
                    },
                }
            }
            if first.is_empty() && unloaded.is_empty() {
                unloaded.push(super::missing(&own));
            }
            self.findings.extend(problems.into_iter().map(|problem| Diagnostic { level: Level::Warning, ..problem }));
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
        match errors.into_iter().find(|finding| finding.level == Level::Error) {
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

fn duplicate(package: &Package, kept: &Package) -> Diagnostic {
    let (skipped, kept) = (package.manifest_path.display(), kept.manifest_path.display());
    let (name, version) = (package.id.name(), package.id.version());
    let message = format!("skipping duplicate package `{name} v{version}`: {skipped} in favor of {kept}");
    Diagnostic::warning("duplicate-package", message)
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
