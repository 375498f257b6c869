//! Layers of policy become one: a lower layer can tighten what a higher one says, never loosen what it locks.

use std::path::PathBuf;

use bulkhead_schema::PackageName;
use bulkhead_schema::policy::{
    AgeExemption, Bounds, Digest, GitLimits, Grant, Limits, Lock, Lookalikes, NetworkRule, Policy, Prefetch,
    ProcessLimits, ProgramRules, Reaction, ResolveLimits, SandboxLevel, SourceRules, Switch, UnitCacheRules, Weight,
    Withdrawn,
};
use semver::Version;

use crate::build_code::BuildCode;
use crate::catalogue::CatalogueEntry;
use crate::profile::{Granted, Origin, ProcessKind};
use crate::sources::Sources;

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicySource {
    /// `/etc/bulkhead/policy.toml`
    Organisation,
    /// `~/.config/bulkhead/policy.toml`
    User,
    /// `bulkhead.toml`. It came with the project, so that it only loosens anything once the user trusts this content of
    /// it (`bulkhead trust`).
    Workspace {
        /// Whether the user does.
        trusted: bool,
    },
}

/// Whose file it is, as a message names it.
impl std::fmt::Display for PolicySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Organisation => "the organisation's policy",
            Self::User => "the user's policy",
            Self::Workspace { .. } => "the project's `bulkhead.toml`",
        })
    }
}

/// One policy file and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyLayer {
    /// Whose.
    pub source: PolicySource,
    /// What it says.
    pub policy: Policy,
}

/// What holds when all layers have spoken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effective {
    /// With whose it is.
    grants: Vec<(PolicySource, Grant)>,
    run: Vec<(PolicySource, ProgramRules)>,
    test: Vec<(PolicySource, ProgramRules)>,
    run_confined: bool,
    test_confined: bool,
    prefetch: Vec<Prefetch>,
    /// What each layer says about resolution, and whether it may only tighten.
    resolve_limits: Vec<(bool, ResolveLimits)>,
    /// The same for git repositories.
    git_limits: Vec<(bool, GitLimits)>,
    /// Limits of processes that the layers which may choose them have named.
    limits: Limits,
    /// Limits of processes by layers that may only tighten.
    ceilings: Vec<Limits>,
    /// The weakest confinement that is accepted. `None` if no layer says: full.
    pub sandbox_level: Option<SandboxLevel>,
    /// What it takes for build code to run.
    pub build_code: BuildCode,
    /// How long versions have to have been public.
    pub publish_age: PublishAge,
    /// Where packages may come from.
    pub sources: Sources,
    /// What happens to names that are easily taken for others.
    pub lookalikes: Lookalikes,
    /// What happens to versions that were taken back.
    pub withdrawn: Withdrawn,
    /// From which weight on a finding makes a review fail, and who says so. Each has to be content.
    pub review_denies: Vec<(PolicySource, Weight)>,
    /// Whether workspaces share compiled units, and how many stay.
    pub unit_cache: UnitCacheRules,
    /// Variables that may not take from the protection, and who says so.
    pub forbidden_variables: Vec<(PolicySource, Switch)>,
    /// What a layer said in vain, one sentence each.
    pub notes: Vec<String>,
    /// Names of the catalogue that a file switches on which nobody has trusted.
    pub catalogue_in_vain: Vec<String>,
}

/// How long versions have to have been public, as the layers have it together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishAge {
    /// The least age in seconds that no configuration of Cargo's can lower: the organisation's.
    pub floor: Option<u64>,
    /// The least age in seconds where configuration says nothing.
    pub minimum: Option<u64>,
    /// Versions that are taken all the same.
    pub exempt: Vec<AgeExemption>,
}

/// Everything that the grants for one package allow together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantSet {
    /// Files and folders that may be read.
    pub read: Vec<Granted<PathBuf>>,
    /// Files and folders that may be written.
    pub write: Vec<Granted<PathBuf>>,
    /// Folders in the package that its build script may write, relative to it.
    pub write_in_package: Vec<Granted<PathBuf>>,
    /// Environment variables that are passed on.
    pub env: Vec<Granted<String>>,
    /// The network that may be used.
    pub network: Option<Granted<NetworkRule>>,
    /// Directives that are obeyed.
    pub directives: Vec<Granted<String>>,
}

