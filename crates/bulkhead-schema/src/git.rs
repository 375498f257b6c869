//! What names a place in a git repository: URLs, references, commits. All of it comes from manifests and lockfiles of
//! strangers and ends up on a command line, so that each has a grammar of its own, stricter than git's.

use std::fmt;

use url::Url;

use crate::ids::InvalidId;
use crate::{GitReference, secrets};

/// Longest accepted URL, in bytes.
const MAX_URL: usize = 4096;

/// Longest accepted name of a branch or tag, in bytes.
const MAX_REFERENCE: usize = 255;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https://`
    Https,
    /// `http://` to a literal loopback address; everything else over plain HTTP has no transport.
    HttpLoopback,
    /// `ssh://`
    Ssh,
    /// `file://`
    File,
}

impl Transport {
    /// The transport of `url`.
    ///
    /// # Errors
    /// Whoever is on the way could change what such a URL answers, or git would run a program of the URL's choice.
    pub fn of(url: &Url) -> Result<Self, String> {
        let loopback = match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        };
        match url.scheme() {
            "https" => Ok(Self::Https),
            "ssh" => Ok(Self::Ssh),
            "file" => Ok(Self::File),
            "http" if loopback => Ok(Self::HttpLoopback),
            scheme => Err(format!("git repositories are not read over `{scheme}`, which nothing protects on its way")),
        }
    }
}

