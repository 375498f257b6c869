//! The index cache of one registry: one file that holds the blocks of all packages ([`IndexFile::to_cache`]), and where
//! in it each of them is.
//!
//! ```text
//! magic (8) · two slots (40 each)
//!     slot: sequence · offset of the directory · its length · its checksum · checksum of the slot
//! blocks and directories, in the order of their writing
//!     directory: key of the name (8) · offset (8) · length (4) · length of the head (4), ascending by key
//! ```
//! The slot with the highest sequence is in force. A writer holds the file's lock, appends blocks and a new directory,
//! and then overwrites the other slot; whoever is killed before that has changed nothing, and whoever reads meanwhile
//! reads what was there. When half of the file is of no use any more, a new file takes its place by a rename. Nothing is
//! flushed: after a power failure checksums tell what did not reach the disk, and the registry is asked for it again.
//!
//! The file is read, not mapped: another process may cut it short at any time, which a read survives. The two cost the
//! same (`docs/decisions/index-cache.md`).

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind, Result, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bulkhead_schema::index::{IndexFile, MAX_INDEX_FILE, Remainder, index_checksum};
use bulkhead_schema::{PackageName, SourceId};
use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The last digit changes with the format.
const MAGIC: &[u8; 8] = b"BHCACHE1";
const SLOT: usize = 40;
const HEADER: usize = 8 + 2 * SLOT;
const ENTRY: usize = 24;

/// Up to this size, in bytes, a block is read in one go; of larger ones the head, and details when they are wanted: what
/// is never looked at costs more to bring into memory than another call does.
const SMALL: u32 = 4 << 10;

/// How many useless bytes are put up with whatever the file's size.
const FREE_WASTE: u64 = 4 << 20;

/// Largest block that is read: what the largest answer becomes is smaller.
const MAX_BLOCK: usize = 3 * MAX_INDEX_FILE;

/// Largest directory that is read: a million names.
const MAX_DIRECTORY: u64 = (ENTRY as u64) << 20;

/// The cache file of one registry.
pub struct IndexCache {
    path: PathBuf,
    /// What was in force when the file was first needed, or last written by this process.
    snapshot: Mutex<Option<Arc<Snapshot>>>,
}

/// The file as of one moment: nothing that it names changes.
struct Snapshot {
    file: Arc<File>,
    directory: Vec<Entry>,
}

/// Where a block is.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u64,
    offset: u64,
    length: u32,
    head: u32,
}

/// A slot, as far as its own checksum vouches for it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    sequence: u64,
    offset: u64,
    length: u64,
    checksum: u64,
}

/// What of a block was not read, and how to make sure that a damaged one is not read again.
#[derive(Debug)]
struct Rest {
    file: Arc<File>,
    path: PathBuf,
    offset: u64,
}

impl Remainder for Rest {
    fn read(&self, offset: u32, length: u32) -> Option<Vec<u8>> {
        read_at(&self.file, self.offset + u64::from(offset), length as usize)
    }

    fn damaged(&self) {
        // If the mark cannot be set, the next run finds the damage again, and says so again.
        let _ = open(&self.path, OFlags::RDWR).and_then(|file| {
            let (ours, theirs) = (self.file.metadata()?, file.metadata()?);
            if ours.ino() == theirs.ino() { file.write_all_at(&[0; 8], self.offset) } else { Ok(()) }
        });
    }
}

impl IndexCache {
    /// The cache that lies at `path`, or will.
    pub fn at(path: PathBuf) -> Self {
        Self { path, snapshot: Mutex::default() }
    }

