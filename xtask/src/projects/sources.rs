//! What is built: a project around one crate, a released package, or a workspace put together from published packages.

use crate::compare::{published_workspace, unpack};
use crate::sides::Sides;
use std::path::{Path, PathBuf};

/// A project on disk, and how it is called.
pub(super) struct Project {
    pub(super) name: String,
    /// Where the commands run.
    pub(super) root: PathBuf,
    /// The package that is installed.
    pub(super) package: PathBuf,
    pub(super) steps: &'static [&'static str],
    /// Features, for every step.
    pub(super) arguments: Vec<String>,
    /// What projects share; each side has its own folder in it.
    pub(super) target: PathBuf,
}

/// What a line's project is called in the results.
pub(super) fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

impl Project {
    /// A project whose only dependency is the crate of a line.
    pub(super) fn of_crate(line: &str, folder: &Path) -> Result<Project, String> {
        let (head, code) = line.split_once(" | ").unwrap_or((line, ""));
        let [name, requirement, features] = head.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("xtask/data/build-crates.txt: {line}"));
        };
        let features: Vec<String> = features.split(',').filter(|it| *it != "-").map(|it| format!("\"{it}\"")).collect();
        let root = folder.join("crates").join(name);
        let manifest = format!(
            "[package]\nname = \"uses-{name}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[dependencies]\n{name} = {{ version = \
             \"{requirement}\", features = [{}] }}\n[workspace]\n",
            features.join(", ")
        );
        let source = format!("#![allow(dead_code)]\n{code}\n");
        for (path, text) in [("Cargo.toml", manifest), ("src/lib.rs", source)] {
            let path = root.join(path);
            let written =
                std::fs::create_dir_all(path.parent().unwrap_or(&root)).and_then(|()| std::fs::write(&path, text));
            written.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(Project {
            name: name.to_owned(),
            package: root.clone(),
            root,
            steps: &["check"],
            arguments: Vec::new(),
            target: folder.join("target"),
        })
    }

    /// A released package with its own lockfile, or a workspace of such packages.
    pub(super) fn released(line: &str, folder: &Path, sides: &Sides) -> Result<Project, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, version, _kinds, arguments @ ..] = &words[..] else {
            return Err(format!("xtask/data/projects.txt: {line}"));
        };
        let (root, package) = if *version == "workspace" {
            published_workspace(name, &folder.join("workspaces"), sides)?
        } else {
            let root = unpack(&folder.join("released"), name, version, &sides.cargo)?;
            (root.clone(), root)
        };
        // Both are to build the same versions; a package that ships no lockfile has cargo's choice of the day.
        if !root.join("Cargo.lock").exists() {
            let outcome = sides.cargo.run(&root, &["generate-lockfile"]);
            if outcome.code() != Some(0) {
                return Err(format!("{name}: cargo generate-lockfile: {}", outcome.stderr));
            }
        }
        Ok(Project {
            name: (*name).to_owned(),
            root,
            package,
            steps: &["build", "test", "install"],
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            target: folder.join("target"),
        })
    }
}
