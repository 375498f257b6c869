//! Versions that were taken back: yanked by their author while a lockfile keeps them, or no longer listed by a registry
//! that has listed them before.
//!
//! Registries do not take versions back; whoever shows an older index than yesterday's hides what was published since, such
//! as the version that mends a flaw. So this machine remembers of each package how many versions it has seen, and the
//! highest, apart from the index cache, which may be removed at any time. `Cargo.lock` is a memory too, one that travels
//! with the project.

#![expect(
    clippy::disallowed_methods,
    reason = "it is read only when a registry has answered, which no answer is kept of"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bulkhead_resolver::lock::Previous;
use bulkhead_resolver::{Registry as _, Resolve};
use bulkhead_schema::index::IndexFile;
use bulkhead_schema::policy::Reaction;
use bulkhead_schema::{PackageId, PackageName, SourceId};
use bulkhead_source::Fetched;
use bulkhead_trust::Digest;
use semver::Version;

use crate::error::Result;
use crate::project::Project;
use crate::sources::Sources;
use crate::{Error, ErrorKind, Event, disk};

/// Largest memory of one registry that is read, in bytes: far more than a million names need.
const MAX_MEMORY: u64 = 64 << 20;

/// What the registries of one command have taken back.
#[derive(Debug, Default)]
pub struct Withdrawals {
    home: PathBuf,
    reaction: Reaction,
    memories: BTreeMap<SourceId, Memory>,
    /// What is gone, as a sentence.
    gone: BTreeMap<(SourceId, PackageName), String>,
    /// The names about which a registry has answered.
    answered: BTreeSet<(SourceId, PackageName)>,
}

impl Withdrawals {
    /// Nothing is known yet; `home` is `BULKHEAD_HOME`.
    pub fn new(home: PathBuf, reaction: Reaction) -> Self {
        Self { home, reaction, ..Self::default() }
    }

    /// Compares an answer with what was seen before. Returns what there is to tell.
    pub fn hear(&mut self, source: SourceId, answer: &Fetched) -> Option<String> {
        let Ok(index) = &answer.index else { return None };
        if self.reaction == Reaction::Allow || !self.answered.insert((source, answer.name)) {
            return None;
        }
        let memory = self.memories.entry(source).or_insert_with(|| Memory::load(&self.home, source));
        let now = Seen::of(index.as_deref());
        let before = memory.before(answer, &now);
        if before.as_ref().is_none_or(|before| before.is_within(index.as_deref(), &now)) {
            memory.set(answer.name, now);
            return None;
        }
        let before = before?;
        let what = match answer.vanished.as_slice() {
            [] => {
                format!("the registry lists {} of `{}`; this machine has seen {before} there", now.count(), answer.name)
            }
            vanished => {
                let versions: Vec<String> = vanished.iter().take(5).map(ToString::to_string).collect();
                let versions = versions.join(", ");
                format!(
                    "the registry no longer lists `{}` {versions}, which this machine has seen there before",
                    answer.name
                )
            }
        };
        // What is refused stays known, so that it is refused the next time too; a warning is given once.
        memory.set(answer.name, if self.reaction == Reaction::Deny { before } else { now });
        self.gone.insert((source, answer.name), what.clone());
        Some(what)
    }

    /// Keeps what was heard.
    fn save(&self, events: &dyn Fn(Event)) {
        for memory in self.memories.values() {
            if let Err(error) = memory.save() {
                events(Event::Warning(format!("what registries list now will not be remembered: {error}")));
            }
        }
    }

    fn memory_of(&self, source: SourceId) -> PathBuf {
        Memory::path(&self.home, source)
    }
}

