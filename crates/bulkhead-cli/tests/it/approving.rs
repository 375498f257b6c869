//! Build-time code that has to be approved: refused before anything runs, approved by digest, and asked about again when it
//! has changed.

use crate::stage::{APP, Stage, Twins, assert_error, folder_outside_tmp};
use bulkhead_test_support::{CrateBuilder, DependencyBuilder, Outcome};
use std::path::PathBuf;

const APPROVE: &str = "[build-code]\nlevel = \"approve\"\n";

/// A version of `plain` whose build script leaves its mark in `OUT_DIR`, and says `word`.
fn scripted(version: &str, word: &str) -> CrateBuilder {
    CrateBuilder::new("plain", version)
        .build_script(&format!("fn main() {{ println!(\"cargo::warning=it says {word}\") }}"))
        .file("src/lib.rs", format!("pub fn say() -> &'static str {{ \"{version}\" }}"))
}

/// A project that asks for approval itself.
fn asking(fixture: &str) -> Stage {
    let stage = Stage::new(fixture);
    stage.project.write("bulkhead.toml", APPROVE);
    stage
}

fn user_policy(stage: &Stage, text: &str) {
    let folder: PathBuf = stage.home.path().join(".config/bulkhead");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("policy.toml"), text).unwrap();
}

#[track_caller]
fn refused(outcome: &Outcome, parts: &[&str]) {
    assert_error(outcome, 102, &["error[build-code-approval]"]);
    assert_error(outcome, 102, parts);
    assert!(!outcome.stderr.contains("it says") && !outcome.stderr.contains("Compiling"), "{outcome}");
}

/// Campaign 13: a patch release adds a dependency whose build script is the payload.
#[test]
fn campaign_13_a_new_build_script_does_not_run_before_it_is_approved() {
    let payload = CrateBuilder::new("payload", "1.0.0")
        .build_script("fn main() { println!(\"cargo::warning=it says PAYLOAD\") }")
        .file("src/lib.rs", "");
    let update = CrateBuilder::new("plain", "1.2.0").dependency("payload", "1").file("src/lib.rs", "");
    let twins = Twins::new(APP);
    twins.both(|stage| {
        stage.registry.publish(payload.clone()).publish(update.clone());
    });
    twins.bulkhead.project.write("bulkhead.toml", APPROVE);
    let theirs = twins.cargo.cargo(&["build", "-vv"]);
    assert!(theirs.stderr.contains("it says PAYLOAD"), "it bites under cargo: {theirs}");
    let stage = &twins.bulkhead;
    for arguments in [&["build"][..], &["check"], &["run"], &["test"]] {
        let ours = stage.bulkhead(arguments);
        refused(
            &ours,
            &["payload v1.0.0: build script (new)", "bulkhead review payload@1.0.0", "bulkhead approve payload@1.0.0"],
        );
    }
    // The benign twins: what runs no code of others is built, and an approved script runs.
    stage.bulkhead(&["fetch"]).assert_success();
    stage.bulkhead(&["approve", "payload@1.0.0"]).assert_success();
    let log = stage.bulkhead(&["audit-log", "show"]);
    assert!(log.stdout.contains("payload v1.0.0"), "{log}");
    let built = stage.bulkhead(&["build", "-vv"]);
    assert!(built.stderr.contains("it says PAYLOAD"), "{built}");
    stage.bulkhead(&["approve", "--revoke", "payload"]).assert_success();
    refused(&stage.bulkhead(&["build"]), &["payload v1.0.0"]);
}

/// The same release, at the moment when it enters the lockfile.
#[test]
fn campaign_13_an_update_names_what_brings_build_code() {
    let script = "fn main() {}";
    let twins = Twins::new(APP);
    twins.both(|stage| {
        stage.cargo(&["generate-lockfile"]).assert_success();
        let payload = CrateBuilder::new("payload", "1.0.0").build_script(script).file("src/lib.rs", "");
        let update = CrateBuilder::new("plain", "1.2.0").dependency("payload", "1").build_script(script);
        stage.registry.publish(payload).publish(update.file("src/lib.rs", ""));
    });
    let theirs = twins.cargo.cargo(&["update"]);
    assert!(!theirs.stderr.contains("build script"), "cargo says nothing: {theirs}");
    let stage = &twins.bulkhead;
    for arguments in [&["update", "--dry-run"][..], &["update"]] {
        let ours = stage.bulkhead(arguments);
        ours.assert_success();
        for part in [
            "warning: 2 packages bring code that runs while something is built",
            "payload v1.0.0: build script (new)",
            "plain v1.2.0: build script (v1.1.0 had none)",
            "`bulkhead review payload@1.0.0`",
        ] {
            assert!(ours.stderr.contains(part), "{part}\n{ours}");
        }
    }
    // What had build code before is no news, nor is an update without any.
    stage.registry.publish(CrateBuilder::new("plain", "1.3.0").build_script(script).file("src/lib.rs", ""));
    let ours = stage.bulkhead(&["update"]);
    assert!(ours.stderr.contains("v1.3.0") && !ours.stderr.contains("bring"), "{ours}");
    let ours = stage.bulkhead(&["add", "derive-it"]);
    assert!(ours.stderr.contains("derive-it v0.3.0: procedural macro (new)"), "{ours}");
}

