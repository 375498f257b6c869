//! `build`, `check`, `run` and `test` on a workspace with everything that registries offer, beside `cargo`.

use crate::stage::{BULKHEAD, Stage, Twins, WORKSPACE};
use bulkhead_test_support::{CrateBuilder, toolchain_program};
use serde_json::Value;

#[test]
fn a_workspace_is_built_as_cargo_builds_it() {
    let twins = Twins::new(WORKSPACE);
    let first = twins.same_output(&["build"]);
    assert!(first.stderr.contains("Compiling native-sys v1.2.3"), "{first}");
    twins.same_artifacts("debug");
    let second = twins.same_output(&["build"]);
    assert!(!second.stderr.contains("Compiling"), "nothing is compiled twice: {second}");
    twins.same_output(&["build", "--release", "-p", "library"]);
    twins.same_artifacts("release");
    // One line changes in the library: the library and its user are compiled, nothing else.
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("library/src/lib.rs", "value * 2 }", "value + value }");
    }
    let third = twins.same_output(&["build"]);
    assert_eq!(third.stderr.matches("Compiling").count(), 2, "{third}");
}

#[test]
fn a_program_gets_its_arguments_and_gives_its_exit_code() {
    let twins = Twins::new(WORKSPACE);
    let outcome = twins.same_output(&["run", "--", "7", "--two words", "-q"]);
    assert_eq!(outcome.code(), Some(7));
    assert!(outcome.stdout.contains(r#"["7", "--two words", "-q"]"#), "{outcome}");
    assert!(outcome.stdout.contains(r#"Named 8 plain 1.1.0 (7, "bundled", "#), "{outcome}");
    // A feature that reaches a renamed dependency.
    let loud = twins.same_output(&["run", "-q", "--manifest-path", "app/Cargo.toml", "--features", "shout"]);
    assert!(loud.stdout.contains("plain 1.1.0!") && loud.stderr.is_empty(), "{loud}");
    let example = twins.same_output(&["run", "-p", "library", "--example", "show"]);
    assert_eq!(example.stdout, "42\n");
}

#[test]
fn tests_pass_and_fail_with_cargos_exit_codes() {
    let twins = Twins::new(WORKSPACE);
    let (_, passed) = twins.run(&["test", "--workspace", "--lib", "--bins", "--tests"]);
    assert_eq!(passed.code(), Some(0));
    assert_eq!(passed.stdout.matches("test result: ok").count(), 3, "{passed}");
    assert!(passed.stdout.contains("test program_is_there ... ok"), "{passed}");
    let (theirs, failed) = twins.run(&["test", "-p", "library", "--features", "broken", "--lib"]);
    assert_eq!(failed.code(), Some(101));
    assert!(failed.stdout.contains("test tests::doubles ... FAILED"), "{failed}");
    let last = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(last(&failed.stderr), last(&theirs.stderr));
}

/// Each test ends itself by another signal; SIGUSR1 is one that has no name there.
const ENDED: &str = r#"
//- /Cargo.toml
[package]
name = "ended"
version = "0.1.0"
edition = "2021"
//- /src/lib.rs
pub fn by(signal: &str) {
    std::process::Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(60));
}
//- /tests/aborts.rs
#[test]
fn aborts() { std::process::abort() }
//- /tests/kills.rs
#[test]
fn kills() { ended::by("-KILL") }
//- /tests/terminates.rs
#[test]
fn terminates() { ended::by("-TERM") }
//- /tests/uses.rs
#[test]
fn uses() { ended::by("-USR1") }
//- /tests/exits.rs
#[test]
fn exits() { std::process::exit(3) }
"#;

#[test]
fn how_a_test_ended_is_told_in_cargos_words() {
    let twins = Twins::new(ENDED);
    let (theirs, ours) = twins.run(&["test", "--no-fail-fast", "--tests"]);
    let ends = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("process didn't exit successfully"));
        lines.filter_map(|line| Some(line.rsplit_once("` (")?.1.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(ends(&ours.stderr), ends(&theirs.stderr), "{theirs}{ours}");
    assert_eq!(ends(&ours.stderr)[0], "signal: 6, SIGABRT: process abort signal)");
    assert_eq!(ends(&ours.stderr).len(), 5);
}

#[test]
fn check_and_package_selection_do_what_cargo_does() {
    let twins = Twins::new(WORKSPACE);
    let checked = twins.same_output(&["check", "-p", "library"]);
    assert!(checked.stderr.contains("Checking library") && !checked.stderr.contains("app"), "{checked}");
    twins.same_artifacts("debug");
    let excluded = twins.same_output(&["build", "--workspace", "--exclude", "app"]);
    assert!(!excluded.stderr.contains("app v0.4.0"), "{excluded}");
    twins.same_artifacts("debug");
    // What is asked for in vain.
    for arguments in [&["build", "-p", "absent"], &["build", "--bin", "absent"], &["run", "--example", "absent"]] {
        let (theirs, ours) = twins.run(arguments);
        assert_eq!(ours.code(), Some(101), "{ours}");
        let error = |text: &str| text.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned();
        assert_eq!(error(&ours.stderr), error(&theirs.stderr).replace("cargo run", "bulkhead run"));
    }
}

#[test]
fn target_folder_and_configuration_may_be_chosen_on_the_command_line() {
    let twins = Twins::new(WORKSPACE);
    twins.same_output(&["build", "-p", "library", "--target-dir", "elsewhere"]);
    for stage in [&twins.cargo, &twins.bulkhead] {
        assert!(stage.project.path("elsewhere/debug/liblibrary.rlib").is_file());
        assert!(!stage.project.path("target").exists());
    }
    // What was compiled for the first folder would not be compiled again.
    twins.bulkhead.bulkhead(&["cache", "gc", "--max-size", "0"]).assert_success();
    twins.same_output(&["build", "-p", "library", "--config", "build.target-dir='third'"]);
    assert!(twins.bulkhead.project.path("third/debug/liblibrary.rlib").is_file());
    // `-C` is unstable in Cargo and spares a `cd` here.
    let stage = &twins.bulkhead;
    let elsewhere = stage.home.command(BULKHEAD).current_dir("/");
    let root = stage.project.root().to_str().unwrap();
    let outcome = elsewhere.args(["-C", root, "run", "-q", "--target-dir", "third"]).run();
    assert!(outcome.assert_success().stdout.contains("Named 8"), "{outcome}");
}

#[test]
fn a_compile_error_is_shown_as_rustc_shows_it_and_fails_with_101() {
    let twins = Twins::new(WORKSPACE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("library/src/lib.rs", "value * 2 }", "value * \"2\" }");
    }
    let failed = twins.same_output(&["build", "-p", "library"]);
    assert_eq!(failed.code(), Some(101));
    assert!(failed.stderr.contains("could not compile `library` (lib) due to 1 previous error"), "{failed}");
    // Nothing needs cleaning: the next run succeeds.
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("library/src/lib.rs", "\"2\"", "2");
    }
    twins.same_output(&["build", "-p", "library"]);
}

#[test]
fn warnings_are_replayed_from_a_fresh_unit() {
    let twins = Twins::new(WORKSPACE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("library/src/lib.rs", "value * 2 }", "let unused = 1; value * 2 }");
    }
    let arguments = ["build", "-p", "library"];
    let first = twins.same_output(&arguments);
    assert!(first.stderr.contains("unused variable: `unused`"), "{first}");
    let second = twins.same_output(&arguments);
    assert!(second.stderr.contains("unused variable: `unused`") && !second.stderr.contains("Compiling"), "{second}");
}

/// JSON lines without what differs between two folders, in an order of their own (jobs overlap).
fn messages(stage: &Stage, text: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    for line in stage.neutral(text).lines() {
        let mut value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let Some(object) = value.as_object_mut() else { panic!("not an object: {line}") };
        if object["reason"] == "build-script-executed" {
            object.remove("out_dir");
            object.remove("env");
        }
        // Where packages are unpacked is each tool's own affair.
        if object.get("package_id").is_some_and(|id| !id.to_string().contains("path+file")) {
            object.remove("manifest_path");
            object.get_mut("target").and_then(Value::as_object_mut).map(|target| target.remove("src_path"));
        }
        if let Some(files) = object.get_mut("filenames").and_then(Value::as_array_mut) {
            files.iter_mut().for_each(|file| *file = without_hash(file.as_str().unwrap()).into());
        }
        lines.push(value);
    }
    lines.sort_by_key(|line| {
        let part = |key: &str| line.get(key).map(Value::to_string).unwrap_or_default();
        [part("reason"), part("package_id"), part("target"), part("filenames")]
    });
    lines
}

fn without_hash(path: &str) -> String {
    let hash = |part: &&str| part.len() == 16 && part.chars().all(|c| c.is_ascii_hexdigit());
    let parts: Vec<&str> = path.split(['-', '/', '.']).filter(|part| !hash(part)).collect();
    parts.join("/")
}

#[test]
fn json_messages_say_what_cargos_say() {
    let twins = Twins::new(WORKSPACE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("library/src/lib.rs", "value * 2 }", "let unused = 1; value * 2 }");
    }
    for _ in 0..2 {
        let (theirs, ours) = twins.run(&["build", "--message-format", "json"]);
        let (left, right) = (messages(&twins.bulkhead, &ours.stdout), messages(&twins.cargo, &theirs.stdout));
        assert_eq!(left.len(), right.len(), "{ours}\n{theirs}");
        for (left, right) in left.iter().zip(&right) {
            assert_eq!(left, right);
        }
        assert!(ours.stdout.contains(r#"{"reason":"build-finished","success":true}"#), "{ours}");
    }
}

#[test]
fn the_unit_graph_is_printed_and_nothing_is_built() {
    let stage = Stage::new(WORKSPACE);
    let outcome = stage.bulkhead(&["build", "--unit-graph"]);
    let graph: Value = serde_json::from_str(&outcome.assert_success().stdout).unwrap();
    assert_eq!(graph["version"], 1);
    let names: Vec<_> =
        graph["units"].as_array().unwrap().iter().map(|unit| unit["target"]["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"app") && names.contains(&"derive_it") && names.contains(&"build-script-build"),
        "{names:?}"
    );
    assert!(!stage.project.path("target/debug").exists());
}

#[test]
fn called_as_cargo_it_speaks_as_cargo() {
    let stage = Stage::new(WORKSPACE);
    let link = stage.project.outside().join("cargo");
    std::os::unix::fs::symlink(BULKHEAD, &link).unwrap();
    let ours = |arguments: &[&str]| stage.home.command(&link).args(arguments).current_dir(stage.project.root()).run();
    let version = ours(&["--version"]);
    assert!(version.assert_success().stdout.starts_with("cargo 1."), "{version}");
    // Cargo's own commands and flags are understood; those that tools parse look the same.
    let theirs = stage.cargo(&["locate-project", "--message-format", "plain"]);
    assert_eq!(theirs.code(), Some(0));
    let built = ours(&["build", "-q", "-p", "library"]);
    assert_eq!((built.assert_success().stdout.as_str(), built.stderr.as_str()), ("", ""));
    assert!(toolchain_program("cargo").exists());
}

#[test]
fn what_will_take_longest_starts_first() {
    let stage = Stage::new(
        r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
airy = "1"
native = "1"
weighty = "1"
//- /src/main.rs
fn main() {}
"#,
    );
    // Nothing in it repeats, so that the archive is large too.
    let noise =
        |length: u32| (0..length).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8 ^ (at >> 7) as u8).collect();
    let noise: [Vec<u8>; 2] = [noise(64 << 10), noise(256 << 10)];
    stage.registry.publish(CrateBuilder::new("airy", "1.0.0"));
    stage.registry.publish(CrateBuilder::new("weighty", "1.0.0").file("data", noise[0].clone()));
    let native = CrateBuilder::new("native", "1.0.0").links("native").build_script("fn main() {}");
    stage.registry.publish(native.file("data", noise[1].clone()));
    let outcome = stage.bulkhead(&["build", "-j1"]);
    outcome.assert_success();
    let position = |name: &str| outcome.stderr.find(&format!("Compiling {name} v")).unwrap();
    assert!(position("native") < position("weighty"), "{outcome}");
    assert!(position("weighty") < position("airy"), "{outcome}");
}

#[test]
fn build_scripts_write_again_what_they_copied_from_their_package() {
    let stage = Stage::new(
        r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
native = "1"
//- /src/main.rs
fn main() {}
"#,
    );
    let script = r#"fn main() {
        let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap()).join("bindings.rs");
        std::fs::copy("bindings.rs", out).unwrap();
        println!("cargo:rerun-if-env-changed=CFLAGS");
    }"#;
    let native = CrateBuilder::new("native", "1.0.0").file("bindings.rs", "").build_script(script);
    stage.registry.publish(native);
    stage.bulkhead(&["build"]).assert_success();
    let again = stage.command(&["build", "-v"]).env("CFLAGS", "-O2").run();
    again.assert_success();
    assert!(again.stderr.contains("CFLAGS changed"), "{again}");
}

/// `clean -p` leaves nothing of the package, neither what its compiler remembers nor programs with names of their own, and
/// nothing of another is touched.
#[test]
fn clean_of_a_package_leaves_nothing_of_it() {
    let package = |name: &str, more: &str| {
        format!("//- /{name}/Cargo.toml\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}")
    };
    let tool = "[[bin]]\nname = \"odd\"\npath = \"src/main.rs\"\n//- /my/src/main.rs\nfn main() {}\n";
    let fixture = format!(
        "//- /Cargo.toml\n[workspace]\nresolver = \"2\"\nmembers = [\"my\", \"my-app\"]\n{}{}//- /my-app/src/main.rs\nfn main() {{}}\n",
        package("my", tool),
        package("my-app", ""),
    );
    let stage = Stage::new(&fixture);
    stage.bulkhead(&["build"]).assert_success();
    let files = || {
        let mut files = Vec::new();
        let mut folders = vec![stage.project.path("target/debug")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                files.push(path.strip_prefix(stage.project.path("target/debug")).unwrap().display().to_string());
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                }
            }
        }
        files
    };
    let others =
        |files: &[String]| files.iter().filter(|file| file.contains("my-app") || file.contains("my_app")).count();
    let before = files();
    assert!(
        before.iter().any(|file| file.starts_with("incremental/my-")) && before.contains(&"odd".to_owned()),
        "{before:?}"
    );
    stage.bulkhead(&["clean", "-p", "my"]).assert_success();
    let after = files();
    assert_eq!(others(&after), others(&before), "{before:?}\n{after:?}");
    let left: Vec<_> = after
        .iter()
        .filter(|file| file.contains("odd") || file.contains("/my-0") || file.contains("bin-my-"))
        .collect();
    assert!(left.iter().all(|file| file.contains("my-app")), "{left:?}");
    stage.bulkhead(&["clean", "-p", "my-app"]).assert_success();
    let left = files();
    assert_eq!(others(&left), 0, "{left:?}");
}

/// As cargo-expand does it, in a folder for temporary files. Macros, which run inside the compiler, get no way there by it.
#[test]
fn what_o_names_is_written_there_by_nobody_else() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let twins = Twins::new(
        r#"
//- /Cargo.toml
[workspace]
members = ["app", "mac"]
resolver = "3"
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
mac = { path = "../mac" }
//- /app/src/main.rs
mac::plant!(PLANT);
fn main() {}
//- /mac/Cargo.toml
[package]
name = "mac"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
//- /mac/src/lib.rs
#[proc_macro]
pub fn plant(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let _ = std::fs::write(input.to_string().trim_matches('"'), "planted");
    proc_macro::TokenStream::new()
}
"#,
    );
    let stages = [&twins.cargo, &twins.bulkhead];
    let made = |index: usize, arguments: &[&str]| {
        let (stage, folder) = (stages[index], folders[index].path());
        let main = format!("mac::plant!({:?});\nfn main() {{}}\n", folder.join("planted"));
        std::fs::write(stage.project.path("app/src/main.rs"), main).unwrap();
        let file = folder.join("made").display().to_string();
        let arguments = [&["rustc", "-p", "app", "--message-format", "json"], arguments, &["-o", &file]].concat();
        let outcome = if index == 0 { stage.cargo(&arguments) } else { stage.bulkhead(&arguments) };
        let said: Vec<_> =
            outcome.assert_success().stdout.lines().filter(|line| line.contains("\"executable\":\"")).collect();
        let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.map(|name| name.split('-').next().unwrap().to_owned()).collect();
        names.sort();
        (stage.neutral(&said.concat()), names)
    };
    for arguments in [&["--"][..], &["--", "--emit=asm"]] {
        let (theirs, ours) = (made(0, arguments), made(1, arguments));
        assert_eq!(ours.0, theirs.0, "{arguments:?}");
        // It bites under cargo.
        assert!(
            theirs.1.contains(&"planted".to_owned()) && !ours.1.contains(&"planted".to_owned()),
            "{theirs:?} {ours:?}"
        );
        let theirs: Vec<_> = theirs.1.into_iter().filter(|name| name != "planted").collect();
        assert!(!ours.1.is_empty() && ours.1 == theirs, "{arguments:?}: {ours:?} {theirs:?}");
    }
}

