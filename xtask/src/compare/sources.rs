//! Projects whose dependencies come from git repositories on this machine, or are patched or replaced.

use super::graph::{self, Depth};
use super::lock::write_project;
use super::report::Report;
use super::{Options, workspaces};
use crate::sides::Sides;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project: its name, its tables after `[package]` (in which `GIT` is the repository and `PATH` its folder), and a package
/// that it depends on.
pub(super) type Case = (&'static str, &'static str, &'static str);

/// The repository holds the workspace of serde with the tag `v1` and the branch `next`, which is one commit ahead.
const MEMBERS: &[&str] = &["serde@1.0.229", "serde_core@1.0.229", "serde_derive@1.0.229", "serde_json@1.0.154"];

pub(super) const CASES: &[Case] = &[
    ("git, default branch", "[dependencies]\nserde_json = { git = \"GIT\" }", "serde_core"),
    ("git, branch", "[dependencies]\nserde_json = { git = \"GIT\", branch = \"next\" }", "serde_core"),
    ("git, tag", "[dependencies]\nserde_json = { git = \"GIT\", tag = \"v1\" }", "serde_core"),
    ("git, rev", "[dependencies]\nserde_json = { git = \"GIT\", rev = \"REV\" }", "serde_core"),
    (
        "git, renamed and optional",
        "[dependencies]\njson = { git = \"GIT\", package = \"serde_json\", optional = true }\nserde = \"1\"",
        "serde",
    ),
    ("git, build dependency", "[build-dependencies]\nserde = { git = \"GIT\", features = [\"derive\"] }", "serde_core"),
    (
        "patch by git",
        "[dependencies]\nserde_json = \"1\"\ntoml = \"0.8\"\n[patch.crates-io]\nserde = { git = \"GIT\" }\n\
         serde_core = { git = \"GIT\" }",
        "serde_core",
    ),
    (
        "patch by path",
        "[dependencies]\nserde_json = \"1\"\n[patch.crates-io]\nserde_core = { path = \"PATH/serde_core\" }",
        "serde_core",
    ),
    (
        "patch that nothing uses",
        "[dependencies]\nitoa = \"1\"\n[patch.crates-io]\nserde_core = { path = \"PATH/serde_core\" }",
        "itoa",
    ),
    (
        "patch of a git source",
        "[dependencies]\nserde_json = { git = \"GIT\" }\n[patch.\"GIT\"]\nserde_core = { path = \"PATH/serde_core\" }",
        "serde_core",
    ),
    (
        "replace by path",
        "[dependencies]\nserde_json = \"1\"\n[replace]\n\"serde_core:1.0.229\" = { path = \"PATH/serde_core\" }",
        "serde_core",
    ),
    (
        "replace by git",
        "[dependencies]\nserde_json = \"1\"\n[replace]\n\"serde_core:1.0.229\" = { git = \"GIT\" }",
        "serde_core",
    ),
];

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let depth = if options.small { Depth::Whole } else { Depth::Thorough };
    let count = if options.small { 2 } else { usize::MAX };
    let folder = options.folder.join("sources");
    let repository = Repository::make(&folder.join("repository"), sides)?;
    for (name, tables, package) in CASES.iter().filter(|case| options.wants(case.0)).take(count) {
        println!("-- {name}");
        let manifest = repository.manifest(tables);
        let project = folder.join("project");
        let prepare = |project: &Path| write_project(project, &manifest);
        if graph::compare_locks(name, &project, &["generate-lockfile"], &prepare, sides, report)? {
            graph::compare_answers(name, &project, package, depth, sides, report);
        }
    }
    Ok(())
}

/// The repository that the cases depend on.
pub(super) struct Repository {
    root: PathBuf,
    /// The commit of its tag.
    commit: String,
}

impl Repository {
    /// Makes it anew.
    pub(super) fn make(root: &Path, sides: &Sides) -> Result<Self, String> {
        Ok(Self { root: root.to_owned(), commit: make_repository(root, sides)? })
    }

    /// The manifest of a case.
    fn manifest(&self, tables: &str) -> String {
        let path = self.root.to_string_lossy();
        let tables =
            tables.replace("GIT", &format!("file://{path}")).replace("PATH", &path).replace("REV", &self.commit);
        format!("[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n{tables}\n")
    }

    /// Writes the project of a case.
    pub(super) fn write_project(&self, project: &Path, tables: &str) -> Result<(), String> {
        write_project(project, &self.manifest(tables)).map_err(|error| format!("{}: {error}", project.display()))
    }
}

/// Makes the repository and returns the commit of its tag.
fn make_repository(root: &Path, sides: &Sides) -> Result<String, String> {
    workspaces::assemble(root, MEMBERS, sides)?;
    git(root, &["init", "--quiet", "--initial-branch=main"])?;
    commit(root, "first")?;
    git(root, &["tag", "v1"])?;
    let tagged = git(root, &["rev-parse", "HEAD"])?;
    git(root, &["branch", "next"])?;
    git(root, &["checkout", "--quiet", "next"])?;
    std::fs::write(root.join("serde_json/NEXT"), "").map_err(|error| format!("{}: {error}", root.display()))?;
    commit(root, "second")?;
    git(root, &["checkout", "--quiet", "main"])?;
    Ok(tagged.trim().to_owned())
}

fn commit(root: &Path, message: &str) -> Result<(), String> {
    git(root, &["add", "--all", "--force", "."])?;
    git(root, &["commit", "--quiet", "--message", message]).map(drop)
}

fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let identity = ["-c", "user.name=xtask", "-c", "user.email=xtask@localhost", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").args(identity).args(arguments).current_dir(root).output();
    let output = output.map_err(|error| format!("git: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr))),
    }
}
