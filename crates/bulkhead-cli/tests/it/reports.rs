//! What builds tell besides their messages: `--timings`, `report future-incompatibilities`, versions of tools.

use crate::stage::{Stage, assert_error};

/// A dependency that triggers a lint about the future.
const FUTURE: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
dep = { path = "dep" }
//- /src/main.rs
fn main() { dep::i(); }
//- /dep/Cargo.toml
[package]
name = "dep"
version = "0.1.0"
edition = "2021"
//- /dep/src/lib.rs
#![allow(semicolon_in_expressions_from_macros)]
macro_rules! foo { () => { true; } }
pub fn i() -> bool { foo!() }
"#;

#[test]
fn the_page_of_timings_names_every_unit_and_runs_nothing() {
    let stage = Stage::new(FUTURE);
    let outcome = stage.bulkhead(&["build", "--timings"]);
    outcome.assert_code(0);
    assert!(outcome.stderr.contains("Timing report saved to"), "{outcome}");
    let folder = stage.project.path("target/cargo-timings");
    let page = std::fs::read_to_string(folder.join("cargo-timing.html")).unwrap();
    for expected in ["dep v0.1.0", "app v0.1.0", "bin &quot;app&quot;", "default-src 'none'", "<svg", "</html>"] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    // Again, although nothing has to be built.
    let again = stage.bulkhead(&["build", "--timings"]);
    assert!(again.stderr.contains("Timing report saved to"), "{again}");
    // A link that the project has put there leads nowhere.
    let outside = stage.home.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&outside, &folder).unwrap();
    assert_error(&stage.bulkhead(&["build", "--timings"]), 101, &["cargo-timings"]);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn what_a_future_rustc_refuses_is_told_as_by_cargo() {
    let (ours, theirs) = (Stage::new(FUTURE), Stage::new(FUTURE));
    let compare = |arguments: &[&str]| {
        let (ours_said, theirs_said) = (ours.bulkhead(arguments), theirs.cargo(arguments));
        assert!(ours_said.ends_as(&theirs_said), "{arguments:?}\n{theirs_said}\n{ours_said}");
        assert_eq!(ours.neutral(&ours_said.stdout), theirs.neutral(&theirs_said.stdout), "{arguments:?}");
        let about = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.contains("future") || line.contains("vailable"));
            lines.map(|line| line.trim().to_lowercase()).collect()
        };
        let (ours_told, theirs_told) = (ours.neutral(&ours_said.stderr), theirs.neutral(&theirs_said.stderr));
        assert_eq!(about(&ours_told), about(&theirs_told), "{arguments:?}");
        ours_said
    };
    compare(&["report", "future-incompatibilities"]).assert_code(101);
    let first = compare(&["build"]);
    assert!(first.stderr.contains("--id 1`"), "{first}");
    assert!(compare(&["report", "future-incompatibilities"]).stdout.contains("> warning: trailing semicolon"));
    compare(&["build"]);
    compare(&["check", "--future-incompat-report"]);
    compare(&["report", "future-incompat", "--id", "1"]);
    compare(&["report", "future-incompatibilities", "--id", "7"]);
    compare(&["report", "future-incompatibilities", "-p", "dep@0.1.0"]);
    compare(&["report", "future-incompatibilities", "-p", "app@0.1.0"]);
    compare(&["report"]);
    compare(&["build", "--config", "future-incompat-report.frequency=\"never\""]);
    for stage in [&ours, &theirs] {
        stage.project.write("dep/src/lib.rs", "pub fn i() -> bool { true }");
    }
    compare(&["build", "--future-incompat-report"]);
}

#[test]
fn tools_of_the_toolchain_tell_their_version() {
    let stage = Stage::new(FUTURE);
    for arguments in [&["clippy", "--version"][..], &["clippy", "-V"], &["fmt", "--version"]] {
        let (ours, theirs) = (stage.bulkhead(arguments), stage.cargo(arguments));
        assert_eq!((ours.code(), &ours.stdout), (theirs.code(), &theirs.stdout), "{arguments:?}\n{theirs}\n{ours}");
    }
}
