//! The store's folder, what goes in, and what comes out.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_trust::{CrateArchive, Digest, Expected, Verified, verify_archive};
use rustix::fs::{Mode, RenameFlags, Stat};
use rustix::io::Errno;

use crate::archive::{self, Failure, Limits};
use crate::folder::{self, Session, failed, open_folder, remove_tree};
use crate::notebook::{self, Notebook};
use crate::notes;
use crate::record::Record;
use crate::verify::{Finding, check_contents, check_states, parse_record, read_file, read_record};
use crate::write::{TreeWriter, new_file};

/// The folder of the store below `BULKHEAD_HOME`.
const STORE: &str = "store";

/// The archive beside its tree: what a damaged tree is healed from, offline.
pub(crate) const ARCHIVE: &str = "archive.crate";

/// The record beside its tree.
pub(crate) const RECORD: &str = "tree";

/// Largest archive that is read back.
const MAX_ARCHIVE: u64 = 1 << 30;

/// The packages of one `BULKHEAD_HOME`. Shared freely between threads; other processes may use the same home.
#[derive(Debug)]
pub struct Store {
    pub(crate) folder: OwnedFd,
    pub(crate) path: PathBuf,
    limits: Limits,
    /// Made by the first insertion: reading needs none.
    session: Mutex<Option<Arc<Session>>>,
}

/// One package, unpacked and verified at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageTree {
    /// Which package.
    pub id: PackageId,
    /// Its folder, absolute: `…/store/<SHA-256>/<name>-<version>`.
    pub root: PathBuf,
    /// SHA-256 of its archive.
    pub archive: Digest,
    /// Digest of the tree ([`bulkhead_trust::tree_digest`]).
    pub tree: Digest,
    /// Set if the tree had been changed behind Bulkhead's back and was unpacked again: what was wrong with it.
    pub healed: Option<Finding>,
}

impl PackageTree {
    /// The bytes of the archive beside the tree at `root`; `None` if that is no tree of the store.
    pub fn archive_size(root: &Path) -> Option<u64> {
        std::fs::symlink_metadata(root.with_file_name(ARCHIVE)).ok().map(|archive| archive.len())
    }

    /// Three files and folders that are others, or have another change time, once the tree at `root` was unpacked again,
    /// replaced or removed: by them a tree that was verified before can be known again where nothing is built from it.
    pub fn witnesses(root: &Path) -> [PathBuf; 3] {
        [root.with_file_name(RECORD), root.join("Cargo.toml"), root.to_path_buf()]
    }
}

/// What is noted of a package.
pub struct Noted<'a> {
    /// What the three look like that [`PackageTree::witnesses`] names.
    pub witnesses: [Stat; 3],
    place: Where<'a>,
}

enum Where<'a> {
    Notebook(notebook::Entry<'a>),
    Beside(notes::Notes),
}

impl Noted<'_> {
    /// The short part.
    pub fn brief(&self) -> &[u8] {
        match &self.place {
            Where::Notebook(entry) => entry.brief,
            Where::Beside(notes) => &notes.brief,
        }
    }

    /// The long part. `None` if it was damaged.
    pub fn text(&self) -> Option<&[u8]> {
        match &self.place {
            Where::Notebook(entry) => entry.text(),
            Where::Beside(notes) => Some(&notes.text),
        }
    }

    /// Whether it stands in the project's notebook.
    pub fn is_bound(&self) -> bool {
        matches!(self.place, Where::Notebook(_))
    }
}

/// What stands in the store under one digest.
pub(crate) enum Present<T> {
    Nothing,
    /// The archive alone: nobody needed the tree yet.
    Archive,
    Whole(T),
    Damaged(Finding),
}

/// A tree that is as its record says.
pub(crate) struct WholeTree {
    pub(crate) root: PathBuf,
    pub(crate) tree: Digest,
}

