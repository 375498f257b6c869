//! From a manifest's path to the workspace it belongs to.

mod globs;
mod members;
mod repository;
mod root;

pub use repository::{Repository, load_repository};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::manifest::{self, DependencyTable, Manifest, Origin, ProfileTable};
use bulkhead_schema::secrets::without_password;
use bulkhead_schema::{Dependency, Diagnostic, Level, PackageId, SourceId};

use crate::package::{
    Assembly, DependencyRules, Inheritance, MISSING_FILE, NO_EDITION, Standing, assemble, has_errors,
};
use crate::{Edition, Files, Package, Profiles};

/// What loading has to be told.
pub struct LoadOptions<'a> {
    /// Absolute, normalised path of a `Cargo.toml`: of the workspace's root or of any package in it.
    pub manifest_path: PathBuf,
    /// Folders at which the upward search for the workspace's root ends without looking into them, such as
    /// `$CARGO_HOME`.
    pub ceilings: Vec<PathBuf>,
    /// The registry that configuration calls by a name (`registry = "name"`, `[patch.name]`). `crates-io` is known.
    /// The error says what is wrong with its definition.
    pub registry: &'a dyn Fn(&str) -> Result<Option<SourceId>, String>,
    /// `[profile.*]` of the configuration, which wins over the manifest.
    pub profiles: BTreeMap<String, ProfileTable>,
    /// `[patch]` of the configuration, which wins over entries of the same name in the manifest.
    pub patches: Vec<ConfiguredPatch>,
    /// `paths` of the configuration: absolute folders of packages that take the place of others.
    pub overrides: Vec<PathBuf>,
}

/// One entry of `[patch]` in the configuration.
#[derive(Debug, Clone)]
pub struct ConfiguredPatch {
    /// The registry's name or the URL whose packages are replaced.
    pub source: String,
    /// What replaces them; its path, if it has one, is absolute.
    pub entry: DependencyTable,
    /// The file, or what else defines it.
    pub origin: PathBuf,
    /// Whether a file of the project does.
    pub from_project: bool,
}

/// Which rules resolution follows (Cargo Book, "Resolver versions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResolverBehavior {
    /// `"1"`: one set of features per package.
    V1,
    /// `"2"`: separate features for build dependencies, other platforms and tests.
    V2,
    /// `"3"`: as 2, and versions that suit `rust-version` are preferred.
    V3,
}

/// One entry of `[patch.SOURCE]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// The source whose packages are replaced.
    pub source: SourceId,
    /// What replaces one of them.
    pub dependency: Dependency,
    /// The root manifest, or what else defines it.
    pub origin: PathBuf,
    /// Whether a configuration file of the project does.
    pub from_project: bool,
}

/// One entry of `[replace]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// The package id specification that is replaced.
    pub spec: String,
    /// What replaces it.
    pub dependency: Dependency,
}

/// A loaded workspace; a lone package is a workspace of one.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Absolute path of the root's `Cargo.toml`.
    pub root_manifest: PathBuf,
    /// Its folder, where `Cargo.lock` and `target/` are.
    pub root: PathBuf,
    /// Whether the root manifest has no package of its own.
    pub is_virtual: bool,
    /// The members, in Cargo's order.
    pub members: Vec<Arc<Package>>,
    /// The members that commands act on where the user names none and stands in no member.
    pub default_members: Vec<PackageId>,
    /// The package whose manifest was asked for, unless that was a virtual manifest.
    pub current: Option<PackageId>,
    /// Packages that members reach by `path` and that are no members, `[patch]` and `[replace]` included.
    pub path_packages: BTreeMap<PackageId, Arc<Package>>,
    /// `[profile.*]` of root manifest and configuration.
    pub profiles: Profiles,
    /// The resolver's version.
    pub resolver: ResolverBehavior,
    /// `[patch]` of the root manifest and of the configuration.
    pub patches: Vec<Patch>,
    /// `[replace]`
    pub replacements: Vec<Replacement>,
    /// The packages of `paths` in the configuration, which are among `path_packages` or members.
    pub overrides: Vec<PackageId>,
    /// `[workspace.metadata]`, as JSON.
    pub metadata: Option<serde_json::Value>,
    /// Path dependencies outside the workspace's folder that could not be loaded. Whatever resolves dependencies must
    /// report them as its errors; what only shows the members need not.
    pub unloaded: Vec<Diagnostic>,
    /// Examples, tests and benchmarks whose file is missing. Whatever compiles must report them as its errors; what only
    /// looks or resolves need not.
    pub missing_targets: Vec<Diagnostic>,
}

