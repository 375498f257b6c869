//! The environment of everything that a build starts: the variables of the Cargo Book's page, each with Cargo's value.

use crate::editors_and_tools::without_hashes;
use crate::stage::{Stage, Twins};
use bulkhead_test_support::sysroot;
use std::collections::BTreeMap;

/// A package whose build script, compiler (by a procedural macro), program, test and benchmark tell their variables.
const TELLING: &str = r#"
//- /Cargo.toml
[workspace]
members = ["telling", "macros"]
resolver = "2"
[profile.dev]
opt-level = 1
//- /telling/Cargo.toml
[package]
name = "telling"
version = "1.2.3-pre.4"
edition = "2021"
authors = ["A <a@example.org>", "B"]
description = "Tells\nits variables"
homepage = "https://example.org/home"
repository = "https://example.org/source"
license = "MIT"
license-file = "LICENSE"
readme = "READ.md"
rust-version = "1.77.1"
links = "told"
default-run = "telling"
[features]
default = ["some-feature"]
some-feature = []
other = []
[dependencies]
macros = { path = "../macros" }
native-sys = "1"
[[bench]]
name = "speed"
harness = false
//- /telling/LICENSE
MIT
//- /telling/READ.md
Read.
//- /telling/build.rs
fn main() {
    tell("script");
    println!("cargo::rustc-env=FROM_SCRIPT=said");
}
fn tell(who: &str) {
    let path = format!("{}/{who}", std::env::var("OUT_DIR").unwrap());
    let lines: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value:?}")).collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}
//- /telling/src/lib.rs
pub const SCRIPT: &str = include_str!(concat!(env!("OUT_DIR"), "/script"));
pub const COMPILER: &str = macros::variables!();
pub fn running() -> String {
    let lines: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value:?}")).collect();
    lines.join("\n")
}
pub fn tell(what: &str, compiler: &str) {
    for (who, text) in [("script", SCRIPT), ("library", COMPILER), (what, compiler), ("running", &running())] {
        text.lines().for_each(|line| println!("{what} {who} {line}"));
    }
}
//- /telling/src/main.rs
fn main() { telling::tell("program", macros::variables!()) }
//- /telling/tests/whole.rs
#[test]
fn whole() { telling::tell("test", macros::variables!()) }
//- /telling/examples/show.rs
fn main() { telling::tell("example", macros::variables!()) }
//- /telling/benches/speed.rs
fn main() { telling::tell("bench", macros::variables!()) }
//- /macros/Cargo.toml
[package]
name = "macros"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
//- /macros/src/lib.rs
use proc_macro::{Literal, TokenStream, TokenTree};
#[proc_macro]
pub fn variables(_: TokenStream) -> TokenStream {
    let lines: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value:?}")).collect();
    TokenTree::from(Literal::string(&lines.join("\n"))).into()
}
"#;

/// Whether the Cargo Book speaks of the variable; others are the user's own, of which confined processes see a part.
fn is_of_the_book(name: &str) -> bool {
    let names = [
        "OUT_DIR",
        "TARGET",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "DEBUG",
        "PROFILE",
        "RUSTC",
        "RUSTDOC",
        "RUSTC_WRAPPER",
        "RUSTC_LINKER",
        "FROM_SCRIPT",
        "LD_LIBRARY_PATH",
    ];
    names.contains(&name) || name.starts_with("CARGO") || name.starts_with("DEP_")
}

/// What was told, by who told it and the name of the variable.
fn told(stage: &Stage, text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for line in stage.neutral(text).lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(what), Some(who), Some(rest)) = (words.next(), words.next(), words.next()) else { continue };
        let Some((name, value)) = rest.split_once('=').filter(|(name, _)| is_of_the_book(name)) else { continue };
        all.insert(format!("{what} {who} {name}"), value.to_owned());
    }
    all
}

