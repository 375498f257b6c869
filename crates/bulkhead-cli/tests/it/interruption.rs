//! Ctrl-C and sudden death in each phase, and two processes at once: nothing is left half-written, and all that is left
//! to do is to start again.

use crate::stage::Stage;
use bulkhead_test_support::{CrateBuilder, Fault, Misbehaviour, Outcome};
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

/// A project whose dependency has a build script that says when it runs, and then takes its time.
fn slow_stage(seconds: u32) -> Stage {
    let stage = Stage::new(
        r#"
//- /Cargo.toml
[package]
name = "one"
version = "0.1.0"
edition = "2021"
[dependencies]
slow = "1"
//- /src/main.rs
fn main() { println!("{}", slow::VALUE) }
"#,
    );
    let script = format!(
        r#"fn main() {{
    std::fs::write(std::env::var("OUT_DIR").unwrap() + "/started", "").unwrap();
    std::thread::sleep(std::time::Duration::from_secs({seconds}));
}}"#
    );
    let package = CrateBuilder::new("slow", "1.0.0").build_script(&script);
    stage.registry.publish(package.file("src/lib.rs", "pub const VALUE: u8 = 5;"));
    stage
}

/// Whether the build script has begun.
fn script_runs(stage: &Stage) -> bool {
    let Ok(folders) = std::fs::read_dir(stage.project.path("target/debug/build")) else { return false };
    folders.flatten().any(|folder| folder.path().join("out/started").exists())
}

fn asked_for(stage: &Stage, path: &str) -> bool {
    stage.registry.requests().iter().any(|request| request.path.starts_with(path))
}

/// Ended by the signal or with the code for it, soon, and without a word that it does not need.
#[track_caller]
fn assert_interrupted(outcome: &Outcome) {
    assert!(outcome.code() == Some(130) || outcome.status.signal() == Some(2), "{outcome}");
    assert!(!outcome.timed_out && !outcome.stderr.contains("panicked"), "{outcome}");
}

#[test]
fn ctrl_c_ends_every_phase_soon_and_the_next_run_succeeds() {
    for (phase, fault) in [("index", "/index/sl/ow/slow"), ("download", "/dl/slow")] {
        let stage = slow_stage(0);
        stage.registry.fault(Fault::on(fault, Misbehaviour::Delay(Duration::from_secs(30))));
        let mut running = stage.command(&["build"]).start();
        running.wait_until(phase, || asked_for(&stage, fault));
        let begin = std::time::Instant::now();
        running.interrupt();
        let outcome = running.wait();
        assert_interrupted(&outcome);
        assert!(begin.elapsed() < Duration::from_secs(1), "{phase}: {:?}", begin.elapsed());
        stage.registry.clear_faults();
        let next = stage.bulkhead(&["run", "-q"]);
        assert_eq!(next.assert_success().stdout, "5\n", "after {phase}");
    }
}

#[test]
fn ctrl_c_during_the_build_ends_what_was_started() {
    let stage = slow_stage(300);
    let mut running = stage.command(&["build"]).start();
    running.wait_until("the build script", || script_runs(&stage));
    let begin = std::time::Instant::now();
    running.interrupt();
    assert_interrupted(&running.wait());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_no_process_in(&stage);
    let package = CrateBuilder::new("slow", "1.0.1").build_script("fn main() {}");
    stage.registry.publish(package.file("src/lib.rs", "pub const VALUE: u8 = 6;"));
    stage.bulkhead(&["update"]).assert_success();
    assert_eq!(stage.bulkhead(&["run", "-q"]).assert_success().stdout, "6\n");
}

/// No process has its program below the project's folder.
#[track_caller]
fn assert_no_process_in(stage: &Stage) {
    let root = stage.project.root().to_string_lossy().into_owned();
    let alive = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.map(|line| String::from_utf8_lossy(&line).into_owned()).find(|line| line.starts_with(&root))
    };
    let mut left = alive();
    for _ in 0..100 {
        if left.is_none() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
        left = alive();
    }
    panic!("still running: {left:?}");
}

/// Attack 18.
#[test]
fn sudden_death_leaves_nothing_that_the_next_run_stumbles_over() {
    // In the middle of a download.
    let stage = slow_stage(0);
    stage.registry.fault(Fault::on("/dl/slow", Misbehaviour::Trickle(Duration::from_secs(5))));
    let mut running = stage.command(&["build"]).start();
    running.wait_until("a download", || asked_for(&stage, "/dl/slow"));
    running.kill();
    assert_eq!(running.wait().status.signal(), Some(9));
    stage.registry.clear_faults();
    assert_eq!(stage.bulkhead(&["run", "-q"]).assert_success().stdout, "5\n");

    // In the middle of a build: its processes die with it.
    let stage = slow_stage(2);
    let mut running = stage.command(&["build"]).start();
    running.wait_until("the build script", || script_runs(&stage));
    running.kill();
    assert_eq!(running.wait().status.signal(), Some(9));
    assert_no_process_in(&stage);
    let next = stage.bulkhead(&["run", "-q"]);
    assert_eq!(next.assert_success().stdout, "5\n");
}

#[test]
fn two_builds_of_one_workspace_take_turns() {
    let stage = slow_stage(2);
    let mut first = stage.command(&["build"]).start();
    first.wait_until("the build script", || script_runs(&stage));
    let second = stage.command(&["build"]).start();
    let (first, second) = (first.wait(), second.wait());
    first.assert_success();
    second.assert_success();
    assert!(second.stderr.contains("Blocking waiting for file lock on build directory"), "{second}");
    assert!(!second.stderr.contains("Compiling"), "the first did the work: {second}");
}

