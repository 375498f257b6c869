//! Compiled units by key: `cache/<SHA-256 of all that went in>/`, read-only, compared with their digests at each use.
//!
//! ```text
//! cache/<key>/entry     seal (64 hexadecimal digits) · line end · JSON: files with their digests, and a note
//! cache/<key>/0, 1, …   their contents
//! ```
//! Nothing that a package brings runs with write access here, and what is taken out is a copy (a reflink where the file
//! system has them): never a link, through which whoever may write the copy would write the original. The seal is a digest
//! over a secret of the installation, so that an entry which somebody else put here, however consistent with itself, is
//! not believed. Entries appear by one rename of a finished folder; of two writers, the first one wins.

mod collect;
mod copy;

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_schema::Diagnostic;
use bulkhead_trust::{Digest, Hasher};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::Finding;
use crate::folder::{self, Session, open_folder, remove_tree};
use crate::write::new_file;

pub use collect::{Collected, Stats};

/// The folder below `BULKHEAD_HOME`.
const CACHE: &str = "cache";

/// What an entry says of itself.
const ENTRY: &str = "entry";

/// Longest [`ENTRY`] that is read, in bytes.
const MAX_ENTRY: u64 = 64 << 20;

/// The compiled units of one `BULKHEAD_HOME`. Shared freely between threads and processes.
#[derive(Debug)]
pub struct UnitCache {
    folder: OwnedFd,
    path: PathBuf,
    secret: String,
    session: Mutex<Option<Arc<Session>>>,
}

/// One file, folder or link of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFile {
    /// What the unit calls it: a file name, or a path below `OUT_DIR`.
    pub name: String,
    /// What it is.
    pub content: UnitContent,
}

/// What a [`UnitFile`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitContent {
    /// A folder.
    Folder,
    /// A symbolic link with its target.
    Link(String),
    /// A file.
    File {
        /// SHA-256.
        digest: String,
        /// In bytes.
        length: u64,
        /// Whether it may be executed.
        executable: bool,
    },
}

#[derive(Serialize, Deserialize)]
struct Body {
    files: Vec<UnitFile>,
    note: String,
}

/// What was found under a key.
#[derive(Debug)]
pub struct Entry {
    folder: OwnedFd,
    /// What the unit left.
    pub files: Arc<[UnitFile]>,
    /// What else is to be known of it, in the writer's own form.
    pub note: String,
}

/// An [`Entry`] whose folder is not open, so that there can be any number of them.
#[derive(Debug)]
pub struct ClosedEntry {
    key: Digest,
    /// Device and inode of the folder.
    folder: (u64, u64),
    /// What the unit left.
    pub files: Arc<[UnitFile]>,
    /// What else is to be known of it, in the writer's own form.
    pub note: String,
}

impl UnitCache {
    /// Opens (and makes, at first use) the cache below `home`, which is `BULKHEAD_HOME`. `secret` is known to this
    /// installation alone.
    ///
    /// # Errors
    /// `store-home`: `home` or the cache in it is a symbolic link, belongs to someone else, or may be written by others.
    pub fn open(home: &Path, secret: &str) -> Result<Self, Diagnostic> {
        let home = std::path::absolute(home).map_err(|error| folder::failed("find", home, error))?;
        let (folder, path) = (folder::open_private(&home, CACHE)?, home.join(CACHE));
        folder::sweep(&folder, &path);
        Ok(Self { folder, path, secret: secret.to_owned(), session: Mutex::default() })
    }

