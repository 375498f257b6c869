//! Packages and versions under dense numbers, and which versions meet which requirement.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use bulkhead_schema::{Dependency, PackageId, PackageName, SourceId, Summary, Symbol};
use semver::{Version, VersionReq};

use crate::keep::{self, Kept};
use crate::{PublishAge, Registry, Request, VersionEntry, VersionOrder, Youth};

/// A hash map for keys that are addresses and small numbers.
pub(super) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Multiplies and folds. The keys are numbers that we hand out ourselves and versions that differ anyway.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(0x9E37_79B9_7F4A_7C15_u64);
        // The two halves together depend on every bit of both factors.
        #[expect(clippy::cast_possible_truncation, reason = "the truncation is the folding")]
        let folded = product as u64 ^ (product >> 64) as u64;
        self.0 = folded;
    }
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }
}

/// A number of a package (name and source).
pub(super) type PackageIndex = u32;
/// A number of a version of a package that has been looked at.
pub(super) type VersionIndex = u32;
/// A number of a range of compatible versions of a package: at most one version of each is chosen.
pub(super) type Bucket = u32;

/// Versions are compatible if their leftmost non-zero parts are equal (Cargo Book, "SemVer compatibility").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Compatibility {
    Major(u64),
    Minor(u64),
    Patch(u64),
}

fn compatibility(version: &Version) -> Compatibility {
    match (version.major, version.minor, version.patch) {
        (0, 0, patch) => Compatibility::Patch(patch),
        (0, minor, _) => Compatibility::Minor(minor),
        (major, _, _) => Compatibility::Major(major),
    }
}

/// A package.
struct Package<'a> {
    source: SourceId,
    name: PackageName,
    published: &'a [VersionEntry],
    /// Which of these are on this machine, if they are preferred.
    downloaded: Option<&'a [bool]>,
    /// Local packages and patches, which come after the published ones in the numbering of positions.
    local: Vec<Arc<Summary>>,
    /// The number of the version at each position that was looked at.
    numbers: Vec<Option<VersionIndex>>,
}

/// A version that has been looked at.
pub(super) struct Candidate {
    /// Its summary.
    pub(super) summary: Arc<Summary>,
    /// Its range.
    pub(super) bucket: Bucket,
    /// What its dependencies can lead to, once asked for.
    dependencies: Option<Box<[Option<Target>]>>,
}

/// What a dependency can lead to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The package that is named.
    pub(super) package: PackageIndex,
    /// Positions of the versions to try, best first.
    pub(super) candidates: Rc<[u32]>,
}

#[derive(PartialEq, Eq, Hash)]
enum Wanted {
    Any,
    Matching(VersionReq),
    Exactly(Version),
    /// `--precise`: this one if the requirement allows it. Build metadata may be left out, as people do.
    Precisely(VersionReq, Version),
}

/// Everything that resolution looks things up in.
pub(super) struct Universe<'a> {
    registry: &'a dyn Registry,
    order: VersionOrder,
    rust_versions: &'a [Version],
    publish_age: Option<&'a PublishAge>,
    kept: Kept,
    local: FastMap<(SourceId, PackageName), Vec<Arc<Summary>>>,
    patches: FastMap<(SourceId, PackageName), Vec<Arc<Summary>>>,
    packages: Vec<Package<'a>>,
    package_numbers: FastMap<(SourceId, PackageName), Option<PackageIndex>>,
    candidates: Vec<Candidate>,
    buckets: FastMap<(PackageName, SourceId, Compatibility), Bucket>,
    lists: FastMap<(PackageIndex, Wanted), Rc<[u32]>>,
    /// Packages that were needed and are not loaded.
    pub(super) missing: BTreeSet<(SourceId, PackageName)>,
}

