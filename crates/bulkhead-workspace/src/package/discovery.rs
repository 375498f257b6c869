//! Targets that the manifest doesn't name, found where the Cargo Book's "Target auto-discovery" says.

use std::path::{Path, PathBuf};

use crate::{FileType, Files};

/// A target found in its usual place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// The file's name without `.rs`, or the folder's.
    pub(crate) name: String,
    /// Relative to the package.
    pub(crate) path: PathBuf,
}

/// `src/main.rs` under the package's own name, then all of `src/bin`.
pub(crate) fn binaries(files: &dyn Files, root: &Path, package_name: &str) -> Vec<Found> {
    let main = PathBuf::from("src/main.rs");
    let mut found = Vec::new();
    if files.is_file(&root.join(&main)) {
        found.push(Found { name: package_name.to_owned(), path: main });
    }
    found.extend(in_folder(files, root, Path::new("src/bin")));
    found
}

/// `FOLDER/*.rs` and `FOLDER/*/main.rs`, sorted by name; hidden entries are passed over.
pub(crate) fn in_folder(files: &dyn Files, root: &Path, folder: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for (entry, file_type) in files.list(&root.join(folder)) {
        if entry.starts_with('.') {
            continue;
        }
        match file_type {
            FileType::File => {
                if let Some(name) = entry.strip_suffix(".rs") {
                    found.push(Found { name: name.to_owned(), path: folder.join(&entry) });
                }
            }
            FileType::Directory => {
                let path = folder.join(&entry).join("main.rs");
                if files.is_file(&root.join(&path)) {
                    found.push(Found { name: entry, path });
                }
            }
            FileType::Other => {}
        }
    }
    found.sort();
    found
}