    /// What stands under `key`. `Ok(None)` if nothing does.
    ///
    /// # Errors
    /// An entry that is not as this installation has written it. It is gone by then.
    pub fn get(&self, key: Digest) -> Result<Option<Entry>, Finding> {
        let folder = match open_folder(&self.folder, key.to_string().as_ref()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.refuse(key, error.to_string())),
        };
        match check_owner(&folder).and_then(|()| self.read(&folder, key)) {
            Ok(body) => Ok(Some(Entry { folder, files: body.files.into(), note: body.note })),
            Err(_) if !self.is_current(key, &folder) => Ok(None),
            Err(problem) => Err(self.refuse(key, problem)),
        }
    }

    /// Opens an entry again.
    ///
    /// # Errors
    /// It is not there any more, be it that another has taken its place.
    pub fn reopen(&self, closed: &ClosedEntry) -> io::Result<Entry> {
        let folder = open_folder(&self.folder, closed.key.to_string().as_ref())?;
        if identity(&folder)? != closed.folder {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Entry { folder, files: Arc::clone(&closed.files), note: closed.note.clone() })
    }

    /// Whether what was found under `key` is still what stands there: another process may have collected it meanwhile.
    pub fn holds(&self, key: Digest, entry: &Entry) -> bool {
        self.is_current(key, &entry.folder)
    }

    fn is_current(&self, key: Digest, folder: &OwnedFd) -> bool {
        let there = rustix::fs::statat(&self.folder, key.to_string(), AtFlags::SYMLINK_NOFOLLOW);
        let here = rustix::fs::fstat(folder);
        matches!((there, here), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    /// Notes that the entry under `key` was of use, which keeps it from being the next to go.
    pub fn touch(&self, entry: &Entry) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        // An entry that looks older than it is goes earlier; nothing else comes of it.
        let _ = rustix::fs::utimensat(&entry.folder, ENTRY, &times, AtFlags::SYMLINK_NOFOLLOW);
    }

    /// Removes what stands under `key` and says why.
    pub fn refuse(&self, key: Digest, problem: String) -> Finding {
        // An entry that cannot be removed is refused again next time.
        let _ = self.remove(key);
        Finding { path: self.path.join(key.to_string()), problem }
    }

    /// Keeps copies of `files`, the places of which stand beside them, under `key`. Says how many bytes were added, none if
    /// the key is taken.
    ///
    /// # Errors
    /// The disk refuses; nothing remains.
    pub fn put(&self, key: Digest, files: &[(UnitFile, PathBuf)], note: &str) -> io::Result<u64> {
        if open_folder(&self.folder, key.to_string().as_ref()).is_ok() {
            return Ok(0);
        }
        let session = self.session()?;
        let name = session.fresh_name();
        let written = self.write(&session, &name, key, files, note).and_then(|bytes| {
            match rustix::fs::renameat(&session.folder, name.as_str(), &self.folder, key.to_string()) {
                Ok(()) => Ok(bytes),
                Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(0),
                Err(error) => Err(error.into()),
            }
        });
        // After the rename there is nothing of that name.
        let _ = remove_tree(session.folder.as_fd(), name.as_ref());
        written
    }

    fn write(
        &self,
        session: &Session,
        name: &str,
        key: Digest,
        files: &[(UnitFile, PathBuf)],
        note: &str,
    ) -> io::Result<u64> {
        rustix::fs::mkdirat(&session.folder, name, Mode::RWXU)?;
        let folder = open_folder(&session.folder, name.as_ref())?;
        let mut bytes = 0;
        for (position, (file, place)) in files.iter().enumerate() {
            if let UnitContent::File { length, .. } = file.content {
                let copied = copy::keep(place, &folder, &position.to_string())?;
                if copied != length {
                    return Err(io::Error::other(format!("{} was changed meanwhile", place.display())));
                }
                bytes += copied;
            }
        }
        let body = Body { files: files.iter().map(|(file, _)| file.clone()).collect(), note: note.to_owned() };
        let body = serde_json::to_vec(&body)?;
        let mut entry = new_file(&folder, ENTRY, Mode::from_raw_mode(0o400))?;
        entry.write_all(self.seal(key, &body).as_bytes())?;
        entry.write_all(b"\n")?;
        entry.write_all(&body)?;
        // To be renamed, the folder must be writable for whoever is not root; the files in it are not.
        Ok(bytes + body.len() as u64)
    }

    fn read(&self, folder: &OwnedFd, key: Digest) -> Result<Body, String> {
        let mut bytes = Vec::new();
        let file = open_file(folder, ENTRY).map_err(|error| format!("its entry cannot be read: {error}"))?;
        file.take(MAX_ENTRY).read_to_end(&mut bytes).map_err(|error| format!("its entry cannot be read: {error}"))?;
        let damaged = || "its entry is not as this installation has written it".to_owned();
        let (seal, rest) = bytes.split_at_checked(64).ok_or_else(damaged)?;
        let body = rest.strip_prefix(b"\n").ok_or_else(damaged)?;
        if self.seal(key, body).as_bytes() != seal {
            return Err(damaged());
        }
        serde_json::from_slice(body).map_err(|_| damaged())
    }

    /// The secret and the digests have fixed lengths, so that no other text has the same seal.
    fn seal(&self, key: Digest, body: &[u8]) -> String {
        let mut hasher = Hasher::new();
        hasher.update(Digest::of(self.secret.as_bytes()).as_bytes());
        hasher.update(key.as_bytes());
        hasher.update(Digest::of(body).as_bytes());
        hasher.finish().to_string()
    }

    /// Takes the entry out of sight in one step, then removes it.
    fn remove(&self, key: Digest) -> io::Result<()> {
        let session = self.session()?;
        let name = session.fresh_name();
        match rustix::fs::renameat(&self.folder, key.to_string(), &session.folder, name.as_str()) {
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(remove_tree(session.folder.as_fd(), name.as_ref())?),
        }
    }

    fn session(&self) -> io::Result<Arc<Session>> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let new = Session::begin(&self.folder, &self.path).map_err(|error| io::Error::other(error.message))?;
        let new = Arc::new(new);
        *session = Some(Arc::clone(&new));
        Ok(new)
    }
}