impl Workspace {
    /// The member or path package `id`.
    pub fn package(&self, id: PackageId) -> Option<&Arc<Package>> {
        self.members.iter().find(|package| package.id == id).or_else(|| self.path_packages.get(&id))
    }

    /// Whether `id` is a member.
    pub fn is_member(&self, id: PackageId) -> bool {
        self.members.iter().any(|package| package.id == id)
    }
}

/// Loads the workspace that [`LoadOptions::manifest_path`] belongs to, and what there is to warn of.
///
/// # Errors
///
/// Everything that was found to be wrong, warnings included.
pub fn load(files: &dyn Files, options: &LoadOptions<'_>) -> Result<(Workspace, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut loader = Loader::new(files, options, Standing::Local);
    let workspace = loader.workspace();
    let mut findings = loader.findings;
    remove_duplicates(&mut findings);
    match workspace {
        Some(mut workspace) if !has_errors(&findings) => {
            let missing = findings.extract_if(.., |finding| finding.code == MISSING_FILE);
            workspace.missing_targets = missing.map(|finding| Diagnostic { level: Level::Error, ..finding }).collect();
            findings.retain(|finding| finding.code != NO_EDITION || is_about_member(finding, &workspace));
            Ok((workspace, findings))
        }
        _ => Err(findings),
    }
}

/// Whether a finding is in the manifest of a member: advice about other packages is not for this project.
fn is_about_member(finding: &Diagnostic, workspace: &Workspace) -> bool {
    let location = finding.location.as_ref();
    location.is_none_or(|found| workspace.members.iter().any(|member| member.manifest_path == found.path))
}

/// Loads the package of the user's own whose manifest is [`LoadOptions::manifest_path`], whether or not it is a member of
/// the workspace around it.
///
/// # Errors
///
/// Everything that was found to be wrong.
pub fn load_local(files: &dyn Files, options: &LoadOptions<'_>) -> Result<Arc<Package>, Vec<Diagnostic>> {
    let mut loader = Loader::new(files, options, Standing::Local);
    let found = loader.manifest_or_report(&options.manifest_path).is_some();
    let package = found.then(|| loader.package(&options.manifest_path)).flatten();
    package.filter(|_| !has_errors(&loader.findings)).ok_or(loader.findings)
}

/// Loads one downloaded package, unpacked in the store or vendored. What a vendored package of a repository needs by `path`
/// is a package of the same repository.
///
/// `[workspace]`, `[patch]` and `[profile]` are not read, nothing is inherited, and every path must be relative and stay
/// inside the package: a published crate must not make the build compile files of the machine.
///
/// # Errors
///
/// Everything that was found to be wrong.
pub fn load_package(
    files: &dyn Files,
    manifest_path: &Path,
    source: SourceId,
) -> Result<Arc<Package>, Vec<Diagnostic>> {
    let text = read(files, manifest_path).map_err(|error| vec![error])?;
    let (manifest, mut findings) = manifest::parse(manifest_path, &text, Origin::Downloaded)?;
    let Some(table) = &manifest.package else {
        let message = format!("`{}` is a virtual manifest, but a package was wanted", manifest_path.display());
        return Err(vec![Diagnostic::error("manifest-virtual", message)]);
    };
    let root = manifest_path.parent().unwrap_or(manifest_path);
    let standing = if source.is_git() { Standing::Repository { root, source } } else { Standing::Archive };
    let assembly = Assembly {
        files,
        manifest: &manifest,
        package: table,
        source,
        inheritance: Inheritance { root: None },
        registry: &|_| Ok(None),
        standing,
    };
    let package = assemble(&assembly, &mut findings);
    findings.retain(|finding| finding.level == Level::Error);
    package.map(Arc::new).ok_or(findings)
}

/// The `Cargo.toml` in `cwd` or the nearest folder above it.
///
/// # Errors
///
/// There is none.
pub fn find_manifest(files: &dyn Files, cwd: &Path) -> Result<PathBuf, Diagnostic> {
    cwd.ancestors().map(|dir| dir.join("Cargo.toml")).find(|path| files.is_file(path)).ok_or_else(|| {
        let message = format!("could not find `Cargo.toml` in `{}` or any parent directory", cwd.display());
        Diagnostic::error("manifest-not-found", message)
    })
}

