//! Manifests changed in place, as `add` and `remove` change them: what is not touched stays as the user wrote it,
//! comments and order included.
//!
//! Text in, text out: [`ManifestEditor::parse`] accepts only what is a valid manifest, and [`ManifestEditor::finish`]
//! gives a text back only if it still is one.

mod entry;
mod features;
mod unused;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::manifest::{self, Origin};
use bulkhead_schema::{DependencyKind, Diagnostic};
use toml_edit::{DocumentMut, Item, Table, TableLike};

pub use entry::{Entry, Place};

/// One dependency table of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `[dependencies]`, `[dev-dependencies]` or `[build-dependencies]`.
    pub kind: DependencyKind,
    /// The text between `target.` and `.dependencies`.
    pub platform: Option<String>,
}

impl Section {
    fn table(&self) -> &'static str {
        match self.kind {
            DependencyKind::Normal => "dependencies",
            DependencyKind::Development => "dev-dependencies",
            DependencyKind::Build => "build-dependencies",
        }
    }

    fn keys(&self) -> Vec<&str> {
        match &self.platform {
            Some(platform) => vec!["target", platform, self.table()],
            None => vec![self.table()],
        }
    }

    /// What a user adds to a command about `self` to mean `other`; empty where no flag leads there.
    pub fn flags_towards(&self, other: &Section) -> Vec<String> {
        let kind = match other.kind {
            kind if kind == self.kind => None,
            DependencyKind::Normal => None,
            DependencyKind::Development => Some("--dev".to_owned()),
            DependencyKind::Build => Some("--build".to_owned()),
        };
        let platform = other.platform.as_ref().filter(|_| self.platform.is_none());
        kind.into_iter().chain(platform.map(|platform| format!("--target {platform}"))).collect()
    }

    /// `dev-dependencies for target `cfg(unix)``, as status lines name it.
    pub fn described(&self) -> String {
        let platform = self.platform.as_ref().map(|platform| format!(" for target `{platform}`")).unwrap_or_default();
        format!("{}{platform}", self.table())
    }
}

/// `target.cfg(unix).dev-dependencies`
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keys().join("."))
    }
}

/// A manifest that is being changed.
#[derive(Debug, Clone)]
pub struct ManifestEditor {
    path: PathBuf,
    document: DocumentMut,
    /// The unchanged document, printed.
    before: String,
}

