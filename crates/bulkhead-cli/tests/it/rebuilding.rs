//! What is built again, and why, beside `cargo`.

use crate::stage::{BULKHEAD, Stage, Twins};

const PACKAGES: &str = r#"
//- /Cargo.toml
[workspace]
resolver = "3"
members = ["app", "leaf", "scripted"]
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2024"
[dependencies]
leaf = { path = "../leaf" }
scripted = { path = "../scripted" }
//- /app/src/main.rs
fn main() { println!("{}", leaf::f()) }
//- /leaf/Cargo.toml
[package]
name = "leaf"
version = "0.1.0"
edition = "2021"
//- /leaf/src/lib.rs
mod a;
pub fn f() -> u8 { a::g() }
//- /leaf/src/a.rs
pub fn g() -> u8 { 1 }
//- /scripted/Cargo.toml
[package]
name = "scripted"
version = "0.1.0"
edition = "2021"
//- /scripted/src/lib.rs
//- /scripted/build.rs
fn main() {
    println!("cargo::rerun-if-changed=in.txt");
    println!("cargo::rerun-if-changed=folder");
}
//- /scripted/in.txt
//- /scripted/folder/x
"#;

/// The reasons that were told, without the times in them.
fn reasons(stage: &Stage, text: &str) -> Vec<String> {
    let text = stage.neutral(text);
    let told = text.lines().filter(|line| line.trim_start().starts_with("Dirty"));
    let mut told: Vec<_> =
        told.map(|line| line.split(" has changed (").next().unwrap_or_default().to_owned()).collect();
    told.sort();
    told
}

#[test]
fn reasons_are_told_in_cargos_words() {
    let twins = Twins::new(PACKAGES);
    twins.both(|stage| stage.project.write("scripted/folder/x", "1"));
    twins.run(&["build"]);
    let edits: &[fn(&Stage)] = &[
        |stage| stage.project.edit("leaf/src/a.rs", "1", "2"),
        |stage| stage.project.write("scripted/in.txt", "new"),
        |stage| std::fs::remove_file(stage.project.path("scripted/in.txt")).unwrap(),
        |stage| stage.project.write("scripted/in.txt", "again"),
        |stage| stage.project.edit("leaf/Cargo.toml", "2021", "2024"),
        |stage| stage.project.edit("leaf/Cargo.toml", "2024\"", "2024\"\n[features]\nextra = []"),
        |stage| stage.project.edit("leaf/Cargo.toml", "0.1.0", "0.1.1"),
        |stage| stage.project.edit("scripted/build.rs", "=folder", "=in.txt"),
        |stage| std::fs::remove_dir_all(stage.project.path("target/debug/.fingerprint")).unwrap(),
    ];
    for (number, edit) in edits.iter().enumerate() {
        std::thread::sleep(std::time::Duration::from_millis(30));
        twins.both(edit);
        let (cargo, bulkhead) = twins.run(&["build", "-v"]);
        let of = |stage: &Stage, told: &str| reasons(stage, told);
        assert_eq!(of(&twins.bulkhead, &bulkhead.stderr), of(&twins.cargo, &cargo.stderr), "edit {number}");
    }
}

/// One change of one kind: what it is called, what is done to the sources, and how the build is asked for from then on.
struct Change {
    name: &'static str,
    edit: fn(&Stage),
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// A word of a reason that must be told; none where Cargo builds beside what is there.
    reason: Option<&'static str>,
}

const UNCHANGED: fn(&Stage) = |_| ();