/// Reads the URL of a git repository.
///
/// # Errors
/// It is not absolute, names a program instead of a place, or holds something that a program to which it is handed could
/// take for an option, a second line or a second host.
pub fn parse_url(text: &str) -> Result<Url, InvalidId> {
    let invalid = |reason: &str| InvalidId::new("git URL", &secrets::without_password(text), reason);
    if text.len() > MAX_URL {
        return Err(invalid("it is longer than 4096 bytes"));
    }
    if text.starts_with('-') {
        return Err(invalid("it must not begin with `-`"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(invalid("it must not hold spaces or control characters"));
    }
    let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
    if url.cannot_be_a_base() {
        return Err(invalid("it names a helper program, not a place"));
    }
    // What browsers take for an address as well: nobody else reads it as they do.
    let has_slashes = text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
    if text.contains('\\') || !has_slashes {
        return Err(InvalidId::new("git URL", url.scheme(), "it is no address with `://` and without `\\`"));
    }
    // It would stand in lockfiles, in messages and on command lines.
    if secrets::password(text).is_some() || secrets::password(url.as_str()).is_some() {
        return Err(invalid("it holds a password or a token; git asks a credential helper of the user's for one"));
    }
    let encoded = text.to_ascii_lowercase();
    if (0..0x20).chain([0x7f]).any(|byte: u8| encoded.contains(&format!("%{byte:02x}"))) {
        return Err(invalid("it must not hold encoded control characters"));
    }
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() && url.scheme() != "file" {
        return Err(invalid("it names no host"));
    }
    if url.scheme() == "file" && !host.is_empty() {
        return Err(invalid("a file is on this machine"));
    }
    let path = url.path().trim_start_matches('/');
    let parts = [("host", host), ("user", url.username()), ("path", path)];
    let option = |part: &str| part.starts_with('-') || part.to_ascii_lowercase().starts_with("%2d");
    if let Some((name, _)) = parts.iter().find(|(_, part)| option(part)) {
        return Err(invalid(&format!("its {name} must not begin with `-`")));
    }
    Ok(url)
}

/// The form in which two URLs of the same repository are equal: no `.git` and no `/` at the end, and GitHub's hosts and
/// names in lower case, as Cargo has it.
pub fn canonical_url(url: &Url) -> String {
    let mut url = url.clone();
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    if url.host_str() == Some("github.com") {
        let lower = url.path().to_lowercase();
        url.set_path(&lower);
    }
    if let Some(path) = url.path().strip_suffix(".git").map(str::to_owned) {
        url.set_path(&path);
    }
    url.into()
}

/// Checks `branch`, `tag` or `rev`, by git's rules for names of references: `a..b`, `@{-1}` and `--option` are none.
///
/// # Errors
/// The broken rule.
pub fn check_reference(reference: &GitReference) -> Result<(), InvalidId> {
    let (kind, text) = match reference {
        GitReference::DefaultBranch => return Ok(()),
        GitReference::Branch(name) => ("git branch", name.as_str()),
        GitReference::Tag(name) => ("git tag", name.as_str()),
        GitReference::Rev(name) => ("git revision", name.as_str()),
    };
    let invalid = |reason: &str| Err(InvalidId::new(kind, text, reason));
    if text.is_empty() || text.len() > MAX_REFERENCE {
        return invalid("it must have 1 to 255 bytes");
    }
    if text.starts_with('-') {
        return invalid("it must not begin with `-`");
    }
    if text == "@" || text.contains("..") || text.contains("@{") {
        return invalid("it must name one thing, not a range or a history");
    }
    if let Some(bad) = text.chars().find(|&c| c.is_control() || " ~^:?*[\\".contains(c)) {
        return invalid(&format!("the character {bad:?} is not allowed"));
    }
    let odd = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with('.') || part.ends_with(".lock");
    if text.split('/').any(odd) {
        return invalid("a part of it is empty, begins or ends with a dot, or ends with `.lock`");
    }
    Ok(())
}

/// The whole id of an object, a commit mostly: 40 lower-case hexadecimal digits. A shortened one would be a wish, not a
/// pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 20]);

impl ObjectId {
    /// Reads 40 hexadecimal digits.
    ///
    /// # Errors
    /// It is something else; repositories with SHA-256 ids are not supported by Cargo either.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("git commit", text, "it must have 40 hexadecimal digits");
        let mut bytes = [0; 20];
        if text.len() != 40 || !text.is_ascii() {
            return Err(invalid());
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * place..2 * place + 2).ok_or_else(invalid)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(invalid());
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }

    /// The id as bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl From<[u8; 20]> for ObjectId {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A submodule as `.gitmodules` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submodule {
    /// Where it stands, `/`-separated, below the repository's root.
    pub path: String,
    /// Its URL as written: absolute, or relative to that of the repository.
    pub url: String,
    /// `update = none`: it is not to be fetched.
    pub skipped: bool,
}

/// Most submodules of one repository.
const MAX_SUBMODULES: usize = 1000;

/// Reads `.gitmodules`: as much of git's configuration format as describes submodules. Entries without path or URL are
/// passed over, as git does.
///
/// # Errors
/// What git itself would not write: continued lines, unknown escapes, too many entries.
pub fn parse_submodules(text: &str) -> Result<Vec<Submodule>, String> {
    #[derive(Default)]
    struct Entry {
        path: Option<String>,
        url: Option<String>,
        skipped: bool,
    }
    let mut entries: Vec<(String, Entry)> = Vec::new();
    let mut current = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |what: &str| format!("line {} of .gitmodules {what}", number + 1);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let section = section.strip_suffix(']').ok_or_else(|| wrong("does not end its section's name"))?;
            let name = section.strip_prefix("submodule").map(str::trim);
            let name = name.and_then(|name| name.strip_prefix('"')?.strip_suffix('"'));
            current = name.map(|name| match entries.iter().position(|(known, _)| known == name) {
                Some(place) => place,
                None => {
                    entries.push((name.to_owned(), Entry::default()));
                    entries.len() - 1
                }
            });
            if entries.len() > MAX_SUBMODULES {
                return Err(wrong("is one submodule too many"));
            }
            continue;
        }
        let Some((_, entry)) = current.and_then(|place: usize| entries.get_mut(place)) else { continue };
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = config_value(value).ok_or_else(|| wrong("has a value that git would not write"))?;
        match key.trim().to_ascii_lowercase().as_str() {
            "path" => entry.path = Some(value),
            "url" => entry.url = Some(value),
            "update" => entry.skipped = value == "none",
            _ => {}
        }
    }
    let whole = |(_, entry): (String, Entry)| {
        Some(Submodule { path: entry.path?.trim_end_matches('/').to_owned(), url: entry.url?, skipped: entry.skipped })
    };
    Ok(entries.into_iter().filter_map(whole).collect())
}

/// A value of git's configuration format: quotes removed, comments cut off. `None` for what is read differently by
/// different readers.
fn config_value(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut quoted = false;
    let mut characters = text.trim().chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' => match characters.next()? {
                c @ ('"' | '\\') => value.push(c),
                _ => return None,
            },
            '#' | ';' if !quoted => break,
            c if c.is_control() => return None,
            c => value.push(c),
        }
    }
    (!quoted).then(|| value.trim_end().to_owned())
}

/// The URL of a submodule of the repository at `parent`.
///
/// # Errors
/// It is no URL, or a relative one that leaves the host.
pub fn submodule_url(parent: &Url, text: &str) -> Result<Url, InvalidId> {
    if !(text.starts_with("./") || text.starts_with("../")) {
        return parse_url(text);
    }
    let invalid = |reason: &str| InvalidId::new("git URL", text, reason);
    let mut parts: Vec<&str> = parent.path().trim_matches('/').split('/').filter(|part| !part.is_empty()).collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or_else(|| invalid("it leaves the host of the repository that names it"))?),
            part => parts.push(part),
        }
    }
    let mut url = parent.clone();
    url.set_path(&parts.join("/"));
    parse_url(url.as_str())
}