/// Each kind of build-time code that a version can add is named when it comes, and does not run before it is approved.
#[test]
fn a_version_that_adds_build_code_is_named_and_held_back() {
    let script = "fn main() { println!(\"cargo::warning=it says X\"); println!(\"cargo::rustc-link-lib=c\"); }";
    let of = |version| CrateBuilder::new("plain", version).file("src/lib.rs", "");
    for (package, kinds) in [
        (of("1.2.0").build_script(script), "build script"),
        (of("1.2.0").proc_macro(), "procedural macro"),
        (of("1.2.0").build_script(script).links("c"), "build script, native library"),
    ] {
        let stage = asking(APP);
        stage.bulkhead(&["build"]).assert_success();
        stage.registry.publish(package);
        let update = stage.bulkhead(&["update"]);
        update.assert_success();
        assert!(update.stderr.contains(&format!("plain v1.2.0: {kinds} (v1.1.0 had none)")), "{update}");
        refused(&stage.bulkhead(&["build"]), &[&format!("plain v1.2.0: {kinds} (new)")]);
        stage.bulkhead(&["approve", "plain"]).assert_success();
        stage.bulkhead(&["build"]).assert_success();
    }
    // A directive for the linker comes from a script, which changes with it.
    let stage = asking(APP);
    stage.registry.publish(scripted("1.2.0", "one"));
    stage.bulkhead(&["approve", "--all"]).assert_success();
    stage.registry.publish(of("1.3.0").build_script(script));
    stage.bulkhead(&["update"]).assert_success();
    refused(&stage.bulkhead(&["build"]), &["plain v1.3.0: build script (changed since v1.2.0)"]);
}