    /// What the cache knows of `name`; nothing if that is damaged, or the file is not one that this user wrote.
    pub fn get(&self, name: PackageName, source: SourceId) -> Option<IndexFile> {
        let snapshot = self.snapshot()?;
        let place = snapshot.directory.binary_search_by_key(&key(name), |entry| entry.key).ok()?;
        let entry = snapshot.directory.get(place)?;
        let first = if entry.length <= SMALL { entry.length } else { entry.head };
        let bytes = read_at(&snapshot.file, entry.offset, first as usize)?;
        let rest = Rest { file: Arc::clone(&snapshot.file), path: self.path.clone(), offset: entry.offset };
        IndexFile::from_cache_head(name, source, bytes, entry.length as usize, Box::new(rest))
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let mut known = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            let file = open(&self.path, OFlags::RDONLY).ok()?;
            let (_, directory) = in_force(&file)?;
            *known = Some(Arc::new(Snapshot { file: Arc::new(file), directory }));
        }
        known.clone()
    }

    /// Adds the blocks of `files`, which replace those of the same names.
    ///
    /// # Errors
    /// The file cannot be written, or others hold it for too long.
    pub fn put(&self, files: &[Arc<IndexFile>]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut known = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match self.open_locked()? {
            Some((file, slot, directory)) => append(&file, slot, directory, files)?.map(|directory| (file, directory)),
            None => None,
        };
        let (file, directory) = match written {
            Some(written) => written,
            None => self.rewrite(files)?,
        };
        // Closing a descriptor gives its lock back, so what is kept is another one.
        drop(file);
        *known =
            open(&self.path, OFlags::RDONLY).ok().map(|file| Arc::new(Snapshot { file: Arc::new(file), directory }));
        Ok(())
    }

    /// The file, held against other writers, with what is in force in it. `None` if there is none, or it is of no use.
    fn open_locked(&self) -> Result<Option<(File, Slot, Vec<Entry>)>> {
        // Each turn that is lost means that another process has put a new file there.
        for _ in 0..100 {
            let file = match open(&self.path, OFlags::RDWR) {
                Ok(file) => file,
                Err(_) => return Ok(None),
            };
            lock(&file)?;
            let now = std::fs::symlink_metadata(&self.path);
            if now.is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino())) {
                return Ok(in_force(&file).map(|(slot, directory)| (file, slot, directory)));
            }
        }
        Err(ErrorKind::ResourceBusy.into())
    }

    /// Puts a new file in the place of the old: the blocks that are in force, less those of the names in `files`, and
    /// these. A file that is not ours, or broken, is replaced all the same, and nothing is taken from it.
    fn rewrite(&self, files: &[Arc<IndexFile>]) -> Result<(File, Vec<Entry>)> {
        let folder = self.path.parent().unwrap_or(&self.path);
        let mut new = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
        // Two processes that find the old file useless at once both write a new one; the later rename wins, and what
        // the other asked for is asked for again some day.
        let mut bytes = vec![0; HEADER];
        let mut entries = BTreeMap::new();
        // Held until the new file is in its place.
        let old = self.open_locked()?;
        if let Some((old, _, directory)) = &old {
            let replaced: Vec<u64> = files.iter().map(|file| key(file.name())).collect();
            for &entry in directory.iter().filter(|entry| !replaced.contains(&entry.key)) {
                let Some(block) = read_at(old, entry.offset, entry.length as usize) else { continue };
                entries.insert(entry.key, Entry { offset: bytes.len() as u64, ..entry });
                bytes.extend_from_slice(&block);
            }
        }
        for file in files {
            if let Some((entry, block)) = entry(file, bytes.len() as u64) {
                entries.insert(entry.key, entry);
                bytes.extend_from_slice(block);
            }
        }
        let directory: Vec<Entry> = entries.into_values().collect();
        let written = to_bytes(&directory);
        let slot = Slot::of(1, bytes.len() as u64, &written);
        bytes.extend_from_slice(&written);
        bytes.splice(..HEADER, [MAGIC.as_slice(), &slot.to_bytes(), &[0; SLOT]].concat());
        new.write_all(&bytes)?;
        let file = new.persist(&self.path).map_err(|error| error.error)?;
        Ok((file, directory))
    }
}

/// Appends to the file, of which `slot` and `directory` are in force. `None` if it is time to write it anew.
fn append(file: &File, slot: Slot, directory: Vec<Entry>, files: &[Arc<IndexFile>]) -> Result<Option<Vec<Entry>>> {
    let end = file.metadata()?.len();
    let mut entries: BTreeMap<u64, Entry> = directory.into_iter().map(|entry| (entry.key, entry)).collect();
    let mut bytes = Vec::new();
    for file in files {
        if let Some((entry, block)) = entry(file, end + bytes.len() as u64) {
            entries.insert(entry.key, entry);
            bytes.extend_from_slice(block);
        }
    }
    let directory: Vec<Entry> = entries.into_values().collect();
    let used: u64 = directory.iter().map(|entry| u64::from(entry.length) + ENTRY as u64).sum();
    let written = to_bytes(&directory);
    let new = Slot::of(slot.sequence.wrapping_add(1), end + bytes.len() as u64, &written);
    bytes.extend_from_slice(&written);
    if end + bytes.len() as u64 > 2 * used + FREE_WASTE {
        return Ok(None);
    }
    file.write_all_at(&bytes, end)?;
    // Odd sequences stand in the first slot, even ones in the second: what is in force is not touched.
    file.write_all_at(&new.to_bytes(), 8 + (1 - new.sequence % 2) * SLOT as u64)?;
    Ok(Some(directory))
}

