//! Git sources: from a reference to a commit, from a commit to a checkout, from a checkout to packages.

mod checkout;
mod failure;
mod index;

pub use self::index::GitIndex;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_git::{Database, GitErrorKind, GitOptions, Wanted, find_program};
use bulkhead_policy::Effective;
use bulkhead_sandbox::Level;
use bulkhead_schema::git::{ObjectId, Transport, parse_url};
use bulkhead_schema::{GitReference, PackageId, PackageName, SourceId, SourceKind};
use bulkhead_source::HttpsPins;
use bulkhead_store::{Checkout, CheckoutLimits, Store, checkout_key, submodules_in};
use bulkhead_trust::Digest;
use bulkhead_workspace::{Repository, load_repository};
use url::Url;

use self::failure::{git_error, local_repository, told, unreachable};
use crate::client::client;
use crate::configuration::{Configuration, project_root};
use crate::error::Result;
use crate::helpers::{Helper, Helpers};
use crate::observed::Disk;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::sources::Listing;
use crate::{Error, Event, limits, permissions, programs, registries};

/// What one command knows about git sources before it reads any.
pub struct GitSources {
    options: GitOptions,
    checkout_limits: CheckoutLimits,
    disk: Disk,
    /// Commits at which sources stay.
    pinned: BTreeMap<SourceId, ObjectId>,
    /// What the lockfile had, whether it stays or not.
    previous: BTreeMap<SourceId, ObjectId>,
    /// `update --precise`: the revision that a source gets.
    precise: Option<(SourceId, String)>,
    /// Sources that the user's own manifests name: only those may be folders of this machine.
    own: BTreeSet<SourceId>,
    configuration: Configuration,
}

/// A git source that has been read.
pub struct GitPackages {
    /// The commit.
    pub commit: ObjectId,
    /// Its checkout.
    pub root: PathBuf,
    /// Digest of the checkout: what a grant for its build code is pinned to.
    pub tree: Digest,
    /// The packages in it.
    pub repository: Repository,
}

impl GitPackages {
    /// The names of all packages.
    pub fn names(&self) -> impl Iterator<Item = PackageName> {
        self.repository.packages.iter().map(|package| package.id.name())
    }

    /// The packages called `name`.
    ///
    /// # Errors
    /// There is none, and manifests that could not be read.
    pub fn named(&self, name: PackageName, events: &dyn Fn(Event)) -> Result<Listing> {
        let Repository { packages, broken, duplicates } = &self.repository;
        let found: Vec<_> = packages.iter().filter(|package| package.id.name() == name).map(Arc::clone).collect();
        if found.is_empty() && !broken.is_empty() {
            return Err(
                Error::from(broken.clone()).while_doing(format!("failed to find `{name}` among readable manifests"))
            );
        }
        for (id, manifest_path) in duplicates.iter().filter(|(id, _)| id.name() == name) {
            events(Event::Warning(format!("skipping duplicate package `{id}` in {}", manifest_path.display())));
        }
        Ok(if found.is_empty() { Listing::Absent } else { Listing::unpacked(found) })
    }
}

impl GitSources {
    /// What `project` and its lockfile (`previous`) say about git sources, which are read as the project's policy says.
    /// Nothing is read or run.
    ///
    /// # Errors
    /// The configuration of the network is wrong.
    pub fn new(
        global: &GlobalOptions,
        project: &Project,
        previous: impl Iterator<Item = PackageId>,
        pinned: BTreeMap<SourceId, ObjectId>,
        precise: Option<(SourceId, String)>,
    ) -> Result<Self> {
        let previous = previous.filter_map(|id| Some((id.source().without_commit(), id.source().commit()?)));
        let workspace = &project.workspace;
        let packages = workspace.members.iter().chain(workspace.path_packages.values());
        let declared = packages.flat_map(|package| &package.summary.dependencies);
        let patched = workspace.patches.iter().map(|patch| &patch.dependency);
        let replaced = workspace.replacements.iter().map(|replacement| &replacement.dependency);
        let own = declared.chain(patched).chain(replaced).map(|dependency| dependency.source);
        let own = own.filter(|source| source.is_git()).collect();
        let configuration = Configuration {
            config: project.configuration.config.clone(),
            ignored: Vec::new(),
            files: Default::default(),
        };
        let (_, checkout_limits) = limits::git(&project.policy);
        let options = options(global, &project.configuration, Some(&project.policy))?;
        let disk = global.place.disk.clone();
        Ok(Self { options, checkout_limits, disk, pinned, previous: previous.collect(), precise, own, configuration })
    }

