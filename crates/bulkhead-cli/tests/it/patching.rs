//! `[patch]`, `[replace]` and `paths`: other packages in the place of published ones.

use std::collections::BTreeSet;

use crate::stage::{Stage, Twins};

/// A program that uses two versions of `plain`, with copies of it to be patched in.
const PROJECT: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
plain = "1"
newer = { package = "plain", version = "2" }
//- /src/main.rs
fn main() { println!("{} {}", plain::say(), newer::say()) }
//- /one/Cargo.toml
[package]
name = "plain"
version = "1.5.0"
edition = "2021"
//- /one/src/lib.rs
pub fn say() -> String { "patched 1.5".into() }
//- /two/Cargo.toml
[package]
name = "plain"
version = "2.5.0"
edition = "2021"
//- /two/src/lib.rs
pub fn say() -> String { "patched 2.5".into() }
//- /three/Cargo.toml
[package]
name = "plain"
version = "3.0.0"
edition = "2021"
//- /three/src/lib.rs
//- /other/Cargo.toml
[package]
name = "other"
version = "1.0.0"
edition = "2021"
//- /other/src/lib.rs
"#;

/// Both projects of [`PROJECT`], with `text` behind their manifests.
fn set(twins: &Twins, text: &str) {
    let manifest = PROJECT.split("//- /").nth(1).unwrap().split_once('\n').unwrap().1;
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write("Cargo.toml", format!("{manifest}{text}"));
    }
}

fn unlock(twins: &Twins) {
    for stage in [&twins.cargo, &twins.bulkhead] {
        let _ = std::fs::remove_file(stage.project.path("Cargo.lock"));
    }
}

#[test]
fn a_patch_by_path_comes_changes_and_goes() {
    let twins = Twins::new(PROJECT);
    let step = |text: &str, arguments: &[&str]| {
        set(&twins, text);
        let (theirs, ours) = twins.run(arguments);
        assert_eq!(twins.bulkhead.neutral(&ours.stdout), twins.cargo.neutral(&theirs.stdout), "{theirs}{ours}");
        // Cargo asks the registry whenever a patch has changed, though nothing depends on the answer.
        let lines = |stage: &Stage, text: &str| {
            let text = stage.neutral(text);
            text.lines().filter(|line| !line.contains("[INDEX] index")).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert_eq!(lines(&twins.bulkhead, &ours.stderr), lines(&twins.cargo, &theirs.stderr), "{theirs}{ours}");
        ours
    };
    let one = "[patch.crates-io]\nplain = { path = \"one\" }\n";
    step("", &["run"]);
    // A lockfile is kept: the patch waits for an update.
    step(one, &["tree"]);
    step(one, &["run"]);
    step(one, &["update", "plain@1.1.0"]);
    assert!(step(one, &["run"]).stdout.starts_with("patched 1.5 plain 2.0.0"));
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("one/Cargo.toml", "1.5.0", "1.6.0");
    }
    twins.run(&["run", "--locked"]);
    step(one, &["run"]);
    step(one, &["metadata", "--format-version", "1", "--no-deps"]);
    step("", &["run"]);
    unlock(&twins);
    step(one, &["run"]);
    step(one, &["update"]);
    step("[patch.crates-io]\nplain = { path = \"three\" }\n", &["run"]);
    step("[patch.crates-io]\nplain = { path = \"three\" }\n", &["run"]);
    step("[patch.crates-io]\nother = { path = \"other\" }\n", &["run"]);
    step("[patch.crates-io]\nother = { path = \"other\" }\n", &["tree", "-q"]);
    step("", &["run"]);
}

#[test]
fn several_versions_are_patched_under_other_names() {
    let twins = Twins::new(PROJECT);
    set(
        &twins,
        "[patch.crates-io]\nplain = { path = \"one\" }\nother-plain = { path = \"two\", package = \"plain\" }\n",
    );
    assert_eq!(twins.same_output(&["run"]).stdout, "patched 1.5 patched 2.5\n");
    twins.same_output(&["tree"]);
    twins.same_output(&["update"]);
    // Versions that nobody wants, in the order of the lockfile.
    set(&twins, "[patch.crates-io]\nplain = { path = \"three\" }\nx = { path = \"other\", package = \"other\" }\n");
    unlock(&twins);
    twins.same_output(&["check"]);
}

