//! `explain`, and failures of resolution that tell where in the manifests they come from.

use serde_json::Value;

use crate::stage::{Stage, publish_lines};

const FIXTURE: &str = r#"
//- /Cargo.toml
[workspace]
members = ["app", "library"]
resolver = "2"
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"

[features]
default = ["fast"]
fast = ["middle/quick"]

[dependencies]
library = { path = "../library" }
middle = "1"

[target.'cfg(windows)'.dependencies]
deep = "1"
//- /app/src/lib.rs
//- /library/Cargo.toml
[package]
name = "library"
version = "0.2.0"
edition = "2021"
[build-dependencies.helper]
package = "deep"
version = "=1.0.0"
features = ["built"]
//- /library/src/lib.rs
//- /library/build.rs
fn main() {}
"#;

const PACKAGES: &str = "
    middle 1.0.0 | deep ^1 | feature quick = inner deep/speed | feature inner =
    deep 1.0.0 | feature default = std | feature std = | feature speed = | feature built =
    deep 1.1.0 | feature default = std | feature std = | feature speed = | feature built =
    deep 2.0.0
    deep 2.1.0-rc.1
";

fn stage() -> Stage {
    let stage = Stage::new(FIXTURE);
    publish_lines(&stage.registry, PACKAGES);
    stage
}

