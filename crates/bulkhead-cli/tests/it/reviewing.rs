//! `review`: what a package can do is shown before anything of it runs.

use crate::json_schema::misfits_of_sarif;
use crate::stage::{APP, Stage, assert_error};
use bulkhead_test_support::{CrateBuilder, GitRepository, GitServer, Outcome};
use serde_json::Value;

const PAYLOAD: &str = "use std::net::TcpStream;\nfn main() {\n    println!(\"cargo::warning=IT RUNS\");\n    \
                       TcpStream::connect(\"203.0.113.1:80\").ok();\n    std::process::Command::new(\"sh\").arg(\"-c\");\n    \
                       let _ = std::env::var(\"CARGO_REGISTRY_TOKEN\");\n}\n";

fn evil(version: &str) -> CrateBuilder {
    CrateBuilder::new("plain", version)
        .build_script(PAYLOAD)
        .links("z")
        .file("src/lib.rs", "pub fn f() { unsafe {} }\n#[unsafe(no_mangle)] pub extern \"C\" fn g() {}\n")
        .file("tests/good.xz", b"\xfd7zXZ\0\0\xff".to_vec())
        .file("tests/tool", b"\x7fELF\xff".to_vec())
        .file("src/odd.rs", "// \u{1b}[2J\u{202e}hidden\nfn x() {}\n")
}

#[track_caller]
fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}\n{outcome}"))
}

#[track_caller]
fn says(outcome: &Outcome, parts: &[&str]) {
    for part in parts {
        assert!(outcome.stdout.contains(part), "{part:?} is missing\n{outcome}");
    }
    assert!(!outcome.stdout.contains(['\u{1b}', '\u{202e}']), "{outcome}");
    assert!(!outcome.stderr.contains("IT RUNS") && !outcome.stderr.contains("Compiling"), "{outcome}");
}

#[test]
fn what_a_release_can_do_is_shown_before_it_runs() {
    let stage = Stage::new(APP);
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    stage.registry.publish(evil("1.2.0").published_at("2026-01-01T00:00:00Z"));
    let outcome = stage.bulkhead(&["review", "plain@1.2.0"]);
    outcome.assert_success();
    says(
        &outcome,
        &[
            "plain@1.2.0",
            "runs while something is built: build script, native library",
            "published ",
            "2 `unsafe`, 1 exported function",
            "source repository not compared: the package names no repository",
            "compared with 1.1.0, the version in use",
            "high  uses the network",
            "build.rs:1",
            "high  starts a shell or a program that downloads",
            "starts `sh`",
            "high  reads an environment variable that holds a secret",
            "`CARGO_REGISTRY_TOKEN`",
            "high  compiled code",
            "tests/tool  an ELF program or library",
            "medium  packed files",
            "text that is shown in another order than it is compiled",
            "src/odd.rs:1",
        ],
    );
    // The benign twin: the version before has nothing to tell, and is what is in use.
    let outcome = stage.bulkhead(&["review", "plain"]);
    says(&outcome, &["plain@1.1.0", "nothing of it runs while something is built"]);
    assert!(!outcome.stdout.contains("high") && !outcome.stdout.contains("medium"), "{outcome}");
    assert_error(&stage.bulkhead(&["review", "nothing-like-it"]), 101, &["could not find `nothing-like-it`"]);
}