/// The state of one loading: every manifest is read once.
struct Loader<'a> {
    files: &'a dyn Files,
    options: &'a LoadOptions<'a>,
    /// Where the packages stand.
    standing: Standing<'a>,
    /// By path; `None` for a manifest that is absent or wrong, which has been reported.
    manifests: BTreeMap<PathBuf, Option<Arc<Manifest>>>,
    packages: BTreeMap<PathBuf, Option<Arc<Package>>>,
    findings: Vec<Diagnostic>,
    /// How many folders patterns may still lead through.
    folders_left: usize,
}

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files, options: &'a LoadOptions<'a>, standing: Standing<'a>) -> Self {
        Self {
            files,
            options,
            standing,
            manifests: BTreeMap::new(),
            packages: BTreeMap::new(),
            findings: Vec::new(),
            folders_left: globs::MAX_FOLDERS,
        }
    }
}

impl Loader<'_> {
    fn workspace(&mut self) -> Option<Workspace> {
        let current_path = self.options.manifest_path.clone();
        let current = self.manifest_or_report(&current_path)?;
        let root_path = self.root_of(&current).unwrap_or_else(|| current_path.clone());
        let root = self.manifest_or_report(&root_path)?;
        let root_folder = root_path.parent()?.to_owned();
        let members = self.members(&root, &root_folder)?;
        for member in members.iter().filter(|member| member.manifest_path != root_path) {
            self.warn_of_root_only_sections(&member.manifest_path, &root_path);
        }
        let current_id = match &current.package {
            Some(_) => Some(self.package(&current_path)?.id),
            None => None,
        };
        if let Some(id) = current_id
            && !members.iter().any(|member| member.id == id)
        {
            self.not_a_member(&current, &root_path);
            return None;
        }
        let default_members = self.default_members(&root, &root_folder, &members, &current_path, current_id)?;
        let resolver = self.resolver(&root, &members);
        if let (Some((patch, _)), Some(_)) = (root.patches.first(), root.replacements.first()) {
            let message = "cannot specify both [replace] and [patch]";
            self.findings.push(root.error("replace", message, patch.span()));
        }
        let (patches, replacements) = (self.patches(&root, &root_folder), self.replacements(&root, &root_folder));
        let mut unloaded = Vec::new();
        let overrides = self.overrides(&mut unloaded);
        let extra = (patches.as_slice(), replacements.as_slice(), overrides.as_slice());
        let path_packages = self.path_packages(&members, extra, &mut unloaded);
        self.useless_panic(&root, &root_path);
        let profiles = match Profiles::new(root.profiles.clone(), self.options.profiles.clone()) {
            Ok(profiles) => profiles,
            Err(errors) => {
                self.findings.extend(errors);
                return None;
            }
        };
        Some(Workspace {
            root_manifest: root_path,
            root: root_folder,
            is_virtual: root.package.is_none(),
            members,
            default_members,
            current: current_id,
            path_packages,
            profiles,
            resolver,
            patches,
            replacements,
            overrides: overrides.iter().map(|package| package.id).collect(),
            metadata: root.workspace.as_ref().and_then(|table| table.metadata.clone()),
            unloaded,
            missing_targets: Vec::new(),
        })
    }

    /// The parsed manifest at `path`; its findings are reported once. `Ok(None)` if there is no such file, or it was
    /// wrong (and has been reported).
    fn manifest(&mut self, path: &Path) -> Option<Arc<Manifest>> {
        if let Some(known) = self.manifests.get(path) {
            return known.clone();
        }
        let outside = matches!(self.standing, Standing::Repository { root, .. } if !path.starts_with(root));
        let parsed = match self.files.read(path) {
            _ if outside => None,
            Ok(None) => None,
            Ok(Some(text)) => match manifest::parse(path, &text, Origin::Local) {
                Ok((manifest, warnings)) => {
                    self.findings.extend(warnings);
                    Some(Arc::new(manifest))
                }
                Err(errors) => {
                    self.findings.extend(errors);
                    None
                }
            },
            Err(error) => {
                self.findings.push(error);
                None
            }
        };
        self.manifests.insert(path.to_owned(), parsed.clone());
        parsed
    }

    /// The same, and a missing file is reported too.
    fn manifest_or_report(&mut self, path: &Path) -> Option<Arc<Manifest>> {
        let found = self.manifest(path);
        if found.is_none() && !has_errors(&self.findings) {
            self.findings.push(missing(path));
        }
        found
    }

    /// The package of the manifest at `path`, which exists and is not virtual; its findings are reported once.
    fn package(&mut self, path: &Path) -> Option<Arc<Package>> {
        if let Some(known) = self.packages.get(path) {
            return known.clone();
        }
        let package = self.assemble(path);
        self.packages.insert(path.to_owned(), package.clone());
        package
    }

    fn assemble(&mut self, path: &Path) -> Option<Arc<Package>> {
        let manifest = self.manifest(path)?;
        let Some(table) = &manifest.package else {
            let message = format!("`{}` is a virtual manifest, but a package was wanted", path.display());
            self.findings.push(manifest.error("manifest-virtual", message, 0..0));
            return None;
        };
        let root = self.root_of(&manifest).and_then(|root| self.manifest(&root));
        let source = match self.standing {
            Standing::Repository { source, .. } => Ok(source),
            _ => SourceId::path(path.parent()?),
        };
        let source =
            source.map_err(|error| self.findings.push(manifest.error("manifest-path", error.to_string(), 0..0)));
        let assembly = Assembly {
            files: self.files,
            manifest: &manifest,
            package: table,
            source: source.ok()?,
            inheritance: Inheritance { root: root.as_deref() },
            registry: self.options.registry,
            standing: self.standing,
        };
        assemble(&assembly, &mut self.findings).map(Arc::new)
    }

    fn resolver(&mut self, root: &Manifest, members: &[Arc<Package>]) -> ResolverBehavior {
        let setting = root.package.as_ref().and_then(|package| package.resolver.as_ref());
        let setting = setting.or_else(|| root.workspace.as_ref()?.resolver.as_ref());
        let implied = |edition: Edition| match edition {
            Edition::E2015 | Edition::E2018 => ResolverBehavior::V1,
            Edition::E2021 => ResolverBehavior::V2,
            Edition::E2024 => ResolverBehavior::V3,
        };
        if let Some(setting) = setting {
            match setting.get_ref().as_str() {
                "1" => return ResolverBehavior::V1,
                "2" => return ResolverBehavior::V2,
                "3" => return ResolverBehavior::V3,
                other => {
                    let message =
                        format!("`resolver` setting `{other}` is not valid, valid options are \"1\", \"2\" or \"3\"");
                    self.findings.push(root.error("resolver", message, setting.span()));
                }
            }
        }
        if root.package.is_some() {
            let package = members.iter().find(|member| member.manifest_path == root.path);
            return package.map_or(ResolverBehavior::V1, |package| implied(package.edition));
        }
        if let Some(newest) =
            members.iter().map(|member| member.edition).max().filter(|edition| *edition >= Edition::E2021)
        {
            let message = format!(
                "virtual workspace defaulting to `resolver = \"1\"` despite one or more workspace members being on \
                 edition {} which implies `resolver = \"{}\"`",
                newest.as_str(),
                if newest == Edition::E2024 { "3" } else { "2" }
            );
            let advice = "specify `workspace.resolver` in the workspace root's manifest";
            let span = root.workspace.as_ref().map_or(0..0, |table| table.span.clone());
            self.findings.push(root.warning("virtual-resolver", message, span).help(advice));
        }
        ResolverBehavior::V1
    }

    fn patches(&mut self, root: &Manifest, folder: &Path) -> Vec<Patch> {
        let mut patches = Vec::new();
        let configured = &self.options.patches;
        for (name, tables) in &root.patches {
            let Some(source) = self.patched_source(root, name) else { continue };
            for table in tables {
                let same = |patch: &&ConfiguredPatch| patch.entry.name.get_ref() == table.name.get_ref();
                if configured.iter().filter(same).any(|patch| self.source_named(&patch.source) == Some(source)) {
                    continue;
                }
                self.warn_of_unused_fields(table);
                if let Some(dependency) = self.root_dependency(root, table, folder) {
                    patches.push(Patch { source, dependency, origin: root.path.clone(), from_project: false });
                }
            }
        }
        for patch in configured {
            let ConfiguredPatch { source, entry, origin, from_project } = patch;
            // Findings are about the file that defines the patch; it was read elsewhere.
            let Ok((file, _)) = manifest::parse(origin, &Arc::from("[workspace]\n"), Origin::Local) else { continue };
            let Some(source) = self.patched_source(&file, &manifest::Spanned::new(0..0, source.clone())) else {
                continue;
            };
            if let Some(dependency) = self.root_dependency(&file, entry, folder) {
                patches.push(Patch { source, dependency, origin: origin.clone(), from_project: *from_project });
            }
        }
        patches
    }

    /// The source that `[patch.NAME]` is about.
    fn patched_source(&mut self, file: &Manifest, name: &manifest::Spanned<String>) -> Option<SourceId> {
        let source = self.source_named(name.get_ref());
        if source.is_none() {
            let shown = without_password(name.get_ref());
            let advice = if shown == *name.get_ref() { "" } else { " without a password" };
            let message = format!("[patch] entry `{shown}` should be a URL{advice} or registry name");
            self.findings.push(file.error("patch", message, name.span()));
        }
        source
    }

    fn source_named(&self, text: &str) -> Option<SourceId> {
        match text {
            "crates-io" => Some(SourceId::crates_io()),
            _ => (self.options.registry)(text).ok().flatten().or_else(|| patched_url(text)),
        }
    }

    fn warn_of_unused_fields(&mut self, table: &DependencyTable) {
        let fields = [("features", !table.features.is_empty()), ("default-features", table.default_features.is_some())];
        for (field, _) in fields.into_iter().filter(|(_, used)| *used) {
            let message = format!("unused field in patch for `{}`: `{field}`", table.name.get_ref());
            let advice = format!("configure `{field}` in the `dependencies` entry");
            self.findings.push(Diagnostic::warning("patch-unused-field", message).help(advice));
        }
    }

    fn replacements(&mut self, root: &Manifest, folder: &Path) -> Vec<Replacement> {
        let mut replacements = Vec::with_capacity(root.replacements.len());
        for table in &root.replacements {
            // The key is a package id specification such as `name:1.2.3` or `URL#name@1.2.3`.
            let spec = table.name.get_ref().clone();
            let tail = spec.rsplit('#').next().unwrap_or_default();
            let name = tail.split([':', '@']).next().unwrap_or_default().to_owned();
            if !tail.contains([':', '@']) {
                let message = format!("replacements must specify a version to replace, but `{spec}` does not");
                self.findings.push(root.error("replace", message, table.name.span()));
            }
            if let Some(version) = &table.version {
                let message = format!("replacements cannot specify a version requirement, but found one for `{spec}`");
                self.findings.push(root.error("replace", message, version.span()));
                continue;
            }
            let mut table = table.clone();
            table.name = manifest::Spanned::new(table.name.span(), name);
            if let Some(dependency) = self.root_dependency(root, &table, folder) {
                replacements.push(Replacement { spec, dependency });
            }
        }
        replacements
    }

    fn root_dependency(&mut self, root: &Manifest, table: &DependencyTable, folder: &Path) -> Option<Dependency> {
        let rules = DependencyRules { manifest: root, registry: self.options.registry, standing: self.standing };
        rules.dependency(table, folder, &mut self.findings)
    }

    /// Cargo passes over these sections of members; so that nobody wonders, it says so.
    fn warn_of_root_only_sections(&mut self, path: &Path, root_path: &Path) {
        let Some(member) = self.manifest(path) else { return };
        let sections = [
            ("profiles", !member.profiles.is_empty()),
            ("patch", !member.patches.is_empty()),
            ("replace", !member.replacements.is_empty()),
        ];
        for (what, present) in sections {
            if present {
                let message = format!(
                    "{what} for the non root package will be ignored, specify {what} at the workspace root:\n\
                     package:   {}\nworkspace: {}",
                    path.display(),
                    root_path.display()
                );
                self.findings.push(Diagnostic::warning("non-root-section", message));
            }
        }
    }

    /// Tests unwind, whatever their profile says.
    fn useless_panic(&mut self, root: &Manifest, path: &Path) {
        let is_set = |name: &&str| root.profiles.get(*name).is_some_and(|table| table.panic.is_some());
        // Cargo names the file where it is not the package's.
        let place = if root.package.is_none() { format!("{}: ", path.display()) } else { String::new() };
        for name in ["bench", "test"].into_iter().filter(is_set) {
            let message = format!("{place}`panic` setting is ignored for `{name}` profile");
            self.findings.push(Diagnostic::warning("profile-panic", message));
        }
    }
}

/// The source that `[patch."URL"]` replaces.
fn patched_url(text: &str) -> Option<SourceId> {
    let known = ["git+", "registry+", "sparse+"].iter().any(|prefix| text.starts_with(prefix));
    let text = if known { text.to_owned() } else { format!("git+{text}") };
    SourceId::parse(&text).ok()
}

fn read(files: &dyn Files, path: &Path) -> Result<Arc<str>, Diagnostic> {
    files.read(path)?.ok_or_else(|| missing(path))
}

fn missing(path: &Path) -> Diagnostic {
    Diagnostic::error("manifest-not-found", format!("failed to read `{}`: no such file", path.display()))
}

/// A field that is read twice is reported twice; once is enough.
fn remove_duplicates(findings: &mut Vec<Diagnostic>) {
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(findings.len());
    for finding in findings.drain(..) {
        if !kept.contains(&finding) {
            kept.push(finding);
        }
    }
    *findings = kept;
}
