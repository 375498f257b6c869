//! `build`, `check` and whatever else compiles: plan, then carry out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bulkhead_executor::{BuildError, FailureKind, Outcome};
use bulkhead_policy::is_about_terminal;
use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_trust::Digest;
use bulkhead_unit_graph::{CompileMode, Context, Unit, UnitGraph, collisions, script_folder, unit_graph_json};
use bulkhead_workspace::Package;

use crate::compile::{self, Prepared, Verify};
use crate::error::Result;
use crate::future_incompat::FutureIncompatibilities;
use crate::observed::Disk;
use crate::options::{CompileOptions, GlobalOptions};
use crate::permissions::{self, Permissions};
use crate::project::{self, Project};
use crate::reporter::Reporter;
use crate::timings::Timings;
use crate::{Error, ErrorKind, Event, approvals, audit, packages, prefetch, unit_cache};

/// What a compilation left.
pub struct Built {
    /// The plan it followed.
    pub prepared: Prepared,
    /// The programs and how to start them, and what build scripts said.
    pub outcome: Outcome,
    /// What code of the project may do.
    pub permissions: Permissions,
    /// How long it took.
    pub duration: Duration,
}

/// Compiles what `options` asks for. `stop` is set from outside to end early.
///
/// # Errors
/// The project cannot be planned; a unit failed (each was reported as it happened).
pub fn build(
    global: &GlobalOptions,
    options: &CompileOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Built> {
    build_project(global, project::open(global, events)?, options, stop, events)
}

/// The same for a project that is open.
pub(crate) fn build_project(
    global: &GlobalOptions,
    project: Project,
    options: &CompileOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Built> {
    let start = Instant::now();
    let mut prepared = compile::prepare_project(global, project, options, Verify::WhenBuilt, events)?;
    prepared.graph.set_doctests_aside();
    if options.compile_time_deps {
        prepared.graph.keep_what_compilation_runs();
    }
    let permissions = permissions::of(global, &prepared, events)?;
    permissions.check_grants(&prepared.graph)?;
    let incompatibilities = FutureIncompatibilities::default();
    let outcome = execute(global, options, &prepared, &permissions, &incompatibilities, stop, events)?;
    note_inputs(&global.place.disk, outcome.inputs.as_ref().filter(|_| !options.timings));
    events(Event::Finished { profile: profile_summary(&prepared), duration: start.elapsed() });
    incompatibilities.tell(options, &prepared, events)?;
    Ok(Built { outcome, permissions, prepared, duration: start.elapsed() })
}

/// The plan alone, in the form of `cargo build --unit-graph`.
///
/// # Errors
/// The project cannot be planned.
pub fn unit_graph(
    global: &GlobalOptions,
    options: &CompileOptions,
    events: &(dyn Fn(Event) + Sync),
) -> Result<serde_json::Value> {
    Ok(unit_graph_json(&compile::prepare(global, options, events)?.graph))
}

/// Carries out what was planned.
///
/// # Errors
/// Build code that is not approved; a unit failed (each was reported as it happened).
pub(crate) fn execute(
    global: &GlobalOptions,
    options: &CompileOptions,
    prepared: &Prepared,
    permissions: &Permissions,
    incompatibilities: &FutureIncompatibilities,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Outcome> {
    approvals::check(global, options, prepared, events)?;
    warn_of_allowed(permissions, &prepared.graph, events);
    let reporter = Reporter::new(&prepared.graph, permissions, options, global.verbose, events);
    let timings = options.timings.then(Timings::start);
    let carry_out = |context: &Context<'_>, executor_options: &bulkhead_executor::Options<'_>| {
        collisions(context, &mut |collision| events(Event::Warning(collision))).map_err(BuildError::Fatal)?;
        bulkhead_executor::run(context, executor_options, &|event| {
            timings.iter().for_each(|timings| timings.note(&event));
            incompatibilities.note(&prepared.graph, &event);
            if let bulkhead_executor::Event::Denied { unit, denials } = &event {
                audit::record_denied(&global.place, prepared.graph.unit(*unit).package.id, denials);
            }
            reporter.report(event);
        })
    };
    let opened = unit_cache::open(global, prepared.project.policy.unit_cache, &prepared.toolchain, events)?;
    let result = with_executor(global, options, prepared, permissions, Some(&opened), stop, events, carry_out)?;
    reporter.sum_up();
    unit_cache::collect_now_and_then(global, &opened);
    if let Some(timings) = timings {
        let path = timings.write(prepared, global.place.now)?;
        events(Event::Status { verb: "Timing", message: format!("report saved to {}", path.display()) });
    }
    if matches!(options.message_format, crate::options::MessageFormat::Json { .. }) {
        let line = serde_json::json!({ "reason": "build-finished", "success": result.is_ok() });
        events(Event::Json(line.to_string()));
    }
    result.map_err(build_error)
}

/// Hands what the executor needs to `use_it`.
///
/// # Errors
/// Bulkhead's own home cannot be used.
#[expect(clippy::too_many_arguments, reason = "all of it is what the executor is told")]
pub fn with_executor<T>(
    global: &GlobalOptions,
    options: &CompileOptions,
    prepared: &Prepared,
    permissions: &Permissions,
    opened: Option<&unit_cache::Opened>,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
    use_it: impl FnOnce(&Context<'_>, &bulkhead_executor::Options<'_>) -> T,
) -> Result<T> {
    let Prepared { project, toolchain, graph, build_options, .. } = prepared;
    let context = Context::new(graph, toolchain, build_options);
    let owner = owner(global)?;
    let sources = global.place.bulkhead_home.join("store");
    let pinned = prefetch::folder(&global.place.bulkhead_home);
    let source = |package: &Package| {
        let checksum = prepared.checksums.get(&package.id).filter(|_| package.root.starts_with(&sources));
        checksum.map(|checksum| checksum.to_string())
    };
    let cache = opened.map(|opened| bulkhead_executor::Cache {
        units: opened.units.as_ref(),
        places: vec![build_options.target_dir.clone(), build_options.build_dir.clone()],
        toolchain: &opened.toolchain,
        system: &opened.system,
        rustc: &toolchain.rustc,
        sources: &sources,
        pinned: &pinned,
        source: &source,
    });
    // `[env]` of configuration counts as the environment, so that a change of it is noticed.
    let mut environment: BTreeMap<_, _> = permissions.environment().into_iter().collect();
    environment.retain(|name, _| !is_about_terminal(name));
    environment.extend(build_options.environment.clone());
    let environment: Vec<_> = environment.into_iter().collect();
    let executor_options = bulkhead_executor::Options {
        jobs: build_options.jobs as usize,
        keep_going: options.keep_going || options.no_fail_fast,
        target_dir: build_options.target_dir.clone(),
        build_dir: build_options.build_dir.clone(),
        workspace_root: project.workspace.root.clone(),
        owner: &owner,
        sysroot: toolchain.sysroot.clone(),
        level: permissions.level(),
        limits: &|kind| permissions.limits(kind),
        protected: &permissions.protected,
        cache,
        environment: &environment,
        has_variable: &|name| permissions.has_variable(name) && !is_about_terminal(name),
        stop,
        jobserver: None,
        grants: &|unit| permissions.grants(unit),
        package_files: &|_| None,
        verify: &|packages| verify(global, options, prepared, packages, events),
        check_directive: &|unit, directive| permissions.check_directive(unit, directive, &out_dir(&context, unit)),
    };
    Ok(use_it(&context, &executor_options))
}

/// Compares the files of those of `packages` that come from a registry with what they were when they were unpacked, unless that was
/// done. What was changed is unpacked once more, and downloaded if it has to be.
fn verify(
    global: &GlobalOptions,
    options: &CompileOptions,
    prepared: &Prepared,
    packages: &BTreeSet<PackageId>,
    events: &(dyn Fn(Event) + Sync),
) -> std::result::Result<(), Diagnostic> {
    if prepared.verified {
        return Ok(());
    }
    let archive = |id: &PackageId| Digest::parse(prepared.checksums.get(id)?).ok();
    let registry = packages.iter().filter(|id| id.source().is_registry() && !prepared.vendored.contains(id));
    let wanted: Vec<_> = registry.filter_map(|id| Some((*id, archive(id)?))).collect();
    match packages::verify(global, &wanted, events) {
        Err(damage) if damage.code == packages::DAMAGED && !global.lock.offline => {
            let again = compile::prepare(global, options, events);
            again.map(drop).map_err(|error| Diagnostic {
                message: format!("{}; it could not be downloaded again: {error}", damage.message),
                ..damage
            })
        }
        verified => verified,
    }
}

/// What runs with nearly all of the user's rights is named at each build.
fn warn_of_allowed(permissions: &Permissions, graph: &UnitGraph, events: &dyn Fn(Event)) {
    let runs = |unit: &Unit| unit.mode == CompileMode::RunBuildScript || unit.target.is_proc_macro();
    let ids: BTreeSet<_> = graph.units.iter().filter(|unit| runs(unit)).map(|unit| unit.package.id).collect();
    let allowed = permissions.barely_confined(ids.into_iter());
    if !allowed.is_empty() {
        let names: Vec<_> = allowed.iter().map(|id| format!("`{id}`")).collect();
        let message = "build code may read all that you can read and use the network, because policy says `allow`";
        events(Event::Warning(format!("{message}: {}", names.join(", "))));
    }
}

/// A build in which nothing had to be run can be known again by what the executor looked at.
fn note_inputs(disk: &Disk, inputs: Option<&bulkhead_executor::Inputs>) {
    let Some(inputs) = inputs else { return disk.never_repeat() };
    inputs.present.iter().for_each(|path| disk.note(path, true));
    inputs.sources.iter().for_each(|path| disk.note_content(path));
    inputs.absent.iter().for_each(|path| disk.note(path, false));
    inputs.locks.iter().for_each(|path| disk.note_lock(path.clone()));
    disk.may_repeat();
}

/// `OUT_DIR` of the build-script run `unit`.
fn out_dir(context: &Context<'_>, unit: &Unit) -> PathBuf {
    let index = context.graph.iter().find(|(_, candidate)| std::ptr::eq(*candidate, unit)).map(|(index, _)| index);
    index.map(|index| script_folder(context, index).join("out")).unwrap_or_default()
}

fn build_error(error: BuildError) -> Error {
    match error {
        // Every failure has been reported already.
        BuildError::Units(failures) => {
            let denied = failures.iter().any(|failure| failure.denied && !explained(&failure.kind));
            let policy = failures.iter().any(|failure| matches!(failure.kind, FailureKind::Denied(_)));
            let sandbox = failures.iter().any(|failure| matches!(failure.kind, FailureKind::Sandbox(_)));
            let kind = match (denied || sandbox, policy) {
                (true, _) => ErrorKind::Sandbox,
                (false, true) => ErrorKind::Policy,
                (false, false) => ErrorKind::Failure,
            };
            Error::new(kind, "")
        }
        BuildError::Interrupted => Error::new(ErrorKind::Interrupted, ""),
        BuildError::Fatal(diagnostic) if diagnostic.code == packages::DAMAGED => packages::verification(diagnostic),
        BuildError::Fatal(diagnostic) => diagnostic.into(),
    }
}

/// Whether the compiler said what is wrong: then a denial, if there was one, is hardly the cause.
fn explained(kind: &FailureKind) -> bool {
    matches!(kind, FailureKind::Exit { errors: 1.., .. })
}

/// A text that only this installation knows, for what is remembered in target folders.
fn owner(global: &GlobalOptions) -> Result<String> {
    let secret = installation_secret(&global.place.disk, &global.place.bulkhead_home)?;
    Ok(Digest::of(format!("{secret}\ntarget folders").as_bytes()).to_string())
}

/// What only this installation knows.
///
/// # Errors
/// It cannot be kept, or others could have written it.
pub fn installation_secret(disk: &Disk, home: &std::path::Path) -> Result<String> {
    let path: PathBuf = home.join("trust/installation");
    if let Ok(secret) = disk.read_text(&path, 4096) {
        disk.check_ownership(&path).map_err(|reason| {
            Error::failure(format!("`{}` {reason}", path.display())).help("delete it; the next build starts afresh")
        })?;
        if secret.len() >= 64 {
            return Ok(secret);
        }
    }
    let mut random = [0; 32];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::failure("the system gives no random numbers").because(error))?;
    let secret = Digest::of(&random).to_string();
    crate::disk::create_private(path.parent().unwrap_or(home))?;
    crate::disk::write_atomically(&path, secret.as_bytes())?;
    Ok(secret)
}

/// `` `dev` profile [unoptimized + debuginfo] ``
fn profile_summary(prepared: &Prepared) -> String {
    let name = prepared.build_options.profile;
    let Ok((opt_level, debug)) = prepared.project.workspace.profiles.levels(&name) else {
        return format!("`{name}` profile");
    };
    let mut parts = vec![if opt_level == "0" { "unoptimized" } else { "optimized" }];
    if debug != bulkhead_workspace::DebugInfo::None {
        parts.push("debuginfo");
    }
    format!("`{name}` profile [{}]", parts.join(" + "))
}
