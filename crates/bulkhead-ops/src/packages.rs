//! The packages of a graph on disk: downloaded, verified, unpacked, read.

mod notes;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_schema::{Diagnostic, PackageId, Summary};
use bulkhead_source::{Client, DownloadRequest, Progress, SourceError};
use bulkhead_store::{Finding, Notebook, PackageTree, Store};
use bulkhead_trust::{CrateArchive, Digest, Expected, Verified, verify_archive, verify_manifest};
use bulkhead_workspace::{Package, load_package};

use crate::error::Result;
use crate::lock::Locked;
use crate::observed::Disk;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::sources::{Archive, Sources, source_error};
use crate::{Error, ErrorKind, Event, pins};

use self::notes::Notes;

pub use self::told::{Described, Facts, Sketch, Told};

/// What packages are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To be compiled at once: every file of a tree is compared with its record. (A build that does not know yet what it
    /// compiles only looks, and verifies what it does later.)
    Build,
    /// To be told about: it is enough that the tree is the one that was verified before, since nothing of it is read.
    Look,
    /// To be there when they are wanted without a network: those that nothing on this machine needs stay in their archives.
    Fetch {
        /// The others.
        needed: &'a BTreeSet<PackageId>,
    },
}

impl Purpose<'_> {
    /// Whether the archive of `id` will do.
    fn is_served_by_archive(self, id: PackageId) -> bool {
        matches!(self, Self::Fetch { needed } if !needed.contains(&id))
    }
}

/// Brings the registry packages among `wanted` onto this machine and reads the manifests of all of them.
///
/// Every archive is checked against the index and the lockfile before a byte of it is kept or unpacked.
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
    load_for(Purpose::Build, global, project, locked, wanted, client, events)
}

/// The same, for a purpose that may be less than to compile them, and with as much about each as is wanted. Packages that
/// stay in their archives are left out.
///
/// # Errors
/// As for [`load`].
pub fn load_for<T: Facts>(
    purpose: Purpose<'_>,
    global: &GlobalOptions,
    project: &Project,
    locked: &mut Locked<'_>,
    wanted: &BTreeSet<PackageId>,
    client: &Client,
    events: &(dyn Fn(Event) + Sync),
) -> Result<BTreeMap<PackageId, T>> {
    let packages = all(global, project, locked, wanted, purpose, client, events)?;
    check_links(locked, &packages)?;
    Ok(packages)
}

/// An index that keeps silent about `links` hid it from the resolver: no two packages may link the same library.
fn check_links<T: Facts>(locked: &Locked<'_>, packages: &BTreeMap<PackageId, T>) -> Result<()> {
    for (id, package) in packages {
        let Some(links) = package.links() else { continue };
        let unknown = locked.resolve.nodes.get(id).is_some_and(|node| node.summary.links.is_none());
        let collides =
            |other: &&PackageId| *other != id && packages.get(*other).is_some_and(|other| other.links() == Some(links));
        if let Some(other) = packages.keys().filter(|_| unknown).find(collides) {
            return Err(Error::failure(format!("both `{id}` and `{other}` link the native library `{links}`"))
                .because("a library may stand only once in a program, so that only one package may link it")
                .help("choose versions of them that do not, or that depend on the same package for it"));
        }
    }
    Ok(())
}

/// The same packages as `metadata` shows them.
///
/// # Errors
/// As for [`load`].
pub fn describe(
    global: &GlobalOptions,
    project: &Project,
    locked: &mut Locked<'_>,
    wanted: &BTreeSet<PackageId>,
    client: &Client,
    events: &(dyn Fn(Event) + Sync),
) -> Result<BTreeMap<PackageId, Described>> {
    all(global, project, locked, wanted, Purpose::Look, client, events)
}