impl Store {
    /// Opens (and makes, at first use) the store below `home`, which is `BULKHEAD_HOME`.
    ///
    /// # Errors
    /// `store-home`: `home` or the store in it is a symbolic link, belongs to someone else, or may be written by others.
    pub fn open(home: &Path) -> Result<Self, Diagnostic> {
        let home = std::path::absolute(home).map_err(|error| failed("find", home, error))?;
        let (folder, path) = (folder::open_private(&home, STORE)?, home.join(STORE));
        folder::sweep(&folder, &path);
        Ok(Self { folder, path, limits: Limits::default(), session: Mutex::default() })
    }

    /// The same store with other limits for what it unpacks.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks, unpacks and keeps `archive`; if it is there already and unchanged, returns what is there.
    ///
    /// # Errors
    /// `archive-refused` (nothing was written) or `store-file` (nothing remains but a temporary folder, which the next
    /// start removes).
    pub fn insert(&self, archive: &Verified<CrateArchive>) -> Result<PackageTree, Diagnostic> {
        let package = archive.get();
        match self.present(package.id(), package.digest())? {
            Present::Whole(tree) => Ok(tree),
            Present::Nothing | Present::Archive => self.unpack(package, None),
            Present::Damaged(finding) => self.unpack(package, Some(finding)),
        }
    }

    /// Keeps `archive` without a look into it, for a package that nothing needs yet: [`get`](Store::get) unpacks it when
    /// something does, and checks it then. A whole tree that is there already stays.
    ///
    /// # Errors
    /// `store-file`: the disk refuses.
    pub fn keep(&self, archive: &Verified<CrateArchive>) -> Result<(), Diagnostic> {
        let package = archive.get();
        let session = self.session()?;
        let name = session.fresh_name();
        write_archive(&session, &name, package).map_err(|error| {
            let _ = remove_tree(session.folder.as_fd(), name.as_ref());
            failed("write into", &session.path.join(&name), error)
        })?;
        self.settle(&session, &name, package.id(), package.digest()).map(drop)
    }

    /// The package `id` whose archive has the digest `archive`, if it is here: every file and folder is compared with the
    /// record that was made when it was unpacked, and a tree that differs, or was not needed before, is unpacked from the
    /// kept archive.
    ///
    /// # Errors
    /// `store-damaged`: the tree was changed or never made, and its archive is gone or changed. Inserting the package again
    /// heals it. `archive-refused`: an archive that is looked into for the first time breaks a rule.
    pub fn get(&self, id: PackageId, archive: Digest) -> Result<Option<PackageTree>, Diagnostic> {
        match self.present(id, archive)? {
            Present::Nothing => Ok(None),
            Present::Whole(tree) => Ok(Some(tree)),
            Present::Archive => self.unpack_kept(id, archive, None).map(Some),
            Present::Damaged(finding) => self.unpack_kept(id, archive, Some(finding)).map(Some),
        }
    }

    /// Whether the archive of the package `id` stands here alone, and is unchanged: all of it is read.
    ///
    /// # Errors
    /// `store-file`: the disk refuses. `store-other-package`: the digest is that of another package.
    pub fn keeps(&self, id: PackageId, archive: Digest) -> Result<bool, Diagnostic> {
        let is_alone = matches!(self.present(id, archive)?, Present::Archive);
        Ok(is_alone && self.read_archive(id, archive).is_ok())
    }

    /// The notebook of the project in the folder `project`, in which `writer` has written, if anybody has. `writer` stands for
    /// a program: another one does not get to see what it wrote.
    pub fn notebook(&self, project: &Path, writer: u64) -> Notebook {
        Notebook::open(self.path.parent().unwrap_or(&self.path), project, writer)
    }

