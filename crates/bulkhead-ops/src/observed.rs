//! The disk, as commands read it. It notes what was looked at, so that an answer can be given again while all of that is as
//! it was (see [`snapshot`](crate::snapshot)).
//!
//! Whatever a command reads on its way to an answer goes through [`Disk`]; `clippy.toml` of this crate makes other ways an
//! error. What is addressed by its content (packages in the store, index answers for locked versions) needs no note.

#![expect(clippy::disallowed_methods, reason = "here it is noted")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bulkhead_schema::Diagnostic;
use bulkhead_trust::Digest;
use bulkhead_workspace::{FileType, Files};

/// What was seen at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// There was nothing.
    Absent,
    /// Something of this mode and owner was there; what it holds did not matter.
    Kind {
        /// File type and permissions.
        mode: u32,
        /// The owner.
        owner: u32,
    },
    /// The same file or folder under whatever name.
    Same {
        /// The file system.
        device: u64,
        /// The number on it.
        inode: u64,
    },
    /// A file that was read, or a folder that was listed. While [`content`] gives the digest, the state does not matter.
    Content(State, Option<Digest>),
}

/// What one stat tells of a file's content. The change time cannot be set by any program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The file system.
    pub device: u64,
    /// The file's number on it.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its content was changed, in seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
    /// When anything about it was changed.
    pub changed: (i64, u32),
}

/// Largest file of which the content is compared when its state is another, in bytes.
const MAX_COMPARED: u64 = 16 << 20;

/// The digest of what a file holds, or of the names and kinds of what a folder holds. `None` if that is not to be had, or
/// takes longer than the answer is worth.
pub fn content(path: &Path) -> Option<Digest> {
    let metadata = std::fs::metadata(path).ok()?;
    if metadata.is_dir() {
        return listing(std::fs::read_dir(path).ok()?);
    }
    if !metadata.is_file() || metadata.len() > MAX_COMPARED {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
    std::fs::File::open(path).ok()?.take(MAX_COMPARED).read_to_end(&mut bytes).ok()?;
    Some(Digest::of(&bytes))
}

fn listing(entries: std::fs::ReadDir) -> Option<Digest> {
    let described = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let kind = entry.file_type().ok()?;
        Some((entry.file_name(), (kind.is_file(), kind.is_dir(), kind.is_symlink())))
    };
    let mut entries = entries.map(described).collect::<Option<Vec<_>>>()?;
    entries.sort();
    Some(Digest::of(format!("{entries:?}").as_bytes()))
}

/// Whether a change of what was in `state` at `now` would show in another state: the clock of the file system has moved on.
pub fn is_settled(state: &State, now: SystemTime) -> bool {
    let tick = if state.changed.1 == 0 { COARSE_TICK } else { TICK };
    let Some(before) = now.checked_sub(tick).and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()) else {
        return false;
    };
    let before = (i64::try_from(before.as_secs()).unwrap_or(i64::MAX), before.subsec_nanos());
    state.changed < before
}

impl State {
    pub(crate) fn seen(stat: &rustix::fs::Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size.cast_unsigned(),
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec() as u32),
            changed: (metadata.ctime(), metadata.ctime_nsec() as u32),
        }
    }
}

/// One path that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Absolute.
    pub path: PathBuf,
    /// Whether a symbolic link counted as what it leads to.
    pub follow: bool,
    /// What was there.
    pub look: Look,
}

/// The disk. Copies share what they have noted; a default one notes as well, which costs little.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<Notes>>);

#[derive(Debug)]
struct Notes {
    started: SystemTime,
    /// In the order of first looks.
    looks: Vec<Noted>,
    /// Positions in `looks`. Paths as they are spelled, since comparing them part by part takes long.
    known: HashMap<(OsString, bool), usize>,
    locks: Vec<PathBuf>,
    repeatable: Option<bool>,
}

/// What an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs {
    /// What has to be seen again, in the order of first looks.
    pub looks: Vec<Noted>,
    /// Lock files that nobody else may hold at that moment.
    pub locks: Vec<PathBuf>,
}

/// Within this time a file system's clock may not move on, so that two changes look like one.
const TICK: Duration = Duration::from_millis(20);

/// The same for file systems that keep whole seconds.
const COARSE_TICK: Duration = Duration::from_secs(3);

