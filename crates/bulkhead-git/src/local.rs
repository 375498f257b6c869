//! Where a repository of this machine keeps its parts.

use std::path::{Path, PathBuf};

/// Most folders that one repository borrows objects from.
const MAX_FOLDERS: usize = 32;

/// Largest file that names other folders, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The folders that git has to read to fetch from the repository at `path`: itself; where the working copy is one of
/// several, the repository that they share; and the repositories whose objects it borrows. Only what exists.
pub(crate) fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_path_buf()];
    let mut place = 0;
    while let Some(folder) = found.get(place).cloned() {
        place += 1;
        for git in [folder.clone(), folder.join(".git")] {
            let linked = text(&git).and_then(|text| Some(PathBuf::from(text.strip_prefix("gitdir: ")?.trim_end())));
            let shared = text(&git.join("commondir")).map(|text| git.join(text.trim_end()));
            let borrowed = text(&git.join("objects/info/alternates")).unwrap_or_default();
            let borrowed = borrowed.lines().map(|line| git.join("objects").join(line));
            for next in linked.map(|linked| folder.join(linked)).into_iter().chain(shared).chain(borrowed) {
                let Ok(next) = next.canonicalize() else { continue };
                if found.len() < MAX_FOLDERS && !found.iter().any(|known| next.starts_with(known)) {
                    found.push(next);
                }
            }
        }
        // Borrowed folders are those of objects, whose own list stands right in them.
        let borrowed = text(&folder.join("info/alternates")).unwrap_or_default();
        for next in borrowed.lines().filter_map(|line| folder.join(line).canonicalize().ok()) {
            if found.len() < MAX_FOLDERS && !found.iter().any(|known| next.starts_with(known)) {
                found.push(next);
            }
        }
    }
    found
}

fn text(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return None;
    }
    std::fs::read_to_string(path).ok()
}
