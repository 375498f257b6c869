//! The command line and environment of rustc.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_schema::Symbol;
use bulkhead_schema::build_script::{BuildScriptOutput, LinkArgTarget};
use bulkhead_workspace::{CrateType, DebugInfo, PanicStrategy, Profile, Strip, Target, TargetKind};

use crate::environment::{Variables, joined, package_variables};
use crate::paths::{has_extra_filename, linked_scripts, requires_upstream_objects};
use crate::{
    Command, CompileKind, CompileMode, Context, MessageFormat, OutputKind, PlatformFlags, ScriptOutputs, Unit,
    UnitIndex, incremental_folder, output_folder, outputs, script_folder,
};

/// How the unit is compiled or documented. `scripts` must hold the outputs of all build-script runs that the unit
/// depends on, directly or not.
pub fn compile_command(context: &Context<'_>, index: UnitIndex, scripts: &ScriptOutputs) -> Command {
    let unit = context.unit(index);
    let (source, current_dir) = source(context, unit);
    let arguments = match unit.mode {
        CompileMode::Doc => crate::rustdoc::arguments(context, index, scripts, source),
        _ => arguments(context, index, scripts, source),
    };
    let program = match unit.mode {
        CompileMode::Doc => context.toolchain.rustdoc.clone(),
        _ => context.toolchain.rustc.clone(),
    };
    let environment = environment(context, unit, scripts).into_iter().collect();
    let command = Command { program, arguments, environment, current_dir };
    if unit.mode == CompileMode::Doc { command } else { wrapped(context, unit, command) }
}

/// Puts the configured wrappers before rustc: `WRAPPER WORKSPACE_WRAPPER rustc …`.
fn wrapped(context: &Context<'_>, unit: &Unit, mut command: Command) -> Command {
    let options = context.options;
    let for_members = options.rustc_workspace_wrapper.as_ref().filter(|_| options.members.contains(&unit.package.id));
    if for_members.is_some() {
        command.environment.extend(options.wrapper_environment.clone());
    }
    if options.rustc_wrapper.is_some() {
        command.environment.extend(options.rustc_wrapper_environment.clone());
    }
    for wrapper in for_members.into_iter().chain(&options.rustc_wrapper) {
        command.arguments.insert(0, command.program.display().to_string());
        command.program.clone_from(wrapper);
    }
    command
}

/// The source file as rustc gets it and the folder it runs in: below the workspace's root, messages show short paths. None
/// begins with `@`, which would make it a file of arguments.
pub(crate) fn source(context: &Context<'_>, unit: &Unit) -> (String, PathBuf) {
    let root = &context.options.workspace_root;
    match unit.target.path.strip_prefix(root) {
        Ok(relative) if relative.as_os_str().as_encoded_bytes().starts_with(b"@") => {
            (format!("./{}", relative.display()), root.clone())
        }
        Ok(relative) => (relative.display().to_string(), root.clone()),
        Err(_) => (unit.target.path.display().to_string(), unit.package.root.clone()),
    }
}

/// A list of arguments under construction.
#[derive(Default)]
pub(crate) struct Arguments(pub(crate) Vec<String>);

impl Arguments {
    pub(crate) fn push(&mut self, argument: impl Into<String>) {
        self.0.push(argument.into());
    }

    /// An option and its value. Wherever an argument begins with `@`, rustc reads more arguments from the file that it names;
    /// so a value that somebody else has chosen is not an argument of its own then.
    pub(crate) fn pair(&mut self, option: &str, value: impl Into<String>) {
        let value = value.into();
        if value.starts_with('@') {
            let between = if option.starts_with("--") { "=" } else { "" };
            return self.push(format!("{option}{between}{value}"));
        }
        self.push(option);
        self.push(value);
    }

    pub(crate) fn codegen(&mut self, value: impl Into<String>) {
        self.pair("-C", value);
    }
}