impl<'a> Universe<'a> {
    pub(super) fn new(request: &'a Request<'_>, registry: &'a dyn Registry) -> Self {
        let mut local: FastMap<_, Vec<_>> = FastMap::default();
        let members = request.members.iter().map(|member| &member.summary);
        let patches =
            request.patches.iter().map(|patch| &patch.summary).filter(|summary| summary.id.source().is_path());
        for summary in members.chain(request.path_packages).chain(patches) {
            let same: &mut Vec<Arc<Summary>> = local.entry((summary.id.source(), summary.id.name())).or_default();
            if !same.iter().any(|known| known.id == summary.id) {
                same.push(Arc::clone(summary));
            }
        }
        let mut patches: FastMap<_, Vec<_>> = FastMap::default();
        for patch in request.patches {
            patches
                .entry((patch.patched.as_patched(), patch.summary.id.name()))
                .or_default()
                .push(Arc::clone(&patch.summary));
        }
        Self {
            registry,
            order: request.version_order,
            rust_versions: &request.rust_versions,
            publish_age: request.publish_age,
            kept: keep::kept(request),
            local,
            patches,
            packages: Vec::new(),
            package_numbers: FastMap::default(),
            candidates: Vec::new(),
            buckets: FastMap::default(),
            lists: FastMap::default(),
            missing: BTreeSet::new(),
        }
    }

    pub(super) fn candidate(&self, version: VersionIndex) -> &Candidate {
        &self.candidates[version as usize]
    }

    pub(super) fn id(&self, version: VersionIndex) -> PackageId {
        self.candidate(version).summary.id
    }

    /// Name and source of a package.
    pub(super) fn package_key(&self, package: PackageIndex) -> (SourceId, PackageName) {
        let package = &self.packages[package as usize];
        (package.source, package.name)
    }

    /// The range into which a version falls if it is taken in the name of `source`, which differs from its own source
    /// for patches.
    pub(super) fn bucket(&mut self, name: PackageName, source: SourceId, version: &Version) -> Bucket {
        let next = number(self.buckets.len());
        *self.buckets.entry((name, source.without_commit(), compatibility(version))).or_insert(next)
    }

    /// Numbers a summary that is given, as members are.
    pub(super) fn add(&mut self, summary: Arc<Summary>) -> VersionIndex {
        let bucket = self.bucket(summary.id.name(), summary.id.source(), summary.id.version());
        self.candidates.push(Candidate { summary, bucket, dependencies: None });
        number(self.candidates.len() - 1)
    }

    /// Version and range key at a position, without loading the summary.
    pub(super) fn version_at(&self, package: PackageIndex, position: u32) -> &Version {
        let package = &self.packages[package as usize];
        match package.published.get(position as usize) {
            Some(entry) => &entry.version,
            None => package.local[position as usize - package.published.len()].id.version(),
        }
    }

    /// The range of the version at a position.
    pub(super) fn bucket_at(&mut self, package: PackageIndex, position: u32) -> Bucket {
        let key = &self.packages[package as usize];
        if let Some(Some(version)) = key.numbers.get(position as usize) {
            return self.candidate(*version).bucket;
        }
        let (source, name) = match key.published.get(position as usize) {
            Some(_) => (key.source, key.name),
            None => {
                let id = key.local[position as usize - key.published.len()].id;
                (id.source().without_commit(), id.name())
            }
        };
        let compatibility = compatibility(self.version_at(package, position));
        let next = number(self.buckets.len());
        *self.buckets.entry((name, source, compatibility)).or_insert(next)
    }

    /// The version at a position; `None` if its index entry is broken.
    pub(super) fn load(&mut self, package: PackageIndex, position: u32) -> Option<VersionIndex> {
        let place = position as usize;
        let known = &self.packages[package as usize];
        if let Some(Some(version)) = known.numbers.get(place) {
            return Some(*version);
        }
        let summary = match known.published.get(place) {
            Some(entry) => {
                self.registry.summary(PackageId::new(known.name, entry.version.clone(), known.source)).ok()?
            }
            None => Arc::clone(known.local.get(place - known.published.len())?),
        };
        // A local package may be reached as a member, by path and as a patch: it is the same package.
        let is_local = !summary.id.source().is_registry();
        let mut known = self.candidates.iter().filter(|_| is_local);
        let version = match known.position(|candidate| candidate.summary.id == summary.id) {
            Some(version) => number(version),
            None => self.add(summary),
        };
        self.packages[package as usize].numbers[place] = Some(version);
        Some(version)
    }

