//! The notes on all packages of one project in one file, so that what is known of a package costs no file of its own.
//!
//! ```text
//! magic (8) · writer (8) · length of table and briefs (8) · of texts (8) · their checksums (2 × 8)
//! table: number of entries (4), and for each, in the order of digests: archive digest (32) · states of record, manifest and
//!        folder (3 × 44) · begin and end of its brief and of its text (4 × 4), counted from where the first one begins
//! briefs · texts
//! ```
//! It is a copy of the notes that stand beside trees, and is believed as these are: while record, manifest and folder of a tree
//! are those that were verified, and by the program that wrote it. What is not whole is passed over, and written anew.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bulkhead_schema::index::index_checksum;
use bulkhead_trust::Digest;
use rustix::fs::{Mode, OFlags};

use crate::notes::{Notes, States};
use crate::record::{Reader, put_state};

/// The folder below `BULKHEAD_HOME`.
const FOLDER: &str = "cache/notebooks";

/// The last digit changes with the format.
const MAGIC: &[u8; 8] = b"BHBOOK\x001";

/// Bytes before the table.
const HEAD: usize = 48;

/// Bytes of an entry of the table.
const ENTRY: usize = 32 + 3 * 44 + 4 * 4;

/// Largest notebook that is written or read, in bytes.
const MAX_SIZE: u64 = 256 << 20;

/// Most entries that stay when others are added, if these are not as many.
const MOST_OLD: usize = 4096;

/// Most notebooks that are kept; the oldest go first.
const MAX_KEPT: usize = 64;

/// The notes on a project's packages. One that is missing or damaged is empty.
#[derive(Debug)]
pub struct Notebook {
    path: PathBuf,
    pub(crate) writer: u64,
    /// Sorted by digest.
    table: Vec<u8>,
    briefs: Vec<u8>,
    texts: Texts,
}

/// The second part of the file, which not every command reads.
#[derive(Debug, Default)]
struct Texts {
    file: Option<File>,
    offset: u64,
    length: usize,
    checksum: u64,
    bytes: OnceLock<Vec<u8>>,
}

/// One entry, as far as the table tells.
pub(crate) struct Entry<'a> {
    pub(crate) states: States,
    pub(crate) brief: &'a [u8],
    text: Range<usize>,
    texts: &'a Texts,
}

impl<'a> Entry<'a> {
    pub(crate) fn text(&self) -> Option<&'a [u8]> {
        self.texts.get().get(self.text.clone())
    }
}

impl Texts {
    /// All of them; none if they are damaged.
    fn get(&self) -> &[u8] {
        self.bytes.get_or_init(|| {
            let mut bytes = vec![0; self.length];
            let read = self.file.as_ref().is_some_and(|file| file.read_exact_at(&mut bytes, self.offset).is_ok());
            if read && index_checksum(&bytes) == self.checksum { bytes } else { Vec::new() }
        })
    }
}

impl Notebook {
    /// The notebook of the project in `project`, in the home `home`.
    pub(crate) fn open(home: &Path, project: &Path, writer: u64) -> Self {
        let name = Digest::of(project.as_os_str().as_encoded_bytes()).to_string();
        let path = home.join(FOLDER).join(name);
        let (table, briefs, texts) = read(&path, writer).unwrap_or_default();
        Self { path, writer, table, briefs, texts }
    }

    /// Whether nothing is written in it.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What is written of the package whose archive has the digest `archive`.
    pub(crate) fn get(&self, archive: Digest) -> Option<Entry<'_>> {
        let (entries, _) = self.table.as_chunks::<ENTRY>();
        let key = |entry: &[u8; ENTRY]| entry.first_chunk::<32>().copied().unwrap_or_default();
        let position = entries.binary_search_by_key(archive.as_bytes(), key).ok()?;
        let mut entry = Reader(entries.get(position)?.get(32..)?);
        let states = [entry.state()?, entry.state()?, entry.state()?];
        let mut number = || entry.array().map(|bytes| u32::from_le_bytes(bytes) as usize);
        let [brief, text] = [number()?..number()?, number()?..number()?];
        Some(Entry { states, brief: self.briefs.get(brief)?, text, texts: &self.texts })
    }

    /// The digests of the archives of which something is written.
    fn archives(&self) -> impl Iterator<Item = Digest> {
        let (entries, _) = self.table.as_chunks::<ENTRY>();
        entries.iter().filter_map(|entry| entry.first_chunk().copied().map(Digest::from_bytes))
    }

    /// Writes it anew: with `added`, and with its other entries, unless there are so many that most of them will have become
    /// useless.
    pub(crate) fn rewrite(&self, added: BTreeMap<Digest, (States, Notes)>) -> std::io::Result<()> {
        let most = MOST_OLD.max(2 * added.len());
        let mut all = added;
        // Entries of a doctored table may all name the same bytes, and together be many times what the file is.
        let mut left = self.briefs.len() + self.texts.length;
        let old = self.archives().filter(|digest| !all.contains_key(digest)).map_while(|digest| {
            let entry = self.get(digest)?;
            let text = entry.text()?;
            left = left.checked_sub(entry.brief.len() + text.len())?;
            let notes = Notes { brief: entry.brief.to_vec(), text: text.to_vec() };
            Some((digest, (entry.states, notes)))
        });
        let old: Vec<_> = old.take(most.saturating_add(1)).collect();
        if old.len() <= most {
            all.extend(old);
        }
        let Some(bytes) = encode(self.writer, &all) else { return Ok(()) };
        let folder = self.path.parent().unwrap_or(&self.path);
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(&self.path)?;
        prune(folder)
    }
}