#[test]
fn versions_are_compared_line_by_line() {
    let stage = Stage::new(APP);
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    stage.registry.publish(evil("1.2.0")).publish(evil("1.3.0").file("src/lib.rs", "pub fn other() {}\n"));
    let outcome = stage.bulkhead(&["review", "plain@1.2.0", "--diff"]);
    says(&outcome, &["compared with 1.1.0, the version in use", "build.rs (added", "+use std::net::TcpStream;"]);
    let outcome = stage.bulkhead(&["review", "plain@1.3.0", "--diff", "1.2.0"]);
    says(&outcome, &["compared with 1.2.0: ", "no new findings", "src/lib.rs (changed", "+pub fn other() {}"]);
    assert!(!outcome.stdout.contains("build.rs (added"), "{outcome}");
    let report = json(&stage.bulkhead(&["review", "plain@1.3.0", "--diff", "1.2.0", "--message-format", "json"]));
    let comparison = &report["packages"][0]["comparison"];
    assert_eq!((&comparison["version"], &comparison["in-use"]), (&"1.2.0".into(), &false.into()));
    assert_error(&stage.bulkhead(&["review", "plain", "--diff"]), 101, &["is itself the version in use"]);
    assert_error(&stage.bulkhead(&["review", "plain", "--diff", "x y"]), 1, &["--diff"]);
    assert_error(&stage.bulkhead(&["review", "--diff"]), 1, &["`--diff` needs the package"]);
}

#[test]
fn programs_read_json_and_sarif() {
    let stage = Stage::new(APP);
    stage.registry.publish(evil("1.2.0"));
    let outcome = stage.bulkhead(&["review", "plain@1.2.0", "--message-format", "json"]);
    says(&outcome, &[]);
    let package = &json(&outcome)["packages"][0];
    assert_eq!(package["kinds"], serde_json::json!(["build-script", "links"]));
    assert_eq!(package["links"], "z");
    let findings = package["findings"].as_array().unwrap();
    let of = |rule: &str| findings.iter().find(|it| it["rule"] == rule).unwrap_or_else(|| panic!("{rule}: {outcome}"));
    assert_eq!((&of("network")["line"], &of("network")["runs-during-build"]), (&1.into(), &true.into()));
    assert_eq!(of("bidirectional-text")["path"], "src/odd.rs");
    let outcome = stage.bulkhead(&["review", "plain@1.2.0", "--message-format", "sarif"]);
    says(&outcome, &[]);
    let log = json(&outcome);
    assert_eq!(misfits_of_sarif(&log), Vec::<String>::new());
    assert_eq!(
        (&log["version"], &log["runs"][0]["tool"]["driver"]["name"]),
        (&"2.1.0".into(), &"bulkhead review".into())
    );
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().any(|it| it["ruleId"] == "network" && it["level"] == "error"));
    let uri = |it: &Value| it["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
    assert!(results.iter().any(|it| uri(it) == "plain-1.2.0/src/odd.rs"), "{outcome}");
}

#[test]
fn all_build_code_of_a_project_is_reviewed_and_policy_says_what_fails() {
    let stage = Stage::new(APP);
    let outcome = stage.bulkhead(&["review"]);
    outcome.assert_success();
    assert!(outcome.stderr.contains("nothing of others runs"), "{outcome}");
    stage.registry.publish(evil("1.2.0"));
    stage.bulkhead(&["update"]).assert_success();
    let outcome = stage.bulkhead(&["review", "--all"]);
    outcome.assert_success();
    says(&outcome, &["plain@1.2.0: build script, native library (new)", "high  uses the network"]);
    let refused = ["error[review]", "1 package has findings of weight `medium` or more", "plain v1.2.0"];
    assert_error(&stage.bulkhead(&["review", "--deny", "medium"]), 102, &refused);
    stage.project.write("bulkhead.toml", "review.deny = \"medium\"\n");
    let outcome = stage.bulkhead(&["review"]);
    assert_error(&outcome, 102, &refused);
    assert_error(&outcome, 102, &["bulkhead review plain@1.2.0", "bulkhead approve plain@1.2.0"]);
    assert_error(&stage.bulkhead(&["review", "plain@1.2.0", "--message-format", "sarif"]), 102, &["error[review]"]);
    // Whoever has looked says so, until the code changes.
    stage.bulkhead(&["approve", "plain@1.2.0"]).assert_success();
    let outcome = stage.bulkhead(&["review"]);
    outcome.assert_success();
    says(&outcome, &["(approved)"]);
    // What came with a project is no answer to whoever runs the command elsewhere.
    let lock = stage.project.read("bulkhead.lock");
    stage.project.write("bulkhead.lock", format!("{lock}\n# a stranger's\n"));
    stage.bulkhead(&["review"]).assert_success();
    assert_error(&stage.bulkhead(&["review", "--deny", "medium"]), 102, &["plain v1.2.0"]);
    stage.project.write("bulkhead.lock", lock);
    stage.bulkhead(&["review", "--deny", "medium"]).assert_success();
    stage.registry.publish(evil("1.3.0").file("build.rs", format!("{PAYLOAD}\n// more")));
    stage.bulkhead(&["update"]).assert_success();
    assert_error(&stage.bulkhead(&["review"]), 102, &["plain v1.3.0"]);
    // A lighter policy lets it pass.
    stage.project.write("bulkhead.toml", "");
    stage.bulkhead(&["review"]).assert_success();
}

