//! The straight line from a project to a plan, which every compiling command walks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_config::Definition;
use bulkhead_resolver::features::{self, FeatureOptions, FeaturePlatform, FeatureResolver};
use bulkhead_resolver::{ActivatedFeatures, FeaturesFor, MemberFeatures};
use bulkhead_schema::words::Grammar;
use bulkhead_schema::{Dependency, DependencyKind, Diagnostic, PackageId, Symbol};
use bulkhead_source::Client;
use bulkhead_unit_graph::request::{PlanInput, PlanRequest};
use bulkhead_unit_graph::{BuildOptions, CompileKind, PlatformFlags, Toolchain, UnitGraph};
use bulkhead_workspace::{Package, ResolverBehavior, Workspace};

use crate::client::project_client;
use crate::error::Result;
use crate::lock::{self, LockRequest, Locked};
use crate::options::{CompileOptions, Foreign, GlobalOptions, Intent};
use crate::packages::{Facts, Purpose};
use crate::project::{self, Project};
use crate::{
    Error, Event, clippy, disk, packages, probe, profiles, select, single, source_files, specs, status, toolchain,
};

/// When files of registry packages are compared with what they were when they were unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// While the plan is made: what is in them will be looked at.
    Now,
    /// When it is known which of them are compiled, for a build of the user's own packages alone, if nothing else asks before
    /// what is in them.
    WhenBuilt,
}

/// A plan, and all that is needed to carry it out.
pub struct Prepared {
    /// Whether the files of the registry packages were compared with what they were when they were unpacked.
    pub verified: bool,
    /// Configuration and workspace.
    pub project: Project,
    /// The members that were selected.
    pub selected: Vec<Arc<Package>>,
    /// The compiler.
    pub toolchain: Toolchain,
    /// The packages that the plan uses.
    pub packages: BTreeMap<PackageId, Arc<Package>>,
    /// Every package of the lockfile.
    pub locked: Vec<PackageId>,
    /// Packages that are read from a folder in the place of their registry, where they are compared at each use.
    pub vendored: BTreeSet<PackageId>,
    /// SHA-256 of each registry package's archive.
    pub checksums: BTreeMap<PackageId, Arc<str>>,
    /// The folder with the project's sources, where that is a copy for this build alone.
    pub copy: Option<PathBuf>,
    /// What is done in which order.
    pub graph: UnitGraph,
    /// How the units are compiled.
    pub build_options: BuildOptions,
}

/// Plans what `options` asks for.
///
/// # Errors
/// Whatever keeps a project from being resolved, fetched, verified or planned.
pub fn prepare(global: &GlobalOptions, options: &CompileOptions, events: &(dyn Fn(Event) + Sync)) -> Result<Prepared> {
    prepare_project(global, project::open(global, events)?, options, Verify::Now, events)
}