fn entry(file: &IndexFile, offset: u64) -> Option<(Entry, &[u8])> {
    let block = file.to_cache()?;
    let head = u32::try_from(IndexFile::cache_head_length(block)?).ok()?;
    Some((Entry { key: key(file.name()), offset, length: u32::try_from(block.len()).ok()?, head }, block))
}

/// Names are found by a hash; a block tells its own name, so that two names with one hash cannot be mistaken.
fn key(name: PackageName) -> u64 {
    index_checksum(name.as_str().as_bytes())
}

/// Opens the file if it is a regular one that this user owns and nobody else may write.
fn open(path: &Path, access: OFlags) -> Result<File> {
    let file = File::from(rustix::fs::open(path, access | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    let stat = file.metadata()?;
    let own = stat.uid() == rustix::process::geteuid().as_raw() && stat.mode() & 0o022 == 0;
    if stat.is_file() && own { Ok(file) } else { Err(ErrorKind::PermissionDenied.into()) }
}

/// Waits for other writers, who need milliseconds; but not for ever for one that was stopped.
fn lock(file: &File) -> Result<()> {
    for _ in 0..200 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    Err(ErrorKind::ResourceBusy.into())
}

fn read_at(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset.checked_add(bytes.len() as u64)?;
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => return None,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(length);
    Some(bytes)
}

/// The newer of the slots that are whole and lead to a whole directory.
fn in_force(file: &File) -> Option<(Slot, Vec<Entry>)> {
    let header = read_at(file, 0, HEADER)?;
    let (magic, slots) = header.split_first_chunk()?;
    if magic != MAGIC {
        return None;
    }
    let mut slots: Vec<Slot> = slots.as_chunks::<SLOT>().0.iter().filter_map(Slot::from_bytes).collect();
    slots.sort_by_key(|slot| std::cmp::Reverse(slot.sequence));
    let length = file.metadata().ok()?.len();
    slots.into_iter().find_map(|slot| Some((slot, directory(file, slot, length)?)))
}

fn directory(file: &File, slot: Slot, length: u64) -> Option<Vec<Entry>> {
    let end = slot.offset.checked_add(slot.length)?;
    if slot.length > MAX_DIRECTORY || end > length {
        return None;
    }
    let bytes = read_at(file, slot.offset, usize::try_from(slot.length).ok()?)?;
    if index_checksum(&bytes) != slot.checksum {
        return None;
    }
    let (entries, []) = bytes.as_chunks::<ENTRY>() else { return None };
    let entries: Vec<Entry> = entries.iter().map(Entry::from_bytes).collect();
    let is_whole = |entry: &Entry| {
        let end = entry.offset.checked_add(u64::from(entry.length));
        entry.head <= entry.length && entry.length as usize <= MAX_BLOCK && end.is_some_and(|end| end <= length)
    };
    (entries.is_sorted_by(|a, b| a.key < b.key) && entries.iter().all(is_whole)).then_some(entries)
}

fn to_bytes(directory: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(directory.len() * ENTRY);
    for Entry { key, offset, length, head } in directory {
        [*key, *offset, u64::from(*length) | u64::from(*head) << 32]
            .into_iter()
            .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    }
    bytes
}

/// Splits into little-endian words.
fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    words.iter_mut().zip(bytes.as_chunks::<8>().0).for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
    words
}

impl Entry {
    fn from_bytes(bytes: &[u8; ENTRY]) -> Self {
        let [key, offset, lengths] = words(bytes);
        Self { key, offset, length: lengths as u32, head: (lengths >> 32) as u32 }
    }
}

impl Slot {
    fn of(sequence: u64, offset: u64, directory: &[u8]) -> Self {
        Self { sequence, offset, length: directory.len() as u64, checksum: index_checksum(directory) }
    }

    fn to_bytes(self) -> Vec<u8> {
        let Self { sequence, offset, length, checksum } = self;
        let mut bytes: Vec<u8> = [sequence, offset, length, checksum].map(u64::to_le_bytes).as_flattened().to_vec();
        bytes.extend_from_slice(&index_checksum(&bytes).to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; SLOT]) -> Option<Self> {
        let [sequence, offset, length, checksum, own] = words(bytes);
        let content = bytes.get(..SLOT - 8)?;
        (index_checksum(content) == own).then_some(Self { sequence, offset, length, checksum })
    }
}

/// The bytes of a small file, if there is a readable one of sane size; whatever else stands there is as good as nothing.
pub(crate) fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    if length > limit { None } else { read_at(&file, 0, usize::try_from(length).ok()?) }
}

/// Puts a small file at `path`, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
