//! Which units workspaces share: packages of git repositories do, what was granted more than the key can tell does not, and
//! what was granted something that is pinned does, with that.

use crate::git::{REPOSITORY, app};
use crate::stage::{BULKHEAD, Stage};
use bulkhead_test_support::{CrateBuilder, GitRepository, Outcome, TempProject, project};

/// Whether anything of the package was run: its build script or a compiler.
fn ran(outcome: &Outcome, name: &str) -> bool {
    outcome.assert_success();
    outcome.stderr.lines().any(|line| {
        let line = line.trim_start();
        line.starts_with("Running `") && (line.contains(&format!("--crate-name {name} ")) || is_run_of(line, name))
    })
}

fn is_run_of(line: &str, name: &str) -> bool {
    line.contains(&format!("/build/{name}-")) && line.trim_end_matches('`').ends_with("/build-script-build")
}

fn build(stage: &Stage, project: &TempProject) -> Outcome {
    stage.home.command(BULKHEAD).args(["build", "-v"]).current_dir(project.root()).run()
}

#[test]
fn packages_of_a_commit_are_shared_and_those_of_another_are_not() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let fixture = app(&repository.url(), "");
    let stage = Stage::new(&fixture);
    let first = build(&stage, &stage.project);
    assert!(ran(&first, "apple") && ran(&first, "pear"), "{first}");
    let second = project(&fixture);
    let outcome = build(&stage, &second);
    assert!(!ran(&outcome, "apple") && !ran(&outcome, "pear") && ran(&outcome, "app"), "{outcome}");
    assert!(outcome.stderr.contains("Reused 2 compiled units"), "{outcome}");
    let said = stage.home.command(BULKHEAD).args(["run", "-q"]).current_dir(second.root()).run();
    assert_eq!(said.stdout, "apple 1 and pear 1\n");
    // A new commit is other source code.
    repository.commit("//- /pear/src/lib.rs\npub fn taste() -> String { \"pear 2\".to_owned() }\n");
    let third = project(&fixture);
    let outcome = build(&stage, &third);
    assert!(ran(&outcome, "pear"), "{outcome}");
    let said = stage.home.command(BULKHEAD).args(["run", "-q"]).current_dir(third.root()).run();
    assert_eq!(said.stdout, "apple 1 and pear 2\n");
}

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
needy = "1"
plain = "1"
//- /src/main.rs
fn main() { println!("{}", needy::SAID) }
"#;

/// `needy` has a build script that tells what the variable `NEEDY` holds and, if that names a file, what that holds.
fn stage() -> Stage {
    let stage = Stage::new(APP);
    let script = "fn main() { let needy = std::env::var(\"NEEDY\").unwrap_or_default(); \
        let read = std::fs::read(&needy).map(|bytes| bytes.len().to_string()).unwrap_or(needy); \
        println!(\"cargo::rustc-env=SAID={read}\"); println!(\"cargo::rerun-if-env-changed=NEEDY\"); }";
    let package = CrateBuilder::new("needy", "1.0.0").build_script(script);
    stage.registry.publish(package.file("src/lib.rs", "pub const SAID: &str = env!(\"SAID\");"));
    stage
}

fn policy(stage: &Stage, text: &str) {
    let folder = stage.home.path().join(".config/bulkhead");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("policy.toml"), text).unwrap();
}

fn grant(stage: &Stage, what: &str) -> String {
    let line = stage.registry.index_lines("needy");
    let entry: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
    let digest = entry["cksum"].as_str().unwrap();
    format!("[[grant]]\npackage = 'needy'\nversion = '=1.0.0'\ndigest = 'sha256:{digest}'\n{what}\nreason = 'a test'\n")
}

#[test]
fn what_was_granted_what_nobody_can_declare_is_never_kept() {
    for (what, reason) in [
        ("network = true", "it was granted the network"),
        ("network = ['example.com:443']", "it was granted the network"),
        ("read = ['/etc/hostname']", "it was granted files and folders"),
    ] {
        let stage = stage();
        policy(&stage, &grant(&stage, what));
        for project in [&stage.project, &project(APP)] {
            let outcome = build(&stage, project);
            // Every time, and only what got it: its neighbour is the benign twin.
            assert!(ran(&outcome, "needy") && outcome.stderr.contains(reason), "{what}: {outcome}");
        }
        let outcome = build(&stage, &project(APP));
        assert!(!ran(&outcome, "plain"), "{outcome}");
        // What was built with a grant does not serve those who have none.
        policy(&stage, "");
        assert!(ran(&build(&stage, &project(APP)), "needy"), "{what}");
        assert!(!ran(&build(&stage, &project(APP)), "needy"), "{what}");
    }
}

