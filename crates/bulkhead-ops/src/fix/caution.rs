//! Whether changes could be lost: nothing is written over work that no version control would bring back.

use std::path::{Path, PathBuf};

use bulkhead_git::Change;

use super::FixOptions;
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::{Error, git};

/// Folders and files by which version control is recognised, of which only git's is asked further.
const OTHERS: [&str; 4] = [".hg", ".pijul", ".fslckout", "_FOSSIL_"];

/// # Errors
/// There is no version control, or there is work that is not committed, and no flag says that this does not matter.
pub(super) fn check(global: &GlobalOptions, options: &FixOptions, project: &Project) -> Result<()> {
    if options.allow_no_vcs {
        return Ok(());
    }
    let disk = &global.place.disk;
    let root = &project.workspace.root;
    let holds = |folder: &&Path, name: &str| disk.exists(&folder.join(name));
    let top = root.ancestors().find(|folder| holds(folder, ".git"));
    let Some(top) = top else {
        if root.ancestors().any(|folder| OTHERS.iter().any(|name| holds(&folder, name))) {
            return Ok(());
        }
        return Err(Error::failure(
            "no VCS found for this package and `fix` can potentially perform destructive changes; if you'd like to \
             suppress this error pass `--allow-no-vcs`",
        ));
    };
    if options.allow_dirty && options.allow_staged {
        return Ok(());
    }
    let settings = git::options(global, &project.configuration, Some(&project.policy))?;
    let changes = bulkhead_git::changes(&settings, top)
        .map_err(|error| Error::failure(error.to_string()).help("pass `--allow-dirty` if nothing can be lost"))?;
    let lost = |change: &&Change| match change.staged {
        true => !options.allow_staged && !options.allow_dirty,
        false => !options.allow_dirty,
    };
    let lost: Vec<_> = changes.iter().filter(lost).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Error::failure(format!(
        "the working directory of this package has uncommitted changes, and `fix` can potentially perform destructive \
         changes; if you'd like to suppress this error pass `--allow-dirty`, or commit the changes to these files:\n\n{}",
        lost.iter().map(|change| line(change, top, &global.place.current_dir)).collect::<String>()
    )))
}

fn line(change: &Change, top: &Path, here: &Path) -> String {
    let path = top.join(&change.path);
    let shown: PathBuf = path.strip_prefix(here).map_or_else(|_| change.path.clone(), Path::to_path_buf);
    format!("  * {} ({})\n", shown.display(), if change.staged { "staged" } else { "dirty" })
}
