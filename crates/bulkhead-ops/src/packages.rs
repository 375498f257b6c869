//! The packages of a graph on disk: downloaded, verified, unpacked, read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_schema::PackageId;
use bulkhead_source::{Client, DownloadRequest, Progress, SourceError};
use bulkhead_store::{PackageTree, Store};
use bulkhead_trust::{Digest, Expected, verify_archive};
use bulkhead_workspace::{Package, load_package};

use crate::error::Result;
use crate::lock::Locked;
use crate::observed::Disk;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::sources::{Archive, source_error};
use crate::{Error, ErrorKind, Event};

/// Brings the registry packages among `wanted` onto this machine and reads the manifests of all of them.
///
/// Every archive is checked against the index and the lockfile before a byte of it is unpacked.
///
/// # Errors
/// A download that fails or is not what was promised; a package that breaks the rules for archives or manifests.
pub fn load(
    global: &GlobalOptions,
    project: &Project,
    locked: &mut Locked<'_>,
    wanted: &BTreeSet<PackageId>,
    client: &Client,
    events: &(dyn Fn(Event) + Sync),
) -> Result<BTreeMap<PackageId, Arc<Package>>> {
    let store = Store::open(&global.place.bulkhead_home).map_err(verification)?;
    let mut packages = BTreeMap::new();
    let mut stored = Vec::new();
    for &id in wanted {
        if let Some(package) = project.workspace.package(id) {
            packages.insert(id, Arc::clone(package));
        } else if let Some(package) = locked.sources.unpacked(id) {
            match locked.sources.repository(id) {
                Some(repository) => witness(&global.place.disk, &repository.root),
                // Its folder is not addressed by its content.
                None => global.place.disk.never_repeat(),
            }
            if id.source().is_registry() {
                // Whoever wrote the folder left out what its files are to be compared with.
                digest_of(locked, id)?;
            }
            packages.insert(id, Arc::clone(package));
        } else {
            stored.push((id, digest_of(locked, id)?));
        }
    }
    let mut absent = Vec::new();
    for ((id, _), found) in
        stored.iter().zip(look_up(&store, &stored, client.options().offline, &global.place.disk, events))
    {
        match found? {
            Some(package) => {
                witness(&global.place.disk, &package.root);
                packages.insert(*id, package);
            }
            None => absent.push(*id),
        }
    }
    if !absent.is_empty() {
        global.place.disk.never_repeat();
        let downloaded = download(&store, locked, &absent, client, events)?;
        packages.extend(downloaded.into_iter().map(|package| (package.id, package)));
    }
    Ok(packages)
}

/// Notes what shows whether a tree of the store was changed.
fn witness(disk: &Disk, root: &std::path::Path) {
    PackageTree::witnesses(root).iter().for_each(|path| disk.note(path, true));
}

/// Fewest packages that are worth a thread of their own.
const SHARE: usize = 24;

/// Verifies and reads the packages that are in the store, in the order of `wanted`. `None`: it has to be downloaded.
fn look_up(
    store: &Store,
    wanted: &[(PackageId, Digest)],
    offline: bool,
    disk: &Disk,
    events: &(dyn Fn(Event) + Sync),
) -> Vec<Result<Option<Arc<Package>>>> {
    let one = |&(id, digest): &(PackageId, Digest)| match store.get(id, digest) {
        Ok(Some(tree)) => {
            if let Some(finding) = &tree.healed {
                disk.never_repeat();
                let (path, problem) = (finding.path.display(), &finding.problem);
                events(Event::Warning(format!("{path}: {problem}; `{id}` was unpacked again from its archive")));
            }
            read(&tree).map(Some)
        }
        Ok(None) => Ok(None),
        // A tree that was changed is replaced by a fresh one, and the user hears of it.
        Err(damage) if damage.code == "store-damaged" && !offline => {
            events(Event::Warning(format!("{damage}; it is downloaded and unpacked again")));
            Ok(None)
        }
        Err(damage) => Err(verification(damage)),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8).min(wanted.len() / SHARE).max(1);
    let mut shares = wanted.chunks(wanted.len().div_ceil(workers).max(1));
    let own = shares.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let others: Vec<_> =
            shares.map(|share| scope.spawn(move || share.iter().map(one).collect::<Vec<_>>())).collect();
        let mut found: Vec<_> = own.iter().map(one).collect();
        for other in others {
            found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    })
}

/// The package in a verified tree, which must be the one that it is said to be.
fn read(tree: &PackageTree) -> Result<Arc<Package>> {
    let package =
        load_package(&Disk::default(), &tree.root.join("Cargo.toml"), tree.id.source()).map_err(|diagnostics| {
            Error::from(diagnostics).while_doing(format!("failed to read the manifest of `{}`", tree.id))
        })?;
    if package.id != tree.id {
        let message = format!("the archive of `{}` holds `{}`", tree.id, package.id);
        return Err(Error::new(ErrorKind::Verification, message));
    }
    Ok(package)
}

