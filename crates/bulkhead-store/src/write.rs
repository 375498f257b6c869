//! An archive as it is walked → a read-only tree on disk. Every name is opened relative to the descriptor of its folder,
//! made new, and never followed, so that nothing outside the tree can be reached even if someone changes the tree
//! meanwhile. The tree lies in a folder of this process until the whole archive has passed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use bulkhead_trust::{Digest, Hasher};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};

use crate::archive::Sink;
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

/// A file that is being filled.
struct Filling {
    path: String,
    executable: bool,
    /// `None` where the file system took the path for a file that is there already.
    file: Option<File>,
    hasher: Hasher,
    /// Bytes that have not come yet.
    left: u64,
}

/// Writes what it receives, and remembers what stands there then.
pub(crate) struct TreeWriter {
    /// From the top folder to the one that was written to last, each within the one before.
    open: Vec<Open>,
    filling: Option<Filling>,
    /// Where in `entries` finished folders are: an archive may come back to one.
    finished: HashMap<String, usize>,
    entries: Vec<Entry<'static>>,
}

impl TreeWriter {
    /// Makes the folder `name` in `parent`.
    pub(crate) fn new(parent: &OwnedFd, name: &str) -> io::Result<Self> {
        rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
        let top = Open { path: String::new(), folder: open_folder(parent, name.as_ref())? };
        Ok(Self { open: vec![top], filling: None, finished: HashMap::new(), entries: Vec::with_capacity(32) })
    }

    /// Finishes the folders that are open; returns every file and folder, sorted by path.
    pub(crate) fn finish(mut self) -> io::Result<Vec<Entry<'static>>> {
        if self.filling.is_some() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some(done) = self.open.pop() {
            self.finish_folder(done)?;
        }
        self.entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(self.entries)
    }

    /// The folder `path`, opened or made.
    fn enter(&mut self, path: &str) -> io::Result<&OwnedFd> {
        let contains = |outer: &str| {
            outer.is_empty() || path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        while let Some(done) = self.open.pop_if(|last| !contains(&last.path)) {
            self.finish_folder(done)?;
        }
        while let Some(last) = self.open.last().filter(|last| last.path != path) {
            let rest = path.get(last.path.len()..).unwrap_or_default().trim_start_matches('/');
            let part = rest.split('/').next().unwrap_or_default();
            let inner = if last.path.is_empty() { part.to_owned() } else { format!("{}/{part}", last.path) };
            let again = self.finished.contains_key(&inner);
            if !again {
                rustix::fs::mkdirat(&last.folder, part, Mode::RWXU)?;
            }
            let folder = open_folder(&last.folder, part.as_ref())?;
            if again {
                rustix::fs::fchmod(&folder, Mode::RWXU)?;
            }
            self.open.push(Open { path: inner, folder });
        }
        self.open.last().map(|last| &last.folder).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A symbolic link to `target`.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.enter(folder)?;
        rustix::fs::symlinkat(target, folder, name)?;
        let state = State::of(&rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?);
        let kind = Kind::Link { content: Digest::of(target.as_bytes()) };
        self.entries.push(Entry { path: path.to_owned().into(), kind, state });
        Ok(())
    }

    fn finish_folder(&mut self, done: Open) -> io::Result<()> {
        rustix::fs::fchmod(&done.folder, Mode::from_raw_mode(FOLDER_MODE))?;
        let state = State::of(&rustix::fs::fstat(&done.folder)?);
        if let Some(entry) = self.finished.get(&done.path).and_then(|&known| self.entries.get_mut(known)) {
            entry.state = state;
            return Ok(());
        }
        self.finished.insert(done.path.clone(), self.entries.len());
        self.entries.push(Entry { path: done.path.into(), kind: Kind::Folder, state });
        Ok(())
    }

    fn finish_file(&mut self, done: Filling) -> io::Result<()> {
        let Some(file) = done.file else { return Ok(()) };
        let fixed = Timespec { tv_sec: MODIFIED, tv_nsec: 0 };
        rustix::fs::futimens(&file, &Timestamps { last_access: fixed, last_modification: fixed })?;
        let mode = file_mode(done.executable);
        let mut stat = rustix::fs::fstat(&file)?;
        if Mode::from_raw_mode(stat.st_mode) != mode {
            // The umask took something away.
            rustix::fs::fchmod(&file, mode)?;
            stat = rustix::fs::fstat(&file)?;
        }
        let kind = Kind::File { executable: done.executable, content: done.hasher.finish() };
        self.entries.push(Entry { path: done.path.into(), kind, state: State::of(&stat) });
        Ok(())
    }
}

impl Sink for TreeWriter {
    fn folder(&mut self, path: &str) -> io::Result<()> {
        self.enter(path).map(drop)
    }

    fn file(&mut self, path: &str, executable: bool, size: u64) -> io::Result<()> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        // Nobody else writes here and no path comes twice, so that a file that is there is a twin with the same content.
        let file = match new_file(self.enter(folder)?, name, file_mode(executable)) {
            Err(rustix::io::Errno::EXIST) => None,
            file => Some(file?),
        };
        let filling = Filling { path: path.to_owned(), executable, file, hasher: Hasher::new(), left: size };
        if size == 0 {
            return self.finish_file(filling);
        }
        self.filling = Some(filling);
        Ok(())
    }

    fn content(&mut self, part: &[u8]) -> io::Result<()> {
        let Some(mut filling) = self.filling.take() else { return Err(io::ErrorKind::InvalidInput.into()) };
        if let Some(file) = &mut filling.file {
            file.write_all(part)?;
        }
        filling.hasher.update(part);
        filling.left = filling.left.checked_sub(part.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if filling.left == 0 {
            return self.finish_file(filling);
        }
        self.filling = Some(filling);
        Ok(())
    }
}

fn file_mode(executable: bool) -> Mode {
    Mode::from_raw_mode(if executable { EXECUTABLE_MODE } else { FILE_MODE })
}

/// A file that was not there before.
pub(crate) fn new_file(folder: &OwnedFd, name: &str, mode: Mode) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, mode).map(File::from)
}

#[cfg(test)]
mod tests {
    use super::TreeWriter;
    use crate::archive::Sink as _;
    use crate::folder::open_folder;

    /// What a file system that does not tell case apart does with the second of two twins.
    #[test]
    fn the_first_of_two_files_in_one_place_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let parent = open_folder(rustix::fs::CWD, home.path().as_os_str()).unwrap();
        let mut writer = TreeWriter::new(&parent, "tree").unwrap();
        for _ in 0..2 {
            writer.file("readme.md", false, 4).unwrap();
            writer.content(b"read").unwrap();
            writer.file("empty", false, 0).unwrap();
        }
        let paths: Vec<_> = writer.finish().unwrap().into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, ["", "empty", "readme.md"]);
        assert_eq!(std::fs::read(home.path().join("tree/readme.md")).unwrap(), b"read");
        std::fs::set_permissions(home.path().join("tree"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
    }
}
