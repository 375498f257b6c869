//! What could be named, for options such as `-p` and `--bin` whose value is missing.

use bulkhead_workspace::TargetKind;

use crate::error::Result;
use crate::options::{GlobalOptions, PackageOptions};
use crate::{project, select};

/// A kind of targets that are built on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// `--bin`
    Bin,
    /// `--example`
    Example,
    /// `--test`
    Test,
    /// `--bench`
    Bench,
}

impl Choice {
    fn includes(self, kind: &TargetKind) -> bool {
        match self {
            Self::Bin => matches!(kind, TargetKind::Bin),
            Self::Example => matches!(kind, TargetKind::Example(_)),
            Self::Test => matches!(kind, TargetKind::Test),
            Self::Bench => matches!(kind, TargetKind::Bench),
        }
    }
}

/// The names of the workspace's members, in its order.
///
/// # Errors
/// There is no workspace here, or it cannot be read.
pub fn packages(global: &GlobalOptions) -> Result<Vec<String>> {
    let project = project::open(global, &|_| ())?;
    Ok(project.workspace.members.iter().map(|package| package.id.name().to_string()).collect())
}

/// The names of the targets of one kind that the selected members have, sorted.
///
/// # Errors
/// The same, and a selection that matches no member.
pub fn targets(global: &GlobalOptions, options: &PackageOptions, choice: Choice) -> Result<Vec<String>> {
    let project = project::open(global, &|_| ())?;
    let members = select::members(&project.workspace, options, &|_| ())?;
    let targets = members.iter().flat_map(|package| &package.targets);
    let meant = targets.filter(|target| choice.includes(&target.kind));
    let mut names: Vec<String> = meant.map(|target| target.name.to_string()).collect();
    names.sort();
    Ok(names)
}