impl Disk {
    /// The disk of a command that started at `started`, by the system's clock.
    pub fn since(started: SystemTime) -> Self {
        let (looks, known, locks) = (Vec::new(), HashMap::new(), Vec::new());
        Self(Arc::new(Mutex::new(Notes { started, looks, known, locks, repeatable: None })))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command says that giving its answer again does all that it did.
    pub fn may_repeat(&self) {
        self.notes().repeatable.get_or_insert(true);
    }

    /// The command did or saw something that an answer given again would not: it fetched, wrote, waited.
    pub fn never_repeat(&self) {
        self.notes().repeatable = Some(false);
    }

    /// Whether the answer may be given again as far as is known now.
    pub fn is_repeatable(&self) -> bool {
        self.notes().repeatable != Some(false)
    }

    /// What the answer depends on; `None` if it may not be given again, or if something that it depends on was changed so
    /// recently that the next change might not show.
    pub fn inputs(&self) -> Option<Inputs> {
        let notes = self.notes();
        (notes.repeatable == Some(true)).then(|| Inputs { looks: notes.looks.clone(), locks: notes.locks.clone() })
    }

    /// Notes that nobody else may hold the lock file `path`.
    pub fn note_lock(&self, path: PathBuf) {
        self.notes().locks.push(path);
    }

    /// Notes a file or folder that somebody else has looked at since the command started, and whether it was there.
    pub fn note(&self, path: &Path, present: bool) {
        if self.notes().repeatable == Some(false) {
            return;
        }
        match (std::fs::metadata(path), present) {
            (Ok(metadata), true) => self.record(path, true, Look::Content(State::of(&metadata), None)),
            (Err(error), false) if is_missing(&error) => self.record(path, true, Look::Absent),
            _ => self.never_repeat(),
        }
    }

    /// Notes what somebody else has seen of a file or folder since the command started.
    pub fn note_seen(&self, path: &Path, stat: &rustix::fs::Stat) {
        self.record(path, true, Look::Content(State::seen(stat), None));
    }

    /// Notes a file or folder that somebody else has looked at since the command started, and of which only the content
    /// matters, not its times.
    pub fn note_content(&self, path: &Path) {
        if self.notes().repeatable == Some(false) {
            return;
        }
        match std::fs::metadata(path) {
            Ok(metadata) => self.record(path, true, Look::Content(State::of(&metadata), content(path))),
            Err(_) => self.never_repeat(),
        }
    }

    fn record(&self, path: &Path, follow: bool, look: Look) {
        let mut notes = self.notes();
        if notes.repeatable == Some(false) {
            return;
        }
        if let Look::Content(state, _) = &look
            && !is_settled(state, notes.started)
        {
            notes.repeatable = Some(false);
        }
        let next = notes.looks.len();
        let position = *notes.known.entry((path.as_os_str().to_owned(), follow)).or_insert(next);
        let Some(noted) = notes.looks.get_mut(position) else {
            notes.looks.push(Noted { path: path.to_path_buf(), follow, look });
            return;
        };
        match (noted.look, look) {
            (Look::Kind { .. }, Look::Same { .. } | Look::Content(..)) => noted.look = look,
            (Look::Same { .. } | Look::Content(..), Look::Kind { .. }) => {}
            // Who has read a file has looked at the very one.
            (Look::Same { device, inode }, Look::Content(state, _))
                if (device, inode) == (state.device, state.inode) =>
            {
                noted.look = look;
            }
            (Look::Content(state, _), Look::Same { device, inode })
                if (device, inode) == (state.device, state.inode) => {}
            (Look::Content(before, digest), Look::Content(now, other)) if before == now => {
                // To one of them more than the content may matter.
                noted.look = Look::Content(before, digest.and(other));
            }
            // It changed under our eyes.
            (before, now) if before != now => notes.repeatable = Some(false),
            _ => {}
        }
    }

    fn look(&self, path: &Path, follow: bool, whole: bool) -> io::Result<Metadata> {
        let found = if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
        match &found {
            Ok(metadata) if whole => self.record(path, follow, Look::Content(State::of(metadata), None)),
            Ok(metadata) => {
                self.record(path, follow, Look::Kind { mode: metadata.mode(), owner: metadata.uid() });
            }
            Err(error) if is_missing(error) => self.record(path, follow, Look::Absent),
            Err(_) => self.never_repeat(),
        }
        found
    }

    /// All that is known of a file or folder, links followed.
    ///
    /// # Errors
    /// As for [`std::fs::metadata`].
    pub fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.look(path, true, true)
    }

