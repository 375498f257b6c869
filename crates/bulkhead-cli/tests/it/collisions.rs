//! Targets that would be written to one place, beside `cargo`.

use crate::stage::{Twins, assert_error};

/// Two packages whose libraries, programs and examples have the same names, and a third with a program like a library.
const NAMESAKES: &str = r#"
//- /Cargo.toml
[workspace]
members = ["two", "one", "three"]
resolver = "2"
//- /one/Cargo.toml
[package]
name = "one"
version = "0.1.0"
edition = "2021"
[lib]
name = "same"
crate-type = ["staticlib", "rlib"]
[[bin]]
name = "tool"
path = "src/main.rs"
//- /one/src/lib.rs
//- /one/src/main.rs
fn main() { println!("one"); }
//- /one/examples/show.rs
fn main() {}
//- /one/tests/it.rs
#[test] fn passes() {}
//- /two/Cargo.toml
[package]
name = "two"
version = "0.1.0"
edition = "2021"
[lib]
name = "same"
crate-type = ["cdylib", "rlib", "staticlib"]
[[bin]]
name = "tool"
path = "src/main.rs"
//- /two/src/lib.rs
//- /two/src/main.rs
fn main() { println!("two"); }
//- /two/examples/show.rs
fn main() {}
//- /two/tests/it.rs
#[test] fn passes() {}
//- /three/Cargo.toml
[package]
name = "three"
version = "0.1.0"
edition = "2021"
[[bin]]
name = "same"
path = "src/main.rs"
//- /three/src/main.rs
fn main() {}
"#;

#[test]
fn files_that_several_targets_write_are_named_as_cargo_names_them() {
    let twins = Twins::new(NAMESAKES);
    for arguments in [
        &["build", "--bins"][..],
        &["build", "--bins"],
        &["build", "--examples", "--lib"],
        &["test", "--no-run"],
        &["build", "--release", "--bins", "--message-format", "short"],
    ] {
        let said = twins.run(arguments);
        let [theirs, ours] = [&twins.cargo.neutral(&said.0.stderr), &twins.bulkhead.neutral(&said.1.stderr)]
            .map(|text| collisions(text));
        assert_eq!(ours, theirs, "{arguments:?}");
        assert!(ours.contains("output filename collision at [ROOT]/target/"), "{arguments:?}: {ours}");
    }
    for arguments in [&["check", "--all-targets"][..], &["build", "-p", "one"], &["build", "-q"]] {
        let (theirs, ours) = twins.run(arguments);
        assert!(!theirs.stderr.contains("collision") && !ours.stderr.contains("collision"), "{theirs}{ours}");
    }
}

#[test]
fn the_program_that_is_run_is_the_one_that_was_asked_for() {
    let twins = Twins::new(NAMESAKES);
    twins.run(&["build", "--bins"]);
    for (package, said) in [("one", "one\n"), ("two", "two\n"), ("one", "one\n")] {
        let (theirs, ours) = twins.run(&["run", "-q", "-p", package]);
        assert_eq!((theirs.stdout.as_str(), ours.stdout.as_str()), (said, said));
    }
}

/// The warnings in order, without the lines of the progress.
fn collisions(text: &str) -> String {
    let is_part = |line: &&str| ["warning:", "  |", "  ="].iter().any(|begin| line.starts_with(begin));
    text.lines().filter(is_part).map(|line| format!("{line}\n")).collect()
}

#[test]
fn documentation_of_several_things_of_one_name_is_refused() {
    let twins = Twins::new(NAMESAKES);
    for arguments in
        [&["doc"][..], &["doc", "--bins", "-p", "one", "-p", "two"], &["doc", "--lib", "-p", "one", "-p", "two"]]
    {
        let (theirs, ours) = twins.run(arguments);
        assert_error(&ours, 101, &["error: document output filename collision"]);
        let lines = |text: &str| text.lines().map(|line| line.trim_start().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&twins.bulkhead.neutral(&ours.stderr)), lines(&twins.cargo.neutral(&theirs.stderr)));
    }
}

#[test]
fn a_library_and_a_program_of_one_name_are_documented_with_a_warning() {
    let twins = Twins::new(NAMESAKES);
    let said = twins.same_output(&["doc", "-p", "one", "-p", "three"]);
    assert!(said.stderr.contains("this is a known bug") && said.stderr.contains("and 2 other files"), "{said}");
}

const TWO_VERSIONS: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
old = { package = "plain", version = "1" }
plain = "2"
//- /src/lib.rs
pub use plain::say;
"#;

#[test]
fn of_two_versions_the_newer_one_is_documented() {
    let twins = Twins::new(TWO_VERSIONS);
    let said = twins.same_output(&["doc"]);
    assert!(
        said.stderr.contains("Documenting plain v2.0.0") && !said.stderr.contains("Documenting plain v1"),
        "{said}"
    );
    assert!(said.stderr.contains("Checking plain v1.1.0"), "{said}");
}
