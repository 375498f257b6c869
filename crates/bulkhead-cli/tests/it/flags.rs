//! Many command lines on one workspace, each beside `cargo`: the same exit code, lines, lockfile and artifacts.

use crate::stage::{Twins, WORKSPACE};

#[test]
fn flags_that_choose_what_is_built_mean_what_they_mean_to_cargo() {
    let twins = Twins::new(WORKSPACE);
    for arguments in [
        &["build", "--all-targets"][..],
        &["build", "--lib", "-p", "library"],
        &["build", "--bins"],
        &["build", "--bin", "app", "--features", "shout"],
        &["build", "--examples"],
        &["check", "--all-features", "--workspace"],
        &["check", "--tests", "-p", "app"],
        &["check", "--profile", "release", "-p", "library"],
        &["build", "--no-default-features", "-p", "app"],
        &["build", "--message-format", "short"],
        &["build", "-q", "--release", "-p", "library"],
        &["test", "--no-run", "-p", "library", "--lib"],
        &["build", "-j", "1", "--keep-going"],
        &["b", "-p", "app"],
        &["c", "--manifest-path", "library/Cargo.toml"],
        &["r", "-q"],
        &["t", "-q", "-p", "app", "--bins"],
    ] {
        let (theirs, ours) = twins.run(arguments);
        let steps = |text: &str| {
            let mut lines: Vec<String> = text
                .lines()
                .filter(|line| {
                    ["Compiling", "Checking", "Finished", "Executable"].iter().any(|verb| line.contains(verb))
                })
                .map(|line| twins.cargo.neutral(&twins.bulkhead.neutral(line)))
                .map(|line| line.split(" (target/").next().unwrap_or_default().trim_end().to_owned())
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(steps(&ours.stderr), steps(&theirs.stderr), "{arguments:?}\n{ours}\n{theirs}");
    }
    twins.same_artifacts("debug");
    twins.same_artifacts("release");
}

#[test]
fn a_platform_that_is_named_has_its_own_folder() {
    let host = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
    let twins = Twins::new(WORKSPACE);
    twins.same_output(&["build", "--target", host]);
    twins.same_artifacts(&format!("{host}/debug"));
    twins.same_artifacts("debug");
    let outcome = twins.same_output(&["run", "-q", "--target", host]);
    assert!(outcome.stdout.contains("Named 8 plain 1.1.0"), "{outcome}");
}

#[test]
fn what_makes_no_sense_is_refused_with_cargos_code_and_words() {
    let twins = Twins::new(WORKSPACE);
    twins.run(&["generate-lockfile"]);
    let differences: Vec<String> = [
        &["build", "--nonsense"][..],
        &["nonsense"],
        &["buld"],
        &["build", "--features", "none-such", "-p", "app"],
        &["build", "--profile", "none-such"],
        &["build", "--manifest-path", "absent/Cargo.toml"],
        &["build", "--manifest-path", "app"],
        &["build", "-j", "0"],
        &["build", "--bin", "none-such"],
        &["build", "--example", "none-such"],
        &["build", "--test", "none-such"],
        &["run", "-p", "library"],
        &["build", "--exclude", "app"],
        &["build", "--message-format", "nonsense"],
        &["build", "--color", "sometimes"],
        &["build", "-q", "-v"],
        &["update", "--precise", "1.0.0"],
        &["update", "-p", "plain", "--precise", "nonsense"],
        &["tree", "-i", "none-such"],
        &["metadata", "--format-version", "2"],
        &["new"],
        &["build", "--config", "nonsense"],
    ]
    .iter()
    .filter_map(|arguments| {
        let (theirs, ours) = (twins.cargo.cargo(arguments), twins.bulkhead.bulkhead(arguments));
        let first = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("error")).unwrap_or_default();
            twins.cargo.neutral(&twins.bulkhead.neutral(line)).replace("cargo", "bulkhead").to_lowercase()
        };
        let same = ours.code() == theirs.code() && first(&ours.stderr) == first(&theirs.stderr);
        (!same)
            .then(|| format!("{arguments:?}\n{:?} {}\n{:?} {}", theirs.code(), theirs.stderr, ours.code(), ours.stderr))
    })
    .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Attached programs and people ask so.
#[test]
fn an_option_without_its_value_says_what_could_be_named() {
    let twins = Twins::new(WORKSPACE);
    let questions = "build -p|build --bin|build --example|build --test|build --bench|run -p|run --bin|run --example --bin\
                     |tree -p|tree -i|pkgid -p|update -p|clean -p|test --test|check --package|rustc -p|doc -p|remove x -p\
                     |build --target|build --workspace --bin|build -p library --bin|build -p --bin|install --bin\
                     |build --workspace --exclude app --example|build --manifest-path library/Cargo.toml --bin";
    for question in questions.split('|') {
        let arguments: Vec<&str> = question.split_whitespace().collect();
        let (theirs, ours) = (twins.cargo.cargo(&arguments), twins.bulkhead.bulkhead(&arguments));
        assert_eq!(
            (ours.code(), &ours.stdout, &ours.stderr),
            (theirs.code(), &theirs.stdout, &theirs.stderr),
            "{question}"
        );
        assert_eq!(ours.code(), Some(101), "{question}: {ours}");
    }
    // Asked once, and answered elsewhere: no question.
    twins.run(&["check", "--bin", "app", "--bin"]);
    twins.run(&["check", "-p", "nobody", "--bin"]);
}
