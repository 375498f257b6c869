//! Environment variables that Cargo sets for crates and build scripts (Cargo Book, "Environment Variables").

use std::collections::BTreeMap;
use std::path::Path;

use bulkhead_workspace::Package;

/// Variables by name, so that the process gets them in a stable order.
pub(crate) type Variables = BTreeMap<String, String>;

/// What both rustc and build scripts are told of a package.
pub(crate) fn package_variables(package: &Package, cargo: &Path, variables: &mut Variables) {
    let version = package.id.version();
    let details = &package.details;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    for (name, value) in [
        ("CARGO", cargo.display().to_string()),
        ("CARGO_MANIFEST_DIR", package.root.display().to_string()),
        ("CARGO_MANIFEST_PATH", package.manifest_path.display().to_string()),
        ("CARGO_PKG_AUTHORS", details.authors.join(":")),
        ("CARGO_PKG_DESCRIPTION", text(&details.description)),
        ("CARGO_PKG_HOMEPAGE", text(&details.homepage)),
        ("CARGO_PKG_LICENSE", text(&details.license)),
        ("CARGO_PKG_LICENSE_FILE", text(&details.license_file)),
        ("CARGO_PKG_NAME", package.id.name().to_string()),
        ("CARGO_PKG_README", text(&details.readme)),
        ("CARGO_PKG_REPOSITORY", text(&details.repository)),
        ("CARGO_PKG_RUST_VERSION", text(&details.rust_version)),
        ("CARGO_PKG_VERSION", version.to_string()),
        ("CARGO_PKG_VERSION_MAJOR", version.major.to_string()),
        ("CARGO_PKG_VERSION_MINOR", version.minor.to_string()),
        ("CARGO_PKG_VERSION_PATCH", version.patch.to_string()),
        ("CARGO_PKG_VERSION_PRE", version.pre.to_string()),
    ] {
        variables.insert(name.to_owned(), value);
    }
}

/// A feature, `links` value or metadata key as part of a variable's name.
pub(crate) fn screaming(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

/// Paths in the form of `LD_LIBRARY_PATH`.
pub(crate) fn joined(paths: &[std::path::PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
}
