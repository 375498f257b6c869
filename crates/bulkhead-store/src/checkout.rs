//! A commit of a git repository → a read-only tree, `store/<key>/<digits of the commit>/`.
//!
//! The objects arrive in the order in which `git cat-file --batch` was asked for them: the commit, its tree, and then what
//! each tree names, depth first. Every object is hashed and compared with the id by which the one before named it, so that
//! the tree is what the commit's id stands for, whatever happened to the database or to the program that read it. No
//! working copy is ever made by git: there are no filters, no attributes, no hooks, and names follow the rules of archives.

use std::io::{self, BufRead, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::git::ObjectId;
use bulkhead_trust::git::{GitEntryKind, ObjectHasher, ObjectKind, entries_of_tree, tree_of_commit};
use bulkhead_trust::{Digest, Hasher};
use rustix::fs::Mode;

use crate::archive::Sink as _;
use crate::folder::{Session, failed, open_folder, remove_tree};
use crate::names::{self, Taken};
use crate::record::Record;
use crate::store::{Present, RECORD, Store};
use crate::write::{TreeWriter, new_file};

/// The name in the record of a checkout: no package can be called so.
pub(crate) const CHECKOUT: &str = "git checkout";

/// Largest commit or tree object.
const MAX_STRUCTURE: u64 = 16 << 20;

/// Longest target of a link.
const MAX_LINK: u64 = 1024;

/// How large one checkout may be, submodules included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckoutLimits {
    /// Files, folders and links.
    pub entries: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Default for CheckoutLimits {
    fn default() -> Self {
        Self { entries: 200_000, bytes: 4 << 30 }
    }
}

/// One checkout, verified at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Its folder, absolute.
    pub root: PathBuf,
    /// Digest of the tree ([`bulkhead_trust::tree_digest`]).
    pub tree: Digest,
}

/// A submodule that a tree names: its commit belongs at this path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Below the root of the repository that names it.
    pub path: String,
    /// The commit.
    pub commit: ObjectId,
}

/// What was learnt of a repository while it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    /// The submodules that it names, which are not there yet.
    pub submodules: Vec<Link>,
    /// The text of its `.gitmodules`.
    pub gitmodules: Option<String>,
}

/// The key of the checkout of `commit` of the repository at a (canonical) URL.
pub fn checkout_key(url: &str, commit: ObjectId) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"bulkhead checkout 1\0");
    hasher.update(url.as_bytes());
    hasher.update(b"\0");
    hasher.update(commit.as_bytes());
    hasher.finish()
}

pub(crate) fn folder_name(commit: &str) -> String {
    commit.chars().take(12).collect()
}

impl Store {
    /// The checkout of `commit` under `key`, if it is here and unchanged. One that was changed behind Bulkhead's back is
    /// taken away, and `damaged` hears of it.
    ///
    /// # Errors
    /// `store-file`: the disk does not answer.
    pub fn checkout(
        &self,
        key: Digest,
        commit: ObjectId,
        damaged: &dyn Fn(&crate::Finding),
    ) -> Result<Option<Checkout>, Diagnostic> {
        let top = folder_name(&commit.to_string());
        let finding = match self.present_as(key, CHECKOUT, &commit.to_string(), &top)? {
            Present::Nothing => return Ok(None),
            Present::Whole(tree) => return Ok(Some(Checkout { root: tree.root, tree: tree.tree })),
            Present::Damaged(finding) => finding,
            // Checkouts have no archive to be unpacked from.
            Present::Archive => {
                crate::Finding { path: self.path.join(key.to_string()), problem: "its files were removed".to_owned() }
            }
        };
        damaged(&finding);
        let session = self.session()?;
        let old = session.fresh_name();
        let moved = rustix::fs::renameat(&self.folder, key.to_string(), &session.folder, &old);
        moved.map_err(|error| failed("take away", &finding.path, error))?;
        let _ = remove_tree(session.folder.as_fd(), old.as_ref());
        Ok(None)
    }

