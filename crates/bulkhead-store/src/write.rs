//! A checked archive → a read-only tree on disk. Every name is opened relative to the descriptor of its folder, made new,
//! and never followed, so that nothing outside the tree can be reached even if someone changes the tree meanwhile.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use bulkhead_trust::Digest;
use rustix::fs::{Mode, OFlags, Timespec, Timestamps};

use crate::archive::{Archive, ArchivedFile};
use crate::folder::open_folder;
use crate::record::{Entry, Kind, State};

/// The modification time of every file, in seconds: the same one that `cargo package` writes into archives, so that a
/// tree does not look newer after it was unpacked again.
const MODIFIED: i64 = 1_153_704_088;

const FOLDER_MODE: u32 = 0o555;
const FILE_MODE: u32 = 0o444;
const EXECUTABLE_MODE: u32 = 0o555;

/// A folder that is being filled.
struct Open {
    path: String,
    folder: OwnedFd,
}

/// Writes the files of `archive` into the new folder `name` of `parent`, and tells what stands there then.
pub(crate) fn write_tree(parent: &OwnedFd, name: &str, archive: &Archive) -> std::io::Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(archive.files().len() + 16);
    let mut items: Vec<(&str, Option<&ArchivedFile>)> =
        archive.files().iter().map(|file| (&*file.path, Some(file))).collect();
    items.extend(archive.folders().iter().map(|folder| (&**folder, None)));
    // By parts, so that what stands in one folder comes together and each folder is opened once.
    items.sort_unstable_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
    let mut open = vec![Open { path: String::new(), folder: open_folder(parent, name.as_ref())? }];
    for (path, file) in items {
        let (folder, last) = match file {
            Some(_) => path.rsplit_once('/').unwrap_or(("", path)),
            None => (path, ""),
        };
        close_until(&mut open, folder, &mut entries)?;
        open_down_to(&mut open, folder)?;
        if let (Some(file), Some(at)) = (file, open.last()) {
            entries.push(write_file(&at.folder, last, file, archive.content(file))?);
        }
    }
    while let Some(done) = open.pop() {
        entries.push(finish_folder(done)?);
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// Finishes open folders that do not contain `folder`.
fn close_until(open: &mut Vec<Open>, folder: &str, entries: &mut Vec<Entry>) -> std::io::Result<()> {
    let contains = |outer: &str| {
        outer.is_empty() || folder.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    while let Some(done) = open.pop_if(|last| !contains(&last.path)) {
        entries.push(finish_folder(done)?);
    }
    Ok(())
}

/// Makes the folders between the innermost open one and `folder`.
fn open_down_to(open: &mut Vec<Open>, folder: &str) -> std::io::Result<()> {
    while let Some(last) = open.last().filter(|last| last.path != folder) {
        let rest = folder.get(last.path.len()..).unwrap_or_default().trim_start_matches('/');
        let part = rest.split('/').next().unwrap_or_default();
        let path = if last.path.is_empty() { part.to_owned() } else { format!("{}/{part}", last.path) };
        rustix::fs::mkdirat(&last.folder, part, Mode::RWXU)?;
        let folder = open_folder(&last.folder, part.as_ref())?;
        open.push(Open { path, folder });
    }
    Ok(())
}

fn write_file(folder: &OwnedFd, name: &str, file: &ArchivedFile, content: &[u8]) -> std::io::Result<Entry> {
    let mode = Mode::from_raw_mode(if file.executable { EXECUTABLE_MODE } else { FILE_MODE });
    let mut out = new_file(folder, name, mode)?;
    out.write_all(content)?;
    let fixed = Timespec { tv_sec: MODIFIED, tv_nsec: 0 };
    rustix::fs::futimens(&out, &Timestamps { last_access: fixed, last_modification: fixed })?;
    let mut stat = rustix::fs::fstat(&out)?;
    if Mode::from_raw_mode(stat.st_mode) != mode {
        // The umask took something away.
        rustix::fs::fchmod(&out, mode)?;
        stat = rustix::fs::fstat(&out)?;
    }
    let kind = Kind::File { executable: file.executable, content: Digest::of(content) };
    Ok(Entry { path: file.path.clone(), kind, state: State::of(&stat) })
}

/// A file that was not there before.
pub(crate) fn new_file(folder: &OwnedFd, name: &str, mode: Mode) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, mode).map(File::from)
}

fn finish_folder(done: Open) -> std::io::Result<Entry> {
    rustix::fs::fchmod(&done.folder, Mode::from_raw_mode(FOLDER_MODE))?;
    let stat = rustix::fs::fstat(&done.folder)?;
    Ok(Entry { path: done.path, kind: Kind::Folder, state: State::of(&stat) })
}
