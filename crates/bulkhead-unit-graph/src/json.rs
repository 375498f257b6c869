//! The unit graph in the form of `cargo build --unit-graph`.

use bulkhead_workspace::metadata::target_json;
use bulkhead_workspace::{DebugInfo, Lto, PanicStrategy, Profile, Strip, package_id_spec};
use serde_json::{Value, json};

use crate::rustc::debug_level;
use crate::{CompileKind, CompileMode, Unit, UnitGraph};

/// Version 1 of Cargo's `--unit-graph` output. The units stand in plan order, dependencies first; Cargo's order differs
/// and means nothing.
pub fn unit_graph_json(graph: &UnitGraph) -> Value {
    json!({
        "version": 1,
        "units": graph.units.iter().map(unit).collect::<Vec<_>>(),
        "roots": graph.roots.iter().map(|root| root.0).collect::<Vec<_>>(),
    })
}

fn unit(unit: &Unit) -> Value {
    let dependencies = unit.dependencies.iter().map(|dependency| {
        json!({
            "index": dependency.unit.0,
            "extern_crate_name": dependency.extern_crate_name,
            "public": false,
            "noprelude": false,
            "nounused": false,
        })
    });
    json!({
        "pkg_id": package_id_spec(unit.package.id),
        "target": target_json(&unit.target),
        "profile": profile(&unit.profile),
        "platform": match unit.platform {
            CompileKind::Host => Value::Null,
            CompileKind::Target(triple) => json!(triple),
        },
        "mode": mode(unit.mode),
        "features": unit.features,
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

fn mode(mode: CompileMode) -> &'static str {
    match mode {
        CompileMode::Build => "build",
        CompileMode::Check | CompileMode::CheckTest => "check",
        CompileMode::Test => "test",
        CompileMode::Doc => "doc",
        CompileMode::Doctest => "doctest",
        CompileMode::RunBuildScript => "run-custom-build",
    }
}

/// A debug level as plans and the JSON messages of a build show it.
pub fn debuginfo_json(level: DebugInfo) -> Value {
    match level {
        DebugInfo::None => json!(0),
        DebugInfo::Limited => json!(1),
        DebugInfo::Full => json!(2),
        other => json!(debug_level(other)),
    }
}

fn profile(profile: &Profile) -> Value {
    json!({
        "name": profile.name,
        "opt_level": profile.opt_level,
        "lto": match profile.lto {
            Lto::Off => "off",
            Lto::ThinLocal => "false",
            Lto::Thin => "thin",
            Lto::Fat => "true",
        },
        "codegen_backend": null,
        "codegen_units": profile.codegen_units,
        "debuginfo": debuginfo_json(profile.debug),
        "split_debuginfo": profile.split_debuginfo,
        "debug_assertions": profile.debug_assertions,
        "overflow_checks": profile.overflow_checks,
        "rpath": profile.rpath,
        "incremental": profile.incremental,
        "panic": match profile.panic {
            PanicStrategy::Unwind => "unwind",
            PanicStrategy::Abort => "abort",
        },
        "strip": match profile.strip {
            Strip::None => json!({ "deferred": "None" }),
            Strip::DebugInfo => json!({ "resolved": { "Named": "debuginfo" } }),
            Strip::Symbols => json!({ "resolved": { "Named": "symbols" } }),
        },
    })
}
