//! `fix` and `clippy --fix` beside cargo: the same sources in the end, and what they may not touch.

use crate::stage::{Stage, assert_error};
use bulkhead_test_support::Outcome;
use std::process::Command;

const SLOPPY: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2018"
[dependencies]
near = { path = "near" }
//- /src/lib.rs
use std::collections::BTreeMap;
pub fn one() -> u32 { let mut x = 1; return x; }
pub fn two(f: Box<Fn()>) { f() }
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    #[test]
    fn it() { let mut y = 2; assert_eq!(y, 2); assert_eq!(three(), 3); }
    fn three() -> u32 { return 3; }
}
//- /src/main.rs
use std::fmt::Debug;
fn main() { app::one(); near::near(); }
//- /tests/more.rs
use std::io::Read;
#[test]
fn more() {}
//- /near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2018"
//- /near/src/lib.rs
use std::collections::BTreeMap;
pub fn near() {}
"#;

const SOURCES: [&str; 6] =
    ["Cargo.toml", "src/lib.rs", "src/main.rs", "tests/more.rs", "near/Cargo.toml", "near/src/lib.rs"];

struct Pair {
    ours: Stage,
    theirs: Stage,
}

impl Pair {
    fn new(fixture: &str) -> Pair {
        Pair { ours: Stage::new(fixture), theirs: Stage::new(fixture) }
    }

    fn git(&self, arguments: &[&str]) {
        for stage in [&self.ours, &self.theirs] {
            let name = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"];
            let status = Command::new("git").args(name).args(arguments).current_dir(stage.project.root()).output();
            assert!(status.unwrap().status.success(), "git {arguments:?}");
        }
    }

    fn write(&self, path: &str, text: &str) {
        self.ours.project.write(path, text);
        self.theirs.project.write(path, text);
    }

    fn sources(stage: &Stage) -> Vec<String> {
        let text = |path: &&str| std::fs::read_to_string(stage.project.path(path)).unwrap_or_default();
        SOURCES.iter().map(text).collect()
    }

