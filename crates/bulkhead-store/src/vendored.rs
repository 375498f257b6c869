//! Packages in folders that others keep (`cargo vendor`): each file is compared with the folder's own list, and with the
//! package's archive where this store has it.
//!
//! The list is written by whoever writes the folder, so that it alone protects from accidents only. What was compared is
//! recorded like a tree of the store: one stat per file and folder finds every later change, and nothing is read again.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use bulkhead_schema::file_list::{self, FileList};
use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_trust::{Digest, Hasher};
use rustix::fs::{AtFlags, FileType, Mode};

use crate::Store;
use crate::folder::{failed, names_in, open_folder, open_private};
use crate::record::{Entry, Kind, MAX_RECORD, Record, State};
use crate::verify::{check_states, open_file, read_file};
use crate::write::new_file;

/// The folder of the records below `BULKHEAD_HOME`.
const RECORDS: &str = "vendored";

/// Most files and folders of one package.
const MAX_ENTRIES: usize = 200_000;

/// Most bytes of one package.
const MAX_BYTES: u64 = 4 << 30;

/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// Files that need not be listed: `cargo vendor` leaves them out, and tools that keep the folder put them in. Nothing
/// compiles them.
const UNLISTED: [&str; 4] = [".cargo-ok", ".gitattributes", ".gitignore", ".DS_Store"];

/// What is no part of a package that stands in a folder of its own.
const KEPT_BY_TOOLS: [&str; 2] = [".git", "target"];

/// A package in a folder of a directory source.
#[derive(Debug, Clone, Copy)]
pub struct VendoredPackage<'a> {
    /// Which package it is, by its manifest.
    pub id: PackageId,
    /// Its folder.
    pub root: &'a Path,
    /// The bytes of its list, and what they say.
    pub list: (&'a [u8], &'a FileList),
}

/// Compares packages with their lists.
pub struct Vendored<'a> {
    store: &'a Store,
    records: OwnedFd,
    path: PathBuf,
}

