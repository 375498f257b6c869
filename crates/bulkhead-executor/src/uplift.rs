//! Puts artifacts under the names by which users find them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    std::fs::rename(&temporary, to)
}

#[cfg(test)]
mod tests {
    use super::uplift;

    #[test]
    fn replaces_files_and_links_without_touching_what_they_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("new"), "new").unwrap();
        std::fs::write(path("victim"), "victim").unwrap();
        std::os::unix::fs::symlink(path("victim"), path("out")).unwrap();
        uplift(&path("new"), &path("out")).unwrap();
        uplift(&path("new"), &path("out")).unwrap();
        assert_eq!(std::fs::read_to_string(path("out")).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(path("victim")).unwrap(), "victim");
        assert_eq!(folder.path().read_dir().unwrap().count(), 3);
    }
}
