//! `update`: what it changes, and what it says about it, beside `cargo`.

use crate::stage::{Twins, each};

/// A package whose dependencies are behind in every way.
const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
a = "1"
b = "=1.0.0"
c = "0.3"
//- /src/lib.rs
"#;

const PACKAGES: &str = "
    a 1.0.0 | deep ^1
    b 1.0.0
    c 0.3.0
    deep 1.0.0
";

/// Newer versions of the same.
const NEWER: &str = "
    a 1.1.0 | deep ^1 | fresh ^0.1
    a 2.0.0
    b 1.0.1
    b 1.1.0
    c 0.3.1 yanked
    c 0.3.2-beta.1
    c 0.4.0-beta.1
    deep 1.0.1
    deep 1.2.0
    deep 2.0.0
    fresh 0.1.0
    fresh 0.2.0
";

fn behind() -> Twins {
    let twins = Twins::with_packages(APP, PACKAGES);
    twins.same_output(&["generate-lockfile"]);
    twins.publish(NEWER);
    twins
}

#[test]
fn what_is_updated_and_what_stays_behind_is_told_in_cargos_words() {
    each(
        [
            &["update"][..],
            &["update", "-v"],
            &["update", "-vv"],
            &["update", "-q"],
            &["update", "--dry-run"],
            &["update", "-n", "-v"],
            &["update", "-w"],
            &["update", "--workspace", "-v"],
            &["update", "a"],
            &["update", "-p", "a", "-v"],
            &["update", "a", "deep"],
            &["update", "a", "--recursive"],
            &["update", "a", "--recursive", "-v"],
            &["update", "deep", "c"],
            &["update", "a@1.0.0"],
            &["update", "deep:1"],
            &["update", "deep@1.0"],
            &["update", "https://github.com/rust-lang/crates.io-index#a"],
            &["update", "registry+https://github.com/rust-lang/crates.io-index#a@1.0.0"],
            &["update", "--locked"],
            &["update", "app"],
        ],
        |arguments| {
            let twins = behind();
            let first = twins.run(arguments);
            compare(&twins, arguments, &first);
            // Once more: nothing is left to do.
            twins.same_output(&["update", "-v"]);
            twins.same_output(&["update"]);
        },
    );
}

#[test]
fn a_version_that_is_not_there_is_not_taken() {
    let twins = behind();
    for (precise, why) in [("1.0.7", true), ("1.2.0-beta.1", true), ("2.0.0", false)] {
        let (theirs, ours) = twins.run(&["update", "a", "--precise", precise]);
        assert_eq!((theirs.code(), ours.code()), (Some(101), Some(101)), "{theirs}{ours}");
        assert_eq!(ours.stderr.contains(&format!("there is no version {precise}")), why, "{ours}");
    }
    // That there is a pre-release is no help.
    let (_, ours) = twins.run(&["update", "c", "--precise", "0.3.9"]);
    assert!(ours.stderr.contains("there is no version 0.3.9") && !ours.stderr.contains("pre-release"), "{ours}");
}

#[track_caller]
fn compare(
    twins: &Twins,
    arguments: &[&str],
    (theirs, ours): &(bulkhead_test_support::Outcome, bulkhead_test_support::Outcome),
) {
    if theirs.code() == Some(0) {
        assert_eq!(
            twins.bulkhead.neutral(&ours.stderr),
            twins.cargo.neutral(&theirs.stderr),
            "{arguments:?}\n{ours}\n{theirs}"
        );
    } else {
        assert!(ours.stderr.contains("error: "), "{ours}");
    }
}

#[test]
fn a_version_that_is_named_exactly_is_taken() {
    each(
        [
            &["update", "a", "--precise", "1.1.0"][..],
            &["update", "a", "--precise", "1.1.0", "-v"],
            &["update", "a", "--precise", "1.1"],
            &["update", "a", "--precise", "2.0.0"],
            &["update", "a", "--precise", "1.7.0"],
            &["update", "a", "--precise", "x"],
            &["update", "deep", "--precise", "1.0.1"],
            &["update", "deep", "--precise", "1.2.0", "--dry-run"],
            &["update", "c", "--precise", "0.3.1"],
            &["update", "c", "--precise", "0.4.0-beta.1"],
            &["update", "b", "--precise", "1.1.0"],
            &["update", "--precise", "1.0.0"],
            &["update", "-w", "--precise", "1.0.0"],
            &["update", "app", "--precise", "0.1.0"],
            &["update", "a", "--recursive", "--precise", "1.1.0"],
            &["update", "absent"],
            &["update", "absent", "--precise", "1.0.0"],
            &["update", "a@3.0.0"],
            &["update", "a@"],
            &["update", "-p"],
            &["update", "--breaking"],
        ],
        |arguments| {
            let twins = behind();
            let first = twins.run(arguments);
            compare(&twins, arguments, &first);
        },
    );
}

#[test]
fn build_metadata_is_found_and_kept() {
    let fixture = APP.replace("b = \"=1.0.0\"\nc = \"0.3\"\n", "");
    each(
        [&["update", "a", "--precise", "1.0.1"][..], &["update", "a", "--precise", "1.0.1+build.5"], &["update"]],
        |arguments| {
            let twins = Twins::with_packages(&fixture, "a 1.0.0");
            twins.same_output(&["generate-lockfile"]);
            twins.publish("a 1.0.1+build.5");
            let first = twins.run(arguments);
            compare(&twins, arguments, &first);
            twins.same_output(&["update", "a", "--precise", "1.0.0"]);
        },
    );
}

