//! A registry in a folder of this machine: `index/` as any index has it, and the archives beside it (Cargo Book, "Local
//! Registry Sources").

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bulkhead_schema::index::{self, IndexFile, MAX_INDEX_FILE, Validators};
use bulkhead_schema::{PackageId, PackageName, SourceId};

use crate::{ErrorKind, SourceError};

/// A folder with an index and `.crate` files.
#[derive(Debug)]
pub struct LocalRegistry {
    source: SourceId,
    root: PathBuf,
    max_crate_size: u64,
}

impl LocalRegistry {
    /// The folder `root`, whose packages bear the name of `source`. Archives above `max_crate_size` bytes are refused.
    ///
    /// # Errors
    /// There is no such folder, or no `index` in it.
    pub fn open(source: SourceId, root: &Path, max_crate_size: u64) -> Result<Self, SourceError> {
        for (folder, what) in
            [(root.to_owned(), "local registry path"), (root.join("index"), "local registry index path")]
        {
            if !folder.is_dir() {
                let message = format!("{what} is not a directory: {}", folder.display());
                return Err(SourceError::new(ErrorKind::File, folder.to_string_lossy(), message));
            }
        }
        Ok(Self { source, root: root.to_owned(), max_crate_size })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the index says of `name`.
    ///
    /// # Errors
    /// The file cannot be read, or is none of an index.
    pub fn index(&self, name: PackageName) -> Result<Option<IndexFile>, SourceError> {
        let path = self.root.join("index").join(index::index_path(name));
        let Some(bytes) = read(&path, MAX_INDEX_FILE as u64)? else { return Ok(None) };
        let file = IndexFile::parse(name, self.source, bytes, Validators::default());
        file.map(Some).map_err(|error| SourceError::new(ErrorKind::Protocol, path.to_string_lossy(), error.message))
    }

    /// The archive of `id`, not yet verified.
    ///
    /// # Errors
    /// It is not there, or larger than allowed.
    pub fn archive(&self, id: PackageId) -> Result<Vec<u8>, SourceError> {
        let path = self.root.join(format!("{}-{}.crate", id.name(), id.version()));
        read(&path, self.max_crate_size)?
            .ok_or_else(|| SourceError::new(ErrorKind::NotFound, path.to_string_lossy(), "there is no such file"))
    }
}

/// A whole regular file of at most `limit` bytes; `None` if there is none.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, SourceError> {
    let failed = |kind, message: String| Err(SourceError::new(kind, path.to_string_lossy(), message));
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return failed(ErrorKind::File, error.to_string()),
    };
    if !metadata.is_file() {
        return failed(ErrorKind::Protocol, "it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    match file {
        Err(error) => failed(ErrorKind::File, error.to_string()),
        Ok(length) if length as u64 > limit => failed(ErrorKind::TooLarge, format!("it is larger than {limit} bytes")),
        Ok(_) => Ok(Some(bytes)),
    }
}
