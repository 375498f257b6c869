//! `review`: what a package can do, before anything of it is built.

mod repository;

use std::collections::BTreeSet;
use std::sync::Arc;

use bulkhead_policy::{PolicySource, Standing, lookalike};
pub use bulkhead_review::{Change, Counts, Examination, Finding, Role, Rule};
use bulkhead_review::{changes, examine, sarif};
use bulkhead_schema::PackageId;
use bulkhead_schema::bulkhead_lock::BuildCodeKind;
use bulkhead_schema::policy::Weight;
use bulkhead_schema::publish_age::{DEFAULT_MINIMUM, describe};
use bulkhead_workspace::{Package, find_manifest};
pub use semver::Version;

use crate::bulkhead_lock::LockFile;
use crate::error::Result;
use crate::info::{self, Info, InfoOptions};
use crate::options::{CompileOptions, GlobalOptions};
use crate::{Error, ErrorKind, Event, approvals, compile, configuration, git, listing, newcomers, project};

pub use repository::Upstream;

/// What to review, and how thoroughly.
#[derive(Debug, Clone)]
pub struct ReviewOptions {
    /// `PKG[@VERSION]`; without it, everything that runs while the project is built.
    pub package: Option<InfoOptions>,
    /// `--diff`
    pub against: Option<Against>,
    /// Whether the source repository is asked.
    pub repository: bool,
    /// `--deny`
    pub deny: Option<Weight>,
}

/// What a version is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// The version that the workspace uses.
    InUse,
    /// Another one.
    Version(Version),
}

/// What is known of one package.
#[derive(Debug)]
pub struct Review {
    /// The package. Its texts are untrusted.
    pub package: Arc<Package>,
    /// Why its code runs while something is built; empty if none does.
    pub kinds: BTreeSet<BuildCodeKind>,
    /// Seconds since it was published, where the registry says.
    pub age: Option<u64>,
    /// What was found in its files.
    pub examination: Examination,
    /// How it stands to its repository.
    pub upstream: Upstream,
    /// How it differs from another version.
    pub comparison: Option<Comparison>,
    /// How its build code stands to what was approved, if it is part of the project.
    pub standing: Option<Standing>,
}

/// How a version differs from another one.
#[derive(Debug)]
pub struct Comparison {
    /// The other one.
    pub former: PackageId,
    /// Whether that is the version in use.
    pub in_use: bool,
    /// The files that differ.
    pub changes: Vec<Change>,
    /// Findings that the other one did not have.
    pub new: BTreeSet<Finding>,
}

/// All reviews, and whether they are bad enough to fail.
#[derive(Debug)]
pub struct Reviewed {
    /// The packages, those with the heaviest findings first.
    pub reviews: Vec<Review>,
    /// The refusal, if policy or `--deny` says so.
    pub refusal: Option<Error>,
}

