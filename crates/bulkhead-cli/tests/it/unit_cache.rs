//! Compiled units that workspaces share: what is built once is not built again elsewhere, what differs is, and nobody but
//! Bulkhead itself gets to say what is in the cache.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::stage::{BULKHEAD, Stage};
use bulkhead_test_support::{CrateBuilder, Invocation, Outcome, TempProject, project, sysroot};

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
top = "1"
[profile.dev]
incremental = false
//- /src/main.rs
fn main() { println!("{} {}", top::say(), top::place()) }
"#;

/// A home in which nothing was built yet, a registry, and a first workspace.
///
/// `made` compiles code that its build script generates, `shout` is a procedural macro, `placed` compiles the name of its
/// `OUT_DIR` in, and `top` uses them all.
fn stage() -> Stage {
    let stage = Stage::new(APP);
    let generate = r#"fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").unwrap();
    println!("cargo::rustc-link-search=native={out}");
    println!("cargo::rustc-env=SAID=\"a\\b\"");
    std::fs::create_dir_all(format!("{out}/empty")).unwrap();
    std::fs::write(format!("{out}/gen.rs"), "pub const N: u8 = 7; pub fn fail() -> &'static str { file!() }").unwrap();
}"#;
    stage.registry.publish(CrateBuilder::new("made", "1.0.0").feature("more", &[]).build_script(generate).file(
        "src/lib.rs",
        "include!(concat!(env!(\"OUT_DIR\"), \"/gen.rs\"));\npub const SAID: &str = env!(\"SAID\");\n",
    ));
    let shout = "#[proc_macro]\npub fn shout(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"\\\"SHOUT\\\"\".parse().unwrap() }";
    stage.registry.publish(CrateBuilder::new("shout", "1.0.0").proc_macro().file("src/lib.rs", shout));
    stage.registry.publish(
        CrateBuilder::new("placed", "1.0.0")
            .build_script("fn main() {}")
            .file("src/lib.rs", "pub const PLACE: &str = env!(\"OUT_DIR\");"),
    );
    stage.registry.publish(
        CrateBuilder::new("top", "1.0.0")
            .dependency("made", "1")
            .dependency("shout", "1")
            .dependency("placed", "1")
            .feature("more", &["made/more"])
            .file(
                "src/lib.rs",
                "pub fn say() -> String { format!(\"{}{}\", shout::shout!(), made::N) }\n\
                 pub fn place() -> &'static str { placed::PLACE }\n",
            ),
    );
    stage
}

fn command(stage: &Stage, project: &TempProject, arguments: &[&str]) -> Invocation {
    stage.home.command(BULKHEAD).args(arguments).current_dir(project.root())
}

fn run(stage: &Stage, project: &TempProject, arguments: &[&str]) -> Outcome {
    command(stage, project, arguments).run()
}

/// The names of the crates that were compiled and of the scripts that ran.
fn started(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.stderr.lines().filter_map(|line| line.trim_start().strip_prefix("Running `"));
    let name = |line: &str| match line.split_once("--crate-name ") {
        Some((_, rest)) => rest.split(' ').next().unwrap().to_owned(),
        None => line.to_owned(),
    };
    lines.map(name).collect()
}

fn cache(stage: &Stage) -> PathBuf {
    stage.home.bulkhead_home().join("cache")
}

/// The folders of entries.
fn entries(stage: &Stage) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache(stage)).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.len() == 64)).collect()
}

/// A first workspace whose dependencies are in the cache.
fn filled() -> Stage {
    let stage = stage();
    stage.bulkhead(&["build"]).assert_success();
    assert!(entries(&stage).len() >= 8, "{:?}", entries(&stage));
    stage
}

#[test]
fn a_second_workspace_builds_its_own_code_and_what_names_the_workspace() {
    let stage = filled();
    let second = project(APP);
    let outcome = run(&stage, &second, &["build", "-v"]);
    outcome.assert_success();
    // `placed` says where it was built, and `top` is compiled with what it says.
    assert_eq!(started(&outcome), ["placed", "top", "app"], "{outcome}");
    assert!(outcome.stderr.contains("Fresh made v1.0.0") && outcome.stderr.contains("Reused "), "{outcome}");
    let said = run(&stage, &second, &["run", "-q"]);
    said.assert_success();
    let place = said.stdout.trim().strip_prefix("SHOUT7 ").unwrap();
    assert!(Path::new(place).starts_with(second.root().canonicalize().unwrap()), "{place}");
    assert!(Path::new(place).is_dir(), "{place}");
    // The state that is left is that of a build: nothing is to be done, and what is missing comes back.
    assert!(run(&stage, &second, &["build", "-v"]).stderr.lines().all(|line| !line.contains("Running")));
    std::fs::remove_dir_all(second.path("target")).unwrap();
    let again = run(&stage, &second, &["build", "-v"]);
    assert_eq!(started(&again), ["app"], "{again}");
}