/// The same for a project that is open.
pub(crate) fn prepare_project(
    global: &GlobalOptions,
    mut project: Project,
    options: &CompileOptions,
    verify: Verify,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Prepared> {
    let profile = Symbol::new(options.profile.as_deref().unwrap_or(default_profile(options.intent)));
    profiles::hear(&project.configuration.config, &mut project.workspace.profiles, Some(profile.as_str()))?;
    refuse_missing_targets(&mut project)?;
    single::needs_package(&project, options)?;
    let choice = select::packages(&project.workspace, &options.packages, events)?;
    refuse_features_of_others(&choice, &options.features)?;
    let (toolchain, flags) = compiler(global, &project, &options.platforms)?;
    let client = project_client(global, &project)?;
    let mut locked = resolve(global, options, &project, &toolchain, &client, events)?;
    let platforms = platforms_of(&toolchain);
    let verified = verify == Verify::Now || !choice.is_about_members || reads_packages(&project, options);
    let wanted = Wanted {
        features: &options.features,
        development: needs_development(options),
        selected: &choice.members,
        toolchain: &toolchain,
        targets: requested_platforms(&platforms),
        purpose: if verified { Purpose::Build } else { Purpose::Look },
    };
    let (features, mut packages) = activate::<Arc<Package>>(global, &project, &mut locked, &client, &wanted, events)?;
    let selected = selected(global, options, choice, &locked, &features, &packages)?;
    let plan_request = PlanRequest {
        packages: selected.iter().map(|package| package.id).collect(),
        intent: options.intent,
        targets: options.targets.clone(),
        profile,
        platforms: requested_platforms(&platforms),
        given_scripts: given_scripts(&flags),
        doctests: options.single.is_none(),
    };
    let members = project.workspace.members.iter().map(|package| package.id).collect();
    let mut graph = plan(&project.workspace, &packages, &members, &locked, &features, &toolchain, &plan_request)?;
    if let Some(single) = &options.single
        && single::change_crate_types(single, &graph, &mut packages)?
    {
        graph = plan(&project.workspace, &packages, &members, &locked, &features, &toolchain, &plan_request)?;
    }
    source_files::check(&graph)?;
    if options.foreign.is_some() {
        graph.disown();
    }
    let checksums = checksums(&locked, &packages, options.foreign.as_ref());
    let mut build_options = build_options(global, options, &project, &selected, profile, flags, members)?;
    if let Some(arguments) = &options.clippy {
        clippy::wrap(&global.place, &toolchain, arguments, &mut build_options)?;
    }
    let vendored = packages.keys().copied().filter(|id| locked.sources.vendored(*id).is_some()).collect();
    let locked = locked.resolve.nodes.keys().copied().collect();
    let copy = options.foreign.as_ref().map(|foreign| foreign.copy.clone());
    Ok(Prepared {
        verified,
        locked,
        project,
        selected,
        toolchain,
        packages,
        vendored,
        checksums,
        copy,
        graph,
        build_options,
    })
}

/// Whether files of other packages are looked at before they are compiled: to compare their build code with what was approved,
/// or since a copy of one is what is built.
fn reads_packages(project: &Project, options: &CompileOptions) -> bool {
    !project.policy.build_code.is_default() || options.foreign.is_some()
}

/// What identifies each package that does not lie in a folder of the user's: the archive, the commit's tree, or the whole that
/// was fetched.
fn checksums(
    locked: &Locked<'_>,
    packages: &BTreeMap<PackageId, Arc<Package>>,
    foreign: Option<&Foreign>,
) -> BTreeMap<PackageId, Arc<str>> {
    let archives = locked.resolve.nodes.values().map(|node| &node.summary);
    let archives = archives.filter_map(|summary| Some((summary.id, summary.checksum.clone()?)));
    let checkouts =
        packages.keys().filter_map(|id| Some((*id, locked.sources.repository(*id)?.tree.to_string().into())));
    let whole = foreign.and_then(|foreign| foreign.checksum.clone());
    let own = packages.keys().filter(|id| id.source().is_path()).filter_map(|id| Some((*id, whole.clone()?)));
    archives.chain(checkouts).chain(own).collect()
}

/// The exact packages, of which all that is noteworthy is told.
fn resolve<'a>(
    global: &GlobalOptions,
    options: &CompileOptions,
    project: &Project,
    toolchain: &Toolchain,
    client: &'a Client,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Locked<'a>> {
    let is_fetched = options.foreign.is_some();
    let request = LockRequest {
        ignore_rust_version: options.ignore_rust_version,
        rustc: Some(toolchain.release.clone()),
        // Where the author's lockfile does not count, neither does what the author's tests need.
        without_development: is_fetched && !global.lock.locked,
        ..LockRequest::keep()
    };
    let locked = lock::resolve(global, project, client, &request, events)?;
    status::report_changes(&locked, events);
    status::warn_of_yanked(project, &locked, is_fetched, events);
    status::warn_of_unmatched_profiles(project, &locked, events);
    Ok(locked)
}

/// Targets whose files are not there keep a project from being compiled, and from nothing else.
fn refuse_missing_targets(project: &mut Project) -> Result<()> {
    let missing = std::mem::take(&mut project.workspace.missing_targets);
    if missing.is_empty() { Ok(()) } else { Err(missing.into()) }
}

/// Other packages than members have the features that members ask for.
fn refuse_features_of_others(choice: &select::Choice, features: &crate::options::FeatureOptions) -> Result<()> {
    let is_asked = features.all_features || features.no_default_features || !features.features.is_empty();
    match is_asked && !choice.is_about_members {
        true => Err(Error::failure("cannot specify features for packages outside of workspace")),
        false => Ok(()),
    }
}

/// The packages that the command is about.
fn selected(
    global: &GlobalOptions,
    options: &CompileOptions,
    choice: select::Choice,
    locked: &Locked<'_>,
    features: &ActivatedFeatures,
    packages: &BTreeMap<PackageId, Arc<Package>>,
) -> Result<Vec<Arc<Package>>> {
    let mut selected = if choice.is_about_members { choice.members } else { Vec::new() };
    if choice.others.is_empty() {
        return Ok(selected);
    }
    let known: BTreeSet<PackageId> = locked.resolve.nodes.keys().copied().collect();
    for text in &choice.others {
        let id = specs::one(text, &known, &global.place)?;
        let is_on = features.features.contains_key(&(id, FeaturesFor::Target));
        let Some(package) = packages.get(&id).filter(|_| is_on) else {
            let reason = "only build scripts, macros, tests or other platforms need it, or features that are off";
            return Err(Error::failure(format!("package `{id}` is not part of what is built here")).because(reason));
        };
        let for_tests = |dependency: &Dependency| dependency.kind == DependencyKind::Development;
        let is_test = matches!(options.intent, Intent::Test | Intent::Bench);
        if is_test && package.summary.dependencies.iter().any(for_tests) {
            let reason = "cannot be tested because it requires dev-dependencies and is not a member of the workspace";
            return Err(Error::failure(format!("package `{}` {reason}", id.name())));
        }
        selected.push(Arc::clone(package));
    }
    Ok(selected)
}

fn default_profile(intent: Intent) -> &'static str {
    match intent {
        Intent::Build | Intent::Check { test: false } | Intent::Doc { .. } => "dev",
        Intent::Test | Intent::Check { test: true } => "test",
        Intent::Bench => "bench",
    }
}

