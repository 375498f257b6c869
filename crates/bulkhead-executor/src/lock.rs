//! The target folder: its marks, and the lock that keeps Cargo and us apart.

use std::fs::{File, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bulkhead_schema::Diagnostic;

use crate::files::{self, failed};
use crate::{BuildError, staging};

/// The file by which `clean` knows that a folder was made by Bulkhead for this workspace: it holds what [`target_mark`] says.
pub const TARGET_MARKER: &str = ".bulkhead-target";

/// What marks `folder` as made for a workspace: where that is, and the number by which the file system knows the folder. A
/// repository that brings a marker along may guess the first; it cannot know the second.
///
/// # Errors
/// The folder is not there.
pub fn target_mark(folder: &Path, workspace_root: &Path) -> std::io::Result<String> {
    let number = std::fs::metadata(folder)?.ino();
    Ok(format!("{}\n{number}\n", workspace_root.display()))
}

/// Cargo's text, so that either tool recognises the other's folders.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This file is a cache directory tag created by cargo.\n\
    # For information about cache directory tags see https://bford.info/cachedir/\n";

/// What Cargo leaves in a target folder, but for folders of platforms and of profiles with names of their own.
const OF_BUILDS: [&str; 8] =
    ["CACHEDIR.TAG", ".rustc_info.json", ".future-incompat-report.json", "debug", "release", "doc", "package", "tmp"];

/// Makes the target folder, and marks it if it was made just now, was empty, or bears Cargo's own tag and holds nothing but
/// builds. A folder with other things in it is used and not marked, so that `clean` refuses to remove it.
pub(crate) fn prepare_target(target_dir: &Path, workspace_root: &Path) -> Result<(), Diagnostic> {
    std::fs::create_dir_all(target_dir).map_err(|error| failed("create", target_dir, &error))?;
    let marker = target_dir.join(TARGET_MARKER);
    if marker.exists() {
        return Ok(());
    }
    let tag = target_dir.join("CACHEDIR.TAG");
    let empty = target_dir.read_dir().map_err(|error| failed("read", target_dir, &error))?.next().is_none();
    if empty {
        files::write(&tag, CACHEDIR_TAG.as_bytes()).map_err(|error| failed("write", &tag, &error))?;
    }
    if empty || is_of_cargo(target_dir, true) {
        let text = target_mark(target_dir, workspace_root).map_err(|error| failed("read", target_dir, &error))?;
        files::write(&marker, text.as_bytes()).map_err(|error| failed("write", &marker, &error))?;
    }
    Ok(())
}

/// Whether a folder bears Cargo's tag, which a repository can bring along as well, and nothing that somebody may have written.
fn is_of_cargo(folder: &Path, has_platforms: bool) -> bool {
    let tagged = files::read(&folder.join("CACHEDIR.TAG"), 4096).is_ok_and(|bytes| bytes == CACHEDIR_TAG.as_bytes());
    let is_of_builds = |name: &std::ffi::OsStr| OF_BUILDS.iter().any(|known| name == *known);
    let is_platform = |path: &Path| has_platforms && is_of_cargo(path, false);
    let Ok(mut entries) = folder.read_dir() else { return false };
    tagged && entries.all(|it| it.is_ok_and(|it| is_of_builds(&it.file_name()) || is_platform(&it.path())))
}

/// Keeps Cargo out of a build folder until it is dropped; and other builds of ours, if it is had alone.
#[derive(Debug)]
pub(crate) struct BuildLock(File);

/// The lock of one `target/<profile>`.
pub(crate) fn path(profile_dir: &Path) -> PathBuf {
    profile_dir.join(".cargo-lock")
}

/// How often it is tried to get a lock, and a wish to stop is noticed.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

/// The lock is a file of the folder itself.
pub(crate) const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// How a build folder is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Beside other builds of ours, which claim units of it.
    Shared,
    /// Where units cannot be claimed.
    Alone,
}