/// A grant names the package and version, but the build code is not the one that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestMismatch {
    /// The package.
    pub package: String,
    /// Its version.
    pub version: Version,
    /// What the grant is pinned to; `None` if it is not pinned although the package is not the user's own.
    pub granted: Option<Digest>,
    /// What the build code has.
    pub found: Option<Digest>,
}

impl std::fmt::Display for DigestMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { package, version, granted, found } = self;
        match (granted, found) {
            (None, Some(found)) => {
                write!(
                    f,
                    "the grant for `{package}` {version} needs `digest = \"{found}\"`: it is not a member of the workspace"
                )
            }
            (None, None) => {
                write!(f, "the grant for `{package}` {version} needs a digest, and its build code has none")
            }
            (Some(granted), found) => {
                let found = found.as_ref().map_or("unknown", Digest::as_str);
                write!(
                    f,
                    "the build code of `{package}` {version} is not the one that was granted: {granted} was, this is {found}"
                )
            }
        }
    }
}
impl std::error::Error for DigestMismatch {}

/// Combines the layers, the highest (the organisation's) first.
pub fn effective(layers: &[PolicyLayer]) -> Effective {
    let mut result = Effective::default();
    let mut locks: Vec<Lock> = Vec::new();
    for layer in layers {
        let trusted = layer.source != PolicySource::Workspace { trusted: false };
        let locked = |lock| !trusted || locks.contains(&lock);
        result.take_limits(&layer.policy.limits, locked(Lock::Limits));
        result.take_level(layer.policy.sandbox_level, locked(Lock::SandboxLevel));
        result.take_grants(layer, trusted, &locks);
        let notes = result.build_code.push(layer.source, &layer.policy.build_code, !locked(Lock::BuildCode));
        result.notes.extend(notes);
        result.take_programs(layer, trusted, &locks);
        result.take_publish_age(layer, locked(Lock::PublishAge));
        if !layer.policy.reservations.is_empty() {
            result.sources.reservations.push((layer.source, layer.policy.reservations.clone()));
        }
        result.take_sources(layer.source, &layer.policy.sources, locked(Lock::Sources));
        result.take_lookalikes(&layer.policy.lookalikes, locked(Lock::Lookalikes));
        result.take_withdrawn(layer.policy.withdrawn, locked(Lock::Withdrawn));
        result.review_denies.extend(layer.policy.review.deny.map(|weight| (layer.source, weight)));
        result.take_unit_cache(layer);
        let forbidden = layer.policy.forbidden_variables.iter();
        result.forbidden_variables.extend(forbidden.map(|switch| (layer.source, *switch)));
        locks.extend(&layer.policy.locked);
    }
    result
}

impl Effective {
    /// What is granted to the build code of a package. `member` says that it is part of the user's own workspace, whose
    /// code changes with every edit, so that its grants need no digest.
    ///
    /// # Errors
    /// A grant matches by name and version but not by digest: the code has changed since it was looked at.
    pub fn grants_for(
        &self,
        package: &str,
        version: &Version,
        digest: Option<&Digest>,
        member: bool,
    ) -> Result<GrantSet, DigestMismatch> {
        let mut set = GrantSet::default();
        let mut mismatch = None;
        let mut matched = false;
        let concerns = |grant: &Grant| applies(grant, package, version) && (member || !grant.is_for_checkouts());
        for (source, grant) in self.grants.iter().filter(|(_, grant)| concerns(grant)) {
            let agrees = match &grant.digest {
                Some(wanted) => digest == Some(wanted),
                None => member,
            };
            if agrees {
                matched = true;
                set.add(*source, grant);
            } else if mismatch.is_none() {
                mismatch = Some(DigestMismatch {
                    package: package.to_owned(),
                    version: version.clone(),
                    granted: grant.digest.clone(),
                    found: digest.cloned(),
                });
            }
        }
        // Grants for several digests of one version may stand side by side; one that agrees is enough.
        match mismatch {
            Some(mismatch) if !matched => Err(mismatch),
            _ => Ok(set),
        }
    }

    /// Whether a grant acts for a package, if its build code is the one that was looked at.
    pub fn grants_something(&self, package: &str, version: &Version) -> bool {
        self.grants.iter().any(|(_, grant)| applies(grant, package, version))
    }