fn all<T: Told>(
    global: &GlobalOptions,
    project: &Project,
    locked: &mut Locked<'_>,
    wanted: &BTreeSet<PackageId>,
    purpose: Purpose<'_>,
    client: &Client,
    events: &(dyn Fn(Event) + Sync),
) -> Result<BTreeMap<PackageId, T>> {
    let store = Store::open(&global.place.bulkhead_home).map_err(verification)?;
    let disk = &global.place.disk;
    let mut packages = BTreeMap::new();
    let mut stored = Vec::new();
    for &id in wanted {
        if let Some(package) = project.workspace.package(id) {
            packages.insert(id, T::of(package));
        } else if let Some(package) = locked.sources.unpacked(id) {
            match locked.sources.repository(id) {
                Some(repository) => witness(disk, &repository.root),
                // Its folder is not addressed by its content.
                None => disk.never_repeat(),
            }
            if id.source().is_registry() {
                // Whoever wrote the folder left out what its files are to be compared with.
                digest_of(locked, id)?;
            }
            packages.insert(id, T::of(package));
        } else {
            let summary = summary_of(locked, id)?;
            stored.push((digest_in(&summary)?, summary));
        }
    }
    let notebook = store.notebook(&project.workspace.root, writer(global));
    let shelf = Shelf::new(&store, &notebook, purpose, client, disk, events);
    let mut absent = Vec::new();
    for ((_, summary), found) in stored.iter().zip(look_up(&shelf, &stored)) {
        match found? {
            Found::Known(answer) => drop(packages.insert(summary.id, answer)),
            Found::Archive => {}
            Found::Nothing => absent.push(summary.id),
        }
    }
    shelf.bind();
    if !absent.is_empty() {
        disk.never_repeat();
        let root = &project.workspace.root;
        let downloaded = download(global, root, &store, purpose, locked, &absent, client, events)?;
        packages.extend(downloaded.iter().map(|package| (package.id, T::of(package))));
    }
    Ok(packages)
}

/// Notes what shows whether a tree of the store was changed.
fn witness(disk: &Disk, root: &Path) {
    PackageTree::witnesses(root).iter().for_each(|path| disk.note(path, true));
}

/// What stands for this program in notes: another version may read manifests otherwise.
fn writer(global: &GlobalOptions) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(metadata) = global.place.disk.metadata(&global.place.program) else { return 0 };
    let identity = [metadata.ino(), metadata.len(), metadata.ctime().cast_unsigned(), metadata.ctime_nsec() as u64];
    let digest = Digest::of(&identity.map(u64::to_le_bytes).concat());
    digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Where packages are looked up, and how.
struct Shelf<'a> {
    store: &'a Store,
    notebook: &'a Notebook,
    /// What is noted, and not in the notebook.
    unbound: Mutex<Vec<(PackageId, Digest)>>,
    purpose: Purpose<'a>,
    offline: bool,
    disk: &'a Disk,
    events: &'a (dyn Fn(Event) + Sync),
}

impl<'a> Shelf<'a> {
    fn new(
        store: &'a Store,
        notebook: &'a Notebook,
        purpose: Purpose<'a>,
        client: &Client,
        disk: &'a Disk,
        events: &'a (dyn Fn(Event) + Sync),
    ) -> Self {
        Self { store, notebook, unbound: Mutex::default(), purpose, offline: client.options().offline, disk, events }
    }

    fn to_bind(&self, id: PackageId, archive: Digest) {
        self.unbound.lock().unwrap_or_else(PoisonError::into_inner).push((id, archive));
    }

    /// The next command finds in the project's notebook what this one had to look for.
    fn bind(&self) {
        let unbound = std::mem::take(&mut *self.unbound.lock().unwrap_or_else(PoisonError::into_inner));
        if !unbound.is_empty() {
            self.store.bind(self.notebook, &unbound);
        }
    }
}