    /// What [`note`](Store::note) kept of a package, and the folder of its tree, if record, manifest and folder are still
    /// those that were verified then. The other files are not looked at: nothing may be built from this alone.
    pub fn notes<'a>(&self, notebook: &'a Notebook, id: PackageId, archive: Digest) -> Option<(PathBuf, Noted<'a>)> {
        let root = || self.path.join(archive.to_string()).join(archive::top_folder(id));
        if let Some(entry) = notebook.get(archive)
            && let witnesses = notes::look(&self.folder, id, archive)?
            && notes::states(&witnesses) == entry.states
        {
            return Some((root(), Noted { witnesses, place: Where::Notebook(entry) }));
        }
        let (witnesses, notes) = notes::read(&self.folder, id, archive, notebook.writer)?;
        Some((root(), Noted { witnesses, place: Where::Beside(notes) }))
    }

    /// Keeps what was worked out from a package that was verified just now, the longest part as `text`. Notes that cannot be
    /// written cost time, nothing else.
    pub fn note(&self, notebook: &Notebook, tree: &PackageTree, brief: &[u8], text: &[u8]) {
        let _ = notes::write(&self.folder, tree.id, tree.archive, notebook.writer, (brief, text));
    }

    /// Writes the notes on `packages` into the project's notebook, where others find them at once.
    pub fn bind(&self, notebook: &Notebook, packages: &[(PackageId, Digest)]) {
        let noted = packages.iter().filter_map(|&(id, archive)| {
            let (stats, notes) = notes::read(&self.folder, id, archive, notebook.writer)?;
            Some((archive, notes::states(&stats), notes))
        });
        let added: BTreeMap<_, _> = noted.map(|(archive, states, notes)| (archive, (states, notes))).collect();
        // As with notes: what cannot be written costs time.
        let _ = notebook.rewrite(added);
    }

    /// Whether there is a package whose archive has the digest `archive`. Compares nothing.
    pub fn contains(&self, archive: Digest) -> bool {
        open_folder(&self.folder, archive.to_string().as_ref()).is_ok()
    }

    /// The files of the package `id` whose archive has the digest `archive`, by path, as they were when it was unpacked, or
    /// are now that it is.
    pub(crate) fn contents(&self, id: PackageId, archive: Digest) -> Option<BTreeMap<String, Digest>> {
        if matches!(self.present(id, archive), Ok(Present::Archive)) {
            self.get(id, archive).ok()?;
        }
        let folder = open_folder(&self.folder, archive.to_string().as_ref()).ok()?;
        let bytes = read_record(&folder);
        let record = parse_record(bytes.as_deref(), archive)?;
        Some(record.files().map(|(entry, content)| (entry.path.clone().into_owned(), content)).collect())
    }

    /// The digests of the archives that are here, as the names of folders tell. Compares nothing.
    pub fn listing(&self) -> Vec<Digest> {
        let names = folder::names_in(self.folder.as_fd()).unwrap_or_default();
        names.iter().filter_map(|name| Digest::parse(name.to_str()?).ok()).collect()
    }

    /// Reads everything in the store again and compares contents. Changes nothing.
    pub fn verify_deep(&self) -> Result<Vec<Finding>, Diagnostic> {
        let names = folder::names_in(self.folder.as_fd()).map_err(|error| failed("list", &self.path, error))?;
        let mut findings = Vec::new();
        for name in names {
            let path = self.path.join(&name);
            match name.to_str().map(Digest::parse) {
                Some(Ok(digest)) => match open_folder(&self.folder, &name) {
                    Ok(folder) => findings.extend(check_contents(&folder, &path, digest)),
                    Err(error) => findings.push(Finding { path, problem: error.to_string() }),
                },
                _ if name == "tmp" || name == "gate.lock" => {}
                _ => findings.push(Finding { path, problem: "it does not belong there".to_owned() }),
            }
        }
        Ok(findings)
    }

    fn present(&self, id: PackageId, archive: Digest) -> Result<Present<PackageTree>, Diagnostic> {
        let version = id.version().to_string();
        let present = self.present_as(archive, id.name().as_str(), &version, &archive::top_folder(id))?;
        Ok(match present {
            Present::Nothing => Present::Nothing,
            Present::Archive => Present::Archive,
            Present::Damaged(finding) => Present::Damaged(finding),
            Present::Whole(WholeTree { root, tree }) => {
                Present::Whole(PackageTree { id, root, archive, tree, healed: None })
            }
        })
    }

    /// What stands under `archive`, whose record should name `name` and `version`, with its tree in the folder `top`.
    pub(crate) fn present_as(
        &self,
        archive: Digest,
        name: &str,
        version: &str,
        top: &str,
    ) -> Result<Present<WholeTree>, Diagnostic> {
        let key = archive.to_string();
        let path = self.path.join(&key);
        let folder = match open_folder(&self.folder, key.as_ref()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(Present::Nothing),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Ok(Present::Damaged(Finding { path, problem: "it is no folder".to_owned() }));
            }
            Err(error) => return Err(failed("open", &path, error)),
        };
        let bytes = read_record(&folder);
        let Some(record) = parse_record(bytes.as_deref(), archive) else {
            if bytes.is_none() && holds_archive_alone(&folder) {
                return Ok(Present::Archive);
            }
            return Ok(Present::Damaged(Finding {
                path: path.join(RECORD),
                problem: "it is missing or damaged".to_owned(),
            }));
        };
        if record.name != name || record.version != version {
            return Err(Diagnostic::error(
                "store-other-package",
                format!(
                    "the archive with SHA-256 {key} is `{} v{}`, not `{name} v{version}`",
                    record.name, record.version
                ),
            )
            .help("the registry or Cargo.lock names one archive for two packages; do not build until you know why"));
        }
        let root = path.join(top);
        let tree = match open_folder(&folder, top.as_ref()) {
            Ok(tree) => tree,
            Err(error) => return Ok(Present::Damaged(Finding { path: root, problem: error.to_string() })),
        };
        match check_states(&tree, &root, &record) {
            Some(finding) => Ok(Present::Damaged(finding)),
            None => Ok(Present::Whole(WholeTree { root, tree: record.tree })),
        }
    }

    /// Unpacks the archive that is here already: for the first time, or since `damaged` was found.
    fn unpack_kept(&self, id: PackageId, archive: Digest, damaged: Option<Finding>) -> Result<PackageTree, Diagnostic> {
        let why = match self.read_archive(id, archive) {
            Ok(verified) => return self.unpack(verified.get(), damaged),
            Err(why) => why,
        };
        // Another process that unpacked it meanwhile put a new folder in the place of the one that was looked at.
        if let Present::Whole(tree) = self.present(id, archive)? {
            return Ok(tree);
        }
        let message = match &damaged {
            Some(Finding { path, problem }) => {
                format!("`{id}` was changed on disk: {}: {problem}; and its archive {why}", path.display())
            }
            None => format!("`{id}` is to be unpacked, but its archive {why}"),
        };
        Err(Diagnostic::error("store-damaged", message).help("run `bulkhead fetch` to download it again"))
    }

    /// The kept archive, or why there is none, as the end of a sentence that begins with it.
    fn read_archive(&self, id: PackageId, archive: Digest) -> Result<Verified<CrateArchive>, String> {
        let key = archive.to_string();
        let kept = open_folder(&self.folder, key.as_ref()).map_err(std::io::Error::from);
        let bytes = kept.and_then(|folder| read_file(&folder, ARCHIVE, MAX_ARCHIVE));
        let bytes = bytes.map_err(|error| format!("cannot be read: {error}"))?;
        let expected = Expected { index: None, lock: Some(&key) };
        verify_archive(id, bytes, &expected).map_err(|_| "was changed".to_owned())
    }

    /// Unpacks into a temporary folder and gives it its name. What stands there already is replaced unless it is whole.
    fn unpack(&self, package: &CrateArchive, damaged: Option<Finding>) -> Result<PackageTree, Diagnostic> {
        let (id, archive) = (package.id(), package.digest());
        let session = self.session()?;
        let name = session.fresh_name();
        let written = write_package(&session, &name, package, &self.limits);
        let tree = written.map_err(|failure| {
            let _ = remove_tree(session.folder.as_fd(), name.as_ref());
            match failure {
                Failure::Refused(diagnostic) => diagnostic,
                Failure::Sink(error) => failed("unpack into", &session.path.join(&name), error),
            }
        })?;
        if let Some(tree) = self.settle(&session, &name, id, archive)? {
            return Ok(PackageTree { healed: damaged, ..tree });
        }
        let root = self.path.join(archive.to_string()).join(archive::top_folder(id));
        Ok(PackageTree { id, root, archive, tree, healed: damaged })
    }

    /// Gives the finished folder `name` of the session its place. If a whole tree stands there already, because another
    /// thread or process was faster, that stays and is returned.
    fn settle(
        &self,
        session: &Session,
        name: &str,
        id: PackageId,
        archive: Digest,
    ) -> Result<Option<PackageTree>, Diagnostic> {
        let key = archive.to_string();
        let place = self.path.join(&key);
        match rustix::fs::renameat(&session.folder, name, &self.folder, &key) {
            Ok(()) => return Ok(None),
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(error) => return Err(failed("finish", &place, error)),
        }
        let _gate = folder::gate(&self.folder, &self.path)?;
        if let Present::Whole(tree) = self.present(id, archive)? {
            let _ = remove_tree(session.folder.as_fd(), name.as_ref());
            return Ok(Some(tree));
        }
        replace(session, name, &self.folder, &key).map_err(|error| failed("replace", &place, error))?;
        Ok(None)
    }

    pub(crate) fn session(&self) -> Result<Arc<Session>, Diagnostic> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        Ok(Arc::clone(session.insert(Arc::new(Session::begin(&self.folder, &self.path)?))))
    }
}

