//! `rustc` and `rustdoc`: one target is compiled with arguments of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_schema::PackageId;
use bulkhead_unit_graph::UnitGraph;
use bulkhead_workspace::{CrateType, Package, TargetKind};

use crate::Error;
use crate::error::Result;
use crate::options::{CompileOptions, SingleTarget};
use crate::project::Project;

/// # Errors
/// Nothing says which package of a workspace is meant.
pub fn needs_package(project: &Project, options: &CompileOptions) -> Result<()> {
    if options.single.is_none() || project.workspace.current.is_some() || !options.packages.packages.is_empty() {
        return Ok(());
    }
    Err(Error::failure(format!(
        "manifest path `{}` is a virtual manifest, but this command requires running against an actual package in this \
         workspace",
        project.workspace.root.join("Cargo.toml").display()
    )))
}

/// Gives the one target its `--crate-type`; says whether anything changed, so that the plan has to be made anew.
///
/// # Errors
/// Arguments for more than one target, crate types for a target that has none of its own, unknown types.
pub fn change_crate_types(
    single: &SingleTarget,
    graph: &UnitGraph,
    packages: &mut BTreeMap<PackageId, Arc<Package>>,
) -> Result<bool> {
    let [root] = graph.roots.as_slice() else {
        return match (single.arguments.is_empty(), single.crate_types.is_empty()) {
            (true, true) => Ok(false),
            (false, _) => Err(too_many(&format!("extra arguments to `{}`", single.command))),
            (true, false) => Err(too_many("crate types to rustc")),
        };
    };
    if single.crate_types.is_empty() {
        return Ok(false);
    }
    let unit = graph.unit(*root);
    let types = single.crate_types.iter().map(|name| crate_type(name)).collect::<Result<Vec<_>>>()?;
    let kind = match unit.target.kind {
        TargetKind::Lib(_) => TargetKind::Lib(types),
        TargetKind::Example(_) => TargetKind::Example(types),
        _ => {
            return Err(Error::failure(
                "crate types can only be specified for libraries and example libraries.\nBinaries, tests, and \
                 benchmarks are always the `bin` crate type",
            ));
        }
    };
    let mut package = Package::clone(&unit.package);
    let is_same = |target: &bulkhead_workspace::Target| {
        std::mem::discriminant(&target.kind) == std::mem::discriminant(&kind) && target.name == unit.target.name
    };
    for target in package.targets.iter_mut().filter(|target| is_same(target)) {
        Arc::make_mut(target).kind = kind.clone();
    }
    packages.insert(package.id, Arc::new(package));
    Ok(true)
}

fn crate_type(name: &str) -> Result<CrateType> {
    CrateType::parse(name).ok_or_else(|| {
        Error::failure(format!("`{name}` is not a crate type"))
            .help("crate types are: bin, lib, rlib, dylib, cdylib, staticlib, proc-macro")
    })
}

fn too_many(what: &str) -> Error {
    Error::failure(format!(
        "{what} can only be passed to one target, consider filtering\nthe package by passing, e.g., \
         `--lib` or `--bin NAME` to specify a single target"
    ))
}