/// Judges what is missing or was yanked, of the packages that the project uses or has used.
///
/// # Errors
/// `version-vanished`, `version-yanked`: policy refuses it.
pub fn check(
    project: &Project,
    sources: &Sources<'_>,
    previous: Option<&Previous>,
    resolve: &Resolve,
    events: &dyn Fn(Event),
) -> Result<()> {
    let withdrawals = sources.withdrawals();
    withdrawals.save(events);
    let locked = || previous.into_iter().flat_map(|previous| previous.packages.keys());
    if withdrawals.reaction == Reaction::Deny {
        let used: BTreeSet<_> = locked().chain(resolve.nodes.keys()).map(|id| (id.source(), id.name())).collect();
        if let Some((&(source, name), what)) = withdrawals.gone.iter().find(|(key, _)| used.contains(key)) {
            let memory = withdrawals.memory_of(source);
            return Err(vanished(what).help(format!(
                "if the registry's operator confirms it, remove the line of `{name}` from `{}`",
                memory.display()
            )));
        }
    }
    for id in locked().filter(|id| withdrawals.reaction != Reaction::Allow && is_gone(**id, sources)) {
        let what = gone(*id);
        match withdrawals.reaction {
            Reaction::Deny => {
                return Err(vanished(&what).help("if the operator confirms it, remove its entry from Cargo.lock"));
            }
            _ if withdrawals.gone.contains_key(&(id.source(), id.name())) => {}
            _ => events(Event::Warning(what)),
        }
    }
    if project.policy.withdrawn.yanked != Some(Reaction::Deny) {
        return Ok(());
    }
    let yanked = locked().find(|id| resolve.nodes.contains_key(id) && is_yanked(sources, **id));
    match yanked {
        None => Ok(()),
        Some(id) => {
            Err(Error::refusal(ErrorKind::Policy, "version-yanked", yanked_message(*id)).help(yanked_advice(*id)))
        }
    }
}

/// The failure of a resolution: a refusal if policy forbids that a locked version is gone.
pub fn failed(project: &Project, sources: &Sources<'_>, previous: Option<&Previous>, error: Error) -> Error {
    if error.kind != ErrorKind::Failure || project.policy.withdrawn.vanished != Some(Reaction::Deny) {
        return error;
    }
    match previous.into_iter().flat_map(|previous| previous.packages.keys()).find(|id| is_gone(**id, sources)) {
        Some(id) => vanished(&gone(*id)).help("if the operator confirms it, remove its entry from Cargo.lock"),
        None => error,
    }
}

fn gone(id: PackageId) -> String {
    format!("Cargo.lock has `{id}`, which the registry no longer lists")
}

/// Whether a package of a registry was withdrawn by its author, as far as its index entry was looked at.
pub fn is_yanked(sources: &Sources<'_>, id: PackageId) -> bool {
    let published = sources.versions(id.source(), id.name()).unwrap_or_default();
    published.iter().any(|entry| entry.yanked && entry.version == *id.version())
}

/// What is said of a yanked version.
pub fn yanked_message(id: PackageId) -> String {
    format!("`{id}` was yanked by its author, and only Cargo.lock keeps it")
}

/// What to do about it.
pub fn yanked_advice(id: PackageId) -> String {
    format!("`bulkhead update {}@{}` moves to another version", id.name(), id.version())
}

fn vanished(what: &str) -> Error {
    Error::refusal(ErrorKind::Policy, "version-vanished", what)
        .because("registries do not take versions back: an older index hides what was published since")
        .help("find out from the registry's operator what happened; `vanished` of `[withdrawn]` in the policy forbids to go on")
}

/// Whether a registry that answered does not have a version; one whose entry cannot be used is told of elsewhere.
fn is_gone(id: PackageId, sources: &Sources<'_>) -> bool {
    let (source, name) = (id.source(), id.name());
    let listed =
        || sources.versions(source, name).unwrap_or_default().iter().any(|entry| entry.version == *id.version());
    sources.withdrawals().answered.contains(&(source, name))
        && !listed()
        && sources.unusable(source, name, &|version| version == id.version()).is_empty()
}

