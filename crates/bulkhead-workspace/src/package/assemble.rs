//! One manifest, with what it inherits and what lies beside it, → [`Package`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bulkhead_schema::manifest::{Inheritable, Manifest, PackageTable, Publish, Readme, Spanned};
use bulkhead_schema::{Dependency, Diagnostic, Features, PackageId, PackageName, SourceId, Summary, Symbol};
use semver::Version;

use super::targets::{self, Search};
use super::{DependencyRules, Inheritance, Package, PackageDetails, Standing, features, has_errors, lints};
use crate::{Edition, Files, Target, TargetKind, path};

/// Code of the advice to name an edition.
pub(crate) const NO_EDITION: &str = "no-edition";

/// What a package is assembled from.
#[derive(Clone, Copy)]
pub(crate) struct Assembly<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) manifest: &'a Manifest,
    pub(crate) package: &'a PackageTable,
    pub(crate) source: SourceId,
    pub(crate) inheritance: Inheritance<'a>,
    pub(crate) registry: &'a dyn Fn(&str) -> Result<Option<SourceId>, String>,
    pub(crate) standing: Standing<'a>,
}

/// The package; `None` if an error was added to `findings`.
pub(crate) fn assemble(assembly: &Assembly<'_>, findings: &mut Vec<Diagnostic>) -> Option<Package> {
    let before = findings.len();
    let Assembly { manifest, package, .. } = *assembly;
    let root = manifest.path.parent()?;
    let name = assembly.name(findings)?;
    let version = assembly.version(findings);
    let edition = assembly.edition(findings);
    assembly.refuse_legacy_keys(edition, findings);
    let search = Search {
        files: assembly.files,
        manifest,
        package,
        name: name.as_str(),
        root,
        edition,
        standing: assembly.standing,
    };
    let targets = targets::targets(&search, findings);
    let dependencies = assembly.dependencies(root, edition, findings);
    let features = features::features(manifest, &dependencies, findings);
    let rust_version = assembly.rust_version(edition, findings);
    assembly.check_links(&targets, findings);
    assembly.check_default_run(&targets, findings);
    let lints = assembly.inheritance.lints(manifest, findings);
    let details = assembly.details(root, &features, findings);
    if has_errors(&findings[before..]) {
        return None;
    }
    let id = PackageId::new(name, version?, assembly.source);
    Some(Package {
        id,
        manifest_path: manifest.path.clone(),
        root: root.to_owned(),
        edition,
        targets,
        summary: Arc::new(Summary {
            id,
            dependencies,
            features: Arc::new(features),
            links: package.links.as_ref().map(|links| Symbol::new(links.get_ref())),
            checksum: None,
            rust_version,
            yanked: false,
        }),
        default_run: package.default_run.as_ref().map(|name| Symbol::new(name.get_ref())),
        lint_flags: lints.map(lints::lint_flags).unwrap_or_default(),
        check_cfg: lints.map(lints::check_cfg).unwrap_or_default(),
        details,
    })
}

impl<'a> Assembly<'a> {
    fn name(&self, findings: &mut Vec<Diagnostic>) -> Option<PackageName> {
        let Some(name) = &self.package.name else {
            findings.push(self.manifest.error(
                "missing-name",
                "missing field `package.name`",
                self.package.span.clone(),
            ));
            return None;
        };
        let text = name.get_ref();
        let parsed = match self.standing {
            Standing::Archive => PackageName::registry(text),
            Standing::Local | Standing::Repository { .. } => PackageName::local(text),
        };
        parsed.map_err(|error| findings.push(self.manifest.error("package-name", error.to_string(), name.span()))).ok()
    }

    fn version(&self, findings: &mut Vec<Diagnostic>) -> Option<Version> {
        let Some((text, _)) = self.inheritance.field(self.manifest, "version", |package| &package.version, findings)
        else {
            return Some(Version::new(0, 0, 0));
        };
        let span = self.package.version.as_ref().map_or(self.package.span.clone(), Spanned::span);
        Version::parse(text.trim())
            .map_err(|reason| {
                let message = format!("invalid `package.version` `{text}`: {reason}");
                findings.push(self.manifest.error("package-version", message, span));
            })
            .ok()
    }

