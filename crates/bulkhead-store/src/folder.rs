//! The folders of the store: who may own them, and where unfinished work lies.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_schema::Diagnostic;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Where unfinished work lies, below the store's folder.
const TEMPORARY: &str = "tmp";

/// Held for a moment by whoever makes or clears session folders, or replaces a damaged package.
const GATE: &str = "gate.lock";

/// A lock that is given back when this is dropped.
pub(crate) struct Gate(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

/// `error` while doing `what` with `path`.
pub(crate) fn failed(what: &str, path: &Path, error: impl Into<io::Error>) -> Diagnostic {
    let error: io::Error = error.into();
    let help = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space and run the command again: nothing is half written"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "check who owns Bulkhead's home folder and whether it is writable"
        }
        _ => "run the command again; if it fails again, `bulkhead verify` checks the store",
    };
    Diagnostic::error("store-file", format!("cannot {what} {}: {error}", path.display())).help(help)
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(crate) fn open_folder(at: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, name, FOLDER, Mode::empty())
}

/// Opens `home` and `name` below it, making both at first use, and refuses them if someone else could have put something
/// there. The descriptor stays: whatever happens to the path later, the store works where it was checked.
pub(crate) fn open_private(home: &Path, name: &str) -> Result<OwnedFd, Diagnostic> {
    let folder = match rustix::fs::open(home, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => {
            make_home(home).map_err(|error| failed("make", home, error))?;
            rustix::fs::open(home, FOLDER, Mode::empty())
        }
        other => other,
    };
    let folder = folder.map_err(|error| not_a_folder(home, error))?;
    check_private(&folder, home)?;
    let path = home.join(name);
    let inner = match open_folder(&folder, name.as_ref()) {
        Err(Errno::NOENT) => {
            make(folder.as_fd(), name.as_ref()).map_err(|error| failed("make", &path, error))?;
            open_folder(&folder, name.as_ref())
        }
        other => other,
    };
    let inner = inner.map_err(|error| not_a_folder(&path, error))?;
    check_private(&inner, &path)?;
    Ok(inner)
}

fn make_home(home: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(parent) = home.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(home) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Makes a folder for the user alone; one that is there already is fine.
fn make(at: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    match rustix::fs::mkdirat(at, name, Mode::RWXU) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn not_a_folder(path: &Path, error: Errno) -> Diagnostic {
    if matches!(error, Errno::LOOP | Errno::NOTDIR) {
        return Diagnostic::error("store-home", format!("{} is a symbolic link or no folder", path.display()))
            .help("name the real folder in BULKHEAD_HOME");
    }
    failed("open", path, error)
}

fn check_private(folder: &OwnedFd, path: &Path) -> Result<(), Diagnostic> {
    let stat = rustix::fs::fstat(folder).map_err(|error| failed("read", path, error))?;
    let refuse = |what: &str, help: String| {
        Err(Diagnostic::error("store-home", format!("{} {what}", path.display())).help(help))
    };
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return refuse("belongs to someone else", "use a folder of your own as BULKHEAD_HOME".to_owned());
    }
    if stat.st_mode & 0o022 != 0 {
        return refuse(
            "may be written by others",
            format!("run `chmod go-w {}`, after a look at what is in it", path.display()),
        );
    }
    Ok(())
}

/// Removes what processes have left that ended in the midst of their work. What cannot be removed is tried again at the
/// next start.
pub(crate) fn sweep(store: &OwnedFd, store_path: &Path) {
    let Ok(parent) = open_folder(store, TEMPORARY.as_ref()) else { return };
    if names_in(parent.as_fd()).is_ok_and(|names| !names.is_empty())
        && let Ok(_gate) = gate(store, store_path)
    {
        clear_stale(&parent, &store_path.join(TEMPORARY));
    }
}

/// A folder of this process for unfinished work. Its lock tells other processes that it is in use.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) folder: OwnedFd,
    /// For messages.
    pub(crate) path: PathBuf,
    parent: OwnedFd,
    name: String,
    #[expect(dead_code, reason = "held open: closing it gives the lock back")]
    lock: File,
    next: AtomicU64,
}

