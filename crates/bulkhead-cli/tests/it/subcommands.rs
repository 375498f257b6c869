//! Commands that are programs of their own, toolchains by `+NAME`, and who may choose them.

use crate::stage::{APP, BULKHEAD, Stage, assert_error};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// A program that says how it was started.
fn plant(folder: &Path, name: &str, word: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\necho {word} \"$@\"\necho \"CARGO=$CARGO\"\nexit 7\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_path(stage: &Stage, folders: &[&Path], arguments: &[&str]) -> bulkhead_test_support::Outcome {
    let toolchain = bulkhead_test_support::toolchain_program("rustc").parent().unwrap().display().to_string();
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).chain([toolchain]).collect();
    stage.command(arguments).env("PATH", folders.join(":")).run()
}

#[test]
fn a_command_of_its_own_gets_arguments_and_the_path_of_bulkhead() {
    let stage = Stage::new(APP);
    plant(&stage.home.path().join("tools"), "cargo-shout", "shouted");
    let tools = stage.home.path().join("tools");
    let outcome = with_path(&stage, &[&tools], &["shout", "a b", "-q", "--", "-x"]);
    outcome.assert_code(7);
    assert!(outcome.stdout.contains("shouted shout a b -q -- -x"), "{outcome}");
    assert!(outcome.stdout.contains(&format!("CARGO={BULKHEAD}")), "{outcome}");
    assert!(with_path(&stage, &[&tools], &["--list"]).stdout.contains("    shout\n"));
    assert!(with_path(&stage, &[&tools], &["help", "shout"]).stdout.contains("shouted shout --help"));
    assert_error(&with_path(&stage, &[&tools], &["shuot"]), 101, &["a command with a similar name exists: `shout`"]);
}

/// Names only, and none twice: nothing is started to find out more.
#[test]
fn shells_complete_the_names_of_commands_of_their_own() {
    let stage = Stage::new(APP);
    let tools = stage.home.path().join("tools");
    plant(&tools, "cargo-shout", "shouted");
    plant(&tools, "cargo-clippy", "planted");
    plant(&tools, "cargo-$(evil)", "evil");
    plant(&stage.project.path("bin"), "cargo-evil", "evil");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = with_path(&stage, &[&tools, &stage.project.path("bin")], &["completions", shell]);
        script.assert_success();
        assert!(script.stdout.contains("shout") && !script.stdout.contains("shouted"), "{shell}");
        assert!(!script.stdout.contains("evil") && !script.stdout.contains("planted"), "{shell}");
    }
    let script = stage.home.path().join("complete.bash");
    std::fs::write(&script, with_path(&stage, &[&tools], &["completions", "bash"]).stdout).unwrap();
    let ask =
        ". \"$1\"; COMP_WORDS=(bulkhead sho); COMP_CWORD=1; _bulkhead bulkhead sho bulkhead; echo \"${COMPREPLY[@]}\"";
    let output = std::process::Command::new("bash").args(["-c", ask, "ask"]).arg(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "shout\n", "{output:?}");
}

#[test]
fn built_in_commands_cannot_be_shadowed() {
    let stage = Stage::new(APP);
    let tools = stage.home.path().join("tools");
    for name in ["cargo-check", "cargo-clippy", "cargo-fmt", "cargo-metadata", "cargo-b", "cargo-help"] {
        plant(&tools, name, "planted");
    }
    for name in ["check", "clippy", "metadata", "b", "help"] {
        let outcome = with_path(&stage, &[&tools], &[name, "--quiet"]);
        assert!(!outcome.stdout.contains("planted"), "{outcome}");
    }
}

/// Attack 5: a planted command.
#[test]
fn nobody_else_chooses_commands() {
    let stage = Stage::new(APP);
    let (project, shared) = (stage.project.path("bin"), stage.home.path().join("shared"));
    plant(&project, "cargo-evil", "evil");
    // A folder of the project, under its own name, under another, by a relative path.
    let link = stage.home.path().join("link");
    symlink(&project, &link).unwrap();
    for folder in [project.as_path(), &link, Path::new("bin"), Path::new(""), &project.join("../bin")] {
        let outcome = with_path(&stage, &[folder], &["evil"]);
        assert_error(&outcome, 101, &["no such command: `evil`"]);
    }
    assert_error(&stage.bulkhead(&["../bin/evil"]), 101, &["no such command"]);
    // A folder in which everybody may write, and a program that everybody may change.
    plant(&shared, "cargo-evil", "evil");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_error(&with_path(&stage, &[&shared], &["evil"]), 102, &["is not run", "may be written by others"]);
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(shared.join("cargo-evil"), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_error(&with_path(&stage, &[&shared], &["evil"]), 102, &["is not run"]);
    // The same program, where only the user can change it.
    std::fs::set_permissions(shared.join("cargo-evil"), std::fs::Permissions::from_mode(0o755)).unwrap();
    with_path(&stage, &[&shared], &["evil"]).assert_code(7);
}

#[test]
fn a_toolchain_may_be_named_first() {
    let stage = Stage::new(APP);
    let outcome = stage.bulkhead(&["+absent-toolchain", "version"]);
    outcome.assert_code(0);
    plant(&stage.home.path().join("tools"), "cargo-env", "$RUSTUP_TOOLCHAIN");
    let outcome = with_path(&stage, &[&stage.home.path().join("tools")], &["+nightly-2026-01-01", "env"]);
    assert!(outcome.stdout.contains("nightly-2026-01-01 env"), "{outcome}");
}