/// The value without what differs by nature: hashes, descriptors, and the folder of the toolchain's own libraries, which rustup
/// adds for Cargo and Bulkhead adds itself.
fn comparable(value: &str) -> String {
    let libraries = format!(":{}/lib\"", sysroot().display());
    let words = value.replace(&libraries, "\"").replace(&libraries[1..], "\"");
    let words = words.split(' ').map(|word| match word.split_once('=') {
        Some((flag, _)) if flag.starts_with("--jobserver") => flag,
        _ => word,
    });
    without_hashes(&words.collect::<Vec<_>>().join(" "))
}

/// What is another value, or there or not there, by design.
fn is_different_by_design(key: &str) -> bool {
    let name = key.rsplit(' ').next().unwrap_or_default();
    let confined = !key.contains(" running ");
    // The path of the program itself; the user's folder, which confined processes do not see; Bulkhead's own.
    name == "CARGO"
        || (confined && matches!(name, "CARGO_HOME" | "CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE"))
        || matches!(name, "RUSTC" | "RUSTDOC")
}

#[track_caller]
fn compare(twins: &Twins, arguments: &[&str]) {
    let (theirs, ours) = twins.run(arguments);
    theirs.assert_success();
    let (left, right) = (told(&twins.cargo, &theirs.stdout), told(&twins.bulkhead, &ours.stdout));
    assert!(left.len() > 60, "{theirs}");
    let mut differences = Vec::new();
    for key in left.keys().chain(right.keys()).filter(|key| !is_different_by_design(key)) {
        let value = |side: &BTreeMap<String, String>| side.get(key).map(|value| comparable(value));
        if value(&left) != value(&right) {
            differences.push(format!("{key}\n  cargo: {:?}\n  bulkhead: {:?}", left.get(key), right.get(key)));
        }
    }
    differences.sort();
    differences.dedup();
    assert!(differences.is_empty(), "{arguments:?}\n{}", differences.join("\n"));
}

#[test]
fn every_process_gets_the_variables_of_the_book() {
    let twins = Twins::new(TELLING);
    compare(&twins, &["run", "-p", "telling"]);
    compare(&twins, &["run", "-p", "telling", "--release", "--example", "show", "-j", "2"]);
    compare(&twins, &["test", "-p", "telling", "--test", "whole", "--", "--nocapture"]);
    compare(&twins, &["bench", "-p", "telling", "--bench", "speed", "--features", "other"]);
    compare(&twins, &["run", "-p", "telling", "--target", "x86_64-unknown-linux-gnu"]);
}

/// A build script and a macro that ask `$CARGO` where the workspace is, as `proc-macro-crate` does for the macros of others.
const ASKING: &str = r#"
//- /Cargo.toml
[workspace]
members = ["app", "macros"]
resolver = "2"
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
macros = { path = "../macros" }
//- /app/build.rs
include!("../macros/src/ask.rs");
fn main() { println!("cargo::rustc-env=SCRIPT={}", workspace()) }
//- /app/src/main.rs
fn main() { println!("script {}\nmacro {}", env!("SCRIPT"), macros::root!()) }
//- /macros/Cargo.toml
[package]
name = "macros"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
//- /macros/src/ask.rs
fn workspace() -> String {
    let manifest = format!("--manifest-path={}/Cargo.toml", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let output = std::process::Command::new(std::env::var("CARGO").unwrap())
        .args(["locate-project", "--workspace", "--message-format=plain", &manifest])
        .output()
        .expect("the program that builds");
    let (said, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    format!("{}{}", said.trim(), complained.trim())
}
//- /macros/src/lib.rs
include!("ask.rs");
#[proc_macro]
pub fn root(_: proc_macro::TokenStream) -> proc_macro::TokenStream { format!("{:?}", workspace()).parse().unwrap() }
"#;

#[test]
fn build_scripts_and_macros_can_ask_the_program_that_builds() {
    let twins = Twins::new(ASKING);
    let (theirs, ours) = twins.run(&["run", "-q"]);
    let said = twins.bulkhead.neutral(&ours.assert_success().stdout);
    assert_eq!(said, twins.cargo.neutral(&theirs.assert_success().stdout), "{ours}");
    assert_eq!(said.matches("/Cargo.toml").count(), 2, "{said}");
}
