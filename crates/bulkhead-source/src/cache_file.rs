//! Files of the local index cache: read in one go, replaced by one rename.

use std::io::Write as _;
use std::path::Path;

use bulkhead_schema::index::MAX_INDEX_FILE;

/// The bytes, if there is a readable file of sane size; whatever else stands there is as good as nothing.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    let file = std::fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    if length > 3 * MAX_INDEX_FILE as u64 {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).ok()? + 1);
    std::io::Read::read_to_end(&mut std::io::Read::take(file, length), &mut bytes).ok()?;
    Some(bytes)
}

/// Puts `bytes` at `path`, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