    fn edition(&self, findings: &mut Vec<Diagnostic>) -> Edition {
        match self.inheritance.field(self.manifest, "edition", |package| &package.edition, findings) {
            Some((text, _)) => {
                let span = self.package.edition.as_ref().map_or(self.package.span.clone(), Spanned::span);
                super::edition(self.manifest, text, span, findings)
            }
            None => {
                self.recommend_edition(findings);
                Edition::E2015
            }
        }
    }

    /// Says which edition the package could have, if it names none.
    fn recommend_edition(&self, findings: &mut Vec<Diagnostic>) {
        let supported = |edition: &Edition| match self.package.rust_version.as_ref().map(Spanned::get_ref) {
            Some(Inheritable::Value(text)) => {
                partial_version(text).is_some_and(|version| edition.first_version() <= version)
            }
            _ => true,
        };
        let Some(newest) = Edition::ALL.into_iter().rev().find(supported).filter(|found| *found != Edition::E2015)
        else {
            return;
        };
        let reason = match self.package.rust_version {
            Some(_) => format!("{} is compatible with `rust-version`", newest.as_str()),
            None => format!("the latest is {}", newest.as_str()),
        };
        let message = format!("no edition set: defaulting to the 2015 edition while {reason}");
        if !self.standing.is_foreign() {
            findings.push(self.manifest.warning(NO_EDITION, message, self.package.span.clone()));
        }
    }

    fn refuse_legacy_keys(&self, edition: Edition, findings: &mut Vec<Diagnostic>) {
        if edition < Edition::E2024 {
            return;
        }
        for key in &self.manifest.legacy_keys {
            let new = key.get_ref();
            let old = if new == "package" { "project".to_owned() } else { new.replace('-', "_") };
            let message = format!("`{old}` is unsupported as of the 2024 edition; instead use `{new}`");
            findings.push(self.manifest.error("manifest-legacy-key", message, key.span()));
        }
    }

    fn rust_version(&self, edition: Edition, findings: &mut Vec<Diagnostic>) -> Option<Version> {
        let (text, _) =
            self.inheritance.field(self.manifest, "rust-version", |package| &package.rust_version, findings)?;
        let span = self.package.rust_version.as_ref().map_or(self.package.span.clone(), Spanned::span);
        let problem = match partial_version(text) {
            Some(version) if version >= edition.first_version() || self.standing.is_foreign() => return Some(version),
            Some(_) => format!(
                "rust-version {text} is incompatible with the version ({}) required by the specified edition ({})",
                edition.first_version(),
                edition.as_str()
            ),
            None => format!("invalid `rust-version` `{text}`, expected a version like \"1.32\""),
        };
        findings.push(self.manifest.error("rust-version", problem, span));
        None
    }

    fn dependencies(&self, root: &Path, edition: Edition, findings: &mut Vec<Diagnostic>) -> Vec<Dependency> {
        let rules = DependencyRules { manifest: self.manifest, registry: self.registry, standing: self.standing };
        let mut dependencies = Vec::with_capacity(self.manifest.dependencies.len());
        for table in &self.manifest.dependencies {
            let edition_2024 = edition >= Edition::E2024;
            let Some((table, folder)) = self.inheritance.dependency(self.manifest, table, edition_2024, findings)
            else {
                continue;
            };
            dependencies.extend(rules.dependency(&table, folder.as_deref().unwrap_or(root), findings));
        }
        dependencies
    }

    fn check_links(&self, targets: &[Arc<Target>], findings: &mut Vec<Diagnostic>) {
        if let Some(links) = &self.package.links
            && !targets.iter().any(|target| target.is_build_script())
        {
            let message = format!(
                "package specifies that it links to `{}` but does not have a custom build script",
                links.get_ref()
            );
            findings.push(self.manifest.error("links", message, links.span()));
        }
    }

    fn check_default_run(&self, targets: &[Arc<Target>], findings: &mut Vec<Diagnostic>) {
        if let Some(name) = &self.package.default_run
            && !targets.iter().any(|target| target.kind == TargetKind::Bin && *target.name == **name.get_ref())
        {
            let message = format!("default-run target `{}` not found", name.get_ref());
            findings.push(self.manifest.error("default-run", message, name.span()));
        }
    }

