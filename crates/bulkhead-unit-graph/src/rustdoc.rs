//! The command line of rustdoc.

use bulkhead_workspace::CrateType;

use crate::rustc::{Arguments, cap_lints, configuration, dependencies, features, flags, lints, messages};
use crate::{CompileKind, Context, ScriptOutputs, UnitIndex, output_folder};

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
    if unit.target.crate_types() == [CrateType::Bin] {
        args.push("--document-private-items");
    }
    dependencies(context, index, &mut args);
    if context.graph.roots.contains(&index) {
        args.0.extend(context.options.extra_arguments.iter().cloned());
    }
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
