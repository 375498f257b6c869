//! `metadata --format-version 1`, made comparable.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Where each package's folder is, and how to name it independently of that.
pub(super) struct Roots {
    /// Longest folder first, so that nested packages keep their own name.
    folders: Vec<(String, String)>,
}

impl Roots {
    /// Reads the package folders out of a side's metadata.
    pub(super) fn of(metadata: &Value) -> Roots {
        let mut folders = BTreeMap::new();
        for package in metadata["packages"].as_array().into_iter().flatten() {
            let (Some(name), Some(version)) = (package["name"].as_str(), package["version"].as_str()) else { continue };
            let manifest = package["manifest_path"].as_str().map(Path::new);
            if let Some(folder) = manifest.and_then(Path::parent) {
                folders.insert(folder.to_string_lossy().into_owned(), format!("<{name}-{version}>"));
            }
        }
        let mut folders: Vec<_> = folders.into_iter().collect();
        if let Some(folder) = metadata["target_directory"].as_str() {
            folders.push((folder.to_owned(), "<target>".to_owned()));
        }
        folders.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
        Roots { folders }
    }

    /// The text with every known folder replaced by its name.
    pub(super) fn normalise(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (folder, name) in &self.folders {
            if text.contains(folder.as_str()) {
                text = text.replace(folder.as_str(), name);
            }
        }
        text
    }
}

/// Metadata as sorted, pretty-printed lines without anything that depends on where a program keeps its files.
pub(super) fn normalised_lines(metadata: &Value, roots: &Roots) -> String {
    let mut value = metadata.clone();
    sort(&mut value);
    roots.normalise(&serde_json::to_string_pretty(&value).unwrap_or_default())
}

/// Sorts every array of objects or of strings; Cargo gives no meaning to the order of either.
fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_cached_key(sort_key);
        }
        Value::Object(fields) => fields.values_mut().for_each(sort),
        _ => {}
    }
}

fn sort_key(value: &Value) -> String {
    let own = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    match value {
        Value::Object(_) => format!("{} {} {} {value}", own("id"), own("name"), own("pkg")),
        _ => value.to_string(),
    }
}
