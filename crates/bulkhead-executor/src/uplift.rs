//! Puts artifacts under the names by which users find them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::files;

/// Whether `to` is the same file as `from`, or neither is there.
pub(crate) fn is_same(from: &Path, to: &Path) -> bool {
    match (from.metadata(), to.symlink_metadata()) {
        (Ok(from), Ok(to)) => (from.dev(), from.ino()) == (to.dev(), to.ino()),
        (from, to) => from.is_err() && to.is_err(),
    }
}

/// Makes `to` the same file as `from`: by a hard link, or by a copy where the file system has none. What was at `to` is
/// replaced in one step, so that a program that runs goes on with the old one.
pub(crate) fn uplift(from: &Path, to: &Path) -> io::Result<()> {
    let source = from.metadata()?;
    if let Ok(existing) = to.symlink_metadata() {
        if (existing.dev(), existing.ino()) == (source.dev(), source.ino()) {
            return Ok(());
        }
        if existing.is_dir() {
            std::fs::remove_dir_all(to)?;
        }
    }
    let folder = to.parent().unwrap_or(Path::new("/"));
    let place = tempfile::Builder::new().prefix(files::TEMPORARY).tempdir_in(folder)?;
    let temporary = place.path().join("artifact");
    if std::fs::hard_link(from, &temporary).is_err() {
        std::fs::copy(from, &temporary)?;
    }
    replace(&temporary, to)
}

/// Puts `from` at `to` in one step. What is there changes places with it and goes away with the folder that `from` is in:
/// where a file replaces another, ext4 first writes all of the new one to the disk, a tenth of a second for a large program.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Nothing is there, or the file system cannot exchange.
        Err(_) => std::fs::rename(from, to),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_same, uplift};
    use std::io::Read;

    #[test]
    fn replaces_files_and_links_without_touching_what_they_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("new"), "new").unwrap();
        std::fs::write(path("victim"), "victim").unwrap();
        std::os::unix::fs::symlink(path("victim"), path("out")).unwrap();
        std::fs::write(path("old"), "old").unwrap();
        let mut running = std::fs::File::open(path("old")).unwrap();
        for out in ["out", "old", "missing", "out"] {
            uplift(&path("new"), &path(out)).unwrap();
            assert!(is_same(&path("new"), &path(out)) && !path(out).is_symlink(), "{out}");
        }
        assert_eq!(std::fs::read_to_string(path("out")).unwrap(), "new");
        let mut text = String::new();
        running.read_to_string(&mut text).unwrap();
        assert_eq!(text, "old", "whoever has the old file open goes on with it");
        assert_eq!(std::fs::read_to_string(path("victim")).unwrap(), "victim");
        assert_eq!(folder.path().read_dir().unwrap().count(), 5, "nothing is left over");
    }
}