/// Table, briefs, and where the texts are; `None` if the file is not whole or was written by another program.
fn read(path: &Path, writer: u64) -> Option<(Vec<u8>, Vec<u8>, Texts)> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let file = File::from(file);
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return None;
    }
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0).ok()?;
    let mut reader = Reader(&head);
    if reader.array()? != *MAGIC || u64::from_le_bytes(reader.array()?) != writer {
        return None;
    }
    let mut number = || reader.array().map(u64::from_le_bytes);
    let (first, second, first_checksum, checksum) = (number()?, number()?, number()?, number()?);
    let size = metadata.len();
    if size > MAX_SIZE || (HEAD as u64).checked_add(first)?.checked_add(second)? != size {
        return None;
    }
    let mut table = vec![0; usize::try_from(first).ok()?];
    file.read_exact_at(&mut table, HEAD as u64).ok()?;
    if index_checksum(&table) != first_checksum {
        return None;
    }
    let count = u32::from_le_bytes(*table.first_chunk()?) as usize;
    let end = 4_usize.checked_add(count.checked_mul(ENTRY)?)?;
    if end > table.len() {
        return None;
    }
    let briefs = table.split_off(end);
    table.drain(..4);
    let length = usize::try_from(second).ok()?;
    let texts = Texts { file: Some(file), offset: HEAD as u64 + first, length, checksum, bytes: OnceLock::new() };
    Some((table, briefs, texts))
}

/// The whole file; `None` if it were too large.
fn encode(writer: u64, entries: &BTreeMap<Digest, (States, Notes)>) -> Option<Vec<u8>> {
    let (mut first, mut briefs, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    first.extend_from_slice(&u32::try_from(entries.len()).ok()?.to_le_bytes());
    for (digest, (states, notes)) in entries {
        first.extend_from_slice(digest.as_bytes());
        states.iter().for_each(|state| put_state(&mut first, state));
        for (all, own) in [(&mut briefs, &notes.brief), (&mut texts, &notes.text)] {
            first.extend_from_slice(&u32::try_from(all.len()).ok()?.to_le_bytes());
            all.extend_from_slice(own);
            first.extend_from_slice(&u32::try_from(all.len()).ok()?.to_le_bytes());
        }
    }
    first.extend_from_slice(&briefs);
    let mut bytes = MAGIC.to_vec();
    let numbers = [writer, first.len() as u64, texts.len() as u64, index_checksum(&first), index_checksum(&texts)];
    bytes.extend_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
    bytes.extend_from_slice(&first);
    bytes.extend_from_slice(&texts);
    (bytes.len() as u64 <= MAX_SIZE).then_some(bytes)
}

/// Removes the oldest files, as many as there are too many.
fn prune(folder: &Path) -> std::io::Result<()> {
    let mut files: Vec<_> = folder.read_dir()?.flatten().map(|entry| entry.path()).collect();
    let surplus = files.len().saturating_sub(MAX_KEPT);
    if surplus > 0 {
        files.sort_by_cached_key(|path| path.symlink_metadata().and_then(|metadata| metadata.modified()).ok());
    }
    // Another process may have been faster.
    files.into_iter().take(surplus).for_each(|path| drop(std::fs::remove_file(path)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{ENTRY, HEAD, MAX_SIZE, Notebook, encode};
    use crate::notes::Notes;
    use crate::record::Reader;
    use bulkhead_schema::index::index_checksum;
    use bulkhead_trust::Digest;

    /// A notebook of `count` entries; with `doctored`, each of them claims what all of them have.
    fn notebook(home: &std::path::Path, count: u8, doctored: bool) -> Notebook {
        let state = || Reader(&[0; 44]).state().unwrap();
        let entry = |number: u8| {
            let notes = Notes { brief: vec![number; 1000], text: vec![number; 3000] };
            (Digest::of(&[number]), ([state(), state(), state()], notes))
        };
        let mut bytes = encode(7, &(0..count).map(entry).collect()).unwrap();
        let (briefs, texts) = (u32::from(count) * 1000, u32::from(count) * 3000);
        let briefs_begin = HEAD + 4 + usize::from(count) * ENTRY;
        for entry in bytes[HEAD + 4..briefs_begin].chunks_mut(ENTRY).filter(|_| doctored) {
            let ranges = [0, briefs, 0, texts].map(u32::to_le_bytes);
            entry[ENTRY - 16..].copy_from_slice(ranges.as_flattened());
        }
        let checksum = index_checksum(&bytes[HEAD..briefs_begin + briefs as usize]);
        bytes[32..40].copy_from_slice(&checksum.to_le_bytes());
        let book = Notebook::open(home, home, 7);
        std::fs::create_dir_all(book.path.parent().unwrap()).unwrap();
        std::fs::write(&book.path, bytes).unwrap();
        std::fs::set_permissions(&book.path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Notebook::open(home, home, 7)
    }

    #[test]
    fn writing_it_anew_keeps_what_is_there_and_makes_no_more_of_it() {
        for doctored in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let book = notebook(home.path(), 50, doctored);
            assert!(book.get(Digest::of(&[3])).is_some_and(|entry| entry.text().is_some()));
            let before = book.path.metadata().unwrap().len();
            book.rewrite(BTreeMap::new()).unwrap();
            let after = book.path.metadata().unwrap().len();
            assert!(after <= before && after < MAX_SIZE, "{doctored}: {before} {after}");
            let kept = Notebook::open(home.path(), home.path(), 7).archives().count();
            assert_eq!(kept, if doctored { 1 } else { 50 });
        }
    }
}