/// Takes the lock of one `target/<profile>`, which is there, waiting for whoever has it until `stop` is set. Whoever finds
/// nobody else there first removes what builds that died have left.
pub(crate) fn lock(
    profile_dir: &Path,
    wanted: Use,
    stop: &AtomicBool,
    blocked: &mut dyn FnMut(&Path),
) -> Result<BuildLock, BuildError> {
    let fatal = |doing: &str, path: &Path, error| BuildError::Fatal(failed(doing, path, &error));
    let path = path(profile_dir);
    let open = File::options().read(true).write(true).create(true).truncate(false).custom_flags(NO_LINK).open(&path);
    let file = open.map_err(|error| fatal("open", &path, error))?;
    let try_lock = || match wanted {
        Use::Shared if file.try_lock().is_ok() => {
            staging::sweep(profile_dir);
            file.unlock().map_err(TryLockError::Error)?;
            file.try_lock_shared()
        }
        Use::Shared => file.try_lock_shared(),
        Use::Alone => file.try_lock(),
    };
    loop {
        match try_lock() {
            Ok(()) => return Ok(BuildLock(file)),
            Err(TryLockError::WouldBlock) if stop.load(Ordering::Relaxed) => return Err(BuildError::Interrupted),
            Err(TryLockError::WouldBlock) => {
                blocked(&path);
                std::thread::sleep(INTERVAL);
            }
            // File systems without locks (some network mounts): Cargo goes on, too.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                return Ok(BuildLock(file));
            }
            Err(TryLockError::Error(error)) => return Err(fatal("lock", &path, error)),
        }
    }
}

impl BuildLock {
    /// Lets others in, after removing what is left of the staging folders if there is nobody else.
    pub(crate) fn leave(self, profile_dir: &Path) {
        if self.0.unlock().is_ok() && self.0.try_lock().is_ok() {
            staging::clear(profile_dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::{CACHEDIR_TAG, TARGET_MARKER, Use, lock, prepare_target};

    static STOP: AtomicBool = AtomicBool::new(false);

    /// Attack 2.
    #[test]
    fn foreign_folders_are_not_marked() {
        let folder = tempfile::tempdir().unwrap();
        let (own, foreign) = (folder.path().join("own"), folder.path().join("foreign"));
        prepare_target(&own, folder.path()).unwrap();
        assert!(own.join(TARGET_MARKER).exists() && own.join("CACHEDIR.TAG").exists());
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("data.txt"), "mine").unwrap();
        prepare_target(&foreign, folder.path()).unwrap();
        assert!(!foreign.join(TARGET_MARKER).exists() && !foreign.join("CACHEDIR.TAG").exists());
        // Nor does a tag that came along make it Cargo's.
        std::fs::write(foreign.join("CACHEDIR.TAG"), CACHEDIR_TAG).unwrap();
        prepare_target(&foreign, folder.path()).unwrap();
        assert!(!foreign.join(TARGET_MARKER).exists());
    }

    #[test]
    fn what_cargo_has_made_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["debug/deps", "x86_64-unknown-linux-gnu/release"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for path in [".rustc_info.json", "CACHEDIR.TAG", "x86_64-unknown-linux-gnu/CACHEDIR.TAG"] {
            std::fs::write(folder.path().join(path), CACHEDIR_TAG).unwrap();
        }
        prepare_target(folder.path(), folder.path()).unwrap();
        assert!(folder.path().join(TARGET_MARKER).exists());
    }

    #[test]
    fn whoever_is_alone_is_waited_for_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let get = |wanted, blocked: &mut dyn FnMut(&std::path::Path)| lock(folder.path(), wanted, &STOP, blocked);
        for (first, second) in [(Use::Alone, Use::Shared), (Use::Shared, Use::Alone)] {
            let (blocked, waits) = std::sync::mpsc::channel();
            let first = get(first, &mut |_| ()).unwrap();
            std::thread::scope(|scope| {
                let second = scope.spawn(move || get(second, &mut |_| blocked.send(()).unwrap()).map(drop));
                waits.recv().unwrap();
                drop(first);
                // Told as often as it was in vain.
                second.join().unwrap().unwrap();
            });
        }
        let _both = [get(Use::Shared, &mut |_| ()).unwrap(), get(Use::Shared, &mut |_| panic!()).unwrap()];
    }

    #[test]
    fn what_a_build_that_died_has_left_is_removed_by_whoever_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let left =
            [".bulkhead/foo-0123/libfoo.rmeta", ".fingerprint/foo-0123/.bulkhead-tmp-abc", ".bulkhead-tmp-x/artifact"];
        let others = ["mine", ".fingerprint/foo-0123/lib-foo.bulkhead.json"];
        let plant = || {
            for path in left.iter().chain(&others).map(|path| folder.path().join(path)) {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
        };
        plant();
        let first = lock(folder.path(), Use::Shared, &STOP, &mut |_| ()).unwrap();
        assert!(left.iter().all(|path| !folder.path().join(path).exists()));
        assert!(others.iter().all(|path| folder.path().join(path).exists()));
        plant();
        let second = lock(folder.path(), Use::Shared, &STOP, &mut |_| ()).unwrap();
        second.leave(folder.path());
        assert!(left.iter().all(|path| folder.path().join(path).exists()), "they may be the other's");
        first.leave(folder.path());
    }
}
