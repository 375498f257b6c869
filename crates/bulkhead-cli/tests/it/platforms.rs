//! What configuration says of platforms, beside `cargo`: words in the place of build scripts, runners, several platforms, and
//! how tests and programs are started.

use crate::stage::{BULKHEAD, Stage, Twins};

const HOST: &str = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

const LINKED: &str = r#"
//- /Cargo.toml
[workspace]
resolver = "2"
members = ["app", "sys"]
//- /sys/Cargo.toml
[package]
name = "sys"
version = "0.1.0"
edition = "2021"
links = "foo"
//- /sys/build.rs
fn main() { println!("cargo::rustc-env=FROM=script"); println!("cargo::metadata=key=script"); }
//- /sys/src/lib.rs
pub const FROM: &str = env!("FROM");
pub const CFG: bool = cfg!(over);
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
sys = { path = "../sys" }
//- /app/build.rs
fn main() {
    let mut told: Vec<_> = std::env::vars().filter(|(name, _)| name.starts_with("DEP_")).collect();
    told.sort();
    println!("cargo::rustc-env=TOLD={told:?}");
}
//- /app/src/main.rs
fn main() { println!("{} {} {} {:?}", sys::FROM, sys::CFG, env!("TOLD"), std::env::args().collect::<Vec<_>>()) }
//- /app/src/lib.rs
//! ```
//! assert_eq!(1, 1);
//! ```
//- /app/tests/t.rs
#[test]
fn t() { println!("{:?}", std::env::args().skip(1).collect::<Vec<_>>()) }
//- /run.sh
#!/bin/sh
echo "runner $@"
"#;

const OVERRIDE: &str = r#"
rustc-link-lib = ["m"]
rustc-link-search = ["/usr/lib", "native=/opt/none"]
rustc-cfg = ["over"]
rustc-check-cfg = ["cfg(over)"]
rustc-env = { FROM = "configuration" }
rustc-flags = "-l dl -L /usr/lib"
root = "/opt/foo"
key = "value"
"#;

/// The arguments of rustc that a build script can cause.
fn caused(stderr: &str) -> Vec<String> {
    let words = stderr.lines().filter(|line| line.contains("--crate-name")).flat_map(|line| {
        let words: Vec<_> = line.split_whitespace().map(|word| word.trim_matches(['`', '\'']).to_owned()).collect();
        words.windows(2).map(|pair| pair.join(" ")).collect::<Vec<_>>()
    });
    let is_caused = |pair: &String| {
        ["-l ", "--cfg "].iter().any(|start| pair.starts_with(start))
            || (pair.starts_with("-L ") && !pair.contains("dependency="))
    };
    let mut words: Vec<_> = words.filter(is_caused).collect();
    words.sort();
    words
}

#[test]
fn configuration_speaks_for_build_scripts() {
    let twins = Twins::new(LINKED);
    twins.both(|stage| {
        stage.project.write("over.toml", format!("[target.{HOST}.foo]{OVERRIDE}"));
        stage.project.write("sys/build.rs", "fn main() { panic!() }");
    });
    let over = ["--config", "over.toml"];
    let outcome = twins.same_output(&["run", "-q", over[0], over[1]]);
    assert!(
        outcome
            .stdout
            .starts_with("configuration true [(\"DEP_FOO_KEY\", \"value\"), (\"DEP_FOO_ROOT\", \"/opt/foo\")]")
    );
    twins.both(|stage| std::fs::remove_dir_all(stage.project.path("target")).unwrap());
    let (cargo, bulkhead) = twins.run(&["build", "-v", over[0], over[1]]);
    assert_eq!(caused(&bulkhead.stderr), caused(&cargo.stderr));
    assert!(caused(&bulkhead.stderr).contains(&"-l dl".to_owned()));
    twins.same_artifacts("debug");
    let again = twins.run(&["build", "-v", over[0], over[1]]).1;
    assert!(!again.stderr.contains("Dirty") && !again.stderr.contains("Running"), "{again}");
    twins.both(|stage| stage.project.edit("over.toml", "\"configuration\"", "\"elsewhere\""));
    assert!(twins.same_output(&["run", "-q", over[0], over[1]]).stdout.starts_with("elsewhere true"));
    for platform in [HOST, "other-unknown-linux-gnu"] {
        twins.both(|stage| {
            stage.project.write("sys/build.rs", "fn main() { println!(\"cargo::rustc-env=FROM=script\"); }");
            stage.project.write("over.toml", format!("[target.{platform}.foo]{OVERRIDE}"));
        });
        twins.same_output(&["run", "-q", "--target", HOST, over[0], over[1]]);
    }
}

#[test]
fn what_configuration_cannot_say_for_a_build_script() {
    let twins = Twins::new(LINKED);
    for key in
        ["warning = 'x'", "rerun-if-changed = 'x'", "rerun-if-env-changed = 'X'", "meta = true", "rustc-flags = 'x'"]
    {
        let config = format!("target.{HOST}.foo.{key}");
        let (cargo, bulkhead) = twins.run(&["check", "--config", &config]);
        assert_eq!((cargo.code(), bulkhead.code()), (Some(101), Some(101)), "{key}: {cargo} {bulkhead}");
    }
    let lines = format!("target.{HOST}.foo.key = \"a\\ncargo:rustc-link-lib=evil\"");
    let outcome = twins.bulkhead.bulkhead(&["check", "--config", &lines]);
    outcome.assert_code(101);
    assert!(outcome.stderr.contains("line break"), "{outcome}");
}