    /// Whether something is there.
    pub fn exists(&self, path: &Path) -> bool {
        self.look(path, true, false).is_ok()
    }

    /// Whether `path` is an executable file.
    pub fn is_executable(&self, path: &Path) -> bool {
        self.look(path, true, false).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
    }

    /// The path without links.
    ///
    /// # Errors
    /// As for [`std::fs::canonicalize`].
    pub fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        match std::fs::metadata(path) {
            // Whatever link on the way is turned elsewhere, the folder at the end is another.
            Ok(metadata) if metadata.is_dir() => {
                self.record(path, true, Look::Same { device: metadata.dev(), inode: metadata.ino() });
            }
            _ => {
                self.look(path, true, true)?;
            }
        }
        std::fs::canonicalize(path)
    }

    /// A whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// `FileTooLarge`, `InvalidInput` if it is not a regular file, and as for [`std::fs::read`].
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let metadata = self.look(path, true, true)?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
        }
        if metadata.len() > limit {
            return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {}", size(limit))));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
        std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {}", size(limit))));
        }
        Ok(bytes)
    }

    /// A whole text of at most `limit` bytes.
    ///
    /// # Errors
    /// As for [`read`](Disk::read), and `InvalidData` if it is not UTF-8.
    pub fn read_text(&self, path: &Path, limit: u64) -> io::Result<String> {
        let not_text = |_| io::Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8");
        String::from_utf8(self.read(path, limit)?).map_err(not_text)
    }

    /// Whether a file or folder may be believed: owned by this user or root, and writable by nobody else.
    ///
    /// # Errors
    /// The broken rule, as the end of a sentence.
    pub fn check_ownership(&self, path: &Path) -> Result<(), String> {
        let examined = |follow| self.look(path, follow, false).map_err(|error| format!("cannot be examined: {error}"));
        let metadata = examined(false)?;
        crate::disk::check_owner(&metadata)?;
        // Who owns a link does not own what it leads to.
        if metadata.is_symlink() { crate::disk::check_owner(&examined(true)?) } else { Ok(()) }
    }

    /// Whether a file or folder, links followed, belongs to root and can be written by nobody else.
    ///
    /// # Errors
    /// The broken rule, as the end of a sentence.
    pub fn check_root_owned(&self, path: &Path) -> Result<(), String> {
        let metadata = self.look(path, true, false).map_err(|error| format!("cannot be examined: {error}"))?;
        if metadata.uid() != 0 {
            return Err(format!("belongs to another user than root (uid {})", metadata.uid()));
        }
        crate::disk::check_owner(&metadata)
    }

    /// Whether something is there, be it a link that leads nowhere.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn is_there(&self, path: &Path) -> io::Result<bool> {
        match self.look(path, false, false) {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::since(SystemTime::UNIX_EPOCH)
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<Arc<str>>, Diagnostic> {
        match self.read_text(path, bulkhead_schema::manifest::MAX_MANIFEST_SIZE as u64) {
            Ok(text) => Ok(Some(text.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let message = format!("failed to read `{}`: {error}", path.display());
                Err(Diagnostic::error("manifest-unreadable", message))
            }
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        self.look(path, true, false).is_ok_and(|metadata| metadata.is_file())
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.look(path, true, false).is_ok_and(|metadata| metadata.is_dir())
    }

    fn is_link(&self, path: &Path) -> bool {
        self.look(path, false, false).is_ok_and(|metadata| metadata.is_symlink())
    }

    fn list(&self, folder: &Path) -> Vec<(String, FileType)> {
        match std::fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => {
                self.record(folder, true, Look::Content(State::of(&metadata), content(folder)));
            }
            _ if self.look(folder, true, true).is_err() => return Vec::new(),
            _ => {}
        }
        let Ok(entries) = std::fs::read_dir(folder) else {
            self.never_repeat();
            return Vec::new();
        };
        let described = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let kind = entry.file_type().ok()?;
            let kind = match kind.is_symlink() {
                true => self.look(&entry.path(), true, false).map(|metadata| metadata.file_type()).unwrap_or(kind),
                false => kind,
            };
            let kind = match (kind.is_file(), kind.is_dir()) {
                (true, _) => FileType::File,
                (_, true) => FileType::Directory,
                _ => FileType::Other,
            };
            Some((name, kind))
        };
        let mut listed: Vec<_> = entries.flatten().filter_map(described).collect();
        listed.sort_by(|a, b| a.0.cmp(&b.0));
        listed
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}