#[test]
fn patches_that_cannot_be_are_refused_as_cargo_does() {
    for (text, needle) in [
        ("[patch.crates-io]\nplain = { path = \"other\" }\n", "does not contain packages matching `plain`"),
        ("[patch.crates-io]\nplain = { path = \"one\", version = \"7\" }\n", "patch `plain` version mismatch"),
        ("[patch.crates-io]\nplain = \"1.0.0\"\n", "points to the same source"),
        ("[patch.crates-io]\nplain = { path = \"nowhere\" }\n", "nowhere"),
        ("[patch.nope]\nplain = { path = \"one\" }\n", "[patch] entry `nope` should be a URL or registry name"),
        (
            "[patch.crates-io]\nplain = { path = \"one\" }\nx = { path = \"copy\", package = \"plain\" }\n",
            "several `[patch]` entries resolving to same version `plain v1.5.0`",
        ),
        ("[patch.crates-io]\nother = { path = \"other\" }\n[replace]\n\"plain:1.1.0\" = { path = \"one\" }\n", "both"),
    ] {
        let twins = Twins::new(PROJECT);
        set(&twins, text);
        for stage in [&twins.cargo, &twins.bulkhead] {
            stage.project.write("copy/Cargo.toml", stage.project.read("one/Cargo.toml"));
            stage.project.write("copy/src/lib.rs", "");
        }
        let (theirs, ours) = twins.run(&["check"]);
        assert!(ours.code() == Some(101) && ours.stderr.contains(needle), "{theirs}{ours}");
    }
}

/// A patch of another registry's packages, and one that is taken from another registry.
#[test]
fn patches_concern_the_source_that_they_name() {
    let twins = Twins::new(PROJECT);
    set(&twins, "[patch.\"https://example.com/elsewhere\"]\nplain = { path = \"one\" }\n");
    let (theirs, ours) = twins.run(&["check"]);
    for text in [&theirs.stderr, &ours.stderr] {
        assert!(
            text.contains("was not used in the crate graph") && text.contains("perhaps you meant one of"),
            "{text}"
        );
    }
    // Fields that say nothing in a patch.
    set(&twins, "[patch.crates-io]\nplain = { path = \"one\", features = [\"x\"] }\n");
    let (theirs, ours) = twins.run(&["check"]);
    for text in [&theirs.stderr, &ours.stderr] {
        assert!(text.contains("unused field in patch for `plain`: `features`"), "{text}");
    }
}

#[test]
fn patches_on_the_command_line_win_over_the_manifest() {
    let twins = Twins::new(PROJECT);
    twins.same_output(&["run", "--config", "patch.crates-io.plain.path=\"one\""]);
    unlock(&twins);
    set(&twins, "[patch.crates-io]\nplain = { path = \"two\" }\nother = { path = \"other\" }\n");
    twins.same_output(&["run", "--config", "patch.crates-io.plain.path=\"one\""]);
}

#[test]
fn attack_26_patches_in_the_repositorys_configuration_wait_for_trust() {
    let twins = Twins::new(PROJECT);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write(".cargo/config.toml", "[patch.crates-io]\nplain = { path = \"one\" }\n");
    }
    assert!(twins.cargo.cargo(&["run"]).stdout.starts_with("patched"));
    let stage = &twins.bulkhead;
    let untrusted = stage.bulkhead(&["run"]);
    untrusted.assert_success();
    assert_eq!(untrusted.stdout, "plain 1.1.0! plain 2.0.0!\n".replace('!', ""));
    assert!(untrusted.stderr.contains("`patch.crates-io.plain` in"), "{untrusted}");
    assert!(stage.project.read("Cargo.lock").contains("name = \"plain\"\nversion = \"1.1.0\"\nsource"));
    // Trusted, it acts as under cargo, and is named each time.
    stage.bulkhead(&["trust"]).assert_success();
    unlock(&twins);
    for _ in 0..2 {
        let (theirs, ours) = twins.run(&["run"]);
        assert_eq!(ours.stdout, theirs.stdout);
        assert!(ours.stderr.contains("config.toml says"), "{ours}");
    }
}

#[test]
fn a_trusted_patch_is_needed_for_its_lockfile() {
    let stage = Stage::new(PROJECT);
    stage.project.write(".cargo/config.toml", "[patch.crates-io]\nplain = { path = \"one\" }\n");
    stage.bulkhead(&["trust"]).assert_success();
    stage.bulkhead(&["run"]).assert_success();
    stage.bulkhead(&["trust", "--revoke", ".cargo/config.toml"]);
    let ours = stage.bulkhead(&["run", "--locked"]);
    ours.assert_code(101);
    assert!(ours.stderr.contains("--locked"), "{ours}");
}
