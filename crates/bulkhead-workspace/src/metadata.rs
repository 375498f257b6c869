//! How `cargo metadata` shows a package.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_schema::ids::ReferenceQuery;
use bulkhead_schema::{Dependency, DependencyKind, PackageId, PackageName, SourceId, SourceKind, Symbol};
use serde::Serialize;
use serde_json::Value;

use crate::{Package, Target, TargetKind};

/// The package id specification of `id`, as `cargo metadata` and JSON messages print it (Cargo Book, "Package ID
/// Specifications"): the name is left out where it is the last part of a path's or git repository's URL.
pub fn package_id_spec(id: PackageId) -> String {
    let source = id.source();
    let url = match source.kind() {
        SourceKind::Git(reference) => format!("git+{}{}", source.url(), ReferenceQuery(reference)),
        _ => source.to_string(),
    };
    let tail = source.url().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if !source.is_registry() && tail == id.name().as_str() {
        format!("{url}#{}", id.version())
    } else {
        format!("{url}#{}@{}", id.name(), id.version())
    }
}

/// A package as an element of `packages` in `cargo metadata`: same keys, same order.
#[derive(Serialize)]
pub struct PackageJson<'a> {
    name: PackageName,
    version: String,
    id: String,
    license: Option<&'a str>,
    license_file: Option<&'a str>,
    description: Option<&'a str>,
    source: Option<String>,
    dependencies: Vec<DependencyJson<'a>>,
    targets: Vec<TargetJson<'a>>,
    features: &'a BTreeMap<Symbol, Vec<String>>,
    manifest_path: &'a Path,
    metadata: Option<&'a Value>,
    publish: Option<&'a [String]>,
    authors: &'a [String],
    categories: &'a [String],
    keywords: &'a [String],
    readme: Option<&'a str>,
    repository: Option<&'a str>,
    homepage: Option<&'a str>,
    documentation: Option<&'a str>,
    edition: &'static str,
    links: Option<&'a str>,
    default_run: Option<Symbol>,
    rust_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hints: Option<&'a Value>,
}

#[derive(Serialize)]
struct DependencyJson<'a> {
    name: PackageName,
    source: Option<String>,
    req: String,
    kind: Option<&'static str>,
    rename: Option<Symbol>,
    optional: bool,
    uses_default_features: bool,
    features: &'a [Symbol],
    target: Option<String>,
    registry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
}

/// A target as an element of `targets`, also in the JSON messages of a build.
#[derive(Serialize)]
pub struct TargetJson<'a> {
    kind: Vec<&'static str>,
    crate_types: Vec<&'static str>,
    name: Symbol,
    src_path: &'a Path,
    edition: &'static str,
    #[serde(rename = "required-features", skip_serializing_if = "Option::is_none")]
    required_features: Option<&'a [Symbol]>,
    doc: bool,
    doctest: bool,
    test: bool,
}

/// What `cargo metadata` shows of `package`. Borrowed: hundreds of packages are written out and forgotten.
pub fn metadata_json(package: &Package) -> PackageJson<'_> {
    let details = &package.details;
    PackageJson {
        name: package.id.name(),
        version: package.id.version().to_string(),
        id: package_id_spec(package.id),
        license: details.license.as_deref(),
        license_file: details.license_file.as_deref(),
        description: details.description.as_deref(),
        source: source_json(package.id.source()),
        dependencies: package.summary.dependencies.iter().map(|it| dependency_json(it, package.id.source())).collect(),
        targets: package.targets.iter().map(|target| target_json(target)).collect(),
        features: &details.features,
        manifest_path: &package.manifest_path,
        metadata: details.metadata.as_ref(),
        publish: details.publish.as_deref(),
        authors: &details.authors,
        categories: &details.categories,
        keywords: &details.keywords,
        readme: details.readme.as_deref(),
        repository: details.repository.as_deref(),
        homepage: details.homepage.as_deref(),
        documentation: details.documentation.as_deref(),
        edition: package.edition.as_str(),
        links: details.links.as_deref(),
        default_run: package.default_run,
        rust_version: details.rust_version.as_deref(),
        hints: details.hints.as_ref(),
    }
}

fn source_json(source: SourceId) -> Option<String> {
    (!source.is_path()).then(|| source.to_string())
}

/// The index of a registry other than the public one.
fn registry_json(source: SourceId) -> Option<String> {
    let other = source.is_registry() && !source.is_crates_io();
    other.then(|| match source.kind() {
        SourceKind::SparseRegistry => source.to_string(),
        _ => source.url().to_owned(),
    })
}

/// `own` is the source of the package that depends: its neighbours in the same repository are at the same commit.
fn dependency_json(dependency: &Dependency, own: SourceId) -> DependencyJson<'_> {
    let source = if own.without_commit() == dependency.source { own } else { dependency.source };
    DependencyJson {
        name: dependency.package,
        source: source_json(source),
        req: dependency.requirement.to_string(),
        kind: match dependency.kind {
            DependencyKind::Normal => None,
            DependencyKind::Development => Some("dev"),
            DependencyKind::Build => Some("build"),
        },
        rename: dependency.rename,
        optional: dependency.optional,
        uses_default_features: dependency.default_features,
        features: &dependency.features,
        target: dependency.platform.as_ref().map(ToString::to_string),
        registry: registry_json(dependency.source),
        path: dependency.source.local_path(),
    }
}

/// What `cargo metadata` and JSON messages show of `target`.
pub fn target_json(target: &Target) -> TargetJson<'_> {
    let crate_types: Vec<&str> = target.crate_types().iter().map(|kind| kind.as_str()).collect();
    TargetJson {
        kind: match &target.kind {
            TargetKind::Lib(_) => crate_types.clone(),
            TargetKind::Bin => vec!["bin"],
            TargetKind::Example(_) => vec!["example"],
            TargetKind::Test => vec!["test"],
            TargetKind::Bench => vec!["bench"],
            TargetKind::BuildScript => vec!["custom-build"],
        },
        crate_types,
        name: target.name,
        src_path: &target.path,
        edition: target.edition.as_str(),
        required_features: target.required_features.as_deref(),
        doc: target.doc,
        doctest: target.doctest,
        test: target.test,
    }
}