/// Looks at the package that `options` name, or at all whose code runs while the project is built as `compile` says.
///
/// # Errors
/// There is no such package; it cannot be fetched or is not what was promised; the project cannot be planned.
pub fn review(
    global: &GlobalOptions,
    options: &ReviewOptions,
    compile: &CompileOptions,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Reviewed> {
    global.place.disk.never_repeat();
    let (mut reviews, mut denials) = match &options.package {
        Some(package) => one(global, options, package, events)?,
        None => all(global, options, compile, events)?,
    };
    let heaviest = |it: &Review| it.examination.findings.first().map(|finding| finding.weight);
    reviews.sort_by_key(|it| (std::cmp::Reverse(heaviest(it)), it.package.id));
    // Whoever runs the command is the user.
    denials.0.extend(options.deny.map(|weight| (PolicySource::User, weight)));
    let refusal = refusal(&reviews, &denials);
    Ok(Reviewed { reviews, refusal })
}

/// Who wants a review to fail from which weight on, and the approvals that can be an answer to that.
struct Denials(Vec<(PolicySource, Weight)>, Option<LockFile>);

impl Denials {
    /// Whether the findings of a package are too much for somebody.
    fn apply(&self, it: &Review) -> bool {
        let approved = |who| {
            it.standing == Some(Standing::Approved) && self.1.as_ref().is_some_and(|kept| kept.counts_for(Some(who)))
        };
        let heavy = |weight| it.examination.findings.iter().any(|finding| finding.weight >= weight);
        self.0.iter().any(|(who, weight)| heavy(*weight) && !approved(*who))
    }
}

/// The findings in SARIF 2.1.0. `version` is this program's.
pub fn as_sarif(reviews: &[Review], version: &str) -> serde_json::Value {
    let names: Vec<String> =
        reviews.iter().map(|it| format!("{}-{}", it.package.id.name(), it.package.id.version())).collect();
    let packages = reviews.iter().zip(&names);
    let packages: Vec<_> =
        packages.map(|(it, package)| sarif::Reviewed { package, findings: &it.examination.findings }).collect();
    sarif::log(version, &packages)
}

type Found = (Vec<Review>, Denials);

fn one(
    global: &GlobalOptions,
    options: &ReviewOptions,
    wanted: &InfoOptions,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Found> {
    let found = info::info(global, wanted, events)?;
    let project = match find_manifest(&global.place.disk, &global.place.current_dir) {
        Ok(_) => Some(project::open(global, &|_| ())?),
        Err(_) => None,
    };
    let minimum = project.as_ref().and_then(|project| project.policy.publish_age.minimum);
    let kinds = newcomers::kinds(&found.package);
    let mut review = look(global, &found.package, kinds, found.published, minimum)?;
    if options.repository {
        let git = match &project {
            Some(project) => git::options(global, &project.configuration, Some(&project.policy))?,
            None => git::options(global, &configuration::load(global, &|_| ())?, None)?,
        };
        let files = files(global, &found.package)?;
        let (upstream, findings) = repository::ask(&git, &found.package, &files, &review.examination);
        review.upstream = upstream;
        review.examination.add(findings);
    }
    review.comparison = comparison(global, options, wanted, &found, &review, events)?;
    let denials = project.map(|project| project.policy.review_denies).unwrap_or_default();
    Ok((vec![review], Denials(denials, None)))
}

fn all(
    global: &GlobalOptions,
    options: &ReviewOptions,
    compile: &CompileOptions,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Found> {
    if options.against.is_some() {
        return Err(Error::new(ErrorKind::Usage, "`--diff` needs the package that is compared"));
    }
    let prepared = compile::prepare(global, compile, events)?;
    let kept = LockFile::read(global, &prepared.project.workspace.root)?;
    let minimum = prepared.project.policy.publish_age.minimum;
    let mut reviews = Vec::new();
    for it in approvals::survey(global, &prepared, &kept.lock, true)? {
        let mut review = look(global, &it.package, it.facts.kinds.clone(), None, minimum)?;
        review.standing = Some(it.standing);
        reviews.push(review);
    }
    Ok((reviews, Denials(prepared.project.policy.review_denies, Some(kept))))
}

fn files(global: &GlobalOptions, package: &Package) -> Result<bulkhead_review::Listing> {
    listing::read(&listing::top(package, &global.place.bulkhead_home), package.id.source().is_path())
}

/// Looks at the files of one package.
fn look(
    global: &GlobalOptions,
    package: &Arc<Package>,
    kinds: BTreeSet<BuildCodeKind>,
    published: Option<i64>,
    minimum: Option<u64>,
) -> Result<Review> {
    let layout = listing::layout(package, &listing::top(package, &global.place.bulkhead_home));
    let mut examination = examine(&layout, &kinds, &files(global, package)?);
    let age = published.map(|time| u64::try_from(global.place.now.saturating_sub(time)).unwrap_or(0));
    let is_own = package.id.source().is_path();
    if let Some(found) = lookalike(package.id.name().as_str()).filter(|_| !is_own) {
        let detail = format!("`{}`", found.known);
        examination.add([Finding::about_package(Rule::LookalikeName, detail)]);
    }
    if let Some(age) = age.filter(|age| *age < minimum.unwrap_or(DEFAULT_MINIMUM)) {
        examination.add([Finding::about_package(Rule::Young, format!("{} ago", describe(age)))]);
    }
    let (upstream, comparison, standing) = (Upstream::NotAsked, None, None);
    Ok(Review { package: Arc::clone(package), kinds, age, examination, upstream, comparison, standing })
}

/// Compares with the version that was asked for, or with the one in use if that is another.
fn comparison(
    global: &GlobalOptions,
    options: &ReviewOptions,
    wanted: &InfoOptions,
    found: &Info,
    review: &Review,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Option<Comparison>> {
    let name = found.package.id.name();
    let other = |spec: String| info::info(global, &InfoOptions { spec, ..wanted.clone() }, events);
    let former = match &options.against {
        Some(Against::Version(version)) => other(format!("{name}@{version}"))?,
        _ if found.used || !is_versioned(&wanted.spec) => return nothing(options, found),
        _ => match other(name.to_string())? {
            former if former.used => former,
            _ => return nothing(options, found),
        },
    };
    let kinds = newcomers::kinds(&former.package);
    let before = look(global, &former.package, kinds, None, None)?;
    let new = review.examination.new_since(&before.examination).cloned().collect();
    let changes = changes(&files(global, &former.package)?, &files(global, &found.package)?);
    Ok(Some(Comparison { former: former.package.id, in_use: former.used, changes, new }))
}

fn is_versioned(spec: &str) -> bool {
    spec.contains('@')
}

/// There is no other version: which is a mistake where one was asked for.
fn nothing(options: &ReviewOptions, found: &Info) -> Result<Option<Comparison>> {
    if options.against.is_none() {
        return Ok(None);
    }
    let message = match found.used {
        true => format!("`{}` is itself the version in use", found.package.id),
        false => format!("no version of `{}` is in use here", found.package.id.name()),
    };
    Err(Error::failure(message).help("name the version to compare with: `--diff VERSION`"))
}

/// What is heavier than allowed, in packages whose build code nobody has approved.
fn refusal(reviews: &[Review], denials: &Denials) -> Option<Error> {
    let deny = denials.0.iter().map(|(_, weight)| *weight).min()?;
    let bad: Vec<&Review> = reviews.iter().filter(|it| denials.apply(it)).collect();
    let first = bad.first()?;
    let names: String = bad.iter().map(|it| format!("\n  {}", it.package.id)).collect();
    let count = match bad.len() {
        1 => "1 package has".to_owned(),
        many => format!("{many} packages have"),
    };
    let message = format!("{count} findings of weight `{}` or more{names}", deny.word());
    let spec = approvals::spec(first.package.id);
    Some(
        Error::refusal(ErrorKind::Policy, "review", message)
            .help(format!("look at them with `bulkhead review {spec}`"))
            .help(format!("what was looked at and is in order, approve: `bulkhead approve {spec}`")),
    )
}
