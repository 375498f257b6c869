//! `new` and `init`.

#![expect(clippy::disallowed_methods, reason = "this command is never answered from a snapshot")]

mod names;
mod sources;

use std::path::{Path, PathBuf};

use bulkhead_schema::manifest::MAX_MANIFEST_SIZE;

use crate::error::Result;
use crate::observed::Disk;
use crate::options::{GlobalOptions, NewOptions};
use crate::{Error, Event, disk};

use self::sources::Source;

/// Largest `.gitignore` that is added to, in bytes.
const MAX_IGNORE_FILE: u64 = 1 << 20;

const MAIN: &str = "fn main() {\n    println!(\"Hello, world!\");\n}\n";
const LIB: &str = "pub fn add(left: u64, right: u64) -> u64 {
    left + right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_works() {
        let result = add(2, 2);
        assert_eq!(result, 4);
    }
}
";

/// Makes a new package, or makes the current folder one (`init`).
///
/// # Errors
/// The name is not usable, the folder exists (`new`) or is a package already (`init`), or the disk refuses.
pub fn new(global: &GlobalOptions, options: &NewOptions, events: &dyn Fn(Event)) -> Result<()> {
    let given = global.place.current_dir.join(&options.path);
    let root = disk::normalize(&given);
    let name = package_name(&given, options)?;
    let is_package = options.init && root.join("Cargo.toml").exists();
    let (found, odd) = match options.init && !is_package {
        true => sources::existing(&root, &name, options.lib)?,
        false => (Vec::new(), None),
    };
    let lib = options.lib == Some(true);
    let kind = if lib { "library" } else { "binary (application)" };
    let named = if options.init { String::new() } else { format!(" `{name}`") };
    events(Event::Status { verb: "Creating", message: format!("{kind}{named} package") });
    odd.into_iter().for_each(events);
    if is_package {
        return Err(Error::failure("`bulkhead init` cannot be run on existing Cargo packages")
            .help("use `bulkhead new` to create a package in a new subdirectory"));
    }
    if !options.init && root.exists() {
        return Err(Error::failure(format!("destination `{}` already exists", given.display()))
            .help("use `bulkhead init` to initialize the directory"));
    }
    names::check(&name, options.name.is_some(), lib, events)?;
    let package = NewPackage { root: &root, name: &name, lib, found: &found };
    package.write(options, events)?;
    events(Event::Note(
        "see more `Cargo.toml` keys and their definitions at \
         https://doc.rust-lang.org/cargo/reference/manifest.html"
            .to_owned(),
    ));
    Ok(())
}

fn package_name(given: &Path, options: &NewOptions) -> Result<String> {
    let folder = given.file_name().and_then(|name| name.to_str());
    let name = options.name.as_deref().or(folder);
    name.map(str::to_owned).ok_or_else(|| {
        let path = given.display();
        Error::failure(format!("cannot auto-detect package name from path \"{path}\" ; use --name to override"))
    })
}

/// A package that is about to be written.
struct NewPackage<'a> {
    root: &'a Path,
    name: &'a str,
    lib: bool,
    /// Source files that are there already.
    found: &'a [Source],
}

impl NewPackage<'_> {
    fn write(&self, options: &NewOptions, events: &dyn Fn(Event)) -> Result<()> {
        let Self { root, .. } = self;
        let failed = |path: &Path, error: std::io::Error| {
            Error::failure(format!("failed to create package `{}` at `{}`", self.name, root.display()))
                .because(format!("{}: {error}", path.display()))
        };
        self.refuse_programs(options)?;
        std::fs::create_dir_all(root).map_err(|error| failed(root, error))?;
        let repository = root.join(".git").exists();
        let wanted = options.vcs.as_deref().map_or(repository || !inside_repository(root), |vcs| vcs == "git");
        if wanted && !repository {
            start_repository(root).map_err(|error| failed(root, error))?;
        }
        if wanted {
            ignore_target(root)?;
        }
        if self.found.is_empty() {
            let (path, text) = if self.lib { ("src/lib.rs", LIB) } else { ("src/main.rs", MAIN) };
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(root)).map_err(|error| failed(&path, error))?;
            disk::write_atomically(&path, text.as_bytes())?;
        }
        let above = workspace_above(root).filter(|above| !above.excludes(root));
        let manifest = self.manifest(options, above.as_ref());
        disk::write_atomically(&root.join("Cargo.toml"), manifest.as_bytes())?;
        above.map_or(Ok(()), |above| above.join(root, events))
    }

    /// Version control that would need a program to be started is left to the user.
    fn refuse_programs(&self, options: &NewOptions) -> Result<()> {
        let Some(vcs @ ("hg" | "pijul" | "fossil")) = options.vcs.as_deref() else { return Ok(()) };
        let place = self.root.display();
        Err(Error::failure(format!("failed to create package `{}` at `{place}`", self.name))
            .because(format!("Bulkhead does not start `{vcs}`"))
            .help(format!("use `--vcs none`, then start the repository with `{vcs} init`")))
    }

    fn manifest(&self, options: &NewOptions, above: Option<&WorkspaceAbove>) -> String {
        let edition = options.edition.as_deref();
        let mut lines: Vec<(String, String)> = vec![
            ("name".to_owned(), format!("name = \"{}\"", self.name)),
            ("version".to_owned(), "version = \"0.1.0\"".to_owned()),
            ("edition".to_owned(), format!("edition = \"{}\"", edition.unwrap_or("2024"))),
        ];
        if let Some(registry) = &options.registry {
            let list = toml_edit::Array::from_iter([registry.as_str()]);
            lines.push(("publish".to_owned(), format!("publish = {list}")));
        }
        for key in above.map(WorkspaceAbove::inheritable).unwrap_or_default() {
            if key == "edition" && edition.is_some() {
                continue;
            }
            lines.retain(|(known, _)| *known != key);
            lines.push((key.clone(), format!("{key}.workspace = true")));
        }
        let lines: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
        let targets: String = self.found.iter().filter_map(|source| source.table(self.name)).collect();
        let lints = if above.is_some_and(WorkspaceAbove::has_lints) { "\n[lints]\nworkspace = true\n" } else { "" };
        format!("[package]\n{lines}\n[dependencies]\n{targets}{lints}")
    }
}