/// The toolchain with every platform in question, and the flags of each.
///
/// Flags may depend on `cfg(…)`, and `cfg` depends on flags; as Cargo does, rustc is asked with the flags that do not
/// depend on it first, and once more if the answer brings in others.
pub fn compiler(
    global: &GlobalOptions,
    project: &Project,
    requested: &[String],
) -> Result<(Toolchain, BTreeMap<CompileKind, PlatformFlags>)> {
    ask_compiler(global, project, requested, |_| true)
}

/// The toolchain with every platform in question, for commands that compile nothing: they start no program that the
/// project chose, not even a trusted one.
///
/// # Errors
/// As with [`compiler`].
pub fn platforms(global: &GlobalOptions, project: &Project, requested: &[String]) -> Result<Toolchain> {
    Ok(ask_compiler(global, project, requested, |definition| !definition.is_repository())?.0)
}

fn ask_compiler(
    global: &GlobalOptions,
    project: &Project,
    requested: &[String],
    may_choose: impl Fn(&Definition) -> bool,
) -> Result<(Toolchain, BTreeMap<CompileKind, PlatformFlags>)> {
    let config = &project.configuration.config;
    let tool = |name| -> Result<Option<PathBuf>> {
        Ok(config.tool(name)?.filter(|tool| may_choose(&tool.definition)).map(|tool| tool.value))
    };
    let rustc = toolchain::find_rustc(&global.place, tool("rustc")?.as_deref(), &project.workspace.root)?;
    let rustdoc = tool("rustdoc")?;
    let host =
        probe::toolchain(&global.place, &rustc, rustdoc.clone(), &BTreeMap::from([(CompileKind::Host, Vec::new())]))?;
    let kinds = compile_kinds(project, requested, host.host)?;
    let mut flags = platform_flags(project, &kinds, &host)?;
    let mut known = host;
    for _ in 0..2 {
        let rustflags = flags.iter().map(|(kind, flags)| (*kind, flags.rustflags.clone())).collect();
        known = probe::toolchain(&global.place, &rustc, rustdoc.clone(), &rustflags)?;
        let again = platform_flags(project, &kinds, &known)?;
        if again == flags {
            break;
        }
        flags = again;
    }
    Ok((known, flags))
}

/// `--target`, else `build.target`, else the host without naming it. The host is always among them.
fn compile_kinds(project: &Project, requested: &[String], host: Symbol) -> Result<BTreeSet<CompileKind>> {
    let configured = project.configuration.config.build_targets()?;
    let names: Vec<&str> = match requested.is_empty() {
        true => configured.iter().map(|value| value.value.as_str()).collect(),
        false => requested.iter().map(String::as_str).collect(),
    };
    let mut kinds = BTreeSet::from([CompileKind::Host]);
    for name in names {
        let name = if name == "host-tuple" { host.as_str() } else { name };
        check_platform(name)?;
        kinds.insert(CompileKind::Target(name.into()));
    }
    Ok(kinds)
}

