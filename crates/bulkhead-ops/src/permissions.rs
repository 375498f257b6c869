//! What build code may do: the policy, as the executor asks about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_executor::{Grants, confinement};
use bulkhead_policy::{
    CatalogueEntry, Denial, Denied, DirectiveContext, Effective, GrantSet, Granted, Origin, ProcessKind, Secrets,
};
use bulkhead_sandbox::{DenialKind, Level, Target};
use bulkhead_schema::build_script::Directive;
use bulkhead_schema::policy::{BuildCodeLevel, Digest, NetworkRule, ProcessLimits, SandboxLevel};
use bulkhead_schema::secrets::is_secret_value;
use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_unit_graph::{CompileMode, Unit, UnitGraph};
use bulkhead_workspace::Package;

use crate::compile::Prepared;
use crate::error::Result;
use crate::options::{GlobalOptions, Place};
use crate::prefetch::{self, Files};
use crate::project::Project;
use crate::trusted_files::TrustedFiles;
use crate::{Error, ErrorKind, Event, configuration, listing, policy, programs};

/// The policy in force, and what it needs to know of packages.
pub struct Permissions {
    effective: Effective,
    /// SHA-256 of the archive by package: what a grant for its build code is pinned to.
    checksums: BTreeMap<PackageId, Arc<str>>,
    /// The same of the user's own packages, by what lies on the disk; made where somebody asks.
    own: Mutex<BTreeMap<PackageId, Option<Digest>>>,
    bulkhead_home: PathBuf,
    secrets: Secrets,
    environment: BTreeMap<String, String>,
    workspace_root: PathBuf,
    search_path: String,
    /// Folders that no grant can make writable.
    pub protected: Vec<PathBuf>,
    /// The folder with the project's sources, where that is a copy for this build alone.
    copy: Option<PathBuf>,
    /// Files that were fetched for build scripts.
    pub prefetched: Files,
    /// All that was asked for in vain.
    asked: Mutex<BTreeSet<Denial>>,
}

/// What the processes of a plan may do, with the files that policy fetches for its build scripts.
///
/// # Errors
/// A file that cannot be fetched, or is not what policy promises.
pub fn of(global: &GlobalOptions, prepared: &Prepared, events: &dyn Fn(Event)) -> Result<Permissions> {
    let permissions = new(&global.place, &prepared.project, prepared.checksums.clone(), events);
    Ok(Permissions {
        prefetched: prefetch::files(global, prepared, events)?,
        copy: prepared.copy.clone(),
        ..permissions
    })
}

/// What the policy of `project` means for its build code.
pub fn new(
    place: &Place,
    project: &Project,
    checksums: BTreeMap<PackageId, Arc<str>>,
    events: &dyn Fn(Event),
) -> Permissions {
    let effective = project.policy.clone();
    for note in &effective.notes {
        events(Event::Warning(note.clone()));
    }
    if !effective.notes.is_empty() {
        note_changed_policy(place, &project.workspace.root, events);
    }
    let environment = place
        .environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())))
        .collect();
    let folders = programs::folders(place, &project.workspace.root);
    let folders = folders.iter().filter_map(|folder| folder.to_str()).collect::<Vec<_>>();
    Permissions {
        search_path: folders.join(":"),
        effective,
        checksums,
        own: Mutex::default(),
        bulkhead_home: place.bulkhead_home.clone(),
        secrets: Secrets::new(place.home.as_deref(), &place.bulkhead_home, &place.cargo_home),
        environment,
        workspace_root: project.workspace.root.clone(),
        protected: vec![place.bulkhead_home.clone()],
        copy: None,
        prefetched: Files::new(),
        asked: Mutex::default(),
    }
}

/// The weakest confinement that `policy` accepts, as far as this host can give it: full if it can.
pub fn level(policy: &Effective) -> Level {
    let accepts_less = policy.sandbox_level == Some(SandboxLevel::Landlock);
    if accepts_less && bulkhead_sandbox::support().missing(Level::Full).is_some() {
        Level::LandlockOnly
    } else {
        Level::Full
    }
}

impl Permissions {
    /// What a grant for a unit's package is pinned to: the package's archive, or the user's own build code.
    fn digest(&self, unit: &Unit) -> Option<Digest> {
        let id = unit.package.id;
        match self.checksums.get(&id) {
            Some(checksum) => Digest::parse(&format!("sha256:{checksum}")),
            None if unit.is_local => {
                let mut known = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                known.entry(id).or_insert_with(|| own_digest(&unit.package, &self.bulkhead_home)).clone()
            }
            None => None,
        }
    }

