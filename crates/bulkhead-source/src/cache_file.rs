//! Files of the local index cache: replaced by one rename, so that an open one never changes.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_schema::index::{IndexFile, Lines, MAX_INDEX_FILE};
use bulkhead_schema::{PackageName, SourceId};

/// Up to this size, in bytes, a file is read in one go. A quarter of the packages of an ordinary graph have larger ones,
/// which hold five sixths of all bytes, nearly all of them lines of versions that nobody looks at.
const SMALL: usize = 64 << 10;

/// How much of a larger file is read at first, in bytes: the head of most.
const FIRST: usize = 16 << 10;

/// Most files that are kept open for their lines. Further ones are read in one go.
const MOST_OPEN: usize = 128;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A cache file whose lines are read when they are wanted.
#[derive(Debug)]
struct OpenFile(File);

impl Lines for OpenFile {
    fn read(&self, offset: u32, length: u32) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.0.read_exact_at(&mut bytes, u64::from(offset)).ok()?;
        Some(bytes)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the cache file at `path` says of `name`; nothing if it is damaged or about something else.
pub(crate) fn index(path: &Path, name: PackageName, source: SourceId) -> Option<IndexFile> {
    let file = File::open(path).ok()?;
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
    if length > 3 * MAX_INDEX_FILE {
        return None;
    }
    if length <= SMALL {
        return IndexFile::from_cache(name, source, from_start(&file, Vec::new(), length)?);
    }
    let beginning = from_start(&file, Vec::new(), FIRST)?;
    let head = IndexFile::cache_head_length(&beginning).filter(|&head| head <= length)?;
    if OPEN.fetch_add(1, Ordering::Relaxed) >= MOST_OPEN {
        OPEN.fetch_sub(1, Ordering::Relaxed);
        return IndexFile::from_cache(name, source, from_start(&file, beginning, length)?);
    }
    let beginning = from_start(&file, beginning, head.max(FIRST));
    let lines = Box::new(OpenFile(file));
    IndexFile::from_cache_head(name, source, beginning?, length, lines)
}

/// The first `length` bytes, of which `known` have been read.
fn from_start(file: &File, mut known: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    let begun = known.len();
    known.reserve_exact(length.saturating_sub(begun));
    known.resize(length.max(begun), 0);
    file.read_exact_at(known.get_mut(begun..)?, begun as u64).ok()?;
    Some(known)
}

/// The bytes, if there is a readable file of sane size; whatever else stands there is as good as nothing.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
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
