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
