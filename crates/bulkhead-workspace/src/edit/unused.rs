//! What the root manifest says of dependencies that no member has any more.

use std::collections::BTreeSet;

use bulkhead_schema::PackageSpec;
use toml_edit::{Item, TableLike};

use super::{ManifestEditor, remove_at};

impl ManifestEditor {
    /// Removes the entries of `[workspace.dependencies]` whose key is not among `inherited`.
    pub fn remove_unused_workspace_dependencies(&mut self, inherited: &BTreeSet<String>) {
        let path = ["workspace", "dependencies"];
        for key in self.keys_below(&path) {
            if !inherited.contains(&key) {
                remove_below(self, &path, &key);
            }
        }
    }

    /// Removes the entries of `[profile.*.package]` that name none of `packages`, the packages that members depend on.
    pub fn remove_unused_profile_overrides(&mut self, packages: &BTreeSet<String>) {
        for profile in self.keys_below(&["profile"]) {
            let path = ["profile", &profile, "package"];
            for spec in self.keys_below(&path) {
                let name = PackageSpec::parse(&spec).ok().and_then(|spec| spec.name());
                if name.is_some_and(|name| !packages.contains(name.as_str())) {
                    remove_below(self, &path, &spec);
                }
            }
        }
    }

    /// Removes the `[patch]` entry that stands for `(source, key)` of each of `unused`.
    pub fn remove_patches(&mut self, unused: &[(String, String)]) {
        for (source, key) in unused {
            remove_at(self.document.as_table_mut(), &["patch", source], key);
        }
    }

    /// `[patch]` entries that come from git: source, key, URL.
    pub fn git_patches(&self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for source in self.keys_below(&["patch"]) {
            for key in self.keys_below(&["patch", &source]) {
                let entry = below(self.document.as_table(), &["patch", &source, &key]);
                if let Some(url) = entry.and_then(|table| table.get("git")).and_then(Item::as_str) {
                    found.push((source.clone(), key, url.to_owned()));
                }
            }
        }
        found
    }

    fn keys_below(&self, path: &[&str]) -> Vec<String> {
        let table = below(self.document.as_table(), path);
        table.map(|table| table.iter().map(|(key, _)| key.to_owned()).collect()).unwrap_or_default()
    }
}

fn below<'a>(root: &'a dyn TableLike, path: &[&str]) -> Option<&'a dyn TableLike> {
    let mut table = root;
    for key in path {
        table = table.get(key)?.as_table_like()?;
    }
    Some(table)
}

/// Removes `key` from the table at `path`, and that table if it is empty then, but not those above it.
fn remove_below(editor: &mut ManifestEditor, path: &[&str], key: &str) {
    let Some((last, above)) = path.split_last() else { return };
    let mut table: &mut dyn TableLike = editor.document.as_table_mut();
    for key in above {
        let Some(next) = table.get_mut(key).and_then(Item::as_table_like_mut) else { return };
        table = next;
    }
    remove_at(table, &[last], key);
}