#[cfg(test)]
mod tests {
    use super::{ObjectId, Transport, canonical_url, check_reference, parse_submodules, parse_url, submodule_url};
    use crate::{GitReference, Symbol};

    #[test]
    fn urls_that_could_be_something_else_are_refused() {
        for bad in [
            "--upload-pack=touch x",
            "-u",
            "ext::sh -c touch% x",
            "ext::sh",
            "fd::3",
            "ssh://-oProxyCommand=touch%20x/y",
            "ssh://-oX@127.0.0.1/x",
            "ssh://user@-oX/x",
            "ssh://host/-x",
            "ssh://host/%2dx",
            "https:/user:secret@host/x",
            "https:/a@s://b:c@d/x",
            "https://exa\nmple.org/x",
            "https://example.org/x%0ahost=evil",
            "https://example.org/x\u{7f}",
            "file://host/x",
            "git@example.org:a/b",
            "../x",
            "",
            "https://me:hunter2@example.org/x",
            "https:me:hunter2@example.org/x",
            "https:\\\\me:hunter2@example.org/x",
            "https://example.org\\@other.example/x",
            "ssh://git:hunter2@example.org/x",
            "https://ghp_hunter2hunter2hunter2hunter2@example.org/x",
        ] {
            let error = parse_url(bad).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{bad:?}: {error}");
        }
        for good in ["https://example.org/a/b.git", "ssh://git@example.org/a", "file:///a/b", "http://127.0.0.1:81/a"] {
            assert_eq!(parse_url(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn only_protected_ways_are_transports() {
        let of = |text: &str| Transport::of(&parse_url(text).unwrap());
        assert_eq!(of("https://example.org/a"), Ok(Transport::Https));
        assert_eq!(of("ssh://example.org/a"), Ok(Transport::Ssh));
        assert_eq!(of("file:///a"), Ok(Transport::File));
        assert_eq!(of("http://127.0.0.1:1/a"), Ok(Transport::HttpLoopback));
        for bad in ["http://example.org/a", "http://localhost/a", "git://example.org/a", "ftp://example.org/a"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn references_name_one_thing() {
        let name = |text: &str| check_reference(&GitReference::Rev(Symbol::new(text)));
        for bad in
            ["", "-x", "--x", "a..b", "@{-1}", "@", "a b", "a^", "a~1", "a:b", "/a", "a/", "a//b", ".a", "a.lock"]
        {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        for good in ["abc1234", "refs/heads/x", "v1.0.0", "feat/x+y&z", "@home"] {
            assert!(name(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_commit_is_whole() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(ObjectId::parse(id).unwrap().to_string(), id);
        for bad in
            ["0123456", "", "0123456789abcdef0123456789abcdef0123456g", "+123456789abcdef0123456789abcdef01234567"]
        {
            assert!(ObjectId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_repository_has_one_canonical_url() {
        let canonical = |text: &str| canonical_url(&parse_url(text).unwrap());
        assert_eq!(canonical("https://example.org/A/b.git"), canonical("https://example.org/A/b/"));
        assert_eq!(canonical("https://github.com/A/B.git"), canonical("https://github.com/a/b"));
        assert_ne!(canonical("https://example.org/A"), canonical("https://example.org/a"));
    }

    #[test]
    fn submodules_are_read_as_git_reads_them() {
        let text = "# x\n[core]\n\tpath = no\n[submodule \"a b\"]\n\tpath = lib/a\n\turl = \"../a.git\" ; note\n\
                    [submodule \"c\"]\npath=c/\nurl=https://example.org/c\nupdate = none\n[submodule \"half\"]\nurl = x\n";
        let found = parse_submodules(text).unwrap();
        let shown: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.url.as_str(), it.skipped)).collect();
        assert_eq!(shown, [("lib/a", "../a.git", false), ("c", "https://example.org/c", true)]);
        assert!(parse_submodules("[submodule \"a\"]\npath = a\\\nb\n").is_err());
        assert!(parse_submodules("[submodule \"a\"]\npath = \"a\rb\"\n").is_err());
    }

    /// Attack 91.
    #[test]
    fn relative_submodules_stay_on_the_host() {
        let parent = parse_url("https://example.org/group/repo").unwrap();
        assert_eq!(submodule_url(&parent, "../other.git").unwrap().as_str(), "https://example.org/group/other.git");
        assert_eq!(submodule_url(&parent, "./sub").unwrap().as_str(), "https://example.org/group/repo/sub");
        assert!(submodule_url(&parent, "../../../x").is_err());
        assert!(submodule_url(&parent, "../../-x").is_err());
    }
}
