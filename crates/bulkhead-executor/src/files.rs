//! Looking at files: times, bounded walks, atomic writes.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use bulkhead_schema::Diagnostic;

use crate::removal;

/// Most entries that a walk looks at: far above real packages, far below what keeps a machine busy.
const MAX_ENTRIES: usize = 1_000_000;

/// A time of modification: nanoseconds since 1970.
pub(crate) type Stamp = u64;

/// The modification time of what `metadata` is about.
pub(crate) fn stamp(metadata: &Metadata) -> Stamp {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// When anything about a file was changed, which no program can set; or its modification time, if that is later.
pub(crate) fn changed(metadata: &Metadata) -> Stamp {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let changed = seconds.saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec().unsigned_abs());
    changed.max(stamp(metadata))
}

/// The last changes of a file, or of a folder with all in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    /// The latest modification time.
    pub(crate) modified: Stamp,
    /// What bears it.
    pub(crate) path: PathBuf,
    /// When anything was changed last, be it times alone.
    pub(crate) changed: Stamp,
}

/// The last changes of what is at `path`. Symbolic links count themselves and as what they lead to, and are not walked
/// through. `Ok(None)`: there is nothing.
pub(crate) fn newest(path: &Path) -> io::Result<Option<Newest>> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut newest = Newest { modified: stamp(&metadata), path: path.to_owned(), changed: changed(&metadata) };
    if metadata.is_dir() {
        walk(path, &|_| true, &mut |path, link_metadata| {
            let mut time = stamp(link_metadata);
            newest.changed = newest.changed.max(changed(link_metadata));
            if let Some(metadata) = link_metadata.is_symlink().then(|| path.metadata().ok()).flatten() {
                time = time.max(stamp(&metadata));
                newest.changed = newest.changed.max(changed(&metadata));
            }
            if time > newest.modified {
                (newest.modified, newest.path) = (time, path.to_owned());
            }
            Ok(())
        })?;
    }
    Ok(Some(newest))
}

/// Calls `visit` with everything below `folder`, in no particular order, but with nothing in folders for which `enter` says
/// no.
pub(crate) fn walk(
    folder: &Path,
    enter: &dyn Fn(&Path) -> bool,
    visit: &mut dyn FnMut(&Path, &Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            count += 1;
            if count > MAX_ENTRIES {
                return Err(io::Error::other(format!("{} holds more than {MAX_ENTRIES} entries", folder.display())));
            }
            let (path, metadata) = (entry.path(), entry.metadata()?);
            visit(&path, &metadata)?;
            if metadata.is_dir() && enter(&path) {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// The files of a package as far as can be told without a version control system: not hidden ones, not those of packages
/// within it, not the target folder.
pub(crate) fn package_files(root: &Path, target_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = package_entries(root, target_dir)?.into_iter();
    Ok(entries.filter(|(_, is_folder)| !is_folder).map(|(path, _)| path).collect())
}

/// The same files, and all folders that were looked into: whether more files appear shows in those.
pub(crate) fn package_entries(root: &Path, target_dir: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut entries = vec![(root.to_owned(), true)];
    let passed_over = |path: &Path| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        hidden || path == target_dir || (path.parent() == Some(root) && path.ends_with("target"))
    };
    let enter = |path: &Path| !passed_over(path) && !path.join("Cargo.toml").exists();
    walk(root, &enter, &mut |path, metadata| {
        if !metadata.is_dir() || !passed_over(path) {
            entries.push((path.to_owned(), metadata.is_dir()));
        }
        Ok(())
    })?;
    Ok(entries)
}

/// How names of files and folders begin that are renamed once they are complete.
pub(crate) const TEMPORARY: &str = ".bulkhead-tmp-";

/// Removes what of this kind lies right in `folder`, as far as that is possible.
pub(crate) fn remove_temporaries(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
            continue;
        }
        let _ = match entry.file_type() {
            Ok(kind) if kind.is_dir() => removal::remove_folder(&entry.path()),
            _ => std::fs::remove_file(entry.path()),
        };
    }
}

/// Writes a file in one step: readers see the old content or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Readable for whoever the user lets read files.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).permissions(mode).tempfile_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Opens a file that has an end. In a target folder that came along there may be a pipe instead, on which opening would wait
/// for ever, or a link to a device.
pub(crate) fn open(path: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::File::options();
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Reads at most `limit` bytes; a longer file is an error.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    // With room for one byte more, the first reading is the whole, and the second finds the end.
    let length = file.metadata()?.len().min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    io::Read::read_to_end(&mut io::Read::take(file, limit + 1), &mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("{} is longer than {limit} bytes", path.display())));
    }
    Ok(bytes)
}

/// Removes a file that may not exist.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An operating-system error with what was being done.
pub(crate) fn failed(doing: &str, path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::error("file-system", format!("failed to {doing} `{}`: {error}", path.display()))
}

/// `path` without `.` and `..`, by its words alone.
pub(crate) fn normalise(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => (),
            other => normal.push(other),
        }
    }
    normal
}
