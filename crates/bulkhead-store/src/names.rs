//! Which paths may stand in an archive or a checkout, on whatever platform it is unpacked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bulkhead_schema::policy::hides_text;
use unicode_normalization::UnicodeNormalization as _;

/// Longest path below the top folder, in bytes.
const MAX_PATH: usize = 1024;

/// Longest part of a path, in bytes: what file systems allow.
const MAX_PART: usize = 255;

/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// Checks the form of a path below the top folder. A trailing `/` was removed before.
pub(crate) fn check(path: &str) -> Result<(), String> {
    if path.len() > MAX_PATH {
        return Err(format!("the path is longer than {MAX_PATH} bytes"));
    }
    if path.split('/').count() > MAX_DEPTH {
        return Err(format!("the path is nested deeper than {MAX_DEPTH} folders"));
    }
    path.split('/').try_for_each(check_part)
}

fn check_part(part: &str) -> Result<(), String> {
    match part {
        "" => return Err("the path has an empty part".to_owned()),
        "." | ".." => return Err(format!("the path has a part `{part}`")),
        _ if part.len() > MAX_PART => return Err(format!("a part of the path is longer than {MAX_PART} bytes")),
        _ => {}
    }
    if let Some(bad) = part.chars().find(|&c| c.is_control() || hides_text(c) || r#"\:*?"<>|"#.contains(c)) {
        return Err(format!("the character {bad:?} is not allowed in a file name"));
    }
    if part.ends_with(['.', ' ']) {
        return Err("a file name must not end with a dot or a space".to_owned());
    }
    let lower = part.to_ascii_lowercase();
    if lower == ".git" || lower.strip_prefix("git~").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())) {
        return Err("a package must not hold parts of a git repository".to_owned());
    }
    if is_device(&lower) {
        return Err(format!("`{part}` is the name of a device on Windows"));
    }
    Ok(())
}

/// Names that Windows keeps for devices, whatever extension follows.
fn is_device(lower: &str) -> bool {
    let stem = lower.split('.').next().unwrap_or_default().trim_end_matches(' ');
    if matches!(stem, "con" | "prn" | "aux" | "nul" | "conin$" | "conout$") {
        return true;
    }
    let number = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    number.is_some_and(|rest| {
        let mut chars = rest.chars();
        matches!(chars.next(), Some('0'..='9' | '¹' | '²' | '³')) && chars.next().is_none()
    })
}

/// The paths of an archive so far, to find two that some file system takes for one.
#[derive(Default)]
pub(crate) struct Taken {
    /// Folded path → path as written, and whether it is a folder.
    paths: HashMap<String, (String, Kind)>,
    /// The folder of the last file: most files stand beside the one before.
    last_folder: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    /// A folder that has an entry of its own.
    NamedFolder,
    /// A folder that follows from the path of another entry.
    ImpliedFolder,
}

impl Taken {
    /// Adds a file and the folders above it.
    pub(crate) fn add_file(&mut self, path: &str) -> Result<(), String> {
        match self.add_file_or_twin(path)? {
            None => Ok(()),
            Some(twin) => Err(confused(&twin)),
        }
    }

    /// Like [`add_file`](Self::add_file), except that the file may have the place of one that was added before: that one's
    /// path is returned, for the caller to find out whether it matters which of them is read.
    pub(crate) fn add_file_or_twin(&mut self, path: &str) -> Result<Option<String>, String> {
        self.add_folders_above(path)?;
        self.add(path, Kind::File)
    }

    /// Adds a folder and the folders above it.
    pub(crate) fn add_folder(&mut self, path: &str) -> Result<(), String> {
        self.add_folders_above(path)?;
        self.add(path, Kind::NamedFolder).map(drop)
    }

    fn add_folders_above(&mut self, path: &str) -> Result<(), String> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder == self.last_folder {
            return Ok(());
        }
        for (end, _) in path.match_indices('/') {
            self.add(path.get(..end).unwrap_or_default(), Kind::ImpliedFolder)?;
        }
        folder.clone_into(&mut self.last_folder);
        Ok(())
    }

    /// Returns the twin of a file, if it has one.
    fn add(&mut self, path: &str, kind: Kind) -> Result<Option<String>, String> {
        match self.paths.entry(fold(path)) {
            Entry::Vacant(place) => {
                place.insert((path.to_owned(), kind));
                Ok(None)
            }
            Entry::Occupied(mut place) => {
                let (known, known_kind) = place.get_mut();
                match (*known_kind, kind) {
                    (Kind::ImpliedFolder | Kind::NamedFolder, Kind::ImpliedFolder) if known == path => Ok(None),
                    (Kind::ImpliedFolder, Kind::NamedFolder) if known == path => {
                        *known_kind = kind;
                        Ok(None)
                    }
                    _ if known == path => Err("the path stands there twice".to_owned()),
                    (Kind::File, Kind::File) => Ok(Some(known.clone())),
                    _ => Err(confused(known)),
                }
            }
        }
    }
}

/// Why a path is refused that is not told from the path `known` everywhere.
pub(crate) fn confused(known: &str) -> String {
    format!("some file systems take the path for `{}`", known.escape_default())
}

/// What the most lenient file system compares: compatibility-decomposed, case-folded. Upper case first, since it expands
/// what lower case leaves alone (`ß` → `SS`).
fn fold(path: &str) -> String {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    path.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkd().collect()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn folding_finds_what_file_systems_confuse() {
        for (a, b) in [("Straße", "STRASSE"), ("é", "e\u{301}"), ("ﬁ", "fi"), ("K", "k"), ("Σ", "ς"), ("A/B", "a/b")]
        {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("日本"), fold("中国"));
    }
}
