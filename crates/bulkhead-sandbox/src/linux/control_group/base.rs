//! The folder in which groups can be made for confined processes, if this process was given one.
//!
//! A group of version 2 in which there are processes can hand no controller on to groups below it, except for the root of
//! all. So there are three places: beside this process's own group, where somebody has prepared that; in the root; and in
//! its own group, where it is alone in that, and can step into a leaf and back. No other process is ever moved, and what
//! systemd has not delegated is left to systemd.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::folder::{self, Folder};
use super::place::{self, Hierarchy, Place};

/// What can be limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Controllers {
    pub(super) memory: bool,
    pub(super) processes: bool,
}

impl Controllers {
    /// Those that a file names (`cgroup.controllers` or `cgroup.subtree_control`).
    fn named_in(file: &Path) -> Controllers {
        let text = fs::read_to_string(file).unwrap_or_default();
        let has = |name: &str| text.split_ascii_whitespace().any(|word| word == name);
        Controllers { memory: has("memory"), processes: has("pids") }
    }

    fn is_empty(self) -> bool {
        self == Controllers::default()
    }

    /// As `cgroup.subtree_control` takes them, each after a sign.
    fn signed(self, sign: char) -> String {
        let named = [("memory", self.memory), ("pids", self.processes)].into_iter().filter(|(_, wanted)| *wanted);
        named.map(|(name, _)| format!("{sign}{name} ")).collect()
    }
}

/// Where groups are made.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) folder: PathBuf,
    pub(super) controllers: Controllers,
    /// The group that this process has stepped into, so that `folder` holds no process.
    leaf: Option<Folder>,
}

impl Base {
    /// Finds the place and prepares it.
    ///
    /// # Errors
    /// Why there is none, as a part of a sentence.
    pub(super) fn find() -> Result<Base, String> {
        let Some(own) = place::own(Hierarchy::Unified) else {
            return Err("no control groups of version 2 are seen here".to_owned());
        };
        if let Some(base) = beside(&own) {
            return Ok(base);
        }
        let controllers = Controllers::named_in(&own.folder.join("cgroup.controllers"));
        if controllers.is_empty() {
            return Err(format!("the control group {} limits neither memory nor processes", own.folder.display()));
        }
        may_be_used(&own.folder)?;
        folder::remove_stale(&own.folder);
        if is_root(&own.folder) {
            // Switched on and left on: others may have come to rely on it meanwhile.
            hand_on(&own.folder, &controllers.signed('+'))?;
            return Ok(Base { folder: own.folder, controllers, leaf: None });
        }
        let alone = format!("{}\n", std::process::id());
        if fs::read_to_string(own.folder.join("cgroup.procs")).ok() != Some(alone) {
            return Err(format!("other processes are in the control group {}", own.folder.display()));
        }
        let leaf = Folder::make(&own.folder).map_err(|error| format!("{}: {error}", own.folder.display()))?;
        move_into(&leaf.path)?;
        // A process may have been started meanwhile, which keeps the controllers from being handed on.
        hand_on(&own.folder, &controllers.signed('+')).inspect_err(|_| step_back(&own.folder, &leaf))?;
        Ok(Base { folder: own.folder, controllers, leaf: Some(leaf) })
    }

    /// Undoes what [`Base::find`] has done, as far as nobody else has come to use it.
    pub(super) fn leave(&self) {
        let Some(leaf) = &self.leaf else { return };
        let others = folder::groups_in(&self.folder).filter(|path| *path != leaf.path).count();
        if others == 0 && hand_on(&self.folder, &self.controllers.signed('-')).is_ok() {
            step_back(&self.folder, leaf);
        }
    }
}

/// The group above this process's own, if it hands controllers on already.
fn beside(own: &Place) -> Option<Base> {
    let folder = own.folder.parent().filter(|_| own.folder != own.mount)?;
    let controllers = Controllers::named_in(&folder.join("cgroup.subtree_control"));
    if controllers.is_empty() || may_be_used(folder).is_err() {
        return None;
    }
    folder::remove_stale(folder);
    Some(Base { folder: folder.to_owned(), controllers, leaf: None })
}

/// Whether this process was given a group: it may write there, and systemd does not regard it as its own.
fn may_be_used(folder: &Path) -> Result<(), String> {
    let may_write = |path: &Path| {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        // SAFETY: the path is NUL-terminated and outlives the call.
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
    };
    let parts = [folder.to_owned(), folder.join("cgroup.procs"), folder.join("cgroup.subtree_control")];
    if !parts.iter().all(|path| may_write(path)) {
        return Err(format!("the control group {} cannot be written", folder.display()));
    }
    if is_unit(folder) && !is_delegated(folder) {
        return Err(format!("systemd has not delegated the control group {}", folder.display()));
    }
    Ok(())
}

/// Whether a group has the name of one that systemd makes.
fn is_unit(folder: &Path) -> bool {
    let suffix = folder.extension().and_then(|suffix| suffix.to_str());
    matches!(suffix, Some("slice" | "scope" | "service"))
}

/// Whether systemd has marked a group as delegated (`Delegate=yes`): for everybody, or, before version 251, for root alone.
fn is_delegated(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    [c"user.delegate", c"trusted.delegate"].into_iter().any(|name| {
        let mut value = 0_u8;
        // SAFETY: NUL-terminated strings, and one byte to write to, whose size is passed.
        let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), (&raw mut value).cast(), 1) };
        length == 1 && value == b'1'
    })
}

/// The root of all groups alone has no type.
fn is_root(folder: &Path) -> bool {
    !folder.join("cgroup.type").exists()
}

/// Gives groups below `folder` more or fewer controllers.
fn hand_on(folder: &Path, signed: &str) -> Result<(), String> {
    fs::write(folder.join("cgroup.subtree_control"), signed)
        .map_err(|error| format!("the control group {} does not hand on its controllers: {error}", folder.display()))
}

/// Moves this process into a group.
fn move_into(folder: &Path) -> Result<(), String> {
    fs::write(folder.join("cgroup.procs"), "0")
        .map_err(|error| format!("this process cannot be moved into the control group {}: {error}", folder.display()))
}

/// Returns from a leaf, and removes it. Best effort: an empty leaf that stays is removed by the next Bulkhead.
fn step_back(folder: &Path, leaf: &Folder) {
    if move_into(folder).is_ok() {
        leaf.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::{Controllers, is_delegated, is_root, is_unit};
    use std::path::Path;

    #[test]
    fn controllers_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cgroup.controllers");
        assert!(Controllers::named_in(&file).is_empty());
        for (text, memory, processes) in
            [("hugetlb\n", false, false), ("cpu memory pids\n", true, true), ("pids", false, true)]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Controllers::named_in(&file), Controllers { memory, processes });
        }
        assert_eq!(Controllers { memory: true, processes: true }.signed('+'), "+memory +pids ");
        assert_eq!(Controllers { memory: false, processes: true }.signed('-'), "-pids ");
    }

    #[test]
    fn what_is_left_to_systemd() {
        for name in ["user.slice", "/a/user@1000.service", "run-r1.scope"] {
            assert!(is_unit(Path::new(name)), "{name}");
        }
        assert!(!is_unit(Path::new("/sys/fs/cgroup")) && !is_unit(Path::new("/a.scope/shell")));
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_delegated(folder.path()) && is_root(folder.path()));
        std::fs::write(folder.path().join("cgroup.type"), "domain\n").unwrap();
        assert!(!is_root(folder.path()));
    }
}