    /// The grants that act, of every layer.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter().map(|(_, grant)| grant)
    }

    /// Bounds of layers that may only tighten are kept apart: they hold against whatever is in force in the end, be it the
    /// default or the limit of one kind of process.
    fn take_limits(&mut self, new: &Limits, only_tighter: bool) {
        let mut new = *new;
        self.resolve_limits.push((only_tighter, new.resolve));
        self.git_limits.push((only_tighter, new.git));
        if only_tighter {
            self.ceilings.push(new);
            return;
        }
        self.limits.every = new.every.or(self.limits.every);
        for ((_, old), (_, new)) in self.limits.kinds().into_iter().zip(new.kinds()) {
            *old = new.or(*old);
        }
    }

    /// The limits of resolution that hold, where `defaults` is what holds if no layer speaks.
    pub fn resolve_limits(&self, defaults: ResolveLimits) -> ResolveLimits {
        in_force(defaults, &self.resolve_limits)
    }

    /// The limits of git repositories that hold, where `defaults` is what holds if no layer speaks.
    pub fn git_limits(&self, defaults: GitLimits) -> GitLimits {
        in_force(defaults, &self.git_limits)
    }

    /// A list replaces that of a higher layer only where the lower one may loosen; else both have to agree.
    fn take_sources(&mut self, layer: PolicySource, new: &SourceRules, only_tighter: bool) {
        for (lists, new) in [(&mut self.sources.registries, &new.registries), (&mut self.sources.git, &new.git)] {
            let Some(new) = new else { continue };
            if !only_tighter {
                lists.clear();
            }
            lists.push((layer, new.clone()));
        }
    }

    fn take_lookalikes(&mut self, new: &Lookalikes, only_tighter: bool) {
        if let Some(level) = new.level {
            let old = self.lookalike_level();
            if only_tighter && level < old {
                self.notes.push(
                    "a laxer `lookalikes.level` was ignored: it is locked, or its file is not trusted".to_owned(),
                );
            } else {
                self.lookalikes.level = Some(level);
            }
        }
        if only_tighter && !new.allow.is_empty() {
            self.notes.push("`lookalikes.allow` was ignored: it is locked, or its file is not trusted".to_owned());
        } else {
            self.lookalikes.allow.extend(new.allow.iter().cloned());
        }
    }

    fn take_withdrawn(&mut self, new: Withdrawn, only_tighter: bool) {
        let Withdrawn { yanked, vanished } = &mut self.withdrawn;
        for (old, new) in [(yanked, new.yanked), (vanished, new.vanished)] {
            match new {
                Some(new) if only_tighter && new < old.unwrap_or_default() => {
                    let note = "a laxer word in `withdrawn` was ignored: it is locked, or its file is not trusted";
                    self.notes.push(note.to_owned());
                }
                Some(new) => *old = Some(new),
                None => {}
            }
        }
    }

    /// Whoever wants no cache has none. What stays in it is not a project's business, since others use it as well.
    fn take_unit_cache(&mut self, layer: &PolicyLayer) {
        let (old, new) = (&mut self.unit_cache, &layer.policy.unit_cache);
        if new.enabled == Some(false) || old.enabled.is_none() {
            old.enabled = new.enabled;
        }
        let sizes = [(&mut old.max_mib, new.max_mib), (&mut old.max_days, new.max_days)];
        if matches!(layer.source, PolicySource::Workspace { .. }) {
            if sizes.iter().any(|(_, new)| new.is_some()) {
                let note = "the size of the cache of compiled units was ignored in a project's policy";
                self.notes.push(note.to_owned());
            }
            return;
        }
        for (old, new) in sizes {
            *old = old.iter().chain(&new).min().copied();
        }
    }

    /// What happens when a name that is easily taken for another one enters the lockfile.
    pub fn lookalike_level(&self) -> Reaction {
        self.lookalikes.level.unwrap_or_default()
    }

    fn take_publish_age(&mut self, layer: &PolicyLayer, only_tighter: bool) {
        let age = &mut self.publish_age;
        if let Some(new) = layer.policy.publish_age.minimum {
            let old = age.minimum.unwrap_or(bulkhead_schema::publish_age::DEFAULT_MINIMUM);
            if only_tighter && new < old {
                let reason = "it is locked, or its file is not trusted";
                self.notes.push(format!("a lower `publish-age.minimum` was ignored: {reason}"));
            } else {
                age.minimum = Some(new);
            }
            if layer.source == PolicySource::Organisation {
                age.floor = Some(new);
            }
        }
        for exemption in &layer.policy.publish_age.exempt {
            if only_tighter {
                let AgeExemption { package, version, .. } = exemption;
                let advice = "look at `bulkhead.toml`, then run `bulkhead trust bulkhead.toml`";
                self.notes.push(format!(
                    "the exemption of `{package}` {version} from the minimum age does not act: {advice}, unless a \
                     higher policy locks it"
                ));
            } else {
                age.exempt.push(exemption.clone());
            }
        }
    }

    fn take_level(&mut self, new: Option<SandboxLevel>, only_tighter: bool) {
        let Some(new) = new else { return };
        let old = self.sandbox_level.unwrap_or(SandboxLevel::Full);
        if only_tighter && new < old {
            self.notes
                .push("a weaker `sandbox.level` was ignored: it is locked, or its file is not trusted".to_owned());
        } else {
            self.sandbox_level = Some(new);
        }
    }

    fn take_grants(&mut self, layer: &PolicyLayer, trusted: bool, locks: &[Lock]) {
        let catalogued = self.catalogued(layer);
        if !trusted {
            self.catalogue_in_vain.extend(layer.policy.build_code.catalogue.iter().cloned());
        }
        for grant in layer.policy.grants.iter().chain(&catalogued) {
            let package = &grant.package;
            if !trusted {
                let advice = "look at `bulkhead.toml`, then run `bulkhead trust bulkhead.toml`";
                self.notes
                    .push(format!("the grant for `{package}` does not act: the file came with the project; {advice}"));
                continue;
            }
            let mut grant = grant.clone();
            let before = grant.clone();
            let locked = |lock: Lock| locks.contains(&Lock::Grant) || locks.contains(&lock);
            clear(&mut grant.read, locked(Lock::GrantRead));
            clear(&mut grant.write, locked(Lock::GrantWrite));
            clear(&mut grant.write_in_package, locked(Lock::GrantWrite));
            clear(&mut grant.env, locked(Lock::GrantEnv));
            clear(&mut grant.directives, locked(Lock::GrantDirectives));
            if locked(Lock::GrantNetwork) {
                grant.network = NetworkRule::None;
            }
            if grant != before {
                self.notes.push(format!("part of the grant for `{package}` does not act: a higher policy locks it"));
            }
            self.grants.push((layer.source, grant));
        }
    }

    /// The grants of the catalogue that a layer switches on by name.
    fn catalogued(&mut self, layer: &PolicyLayer) -> Vec<Grant> {
        let mut grants = Vec::new();
        for name in &layer.policy.build_code.catalogue {
            let Some(entry) = CatalogueEntry::find(name) else {
                let meant = CatalogueEntry::nearest(name).map(|near| format!(": is `{near}` meant?"));
                let source = layer.source;
                self.notes.push(format!(
                    "`build-code.catalogue` of {source} names `{name}`, which the catalogue has not{}",
                    meant.unwrap_or_default()
                ));
                continue;
            };
            match entry.grants() {
                Ok(entries) => grants.extend(entries),
                Err(error) => self.notes.push(error.to_string()),
            }
        }
        grants
    }

    fn take_programs(&mut self, layer: &PolicyLayer, trusted: bool, locks: &[Lock]) {
        let PolicyLayer { source, policy } = layer;
        self.run_confined |= policy.run.confined;
        self.test_confined |= policy.test.confined;
        let mut may = |lock: Lock, name: &str, says_something: bool| {
            let allowed = trusted && !locks.contains(&lock);
            if says_something && !allowed {
                self.notes.push(format!("`{name}` of {source} does not act: it is locked, or its file is not trusted"));
            }
            says_something && allowed
        };
        if may(Lock::Run, "run", policy.run.opens_something()) {
            self.run.push((*source, policy.run.clone()));
        }
        if may(Lock::Test, "test", policy.test.opens_something()) {
            self.test.push((*source, policy.test.clone()));
        }
        if may(Lock::Prefetch, "prefetch", !policy.prefetch.is_empty()) {
            self.prefetch.extend(policy.prefetch.iter().cloned());
        }
    }

    /// Whether `run` or `test` have to confine programs.
    pub fn demands_confinement(&self, kind: ProcessKind) -> bool {
        match kind {
            ProcessKind::Run => self.run_confined,
            ProcessKind::Test => self.test_confined,
            _ => true,
        }
    }

    /// What is granted to programs under `run --confined` or `test --confined`; nothing for processes of other kinds.
    pub fn programs(&self, kind: ProcessKind) -> GrantSet {
        let (rules, name) = match kind {
            ProcessKind::Run => (&self.run, "run"),
            ProcessKind::Test => (&self.test, "test"),
            _ => return GrantSet::default(),
        };
        let mut set = GrantSet::default();
        for (source, rules) in rules {
            let origin = Origin::Grant(format!("`{name}` in {source}").into());
            set.add_rules(&origin, &rules.read, &rules.write, &rules.env, &rules.network);
        }
        set
    }

    /// The files that are fetched for the build script of a package.
    pub fn prefetched<'a>(
        &'a self,
        package: &'a PackageName,
        version: &'a Version,
    ) -> impl Iterator<Item = &'a Prefetch> + 'a {
        let release = Version { pre: semver::Prerelease::EMPTY, ..version.clone() };
        self.prefetch.iter().filter(move |file| {
            file.package == *package && (file.version.matches(version) || file.version.matches(&release))
        })
    }

    /// The limits of processes of one kind, where `defaults` is what holds if no layer speaks.
    pub fn process_limits(&self, kind: ProcessKind, defaults: ProcessLimits) -> ProcessLimits {
        let ceilings: Vec<_> = self.ceilings.iter().map(|ceiling| (true, limits_of(ceiling, kind))).collect();
        in_force(limits_of(&self.limits, kind).or(defaults), &ceilings)
    }

    /// Forgets which layer said what about processes, so that policies can be compared by what holds.
    pub(crate) fn settle_limits(&mut self) {
        let of = |kind| self.process_limits(kind, ProcessLimits::default());
        self.limits = Limits {
            every: of(ProcessKind::Git),
            build_script: of(ProcessKind::BuildScript),
            rustc: of(ProcessKind::Rustc),
            run: of(ProcessKind::Run),
            test: of(ProcessKind::Test),
            ..Limits::default()
        };
        self.ceilings.clear();
    }
}

