//! On which line of a manifest a dependency stands, for messages about it.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Table, parse};
use crate::{Dependency, DependencyKind};

/// The line, counted from 1, on which `text`, the manifest at `path`, declares `dependency`; `None` if it does not, or
/// cannot be read.
pub fn dependency_line(path: &Path, text: &Arc<str>, dependency: &Dependency) -> Option<usize> {
    let root = parse(path, text).ok()?;
    let root = root.as_table()?;
    let table = match &dependency.platform {
        None => root,
        Some(platform) => {
            let platforms = root.get("target")?.node.as_table()?;
            let same = platforms
                .iter()
                .find(|(name, _)| name.parse().is_ok_and(|it: crate::platform::Platform| it == *platform));
            same?.1.node.as_table()?
        }
    };
    let names: &[&str] = match dependency.kind {
        DependencyKind::Normal => &["dependencies"],
        DependencyKind::Development => &["dev-dependencies", "dev_dependencies"],
        DependencyKind::Build => &["build-dependencies", "build_dependencies"],
    };
    let offset = names.iter().find_map(|name| declared(table, name, dependency))?;
    Some(text.get(..offset)?.matches('\n').count() + 1)
}

fn declared(table: &Table, name: &str, dependency: &Dependency) -> Option<usize> {
    let entries = table.get(name)?.node.as_table()?;
    entries.get(dependency.name_in_manifest().as_str()).map(|entry| entry.key_span.start)
}
