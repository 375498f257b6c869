//! Source files that `init` finds.

#![expect(clippy::disallowed_methods, reason = "this command is never answered from a snapshot")]

use std::io::Read as _;
use std::path::Path;

use crate::error::Result;
use crate::{Error, Event};

/// A root source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) lib: bool,
}

impl Source {
    /// The entry of the manifest that names the file, if it does not lie where targets are discovered.
    pub(super) fn table(&self, name: &str) -> Option<String> {
        let Self { path, lib } = self;
        match (path.as_str(), lib) {
            ("src/lib.rs", true) | ("src/main.rs", false) => None,
            (_, true) => Some(format!("\n[lib]\npath = \"{path}\"\n")),
            (_, false) => Some(format!("\n[[bin]]\nname = \"{name}\"\npath = \"{path}\"\n")),
        }
    }
}

/// The files that are there, and what is odd about them; `wanted` says that the user insists on a library, or on a
/// program.
///
/// # Errors
/// Several files could be the root of the same target.
pub(super) fn existing(root: &Path, name: &str, wanted: Option<bool>) -> Result<(Vec<Source>, Option<Event>)> {
    let named = [format!("src/{name}.rs"), format!("{name}.rs")];
    let mut found = Vec::new();
    for (path, lib) in [("src/main.rs", Some(false)), ("main.rs", Some(false))]
        .into_iter()
        .chain(named.iter().map(|path| (path.as_str(), None)))
        .chain([("src/lib.rs", Some(true)), ("lib.rs", Some(true))])
    {
        if root.join(path).is_file() && !found.iter().any(|source: &Source| source.path == path) {
            found.push(Source { path: path.to_owned(), lib: lib.unwrap_or_else(|| !has_main(&root.join(path))) });
        }
    }
    let mut odd = None;
    if let ([only], Some(lib)) = (found.as_mut_slice(), wanted)
        && only.lib != lib
    {
        let kind = if only.lib { "library" } else { "binary (application)" };
        odd = Some(Event::Warning(format!("file `{}` seems to be a {kind} file", only.path)));
        only.lib = lib;
    }
    unambiguous(&found)?;
    Ok((found, odd))
}

fn unambiguous(found: &[Source]) -> Result<()> {
    let paths = |lib: bool| found.iter().filter(move |source| source.lib == lib).map(|source| source.path.as_str());
    if let [first, second, ..] = paths(true).collect::<Vec<_>>().as_slice() {
        let message = format!("cannot have a package with multiple libraries, found both `{first}` and `{second}`");
        return Err(Error::failure(message));
    }
    if let [first, second, ..] = paths(false).collect::<Vec<_>>().as_slice() {
        return Err(Error::failure(format!(
            "multiple possible binary sources found:\n{first}\n{second}\ncannot automatically generate Cargo.toml as the \
             main target would be ambiguous"
        )));
    }
    Ok(())
}

fn has_main(path: &Path) -> bool {
    let mut text = Vec::new();
    // A program that has its `main` behind a megabyte is none that somebody begins with.
    let read = std::fs::File::open(path).and_then(|file| file.take(1 << 20).read_to_end(&mut text));
    read.is_ok() && String::from_utf8_lossy(&text).contains("fn main")
}
