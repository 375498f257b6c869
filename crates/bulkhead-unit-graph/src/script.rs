//! The command line and environment of a build script.

use std::collections::BTreeMap;

use bulkhead_schema::platform::Cfg;

use crate::environment::{Variables, joined, package_variables, screaming};
use crate::{
    Command, CompileKind, CompileMode, Context, ScriptOutputs, Unit, UnitIndex, script_folder, script_program,
};

/// How the build script of a [`CompileMode::RunBuildScript`] unit is started. `scripts` must hold the outputs of the
/// runs it depends on, whose metadata it gets as `DEP_*`. The jobserver's `CARGO_MAKEFLAGS` is left to the executor.
pub fn script_command(context: &Context<'_>, index: UnitIndex, scripts: &ScriptOutputs) -> Command {
    let unit = context.unit(index);
    let mut variables: Variables = context.options.environment.clone();
    package_variables(&unit.package, &context.options.cargo, &mut variables);
    platform_variables(context, unit, &mut variables);
    build_variables(context, index, &mut variables);
    for feature in &unit.features {
        variables.insert(format!("CARGO_FEATURE_{}", screaming(feature)), "1".to_owned());
    }
    for dependency in &unit.dependencies {
        let other = context.unit(dependency.unit);
        let Some(links) = other.package.summary.links.filter(|_| other.mode == CompileMode::RunBuildScript) else {
            continue;
        };
        if other.package.id == unit.package.id {
            continue;
        }
        for (key, value) in scripts.get(&dependency.unit).map(|said| &said.metadata).into_iter().flatten() {
            variables.insert(format!("DEP_{}_{}", screaming(&links), screaming(key)), value.clone());
        }
    }
    Command {
        program: script_program(context, index),
        arguments: Vec::new(),
        environment: variables.into_iter().collect(),
        current_dir: unit.package.root.clone(),
    }
}

/// `CARGO_CFG_*`, `TARGET`, `HOST`.
fn platform_variables(context: &Context<'_>, unit: &Unit, variables: &mut Variables) {
    let Some(platform) = context.platform(unit.platform) else { return };
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for cfg in &platform.cfg {
        match cfg {
            Cfg::Name(name) => {
                values.entry(name.name.clone()).or_default();
            }
            Cfg::KeyPair(name, value) => values.entry(name.name.clone()).or_default().push(value.clone()),
        }
    }
    let features: Vec<String> = unit.features.iter().map(|feature| feature.to_string()).collect();
    values.insert("feature".to_owned(), features);
    // What `--print cfg` says of assertions is the compiler's default, not the profile's choice.
    values.remove("debug_assertions");
    if unit.profile.debug_assertions {
        values.insert("debug_assertions".to_owned(), Vec::new());
    }
    for (name, values) in values {
        variables.insert(format!("CARGO_CFG_{}", screaming(&name)), values.join(","));
    }
    variables.insert("TARGET".to_owned(), platform.triple.to_string());
    variables.insert("HOST".to_owned(), context.toolchain.host.to_string());
}

fn build_variables(context: &Context<'_>, index: UnitIndex, variables: &mut Variables) {
    let unit = context.unit(index);
    let (toolchain, options) = (context.toolchain, context.options);
    let flags = options.flags.get(&unit.platform).cloned().unwrap_or_default();
    let debug = unit.profile.debug != bulkhead_workspace::DebugInfo::None;
    let host = context.layout(CompileKind::Host);
    let libdir = context.platform(CompileKind::Host).map(|platform| platform.target_libdir.clone());
    // A check leaves nothing there.
    let links = |root: &UnitIndex| !context.unit(*root).mode.is_check();
    let mut search = Vec::new();
    if context.graph.roots.iter().any(links) {
        search.push(host.artifacts.clone());
    }
    search.push(host.dependencies());
    search.extend(libdir);
    search.push(toolchain.sysroot.join("lib"));
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    set("OUT_DIR", script_folder(context, index).join("out").display().to_string());
    set("NUM_JOBS", options.jobs.to_string());
    set("OPT_LEVEL", unit.profile.opt_level.to_string());
    set("DEBUG", debug.to_string());
    set("PROFILE", options.script_profile.to_owned());
    set("RUSTC", toolchain.rustc.display().to_string());
    set("RUSTDOC", toolchain.rustdoc.display().to_string());
    set("CARGO_ENCODED_RUSTFLAGS", flags.rustflags.join("\u{1f}"));
    set("LD_LIBRARY_PATH", joined(&search));
    if let Some(linker) = flags.linker {
        set("RUSTC_LINKER", linker.display().to_string());
    }
    if let Some(links) = unit.package.summary.links {
        set("CARGO_MANIFEST_LINKS", links.to_string());
    }
    if let Some(wrapper) = &options.rustc_wrapper {
        set("RUSTC_WRAPPER", wrapper.display().to_string());
    }
    if let Some(wrapper) = options.rustc_workspace_wrapper.as_ref().filter(|_| is_wrapped(context, unit)) {
        set("RUSTC_WORKSPACE_WRAPPER", wrapper.display().to_string());
    }
}

fn is_wrapped(context: &Context<'_>, unit: &Unit) -> bool {
    context.options.members.contains(&unit.package.id)
}
