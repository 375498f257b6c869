//! `add`: dependencies written into a manifest.

mod announce;
pub(crate) mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bulkhead_resolver::{Registry as _, VersionEntry};
use bulkhead_schema::{DependencyKind, PackageId, PackageName, SourceId, Summary};
use bulkhead_workspace::edit::{Entry, ManifestEditor, Place, Section};
use bulkhead_workspace::{LoadOptions, Package, Workspace, relative};
use semver::{Version, VersionReq};

use crate::client::project_client;
use crate::error::Result;
use crate::git::GitSources;
use crate::lock::{self, LockRequest};
use crate::options::{AddOptions, GlobalOptions};
use crate::project::{self, Project};
use crate::provenance::{self, Provenance};
use crate::sources::{Freshness, Need, Sources};
use crate::{Error, ErrorKind, Event, compile, disk, manifests, newcomers, preferences, profiles, registries, status};

use self::request::{Wanted, requests};

/// A dependency that is about to be written.
struct Addition {
    /// Its key in the manifest.
    key: String,
    /// The package's name as it is shown.
    name: String,
    entry: Entry,
    /// The version whose features are shown.
    summary: Arc<Summary>,
    /// Whether that version is only the lowest of those that may be chosen.
    lowest: bool,
    /// Features that the workspace's own entry asks for.
    inherited_features: Vec<String>,
}

/// Where additions are looked up.
struct Finder<'a> {
    global: &'a GlobalOptions,
    options: &'a AddOptions,
    project: &'a Project,
    package: &'a Package,
    root: &'a ManifestEditor,
    sources: Sources<'a>,
    /// The member that was taken last because it has the name that was asked for.
    new_member: Option<PackageId>,
    events: &'a (dyn Fn(Event) + Sync),
}

/// Adds dependencies to the manifest of one member, and completes the lockfile.
///
/// # Errors
/// A package that is not to be found, an impossible combination of flags, a feature that does not exist, a manifest that
/// must not be changed. Nothing is written in any of these cases.
pub fn add(global: &GlobalOptions, options: &AddOptions, events: &(dyn Fn(Event) + Sync)) -> Result<()> {
    let wanted = requests(options)?;
    let project = project::open(global, &|_| ())?;
    let package = manifests::member(&project.workspace, options.package.as_deref())?
        .ok_or_else(|| undetermined(&project.workspace))?;
    let mut editor = manifests::open(global, &package.manifest_path)?;
    let root = manifests::open(global, &project.workspace.root_manifest)?;
    let client = project_client(global, &project)?;
    let table = project.configuration.config.sources()?;
    let home = global.place.bulkhead_home.clone();
    let mut sources = Sources::new(&client, home, table, registries::known(&project));
    sources.restrict(Provenance::new(&project.policy, &project.configuration));
    let git = GitSources::new(global, &project, std::iter::empty(), BTreeMap::new(), None)?;
    let named = wanted.iter().filter_map(|wanted| match &wanted.place {
        Some(Place::Git { url, reference, .. }) => Some(git_source(url, reference.as_ref())),
        _ => None,
    });
    sources.read_git(named.into_iter().try_fold(git, |git, source| Ok::<_, Error>(git.allowing(source?)))?);
    let mut finder = Finder {
        global,
        options,
        project: &project,
        package: &package,
        root: &root,
        sources,
        new_member: None,
        events,
    };
    let additions: Vec<Addition> =
        wanted.iter().map(|wanted| finder.addition(&editor, wanted)).collect::<Result<_>>()?;
    for addition in &additions {
        announce::dependency(addition, &options.section, events);
        if addition.summary.id == package.id {
            return Err(Error::failure(format!("cannot add `{}` as a dependency to itself", addition.name)));
        }
        provenance::refuse_name(&project.policy, addition.summary.id)?;
        announce::features(addition, global.quiet, events)?;
        write_entry(&mut editor, addition, &options.section, events);
    }
    if global.lock.locked && editor.is_changed() {
        return Err(locked(global, &package.manifest_path));
    }
    if options.dry_run {
        events(Event::Warning("aborting add due to dry run".to_owned()));
    } else {
        manifests::write(&editor, &package.manifest_path)?;
    }
    relock(global, options, events)
}

