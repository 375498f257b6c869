//! What lets a command change files that no version control would bring back.

use clap::Arg;

use crate::arguments::flag;

/// `--allow-no-vcs`, `--allow-dirty`, `--allow-staged`
pub(super) fn permissions() -> [Arg; 3] {
    let dirty = "Fix code even if the working directory is dirty or has staged changes";
    [
        flag("allow-no-vcs", "Fix code even if a VCS was not detected"),
        flag("allow-dirty", dirty),
        flag("allow-staged", "Fix code even if the working directory has staged changes"),
    ]
}
