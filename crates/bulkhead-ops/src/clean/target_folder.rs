//! The target folder, held open: what is below it is reached from descriptor to descriptor, so that no link on the way, and
//! none that is put there meanwhile, leads out of it.

use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use bulkhead_executor::remove_at;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

use super::Removed;
use crate::error::Result;
use crate::{Error, Event};

/// How deep below a profile's folder the files of a package lie.
const FILES_DEPTH: usize = 3;

pub(super) struct TargetFolder {
    path: PathBuf,
    descriptor: OwnedFd,
}

impl TargetFolder {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let descriptor = open(CWD, path.as_os_str()).map_err(|error| failed("open", path, error))?;
        Ok(Self { path: path.to_path_buf(), descriptor })
    }

    /// The folder `relative`, unless it is missing.
    fn below(&self, relative: &Path) -> Result<Option<OwnedFd>> {
        let mut path = self.path.clone();
        let mut descriptor = open(&self.descriptor, OsStr::new(".")).map_err(|error| failed("open", &path, error))?;
        for part in relative.components() {
            path.push(part);
            let Component::Normal(name) = part else {
                return Err(Error::failure(format!("`{}` is not in the target folder", path.display())));
            };
            descriptor = match open(&descriptor, name) {
                Ok(descriptor) => descriptor,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(_) if is_link(&descriptor, name) => {
                    let refused = Error::failure(format!("`{}` is not removed", self.path.join(relative).display()));
                    let reason = format!("`{}` is a symbolic link", path.display());
                    return Err(refused.because(reason).help("remove the link by hand"));
                }
                Err(error) => return Err(failed("open", &path, error)),
            };
        }
        Ok(Some(descriptor))
    }

    /// Files of packages: `<name>-<hash>` folders and files, and `lib<name>-<hash>` with `_` for `-`.
    pub(super) fn files_of(&self, root: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
        let Some(descriptor) = self.below(root)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut pending = vec![(descriptor, root.to_path_buf(), 0)];
        while let Some((folder, path, depth)) = pending.pop() {
            for (name, kind) in entries(&folder).map_err(|error| failed("read", &self.path.join(&path), error))? {
                let inner = path.join(&name);
                if belongs(&name.to_string_lossy(), names) {
                    found.push(inner);
                } else if depth < FILES_DEPTH && kind.is_dir() {
                    let opened =
                        open(&folder, &name).map_err(|error| failed("open", &self.path.join(&inner), error))?;
                    pending.push((opened, inner, depth + 1));
                }
            }
        }
        Ok(found)
    }

    /// Removes `relative`, or the whole folder. A link is removed itself.
    pub(super) fn remove(&self, relative: &Path, dry_run: bool, events: &dyn Fn(Event)) -> Result<Removed> {
        let path = if relative.as_os_str().is_empty() { self.path.clone() } else { self.path.join(relative) };
        let (parent, name) = match (relative.parent(), relative.file_name()) {
            (Some(parent), Some(name)) => (self.below(parent)?, name.to_owned()),
            // The folder above is the user's own; in it, this very folder is removed once it is empty.
            _ => {
                let above = self.path.parent().unwrap_or(Path::new("/"));
                let parent = openat(CWD, above, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
                let parent = parent.map_err(|error| failed("open", above, error.into()))?;
                (Some(parent), self.path.file_name().unwrap_or_default().to_owned())
            }
        };
        let Some(parent) = parent else { return Ok(Removed::default()) };
        if !exists(&parent, &name) {
            return Ok(Removed::default());
        }
        if dry_run {
            events(Event::Note(path.display().to_string()));
        }
        remove_at(&parent, &name, dry_run).map_err(|error| failed("remove", &path, error))
    }
}

/// Files of a unit are called `NAME-HASH`, what its compiler remembers `NAME-HASH-…`; what is uplifted, `NAME`.
fn belongs(file: &str, names: &[String]) -> bool {
    let stem = file.split('.').next().unwrap_or_default();
    let is_hash = |part: &str| part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let before_hash = stem.match_indices('-').filter(|(at, _)| stem[at + 1..].split('-').next().is_some_and(is_hash));
    let mut stems = before_hash.map(|(at, _)| &stem[..at]).chain([stem]);
    stems.any(|stem| {
        names.iter().any(|name| {
            let crate_name = name.replace('-', "_");
            stem == name || stem == crate_name || stem.strip_prefix("lib") == Some(&crate_name)
        })
    })
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::failure(format!("failed to {doing} `{}`", path.display())).because(error)
}

fn open(folder: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

fn exists(folder: &OwnedFd, name: &OsStr) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn is_link(folder: &OwnedFd, name: &OsStr) -> bool {
    let status = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode).is_symlink())
}

fn entries(folder: &OwnedFd) -> io::Result<Vec<(OsString, FileType)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if ![&b"."[..], b".."].contains(&name.to_bytes()) {
            let kind = match entry.file_type() {
                FileType::Unknown => FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode),
                kind => kind,
            };
            entries.push((OsStr::from_bytes(name.to_bytes()).to_owned(), kind));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::belongs;

    #[test]
    fn files_of_a_package_are_known_by_their_names() {
        let belongs = |file, name: &str| belongs(file, &[name.to_owned()]);
        for file in [
            "my-app",
            "my-app.d",
            "my-app-0123456789abcdef",
            "my_app-0123456789abcdef.d",
            "libmy_app-0123456789abcdef.rlib",
            "my-app-0123456789abcdef-bin-my-app-697751556d909b35f60411db39bfe3be",
        ] {
            assert!(belongs(file, "my-app"), "{file}");
        }
        for file in [
            "my-app-more-0123456789abcdef-lib-my_app-0",
            "app-0123456789abcdef",
            "my-0123456789abcdef-lib-x-0",
            "my-app-too",
        ] {
            assert!(!belongs(file, "my-app"), "{file}");
        }
        assert!(belongs("a-0123456789abcdef-fedcba9876543210", "a-0123456789abcdef"));
    }
}