/// # Errors
/// The word is not the name of a platform.
pub fn check_platform(name: &str) -> Result<()> {
    Grammar::Platform.check(name).map_err(|_| {
        Error::failure(format!("`{name}` is not the name of a target platform"))
            .help("`rustc --print target-list` names them; custom target specifications need a nightly toolchain")
    })
}

/// Flags from environment and configuration apply to what was asked for; with `--target` not to build scripts.
fn platform_flags(
    project: &Project,
    kinds: &BTreeSet<CompileKind>,
    known: &Toolchain,
) -> Result<BTreeMap<CompileKind, PlatformFlags>> {
    let config = &project.configuration.config;
    let mut all = BTreeMap::new();
    for &kind in kinds {
        let triple = match kind {
            CompileKind::Host => known.host,
            CompileKind::Target(triple) => triple,
        };
        let cfg = known.platforms.get(&kind).map(|info| info.cfg.as_slice()).unwrap_or_default();
        let target = config.target_table(&triple, cfg)?;
        let linker = target.linker.map(|linker| linker.value);
        let said =
            target.links.iter().map(|given| Ok((given.links.clone(), Arc::new(given.output().map_err(|it| *it)?))));
        let scripts = said.collect::<Result<_>>()?;
        let mut flags = PlatformFlags { linker, scripts, ..PlatformFlags::default() };
        if kind != CompileKind::Host || kinds.len() == 1 {
            flags.rustflags = config.rustflags(&triple, cfg)?.into_iter().map(|flag| flag.value).collect();
            flags.rustdocflags = config.rustdocflags(&triple)?.into_iter().map(|flag| flag.value).collect();
        }
        all.insert(kind, flags);
    }
    Ok(all)
}

fn given_scripts(flags: &BTreeMap<CompileKind, PlatformFlags>) -> BTreeSet<(CompileKind, String)> {
    let of = |(kind, flags): (&CompileKind, &PlatformFlags)| {
        flags.scripts.keys().map(|links| (*kind, links.clone())).collect::<Vec<_>>()
    };
    flags.iter().flat_map(of).collect()
}

/// Every platform the toolchain was asked about.
pub fn platforms_of(toolchain: &Toolchain) -> Vec<CompileKind> {
    toolchain.platforms.keys().copied().collect()
}

/// What was asked for with `--target`, else the host.
pub fn requested_platforms(platforms: &[CompileKind]) -> Vec<CompileKind> {
    let named: Vec<_> = platforms.iter().copied().filter(|kind| *kind != CompileKind::Host).collect();
    if named.is_empty() { vec![CompileKind::Host] } else { named }
}

/// What feature activation depends on.
pub struct Wanted<'a> {
    /// The features asked for.
    pub features: &'a crate::options::FeatureOptions,
    /// Whether development dependencies of the selected members count.
    pub development: bool,
    /// The selected members.
    pub selected: &'a [Arc<Package>],
    /// The compiler.
    pub toolchain: &'a Toolchain,
    /// The platforms; none for all there are.
    pub targets: Vec<CompileKind>,
    /// Whether the packages are to be compiled.
    pub purpose: Purpose<'a>,
}

/// Activates features and loads the packages that are active.
///
/// Which features are active depends on which packages are proc macros, which only their manifests tell; so the
/// packages are loaded for a guess without that knowledge first, and the few that the exact answer adds afterwards.
///
/// # Errors
/// A feature that does not exist; a package that cannot be fetched, verified or read.
pub fn activate<T: Facts>(
    global: &GlobalOptions,
    project: &Project,
    locked: &mut Locked<'_>,
    client: &Client,
    wanted: &Wanted<'_>,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(ActivatedFeatures, BTreeMap<PackageId, T>)> {
    let requested = requested(wanted)?;
    let mut packages: BTreeMap<PackageId, T> = BTreeMap::new();
    // Resolver 1 activates what other platforms would need; it need not be there.
    let roots: Vec<_> = wanted.selected.iter().map(|package| package.id).collect();
    let reached = (!wanted.targets.is_empty()).then(|| needed(&roots, locked, wanted.toolchain, &|_| true));
    let is_needed = |id: &PackageId| reached.as_ref().is_none_or(|reached| reached.contains(id));
    loop {
        let is_proc_macro = |id: PackageId| packages.get(&id).is_some_and(T::is_proc_macro);
        let activated = activated(project, locked, &requested, wanted, &is_proc_macro)?;
        let missing: BTreeSet<_> = activated
            .features
            .keys()
            .map(|(id, _)| *id)
            .filter(|id| !packages.contains_key(id) && is_needed(id))
            .collect();
        if missing.is_empty() {
            return Ok((activated, packages));
        }
        packages.extend(packages::load_for(wanted.purpose, global, project, locked, &missing, client, events)?);
    }
}

