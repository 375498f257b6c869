//! The walk over the spanned TOML tree: typed access that collects errors instead of stopping at the first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{MAX_MANIFEST_NODES, MAX_MANIFEST_SIZE, Manifest, Origin, Spanned};
use crate::Diagnostic;
use crate::edit_distance::distance;

/// A spanned value of the tree.
pub(super) type Value<'t> = &'t Spanned<DeValue<'t>>;

/// How many findings are kept; whoever has more has no use for them, and each holds a message.
const MAX_FINDINGS: usize = 1_000;

/// How many findings may come with a suggestion of what was meant.
const MAX_SUGGESTIONS: usize = 100;

/// Collects what is wrong with one manifest.
pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a Arc<str>,
    pub(super) origin: Origin,
    findings: Vec<Diagnostic>,
    /// Whether an error is among the findings.
    failed: bool,
    pub(super) legacy_keys: Vec<Spanned<String>>,
}

/// One table that is being read: knows its name in full and which of its keys nobody has asked for yet.
pub(super) struct Section<'t> {
    /// Such as `dependencies.serde`, for messages; empty for the document.
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) entries: BTreeMap<&'t str, (Range<usize>, Value<'t>)>,
}

/// What an unknown key in a section means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// A warning: nothing depends on it.
    Warn,
    /// An error: it could change what is fetched.
    Refuse,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: &'a Path, text: &'a Arc<str>, origin: Origin) -> Self {
        Self { path, text, origin, findings: Vec::new(), failed: false, legacy_keys: Vec::new() }
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    pub(super) fn text(&self) -> &'a Arc<str> {
        self.text
    }

    /// The bounded parse of the whole text.
    pub(super) fn document(&self) -> Result<Spanned<DeTable<'a>>, Diagnostic> {
        if self.text.len() > MAX_MANIFEST_SIZE {
            let message =
                format!("the manifest holds {} bytes, more than the limit of {MAX_MANIFEST_SIZE}", self.text.len());
            return Err(Diagnostic::error("manifest-too-large", message).at(self.path, self.text, 0..0));
        }
        let document = DeTable::parse(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            Diagnostic::error("manifest-syntax", error.message()).at(self.path, self.text, span)
        })?;
        let mut budget = MAX_MANIFEST_NODES;
        if !count(document.get_ref().values(), &mut budget) {
            let message = format!("the manifest holds more than {MAX_MANIFEST_NODES} values");
            return Err(Diagnostic::error("manifest-too-large", message).at(self.path, self.text, 0..0));
        }
        Ok(document)
    }

    pub(super) fn finish(self, manifest: Manifest) -> Result<(Manifest, Vec<Diagnostic>), Vec<Diagnostic>> {
        if self.failed { Err(self.findings) } else { Ok((manifest, self.findings)) }
    }

    fn push(&mut self, finding: Diagnostic, span: Range<usize>) {
        // Warnings make room for nothing, but an error must never get lost among them.
        if self.findings.len() < MAX_FINDINGS || (finding.level == crate::Level::Error && !self.failed) {
            self.failed |= finding.level == crate::Level::Error;
            self.findings.push(finding.at(self.path, self.text, span));
        }
    }

    pub(super) fn error(&mut self, code: &'static str, message: impl Into<String>, span: Range<usize>) {
        self.push(Diagnostic::error(code, message), span);
    }

    pub(super) fn warn(&mut self, code: &'static str, message: impl Into<String>, span: Range<usize>) {
        if self.origin == Origin::Local {
            self.push(Diagnostic::warning(code, message), span);
        }
    }

    /// `value` as a table called `name`.
    pub(super) fn section<'t>(&mut self, name: impl Into<String>, value: Value<'t>) -> Option<Section<'t>> {
        let name = name.into();
        match value.get_ref() {
            DeValue::Table(table) => Some(Section::new(name, value.span(), table)),
            other => {
                self.wrong_type(&name, "a table", other, value.span());
                None
            }
        }
    }

    pub(super) fn wrong_type(&mut self, name: &str, wanted: &str, found: &DeValue<'_>, span: Range<usize>) {
        let found = match found {
            DeValue::Array(_) => "an array",
            DeValue::Integer(_) => "an integer",
            DeValue::String(_) => "a string",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date-time",
            DeValue::Table(_) => "a table",
        };
        self.error("manifest-type", format!("`{name}` must be {wanted}, but is {found}"), span);
    }

    pub(super) fn string(&mut self, name: &str, value: Value<'_>) -> Option<Spanned<String>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Spanned::new(value.span(), text.to_string())),
            other => {
                self.wrong_type(name, "a string", other, value.span());
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, name: &str, value: Value<'_>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => {
                self.wrong_type(name, "a boolean", other, value.span());
                None
            }
        }
    }

    pub(super) fn strings(&mut self, name: &str, value: Value<'_>) -> Option<Vec<Spanned<String>>> {
        match value.get_ref() {
            DeValue::Array(items) => Some(items.iter().filter_map(|item| self.string(name, item)).collect()),
            other => {
                self.wrong_type(name, "an array of strings", other, value.span());
                None
            }
        }
    }

    /// Reports the keys of `section` that nobody took.
    pub(super) fn unknown_keys(&mut self, section: &Section<'_>, known: &[&str], unknown: Unknown) {
        for (key, (span, _)) in &section.entries {
            let full = section.child(key);
            let (level_error, mut finding) = match unknown {
                Unknown::Refuse if self.origin == Origin::Local => {
                    let message =
                        format!("unknown key `{full}`: it could change what is fetched, so it is not passed over");
                    (true, Diagnostic::error("manifest-unknown-dependency-key", message))
                }
                _ => (false, Diagnostic::warning("manifest-unused-key", format!("unused manifest key: {full}"))),
            };
            // A suggestion costs a comparison with every known key; a hundred of them are enough for anyone.
            if self.findings.len() < MAX_SUGGESTIONS
                && let Some(nearest) = nearest(key, known)
            {
                finding = finding.help(format!("did you mean `{nearest}`?"));
            }
            if level_error || self.origin == Origin::Local {
                self.push(finding, span.clone());
            }
        }
    }
}

