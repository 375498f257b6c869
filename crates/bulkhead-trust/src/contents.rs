//! Folders as they are today against what they were when a project first used them.
//!
//! Of some packages `Cargo.lock` knows no checksum of what is built: a vendored folder vouches for itself with a list that
//! stands in it, and a folder of `[patch]` or `paths` with nothing.

use bulkhead_schema::Diagnostic;
use bulkhead_schema::bulkhead_lock::Contents;

/// What the folders are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// Packages of directory sources.
    Vendored,
    /// Folders outside of the workspace that its configuration puts in the place of packages.
    Overrides,
}

/// Compares `seen` with what was `known`, and records what that lacks. Returns the names of what was added.
///
/// # Errors
/// `content-pinned`: what stands in a folder has changed. All of them are named.
pub fn pin_contents(known: &mut Contents, seen: &Contents, pinned: Pinned) -> Result<Vec<String>, Diagnostic> {
    let mut changed = Vec::new();
    let mut added = Vec::new();
    for (name, new) in seen {
        match known.get(name) {
            Some(old) if old == new => {}
            Some(old) => changed.push(format!("- \"{name}\" = \"{old}\"\n+ \"{name}\" = \"{new}\"")),
            None => added.push(name.clone()),
        }
    }
    if !changed.is_empty() {
        return Err(refusal(&changed, pinned));
    }
    known.extend(added.iter().filter_map(|name| Some((name.clone(), seen.get(name)?.clone()))));
    Ok(added)
}

fn refusal(changed: &[String], pinned: Pinned) -> Diagnostic {
    let (what, how) = match pinned {
        Pinned::Vendored => (
            "vendored packages are not what this project has used so far, though their versions are",
            "if the folder was made anew, by `bulkhead vendor` it is pinned anew too; after another tool, and after a look at \
             what changed, remove these lines from bulkhead.lock",
        ),
        Pinned::Overrides => (
            "folders outside of this project, which its configuration puts in the place of packages, have changed",
            "if it was meant, remove these lines from bulkhead.lock, so that they are pinned anew",
        ),
    };
    Diagnostic::error("content-pinned", format!("{what}\n{}", changed.join("\n")))
        .help("if nobody meant to change that, do not go on: find out who did")
        .help(how)
}

#[cfg(test)]
mod tests {
    use super::{Pinned, pin_contents};
    use bulkhead_schema::bulkhead_lock::Contents;

    fn contents(pairs: &[(&str, &str)]) -> Contents {
        pairs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
    }

    #[test]
    fn what_is_new_is_added_and_what_changed_is_refused_as_a_whole() {
        let mut known = contents(&[("a 1.0.0", "sha256:1"), ("b 1.0.0", "sha256:2")]);
        let seen = contents(&[("a 1.0.0", "sha256:1"), ("a 1.0.1", "sha256:3")]);
        assert_eq!(pin_contents(&mut known, &seen, Pinned::Vendored), Ok(vec!["a 1.0.1".to_owned()]));
        assert_eq!(pin_contents(&mut known, &seen, Pinned::Vendored), Ok(Vec::new()));
        assert_eq!(known.len(), 3);
        let before = known.clone();
        let seen = contents(&[("a 1.0.0", "sha256:4"), ("b 1.0.0", "sha256:5"), ("c 1.0.0", "sha256:6")]);
        for pinned in [Pinned::Vendored, Pinned::Overrides] {
            let error = pin_contents(&mut known, &seen, pinned).unwrap_err().to_string();
            assert!(error.contains("- \"a 1.0.0\" = \"sha256:1\"\n+ \"a 1.0.0\" = \"sha256:4\""), "{error}");
            assert!(error.contains("+ \"b 1.0.0\" = \"sha256:5\""), "{error}");
            assert_eq!(known, before);
        }
    }
}