/// Cargo's book calls these the inputs of a build. What is changed stays changed.
const CHANGES: &[Change] = &[
    Change {
        name: "a file of the crate",
        edit: |stage| stage.project.edit("leaf/src/a.rs", "1", "2"),
        arguments: &["build"],
        environment: &[],
        reason: Some("the file `leaf/src/a.rs`"),
    },
    Change {
        name: "a file of rerun-if-changed",
        edit: |stage| stage.project.write("scripted/in.txt", "new"),
        arguments: &["build"],
        environment: &[],
        reason: Some("the file `scripted/in.txt`"),
    },
    Change {
        name: "a variable of rerun-if-env-changed",
        edit: UNCHANGED,
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad")],
        reason: Some("the env variable SCRIPT_MOOD changed"),
    },
    Change {
        name: "a variable that the crate reads",
        edit: UNCHANGED,
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red")],
        reason: Some("the environment variable APP_COLOUR changed"),
    },
    Change {
        name: "a dependency that is rebuilt",
        edit: |stage| stage.project.edit("leaf/src/a.rs", "2", "3"),
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red")],
        reason: Some("the dependency `leaf` was rebuilt"),
    },
    Change {
        name: "an output that is missing",
        edit: |stage| remove(stage, "target/debug/deps", "libleaf-"),
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red")],
        reason: Some("couldn't read metadata for file `target/debug/deps/libleaf-"),
    },
    Change {
        name: "features that are declared",
        edit: |stage| stage.project.edit("leaf/Cargo.toml", "2021\"", "2021\"\n[features]\nextra = []"),
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red")],
        reason: Some("declared features changed"),
    },
    Change {
        name: "features that are on",
        edit: UNCHANGED,
        arguments: &["build", "--features", "leaf/extra"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red")],
        reason: None,
    },
    Change {
        name: "the flags of an environment",
        edit: UNCHANGED,
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red"), ("RUSTFLAGS", "--cfg flagged")],
        reason: None,
    },
    Change {
        name: "a profile",
        edit: UNCHANGED,
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red"), ("CARGO_PROFILE_DEV_OPT_LEVEL", "1")],
        reason: None,
    },
    Change {
        name: "a profile's lints",
        edit: |stage| {
            stage.project.edit("leaf/Cargo.toml", "[features]", "[lints.rust]\nunused = \"deny\"\n[features]");
        },
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red")],
        reason: None,
    },
    Change {
        name: "a path that is moved",
        edit: |stage| {
            std::fs::rename(stage.project.path("leaf"), stage.project.path("moved")).unwrap();
            stage.project.edit("Cargo.toml", "\"leaf\"", "\"moved\"");
            stage.project.edit("app/Cargo.toml", "../leaf", "../moved");
        },
        arguments: &["build"],
        environment: &[("SCRIPT_MOOD", "glad"), ("APP_COLOUR", "red")],
        reason: None,
    },
];

/// Removes the files of a folder whose names start so.
fn remove(stage: &Stage, folder: &str, start: &str) {
    for entry in std::fs::read_dir(stage.project.path(folder)).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with(start) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

/// What is said of each unit: fresh, dirty and why, compiled. Names of files bear a hash.
fn said(stage: &Stage, text: &str) -> Vec<String> {
    let states = ["Dirty", "Fresh", "Compiling"];
    let text = stage.neutral(text);
    let lines = text.lines().map(str::trim_start).filter(|line| states.iter().any(|state| line.starts_with(state)));
    let without_hash = |line: &str| match line.split_once("/deps/") {
        Some((head, name)) => format!("{head}/deps/{}", name.split('-').next().unwrap_or_default()),
        None => line.split(" has changed (").next().unwrap_or_default().to_owned(),
    };
    let mut said: Vec<_> = lines.map(without_hash).collect();
    said.sort();
    said
}

#[test]
fn each_kind_of_change_has_its_reason() {
    let twins = Twins::new(PACKAGES);
    twins.both(|stage| {
        stage.project.edit("app/src/main.rs", "leaf::f()", "leaf::f(), option_env!(\"APP_COLOUR\")");
        stage.project.edit("app/src/main.rs", "{}", "{}{:?}");
        stage.project.edit(
            "scripted/build.rs",
            "=folder\"",
            "=folder\");\n    println!(\"cargo::rerun-if-env-changed=SCRIPT_MOOD\"",
        );
        stage.project.write("scripted/folder/x", "1");
        let grants = "[[grant]]\npackage = \"app\"\nenv = [\"APP_COLOUR\"]\nreason = \"a test\"\n\
            [[grant]]\npackage = \"scripted\"\nenv = [\"SCRIPT_MOOD\"]\nreason = \"a test\"\n";
        stage.project.write("bulkhead.toml", grants);
    });
    twins.bulkhead.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    twins.run(&["build"]);
    for Change { name, edit, arguments, environment, reason } in CHANGES {
        std::thread::sleep(std::time::Duration::from_millis(30));
        twins.both(edit);
        let [cargo, bulkhead] = [(&twins.cargo, "cargo"), (&twins.bulkhead, BULKHEAD)].map(|(stage, program)| {
            let command = stage.home.command(program).args(*arguments).args(["-v"]).current_dir(stage.project.root());
            environment.iter().fold(command, |command, (name, value)| command.env(name, value)).run()
        });
        cargo.assert_success();
        bulkhead.assert_success();
        let (theirs, ours) = (said(&twins.cargo, &cargo.stderr), said(&twins.bulkhead, &bulkhead.stderr));
        assert_eq!(ours, theirs, "{name}");
        let told = |reason: &&str| bulkhead.stderr.contains("Dirty") && bulkhead.stderr.contains(*reason);
        assert!(reason.iter().all(told), "{name}: {bulkhead}");
    }
}

/// What another compiler makes lies beside what is there, unless it calls itself the same: `cargo` takes that one's word.
#[test]
fn another_toolchain_is_told_apart() {
    let twins = Twins::new(PACKAGES);
    let rustc = bulkhead_test_support::toolchain_program("rustc").display().to_string();
    let same = format!("#!/bin/sh\nexec {rustc} \"$@\"\n");
    let other = format!(
        "#!/bin/sh\ncase \"$*\" in *-vV*) {rustc} -vV | sed s/^commit-hash.*/commit-hash:\\ 0/;; *) exec {rustc} \"$@\";; esac\n"
    );
    twins.both(|stage| {
        for (name, script) in [("same", &same), ("other", &other)] {
            stage.project.write(name, script);
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(stage.project.path(name), mode).unwrap();
        }
    });
    let built = |stage: &Stage, program: &str, rustc: Option<&str>| {
        let command = stage.home.command(program).args(["build", "-v"]).current_dir(stage.project.root());
        let command = rustc.iter().fold(command, |command, name| command.env("RUSTC", stage.project.path(name)));
        let outcome = command.run();
        outcome.assert_success();
        said(stage, &outcome.stderr)
    };
    for rustc in [None, Some("other"), Some("other"), None] {
        let (theirs, ours) = (built(&twins.cargo, "cargo", rustc), built(&twins.bulkhead, BULKHEAD, rustc));
        assert_eq!(ours, theirs, "{rustc:?}");
    }
    assert!(built(&twins.cargo, "cargo", Some("same")).iter().all(|line| line.starts_with("Fresh")));
    let ours = built(&twins.bulkhead, BULKHEAD, Some("same"));
    assert!(
        ours.iter().any(|line| line.starts_with("Dirty leaf") && line.ends_with("the toolchain changed")),
        "{ours:?}"
    );
    assert!(built(&twins.bulkhead, BULKHEAD, Some("same")).iter().all(|line| line.starts_with("Fresh")));
}

#[test]
fn a_variable_that_the_configuration_sets_is_noticed() {
    let twins = Twins::new(PACKAGES);
    twins.both(|stage| {
        stage.project.write("app/src/main.rs", "fn main() { println!(\"{:?}\", option_env!(\"APP_COLOUR\")) }");
        let script = "fn main() { println!(\"cargo::rerun-if-env-changed=APP_COLOUR\"); \
            println!(\"cargo::warning=a script saw {:?}\", std::env::var(\"APP_COLOUR\").ok()) }";
        stage.project.write("scripted/build.rs", script);
    });
    for value in [None, Some("blue"), Some("red"), None] {
        twins.both(|stage| match value {
            Some(value) => stage.project.write(".cargo/config.toml", format!("[env]\nAPP_COLOUR = \"{value}\"\n")),
            None => drop(std::fs::remove_file(stage.project.path(".cargo/config.toml"))),
        });
        if value.is_some() {
            twins.bulkhead.bulkhead(&["trust", "--yes"]).assert_success();
        }
        let (cargo, bulkhead) = twins.run(&["run"]);
        assert_eq!(bulkhead.stdout, format!("{value:?}\n"), "{bulkhead}");
        assert_eq!(bulkhead.stdout, cargo.stdout);
        let (_, again) = twins.run(&["build", "-v", "-j1"]);
        for output in [&cargo, &bulkhead, &again] {
            assert!(output.stderr.contains(&format!("a script saw {value:?}")), "{output}");
        }
        assert!(!again.stderr.contains("Running"), "{again}");
    }
}

/// What is done, what the program prints then, and whether Cargo notices it.
type Step<'a> = (&'a dyn Fn(&Stage), &'a str, bool);

/// A build script that names nothing may have seen every file of its package: also the one that is gone now, and the one that
/// came with an old time.
#[test]
fn what_is_gone_from_a_package_or_came_to_it_is_noticed() {
    let twins = Twins::new(
        r#"
//- /Cargo.toml
[package]
name = "lists"
version = "0.1.0"
edition = "2021"
//- /build.rs
fn main() {
    let data = std::fs::read_dir("data").unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = data.collect();
    names.sort();
    println!("cargo:rustc-env=NAMES={}", names.join(" "));
}
//- /src/main.rs
fn main() { println!("{}", env!("NAMES")) }
//- /data/a
//- /data/b
"#,
    );
    let steps: [Step<'_>; 4] = [
        (&|stage| stage.project.write("data/newest", "x"), "a b newest\n", true),
        (&|stage| std::fs::remove_file(stage.project.path("data/newest")).unwrap(), "a b\n", true),
        (&|stage| std::fs::remove_file(stage.project.path("data/a")).unwrap(), "b\n", false),
        (&|stage| rename(stage, "src/../old", "data/old"), "b old\n", false),
    ];
    twins.both(|stage| {
        stage.project.write("old", "x");
        let old = std::fs::File::options().append(true).open(stage.project.path("old")).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    });
    assert_eq!(twins.same_output(&["run", "-q"]).stdout, "a b\n");
    for (edit, expected, cargo_notices) in steps {
        std::thread::sleep(std::time::Duration::from_millis(30));
        twins.both(edit);
        let (theirs, ours) = twins.run(&["run", "-q"]);
        assert_eq!(ours.stdout, expected, "{ours}");
        assert_eq!(theirs.stdout == expected, cargo_notices, "{theirs}");
        let again = twins.bulkhead.bulkhead(&["build", "-v"]);
        assert!(!again.assert_success().stderr.contains("Running `"), "{again}");
    }
}

fn rename(stage: &Stage, from: &str, to: &str) {
    std::fs::rename(stage.project.path(from), stage.project.path(to)).unwrap();
}