impl<'t> Section<'t> {
    fn new(name: String, span: Range<usize>, table: &'t DeTable<'t>) -> Self {
        let entries = table.iter().map(|(key, value)| (&**key.get_ref(), (key.span(), value))).collect();
        Self { name, span, entries }
    }

    /// The document itself.
    pub(super) fn document(table: &'t DeTable<'t>) -> Self {
        Self::new(String::new(), 0..0, table)
    }

    /// The full name of the entry `key`.
    pub(super) fn child(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Takes the entry `key`.
    pub(super) fn take(&mut self, key: &str) -> Option<Value<'t>> {
        self.entries.remove(key).map(|(_, value)| value)
    }

    /// Takes `key`, or else its old spelling with `_`, which is passed over where both stand.
    pub(super) fn take_either(&mut self, reader: &mut Reader<'_>, key: &str) -> Option<Value<'t>> {
        let value = self.take(key);
        let old_key = key.replace('-', "_");
        let Some((span, old)) = Some(old_key).filter(|old| old != key).and_then(|old| self.entries.remove(&*old))
        else {
            return value;
        };
        reader.legacy_keys.push(Spanned::new(span.clone(), key.to_owned()));
        let full = self.child(key);
        let message = match value {
            Some(_) => format!("the old spelling of `{full}` stands beside the new one, and is ignored"),
            None => format!("the old spelling of `{full}` is deprecated and will not work in the 2024 edition"),
        };
        reader.warn("manifest-legacy-key", message, span);
        value.or(Some(old))
    }

    pub(super) fn string(&mut self, reader: &mut Reader<'_>, key: &str) -> Option<Spanned<String>> {
        let value = self.take(key)?;
        reader.string(&self.child(key), value)
    }

    pub(super) fn boolean(&mut self, reader: &mut Reader<'_>, key: &str) -> Option<bool> {
        let value = self.take(key)?;
        reader.boolean(&self.child(key), value)
    }

    pub(super) fn strings(&mut self, reader: &mut Reader<'_>, key: &str) -> Option<Vec<Spanned<String>>> {
        let value = self.take(key)?;
        reader.strings(&self.child(key), value)
    }
}

/// Counts `values` and all below against `budget`. Recursion is bounded by the TOML parser's own depth limit (80).
fn count<'t>(values: impl Iterator<Item = Value<'t>>, budget: &mut usize) -> bool {
    for value in values {
        let Some(rest) = budget.checked_sub(1) else { return false };
        *budget = rest;
        let fits = match value.get_ref() {
            DeValue::Array(items) => count(items.iter(), budget),
            DeValue::Table(table) => count(table.values(), budget),
            _ => true,
        };
        if !fits {
            return false;
        }
    }
    true
}

/// The known word that `word` was probably meant to be: at most a third of its letters differ.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    let scored = known.iter().map(|candidate| (distance(word, candidate), *candidate));
    scored.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}
