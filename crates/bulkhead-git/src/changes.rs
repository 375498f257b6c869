//! What of a working copy is not committed.

use std::path::{Path, PathBuf};

use url::Url;

use crate::local::folders;
use crate::program::Run;
use crate::{GitError, GitErrorKind, GitOptions};

/// A file that differs from the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it is, from the top of the working copy.
    pub path: PathBuf,
    /// Whether the difference is in the index, and the file is as the index says.
    pub staged: bool,
}

/// The changes in the working copy at `top`. Its own configuration cannot start programs: git runs confined, without a
/// network, and may write nothing.
///
/// # Errors
/// git is missing, or cannot read the repository.
pub fn changes(options: &GitOptions, top: &Path) -> Result<Vec<Change>, GitError> {
    let failed = |message: String| GitError { kind: GitErrorKind::Program, url: top.display().to_string(), message };
    let url = Url::from_file_path(top).map_err(|()| failed("its path cannot be written as an address".to_owned()))?;
    let run = Run {
        options,
        url: &url,
        folder: &top.join(".git"),
        transport: None,
        read: folders(top),
        configuration: Vec::new(),
        environment: vec![("GIT_WORK_TREE".to_owned(), top.into())],
        stdin: None,
    };
    let arguments =
        ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all"];
    let (ended, stdout) = run.collect(&arguments)?;
    if !ended.success {
        return Err(failed(format!("git cannot tell what has changed: {}", ended.stderr.trim())));
    }
    Ok(parse(&stdout))
}

/// `XY path`, each ended by a zero byte. `X` is the index, `Y` the file.
fn parse(text: &[u8]) -> Vec<Change> {
    use std::os::unix::ffi::OsStrExt as _;
    let entries = text.split(|byte| *byte == 0).filter_map(|entry| Some((entry.get(..2)?, entry.get(3..)?)));
    let changes = entries.map(|(state, path)| Change {
        path: PathBuf::from(std::ffi::OsStr::from_bytes(path)),
        staged: state.get(1) == Some(&b' '),
    });
    changes.collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn states_are_told_apart() {
        let changes = parse(b" M a b.rs\0M  c.rs\0?? d/e.rs\0MM f.rs\0x\0");
        let told: Vec<_> = changes.iter().map(|change| (change.path.to_str().unwrap(), change.staged)).collect();
        assert_eq!(told, [("a b.rs", false), ("c.rs", true), ("d/e.rs", false), ("f.rs", false)]);
    }
}
