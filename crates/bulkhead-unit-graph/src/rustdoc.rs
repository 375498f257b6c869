//! The command lines of rustdoc.

use std::path::{Path, PathBuf};

use bulkhead_workspace::TargetKind;

use crate::environment::joined;
use crate::rustc::{
    Arguments, cap_lints, configuration, environment, externs, features, flags, lints, messages, search_paths, source,
};
use crate::{
    Command, CompileKind, CompileMode, Context, MessageFormat, ScriptOutputs, Unit, UnitIndex, lto, output_folder,
};

/// What the command line of a doctest depends on, besides its unit.
#[derive(Debug, Clone, Default)]
pub struct DoctestOptions {
    /// `--color`: `auto`, `always` or `never`.
    pub color: String,
    /// Folders in which build scripts told rustc to search, for the compiler (`native=…`).
    pub native: Vec<String>,
    /// The same folders for the dynamic loader.
    pub library_paths: Vec<PathBuf>,
    /// `target.PLATFORM.runner`: the program and its arguments.
    pub runner: Option<(PathBuf, Vec<String>)>,
    /// Arguments of the test harness.
    pub arguments: Vec<String>,
}

/// How the doctests of a library are compiled and run, all at once, by rustdoc.
pub fn doctest_command(
    context: &Context<'_>,
    unit: &Unit,
    scripts: &ScriptOutputs,
    options: &DoctestOptions,
) -> Command {
    let (source, current_dir) = source(context, unit);
    let mut variables = environment(context, unit, scripts);
    variables.remove("CARGO_PRIMARY_PACKAGE");
    let own = [context.layout(unit.platform).dependencies(), context.toolchain.sysroot.join("lib")];
    let library_paths: Vec<PathBuf> = options.library_paths.iter().cloned().chain(own).collect();
    variables.insert("LD_LIBRARY_PATH".to_owned(), joined(&library_paths));
    Command {
        program: context.toolchain.rustdoc.clone(),
        arguments: doctest_arguments(context, unit, scripts, options, source),
        environment: variables.into_iter().collect(),
        current_dir,
    }
}

fn doctest_arguments(
    context: &Context<'_>,
    unit: &Unit,
    scripts: &ScriptOutputs,
    options: &DoctestOptions,
    source: String,
) -> Vec<String> {
    let mut args = Arguments::default();
    args.push(format!("--edition={}", unit.target.edition.as_str()));
    for crate_type in unit.target.crate_types() {
        args.pair("--crate-type", crate_type.as_str());
    }
    args.pair("--color", options.color.clone());
    args.pair("--crate-name", unit.target.crate_name());
    args.pair("--test", source);
    args.pair("--test-run-directory", unit.package.root.display().to_string());
    if let CompileKind::Target(triple) = unit.platform {
        args.pair("--target", triple.as_str());
    }
    started_by(context, unit, options, &mut args);
    for folder in &options.native {
        args.pair("-L", folder.clone());
    }
    for argument in &options.arguments {
        args.pair("--test-args", argument.clone());
    }
    lints(unit, &mut args);
    externs(context, unit, &mut args);
    search_paths(context, unit, &mut args);
    for option in lto::doctest_role(unit).codegen_options() {
        args.codegen(*option);
    }
    features(unit, &mut args);
    if let Some(said) = context.own_script_of(unit).and_then(|run| scripts.get(&run)) {
        configuration(said, &mut args);
    }
    args.0.extend(flags(context, unit).rustdocflags.iter().cloned());
    args.pair("--error-format", error_format(context.options.message_format));
    args.0
}

/// How programs of the platform are linked and started.
fn started_by(context: &Context<'_>, unit: &Unit, options: &DoctestOptions, args: &mut Arguments) {
    if let Some((program, arguments)) = &options.runner {
        args.pair("--test-runtool", program.display().to_string());
        for argument in arguments {
            args.pair("--test-runtool-arg", argument.clone());
        }
    }
    if let Some(linker) = &flags(context, unit).linker {
        args.codegen(format!("linker={}", Path::display(linker)));
    }
}

fn error_format(format: MessageFormat) -> &'static str {
    match format {
        MessageFormat::Human => "human",
        MessageFormat::Short => "short",
        MessageFormat::Json { .. } => "json",
    }
}

/// What the command line adds for a root. Of a program all items are documented in any case, so that links to them are right.
pub(crate) fn added<'a>(context: &'a Context<'_>, index: UnitIndex) -> impl Iterator<Item = &'a str> {
    let (unit, options) = (context.unit(index), context.options);
    let is_root = context.graph.roots.contains(&index);
    let is_program = unit.mode == CompileMode::Doc && unit.target.kind == TargetKind::Bin;
    let is_private = is_program || is_root && unit.mode == CompileMode::Doc && options.document_private_items;
    let given = options.extra_arguments.iter().filter(move |_| is_root).map(String::as_str);
    let private = is_private.then_some("--document-private-items");
    given.chain(private).chain(is_program.then_some("-Arustdoc::private-intra-doc-links"))
}

pub(crate) fn arguments(
    context: &Context<'_>,
    index: UnitIndex,
    scripts: &ScriptOutputs,
    source: String,
) -> Vec<String> {
    let unit = context.unit(index);
    let mut args = Arguments::default();
    args.push(format!("--edition={}", unit.target.edition.as_str()));
    for crate_type in unit.target.crate_types() {
        args.pair("--crate-type", crate_type.as_str());
    }
    args.pair("--crate-name", unit.target.crate_name());
    args.push(source);
    cap_lints(context, unit, &mut args);
    if let CompileKind::Target(triple) = unit.platform {
        args.pair("--target", triple.as_str());
    }
    args.pair("-o", output_folder(context, index).display().to_string());
    features(unit, &mut args);
    lints(unit, &mut args);
    messages(context, &mut args);
    args.pair("-C", format!("metadata={}", context.symbol_hash(index)));
    search_paths(context, unit, &mut args);
    externs(context, unit, &mut args);
    args.0.extend(added(context, index).map(str::to_owned));
    let flags = &flags(context, unit).rustdocflags;
    args.0.extend(flags.iter().cloned());
    if !flags.iter().any(|flag| flag.starts_with("--crate-version")) {
        args.pair("--crate-version", unit.package.id.version().to_string());
    }
    if let Some(said) = context.own_script(index).and_then(|run| scripts.get(&run)) {
        configuration(said, &mut args);
    }
    args.0
}
