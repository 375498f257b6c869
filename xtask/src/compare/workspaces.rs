//! Workspaces of published packages that depend on each other: the workspace replaces the registry's copies by `[patch]`.

use super::graph::{self, Depth};
use super::report::Report;
use super::{Options, data_lines, published};
use crate::sides::Sides;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const WORKSPACES: &str = include_str!("../../data/workspaces.txt");

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let depth = if options.small { Depth::Whole } else { Depth::Thorough };
    let count = if options.small { 1 } else { usize::MAX };
    for (name, members) in listed(options).take(count) {
        println!("-- {name}");
        let root = assemble(&options.folder.join("workspaces").join(name), &members, sides)?;
        let subject = format!("workspace of {name}");
        let fresh = |project: &Path| match std::fs::remove_file(project.join("Cargo.lock")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        if graph::compare_locks(&subject, &root, &["generate-lockfile"], &fresh, sides, report)? {
            graph::compare_answers(&subject, &root.join(first_member(&members)?.0), name, depth, sides, report);
        }
    }
    Ok(())
}

/// Names and members of the workspaces that are wanted.
pub(super) fn listed(options: &Options) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let lines = data_lines(WORKSPACES).filter(|words| options.wants(words[0]));
    lines.map(|words| (words[0], words[1..].to_vec()))
}

/// The workspace of a name, put together below `folder`: its root, and its first member.
pub(crate) fn published_workspace(name: &str, folder: &Path, sides: &Sides) -> Result<(PathBuf, PathBuf), String> {
    let words = data_lines(WORKSPACES).find(|words| words[0] == name);
    let words = words.ok_or_else(|| format!("xtask/data/workspaces.txt: no {name}"))?;
    let root = assemble(&folder.join(name), &words[1..], sides)?;
    let package = root.join(first_member(&words[1..])?.0);
    Ok((root, package))
}

/// Name and version of the first of `members`.
pub(super) fn first_member(members: &[&'static str]) -> Result<(&'static str, &'static str), String> {
    members.first().copied().and_then(|member| member.split_once('@')).ok_or("xtask/data/workspaces.txt".to_owned())
}

/// Unpacks the members into folders of their names, below a virtual manifest that patches the registry with them.
pub(super) fn assemble(root: &Path, members: &[&'static str], sides: &Sides) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", root.display());
    if root.exists() {
        std::fs::remove_dir_all(root).map_err(failed)?;
    }
    std::fs::create_dir_all(root).map_err(failed)?;
    let (mut list, mut patches) = (String::new(), String::new());
    for member in members {
        let (name, version) = member.split_once('@').ok_or_else(|| format!("xtask/data/workspaces.txt: {member}"))?;
        let unpacked = published::unpack(root, name, version, &sides.cargo)?;
        std::fs::rename(unpacked, root.join(name)).map_err(failed)?;
        _ = write!(list, "\"{name}\", ");
        _ = writeln!(patches, "{name} = {{ path = \"{name}\" }}");
    }
    let manifest = format!("[workspace]\nresolver = \"2\"\nmembers = [{list}]\n\n[patch.crates-io]\n{patches}");
    std::fs::write(root.join("Cargo.toml"), manifest).map_err(failed)?;
    Ok(root.to_owned())
}
