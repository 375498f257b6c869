//! `Cargo.lock`: who may change it, what is written, and what is said about it.

use crate::stage::{Stage, Twins, WORKSPACE, assert_error};

const ONE: &str = r#"
//- /Cargo.toml
[package]
name = "one"
version = "0.1.0"
edition = "2021"
[dependencies]
plain = "1"
//- /src/lib.rs
pub fn say() -> String { plain::say() }
"#;

#[test]
fn a_stale_lockfile_is_refused_with_locked_and_what_would_change_is_shown() {
    let twins = Twins::new(ONE);
    twins.same_output(&["generate-lockfile"]);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("Cargo.toml", "plain = \"1\"", "plain = \"2\"\ntest-tool = \"0.5\"");
    }
    let before = twins.bulkhead.project.read("Cargo.lock");
    let (theirs, ours) = twins.run(&["build", "--locked"]);
    assert_eq!(ours.code(), Some(101));
    let error = |text: &str| text.lines().find(|line| line.starts_with("error:")).unwrap_or_default().to_owned();
    assert_eq!(twins.bulkhead.neutral(&error(&ours.stderr)), twins.cargo.neutral(&error(&theirs.stderr)));
    for line in ["Updating plain v1.1.0 -> v2.0.0\n", "Adding test-tool v0.5.0\n", "Other dependencies of "] {
        assert!(ours.stderr.contains(line), "{line}: {ours}");
    }
    assert_eq!(twins.bulkhead.project.read("Cargo.lock"), before);
    twins.same_output(&["check"]);
    twins.same_output(&["check", "--locked"]);
}

#[test]
fn offline_works_from_the_cache_and_says_what_is_missing() {
    let stage = Stage::new(ONE);
    let outcome = stage.bulkhead(&["build", "--offline"]);
    outcome.assert_code(101);
    assert!(outcome.stderr.contains("plain") && outcome.stderr.contains("--offline"), "{outcome}");
    assert!(stage.registry.requests().is_empty(), "nothing is asked");
    assert!(!stage.project.path("Cargo.lock").exists());
    stage.bulkhead(&["fetch"]).assert_success();
    stage.registry.clear_requests();
    stage.bulkhead(&["build", "--offline"]).assert_success();
    std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    stage.bulkhead(&["build", "--offline"]).assert_success();
    stage.bulkhead(&["build", "--frozen"]).assert_success();
    assert_eq!(stage.registry.requests().len(), 0);
}

#[test]
fn update_moves_what_it_is_told_to_move() {
    let twins = Twins::new(WORKSPACE);
    twins.same_output(&["generate-lockfile"]);
    twins.same_output(&["update", "-p", "plain", "--precise", "1.0.0"]);
    assert!(twins.bulkhead.project.read("Cargo.lock").contains("name = \"plain\"\nversion = \"1.0.0\""));
    twins.same_output(&["update", "--dry-run"]);
    twins.same_output(&["update", "-p", "test-tool"]);
    twins.same_output(&["update"]);
    assert!(twins.bulkhead.project.read("Cargo.lock").contains("name = \"plain\"\nversion = \"1.1.0\""));
    let (theirs, ours) = twins.run(&["update", "-p", "plain", "--precise", "3.0.0"]);
    assert_eq!((ours.code(), theirs.code()), (Some(101), Some(101)));
    assert!(ours.stderr.contains("plain") && ours.stderr.contains("3.0.0"), "{ours}");
    let (_, ours) = twins.run(&["update", "-p", "absent"]);
    assert!(ours.stderr.contains("`absent`"), "{ours}");
}

#[test]
fn fetch_downloads_what_every_platform_needs_and_builds_nothing() {
    let twins = Twins::new(WORKSPACE);
    twins.same_output(&["fetch"]);
    let downloads = |stage: &Stage| {
        let mut paths: Vec<_> = stage.registry.requests().into_iter().map(|request| request.path).collect();
        paths.retain(|path| path.starts_with("/dl/"));
        paths.sort();
        paths
    };
    assert_eq!(downloads(&twins.bulkhead), downloads(&twins.cargo));
    assert_eq!(downloads(&twins.bulkhead).len(), 5);
    assert!(!twins.bulkhead.project.path("target/debug").exists());
    let again = twins.same_output(&["fetch"]);
    assert_eq!(again.stderr, "");
}

