//! Build-time code that has to be approved before it runs: found in the plan, compared with `bulkhead.lock`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_policy::{BuildCodeFacts, PolicySource, Standing, standing};
use bulkhead_schema::bulkhead_lock::{Approval, BuildCodeKind, BulkheadLock};
use bulkhead_schema::policy::{BuildCodeLevel, Digest};
use bulkhead_schema::{PackageId, SourceId};
use bulkhead_unit_graph::{CompileMode, UnitGraph, UnitIndex};
use bulkhead_workspace::Package;
use serde_json::json;

use crate::bulkhead_lock::LockFile;
use crate::compile::Prepared;
use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions, MessageFormat};
use crate::{Error, ErrorKind, Event, listing};

/// Most packages that a message names one by one in the command that approves them.
const MOST_NAMED: usize = 6;

/// A package whose code runs while something is built, and how it stands.
#[derive(Debug, Clone)]
pub struct BuildCodePackage {
    /// The package.
    pub package: Arc<Package>,
    /// What is known of it.
    pub facts: BuildCodeFacts,
    /// What it takes for the code to run.
    pub level: BuildCodeLevel,
    /// Who asks for that.
    pub asked_by: Option<PolicySource>,
    /// How it stands to what was approved.
    pub standing: Standing,
}

/// The packages whose code runs, and why: build scripts, procedural macros, and all that these are linked with. The user's
/// own packages are left out: they are what is worked on.
pub fn running(graph: &UnitGraph) -> BTreeMap<PackageId, (Arc<Package>, BTreeSet<BuildCodeKind>)> {
    let mut found: BTreeMap<PackageId, (Arc<Package>, BTreeSet<BuildCodeKind>)> = BTreeMap::new();
    let mut add = |index: UnitIndex, kind| {
        let unit = graph.unit(index);
        if !unit.is_local {
            let entry = found.entry(unit.package.id).or_insert_with(|| (Arc::clone(&unit.package), BTreeSet::new()));
            entry.1.insert(kind);
        }
    };
    let mut waiting = Vec::new();
    for (index, unit) in graph.iter() {
        // One without its program is not run.
        if unit.mode == CompileMode::RunBuildScript && unit.dependencies.iter().any(|it| is_script(graph, it.unit)) {
            add(index, BuildCodeKind::BuildScript);
            if unit.package.summary.links.is_some() {
                add(index, BuildCodeKind::Links);
            }
            // What runs is the script as it was compiled, with all that is linked into it.
            waiting.extend(unit.dependencies.iter().map(|it| it.unit).filter(|it| is_script(graph, *it)));
        }
        if unit.target.is_proc_macro() {
            add(index, BuildCodeKind::ProcMacro);
            waiting.push(index);
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(index) = waiting.pop() {
        if !seen.insert(index) {
            continue;
        }
        for dependency in graph.unit(index).dependencies.iter().map(|it| it.unit) {
            let unit = graph.unit(dependency);
            if unit.mode != CompileMode::RunBuildScript {
                if !unit.target.is_proc_macro() {
                    add(dependency, BuildCodeKind::Dependency);
                }
                waiting.push(dependency);
            }
        }
    }
    found
}

fn is_script(graph: &UnitGraph, index: UnitIndex) -> bool {
    let unit = graph.unit(index);
    unit.target.is_build_script() && unit.mode != CompileMode::RunBuildScript
}

/// How each package of the plan stands whose level is `approve`; `all`: the others too.
///
/// # Errors
/// `bulkhead.lock` or a package cannot be read.
pub fn survey(
    global: &GlobalOptions,
    prepared: &Prepared,
    lock: &BulkheadLock,
    all: bool,
) -> Result<Vec<BuildCodePackage>> {
    let policy = &prepared.project.policy.build_code;
    let mut packages = Vec::new();
    for (id, (package, kinds)) in running(&prepared.graph) {
        let decision = policy.decide(id.name().as_str(), id.version());
        if !all && decision.level < BuildCodeLevel::Approve {
            continue;
        }
        let facts = BuildCodeFacts { id, kinds, archive: archive(prepared, id) };
        let standing = standing(&lock.approvals, &facts, &mut |kinds| digest(global, &package, kinds))?;
        let (level, asked_by) = (decision.level, decision.asked_by);
        packages.push(BuildCodePackage { package, facts, level, asked_by, standing });
    }
    Ok(packages)
}

/// Digest of a package's archive or checkout.
pub fn archive(prepared: &Prepared, id: PackageId) -> Option<Digest> {
    prepared.checksums.get(&id).and_then(|checksum| Digest::parse(&format!("sha256:{checksum}")))
}

/// The digest of a package's build code.
///
/// # Errors
/// Its files cannot be read.
pub fn digest(global: &GlobalOptions, package: &Package, kinds: &BTreeSet<BuildCodeKind>) -> Result<Digest> {
    let top = listing::top(package, &global.place.bulkhead_home);
    let files = listing::read(&top, package.id.source().is_path())?;
    Ok(bulkhead_review::build_code::digest(&listing::layout(package, &top), kinds, &files))
}

/// Refuses a plan in which code would run that policy wants approved and nobody has.
///
/// # Errors
/// `build-code-approval` (102); `approvals-untrusted` (103): approvals are there, but came with the project.
pub fn check(
    global: &GlobalOptions,
    options: &CompileOptions,
    prepared: &Prepared,
    events: &dyn Fn(Event),
) -> Result<()> {
    if prepared.project.policy.build_code.is_default() {
        return Ok(());
    }
    let kept = LockFile::read(global, &prepared.project.workspace.root)?;
    let mut missing = Vec::new();
    for package in survey(global, prepared, &kept.lock, false)? {
        match &package.standing {
            Standing::Approved if kept.counts_for(package.asked_by) => {}
            Standing::Approved => return Err(untrusted(&kept)),
            _ => missing.push(package),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if matches!(options.message_format, MessageFormat::Json { .. }) {
        let packages: Vec<_> = missing.iter().map(as_json).collect();
        let line = json!({
            "reason": "build-code-refused",
            "rule": "build-code-approval",
            "packages": packages,
            "help": command(&missing, options),
        });
        events(Event::Json(line.to_string()));
        events(Event::Json(json!({ "reason": "build-finished", "success": false }).to_string()));
    }
    Err(refusal(&missing, options))
}

/// Approvals that somebody else wrote, where the user or the organisation wants them.
pub fn untrusted(kept: &LockFile) -> Error {
    let message =
        format!("the approvals in {} came with the project, and nobody has looked at them", kept.path.display());
    Error::refusal(ErrorKind::UntrustedConfiguration, "approvals-untrusted", message)
        .because(
            "your policy or your organisation's wants build-time code to be approved, so that it is for you to approve",
        )
        .help("`bulkhead approve --list` shows what they are about")
        .help("then `bulkhead trust bulkhead.lock`, or remove its `[[build-code]]` tables and approve anew")
}

fn refusal(missing: &[BuildCodePackage], options: &CompileOptions) -> Error {
    let count = match missing.len() {
        1 => "1 package has".to_owned(),
        many => format!("{many} packages have"),
    };
    let lines = missing.iter().map(|it| format!("\n  {}: {}", it.facts.id, describe(&it.facts.kinds, &it.standing)));
    let message = format!("{count} build-time code that nobody has approved{}", lines.collect::<String>());
    let changed = missing.iter().find(|it| matches!(it.standing, Standing::Changed { .. }));
    let error = Error::refusal(ErrorKind::Policy, "build-code-approval", message);
    if options.foreign.is_some() {
        // There is no project whose `bulkhead.lock` could hold approvals.
        return error
            .help("allow it in a `[[build-code.override]]` of your own policy")
            .help("or install from a checkout, where it can be approved: `bulkhead install --path FOLDER`");
    }
    let error = match (changed, missing.first()) {
        (Some(it), _) => error.help(format!("see what changed with `bulkhead approve --diff {}`", spec(it.facts.id))),
        (None, Some(it)) => error.help(format!("see what it can do with `bulkhead review {}`", spec(it.facts.id))),
        (None, None) => error,
    };
    error.help(format!("then approve it: `{}`", command(missing, options)))
}

/// The command that approves what is missing.
fn command(missing: &[BuildCodePackage], options: &CompileOptions) -> String {
    let mut words = vec!["bulkhead approve".to_owned()];
    if missing.len() > MOST_NAMED {
        words.push("--all".to_owned());
    } else {
        words.extend(missing.iter().map(|it| spec(it.facts.id)));
    }
    // The plan has to have them.
    let features = &options.features;
    if features.all_features {
        words.push("--all-features".to_owned());
    }
    if features.no_default_features {
        words.push("--no-default-features".to_owned());
    }
    if !features.features.is_empty() {
        words.push(format!("--features {}", features.features.join(",")));
    }
    words.extend(options.platforms.iter().map(|platform| format!("--target {platform}")));
    words.join(" ")
}

/// `NAME@VERSION`
pub fn spec(id: PackageId) -> String {
    format!("{}@{}", id.name(), id.version())
}

/// `build script, native library (changed since v1.0.0)`
pub fn describe(kinds: &BTreeSet<BuildCodeKind>, standing: &Standing) -> String {
    let words = |kinds: &BTreeSet<BuildCodeKind>| kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let how = match standing {
        Standing::Approved => "approved".to_owned(),
        Standing::New => "new".to_owned(),
        Standing::MoreKinds { added } => format!("approved, but not as {}", words(added)),
        Standing::Changed { former } => format!("changed since v{}", former.version()),
    };
    format!("{} ({how})", words(kinds))
}

/// One package for programs.
pub fn as_json(it: &BuildCodePackage) -> serde_json::Value {
    let id = it.facts.id;
    let standing = match &it.standing {
        Standing::Approved => "approved",
        Standing::New => "new",
        Standing::MoreKinds { .. } => "more-kinds",
        Standing::Changed { .. } => "changed",
    };
    let former = match &it.standing {
        Standing::Changed { former } => Some(former.version().to_string()),
        _ => None,
    };
    let source: SourceId = id.source();
    json!({
        "name": id.name().as_str(),
        "version": id.version().to_string(),
        "source": source.to_string(),
        "kinds": it.facts.kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>(),
        "archive": it.facts.archive.as_ref().map(Digest::as_str),
        "level": it.level.to_string(),
        "standing": standing,
        "former": former,
    })
}

/// The approval of a package as it is now. What it was approved for before stays approved while its archive is the same.
///
/// # Errors
/// Its files cannot be read.
pub fn approval(global: &GlobalOptions, it: &BuildCodePackage, before: Option<&Approval>) -> Result<Approval> {
    let mut kinds = it.facts.kinds.clone();
    if let Some(before) = before.filter(|before| before.archive.is_some() && before.archive == it.facts.archive) {
        kinds.extend(&before.kinds);
    }
    let digest = digest(global, &it.package, &kinds)?;
    Ok(Approval { kinds, archive: it.facts.archive.clone(), digest })
}
