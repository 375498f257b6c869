//! Where a build happens: folders that can be moved together with all that was built in them, and what is remembered of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Options;

/// The folders of one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    build: PathBuf,
    target: PathBuf,
    workspace: PathBuf,
}

impl Place {
    /// Where a build with these options happens.
    pub(crate) fn of(options: &Options<'_>) -> Self {
        // Without a slash at the end.
        let plain = |path: &Path| path.components().collect();
        Self {
            build: plain(&options.build_dir),
            target: plain(&options.target_dir),
            workspace: plain(&options.workspace_root),
        }
    }

    /// What is called `path` now that everything in `self` is in `new`. The target folder may lie in the workspace.
    pub(crate) fn moved(&self, path: &Path, new: &Self) -> PathBuf {
        let mut pairs = self.pairs(new).into_iter();
        let found = pairs.find_map(|(old, new)| path.strip_prefix(old).ok().map(|rest| new.join(rest)));
        found.unwrap_or_else(|| path.to_owned())
    }

    /// The folders that are elsewhere in `new`.
    pub(crate) fn left_for(&self, new: &Self) -> Vec<PathBuf> {
        self.pairs(new).into_iter().filter(|(old, new)| old != new).map(|(old, _)| old.to_owned()).collect()
    }

    fn pairs<'a>(&'a self, new: &'a Self) -> [(&'a Path, &'a Path); 3] {
        [(&self.build, &new.build), (&self.target, &new.target), (&self.workspace, &new.workspace)]
            .map(|(old, new)| (old.as_path(), new.as_path()))
    }
}

#[cfg(test)]
mod tests {
    use super::Place;
    use std::path::Path;

    #[test]
    fn what_lies_in_the_folders_moves_with_them() {
        let place = |workspace: &str, target: &str| Place {
            build: target.into(),
            target: target.into(),
            workspace: workspace.into(),
        };
        let (old, new) = (place("/a", "/a/target"), place("/b/c", "/t"));
        for (then, now) in [("/a/src/x.rs", "/b/c/src/x.rs"), ("/a/target/debug", "/t/debug"), ("/ab/x", "/ab/x")] {
            assert_eq!(old.moved(then.as_ref(), &new), Path::new(now));
        }
        assert_eq!(old.left_for(&place("/a", "/t")), [Path::new("/a/target"), Path::new("/a/target")]);
    }
}
