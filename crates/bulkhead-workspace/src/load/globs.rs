//! Patterns in `members` and `default-members`.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;

use crate::{FileType, Files, path};

/// How deep `**` looks; far above any real workspace.
const MAX_DEPTH: usize = 32;

/// How many folders all patterns of a workspace may lead through together; the same.
pub(super) const MAX_FOLDERS: usize = 100_000;

/// Whether `text` is a pattern and not a plain path.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The folders below `base` that `pattern` matches, sorted. A pattern that matches nothing stands for itself, as in
/// Cargo, so that the caller finds its manifest missing. `left` is how many folders may still be led through.
///
/// # Errors
///
/// The pattern is malformed, or leads to too many folders; a sentence without location.
pub(super) fn expand(files: &dyn Files, base: &Path, pattern: &str, left: &mut usize) -> Result<Vec<PathBuf>, String> {
    let itself = path::join(base, pattern);
    if !is_pattern(pattern) {
        return Ok(vec![itself]);
    }
    let mut folders = vec![base.to_owned()];
    let mut parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    // Any number of folders twice is any number of folders.
    parts.dedup_by(|part, before| *part == "**" && part == before);
    for part in parts {
        folders = step(files, folders, part, left)?;
        *left = left
            .checked_sub(folders.len())
            .ok_or_else(|| format!("the patterns up to `{pattern}` lead through more than {MAX_FOLDERS} folders"))?;
        folders.sort();
        folders.dedup();
    }
    folders.retain(|folder| files.is_dir(folder));
    Ok(if folders.is_empty() { vec![itself] } else { folders })
}

/// The folders that `part` leads to, and no more than one beyond `most`.
fn step(files: &dyn Files, folders: Vec<PathBuf>, part: &str, most: &usize) -> Result<Vec<PathBuf>, String> {
    if part == "**" {
        let mut all = Vec::new();
        for folder in folders {
            descend(files, &folder, MAX_DEPTH, *most, &mut all);
        }
        return Ok(all);
    }
    if !is_pattern(part) {
        return Ok(folders.into_iter().map(|folder| path::join(&folder, part)).collect());
    }
    let glob = GlobBuilder::new(part).literal_separator(true).build().map_err(|error| error.to_string())?;
    let matcher = glob.compile_matcher();
    let mut next = Vec::new();
    for folder in folders {
        if next.len() > *most {
            break;
        }
        for (name, file_type) in files.list(&folder) {
            if file_type == FileType::Directory && matcher.is_match(&name) {
                next.push(folder.join(name));
            }
        }
    }
    Ok(next)
}

/// `folder` and everything below, until there are more than `most`.
fn descend(files: &dyn Files, folder: &Path, depth: usize, most: usize, all: &mut Vec<PathBuf>) {
    if all.len() > most {
        return;
    }
    all.push(folder.to_owned());
    if depth == 0 {
        return;
    }
    for (name, file_type) in files.list(folder) {
        if file_type == FileType::Directory {
            descend(files, &folder.join(name), depth - 1, most, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::expand;
    use crate::{FileType, Files};

    /// Folders in folders without end.
    struct Endless;

    impl Files for Endless {
        fn read(&self, _: &Path) -> Result<Option<std::sync::Arc<str>>, bulkhead_schema::Diagnostic> {
            Ok(None)
        }

        fn is_file(&self, _: &Path) -> bool {
            false
        }

        fn is_dir(&self, _: &Path) -> bool {
            true
        }

        fn is_link(&self, _: &Path) -> bool {
            false
        }

        fn list(&self, _: &Path) -> Vec<(String, FileType)> {
            (0..10).map(|number| (number.to_string(), FileType::Directory)).collect()
        }
    }

    #[test]
    fn patterns_share_what_they_may_lead_through() {
        let base = Path::new("/w");
        for pattern in ["**", "**/**/**/**", "*/*/*/*/*/*/*/*", "**/x/**"] {
            let error = expand(&Endless, base, pattern, &mut 5000).unwrap_err();
            assert!(error.contains(pattern) && error.contains("folders"), "{error}");
        }
        let mut left = 50;
        assert_eq!(expand(&Endless, base, "a/b", &mut left), Ok(vec![PathBuf::from("/w/a/b")]));
        for _ in 0..5 {
            assert_eq!(expand(&Endless, base, "*", &mut left).map(|found| found.len()), Ok(10));
        }
        assert!(expand(&Endless, base, "*", &mut left).is_err());
    }
}