/// What the command line's feature flags ask of each selected member.
///
/// # Errors
/// A feature that no selected member has.
pub fn requested(wanted: &Wanted<'_>) -> Result<Vec<(PackageId, MemberFeatures)>> {
    let summaries: Vec<_> = wanted.selected.iter().map(|package| Arc::clone(&package.summary)).collect();
    let choice = wanted.features;
    features::requested(&summaries, &choice.features, choice.all_features, choice.no_default_features)
        .map_err(|error| Error::from(Diagnostic::from(error)))
}

/// The features that are active, as far as `is_proc_macro` knows.
///
/// # Errors
/// A feature that does not exist.
pub fn activated(
    project: &Project,
    locked: &Locked<'_>,
    requested: &[(PackageId, MemberFeatures)],
    wanted: &Wanted<'_>,
    is_proc_macro: &dyn Fn(PackageId) -> bool,
) -> Result<ActivatedFeatures> {
    let platform = |kind: &CompileKind| {
        wanted
            .toolchain
            .platforms
            .get(kind)
            .map(|info| FeaturePlatform { triple: info.triple.as_str(), cfg: &info.cfg })
    };
    let host =
        platform(&CompileKind::Host).ok_or_else(|| Error::failure("rustc said nothing about the host platform"))?;
    let options = FeatureOptions {
        resolver: feature_resolver(project),
        host,
        targets: wanted.targets.iter().filter_map(platform).collect(),
        development: wanted.development,
        is_proc_macro,
    };
    features::activate(&locked.resolve, requested, &options).map_err(|error| Error::from(Diagnostic::from(error)))
}

/// How features are unified in this workspace.
pub fn feature_resolver(project: &Project) -> FeatureResolver {
    match project.workspace.resolver {
        ResolverBehavior::V1 => FeatureResolver::One,
        ResolverBehavior::V2 | ResolverBehavior::V3 => FeatureResolver::Two,
    }
}

/// Whether tests, examples or benchmarks are built, which use the members' development dependencies.
fn needs_development(options: &CompileOptions) -> bool {
    use bulkhead_unit_graph::request::NameFilter;
    let targets = &options.targets;
    let named = [&targets.examples, &targets.tests, &targets.benches].into_iter().any(|rule| *rule != NameFilter::None);
    options.intent.is_test() || targets.all_targets || named
}

fn plan(
    workspace: &Workspace,
    packages: &BTreeMap<PackageId, Arc<Package>>,
    members: &BTreeSet<PackageId>,
    locked: &Locked<'_>,
    features: &ActivatedFeatures,
    toolchain: &Toolchain,
    request: &PlanRequest,
) -> Result<UnitGraph> {
    let input = PlanInput {
        packages,
        members,
        resolve: &locked.resolve,
        features,
        toolchain,
        profiles: &workspace.profiles,
        request,
    };
    Ok(bulkhead_unit_graph::plan(&input)?)
}

fn build_options(
    global: &GlobalOptions,
    options: &CompileOptions,
    project: &Project,
    selected: &[Arc<Package>],
    profile: Symbol,
    flags: BTreeMap<CompileKind, PlatformFlags>,
    members: BTreeSet<PackageId>,
) -> Result<BuildOptions> {
    let config = &project.configuration.config;
    let target_dir = target_dir(global, options.target_dir.as_ref(), project)?;
    let root = project.workspace.root.clone();
    if options.target_dir.is_none() {
        refuse_links(&root, &target_dir, config.target_dir()?.map(|value| value.definition).as_ref())?;
    }
    let mut build = BuildOptions::new(root, target_dir, profile, global.place.program.clone());
    build.flags = flags;
    build.rustc_wrapper = config.tool("rustc-wrapper")?.map(|tool| tool.value);
    let variables = global.place.environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    let variables = variables.filter(|(name, _)| bulkhead_policy::is_for_rustc_wrapper(name));
    build.rustc_wrapper_environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    build.rustc_workspace_wrapper = config.tool("rustc-workspace-wrapper")?.map(|tool| tool.value);
    build.message_format = options.message_format;
    build.diagnostic_width = options.terminal_width;
    build.primary_packages = selected.iter().map(|package| package.id).collect();
    build.members = members;
    build.extra_arguments = options.single.as_ref().map(|single| single.arguments.clone()).unwrap_or_default();
    build.extra_arguments.extend(options.lint_arguments.iter().cloned());
    build.document_private_items = options.document_private_items;
    build.jobs = jobs(options.jobs, project)?;
    build.show_dependency_warnings = global.verbose >= 2;
    build.script_profile = if project.workspace.profiles.is_release_like(&profile) { "release" } else { "debug" };
    if let Some(folder) = config.path("build.build-dir")? {
        build.build_dir = disk::normalize(&folder.value);
        refuse_links(&build.workspace_root, &build.build_dir, Some(&folder.definition))?;
    }
    build.shared_sources = vec![global.place.bulkhead_home.join("store")];
    build.environment = configured_environment(global, project)?;
    Ok(build)
}