fn inside_repository(root: &Path) -> bool {
    root.ancestors().any(|folder| folder.join(".git").exists())
}

/// An empty repository, written by hand: it is a handful of files, and starting `git` would let its configuration and
/// templates run.
fn start_repository(root: &Path) -> std::io::Result<()> {
    let git = root.join(".git");
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        std::fs::create_dir_all(git.join(folder))?;
    }
    std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n")?;
    let config =
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n";
    std::fs::write(git.join("config"), config)?;
    Ok(())
}

/// Adds the target folder to what git passes over, in the way and words of `cargo init`.
fn ignore_target(root: &Path) -> Result<()> {
    let path = root.join(".gitignore");
    // Its names may be in any encoding.
    let mut text = match Disk::default().read(&path, MAX_IGNORE_FILE) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return disk::write_atomically(&path, b"/target\n");
        }
        Err(error) => return Err(Error::failure(format!("failed to read `{}`", path.display())).because(error)),
    };
    let added: &[u8] =
        match text.split(|byte| *byte == b'\n').any(|line| line.strip_suffix(b"\r").unwrap_or(line) == b"/target") {
            true => b"\n\n# Added by cargo\n#\n# already existing elements were commented out\n\n#/target\n",
            false => b"\n\n# Added by cargo\n\n/target\n",
        };
    text.extend_from_slice(added);
    disk::write_atomically(&path, &text)
}

/// The workspace that a new package lies in.
struct WorkspaceAbove {
    manifest: PathBuf,
    document: toml_edit::DocumentMut,
}

fn workspace_above(root: &Path) -> Option<WorkspaceAbove> {
    root.ancestors().skip(1).find_map(|folder| {
        let manifest = folder.join("Cargo.toml");
        let text = Disk::default().read_text(&manifest, MAX_MANIFEST_SIZE as u64).ok()?;
        let document: toml_edit::DocumentMut = text.parse().ok()?;
        document.contains_key("workspace").then_some(WorkspaceAbove { manifest, document })
    })
}

impl WorkspaceAbove {
    fn folder(&self) -> &Path {
        self.manifest.parent().unwrap_or(Path::new("/"))
    }

    fn table(&self, key: &str) -> Option<&toml_edit::Item> {
        self.document.get("workspace")?.get(key)
    }

    /// What `[workspace.package]` has for its members.
    fn inheritable(&self) -> Vec<String> {
        let table = self.table("package").and_then(toml_edit::Item::as_table_like);
        table.map(|table| table.iter().map(|(key, _)| key.to_owned()).collect()).unwrap_or_default()
    }

    fn has_lints(&self) -> bool {
        self.table("lints").is_some()
    }

    /// Whether a pattern of the array `key` covers the package.
    fn lists(&self, key: &str, root: &Path) -> bool {
        let Ok(relative) = root.strip_prefix(self.folder()) else { return false };
        let covers = |pattern: &str| {
            globset::Glob::new(pattern.trim_start_matches("./"))
                .is_ok_and(|glob| glob.compile_matcher().is_match(relative))
        };
        let array = self.table(key).and_then(toml_edit::Item::as_array);
        array.is_some_and(|array| array.iter().filter_map(toml_edit::Value::as_str).any(covers))
    }

    fn excludes(&self, root: &Path) -> bool {
        self.lists("exclude", root) && !self.lists("members", root)
    }

    /// Adds the package to the `members`, as `cargo new` does, unless a glob already covers it.
    fn join(mut self, root: &Path, events: &dyn Fn(Event)) -> Result<()> {
        let folder = self.folder().to_path_buf();
        let Ok(relative) = root.strip_prefix(&folder) else { return Ok(()) };
        let relative = relative.to_string_lossy().into_owned();
        if self.lists("members", root) {
            return Ok(());
        }
        let members = self.document["workspace"]
            .as_table_like_mut()
            .map(|table| table.entry("members").or_insert(toml_edit::value(toml_edit::Array::new())));
        let Some(members) = members.and_then(toml_edit::Item::as_array_mut) else { return Ok(()) };
        let sorted = members.iter().filter_map(toml_edit::Value::as_str).is_sorted();
        let position = match sorted {
            true => {
                members.iter().filter_map(toml_edit::Value::as_str).take_while(|member| *member < &*relative).count()
            }
            false => members.len(),
        };
        members.insert(position, relative.as_str());
        disk::write_atomically(&self.manifest, self.document.to_string().as_bytes())?;
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        let message = format!("`{name}` as member of workspace at `{}`", folder.display());
        events(Event::Status { verb: "Adding", message });
        Ok(())
    }
}