/// Brings one package here that belongs to no workspace, with what its index says of it.
///
/// # Errors
/// As [`load`].
pub fn one(
    global: &GlobalOptions,
    sources: &mut Sources<'_>,
    summary: &Summary,
    client: &Client,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Arc<Package>> {
    let id = summary.id;
    if let Some(package) = sources.unpacked(id) {
        return Ok(Arc::clone(package));
    }
    let digest = digest_in(summary)?;
    let store = Store::open(&global.place.bulkhead_home).map_err(verification)?;
    // It belongs to no project, and nothing is written into this.
    let notebook = store.notebook(Path::new(""), writer(global));
    let shelf = Shelf::new(&store, &notebook, Purpose::Build, client, &global.place.disk, events);
    if let Found::Known(package) = find(&shelf, summary, digest)? {
        return Ok(package);
    }
    events(Event::Status { verb: "Downloading", message: "crates ...".to_owned() });
    let answer = match sources.archive(id, &digest.to_string())? {
        Archive::Local { bytes, .. } => bytes,
        Archive::Remote(request) => {
            let mut arriving = client.download(vec![request], &Arc::default());
            arriving.next().map(|(_, answer)| answer).ok_or_else(|| Error::failure("the download did not finish"))?
        }
    };
    let (archive, bytes) = accept_as(summary, None, answer)?;
    let package = unpack(&store, summary, &archive)?;
    events(Event::Downloaded { package: id, bytes });
    Ok(package)
}

/// What is said of a tree that was changed, and whose archive is no help.
pub(crate) const DAMAGED: &str = "store-damaged";

/// Compares the trees of packages with their records. One that was changed is unpacked once more, and the user hears of it.
///
/// # Errors
/// [`DAMAGED`]: it has to be downloaded again. Others of the store.
pub(crate) fn verify(
    global: &GlobalOptions,
    wanted: &[(PackageId, Digest)],
    events: &(dyn Fn(Event) + Sync),
) -> std::result::Result<(), Diagnostic> {
    let store = Store::open(&global.place.bulkhead_home)?;
    let one = |&(id, archive): &(PackageId, Digest)| match store.get(id, archive)? {
        None => Err(Diagnostic::error(DAMAGED, format!("`{id}` is not in the store any more"))
            .help("run `bulkhead fetch` to download it again")),
        Some(tree) => {
            if let Some(finding) = &tree.healed {
                global.place.disk.never_repeat();
                events(healed(id, finding));
            }
            Ok(())
        }
    };
    in_shares(wanted, processors(), &one).into_iter().collect()
}

/// Tells of a tree that was changed.
fn healed(id: PackageId, Finding { path, problem }: &Finding) -> Event {
    Event::Warning(format!("{}: {problem}; `{id}` was unpacked again from its archive", path.display()))
}

/// Fewest packages that are worth a thread of their own, if their files have to be looked at.
const SHARE: usize = 24;

/// What the store has of a package.
enum Found<T> {
    /// Nothing of use: it has to be downloaded.
    Nothing,
    /// Its archive, where that will do.
    Archive,
    /// Its tree, and this is what there is to know of it.
    Known(T),
}

/// Finds the packages that are in the store, in the order of `wanted`.
fn look_up<T: Told>(shelf: &Shelf<'_>, wanted: &[(Digest, Arc<Summary>)]) -> Vec<Result<Found<T>>> {
    let one = |(digest, summary): &(Digest, Arc<Summary>)| find(shelf, summary, *digest);
    // If all that is to be known stands in the project's notebook, threads would cost more than they share.
    let is_noted = shelf.purpose == Purpose::Look && !shelf.notebook.is_empty();
    in_shares(wanted, if is_noted { 1 } else { processors() }, &one)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}

/// What `one` makes of each, in order, on as many threads as are worth it.
fn in_shares<W: Sync, R: Send>(wanted: &[W], threads: usize, one: &(dyn Fn(&W) -> R + Sync)) -> Vec<R> {
    let workers = threads.min(wanted.len() / SHARE).max(1);
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

/// Looks one package up: in its notes if they will do, else by verifying its tree and reading its manifest.
fn find<T: Told>(shelf: &Shelf<'_>, summary: &Summary, digest: Digest) -> Result<Found<T>> {
    let id = summary.id;
    if shelf.purpose.is_served_by_archive(id) && shelf.store.keeps(id, digest).map_err(verification)? {
        return Ok(Found::Archive);
    }
    let recalled = || {
        let (root, noted) = shelf.store.notes(shelf.notebook, id, digest)?;
        let answer = T::recall(&Notes::read(&noted, summary)?, id, &root)?;
        for (path, seen) in PackageTree::witnesses(&root).iter().zip(&noted.witnesses) {
            shelf.disk.note_seen(path, seen);
        }
        if !noted.is_bound() {
            shelf.to_bind(id, digest);
        }
        Some(answer)
    };
    if shelf.purpose == Purpose::Look
        && let Some(answer) = recalled()
    {
        return Ok(Found::Known(answer));
    }
    let tree = match shelf.store.get(id, digest) {
        Ok(Some(tree)) => tree,
        Ok(None) => return Ok(Found::Nothing),
        // A tree that was changed is replaced by a fresh one, and the user hears of it.
        Err(damage) if damage.code == DAMAGED && !shelf.offline => {
            (shelf.events)(Event::Warning(format!("{damage}; it is downloaded and unpacked again")));
            return Ok(Found::Nothing);
        }
        Err(damage) => return Err(verification(damage)),
    };
    if let Some(finding) = &tree.healed {
        shelf.disk.never_repeat();
        (shelf.events)(healed(id, finding));
    } else if shelf.purpose != Purpose::Look
        && let Some(answer) = recalled()
    {
        return Ok(Found::Known(answer));
    }
    let package = read_as(&tree, summary)?;
    if let Some((brief, json)) = Notes::write(&package, summary) {
        shelf.store.note(shelf.notebook, &tree, &brief, json.as_bytes());
        shelf.to_bind(id, digest);
    }
    witness(shelf.disk, &tree.root);
    Ok(Found::Known(T::of(&package)))
}

/// The package in a verified tree, which must be the one that it is said to be.
fn read(tree: &PackageTree) -> Result<Arc<Package>> {
    let package =
        load_package(&Disk::default(), &tree.root.join("Cargo.toml"), tree.id.source()).map_err(|diagnostics| {
            Error::from(diagnostics).while_doing(format!("failed to read the manifest of `{}`", tree.id))
        })?;
    if package.id != tree.id {
        let message = format!("the archive of `{}` holds `{}`", tree.id, package.id);
        return Err(Error::refusal(ErrorKind::Verification, "manifest-mismatch", message)
            .help("do not use this version, and tell the registry's operator"));
    }
    Ok(package)
}

/// The same, which must also be what its index entry says.
fn read_as(tree: &PackageTree, summary: &Summary) -> Result<Arc<Package>> {
    let package = read(tree)?;
    verify_manifest(summary, &package.summary).map_err(|found| verification((*found).into()))?;
    Ok(package)
}

pub(crate) fn verification(diagnostic: Diagnostic) -> Error {
    // A disk that is full or not writable has falsified nothing.
    let kind = if diagnostic.code == "store-file" { ErrorKind::Failure } else { ErrorKind::Verification };
    Error { kind, ..Error::from(diagnostic) }
}

fn digest_of(locked: &Locked<'_>, id: PackageId) -> Result<Digest> {
    digest_in(&*summary_of(locked, id)?)
}

fn summary_of(locked: &Locked<'_>, id: PackageId) -> Result<Arc<Summary>> {
    let node = locked.resolve.nodes.get(&id);
    node.map(|node| Arc::clone(&node.summary)).ok_or_else(|| Error::failure(format!("`{id}` is not in the graph")))
}

fn digest_in(summary: &Summary) -> Result<Digest> {
    let checksum = summary.checksum.as_deref().and_then(|text| Digest::parse(text).ok());
    let message = || format!("the index names no valid checksum for `{}`", summary.id);
    checksum.ok_or_else(|| {
        Error::refusal(ErrorKind::Verification, "checksum-missing", message())
            .help("without one nothing can be verified: tell the registry's operator")
    })
}

/// Brings the archives of `ids` here, from wherever they are. Returns the packages that were unpacked.
#[expect(clippy::too_many_arguments, reason = "it is a part of the function above")]
fn download(
    global: &GlobalOptions,
    workspace_root: &Path,
    store: &Store,
    purpose: Purpose<'_>,
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
                packages.extend(accept(store, purpose, locked, id, bytes)?.0);
            }
        }
    }
    pins::check(global, workspace_root, locked.sources.servers(), true, events)?;
    if !requests.is_empty() {
        packages.extend(download_all(store, purpose, locked, requests, client, events)?);
    }
    Ok(packages)
}

