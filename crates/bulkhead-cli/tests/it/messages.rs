//! JSON messages and short ones, field by field beside cargo's, and what processes of the build read in their environment.

use crate::stage::{Stage, Twins};
use serde_json::Value;

/// Every kind of target, each with a warning, and a build script that says all that messages carry.
const TARGETS: &str = r#"
//- /Cargo.toml
[package]
name = "many"
version = "1.2.3-pre.4"
edition = "2021"
rust-version = "1.80"
authors = ["A <a@example.org>", "B"]
description = "what it is"
homepage = "https://example.org/home"
repository = "https://example.org/repository"
license-file = "LICENSE"
readme = "README.md"
links = "native"
default-run = "many"
[lib]
crate-type = ["lib", "cdylib", "staticlib"]
[[bench]]
name = "bare"
harness = false
[[bin]]
name = "needs"
path = "src/needs.rs"
required-features = ["extra"]
[[test]]
name = "off"
path = "tests/off.rs"
test = false
[features]
default = ["base"]
base = []
extra = []
[dependencies]
macros = { path = "macros" }
[profile.dev]
split-debuginfo = "packed"
//- /LICENSE
free
//- /README.md
read
//- /build.rs
fn main() {
    println!("cargo::rustc-cfg=said");
    println!("cargo::rustc-check-cfg=cfg(said)");
    println!("cargo::rustc-env=SAID=yes");
    println!("cargo::rustc-link-search=native={}", std::env::var("OUT_DIR").unwrap());
    println!("cargo::metadata=key=value");
    println!("cargo::warning=from the script");
    println!("cargo::rerun-if-changed=build.rs");
    let mut names: Vec<_> = std::env::vars().filter(|(name, _)| {
        name.starts_with("CARGO") || name.starts_with("DEP_") || ["HOST", "TARGET", "PROFILE", "OPT_LEVEL", "DEBUG",
            "NUM_JOBS", "OUT_DIR", "RUSTC", "RUSTDOC", "RUSTC_LINKER"].contains(&name.as_str())
    }).collect();
    names.sort();
    for (name, value) in names { println!("VARIABLE {name}={value}"); }
}
//- /src/lib.rs
pub fn one() { let unused = 1; }
//- /src/main.rs
macros::nothing!();
fn main() {
    let mut names: Vec<_> = std::env::vars().filter(|(name, _)| name.starts_with("CARGO")).collect();
    names.sort();
    for (name, value) in names { println!("{name}={value}"); }
    println!("{:?}", [option_env!("CARGO_PRIMARY_PACKAGE"), option_env!("CARGO_BIN_NAME"),
        option_env!("CARGO_CRATE_NAME"), option_env!("CARGO_PKG_RUST_VERSION"), option_env!("CARGO_PKG_VERSION_PRE"),
        option_env!("CARGO_PKG_AUTHORS"), option_env!("CARGO_PKG_README"), option_env!("CARGO_PKG_LICENSE_FILE"),
        option_env!("CARGO_PKG_HOMEPAGE"), option_env!("CARGO_PKG_REPOSITORY"), option_env!("CARGO_PKG_DESCRIPTION"),
        option_env!("CARGO_MANIFEST_LINKS"), option_env!("CARGO_TARGET_TMPDIR"), option_env!("SAID")]);
    println!("{}", env!("CARGO_MANIFEST_DIR"));
    println!("{}", env!("CARGO_MANIFEST_PATH"));
}
//- /src/needs.rs
fn main() { let unused = 2; }
//- /examples/shown.rs
fn main() { let unused = 3; }
//- /tests/whole.rs
#[test]
fn whole() {
    let unused = 4;
    let tmp = env!("CARGO_TARGET_TMPDIR");
    assert!(std::path::Path::new(tmp).is_dir());
    assert!(std::path::Path::new(env!("CARGO_BIN_EXE_many")).is_file());
    assert!(option_env!("CARGO_BIN_EXE_needs").is_none());
    println!("{tmp} {}", env!("CARGO_BIN_EXE_many"));
}
//- /tests/off.rs
compile_error!("not a test of `cargo test`");
//- /benches/bare.rs
fn main() { println!("bare {:?}", std::env::args().skip(1).collect::<Vec<_>>()) }
//- /macros/Cargo.toml
[package]
name = "macros"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
//- /macros/src/lib.rs
#[proc_macro]
pub fn nothing(_: proc_macro::TokenStream) -> proc_macro::TokenStream { let unused = 5; Default::default() }
"#;