    /// Git sources where there is no project, which are read with git fully confined: there is no policy to accept less.
    ///
    /// # Errors
    /// The configuration of the network is wrong.
    pub fn outside(global: &GlobalOptions, configuration: &Configuration) -> Result<Self> {
        Ok(Self {
            options: options(global, configuration, None)?,
            checkout_limits: CheckoutLimits::default(),
            disk: global.place.disk.clone(),
            pinned: BTreeMap::new(),
            previous: BTreeMap::new(),
            precise: None,
            own: BTreeSet::new(),
            configuration: Configuration {
                config: configuration.config.clone(),
                ignored: Vec::new(),
                files: Default::default(),
            },
        })
    }

    /// The commit at which `source` stays, as the lockfile has it.
    pub fn pinned(&self, source: SourceId) -> Option<ObjectId> {
        self.pinned.get(&source).copied()
    }

    /// Lets `source` be a folder of this machine too: the user named it on the command line.
    #[must_use]
    pub fn allowing(mut self, source: SourceId) -> Self {
        self.own.insert(source);
        self
    }

    /// Reads at `place` what bears the name of `source`. Without `current`, only if the lockfile says at which commit;
    /// otherwise `None`.
    ///
    /// # Errors
    /// The source is not allowed, cannot be fetched, has no such reference, or what is in it is refused.
    pub fn read(
        &self,
        source: SourceId,
        place: SourceId,
        current: bool,
        events: &dyn Fn(Event),
    ) -> Result<Option<GitPackages>> {
        let SourceKind::Git(reference) = place.kind() else { return Ok(None) };
        let pinned = self.pinned(source);
        if pinned.is_none() && !current {
            return Ok(None);
        }
        let url = parse_url(place.url()).map_err(|error| Error::failure(error.to_string()))?;
        let database = Database::open(&self.options, &url).map_err(git_error)?;
        if database.transport() == Transport::File && source == place && !self.own.contains(&source) {
            return Err(local_repository(&url));
        }
        let store = Store::open(&self.options.home)?;
        let here = |commit| stored(&store, place, commit, &self.disk, events);
        let commit = match pinned {
            Some(commit) => {
                if let Some(checkout) = here(commit)? {
                    return Ok(Some(self.packages(source, commit, &checkout)));
                }
                self.locked(&database, place, &reference, commit, events)?
            }
            None => self.fresh(&database, place, &reference, events)?,
        };
        let checkout = match here(commit)? {
            Some(checkout) => checkout,
            None => self.check_out(&store, &database, place, &url, commit, events)?,
        };
        Ok(Some(self.packages(source, commit, &checkout)))
    }

    /// Says that the repository is asked.
    fn tell(&self, source: SourceId, events: &dyn Fn(Event)) {
        self.disk.never_repeat();
        if !self.options.offline {
            events(Event::Status { verb: "Updating", message: format!("git repository `{}`", source.url()) });
        }
    }

    fn packages(&self, source: SourceId, commit: ObjectId, checkout: &Checkout) -> GitPackages {
        let submodules = submodules_in(&checkout.root);
        let source = source.with_commit(commit);
        let registry = |name: &str| registries::named(&self.configuration, name);
        let repository = load_repository(&Disk::default(), &checkout.root, source, &submodules, &registry);
        GitPackages { commit, root: checkout.root.clone(), tree: checkout.tree, repository }
    }

