//! Variants of cases: other spellings, other ways in.

use std::os::unix::fs::symlink;

use super::arena::Arena;
use crate::stage::{BULKHEAD, Stage, assert_error, each};

const PLAIN: &str = "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n//- /src/main.rs\nfn main() {}\n";

/// Attack 108: the linker's driver is told in variables where its programs are, which a script may not say to it, either.
#[test]
fn case_108_the_drivers_programs_are_not_those_of_a_script() {
    let arena = Arena::new("evil = \"1\"", "fn main() { evil::new() }");
    // The script makes its own `ld` beside what it made.
    let script = format!(
        "use std::os::unix::fs::PermissionsExt as _;\nfn main() {{\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
         for name in [\"ld\", \"collect2\", \"real-ld\"] {{\n        let path = format!(\"{{out}}/{{name}}\");\n        \
         std::fs::write(&path, \"#!/bin/sh\\necho x >> {}\\n\").unwrap();\n        \
         std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();\n    }}\n    \
         println!(\"cargo::rustc-env=COMPILER_PATH={{out}}/\");\n}}\n",
        arena.mark().display()
    );
    let macros = "#[proc_macro]\npub fn nothing(x: proc_macro::TokenStream) -> proc_macro::TokenStream { x }\n";
    let package = bulkhead_test_support::CrateBuilder::new("evil", "1.0.0").proc_macro().build_script(&script);
    arena.stage.registry.publish(package.file("src/lib.rs", format!("extern crate proc_macro;\n{macros}")));
    arena.cargo(&["build"]);
    assert!(arena.mark().exists(), "it bites under cargo");
    arena.clear();
    let outcome = arena.command(BULKHEAD, &["build"]).run();
    arena.assert_stopped(&outcome, 102, &["error[build-script-directive]", "evil v1.0.0", "COMPILER_PATH"]);
}

/// Attack 2: links within a target folder, and other keys and spellings of a place that holds something else.
#[test]
fn case_002_clean_stays_in_the_folder_whatever_lies_in_it() {
    let stage = Stage::new(PLAIN);
    let important = stage.project.outside().join("important");
    std::fs::create_dir(&important).unwrap();
    std::fs::write(important.join("data"), "precious").unwrap();
    for (link, clean) in
        [("debug", &["clean"][..]), ("debug/incremental", &["clean", "-p", "app"]), ("debug/deps", &["clean"])]
    {
        stage.bulkhead(&["build"]).assert_success();
        let link = stage.project.path("target").join(link);
        std::fs::remove_dir_all(&link).unwrap();
        symlink(&important, &link).unwrap();
        stage.bulkhead(clean);
        assert_eq!(std::fs::read_to_string(important.join("data")).unwrap(), "precious", "{link:?}");
        let _ = std::fs::remove_dir_all(stage.project.path("target"));
    }
    stage.project.write(".git/keep", "precious");
    let places = [
        "build-dir = \"../important\"",
        "build-dir = \"{workspace-root}/../important\"",
        "target-dir = \".\"",
        "target-dir = \"src\"",
        "target-dir = \".git\"",
        "target-dir = \"src/../../important\"",
    ];
    each(places, |place| {
        stage.project.write(".cargo/config.toml", format!("[build]\n{place}\n"));
        stage.bulkhead(&["clean"]);
        assert_eq!(std::fs::read_dir(&important).unwrap().count(), 1, "{place}");
        assert!(stage.project.path("src/main.rs").exists() && stage.project.path(".git/keep").exists(), "{place}");
    });
}

/// Attack 1: names that are options, by flag and by manifest.
#[test]
fn case_001_no_name_is_an_option() {
    let stage = Stage::new(PLAIN);
    each(
        ["-p=-x", "--bin=-x", "--example=-o", "--features=-x", "--profile=-x", "--target=-x", "--config=-x"],
        |flag| {
            assert_error(&stage.bulkhead(&["build", flag]), 101, &["it begins with `-`"]);
        },
    );
    let references = [
        ("branch = \"--upload-pack=x\"", "must not begin with `-`"),
        ("tag = \"-x\"", "must not begin with `-`"),
        ("rev = \"-x\"", "must not begin with `-`"),
        ("rev = \"@{-1}\"", "must name one thing"),
        ("branch = \"a..b\"", "must name one thing"),
        ("tag = \"a:refs/heads/x\"", "is not allowed"),
        ("branch = \"a b\"", "is not allowed"),
        ("branch = \"a\\u0000b\"", "is not allowed"),
    ];
    each(references, |(reference, says)| {
        let dependency = format!("[dependencies]\nx = {{ git = \"https://127.0.0.1:1/x\", {reference} }}\n");
        stage.project.write(
            "Cargo.toml",
            PLAIN.split("//- ").nth(1).unwrap().trim_start_matches("/Cargo.toml\n").to_owned() + &dependency,
        );
        assert_error(&stage.bulkhead(&["generate-lockfile"]), 101, &["dependency (x)", says]);
    });
}

/// Attack 10: every file that commands write, as a link out, as a link that leads nowhere yet, and as a second name.
#[test]
fn case_010_no_file_is_written_through_a_link() {
    for name in ["Cargo.lock", "Cargo.toml"] {
        for exists in [true, false] {
            let stage = Stage::new(PLAIN);
            stage.bulkhead(&["generate-lockfile"]).assert_success();
            let target = stage.project.outside().join("target");
            if exists {
                std::fs::copy(stage.project.path(name), &target).unwrap();
            }
            std::fs::remove_file(stage.project.path(name)).unwrap();
            symlink(&target, stage.project.path(name)).unwrap();
            let before = std::fs::read(&target).ok();
            for command in [&["add", "plain"][..], &["remove", "plain"], &["generate-lockfile"], &["update"]] {
                stage.bulkhead(command);
                assert_eq!(std::fs::read(&target).ok(), before, "{name} {exists} {command:?}");
            }
        }
        // A second name of a file elsewhere: the file is replaced, and the other name keeps what it was.
        let stage = Stage::new(PLAIN);
        stage.bulkhead(&["generate-lockfile"]).assert_success();
        let twin = stage.project.outside().join("twin");
        std::fs::hard_link(stage.project.path(name), &twin).unwrap();
        let before = std::fs::read(&twin).unwrap();
        stage.bulkhead(&["add", "plain"]).assert_success();
        assert_eq!(std::fs::read(&twin).unwrap(), before, "{name}");
    }
}