#[test]
fn approved_code_is_asked_about_again_when_it_changes_and_only_then() {
    let stage = asking(APP);
    stage.registry.publish(scripted("1.2.0", "one"));
    refused(&stage.bulkhead(&["build"]), &["plain v1.2.0"]);
    let outcome = stage.bulkhead(&["approve", "--all"]);
    outcome.assert_success();
    assert!(outcome.stderr.contains("Approving plain v1.2.0: build script (new)"), "{outcome}");
    assert!(stage.bulkhead(&["build", "-vv"]).stderr.contains("it says one"));
    // The same script in another version needs no new approval; other data beside it does.
    stage.registry.publish(scripted("1.3.0", "one"));
    stage.bulkhead(&["update"]).assert_success();
    assert!(stage.bulkhead(&["build", "-vv"]).stderr.contains("it says one"));
    stage.registry.publish(scripted("1.4.0", "one").file("tests/data.bin", "payload\n"));
    stage.bulkhead(&["update"]).assert_success();
    let outcome = stage.bulkhead(&["build"]);
    refused(&outcome, &["plain v1.4.0: build script (changed since v1.2.0)", "bulkhead approve --diff plain@1.4.0"]);
    let diff = stage.bulkhead(&["approve", "--diff", "plain@1.4.0"]);
    diff.assert_success();
    for part in ["plain@1.2.0 -> plain@1.4.0", "tests/data.bin (added, +1 -0)", "+payload"] {
        assert!(diff.stdout.contains(part), "{part}\n{diff}");
    }
    assert!(!diff.stdout.contains("src/lib.rs"), "what takes no part is not shown: {diff}");
    // And a changed script.
    stage.registry.publish(scripted("1.5.0", "two"));
    stage.bulkhead(&["update"]).assert_success();
    refused(&stage.bulkhead(&["build"]), &["plain v1.5.0: build script (changed since"]);
    let diff = stage.bulkhead(&["approve", "--diff", "--message-format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&diff.stdout).unwrap();
    assert_eq!(json["packages"][0]["files"][0]["path"], "build.rs", "{diff}");
    stage.bulkhead(&["approve", "plain"]).assert_success();
    assert!(stage.bulkhead(&["build", "-vv"]).stderr.contains("it says two"));
    let lock = stage.project.read("bulkhead.lock");
    assert!(lock.contains("version = \"1.5.0\"") && !lock.contains("1.2.0"), "old approvals go: {lock}");
}

/// What a build script or a macro is made of runs with it.
#[test]
fn libraries_of_build_code_need_approval_too() {
    let fixture = APP.replace("plain = \"1\"", "user = \"1\"\nderive-it = \"0.3\"");
    let stage = asking(&fixture);
    let user = CrateBuilder::new("user", "1.0.0").dependency_with(DependencyBuilder::new("plain", "1").build());
    let script = "fn main() { println!(\"cargo::warning=it says {}\", plain::say()) }";
    stage.registry.publish(user.build_script(script).file("src/lib.rs", ""));
    refused(
        &stage.bulkhead(&["build"]),
        &[
            "3 packages",
            "plain v1.1.0: library of build code (new)",
            "user v1.0.0: build script (new)",
            "derive-it v0.3.0: procedural macro",
        ],
    );
    stage.bulkhead(&["approve", "user", "derive-it"]).assert_success();
    refused(&stage.bulkhead(&["build"]), &["1 package has", "plain v1.1.0"]);
    stage.bulkhead(&["approve", "plain"]).assert_success();
    assert!(stage.bulkhead(&["build", "-vv"]).stderr.contains("it says plain 1.1.0"));
    let list = stage.bulkhead(&["approve", "--list"]);
    assert!(list.stdout.contains("user v1.0.0: build script (approved) [approve]"), "{list}");
    // The same library as an ordinary dependency runs nothing and is asked about by nobody.
    let stage = asking(APP);
    stage.bulkhead(&["build"]).assert_success();
}

#[test]
fn programs_are_told_in_json() {
    let stage = asking(APP);
    stage.registry.publish(scripted("1.2.0", "one").links("z"));
    let outcome = stage.bulkhead(&["build", "--message-format", "json"]);
    refused(&outcome, &["plain v1.2.0: build script, native library (new)"]);
    let line: serde_json::Value = serde_json::from_str(outcome.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(line["reason"], "build-code-refused");
    assert_eq!(line["rule"], "build-code-approval");
    assert_eq!(line["packages"][0]["kinds"], serde_json::json!(["build-script", "links"]));
    assert_eq!(line["help"], "bulkhead approve plain@1.2.0");
    assert!(outcome.stdout.contains("\"build-finished\",\"success\":false"), "{outcome}");
}

/// A cloned project brings approvals of its own malware; whoever wants to approve build code has approved nothing.
#[test]
fn approvals_that_came_with_a_project_are_not_the_users() {
    let author = asking(APP);
    author.registry.publish(scripted("1.2.0", "one"));
    author.bulkhead(&["approve", "--all"]).assert_success();
    let victim = Stage::new(APP);
    victim.registry.publish(scripted("1.2.0", "one"));
    for file in ["bulkhead.toml", "bulkhead.lock", "Cargo.lock"] {
        victim.project.write(file, author.project.read(file));
    }
    // Where only the project asks, its own answer is enough.
    assert!(victim.bulkhead(&["build", "-vv"]).stderr.contains("it says one"));
    user_policy(&victim, APPROVE);
    let outcome = victim.bulkhead(&["build"]);
    assert_error(&outcome, 103, &["error[approvals-untrusted]", "bulkhead trust bulkhead.lock"]);
    assert_error(&victim.bulkhead(&["approve", "--all"]), 103, &["error[approvals-untrusted]"]);
    victim.bulkhead(&["trust", "--yes", "bulkhead.lock"]).assert_success();
    victim.bulkhead(&["build"]).assert_success();
    // Any change of the file is a stranger's again.
    let lock = victim.project.read("bulkhead.lock");
    victim.project.write("bulkhead.lock", format!("{lock}\n# changed\n"));
    assert_error(&victim.bulkhead(&["build"]), 103, &["approvals-untrusted"]);
    // The user's own approvals count at once.
    std::fs::remove_file(victim.project.path("bulkhead.lock")).unwrap();
    refused(&victim.bulkhead(&["build"]), &["plain v1.2.0"]);
    victim.bulkhead(&["approve", "--all"]).assert_success();
    victim.bulkhead(&["build"]).assert_success();
}

#[test]
fn a_project_cannot_loosen_what_the_user_asks_for() {
    let stage = Stage::new(APP);
    stage.registry.publish(scripted("1.2.0", "one"));
    user_policy(&stage, APPROVE);
    for text in
        ["[build-code]\nlevel = \"confined\"\n", "[[build-code.override]]\npackage = \"plain\"\nlevel = \"allow\"\n"]
    {
        stage.project.write("bulkhead.toml", text);
        refused(&stage.bulkhead(&["build"]), &["plain v1.2.0"]);
        stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
        refused(&stage.bulkhead(&["build"]), &["plain v1.2.0"]);
    }
    user_policy(&stage, &format!("{APPROVE}[[build-code.override]]\npackage = \"plain\"\nlevel = \"confined\"\n"));
    stage.project.write("bulkhead.toml", "");
    stage.bulkhead(&["build"]).assert_success();
}

/// `allow` reads what the user can, says so each time, and still writes nowhere.
#[test]
fn allowed_code_reads_everything_loudly_and_writes_nothing() {
    let stage = Stage::new(APP);
    let home = folder_outside_tmp();
    std::fs::write(home.path().join("secret"), "planted").unwrap();
    let script = format!(
        "fn main() {{ let secret = std::fs::read_to_string(\"{0}/secret\"); let wrote = std::fs::write(\"{0}/mark\", \"\"); \
         println!(\"cargo::warning=it says {{:?}} {{}} {{:?}}\", secret.ok(), wrote.is_ok(), std::env::var(\"MY_TOKEN\").ok()); }}",
        home.path().display()
    );
    stage.registry.publish(CrateBuilder::new("plain", "1.2.0").build_script(&script).file("src/lib.rs", ""));
    let build = || stage.command(&["build", "-vv"]).env("MY_TOKEN", "s3cr3t").run();
    let confined = build();
    assert!(confined.stderr.contains("it says None false None"), "{confined}");
    let allow = "[[build-code.override]]\npackage = \"plain\"\nlevel = \"allow\"\nreason = \"a test\"\n";
    stage.project.write("bulkhead.toml", allow);
    let untrusted = build();
    assert!(untrusted.stderr.contains("does not act") && !untrusted.stderr.contains("planted"), "{untrusted}");
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let allowed = build();
    assert!(allowed.stderr.contains("it says Some(\"planted\") false Some(\"s3cr3t\")"), "{allowed}");
    assert!(allowed.stderr.contains("because policy says `allow`: `plain v1.2.0`"), "{allowed}");
    assert!(!home.path().join("mark").exists());
}

/// The catalogue's grants for a version are for its code, and nobody is told to write another digest into them.
#[test]
fn grants_of_the_catalogue_for_other_code_are_said_to_be_the_catalogues() {
    let stage = Stage::new(&APP.replace("plain = ", "ort-sys = \"=2.0.0-rc.15\"\nplain = "));
    let other = CrateBuilder::new("ort-sys", "2.0.0-rc.15").build_script("fn main() {}");
    stage.registry.publish(other.file("src/lib.rs", ""));
    stage.project.write("bulkhead.toml", "build-code.catalogue = [\"ort-sys\"]\n");
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let build = stage.bulkhead(&["build"]);
    assert_error(&build, 102, &["error[grant-digest]", "the catalogue's grants `ort-sys` are for other code"]);
    assert!(!build.stderr.contains("write its digest"), "{build}");
    // The twin: nobody has named them.
    std::fs::remove_file(stage.project.path("bulkhead.toml")).unwrap();
    stage.bulkhead(&["build"]).assert_success();
}

/// Grants of the catalogue act where somebody has named them, and are explained.
#[test]
fn the_catalogue_is_listed_explained_and_silent_until_named() {
    let stage = Stage::new(APP);
    let list = stage.bulkhead(&["grants", "list"]);
    list.assert_success();
    assert!(list.stdout.contains("utoipa-swagger-ui") && !list.stdout.contains("acts here"), "{list}");
    let show = stage.bulkhead(&["grants", "show", "utoipa-swagger-ui"]);
    for part in
        ["digest = \"sha256:", "reason = ", "It does not act here", "build-code.catalogue = [\"utoipa-swagger-ui\"]"]
    {
        assert!(show.stdout.contains(part), "{part}\n{show}");
    }
    assert_error(&stage.bulkhead(&["grants", "show", "utoipa-swagger-iu"]), 101, &["is `utoipa-swagger-ui` meant?"]);
    stage.project.write("bulkhead.toml", "build-code.catalogue = [\"utoipa-swagger-ui\"]\n");
    let show = stage.bulkhead(&["grants", "show", "utoipa-swagger-ui"]);
    assert!(show.stdout.contains("is not trusted"), "{show}");
    let build = stage.bulkhead(&["build"]);
    assert!(build.stderr.contains("the grant for `utoipa-swagger-ui` does not act"), "{build}");
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let list = stage.bulkhead(&["grants", "list", "--message-format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    let entry = json["grants"].as_array().unwrap().iter().find(|it| it["name"] == "utoipa-swagger-ui").unwrap();
    assert_eq!(entry["acts"], true, "{list}");
    let build = stage.bulkhead(&["build"]);
    assert!(build.code() == Some(0) && !build.stderr.contains("does not act"), "{build}");
}