    /// The locked commit, brought here if need be. It must be in the history of what the reference names, or at least of
    /// some branch or tag: a server that hosts forks hands out whatever anybody has pushed to any of them.
    fn locked(
        &self,
        database: &Database<'_>,
        source: SourceId,
        reference: &GitReference,
        commit: ObjectId,
        events: &dyn Fn(Event),
    ) -> Result<ObjectId> {
        let known = |commit| {
            Ok(database.contains(commit)?
                && (is_whole(reference, commit)
                    || database.leads_to(reference, commit)?
                    || database.is_published(commit)?))
        };
        if known(commit).map_err(git_error)? {
            return Ok(commit);
        }
        self.tell(source, events);
        // The reference may be gone or have moved; what matters is the commit.
        match database.fetch(Wanted::Reference(reference)) {
            Err(error) if error.kind != GitErrorKind::NotFound => return Err(git_error(error)),
            _ if database.leads_to(reference, commit).map_err(git_error)? => return Ok(commit),
            _ => {}
        }
        if is_whole(reference, commit) {
            return self.named_commit(database, source, commit, events);
        }
        database.fetch(Wanted::Everything).map_err(git_error)?;
        if database.is_published(commit).map_err(git_error)? {
            events(Event::Warning(format!(
                "the locked commit {commit} is no longer in what {} of `{}` names, but on another branch or tag",
                told(reference),
                source.url()
            )));
            return Ok(commit);
        }
        Err(unreachable(source, reference, commit))
    }

    /// What `reference` (or `--precise`) names now.
    fn fresh(
        &self,
        database: &Database<'_>,
        source: SourceId,
        reference: &GitReference,
        events: &dyn Fn(Event),
    ) -> Result<ObjectId> {
        let fetch = |wanted| match database.fetch(wanted) {
            // Offline, what was fetched before will do.
            Err(error) if error.kind == GitErrorKind::Offline => Ok(()),
            other => other,
        };
        let missing = |reference: &GitReference| {
            let message = if self.options.offline {
                format!("can't check out from `{}`: you are in the offline mode (--offline)", source.url())
            } else {
                format!("failed to find {} in `{}`", told(reference), source.url())
            };
            Error::failure(message)
        };
        if let Some((_, revision)) = self.precise.as_ref().filter(|(precise, _)| *precise == source) {
            return self.precise(database, source, reference, revision, events);
        }
        self.tell(source, events);
        if let GitReference::Rev(text) = reference
            && let Ok(commit) = ObjectId::parse(text.as_str())
        {
            if !database.contains(commit).map_err(git_error)? {
                fetch(Wanted::Everything).map_err(git_error)?;
            }
            return self.named_commit(database, source, commit, events);
        }
        fetch(Wanted::Reference(reference)).map_err(git_error)?;
        let commit = database.resolve(reference).map_err(git_error)?.ok_or_else(|| missing(reference))?;
        if let Some(&old) = self.previous.get(&source)
            && old != commit
            && database.contains(old).map_err(git_error)?
            && !database.leads_to(reference, old).map_err(git_error)?
        {
            events(Event::Warning(format!(
                "the history of {} of `{}` was rewritten: {commit} does not come after the locked {old}",
                told(reference),
                source.url()
            )));
        }
        Ok(commit)
    }

    /// A commit that the user's manifest or lockfile names by its whole id, as the reference itself.
    fn named_commit(
        &self,
        database: &Database<'_>,
        source: SourceId,
        commit: ObjectId,
        events: &dyn Fn(Event),
    ) -> Result<ObjectId> {
        if !database.contains(commit).map_err(git_error)? {
            database.fetch(Wanted::Commit(commit)).map_err(git_error)?;
        }
        if !database.is_published(commit).map_err(git_error)? {
            events(Event::Warning(format!(
                "the commit {commit} is on no branch or tag of `{}`: whoever may propose a change there could have put \
                 it there",
                source.url()
            )));
        }
        Ok(commit)
    }

