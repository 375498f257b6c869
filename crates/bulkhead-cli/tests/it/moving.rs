//! A workspace that is moved or copied together with its target folder: what does not name its place is fresh, as with `cargo`,
//! and what does is built again, which it is not with `cargo`.

use std::path::{Path, PathBuf};

use bulkhead_test_support::Outcome;

use crate::stage::{BULKHEAD, Stage};

const WORKSPACE: &str = r#"
//- /one/Cargo.toml
[workspace]
resolver = "3"
members = ["app", "leaf", "asks", "silent", "told", "macros"]
//- /one/app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
leaf = { path = "../leaf" }
asks = { path = "../asks" }
silent = { path = "../silent" }
told = { path = "../told" }
macros = { path = "../macros" }
plain = "1"
//- /one/app/src/main.rs
fn main() { println!("{} {} {} {} {}", leaf::f(), asks::WHERE, told::WHERE, silent::X, macros::place!()) }
//- /one/leaf/Cargo.toml
[package]
name = "leaf"
version = "0.1.0"
edition = "2021"
[dependencies]
plain = "1"
//- /one/leaf/src/lib.rs
pub fn f() -> u8 { 1 }
//- /one/asks/Cargo.toml
[package]
name = "asks"
version = "0.1.0"
edition = "2021"
//- /one/asks/src/lib.rs
pub const WHERE: &str = env!("CARGO_MANIFEST_DIR");
//- /one/silent/Cargo.toml
[package]
name = "silent"
version = "0.1.0"
edition = "2021"
//- /one/silent/build.rs
fn main() { println!("cargo::rustc-env=SILENT=7"); }
//- /one/silent/src/lib.rs
pub const X: &str = env!("SILENT");
//- /one/told/Cargo.toml
[package]
name = "told"
version = "0.1.0"
edition = "2021"
//- /one/told/build.rs
fn main() { println!("cargo::rustc-env=WHERE={}", std::env::var("CARGO_MANIFEST_DIR").unwrap()); }
//- /one/told/src/lib.rs
pub const WHERE: &str = env!("WHERE");
//- /one/macros/Cargo.toml
[package]
name = "macros"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
//- /one/macros/src/lib.rs
#[proc_macro]
pub fn place(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    format!("{:?}", std::env::var("CARGO_MANIFEST_DIR").unwrap()).parse().unwrap()
}
"#;

fn run(stage: &Stage, program: &str, folder: &Path, arguments: &[&str]) -> Outcome {
    let outcome = stage.home.command(program).args(arguments).current_dir(folder).run();
    outcome.assert_success();
    outcome
}

/// The crates of a verbose build that were not fresh, with what is said of why.
fn dirty(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.stderr.lines().filter_map(|line| line.trim_start().strip_prefix("Dirty "));
    let short = |line: &str| {
        let (name, reason) = (line.split(' ').next().unwrap_or_default(), line.split_once("): ").map_or("", |it| it.1));
        format!("{name}: {reason}")
    };
    let mut dirty: Vec<_> = lines.map(short).collect();
    dirty.sort();
    dirty
}

