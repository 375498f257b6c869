//! Which units of a build folder are whose: every build reads those that it uses, and has those to itself that it writes.
//!
//! Each unit is a byte of the file `.bulkhead-lock`, and a lock on that byte. A build takes all its bytes in one order, sharing
//! them, before it looks whether units are fresh; then it wants those alone that it will build. If somebody else reads one,
//! it gives up all and takes them again in the same order: nobody waits for a byte while it has a later one. From then on it
//! waits for nothing, and shares each unit again that is done. See `docs/decisions/build-locks.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bulkhead_sandbox::{ByteLock, lock_bytes};
use bulkhead_trust::Digest;
use bulkhead_unit_graph::{CompileMode, UnitIndex};

use crate::lock::{INTERVAL, NO_LINK};
use crate::record::RecordFiles;
use crate::{BuildError, Planner};

/// The file whose bytes are locked. Cargo does not know it.
const FILE: &str = ".bulkhead-lock";

/// One byte of one of the files.
type Key = (usize, u64);

/// What one build has of its folders. Dropping it gives everything back.
pub(crate) struct Claims {
    files: Vec<File>,
    /// By [`UnitIndex`].
    keys: Vec<Vec<Key>>,
    writers: Mutex<Writers>,
}

/// What is had alone. All else is shared.
#[derive(Default)]
struct Writers {
    units: BTreeSet<UnitIndex>,
    /// How many of them need it.
    keys: BTreeMap<Key, usize>,
}

impl Claims {
    /// Prepares to claim units of the folders in `folders`, without a claim to any. `None` where the file system has no such
    /// locks.
    pub(crate) fn new(planner: &dyn Planner, folders: &[PathBuf]) -> io::Result<Option<Self>> {
        let mut files = Vec::new();
        for folder in folders {
            let mut options = File::options();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, NO_LINK);
            let file = options.read(true).write(true).create(true).truncate(false).open(folder.join(FILE))?;
            match lock_bytes(&file, 0..END, ByteLock::None) {
                Ok(_) => files.push(file),
                Err(_) => return Ok(None),
            }
        }
        let keys = planner.graph().iter().map(|(index, _)| keys(planner, folders, index)).collect();
        Ok(Some(Self { files, keys, writers: Mutex::default() }))
    }

    fn writers(&self) -> MutexGuard<'_, Writers> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self, units: &BTreeSet<UnitIndex>) -> Writers {
        let mut wanted = Writers { units: units.clone(), keys: BTreeMap::new() };
        for key in units.iter().filter_map(|index| self.keys.get(index.0 as usize)).flatten() {
            *wanted.keys.entry(*key).or_default() += 1;
        }
        wanted
    }

    fn set(&self, (file, byte): Key, lock: ByteLock) -> io::Result<bool> {
        self.files.get(file).map_or(Ok(true), |file| lock_bytes(file, byte..byte + 1, lock))
    }

    /// Waits for all units, those in `writers` alone, until `stop` is set. `blocked` is told once if somebody else has one.
    ///
    /// # Errors
    /// [`BuildError::Interrupted`], or what the file system says.
    pub(crate) fn wait(
        &self,
        writers: &BTreeSet<UnitIndex>,
        stop: &AtomicBool,
        blocked: &mut dyn FnMut(),
    ) -> Result<(), BuildError> {
        let wanted = self.wanted(writers);
        let keys: BTreeSet<Key> = self.keys.iter().flatten().copied().collect();
        for key in keys {
            let lock = if wanted.keys.contains_key(&key) { ByteLock::Exclusive } else { ByteLock::Shared };
            while !self.set(key, lock).map_err(|error| fatal(&error))? {
                if stop.load(Ordering::Relaxed) {
                    return Err(BuildError::Interrupted);
                }
                blocked();
                std::thread::sleep(INTERVAL);
            }
        }
        *self.writers() = wanted;
        Ok(())
    }

    /// Has the units of `writers` alone, and shares the others, if that is possible without waiting. If not, some of what
    /// was shared may be had alone: all is to be given back.
    pub(crate) fn try_write(&self, writers: &BTreeSet<UnitIndex>) -> Result<bool, BuildError> {
        let mut now = self.writers();
        let wanted = self.wanted(writers);
        for key in wanted.keys.keys().filter(|key| !now.keys.contains_key(*key)) {
            if !self.set(*key, ByteLock::Exclusive).map_err(|error| fatal(&error))? {
                return Ok(false);
            }
        }
        for key in now.keys.keys().filter(|key| !wanted.keys.contains_key(*key)) {
            self.set(*key, ByteLock::Shared).map_err(|error| fatal(&error))?;
        }
        *now = wanted;
        Ok(true)
    }

    /// Gives everything back.
    pub(crate) fn release(&self) -> Result<(), BuildError> {
        *self.writers() = Writers::default();
        for file in &self.files {
            lock_bytes(file, 0..END, ByteLock::None).map_err(|error| fatal(&error))?;
        }
        Ok(())
    }

    /// The unit is as it will stay: others may read it.
    pub(crate) fn share(&self, index: UnitIndex) {
        let mut writers = self.writers();
        if !writers.units.remove(&index) {
            return;
        }
        for key in self.keys.get(index.0 as usize).into_iter().flatten() {
            let Some(count) = writers.keys.get_mut(key) else { continue };
            *count -= 1;
            if *count == 0 {
                writers.keys.remove(key);
                // If it cannot be shared now, it is when the build ends.
                let _ = self.set(*key, ByteLock::Shared);
            }
        }
    }
}

/// No byte lies behind this.
const END: u64 = i64::MAX as u64;

fn fatal(error: &io::Error) -> BuildError {
    BuildError::Fatal(crate::files::failed("lock", Path::new(FILE), error))
}

/// What has to be locked for a unit: the file that says whether it is fresh, which bears its hash as all it leaves does; and
/// what it leaves under names that other units may use as well.
fn keys(planner: &dyn Planner, folders: &[PathBuf], index: UnitIndex) -> Vec<Key> {
    let folder = planner.fingerprint_folder(index);
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let hash = name.rsplit_once('-').map_or("", |(_, hash)| hash);
    let mut paths = Vec::new();
    for output in planner.outputs(index) {
        let file = output.path.file_name().unwrap_or_default().to_string_lossy();
        if hash.is_empty() || !file.contains(hash) {
            paths.push(output.path.clone());
        }
        paths.extend(output.uplifted);
    }
    let unit = planner.graph().unit(index);
    if unit.mode == CompileMode::Doc {
        // All crates of a documentation share its index.
        paths.push(planner.layout(unit.platform).artifacts.join("doc"));
    }
    paths.push(RecordFiles::new(folder, &planner.fingerprint_name(index)).record);
    paths.iter().map(|path| key(folders, path)).collect()
}

fn key(folders: &[PathBuf], path: &Path) -> Key {
    let holds = |(_, folder): &(usize, &PathBuf)| path.starts_with(folder);
    let found = folders.iter().enumerate().filter(holds).max_by_key(|(_, folder)| folder.as_os_str().len());
    let (number, relative) =
        found.map_or((0, path), |(number, folder)| (number, path.strip_prefix(folder).unwrap_or(path)));
    let digest = Digest::of(relative.as_os_str().as_encoded_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    // Far from the last byte that can be locked. Two that meet here only wait for each other more often.
    (number, u64::from_le_bytes(bytes) >> 2)
}