impl ManifestEditor {
    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// Everything that [`manifest::parse`] finds wrong with it, and dependency tables in Cargo's oldest spelling.
    pub fn parse(path: &Path, text: &Arc<str>) -> Result<Self, Vec<Diagnostic>> {
        manifest::parse(path, text, Origin::Local)?;
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| vec![Diagnostic::error("manifest-toml", error.message())])?;
        for old in ["dev_dependencies", "build_dependencies"] {
            if document.contains_key(old) {
                let message = format!("Deprecated dependency sections are unsupported: {old}");
                return Err(vec![Diagnostic::error("manifest-deprecated", message)]);
            }
        }
        Ok(Self { path: path.to_owned(), before: document.to_string(), document })
    }

    /// Whether anything was changed.
    pub fn is_changed(&self) -> bool {
        self.document.to_string() != self.before
    }

    /// The new text.
    ///
    /// # Errors
    /// The change would make it an invalid manifest.
    pub fn finish(&self) -> Result<Arc<str>, Vec<Diagnostic>> {
        let text: Arc<str> = self.document.to_string().into();
        manifest::parse(&self.path, &text, Origin::Local)?;
        Ok(text)
    }

    /// The dependency tables that are there: normal, development, build, each first for all platforms and then by
    /// platform in the order of the file.
    pub fn sections(&self) -> Vec<Section> {
        let platforms = self.document.get("target").and_then(Item::as_table_like);
        let platforms: Vec<String> =
            platforms.map(|table| table.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default();
        let mut sections = Vec::new();
        for kind in [DependencyKind::Normal, DependencyKind::Development, DependencyKind::Build] {
            sections.push(Section { kind, platform: None });
            sections.extend(platforms.iter().map(|name| Section { kind, platform: Some(name.clone()) }));
        }
        sections.retain(|section| self.section(section).is_some());
        sections
    }

    fn section(&self, section: &Section) -> Option<&dyn TableLike> {
        let mut item = self.document.as_item();
        for key in section.keys() {
            item = item.as_table_like()?.get(key)?;
        }
        item.as_table_like()
    }

    /// The keys of a dependency table, in the order of the file.
    pub fn keys(&self, section: &Section) -> Vec<String> {
        self.section(section).map(|table| table.iter().map(|(key, _)| key.to_owned()).collect()).unwrap_or_default()
    }

    /// What a dependency table says of `key`.
    ///
    /// # Errors
    /// The entry uses an old spelling that is not edited, one sentence.
    pub fn entry(&self, section: &Section, key: &str) -> Result<Option<Entry>, String> {
        match self.section(section).and_then(|table| table.get(key)) {
            Some(item) => Entry::read(key, item).map(Some),
            None => Ok(None),
        }
    }

    /// What `[workspace.dependencies]` says of `key`.
    ///
    /// # Errors
    /// As [`ManifestEditor::entry`].
    pub fn workspace_entry(&self, key: &str) -> Result<Option<Entry>, String> {
        let table = self.document.get("workspace").and_then(|workspace| workspace.get("dependencies"));
        match table.and_then(|table| table.get(key)) {
            Some(item) => Entry::read(key, item).map(Some),
            None => Ok(None),
        }
    }

    /// Adds `entry` under `key`, or makes the entry that is there say the same. A table that is sorted stays so.
    pub fn put(&mut self, section: &Section, key: &str, entry: &Entry) {
        let Some(table) = table_at(self.document.as_table_mut(), &section.keys()) else { return };
        match table.get_mut(key) {
            Some(item) if !item.is_none() => entry.update(item),
            _ => {
                let sorted = table.iter().filter(|(_, item)| stands_within(item)).map(|(key, _)| key).is_sorted();
                table.insert(key, entry.to_item());
                if sorted {
                    table.sort_values();
                }
            }
        }
    }

    /// Removes the entry of `key`, and the table with it if nothing else is there. Says whether there was one.
    pub fn take(&mut self, section: &Section, key: &str) -> bool {
        remove_at(self.document.as_table_mut(), &section.keys(), key)
    }

    /// Whether `key` is still a dependency somewhere, and if so, whether features may switch it on.
    fn standing(&self, key: &str) -> Standing {
        let entries = self.sections().into_iter().filter_map(|section| self.entry(&section, key).ok().flatten());
        let optional: Vec<bool> = entries.map(|entry| entry.optional == Some(true)).collect();
        match (optional.is_empty(), optional.contains(&true)) {
            (true, _) => Standing::Absent,
            (_, true) => Standing::Optional,
            (_, false) => Standing::Required,
        }
    }
}

/// What a package's own tables say of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    Optional,
    Required,
}

/// Whether an entry stands below the header of its table, and not below one of its own, where no order can place it.
fn stands_within(item: &Item) -> bool {
    item.is_value() || item.as_table().is_some_and(Table::is_dotted)
}

/// The table that `keys` lead to, made if it is not there; `None` where something else stands in its place.
fn table_at<'a>(root: &'a mut Table, keys: &[&str]) -> Option<&'a mut dyn TableLike> {
    let mut table: &mut dyn TableLike = root;
    for (position, key) in keys.iter().enumerate() {
        if table.get(key).is_none_or(Item::is_none) {
            let mut new = Table::new();
            // Only the last one has a header of its own.
            new.set_implicit(position + 1 < keys.len());
            table.insert(key, Item::Table(new));
        }
        table = table.get_mut(key)?.as_table_like_mut()?;
    }
    Some(table)
}

fn remove_at(table: &mut dyn TableLike, keys: &[&str], key: &str) -> bool {
    let Some((first, rest)) = keys.split_first() else { return table.remove(key).is_some() };
    let Some(inner) = table.get_mut(first).and_then(Item::as_table_like_mut) else { return false };
    let removed = remove_at(inner, rest, key);
    if removed && inner.is_empty() {
        table.remove(first);
    }
    removed
}

#[cfg(test)]
mod tests;
