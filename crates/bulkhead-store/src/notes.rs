//! What was worked out from a package that was verified, kept beside its tree so that it need not be worked out again.
//!
//! ```text
//! magic (8) · writer (8) · archive digest (32) · states of record, manifest and folder (3 × 44) · length of the brief (4) ·
//! brief · text · SHA-256 of all before
//! ```
//! Notes are believed only while record, manifest and folder of the tree are those that were verified when they were
//! written, and only by the program that wrote them. They are no verification of the tree's other files: whoever builds
//! from the package asks [`Store::get`](crate::Store::get) first.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use bulkhead_schema::PackageId;
use bulkhead_trust::Digest;
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Mode, Stat};

use crate::archive;
use crate::folder::open_folder;
use crate::record::{Reader, State, put_state};
use crate::store::RECORD;
use crate::verify::open_file;
use crate::write::new_file;

/// The notes beside a tree.
pub(crate) const NOTES: &str = "notes";

/// Where they are written first.
const NEW_NOTES: &str = "notes.new";

/// The last digit changes with the format.
const MAGIC: &[u8; 8] = b"BHNOTE\x002";

/// Largest notes that are read, in bytes.
const MAX_NOTES: u64 = 16 << 20;

/// Few notes are longer, in bytes.
const USUAL_NOTES: usize = 32 << 10;

/// Bytes before the notes themselves.
const HEAD: usize = 8 + 8 + 32 + 3 * 44 + 4;

/// What record, manifest and folder of a tree look like.
pub(crate) type States = [State; 3];

/// What the system tells of them.
pub(crate) type Stats = [Stat; 3];

/// What is kept of one package.
#[derive(Debug)]
pub(crate) struct Notes {
    /// What most commands want.
    pub(crate) brief: Vec<u8>,
    /// What is long, and wanted by few.
    pub(crate) text: Vec<u8>,
}

/// What the three files and folders look like by which the tree of a package is known again.
pub(crate) fn look(store: &OwnedFd, id: PackageId, archive: Digest) -> Option<Stats> {
    let mut path = format!("{archive}/{}", archive::top_folder(id));
    let stat = |path: &str| rustix::fs::statat(store, path, AtFlags::SYMLINK_NOFOLLOW).ok();
    let folder = stat(&path)?;
    path.push_str("/Cargo.toml");
    Some([stat(&format!("{archive}/{RECORD}"))?, stat(&path)?, folder])
}

/// What of that can be compared later.
pub(crate) fn states(stats: &Stats) -> States {
    stats.each_ref().map(State::of)
}

/// The notes beside the tree of a package, and what the tree looks like, for which they are believed.
pub(crate) fn read(store: &OwnedFd, id: PackageId, archive: Digest, writer: u64) -> Option<(Stats, Notes)> {
    let folder = package_folder(store, archive)?;
    let mut bytes = read_notes(&folder)?;
    let end = bytes.len().checked_sub(32)?;
    let mut head = Reader(bytes.get(..HEAD)?);
    let now = look(store, id, archive)?;
    let is_known = head.array()? == *MAGIC
        && u64::from_le_bytes(head.array()?) == writer
        && Digest::from_bytes(head.array()?) == archive
        && states(&now) == [head.state()?, head.state()?, head.state()?];
    let brief = HEAD.checked_add(u32::from_le_bytes(head.array()?) as usize)?;
    let (content, digest) = bytes.split_at_checked(end)?;
    if !is_known || end < brief || Digest::of(content).as_bytes() != digest {
        return None;
    }
    bytes.truncate(end);
    let text = bytes.split_off(brief);
    bytes.drain(..HEAD);
    Some((now, Notes { brief: bytes, text }))
}

/// The whole file, most often with a single call: that it is whole, its digest tells.
fn read_notes(folder: &OwnedFd) -> Option<Vec<u8>> {
    let mut file = open_file(folder, NOTES).ok()?;
    let mut bytes = Vec::with_capacity(USUAL_NOTES);
    rustix::io::read(&file, spare_capacity(&mut bytes)).ok()?;
    if bytes.len() == bytes.capacity() {
        (&mut file).take(MAX_NOTES).read_to_end(&mut bytes).ok()?;
    }
    Some(bytes)
}

/// Writes notes on a package that was verified just now.
pub(crate) fn write(
    store: &OwnedFd,
    id: PackageId,
    archive: Digest,
    writer: u64,
    (brief, text): (&[u8], &[u8]),
) -> std::io::Result<()> {
    let (Some(folder), Some(stats)) = (package_folder(store, archive), look(store, id, archive)) else {
        return Ok(());
    };
    let Ok(length) = u32::try_from(brief.len()) else { return Ok(()) };
    let mut bytes = Vec::with_capacity(HEAD + brief.len() + text.len() + 32);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&writer.to_le_bytes());
    bytes.extend_from_slice(archive.as_bytes());
    states(&stats).iter().for_each(|state| put_state(&mut bytes, state));
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(brief);
    bytes.extend_from_slice(text);
    let digest = Digest::of(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    let mut file = match new_file(&folder, NEW_NOTES, Mode::RUSR | Mode::WUSR) {
        // Another process writes the same, or died over it: the next one will write.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            rustix::fs::unlinkat(&folder, NEW_NOTES, AtFlags::empty())?;
            return Ok(());
        }
        other => other?,
    };
    file.write_all(&bytes)?;
    rustix::fs::renameat(&folder, NEW_NOTES, &folder, NOTES)?;
    Ok(())
}

/// The folder of a package, if there is one.
fn package_folder(store: &OwnedFd, archive: Digest) -> Option<OwnedFd> {
    open_folder(store.as_fd(), Path::new(&archive.to_string()).as_os_str()).ok()
}
