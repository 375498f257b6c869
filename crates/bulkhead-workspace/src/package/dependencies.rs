//! Entries of dependency tables → [`Dependency`].

use std::path::Path;

use bulkhead_schema::manifest::{DependencyTable, Manifest, Spanned};
use bulkhead_schema::platform::Platform;
use bulkhead_schema::{Dependency, DependencyKind, Diagnostic, GitReference, PackageName, SourceId, Symbol, git};
use semver::VersionReq;

use super::Standing;
use crate::path;

/// How dependencies of one manifest are read.
#[derive(Clone, Copy)]
pub(crate) struct DependencyRules<'a> {
    /// The manifest, for messages and relative paths.
    pub(crate) manifest: &'a Manifest,
    /// Sources of registries by name.
    pub(crate) registry: &'a dyn Fn(&str) -> Result<Option<SourceId>, String>,
    /// In an archive `path` is passed over and names are ASCII; in a repository `path` means the same repository.
    pub(crate) standing: Standing<'a>,
}

impl DependencyRules<'_> {
    /// The dependency that `table` (already inherited) stands for. `folder` is where its `path` starts.
    pub(crate) fn dependency(
        self,
        table: &DependencyTable,
        folder: &Path,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Dependency> {
        let before = findings.len();
        let mut fail = |message: String, span| findings.push(self.manifest.error("dependency", message, span));
        let key = table.name.get_ref().as_str();
        let real = table.package.as_ref().unwrap_or(&table.name);
        for name in [&table.name, real] {
            if let Err(problem) = self.name(name.get_ref()) {
                fail(problem.to_string(), name.span());
                return None;
            }
        }
        if table.optional == Some(true) && table.kind == DependencyKind::Development {
            fail(format!("dev-dependencies are not allowed to be optional: `{key}`"), table.span.clone());
        }
        for feature in &table.features {
            if let Some(problem) = feature_problem(key, feature.get_ref()) {
                fail(problem, feature.span());
            }
        }
        let requirement = match table.version.as_ref() {
            Some(version) => self.requirement(key, version, findings)?,
            None => VersionReq::STAR,
        };
        let platform = match table.platform.as_ref() {
            Some(platform) => Some(self.platform(platform, findings)?),
            None => None,
        };
        let source = self.source(table, folder, findings)?;
        if super::inherit::has_errors(&findings[before..]) {
            return None;
        }
        Some(Dependency {
            package: self.name(real.get_ref()).ok()?,
            rename: table.package.as_ref().map(|_| key.into()),
            requirement,
            kind: table.kind,
            platform,
            optional: table.optional.unwrap_or(false),
            default_features: table.default_features.unwrap_or(true),
            features: table.features.iter().map(|feature| Symbol::new(feature.get_ref())).collect(),
            source,
            specified_requirement: table.version.is_some(),
        })
    }

    fn name(self, text: &str) -> Result<PackageName, bulkhead_schema::ids::InvalidId> {
        match self.standing {
            Standing::Archive => PackageName::registry(text),
            Standing::Local | Standing::Repository { .. } => PackageName::local(text),
        }
    }

    fn requirement(self, key: &str, version: &Spanned<String>, findings: &mut Vec<Diagnostic>) -> Option<VersionReq> {
        let text = version.get_ref();
        match VersionReq::parse(text) {
            Ok(requirement) => Some(requirement),
            Err(reason) => {
                let message =
                    format!("failed to parse the version requirement `{text}` for dependency `{key}`: {reason}");
                findings.push(self.manifest.error("version-requirement", message, version.span()));
                None
            }
        }
    }

    fn platform(self, text: &Spanned<String>, findings: &mut Vec<Diagnostic>) -> Option<Platform> {
        match text.get_ref().parse::<Platform>() {
            Ok(platform) => {
                let mut warnings = Vec::new();
                platform.check_cfg_attributes(&mut warnings);
                let located =
                    warnings.into_iter().map(|text_| self.manifest.warning("platform-cfg", text_, text.span()));
                findings.extend(located);
                Some(platform)
            }
            Err(reason) => {
                let message = format!("failed to parse `{}` as a cfg expression: {reason}", text.get_ref());
                findings.push(self.manifest.error("platform", message, text.span()));
                None
            }
        }
    }

    /// Where the package must come from; the rules of "Specifying Dependencies" on which keys go together.
    fn source(self, table: &DependencyTable, folder: &Path, findings: &mut Vec<Diagnostic>) -> Option<SourceId> {
        let mut fail = |message: String, span| {
            findings.push(self.manifest.error("dependency-source", message, span));
            None
        };
        let (key, span) = (table.name.get_ref(), table.span.clone());
        let registry = table.registry.as_ref().or(table.registry_index.as_ref());
        let ambiguous =
            |pair: &str| format!("dependency ({key}) specification is ambiguous. Only one of {pair} is allowed.");
        match (&table.git, &table.path, registry) {
            (Some(_), _, Some(_)) => return fail(ambiguous("`git` or `registry`"), span),
            (Some(_), Some(_), None) => return fail(ambiguous("`git` or `path`"), span),
            (None, None, _) if table.version.is_none() && registry.is_none() => {
                let message = format!(
                    "dependency ({key}) specified without providing a local path, Git repository, version, or \
                     workspace dependency to use"
                );
                return fail(message, span);
            }
            _ => {}
        }
        if table.registry.is_some() && table.registry_index.is_some() {
            return fail(ambiguous("`registry` or `registry-index`"), span);
        }
        if let Some(git) = &table.git {
            return self.git(table, git, findings);
        }
        let pins = [("branch", &table.branch), ("tag", &table.tag), ("rev", &table.rev)];
        if let Some((pin, value)) = pins.into_iter().find_map(|(pin, value)| Some((pin, value.as_ref()?)))
            && !self.standing.is_foreign()
        {
            return fail(format!("key `{pin}` is ignored for dependency ({key})."), value.span());
        }
        match (&table.path, self.standing) {
            (Some(path), Standing::Local) => {
                let root = path::join(folder, path.get_ref());
                SourceId::path(&root).or_else(|error| fail(error.to_string(), path.span()).ok_or(())).ok()
            }
            (Some(_), Standing::Repository { source, .. }) => Some(source.without_commit()),
            (Some(_), Standing::Archive) | (None, _) => self.registry(table, findings),
        }
    }

    fn registry(self, table: &DependencyTable, findings: &mut Vec<Diagnostic>) -> Option<SourceId> {
        let mut fail = |message: String, span| {
            findings.push(self.manifest.error("dependency-registry", message, span));
            None
        };
        if let Some(index) = &table.registry_index {
            return match SourceId::registry(index.get_ref()) {
                Ok(source) => Some(source),
                Err(error) => fail(error.to_string(), index.span()),
            };
        }
        match &table.registry {
            None => Some(SourceId::crates_io()),
            Some(name) if name.get_ref() == "crates-io" => Some(SourceId::crates_io()),
            Some(name) => match (self.registry)(name.get_ref()) {
                Err(problem) => fail(problem, name.span()),
                Ok(Some(source)) => Some(source),
                Ok(None) => fail(
                    format!("registry index was not found in any configuration: `{}`", name.get_ref()),
                    name.span(),
                ),
            },
        }
    }

    fn git(self, table: &DependencyTable, url: &Spanned<String>, findings: &mut Vec<Diagnostic>) -> Option<SourceId> {
        let mut fail = |message: String, span| {
            findings.push(self.manifest.error("dependency-git", message, span));
            None
        };
        let key = table.name.get_ref();
        let pins = [
            table.branch.as_ref().map(|name| GitReference::Branch(Symbol::new(name.get_ref()))),
            table.tag.as_ref().map(|name| GitReference::Tag(Symbol::new(name.get_ref()))),
            table.rev.as_ref().map(|name| GitReference::Rev(Symbol::new(name.get_ref()))),
        ];
        let mut pins = pins.into_iter().flatten();
        let (pin, more) = (pins.next(), pins.next());
        if more.is_some() {
            let message = format!(
                "dependency ({key}) specification is ambiguous. Only one of `branch`, `tag` or `rev` is allowed."
            );
            return fail(message, table.span.clone());
        }
        let mut parsed = match git::parse_url(url.get_ref()) {
            Ok(parsed) => parsed,
            Err(error) => {
                let reason = if error.reason.contains("relative URL") { &error.reason } else { &error.to_string() };
                return fail(format!("dependency ({key}): invalid url `{}`: {reason}", error.text), url.span());
            }
        };
        if parsed.fragment().is_some() {
            parsed.set_fragment(None);
            if !self.standing.is_foreign() {
                let message = format!(
                    "URL fragment in git URL `{}` is ignored for dependency ({key}). If you were trying to specify a \
                     specific git revision, use `rev = \"…\"` in the dependency declaration.",
                    url.get_ref()
                );
                findings.push(self.manifest.warning("dependency-git", message, url.span()));
            }
        }
        match SourceId::git(&parsed, pin.unwrap_or(GitReference::DefaultBranch)) {
            Ok(source) => Some(source),
            Err(error) => {
                findings.push(self.manifest.error(
                    "dependency-git",
                    format!("dependency ({key}): {error}"),
                    url.span(),
                ));
                None
            }
        }
    }
}

fn feature_problem(dependency: &str, feature: &str) -> Option<String> {
    if feature.starts_with("dep:") {
        return Some(format!(
            "feature `{feature}` in dependency `{dependency}` is not allowed to use explicit `dep:` syntax; specify the \
             name of the optional dependency without the `dep:` prefix, or a feature that enables it"
        ));
    }
    feature.contains('/').then(|| {
        format!(
            "feature `{feature}` in dependency `{dependency}` is not allowed to contain slashes; to enable features of a \
             transitive dependency, the direct dependency needs to re-export them in its `[features]` table"
        )
    })
}
