//! Editors and tools that know only `cargo`, given Bulkhead in its place: each is run for real where it is installed, and what
//! rust-analyzer asks is asked in any case.

use crate::stage::{BULKHEAD, Stage, Twins, WORKSPACE, each, skipped};
use bulkhead_test_support::{Invocation, Outcome, toolchain_program};
use std::path::{Path, PathBuf};

/// Where the program `name` is, or a line that says why the test is skipped.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let folders = std::env::split_paths(&path).chain(home.map(|home| home.join("bin")));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skipped(&format!("`{name}` is not installed (`cargo install {name}`)"));
    }
    found
}

/// `program COMMAND ARGUMENTS`, where `program` finds the tool as its users' does.
fn with_tool(stage: &Stage, program: &str, tool: &Path, arguments: &[&str]) -> Invocation {
    let bin = toolchain_program("rustc").parent().unwrap().display().to_string();
    let path = format!("{}:{bin}:/usr/bin:/bin", tool.parent().unwrap().display());
    stage.home.command(program).args(arguments).current_dir(stage.project.root()).env("PATH", path)
}

/// Runs both programs with the tool and asserts equal exit codes; standard outputs come back without what differs by nature.
#[track_caller]
fn both(twins: &Twins, tool: &Path, arguments: &[&str]) -> [(Outcome, String); 2] {
    let sides = [(&twins.cargo, "cargo"), (&twins.bulkhead, BULKHEAD)];
    let answers = sides.map(|(stage, program)| {
        let outcome = with_tool(stage, program, tool, arguments).run();
        let text = without_hashes(&stage.neutral(&outcome.stdout));
        (outcome, text)
    });
    let [(theirs, _), (ours, _)] = &answers;
    assert_eq!(ours.code(), theirs.code(), "{arguments:?}\ncargo: {theirs}\nbulkhead: {ours}");
    answers
}

/// The text with each hash of a unit (16 hexadecimal digits behind a hyphen) replaced.
fn without_hashes(text: &str) -> String {
    let mut parts = text.split('-');
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        result.push('-');
        result.push_str(&if digits == 16 { format!("HASH{}", &part[16..]) } else { part.to_owned() });
    }
    result
}

#[test]
fn nextest_lists_archives_and_runs_the_same_tests() {
    let Some(tool) = installed("cargo-nextest") else { return };
    let twins = Twins::new(WORKSPACE);
    let [(_, theirs), (_, ours)] = both(&twins, &tool, &["nextest", "list", "--message-format", "json-pretty"]);
    assert_eq!(ours, theirs);
    assert!(ours.contains("program_is_there"), "{ours}");
    let [_, (run, _)] = both(&twins, &tool, &["nextest", "run", "--no-fail-fast", "--cargo-quiet"]);
    assert!(run.stderr.contains("3 tests run: 3 passed"), "{run}");
    // A test that fails gives nextest's own code, not Bulkhead's.
    let [_, (run, _)] = both(&twins, &tool, &["nextest", "run", "-p", "library", "--features", "library/broken"]);
    run.assert_code(100);
    both(&twins, &tool, &["nextest", "archive", "--archive-file", "tests.tar.zst"]);
    let [_, (run, _)] = both(&twins, &tool, &["nextest", "run", "--archive-file", "tests.tar.zst"]);
    assert!(run.stderr.contains("3 tests run: 3 passed"), "{run}");
}

/// Attack 5 and a benign twin: nextest asks Bulkhead for everything, so that code which it builds is confined.
#[test]
fn what_nextest_builds_is_confined() {
    let Some(tool) = installed("cargo-nextest") else { return };
    let stage = Stage::new(WORKSPACE);
    let secret = stage.home.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let script = format!("fn main() {{ std::fs::read({secret:?}).map(drop).expect_err(\"it was read\"); }}\n");
    std::fs::write(stage.project.path("library/build.rs"), script).unwrap();
    let run = |program| with_tool(&stage, program, &tool, &["nextest", "run", "-p", "library"]).run();
    assert!(run("cargo").assert_code(100 + 1).stderr.contains("it was read"));
    run(BULKHEAD).assert_success();
}