    fn grant_set(&self, unit: &Unit) -> std::result::Result<GrantSet, Diagnostic> {
        let id = unit.package.id;
        let (name, version) = (id.name(), id.version());
        if !self.effective.grants_something(name.as_str(), version) {
            return Ok(GrantSet::default());
        }
        let digest = self.digest(unit);
        self.effective.grants_for(name.as_str(), version, digest.as_ref(), unit.is_local).map_err(|mismatch| {
            let of_catalogue =
                mismatch.granted.as_ref().and_then(|granted| CatalogueEntry::for_code(name.as_str(), version, granted));
            Diagnostic::error("grant-digest", mismatch.to_string()).help(renewal(of_catalogue))
        })
    }

    /// Refuses a plan in which a grant stands for code that is not there any more, so that it has expired, or for a folder
    /// that may lie elsewhere.
    ///
    /// # Errors
    /// `grant-digest`, `grant-folder` (102)
    pub fn check_grants(&self, graph: &UnitGraph) -> Result<()> {
        let mut seen = BTreeSet::new();
        let units = graph.units.iter().filter(|unit| seen.insert(unit.package.id));
        for unit in units.filter(|unit| !self.allows_everything(unit.package.id)) {
            let refused = |diagnostic: Diagnostic| Error { kind: ErrorKind::Policy, ..diagnostic.into() };
            let set = self.grant_set(unit).map_err(refused)?;
            inner_folders(unit, &set).map_err(refused)?;
        }
        Ok(())
    }

    /// What the processes of a unit may do beyond the defaults. A grant for other code grants nothing.
    pub fn grants(&self, unit: &Unit) -> Grants {
        let mut grants = match self.allows_everything(unit.package.id) {
            true => self.everything(),
            false => self.grant_set(unit).map(|set| self.granted(unit, set)).unwrap_or_default(),
        };
        let is_copy = |copy: &PathBuf| unit.package.root.starts_with(copy);
        // Many programs write completions and manual pages beside their sources.
        if unit.mode == CompileMode::RunBuildScript && self.copy.as_ref().is_some_and(is_copy) {
            grants.write.push(Granted::new(unit.package.root.clone(), Origin::Package));
        }
        let files = self.prefetched.get(&unit.package.id).filter(|_| unit.mode == CompileMode::RunBuildScript);
        for (variable, file) in files.into_iter().flatten() {
            let value = Some(file.value.display().to_string());
            grants.environment.push(Granted::new((variable.clone(), value), file.origin.clone()));
            grants.read.push(file.clone());
        }
        grants
    }

    /// Whether programs of this kind are confined, if the user has `wished` so or not.
    pub fn confines(&self, kind: ProcessKind, wished: bool) -> bool {
        wished || self.effective.demands_confinement(kind)
    }

    /// What a program may do under `run --confined` or `test --confined`, beyond the defaults.
    pub fn program_grants(&self, kind: ProcessKind) -> Grants {
        self.resolved(self.effective.programs(kind))
    }