    /// Begins the checkout of `commit` under `key`.
    ///
    /// # Errors
    /// `store-file`: the disk does not let us.
    pub fn begin_checkout(
        &self,
        key: Digest,
        commit: ObjectId,
        limits: CheckoutLimits,
    ) -> Result<NewCheckout<'_>, Diagnostic> {
        let session = self.session()?;
        let name = session.fresh_name();
        let begun = || -> io::Result<(OwnedFd, TreeWriter)> {
            rustix::fs::mkdirat(&session.folder, &name, Mode::RWXU)?;
            let folder = open_folder(&session.folder, name.as_ref())?;
            let writer = TreeWriter::new(&folder, &folder_name(&commit.to_string()))?;
            Ok((folder, writer))
        };
        let (folder, writer) = begun().map_err(|error| failed("write into", &session.path.join(&name), error))?;
        Ok(NewCheckout {
            store: self,
            session,
            name,
            folder,
            writer: Some(writer),
            key,
            commit,
            limits,
            taken: Taken::default(),
            entries: 0,
            bytes: 0,
        })
    }
}

/// A checkout that is being written. Dropped without [`finish`](Self::finish), it leaves nothing.
pub struct NewCheckout<'a> {
    store: &'a Store,
    session: Arc<Session>,
    name: String,
    folder: OwnedFd,
    writer: Option<TreeWriter>,
    key: Digest,
    commit: ObjectId,
    limits: CheckoutLimits,
    taken: Taken,
    entries: usize,
    bytes: u64,
}

impl Drop for NewCheckout<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is stale at the next start.
        let _ = remove_tree(self.session.folder.as_fd(), self.name.as_ref());
    }
}

/// What is expected next in the stream of objects.
struct Expected {
    path: String,
    kind: GitEntryKind,
    id: ObjectId,
}