    fn details(&self, root: &Path, features: &Features, findings: &mut Vec<Diagnostic>) -> PackageDetails {
        let package = self.package;
        let mut text = |name: &str, field: fn(&PackageTable) -> &Field<String>| {
            self.inheritance.field(self.manifest, name, field, findings).map(|(value, _)| value.clone())
        };
        let description = text("description", |package| &package.description);
        let homepage = text("homepage", |package| &package.homepage);
        let documentation = text("documentation", |package| &package.documentation);
        let repository = text("repository", |package| &package.repository);
        let license = text("license", |package| &package.license);
        let rust_version = text("rust-version", |package| &package.rust_version);
        let mut list = |name: &str, field: fn(&PackageTable) -> &Field<Vec<String>>| {
            self.inheritance
                .field(self.manifest, name, field, findings)
                .map(|(value, _)| value.clone())
                .unwrap_or_default()
        };
        let authors = list("authors", |package| &package.authors);
        let keywords = list("keywords", |package| &package.keywords);
        let categories = list("categories", |package| &package.categories);
        let exclude = list("exclude", |package| &package.exclude);
        let include = list("include", |package| &package.include);
        let license_file =
            self.inheritance.field(self.manifest, "license-file", |package| &package.license_file, findings);
        PackageDetails {
            authors,
            description,
            homepage,
            documentation,
            readme: self.readme(root, findings),
            repository,
            license,
            license_file: license_file.map(|(file, inherited)| self.rebased(root, file, inherited)),
            keywords,
            categories,
            rust_version,
            links: package.links.as_ref().map(|links| links.get_ref().clone()),
            publish: self.publish(findings),
            metadata: package.metadata.clone(),
            hints: self.manifest.hints.clone(),
            exclude,
            include,
            features: written_features(self.manifest, features),
        }
    }

    /// `readme` as named, else the first of the usual files that is there.
    fn readme(&self, root: &Path, findings: &mut Vec<Diagnostic>) -> Option<String> {
        match self.inheritance.field(self.manifest, "readme", |package| &package.readme, findings) {
            Some((Readme::Flag(false), _)) => None,
            Some((Readme::Flag(true), inherited)) => Some(self.rebased(root, "README.md", inherited)),
            Some((Readme::Path(path), inherited)) => Some(self.rebased(root, path, inherited)),
            None => {
                let usual = ["README.md", "README.txt", "README"];
                usual.into_iter().find(|name| self.files.is_file(&root.join(name))).map(str::to_owned)
            }
        }
    }

    /// A file named in `[workspace.package]` is relative to the workspace's root; here it is relative to the package.
    fn rebased(&self, root: &Path, file: &str, inherited: bool) -> String {
        match self.inheritance.folder().filter(|_| inherited) {
            Some(folder) => path::relative(root, &path::join(folder, file)).to_string_lossy().into_owned(),
            None => file.to_owned(),
        }
    }

    /// Without a version a package is not to be published.
    fn publish(&self, findings: &mut Vec<Diagnostic>) -> Option<Vec<String>> {
        let field = self.inheritance.field(self.manifest, "publish", |package| &package.publish, findings);
        let versioned = self.package.version.is_some();
        match field.map(|(publish, _)| publish) {
            None if versioned => None,
            None | Some(Publish::Flag(false)) => Some(Vec::new()),
            Some(Publish::Registries(names)) if versioned || names.is_empty() => Some(names.clone()),
            Some(Publish::Flag(true)) if versioned => None,
            Some(_) => {
                let span = self.package.publish.as_ref().map_or(self.package.span.clone(), Spanned::span);
                let message = "`package.publish` requires `package.version` be specified";
                findings.push(self.manifest.error("publish", message, span));
                None
            }
        }
    }
}

type Field<T> = Option<Spanned<Inheritable<T>>>;

/// The features as `cargo metadata` prints them: those of the manifest as written, and the implicit ones.
fn written_features(manifest: &Manifest, features: &Features) -> BTreeMap<Symbol, Vec<String>> {
    let mut written: BTreeMap<Symbol, Vec<String>> =
        features.iter().map(|(&name, values)| (name, values.iter().map(ToString::to_string).collect())).collect();
    for (name, values) in &manifest.features {
        written.insert(Symbol::new(name.get_ref()), values.iter().map(|value| value.get_ref().clone()).collect());
    }
    written
}

/// `1`, `1.70` or `1.70.2`, missing parts being zero; no operators, no pre-release.
fn partial_version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u64>().ok()).flatten()
    });
    let version = Version::new(parts.next()??, parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    parts.next().is_none().then_some(version)
}
