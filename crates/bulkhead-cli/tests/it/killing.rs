//! SIGKILL at any moment of a build: the next build makes what an undisturbed one would have made, the cache of compiled units
//! is whole, and nothing that was begun is left anywhere.
//!
//! A few moments are tried in each run of the tests; `BULKHEAD_KILLS=200` tries as many, `BULKHEAD_SEED` others.

use crate::stage::Stage;
use bulkhead_test_support::CrateBuilder;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const WORKSPACE: &str = r#"
//- /Cargo.toml
[workspace]
resolver = "3"
members = ["app", "leaf", "scripted"]
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
leaf = { path = "../leaf" }
scripted = { path = "../scripted" }
top = "1"
//- /app/src/main.rs
fn main() { println!("{} {} {}", leaf::VALUE, scripted::VALUE, top::say()) }
//- /leaf/Cargo.toml
[package]
name = "leaf"
version = "0.1.0"
edition = "2021"
//- /leaf/src/lib.rs
pub const VALUE: u32 = 0;
//- /scripted/Cargo.toml
[package]
name = "scripted"
version = "0.1.0"
edition = "2021"
//- /scripted/src/lib.rs
include!(concat!(env!("OUT_DIR"), "/value.rs"));
//- /scripted/value.txt
0
//- /scripted/build.rs
fn main() {
    println!("cargo::rerun-if-changed=value.txt");
    let value = std::fs::read_to_string("value.txt").unwrap();
    let text = format!("pub const VALUE: u32 = {};\n", value.trim());
    std::fs::write(std::env::var("OUT_DIR").unwrap() + "/value.rs", text).unwrap();
}
"#;

pub(crate) fn stage() -> Stage {
    let stage = Stage::new(WORKSPACE);
    let generate = r#"fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    std::fs::write(std::env::var("OUT_DIR").unwrap() + "/gen.rs", "pub const N: u8 = 7;").unwrap();
}"#;
    let include = "include!(concat!(env!(\"OUT_DIR\"), \"/gen.rs\"));";
    stage.registry.publish(CrateBuilder::new("made", "1.0.0").build_script(generate).file("src/lib.rs", include));
    let shout = "#[proc_macro]\npub fn shout(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"\\\"SHOUT\\\"\".parse().unwrap() }";
    stage.registry.publish(CrateBuilder::new("shout", "1.0.0").proc_macro().file("src/lib.rs", shout));
    let say = "pub fn say() -> String { format!(\"{}{}\", shout::shout!(), made::N) }";
    let top = CrateBuilder::new("top", "1.0.0").dependency("made", "1").dependency("shout", "1");
    stage.registry.publish(top.file("src/lib.rs", say));
    stage
}

/// Numbers that look random, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

/// What there is before a build.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// No target folder and no compiled unit of others.
    Nothing,
    /// No target folder.
    Units,
    /// All of an earlier build, in which something has changed since.
    Build,
}

const BEFORES: [Before; 3] = [Before::Nothing, Before::Units, Before::Build];

fn prepare(stage: &Stage, before: Before, value: u64) {
    let remove = |path: &Path| match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", path.display()),
        _ => (),
    };
    match before {
        Before::Nothing => {
            remove(&stage.project.path("target"));
            remove(&stage.home.bulkhead_home().join("cache"));
        }
        Before::Units => remove(&stage.project.path("target")),
        Before::Build => drop(stage.bulkhead(&["build"]).assert_success()),
    }
    stage.project.write("leaf/src/lib.rs", format!("pub const VALUE: u32 = {value};\n"));
    stage.project.write("scripted/value.txt", format!("{value}\n"));
}

/// What a build leaves for users.
pub(crate) fn left(stage: &Stage, value: u64) -> Vec<u8> {
    let outcome = stage.bulkhead(&["run", "-q"]);
    assert_eq!(outcome.assert_success().stdout, format!("{value} {value} SHOUT7\n"));
    std::fs::read(stage.project.path("target/debug/app")).unwrap()
}

/// All below `folder` that is written under a name of its own before it is complete.
pub(crate) fn unfinished(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let is_dir = entry.file_type().unwrap().is_dir();
        let temporary = name.starts_with(".tmp") || name.starts_with(".bulkhead-tmp-") || name == ".bulkhead" && is_dir;
        if temporary || name == "tmp" && std::fs::read_dir(&path).unwrap().next().is_some() {
            into.push(path);
        } else if is_dir {
            unfinished(&path, into);
        }
    }
}

/// The processes that name the project, or are what it built.
fn alive(stage: &Stage) -> Option<String> {
    let root = stage.project.root().to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).find(|line| line.contains(&root))
}

#[track_caller]
fn assert_nobody_alive(stage: &Stage) {
    let begin = Instant::now();
    while let Some(line) = alive(stage) {
        assert!(begin.elapsed() < Duration::from_secs(10), "still running: {line}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn a_build_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let (kills, seed) = (number("BULKHEAD_KILLS", 8), number("BULKHEAD_SEED", 1));
    let mut numbers = Numbers(seed);
    let stage = stage();
    stage.bulkhead(&["fetch"]).assert_success();
    // How long an undisturbed build takes from each beginning.
    let took = BEFORES.map(|before| {
        prepare(&stage, before, 1);
        let begin = Instant::now();
        stage.bulkhead(&["build"]).assert_success();
        begin.elapsed()
    });
    let mut died = 0;
    for round in 0..kills {
        let value = round + 2;
        let chosen = numbers.below(3) as usize;
        let before = BEFORES[chosen];
        prepare(&stage, before, value);
        let moment = Duration::from_micros(numbers.below(took[chosen].as_micros() as u64));
        let running = stage.command(&["build"]).start();
        std::thread::sleep(moment);
        running.kill();
        let killed = running.wait();
        died += u64::from(killed.status.signal() == Some(9));
        assert_nobody_alive(&stage);
        let disturbed = left(&stage, value);
        let mut found = Vec::new();
        unfinished(&stage.project.path("target"), &mut found);
        unfinished(&stage.home.bulkhead_home(), &mut found);
        assert!(found.is_empty(), "round {round}, {before:?} {moment:?}: {found:?}");
        let again = stage.bulkhead(&["build"]);
        assert!(!again.assert_success().stderr.contains("Compiling"), "round {round}, {before:?} {moment:?}: {again}");
        if round % 10 == 0 {
            std::fs::remove_dir_all(stage.project.path("target")).unwrap();
            assert!(left(&stage, value) == disturbed, "round {round}, {before:?} {moment:?}: another program");
        }
    }
    stage.bulkhead(&["cache", "verify"]).assert_success();
    stage.bulkhead(&["verify"]).assert_success();
    assert!(died > kills / 4, "{died} of {kills} were killed in time");
}