fn said(folder: &Path) -> String {
    let output = std::process::Command::new(folder.join("target/debug/app")).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn expected(folder: &Path) -> String {
    let place = |name: &str| folder.join(name).display().to_string();
    format!("1 {} {} 7 {}\n", place("asks"), place("told"), place("app"))
}

const WHAT_NAMES_ITS_PLACE: [&str; 3] = [
    "app: the workspace was moved, and a macro may have noted where it was",
    "asks: the environment variable CARGO_MANIFEST_DIR changed",
    "told: the workspace was moved, and what the build script left names its folders",
];

#[test]
fn what_names_its_place_is_built_again_and_nothing_else() {
    let stage = Stage::new(WORKSPACE);
    let (one, two) = (stage.project.path("one"), stage.project.path("two"));
    for program in ["cargo", BULKHEAD] {
        run(&stage, program, &one, &["build"]);
        assert_eq!(said(&one), expected(&one));
        std::fs::rename(&one, &two).unwrap();
        let built = run(&stage, program, &two, &["build", "-v"]);
        if program == "cargo" {
            // It takes the names of folders that are no more for good.
            assert_eq!((dirty(&built), said(&two)), (Vec::new(), expected(&one)));
        } else {
            assert_eq!((dirty(&built), said(&two)), (WHAT_NAMES_ITS_PLACE.map(str::to_owned).to_vec(), expected(&two)));
            assert_eq!(dirty(&run(&stage, program, &two, &["build", "-v"])), [""; 0]);
            assert_eq!(dirty(&run(&stage, program, &two, &["check", "-v"])), [""; 0]);
        }
        std::fs::rename(&two, &one).unwrap();
        let built = run(&stage, program, &one, &["build", "-v"]);
        assert_eq!((dirty(&built).len(), said(&one)), (if program == "cargo" { 0 } else { 3 }, expected(&one)));
        run(&stage, "cargo", &one, &["clean"]);
    }
    run(&stage, BULKHEAD, &one, &["build"]);
    std::fs::rename(&one, &two).unwrap();
    run(&stage, BULKHEAD, &two, &["clean"]);
    assert!(!two.join("target").exists());
}

/// What the compiler remembers, which is found under its place only, does not pile up.
#[test]
fn what_the_compiler_remembers_of_another_place_is_removed() {
    let stage = Stage::new(WORKSPACE);
    let (one, two) = (stage.project.path("one"), stage.project.path("two"));
    let remembered = |folder: &Path| {
        let folders = std::fs::read_dir(folder.join("target/debug/incremental")).unwrap().flatten();
        let mut names: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    run(&stage, BULKHEAD, &one, &["build"]);
    let before = remembered(&one);
    let unit = |name: &String| name.rsplit_once('-').unwrap().0.to_owned();
    std::fs::rename(&one, &two).unwrap();
    std::fs::write(two.join("leaf/src/lib.rs"), "pub fn f() -> u8 { 1 + 1 }").unwrap();
    run(&stage, BULKHEAD, &two, &["build"]);
    let after = remembered(&two);
    assert_eq!(after.iter().map(unit).collect::<Vec<_>>(), before.iter().map(unit).collect::<Vec<_>>());
    let leaf = |names: &[String]| names.iter().find(|name| name.starts_with("leaf-")).unwrap().clone();
    assert_ne!(leaf(&after), leaf(&before));
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

/// Programs are linked again: of a copy nobody knows whether it is one, and their content is not remembered.
#[test]
fn of_a_copy_the_libraries_are_known_by_what_they_hold() {
    let stage = Stage::new(WORKSPACE);
    let (one, two) = (stage.project.path("one"), stage.project.path("two"));
    run(&stage, BULKHEAD, &one, &["build", "--workspace"]);
    copy(&one, &two);
    let built = run(&stage, BULKHEAD, &two, &["build", "--workspace", "-v"]);
    assert_eq!((dirty(&built), said(&two)), (WHAT_NAMES_ITS_PLACE.map(str::to_owned).to_vec(), expected(&two)));
    assert_eq!(dirty(&run(&stage, BULKHEAD, &two, &["build", "--workspace", "-v"])), [""; 0]);
    assert_eq!(said(&one), expected(&one));
}

fn file(folder: &Path, start: &str, end: &str) -> PathBuf {
    let names = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(start) && name.ends_with(end)
    };
    names.into_iter().find(fits).unwrap()
}

/// Writes the file anew, as long and as old as it was.
fn exchange(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let (time, mut bytes) = (path.metadata().unwrap().modified().unwrap(), std::fs::read(path).unwrap());
    change(&mut bytes);
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Attack 129: whoever hands a copy on can exchange what is in it, but not what is remembered of it.
#[test]
fn what_was_exchanged_in_a_copy_is_built_again() {
    let stage = Stage::new(WORKSPACE);
    let (one, two) = (stage.project.path("one"), stage.project.path("two"));
    run(&stage, BULKHEAD, &one, &["build"]);
    copy(&one, &two);
    let deps = two.join("target/debug/deps");
    exchange(&file(&deps, "libleaf-", ".rlib"), |bytes| *bytes.last_mut().unwrap() ^= 1);
    let silent = file(&two.join("target/debug/.fingerprint"), "silent-", "");
    let records = std::fs::read_dir(silent).unwrap().flatten().map(|entry| entry.path());
    let record = records.into_iter().find(|path| path.to_string_lossy().ends_with(".bulkhead.json")).unwrap();
    exchange(&record, |bytes| *bytes.iter_mut().rfind(|byte| **byte == b'1').unwrap() = b'2');
    let built = dirty(&run(&stage, BULKHEAD, &two, &["build", "-v"]));
    assert!(built.iter().any(|line| line.starts_with("leaf: the output `target/debug/deps/libleaf-")), "{built:?}");
    assert!(built.contains(&"silent: what is known of the last build was not written by this installation".to_owned()));
    assert_eq!(said(&two), expected(&two));
}

/// Two copies with one target folder: the sources of the second are older than what the first has left there.
#[test]
fn another_copy_with_other_sources_is_built() {
    let stage = Stage::new(WORKSPACE);
    let (one, two) = (stage.project.path("one"), stage.project.path("two"));
    stage.project.write("one/leaf/src/lib.rs", "pub fn f() -> u8 { 2 }");
    copy(&one, &two);
    stage.project.write("one/leaf/src/lib.rs", "pub fn f() -> u8 { 1 }");
    let target = stage.project.path("target");
    let build = |program: &str, folder: &Path| {
        let arguments = ["build", "-v", "--target-dir", target.to_str().unwrap()];
        run(&stage, program, folder, &arguments);
        let output = std::process::Command::new(target.join("debug/app")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(build("cargo", &one).starts_with("1 ") && build("cargo", &two).starts_with("1 "), "cargo looks at times");
    std::fs::remove_dir_all(&target).unwrap();
    assert!(build(BULKHEAD, &one).starts_with("1 ") && build(BULKHEAD, &two).starts_with("2 "));
    assert!(build(BULKHEAD, &one).starts_with("1 "));
}
