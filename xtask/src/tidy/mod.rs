//! `cargo xtask tidy`: the rules of the house that neither rustc nor clippy can hold.
//!
//! Each rule is one function from the read repository to findings; a finding names file, line and rule.

mod budget;
mod functions;
mod inventory;
mod layers;
mod rules;
mod rust_text;
mod supply;
mod text_rules;

use crate::arguments::switch;
use clap::ArgMatches;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file that git tracks (or would track), with its path relative to the repository.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The folder name of the workspace package that the file belongs to, such as `bulkhead-cli` or `xtask`.
    fn package(&self) -> Option<&str> {
        let mut parts = self.path.split('/');
        match parts.next() {
            Some("crates") => parts.next(),
            Some("xtask") => Some("xtask"),
            _ => None,
        }
    }

    /// Whether the file is product code: below `src/` of a package in `crates/`.
    fn is_product(&self) -> bool {
        self.path.starts_with("crates/")
            && self.path.contains("/src/")
            && self.package() != Some("bulkhead-test-support")
    }
}

pub(crate) fn command() -> clap::Command {
    let update = "Lower the ratchet of long functions and write the inventory of `unsafe`";
    clap::Command::new("tidy").about("Check the rules of the house").arg(switch("update").help(update))
}

/// Runs every rule and prints what breaks one.
pub(crate) fn run(arguments: &ArgMatches) -> Result<bool, String> {
    let root = repository_root();
    let files = tracked_files(&root)?;
    let update = arguments.get_flag("update");

    let mut findings = Vec::new();
    findings.extend(layers::check(&root)?);
    findings.extend(functions::check(&root, &files, update)?);
    findings.extend(rules::check(&files));
    findings.extend(text_rules::check(&files));
    findings.extend(inventory::check(&root, &files, update)?);
    findings.extend(supply::check(&root)?);
    findings.extend(budget::check(&root)?);
    findings.extend(crate::attacks::gaps(&files)?);

    for finding in &findings {
        println!("{finding}");
    }
    let count = findings.len();
    println!("tidy: {} files, {count} {}", files.len(), if count == 1 { "finding" } else { "findings" });
    Ok(findings.is_empty())
}

/// The repository that this xtask was built in.
pub(crate) fn repository_root() -> PathBuf {
    let manifest_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_folder.parent().unwrap_or(manifest_folder).to_owned()
}

pub(crate) fn tracked_files(root: &Path) -> Result<Vec<SourceFile>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut files = Vec::new();
    for path in String::from_utf8_lossy(&output.stdout).split('\0').filter(|path| !path.is_empty()) {
        // A deleted but still tracked file, a symlink to a folder and a binary seed are all none of our business.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            files.push(SourceFile { path: path.to_owned(), text });
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}
