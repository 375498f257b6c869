//! The source repository that a package names, asked what the tag of its release holds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use bulkhead_git::{Database, GitError, GitErrorKind, GitOptions, Wanted};
use bulkhead_review::{Examination, Finding, Listing, Repository, RepositoryFile, Rule, compare};
use bulkhead_schema::GitReference;
use bulkhead_schema::git::{ObjectId, Transport, parse_url};
use bulkhead_trust::git::{GitEntryKind, ObjectKind, object_id};
use bulkhead_workspace::Package;
use url::{Host, Url};

/// Largest `.cargo_vcs_info.json`, in bytes.
const MAX_ORIGIN: usize = 64 << 10;

/// What came of the comparison with the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// Nobody asked for it.
    NotAsked,
    /// It was not possible; why. Untrusted.
    Unknown(String),
    /// It was compared with this.
    Compared {
        /// The repository. Untrusted.
        url: String,
        /// The tag of the release, if there is one.
        tag: Option<String>,
        /// The commit.
        commit: ObjectId,
    },
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not compared"),
            Self::Unknown(reason) => write!(f, "not compared: {reason}"),
            Self::Compared { url, tag, commit } => {
                let commit = commit.to_string();
                let commit = commit.get(..10).unwrap_or(&commit);
                match tag {
                    Some(tag) => write!(f, "compared with the tag {tag} ({commit}) of {url}"),
                    None => write!(
                        f,
                        "compared with the commit {commit} of {url}, which the package names; no tag is named after this version"
                    ),
                }
            }
        }
    }
}

/// Where a package says that it was made.
#[derive(Debug, Default, PartialEq, Eq)]
struct Origin {
    commit: Option<ObjectId>,
    /// The folder in the repository, if it is known.
    folder: Option<String>,
}

/// Compares a package with its repository. What keeps it from that is told, and is no failure.
pub(super) fn ask(
    options: &GitOptions,
    package: &Package,
    listing: &Listing,
    examination: &Examination,
) -> (Upstream, Vec<Finding>) {
    let Some(named) = package.details.repository.as_deref() else {
        return (Upstream::Unknown("the package names no repository".to_owned()), Vec::new());
    };
    match asked(options, named, package, listing, examination) {
        Ok(answer) => answer,
        Err(reason) => (Upstream::Unknown(reason), Vec::new()),
    }
}

fn asked(
    options: &GitOptions,
    named: &str,
    package: &Package,
    listing: &Listing,
    examination: &Examination,
) -> Result<(Upstream, Vec<Finding>), String> {
    let url = address(named)?;
    let failed = |error: GitError| match error.kind {
        GitErrorKind::Offline => "this is offline mode".to_owned(),
        _ => {
            let said: Vec<&str> = error.message.lines().take(2).collect();
            format!("{url} cannot be asked: {}", said.join(": "))
        }
    };
    let database = Database::open_outline(options, &url).map_err(failed)?;
    let tags = database.remote_tags().map_err(failed)?;
    let origin = origin(listing);
    let tag = tag(package, &tags);
    let commit = tag.map(|(_, commit)| commit).or(origin.commit);
    let Some(commit) = commit else {
        return Err(format!(
            "{url} has no tag for this version, and the package does not say from which commit it was made"
        ));
    };
    let fetched = match tag {
        Some((name, _)) => database.fetch(Wanted::Reference(&GitReference::Tag(name.into()))),
        None => database.fetch(Wanted::Commit(commit)),
    };
    fetched.map_err(failed)?;
    let repository = outline(&database, commit).map_err(failed)?;
    let below = origin.folder.unwrap_or_else(|| folder_of(listing, &repository));
    let mut findings = compare(listing, &below, &repository, examination);
    if let (Some((name, tagged)), Some(made)) = (tag, origin.commit)
        && tagged != made
    {
        let detail = format!("made from {made}, while {name} is {tagged}");
        findings.push(Finding::about_package(Rule::OtherCommit, detail));
    }
    let tag = tag.map(|(name, _)| name.to_owned());
    Ok((Upstream::Compared { url: url.to_string(), tag, commit }, findings))
}

/// The address that a manifest names, if it may be asked: a stranger chose it, so that it can only be a public server.
fn address(named: &str) -> Result<Url, String> {
    // Manifests often name a folder of a repository as it is shown in a browser.
    let end = ["/-/tree/", "/tree/", "/blob/", "/src/branch/"].iter().filter_map(|part| named.find(part)).min();
    let text = named.get(..end.unwrap_or(named.len())).unwrap_or(named).trim_end_matches('/');
    let url = parse_url(text).map_err(|_| format!("`{named}` is no address of a repository"))?;
    let transport = Transport::of(&url).map_err(|_| format!("`{named}` is not reached over https"))?;
    let is_public = matches!(url.host(), Some(Host::Domain(name)) if name.contains('.') && !name.ends_with(".local"));
    let has_login = !url.username().is_empty() || url.password().is_some();
    match transport {
        Transport::HttpLoopback if !has_login => Ok(url),
        Transport::Https if is_public && !has_login => Ok(url),
        Transport::Https => Err(format!("`{named}` is no public server")),
        _ => Err(format!("`{named}` is not reached over https")),
    }
}