/// One package for this machine, and one for another, after `fetch`; and where the archive of the second is.
fn fetched_for_two_platforms() -> (Stage, std::path::PathBuf) {
    let stage = Stage::new(
        r#"
//- /Cargo.toml
[package]
name = "one"
version = "0.1.0"
edition = "2021"
[dependencies]
test-tool = "0.5"
[target.'cfg(windows)'.dependencies]
plain = "1"
//- /src/lib.rs
pub fn answer() -> u8 { test_tool::answer() }
"#,
    );
    stage.bulkhead(&["fetch"]).assert_success();
    let folders = std::fs::read_dir(stage.home.bulkhead_home().join("store")).unwrap().flatten();
    let mut alone: Vec<_> = folders.map(|folder| folder.path().join("archive.crate")).collect();
    alone.retain(|archive| archive.exists() && !archive.with_file_name("tree").exists());
    assert_eq!(alone.len(), 1, "the other one is unpacked");
    (stage, alone.remove(0))
}

#[test]
fn what_only_other_platforms_need_is_unpacked_when_it_is_wanted() {
    let uses: [&[&str]; 4] = [
        &["metadata", "--offline"],
        &["metadata", "--offline", "--filter-platform", "x86_64-pc-windows-msvc"],
        &["vendor", "--offline", "--respect-source-config"],
        &["fetch", "--offline", "--target", "x86_64-pc-windows-msvc"],
    ];
    for command in uses {
        let (stage, archive) = fetched_for_two_platforms();
        for harmless in [&["verify"][..], &["fetch", "--offline"], &["check", "--offline"], &["tree", "--offline"]] {
            stage.bulkhead(harmless).assert_success();
            assert!(!archive.with_file_name("plain-1.1.0").exists(), "{harmless:?}");
        }
        stage.registry.clear_requests();
        stage.bulkhead(command).assert_success();
        assert!(archive.with_file_name("plain-1.1.0/Cargo.toml").exists(), "{command:?}");
        assert!(stage.registry.requests().is_empty(), "{command:?}");
        stage.bulkhead(&["verify"]).assert_success();
    }
}

/// Attack 124.
#[test]
fn an_archive_that_was_changed_before_it_was_unpacked_is_noticed() {
    let (stage, archive) = fetched_for_two_platforms();
    let evil = b"something else".as_slice();
    std::fs::remove_file(&archive).unwrap();
    std::fs::write(&archive, evil).unwrap();
    let uses: [&[&str]; 4] = [
        &["verify"],
        &["metadata", "--offline"],
        &["vendor", "--offline", "--respect-source-config"],
        &["fetch", "--offline"],
    ];
    for command in uses {
        stage.bulkhead(command).assert_code(104);
    }
    // What does not need it does not mind; with a network it is downloaded again.
    stage.bulkhead(&["check", "--offline"]).assert_success();
    let healed = stage.bulkhead(&["fetch"]);
    assert!(healed.assert_success().stderr.contains("downloaded"), "{healed}");
    stage.bulkhead(&["metadata", "--offline"]).assert_success();
    stage.bulkhead(&["verify"]).assert_success();
}

/// Attack 48.
#[test]
fn a_version_that_was_yanked_stays_while_it_is_locked() {
    let twins = Twins::new(ONE);
    twins.same_output(&["generate-lockfile"]);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.registry.set_yanked("plain", "1.1.0", true);
    }
    twins.same_output(&["check"]);
    assert!(twins.bulkhead.project.read("Cargo.lock").contains("1.1.0"));
    // Once the registry has said so, it is not kept without a word (attack 48).
    twins.run(&["update", "--dry-run"]);
    let outcome = twins.bulkhead.bulkhead(&["check"]);
    outcome.assert_success();
    for line in
        ["`plain v1.1.0` was yanked by its author, and only Cargo.lock keeps it", "`bulkhead update plain@1.1.0`"]
    {
        assert!(outcome.stderr.contains(line), "{outcome}");
    }
    assert!(!twins.cargo.cargo(&["check"]).stderr.contains("yanked"), "cargo says nothing");
    let with_policy = |word: &str| {
        twins.bulkhead.project.write("bulkhead.toml", format!("[withdrawn]\nyanked = \"{word}\"\n"));
        twins.bulkhead.bulkhead(&["check"])
    };
    assert_error(
        &with_policy("deny"),
        102,
        &["error[version-yanked]", "`plain v1.1.0`", "bulkhead update plain@1.1.0"],
    );
    // A laxer word counts only where the user trusts the file.
    assert!(with_policy("allow").assert_success().stderr.contains("was yanked"));
    twins.bulkhead.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    assert!(!twins.bulkhead.bulkhead(&["check"]).stderr.contains("was yanked"));
    std::fs::remove_file(twins.bulkhead.project.path("bulkhead.toml")).unwrap();
    twins.same_output(&["update"]);
    assert!(!twins.bulkhead.bulkhead(&["check"]).stderr.contains("yanked"));
    assert!(twins.bulkhead.project.read("Cargo.lock").contains("1.0.0"));
}
