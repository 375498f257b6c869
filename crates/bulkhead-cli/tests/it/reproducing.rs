//! `build --verify-reproducible`: what is the same twice passes, what is not is named, with what is to blame.

use crate::stage::Stage;
use bulkhead_test_support::{CrateBuilder, Outcome};

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
steady = "1"
same = "1"
//- /build.rs
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=SAID=said");
}
//- /src/lib.rs
pub fn answer() -> u32 { steady::N + same::same!() }
//- /src/main.rs
fn main() { println!("{} {}", app::answer(), env!("SAID")) }
"#;

/// A macro that answers with `expression`.
fn macro_of(name: &str, expression: &str) -> CrateBuilder {
    let code = format!(
        "#[proc_macro]\npub fn {name}(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ \
         ({expression}).to_string().parse().unwrap() }}"
    );
    CrateBuilder::new(name, "1.0.0").proc_macro().file("src/lib.rs", code)
}

/// A library whose build script writes `expression` into generated code.
fn generated(name: &str, expression: &str) -> CrateBuilder {
    let script = format!(
        "fn main() {{ let n = {expression}; let out = std::env::var(\"OUT_DIR\").unwrap(); \
         std::fs::write(out + \"/gen.rs\", format!(\"pub const N: u32 = {{n}};\")).unwrap(); }}"
    );
    CrateBuilder::new(name, "1.0.0")
        .build_script(&script)
        .file("src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/gen.rs\"));\npub fn fail() { panic!() }")
}

/// The part of the clock that is hardly twice the same.
const CLOCK: &str = "std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos()";

fn stage(fixture: &str) -> Stage {
    let stage = Stage::new(fixture);
    stage.registry.publish(generated("steady", "7"));
    stage.registry.publish(macro_of("same", "5"));
    stage.registry.publish(generated("fickle", CLOCK));
    stage.registry.publish(macro_of("moody", CLOCK));
    stage
}

/// The lines that name units.
fn named(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.stderr.lines().filter_map(|line| line.trim_start().strip_prefix("Differs "));
    lines.map(str::to_owned).collect()
}

#[test]
fn what_is_the_same_twice_passes() {
    let stage = stage(APP);
    for arguments in
        [&["build", "--verify-reproducible"][..], &["build", "--verify-reproducible", "--release", "--lib"]]
    {
        let outcome = stage.bulkhead(arguments);
        outcome.assert_success();
        assert!(outcome.stderr.contains("Reproducible ") && named(&outcome).is_empty(), "{outcome}");
    }
    // Neither the usual artifacts nor scratch are left, and nothing was taken from or put into the cache.
    assert!(!stage.project.path("target/debug").exists());
    assert!(!stage.project.path("target/reproducible/first").exists());
    stage.bulkhead(&["build"]).assert_success();
    let again = stage.bulkhead(&["build", "--verify-reproducible", "-v"]);
    again.assert_success();
    assert!(again.stderr.matches("--crate-name steady").count() == 2 && !again.stderr.contains("Reused"), "{again}");
}

/// Attack 118: nobody notices that a macro or script answers differently each time.
#[test]
fn case_118_macros_and_scripts_that_are_not_deterministic_are_named() {
    let app = APP.replace("steady = \"1\"", "steady = \"1\"\nfickle = \"1\"\nmoody = \"1\"");
    let stage = stage(&app.replace("same::same!()", "same::same!() + fickle::N + moody::moody!()"));
    // Nobody tells under cargo.
    for folder in ["one", "two"] {
        stage.cargo(&["build", "--target-dir", folder]).assert_success();
    }
    let said =
        |folder: &str| std::process::Command::new(stage.project.path(folder).join("debug/app")).output().unwrap();
    assert_ne!(said("one").stdout, said("two").stdout);

    let outcome = stage.bulkhead(&["build", "--verify-reproducible"]);
    outcome.assert_code(104);
    let named = named(&outcome);
    let find =
        |start: &str| named.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {outcome}"));
    assert!(find("fickle v1.0.0 (build script execution)").contains("its build script is to blame: out/gen.rs"));
    assert!(find("fickle v1.0.0 (lib)").contains("made of what differs: fickle v1.0.0"));
    assert!(find("app v0.1.0").contains("(lib): it is made of what differs: fickle v1.0.0"), "{outcome}");
    assert!(!named.iter().any(|line| line.starts_with("steady") || line.starts_with("same")), "{outcome}");
    assert!(outcome.stderr.contains("error[not-reproducible]"), "{outcome}");
    assert!(stage.project.path("target/reproducible/second/debug/app").exists());

    // What was printed for programs.
    let outcome = stage.bulkhead(&["build", "--verify-reproducible", "--message-format=json"]);
    outcome.assert_code(104);
    let lines: Vec<serde_json::Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let differs: Vec<_> = lines.iter().filter(|line| line["reason"] == "unit-differs").collect();
    assert_eq!(differs.len(), named.len());
    assert_eq!(differs[0]["cause"], "build-script");
    let last = lines.last().unwrap();
    assert_eq!((&last["reason"], &last["success"]), (&"reproducibility-verified".into(), &false.into()), "{outcome}");
    // The first build's messages are those of a build; the second one says nothing of its own.
    assert_eq!(lines.iter().filter(|line| line["reason"] == "build-finished").count(), 1);
}

#[test]
fn a_macro_that_is_to_blame_is_among_those_that_are_listed() {
    let app = APP.replace("steady = \"1\"", "steady = \"1\"\nmoody = \"1\"");
    let stage = stage(&app.replace("same::same!()", "same::same!() + moody::moody!()"));
    let outcome = stage.bulkhead(&["build", "--verify-reproducible"]);
    outcome.assert_code(104);
    let named = named(&outcome);
    assert!(named[0].contains("(lib): a procedural macro may be to blame (moody v1.0.0, same v1.0.0)"), "{outcome}");
    assert!(named[1].contains("(bin \"app\"): it is made of what differs: app v0.1.0"), "{outcome}");
    assert_eq!(named.len(), 2);
}

#[test]
fn whoever_compiles_the_folder_in_is_told_from_the_rest() {
    let app = APP.replace("steady = \"1\"", "steady = \"1\"\nplaced = \"1\"");
    let stage = stage(&app);
    stage.registry.publish(
        CrateBuilder::new("placed", "1.0.0")
            .build_script("fn main() {}")
            .file("src/lib.rs", "pub const PLACE: &str = env!(\"OUT_DIR\");"),
    );
    let outcome = stage.bulkhead(&["build", "--verify-reproducible"]);
    outcome.assert_code(104);
    assert!(named(&outcome)[0].starts_with("placed v1.0.0 (lib): it holds the name of the folder"), "{outcome}");
}

#[test]
fn what_does_not_build_fails_as_a_build_does() {
    let stage = stage(&APP.replace("steady::N", "steady::M"));
    let outcome = stage.bulkhead(&["build", "--verify-reproducible"]);
    outcome.assert_code(101);
    assert!(outcome.stderr.contains("could not compile `app`") && !outcome.stderr.contains("second time"), "{outcome}");
    stage.bulkhead(&["build", "--verify-reproducible", "--timings"]).assert_code(1);
    stage.bulkhead(&["check", "--verify-reproducible"]).assert_code(1);
}
