//! What was worked out from a package that was verified, kept beside its tree so that it need not be worked out again.
//!
//! ```text
//! magic (8) · writer (8) · archive digest (32) · states of record, manifest and folder (3 × 44) · notes · SHA-256 of all before
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
use rustix::fs::{AtFlags, Mode};

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
const MAGIC: &[u8; 8] = b"BHNOTE\x001";

/// Largest notes that are read, in bytes.
const MAX_NOTES: u64 = 16 << 20;

/// Few notes are longer, in bytes.
const USUAL_NOTES: usize = 32 << 10;

/// Bytes before the notes themselves.
const HEAD: usize = 8 + 8 + 32 + 3 * 44;

/// What the three files and folders by which a tree is known again look like.
fn states(folder: &OwnedFd, id: PackageId) -> Option<[State; 3]> {
    let top = archive::top_folder(id);
    let state =
        |name: &str| rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| State::of(&stat));
    Some([state(RECORD)?, state(&format!("{top}/Cargo.toml"))?, state(&top)?])
}

/// The notes on the package in `folder`.
pub(crate) fn read(folder: &OwnedFd, id: PackageId, archive: Digest, writer: u64) -> Option<Vec<u8>> {
    let mut bytes = read_notes(folder)?;
    let end = bytes.len().checked_sub(32)?;
    let mut head = Reader(bytes.get(..HEAD)?);
    let is_known = head.array()? == *MAGIC
        && u64::from_le_bytes(head.array()?) == writer
        && Digest::from_bytes(head.array()?) == archive
        && states(folder, id)? == [head.state()?, head.state()?, head.state()?];
    let (content, digest) = bytes.split_at_checked(end)?;
    if !is_known || end < HEAD || Digest::of(content).as_bytes() != digest {
        return None;
    }
    bytes.truncate(end);
    bytes.drain(..HEAD);
    Some(bytes)
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
    folder: &OwnedFd,
    id: PackageId,
    archive: Digest,
    writer: u64,
    notes: &[u8],
) -> std::io::Result<()> {
    let Some(states) = states(folder, id) else { return Ok(()) };
    let mut bytes = Vec::with_capacity(HEAD + notes.len() + 32);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&writer.to_le_bytes());
    bytes.extend_from_slice(archive.as_bytes());
    states.iter().for_each(|state| put_state(&mut bytes, state));
    bytes.extend_from_slice(notes);
    let digest = Digest::of(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    let mut file = match new_file(folder, NEW_NOTES, Mode::RUSR | Mode::WUSR) {
        // Another process writes the same, or died over it: the next one will write.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            rustix::fs::unlinkat(folder, NEW_NOTES, AtFlags::empty())?;
            return Ok(());
        }
        other => other?,
    };
    file.write_all(&bytes)?;
    rustix::fs::renameat(folder, NEW_NOTES, folder, NOTES)?;
    Ok(())
}

/// The folder of a package, if there is one.
pub(crate) fn package_folder(store: &OwnedFd, archive: Digest) -> Option<OwnedFd> {
    open_folder(store.as_fd(), Path::new(&archive.to_string()).as_os_str()).ok()
}
