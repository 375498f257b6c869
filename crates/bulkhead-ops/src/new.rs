//! `new` and `init`.

#![expect(clippy::disallowed_methods, reason = "this command is never answered from a snapshot")]

use std::path::{Path, PathBuf};

use bulkhead_schema::PackageName;

use crate::options::{GlobalOptions, NewOptions};
use crate::{Error, Event, disk};

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

/// Names that rustc, Cargo's own layout or Windows reserve (observed with `cargo new`).
const RESERVED: [&str; 8] = ["test", "core", "std", "alloc", "proc_macro", "build", "deps", "incremental"];
const KEYWORDS: &str = " abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for if impl in let loop macro match mod move mut override priv pub ref return self static struct super \
    trait true try type typeof unsafe unsized use virtual where while yield ";

/// Makes a new package, or makes the current folder one (`init`).
///
/// # Errors
/// The name is not usable, the folder exists (`new`) or is a package already (`init`), or the disk refuses.
pub fn new(global: &GlobalOptions, options: &NewOptions, events: &dyn Fn(Event)) -> crate::error::Result<()> {
    let root = disk::normalize(&global.place.current_dir.join(&options.path));
    let name = package_name(&root, options)?;
    if options.init && root.join("Cargo.toml").exists() {
        return Err(Error::failure("`bulkhead init` cannot be run on existing packages"));
    }
    if !options.init && root.exists() {
        return Err(Error::failure(format!("destination `{}` already exists", root.display()))
            .help("use `bulkhead init` to initialise the folder"));
    }
    let source = existing_source(&root, &name, options.lib);
    let kind = if is_library(&source, options.lib) { "library" } else { "binary (application)" };
    let what = if options.init { format!("{kind} package") } else { format!("{kind} `{name}` package") };
    let what = if kind == "library" && !options.init { format!("library `{name}` package") } else { what };
    events(Event::Status { verb: "Creating", message: what });
    write_package(&root, &name, &source, options, events)?;
    events(Event::Note(
        "see more `Cargo.toml` keys and their definitions at \
         https://doc.rust-lang.org/cargo/reference/manifest.html"
            .to_owned(),
    ));
    Ok(())
}

/// The root source file: one that is there already, or the one that will be written.
struct Source {
    path: &'static str,
    exists: bool,
    /// Not where targets are discovered, so that the manifest has to name it.
    unusual: bool,
}

fn existing_source(root: &Path, _name: &str, lib: bool) -> Source {
    let found = |path: &&'static str| root.join(path).is_file();
    let usual = if lib { ["src/lib.rs", "src/main.rs"] } else { ["src/main.rs", "src/lib.rs"] };
    if let Some(path) = usual.iter().find(|path| found(path)) {
        return Source { path, exists: true, unusual: false };
    }
    let bare = if lib { ["lib.rs", "main.rs"] } else { ["main.rs", "lib.rs"] };
    if let Some(path) = bare.iter().find(|path| found(path)) {
        return Source { path, exists: true, unusual: true };
    }
    Source { path: usual[0], exists: false, unusual: false }
}

fn is_library(source: &Source, lib: bool) -> bool {
    if source.exists { source.path.ends_with("lib.rs") } else { lib }
}

fn package_name(root: &Path, options: &NewOptions) -> crate::error::Result<String> {
    let folder = root.file_name().and_then(|name| name.to_str());
    let name = options.name.as_deref().or(folder).ok_or_else(|| {
        Error::failure(format!("cannot derive a package name from `{}`", root.display())).help("give one with --name")
    })?;
    let invalid = |reason: &str| {
        Err(Error::failure(format!("the name `{name}` cannot be used as a package name, {reason}"))
            .help("if you need a package name that differs from the folder's name, use --name"))
    };
    if let Err(error) = PackageName::local(name) {
        return invalid(&error.reason);
    }
    if KEYWORDS.contains(&format!(" {name} ")) {
        return invalid("it is a Rust keyword");
    }
    if RESERVED.contains(&name) {
        return invalid("the name is reserved by Rust or its tools");
    }
    Ok(name.to_owned())
}

