//! Many command lines on one workspace, each beside `cargo`: the same exit code, lines, lockfile and artifacts.

use crate::stage::{APP, Stage, Twins, WORKSPACE};

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
        let same = ours.ends_as(&theirs) && first(&ours.stderr) == first(&theirs.stderr);
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

/// Attack 1: what a flag takes passes a grammar before anything uses it, whatever the command.
#[test]
fn attack_1_values_of_flags_are_words_of_their_kind() {
    let stage = Stage::new(APP);
    let long = "x".repeat(20_000);
    let flags: [(&str, &[&str]); 14] = [
        ("--package", &["build", "check", "clean", "run", "test", "tree", "update", "remove", "pkgid"]),
        ("--exclude", &["build", "test"]),
        ("--bin", &["build", "run"]),
        ("--example", &["build", "run"]),
        ("--test", &["test"]),
        ("--bench", &["bench"]),
        ("--features", &["build", "run", "metadata"]),
        ("--profile", &["build", "clean"]),
        ("--target", &["build", "clean", "fetch", "doc"]),
        ("--registry", &["search", "login", "info"]),
        ("--index", &["search", "info"]),
        ("--git", &["add"]),
        ("--rev", &["add"]),
        ("--manifest-path", &["build", "metadata"]),
    ];
    for (flag, commands) in flags {
        for command in commands {
            for value in ["-x", "--config=build.rustc='x'", "$(touch x)\u{7}", "\u{1b}]0;x\u{7}", &long] {
                let line = [command.to_string(), format!("{flag}={value}"), "x".to_owned()];
                // `build` and the like take no word of their own.
                let words = if ["search", "info", "add", "remove"].contains(command) { 3 } else { 2 };
                let line: Vec<&str> = line.iter().take(words).map(String::as_str).collect();
                let outcome = stage.bulkhead(&line);
                assert!(matches!(outcome.code(), Some(1 | 101)), "{line:?} {outcome}");
                assert!(!outcome.output().contains(['\u{1b}', '\u{7}']) && outcome.output().len() < 4000, "{outcome}");
            }
        }
    }
    assert!(stage.registry.requests().is_empty(), "nothing was asked for");
    assert!(!stage.project.path("target").exists() && !stage.project.path("Cargo.lock").exists());
    // The benign twins.
    for line in [
        &["check", "--package", "a*", "--features", "plain/loud"][..],
        &["check", "--bin", "app", "--profile", "dev", "--target", "x86_64-unknown-linux-gnu"],
        &["tree", "--package", "app@0.1.0"],
    ] {
        stage.bulkhead(line).assert_success();
    }
}

/// Attack 1: the same words from the environment and from files.
#[test]
fn attack_1_values_of_variables_and_files_are_words_of_their_kind() {
    let stage = Stage::new(APP);
    for (name, value) in [
        ("CARGO_BUILD_TARGET", "-x"),
        ("CARGO_BUILD_TARGET", "../../x"),
        ("RUSTC", "-x"),
        ("RUSTC", "../rustc"),
        ("RUSTUP_TOOLCHAIN", "-x"),
        ("CARGO_REGISTRIES_X_INDEX", "--upload-pack=x"),
    ] {
        let outcome = stage.command(&["build", "--config", "registries.x.token='t'"]).env(name, value).run();
        let harmless = name.starts_with("CARGO_REG") || (name == "RUSTUP_TOOLCHAIN" && outcome.code() == Some(0));
        assert!(harmless || outcome.code() == Some(101), "{name}={value}: {outcome}");
    }
    for text in ["[build]\ntarget = \"-x\"\n", "[build]\ntarget = [\"a b\"]\n"] {
        stage.project.write(".cargo/config.toml", text);
        stage.bulkhead(&["build"]).assert_code(101);
    }
}