impl Session {
    /// Makes a session folder, and clears those of processes that ended without clearing theirs.
    pub(crate) fn begin(store: &OwnedFd, store_path: &Path) -> Result<Self, Diagnostic> {
        let path = store_path.join(TEMPORARY);
        make(store.as_fd(), TEMPORARY.as_ref()).map_err(|error| failed("make", &path, error))?;
        let parent = open_folder(store, TEMPORARY.as_ref()).map_err(|error| not_a_folder(&path, error))?;
        let _gate = gate(store, store_path)?;
        clear_stale(&parent, &path);
        for attempt in 0..100u32 {
            let name = format!("{}-{attempt}", std::process::id());
            match rustix::fs::mkdirat(&parent, &name, Mode::RWXU) {
                Err(Errno::EXIST) => continue,
                other => other.map_err(|error| failed("make", &path.join(&name), error))?,
            }
            let path = path.join(&name);
            let folder = open_folder(&parent, name.as_ref()).map_err(|error| failed("open", &path, error))?;
            let lock = open_lock(folder.as_fd(), "lock").map_err(|error| failed("open", &path.join("lock"), error))?;
            lock.try_lock().map_err(|error| failed("lock", &path.join("lock"), io::Error::from(error)))?;
            return Ok(Self { folder, path, parent, name, lock, next: AtomicU64::new(0) });
        }
        Err(failed("make a temporary folder in", &path, io::Error::from(io::ErrorKind::AlreadyExists)))
    }

    /// A fresh name in the session folder.
    pub(crate) fn fresh_name(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What cannot be removed now is stale at the next start.
        let _ = remove_tree(self.parent.as_fd(), self.name.as_ref());
    }
}

fn open_lock(at: BorrowedFd<'_>, name: &str) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
}

/// Waits for the store's gate.
pub(crate) fn gate(store: &OwnedFd, store_path: &Path) -> Result<Gate, Diagnostic> {
    let path = store_path.join(GATE);
    let file = open_lock(store.as_fd(), GATE).map_err(|error| failed("open", &path, error))?;
    file.lock().map_err(|error| failed("lock", &path, error))?;
    Ok(Gate(file))
}

/// Removes session folders that nobody holds. Called behind the gate, so that none is just being made.
fn clear_stale(parent: &OwnedFd, path: &Path) {
    let Ok(sessions) = names_in(parent.as_fd()) else { return };
    for name in sessions {
        let held = open_folder(parent, &name)
            .and_then(|folder| {
                rustix::fs::openat(&folder, "lock", OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            })
            .map(File::from)
            .is_ok_and(|lock| lock.try_lock().is_err());
        if !held {
            // A folder that resists is tried again at the next start.
            let _ = remove_tree(parent.as_fd(), &name).map_err(|error| failed("remove", &path.join(&name), error));
        }
    }
}

/// The names in a folder, without `.` and `..`, sorted.
pub(crate) fn names_in(folder: BorrowedFd<'_>) -> rustix::io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes a file, or a folder with all in it, read-only or not, without following a link. Folders are walked with a
/// list instead of recursion.
pub(crate) fn remove_tree(at: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    let mut pending = vec![PathBuf::from(name)];
    let mut folders = Vec::new();
    while let Some(path) = pending.pop() {
        let kind = match rustix::fs::statat(at, &path, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => FileType::from_raw_mode(other?.st_mode),
        };
        if kind != FileType::Directory {
            rustix::fs::unlinkat(at, &path, AtFlags::empty())?;
            continue;
        }
        let folder = open_folder(at, path.as_os_str())?;
        rustix::fs::fchmod(&folder, Mode::RWXU)?;
        pending.extend(names_in(folder.as_fd())?.into_iter().map(|name| path.join(name)));
        folders.push(path);
    }
    while let Some(path) = folders.pop() {
        rustix::fs::unlinkat(at, &path, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}