/// A workspace whose build stands still as long as there is no file `go`: in the build script of `scripted` for the profile
/// `dev`, and where `leaf` is compiled to code, and not only checked. `started` says that it does.
const GATED: &str = r#"
//- /Cargo.toml
[workspace]
resolver = "3"
members = ["app", "leaf", "gate", "scripted"]
//- /gate/Cargo.toml
[package]
name = "gate"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
//- /gate/src/lib.rs
#[proc_macro]
pub fn wait(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument.starts_with("--emit=") && argument.contains("link")) {
        let place = arguments.iter().position(|argument| argument == "--out-dir").unwrap() + 1;
        std::fs::write(format!("{}/started", arguments[place]), "").unwrap();
        let go = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/go";
        while !std::path::Path::new(&go).exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    Default::default()
}
//- /leaf/Cargo.toml
[package]
name = "leaf"
version = "0.1.0"
edition = "2021"
[dependencies]
gate = { path = "../gate" }
//- /leaf/src/lib.rs
gate::wait!();
pub fn f() -> u8 { 7 }
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
leaf = { path = "../leaf" }
//- /app/src/main.rs
fn main() { println!("{}", leaf::f()) }
//- /scripted/Cargo.toml
[package]
name = "scripted"
version = "0.1.0"
edition = "2021"
//- /scripted/src/lib.rs
//- /scripted/build.rs
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").unwrap() == "debug" {
        std::fs::write(std::env::var("OUT_DIR").unwrap() + "/started", "").unwrap();
        while !std::path::Path::new("go").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}
"#;

/// Whether there is a file of this name below `place`.
fn is_in(place: &std::path::Path, name: &str) -> bool {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.ends_with(name) || path.is_dir() && is_in(&path, name))
}

/// One build stands still, and others of the same target folder come to their end; then it goes on.
#[track_caller]
fn others_finish(held: &[&str], place: &str, package: &str, others: &[&[&str]]) {
    let stage = Stage::new(GATED);
    let mut first = stage.command(held).start();
    let place = stage.project.path(place);
    first.wait_until("the build to stand still", || is_in(&place, "started"));
    for other in others {
        for _ in 0..2 {
            let outcome = stage.bulkhead(other);
            outcome.assert_success();
            assert!(!outcome.stderr.contains("Blocking"), "{other:?}: {outcome}");
        }
    }
    stage.project.write(&format!("{package}/go"), "");
    let first = first.wait();
    first.assert_success();
    assert!(!first.stderr.contains("Blocking"), "{first}");
    for command in others.iter().copied().chain([held]) {
        let again = stage.bulkhead(command);
        again.assert_success();
        assert!(!again.stderr.contains("Compiling") && !again.stderr.contains("Checking"), "{command:?}: {again}");
    }
    assert!(!stage.project.path("target/debug/.bulkhead").exists());
}

#[test]
fn builds_of_other_profiles_do_not_wait() {
    others_finish(
        &["build", "-p", "scripted"],
        "target/debug/build",
        "scripted",
        &[&["build", "-p", "scripted", "-r"]],
    );
}

#[test]
fn builds_of_other_units_of_a_profile_do_not_wait() {
    let others: [&[&str]; 3] = [&["check", "-p", "app"], &["check", "-p", "leaf", "--tests"], &["build", "-p", "gate"]];
    others_finish(&["build", "-p", "app"], "target/debug", "leaf", &others);
    others_finish(&["build", "-p", "scripted"], "target/debug/build", "scripted", &[&["check", "-p", "app"]]);
}

#[test]
fn builds_that_share_a_unit_wait_for_it_alone() {
    let stage = Stage::new(GATED);
    let mut first = stage.command(&["build", "-p", "app"]).start();
    first.wait_until("the first", || is_in(&stage.project.path("target/debug"), "started"));
    // Cargo stays out altogether.
    for program in [crate::stage::BULKHEAD, "cargo"] {
        let mut second =
            stage.home.command(program).args(["build", "-p", "leaf"]).current_dir(stage.project.root()).start();
        second.wait_until_said("Blocking waiting for file lock on");
        second.kill();
        second.wait();
    }
    stage.project.write("leaf/go", "");
    first.wait().assert_success();
    assert!(!stage.bulkhead(&["build", "-p", "leaf"]).assert_success().stderr.contains("Compiling"));
}

#[test]
fn two_workspaces_share_the_store_at_once() {
    let stage = slow_stage(0);
    let other = bulkhead_test_support::project(
        r#"
//- /Cargo.toml
[package]
name = "two"
version = "0.1.0"
edition = "2021"
[dependencies]
slow = "1"
plain = "1"
uses-native = "0.1"
//- /src/lib.rs
"#,
    );
    for round in 0..3 {
        let _ = std::fs::remove_dir_all(stage.home.bulkhead_home());
        let first = stage.command(&["fetch"]).start();
        let second = stage.command(&["fetch"]).current_dir(other.root()).start();
        let (first, second) = (first.wait(), second.wait());
        assert_eq!((first.code(), second.code()), (Some(0), Some(0)), "round {round}: {first}\n{second}");
    }
    stage.bulkhead(&["verify"]).assert_success();
}
