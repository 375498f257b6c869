//! Which versions of a dependency are documented: they would all be written to one page.

use std::cmp::Reverse;
use std::collections::HashSet;

use bulkhead_schema::{PackageName, SourceId, Symbol};

use crate::{CompileKind, CompileMode, Unit, UnitGraph, UnitIndex};

/// Leaves out the documentation of all versions but the newest, unless somebody has asked for it.
pub(super) fn settle(graph: &mut UnitGraph) {
    let outdone = outdone(graph);
    if !outdone.is_empty() {
        graph.leave_out(&outdone);
    }
}

/// What of a package is documented in a better way as well: of a newer version, or of the same with the features that the
/// program itself uses, and not its build scripts and procedural macros.
fn outdone(graph: &UnitGraph) -> HashSet<UnitIndex> {
    type Page = (SourceId, PackageName, Symbol, CompileKind);
    let documented = graph.iter().filter(|(_, unit)| unit.mode == CompileMode::Doc);
    let mut documented: Vec<UnitIndex> = documented.map(|(index, _)| index).collect();
    documented.sort_by_key(|index| {
        let unit = graph.unit(*index);
        (Reverse(unit.package.id), unit.is_host_dependency, *index)
    });
    let mut pages: HashSet<Page> = HashSet::new();
    let outdone = documented.into_iter().filter(|index| {
        let Unit { package, target, platform, .. } = graph.unit(*index);
        let is_best = pages.insert((package.id.source(), package.id.name(), target.name, *platform));
        !is_best && !graph.roots.contains(index)
    });
    outdone.collect()
}