impl NewCheckout<'_> {
    /// Writes `commit` below the folder `prefix` (empty for the repository itself, else the place of a submodule).
    /// `objects` are the commit, its tree, and what the trees name, depth first, as `git cat-file --batch` prints them.
    ///
    /// # Errors
    /// `git-object`: an object is missing, is not what its id stands for, or breaks the rules for names, links or sizes;
    /// `git-limit`: it is too large.
    pub fn add(&mut self, prefix: &str, commit: ObjectId, objects: &mut dyn BufRead) -> Result<Added, Diagnostic> {
        let place = self.session.path.join(&self.name);
        self.write(prefix, commit, objects).map_err(|failure| match failure {
            Failure::Refused(reason) => {
                Diagnostic::error("git-object", format!("the commit {commit} is refused: {reason}"))
                    .help("nothing was kept of it")
            }
            Failure::Limit(key, reason) => {
                Diagnostic::error("git-limit", format!("the commit {commit} is refused: {reason}"))
                    .help(format!("if this repository is meant, raise `limits.git.{key}` in a policy"))
            }
            Failure::Disk(error) => failed("write into", &place, error),
        })
    }

    fn write(&mut self, prefix: &str, commit: ObjectId, objects: &mut dyn BufRead) -> Result<Added, Failure> {
        let mut added = Added::default();
        let root = tree_of_commit(&structure(objects, ObjectKind::Commit, commit)?)?;
        let mut pending = vec![Expected { path: prefix.to_owned(), kind: GitEntryKind::Tree, id: root }];
        while let Some(Expected { path, kind, id }) = pending.pop() {
            if path != prefix {
                self.check(&path, kind)?;
            }
            match kind {
                GitEntryKind::Tree => {
                    let entries = entries_of_tree(&structure(objects, ObjectKind::Tree, id)?)?;
                    if path.is_empty() || !entries.is_empty() {
                        self.writer()?.folder(&path)?;
                    }
                    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                    for entry in entries.into_iter().rev() {
                        if entry.name.contains('/') {
                            return Err(Failure::Refused(format!(
                                "the name `{}` is a path",
                                entry.name.escape_debug()
                            )));
                        }
                        pending.push(Expected { path: inner(&entry.name), kind: entry.kind, id: entry.id });
                    }
                }
                GitEntryKind::File { executable } => {
                    let text = self.file(&path, executable, id, objects, path == below(prefix, ".gitmodules"))?;
                    added.gitmodules = added.gitmodules.or(text);
                }
                GitEntryKind::Link => self.link(prefix, &path, id, objects)?,
                GitEntryKind::Submodule => {
                    self.writer()?.folder(&path)?;
                    let path = path.strip_prefix(prefix).unwrap_or(&path).trim_start_matches('/').to_owned();
                    added.submodules.push(Link { path, commit: id });
                }
            }
        }
        Ok(added)
    }

    /// The rules for names, of files that no file system confuses and that lie where they seem to.
    fn check(&mut self, path: &str, kind: GitEntryKind) -> Result<(), Failure> {
        let refuse = |reason: String| Failure::Refused(format!("`{}`: {reason}", path.escape_debug()));
        names::check(path).map_err(refuse)?;
        let taken = match kind {
            GitEntryKind::Tree | GitEntryKind::Submodule => self.taken.add_folder(path),
            GitEntryKind::File { .. } | GitEntryKind::Link => self.taken.add_file(path),
        };
        taken.map_err(refuse)?;
        self.entries += 1;
        if self.entries > self.limits.entries {
            let what = format!("there are more than {} files and folders", self.limits.entries);
            return Err(Failure::Limit("checkout-entries", what));
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut TreeWriter, Failure> {
        self.writer.as_mut().ok_or_else(|| Failure::Disk(io::ErrorKind::InvalidInput.into()))
    }

    /// Writes a file; returns its text if that is `wanted`.
    fn file(
        &mut self,
        path: &str,
        executable: bool,
        id: ObjectId,
        objects: &mut dyn BufRead,
        wanted: bool,
    ) -> Result<Option<String>, Failure> {
        let size = header(objects, ObjectKind::Blob, id)?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            let what = format!("its files have more than {} MiB", self.limits.bytes >> 20);
            return Err(Failure::Limit("checkout-mib", what));
        }
        let mut kept = Vec::new();
        let mut hasher = ObjectHasher::new(ObjectKind::Blob, size);
        let writer = self.writer()?;
        writer.file(path, executable, size)?;
        let mut left = size;
        while left > 0 {
            let buffer = objects.fill_buf()?;
            let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let part = buffer.get(..length).filter(|part| !part.is_empty());
            let part = part.ok_or_else(|| Failure::Refused(format!("`{path}` ends early")))?;
            hasher.update(part);
            writer.content(part)?;
            if wanted && size <= MAX_STRUCTURE {
                kept.extend_from_slice(part);
            }
            objects.consume(length);
            left -= length as u64;
        }
        end_of_object(objects)?;
        compare(hasher.finish(), id)?;
        Ok(if wanted { String::from_utf8(kept).ok() } else { None })
    }

    /// Writes a link, if what it names lies in the checkout.
    fn link(&mut self, prefix: &str, path: &str, id: ObjectId, objects: &mut dyn BufRead) -> Result<(), Failure> {
        let refuse = |reason: &str| Failure::Refused(format!("the link `{path}` {reason}"));
        let size = header(objects, ObjectKind::Blob, id)?;
        if size > MAX_LINK {
            return Err(refuse("has a target longer than any path"));
        }
        let target = whole(objects, ObjectKind::Blob, id, size)?;
        let target = String::from_utf8(target).map_err(|_| refuse("has a target that is not UTF-8"))?;
        if path == below(prefix, ".gitmodules") {
            return Err(refuse("must be a file"));
        }
        check_target(path, &target).map_err(refuse)?;
        Ok(self.writer()?.link(path, &target)?)
    }

    /// Gives the checkout its name.
    ///
    /// # Errors
    /// `store-file`: the disk does not let us.
    pub fn finish(mut self) -> Result<Checkout, Diagnostic> {
        let name = folder_name(&self.commit.to_string());
        let key = self.key.to_string();
        let root = self.store.path.join(&key).join(&name);
        let mut finished = || -> io::Result<Digest> {
            let writer = self.writer.take().ok_or(io::ErrorKind::InvalidInput)?;
            let record = Record::new(self.key, CHECKOUT, self.commit.to_string(), writer.finish()?);
            let read_only = Mode::RUSR | Mode::RGRP | Mode::ROTH;
            new_file(&self.folder, RECORD, read_only)?.write_all(&record.to_bytes())?;
            Ok(record.tree)
        };
        let tree = finished().map_err(|error| failed("write", &root, error))?;
        match rustix::fs::renameat(&self.session.folder, &self.name, &self.store.folder, &key) {
            Ok(()) => Ok(Checkout { root, tree }),
            // Another process was faster; what it wrote is looked at like anything else.
            Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => self
                .store
                .checkout(self.key, self.commit, &|_| {})?
                .ok_or_else(|| failed("replace", &root, io::Error::from(io::ErrorKind::AlreadyExists))),
            Err(error) => Err(failed("finish", &root, error)),
        }
    }
}