/// Downloads run on the client's own threads; verification and unpacking on as many workers as there are processors,
/// while the rest arrives.
fn download_all(
    store: &Store,
    purpose: Purpose<'_>,
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
    let finished = Mutex::new((0, Vec::with_capacity(total), Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(total);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((id, answer)) = next(&arriving) {
                    let outcome = accept(store, purpose, locked, id, answer);
                    let mut finished = finished.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok((package, bytes)) => {
                            received.fetch_add(bytes, Ordering::Relaxed);
                            finished.0 += 1;
                            finished.1.extend(package);
                            events(Event::Downloaded { package: id, bytes });
                        }
                        Err(error) => finished.2.push(error),
                    }
                    let bytes = progress.received.load(Ordering::Relaxed);
                    events(Event::DownloadProgress { done: finished.0, total, bytes });
                }
            });
        }
    });
    let (done, packages, mut errors) = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    match errors.pop() {
        Some(error) => Err(error),
        None if done < total => Err(Error::failure("some downloads did not finish")),
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

/// Verifies one archive; keeps it, or unpacks and reads it. Returns the package in the second case, and the archive's size.
fn accept(
    store: &Store,
    purpose: Purpose<'_>,
    locked: &Locked<'_>,
    id: PackageId,
    answer: std::result::Result<Vec<u8>, SourceError>,
) -> Result<(Option<Arc<Package>>, u64)> {
    let lock = locked.previous.as_ref().and_then(|previous| previous.checksums.get(&id)).map(String::as_str);
    let summary = summary_of(locked, id)?;
    let (archive, length) = accept_as(&summary, lock, answer)?;
    if purpose.is_served_by_archive(id) {
        store.keep(&archive).map_err(|diagnostic| unpacking(id, diagnostic))?;
        return Ok((None, length));
    }
    Ok((Some(unpack(store, &summary, &archive)?), length))
}

/// Verifies one archive, whose index entry is `summary`. Returns its size too.
fn accept_as(
    summary: &Summary,
    lock: Option<&str>,
    answer: std::result::Result<Vec<u8>, SourceError>,
) -> Result<(Verified<CrateArchive>, u64)> {
    let id = summary.id;
    let bytes = answer.map_err(|error| source_error(error).while_doing(format!("failed to download `{id}`")))?;
    let length = bytes.len() as u64;
    let archive = verify_archive(id, bytes, &Expected { index: summary.checksum.as_deref(), lock })
        .map_err(|mismatch| verification(Diagnostic::from(mismatch)))?;
    Ok((archive, length))
}

/// Unpacks and reads one archive.
fn unpack(store: &Store, summary: &Summary, archive: &Verified<CrateArchive>) -> Result<Arc<Package>> {
    let tree = store.insert(archive).map_err(|diagnostic| unpacking(summary.id, diagnostic))?;
    read_as(&tree, summary)
}

fn unpacking(id: PackageId, diagnostic: Diagnostic) -> Error {
    let error = verification(diagnostic);
    if error.kind == ErrorKind::Failure { error.while_doing(format!("failed to unpack `{id}`")) } else { error }
}
