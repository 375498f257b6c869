//! Which files a unit reads, writes and leaves (Cargo Book, "Build Cache").

use std::path::PathBuf;

use bulkhead_workspace::{CrateType, TargetKind};

use crate::{CompileMode, Context, Output, OutputKind, Unit, UnitIndex};

/// The files that the unit leaves, the main one first. Empty for the run of a build script, whose results are in
/// [`script_folder`].
pub fn outputs(context: &Context<'_>, index: UnitIndex) -> Vec<Output> {
    let split = context.unit(index).profile.split_debuginfo;
    outputs_with(context, index, split.is_some_and(|split| split.as_str() == "packed"))
}

/// The same with files of debug information that would be there with another profile: their names are taken, too.
pub(crate) fn taken_names(context: &Context<'_>, index: UnitIndex) -> Vec<Output> {
    outputs_with(context, index, true)
}

fn outputs_with(context: &Context<'_>, index: UnitIndex, packed_debuginfo: bool) -> Vec<Output> {
    let unit = context.unit(index);
    let linked = |types: &[CrateType], folder: &std::path::Path, file_stem: &str| {
        linked(context, index, types, folder, file_stem, packed_debuginfo)
    };
    let folder = output_folder(context, index);
    let file_stem = file_stem(context, index);
    match unit.mode {
        CompileMode::RunBuildScript | CompileMode::Doctest => Vec::new(),
        CompileMode::Doc => {
            let path = folder.join(unit.target.crate_name()).join("index.html");
            vec![Output { path, uplifted: None, kind: OutputKind::Documentation }]
        }
        CompileMode::Check | CompileMode::CheckTest => {
            let path = folder.join(format!("lib{file_stem}.rmeta"));
            vec![Output { path, uplifted: None, kind: OutputKind::Linkable }]
        }
        CompileMode::Test => linked(&[CrateType::Bin], &folder, &file_stem),
        CompileMode::Build => {
            let mut outputs = linked(unit.target.crate_types(), &folder, &file_stem);
            if !requires_upstream_objects(unit) {
                let path = folder.join(format!("lib{file_stem}.rmeta"));
                outputs.push(Output { path, uplifted: None, kind: OutputKind::Metadata });
            }
            outputs
        }
    }
}

fn linked(
    context: &Context<'_>,
    index: UnitIndex,
    types: &[CrateType],
    folder: &std::path::Path,
    file_stem: &str,
    packed: bool,
) -> Vec<Output> {
    let unit = context.unit(index);
    let Some(platform) = context.platform(unit.platform) else { return Vec::new() };
    let mut outputs: Vec<Output> = Vec::new();
    for &crate_type in types {
        // What the platform lacks, rustc leaves out with a warning.
        let Some(name) = platform.file_name(crate_type, file_stem) else { continue };
        let linkable = [CrateType::Lib, CrateType::Rlib, CrateType::Dylib, CrateType::ProcMacro];
        let kind = if linkable.contains(&crate_type) { OutputKind::Linkable } else { OutputKind::Normal };
        let path = folder.join(name);
        let uplifted = uplifted(context, index, crate_type).filter(|uplifted| *uplifted != path);
        if outputs.iter().all(|output| output.path != path) {
            let debuginfo = packed.then(|| packed_debuginfo(platform, crate_type, &path, uplifted.as_deref()));
            outputs.push(Output { path, uplifted, kind });
            outputs.extend(debuginfo.flatten());
        }
        if crate_type == CrateType::Bin && platform.triple.ends_with("-msvc") {
            let path = folder.join(format!("{}.pdb", file_stem.replace('-', "_")));
            outputs.push(Output { path, uplifted: None, kind: OutputKind::DebugInfo });
        }
    }
    outputs
}

/// `NAME.dwp` beside what is linked, where debug information is split off and packed in a file of its own.
fn packed_debuginfo(
    platform: &crate::toolchain::PlatformInfo,
    crate_type: CrateType,
    path: &std::path::Path,
    uplifted: Option<&std::path::Path>,
) -> Option<Output> {
    let is_linked = matches!(crate_type, CrateType::Bin | CrateType::Dylib | CrateType::Cdylib | CrateType::ProcMacro);
    let is_elf = !platform.triple.contains("-apple-") && !platform.triple.contains("-windows-");
    let beside = |path: &std::path::Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dwp");
        PathBuf::from(name)
    };
    let output = || Output { path: beside(path), uplifted: uplifted.map(beside), kind: OutputKind::DebugInfo };
    (is_linked && is_elf).then(output)
}