fn write_entry(editor: &mut ManifestEditor, addition: &Addition, section: &Section, events: &dyn Fn(Event)) {
    let key = &addition.key;
    editor.put(section, key, &addition.entry);
    if addition.entry.optional == Some(true) {
        if editor.add_feature(key) {
            events(Event::Status { verb: "Adding", message: format!("feature `{key}`") });
        }
    } else {
        editor.mend_features(key);
    }
}

/// Resolves the workspace; without writing the lockfile in a dry run.
fn relock(global: &GlobalOptions, options: &AddOptions, events: &(dyn Fn(Event) + Sync)) -> Result<()> {
    let project = project::open(global, &|_| ())?;
    let toolchain = compile::platforms(global, &project, &[])?;
    let client = project_client(global, &project)?;
    let ignore_rust_version = options.ignore_rust_version;
    let request = LockRequest {
        rustc: Some(toolchain.release),
        ignore_rust_version,
        write: !options.dry_run,
        ..LockRequest::keep()
    };
    let mut locked = lock::resolve(global, &project, &client, &request, events)?;
    status::report_changes(&locked, events);
    newcomers::announce(global, &project, &mut locked, &client, events);
    Ok(())
}

fn locked(global: &GlobalOptions, manifest: &Path) -> Error {
    let flag = global.lock.flag();
    let path = manifest.display();
    Error::failure(format!("the manifest file {path} needs to be updated but {flag} was passed to prevent this"))
}

fn undetermined(workspace: &Workspace) -> Error {
    Error::failure(format!(
        "`bulkhead add` could not determine which package to modify. Use the `--package` option to specify a package. \
         \navailable packages: {}",
        manifests::names(workspace)
    ))
}

