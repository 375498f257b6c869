//! The files of a package against those of the repository that it says it comes from.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::git::ObjectId;
use bulkhead_trust::git::{ObjectKind, object_id};

use crate::examine::Examination;
use crate::finding::{Finding, Role, Rule};
use crate::listing::{File, Listing};
use crate::sink::Sink;

/// The files of one commit, by path. Only their ids are known: that is all it takes to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// Every file, link and submodule.
    pub files: BTreeMap<String, RepositoryFile>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryFile {
    /// A file, by the id of its content.
    File(ObjectId),
    /// A link, to whatever.
    Link,
    /// Another repository, of which nothing is known here.
    Submodule,
}

/// What a package has that the folder `below` of its repository has not. Files that packing makes or changes are left out.
pub fn compare(listing: &Listing, below: &str, repository: &Repository, examination: &Examination) -> Vec<Finding> {
    let ids: BTreeSet<ObjectId> = repository
        .files
        .values()
        .filter_map(|file| if let RepositoryFile::File(id) = file { Some(*id) } else { None })
        .collect();
    let mut sink = Sink::default();
    for (path, file) in listing {
        let Some(original) = original(path) else { continue };
        let place = if below.is_empty() { original.to_owned() } else { format!("{below}/{original}") };
        let own = own_ids(file);
        let elsewhere = || own.iter().any(|id| ids.contains(id));
        let rule = match lookup(repository, &place) {
            Some(RepositoryFile::File(id)) if own.contains(&id) => continue,
            // Packing follows links, and takes the content of submodules, which nothing is known of.
            Some(RepositoryFile::Link) if elsewhere() => continue,
            Some(RepositoryFile::Submodule) => continue,
            Some(_) => Rule::DiffersFromRepository,
            None if elsewhere() && is_prose(original) => continue,
            None if elsewhere() => Rule::MovedFile,
            None => Rule::NotInRepository,
        };
        let role = if examination.build_code.contains(path) { Role::BuildCode } else { Role::Library };
        sink.add(rule, role, (path, 0), "");
    }
    sink.finish().0
}

/// What stands at `place`, or the link or submodule below which it would.
fn lookup(repository: &Repository, place: &str) -> Option<RepositoryFile> {
    let whole = repository.files.get(place).copied();
    let parents = place.match_indices('/').filter_map(|(at, _)| repository.files.get(place.get(..at)?).copied());
    whole.or_else(|| parents.into_iter().find(|file| !matches!(file, RepositoryFile::File(_))))
}

/// The name that a file of a package has in the repository; `None` if packing makes it.
fn original(path: &str) -> Option<&str> {
    match path {
        "Cargo.toml" | "Cargo.lock" | ".cargo_vcs_info.json" | ".cargo-ok" => None,
        "Cargo.toml.orig" => Some("Cargo.toml"),
        other => Some(other),
    }
}

/// Packing copies the readme and the license from anywhere.
fn is_prose(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".md") || name.ends_with(".txt") || !name.contains('.')
}

/// The ids under which git may have the content: as it is, and with the line ends of the other systems.
fn own_ids(file: &File) -> Vec<ObjectId> {
    let Some(content) = &file.content else { return Vec::new() };
    let mut ids = vec![object_id(ObjectKind::Blob, content)];
    if content.windows(2).any(|pair| pair == b"\r\n") {
        let mut unix = Vec::with_capacity(content.len());
        for (at, byte) in content.iter().enumerate() {
            if !(*byte == b'\r' && content.get(at + 1) == Some(&b'\n')) {
                unix.push(*byte);
            }
        }
        ids.push(object_id(ObjectKind::Blob, &unix));
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::{Repository, RepositoryFile, compare};
    use crate::examine::Examination;
    use crate::{File, Listing};
    use bulkhead_trust::git::{ObjectKind, object_id};

    #[test]
    fn what_the_repository_has_not_is_told() {
        let blob = |text: &str| RepositoryFile::File(object_id(ObjectKind::Blob, text.as_bytes()));
        let files = [
            ("README.md", blob("read")),
            ("a/Cargo.toml", blob("manifest")),
            ("a/src/lib.rs", blob("lib\n")),
            ("a/src/changed.rs", blob("old")),
            ("a/link.rs", RepositoryFile::Link),
            ("a/broken.rs", RepositoryFile::Link),
            ("shared.rs", blob("shared")),
            ("a/vendored", RepositoryFile::Submodule),
            ("tests/evil.rs", blob("evil")),
        ];
        let repository = Repository { files: files.map(|(path, file)| (path.to_owned(), file)).into() };
        let files = [
            ("Cargo.toml", "made"),
            ("Cargo.toml.orig", "manifest"),
            (".cargo_vcs_info.json", "{}"),
            ("README.md", "read"),
            ("src/lib.rs", "lib\r\n"),
            ("src/changed.rs", "new"),
            ("link.rs", "shared"),
            ("broken.rs", "other"),
            ("vendored/z.c", "unknown"),
            ("build.rs", "evil"),
            ("src/payload.rs", "payload"),
        ];
        let listing: Listing = files.map(|(path, text)| (path.to_owned(), File::new(text))).into();
        let found = compare(&listing, "a", &repository, &Examination::default());
        let found: Vec<_> = found.iter().map(|it| format!("{} {}", it.rule.id(), it.path)).collect();
        assert_eq!(
            found,
            [
                "not-in-repository src/payload.rs",
                "differs-from-repository broken.rs",
                "differs-from-repository src/changed.rs",
                "moved-file build.rs",
            ]
        );
    }
}
