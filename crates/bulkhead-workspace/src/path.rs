//! Paths, by their text alone.

use std::path::{Component, Path, PathBuf};

/// `path` below `base`, with `.` and `..` taken out. Links are not looked at, as in Cargo.
pub(crate) fn join(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    normalize(&base.join(path))
}

/// `path` with `.` and `..` taken out by text, as Cargo does with paths in manifests. Links are not looked at.
pub fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// Whether `path`, taken below some folder, stays inside it: relative, and never above where it began.
pub(crate) fn stays_inside(path: &Path) -> bool {
    let mut depth = 0_usize;
    for part in path.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// How to get from the folder `base` to `path`; both absolute and normalised.
pub fn relative(base: &Path, path: &Path) -> PathBuf {
    let shared = base.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = base.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(path.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::{join, relative, stays_inside};
    use std::path::Path;

    #[test]
    fn paths_are_compared_by_text() {
        assert_eq!(join(Path::new("/a/b"), "../c/./d"), Path::new("/a/c/d"));
        assert_eq!(relative(Path::new("/a/b/c"), Path::new("/a/README.md")), Path::new("../../README.md"));
        assert!(stays_inside(Path::new("src/../lib.rs")) && stays_inside(Path::new("./a")));
        for bad in ["../x", "a/../../x", "/etc/passwd"] {
            assert!(!stays_inside(Path::new(bad)), "{bad}");
        }
    }
}