/// Puts the finished package `name` in the place of the damaged one, and removes that. Others who look meanwhile see the
/// one or the other, except on the few file systems that cannot exchange two names.
fn replace(session: &Session, name: &str, store: &OwnedFd, key: &str) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(&session.folder, name, store, key, RenameFlags::EXCHANGE) {
        Ok(()) => {
            let _ = remove_tree(session.folder.as_fd(), name.as_ref());
        }
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOENT) => {
            let old = session.fresh_name();
            match rustix::fs::renameat(store, key, &session.folder, &old) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            rustix::fs::renameat(&session.folder, name, store, key)?;
            let _ = remove_tree(session.folder.as_fd(), old.as_ref());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whether nothing stands in a package's folder but its archive. (Nor does anything in one that was replaced a moment ago.)
pub(crate) fn holds_archive_alone(folder: &OwnedFd) -> bool {
    folder::names_in(folder.as_fd()).is_ok_and(|names| names.iter().all(|name| name == ARCHIVE))
}

const READ_ONLY: Mode = Mode::RUSR.union(Mode::RGRP).union(Mode::ROTH);

/// Writes the archive alone into the new folder `name` of the session.
fn write_archive(session: &Session, name: &str, package: &CrateArchive) -> std::io::Result<()> {
    rustix::fs::mkdirat(&session.folder, name, Mode::RWXU)?;
    let folder = open_folder(&session.folder, name.as_ref())?;
    new_file(&folder, ARCHIVE, READ_ONLY)?.write_all(package.bytes())
}

/// Writes tree, archive and record into the new folder `name` of the session. Returns the digest of the tree.
fn write_package(session: &Session, name: &str, package: &CrateArchive, limits: &Limits) -> Result<Digest, Failure> {
    let id = package.id();
    let begun = || -> std::io::Result<(OwnedFd, TreeWriter)> {
        rustix::fs::mkdirat(&session.folder, name, Mode::RWXU)?;
        let folder = open_folder(&session.folder, name.as_ref())?;
        let writer = TreeWriter::new(&folder, &archive::top_folder(id))?;
        Ok((folder, writer))
    };
    let (folder, mut writer) = begun().map_err(Failure::Sink)?;
    archive::walk(id, package.bytes(), limits, &mut writer)?;
    let finished = || -> std::io::Result<Digest> {
        let record = Record::new(package.digest(), id.name().as_str(), id.version().to_string(), writer.finish()?);
        new_file(&folder, ARCHIVE, READ_ONLY)?.write_all(package.bytes())?;
        new_file(&folder, RECORD, READ_ONLY)?.write_all(&record.to_bytes())?;
        Ok(record.tree)
    };
    finished().map_err(Failure::Sink)
}