/// Where users find the file: programs and dylibs always, other libraries if they were asked for.
fn uplifted(context: &Context<'_>, index: UnitIndex, crate_type: CrateType) -> Option<PathBuf> {
    let unit = context.unit(index);
    let target = &unit.target;
    let always = matches!(target.kind, TargetKind::Bin | TargetKind::BuildScript) || crate_type == CrateType::Dylib;
    if unit.mode != CompileMode::Build || !(always || context.graph.roots.contains(&index)) {
        return None;
    }
    let name = if crate_type == CrateType::Bin { target.name.to_string() } else { target.crate_name() };
    let file = context.platform(unit.platform)?.file_name(crate_type, &name)?;
    let layout = context.layout(unit.platform);
    Some(match target.kind {
        TargetKind::Example(_) => layout.examples().join(file),
        TargetKind::BuildScript => output_folder(context, index).join(file),
        _ => layout.artifacts.join(file),
    })
}

/// Whether the unit links, so that its dependencies must be compiled wholly before it starts.
pub(crate) fn requires_upstream_objects(unit: &Unit) -> bool {
    unit.target.crate_types().iter().any(|each| !matches!(each, CrateType::Lib | CrateType::Rlib))
}

/// The folder that rustc writes to.
pub fn output_folder(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    let unit = context.unit(index);
    let layout = context.layout(unit.platform);
    match (unit.mode, &unit.target.kind) {
        (CompileMode::Doc, _) => {
            let root = layout.artifacts.parent().unwrap_or(&layout.artifacts);
            root.join("doc")
        }
        (_, TargetKind::BuildScript) => layout.build().join(package_folder(context, index)),
        (_, TargetKind::Example(_)) => layout.intermediate_examples(),
        _ => layout.dependencies(),
    }
}

fn package_folder(context: &Context<'_>, index: UnitIndex) -> String {
    format!("{}-{}", context.unit(index).package.id.name(), context.hash(index))
}

/// The file name without prefix and suffix.
fn file_stem(context: &Context<'_>, index: UnitIndex) -> String {
    let crate_name = context.unit(index).target.crate_name();
    if has_extra_filename(context, index) { format!("{crate_name}-{}", context.hash(index)) } else { crate_name }
}

/// The names of dynamic libraries are written into what links them, and those of programs for some platforms into files
/// beside them: they get no hash.
pub(crate) fn has_extra_filename(context: &Context<'_>, index: UnitIndex) -> bool {
    let unit = context.unit(index);
    if unit.mode.is_test() || unit.mode.is_check() {
        return true;
    }
    let types = unit.target.crate_types();
    let triple = context.platform(unit.platform).map(|platform| platform.triple);
    let named_program = triple.is_some_and(|triple| triple.contains("emscripten") || triple.contains("msvc"));
    let library = matches!(unit.target.kind, TargetKind::Lib(_));
    let dynamic = library && types.iter().any(|each| matches!(each, CrateType::Dylib | CrateType::Cdylib));
    let fixed = dynamic || (types.contains(&CrateType::Bin) && !unit.target.is_build_script() && named_program);
    !fixed || !unit.package.id.source().is_path() || context.is_second(index)
}

/// Where rustc writes the unit's list of source files (make format). Empty for rustdoc, which writes none.
pub fn dep_info(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    if context.unit(index).mode == CompileMode::Doc {
        return PathBuf::new();
    }
    output_folder(context, index).join(format!("{}.d", file_stem(context, index)))
}

/// The folder for incremental compilation, if the unit uses it.
pub fn incremental_folder(context: &Context<'_>, index: UnitIndex) -> Option<PathBuf> {
    let unit = context.unit(index);
    let compiles = !matches!(unit.mode, CompileMode::RunBuildScript | CompileMode::Doc | CompileMode::Doctest);
    (compiles && unit.profile.incremental).then(|| context.layout(unit.platform).incremental())
}

/// The folder of one build script's run, which holds `out` (OUT_DIR), `output`, `stderr` and `root-output`.
pub fn script_folder(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    let unit = context.unit(index);
    context.layout(unit.platform).build().join(package_folder(context, index))
}

/// The program to start for the run of a build script.
pub fn script_program(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    let run = context.unit(index);
    let compiled = |unit: &UnitIndex| {
        let other = context.unit(*unit);
        other.mode == CompileMode::Build && other.package.id == run.package.id
    };
    let script = run.dependencies.iter().map(|dependency| dependency.unit).find(compiled);
    let outputs = script.map(|script| outputs(context, script)).unwrap_or_default();
    outputs.into_iter().next().map(|output| output.uplifted.unwrap_or(output.path)).unwrap_or_default()
}