    /// What the dependencies of a version can lead to, parallel to its summary's list; `None` where a package is not
    /// loaded yet.
    pub(super) fn targets(
        &mut self,
        version: VersionIndex,
        wanted: impl Fn(usize, &Dependency) -> bool,
    ) -> Vec<Option<Target>> {
        let summary = Arc::clone(&self.candidate(version).summary);
        let each = summary.dependencies.iter().enumerate();
        each.map(|(place, dependency)| {
            if !wanted(place, dependency) {
                return None;
            }
            if let Some(known) = &self.candidate(version).dependencies
                && let Some(target) = &known[place]
            {
                return Some(target.clone());
            }
            let target = self.target(summary.id, dependency)?;
            self.remember(version, place, target.clone());
            Some(target)
        })
        .collect()
    }

    fn remember(&mut self, version: VersionIndex, place: usize, target: Target) {
        let candidate = &mut self.candidates[version as usize];
        let count = candidate.summary.dependencies.len();
        candidate.dependencies.get_or_insert_with(|| vec![None; count].into())[place] = Some(target);
    }

    fn target(&mut self, parent: PackageId, dependency: &Dependency) -> Option<Target> {
        let package = self.package(dependency.source, dependency.package)?;
        let patches: Vec<PackageId> = self
            .patches
            .get(&(dependency.source.as_patched(), dependency.package))
            .map(|patches| patches.iter().map(|summary| summary.id).collect())
            .unwrap_or_default();
        let wanted = match self.kept.lock_of(parent, dependency, &patches) {
            Some(id) => Wanted::Exactly(id.version().clone()),
            None => self.unlocked_want(dependency),
        };
        let candidates = self.matching(package, wanted);
        Some(Target { package, candidates })
    }

    /// The version that `--precise` names for `dependency`.
    pub(super) fn precise(&self, dependency: &Dependency) -> Option<&Version> {
        let (old, new) = self.kept.precise.as_ref()?;
        let is_meant =
            old.source().without_commit() == dependency.source && keep::matches_ignoring_source(dependency, *old);
        is_meant.then_some(new)
    }

    fn unlocked_want(&self, dependency: &Dependency) -> Wanted {
        if let Some(new) = self.precise(dependency) {
            let requirement =
                if dependency.specified_requirement { dependency.requirement.clone() } else { VersionReq::STAR };
            return Wanted::Precisely(requirement, new.clone());
        }
        if dependency.specified_requirement { Wanted::Matching(dependency.requirement.clone()) } else { Wanted::Any }
    }

    /// The number of a package; `None` if it is not loaded, which is noted.
    fn package(&mut self, source: SourceId, name: PackageName) -> Option<PackageIndex> {
        if let Some(known) = self.package_numbers.get(&(source, name)) {
            return *known;
        }
        let published = if source.is_path() { Some(&[][..]) } else { self.registry.versions(source, name) };
        let Some(published) = published else {
            self.missing.insert((source, name));
            self.package_numbers.insert((source, name), None);
            return None;
        };
        let mut local = self.local.get(&(source, name)).cloned().unwrap_or_default();
        local.extend(self.patches.get(&(source.as_patched(), name)).into_iter().flatten().cloned());
        let numbers = vec![None; published.len() + local.len()];
        let downloaded = self.registry.downloaded(source, name).filter(|here| here.len() == published.len());
        self.packages.push(Package { source, name, published, downloaded, local, numbers });
        let index = number(self.packages.len() - 1);
        self.package_numbers.insert((source, name), Some(index));
        Some(index)
    }

    /// Positions of the versions that are `wanted`, best first: patches, versions of the previous lockfile, versions
    /// that the workspace's Rust can compile, then the highest.
    fn matching(&mut self, package: PackageIndex, wanted: Wanted) -> Rc<[u32]> {
        let key = (package, wanted);
        if let Some(known) = self.lists.get(&key) {
            return Rc::clone(known);
        }
        let positions = self.sorted(package, &key.1);
        let list: Rc<[u32]> = positions.into();
        self.lists.insert(key, Rc::clone(&list));
        list
    }