/// What one layer, or several together, say about processes of one kind.
fn limits_of(limits: &Limits, kind: ProcessKind) -> ProcessLimits {
    let own = match kind {
        ProcessKind::BuildScript => limits.build_script,
        ProcessKind::Rustc | ProcessKind::Linker | ProcessKind::Rustdoc | ProcessKind::Rustfmt => limits.rustc,
        ProcessKind::Run => limits.run,
        ProcessKind::Test => limits.test,
        ProcessKind::Git | ProcessKind::CredentialHelper => ProcessLimits::default(),
    };
    own.or(limits.every)
}

fn clear<T>(list: &mut Vec<T>, locked: bool) {
    if locked {
        list.clear();
    }
}

/// By name and version, where a pre-release counts as the version that it leads to: a grant is no dependency.
fn applies(grant: &Grant, package: &str, version: &Version) -> bool {
    let release = Version { pre: semver::Prerelease::EMPTY, ..version.clone() };
    grant.package == package && (grant.version.matches(version) || grant.version.matches(&release))
}

impl GrantSet {
    fn add(&mut self, source: PolicySource, grant: &Grant) {
        let origin = Origin::Grant(format!("grant in {source}: {}", grant.reason).into());
        self.add_rules(&origin, &grant.read, &grant.write, &grant.env, &grant.network);
        let inner = grant.write_in_package.iter();
        self.write_in_package.extend(inner.map(|path| Granted::new(path.clone(), origin.clone())));
        self.directives.extend(grant.directives.iter().map(|text| Granted::new(text.clone(), origin.clone())));
    }