fn arguments(context: &Context<'_>, index: UnitIndex, scripts: &ScriptOutputs, source: String) -> Vec<String> {
    let unit = context.unit(index);
    let mut args = Arguments::default();
    args.pair("--crate-name", unit.target.crate_name());
    args.push(format!("--edition={}", unit.target.edition.as_str()));
    args.push(source);
    messages(context, &mut args);
    what_to_emit(context, index, &mut args);
    codegen(context, index, &mut args);
    lints(unit, &mut args);
    checks(&unit.profile, &mut args);
    if unit.mode.is_test() {
        if unit.target.harness {
            args.push("--test");
        } else {
            args.pair("--cfg", "test");
        }
    }
    features(unit, &mut args);
    places(context, index, &mut args);
    search_paths(context, unit, &mut args);
    externs(context, unit, &mut args);
    cap_lints(context, unit, &mut args);
    if context.graph.roots.contains(&index) {
        args.0.extend(context.options.extra_arguments.iter().cloned());
    }
    args.0.extend(flags(context, unit).rustflags.iter().cloned());
    said_by_scripts(context, index, scripts, &mut args);
    args.0
}

/// `[lints]`, and the conditions that it declares for `unexpected_cfgs`.
pub(crate) fn lints(unit: &Unit, args: &mut Arguments) {
    args.0.extend(unit.package.lint_flags.iter().cloned());
    for condition in &unit.package.check_cfg {
        args.pair("--check-cfg", condition.clone());
    }
}

static NO_FLAGS: PlatformFlags =
    PlatformFlags { rustflags: Vec::new(), rustdocflags: Vec::new(), linker: None, scripts: BTreeMap::new() };

pub(crate) fn flags<'a>(context: &Context<'a>, unit: &Unit) -> &'a PlatformFlags {
    context.options.flags.get(&unit.platform).unwrap_or(&NO_FLAGS)
}

/// Messages come as JSON, also when they are shown as text: the executor needs the notes about artifacts.
pub(crate) fn messages(context: &Context<'_>, args: &mut Arguments) {
    args.push("--error-format=json");
    let short =
        matches!(context.options.message_format, MessageFormat::Short | MessageFormat::Json { short: true, .. });
    let suffix = if short { ",diagnostic-short" } else { "" };
    args.push(format!("--json=diagnostic-rendered-ansi,artifacts,future-incompat{suffix}"));
    if let Some(width) = context.options.diagnostic_width {
        args.push(format!("--diagnostic-width={width}"));
    }
}

fn what_to_emit(context: &Context<'_>, index: UnitIndex, args: &mut Arguments) {
    let unit = context.unit(index);
    if !unit.mode.is_test() {
        for crate_type in unit.target.crate_types() {
            args.pair("--crate-type", crate_type.as_str());
        }
    }
    args.push(match unit.mode {
        CompileMode::Check | CompileMode::CheckTest => "--emit=dep-info,metadata",
        CompileMode::Build if !requires_upstream_objects(unit) => "--emit=dep-info,metadata,link",
        _ => "--emit=dep-info,link",
    });
    // What links somebody else's dylib must share one standard library with it.
    let dylib = unit.target.crate_types().contains(&CrateType::Dylib);
    if unit.target.is_proc_macro() || (dylib && !context.options.members.contains(&unit.package.id)) {
        args.codegen("prefer-dynamic");
    }
}

fn codegen(context: &Context<'_>, index: UnitIndex, args: &mut Arguments) {
    let profile = &context.unit(index).profile;
    if profile.opt_level != "0" {
        args.codegen(format!("opt-level={}", profile.opt_level));
    }
    if profile.panic != PanicStrategy::Unwind {
        args.codegen("panic=abort");
    }
    for option in context.lto(index).codegen_options() {
        args.codegen(*option);
    }
    if let Some(units) = profile.codegen_units {
        args.codegen(format!("codegen-units={units}"));
    }
    if profile.debug != DebugInfo::None {
        args.codegen(format!("debuginfo={}", debug_level(profile.debug)));
        if let Some(split) = profile.split_debuginfo {
            args.codegen(format!("split-debuginfo={split}"));
        }
    }
}

/// The level as rustc spells it.
pub(crate) fn debug_level(debug: DebugInfo) -> &'static str {
    match debug {
        DebugInfo::None => "0",
        DebugInfo::LineDirectivesOnly => "line-directives-only",
        DebugInfo::LineTablesOnly => "line-tables-only",
        DebugInfo::Limited => "1",
        DebugInfo::Full => "2",
    }
}