/// `b` has a feature that only one member asks for, another that only a build script's dependency has.
const OTHERS: &str = r#"
//- /Cargo.toml
[workspace]
members = ["one", "two"]
default-members = ["one"]
resolver = "2"
//- /one/Cargo.toml
[package]
name = "one"
version = "0.1.0"
edition = "2021"
[dependencies]
b = { version = "1", features = ["f"] }
[dev-dependencies]
d = "1"
//- /one/src/lib.rs
//- /two/Cargo.toml
[package]
name = "two"
version = "0.1.0"
edition = "2021"
[dependencies]
b = { version = "1", features = ["g"] }
[build-dependencies]
h = "1"
//- /two/build.rs
fn main() {}
//- /two/src/lib.rs
"#;

/// `-p` may name any package that is built, with the features of the members that are named as well, or else of all.
#[test]
fn packages_outside_of_the_workspace_are_built_by_name() {
    let packages =
        "a 1.0.0\nb 1.0.0 | a ^1 | e ^1 | feature f = | feature g =\nc 1.0.0\nd 1.0.0\ne 1.0.0 | dev c ^1\nh 1.0.0\n";
    let twins = Twins::with_packages(OTHERS, packages);
    twins.run(&["generate-lockfile"]);
    for arguments in [
        &["build", "-p", "b"][..],
        &["build", "-p", "b"],
        &["build", "-p", "b", "-p", "one"],
        &["check", "-p", "a@1.0.0"],
        &["check", "-p", "two", "-p", "a"],
        &["doc", "-p", "b", "--no-deps"],
        &["rustc", "-p", "a", "--", "--cfg", "x"],
        &["build", "-p", "b", "--features", "f"],
        &["build", "-p", "b", "--all-features"],
        &["build", "-p", "c"],
        &["build", "-p", "b@2"],
        &["build", "-p", "x*", "-p", "b*"],
        &["bench", "-p", "e"],
    ] {
        twins.same_output(arguments);
    }
    let (_, tested) = twins.run(&["test", "-p", "b", "--lib"]);
    assert!(tested.stdout.contains("running 0 tests"), "{tested}");
    twins.same_artifacts("debug");
    // `cargo` panics.
    let refused = twins.bulkhead.bulkhead(&["build", "-p", "h"]);
    refused.assert_code(101);
    assert!(refused.stderr.contains("package `h v1.0.0") && refused.stderr.contains("only build scripts"), "{refused}");
}

/// `target/debug/NAME.d` comes with the end of a build that succeeds.
#[test]
fn what_artifacts_were_made_from_is_written_down_when_all_are_built() {
    let package = |name: &str, code: &str| {
        format!(
            "//- /{name}/Cargo.toml\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
             //- /{name}/src/main.rs\nfn main() {{ {code} }}\n"
        )
    };
    let workspace = "//- /Cargo.toml\n[workspace]\nmembers = [\"whole\", \"broken\"]\nresolver = \"2\"\n";
    let twins = Twins::new(&format!("{workspace}{}{}", package("whole", ""), package("broken", "nothing")));
    let has = |name: &str| {
        [&twins.cargo, &twins.bulkhead].map(|stage| stage.project.path("target/debug").join(name).exists())
    };
    twins.run(&["build", "--keep-going"]);
    assert_eq!((has("whole"), has("whole.d")), ([true; 2], [false; 2]));
    twins.both(|stage| stage.project.write("broken/src/main.rs", "fn main() {}"));
    twins.run(&["build"]);
    twins.same_artifacts("debug");
    assert_eq!(has("whole.d"), [true; 2]);
}
