//! Package id specifications that must mean exactly one package.

use std::collections::BTreeSet;

use bulkhead_schema::edit_distance::distance;
use bulkhead_schema::{PackageId, PackageSpec};
use bulkhead_workspace::package_id_spec;

use crate::Error;
use crate::error::Result;
use crate::options::Place;

/// The one of `packages` that `text` means.
///
/// # Errors
/// It is no specification, or means none or several.
pub fn one(text: &str, packages: &BTreeSet<PackageId>, place: &Place) -> Result<PackageId> {
    let spec = PackageSpec::parse(text).map_err(|error| {
        let reason = match text.contains(['/', '\\'])
            && !text.contains("://")
            && place.disk.exists(&place.current_dir.join(text))
        {
            true => format!(
                "package ID specification `{text}` looks like a file path, maybe try file://{}",
                bulkhead_workspace::normalize(&place.current_dir.join(text)).display()
            ),
            false => error.reason,
        };
        similar(text, packages, Error::failure(format!("invalid package ID specification: `{text}`"))).because(reason)
    })?;
    let found: Vec<PackageId> = packages.iter().copied().filter(|id| spec.matches(*id)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let error = Error::failure(format!("package ID specification `{spec}` did not match any packages"));
            Err(similar(spec.name().map_or(text, |name| name.as_str()), packages, error))
        }
        several => Err(ambiguous(&spec, several)),
    }
}

fn similar(text: &str, packages: &BTreeSet<PackageId>, error: Error) -> Error {
    match nearest(text, packages.iter().copied()) {
        Some(advice) => error.help(advice),
        None => error,
    }
}

/// What to tell whoever may have misspelt the name of a package.
pub fn nearest(text: &str, packages: impl Iterator<Item = PackageId>) -> Option<String> {
    let near = packages.map(PackageId::name).min_by_key(|name| distance(name.as_str(), text))?;
    (distance(near.as_str(), text) <= 3).then(|| format!("a package with a similar name exists: `{near}`"))
}

fn ambiguous(spec: &PackageSpec, found: &[PackageId]) -> Error {
    let short: BTreeSet<String> = found.iter().map(|id| format!("{}@{}", id.name(), id.version())).collect();
    let names: Vec<String> = match short.len() == found.len() {
        true => short.into_iter().collect(),
        false => found.iter().map(|id| package_id_spec(*id)).collect(),
    };
    let advice = format!("re-run this command with one of the following specifications\n{}", names.join("\n"));
    Error::failure(format!("specification `{spec}` is ambiguous")).help(advice)
}