    fn add_rules(
        &mut self,
        origin: &Origin,
        read: &[PathBuf],
        write: &[PathBuf],
        env: &[String],
        network: &NetworkRule,
    ) {
        let granted = |path: &PathBuf| Granted::new(path.clone(), origin.clone());
        self.read.extend(read.iter().map(granted));
        self.write.extend(write.iter().map(granted));
        self.env.extend(env.iter().map(|name| Granted::new(name.clone(), origin.clone())));
        if *network != NetworkRule::None {
            let both = |old: Granted<NetworkRule>| Granted::new(old.value.and(network.clone()), old.origin);
            let new = Granted::new(network.clone(), origin.clone());
            self.network = Some(self.network.take().map_or(new, both));
        }
    }

    /// Whether a directive stands among the granted ones, in exactly these words.
    pub fn allows_directive(&self, directive: &str) -> bool {
        self.directives.iter().any(|granted| granted.value == directive)
    }
}

/// What the layers make of `limits`, each with whether it may only tighten.
fn in_force<T: Bounds>(mut limits: T, layers: &[(bool, T)]) -> T {
    for &(only_tighter, mut new) in layers {
        for ((_, old), (_, new)) in limits.fields().into_iter().zip(new.fields()) {
            *old = match (*old, *new) {
                (Some(old), Some(new)) if only_tighter => Some(old.min(new)),
                (old, new) => new.or(old),
            };
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::{Effective, PolicyLayer, PolicySource, effective};
    use crate::ProcessKind;
    use bulkhead_schema::policy::{Digest, ProcessLimits, Reaction, ResolveLimits, SandboxLevel, parse_policy};
    use semver::Version;
    use std::path::Path;
    use std::sync::Arc;

    const ORGANISATION: PolicySource = PolicySource::Organisation;
    const TRUSTED: PolicySource = PolicySource::Workspace { trusted: true };
    const UNTRUSTED: PolicySource = PolicySource::Workspace { trusted: false };

    fn of(layers: &[(PolicySource, &str)]) -> Effective {
        let layer = |&(source, text): &(PolicySource, &str)| {
            let policy = parse_policy(Path::new("policy.toml"), &Arc::from(text)).unwrap();
            PolicyLayer { source, policy }
        };
        effective(&layers.iter().map(layer).collect::<Vec<_>>())
    }

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn a_grant_is_pinned_to_the_build_code() {
        let (good, bad) = (Digest::from_sha256([1; 32]), Digest::from_sha256([2; 32]));
        let text = format!("[[grant]]\npackage='x'\nversion='=1.0.0'\ndigest='{good}'\nnetwork=true\nreason='r'");
        let policy = of(&[(TRUSTED, &text)]);
        let ask = |name, v: &str, digest| policy.grants_for(name, &version(v), digest, false);
        assert!(ask("x", "1.0.0", Some(&good)).unwrap().network.is_some());
        assert!(ask("x", "1.0.1", Some(&good)).unwrap().network.is_none());
        assert!(ask("y", "1.0.0", Some(&good)).unwrap().network.is_none());
        assert!(ask("x", "1.0.0", Some(&bad)).unwrap_err().to_string().contains("is not the one that was granted"));
        assert!(ask("x", "1.0.0", None).is_err());
    }

    #[test]
    fn the_catalogue_acts_by_name_alone_and_only_for_what_was_read() {
        let entry = crate::CatalogueEntry::find("ort-sys").unwrap();
        let grant = entry.grants().unwrap().remove(0);
        let exact = version(grant.version.to_string().trim_start_matches('='));
        let named = "build-code.catalogue = ['ort-sys']";
        let network = |layers: &[(PolicySource, &str)], digest: Option<&Digest>| {
            of(layers).grants_for("ort-sys", &exact, digest, false).map(|set| set.network.is_some())
        };
        let digest = grant.digest.as_ref();
        assert!(!network(&[(TRUSTED, "")], digest).unwrap());
        assert!(network(&[(TRUSTED, named)], digest).unwrap());
        assert!(network(&[(TRUSTED, named)], Some(&Digest::from_sha256([1; 32]))).is_err());
        assert!(!network(&[(UNTRUSTED, named)], digest).unwrap());
        assert!(!network(&[(ORGANISATION, "locked = ['grant.network']"), (TRUSTED, named)], digest).unwrap());
        let other = of(&[(TRUSTED, named)]).grants_for("ort-sys", &version("2.0.0"), digest, false).unwrap();
        assert!(other.network.is_none());
        let waiting = |source| of(&[(source, "build-code.catalogue = ['ort-sys']")]).catalogue_in_vain;
        assert_eq!((waiting(TRUSTED), waiting(UNTRUSTED)), (Vec::new(), vec!["ort-sys".to_owned()]));
        let notes = of(&[(TRUSTED, "build-code.catalogue = ['ort-sis']")]).notes;
        assert!(notes[0].contains("names `ort-sis`, which the catalogue has not: is `ort-sys` meant?"), "{notes:?}");
    }

    #[test]
    fn a_grant_for_checkouts_stops_nobody_who_installs() {
        let entry = crate::CatalogueEntry::find("du-dust").unwrap();
        let grant = entry.grants().unwrap().remove(0);
        let exact = version(grant.version.to_string().trim_start_matches('='));
        let named = "build-code.catalogue = ['du-dust']";
        let folders = |layers: &[(PolicySource, &str)], digest, member| {
            let set = of(layers).grants_for("du-dust", &exact, digest, member)?;
            assert!(set.write.is_empty() && set.network.is_none());
            Ok::<_, super::DigestMismatch>(set.write_in_package.len())
        };
        let (read, other) = (grant.digest.unwrap(), Digest::from_sha256([1; 32]));
        assert_eq!(folders(&[(TRUSTED, named)], Some(&read), true), Ok(2));
        assert!(folders(&[(TRUSTED, named)], Some(&other), true).is_err(), "a script that nobody has read");
        assert_eq!(folders(&[(TRUSTED, named)], Some(&other), false), Ok(0), "the archive has a digest of its own");
        assert_eq!(folders(&[(UNTRUSTED, named)], Some(&read), true), Ok(0));
        assert_eq!(folders(&[(ORGANISATION, "locked = ['grant.write']"), (TRUSTED, named)], Some(&read), true), Ok(0));
    }

    #[test]
    fn only_members_need_no_digest() {
        let policy = of(&[(TRUSTED, "[[grant]]\npackage='x'\nenv=['A']\nreason='r'")]);
        assert_eq!(policy.grants_for("x", &version("1.0.0-rc.1"), None, true).unwrap().env[0].value, "A");
        assert!(policy.grants_for("x", &version("1.0.0"), None, false).is_err());
    }

    #[test]
    fn what_came_with_the_project_loosens_nothing() {
        let policy = of(&[(UNTRUSTED, "sandbox.level='landlock'\n[[grant]]\npackage='x'\nnetwork=true\nreason='r'")]);
        assert!(policy.grants_for("x", &version("1.0.0"), None, true).unwrap().network.is_none());
        assert_eq!(policy.sandbox_level, None);
        assert_eq!(policy.notes.len(), 2);
    }

    #[test]
    fn the_minimum_age_is_lowered_by_those_who_may() {
        let lower = "publish-age.minimum='1 day'\n[[publish-age.exempt]]\npackage='a'\nversion='1.0.0'\nreason='a fix'";
        let age = of(&[(UNTRUSTED, lower)]).publish_age;
        assert_eq!((age.floor, age.minimum, age.exempt.len()), (None, None, 0));
        assert_eq!(of(&[(UNTRUSTED, lower)]).notes.len(), 2);
        let age = of(&[(TRUSTED, lower)]).publish_age;
        assert_eq!((age.floor, age.minimum, age.exempt.len()), (None, Some(86_400), 1));
        let higher = "publish-age.minimum='7 days'";
        assert_eq!(of(&[(UNTRUSTED, higher)]).publish_age.minimum, Some(7 * 86_400));
        let age =
            of(&[(ORGANISATION, "locked=['publish-age']\npublish-age.minimum='7 days'"), (TRUSTED, lower)]).publish_age;
        assert_eq!((age.floor, age.minimum, age.exempt.len()), (Some(7 * 86_400), Some(7 * 86_400), 0));
    }

    #[test]
    fn only_a_trusted_project_may_be_laxer_about_names() {
        let text = "[lookalikes]\nlevel='allow'\nallow=['rnad']";
        assert_eq!(of(&[(UNTRUSTED, text)]).lookalike_level(), Reaction::Warn);
        assert!(of(&[(UNTRUSTED, text)]).lookalikes.allow.is_empty());
        assert_eq!(of(&[(TRUSTED, text)]).lookalike_level(), Reaction::Allow);
        let text = "withdrawn.yanked='allow'\nwithdrawn.vanished='deny'";
        let of_untrusted = of(&[(UNTRUSTED, text)]).withdrawn;
        assert_eq!((of_untrusted.yanked, of_untrusted.vanished), (None, Some(Reaction::Deny)));
        assert_eq!(of(&[(TRUSTED, text)]).withdrawn.yanked, Some(Reaction::Allow));
        let firm = "locked=['withdrawn']\nwithdrawn.yanked='deny'";
        assert_eq!(of(&[(ORGANISATION, firm), (TRUSTED, text)]).withdrawn.yanked, Some(Reaction::Deny));
        let size = "unit-cache = { max-mib = 5 }";
        let off = of(&[(ORGANISATION, size), (UNTRUSTED, "unit-cache = { enabled = false, max-mib = 1 }")]);
        assert_eq!((off.unit_cache.enabled, off.unit_cache.max_mib), (Some(false), Some(5)));
        assert!(off.notes.iter().any(|note| note.contains("the cache of compiled units")));
        let on = of(&[(ORGANISATION, "unit-cache.enabled = false"), (TRUSTED, "unit-cache.enabled = true")]);
        assert_eq!(on.unit_cache.enabled, Some(false));
        let text = "[lookalikes]\nlevel='allow'\nallow=['rnad']";
        let deny = "locked=['lookalikes']\nlookalikes.level='deny'";
        assert_eq!(of(&[(ORGANISATION, deny), (TRUSTED, text)]).lookalike_level(), Reaction::Deny);
        assert_eq!(of(&[(UNTRUSTED, "lookalikes.level='deny'")]).lookalike_level(), Reaction::Deny);
    }

    #[test]
    fn locks_hold_against_lower_layers_only() {
        let high = "locked=['grant.network','limits','sandbox.level']\nlimits.memory-mib=100\n[[grant]]\npackage='o'\nnetwork=true\nreason='r'";
        let low = "sandbox.level='landlock'\nlimits={memory-mib=200,processes=5}\n[[grant]]\npackage='x'\nnetwork=true\nenv=['A']\nreason='r'";
        let policy = of(&[(ORGANISATION, high), (TRUSTED, low)]);
        let set = policy.grants_for("x", &version("1.0.0"), None, true).unwrap();
        assert!(set.network.is_none() && set.env[0].value == "A");
        assert!(policy.grants_for("o", &version("1.0.0"), None, true).unwrap().network.is_some());
        let limits = policy.process_limits(ProcessKind::Rustc, ProcessLimits::default());
        assert_eq!((limits.memory_mib, limits.processes), (Some(100), Some(5)));
        assert_ne!(policy.sandbox_level, Some(SandboxLevel::Landlock));
        let resolve = |layers: &[(PolicySource, &str)]| {
            let defaults = ResolveLimits { packages: Some(50), ..ResolveLimits::default() };
            let limits = of(layers).resolve_limits(defaults);
            (limits.packages, limits.depth)
        };
        let low = "limits.resolve={packages=60,depth=9}";
        assert_eq!(resolve(&[(ORGANISATION, high), (TRUSTED, low)]), (Some(50), Some(9)));
        assert_eq!(resolve(&[(UNTRUSTED, low)]), (Some(50), Some(9)));
        assert_eq!(resolve(&[(TRUSTED, low)]), (Some(60), Some(9)));
        let policy = of(&[(TRUSTED, "limits.memory-mib=200\nsandbox.level='landlock'")]);
        assert_eq!((policy.limits.every.memory_mib, policy.sandbox_level), (Some(200), Some(SandboxLevel::Landlock)));
    }

    #[test]
    fn nobody_who_may_only_tighten_raises_a_limit_of_processes() {
        let rustc = |layers: &[(PolicySource, &str)]| {
            let defaults = ProcessLimits { processes: Some(50), ..ProcessLimits::default() };
            let limits = of(layers).process_limits(ProcessKind::Rustc, defaults);
            (limits.processes, limits.memory_mib)
        };
        let loose = "limits={processes=60,memory-mib=900,rustc={memory-mib=800}}";
        let firm = "locked=['limits']\nlimits.memory-mib=100";
        // Neither the default is raised, nor a limit for all processes by one for some; a limit where there is none is kept.
        assert_eq!(rustc(&[(UNTRUSTED, loose)]), (Some(50), Some(800)));
        assert_eq!(rustc(&[(ORGANISATION, firm), (TRUSTED, loose)]), (Some(50), Some(100)));
        assert_eq!(
            rustc(&[(ORGANISATION, firm), (UNTRUSTED, "limits.rustc={memory-mib=7,processes=8}")]),
            (Some(8), Some(7))
        );
        // Who may loosen does, and the more specific limit goes before the general one.
        assert_eq!(rustc(&[(TRUSTED, loose)]), (Some(60), Some(800)));
        assert_eq!(rustc(&[(TRUSTED, loose), (UNTRUSTED, "limits.memory-mib=10")]), (Some(60), Some(10)));
    }
}