/// `[env]` of trusted configuration: a variable that the user has set wins unless the entry says `force`.
fn configured_environment(global: &GlobalOptions, project: &Project) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for variable in project.configuration.config.env_table()? {
        if variable.force || global.place.variable(&variable.name).is_none() {
            variables.insert(variable.name, variable.value.value);
        }
    }
    Ok(variables)
}

/// `--target-dir`, else the configured folder, else `target` at the workspace's root.
pub fn target_dir(global: &GlobalOptions, given: Option<&PathBuf>, project: &Project) -> Result<PathBuf> {
    let path = match given {
        Some(path) => global.place.current_dir.join(path),
        None => match project.configuration.config.target_dir()? {
            Some(configured) => configured.value,
            None => project.workspace.root.join("target"),
        },
    };
    Ok(disk::normalize(&path))
}

/// A folder of the project, unless the user has named it: then nothing on the way to it may be a link, which a repository
/// can bring along.
fn refuse_links(root: &Path, folder: &Path, definition: Option<&Definition>) -> Result<()> {
    if definition.is_some_and(|definition| !definition.is_repository()) {
        return Ok(());
    }
    let below = folder.ancestors().take_while(|ancestor| ancestor.starts_with(root) && *ancestor != root);
    match below.into_iter().find(|ancestor| disk::is_link(ancestor)) {
        None => Ok(()),
        Some(link) => {
            let advice = "remove the link; if what is built belongs elsewhere, name the folder yourself: `--target-dir`, \
                          `CARGO_TARGET_DIR`, or `build.target-dir` of your own configuration";
            Err(Error::failure(format!("`{}` is a symbolic link, which a target folder must not be", link.display()))
                .because("what is built would be written wherever it leads")
                .help(advice))
        }
    }
}

/// `-j`, else `build.jobs`, else the number of processors; negative numbers count back from it.
pub fn jobs(given: Option<i32>, project: &Project) -> Result<u32> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as i64;
    let wanted = match given {
        Some(jobs) => i64::from(jobs),
        None => project.configuration.config.jobs()?.map_or(processors, i64::from),
    };
    let jobs = if wanted < 0 { (processors + wanted).max(1) } else { wanted };
    if jobs == 0 {
        return Err(Error::failure("jobs may not be 0"));
    }
    Ok(u32::try_from(jobs).unwrap_or(u32::MAX))
}

/// The packages that `roots` can need on those platforms in `toolchain` that count (the host, for build code, is among
/// them).
pub fn needed(
    roots: &[PackageId],
    locked: &Locked<'_>,
    toolchain: &Toolchain,
    counts: &dyn Fn(&CompileKind) -> bool,
) -> BTreeSet<PackageId> {
    let applies = |dependency: &Dependency| {
        let mut platforms = toolchain.platforms.iter().filter(|(kind, _)| counts(kind));
        let platform = dependency.platform.as_ref();
        platform.is_none_or(|platform| platforms.any(|(_, info)| platform.matches(&info.triple, &info.cfg)))
    };
    let mut reached = BTreeSet::new();
    let mut pending = roots.to_vec();
    while let Some(id) = pending.pop() {
        if !reached.insert(id) {
            continue;
        }
        let edges = locked.resolve.nodes.get(&id).into_iter().flat_map(|node| &node.dependencies);
        pending.extend(edges.filter(|edge| edge.declared.iter().any(&applies)).map(|edge| edge.id));
    }
    reached
}
