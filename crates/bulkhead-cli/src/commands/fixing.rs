//! `fix`, and what lets a command change files that no version control would bring back.

use clap::{Arg, Command};

use crate::arguments::flag;

pub(super) fn fix() -> Command {
    super::check_arguments(Command::new("fix"))
        .about("Automatically fix lint warnings reported by rustc")
        .arg(flag("edition", "Fix in preparation for the next edition"))
        .arg(flag("edition-idioms", "Fix warnings to migrate to the idioms of an edition"))
        .arg(flag("broken-code", "Fix code even if it already has compiler errors"))
        .args(permissions())
}

/// `--allow-no-vcs`, `--allow-dirty`, `--allow-staged`
pub(super) fn permissions() -> [Arg; 3] {
    let dirty = "Fix code even if the working directory is dirty or has staged changes";
    [
        flag("allow-no-vcs", "Fix code even if a VCS was not detected"),
        flag("allow-dirty", dirty),
        flag("allow-staged", "Fix code even if the working directory has staged changes"),
    ]
}
