//! Copies of files: by reflink where the file system has them, else byte by byte.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bulkhead_trust::{Digest, Hasher};
use rustix::fs::Mode;

use crate::write::new_file;

/// How much is read at once, in bytes.
const PART: usize = 1 << 18;

/// Copies the file at `place` to the new file `name` in `folder`, which nobody may write. Says how long it is.
pub(super) fn keep(place: &Path, folder: &OwnedFd, name: &str) -> io::Result<u64> {
    let mut original = File::open(place)?;
    let length = original.metadata()?.len();
    let mut copy = new_file(folder, name, Mode::from_raw_mode(0o400))?;
    if rustix::fs::ioctl_ficlone(&copy, &original).is_ok() {
        return Ok(length);
    }
    // The standard library lets the kernel copy.
    io::copy(&mut original, &mut copy)
}

/// Copies `original` to the new file at `place` and says what it held.
pub(super) fn take_out(mut original: File, place: &Path, executable: bool, length: u64) -> io::Result<Digest> {
    let mode = if executable { 0o777 } else { 0o666 };
    let mut copy = File::options().read(true).write(true).create_new(true).mode(mode).open(place)?;
    let copied = copy_out(&mut original, &mut copy, length);
    if copied.is_err() {
        // What failed to be written is no use to anybody.
        let _ = std::fs::remove_file(place);
    }
    copied
}

fn copy_out(original: &mut File, copy: &mut File, length: u64) -> io::Result<Digest> {
    if rustix::fs::ioctl_ficlone(&*copy, &*original).is_ok() {
        // What is compared is the copy, which no longer changes when the original does.
        copy.rewind()?;
        return digest(copy, length);
    }
    let mut hasher = Hasher::new();
    each_part(original, length, &mut |part| {
        hasher.update(part);
        copy.write_all(part)
    })?;
    Ok(hasher.finish())
}

/// The digest of a file that should have `length` bytes; of a longer one, that of its beginning and one byte more.
pub(super) fn digest(file: &mut File, length: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    each_part(file, length, &mut |part| {
        hasher.update(part);
        Ok(())
    })?;
    Ok(hasher.finish())
}

fn each_part(file: &mut File, length: u64, act: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let most = length.saturating_add(1);
    let mut buffer = vec![0; usize::try_from(most).unwrap_or(PART).min(PART)];
    let mut file = file.take(most);
    loop {
        let count = file.read(&mut buffer)?;
        match buffer.get(..count) {
            None | Some([]) => return Ok(()),
            Some(part) => act(part)?,
        }
    }
}