#[test]
fn downgrades_and_removals_are_told() {
    let twins = Twins::with_packages(APP, PACKAGES);
    twins.publish(NEWER);
    twins.same_output(&["generate-lockfile"]);
    twins.same_output(&["update", "a", "--precise", "1.0.0"]);
    twins.same_output(&["update", "deep", "--precise", "1.0.0"]);
    twins.both(|stage| stage.registry.set_yanked("deep", "1.2.0", true));
    twins.same_output(&["update"]);
    twins.both(|stage| stage.project.edit("Cargo.toml", "a = \"1\"\n", ""));
    twins.same_output(&["update", "-w"]);
    twins.both(|stage| stage.project.edit("Cargo.toml", "c = \"0.3\"", "c = \"0.3\"\na = \"2\""));
    twins.same_output(&["update", "-w"]);
    twins.same_output(&["update", "-v"]);
}

#[test]
fn two_versions_of_one_package_are_kept_apart() {
    let fixture = APP.replace("b = \"=1.0.0\"", "a2 = { package = \"a\", version = \"2\" }");
    let twins = Twins::with_packages(&fixture, "a 1.0.0\na 2.0.0\nc 0.3.0");
    twins.same_output(&["generate-lockfile"]);
    twins.publish("a 1.0.1\na 2.0.1\na 3.0.0");
    each(
        [
            &["update", "a"][..],
            &["update", "a@1", "-v"],
            &["update", "a@2.0", "-v"],
            &["update", "a@1.0.1", "--precise", "1.0.0"],
            &["update", "-v"],
        ],
        |arguments| {
            let first = twins.run(arguments);
            compare(&twins, arguments, &first);
        },
    );
}

#[test]
fn rust_versions_are_told() {
    let with = |package: &str, resolver: &str| {
        APP.replace("edition = \"2021\"", &format!("edition = \"2021\"\n{package}\nresolver = \"{resolver}\""))
    };
    for (package, resolver) in [
        ("rust-version = \"1.60\"", "3"),
        ("rust-version = \"1.60\"", "2"),
        ("", "3"),
        ("rust-version = \"1.60.1\"", "3"),
    ] {
        let twins = Twins::with_packages(
            &with(package, resolver),
            "a 1.0.0 rust=1.50 | deep ^1\nb 1.0.0 rust=1.70\nc 0.3.0\nc 0.3.1 rust=1.60.2\ndeep 1.0.0 rust=1.60",
        );
        twins.same_output(&["generate-lockfile"]);
        twins.publish(
            "a 1.1.0 rust=1.80 | deep ^1\na 2.0.0 rust=1.55\ndeep 1.0.1 rust=1.60\ndeep 1.1.0 rust=1.99.0\nb 1.1.0",
        );
        each(
            [
                &["update", "-v", "-n"][..],
                &["update", "-n"],
                &["update", "-v", "-n", "--ignore-rust-version"],
                &["update", "a", "-n", "--precise", "1.1.0"],
                &["update"],
                &["update", "-v"],
                &["generate-lockfile", "--ignore-rust-version"],
            ],
            |arguments| {
                let first = twins.run(arguments);
                compare(&twins, arguments, &first);
            },
        );
    }
}

#[test]
fn what_holds_a_dependency_back_is_told_when_asked() {
    let twins = behind();
    let stage = &twins.bulkhead;
    let outcome = stage.bulkhead(&["update", "--why", "-n", "c"]);
    outcome.assert_success();
    for line in [
        "note: a v1.0.0: 1.1.0 is not taken, since Cargo.lock keeps 1.0.0; `bulkhead update a@1.0.0` moves it",
        "note: a v1.0.0: 2.0.0 is not taken, since app v0.1.0 ([ROOT]) requires `a = \"^1\"` (Cargo.toml:6)",
        "note: b v1.0.0: 1.1.0 is not taken, since app v0.1.0 ([ROOT]) requires `b = \"=1.0.0\"` (Cargo.toml:7)",
        "note: deep v1.0.0: 2.0.0 is not taken, since a v1.0.0 requires `deep = \"^1\"`",
    ] {
        assert!(stage.neutral(&outcome.stderr).contains(line), "{line}\n{outcome}");
    }
    assert!(!stage.bulkhead(&["update", "-n"]).stderr.contains("is not taken"));
}

/// Without a lockfile, what would be locked is moved.
#[test]
fn an_update_begins_with_a_lockfile_or_without() {
    let twins = Twins::new(crate::stage::APP);
    for arguments in [
        &["update", "-p", "plain", "--precise", "1.0.0"][..],
        &["update", "-p", "plain"],
        &["update", "-p", "plain", "--precise", "9.0.0"],
        &["update", "-p", "absent"],
        &["update", "-p", "plain", "--precise", "1.0.0", "--dry-run"],
    ] {
        twins.both(|stage| drop(std::fs::remove_file(stage.project.path("Cargo.lock"))));
        let (theirs, ours) = twins.run(arguments);
        let changes = |text: &str| {
            let verbs = ["Adding", "Downgrading", "Locking", "warning"];
            let lines = text.lines().filter(|line| verbs.iter().any(|verb| line.trim_start().starts_with(verb)));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(changes(&ours.stderr), changes(&theirs.stderr), "{arguments:?}\n{theirs}\n{ours}");
    }
}