fn below(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

/// Whether a link at `path` leads to something in the same checkout. It may climb only at its beginning, where the folders
/// above it are folders and no links: then what follows cannot leave either, since every link on the way obeys this rule.
fn check_target(path: &str, target: &str) -> Result<(), &'static str> {
    if target.is_empty() || target.starts_with('/') || target.chars().any(|c| c.is_control() || c == '\\') {
        return Err("leads out of the repository");
    }
    let depth = path.matches('/').count();
    let climbs = target.split('/').take_while(|part| matches!(*part, ".." | ".")).filter(|part| *part == "..").count();
    if climbs > depth {
        return Err("leads out of the repository");
    }
    let mut rest = target.split('/').skip_while(|part| matches!(*part, ".." | "."));
    if rest.any(|part| part == ".." || part.eq_ignore_ascii_case(".git")) {
        return Err("goes up again after it went down, so that it cannot be told where it leads");
    }
    Ok(())
}

/// Why a commit is not written.
enum Failure {
    Refused(String),
    /// The key of the limit, and what is beyond it.
    Limit(&'static str, String),
    Disk(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}
impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}
impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Self::Refused(reason.to_owned())
    }
}

/// Reads `<id> <kind> <size>`; returns the size.
fn header(objects: &mut dyn BufRead, kind: ObjectKind, id: ObjectId) -> Result<u64, Failure> {
    let mut line = Vec::new();
    objects.take(200).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    let mut words = line.trim_end_matches('\n').split(' ');
    let (found, word, size) = (words.next(), words.next(), words.next());
    if found != Some(id.to_string().as_str()) || word != Some(kind.as_str()) {
        return Err(Failure::Refused(format!("the {} {id} is missing from the repository", kind.as_str())));
    }
    size.and_then(|size| size.parse().ok()).ok_or_else(|| Failure::Refused(format!("{id} has no size")))
}

fn structure(objects: &mut dyn BufRead, kind: ObjectKind, id: ObjectId) -> Result<Vec<u8>, Failure> {
    let size = header(objects, kind, id)?;
    if size > MAX_STRUCTURE {
        return Err(Failure::Refused(format!("the {} {id} has more than {} MiB", kind.as_str(), MAX_STRUCTURE >> 20)));
    }
    whole(objects, kind, id, size)
}

fn whole(objects: &mut dyn BufRead, kind: ObjectKind, id: ObjectId, size: u64) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    objects.take(size).read_to_end(&mut content)?;
    end_of_object(objects)?;
    compare(bulkhead_trust::git::object_id(kind, &content), id)?;
    Ok(content)
}

fn end_of_object(objects: &mut dyn BufRead) -> Result<(), Failure> {
    let mut end = [0];
    let read = objects.read(&mut end)?;
    if read == 1 && end == *b"\n" { Ok(()) } else { Err("an object ends early".into()) }
}

fn compare(found: ObjectId, named: ObjectId) -> Result<(), Failure> {
    if found == named {
        return Ok(());
    }
    Err(Failure::Refused(format!("the object {named} was changed: its content has the id {found}")))
}

/// The places of the submodules in the checkout at `root`, as its `.gitmodules` files tell.
pub fn submodules_in(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(prefix) = pending.pop() {
        let Ok(text) = std::fs::read_to_string(root.join(&prefix).join(".gitmodules")) else { continue };
        for submodule in bulkhead_schema::git::parse_submodules(&text).unwrap_or_default() {
            let path = below(&prefix, &submodule.path);
            if names::check(&path).is_ok() && !found.contains(&path) {
                pending.push(path.clone());
                found.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{check_target, checkout_key};
    use bulkhead_schema::git::ObjectId;

    /// Attack 89.
    #[test]
    fn a_link_stays_in_the_checkout() {
        for (path, target) in
            [("a", "b"), ("a", "./b/c"), ("a/b", "../c"), ("a/b/c", "../../d/e"), ("a/b/c", "./../d"), ("a", "..b")]
        {
            assert_eq!(check_target(path, target), Ok(()), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", ""),
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("a", "../b"),
            ("a/b", "../../c"),
            ("a/b", "./../../c"),
            ("a/b", "c/../../../d"),
            ("a/b", "c/../d"),
            ("a", ".git/config"),
            ("a", "b/.GIT/config"),
            ("a", "b\nc"),
            ("a", "b\\..\\c"),
        ] {
            assert!(check_target(path, target).is_err(), "{path} -> {target}");
        }
    }

    #[test]
    fn a_checkout_is_known_by_repository_and_commit() {
        let (one, two) = (ObjectId::from([1; 20]), ObjectId::from([2; 20]));
        assert_ne!(checkout_key("https://example.org/a", one), checkout_key("https://example.org/a", two));
        assert_ne!(checkout_key("https://example.org/a", one), checkout_key("https://example.org/b", one));
    }
}
