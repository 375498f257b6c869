//! Failures in words.

use bulkhead_schema::{Dependency, PackageId, Symbol};
use semver::Version;

use super::Search;
use super::conflict::Exhausted;
use super::demand::BadFeature;
use super::universe::VersionIndex;
use crate::nearest::nearest;
use crate::{LocalRequirement, Resolve, ResolveError, ResolveErrorKind};

fn error(kind: ResolveErrorKind, message: String) -> ResolveError {
    ResolveError { kind, message, because: Vec::new(), help: Vec::new(), local: Vec::new() }
}

/// A bound of [`crate::Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Steps,
    Time,
    Packages,
    Depth,
    Edges,
    Features,
}

/// Why the search was given up. `bound` is the limit, or for [`Limit::Time`] how many steps were made in that time.
pub(super) fn limit(search: &Search<'_>, limit: Limit, bound: u64) -> ResolveError {
    let (message, key) = match limit {
        Limit::Steps => (format!("gave up after {bound} steps without finding versions that fit together"), "steps"),
        Limit::Time => (format!("gave up when the time was over, after {bound} steps"), "time-seconds"),
        Limit::Packages => (format!("the dependency graph has more than {bound} packages"), "packages"),
        Limit::Depth => (format!("a chain of dependencies is longer than {bound} packages"), "depth"),
        Limit::Edges => (format!("the dependency graph has more than {bound} dependencies"), "edges"),
        Limit::Features => {
            (format!("the packages of the graph have more than {bound} features switched on"), "features")
        }
    };
    let mut error = error(ResolveErrorKind::Limit, message);
    if matches!(limit, Limit::Steps | Limit::Time) && search.failures.first.is_some() {
        let conflict = unsolvable(search);
        error.because.push(format!("the first conflict on the way: {}", conflict.message));
        let shift = error.because.len();
        error.because.extend(conflict.because);
        error.local.extend(conflict.local.into_iter().map(|it| LocalRequirement { line: it.line + shift, ..it }));
        error.help.push("Narrow the version requirements of direct dependencies.".to_owned());
    } else if let Some(last) = search.activations.len().checked_sub(1) {
        let chain = super::conflict::chain(super::universe::number(last), &search.activations);
        add_required_by(&mut error, search, &chain[chain.len().saturating_sub(10)..]);
    }
    error.help.push(format!("If this graph is meant, raise `limits.resolve.{key}` in a policy file."));
    error
}

pub(super) fn members_share_links(
    search: &Search<'_>,
    one: VersionIndex,
    other: VersionIndex,
    links: Symbol,
) -> ResolveError {
    let (one, other) = (search.universe.id(one), search.universe.id(other));
    error(
        ResolveErrorKind::Conflict,
        format!("workspace members {one} and {other} both link to the native library `{links}`"),
    )
}

pub(super) fn member_feature(search: &Search<'_>, version: VersionIndex, bad: BadFeature) -> ResolveError {
    let feature = match bad {
        BadFeature::Missing(feature) => feature,
        BadFeature::IncludesItself(feature) => return includes_itself(search.universe.id(version), feature),
    };
    let summary = &search.universe.candidate(version).summary;
    let known = summary.features.keys().map(|known| known.as_str());
    let help = nearest(&feature, known).map(|near| format!("A feature with a similar name exists: `{near}`."));
    let message = format!("package `{}` does not have feature `{feature}`", summary.id);
    ResolveError { help: help.into_iter().collect(), ..error(ResolveErrorKind::MissingFeature, message) }
}

/// Of the package that the search came upon.
pub(super) fn feature_cycle(search: &Search<'_>) -> ResolveError {
    match search.failures.feature_cycle {
        Some((version, feature)) => includes_itself(search.universe.id(version), feature),
        None => unsolvable(search),
    }
}

fn includes_itself(id: PackageId, feature: Symbol) -> ResolveError {
    let because = vec![format!("{id} has `{feature} = [\"{feature}\", …]` in its `[features]`")];
    let message = format!("cyclic feature dependency: feature `{feature}` depends on itself");
    ResolveError { because, ..error(ResolveErrorKind::Cycle, message) }
}

