//! The view of the file system that loading needs.

use std::path::Path;
use std::sync::Arc;

use bulkhead_schema::Diagnostic;

/// The type of a folder's entry, symbolic links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// Anything else, dangling links among it.
    Other,
}

/// Where loading finds files: the disk in `ops`, a map in tests. All paths are absolute.
pub trait Files {
    /// The text of the file at `path`, or `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// The file is there but can't be read, is too large
    /// ([`MAX_MANIFEST_SIZE`](bulkhead_schema::manifest::MAX_MANIFEST_SIZE)) or isn't UTF-8.
    fn read(&self, path: &Path) -> Result<Option<Arc<str>>, Diagnostic>;

    /// Whether `path` is a regular file, or a link to one.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether `path` is a folder, or a link to one.
    fn is_dir(&self, path: &Path) -> bool;

    /// Whether `path` itself is a symbolic link; where there are none, it is not.
    fn is_link(&self, _path: &Path) -> bool {
        false
    }

    /// The entries of the folder `dir` in any order; empty if it can't be listed. Names that aren't UTF-8 are left out.
    fn list(&self, dir: &Path) -> Vec<(String, FileType)>;
}