    /// Both end with the same code and the same sources, and say the same of what they have fixed.
    #[track_caller]
    fn same(&self, arguments: &[&str]) -> Outcome {
        let (ours, theirs) = (self.ours.bulkhead(arguments), self.theirs.cargo(arguments));
        assert!(ours.ends_as(&theirs), "{arguments:?}\n{theirs}\n{ours}");
        assert_eq!(Self::sources(&self.ours), Self::sources(&self.theirs), "{arguments:?}\n{theirs}\n{ours}");
        let fixed = |text: &str| {
            let mut lines: Vec<_> = text.lines().filter(|line| line.contains("Fixed ")).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(fixed(&ours.stderr), fixed(&theirs.stderr), "{arguments:?}\n{theirs}\n{ours}");
        ours
    }
}

#[test]
fn sources_are_fixed_as_by_cargo() {
    let pair = Pair::new(SLOPPY);
    let before = Pair::sources(&pair.ours);
    pair.same(&["fix"]).assert_code(101);
    pair.same(&["fix", "--allow-no-vcs", "--lib"]).assert_code(0);
    assert_ne!(Pair::sources(&pair.ours), before);
    pair.same(&["fix", "--allow-no-vcs"]).assert_code(0);
    pair.same(&["fix", "--allow-no-vcs", "--all-targets"]).assert_code(0);
    assert_eq!(Pair::sources(&pair.ours)[5], before[5], "not selected, so that it stays as it is");
    pair.same(&["fix", "--allow-no-vcs", "--edition"]).assert_code(0);
    assert!(Pair::sources(&pair.ours)[1].contains("dyn Fn()"));
    pair.same(&["clippy", "--fix", "--allow-no-vcs"]).assert_code(0);
    assert!(!Pair::sources(&pair.ours)[1].contains("return x"));
}

#[test]
fn work_that_is_not_committed_is_not_written_over() {
    let pair = Pair::new(SLOPPY);
    pair.write(".gitignore", "target\n");
    pair.git(&["init", "-q"]);
    pair.git(&["add", "."]);
    pair.same(&["fix"]).assert_code(101);
    assert!(pair.same(&["fix", "--lib"]).stderr.contains("src/lib.rs (staged)"));
    pair.same(&["fix", "--allow-staged", "--bins"]).assert_code(0);
    pair.git(&["add", "."]);
    pair.git(&["commit", "-q", "-m", "x"]);
    pair.same(&["fix", "--lib"]).assert_code(0);
    pair.write("src/lib.rs", "use std::fmt::Debug;\npub fn one() {}\n");
    let dirty = pair.same(&["fix", "--tests"]);
    assert!(dirty.stderr.contains("src/lib.rs (dirty)"), "{dirty}");
    pair.same(&["fix", "--tests", "--allow-dirty"]).assert_code(0);
}

#[test]
fn code_that_is_broken_stays_as_it_is() {
    let pair = Pair::new(SLOPPY);
    pair.write("src/lib.rs", "use std::fmt::Debug;\npub fn one() -> u32 { \"\" }\n");
    let before = Pair::sources(&pair.ours);
    pair.same(&["fix", "--allow-no-vcs", "--lib"]).assert_code(101);
    assert_eq!(Pair::sources(&pair.ours), before);
}

/// A procedural macro that prints what rustc would print, with a suggestion for another file.
const FORGER: &str = r##"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
forger = { path = "forger" }
//- /src/lib.rs
forger::forge!();
//- /forger/Cargo.toml
[package]
name = "forger"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
//- /forger/src/lib.rs
#[proc_macro]
pub fn forge(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    for file in ["Cargo.toml", ".cargo/config.toml", "forger/src/lib.rs", "../outside.rs"] {
        let span = format!(
            "{{\"file_name\":\"{file}\",\"byte_start\":0,\"byte_end\":1,\"line_start\":1,\"line_end\":1,\
             \"column_start\":1,\"column_end\":2,\"is_primary\":true,\"text\":[{{\"text\":\"[package]\",\
             \"highlight_start\":1,\"highlight_end\":2}}],\"label\":null,\"suggested_replacement\":\"#planted\\n[\",\
             \"suggestion_applicability\":\"MachineApplicable\",\"expansion\":null}}"
        );
        eprintln!(
            "{{\"$message_type\":\"diagnostic\",\"message\":\"forged\",\"code\":{{\"code\":\"unused\",\
             \"explanation\":null}},\"level\":\"warning\",\"spans\":[{span}],\"children\":[{{\"message\":\"do\",\
             \"code\":null,\"level\":\"help\",\"spans\":[{span}],\"children\":[],\"rendered\":null}}],\
             \"rendered\":\"forged\"}}"
        );
    }
    proc_macro::TokenStream::new()
}
"##;

/// What a macro prints is taken for a message of rustc's by cargo, and its suggestion is carried out.
#[test]
fn a_macro_cannot_have_other_files_changed() {
    let pair = Pair::new(FORGER);
    pair.write(".cargo/config.toml", "[term]\n");
    let planted = |stage: &Stage| {
        let files = ["Cargo.toml", ".cargo/config.toml", "forger/src/lib.rs", "../outside.rs"];
        let planted = files.into_iter().filter(|file| {
            std::fs::read_to_string(stage.project.path(file)).is_ok_and(|text| text.starts_with("#planted"))
        });
        planted.collect::<Vec<_>>()
    };
    pair.theirs.cargo(&["fix", "--allow-no-vcs", "--lib"]);
    assert!(planted(&pair.theirs).contains(&"Cargo.toml"), "cargo does what the macro wants");
    pair.ours.bulkhead(&["fix", "--allow-no-vcs", "--lib"]).assert_code(0);
    assert_eq!(planted(&pair.ours), Vec::<&str>::new());
}

#[test]
fn a_repository_cannot_start_programs_by_its_settings() {
    let stage = Stage::new(SLOPPY);
    stage.project.write(".gitignore", "target\n");
    stage.project.write(".gitattributes", "*.rs filter=evil\n");
    let marker = stage.home.path().join("marker");
    let run = |arguments: &[&str]| {
        let name = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        Command::new("git").args(name).args(arguments).current_dir(stage.project.root()).output().unwrap()
    };
    run(&["init", "-q"]);
    run(&["add", "."]);
    run(&["commit", "-q", "-m", "x"]);
    let touch = format!("touch {}", marker.display());
    run(&["config", "filter.evil.clean", &touch]);
    run(&["config", "core.fsmonitor", &touch]);
    let lib = std::fs::read_to_string(stage.project.path("src/lib.rs")).unwrap();
    stage.project.write("src/lib.rs", format!("{lib} "));
    run(&["status"]);
    assert!(marker.exists(), "git itself starts it");
    std::fs::remove_file(&marker).unwrap();
    assert_error(&stage.bulkhead(&["fix", "--lib"]), 101, &["uncommitted changes"]);
    assert!(!marker.exists());
}