#[test]
fn why_a_package_its_version_and_its_features_are_there() {
    let stage = stage();
    let outcome = stage.bulkhead(&["explain", "deep", "-q"]);
    outcome.assert_success();
    expect_test::expect![[r#"
        deep v1.0.0
          required by
            app v0.1.0 ([ROOT]/app) requires `deep = "^1"`, on `cfg(windows)` (app/Cargo.toml:15)
            library v0.2.0 ([ROOT]/library) requires `deep = "=1.0.0"` as `helper` to build (library/Cargo.toml:5)
            middle v1.0.0 requires `deep = "^1"`
          ways from the workspace, the shortest first
            app v0.1.0 ([ROOT]/app) → deep v1.0.0
            library v0.2.0 ([ROOT]/library) → deep v1.0.0
            app v0.1.0 ([ROOT]/app) → middle v1.0.0 → deep v1.0.0
          version
            1.1.0 is the newest compatible, but library v0.2.0 ([ROOT]/library) requires `deep = "=1.0.0"` (library/Cargo.toml:5)
            2.0.0 is the newest, but app v0.1.0 ([ROOT]/app) requires `deep = "^1"` (app/Cargo.toml:15)
            2.0.0 is the newest, but library v0.2.0 ([ROOT]/library) requires `deep = "=1.0.0"` (library/Cargo.toml:5)
            2.0.0 is the newest, but middle v1.0.0 requires `deep = "^1"`
          features
            built ← library v0.2.0 ([ROOT]/library) asks for it in its dependency
            default ← app v0.1.0 ([ROOT]/app) leaves default features on
            speed ← feature `quick` of middle v1.0.0 ← feature `fast` of app v0.1.0 ([ROOT]/app) ← feature `default` of app v0.1.0 ([ROOT]/app) ← this command's own choice of features
            std ← its feature `default` ← app v0.1.0 ([ROOT]/app) leaves default features on
    "#]]
    .assert_eq(&stage.neutral(&outcome.stdout));
    let downloads = stage.registry.requests().iter().filter(|request| request.path.starts_with("/dl/")).count();
    assert_eq!(downloads, 0, "nothing is downloaded");
}

#[test]
fn a_lockfile_that_holds_a_version_back_is_named() {
    let stage = stage();
    stage.project.edit("library/Cargo.toml", "=1.0.0", "1");
    stage.registry.remove("deep", "1.1.0");
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    publish_lines(&stage.registry, "deep 1.1.0\ndeep 1.2.0 yanked\nmiddle 1.1.0 rust=1.99");
    stage.bulkhead(&["update", "-n"]).assert_success();
    let outcome = stage.bulkhead(&["explain", "deep@1"]);
    let line = "1.1.0 is the newest compatible, but Cargo.lock keeps 1.0.0; `bulkhead update deep@1.0.0` moves it";
    assert!(outcome.stdout.contains(line), "{outcome}");
    let outcome = stage.bulkhead(&["explain", "middle", "--config", "resolver.incompatible-rust-versions='fallback'"]);
    assert!(outcome.stdout.contains("1.1.0 is the newest compatible, but it needs Rust 1.99.0"), "{outcome}");
}

#[test]
fn the_answer_comes_as_json_too() {
    let stage = stage();
    let outcome = stage.bulkhead(&["explain", "deep", "--format", "json", "--no-default-features"]);
    outcome.assert_success();
    let answers: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let answer = &answers[0];
    assert_eq!(answers.as_array().unwrap().len(), 1);
    assert_eq!((answer["name"].as_str(), answer["version"].as_str()), (Some("deep"), Some("1.0.0")));
    assert_eq!(answer["required_by"][1]["at"], "library/Cargo.toml:5");
    assert_eq!(answer["required_by"][1]["kind"], "build");
    assert_eq!(answer["newer"][0]["held_back"][0]["rule"], "requirement");
    let names: Vec<_> = answer["features"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["built", "default", "std"], "`speed` came from a default feature");
}

#[test]
fn questions_that_have_no_answer_are_helped_along() {
    let stage = stage();
    for (spec, expected) in [
        ("dep", "a package with a similar name exists: `deep`"),
        ("deep@2", "the graph has deep@1.0.0"),
        ("a@x", "invalid package ID"),
    ] {
        let outcome = stage.bulkhead(&["explain", spec]);
        outcome.assert_code(101);
        assert!(outcome.stderr.contains(expected), "{outcome}");
    }
    stage.bulkhead(&["explain"]).assert_code(1);
    let help = stage.bulkhead(&["explain", "--help"]);
    help.assert_success();
    assert!(help.stdout.contains("who brings it") && help.stdout.contains("--format"), "{help}");
}

#[test]
fn failures_name_the_lines_of_local_manifests() {
    let stage = stage();
    stage.project.edit("app/Cargo.toml", "deep = \"1\"", "deep = \"=1.1.0\"");
    let outcome = stage.bulkhead(&["check"]);
    outcome.assert_code(101);
    for line in [
        "failed to select a version for `deep`",
        "required by package `library v0.2.0 ([ROOT]/library)` at library/Cargo.toml:5",
        "... which satisfies dependency `deep = \"=1.1.0\"` of package `app v0.1.0 ([ROOT]/app)` at app/Cargo.toml:15",
    ] {
        assert!(stage.neutral(&outcome.stderr).contains(line), "{line}\n{outcome}");
    }
    stage.project.edit("app/Cargo.toml", "deep = \"=1.1.0\"", "deep = \"7\"");
    let outcome = stage.bulkhead(&["check"]);
    assert!(
        stage.neutral(&outcome.stderr).contains("required by package `app v0.1.0 ([ROOT]/app)` at app/Cargo.toml:15"),
        "{outcome}"
    );
    stage.project.edit("app/Cargo.toml", "deep = \"7\"", "deep = \"1\"");
    stage.project.edit(
        "library/Cargo.toml",
        "[build-dependencies.helper]",
        "[dependencies]\napp = { path = \"../app\" }\n[build-dependencies.helper]",
    );
    let outcome = stage.bulkhead(&["check"]);
    for line in [
        "cyclic package dependency",
        "app v0.1.0 ([ROOT]/app) depends on library v0.2.0 ([ROOT]/library) (`library = \"*\"`) at app/Cargo.toml:11",
        "library v0.2.0 ([ROOT]/library) depends on app v0.1.0 ([ROOT]/app) (`app = \"*\"`) at library/Cargo.toml:6",
    ] {
        assert!(stage.neutral(&outcome.stderr).contains(line), "{line}\n{outcome}");
    }
}