#[test]
fn a_variable_that_was_granted_is_part_of_the_key() {
    let stage = stage();
    policy(&stage, &grant(&stage, "env = ['NEEDY']"));
    let build = |value: &str| {
        let second = project(APP);
        let command = || stage.home.command(BULKHEAD).current_dir(second.root()).env("NEEDY", value);
        let outcome = command().args(["build", "-v"]).run();
        let said = command().args(["run", "-q"]).run();
        assert_eq!(said.assert_success().stdout, format!("{value}\n"));
        ran(&outcome, "needy")
    };
    assert!(build("one") && !build("one") && build("two") && !build("two") && !build("one"));
}

/// `[[prefetch]]` pins a file by its digest: with another file it is another unit.
#[test]
fn a_file_that_policy_pins_is_part_of_the_key() {
    let stage = stage();
    let pin = |package: &str| {
        let line = stage.registry.index_lines(package);
        let entry: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        let (digest, version) = (entry["cksum"].as_str().unwrap(), entry["vers"].as_str().unwrap());
        let url = format!("http://{}/dl/{package}/{version}/download", stage.registry.address());
        policy(
            &stage,
            &format!(
                "[[prefetch]]\npackage = 'needy'\nurl = '{url}'\nsha256 = '{digest}'\nfile = 'data.bin'\nenv = 'NEEDY'\n"
            ),
        );
    };
    let build = |package: &str| {
        pin(package);
        let second = project(APP);
        let outcome = build(&stage, &second);
        let said = stage.home.command(BULKHEAD).args(["run", "-q"]).current_dir(second.root()).run();
        (ran(&outcome, "needy"), said.assert_success().stdout.clone())
    };
    let (plain, needy) = (build("plain"), build("needy"));
    assert!(plain.0 && needy.0 && plain.1 != needy.1 && plain.1 != "\n", "{plain:?} {needy:?}");
    assert_eq!((build("plain"), build("needy")), ((false, plain.1), (false, needy.1)));
}

/// How a terminal wants things shown is nobody's input: scripts do not see it, and it makes no other unit.
#[test]
fn the_terminal_is_no_input() {
    let stage = stage();
    let script = "fn main() { let seen: Vec<_> = [\"TERM\", \"NO_COLOR\", \"LANG\"].into_iter().filter_map(|name| std::env::var(name).ok()).collect(); \
        println!(\"cargo::rustc-env=SAID={}\", seen.join(\" \")); println!(\"cargo::rerun-if-env-changed=TERM\"); }";
    let package = CrateBuilder::new("needy", "1.0.1").build_script(script);
    stage.registry.publish(package.file("src/lib.rs", "pub const SAID: &str = env!(\"SAID\");"));
    let build = |variables: &[(&str, &str)]| {
        let second = project(APP);
        let command = |arguments: &[&str]| {
            let invocation = stage.home.command(BULKHEAD).current_dir(second.root()).args(arguments);
            variables.iter().fold(invocation, |invocation, (name, value)| invocation.env(name, value)).run()
        };
        let outcome = command(&["build", "-v"]);
        assert!(!outcome.stderr.contains("may not see"), "{outcome}");
        (ran(&outcome, "needy"), command(&["run", "-q"]).assert_success().stdout.clone())
    };
    let (xterm, screen) = ([("TERM", "xterm"), ("LANG", "C")], [("TERM", "screen"), ("LANG", "C"), ("NO_COLOR", "1")]);
    assert_eq!(build(&xterm), (true, "C\n".to_owned()));
    assert_eq!(build(&screen), (false, "C\n".to_owned()));
    // The language may decide in which order a script sorts.
    assert_eq!(build(&[("TERM", "xterm"), ("LANG", "C.UTF-8")]), (true, "C.UTF-8\n".to_owned()));
}
