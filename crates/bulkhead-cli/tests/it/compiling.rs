//! `build`, `check`, `run` and `test` on a workspace with everything that registries offer.

use crate::stage::{Stage, Twins, WORKSPACE};

#[test]
fn a_workspace_is_built_as_cargo_builds_it() {
    let twins = Twins::new(WORKSPACE);
    let first = twins.same_output(&["build"]);
    assert!(first.stderr.contains("Compiling native-sys v1.2.3"), "{first}");
    twins.same_artifacts("debug");
    let second = twins.same_output(&["build"]);
    assert!(!second.stderr.contains("Compiling"), "nothing is compiled twice: {second}");
    twins.same_output(&["build", "--release", "-p", "library"]);
    twins.same_artifacts("release");
    // One line changes in the library: the library and its user are compiled, nothing else.
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("library/src/lib.rs", "value * 2 }", "value + value }");
    }
    let third = twins.same_output(&["build"]);
    assert_eq!(third.stderr.matches("Compiling").count(), 2, "{third}");
}
