//! Doctests, beside `cargo`, and what they may not do.

use crate::stage::{Stage, Twins};
use bulkhead_test_support::Snapshot;

const LIBRARIES: &str = r#"
//- /Cargo.toml
[workspace]
members = ["first", "second", "macros"]
resolver = "2"
//- /first/Cargo.toml
[package]
name = "first-lib"
version = "0.1.0"
edition = "2021"
[features]
default = ["loud"]
loud = []
[dependencies]
second = { path = "../second" }
macros = { path = "../macros" }
//- /first/build.rs
fn main() {
    println!("cargo::rustc-cfg=scripted");
    println!("cargo::rustc-check-cfg=cfg(scripted)");
    println!("cargo::rustc-env=FROM_SCRIPT=7");
}
//- /first/src/lib.rs
//! ```
//! assert_eq!(first_lib::answer(), 2);
//! assert_eq!(env!("FROM_SCRIPT"), "7");
//! assert!(cfg!(scripted) && cfg!(feature = "loud"));
//! assert!(std::env::current_dir().unwrap().ends_with("first"));
//! ```
/// ```
/// assert_eq!(macros::one!(), second::one());
/// ```
pub fn answer() -> i32 { second::one() + 1 }
//- /second/Cargo.toml
[package]
name = "second"
version = "0.1.0"
edition = "2021"
[lib]
doctest = false
//- /second/src/lib.rs
/// ```
/// assert_eq!(second::one(), 2, "wrong on purpose");
/// ```
pub fn one() -> i32 { 1 }
//- /macros/Cargo.toml
[package]
name = "macros"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
//- /macros/src/lib.rs
use proc_macro::TokenStream;
/// ```
/// assert_eq!(macros::one!(), 1);
/// ```
#[proc_macro]
pub fn one(_: TokenStream) -> TokenStream { "1".parse().unwrap() }
"#;

/// What the tests said, without times and the number of a thread.
fn said(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| match (line.split_once("; finished in"), line.split_once("thread 'main' (")) {
        (Some((head, _)), _) => head.to_owned(),
        (_, Some(_)) => "thread 'main'".to_owned(),
        _ => line.to_owned(),
    });
    // They run side by side.
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

#[test]
fn doctests_run_as_under_cargo() {
    let twins = Twins::new(LIBRARIES);
    for arguments in [
        &["test", "--workspace", "--doc", "--exclude", "second"][..],
        &["test", "--doc", "-p", "first-lib", "--release", "-q"],
        &["test", "--doc", "-p", "first-lib", "answer"],
        &["test", "--doc", "-p", "macros", "--", "--list"],
        // `doctest = false` counts unless doctests are asked for.
        &["test", "-p", "second"],
        &["test", "-p", "second", "--no-run"],
        &["test", "--doc", "-p", "second"],
        &["test", "--doc", "--workspace", "--no-fail-fast"],
        &["test", "--doc", "--no-run"],
    ] {
        let (theirs, ours) = twins.run(arguments);
        let (left, right) = (said(&twins.bulkhead.neutral(&ours.stdout)), said(&twins.cargo.neutral(&theirs.stdout)));
        assert_eq!(left, right, "{arguments:?}\n{ours}");
        let interesting = |text: &str| {
            let lines = text.lines().filter(|line| line.contains("Doc-tests") || line.contains("doc"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(interesting(&ours.stderr), interesting(&theirs.stderr), "{arguments:?}");
    }
}

#[test]
fn rustdoc_is_started_as_cargo_starts_it() {
    let twins = Twins::new(LIBRARIES);
    let command = |stage: &Stage, text: &str| {
        let line = text.lines().find(|line| line.contains("rustdoc")).unwrap_or_default();
        let words = stage.neutral(line);
        let words = words.split_once("rustdoc").map(|(_, arguments)| arguments).unwrap_or_default();
        let words = words.split_whitespace().map(|word| match word.rsplit_once('-') {
            // The hashes of file names are each program's own.
            Some((head, tail)) if tail.len() > 16 => format!("{head}-[HASH]{}", &tail[16..]),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let host = ["test", "--doc", "-v", "-p", "first-lib", "--", "one", "--nocapture"];
    let lto = ["test", "--doc", "-v", "-p", "first-lib", "--config", "profile.test.lto=true"];
    for arguments in [&host[..], &lto] {
        let (theirs, ours) = twins.run(arguments);
        let left = command(&twins.bulkhead, &ours.stderr);
        assert_eq!(left, command(&twins.cargo, &theirs.stderr), "{arguments:?}");
        assert!(left.contains("--test-run-directory"), "{ours}");
    }
}

#[test]
fn a_doctest_sees_no_more_than_a_compiler() {
    let library = |home: &str| {
        format!(
            "
//- /Cargo.toml
[package]
name = \"app\"
version = \"0.1.0\"
edition = \"2021\"
//- /src/lib.rs
//! ```
//! let read = std::fs::read_to_string(\"{home}/secret\").ok();
//! let token = std::env::var(\"MY_TOKEN\").ok();
//! let wrote = std::fs::write(\"{home}/planted\", \"x\").is_ok();
//! panic!(\"read {{read:?}} token {{token:?}} wrote {{wrote}}\");
//! ```
"
        )
    };
    let outside = std::env::current_dir().unwrap().join(format!("target-doctest-{}", std::process::id()));
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("secret"), "s3cr3t").unwrap();
    let stage = Stage::new(&library(&outside.to_string_lossy()));
    let before = Snapshot::of(&outside);
    let arguments = ["test", "--doc"];
    let ours = stage.command(&arguments).env("MY_TOKEN", "t0ken").run();
    let after = Snapshot::of(&outside);
    let theirs =
        stage.home.command("cargo").args(arguments).env("MY_TOKEN", "t0ken").current_dir(stage.project.root()).run();
    std::fs::remove_dir_all(&outside).unwrap();
    ours.assert_code(101);
    assert_eq!(before, after);
    assert!(ours.stdout.contains("read None token None wrote false"), "{ours}");
    assert!(ours.stderr.contains("of `app v0.1.0") && ours.stderr.contains("was denied"), "{ours}");
    let bites = "read Some(\"s3cr3t\") token Some(\"t0ken\") wrote true";
    assert!(theirs.stdout.contains(bites), "the attack works under cargo: {theirs}");
}