impl<'a> Vendored<'a> {
    /// Opens (and makes, at first use) the records below `home`, which is `BULKHEAD_HOME`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(home: &Path, store: &'a Store) -> Result<Self, Diagnostic> {
        let home = std::path::absolute(home).map_err(|error| failed("find", home, error))?;
        Ok(Self { store, records: open_private(&home, RECORDS)?, path: home.join(RECORDS) })
    }

    /// Accepts the package if its folder holds the files of its list and no others. `deep` reads every file again, even if
    /// nothing has changed since they were read last.
    ///
    /// # Errors
    /// `vendored-…`: what differs, or is no regular file. `store-file`: the disk refuses.
    pub fn check(&self, package: VendoredPackage<'_>, deep: bool) -> Result<(), Diagnostic> {
        let VendoredPackage { id, root, list: (bytes, list) } = package;
        let published = list.package.as_deref().and_then(|text| Digest::parse(text).ok());
        let published = published.and_then(|archive| self.store.contents(id, archive));
        let folder = open_folder(rustix::fs::CWD, root.as_os_str()).map_err(|error| match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => link(root),
            error => failed("open", root, error),
        })?;
        let key = Digest::of(root.as_os_str().as_encoded_bytes()).to_string();
        let stamp = stamp(bytes, published.is_some());
        if !deep && self.is_recorded(&key, id, stamp, &folder, root) {
            return Ok(());
        }
        let entries = walk(&folder, root, &[])?;
        compare_with_list(&entries, root, list)?;
        if let Some(published) = published {
            compare_with_archive(&entries, id, root, &published)?;
        }
        self.write(&key, &Record::new(stamp, id.name().as_str(), id.version().to_string(), entries));
        Ok(())
    }

    /// The digest of what stands in the folder `root` of anybody's package, apart from what tools keep there (`.git`,
    /// `target`). What nothing has changed since is not read again.
    ///
    /// # Errors
    /// `vendored-…`: a link, or more than a package may hold. `store-file`: the disk refuses.
    pub fn content(&self, root: &Path) -> Result<Digest, Diagnostic> {
        let folder = open_folder(rustix::fs::CWD, root.as_os_str()).map_err(|error| failed("open", root, error))?;
        let key = Digest::of(&[b"content\0", root.as_os_str().as_encoded_bytes()].concat()).to_string();
        let stamp = Digest::of(b"bulkhead content 1");
        if let Ok(bytes) = read_file(&self.records, &key, MAX_RECORD)
            && let Some(record) = Record::from_bytes(&bytes)
            && record.archive == stamp
            && check_states(&folder, root, &record).is_none()
        {
            return Ok(record.tree);
        }
        let entries = walk(&folder, root, &KEPT_BY_TOOLS)?;
        let record = Record::new(stamp, "", String::new(), entries);
        self.write(&key, &record);
        Ok(record.tree)
    }

    fn is_recorded(&self, key: &str, id: PackageId, stamp: Digest, folder: &OwnedFd, root: &Path) -> bool {
        let Ok(bytes) = read_file(&self.records, key, MAX_RECORD) else { return false };
        Record::from_bytes(&bytes).is_some_and(|record| {
            record.archive == stamp
                && record.name == id.name().as_str()
                && record.version == id.version().to_string()
                && check_states(folder, root, &record).is_none()
        })
    }

    /// A record that cannot be written costs the next run its time, no more.
    fn write(&self, key: &str, record: &Record<'_>) {
        // A file that was changed a moment ago could be changed again without a trace: clocks of file systems tick slowly.
        if record.entries.iter().any(|entry| entry.state.is_fresh()) {
            return;
        }
        let temporary = format!("{key}.{}", std::process::id());
        let written = new_file(&self.records, &temporary, Mode::RUSR | Mode::WUSR)
            .map_err(std::io::Error::from)
            .and_then(|mut file| file.write_all(&record.to_bytes()))
            .and_then(|()| Ok(rustix::fs::renameat(&self.records, &temporary, &self.records, key)?));
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.records, &temporary, AtFlags::empty());
        }
    }
}

impl std::fmt::Debug for Vendored<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vendored({})", self.path.display())
    }
}

/// What a record is about: the list, and whether the archive was there to compare with.
fn stamp(list: &[u8], published: bool) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"bulkhead vendored 1\0");
    hasher.update(list);
    hasher.update(&[u8::from(published)]);
    hasher.finish()
}

/// Every file and folder, sorted by path, with the digests of the files. `except` are names at the top.
fn walk(folder: &OwnedFd, root: &Path, except: &[&str]) -> Result<Vec<Entry<'static>>, Diagnostic> {
    let top = rustix::fs::fstat(folder).map_err(|error| failed("read", root, error))?;
    let mut entries = vec![Entry { path: "".into(), kind: Kind::Folder, state: State::of(&top) }];
    let mut pending = vec![String::new()];
    let mut bytes = 0u64;
    while let Some(path) = pending.pop() {
        let name = if path.is_empty() { "." } else { &path };
        let inner = open_folder(folder, name.as_ref()).map_err(|error| failed("open", &root.join(&path), error))?;
        let names = names_in(inner.as_fd()).map_err(|error| failed("list", &root.join(&path), error))?;
        for name in names {
            let Some(name) = name.to_str() else {
                return Err(refused("vendored-name", &root.join(&path).join(&name), "has a name that is not UTF-8"));
            };
            if path.is_empty() && except.contains(&name) {
                continue;
            }
            let inner_path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let full = root.join(&inner_path);
            let entry = examine(&inner, name, inner_path, &full, &mut bytes)?;
            if entry.kind == Kind::Folder {
                pending.push(entry.path.clone().into_owned());
            }
            entries.push(entry);
            if entries.len() > MAX_ENTRIES || bytes > MAX_BYTES || path.split('/').count() > MAX_DEPTH {
                return Err(refused("vendored-size", root, "holds more than a package may hold"));
            }
        }
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn examine(
    folder: &OwnedFd,
    name: &str,
    path: String,
    full: &Path,
    bytes: &mut u64,
) -> Result<Entry<'static>, Diagnostic> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let stat = stat.map_err(|error| failed("read", full, error))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(Entry { path: path.into(), kind: Kind::Folder, state: State::of(&stat) }),
        FileType::RegularFile => {
            *bytes = bytes.saturating_add(stat.st_size.cast_unsigned());
            let (state, content) = digest(folder, name).map_err(|error| failed("read", full, error))?;
            let executable = stat.st_mode & 0o111 != 0;
            Ok(Entry { path: path.into(), kind: Kind::File { executable, content }, state })
        }
        FileType::Symlink => Err(link(full)),
        _ => Err(refused("vendored-link", full, "is no regular file")),
    }
}