impl Entry {
    /// Closes the folder of the entry, which was found under `key`.
    ///
    /// # Errors
    /// The system cannot tell which folder it is.
    pub fn close(self, key: Digest) -> io::Result<ClosedEntry> {
        Ok(ClosedEntry { key, folder: identity(&self.folder)?, files: self.files, note: self.note })
    }

    /// Puts a copy of a file at `place`, where nothing may be, while it is compared with its digest.
    ///
    /// # Errors
    /// The file is damaged (`InvalidData`), or the disk refuses. Nothing remains at `place`.
    pub fn take_out(&self, file: &UnitFile, place: &Path) -> io::Result<()> {
        let position = self.files.iter().position(|other| std::ptr::eq(other, file));
        let UnitContent::File { digest, length, executable } = &file.content else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let name = position.map(|position| position.to_string()).unwrap_or_default();
        let original = open_file(&self.folder, &name).map_err(|error| match error {
            Errno::NOENT | Errno::LOOP => io::Error::from(io::ErrorKind::InvalidData),
            other => other.into(),
        })?;
        let found = copy::take_out(original, place, *executable, *length)?;
        if found.to_string() == *digest {
            return Ok(());
        }
        std::fs::remove_file(place)?;
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Compares all files with their digests.
    fn check(&self) -> io::Result<()> {
        for (position, file) in self.files.iter().enumerate() {
            let UnitContent::File { digest, length, .. } = &file.content else { continue };
            let mut original = open_file(&self.folder, &position.to_string())?;
            if copy::digest(&mut original, *length)?.to_string() != *digest {
                return Err(io::Error::other(format!("`{}` in it was changed", file.name)));
            }
        }
        Ok(())
    }
}

fn identity(folder: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    rustix::fs::fstat(folder).map(|stat| (stat.st_dev, stat.st_ino))
}

/// The seal already says who wrote an entry. That others could write it is a sign that something is wrong all the same.
fn check_owner(folder: &OwnedFd) -> Result<(), String> {
    let stat = rustix::fs::fstat(folder).map_err(|error| error.to_string())?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err("it belongs to someone else".to_owned());
    }
    if stat.st_mode & 0o022 != 0 {
        return Err("it may be written by others".to_owned());
    }
    Ok(())
}

fn open_file(folder: &OwnedFd, name: &str) -> rustix::io::Result<std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat(folder, name, flags, Mode::empty()).map(std::fs::File::from)
}
