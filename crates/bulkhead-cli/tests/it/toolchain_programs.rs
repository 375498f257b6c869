//! `clippy` and `fmt`: programs of the toolchain, beside `cargo`, and what they may not touch.

use bulkhead_test_support::sysroot;

use crate::stage::{Stage, Twins};

const UNTIDY: &str = r#"
//- /Cargo.toml
[workspace]
members = ["app", "library"]
resolver = "2"
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
library = { path = "../library" }
//- /app/src/main.rs
fn main() {    if library::all().len() == 0 { println!("none") } }
//- /library/Cargo.toml
[package]
name = "library"
version = "0.1.0"
edition = "2018"
//- /library/src/lib.rs
mod inner;
pub fn all() -> Vec<u8> {   return inner::all(); }
//- /library/src/inner.rs
pub fn all() -> Vec<u8> {   vec![]  }
"#;

#[test]
fn clippy_finds_what_it_finds_under_cargo() {
    let twins = Twins::new(UNTIDY);
    let found = twins.same_output(&["clippy", "--workspace"]);
    assert!(found.stderr.contains("clippy::len_zero") && found.stderr.contains("cargo clippy --fix"), "{found}");
    // It is replayed, and arguments count.
    twins.same_output(&["clippy", "--workspace"]);
    let denied = twins.same_output(&["clippy", "-p", "app", "--", "-D", "clippy::len_zero"]);
    assert_eq!(denied.code(), Some(101));
    twins.same_output(&["clippy", "-p", "app", "--no-deps", "--", "-A", "clippy::all"]);
    // A check remains a check.
    assert!(!twins.same_output(&["check", "--workspace"]).stderr.contains("clippy"));
}

#[test]
fn formatting_does_what_cargo_fmt_does() {
    let twins = Twins::new(UNTIDY);
    let same_files = |arguments: &[&str]| {
        for file in ["app/src/main.rs", "library/src/lib.rs", "library/src/inner.rs"] {
            let text = |stage: &Stage| std::fs::read_to_string(stage.project.path(file)).unwrap();
            assert_eq!(text(&twins.bulkhead), text(&twins.cargo), "{file} after {arguments:?}");
        }
    };
    for arguments in [
        &["fmt", "--check"][..],
        &["fmt", "--check", "-p", "library"],
        &["fmt", "--message-format", "short", "--", "--check"],
        &["fmt", "-p", "absent"],
        &["fmt", "-p", "app"],
        &["fmt", "--manifest-path", "library/Cargo.toml", "--check"],
        &["fmt", "--all"],
        &["fmt", "--check"],
    ] {
        let (theirs, ours) = twins.run(arguments);
        if !arguments.contains(&"absent") {
            assert_eq!(twins.bulkhead.neutral(&ours.stdout), twins.cargo.neutral(&theirs.stdout), "{arguments:?}");
        }
        same_files(arguments);
    }
}

#[test]
fn formatting_ends_at_the_packages() {
    let fixture = "
//- /Cargo.toml
[package]
name = \"app\"
version = \"0.1.0\"
edition = \"2021\"
//- /src/main.rs
#[path = \"../../outside.rs\"]
mod outside;
fn main() {   outside::run() }
";
    let twins = Twins::new(fixture);
    let outside = |stage: &Stage| stage.project.root().parent().unwrap().join("outside.rs");
    let untidy = "pub fn run() {   }\n";
    twins.both(|stage| std::fs::write(outside(stage), untidy).unwrap());
    twins.cargo.cargo(&["fmt"]).assert_code(0);
    assert_ne!(std::fs::read_to_string(outside(&twins.cargo)).unwrap(), untidy, "the attack works under cargo");
    let ours = twins.bulkhead.bulkhead(&["fmt"]);
    assert_ne!(ours.code(), Some(0), "{ours}");
    assert_eq!(std::fs::read_to_string(outside(&twins.bulkhead)).unwrap(), untidy);
}

/// `rustup toolchain link` makes such a link.
#[test]
fn a_linked_toolchain_serves_build_scripts() {
    let script = r#"fn main() {
        let rustc = std::env::var("RUSTC").unwrap();
        assert!(std::process::Command::new(rustc).arg("-vV").status().unwrap().success());
    }"#;
    let manifest = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let stage = Stage::new(&format!("//- /Cargo.toml\n{manifest}//- /build.rs\n{script}\n//- /src/lib.rs\n"));
    let toolchains = tempfile::tempdir().unwrap();
    let link = toolchains.path().join("dev");
    std::os::unix::fs::symlink(sysroot(), &link).unwrap();
    let path = format!("{}/bin:/usr/bin:/bin", link.display());
    stage.command(&["check"]).env("PATH", path).run().assert_success();
}