    fn granted(&self, unit: &Unit, set: GrantSet) -> Grants {
        let inner = match unit.mode {
            CompileMode::RunBuildScript => inner_folders(unit, &set).unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut grants = self.resolved(set);
        grants.write.extend(inner);
        grants
    }

    /// Paths made absolute, variables with their values.
    fn resolved(&self, set: GrantSet) -> Grants {
        let absolute =
            |Granted { value, origin }: Granted<PathBuf>| Granted::new(self.workspace_root.join(value), origin);
        let variable = |Granted { value: name, origin }: Granted<String>| {
            let value = self.environment.get(&name).cloned();
            Granted::new((name, value), origin)
        };
        Grants {
            read: set.read.into_iter().map(absolute).collect(),
            write: set.write.into_iter().map(absolute).collect(),
            environment: set.env.into_iter().map(variable).collect(),
            network: set.network,
            directives: set.directives,
        }
    }

    /// Whether policy says `allow` of a package's build code.
    fn allows_everything(&self, id: PackageId) -> bool {
        self.effective.build_code.decide(id.name().as_str(), id.version()).level == BuildCodeLevel::Allow
    }

    /// Every grant there is but that to write: all that the user can read and reach. Devices and processes stay the
    /// sandbox's own.
    fn everything(&self) -> Grants {
        let read = top_folders();
        let origin = Origin::Grant("policy says `build-code.level = \"allow\"`".into());
        let variable =
            |(name, value): (&String, &String)| Granted::new((name.clone(), Some(value.clone())), origin.clone());
        Grants {
            read: read.into_iter().map(|path| Granted::new(path, origin.clone())).collect(),
            write: Vec::new(),
            environment: self.environment.iter().map(variable).collect(),
            network: Some(Granted::new(NetworkRule::All, origin.clone())),
            directives: Vec::new(),
        }
    }

    /// The packages among `ids` whose build code is hardly confined, so that it can be said each time.
    pub fn barely_confined(&self, ids: impl Iterator<Item = PackageId>) -> Vec<PackageId> {
        ids.filter(|id| self.allows_everything(*id)).collect()
    }

    /// Whether a directive of the unit's build script is obeyed.
    ///
    /// # Errors
    /// It is not; the diagnostic names the rule and, where a grant can allow it, the lines for `bulkhead.toml`.
    pub fn check_directive(
        &self,
        unit: &Unit,
        directive: &Directive<'_>,
        out_dir: &Path,
    ) -> std::result::Result<(), Diagnostic> {
        let Some((key, value)) = key_and_value(directive) else { return Ok(()) };
        if self.allows_everything(unit.package.id) {
            return Ok(());
        }
        let grants = self.grant_set(unit)?;
        let context = DirectiveContext { out_dir, package_root: &unit.package.root, folders: &[], grants: &grants };
        bulkhead_policy::check_directive(key, &value, &context).map_err(|refusal| {
            let message = format!(
                "the build script of `{}` may not say `{}`: {}",
                unit.package.id, refusal.directive, refusal.reason
            );
            let diagnostic = Diagnostic::error("build-script-directive", message);
            if !refusal.grantable {
                return diagnostic;
            }
            let proposal = self.propose(unit, vec![Denied::Directive(refusal.directive)]);
            diagnostic.help(format!("to allow it, add to `bulkhead.toml`:\n{proposal}"))
        })
    }

    /// Whether a denial is about something that looks like a secret, which nobody is led to grant; also behind a link.
    #[expect(clippy::disallowed_methods, reason = "where a link leads is looked at for a message, not for an answer")]
    pub fn is_secret(&self, what: &Denied) -> bool {
        let behind = what.path().and_then(|path| path.canonicalize().ok());
        self.secrets.hold(what) || behind.is_some_and(|path| self.secrets.hold(&Denied::Read(path)))
    }

    /// The `[[grant]]` that would allow what a unit asked for in vain; nothing where all of it looks like secrets.
    pub fn propose(&self, unit: &Unit, denied: Vec<Denied>) -> String {
        let id = unit.package.id;
        let digest = self.digest(unit);
        let denial = |what| Denial {
            package: id.name().to_string(),
            version: id.version().clone(),
            digest: digest.clone(),
            own: unit.is_local,
            what,
        };
        let denials: Vec<_> = denied.into_iter().map(denial).collect();
        let text = bulkhead_policy::propose(&denials, |what| self.is_secret(what));
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(denials);
        text
    }

    /// Grants of the catalogue for exactly this unit's build code, which nobody has switched on.
    pub fn catalogued(&self, unit: &Unit) -> Option<&'static CatalogueEntry> {
        let digest = self.digest(unit)?;
        let acts = self.effective.grants().any(|grant| grant.digest.as_ref() == Some(&digest));
        let id = unit.package.id;
        CatalogueEntry::for_code(id.name().as_str(), id.version(), &digest).filter(|_| !acts)
    }

    /// Whether a file that nobody has trusted switches on this name of the catalogue.
    pub fn is_switched_on_in_vain(&self, name: &str) -> bool {
        self.effective.catalogue_in_vain.iter().any(|it| it == name)
    }

    /// All that was asked for in vain so far, sorted.
    pub fn asked(&self) -> Vec<Denial> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The part of the user's environment that every process may see, but for values that are secrets whatever they are called;
    /// `PATH` without folders that a project could fill.
    pub fn environment(&self) -> Vec<(String, String)> {
        let may_be_seen =
            |name: &str, value: &str| bulkhead_policy::environment_allowed(name) && !is_secret_value(value);
        let allowed = self.environment.iter().filter(|(name, value)| may_be_seen(name, value));
        let mut visible: Vec<_> = allowed.map(|(name, value)| (name.clone(), value.clone())).collect();
        visible.retain(|(name, _)| name != "PATH");
        visible.push(("PATH".to_owned(), self.search_path.clone()));
        visible.sort();
        visible
    }

    /// Whether the user has set a variable.
    pub fn has_variable(&self, name: &str) -> bool {
        self.environment.contains_key(name)
    }

    /// The weakest confinement that policy accepts, as far as this host can give it: full if it can.
    pub fn level(&self) -> Level {
        level(&self.effective)
    }

    /// The limits of processes of one kind.
    pub fn limits(&self, kind: ProcessKind) -> ProcessLimits {
        self.effective.process_limits(kind, confinement::usual_limits(kind))
    }
}

/// The project's policy loosens something in vain: where that is because it was changed, how is what the user wants to see.
fn note_changed_policy(place: &Place, workspace_root: &Path, events: &dyn Fn(Event)) {
    let path = workspace_root.join("bulkhead.toml");
    let Ok(trusted) = TrustedFiles::load(&place.disk, &place.bulkhead_home) else { return };
    // What cannot be read has stopped the command before.
    let Ok(text) = place.disk.read_text(&path, policy::MAX_SIZE) else { return };
    if trusted.digest_of(&path).is_some() && !trusted.contains(&path, text.as_bytes()) {
        events(configuration::changed(&path));
    }
}