    fn sorted(&self, package: PackageIndex, wanted: &Wanted) -> Vec<u32> {
        let package = &self.packages[package as usize];
        let preferred = self.kept.preferred.get(&(package.source, package.name)).map(Vec::as_slice).unwrap_or_default();
        let fits = |version: &Version| match wanted {
            Wanted::Any => true,
            Wanted::Matching(requirement) => requirement.matches(version),
            Wanted::Exactly(exact) => exact == version,
            Wanted::Precisely(requirement, named) => {
                let same = named.cmp_precedence(version).is_eq();
                same && (named.build.is_empty() || named.build == version.build) && requirement.matches(version)
            }
        };
        let locked = matches!(wanted, Wanted::Exactly(_));
        let exact = locked || matches!(wanted, Wanted::Precisely(..));
        let local: Vec<u32> = (package.published.len()..package.numbers.len())
            .filter(|&at| fits(package.local[at - package.published.len()].id.version()))
            .map(number)
            .collect();
        if exact && !local.is_empty() {
            return local;
        }
        let patched = |version: &Version| package.local.iter().any(|summary| summary.id.version() == version);
        let mut published: Vec<u32> = package
            .published
            .iter()
            .enumerate()
            .filter(|(_, entry)| fits(&entry.version) && !patched(&entry.version))
            .filter(|(_, entry)| {
                // What is locked was chosen before. A version named with `--precise` may be yanked, but not too young.
                locked
                    || preferred.contains(&entry.version)
                    || (exact || !entry.yanked) && !self.is_too_young(package, entry)
            })
            .map(|(position, _)| number(position))
            .collect();
        let is_here = |position: &u32| package.downloaded.is_some_and(|here| here[*position as usize]);
        if published.iter().any(is_here) {
            published.retain(is_here);
        }
        if self.order == VersionOrder::Maximum {
            published.reverse();
        }
        if !preferred.is_empty() || !self.rust_versions.is_empty() {
            published.sort_by_cached_key(|&position| {
                let entry = &package.published[position as usize];
                (!preferred.contains(&entry.version), usize::MAX - self.compilable_by(entry))
            });
        }
        let mut all = local;
        all.sort_by(|a, b| b.cmp(a));
        all.append(&mut published);
        all
    }

    fn is_too_young(&self, package: &Package<'_>, entry: &VersionEntry) -> bool {
        self.publish_age
            .is_some_and(|rule| rule.youth(package.source, package.name, entry, package.published).is_some())
    }

    /// Why a published version is too young to be taken, if it is.
    pub(super) fn youth(&self, source: SourceId, name: PackageName, version: &Version) -> Option<Youth> {
        let published = self.published(source, name);
        let entry = published.iter().find(|entry| entry.version == *version)?;
        self.publish_age?.youth(source, name, entry, published)
    }

    /// How many of the workspace's Rust versions can compile a version.
    fn compilable_by(&self, entry: &VersionEntry) -> usize {
        let able = |rust: &&Version| match &entry.rust_version {
            None => true,
            Some(needed) => needed.major == rust.major && (needed.minor, needed.patch) <= (rust.minor, rust.patch),
        };
        self.rust_versions.iter().filter(able).count()
    }

    /// Everything published under the name of a dependency, for explanations.
    pub(super) fn published(&self, source: SourceId, name: PackageName) -> &'a [VersionEntry] {
        self.registry.versions(source, name).unwrap_or_default()
    }

    /// Local packages and patches that stand where `dependency` points.
    pub(super) fn local(&self, source: SourceId, name: PackageName) -> Vec<Arc<Summary>> {
        let local = self.local.get(&(source, name)).into_iter().flatten();
        local.chain(self.patches.get(&(source.as_patched(), name)).into_iter().flatten()).cloned().collect()
    }

    /// Names close to `name`.
    pub(super) fn similar(&self, source: SourceId, name: PackageName) -> Vec<String> {
        self.registry.similar(source, name)
    }

    /// The package to which `dependency` of `parent` is locked.
    pub(super) fn lock_of(&self, parent: PackageId, dependency: &Dependency) -> Option<PackageId> {
        self.kept.lock_of(parent, dependency, &[])
    }
}

/// Numbers fit 32 bits: inputs are bounded far below.
pub(super) fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Interned once: asked for at every activation.
pub(super) fn default_feature() -> Symbol {
    static DEFAULT: std::sync::LazyLock<Symbol> = std::sync::LazyLock::new(|| Symbol::new("default"));
    *DEFAULT
}
