//! How `cargo metadata` shows a package.

use bulkhead_schema::{PackageId, SourceId};
use serde_json::{Value, json};

use crate::{Package, Target, TargetKind};

/// The package id specification of `id`, as `cargo metadata` and JSON messages print it (Cargo Book, "Package ID
/// Specifications"): the name is left out where it is the last part of a path's or git repository's URL.
pub fn package_id_spec(id: PackageId) -> String {
    let source = id.source();
    let url = source.to_string();
    let tail = source.url().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if !source.is_registry() && tail == id.name().as_str() {
        format!("{url}#{}", id.version())
    } else {
        format!("{url}#{}@{}", id.name(), id.version())
    }
}

/// The package as an element of `packages` in `cargo metadata`: same keys, same order.
pub fn metadata_json(package: &Package) -> Value {
    let details = &package.details;
    let mut value = json!({
        "name": package.id.name(),
        "version": package.id.version().to_string(),
        "id": package_id_spec(package.id),
        "license": details.license,
        "license_file": details.license_file,
        "description": details.description,
        "source": source_json(package.id.source()),
        "dependencies": package.summary.dependencies.iter().map(dependency_json).collect::<Vec<_>>(),
        "targets": package.targets.iter().map(|target| target_json(target)).collect::<Vec<_>>(),
        "features": details.features,
        "manifest_path": package.manifest_path,
        "metadata": details.metadata,
        "publish": details.publish,
        "authors": details.authors,
        "categories": details.categories,
        "keywords": details.keywords,
        "readme": details.readme,
        "repository": details.repository,
        "homepage": details.homepage,
        "documentation": details.documentation,
        "edition": package.edition.as_str(),
        "links": details.links,
        "default_run": package.default_run,
        "rust_version": details.rust_version,
    });
    if let (Some(hints), Some(object)) = (&details.hints, value.as_object_mut()) {
        object.insert("hints".to_owned(), hints.clone());
    }
    value
}

fn source_json(source: SourceId) -> Option<String> {
    (!source.is_path()).then(|| source.to_string())
}

/// The index of a registry other than the public one.
fn registry_json(source: SourceId) -> Option<String> {
    let other = source.is_registry() && !source.is_crates_io();
    other.then(|| match source.kind() {
        bulkhead_schema::SourceKind::SparseRegistry => source.to_string(),
        _ => source.url().to_owned(),
    })
}

fn dependency_json(dependency: &bulkhead_schema::Dependency) -> Value {
    use bulkhead_schema::DependencyKind::{Build, Development, Normal};
    let mut value = json!({
        "name": dependency.package,
        "source": source_json(dependency.source),
        "req": dependency.requirement.to_string(),
        "kind": match dependency.kind {
            Normal => None,
            Development => Some("dev"),
            Build => Some("build"),
        },
        "rename": dependency.rename,
        "optional": dependency.optional,
        "uses_default_features": dependency.default_features,
        "features": dependency.features,
        "target": dependency.platform.as_ref().map(ToString::to_string),
        "registry": registry_json(dependency.source),
    });
    if let (Some(path), Some(object)) = (dependency.source.local_path(), value.as_object_mut()) {
        object.insert("path".to_owned(), json!(path));
    }
    value
}

/// A target as an element of `targets`, also in the JSON messages of a build.
pub fn target_json(target: &Target) -> Value {
    let types: Vec<&str> = target.crate_types().iter().map(|kind| kind.as_str()).collect();
    let kind = match &target.kind {
        TargetKind::Lib(_) => types.clone(),
        TargetKind::Bin => vec!["bin"],
        TargetKind::Example(_) => vec!["example"],
        TargetKind::Test => vec!["test"],
        TargetKind::Bench => vec!["bench"],
        TargetKind::BuildScript => vec!["custom-build"],
    };
    let mut value = json!({
        "kind": kind,
        "crate_types": types,
        "name": target.name,
        "src_path": target.path,
        "edition": target.edition.as_str(),
    });
    if let Some(object) = value.as_object_mut() {
        if !target.required_features.is_empty() {
            object.insert("required-features".to_owned(), json!(target.required_features));
        }
        object.insert("doc".to_owned(), json!(target.doc));
        object.insert("doctest".to_owned(), json!(target.doctest));
        object.insert("test".to_owned(), json!(target.test));
    }
    value
}
