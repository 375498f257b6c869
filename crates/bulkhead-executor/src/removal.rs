//! Removing whole folders, however deep they are.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat, unlinkat};

/// What was (or would be) removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of files.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// So many folders on the way stay open. From there on the way up is looked for, which file systems without lasting numbers of
/// their folders may get wrong.
const KEPT_OPEN: usize = 128;

/// A folder on the way to what is removed next.
struct Level {
    name: OsString,
    status: Stat,
    /// Itself, if it is one of those that stay open.
    folder: Option<OwnedFd>,
    /// What it holds that was not looked at yet.
    left: Vec<OsString>,
}

/// Removes, or only counts, what is at `name` in `parent`, a folder with all in it. No link is followed. Whoever nests folders
/// more deeply than paths can be long, or than there are descriptors, is not spared: few are open at a time, and the way up is
/// compared with the way down.
///
/// # Errors
/// The disk refuses, or a folder was moved meanwhile.
pub fn remove_at(parent: &impl AsFd, name: &OsStr, dry_run: bool) -> io::Result<Removed> {
    let mut removed = Removed::default();
    let status = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !is_folder(&status) {
        remove_file(parent, name, &status, dry_run, &mut removed)?;
        return Ok(removed);
    }
    let mut current = open(parent, name)?;
    let mut levels = vec![level(&current, name)?];
    loop {
        let depth = levels.len();
        let Some(top) = levels.last_mut() else { break };
        if let Some(name) = top.left.pop() {
            let status = statat(&current, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            if is_folder(&status) {
                let inner = open(&current, &name)?;
                let outer = std::mem::replace(&mut current, inner);
                top.folder = (depth < KEPT_OPEN).then_some(outer);
                levels.push(level(&current, &name)?);
            } else {
                remove_file(&current, &name, &status, dry_run, &mut removed)?;
            }
            continue;
        }
        let Some(done) = levels.pop() else { break };
        let remove =
            |from: &dyn AsFd| if dry_run { Ok(()) } else { unlinkat(from.as_fd(), &done.name, AtFlags::REMOVEDIR) };
        match levels.last_mut() {
            Some(above) => {
                current = match above.folder.take() {
                    Some(folder) => folder,
                    None => way_up(&current, &above.status)?,
                };
                remove(&current)?;
            }
            None => remove(&parent.as_fd())?,
        }
    }
    Ok(removed)
}

/// The same by a path, like [`std::fs::remove_dir_all`].
///
/// # Errors
/// The disk refuses.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = openat(CWD, above, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    remove_at(&parent, path.file_name().unwrap_or_default(), false).map(drop)
}

/// The folder above, if it is the one that this was found in.
fn way_up(folder: &OwnedFd, expected: &Stat) -> io::Result<OwnedFd> {
    let above = open(folder, OsStr::new(".."))?;
    let found = fstat(&above)?;
    if (found.st_dev, found.st_ino) != (expected.st_dev, expected.st_ino) {
        return Err(io::Error::other("a folder was moved while it was removed"));
    }
    Ok(above)
}

fn is_folder(status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode).is_dir()
}

fn remove_file(
    parent: &impl AsFd,
    name: &OsStr,
    status: &Stat,
    dry_run: bool,
    removed: &mut Removed,
) -> io::Result<()> {
    if !dry_run {
        unlinkat(parent, name, AtFlags::empty())?;
    }
    removed.files += 1;
    removed.bytes += u64::try_from(status.st_size).unwrap_or(0);
    Ok(())
}

fn open(folder: &impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

fn level(folder: &OwnedFd, name: &OsStr) -> io::Result<Level> {
    let mut left = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if ![&b"."[..], b".."].contains(&name) {
            left.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(Level { name: name.to_owned(), status: fstat(folder)?, folder: None, left })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

    use super::{Removed, remove_at, remove_folder};

    /// Attack 112: deeper than any path, and than there are usually descriptors for.
    #[test]
    fn no_folder_is_too_deep_to_be_removed() {
        let place = tempfile::tempdir().unwrap();
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = openat(CWD, place.path(), flags, Mode::empty()).unwrap();
        for _ in 0..3000 {
            mkdirat(&folder, "deep", Mode::from_raw_mode(0o700)).unwrap();
            folder = openat(&folder, "deep", flags, Mode::empty()).unwrap();
        }
        drop(folder);
        remove_folder(&place.path().join("deep")).unwrap();
        assert_eq!(place.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn links_are_removed_and_not_followed_and_a_dry_run_only_counts() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir_all(at("folder/inner")).unwrap();
        std::fs::create_dir(at("kept")).unwrap();
        for name in ["folder/inner/one", "folder/two", "kept/three"] {
            std::fs::write(at(name), "12345").unwrap();
        }
        symlink(at("kept"), at("folder/inner/link")).unwrap();
        let parent = openat(CWD, place.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let remove = |dry_run| remove_at(&parent, OsStr::new("folder"), dry_run).unwrap();
        let link = at("folder/inner/link").symlink_metadata().unwrap().len();
        let counted = Removed { files: 3, bytes: 10 + link };
        assert_eq!(remove(true), counted);
        assert!(at("folder/inner/one").exists());
        assert_eq!(remove(false), counted);
        assert!(!at("folder").exists() && at("kept/three").exists());
        assert!(remove_folder(&at("absent")).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound));
    }
}