pub(super) fn cycle(resolve: &Resolve, cycle: &[PackageId]) -> ResolveError {
    let first = cycle.first().map(ToString::to_string).unwrap_or_default();
    let next = cycle.iter().cycle().skip(1);
    let (mut because, mut local) = (Vec::new(), Vec::new());
    for (one, other) in cycle.iter().zip(next) {
        let edge = resolve.nodes.get(one).and_then(|node| node.dependencies.iter().find(|it| it.id == *other));
        let Some(declared) = edge.and_then(|it| it.declared.first()) else { continue };
        if one.source().is_path() {
            local.push(LocalRequirement { line: because.len(), by: *one, dependency: declared.clone() });
        }
        because.push(format!("{one} depends on {other} (`{} = \"{}\"`)", other.name(), declared.requirement));
    }
    ResolveError {
        because,
        local,
        ..error(ResolveErrorKind::Cycle, format!("cyclic package dependency: package `{first}` depends on itself"))
    }
}

pub(super) fn checksum_changed(id: PackageId, old: &str, new: &str) -> ResolveError {
    let because = vec![
        "--- the registry's index".to_owned(),
        "+++ Cargo.lock".to_owned(),
        format!("- checksum = \"{new}\""),
        format!("+ checksum = \"{old}\""),
    ];
    ResolveError {
        because,
        ..error(ResolveErrorKind::ChecksumChanged, format!("checksum for `{id}` changed between lock files"))
    }
}

/// No versions fit together: tells of the first dependency that could not be met, which is the one that the preferred
/// versions lead to.
pub(super) fn unsolvable(search: &Search<'_>) -> ResolveError {
    let Some(failure) = &search.failures.first else {
        return error(ResolveErrorKind::Conflict, "no versions fit together".to_owned());
    };
    let parent = &search.universe.candidate(failure.parent).summary;
    let dependency = &parent.dependencies[failure.place as usize];
    let failed = Failed { search, failure, parent: parent.id, dependency };
    let missing = search
        .failures
        .missing_features
        .iter()
        .find(|(asker, of, _)| *asker == failure.parent && search.universe.id(*of).name() == dependency.package);
    let existing = failed.existing();
    let mut error = match missing {
        _ if existing.is_empty() => failed.unknown_package(),
        _ if failed.matching().next().is_none() => failed.no_matching_version(&existing),
        Some(&(_, of, feature)) if failure.blockers.is_empty() => failed.missing_feature(of, feature),
        _ => failed.conflict(),
    };
    if error.kind != ResolveErrorKind::Conflict {
        add_required_by(&mut error, search, &failure.path);
    }
    // The failing dependency itself, on the line that names its package.
    let line = error.because.iter().position(|line| line.trim_start().starts_with("required by package"));
    if let Some(line) = line.filter(|_| parent.id.source().is_path()) {
        error.local.push(LocalRequirement { line, by: parent.id, dependency: dependency.clone() });
    }
    error
}

/// A dependency that could not be met.
struct Failed<'a> {
    search: &'a Search<'a>,
    failure: &'a Exhausted,
    parent: PackageId,
    dependency: &'a Dependency,
}