    /// `update --precise`: the revision must be in the history of what the manifest's reference names.
    fn precise(
        &self,
        database: &Database<'_>,
        source: SourceId,
        reference: &GitReference,
        revision: &str,
        events: &dyn Fn(Event),
    ) -> Result<ObjectId> {
        let wanted = GitReference::Rev(revision.into());
        bulkhead_schema::git::check_reference(&wanted).map_err(|error| Error::failure(error.to_string()))?;
        // A whole id that is known here needs no look at the repository.
        if let Ok(commit) = ObjectId::parse(revision)
            && database.contains(commit).map_err(git_error)?
            && database.leads_to(reference, commit).map_err(git_error)?
        {
            return Ok(commit);
        }
        self.tell(source, events);
        for wanted in [Wanted::Everything, Wanted::Reference(reference)] {
            match database.fetch(wanted) {
                Err(error) if error.kind != GitErrorKind::Offline => return Err(git_error(error)),
                _ => {}
            }
        }
        let commit = database.resolve(&wanted).map_err(git_error)?;
        let commit = commit
            .ok_or_else(|| Error::failure(format!("failed to find revision `{revision}` in `{}`", source.url())))?;
        let leads = database.leads_to(reference, commit).map_err(git_error)?;
        if leads || database.is_published(commit).map_err(git_error)? {
            return Ok(commit);
        }
        Err(unreachable(source, reference, commit))
    }
}

/// The checkout, if it is in the store and unchanged; one that was changed is taken away.
fn stored(
    store: &Store,
    source: SourceId,
    commit: ObjectId,
    disk: &Disk,
    events: &dyn Fn(Event),
) -> Result<Option<Checkout>> {
    let damaged = |finding: &bulkhead_store::Finding| {
        disk.never_repeat();
        let (path, problem) = (finding.path.display(), &finding.problem);
        events(Event::Warning(format!("{path}: {problem}; `{}` is checked out again", source.url())));
    };
    Ok(store.checkout(checkout_key(source.canonical_url(), commit), commit, &damaged)?)
}

fn is_whole(reference: &GitReference, commit: ObjectId) -> bool {
    matches!(reference, GitReference::Rev(text) if ObjectId::parse(text.as_str()) == Ok(commit))
}

/// What the client of registries remembers of servers, for git.
#[derive(Debug)]
struct Servers(HttpsPins);

impl bulkhead_git::Servers for Servers {
    fn check(&self, url: &Url) -> std::result::Result<(), String> {
        self.0.check(url).map_err(|error| error.message)
    }

    fn saw(&self, url: &Url) {
        self.0.saw(url);
    }
}

/// How git is run: as `policy` says, and fully confined with the default limits where there is none.
pub(crate) fn options(
    global: &GlobalOptions,
    configuration: &Configuration,
    policy: Option<&Effective>,
) -> Result<GitOptions> {
    let place = &global.place;
    let http = client(global, configuration)?;
    let http = http.options();
    let proxies = ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    let proxies = proxies.into_iter().filter_map(|name| Some((name.to_owned(), place.variable(name)?.to_owned())));
    let helper = helper(global);
    Ok(GitOptions {
        home: place.bulkhead_home.clone(),
        program: helper.as_ref().map(|helper| helper.program.clone()),
        helper: helper.map(|helper| Helpers::new(global, configuration).process(&helper)).transpose()?,
        enforce: bulkhead_executor::confinement::process,
        offline: http.offline,
        allow_http_loopback: http.allow_http_loopback,
        servers: Arc::new(Servers(http.https_pins.clone())),
        ca_bundle: http.ca_bundle.clone(),
        proxy: match &http.proxy {
            bulkhead_source::Proxy::Explicit(proxy) => Some(proxy.clone()),
            bulkhead_source::Proxy::Direct => Some(String::new()),
            bulkhead_source::Proxy::System => None,
        },
        proxy_environment: proxies.collect(),
        known_hosts: configuration.config.net()?.known_hosts,
        user_home: place.home.clone(),
        ssh_agent: place.variable("SSH_AUTH_SOCK").map(PathBuf::from),
        level: policy.map_or(Level::Full, permissions::level),
        limits: policy.map(|policy| limits::git(policy).0).unwrap_or_default(),
        retries: http.retries,
    })
}

/// The user's git, as it asks the user's credential helpers; `None` if there is no git.
pub(crate) fn helper(global: &GlobalOptions) -> Option<Helper<'static>> {
    let place = &global.place;
    let program = find_program(programs::searched(place, &project_root(&place.disk, &place.current_dir)))?;
    let arguments = bulkhead_git::ASK_HELPERS.map(str::to_owned).to_vec();
    let environment = bulkhead_git::HELPERS_ENVIRONMENT.map(|(name, value)| (name, value.to_owned())).to_vec();
    Some(Helper { program, arguments, environment, words: &[], quiet: true })
}
