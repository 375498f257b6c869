//! `field.workspace = true`

use std::path::{Path, PathBuf};

use bulkhead_schema::manifest::{DependencyTable, Inheritable, Lints, Manifest, PackageTable, Spanned, WorkspaceTable};
use bulkhead_schema::{Diagnostic, Level};

/// Why nothing can be inherited, where nothing can.
pub(crate) const NO_ROOT: &str = "failed to find a workspace root";

/// What a package may inherit from, and where its paths start.
#[derive(Clone, Copy)]
pub(crate) struct Inheritance<'a> {
    /// The workspace's root manifest, if the package is in a workspace.
    pub(crate) root: Option<&'a Manifest>,
}

impl<'a> Inheritance<'a> {
    /// The root's `[workspace]`.
    pub(crate) fn workspace(self) -> Option<&'a WorkspaceTable> {
        self.root?.workspace.as_ref()
    }

    /// The root's folder.
    pub(crate) fn folder(self) -> Option<&'a Path> {
        self.root?.path.parent()
    }

    /// The value of a field of `[package]`: its own, or that of `[workspace.package]`; and whether it was inherited.
    pub(crate) fn field<'m, T>(
        self,
        manifest: &'m Manifest,
        name: &str,
        field: impl Fn(&PackageTable) -> &Option<Spanned<Inheritable<T>>>,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<(&'m T, bool)>
    where
        'a: 'm,
    {
        let own = field(manifest.package.as_ref()?).as_ref()?;
        if let Inheritable::Value(value) = own.get_ref() {
            return Some((value, false));
        }
        let shared = self.workspace().and_then(|workspace| workspace.package.as_ref());
        match shared.and_then(|package| field(package).as_ref()).map(Spanned::get_ref) {
            Some(Inheritable::Value(value)) => Some((value, true)),
            _ => {
                let reason = match self.root {
                    Some(_) => format!("`workspace.package.{name}` was not defined"),
                    None => NO_ROOT.to_owned(),
                };
                let message = format!(
                    "error inheriting `{name}` from workspace root manifest's `workspace.package.{name}`: {reason}"
                );
                findings.push(manifest.error("inherit", message, own.span()));
                None
            }
        }
    }

    /// `[lints]`
    pub(crate) fn lints<'m>(self, manifest: &'m Manifest, findings: &mut Vec<Diagnostic>) -> Option<&'m Lints>
    where
        'a: 'm,
    {
        let own = manifest.lints.as_ref()?;
        if let Inheritable::Value(lints) = own.get_ref() {
            return Some(lints);
        }
        let shared = self.workspace().and_then(|workspace| workspace.lints.as_ref());
        if shared.is_none() {
            let reason = if self.root.is_some() { "`workspace.lints` was not defined" } else { NO_ROOT };
            let message =
                format!("error inheriting `lints` from workspace root manifest's `workspace.lints`: {reason}");
            findings.push(manifest.error("inherit", message, own.span()));
        }
        shared
    }

    /// The dependency as it is after inheritance, and the folder below which its `path` is.
    pub(crate) fn dependency(
        self,
        manifest: &Manifest,
        own: &DependencyTable,
        edition_2024: bool,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<(DependencyTable, Option<PathBuf>)> {
        if !own.workspace {
            return Some((own.clone(), None));
        }
        let name = own.name.get_ref();
        let shared = self.workspace();
        let Some(shared) =
            shared.and_then(|table| table.dependencies.iter().find(|entry| entry.name.get_ref() == name))
        else {
            let reason = match self.root {
                Some(_) => format!("`dependency.{name}` was not found in `workspace.dependencies`"),
                None => NO_ROOT.to_owned(),
            };
            let message = format!(
                "error inheriting `{name}` from workspace root manifest's `workspace.dependencies.{name}`: {reason}"
            );
            findings.push(manifest.error("inherit", message, own.span.clone()));
            return None;
        };
        warn_of_ignored_keys(manifest, own, findings);
        let default_features = default_features(manifest, own, shared, edition_2024, findings);
        let mut merged = DependencyTable {
            name: own.name.clone(),
            span: own.span.clone(),
            kind: own.kind,
            platform: own.platform.clone(),
            workspace: false,
            optional: own.optional,
            default_features,
            ..shared.clone()
        };
        merged.features.extend(own.features.iter().cloned());
        Some((merged, self.folder().map(Path::to_owned)))
    }
}

/// The rules of `default-features` beside `workspace = true` (Cargo Book, "Inheriting a dependency from a workspace"):
/// a member can switch them on, but not off.
fn default_features(
    manifest: &Manifest,
    own: &DependencyTable,
    shared: &DependencyTable,
    edition_2024: bool,
    findings: &mut Vec<Diagnostic>,
) -> Option<bool> {
    match (own.default_features, shared.default_features) {
        (Some(true), Some(false)) => Some(true),
        (Some(false), None | Some(true)) => {
            let name = own.name.get_ref();
            let state = if shared.default_features.is_none() { "was not specified" } else { "was true" };
            if edition_2024 {
                let message = format!(
                    "error inheriting `{name}` from workspace root manifest's `workspace.dependencies.{name}`: \
                     `default-features = false` cannot override workspace's `default-features`"
                );
                findings.push(manifest.error("inherit-default-features", message, own.span.clone()));
            } else {
                let message = format!(
                    "`default-features` is ignored for {name}, since `default-features` {state} for \
                     `workspace.dependencies.{name}`, this could become a hard error in the future"
                );
                findings.push(manifest.warning("inherit-default-features", message, own.span.clone()));
            }
            shared.default_features
        }
        (_, shared) => shared,
    }
}

fn warn_of_ignored_keys(manifest: &Manifest, own: &DependencyTable, findings: &mut Vec<Diagnostic>) {
    let keys = [
        ("version", &own.version),
        ("path", &own.path),
        ("git", &own.git),
        ("branch", &own.branch),
        ("tag", &own.tag),
        ("rev", &own.rev),
        ("registry", &own.registry),
        ("registry-index", &own.registry_index),
        ("package", &own.package),
    ];
    for (key, value) in keys {
        if let Some(value) = value {
            let message = format!("unused manifest key: {}.{key}, beside `workspace = true`", own.name.get_ref());
            findings.push(manifest.warning("manifest-unused-key", message, value.span()));
        }
    }
}

/// Whether any of `findings` is an error.
pub(crate) fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}