impl Failed<'_> {
    /// All versions of the package: each with whether it was yanked, highest first.
    fn existing(&self) -> Vec<(Version, bool)> {
        let (source, name) = (self.dependency.source, self.dependency.package);
        let published = self.search.universe.published(source, name).iter().map(|it| (it.version.clone(), it.yanked));
        let local = self.search.universe.local(source, name).into_iter().map(|it| (it.id.version().clone(), false));
        let mut all: Vec<_> = published.chain(local).collect();
        all.sort_by(|a, b| b.0.cmp(&a.0));
        all
    }

    /// The versions that could have been taken, best first.
    fn matching(&self) -> impl Iterator<Item = &Version> {
        let target = &self.failure.target;
        target.candidates.iter().map(|&position| self.search.universe.version_at(target.package, position))
    }

    fn wanted(&self) -> String {
        format!("{} = \"{}\"", self.dependency.package, self.dependency.requirement)
    }

    fn searched(&self) -> String {
        let source = self.dependency.source;
        match source.local_path() {
            Some(path) => format!("location searched: {}", path.display()),
            None if source.is_registry() => format!("location searched: {}", source.index_name()),
            None => format!("location searched: {source}"),
        }
    }

    fn unknown_package(&self) -> ResolveError {
        let name = self.dependency.package;
        let similar = self.search.universe.similar(self.dependency.source, name);
        let help = similar.first().map(|near| format!("A package with a similar name exists: `{near}`."));
        let mut error = ResolveError {
            help: help.into_iter().collect(),
            ..error(ResolveErrorKind::UnknownPackage, format!("no matching package named `{name}` found"))
        };
        self.tell_lock(&[], &mut error);
        error.because.push(self.searched());
        error
    }

    /// What the lockfile says of the package, if it says anything.
    fn tell_lock(&self, existing: &[(Version, bool)], error: &mut ResolveError) {
        let (name, source) = (self.dependency.package, self.dependency.source);
        let Some(locked) = self.search.universe.lock_of(self.parent, self.dependency) else { return };
        let version = locked.version();
        let listed = existing.iter().any(|(it, _)| it == version);
        if source.is_registry() && !listed {
            error.because.push(format!("Cargo.lock locks it to {version}, which the registry no longer lists"));
            error.help.push(format!(
                "Registries do not take versions back: an older index may hide what was published since. Find out from \
                 the registry's operator what happened to `{name}` {version}."
            ));
        } else {
            error.because.push(format!("Cargo.lock locks it to {version}, which cannot be used"));
        }
        if !existing.is_empty() {
            error.help.push(format!("Run `update -p {name}` to choose another version."));
        }
    }

    fn no_matching_version(&self, existing: &[(Version, bool)]) -> ResolveError {
        let mut error = error(
            ResolveErrorKind::NoMatchingVersion,
            format!("failed to select a version for the requirement `{}`", self.wanted()),
        );
        let fits =
            |version: &Version| !self.dependency.specified_requirement || self.dependency.requirement.matches(version);
        self.tell_lock(existing, &mut error);
        let precise = self.search.universe.precise(self.dependency);
        let is_listed = |wanted: &Version| existing.iter().any(|(it, _)| it.cmp_precedence(wanted).is_eq());
        if let Some(wanted) = precise.filter(|wanted| !is_listed(wanted)) {
            error.because.push(format!("there is no version {wanted}"));
        }
        let yanked: Vec<&Version> =
            existing.iter().filter(|(it, yanked)| *yanked && fits(it)).map(|(it, _)| it).collect();
        if !yanked.is_empty() {
            error.because.push(format!("versions that match were yanked: {}", list(yanked)));
        }
        let usable = || existing.iter().filter(|(_, yanked)| !yanked).map(|(version, _)| version);
        let (source, name) = (self.dependency.source, self.dependency.package);
        let youth = |version: &Version| self.search.universe.youth(source, name, version);
        let young: Vec<_> = usable().filter(|it| fits(it)).filter_map(|it| Some((it, youth(it)?))).collect();
        for (version, youth) in young.iter().take(5) {
            error.because.push(format!("version {version} is too new ({youth})"));
        }
        if let Some((version, _)) = young.first() {
            error.help.push(format!(
                "To take it all the same, add to `bulkhead.toml`:\n[[publish-age.exempt]]\npackage = \"{name}\"\nversion = \"{version}\""
            ));
            error.help.push(
                "`CARGO_RESOLVER_INCOMPATIBLE_PUBLISH_AGE=allow` lets all fresh versions through, for one command."
                    .to_owned(),
            );
        }
        let others: Vec<&Version> = usable().filter(|it| !young.iter().any(|(young, _)| young == it)).collect();
        if !others.is_empty() {
            error.because.push(format!("candidate versions found which didn't match: {}", list(others)));
        }
        let release = |it: &Version| Version::new(it.major, it.minor, it.patch);
        let is_missed = |it: &&Version| precise.is_none() && !it.pre.is_empty() && fits(&release(it));
        if let Some(pre) = usable().find(is_missed) {
            let name = self.dependency.package;
            error.help.push(format!("A pre-release has to be asked for explicitly: `{name} = \"{pre}\"`."));
        }
        error.because.push(self.searched());
        error
    }

    fn missing_feature(&self, of: VersionIndex, feature: Symbol) -> ResolveError {
        let summary = &self.search.universe.candidate(of).summary;
        let name = self.dependency.package;
        let message = format!(
            "package `{}` depends on `{name}` with feature `{feature}` but `{name}` does not have that feature",
            self.parent.name()
        );
        let mut error = error(ResolveErrorKind::MissingFeature, message);
        match summary.dependencies.iter().find(|it| it.name_in_manifest() == feature) {
            Some(it) if it.optional => error.because.push(format!(
                "{} has an optional dependency of that name, but it is only reachable through `dep:{feature}`",
                summary.id
            )),
            Some(_) => error.because.push(format!(
                "{} has a required dependency of that name, but only optional dependencies can be used as features",
                summary.id
            )),
            None => error.because.push(format!(
                "versions that meet the requirement `{}`: {}",
                self.dependency.requirement,
                list(self.matching())
            )),
        }
        let known = summary.features.keys().map(|known| known.as_str());
        error
            .help
            .extend(nearest(&feature, known).map(|near| format!("A feature with a similar name exists: `{near}`.")));
        error
    }

    fn conflict(&self) -> ResolveError {
        let mut error =
            error(ResolveErrorKind::Conflict, format!("failed to select a version for `{}`", self.dependency.package));
        error.because.push(format!(
            "versions that meet the requirement `{}`: {}",
            self.wanted(),
            list(self.matching())
        ));
        add_required_by(&mut error, self.search, &self.failure.path);
        for blocker in &self.failure.blockers {
            let Some(&(version, _)) = blocker.last() else { continue };
            let chosen = &self.search.universe.candidate(version).summary;
            if chosen.id.name() == self.dependency.package {
                error.because.push(format!(
                    "{} is already selected, and only one of several compatible versions can be:",
                    chosen.id
                ));
            } else {
                let links = chosen.links.map(|links| links.to_string()).unwrap_or_default();
                error.because.push(format!(
                    "{} is already selected, and only one package may link to the native library `{links}`:",
                    chosen.id
                ));
                error
                    .help
                    .push(format!("Bring all packages that link `{links}` to requirements that one version meets."));
            }
            add_way_to(&mut error, self.search, blocker);
        }
        error
    }
}

