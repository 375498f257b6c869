//! What a repository's `.cargo/config.toml` may do before anyone has trusted it: next to nothing. Each attack is first
//! seen to bite under stock `cargo`; each has a benign twin that works. The numbers are those of the attack catalogue.

use crate::stage::{BULKHEAD, Stage, Twins, each, skipped};
use bulkhead_test_support::{CrateBuilder, Outcome, Registry, toolchain_program};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
plain = "1"
//- /src/main.rs
#![allow(unexpected_cfgs)]
fn main() { println!("{} {:?} {}", plain::say(), option_env!("GREETING"), cfg!(harmless)); }
"#;

/// A program that leaves a mark, says so, and then does what it was called for.
const MARK: &str = "the project's program ran";

fn mark(stage: &Stage) -> PathBuf {
    stage.project.outside().join("MARK")
}

/// Writes a marking script into the project. It goes on with `then`.
fn plant(stage: &Stage, name: &str, then: &str) -> PathBuf {
    let text = format!("#!/bin/sh\necho \"$0 $@\" >> {}\necho \"{MARK}\" >&2\n{then}\n", mark(stage).display());
    stage.project.write(name, text);
    let path = stage.project.path(name);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn wrapper(stage: &Stage) -> String {
    plant(stage, "tools/wrapper", "exec \"$@\"").display().to_string()
}

fn toolchain_bin() -> String {
    toolchain_program("rustc").parent().unwrap().display().to_string()
}

fn rustc(stage: &Stage) -> String {
    let real = toolchain_program("rustc");
    plant(stage, "tools/rustc", &format!("exec {} \"$@\"", real.display())).display().to_string()
}

/// A script that runs as the linker.
fn linker(stage: &Stage) -> String {
    plant(stage, "tools/linker", "exec cc \"$@\"").display().to_string()
}

#[track_caller]
fn assert_marked(stage: &Stage, outcome: &Outcome) {
    assert!(mark(stage).exists(), "it has to bite under cargo: {outcome}");
}

#[track_caller]
fn assert_not_marked(stage: &Stage, outcome: &Outcome) {
    assert!(!mark(stage).exists() && !outcome.output().contains(MARK), "a program of the project ran: {outcome}");
}

/// Runs `arguments` with the configuration that `text` makes for each stage: it bites under cargo; Bulkhead names `keys`,
/// does its work, and starts nothing of the project's.
#[track_caller]
fn check(arguments: &[&str], keys: &[&str], text: impl Fn(&Stage) -> String) -> Stage {
    let Twins { cargo, bulkhead } = Twins::new(APP);
    for stage in [&cargo, &bulkhead] {
        let text = text(stage);
        stage.project.write(".cargo/config.toml", text);
    }
    let theirs = cargo.cargo(arguments);
    assert_marked(&cargo, &theirs);
    let ours = bulkhead.bulkhead(arguments);
    ours.assert_success();
    assert_not_marked(&bulkhead, &ours);
    for key in keys {
        assert!(ours.stderr.contains(&format!("`{key}`")), "{key} is not named: {ours}");
    }
    assert!(ours.stderr.contains("/.cargo/") && ours.stderr.contains(".toml:"), "file and line are named: {ours}");
    assert!(ours.stderr.contains("bulkhead trust") || ours.stderr.contains("$CARGO_HOME"), "what to do: {ours}");
    bulkhead
}

/// The benign twin: after `bulkhead trust` the project's program runs.
#[track_caller]
fn check_trusted(stage: &Stage, arguments: &[&str]) {
    let trusted = stage.bulkhead(&["trust", "--yes"]);
    assert!(trusted.assert_success().stderr.contains("Trusting"), "{trusted}");
    stage.bulkhead(&["clean"]).assert_success();
    let outcome = stage.bulkhead(arguments);
    outcome.assert_success();
    assert!(outcome.output().contains(MARK), "a trusted program runs: {outcome}");
}

#[test]
fn attack_19_compilers_and_wrappers_of_the_repository_are_inert_until_trusted() {
    let stage = check(&["check"], &["build.rustc-wrapper"], |stage| {
        format!("[build]\nrustc-wrapper = \"{}\"\n", wrapper(stage))
    });
    check_trusted(&stage, &["check"]);
    // Trust is in the file as it is: one more byte, and it is a stranger's again.
    let text = stage.project.read(".cargo/config.toml");
    stage.project.write(".cargo/config.toml", text + "\n");
    stage.bulkhead(&["clean"]).assert_success();
    let changed = stage.bulkhead(&["check"]);
    assert!(changed.assert_success().stderr.contains("`build.rustc-wrapper`"), "{changed}");
    assert!(!changed.output().contains(MARK), "{changed}");

    let stage = check(&["check"], &["build.rustc-workspace-wrapper"], |stage| {
        wrapper(stage);
        "[build]\nrustc-workspace-wrapper = \"tools/wrapper\"\n".to_owned()
    });
    check_trusted(&stage, &["check"]);
    let stage = check(&["check"], &["build.rustc"], |stage| format!("[build]\nrustc = \"{}\"\n", rustc(stage)));
    check_trusted(&stage, &["check"]);
}

#[test]
fn attack_19_the_old_name_of_the_file_is_treated_alike() {
    let Twins { cargo, bulkhead } = Twins::new(APP);
    for stage in [&cargo, &bulkhead] {
        let text = format!("[build]\nrustc-wrapper = \"{}\"\n", wrapper(stage));
        stage.project.write(".cargo/config", text);
    }
    assert_marked(&cargo, &cargo.cargo(&["check"]));
    let ours = bulkhead.bulkhead(&["check"]);
    assert!(ours.assert_success().stderr.contains("`build.rustc-wrapper`"), "{ours}");
    assert_not_marked(&bulkhead, &ours);
}

#[test]
fn attack_8_commands_that_only_look_start_nothing_of_the_project() {
    let Twins { cargo, bulkhead } = Twins::new(APP);
    for stage in [&cargo, &bulkhead] {
        let (rustc, wrapper) = (rustc(stage), wrapper(stage));
        let keys = format!(
            "[build]\nrustc = \"{rustc}\"\nrustc-wrapper = \"{wrapper}\"\nrustc-workspace-wrapper = \"{wrapper}\"\n"
        );
        stage.project.write(".cargo/config.toml", keys);
    }
    assert_marked(&cargo, &cargo.cargo(&["metadata", "--format-version", "1"]));
    // Untrusted, and then even trusted.
    for _ in 0..2 {
        for arguments in [
            &["metadata", "--format-version", "1"][..],
            &["tree"],
            &["fetch"],
            &["update"],
            &["generate-lockfile"],
            &["clean"],
            &["verify"],
        ] {
            let ours = bulkhead.bulkhead(arguments);
            ours.assert_success();
            assert_not_marked(&bulkhead, &ours);
        }
        bulkhead.bulkhead(&["trust", "--yes"]).assert_success();
    }
    for arguments in [&["--version"][..], &["help"], &["version", "-v"]] {
        let ours = bulkhead.bulkhead(arguments);
        assert!(!ours.assert_success().stderr.contains("rustc-wrapper"), "they never look at the project: {ours}");
    }
}

#[test]
fn attack_20_linkers_runners_and_dangerous_flags_are_inert_until_trusted() {
    let stage = check(&["run"], &["target.cfg(all()).runner"], |stage| {
        format!("[target.'cfg(all())']\nrunner = \"{}\"\n", wrapper(stage))
    });
    check_trusted(&stage, &["run"]);
    let host = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
    check(&["build"], &[&format!("target.{host}.linker")], |stage| {
        format!("[target.{host}]\nlinker = \"{}\"\n", linker(stage))
    });
    check(&["build"], &["build.rustflags"], |stage| format!("[build]\nrustflags = [\"-Clinker={}\"]\n", linker(stage)));
}

#[test]
fn attack_20_harmless_flags_act_at_once() {
    let stage = Stage::new(APP);
    stage.project.write(".cargo/config.toml", "[build]\nrustflags = [\"--cfg\", \"harmless\"]\ntarget-dir = \"out\"\n");
    let outcome = stage.bulkhead(&["run"]);
    assert!(outcome.assert_success().stdout.ends_with("None true\n"), "{outcome}");
    assert!(!outcome.stderr.contains("warning"), "{outcome}");
    assert!(stage.project.path("out/debug/app").is_file());
}

#[test]
fn attack_21_variables_of_the_repository_are_inert_and_never_choose_programs() {
    let planted = |stage: &Stage| {
        plant(stage, "tools/cc", "exec /usr/bin/cc \"$@\"");
        let path = format!("{}:{}:/usr/bin:/bin", stage.project.path("tools").display(), toolchain_bin());
        format!("[env]\nGREETING = \"hello\"\nPATH = {{ value = \"{path}\", force = true }}\n")
    };
    let stage = check(&["run"], &["env.GREETING", "env.PATH"], planted);
    // Trusted, the harmless one acts; the other still does not.
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    let outcome = stage.bulkhead(&["run"]);
    assert!(outcome.assert_success().stdout.contains("Some(\"hello\")"), "{outcome}");
    assert!(outcome.stderr.contains("`env.PATH`"), "{outcome}");
    stage.bulkhead(&["clean"]).assert_success();
    assert_not_marked(&stage, &stage.bulkhead(&["build"]));
}

#[test]
fn attacks_22_and_24_identity_and_network_are_the_users_alone() {
    let proxy = Registry::start();
    let text = format!("[http]\nproxy = \"http://{}\"\n", proxy.address());
    let Twins { cargo, bulkhead } = Twins::new(APP);
    // A proxy is for what is not on this machine.
    let remote = "[source.crates-io]\nreplace-with = \"remote\"\n[source.remote]\n\
        registry = \"sparse+https://registry.invalid/index/\"\n";
    for stage in [&cargo, &bulkhead] {
        std::fs::write(stage.home.cargo_home().join("config.toml"), remote).unwrap();
    }
    let fetch = |stage: &Stage, program: &str| {
        let command = stage.home.command(program).args(["fetch"]).current_dir(stage.project.root());
        command.env("CARGO_NET_RETRY", "0").run()
    };
    cargo.project.write(".cargo/config.toml", &text);
    let theirs = fetch(&cargo, "cargo");
    assert!(!proxy.requests().is_empty(), "it bites under cargo: {theirs}");
    proxy.clear_requests();

    let script = plant(&bulkhead, "tools/provider", "").display().to_string();
    let more = format!(
        "[net]\noffline = true\nretry = 999999\n[registry]\nglobal-credential-providers = [\"{script}\"]\n\
         [credential-alias]\nx = [\"{script}\"]\n"
    );
    bulkhead.project.write(".cargo/config.toml", text.clone() + &more);
    for _ in 0..2 {
        let ours = fetch(&bulkhead, BULKHEAD);
        ours.assert_code(101);
        for key in ["http.proxy", "net.offline", "net.retry", "registry.global-credential-providers"] {
            assert!(ours.stderr.contains(&format!("`{key}`")), "{key} is not named: {ours}");
        }
        assert!(ours.stderr.contains("credential-alias"), "{ours}");
        assert_not_marked(&bulkhead, &ours);
        assert!(proxy.requests().is_empty());
        // Trusting the file does not change it.
        bulkhead.bulkhead(&["trust", "--yes"]).assert_success();
    }
    // The user's own file may say it.
    std::fs::remove_file(bulkhead.project.path(".cargo/config.toml")).unwrap();
    bulkhead.home.configure(&text);
    let own = fetch(&bulkhead, BULKHEAD);
    assert!(!proxy.requests().is_empty(), "{own}");
}

#[test]
fn attack_23_a_registry_of_the_users_cannot_be_pointed_elsewhere() {
    let fixture = APP.replace("plain = \"1\"", "plain = { version = \"1\", registry = \"t\" }");
    let Twins { cargo, bulkhead } = Twins::new(&fixture);
    let evil = Registry::start();
    evil.set_config(&format!("{{\"dl\":\"http://{0}/dl\",\"auth-required\":true}}", evil.address()));
    for stage in [&cargo, &bulkhead] {
        stage.home.configure(&format!("[registries.t]\nindex = \"{}\"\n", stage.registry.index_url()));
        stage.project.write(".cargo/config.toml", format!("[registries.t]\nindex = \"{}\"\n", evil.index_url()));
    }
    let command = |stage: &Stage, program: &str| {
        let command = stage.home.command(program).args(["fetch"]).current_dir(stage.project.root());
        let command = command.env("CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS", "cargo:token");
        command.env("CARGO_REGISTRIES_T_TOKEN", "secret-token").env("CARGO_NET_RETRY", "0").run()
    };
    let theirs = command(&cargo, "cargo");
    let stolen = |registry: &Registry| {
        registry.requests().iter().any(|request| request.header("authorization") == Some("secret-token"))
    };
    assert!(stolen(&evil), "it bites under cargo: {theirs}");
    evil.clear_requests();
    let ours = command(&bulkhead, BULKHEAD);
    assert_ne!(ours.code(), Some(0), "{ours}");
    for url in [evil.index_url(), bulkhead.registry.index_url()] {
        assert!(ours.stderr.contains(&url), "both addresses are named: {ours}");
    }
    assert!(evil.requests().is_empty(), "{ours}");
}

#[test]
fn attack_25_includes_stay_within_the_repository() {
    check(&["check"], &["include"], |stage| {
        let outside = format!("[build]\nrustc-wrapper = \"{}\"\n", wrapper(stage));
        std::fs::write(stage.project.outside().join("outside.toml"), outside).unwrap();
        "include = [\"../../outside.toml\"]\n".to_owned()
    });
    // An included file of the repository is as untrusted as the one that includes it; what is harmless acts.
    let stage = check(&["check"], &["build.rustc-wrapper"], |stage| {
        let inner = format!("[build]\ntarget-dir = \"included\"\nrustc-wrapper = \"{}\"\n", wrapper(stage));
        stage.project.write(".cargo/more.toml", inner);
        "include = [\"more.toml\"]\n".to_owned()
    });
    assert!(stage.project.path("included/debug").exists());
    // A circle ends.
    stage.project.write(".cargo/more.toml", "include = [\"config.toml\"]\n");
    let circle = stage.bulkhead(&["check"]);
    assert_eq!(circle.code(), Some(101), "{circle}");
    assert!(circle.stderr.contains("more.toml") && circle.elapsed.as_secs() < 5, "{circle}");
}

#[test]
fn attack_26_patches_paths_and_sources_of_the_configuration_are_inert() {
    let evil = |stage: &Stage| {
        let folder = stage.project.outside().join("evil");
        std::fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = "[package]\nname = \"plain\"\nversion = \"1.1.0\"\nedition = \"2021\"\n";
        std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        std::fs::write(folder.join("src/lib.rs"), "pub fn say() -> String { \"evil\".into() }\n").unwrap();
        folder.display().to_string()
    };
    for key in ["patch", "paths"] {
        let Twins { cargo, bulkhead } = Twins::new(APP);
        for stage in [&cargo, &bulkhead] {
            let folder = evil(stage);
            let text = match key {
                "patch" => format!("[patch.crates-io]\nplain = {{ path = \"{folder}\" }}\n"),
                _ => format!("paths = [\"{folder}\"]\n"),
            };
            stage.project.write(".cargo/config.toml", text);
        }
        let theirs = cargo.cargo(&["run"]);
        assert!(theirs.stdout.contains("evil"), "it bites under cargo: {theirs}");
        let ours = bulkhead.bulkhead(&["run"]);
        assert!(ours.assert_success().stdout.contains("plain 1.1.0"), "{ours}");
        assert!(ours.stderr.contains(&format!("`{key}")), "{ours}");
        assert!(bulkhead.project.read("Cargo.lock").contains("checksum"), "the lockfile names the registry's package");
    }
    let Twins { cargo, bulkhead } = Twins::new(APP);
    let rival = Registry::start();
    for stage in [&cargo, &bulkhead] {
        std::fs::remove_file(stage.home.cargo_home().join("config.toml")).unwrap();
        stage.project.write(".cargo/config.toml", rival.source_replacement());
    }
    cargo.cargo(&["fetch"]);
    assert!(!rival.requests().is_empty(), "it bites under cargo");
    rival.clear_requests();
    let ours = bulkhead.command(&["fetch", "--offline"]).run();
    assert!(ours.stderr.contains("`source"), "{ours}");
    assert!(rival.requests().is_empty(), "{ours}");
}

#[test]
fn attack_28_build_scripts_are_not_overridden_by_the_repository() {
    let fixture = APP.replace("plain = \"1\"", "plain = \"1\"\nuses-native = \"0.1\"");
    let Twins { cargo, bulkhead } = Twins::new(&fixture);
    let host = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
    for stage in [&cargo, &bulkhead] {
        let text =
            format!("[target.{host}.native]\nrustc-link-search = [\"/planted\"]\nrustc-link-lib = [\"planted\"]\n");
        stage.project.write(".cargo/config.toml", text);
    }
    let theirs = cargo.cargo(&["build", "-v"]);
    assert!(theirs.stderr.contains("/planted"), "it bites under cargo: {theirs}");
    let ours = bulkhead.bulkhead(&["build", "-v"]);
    ours.assert_success();
    assert!(!ours.stderr.contains("-L /planted") && !ours.stderr.contains("-L native=/planted"), "{ours}");
    assert!(ours.stderr.contains(&format!("`target.{host}.native")), "{ours}");
}

#[test]
fn attack_29_aliases_never_shadow_and_work_only_when_trusted() {
    let Twins { cargo, bulkhead } = Twins::new(APP);
    for stage in [&cargo, &bulkhead] {
        let text =
            "[alias]\nb = \"run\"\nc = \"run\"\naudit = \"run\"\nxx = [\"run\", \"-q\"]\na1 = \"a2\"\na2 = \"a1\"\n";
        stage.project.write(".cargo/config.toml", text);
    }
    for name in ["b", "audit", "xx"] {
        let theirs = cargo.cargo(&[name]);
        assert!(theirs.stdout.contains("plain 1.1.0"), "it bites under cargo: {theirs}");
    }
    let built = bulkhead.bulkhead(&["b"]);
    assert_eq!(built.assert_success().stdout, "", "`b` is `build`: {built}");
    for name in ["audit", "xx"] {
        let ours = bulkhead.bulkhead(&[name]);
        assert_eq!((ours.code(), ours.stdout.as_str()), (Some(103), ""), "{ours}");
        assert!(ours.stderr.contains(".cargo/config.toml:") && ours.stderr.contains("bulkhead trust"), "{ours}");
    }
    bulkhead.bulkhead(&["trust", "--yes"]).assert_success();
    let trusted = bulkhead.bulkhead(&["xx"]);
    assert!(trusted.assert_success().stdout.contains("plain 1.1.0"), "{trusted}");
    assert_eq!(bulkhead.bulkhead(&["b"]).assert_success().stdout, "");
    let endless = bulkhead.bulkhead(&["a1"]);
    assert!(endless.code() == Some(101) && endless.stderr.contains("alias"), "{endless}");
}

#[test]
fn attack_30_configuration_inside_a_package_is_nobodys() {
    let Twins { cargo, bulkhead } = Twins::new(APP);
    for stage in [&cargo, &bulkhead] {
        let config = format!("[build]\nrustc-wrapper = \"{}\"\n", wrapper(stage));
        let package = CrateBuilder::new("plain", "1.6.0")
            .file("src/lib.rs", "pub fn say() -> String { String::from(\"six\") }")
            .file(".cargo/config.toml", config)
            .file("rust-toolchain.toml", "[toolchain]\npath = \"/nowhere\"\n");
        stage.registry.publish(package);
    }
    let ours = bulkhead.bulkhead(&["run"]);
    assert!(ours.assert_success().stdout.contains("six"), "{ours}");
    assert_not_marked(&bulkhead, &ours);
    cargo.cargo(&["run"]).assert_success();
}

#[test]
fn attack_31_nobody_is_asked_and_no_answer_counts() {
    let stage = Stage::new(APP);
    let text = format!("[build]\nrustc-wrapper = \"{}\"\n", wrapper(&stage));
    stage.project.write(".cargo/config.toml", text);
    for arguments in [&["check"][..], &["trust", "--list"]] {
        let outcome = stage.command(arguments).stdin("y\nyes\ny\n").env("CI", "true").run();
        outcome.assert_success();
        assert_not_marked(&stage, &outcome);
        assert!(!outcome.output().contains("[y/N]"), "{outcome}");
    }
    // Whatever is piped in, and whatever is said to be no test: nobody has agreed.
    for arguments in [&["trust"][..], &["trust", "-q"], &["trust", ".cargo/config.toml"]] {
        let outcome = stage.command(arguments).stdin("y\nyes\ny\n").env("CI", "true").run();
        assert!(outcome.assert_code(103).stderr.contains("build.rustc-wrapper = "), "it is shown: {outcome}");
        assert!(outcome.stderr.contains("--yes"), "{outcome}");
        assert_eq!(stage.bulkhead(&["trust", "--list"]).stdout, "");
    }
    // What is about to be trusted is said; names cannot draw on the terminal.
    let folder = "odd\u{1b}[2Jname\u{202e}";
    stage
        .project
        .write(&format!("{folder}/Cargo.toml"), "[package]\nname = \"odd\"\nversion = \"0.0.1\"\n[workspace]\n");
    stage.project.write(
        &format!("{folder}/.cargo/config.toml"),
        "[build]\nrustc-wrapper = \"x\u{1b}[1my\"\n".replace('\u{1b}', "\\u001b"),
    );
    let outcome = stage.command(&["trust", "--yes"]).current_dir(stage.project.path(folder)).run();
    assert!(outcome.assert_success().stderr.contains("build.rustc-wrapper = "), "{outcome}");
    let raw = outcome.output();
    assert!(!raw.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{raw:?}");
    // What changed since, how files stand, and that trust can be taken back.
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    assert!(stage.bulkhead(&["trust", "--list"]).stdout.contains(" current  "));
    let text = stage.project.read(".cargo/config.toml");
    stage.project.write(".cargo/config.toml", format!("{text}rustc = \"evil\"\n"));
    assert!(stage.bulkhead(&["trust", "--list", "--format", "json"]).stdout.contains("\"state\":\"changed\""));
    let changes = stage.bulkhead(&["trust", "--diff"]);
    assert!(changes.assert_success().stdout.contains("  +rustc = \"evil\"\n"), "{changes}");
    let noted = stage.bulkhead(&["check"]);
    assert!(noted.stderr.contains("config.toml` has changed since it was trusted: `bulkhead trust --diff "), "{noted}");
    let again = stage.bulkhead(&["trust"]);
    assert!(again.assert_code(103).stderr.contains("  +rustc = \"evil\""), "{again}");
    std::fs::remove_file(stage.project.path(".cargo/config.toml")).unwrap();
    assert!(stage.bulkhead(&["trust", "--list"]).stdout.contains(" gone     "));
    let listed = stage.bulkhead(&["trust", "--list"]);
    assert!(listed.stdout.contains("config.toml"), "{listed}");
    let inner = format!("{folder}/.cargo/config.toml");
    assert!(stage.bulkhead(&["trust", "--revoke"]).assert_code(1).stderr.contains("bulkhead trust --list"));
    stage.bulkhead(&["trust", "--revoke", ".cargo/config.toml", &inner]).assert_success();
    for (arguments, says) in [(["trust", "--list"], "no file is trusted"), (["trust", "--diff"], "no file has changed")]
    {
        let outcome = stage.bulkhead(&arguments);
        assert!(outcome.assert_success().stdout.is_empty() && outcome.stderr.contains(says), "{outcome}");
    }
}

/// From a clone to trust and back, by what is built: the two files of a project that act only once they are trusted.
#[test]
fn attack_31_trust_begins_and_ends_with_the_file_as_it_is() {
    let stage = Stage::new(APP);
    let folder = crate::stage::folder_outside_tmp();
    let notes = folder.path().join("notes");
    std::fs::write(&notes, "all of it").unwrap();
    let notes = format!("{:?}", notes.display().to_string());
    let script = format!(
        "fn main() {{ let text = std::fs::read_to_string({notes}); \
         println!(\"cargo::warning=saw {{}}\", text.unwrap_or(String::from(\"nothing\"))) }}\n"
    );
    stage.project.write("build.rs", script);
    let config = format!("[build]\nrustc-wrapper = \"{}\"\n", wrapper(&stage));
    let policy = format!("[[grant]]\npackage = \"app\"\nread = [{notes}]\nreason = \"notes\"\n");
    let files = [(".cargo/config.toml", config), ("bulkhead.toml", policy)];
    let write = |more: &str| {
        for (path, text) in &files {
            stage.project.write(path, text.clone() + more);
        }
    };
    let build = || {
        stage.bulkhead(&["clean"]);
        let outcome = stage.bulkhead(&["build"]);
        outcome.assert_success();
        outcome
    };
    let changed = |outcome: &Outcome| outcome.stderr.matches("` has changed since it was trusted").count();
    let inert = |outcome: &Outcome| {
        assert_not_marked(&stage, outcome);
        for part in ["`build.rustc-wrapper` in ", "the grant for `app` does not act", "saw nothing"] {
            assert!(outcome.stderr.contains(part), "{part}: {outcome}");
        }
    };
    let acts = |outcome: &Outcome| {
        let silent = !outcome.stderr.contains("rustc-wrapper` in ") && !outcome.stderr.contains("does not act");
        assert!(outcome.output().contains(MARK) && outcome.stderr.contains("saw all of it"), "{outcome}");
        assert!(silent && changed(outcome) == 0, "{outcome}");
    };
    write("");
    let cloned = build();
    inert(&cloned);
    assert_eq!(changed(&cloned), 0, "{cloned}");
    // Who only asks is told of the configuration as well.
    for command in [&["pkgid"][..], &["read-manifest"], &["verify-project"], &["locate-project", "--workspace"]] {
        let asked = stage.bulkhead(command);
        assert!(asked.assert_success().stderr.contains("`build.rustc-wrapper` in "), "{asked}");
        assert!(!asked.stdout.contains("rustc-wrapper"), "{asked}");
    }
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    acts(&build());
    write("# One line more.\n");
    let touched = build();
    inert(&touched);
    assert_eq!(changed(&touched), 2, "{touched}");
    for (path, _) in &files {
        let note = format!(
            "{}` has changed since it was trusted: `bulkhead trust --diff ",
            stage.project.path(path).display()
        );
        assert!(touched.stderr.contains(&note), "{note}: {touched}");
    }
    // As it was, it is what was trusted.
    write("");
    acts(&build());
    write("# One line more.\n");
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    acts(&build());
    stage.bulkhead(&["trust", "--revoke", ".cargo/config.toml", "bulkhead.toml"]).assert_success();
    let revoked = build();
    inert(&revoked);
    assert_eq!(changed(&revoked), 0, "{revoked}");
}

/// Attack 9: a toolchain that lies in the repository. rustup's own shims would start its programs.
#[test]
fn attack_9_a_toolchain_of_the_repository_is_not_started() {
    let stage = Stage::new(APP);
    let shims = stage.home.path().join("shims");
    std::fs::create_dir(&shims).unwrap();
    for name in ["rustup", "rustc", "cargo"] {
        std::fs::write(shims.join(name), format!("#!/bin/sh\necho \"{MARK}\" >&2\n")).unwrap();
        std::fs::set_permissions(shims.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let real = toolchain_program("rustc");
    plant(&stage, "tc/bin/rustc", &format!("exec {} \"$@\"", real.display()));
    let rustup_home = stage.home.path().join(".rustup");
    std::fs::create_dir_all(rustup_home.join("toolchains")).unwrap();
    let toolchain = real.parent().unwrap().parent().unwrap();
    std::os::unix::fs::symlink(toolchain, rustup_home.join("toolchains/stable")).unwrap();
    std::fs::write(rustup_home.join("settings.toml"), "default_toolchain = \"stable\"\nversion = \"12\"\n").unwrap();
    let build = || {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", shims.display());
        stage.command(&["check"]).env("PATH", path).env("RUSTUP_HOME", &rustup_home).run()
    };
    let absolute = format!("[toolchain]\npath = \"{}\"\n", stage.project.path("tc").display());
    let plain = format!("{}\n", stage.project.path("tc").display());
    for (name, text) in [
        ("rust-toolchain.toml", absolute.as_str()),
        ("rust-toolchain.toml", "[toolchain]\npath = \"./tc\"\n"),
        ("rust-toolchain.toml", "\u{feff}[toolchain]\npath = \"./tc\"\n"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"stable\"\npath = \"tc\"\n"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"../../tc\"\n"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"https://127.0.0.1/tc\"\n"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"-x\"\n"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"stable\\u0000\"\n"),
        ("rust-toolchain", absolute.as_str()),
        ("rust-toolchain", plain.as_str()),
        ("rust-toolchain", "../../tc"),
    ] {
        stage.project.write(name, text);
        let outcome = build();
        std::fs::remove_file(stage.project.path(name)).unwrap();
        assert_ne!(outcome.code(), Some(0), "{name} {text:?}: {outcome}");
        assert!(outcome.stderr.contains("toolchain") && !outcome.stderr.contains("panicked"), "{text:?}: {outcome}");
        assert_not_marked(&stage, &outcome);
    }
    // The benign twin: an installed toolchain by its name.
    stage.project.write("rust-toolchain.toml", "[toolchain]\nchannel = \"stable\"\n");
    let outcome = build();
    outcome.assert_success();
    assert_not_marked(&stage, &outcome);
}

/// Attack 4: the search for programs does not pass through the project.
#[test]
fn attack_4_programs_are_not_looked_for_in_the_project() {
    let Twins { cargo, bulkhead } = Twins::new(APP);
    let run = |stage: &Stage, program: &str| {
        for name in ["rustc", "cc", "ld"] {
            let real = if name == "rustc" { toolchain_program("rustc") } else { Path::new("/usr/bin").join(name) };
            plant(stage, name, &format!("exec {} \"$@\"", real.display()));
        }
        let toolchain = toolchain_bin();
        let root = stage.project.root().display().to_string();
        let path = format!(".::{root}:{toolchain}:/usr/local/bin:/usr/bin:/bin");
        stage.home.command(program).args(["build"]).env("PATH", path).current_dir(stage.project.root()).run()
    };
    assert_marked(&cargo, &run(&cargo, "cargo"));
    let ours = run(&bulkhead, BULKHEAD);
    ours.assert_success();
    assert_not_marked(&bulkhead, &ours);
}

/// Attack 6: a file that somebody else owns, or may write, is not the user's configuration.
#[test]
fn attack_6_configuration_of_somebody_else_is_ignored_and_named() {
    let stage = Stage::new(APP);
    stage.project.write(".cargo/config.toml", "[build]\ntarget-dir = \"theirs\"\n");
    let path = stage.project.path(".cargo/config.toml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let outcome = stage.bulkhead(&["check"]);
    assert!(outcome.assert_success().stderr.contains("may be written by others"), "{outcome}");
    assert!(!stage.project.path("theirs").exists());
    let refused = stage.bulkhead(&["trust", "--yes"]);
    assert_ne!(refused.code(), Some(0), "{refused}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    if std::os::unix::fs::chown(&path, Some(65533), None).is_ok() {
        let outcome = stage.bulkhead(&["check"]);
        assert!(outcome.assert_success().stderr.contains("belongs to another user (uid 65533)"), "{outcome}");
        assert!(!stage.project.path("theirs").exists());
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    } else {
        skipped("this user may not give files away");
    }
    stage.bulkhead(&["check"]).assert_success();
    assert!(stage.project.path("theirs").exists());
}

/// Attack 6: the search for configuration, manifests and policy ends at the repository, and where a folder belongs to somebody
/// else, whatever lies above, and whoever owns that.
#[test]
fn the_search_upwards_stops_at_the_repository_and_where_others_own() {
    let stage = || {
        let stage = Stage::new(
            "//- /inner/Cargo.toml\n[package]\nname = \"inner\"\nversion = \"0.1.0\"\nedition = \"2021\"\n//- /inner/src/lib.rs\n",
        );
        stage.project.write(".cargo/config.toml", "[build]\ntarget-dir = \"above\"\n");
        stage.project.write("Cargo.toml", "[workspace]\nmembers = [\"inner\"]\n");
        stage.project.write("bulkhead.toml", "[run]\nconfined = true\n");
        stage
    };
    let inner = |stage: &Stage, program: &str| {
        let command = stage.home.command(program).args(["check"]).current_dir(stage.project.path("inner"));
        command.run().assert_success().stderr.clone()
    };
    let searched = |stage: &Stage| stage.project.path("above").exists() || stage.project.path("Cargo.lock").exists();
    // One's own folder, which is no repository: all of it counts.
    let own = stage();
    inner(&own, BULKHEAD);
    assert!(own.project.path("above").exists() && own.project.path("Cargo.lock").exists());
    // Above the repository.
    let repository = stage();
    std::fs::create_dir(repository.project.path("inner/.git")).unwrap();
    inner(&repository, BULKHEAD);
    assert!(!searched(&repository) && repository.project.path("inner/Cargo.lock").exists());
    // A submodule may be a member of the workspace around it.
    let submodule = stage();
    submodule.project.write("inner/.git", "gitdir: ../.git/modules/inner\n");
    std::fs::create_dir(submodule.project.path(".git")).unwrap();
    inner(&submodule, BULKHEAD);
    assert!(submodule.project.path("above").exists() && submodule.project.path("Cargo.lock").exists());
    // A folder of somebody else's, with files of one's own in it (they were planted by a link, a copy, an archive); and files of
    // somebody else's in a folder in which everybody may write.
    for shared in [false, true] {
        let foreign = stage();
        let root = foreign.project.root().to_owned();
        let uid = (!shared).then_some(65533);
        if shared {
            std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o1777)).unwrap();
        }
        let theirs = [".cargo/config.toml", "Cargo.toml", "bulkhead.toml"].map(|name| foreign.project.path(name));
        let given = match shared {
            false => std::os::unix::fs::chown(&root, uid, None),
            true => theirs.iter().try_for_each(|path| std::os::unix::fs::chown(path, Some(65533), None)),
        };
        if given.is_err() {
            return skipped("this user may not give files away");
        }
        inner(&foreign, BULKHEAD);
        assert!(!searched(&foreign), "shared: {shared}");
        inner(&foreign, "cargo");
        assert!(searched(&foreign), "it bites under cargo, shared: {shared}");
    }
}

#[test]
fn terminal_settings_of_the_user_act_and_a_repository_cannot_silence_warnings() {
    let stage = Stage::new(APP);
    stage.home.configure("[term]\nverbose = true\ncolor = \"always\"\n");
    let outcome = stage.bulkhead(&["check"]);
    assert!(outcome.assert_success().stderr.contains("--crate-name app"), "{outcome}");
    assert!(outcome.stderr.contains("\u{1b}["), "{outcome}");
    let flags = stage.bulkhead(&["check", "-q", "--color", "never"]);
    assert_eq!(flags.assert_success().stderr, "");
    stage.project.write(".cargo/config.toml", "[term]\nquiet = true\n");
    let outcome = stage.bulkhead(&["check"]);
    assert!(outcome.assert_success().stderr.contains("term.quiet"), "{outcome}");
}

/// A secret that a project's file holds is neither used nor shown, whatever else is wrong with the file.
#[test]
fn secrets_of_a_project_are_refused_and_not_shown() {
    let token = format!("ghp_{}", "hunter2".repeat(5));
    let files = [
        ("registry.token", ".cargo/config.toml", "[registry]\ntoken = \"hunter2\"\n".to_owned()),
        ("registries.x.secret-key", ".cargo/config.toml", "registries.x = { secret-key = \"hunter2\" }\n".to_owned()),
        ("env.DEPLOY_TOKEN", ".cargo/config.toml", "[env]\nDEPLOY_TOKEN = \"hunter2\"\n".to_owned()),
        ("env.HARMLESS", ".cargo/config.toml", format!("[env]\nHARMLESS = {{ value = \"{token}\" }}\n")),
        (
            "source.x.registry",
            ".cargo/config.toml",
            "[source.x]\nregistry = \"https://me:hunter2@localhost/\"\n".to_owned(),
        ),
        ("", ".cargo/config.toml", "[registry]\ntoken = \"hunter2\n".to_owned()),
        ("registry.token", ".cargo/config.toml", "[registry]\ntoken = [\"hunter2\"]\n".to_owned()),
        ("", ".cargo/config.toml", "build = { token = \"hunter2\", jobs = 1.5 }\n".to_owned()),
        ("", "bulkhead.toml", "token = \"hunter2\"\n".to_owned()),
        ("reason", "bulkhead.toml", format!("[[grant]]\npackage = \"app\"\nreason = \"{token}\"\n")),
    ];
    each(files, |(key, file, text)| {
        let stage = Stage::new(APP);
        stage.project.write(file, text);
        for arguments in [
            &["check"][..],
            &["trust", "--yes"],
            &["check"],
            &["config", "list"],
            &["config", "get"],
            &["config", "explain", "registry.token"],
            &["audit-log", "show"],
            &["trust", "--diff"],
        ] {
            let outcome = stage.bulkhead(arguments);
            assert!(!outcome.output().contains("hunter2"), "{outcome}");
            if arguments == ["check"] && !key.is_empty() {
                assert!(outcome.stderr.contains(&format!("`{key}`")), "{outcome}");
                assert!(outcome.stderr.contains("revoked"), "{outcome}");
            }
        }
        stage.project.write(file, format!("{text}# changed\n"));
        let diff = stage.bulkhead(&["trust", "--diff"]);
        assert!(!diff.output().contains("hunter2"), "{diff}");
    });
    // The benign twin: what only sounds like one, and the address of a database for tests.
    let stage = Stage::new(APP);
    let text = "[env]\nTOKENIZERS_PARALLELISM = \"false\"\nDATABASE_URL = \"postgres://me:pw@localhost/x\"\n";
    stage.project.write(".cargo/config.toml", text);
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    let outcome = stage.bulkhead(&["check"]);
    assert!(!outcome.assert_success().stderr.contains("refused"), "{outcome}");
}

/// Asks for every key of a list: it has a meaning, a type, a class, a precedence and a default.
#[track_caller]
fn assert_explained(keys: &[String]) {
    let stage = Stage::new(APP);
    each(keys, |key| {
        let told = stage.bulkhead(&["config", "explain", key, "--message-format", "json"]);
        let told: serde_json::Value = serde_json::from_str(&told.assert_success().stdout).unwrap();
        for part in ["key", "about", "kind", "class", "precedence", "default"] {
            assert!(told[part].as_str().is_some_and(|text| !text.is_empty()), "{part} of {key}: {told}");
        }
    });
}

/// A key with names in the place of what stands for any name.
fn example(pattern: &str) -> String {
    let parts = pattern.split('.').map(|part| match part {
        "**" => "dev.opt-level",
        "*" => "example",
        part => part.trim_end_matches("[]"),
    });
    parts.collect::<Vec<_>>().join(".")
}

/// The page lists what the tables have; a test of `bulkhead-config` holds the two together.
#[test]
fn every_key_of_the_page_can_be_asked_for() {
    let page = include_str!("../../../../docs/configuration.md");
    let keys: Vec<String> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(example).collect();
    assert!(keys.len() > 120 && keys.iter().any(|key| key == "limits.memory-mib"), "{keys:?}");
    assert_explained(&keys);
}

/// The chapter "Configuration" of the Cargo Book beside this toolchain has no key that Bulkhead does not know.
#[test]
fn every_key_of_the_cargo_book_is_known() {
    let chapter = bulkhead_test_support::sysroot().join("share/doc/rust/html/cargo/reference/config.html");
    let Ok(chapter) = std::fs::read_to_string(chapter) else {
        return skipped("the toolchain's documentation is not installed");
    };
    let headings = chapter.split("<h4 id=").skip(1).filter_map(|rest| rest.split("</h4>").next());
    let codes = headings.filter_map(|heading| heading.split("<code>").nth(1)?.split("</code>").next());
    let tables = ["net.ssh"];
    let keys = codes.filter(|key| !key.starts_with('[') && !tables.contains(key));
    let names = [
        ("&lt;name&gt;", "example"),
        ("&lt;triple&gt;", "example"),
        ("&lt;cfg&gt;", "cfg(unix)"),
        ("&lt;links&gt;", "z"),
    ];
    let named = |key: &str| names.iter().fold(key.to_owned(), |key, (from, to)| key.replace(from, to));
    let keys: Vec<String> = keys.map(named).collect();
    assert!(keys.len() > 70, "{keys:?}");
    assert_explained(&keys);
}
