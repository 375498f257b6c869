//! The language of `xtask/data/*.edits`: what is done to a workspace, step by step.

use crate::sides::Side;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What is done before the builds of one step.
pub(super) struct Step {
    pub(super) name: String,
    /// Bulkhead rebuilds nothing, whatever Cargo does.
    pub(super) nothing: bool,
    /// Part of the short run.
    pub(super) small: bool,
    edits: Vec<Vec<String>>,
}

/// One side's copy of a workspace.
pub(super) struct Copy<'a> {
    pub(super) side: &'a Side,
    pub(super) root: PathBuf,
    /// Variables that were set.
    pub(super) environment: BTreeMap<String, String>,
}

/// Reads the steps of a file, in which `names` are replaced.
pub(super) fn parse(text: &str, names: &[(&str, &str)]) -> Vec<Step> {
    let text = names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match (line.strip_prefix("== "), steps.last_mut()) {
            (Some(title), _) => {
                let (name, marks) = title.split_once(" (").unwrap_or((title, ""));
                let (nothing, small) = (marks.contains("nothing"), marks.contains("small"));
                steps.push(Step { name: name.to_owned(), nothing, small, edits: Vec::new() });
            }
            (None, Some(step)) => {
                let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
                let parts = rest.split(" | ").map(|part| part.trim_end_matches(" |").replace("\\n", "\n"));
                step.edits.push([verb.to_owned()].into_iter().chain(parts).collect());
            }
            (None, None) => {}
        }
    }
    steps
}

impl Copy<'_> {
    /// Does what the step says.
    pub(super) fn apply(&mut self, step: &Step) -> Result<(), String> {
        for edit in &step.edits {
            let words: Vec<&str> = edit.iter().map(String::as_str).collect();
            self.apply_one(&words).map_err(|error| format!("{}: {words:?}: {error}", step.name))?;
        }
        Ok(())
    }

    fn apply_one(&mut self, edit: &[&str]) -> io::Result<()> {
        let at = |path: &str| self.root.join(path);
        match edit {
            ["touch", path] => std::fs::File::options().append(true).open(at(path))?.set_modified(SystemTime::now()),
            ["rewrite", path] => std::fs::write(at(path), std::fs::read(at(path))?),
            ["chmod", path] => {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(at(path), mode)
            }
            ["replace", path, from] => replace(&at(path), from, ""),
            ["replace", path, from, to] => replace(&at(path), from, to),
            ["append", path, text] => std::fs::File::options().append(true).open(at(path))?.write_all(text.as_bytes()),
            ["write", path, text] => write(&at(path), text),
            ["delete", path] => missing_is_fine(std::fs::remove_file(at(path))),
            ["delete-all", path] => missing_is_fine(std::fs::remove_dir_all(at(path))),
            ["delete-in", folder, name] => delete_in(&at(folder), name),
            ["rename", from, to] => std::fs::rename(at(from), at(to)),
            ["symlink", to, path] => std::os::unix::fs::symlink(to, at(path)),
            ["set", name, value] => {
                self.environment.insert((*name).to_owned(), (*value).to_owned());
                Ok(())
            }
            ["unset", name] => {
                self.environment.remove(*name);
                Ok(())
            }
            ["git", arguments] => git(&self.root, &arguments.split(' ').collect::<Vec<_>>()),
            ["trust", ..] => self.trust(),
            ["update", package] => {
                let (name, version) = package.split_once('@').unwrap_or((package, ""));
                self.tell(&["update", "-p", name, "--precise", version])
            }
            ["run", arguments] => self.tell(&arguments.split(' ').collect::<Vec<_>>()),
            ["move-root", name] => self.move_root(name),
            ["copy-root", name] => self.copy_root(name),
            _ => Err(io::Error::other("unknown edit")),
        }
    }

    fn tell(&self, arguments: &[&str]) -> io::Result<()> {
        let outcome = self.side.run(&self.root, arguments);
        if outcome.code() == Some(0) { Ok(()) } else { Err(io::Error::other(outcome.stderr)) }
    }

    /// Lets Bulkhead use what the project's files grant and configure.
    pub(super) fn trust(&self) -> io::Result<()> {
        let files = ["bulkhead.toml", ".cargo/config.toml"];
        let is_asked = self.side.name == "bulkhead" && files.iter().any(|file| self.root.join(file).exists());
        if is_asked { self.tell(&["trust", "--yes"]) } else { Ok(()) }
    }

    fn move_root(&mut self, name: &str) -> io::Result<()> {
        let moved = self.root.with_file_name(name);
        std::fs::rename(&self.root, &moved)?;
        self.root = moved;
        self.trust()
    }

    /// Goes on in a copy, times and all.
    fn copy_root(&mut self, name: &str) -> io::Result<()> {
        let copied = self.root.with_file_name(name);
        let status = Command::new("cp").arg("-a").args([&self.root, &copied]).status()?;
        self.root = copied;
        if status.success() { self.trust() } else { Err(io::Error::other("it could not be copied")) }
    }
}

/// Makes a repository of the folder.
pub(super) fn git_init(root: &Path) -> io::Result<()> {
    git(root, &["init", "-q"])
}

fn git(root: &Path, arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("git").args(arguments).current_dir(root).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn replace(path: &Path, from: &str, to: &str) -> io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    if text.contains(from) {
        return std::fs::write(path, text.replacen(from, to, 1));
    }
    Err(io::Error::other(format!("{} does not hold {from:?}", path.display())))
}

pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

/// What a failed build left out is a difference that was reported.
fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Deletes the files whose names begin as `name` says, or begin and end so (`lib*.rmeta`), in folders whose last parts may
/// be said in the same way.
fn delete_in(folder: &Path, name: &str) -> io::Result<()> {
    let mut folders = vec![PathBuf::new()];
    for part in folder.components().map(|part| part.as_os_str().to_string_lossy().into_owned()) {
        if !part.contains('*') {
            folders.iter_mut().for_each(|folder| folder.push(&part));
            continue;
        }
        folders = folders.iter().flat_map(|folder| matching(folder, &part)).collect();
    }
    for path in folders.iter().flat_map(|folder| matching(folder, name)).filter(|path| path.is_file()) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    names.filter(|(name, _)| name.starts_with(start) && name.ends_with(end)).map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_names_marks_and_edits() {
        let steps = parse(
            "# no\n== one (small, nothing)\ntouch {a}\n== two\nreplace x | \\ny | z\nreplace x | y |\n",
            &[("a", "b")],
        );
        assert_eq!(steps.len(), 2);
        assert!(steps[0].nothing && steps[0].small && !steps[1].nothing && steps[0].name == "one");
        assert_eq!(steps[0].edits, [["touch", "b"]]);
        assert_eq!(steps[1].edits, [vec!["replace", "x", "\ny", "z"], vec!["replace", "x", "y"]]);
    }

    #[test]
    fn files_are_deleted_by_patterns() {
        let files = "//- /a-1/out/x.rs\n//- /a-2/out/x.rs\n//- /b-1/out/x.rs\n";
        let folder = bulkhead_test_support::project(files);
        delete_in(&folder.path("a-*/out"), "x").unwrap();
        assert!(!folder.path("a-1/out/x.rs").exists() && !folder.path("a-2/out/x.rs").exists());
        assert!(folder.path("b-1/out/x.rs").exists());
    }
}