/// The state of the file before it is read: a change meanwhile shows at the next look.
fn digest(folder: &OwnedFd, name: &str) -> std::io::Result<(State, Digest)> {
    let mut file = open_file(folder, name)?;
    let state = State::of(&rustix::fs::fstat(&file)?);
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((state, hasher.finish())),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

fn files<'e>(entries: &'e [Entry<'static>]) -> impl Iterator<Item = (&'e str, Digest)> {
    entries.iter().filter_map(|entry| match entry.kind {
        Kind::File { content, .. } => Some((&*entry.path, content)),
        Kind::Folder | Kind::Link { .. } => None,
    })
}

fn is_unlisted(path: &str) -> bool {
    path == file_list::FILE_NAME || UNLISTED.contains(&path.rsplit('/').next().unwrap_or(path))
}

fn compare_with_list(entries: &[Entry<'static>], root: &Path, list: &FileList) -> Result<(), Diagnostic> {
    let found: BTreeMap<&str, Digest> = files(entries).collect();
    for (path, expected) in &list.files {
        let Some(actual) = found.get(path.as_str()) else {
            return Err(refused(
                "vendored-missing",
                &root.join(path),
                "is listed in .cargo-checksum.json and not there",
            ));
        };
        if Digest::parse(expected) != Ok(*actual) {
            let message = format!(
                "the listed checksum of `{}` has changed:\nexpected: {expected}\nactual:   {actual}",
                root.join(path).display()
            );
            return Err(advised(Diagnostic::error("vendored-changed", message)));
        }
    }
    match found.keys().find(|path| !list.files.contains_key(**path) && !is_unlisted(path)) {
        None => Ok(()),
        Some(path) => {
            let what = "is not listed in .cargo-checksum.json, so that nothing vouches for it";
            Err(refused("vendored-unlisted", &root.join(path), what))
        }
    }
}

/// Whatever the list says: the files are those that were published.
fn compare_with_archive(
    entries: &[Entry<'static>],
    id: PackageId,
    root: &Path,
    published: &BTreeMap<String, Digest>,
) -> Result<(), Diagnostic> {
    match files(entries).find(|(path, content)| !is_unlisted(path) && published.get(*path) != Some(content)) {
        None => Ok(()),
        Some((path, _)) => {
            let what =
                format!("differs from the published archive of `{id}`, though .cargo-checksum.json vouches for it");
            Err(refused("vendored-forged", &root.join(path), &what))
        }
    }
}

fn link(path: &Path) -> Diagnostic {
    refused("vendored-link", path, "is a symbolic link: the files of a directory source stand in it themselves")
}

fn refused(code: &'static str, path: &Path, what: &str) -> Diagnostic {
    advised(Diagnostic::error(code, format!("`{}` {what}", path.display())))
}

fn advised(diagnostic: Diagnostic) -> Diagnostic {
    diagnostic
        .help("restore the folder from version control, or make it anew with `bulkhead vendor`")
        .help("directory sources are not intended to be edited: to change a package, use `[patch]` with a copy of it")
}