/// What was seen of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    versions: usize,
    highest: Option<Version>,
}

impl Seen {
    fn of(index: Option<&IndexFile>) -> Self {
        let listed = index.map(IndexFile::versions).unwrap_or_default();
        let rejected = index.map_or(0, |index| index.rejected().len());
        let highest = listed.iter().map(|entry| &entry.version).max().cloned();
        Self { versions: listed.len() + rejected, highest }
    }

    /// Whether nothing of it is missing in `index`, of which `now` was seen.
    fn is_within(&self, index: Option<&IndexFile>, now: &Self) -> bool {
        let has = |version: &Version| index.is_some_and(|index| index.position(version).is_some());
        self.versions <= now.versions && self.highest.as_ref().is_none_or(has)
    }

    fn count(&self) -> String {
        match self.versions {
            0 => "nothing".to_owned(),
            1 => "one version".to_owned(),
            count => format!("{count} versions"),
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.count())?;
        self.highest.iter().try_for_each(|highest| write!(f, " up to {highest}"))
    }
}

/// What this machine has seen of one registry: a line for each package, `NAME VERSIONS HIGHEST`.
#[derive(Debug)]
struct Memory {
    path: PathBuf,
    source: SourceId,
    seen: BTreeMap<String, Seen>,
    changed: BTreeSet<String>,
}

impl Memory {
    fn path(home: &Path, source: SourceId) -> PathBuf {
        home.join("trust/seen").join(Digest::of(source.to_string().as_bytes()).to_string())
    }

    fn load(home: &Path, source: SourceId) -> Self {
        let path = Self::path(home, source);
        let seen = read(&path);
        Self { path, source, seen, changed: BTreeSet::new() }
    }

    /// What was seen before `answer`: by this memory, or by the index cache, if that knows more.
    fn before(&self, answer: &Fetched, now: &Seen) -> Option<Seen> {
        let known = self.seen.get(answer.name.as_str());
        let Some(last) = answer.vanished.iter().max() else { return known.cloned() };
        let highest =
            now.highest.iter().chain([last]).chain(known.and_then(|seen| seen.highest.as_ref())).max().cloned();
        let versions = (now.versions + answer.vanished.len()).max(known.map_or(0, |seen| seen.versions));
        Some(Seen { versions, highest })
    }

    fn set(&mut self, name: PackageName, seen: Seen) {
        let name = name.as_str().to_owned();
        // Of a name that nobody has ever registered there is nothing to remember.
        if self.seen.get(&name) != Some(&seen) && (seen.versions > 0 || self.seen.contains_key(&name)) {
            self.seen.insert(name.clone(), seen);
            self.changed.insert(name);
        }
    }

    /// Another process may have written meanwhile: only what changed here is brought in.
    fn save(&self) -> Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let mut all = read(&self.path);
        all.extend(self.changed.iter().filter_map(|name| Some((name.clone(), self.seen.get(name)?.clone()))));
        let mut text = format!("# What this machine has seen of {}.\n", self.source);
        for (name, Seen { versions, highest }) in all {
            let highest = highest.map_or_else(|| "-".to_owned(), |version| version.to_string());
            let _ = writeln!(text, "{name} {versions} {highest}");
        }
        disk::create_private(self.path.parent().unwrap_or(&self.path))?;
        disk::write_atomically(&self.path, text.as_bytes())
    }
}

/// The lines that are understood: a damaged memory knows less, and stops nobody from working.
fn read(path: &Path) -> BTreeMap<String, Seen> {
    let mut text = String::new();
    let opened = std::fs::File::open(path);
    if opened.and_then(|file| file.take(MAX_MEMORY).read_to_string(&mut text)).is_err() {
        return BTreeMap::new();
    }
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (name, versions, highest) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        let highest = if highest == "-" { None } else { Some(Version::parse(highest).ok()?) };
        Some((name.to_owned(), Seen { versions, highest }))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
}
