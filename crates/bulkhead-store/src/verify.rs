//! Is what stands on disk what was put there?

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use bulkhead_trust::{Digest, Hasher};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::checkout::{CHECKOUT, folder_name};
use crate::folder::{names_in, open_folder};
use crate::record::{MAX_RECORD, Record, State};
use crate::store::{ARCHIVE, RECORD, holds_archive_alone};

/// Something in the store that is not as it was put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it, as the end of a sentence that begins with the path.
    pub problem: String,
}

fn finding(path: PathBuf, problem: impl Into<String>) -> Finding {
    Finding { path, problem: problem.into() }
}

pub(crate) fn open_file(folder: &OwnedFd, name: &str) -> rustix::io::Result<File> {
    rustix::fs::openat(folder, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).map(File::from)
}

/// A whole file of at most `limit` bytes.
pub(crate) fn read_file(folder: &OwnedFd, name: &str, limit: u64) -> std::io::Result<Vec<u8>> {
    let file = open_file(folder, name)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    (&file).read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of the record of the package in `folder`, for [`parse_record`].
pub(crate) fn read_record(folder: &OwnedFd) -> Option<Vec<u8>> {
    read_file(folder, RECORD, MAX_RECORD).ok()
}

/// The record, if it is whole and is about this archive.
pub(crate) fn parse_record(bytes: Option<&[u8]>, archive: Digest) -> Option<Record<'_>> {
    Record::from_bytes(bytes?).filter(|record| record.archive == archive)
}

/// Compares every file and folder of the tree with its record, one stat each. `path` is that of the tree, for messages.
pub(crate) fn check_states(tree: &OwnedFd, path: &Path, record: &Record<'_>) -> Option<Finding> {
    record.entries.iter().find_map(|entry| {
        let stat = if entry.path.is_empty() {
            rustix::fs::fstat(tree)
        } else {
            rustix::fs::statat(tree, &*entry.path, AtFlags::SYMLINK_NOFOLLOW)
        };
        let problem = match stat {
            Ok(stat) => entry.state.difference(&State::of(&stat))?.to_owned(),
            Err(rustix::io::Errno::NOENT) => "it was removed".to_owned(),
            Err(error) => error.to_string(),
        };
        Some(finding(path.join(&*entry.path), problem))
    })
}

/// Reads everything in the package's folder again: states, contents, names that do not belong there, the archive.
pub(crate) fn check_contents(folder: &OwnedFd, path: &Path, archive: Digest) -> Vec<Finding> {
    let bytes = read_record(folder);
    if bytes.is_none() && holds_archive_alone(folder) {
        return check_archive(folder, path, archive).into_iter().collect();
    }
    let record = parse_record(bytes.as_deref(), archive).filter(Record::is_consistent);
    let Some(record) = record else {
        return vec![finding(path.join(RECORD), "it is missing or damaged")];
    };
    let mut findings = Vec::new();
    if record.name != CHECKOUT {
        findings.extend(check_archive(folder, path, archive));
    }
    let name = if record.name == CHECKOUT {
        folder_name(&record.version)
    } else {
        format!("{}-{}", record.name, record.version)
    };
    let root = path.join(&name);
    let tree = match open_folder(folder, name.as_ref()) {
        Ok(tree) => tree,
        Err(error) => {
            findings.push(finding(root, error.to_string()));
            return findings;
        }
    };
    findings.extend(check_states(&tree, &root, &record));
    for (entry, content) in record.files() {
        match open_file(&tree, &entry.path).and_then_digest() {
            Ok(found) if found == content => {}
            Ok(_) => findings.push(finding(root.join(&*entry.path), "its content was changed")),
            Err(error) => findings.push(finding(root.join(&*entry.path), error.to_string())),
        }
    }
    findings.extend(strangers(&tree, &root, &record));
    findings
}

/// Compares the kept archive with its digest.
fn check_archive(folder: &OwnedFd, path: &Path, archive: Digest) -> Option<Finding> {
    let problem = match open_file(folder, ARCHIVE).and_then_digest() {
        Ok(found) if found == archive => return None,
        Ok(found) => format!("its SHA-256 is {found}"),
        Err(error) => error.to_string(),
    };
    Some(finding(path.join(ARCHIVE), problem))
}

/// Names in the tree that the record does not know.
fn strangers(tree: &OwnedFd, root: &Path, record: &Record<'_>) -> Vec<Finding> {
    let known: BTreeSet<&str> = record.entries.iter().map(|entry| &*entry.path).collect();
    let mut findings = Vec::new();
    for entry in record.entries.iter().filter(|entry| entry.kind == crate::record::Kind::Folder) {
        let name = if entry.path.is_empty() { "." } else { &entry.path };
        let Ok(names) = open_folder(tree, name.as_ref()).and_then(|folder| names_in(folder.as_fd())) else { continue };
        for name in names {
            let path = Path::new(&*entry.path).join(name);
            if !path.to_str().is_some_and(|path| known.contains(path)) {
                findings.push(finding(root.join(path), "it does not belong there"));
            }
        }
    }
    findings
}

trait DigestOf {
    fn and_then_digest(self) -> std::io::Result<Digest>;
}

impl DigestOf for rustix::io::Result<File> {
    fn and_then_digest(self) -> std::io::Result<Digest> {
        let mut file = self?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                length => hasher.update(buffer.get(..length).unwrap_or_default()),
            }
        }
    }
}