/// What rust-analyzer 1.95 asks, in its order, with the variables that it sets; `LIBRARY` is its view of the standard library.
#[test]
fn questions_of_rust_analyzer_are_answered_as_by_cargo() {
    const BOOTSTRAP: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");
    const NIGHTLY: (&str, &str) = ("__CARGO_TEST_CHANNEL_OVERRIDE_DO_NOT_USE_THIS", "nightly");
    const NONE: (&str, &str) = ("UNRELATED", "1");
    let host = "x86_64-unknown-linux-gnu";
    let twins = Twins::new(WORKSPACE);
    twins.run(&["generate-lockfile"]);
    let questions: [(_, &[&str]); 10] = [
        (NONE, &["locate-project", "--workspace", "--manifest-path", "Cargo.toml"]),
        (BOOTSTRAP, &["-Z", "unstable-options", "config", "get", "build", "--format", "toml", "--show-origin"]),
        (BOOTSTRAP, &["config", "get", "env", "--format", "json", "-Zunstable-options"]),
        (NONE, &["metadata", "--format-version", "1", "--no-deps", "--filter-platform", host]),
        (NONE, &["metadata", "--format-version", "1", "--filter-platform", host]),
        (NIGHTLY, &["rustc", "-Z", "unstable-options", "--print", "cfg", "--target", host, "-p", "app", "--", "-O"]),
        (
            BOOTSTRAP,
            &["rustc", "-Zunstable-options", "--print", "target-spec-json", "-p", "app", "--", "-Zunstable-options"],
        ),
        (BOOTSTRAP, &["rustc", "-Zunstable-options", "--print", "nonsense", "-p", "app"]),
        (NONE, &["rustc", "-Zunstable-options", "--print", "cfg", "-p", "app"]),
        (NONE, &["check", "--quiet", "--workspace", "--message-format=json", "--keep-going", "--all-targets"]),
    ];
    each(questions, |((name, value), arguments)| {
        let ask = |stage: &Stage, program: &str| {
            let outcome = stage.home.command(program).args(*arguments).current_dir(stage.project.root());
            let outcome = outcome.env(name, value).run();
            let mut lines: Vec<_> = comparable(stage, &outcome.stdout).lines().map(str::to_owned).collect();
            lines.sort();
            (outcome, lines)
        };
        let ((theirs, left), (ours, right)) = (ask(&twins.cargo, "cargo"), ask(&twins.bulkhead, BULKHEAD));
        assert_eq!(ours.code(), theirs.code(), "cargo: {theirs}\nbulkhead: {ours}");
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|line| !those.contains(line)).cloned().collect()
        };
        assert_eq!(only(&right, &left), only(&left, &right), "{arguments:?}");
    });
}

/// Standard output without what differs by nature: hashes, and where packages of the registry are kept.
fn comparable(stage: &Stage, text: &str) -> String {
    let text = without_hashes(&stage.neutral(text));
    let mut parts = text.split("[HOME]");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (path, rest) = part.split_at(part.find('"').unwrap_or(part.len()));
        result.extend(["[HOME]", &path[path.rfind('/').unwrap_or(0)..], rest]);
    }
    result
}

/// rust-analyzer resolves in a copy of the lockfile, so that the user's is not written to while somebody types.
#[test]
fn a_copy_of_the_lockfile_is_used_where_rust_analyzer_names_one() {
    let twins = Twins::new(WORKSPACE);
    let ask = |stage: &Stage, program: &str, file: &str, arguments: &[&str]| {
        let path = stage.project.path(file);
        let run = stage.home.command(program).args(arguments).current_dir(stage.project.root());
        run.env("RUSTC_BOOTSTRAP", "1").env("CARGO_RESOLVER_LOCKFILE_PATH", path).run()
    };
    let metadata = ["metadata", "--format-version", "1", "-Zunstable-options", "-Zlockfile-path"];
    twins.both(|stage| std::fs::create_dir(stage.project.path("copy")).unwrap());
    for (stage, program) in [(&twins.cargo, "cargo"), (&twins.bulkhead, BULKHEAD)] {
        ask(stage, program, "copy/Cargo.lock", &metadata).assert_success();
        assert!(!stage.project.path("Cargo.lock").exists() && stage.project.path("copy/Cargo.lock").exists());
        let outcome = ask(stage, program, "copy/other.lock", &metadata);
        assert!(outcome.assert_code(101).stderr.contains("must be a path to a Cargo.lock file"), "{outcome}");
        // Without the flag the variable says nothing.
        ask(stage, program, "copy/other.lock", &["generate-lockfile"]).assert_success();
        let read = |file: &str| std::fs::read_to_string(stage.project.path(file)).unwrap();
        assert_eq!(read("copy/Cargo.lock"), read("Cargo.lock"));
    }
}

#[test]
fn unstable_flags_are_refused_whatever_the_environment_says() {
    let stage = Stage::new(WORKSPACE);
    let refused = |flag: &str, bootstrap: &str, message: &str| {
        let outcome = stage.command(&["check", "-Z", flag]).env("RUSTC_BOOTSTRAP", bootstrap).run();
        assert!(outcome.assert_code(101).stderr.contains(message), "{outcome}");
    };
    refused("unstable-options", "0", "only accepted on the nightly channel");
    refused("build-std", "1", "Bulkhead follows stable Cargo and knows no `-Z build-std`");
}
