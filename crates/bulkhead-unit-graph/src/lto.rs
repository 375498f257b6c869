//! Which units take part in link-time optimisation, and so what code each must hold: objects, LLVM bitcode, or both.

use bulkhead_workspace::{CrateType, Lto};

use crate::{CompileMode, Unit, UnitGraph};

/// What a unit does for link-time optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LtoRole {
    /// It is where everything is optimised, this way.
    Run(Lto),
    /// Nothing, not even among its own codegen units.
    Off,
    /// Its bitcode is optimised elsewhere.
    Bitcode,
    /// It is linked as it is, and optimised elsewhere too.
    ObjectAndBitcode,
    /// It is linked as it is.
    Object,
}

/// The role of each unit, by index.
pub(crate) fn roles(graph: &UnitGraph) -> Vec<LtoRole> {
    let mut demanded: Vec<Option<LtoRole>> = vec![None; graph.units.len()];
    for root in &graph.roots {
        let unit = graph.unit(*root);
        let demand = role(unit, demand_on_root(unit));
        merge(&mut demanded[root.0 as usize], demand);
    }
    for doctest in &graph.doctests {
        for dependency in &doctest.dependencies {
            let demand = role(graph.unit(dependency.unit), doctest_role(doctest));
            merge(&mut demanded[dependency.unit.0 as usize], demand);
        }
    }
    // Dependents have larger indexes, so that their roles are final when their dependencies are looked at.
    for index in (0..graph.units.len()).rev() {
        let Some(of_dependent) = demanded[index] else { continue };
        for dependency in &graph.units[index].dependencies {
            let demand = role(graph.unit(dependency.unit), of_dependent);
            merge(&mut demanded[dependency.unit.0 as usize], demand);
        }
    }
    demanded.into_iter().map(|role| role.unwrap_or(LtoRole::Object)).collect()
}

/// The role of a unit that stands beside the graph.
pub(crate) fn doctest_role(unit: &Unit) -> LtoRole {
    role(unit, demand_on_root(unit))
}

fn demand_on_root(unit: &Unit) -> LtoRole {
    match unit.profile.lto {
        Lto::ThinLocal => LtoRole::Object,
        Lto::Off => LtoRole::Off,
        Lto::Thin | Lto::Fat if is_for_host(unit) => LtoRole::Object,
        Lto::Thin | Lto::Fat if needs_object(crate_types(unit)) => with_object(crate_types(unit)),
        Lto::Thin | Lto::Fat => LtoRole::Bitcode,
    }
}

/// The role of `unit` for a dependent in the role `dependent`.
fn role(unit: &Unit, dependent: LtoRole) -> LtoRole {
    let types = crate_types(unit);
    let ends_here = types.iter().all(|each| matches!(each, CrateType::Bin | CrateType::Staticlib | CrateType::Cdylib));
    if is_for_host(unit) {
        return LtoRole::Object;
    }
    if ends_here {
        return match unit.profile.lto {
            Lto::Thin | Lto::Fat => LtoRole::Run(unit.profile.lto),
            Lto::Off => LtoRole::Off,
            Lto::ThinLocal => LtoRole::Object,
        };
    }
    match (dependent, needs_object(types)) {
        (LtoRole::Run(_), false) => LtoRole::Bitcode,
        (LtoRole::Run(_) | LtoRole::Bitcode, true) => with_object(types),
        (role, _) => role,
    }
}

fn is_for_host(unit: &Unit) -> bool {
    unit.target.is_proc_macro() || unit.target.is_build_script()
}

fn crate_types(unit: &Unit) -> &[CrateType] {
    match unit.mode {
        CompileMode::Test | CompileMode::Doctest => &[CrateType::Bin],
        _ => unit.target.crate_types(),
    }
}

fn needs_object(types: &[CrateType]) -> bool {
    types.iter().any(|each| !matches!(each, CrateType::Lib | CrateType::Rlib))
}

/// A dylib is no place for link-time optimisation; a mixed library is linked as it is in one form and optimised in
/// another.
fn with_object(types: &[CrateType]) -> LtoRole {
    if types.iter().all(|each| *each == CrateType::Dylib) { LtoRole::Object } else { LtoRole::ObjectAndBitcode }
}

/// A unit must satisfy all its dependents.
fn merge(known: &mut Option<LtoRole>, demand: LtoRole) {
    let Some(before) = *known else {
        *known = Some(demand);
        return;
    };
    *known = Some(match (before, demand) {
        (LtoRole::Run(how), _) | (_, LtoRole::Run(how)) => LtoRole::Run(how),
        (LtoRole::Off, _) | (_, LtoRole::Off) => LtoRole::Off,
        (one, other) if one == other => one,
        _ => LtoRole::ObjectAndBitcode,
    });
}

impl LtoRole {
    /// The arguments of `-C` that tell rustc.
    pub(crate) fn codegen_options(self) -> &'static [&'static str] {
        match self {
            Self::Run(Lto::Thin) => &["lto=thin"],
            Self::Run(_) => &["lto"],
            Self::Off => &["lto=off", "embed-bitcode=no"],
            Self::Bitcode => &["linker-plugin-lto"],
            Self::ObjectAndBitcode => &[],
            Self::Object => &["embed-bitcode=no"],
        }
    }
}
