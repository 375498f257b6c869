//! Directory sources: folders of unpacked packages, as `cargo vendor` makes them (Cargo Book, "Directory Sources").

#![expect(clippy::disallowed_methods, reason = "verified at each use, so that no answer rests on notes of it")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::file_list::{self, FileList};
use bulkhead_schema::{PackageName, SourceId, Summary};
use bulkhead_store::{Store, Vendored, VendoredPackage};
use bulkhead_trust::{Digest, EntryKind, TreeEntry, tree_digest};
use bulkhead_workspace::{Package, load_package};

use crate::error::Result;
use crate::observed::Disk;
use crate::{Error, ErrorKind};

/// Fewest packages that are worth a thread of their own.
const SHARE: usize = 16;

/// A directory source.
pub struct Directory {
    packages: BTreeMap<PackageName, Vec<Found>>,
    bulkhead_home: PathBuf,
    store: Store,
}

/// A package that stands in it, read and not yet compared with its list.
struct Found {
    package: Package,
    bytes: Vec<u8>,
    list: FileList,
}

impl Directory {
    /// Reads the manifests and lists of all packages below `root`, to know which there are.
    ///
    /// # Errors
    /// The folder or a package in it cannot be read.
    pub fn open(root: &Path, source: SourceId, bulkhead_home: &Path) -> Result<Self> {
        let folders = folders(root)?;
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(folders.len() / SHARE).max(1);
        let read = |share: &[PathBuf]| share.iter().map(|folder| read(folder, source)).collect::<Vec<_>>();
        let found = std::thread::scope(|scope| {
            let shares = folders.chunks(folders.len().div_ceil(workers).max(1));
            let running: Vec<_> = shares.map(|share| scope.spawn(move || read(share))).collect();
            let joined = running.into_iter().map(|share| share.join());
            joined.flat_map(|share| share.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
        });
        let mut packages: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for found in found {
            // A package without an archive's checksum comes from a repository, and one with it does not.
            if let Some(found) = found?.filter(|found| !source.is_git() || found.list.package.is_none()) {
                packages.entry(found.package.id.name()).or_default().push(found);
            }
        }
        Ok(Self { packages, bulkhead_home: bulkhead_home.to_owned(), store: Store::open(bulkhead_home)? })
    }

    /// The packages called `name`, each compared with its list.
    ///
    /// # Errors
    /// A folder does not hold what its list says (`verification`).
    pub fn packages(&self, name: PackageName) -> Result<Vec<Arc<Package>>> {
        let Some(found) = self.packages.get(&name) else { return Ok(Vec::new()) };
        let vendored = Vendored::open(&self.bulkhead_home, &self.store)?;
        found.iter().map(|found| found.checked(&vendored, false).map(|()| Arc::new(found.package.clone()))).collect()
    }

    /// The digest of the files of a package that was compared with its list, as far as they are listed: what stands in the
    /// folder besides is never compiled.
    pub fn content(&self, name: PackageName, version: &semver::Version) -> Option<Digest> {
        let found = self.packages.get(&name)?.iter().find(|found| found.package.id.version() == version)?;
        Some(digest_of(&found.list))
    }

    /// Reads every file of the package called `name` with `checksum` again. Returns whether there is one.
    ///
    /// # Errors
    /// As [`Directory::packages`].
    pub fn verify_deep(&self, name: PackageName, version: &semver::Version) -> Result<bool> {
        let found = self.packages.get(&name).into_iter().flatten();
        let Some(found) = found.into_iter().find(|found| found.package.id.version() == version) else {
            return Ok(false);
        };
        found.checked(&Vendored::open(&self.bulkhead_home, &self.store)?, true)?;
        Ok(true)
    }
}

impl Found {
    fn checked(&self, vendored: &Vendored<'_>, deep: bool) -> Result<()> {
        let Package { id, root, .. } = &self.package;
        vendored.check(VendoredPackage { id: *id, root, list: (&self.bytes, &self.list) }, deep).map_err(|finding| {
            let kind = if finding.code == "store-file" { ErrorKind::Failure } else { ErrorKind::Verification };
            Error { kind, ..Error::from(finding) }.while_doing(format!("failed to verify the vendored `{id}`"))
        })
    }
}

/// One digest for the files that a list names.
pub fn digest_of(list: &FileList) -> Digest {
    let mut files = Vec::with_capacity(list.files.len());
    for (path, checksum) in &list.files {
        if let Ok(content) = Digest::parse(checksum) {
            files.push(TreeEntry { path, kind: EntryKind::File, content });
        }
    }
    tree_digest(&mut files)
}

/// The folders in `root`, sorted; those with a dot at the beginning are not for packages.
fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(root)
        .map_err(|error| {
            Error::failure(format!("failed to read root of directory source: {}", root.display())).because(error)
        })?
        .flatten();
    let visible = |entry: &std::fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    let mut folders: Vec<_> = entries.filter(visible).map(|entry| entry.path()).collect();
    folders.sort();
    Ok(folders)
}

/// The package in `folder`; `None` if there is none.
fn read(folder: &Path, source: SourceId) -> Result<Option<Found>> {
    let manifest = folder.join("Cargo.toml");
    // A folder without manifest is passed over: tools leave such things when they remove a package.
    if !manifest.is_file() {
        return Ok(None);
    }
    let package = load_package(&Disk::default(), &manifest, source).map_err(|diagnostics| {
        Error::from(diagnostics).while_doing(format!("failed to read the manifest in `{}`", folder.display()))
    })?;
    let failed = |doing: String, reason: String| Error::new(ErrorKind::Verification, doing).because(reason);
    let path = folder.join(file_list::FILE_NAME);
    let shown = format!("`{}` of {} v{}", file_list::FILE_NAME, package.id.name(), package.id.version());
    let bytes = read_bounded(&path, file_list::MAX_SIZE as u64).map_err(|reason| {
        failed(format!("failed to load checksum {shown}"), format!("failed to read `{}`: {reason}", path.display()))
    })?;
    let list = FileList::parse(&bytes).map_err(|reason| failed(format!("failed to decode {shown}"), reason))?;
    let mut package = Arc::unwrap_or_clone(package);
    let checksum = list.package.as_deref().map(Arc::from);
    package.summary = Arc::new(Summary { checksum, ..Arc::unwrap_or_clone(package.summary) });
    Ok(Some(Found { package, bytes, list }))
}

/// A whole regular file of at most `limit` bytes, or why not.
fn read_bounded(path: &Path, limit: u64) -> std::result::Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    match file.take(limit + 1).read_to_end(&mut bytes) {
        Err(error) => Err(error.to_string()),
        Ok(length) if length as u64 > limit => Err(format!("it is larger than {limit} bytes")),
        Ok(_) => Ok(bytes),
    }
}