/// What to do about a grant for other code, which may be one of the catalogue's.
fn renewal(of_catalogue: Option<&CatalogueEntry>) -> String {
    match of_catalogue {
        Some(entry) => format!(
            "the catalogue's grants `{name}` are for other code: look at this one, and take `{name}` out of \
             `build-code.catalogue`; `bulkhead sandbox learn` proposes grants of your own (`bulkhead grants show {name}` \
             shows what the catalogue's are for)",
            name = entry.name
        ),
        None => "look at the new build code, then write its digest into the grant in the policy, or remove the grant \
                 and let `bulkhead sandbox learn` propose a new one"
            .to_owned(),
    }
}

/// The folders in a unit's package that its build script may write: none in a package that others use as well.
///
/// # Errors
/// `grant-folder`: a link is on the way to one.
fn inner_folders(unit: &Unit, set: &GrantSet) -> std::result::Result<Vec<Granted<PathBuf>>, Diagnostic> {
    let all = &set.write_in_package;
    // What lies in one of them is the script's, who could put a link there.
    let outermost =
        all.iter().filter(|it| !it.value.ancestors().skip(1).any(|it| all.iter().any(|all| all.value == it)));
    let mut folders = Vec::new();
    for Granted { value, origin } in outermost.filter(|_| unit.is_local) {
        let folder = folder_in(&unit.package.root, value).map_err(|link| {
            let message = format!(
                "the build script of `{}` may write `{}`, but `{}` is a link, which may lead out of the package",
                unit.package.id,
                value.display(),
                link.display()
            );
            Diagnostic::error("grant-folder", message).help("make it a folder, or take it out of `write-in-package`")
        })?;
        folders.extend(folder.map(|folder| Granted::new(folder, origin.clone())));
    }
    Ok(folders)
}

/// The folder at `path` in `root`, if there is one.
///
/// # Errors
/// The link that is on the way.
#[expect(clippy::disallowed_methods, reason = "whoever asks is about to start a build script")]
fn folder_in(root: &Path, path: &Path) -> std::result::Result<Option<PathBuf>, PathBuf> {
    let mut place = root.to_owned();
    for part in path {
        place.push(part);
        match place.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => return Err(place),
            Ok(metadata) if metadata.is_dir() => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(place))
}

/// All that lies at the top of the file system, but for what is the sandbox's own.
#[expect(clippy::disallowed_methods, reason = "which folders the system has is nothing that an answer depends on")]
pub(crate) fn top_folders() -> Vec<PathBuf> {
    let own = |path: &PathBuf| !["dev", "proc", "sys", "tmp"].iter().any(|name| path.ends_with(name));
    let top = std::fs::read_dir("/").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut read: Vec<PathBuf> = top.filter(own).collect();
    read.sort();
    read
}

/// The digest of the build code of a package that is worked on. What cannot be read has none.
fn own_digest(package: &Package, bulkhead_home: &Path) -> Option<Digest> {
    let top = listing::top(package, bulkhead_home);
    let files = listing::read(&top, true).ok()?;
    bulkhead_review::build_code::own_digest(&listing::layout(package, &top), &files)
}

/// The directives that policy judges, as a build script would have written them.
fn key_and_value(directive: &Directive<'_>) -> Option<(&'static str, String)> {
    Some(match directive {
        Directive::LinkSearch(Some(kind), path) => ("rustc-link-search", format!("{kind}={path}")),
        Directive::LinkSearch(None, path) => ("rustc-link-search", (*path).to_owned()),
        Directive::LinkLib(library) => ("rustc-link-lib", (*library).to_owned()),
        Directive::LinkArg(_, argument) => ("rustc-link-arg", (*argument).to_owned()),
        Directive::Env(name, value) => ("rustc-env", format!("{name}={value}")),
        Directive::Cfg(_)
        | Directive::CheckCfg(_)
        | Directive::Metadata(..)
        | Directive::RerunIfChanged(_)
        | Directive::RerunIfEnvChanged(_) => return None,
    })
}

/// What the sandbox saw, in the words of policy.
pub fn denied(denial: &bulkhead_sandbox::Denial) -> Denied {
    match (&denial.target, denial.kind) {
        (Target::Path(path), DenialKind::Write) => Denied::Write(path.clone()),
        (Target::Path(path), _) => Denied::Read(path.clone()),
        (Target::Host(host), _) => Denied::Host(host.clone()),
        (Target::Address(address), _) => Denied::Network(address.clone()),
    }
}