#[test]
fn hostile_files_cost_little_and_are_named() {
    let stage = Stage::new(APP);
    let package = CrateBuilder::new("deep", "1.0.0")
        .file("src/lib.rs", "(".repeat(100_000))
        .file("src/large.rs", " ".repeat(9 << 20))
        .file("src/odd.rs", b"fn f() { \xff }".to_vec())
        .file("src/comment.rs", "/*".repeat(100_000));
    stage.registry.publish(package);
    let outcome = stage.bulkhead(&["review", "deep@1.0.0"]);
    outcome.assert_success();
    says(&outcome, &["a file that was not looked into", "src/large.rs  9437184 bytes", "src/odd.rs"]);
}

/// Files that nobody could review where the source is.
#[test]
fn what_the_repository_does_not_hold_is_told() {
    let source = "//- /src/lib.rs\npub fn f() {}\n//- /build.rs\nfn main() {}\n";
    let repository = GitRepository::new("origin", source);
    repository.git(&["tag", "v2.0.0"]);
    let Some(server) = GitServer::start(repository.root().parent().unwrap(), None) else {
        return crate::stage::skipped("git has no http-backend here");
    };
    let stage = Stage::new(APP);
    let url = server.url("origin");
    let vcs = |commit: &str| format!("{{\"git\":{{\"sha1\":\"{commit}\"}},\"path_in_vcs\":\"\"}}");
    let published = |version: &str| {
        CrateBuilder::new("plain", version)
            .manifest_extra(&format!("repository = \"{url}\"\n"))
            .build_script("fn main() {}\n")
            .file("src/lib.rs", "pub fn f() {}\n")
            .file(".cargo_vcs_info.json", vcs(&repository.head()))
    };
    stage.registry.publish(published("2.0.0"));
    stage.registry.publish(published("2.0.1").file("src/payload.rs", "evil").file("src/lib.rs", "mod payload;"));
    let honest = stage.bulkhead(&["review", "plain@2.0.0"]);
    honest.assert_success();
    says(&honest, &["source repository compared with the tag v2.0.0 ("]);
    assert!(!honest.stdout.contains("-repository]"), "{honest}");
    let outcome = stage.bulkhead(&["review", "plain@2.0.1"]);
    says(
        &outcome,
        &[
            "which the package names; no tag is named after this version",
            "high  a file that the source repository does not have [not-in-repository]",
            "src/payload.rs",
            "high  a file that differs from the source repository [differs-from-repository]",
            "src/lib.rs",
        ],
    );
    // What cannot be compared is said.
    let outcome = stage.bulkhead(&["review", "plain@2.0.0", "--offline"]);
    says(&outcome, &["source repository not compared: this is offline mode"]);
    drop(server);
    let outcome = stage.bulkhead(&["review", "plain@2.0.0"]);
    outcome.assert_success();
    says(&outcome, &["source repository not compared: ", "cannot be asked"]);
    let outcome = stage.bulkhead(&["review", "plain@2.0.0", "--no-repository"]);
    assert!(!outcome.stdout.contains("source repository"), "{outcome}");
}