/// Hashes of file names differ.
fn without_hashes(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            run.push(c);
            continue;
        }
        out.push_str(if run.len() == 16 { "HASH" } else { &run });
        run.clear();
        out.push(c);
    }
    out.pop();
    out
}

/// Keys of objects have no order; cargo's own comes from a table.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Each line of JSON in a form that is equal for both, in order of its text.
fn neutral(stage: &Stage, text: &str) -> Vec<String> {
    let line = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(mut value) => {
            // Files come in the order in which rustc names them.
            if let Some(files) = value.get_mut("filenames").and_then(Value::as_array_mut) {
                files.sort_by_key(Value::to_string);
            }
            without_hashes(&stage.neutral(&sorted(&value).to_string()))
        }
        Err(_) => without_hashes(&stage.neutral(line)),
    };
    let mut lines: Vec<_> = text.lines().map(line).collect();
    lines.sort();
    lines
}

/// Every field of every message of both.
#[test]
fn every_message_is_cargos_field_by_field() {
    let twins = Twins::new(TARGETS);
    let formats = ["json", "json-render-diagnostics", "json,json-diagnostic-short", "json-diagnostic-rendered-ansi"];
    let commands: [&[&str]; 5] = [
        &["build"],
        &["check", "--all-targets", "--keep-going"],
        &["test", "--no-run"],
        &["build", "--release", "--bins", "--features", "extra"],
        &["doc", "--no-deps"],
    ];
    for command in commands {
        for format in formats {
            let arguments = [command, &["--message-format", format]].concat();
            let (theirs, ours) = twins.run(&arguments);
            assert_eq!(ours.code(), Some(0), "{arguments:?}: {theirs}\n{ours}");
            let (left, right) = (neutral(&twins.bulkhead, &ours.stdout), neutral(&twins.cargo, &theirs.stdout));
            let differ: Vec<_> = left.iter().zip(&right).filter(|(left, right)| left != right).take(2).collect();
            assert!(left.len() == right.len() && differ.is_empty(), "{arguments:?}: {differ:#?}\n{ours}");
        }
    }
    twins.same_output(&["check", "--message-format", "short"]);
}

/// What the Cargo Book lists under "Environment variables Cargo sets", for programs, tests and build scripts.
#[test]
fn every_variable_is_set_as_cargo_sets_it() {
    let twins = Twins::new(TARGETS);
    let (theirs, ours) = twins.run(&["run", "-q"]);
    assert_eq!(ours.code(), Some(0), "{theirs}\n{ours}");
    let told = |stage: &Stage, text: &str| -> Vec<String> {
        let text = stage.neutral(text);
        let lines = text
            .lines()
            .filter(|line| !["CARGO=", "CARGO_HOME=", "CARGO_REGISTRY_"].iter().any(|name| line.starts_with(name)));
        lines.map(without_hashes).collect()
    };
    assert_eq!(told(&twins.bulkhead, &ours.stdout), told(&twins.cargo, &theirs.stdout));
    let said = |stage: &Stage| {
        let folders = std::fs::read_dir(stage.project.path("target/debug/build")).unwrap().flatten();
        let texts = folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("output")).ok());
        let texts: Vec<_> = texts.filter(|text| text.contains("VARIABLE")).collect();
        let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| {
            let chosen =
                ["CARGO=", "CARGO_HOME=", "RUSTC=", "RUSTDOC=", "NUM_JOBS=", "CARGO_MAKEFLAGS=", "CARGO_REGISTRY_"];
            line.starts_with("VARIABLE ") && !chosen.iter().any(|name| line[9..].starts_with(name))
        });
        lines.map(|line| without_hashes(&stage.neutral(line))).collect::<Vec<_>>()
    };
    assert_eq!(said(&twins.bulkhead), said(&twins.cargo));
    let (theirs, ours) = twins.run(&["test", "-q", "--test", "whole", "--", "--nocapture"]);
    let tested = |stage: &Stage, text: &str| {
        let text = stage.neutral(text);
        text.lines().filter(|line| line.contains("target")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tested(&twins.bulkhead, &ours.stdout), tested(&twins.cargo, &theirs.stdout));
    let (theirs, ours) = twins.run(&["bench", "--bench", "bare", "--", "x"]);
    assert_eq!(ours.stdout, theirs.stdout);
}
