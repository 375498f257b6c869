//! The folders of groups that Bulkhead makes, by their names.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What all names begin with; the number of the process and a number of the group follow.
const PREFIX: &str = "bulkhead-";

/// A group that this process has made. It is locked as long as this value lives, so that it is not taken for one that was
/// left behind.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) handle: File,
}

impl Folder {
    /// Makes a group in `base`.
    pub(super) fn make(base: &Path) -> io::Result<Folder> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Another Bulkhead may take the number (in another namespace it can be the same), or remove a group as long as it is
        // not locked.
        for _ in 0..100 {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match fs::create_dir(&path).and_then(|()| locked(&path)) {
                Ok(handle) => return Ok(Folder { path, handle }),
                Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Writes to one of the group's files.
    pub(super) fn set(&self, file: &str, value: u64) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).open(self.path.join(file))?.write_all(value.to_string().as_bytes())
    }

    /// Removes the group, if no process is in it.
    pub(super) fn remove(&self) -> bool {
        fs::remove_dir(&self.path).is_ok()
    }
}

/// Opens a group and locks it.
fn locked(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    let handle = options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path)?;
    // SAFETY: numbers only.
    if unsafe { libc::flock(handle.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(handle)
}

/// The groups in `base` that carry Bulkhead's name.
pub(super) fn groups_in(base: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let is_ours = |name: &str| {
        let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
    };
    entries.filter(move |entry| entry.file_name().to_str().is_some_and(is_ours)).map(|entry| entry.path())
}

/// Removes groups that a Bulkhead which was killed has left in `base`. The system refuses those that are not empty.
pub(super) fn remove_stale(base: &Path) {
    for path in groups_in(base) {
        if let Ok(_lock) = locked(&path) {
            let _ = fs::remove_dir(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Folder, groups_in, remove_stale};
    use std::fs;

    #[test]
    fn only_what_is_ours_and_empty_and_of_nobody_who_lives_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let names =
            ["bulkhead-1-0", "bulkhead-1-1/inner", "bulkhead-", "bulkhead-1", "bulkhead-1-x", "init.scope", "bulkhead"];
        for name in names {
            fs::create_dir_all(base.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(base.path().join("bulkhead"), base.path().join("bulkhead-2-0")).unwrap();
        let held = Folder::make(base.path()).unwrap();
        assert_eq!(groups_in(base.path()).count(), 4);
        remove_stale(base.path());
        let left = |name: &str| base.path().join(name).exists();
        assert!(!left("bulkhead-1-0") && held.path.exists());
        assert!(names[1..].iter().chain(&["bulkhead-2-0"]).all(|name| left(name)));
        drop(held);
        remove_stale(base.path());
        assert_eq!(groups_in(base.path()).count(), 2);
    }

    #[test]
    fn names_are_not_used_twice() {
        let base = tempfile::tempdir().unwrap();
        let first = Folder::make(base.path()).unwrap();
        let name = first.path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with(&format!("bulkhead-{}-", std::process::id())), "{name}");
        let second = Folder::make(base.path()).unwrap();
        assert_ne!(first.path, second.path);
        assert!(first.remove() && !first.remove());
    }
}