fn write_package(
    root: &Path,
    name: &str,
    source: &Source,
    options: &NewOptions,
    events: &dyn Fn(Event),
) -> crate::error::Result<()> {
    let failed = |path: &Path, error: std::io::Error| {
        Error::failure(format!("failed to create package at `{}`", root.display()))
            .because(format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(root).map_err(|error| failed(root, error))?;
    if options.vcs.as_deref() != Some("none") && options.vcs.as_deref().is_some() | !inside_repository(root) {
        start_repository(root).map_err(|error| failed(root, error))?;
    }
    if !source.exists {
        let path = root.join(source.path);
        std::fs::create_dir_all(path.parent().unwrap_or(root)).map_err(|error| failed(&path, error))?;
        disk::write_atomically(&path, if options.lib { LIB } else { MAIN }.as_bytes())?;
    }
    let edition = options.edition.as_deref().unwrap_or("2024");
    let mut manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"{edition}\"\n\n[dependencies]\n");
    if source.unusual {
        let table = if source.path == "lib.rs" { "[lib]" } else { "[[bin]]" };
        manifest.push_str(&format!("\n{table}\nname = \"{}\"\npath = \"{}\"\n", name.replace('-', "_"), source.path));
    }
    disk::write_atomically(&root.join("Cargo.toml"), manifest.as_bytes())?;
    join_workspace(root, events)
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
    let ignore = root.join(".gitignore");
    let old = std::fs::read_to_string(&ignore).unwrap_or_default();
    if old.lines().any(|line| matches!(line, "/target" | "target" | "target/" | "/target/")) {
        return Ok(());
    }
    let separator = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    std::fs::write(ignore, format!("{old}{separator}/target\n"))
}

/// Adds the package to the `members` of a workspace above it, as `cargo new` does, unless a glob already covers it.
fn join_workspace(root: &Path, events: &dyn Fn(Event)) -> crate::error::Result<()> {
    let Some((manifest, text)) = workspace_above(root) else { return Ok(()) };
    let Ok(mut document) = text.parse::<toml_edit::DocumentMut>() else { return Ok(()) };
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    let Ok(relative) = root.strip_prefix(folder) else { return Ok(()) };
    let relative = relative.to_string_lossy().into_owned();
    let workspace = &mut document["workspace"];
    let covers = |pattern: &str, path: &str| {
        globset::Glob::new(pattern.trim_start_matches("./")).is_ok_and(|glob| glob.compile_matcher().is_match(path))
    };
    let listed = |key: &str| {
        workspace.get(key).and_then(toml_edit::Item::as_array).is_some_and(|array| {
            array.iter().filter_map(toml_edit::Value::as_str).any(|pattern| covers(pattern, &relative))
        })
    };
    if listed("members") || listed("exclude") {
        return Ok(());
    }
    let members = workspace
        .as_table_like_mut()
        .map(|table| table.entry("members").or_insert(toml_edit::value(toml_edit::Array::new())));
    let Some(members) = members.and_then(toml_edit::Item::as_array_mut) else { return Ok(()) };
    let sorted = members.iter().filter_map(toml_edit::Value::as_str).is_sorted();
    let position = match sorted {
        true => members.iter().filter_map(toml_edit::Value::as_str).take_while(|member| *member < &*relative).count(),
        false => members.len(),
    };
    members.insert(position, relative.as_str());
    disk::write_atomically(&manifest, document.to_string().as_bytes())?;
    events(Event::Status {
        verb: "Adding",
        message: format!(
            "`{}` as member of workspace at `{}`",
            root.file_name().unwrap_or_default().to_string_lossy(),
            folder.display()
        ),
    });
    Ok(())
}

fn workspace_above(root: &Path) -> Option<(PathBuf, String)> {
    root.ancestors().skip(1).find_map(|folder| {
        let manifest = folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).ok()?;
        text.parse::<toml_edit::DocumentMut>().ok()?.contains_key("workspace").then_some((manifest, text))
    })
}