/// The folder in which freshness of the unit is remembered: `.fingerprint/<package>-<hash>`.
pub fn fingerprint_folder(context: &Context<'_>, index: UnitIndex) -> PathBuf {
    context.layout(context.unit(index).platform).fingerprints().join(package_folder(context, index))
}

/// What the name of files in [`fingerprint_folder`] begins with, such as `lib-serde` or
/// `run-build-script-build-script-build`.
pub fn fingerprint_name(context: &Context<'_>, index: UnitIndex) -> String {
    let unit = context.unit(index);
    let mode = match unit.mode {
        CompileMode::Test | CompileMode::CheckTest => "test-",
        CompileMode::Doc => "doc-",
        CompileMode::Doctest => "doctest-",
        CompileMode::RunBuildScript => "run-",
        CompileMode::Build | CompileMode::Check => "",
    };
    let kind = match unit.target.kind {
        TargetKind::Lib(_) => "lib",
        TargetKind::Bin => "bin",
        TargetKind::Example(_) => "example",
        TargetKind::Test => "integration-test",
        TargetKind::Bench => "bench",
        TargetKind::BuildScript => "build-script",
    };
    format!("{mode}{kind}-{}", unit.target.name)
}

/// The runs of build scripts whose libraries the unit links or may link: its own, then those of its dependencies, in
/// Cargo's order.
pub(crate) fn linked_scripts(context: &Context<'_>, unit: &Unit) -> Vec<UnitIndex> {
    let mut found = Vec::new();
    let mut seen = vec![false; context.graph.units.len()];
    let is_library = |index: &UnitIndex| {
        let target = &context.unit(*index).target;
        target.is_lib() && !target.is_proc_macro()
    };
    let libraries = |unit: &Unit| {
        let indexes = unit.dependencies.iter().rev().map(|dependency| dependency.unit);
        indexes.filter(is_library).collect::<Vec<_>>()
    };
    found.extend(context.own_script_of(unit));
    let mut stack = libraries(unit);
    while let Some(next) = stack.pop() {
        if std::mem::replace(&mut seen[next.0 as usize], true) {
            continue;
        }
        found.extend(context.own_script(next).filter(|script| !found.contains(script)));
        stack.extend(libraries(context.unit(next)));
    }
    found
}

/// Folders and files that the unit's process must be able to read, for the sandbox; system folders and the toolchain
/// are not listed.
pub fn readable_paths(context: &Context<'_>, index: UnitIndex) -> Vec<PathBuf> {
    let unit = context.unit(index);
    if unit.mode != CompileMode::RunBuildScript {
        return readable_by_compiler(context, unit);
    }
    let mut paths = own_sources(context, unit);
    paths.extend(script_program(context, index).parent().map(PathBuf::from));
    for dependency in &unit.dependencies {
        if context.unit(dependency.unit).mode == CompileMode::RunBuildScript {
            paths.push(script_folder(context, dependency.unit).join("out"));
        }
    }
    paths
}

/// What the compiler of a unit must be able to read, which may stand beside the graph.
pub fn readable_by_compiler(context: &Context<'_>, unit: &Unit) -> Vec<PathBuf> {
    let mut paths = own_sources(context, unit);
    // rustc quotes the code of dependencies in its messages.
    paths.extend(context.options.shared_sources.iter().cloned());
    let dependencies = unit.dependencies.iter().map(|dependency| context.unit(dependency.unit));
    paths.extend(dependencies.filter(|unit| unit.is_local).map(|unit| unit.package.root.clone()));
    paths.push(context.layout(unit.platform).dependencies());
    let host = context.layout(crate::CompileKind::Host).dependencies();
    if !paths.contains(&host) {
        paths.push(host);
    }
    paths.extend(linked_scripts(context, unit).into_iter().map(|run| script_folder(context, run).join("out")));
    paths
}

fn own_sources(context: &Context<'_>, unit: &Unit) -> Vec<PathBuf> {
    let mut paths = vec![unit.package.root.clone()];
    if context.options.members.contains(&unit.package.id) {
        paths.push(context.options.workspace_root.clone());
    }
    paths
}

/// Folders that the unit's process must be able to write.
pub fn writable_paths(context: &Context<'_>, index: UnitIndex) -> Vec<PathBuf> {
    match context.unit(index).mode {
        CompileMode::RunBuildScript => vec![script_folder(context, index).join("out")],
        _ => std::iter::once(output_folder(context, index)).chain(incremental_folder(context, index)).collect(),
    }
}
