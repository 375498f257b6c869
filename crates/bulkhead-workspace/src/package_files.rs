//! Which files belong to a package (Cargo Book, "The exclude and include fields").

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use crate::{FileType, Files, Package};

/// Most files that a package may have.
const MAX_FILES: usize = 200_000;

/// Deepest nesting of its folders.
const MAX_DEPTH: usize = 64;

/// Names that are for version control, not for the package.
const FOREIGN: [&str; 4] = [".git", ".gitattributes", ".gitignore", ".cargo-ok"];

/// The paths below the package's folder of all files that belong to it, `/`-separated and sorted. Folders with a manifest
/// of their own are other packages.
///
/// # Errors
/// A pattern of `include` or `exclude` that is none, or too many files; as the end of a sentence.
pub fn package_files(files: &dyn Files, package: &Package) -> Result<Vec<String>, String> {
    let details = &package.details;
    let (include, exclude) = (Patterns::new(&details.include)?, Patterns::new(&details.exclude)?);
    let belongs = |path: &str| match details.include.is_empty() {
        _ if path == "Cargo.toml" => true,
        true => !exclude.select(path),
        false => include.select(path),
    };
    let mut found = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(folder) = pending.pop() {
        for (name, kind) in files.list(&package.root.join(&folder)) {
            if FOREIGN.contains(&name.as_str()) {
                continue;
            }
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            match kind {
                FileType::Directory if files.is_file(&package.root.join(&path).join("Cargo.toml")) => {}
                FileType::Directory => pending.push(path),
                FileType::File if belongs(&path) => found.push(path),
                _ => {}
            }
            if found.len() > MAX_FILES || pending.len() > MAX_FILES || folder.split('/').count() > MAX_DEPTH {
                return Err("has more files than a package may have".to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Patterns in the syntax of `.gitignore`.
struct Patterns(Vec<Pattern>);

struct Pattern {
    glob: GlobMatcher,
    /// `!pattern`: takes back what earlier ones select.
    negated: bool,
    /// `pattern/`
    folders_only: bool,
}

impl Patterns {
    fn new(texts: &[String]) -> Result<Self, String> {
        texts
            .iter()
            .filter(|text| !text.trim().is_empty() && !text.starts_with('#'))
            .map(|text| pattern(text))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the last pattern that matches the file, or else one of the folders above it, selects it.
    fn select(&self, path: &str) -> bool {
        let above = Path::new(path).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let places = std::iter::once((Path::new(path), false)).chain(above.map(|folder| (folder, true)));
        for (place, is_folder) in places {
            let matches = |pattern: &&Pattern| (is_folder || !pattern.folders_only) && pattern.glob.is_match(place);
            if let Some(pattern) = self.0.iter().rev().find(matches) {
                return !pattern.negated;
            }
        }
        false
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let (rest, negated) = text.strip_prefix('!').map_or((text, false), |rest| (rest, true));
    let (rest, folders_only) = rest.strip_suffix('/').map_or((rest, false), |rest| (rest, true));
    let anchored = rest.contains('/');
    let rest = rest.trim_start_matches('/');
    let whole = match (anchored, rest.strip_suffix("/**")) {
        (_, Some(folder)) => format!("{folder}/**/*"),
        (true, None) => rest.to_owned(),
        (false, None) => format!("**/{rest}"),
    };
    let glob = GlobBuilder::new(&whole).literal_separator(true).backslash_escape(true).build();
    let glob = glob.map_err(|error| format!("has the pattern `{text}`, which is none: {error}"))?;
    Ok(Pattern { glob: glob.compile_matcher(), negated, folders_only })
}

#[cfg(test)]
mod tests {
    use super::Patterns;

    #[test]
    fn patterns_select_as_git_ignores() {
        let selected = |patterns: &[&str], path: &str| {
            let texts: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
            Patterns::new(&texts).unwrap().select(path)
        };
        for (patterns, path) in [
            (&["*.log"][..], "a.log"),
            (&["*.log"], "deep/a.log"),
            (&["/docs/"], "docs/x/y"),
            (&["src/**"], "src/a/b.rs"),
            (&["a/*.rs"], "a/b.rs"),
            (&["tests"], "x/tests/y"),
            (&["src/**/*.rs"], "src/lib.rs"),
            (&["*.log", "!keep.log", "keep.log"], "keep.log"),
        ] {
            assert!(selected(patterns, path), "{patterns:?} {path}");
        }
        for (patterns, path) in [
            (&["/docs/"][..], "src/docs/x"),
            (&["/docs/"], "docs"),
            (&["*.log", "!keep.log"], "keep.log"),
            (&["a/*.rs"], "a/b/c.rs"),
            (&["a/*.rs"], "x/a/b.rs"),
            (&["src/**"], "x/src/a"),
            (&["# note", ""], "# note"),
        ] {
            assert!(!selected(patterns, path), "{patterns:?} {path}");
        }
        assert!(Patterns::new(&["a[".to_owned()]).is_err());
    }
}
