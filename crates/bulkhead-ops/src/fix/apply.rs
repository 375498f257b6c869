//! Suggestions, as rustc makes them, and the files that they change.

#![expect(clippy::disallowed_methods, reason = "this command is never answered from a snapshot")]

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use rustfix::{CodeFix, Filter, Suggestion};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Places;
use crate::error::Result;
use crate::{Event, disk};

/// Largest source that is changed, in bytes.
const MAX_SOURCE: u64 = 16 << 20;

/// What one build has said.
#[derive(Default)]
pub(super) struct Said {
    /// Whether rustc said anything, so that a failure is about code.
    pub(super) is_build: bool,
    /// Whether there were errors in code.
    pub(super) has_errors: bool,
    /// Each with the manifest of the package that it is about.
    suggestions: Vec<(PathBuf, Suggestion)>,
}

#[derive(Deserialize)]
struct Line<'a> {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    level: String,
}

impl Said {
    /// Takes in one JSON message.
    pub(super) fn line(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str::<Line<'_>>(line) else { return };
        self.is_build |= line.reason == "build-finished";
        let Some(message) = line.message.filter(|_| line.reason == "compiler-message") else { return };
        let level = serde_json::from_str::<Message>(message.get()).map(|message| message.level).unwrap_or_default();
        self.has_errors |= level.starts_with("error");
        let filter = Filter::MachineApplicableOnly;
        let found = rustfix::get_suggestions_from_json(message.get(), &HashSet::new(), filter).unwrap_or_default();
        self.suggestions.extend(found.into_iter().map(|suggestion| (line.manifest_path.clone(), suggestion)));
    }
}

/// What became of suggestions.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) done: usize,
    /// They contradict others.
    pub(super) refused: usize,
}

/// Changes files, and remembers how they were.
pub(super) struct Fixer {
    /// What rustc's paths are relative to.
    root: PathBuf,
    /// What was generated there is not for keeping.
    target: PathBuf,
    places: Places,
    /// What the last round has changed, as it was.
    before: BTreeMap<PathBuf, String>,
    fixes: BTreeMap<PathBuf, usize>,
}

impl Fixer {
    pub(super) fn new(root: PathBuf, target: PathBuf, places: Places) -> Self {
        Self { root, target, places, before: BTreeMap::new(), fixes: BTreeMap::new() }
    }

    /// Applies what was suggested.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn apply(&mut self, said: &Said) -> Result<Applied> {
        let mut files: BTreeMap<PathBuf, Vec<&Suggestion>> = BTreeMap::new();
        for (manifest, suggestion) in &said.suggestions {
            if let Some(path) = self.file_of(manifest, suggestion) {
                let known = files.entry(path).or_default();
                // The library and its tests say the same.
                if !known.contains(&suggestion) {
                    known.push(suggestion);
                }
            }
        }
        self.before.clear();
        let mut all = Applied::default();
        for (path, suggestions) in files {
            let Ok(code) = crate::observed::Disk::default().read_text(&path, MAX_SOURCE) else { continue };
            let (fixed, count) = fixed(&code, &suggestions);
            if count > 0 {
                disk::write_atomically(&path, fixed.as_bytes())?;
                *self.fixes.entry(path.clone()).or_default() += count;
                self.before.insert(path, code);
                all.done += count;
            }
            all.refused += suggestions.len() - count;
        }
        Ok(all)
    }

    /// The one file that a suggestion changes, if it may be changed: a Rust source of the package that it is about, not
    /// hidden, not generated, and not reached through a link that leads out.
    fn file_of(&self, manifest: &Path, suggestion: &Suggestion) -> Option<PathBuf> {
        let parts = suggestion.solutions.iter().flat_map(|solution| &solution.replacements);
        let mut names = parts.map(|part| part.snippet.file_name.as_str());
        let name = names.next()?;
        if names.any(|other| other != name) {
            return None;
        }
        let folder = manifest.parent()?;
        let (_, place) = self.places.iter().find(|(_, root)| root == folder)?;
        let path = disk::normalize(&self.root.join(name));
        let inner = path.strip_prefix(place).ok()?;
        let hidden = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        let real = path.canonicalize().ok()?;
        let stays = real.starts_with(place.canonicalize().ok()?);
        let may = is_source && stays && !inner.components().any(hidden) && !path.starts_with(&self.target);
        may.then_some(path)
    }

    /// Takes back what the last round has done, because it made errors.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn take_back(&mut self, events: &dyn Fn(Event)) -> Result<()> {
        let mut message = "failed to automatically apply fixes suggested by rustc\n\nafter fixes were automatically \
                           applied the compiler reported errors, so that these files are again as they were:\n\n"
            .to_owned();
        for (path, code) in std::mem::take(&mut self.before) {
            disk::write_atomically(&path, code.as_bytes())?;
            self.fixes.remove(&path);
            message.push_str(&format!("  * {}\n", self.shown(&path)));
        }
        events(Event::Warning(message));
        Ok(())
    }

    /// Says which files were changed.
    pub(super) fn tell(&self, events: &dyn Fn(Event)) {
        for (path, count) in &self.fixes {
            let noun = if *count == 1 { "fix" } else { "fixes" };
            events(Event::Status { verb: "Fixed", message: format!("{} ({count} {noun})", self.shown(path)) });
        }
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// The code with all suggestions that do not contradict one before, and how many these are.
fn fixed(code: &str, suggestions: &[&Suggestion]) -> (String, usize) {
    let mut fix = CodeFix::new(code);
    let count = suggestions.iter().filter(|suggestion| fix.apply(suggestion).is_ok()).count();
    match fix.finish() {
        Ok(fixed) if fixed != code => (fixed, count),
        _ => (code.to_owned(), 0),
    }
}