/// Only what differs from rustc's defaults: without optimisation assertions are on, and overflow checks follow them.
fn checks(profile: &Profile, args: &mut Arguments) {
    let assertions_by_default = profile.opt_level == "0";
    let on_or_off = |on: bool| if on { "on" } else { "off" };
    if profile.debug_assertions != assertions_by_default {
        args.codegen(format!("debug-assertions={}", on_or_off(profile.debug_assertions)));
    }
    if profile.overflow_checks != profile.debug_assertions {
        args.codegen(format!("overflow-checks={}", on_or_off(profile.overflow_checks)));
    }
}

/// The features, and which ones exist, so that rustc can warn of misspelt ones.
pub(crate) fn features(unit: &Unit, args: &mut Arguments) {
    for feature in &unit.features {
        args.pair("--cfg", format!("feature=\"{feature}\""));
    }
    args.pair("--check-cfg", "cfg(docsrs,test)");
    let known: Vec<String> = unit.package.summary.features.keys().map(|name| format!("\"{name}\"")).collect();
    args.pair("--check-cfg", format!("cfg(feature, values({}))", known.join(", ")));
}

fn places(context: &Context<'_>, index: UnitIndex, args: &mut Arguments) {
    let unit = context.unit(index);
    args.codegen(format!("metadata={}", context.symbol_hash(index)));
    if has_extra_filename(context, index) {
        args.codegen(format!("extra-filename=-{}", context.hash(index)));
    }
    if unit.profile.rpath {
        args.codegen("rpath");
    }
    args.pair("--out-dir", text(&output_folder(context, index)));
    if let CompileKind::Target(triple) = unit.platform {
        args.pair("--target", triple.as_str());
    }
    if let Some(linker) = &flags(context, unit).linker {
        args.codegen(format!("linker={}", linker.display()));
    }
    if let Some(folder) = incremental_folder(context, index) {
        args.codegen(format!("incremental={}", folder.display()));
    }
    match unit.profile.strip {
        Strip::None => {}
        Strip::DebugInfo => args.codegen("strip=debuginfo"),
        Strip::Symbols => args.codegen("strip=symbols"),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Where dependencies of dependencies are found.
pub(crate) fn search_paths(context: &Context<'_>, unit: &Unit, args: &mut Arguments) {
    args.pair("-L", format!("dependency={}", context.layout(unit.platform).dependencies().display()));
    if unit.platform != CompileKind::Host {
        args.pair("-L", format!("dependency={}", context.layout(CompileKind::Host).dependencies().display()));
    }
}

/// Each dependency by its name.
pub(crate) fn externs(context: &Context<'_>, unit: &Unit, args: &mut Arguments) {
    for dependency in &unit.dependencies {
        let other = context.unit(dependency.unit);
        let compiles = matches!(other.mode, CompileMode::Build | CompileMode::Check);
        if !compiles || !other.target.is_lib() {
            continue;
        }
        let metadata_suffices = unit.mode == CompileMode::Build
            && other.mode == CompileMode::Build
            && !requires_upstream_objects(unit)
            && !requires_upstream_objects(other);
        let wanted = if metadata_suffices
            || unit.mode == CompileMode::Doc && !requires_upstream_objects(other) && other.mode == CompileMode::Build
        {
            OutputKind::Metadata
        } else {
            OutputKind::Linkable
        };
        for output in outputs(context, dependency.unit) {
            if output.kind == wanted {
                args.pair("--extern", format!("{}={}", dependency.extern_crate_name, output.path.display()));
            }
        }
    }
    if unit.target.is_proc_macro() {
        args.pair("--extern", "proc_macro");
    }
}

/// Nobody can act on the lints of a package that is not theirs.
pub(crate) fn cap_lints(context: &Context<'_>, unit: &Unit, args: &mut Arguments) {
    if !unit.is_local {
        args.pair("--cap-lints", if context.options.show_dependency_warnings { "warn" } else { "allow" });
    }
}

/// Libraries, link arguments and configuration that build scripts asked for.
fn said_by_scripts(context: &Context<'_>, index: UnitIndex, scripts: &ScriptOutputs, args: &mut Arguments) {
    let unit = context.unit(index);
    let own = context.own_script(index);
    // A package's libraries are linked once: by its library, or by the programs of a package without one.
    let links_libraries = unit.target.is_lib() || unit.package.library().is_none();
    for run in linked_scripts(context, unit) {
        let Some(said) = scripts.get(&run) else { continue };
        for path in &said.library_paths {
            args.pair("-L", path.clone());
        }
        for library in said.library_links.iter().filter(|_| links_libraries && own == Some(run)) {
            args.pair("-l", library.clone());
        }
        for (scope, argument) in &said.link_arguments {
            if applies(scope, &unit.target) && (own == Some(run) || *scope == LinkArgTarget::Cdylib) {
                args.codegen(format!("link-arg={argument}"));
            }
        }
    }
    if let Some(said) = own.and_then(|run| scripts.get(&run)) {
        configuration(said, args);
    }
}

/// `--cfg` and `--check-cfg` of the unit's own script.
pub(crate) fn configuration(said: &BuildScriptOutput, args: &mut Arguments) {
    for cfg in &said.cfgs {
        args.pair("--cfg", cfg.clone());
    }
    for check in &said.check_cfgs {
        args.pair("--check-cfg", check.clone());
    }
}

fn applies(scope: &LinkArgTarget, target: &Target) -> bool {
    match scope {
        LinkArgTarget::All => true,
        LinkArgTarget::Cdylib => target.is_lib() && target.crate_types().contains(&CrateType::Cdylib),
        LinkArgTarget::Bins => target.kind == TargetKind::Bin,
        LinkArgTarget::Bin(name) => target.kind == TargetKind::Bin && *target.name == **name,
        LinkArgTarget::Tests => target.kind == TargetKind::Test,
        LinkArgTarget::Benches => target.kind == TargetKind::Bench,
        LinkArgTarget::Examples => is_program_example(target),
    }
}

fn is_program_example(target: &Target) -> bool {
    matches!(target.kind, TargetKind::Example(_)) && target.crate_types() == [CrateType::Bin]
}

pub(crate) fn environment(context: &Context<'_>, unit: &Unit, scripts: &ScriptOutputs) -> Variables {
    let options = context.options;
    let mut variables: Variables = options.environment.clone();
    let own = context.own_script_of(unit);
    if let Some(said) = own.and_then(|run| scripts.get(&run)) {
        variables.extend(said.environment.iter().cloned());
    }
    package_variables(&unit.package, &options.cargo, &mut variables);
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    set("CARGO_CRATE_NAME", unit.target.crate_name());
    let host = context.layout(CompileKind::Host).dependencies();
    set("LD_LIBRARY_PATH", joined(&[host, context.toolchain.sysroot.join("lib")]));
    if unit.target.kind == TargetKind::Bin || is_program_example(&unit.target) {
        set("CARGO_BIN_NAME", unit.target.name.to_string());
    }
    if options.primary_packages.contains(&unit.package.id) {
        set("CARGO_PRIMARY_PACKAGE", "1".to_owned());
    }
    if let Some(run) = own {
        set("OUT_DIR", text(&script_folder(context, run).join("out")));
    }
    if matches!(unit.target.kind, TargetKind::Test | TargetKind::Bench) {
        let layout = context.layout(unit.platform);
        let root = layout.intermediate.parent().unwrap_or(&layout.intermediate);
        set("CARGO_TARGET_TMPDIR", text(&root.join("tmp")));
        for (name, path) in programs(context, unit) {
            // Nothing is there to be started after a check; Cargo says so in these words.
            let value = if unit.mode.is_check() { format!("placeholder:{name}") } else { text(&path) };
            set(&format!("CARGO_BIN_EXE_{name}"), value);
        }
    }
    variables
}

/// The package's programs, where tests find them.
fn programs(context: &Context<'_>, unit: &Unit) -> Vec<(Symbol, PathBuf)> {
    let Some(platform) = context.platform(unit.platform) else { return Vec::new() };
    let artifacts = context.layout(unit.platform).artifacts;
    let programs = unit.package.targets.iter().filter(|target| target.kind == TargetKind::Bin);
    let named = programs
        .filter_map(|target| Some((target.name, artifacts.join(platform.file_name(CrateType::Bin, &target.name)?))));
    named.collect()
}