fn verification(diagnostic: bulkhead_schema::Diagnostic) -> Error {
    // A disk that is full or not writable has falsified nothing.
    let kind = if diagnostic.code == "store-file" { ErrorKind::Failure } else { ErrorKind::Verification };
    Error { kind, ..Error::from(diagnostic) }
}

fn digest_of(locked: &Locked<'_>, id: PackageId) -> Result<Digest> {
    let summary = locked.resolve.nodes.get(&id).map(|node| &node.summary);
    let checksum = summary.and_then(|summary| summary.checksum.as_deref());
    checksum
        .and_then(|text| Digest::parse(text).ok())
        .ok_or_else(|| Error::new(ErrorKind::Verification, format!("the index names no valid checksum for `{id}`")))
}

/// Brings the archives of `ids` here, from wherever they are.
fn download(
    store: &Store,
    locked: &mut Locked<'_>,
    ids: &[PackageId],
    client: &Client,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Vec<Arc<Package>>> {
    let mut requests = Vec::with_capacity(ids.len());
    let mut packages = Vec::with_capacity(ids.len());
    for &id in ids {
        let checksum = digest_of(locked, id)?.to_string();
        match locked.sources.archive(id, &checksum)? {
            Archive::Remote(request) => requests.push(request),
            Archive::Local { registry, bytes } => {
                let message = format!("{} v{} (registry `{}`)", id.name(), id.version(), registry.display());
                events(Event::Status { verb: "Unpacking", message });
                packages.push(accept(store, locked, id, bytes)?.0);
            }
        }
    }
    if !requests.is_empty() {
        packages.extend(download_all(store, locked, requests, client, events)?);
    }
    Ok(packages)
}

/// Downloads run on the client's own threads; verification and unpacking on as many workers as there are processors,
/// while the rest arrives.
fn download_all(
    store: &Store,
    locked: &Locked<'_>,
    requests: Vec<DownloadRequest>,
    client: &Client,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Vec<Arc<Package>>> {
    events(Event::Status { verb: "Downloading", message: "crates ...".to_owned() });
    let total = requests.len();
    let received = AtomicU64::new(0);
    let progress = Arc::new(Progress::default());
    let arriving = Mutex::new(client.download(requests, &progress));
    let finished = Mutex::new((Vec::with_capacity(total), Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(total);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((id, answer)) = next(&arriving) {
                    let outcome = accept(store, locked, id, answer);
                    let mut finished = finished.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok((package, bytes)) => {
                            received.fetch_add(bytes, Ordering::Relaxed);
                            finished.0.push(package);
                            events(Event::Downloaded { package: id, bytes });
                        }
                        Err(error) => finished.1.push(error),
                    }
                    let bytes = progress.received.load(Ordering::Relaxed);
                    events(Event::DownloadProgress { done: finished.0.len(), total, bytes });
                }
            });
        }
    });
    let (packages, mut errors) = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    match errors.pop() {
        Some(error) => Err(error),
        None if packages.len() < total => Err(Error::failure("some downloads did not finish")),
        None => {
            events(Event::DownloadsFinished { packages: total, bytes: received.into_inner() });
            Ok(packages)
        }
    }
}

type Answer = (PackageId, std::result::Result<Vec<u8>, SourceError>);

fn next(arriving: &Mutex<bulkhead_source::Downloads>) -> Option<Answer> {
    arriving.lock().unwrap_or_else(PoisonError::into_inner).next()
}

fn accept(
    store: &Store,
    locked: &Locked<'_>,
    id: PackageId,
    answer: std::result::Result<Vec<u8>, SourceError>,
) -> Result<(Arc<Package>, u64)> {
    let bytes = answer.map_err(|error| source_error(error).while_doing(format!("failed to download `{id}`")))?;
    let length = bytes.len() as u64;
    let index = locked.resolve.nodes.get(&id).and_then(|node| node.summary.checksum.as_deref());
    let lock = locked.previous.as_ref().and_then(|previous| previous.checksums.get(&id)).map(String::as_str);
    let archive = verify_archive(id, bytes, &Expected { index, lock })
        .map_err(|mismatch| verification(bulkhead_schema::Diagnostic::from(mismatch)))?;
    let stored = store.insert(&archive).map_err(|diagnostic| {
        let error = verification(diagnostic);
        if error.kind == ErrorKind::Failure { error.while_doing(format!("failed to unpack `{id}`")) } else { error }
    });
    Ok((read(&stored?)?, length))
}
