//! Patterns in `members` and `default-members`.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;

use crate::{FileType, Files, path};

/// How deep `**` looks, and how many folders a pattern may lead to; both far above any real workspace.
const MAX_DEPTH: usize = 32;
const MAX_FOLDERS: usize = 100_000;

/// Whether `text` is a pattern and not a plain path.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The folders below `base` that `pattern` matches, sorted. A pattern that matches nothing stands for itself, as in
/// Cargo, so that the caller finds its manifest missing.
///
/// # Errors
///
/// The pattern is malformed, or leads to too many folders; a sentence without location.
pub(super) fn expand(files: &dyn Files, base: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let itself = path::join(base, pattern);
    if !is_pattern(pattern) {
        return Ok(vec![itself]);
    }
    let mut folders = vec![base.to_owned()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        folders = step(files, folders, part)?;
        if folders.len() > MAX_FOLDERS {
            return Err(format!("the pattern `{pattern}` leads to more than {MAX_FOLDERS} folders"));
        }
    }
    folders.retain(|folder| files.is_dir(folder));
    folders.sort();
    folders.dedup();
    Ok(if folders.is_empty() { vec![itself] } else { folders })
}

fn step(files: &dyn Files, folders: Vec<PathBuf>, part: &str) -> Result<Vec<PathBuf>, String> {
    if part == "**" {
        let mut all = Vec::new();
        for folder in folders {
            descend(files, &folder, MAX_DEPTH, &mut all);
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
        for (name, file_type) in files.list(&folder) {
            if file_type == FileType::Directory && matcher.is_match(&name) {
                next.push(folder.join(name));
            }
        }
    }
    Ok(next)
}

/// `folder` and everything below.
fn descend(files: &dyn Files, folder: &Path, depth: usize, all: &mut Vec<PathBuf>) {
    all.push(folder.to_owned());
    if depth == 0 || all.len() > MAX_FOLDERS {
        return;
    }
    for (name, file_type) in files.list(folder) {
        if file_type == FileType::Directory {
            descend(files, &folder.join(name), depth - 1, all);
        }
    }
}