impl Finder<'_> {
    fn addition(&mut self, editor: &ManifestEditor, wanted: &Wanted) -> Result<Addition> {
        let (key, entry) = match &wanted.place {
            Some(_) => self.named_place(editor, wanted)?,
            None => self.by_name(editor, wanted)?,
        };
        self.completed(wanted, key, entry)
    }

    /// The user says where it comes from: a version, a folder, a repository.
    fn named_place(&mut self, editor: &ManifestEditor, wanted: &Wanted) -> Result<(String, Entry)> {
        let place = wanted.place.clone().unwrap_or(Place::Workspace);
        let name = match (&wanted.name, &place) {
            (Some(name), _) => name.clone(),
            (None, Place::Path { path, .. }) => self.local(Path::new(path))?.id.name().to_string(),
            (None, Place::Git { url, reference, .. }) => self.only_package(git_source(url, reference.as_ref())?)?,
            (None, _) => return Err(nameless()),
        };
        let key = self.options.rename.clone().unwrap_or_else(|| name.clone());
        let place = match place {
            Place::Path { path, .. } => {
                let folder = disk::normalize(&self.global.place.current_dir.join(path));
                Place::Path { path: self.relative(&folder), version: None }
            }
            other => other,
        };
        let existing = editor.entry(&self.options.section, &key).map_err(Error::failure)?;
        let entry = match existing {
            Some(old) => Entry { place, registry: None, ..old },
            None => Entry::new(place),
        };
        Ok((key.clone(), Entry { package: self.renamed(&key, &name, entry.package.clone()), ..entry }))
    }

    /// The user gives a name: what the manifest already says of it, the workspace's entry, a member, or the newest
    /// version.
    fn by_name(&mut self, editor: &ManifestEditor, wanted: &Wanted) -> Result<(String, Entry)> {
        let name = wanted.name.clone().unwrap_or_default();
        if let Some(found) = self.known(editor, &name)? {
            return Ok(found);
        }
        let source = self.registry()?;
        let checked = PackageName::local(&name).map_err(|error| Error::failure(error.to_string()))?;
        let real = self.published_name(source, checked)?.ok_or_else(|| not_found(&name))?;
        if real.as_str() != name {
            (self.events)(Event::Warning(format!("translating `{name}` to `{real}`")));
            if let Some(found) = self.known(editor, real.as_str())? {
                return Ok(found);
            }
        }
        let version = self.newest(source, real)?;
        // Build metadata has no say in a requirement.
        let version = Version { build: semver::BuildMetadata::EMPTY, ..version };
        let key = self.options.rename.clone().unwrap_or_else(|| real.to_string());
        let entry = Entry::new(Place::Registry { version: version.to_string() });
        Ok((key.clone(), Entry { package: self.renamed(&key, real.as_str(), None), ..entry }))
    }

    /// What is known of a package without asking a registry.
    fn known(&mut self, editor: &ManifestEditor, name: &str) -> Result<Option<(String, Entry)>> {
        let key = self.options.rename.as_deref().unwrap_or(name);
        let mut best: Option<(u8, bool, Entry)> = None;
        for section in editor.sections() {
            let Some(entry) = editor.entry(&section, key).map_err(Error::failure)? else { continue };
            let same = section == self.options.section;
            // The last of the best is taken, as Cargo does.
            let rank = if same { 9 } else { preference(section.kind) };
            if entry.package.as_deref().unwrap_or(key) == name && best.as_ref().is_none_or(|(old, ..)| rank >= *old) {
                best = Some((rank, same, entry));
            }
        }
        if let Some((_, same, entry)) = best {
            // Another table's entry says where the package is, and no more.
            let entry = match same {
                true => entry,
                false => Entry {
                    registry: entry.registry,
                    package: entry.package,
                    ..Entry::new(self.without_version_for_development(entry.place))
                },
            };
            return Ok(Some((key.to_owned(), entry)));
        }
        if self.options.rename.is_none() && self.root.workspace_entry(key).map_err(Error::failure)?.is_some() {
            return Ok(Some((key.to_owned(), Entry::new(Place::Workspace))));
        }
        let member = self.project.workspace.members.iter().find(|member| member.id.name().as_str() == name);
        self.new_member = member.map(|member| member.id);
        Ok(member.map(|member| {
            let entry = Entry::new(Place::Path { path: self.relative(&member.root), version: None });
            (key.to_owned(), Entry { package: self.renamed(key, name, None), ..entry })
        }))
    }

    fn without_version_for_development(&self, place: Place) -> Place {
        match place {
            Place::Path { path, .. } if self.options.section.kind == DependencyKind::Development => {
                Place::Path { path, version: None }
            }
            Place::Git { url, reference, .. } if self.options.section.kind == DependencyKind::Development => {
                Place::Git { url, reference, version: None }
            }
            other => other,
        }
    }

    /// The flags, and the package that the entry leads to.
    fn completed(&mut self, wanted: &Wanted, key: String, mut entry: Entry) -> Result<Addition> {
        if entry.place == Place::Workspace {
            self.refuse_overrides(&key)?;
        }
        let options = self.options;
        entry.optional = options.optional.or(entry.optional);
        entry.public = options.public.or(entry.public);
        entry.default_features = options.default_features.or(entry.default_features);
        if let Some(name) = self.registry_name()? {
            self.registry_called(&name)?;
            entry.registry = Some(name);
        }
        if !wanted.features.is_empty() {
            entry.features = Some(merged(entry.features.take().unwrap_or_default(), &wanted.features));
        }
        let inherited = match entry.place {
            Place::Workspace => self.root.workspace_entry(&key).map_err(Error::failure)?,
            _ => None,
        };
        let meant = inherited.as_ref().unwrap_or(&entry);
        let package = meant.package.clone().unwrap_or_else(|| key.clone());
        let (summary, lowest) = self.summary(meant, &package, inherited.is_some())?;
        self.add_version(&mut entry, &summary);
        let lowest = lowest && !says_version(&entry, summary.id.version());
        let name = if inherited.is_some() { key.clone() } else { package };
        let inherited_features = inherited.and_then(|entry| entry.features).unwrap_or_default();
        Ok(Addition { key, name, entry, summary, lowest, inherited_features })
    }

    /// A new `path` or `git` entry names the version too, so that the package can be published.
    fn add_version(&self, entry: &mut Entry, summary: &Summary) {
        let development = self.options.section.kind == DependencyKind::Development;
        let placed = self.options.path.is_some() || self.options.git.is_some();
        let new = placed || self.new_member == Some(summary.id);
        if let (Place::Path { version, .. } | Place::Git { version, .. }, true) =
            (&mut entry.place, new && !development)
        {
            *version = Some(summary.id.version().to_string());
        }
    }

    fn refuse_overrides(&self, key: &str) -> Result<()> {
        let refused = |flag: &str, field: &str| {
            Err(Error::failure(format!(
                "cannot override workspace dependency with `--{flag}`, either change \
                 `workspace.dependencies.{key}.{field}` or define the dependency exclusively in the package's manifest"
            )))
        };
        let registry = self.options.registry.as_ref().filter(|name| *name != "crates-io");
        match (self.options.default_features, registry) {
            (Some(_), _) => refused("default-features", "default-features"),
            (_, Some(_)) => refused("registry", "registry"),
            _ => Ok(()),
        }
    }

    /// The lowest version that an entry allows: its features are there whichever version is chosen. Whether there may be
    /// higher ones.
    fn summary(&mut self, entry: &Entry, name: &str, inherited: bool) -> Result<(Arc<Summary>, bool)> {
        match &entry.place {
            Place::Path { path, .. } => {
                let base = if inherited { &self.project.workspace.root } else { &self.package.root };
                let package = self.local(&base.join(path))?;
                if package.id.name().as_str() != name {
                    let folder = disk::normalize(&base.join(path));
                    let place = folder.display();
                    return Err(Error::failure(format!("the crate `{name}@{place}` could not be found at `{place}`")));
                }
                Ok((Arc::clone(&package.summary), true))
            }
            Place::Git { url, reference, .. } => self.summary_in_git(name, url, reference.as_ref()),
            Place::Registry { version } => {
                let source = match &entry.registry {
                    Some(registry) => self.registry_called(registry)?,
                    None => self.registry()?,
                };
                self.lowest_summary(source, name, version)
            }
            Place::Workspace => Err(Error::failure(format!("`{name}` inherits from itself"))),
        }
    }

    /// The name of the one package in a repository.
    fn only_package(&mut self, source: SourceId) -> Result<String> {
        let packages = self.sources.packages_in(source, self.events)?;
        let names: BTreeSet<PackageName> = packages.iter().map(|package| package.id.name()).collect();
        let names: Vec<PackageName> = names.into_iter().collect();
        let url = source.url();
        match names.as_slice() {
            [one] => Ok(one.to_string()),
            [] => Err(Error::failure(format!("no packages found at `{url}`"))),
            many => {
                let many: Vec<&str> = many.iter().map(|name| name.as_str()).collect();
                let message = format!("multiple packages found at `{url}`:\n    {}", many.join(", "));
                Err(Error::failure(format!("{message}\nTo disambiguate, run `cargo add --git {url} <package>`")))
            }
        }
    }

    fn summary_in_git(
        &mut self,
        name: &str,
        url: &str,
        reference: Option<&(&'static str, String)>,
    ) -> Result<(Arc<Summary>, bool)> {
        let package = PackageName::local(name).map_err(|error| Error::failure(error.to_string()))?;
        let source = git_source(url, reference)?;
        let versions = self.versions(source, package)?;
        let Some(entry) = versions.last() else {
            return Err(Error::failure(format!("the crate `{name}@{url}` could not be found at `{url}`")));
        };
        let id = PackageId::new(package, entry.version.clone(), source);
        Ok((self.sources.summary(id)?, true))
    }

    fn lowest_summary(&mut self, source: SourceId, name: &str, version: &str) -> Result<(Arc<Summary>, bool)> {
        let required = VersionReq::parse(version)
            .map_err(|error| Error::failure(format!("invalid version requirement `{version}`")).because(error))?;
        let package = PackageName::local(name).map_err(|error| Error::failure(error.to_string()))?;
        let versions = self.versions(source, package)?;
        let lowest = versions.iter().find(|entry| !entry.yanked && required.matches(&entry.version));
        let lowest = lowest.ok_or_else(|| not_found(&format!("{name}@{version}")))?;
        let id = PackageId::new(package, lowest.version.clone(), source);
        Ok((self.sources.summary(id)?, true))
    }

    fn versions(&mut self, source: SourceId, name: PackageName) -> Result<Vec<VersionEntry>> {
        self.sources.load(&BTreeSet::from([(source, name)]), Freshness::Current, Need::Required, self.events)?;
        Ok(self.sources.versions(source, name).unwrap_or_default().to_vec())
    }

    /// The name under which the registry has the package, if it has it: `-` and `_` are mixed up easily, and capitals.
    fn published_name(&mut self, source: SourceId, name: PackageName) -> Result<Option<PackageName>> {
        let exact = self.versions(source, name);
        match &exact {
            Ok(versions) if !versions.is_empty() => return Ok(Some(name)),
            _ => {}
        }
        let others = request::other_spellings(name);
        let wanted: BTreeSet<_> = others.iter().map(|other| (source, *other)).collect();
        self.sources.load(&wanted, Freshness::Current, Need::Likely, self.events)?;
        let has_versions =
            |other: &PackageName| self.sources.versions(source, *other).is_some_and(|versions| !versions.is_empty());
        match others.into_iter().find(has_versions) {
            Some(other) => Ok(Some(other)),
            // An index that answers with another spelling is not asked what it means: names are compared as they are.
            None => {
                match exact {
                    Ok(_) => Ok(None),
                    Err(error) if error.kind == ErrorKind::Verification => Err(error
                        .help("if that is the package you mean, write its name as the registry does: capitals count")),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Leaves out versions that the lockfile would not take either.
    fn pass_over_young(&self, source: SourceId, name: PackageName, versions: &mut Vec<VersionEntry>) -> Result<()> {
        let place = &self.global.place;
        let Some(age) = preferences::publish_age(self.project, place.now, &self.project.policy.publish_age)? else {
            return Ok(());
        };
        let published = versions.clone();
        let young: Vec<_> =
            published.iter().filter_map(|it| Some((it, age.youth(source, name, it, &published)?))).collect();
        versions.retain(|entry| !young.iter().any(|(young, _)| young.version == entry.version));
        let Some((newest, youth)) = young.last() else { return Ok(()) };
        let id = format!("{name}@{}", newest.version);
        if versions.is_empty() {
            let advice = format!("name the version to add it all the same: `{id}`; it needs an exemption to be locked");
            return Err(Error::failure(format!("no version of crate `{name}` is old enough"))
                .because(format!("{id} is too new ({youth})"))
                .help(advice));
        }
        let would_win = versions.last().is_some_and(|chosen| chosen.version < newest.version);
        if would_win && newest.version.pre.is_empty() {
            (self.events)(Event::Warning(format!("ignoring {id} ({youth})")));
        }
        Ok(())
    }

    /// The newest version that the package may use: not yanked, not a pre-release if there is a release, and one that
    /// its `rust-version`, or else the compiler, can compile.
    fn newest(&mut self, source: SourceId, name: PackageName) -> Result<Version> {
        let mut versions = self.versions(source, name)?;
        versions.retain(|entry| !entry.yanked);
        self.pass_over_young(source, name, &mut versions)?;
        if versions.iter().any(|entry| entry.version.pre.is_empty()) {
            versions.retain(|entry| entry.version.pre.is_empty());
        }
        let newest = versions.last().ok_or_else(|| not_found(name.as_str()))?.clone();
        if self.options.ignore_rust_version {
            return Ok(newest.version);
        }
        let (rust, shown) = self.rust_version()?;
        let suits = |entry: &&VersionEntry| entry.rust_version.as_ref().is_none_or(|needed| *needed <= rust);
        let needs = newest.written_rust_version().unwrap_or_default();
        let maintain = format!("maintain {}'s rust-version of {shown}", self.package.id.name());
        let declared = self.package.summary.rust_version.is_some();
        let Some(chosen) = versions.iter().rev().find(suits) else {
            let (end, id) = (format!("is compatible with rustc {shown}"), format!("{name}@{}", newest.version));
            let end = if declared { format!("can {maintain}") } else { end };
            let advice = format!("pass `--ignore-rust-version` to select {id} which requires rustc {needs}");
            return Err(Error::failure(format!("no version of crate `{name}` {end}")).help(advice));
        };
        if chosen.version != newest.version {
            let end =
                if declared { format!("to {maintain}") } else { format!("as it is incompatible with rustc {shown}") };
            let message = format!("ignoring {name}@{} (which requires rustc {needs}) {end}", newest.version);
            (self.events)(Event::Warning(message));
        }
        Ok(chosen.version.clone())
    }

    /// The version of Rust that has to do, and how it is shown.
    fn rust_version(&self) -> Result<(Version, String)> {
        if let Some(declared) = &self.package.summary.rust_version {
            let shown = self.package.details.rust_version.clone();
            return Ok((declared.clone(), shown.unwrap_or_else(|| declared.to_string())));
        }
        let release = compile::platforms(self.global, self.project, &[])?.release;
        let shown = release.to_string();
        Ok((release, shown))
    }

    /// `package = "…"`, where the key is not the name, or where the user insists.
    fn renamed(&self, key: &str, name: &str, existing: Option<String>) -> Option<String> {
        if key == name && self.options.rename.is_none() { existing } else { Some(name.to_owned()) }
    }

    fn local(&self, folder: &Path) -> Result<Arc<Package>> {
        let manifest_path = disk::normalize(&self.global.place.current_dir.join(folder)).join("Cargo.toml");
        let disk = &self.global.place.disk;
        if let Err(error) = disk.metadata(&manifest_path) {
            let reason = error.to_string();
            return Err(Error::failure(format!("failed to read `{}`", manifest_path.display())).because(reason));
        }
        let configuration = &self.project.configuration;
        let options = LoadOptions {
            ceilings: project::ceilings(disk, &manifest_path),
            manifest_path,
            registry: &|name| Ok(registries::named(configuration, name)?.map(|source| source.called(name))),
            profiles: profiles::configured(&configuration.config)?,
            patches: Vec::new(),
            overrides: Vec::new(),
        };
        Ok(bulkhead_workspace::load_local(disk, &options)?)
    }

    fn relative(&self, folder: &Path) -> String {
        relative(&self.package.root, folder).to_string_lossy().into_owned()
    }

    /// `--registry`, else `registry.default`, unless it is the public one.
    fn registry_name(&self) -> Result<Option<String>> {
        let named = match &self.options.registry {
            Some(name) => Some(name.clone()),
            None => self.project.configuration.config.string("registry.default")?.map(|value| value.value),
        };
        Ok(named.filter(|name| name != "crates-io"))
    }

    fn registry(&self) -> Result<SourceId> {
        self.registry_name()?.map_or_else(|| Ok(SourceId::crates_io()), |name| self.registry_called(&name))
    }

    fn registry_called(&self, name: &str) -> Result<SourceId> {
        registries::required(&self.project.configuration, name)
    }
}

/// Which table's entry is followed when another table gets the same package.
fn preference(kind: DependencyKind) -> u8 {
    match kind {
        DependencyKind::Normal => 3,
        DependencyKind::Build => 2,
        DependencyKind::Development => 1,
    }
}

/// Old features first; sorted if they were.
fn merged(mut features: Vec<String>, more: &[String]) -> Vec<String> {
    let sorted = !features.is_empty() && features.is_sorted();
    for feature in more {
        if !features.contains(feature) {
            features.push(feature.clone());
        }
    }
    if sorted {
        features.sort();
    }
    features
}

/// Whether the entry's requirement names exactly this version, so that nothing lower can be chosen.
fn says_version(entry: &Entry, version: &Version) -> bool {
    let (Place::Registry { version: text }
    | Place::Path { version: Some(text), .. }
    | Place::Git { version: Some(text), .. }) = &entry.place
    else {
        return false;
    };
    let Ok(required) = VersionReq::parse(text) else { return false };
    required.comparators.iter().any(|comparator| {
        let named = (Some(comparator.major), comparator.minor, comparator.patch);
        named == (Some(version.major), Some(version.minor), Some(version.patch)) && comparator.pre == version.pre
    })
}

/// The source that a URL and a branch, tag or revision mean.
///
/// # Errors
/// It is no URL of a repository.
pub(crate) fn git_source(url: &str, reference: Option<&(&'static str, String)>) -> Result<SourceId> {
    let query: BTreeMap<_, _> = reference.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut parsed = bulkhead_schema::git::parse_url(url).map_err(|error| Error::failure(error.to_string()))?;
    if !query.is_empty() {
        parsed.query_pairs_mut().extend_pairs(query);
    }
    SourceId::parse(&format!("git+{parsed}")).map_err(|error| Error::failure(error.to_string()))
}

fn not_found(name: &str) -> Error {
    Error::failure(format!("the crate `{name}` could not be found in registry index."))
}

fn nameless() -> Error {
    Error::failure("the name of the package is missing").help("name it before `--git`: `bulkhead add NAME --git URL`")
}
