//! One package into its folder: finished beside it, then renamed, so that nothing half-written bears its name.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bulkhead_schema::file_list::{self, FileList};
use bulkhead_trust::{Digest, Hasher};

use super::failed;
use crate::directory;
use crate::error::Result;

/// Most files of one package.
const MAX_FILES: usize = 200_000;

/// Names that Cargo leaves out of a vendored package.
const LEFT_OUT: [&str; 4] = [".gitattributes", ".gitignore", ".git", ".cargo-ok"];

/// What is copied.
pub(super) struct Content {
    /// The package's folder.
    pub(super) root: PathBuf,
    /// Paths below it.
    pub(super) files: Vec<String>,
    /// The manifest, if it is not the one that lies there.
    pub(super) manifest: Option<String>,
    /// What the list says of the package's archive.
    pub(super) checksum: Option<String>,
}

/// All files below `root`, links excepted (the store has none), sorted.
pub(super) fn all_files(root: &Path) -> std::result::Result<Vec<String>, String> {
    let mut files = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(folder) = pending.pop() {
        let entries = std::fs::read_dir(root.join(&folder)).map_err(|error| format!("cannot be listed: {error}"))?;
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().map_err(|_| "has a file name that is not UTF-8".to_owned())?;
            if LEFT_OUT.contains(&name.as_str()) || (folder.is_empty() && name == file_list::FILE_NAME) {
                continue;
            }
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(path),
                Ok(kind) if kind.is_file() => files.push(path),
                _ => {}
            }
            if files.len() + pending.len() > MAX_FILES {
                return Err("has more files than a package may have".to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Writes `content` to the folder `name` in `parent`, in the place of what is there. Returns the digest of its files.
pub(super) fn write_package(parent: &Path, name: &str, content: &Content) -> Result<Digest> {
    let temporary = tempfile::Builder::new().prefix(".bulkhead-").tempdir_in(parent);
    let temporary = temporary.map_err(|error| failed("create a folder in", parent, error))?;
    let fresh = temporary.path().join(name);
    std::fs::create_dir(&fresh).map_err(|error| failed("create", &fresh, error))?;
    let mut files = BTreeMap::new();
    for path in &content.files {
        let digest = match &content.manifest {
            Some(text) if path == "Cargo.toml" => put(&fresh.join(path), text.as_bytes(), false),
            _ => copy(&content.root.join(path), &fresh.join(path)),
        };
        files.insert(path.clone(), digest?.to_string());
    }
    let list = FileList { files, package: content.checksum.clone() };
    put(&fresh.join(file_list::FILE_NAME), list.to_string().as_bytes(), false)?;
    let target = parent.join(name);
    let there = std::fs::symlink_metadata(&target);
    let removed = match &there {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(&target),
        Ok(_) => std::fs::remove_file(&target),
        Err(_) => Ok(()),
    };
    removed.map_err(|error| failed("remove", &target, error))?;
    std::fs::rename(&fresh, &target).map_err(|error| failed("finish", &target, error))?;
    Ok(directory::digest_of(&list))
}

/// A new file with the mode that the user's mask gives.
fn create(path: &Path, executable: bool) -> Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed("create", folder, error))?;
    }
    let mode = if executable { 0o777 } else { 0o666 };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.map_err(|error| failed("create", path, error))
}

fn put(path: &Path, bytes: &[u8], executable: bool) -> Result<Digest> {
    create(path, executable)?.write_all(bytes).map_err(|error| failed("write", path, error))?;
    Ok(Digest::of(bytes))
}

/// Copies one file; returns its digest.
fn copy(from: &Path, to: &Path) -> Result<Digest> {
    let mut source = File::open(from).map_err(|error| failed("read", from, error))?;
    let executable = source.metadata().is_ok_and(|metadata| metadata.mode() & 0o111 != 0);
    let mut target = create(to, executable)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        let length = source.read(&mut buffer).map_err(|error| failed("read", from, error))?;
        let part = buffer.get(..length).unwrap_or_default();
        if part.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.update(part);
        target.write_all(part).map_err(|error| failed("write", to, error))?;
    }
}