/// Adds lines that lead from the package which has the failing dependency up to a member.
fn add_required_by(error: &mut ResolveError, search: &Search<'_>, path: &[(VersionIndex, Option<u32>)]) {
    let parent = path.last().map(|&(last, _)| format!("    required by package `{}`", search.universe.id(last)));
    error.because.extend(parent);
    add_way_to(error, search, path);
}

/// Adds lines that tell which dependencies led to the last package of `path`.
fn add_way_to(error: &mut ResolveError, search: &Search<'_>, path: &[(VersionIndex, Option<u32>)]) {
    for pair in path.windows(2).rev() {
        let &[(parent, _), (_, Some(place))] = pair else { continue };
        let summary = &search.universe.candidate(parent).summary;
        let Some(it) = summary.dependencies.get(place as usize) else { continue };
        if summary.id.source().is_path() {
            let line = error.because.len();
            error.local.push(LocalRequirement { line, by: summary.id, dependency: it.clone() });
        }
        let wanted = format!("{} = \"{}\"", it.package, it.requirement);
        error.because.push(format!("    ... which satisfies dependency `{wanted}` of package `{}`", summary.id));
    }
}

/// The first few versions.
fn list<'v>(versions: impl IntoIterator<Item = &'v Version>) -> String {
    let mut versions = versions.into_iter().map(ToString::to_string);
    let shown: Vec<String> = versions.by_ref().take(5).collect();
    let more = versions.count();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