#[test]
fn messages_and_artifacts_are_those_of_a_build() {
    let stage = filled();
    let second = project(APP);
    let lines = |project: &TempProject| {
        let outcome = run(&stage, project, &["build", "--message-format=json"]);
        outcome.assert_success();
        let root = project.root().canonicalize().unwrap().display().to_string();
        let text = outcome.stdout.replace(&root, "ROOT").replace("\"fresh\":true", "\"fresh\":false");
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (first, second) = (lines(&stage.project), lines(&second));
    assert!(first.iter().any(|line| line.contains("build-script-executed") && line.contains("SAID")), "{first:#?}");
    assert_eq!(first, second);
}

/// What is changed, the dependency, more arguments, and variables.
type Change<'a> = (&'a str, &'a str, &'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn whatever_goes_into_a_unit_makes_another_one() {
    let stage = filled();
    let changes: &[Change<'_>] = &[
        ("a feature", "top = { version = \"1\", features = [\"more\"] }", &[], &[]),
        ("a profile", "top = \"1\"", &["--release"], &[]),
        ("a setting of the profile", "top = \"1\"", &["--config", "profile.dev.opt-level=1"], &[]),
        ("flags", "top = \"1\"", &[], &[("RUSTFLAGS", "--cfg changed")]),
        ("a variable that scripts and compilers see", "top = \"1\"", &[], &[("CFLAGS", "-O1")]),
        (
            "another search path",
            "top = \"1\"",
            &[],
            &[("PATH", &format!("{}/bin:/usr/bin:/bin:/nowhere", sysroot().display()))],
        ),
    ];
    for (what, dependency, arguments, variables) in changes {
        let second = project(&APP.replace("top = \"1\"", dependency));
        let arguments: Vec<_> = ["build", "-v"].iter().chain(*arguments).copied().collect();
        let mut invocation = command(&stage, &second, &arguments);
        for (name, value) in *variables {
            invocation = invocation.env(name, value);
        }
        let outcome = invocation.run();
        outcome.assert_success();
        assert!(started(&outcome).contains(&"made".to_owned()), "{what}: {outcome}");
    }
}

#[test]
fn it_can_be_switched_off() {
    let stage = stage();
    stage.command(&["build"]).env("BULKHEAD_UNIT_CACHE", "0").run().assert_success();
    assert!(entries(&stage).is_empty());
    stage.bulkhead(&["clean"]).assert_success();
    stage.bulkhead(&["build"]).assert_success();
    let outcome = command(&stage, &project(APP), &["build", "-v"]).env("BULKHEAD_UNIT_CACHE", "0").run();
    assert!(started(&outcome).contains(&"made".to_owned()), "{outcome}");
}

/// Attacks 128, 129: whoever can write into the cache changes what is built next.
#[test]
fn what_was_put_into_the_cache_by_others_is_not_used() {
    let stage = filled();
    let entries = entries(&stage);
    let (mut changed, mut forged) = (0, 0);
    for (position, entry) in entries.iter().enumerate() {
        let target = if position % 2 == 0 && entry.join("0").exists() { entry.join("0") } else { entry.join("entry") };
        std::fs::set_permissions(&target, PermissionsExt::from_mode(0o600)).unwrap();
        let mut bytes = std::fs::read(&target).unwrap();
        if target.ends_with("0") {
            // Same length, other content.
            bytes.reverse();
            changed += 1;
        } else {
            // Well-formed, but with somebody else's seal.
            bytes[..64].reverse();
            forged += 1;
        }
        std::fs::write(&target, bytes).unwrap();
    }
    assert!(changed > 0 && forged > 0);
    let second = project(APP);
    let outcome = run(&stage, &second, &["build", "-v"]);
    outcome.assert_success();
    assert!(outcome.stderr.contains("the cache of compiled units held something else under the key of"), "{outcome}");
    assert!(started(&outcome).contains(&"made".to_owned()), "{outcome}");
    assert!(run(&stage, &second, &["run", "-q"]).stdout.starts_with("SHOUT7 "));
    // What was built instead is whole, and the benign twin of this test.
    assert_eq!(started(&run(&stage, &project(APP), &["build", "-v"])), ["placed", "top", "app"]);
}

/// Attack 129: an entry is not believed because it is consistent with itself.
#[test]
fn verify_finds_what_was_changed_and_removes_it() {
    let stage = filled();
    stage.bulkhead(&["cache", "verify"]).assert_success();
    let entry = entries(&stage).into_iter().find(|entry| entry.join("0").exists()).unwrap();
    std::fs::set_permissions(entry.join("0"), PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(entry.join("0"), "poison").unwrap();
    let other = entries(&stage).into_iter().find(|other| *other != entry).unwrap();
    // Taken from another key: what is asked for by the one is not the other.
    std::fs::rename(&other, cache(&stage).join("0".repeat(64))).unwrap();
    let outcome = stage.bulkhead(&["cache", "verify", "--format", "json"]);
    outcome.assert_code(104);
    let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(answer["removed"].as_array().unwrap().len(), 2, "{outcome}");
    assert!(!entry.exists() && !cache(&stage).join("0".repeat(64)).exists());
    stage.bulkhead(&["cache", "verify"]).assert_success();
}

/// Attacks 126, 129: build code cannot reach the cache, neither to read nor to write.
#[test]
fn build_code_does_not_see_the_cache() {
    let stage = filled();
    let folder = cache(&stage).display().to_string();
    let attack = format!(
        "let _ = std::fs::write(\"{folder}/planted\", \"x\"); \
         let seen = std::fs::read_dir(\"{folder}\").is_ok() as u8;"
    );
    stage.registry.publish(
        CrateBuilder::new("hostile", "1.0.0")
            .proc_macro()
            .build_script(&format!("fn main() {{ {attack} println!(\"cargo::rustc-env=SEEN={{seen}}\") }}"))
            .file(
                "src/lib.rs",
                format!(
                    "#[proc_macro]\npub fn seen(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ {attack} \
                     format!(\"\\\"{{}}{{seen}}\\\"\", env!(\"SEEN\")).parse().unwrap() }}"
                ),
            ),
    );
    let second = project(
        &APP.replace("top = \"1\"", "hostile = \"1\"")
            .replace("println!(\"{} {}\", top::say(), top::place())", "println!(\"{}\", hostile::seen!())"),
    );
    let outcome = run(&stage, &second, &["run"]);
    outcome.assert_success();
    assert_eq!(outcome.stdout, "00\n", "{outcome}");
    assert!(!cache(&stage).join("planted").exists());
    // The same code with what it asks for is another matter: cargo lets it have that.
    let twin = stage.home.command("cargo").args(["run", "-q"]).current_dir(second.root()).run();
    twin.assert_success();
    assert_eq!(twin.stdout, "11\n", "{twin}");
    std::fs::remove_file(cache(&stage).join("planted")).unwrap();
}

#[test]
fn what_was_granted_more_than_the_key_knows_is_not_kept() {
    let stage = stage();
    let folder = stage.home.path().join(".config/bulkhead");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("policy.toml"), "[build-code]\nlevel = \"allow\"\n").unwrap();
    let outcome = stage.bulkhead(&["build", "-v"]);
    outcome.assert_success();
    assert!(outcome.stderr.contains("Unshared made v1.0.0"), "{outcome}");
    assert!(entries(&stage).is_empty(), "{outcome}");
}

#[test]
fn it_is_counted_and_collected() {
    let stage = filled();
    let stats = |stage: &Stage| -> serde_json::Value {
        serde_json::from_str(&stage.bulkhead(&["cache", "stats", "--format", "json"]).stdout).unwrap()
    };
    assert_eq!(stats(&stage)["units"], entries(&stage).len());
    stage.bulkhead(&["cache", "gc"]).assert_success();
    assert!(!entries(&stage).is_empty());
    stage.bulkhead(&["cache", "gc", "--max-size", "many"]).assert_code(1);
    stage.bulkhead(&["cache", "gc", "--max-size", "0"]).assert_success();
    assert_eq!(stats(&stage), serde_json::json!({ "units": 0, "bytes": 0 }));
    run(&stage, &project(APP), &["build"]).assert_success();
    assert!(!entries(&stage).is_empty());
}

#[test]
fn two_builds_at_once_and_one_that_dies_leave_it_whole() {
    let stage = stage();
    let projects = [project(APP), project(APP), project(APP)];
    let start = |project| command(&stage, project, &["build"]).start();
    let [first, second, mut third] = [&projects[0], &projects[1], &projects[2]].map(start);
    third.wait_until("the first entry", || !entries(&stage).is_empty());
    third.kill();
    third.wait();
    first.wait().assert_success();
    second.wait().assert_success();
    stage.bulkhead(&["cache", "verify"]).assert_success();
    let outcome = run(&stage, &projects[2], &["run", "-q"]);
    outcome.assert_success();
    assert!(outcome.stdout.starts_with("SHOUT7 "), "{outcome}");
    // Nothing unfinished remains once somebody else has used the cache.
    let left = std::fs::read_dir(cache(&stage).join("tmp")).unwrap().count();
    assert_eq!(left, 0);
}