/// Attack 20: what a repository's configuration says for a build script ends up on the command line of the linker.
#[test]
fn a_repository_does_not_speak_for_build_scripts_until_it_is_trusted() {
    let stage = Stage::new(LINKED);
    stage.project.write(".cargo/config.toml", format!("[target.{HOST}.foo]{OVERRIDE}"));
    assert!(stage.cargo(&["run", "-q"]).stdout.starts_with("configuration true"));
    let untrusted = stage.bulkhead(&["run", "-q"]);
    assert!(untrusted.stdout.starts_with("script false") || untrusted.code() == Some(103), "{untrusted}");
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    assert!(stage.bulkhead(&["run", "-q"]).stdout.starts_with("configuration true"));
}

#[test]
fn runners_start_programs_and_tests() {
    let twins = Twins::new(LINKED);
    twins.both(|stage| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(stage.project.path("run.sh"), mode).unwrap();
        stage.project.write("runner.toml", "");
    });
    let by_triple = format!("target.{HOST}.runner = ['{{}}', 'one']");
    let cases = [by_triple.as_str(), "target.'cfg(unix)'.runner = '{} two'", "target.'cfg(windows)'.runner = '{}'"];
    for case in cases {
        twins.both(|stage| {
            let path = stage.project.path("run.sh");
            stage.project.write("runner.toml", case.replace("{}", path.to_str().unwrap()));
        });
        for line in [&["run", "-q", "--", "a"][..], &["run", "-q", "--target", HOST]] {
            twins.same_output(&[&line[..2], &["--config", "runner.toml"], &line[2..]].concat());
        }
        let (cargo, bulkhead) = twins.run(&["test", "--test", "t", "--config", "runner.toml", "--", "--nocapture"]);
        assert_eq!((cargo.code(), bulkhead.code()), (Some(0), Some(0)));
        assert_eq!(cargo.stdout.contains("runner"), bulkhead.stdout.contains("runner"), "{case}: {cargo}{bulkhead}");
    }
    let variable = format!("CARGO_TARGET_{}_RUNNER", HOST.to_uppercase().replace('-', "_"));
    let said = [(&twins.cargo, "cargo"), (&twins.bulkhead, BULKHEAD)].map(|(stage, program)| {
        let runner = format!("{} three", stage.project.path("run.sh").display());
        let command = stage.home.command(program).args(["run", "-q", "--", "b"]).current_dir(stage.project.root());
        stage.neutral(&command.env(&variable, runner).run().stdout)
    });
    assert!(said[0].starts_with("runner three target/debug/app b") && said[0] == said[1], "{said:?}");
    let twice = ["--config", "target.'cfg(unix)'.runner = 'a'", "--config", "target.'cfg(all())'.runner = 'b'"];
    let (cargo, bulkhead) = twins.run(&[&["run"], &twice[..]].concat());
    let first = |text: &str| text.lines().find(|line| line.starts_with("error")).map(str::to_owned);
    assert_eq!(first(&bulkhead.stderr), first(&cargo.stderr));
}

#[test]
fn programs_see_the_name_by_which_cargo_starts_them() {
    let twins = Twins::new(LINKED);
    assert!(twins.same_output(&["run", "-q"]).stdout.contains("[\"target/debug/app\"]"));
}

#[test]
fn a_test_that_ends_otherwise_hands_on_its_code() {
    let twins = Twins::new(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        //- /src/lib.rs\n\
        //- /tests/seven.rs\n#[test]\nfn seven() { std::process::exit(7) }\n\
        //- /tests/panics.rs\n#[test]\nfn panics() { panic!() }\n",
    );
    let lines: &[&[&str]] = &[
        &["--test", "seven"],
        &["--test", "seven", "--", "--nocapture"],
        &["--test", "seven", "-q"],
        &["--test", "panics"],
        &["--test", "seven", "--test", "panics", "--no-fail-fast"],
    ];
    for line in lines {
        let (cargo, bulkhead) = twins.run(&[&["test"], *line].concat());
        let notes = |text: &str| text.lines().filter(|line| line.starts_with("note: test exited")).count();
        assert_eq!((bulkhead.code(), notes(&bulkhead.stderr)), (cargo.code(), notes(&cargo.stderr)), "{line:?}");
    }
}

#[test]
fn platforms_may_be_several() {
    let twins = Twins::new(LINKED);
    let (cargo, bulkhead) = twins.run(&["test", "-p", "app", "--doc", "--target", HOST]);
    let ran = |text: &str| text.contains("test result: ok. 1 passed");
    assert!(ran(&cargo.stdout) && ran(&bulkhead.stdout), "{bulkhead}");
    for line in [
        &["run", "--target", HOST, "--target", "wasm32-unknown-unknown"][..],
        &["build", "--target", "./own.json"],
        &["build", "--target", HOST, "--target", "nowhere-unknown-none"],
    ] {
        let (cargo, bulkhead) = twins.run(line);
        // The path of the compiler is another's business.
        let first = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("error"))?;
            Some(line.rsplit('`').next().unwrap_or_default().to_owned())
        };
        assert_eq!((bulkhead.code(), first(&bulkhead.stderr)), (cargo.code(), first(&cargo.stderr)), "{line:?}");
    }
    twins.run(&["check", "-p", "sys", "--target", HOST, "--target", HOST]);
    twins.same_artifacts(&format!("{HOST}/debug"));
}