/// The tag that is named after this version, and where it leads.
fn tag<'a>(package: &Package, tags: &'a BTreeMap<String, ObjectId>) -> Option<(&'a str, ObjectId)> {
    let (name, version) = (package.id.name(), package.id.version());
    let forms = [
        format!("{name}-v{version}"),
        format!("{name}-{version}"),
        format!("{name}@v{version}"),
        format!("{name}@{version}"),
        format!("{name}/v{version}"),
        format!("{name}/{version}"),
        format!("{name}_v{version}"),
        format!("v{version}"),
        version.to_string(),
        format!("release-{version}"),
    ];
    forms.iter().find_map(|form| tags.get_key_value(form)).map(|(name, commit)| (name.as_str(), *commit))
}

/// What packing noted.
fn origin(listing: &Listing) -> Origin {
    let text = listing.get(".cargo_vcs_info.json").and_then(|file| file.text()).filter(|text| text.len() <= MAX_ORIGIN);
    let value: Option<serde_json::Value> = text.and_then(|text| serde_json::from_str(text).ok());
    let Some(value) = value else { return Origin::default() };
    let commit = value["git"]["sha1"].as_str().and_then(|text| ObjectId::parse(text).ok());
    let folder = value["path_in_vcs"].as_str().map(|folder| folder.trim_matches('/').to_owned());
    Origin { commit, folder: folder.filter(|folder| !folder.split('/').any(|part| part == "..")) }
}

fn outline(database: &Database<'_>, commit: ObjectId) -> Result<Repository, GitError> {
    let file = |(path, kind, id)| {
        let file = match kind {
            GitEntryKind::File { .. } => RepositoryFile::File(id),
            GitEntryKind::Link => RepositoryFile::Link,
            GitEntryKind::Submodule | GitEntryKind::Tree => RepositoryFile::Submodule,
        };
        (path, file)
    };
    Ok(Repository { files: database.listing(commit)?.into_iter().map(file).collect() })
}

/// Where the package's own manifest lies, for packages that do not say.
fn folder_of(listing: &Listing, repository: &Repository) -> String {
    let manifest = listing.get("Cargo.toml.orig").and_then(|file| file.content.as_deref());
    let id = manifest.map(|content| RepositoryFile::File(object_id(ObjectKind::Blob, content)));
    let found = repository.files.iter().find(|(path, file)| Some(**file) == id && path.ends_with("Cargo.toml"));
    let folder = found.and_then(|(path, _)| Path::new(path).parent()?.to_str());
    folder.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{address, origin};
    use bulkhead_review::{File, Listing};

    #[test]
    fn a_strangers_address_is_a_public_server() {
        for good in [
            "https://git.example.org/a/b",
            "https://git.example.org/a/b.git/",
            "https://git.example.org/a/b/tree/main/c",
        ] {
            assert!(address(good).unwrap().as_str().starts_with("https://git.example.org/a/b"));
            assert!(!address(good).unwrap().as_str().contains("tree"));
        }
        for bad in [
            "http://git.example.org/a",
            "ssh://git@git.example.org/a",
            "file:///etc",
            "/etc",
            "ext::sh -c evil",
            "--upload-pack=evil",
            "https://localhost/a",
            "https://intranet/a",
            "https://10.0.0.1/a",
            "https://[::1]/a",
            "https://printer.local/a",
            "https://user:word@git.example.org/a",
            "",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_packing_noted_is_not_believed_blindly() {
        let of = |text: &str| {
            let mut listing = Listing::new();
            listing.insert(".cargo_vcs_info.json".to_owned(), File::new(text));
            origin(&listing)
        };
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let whole = of(&format!("{{\"git\":{{\"sha1\":\"{commit}\"}},\"path_in_vcs\":\"a/b\"}}"));
        assert_eq!((whole.commit.unwrap().to_string(), whole.folder.as_deref()), (commit.to_owned(), Some("a/b")));
        for text in ["", "[", "{}", "{\"git\":{\"sha1\":\"--evil\"},\"path_in_vcs\":\"../x\"}", "[[[["] {
            assert_eq!(of(text), super::Origin::default(), "{text}");
        }
    }
}
