//! Sources that stand in for others: vendored folders, local registries, mirrors, and their attacks.

use std::os::unix::fs::symlink;

use bulkhead_test_support::{CrateBuilder, Fault, Misbehaviour, Registry, sha256_hex};

use crate::stage::{APP, Stage, Twins, WORKSPACE, assert_error};

/// What `cargo vendor` prints, for the repository's own configuration.
const VENDORED: &str =
    "[source.crates-io]\nreplace-with = \"vendored-sources\"\n\n[source.vendored-sources]\ndirectory = \"vendor\"\n";

/// The workspace with `vendor/` made by stock cargo, and the configuration that uses it. The registry is gone.
fn vendored() -> Stage {
    let mut stage = Stage::new(WORKSPACE);
    stage.cargo(&["vendor", "--respect-source-config"]).assert_success();
    stage.project.write(".cargo/config.toml", VENDORED);
    stage.registry = Registry::start();
    stage
}

fn trusted(stage: Stage) -> Stage {
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    stage
}

#[test]
fn a_vendored_project_builds_offline_once_it_is_trusted() {
    let stage = vendored();
    let untrusted = stage.bulkhead(&["check", "--offline"]);
    untrusted.assert_code(103);
    assert!(untrusted.stderr.contains("is not trusted"), "{untrusted}");
    assert!(untrusted.stderr.contains("`source.crates-io.replace-with` in"), "{untrusted}");
    assert!(untrusted.stderr.contains("bulkhead trust"), "{untrusted}");
    let stage = trusted(stage);
    let ours = stage.bulkhead(&["run", "--offline", "--locked"]);
    ours.assert_success();
    assert!(stage.registry.requests().is_empty());
    let theirs = stage.cargo(&["run", "--offline", "--locked"]);
    assert_eq!(ours.stdout, theirs.stdout);
    // Cargo and Bulkhead see the same packages in the same places.
    for arguments in [&["metadata", "--format-version", "1", "--offline"][..], &["tree", "--offline"]] {
        let (theirs, ours) = (stage.cargo(arguments), stage.bulkhead(arguments));
        assert_eq!(stage.neutral(&ours.stdout), stage.neutral(&theirs.stdout), "{ours}");
    }
    stage.bulkhead(&["verify"]).assert_success();
}

#[test]
fn what_was_vendored_is_resolved_as_cargo_does() {
    let stage = trusted(vendored());
    let lockfile = stage.project.read("Cargo.lock");
    for arguments in [&["generate-lockfile"][..], &["update"], &["update", "plain@1"], &["fetch"]] {
        stage.project.write("Cargo.lock", &lockfile);
        let theirs = stage.cargo(arguments);
        let by_cargo = stage.project.read("Cargo.lock");
        stage.project.write("Cargo.lock", &lockfile);
        let ours = stage.bulkhead(arguments);
        assert_eq!((ours.code(), stage.project.read("Cargo.lock")), (theirs.code(), by_cargo), "{ours}");
        if arguments != ["generate-lockfile"] {
            assert_eq!(stage.neutral(&ours.stderr), stage.neutral(&theirs.stderr));
        }
    }
    // A package that nobody vendored.
    stage.project.edit("app/Cargo.toml", "derive-it = \"0.3\"", "derive-it = \"0.3\"\noptional-user = \"0.1\"");
    let (theirs, ours) = (stage.cargo(&["check"]), stage.bulkhead(&["check"]));
    assert_eq!((ours.code(), theirs.code()), (Some(101), Some(101)), "{ours}");
    assert!(ours.stderr.contains("which is replacing registry `crates-io`"), "{ours}");
}

/// Makes the list of a vendored package agree with its files again, as an attacker would.
fn forge(stage: &Stage, package: &str, path: &str) {
    let list = format!("vendor/{package}/.cargo-checksum.json");
    let mut value: serde_json::Value = serde_json::from_str(&stage.project.read(&list)).unwrap();
    let content = stage.project.read(&format!("vendor/{package}/{path}"));
    value["files"][path] = sha256_hex(content.as_bytes()).into();
    stage.project.write(&list, value.to_string());
}

#[test]
fn attack_83_a_vendored_folder_whose_list_vouches_for_nothing() {
    for list in ["{\"files\":{},\"package\":null}", "{\"files\":{}}", "{\"files\":{},\"package\":\"[SHA]\"}"] {
        let stage = trusted(vendored());
        let old: serde_json::Value =
            serde_json::from_str(&stage.project.read("vendor/plain/.cargo-checksum.json")).unwrap();
        let list = list.replace("[SHA]", old["package"].as_str().unwrap());
        stage.project.write("vendor/plain/.cargo-checksum.json", &list);
        stage.project.write("vendor/plain/src/lib.rs", "pub fn say() -> String { \"evil\".into() }");
        // With the lockfile's own checksum cargo runs what stands there.
        let theirs = stage.cargo(&["run", "--offline"]);
        assert_eq!(theirs.stdout.contains("evil"), list.contains("\"package\":\""), "{theirs}");
        stage.bulkhead(&["run", "--offline"]).assert_code(104);
        // Cargo believes anything when there is no lockfile.
        std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
        let theirs = stage.cargo(&["run", "--offline"]);
        assert!(theirs.stdout.contains("evil"), "{theirs}");
        stage.bulkhead(&["run", "--offline"]).assert_code(104);
    }
}

#[test]
fn attack_123_an_edited_vendored_file_is_noticed() {
    let stage = trusted(vendored());
    stage.bulkhead(&["check", "--offline"]).assert_success();
    let path = stage.project.path("vendor/plain/src/lib.rs");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    stage.project.edit("vendor/plain/src/lib.rs", "plain 1", "evil! 1");
    std::fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    // Cargo compares when it compiles, and not when the artifact is there already.
    stage.cargo(&["check", "--offline"]);
    let ours = stage.bulkhead(&["check", "--offline"]);
    ours.assert_code(104);
    assert!(ours.stderr.contains("the listed checksum of"), "{ours}");
    stage.bulkhead(&["verify"]).assert_code(104);
}

#[test]
fn a_forged_list_is_noticed_where_the_archive_is_known() {
    let mut stage = Stage::new(WORKSPACE);
    // The archive comes here first.
    stage.bulkhead(&["fetch"]).assert_success();
    stage.cargo(&["vendor", "--respect-source-config"]).assert_success();
    stage.project.write(".cargo/config.toml", VENDORED);
    stage.registry = Registry::start();
    let stage = trusted(stage);
    stage.bulkhead(&["check", "--offline"]).assert_success();
    stage.project.edit("vendor/plain/src/lib.rs", "plain 1", "evil! 1");
    forge(&stage, "plain", "src/lib.rs");
    let theirs = stage.cargo(&["run", "--offline"]);
    assert!(theirs.stdout.contains("evil!"), "{theirs}");
    let ours = stage.bulkhead(&["run", "--offline"]);
    ours.assert_code(104);
    assert!(ours.stderr.contains("differs from the published archive"), "{ours}");
}

/// The archive was never on this machine, so that the pin alone tells.
#[test]
fn attack_83_a_vendored_package_stays_what_it_was_at_first_use() {
    let stage = trusted(vendored());
    stage.bulkhead(&["check", "--offline", "--locked"]).assert_success();
    assert!(!stage.project.path("bulkhead.lock").exists(), "a project that was cargo's is taken over as it is");
    stage.bulkhead(&["check", "--offline"]).assert_success();
    let pinned = stage.project.read("bulkhead.lock");
    assert!(pinned.contains("\n\"plain 1.1.0\" = \"sha256:"), "{pinned}");
    stage.bulkhead(&["check", "--offline", "--locked"]).assert_success();
    stage.project.edit("vendor/plain/src/lib.rs", "plain 1", "evil! 1");
    forge(&stage, "plain", "src/lib.rs");
    let theirs = stage.cargo(&["run", "--offline", "--locked"]);
    assert!(theirs.stdout.contains("evil!"), "{theirs}");
    for arguments in [&["run", "--offline"][..], &["run", "--offline", "--locked"], &["metadata", "--offline"]] {
        let parts = ["error[content-pinned]", "- \"plain 1.1.0\"", "+ \"plain 1.1.0\"", "bulkhead vendor"];
        assert_error(&stage.bulkhead(arguments), 104, &parts);
    }
    assert_eq!(stage.project.read("bulkhead.lock"), pinned);
    // Looked at, and meant.
    let others: Vec<&str> = pinned.lines().filter(|line| !line.starts_with("\"plain 1.1.0\"")).collect();
    stage.project.write("bulkhead.lock", others.join("\n"));
    let locked = stage.bulkhead(&["run", "--offline", "--locked"]);
    assert_error(&locked, 101, &["bulkhead.lock", "--locked", "does not have `plain 1.1.0`"]);
    assert!(stage.bulkhead(&["run", "--offline"]).stdout.contains("evil!"));
}

/// Whoever vendors with Bulkhead has nothing to accept by hand, and a project's next version needs no more than that.
#[test]
fn vendoring_again_pins_anew() {
    let stage = Stage::new(WORKSPACE);
    let vendor = || stage.bulkhead(&["vendor", "--respect-source-config"]);
    vendor().assert_success();
    let pinned = stage.project.read("bulkhead.lock");
    stage.project.write(".cargo/config.toml", VENDORED);
    let stage = trusted(stage);
    stage.bulkhead(&["check", "--offline", "--locked"]).assert_success();
    std::fs::remove_file(stage.project.path(".cargo/config.toml")).unwrap();
    // Somebody's edit, pinned or not, is gone with the next vendoring; and so is the pin of what is vendored no more.
    let digest = "0".repeat(64);
    let doctored =
        format!("version = 1\n[vendored]\n'plain 1.1.0' = 'sha256:{digest}'\n'gone 1.0.0' = 'sha256:{digest}'\n");
    stage.project.write("bulkhead.lock", doctored);
    stage.bulkhead(&["vendor", "--respect-source-config"]).assert_success();
    stage.project.write(".cargo/config.toml", VENDORED);
    stage.bulkhead(&["check", "--offline"]).assert_success();
    assert_eq!(stage.project.read("bulkhead.lock"), pinned);
}

#[test]
fn attack_58_links_in_vendored_folders_are_not_followed() {
    let stage = trusted(vendored());
    let secret = stage.project.outside().join("secret.rs");
    std::fs::write(&secret, "pub fn say() -> String { \"secret\".into() }").unwrap();
    let path = stage.project.path("vendor/plain/src/lib.rs");
    std::fs::remove_file(&path).unwrap();
    symlink(&secret, &path).unwrap();
    forge(&stage, "plain", "src/lib.rs");
    let theirs = stage.cargo(&["run", "--offline"]);
    assert!(theirs.stdout.contains("secret"), "{theirs}");
    let ours = stage.bulkhead(&["run", "--offline"]);
    ours.assert_code(104);
    assert!(ours.stderr.contains("is a symbolic link"), "{ours}");
}

#[test]
fn attack_30_configuration_inside_vendored_packages_is_inert() {
    let stage = trusted(vendored());
    let mark = stage.project.outside().join("mark");
    let wrapper = stage.project.outside().join("wrapper");
    std::fs::write(&wrapper, format!("#!/bin/sh\ntouch {}\nexec \"$@\"\n", mark.display())).unwrap();
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = format!("[build]\nrustc-wrapper = \"{}\"\n", wrapper.display());
    for (path, content) in
        [(".cargo/config.toml", config.as_str()), ("rust-toolchain.toml", "[toolchain]\npath = \"/\"\n")]
    {
        stage.project.write(&format!("vendor/plain/{path}"), content);
        forge(&stage, "plain", path);
    }
    stage.bulkhead(&["check", "--offline"]).assert_success();
    assert!(!mark.exists());
    // The file does bite where somebody stands in it.
    let copy = stage.project.outside().join("plain");
    std::fs::rename(stage.project.path("vendor/plain"), &copy).unwrap();
    let theirs = stage.home.command("cargo").args(["check", "--offline"]).current_dir(copy).run();
    assert!(mark.exists(), "{theirs}");
}

#[test]
fn attack_26_replaced_sources_wait_for_trust() {
    let stage = vendored();
    stage.project.write("vendor/plain/src/lib.rs", "pub fn say() -> String { \"evil\".into() }");
    forge(&stage, "plain", "src/lib.rs");
    assert!(stage.cargo(&["run", "--offline"]).stdout.contains("evil"));
    let ours = stage.bulkhead(&["run", "--offline"]);
    assert!(ours.code() != Some(0) && !ours.stdout.contains("evil"), "{ours}");
}

/// `reg/` with the index and the archives of the registry's packages that the workspace needs.
fn with_local_registry(stage: &Stage) {
    stage.cargo(&["fetch"]).assert_success();
    let cache = stage.home.cargo_home().join("registry/cache");
    let folder = std::fs::read_dir(cache).unwrap().next().unwrap().unwrap().path();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        stage.project.write(&format!("reg/{name}"), std::fs::read(entry.path()).unwrap());
    }
    for name in ["plain", "derive-it", "native-sys", "uses-native", "test-tool"] {
        let path = format!("{}/{}/{name}", &name[..2], &name[2..4]);
        stage.project.write(&format!("reg/index/{path}"), stage.registry.index_lines(name));
    }
    stage.project.write(
        ".cargo/config.toml",
        "[source.crates-io]\nreplace-with = \"here\"\n[source.here]\nlocal-registry = \"reg\"\n",
    );
}

#[test]
fn a_local_registry_is_read_as_cargo_does() {
    let twins = Twins::new(WORKSPACE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        with_local_registry(stage);
        stage.bulkhead(&["trust", "--yes"]).assert_success();
        stage.registry.clear_requests();
    }
    twins.same_output(&["fetch"]);
    twins.same_output(&["run", "--offline"]);
    twins.same_output(&["tree"]);
    twins.same_output(&["update"]);
    assert!(twins.bulkhead.registry.requests().is_empty());
    // An archive that is not the one of the lockfile.
    let stage = &twins.bulkhead;
    std::fs::rename(stage.project.path("reg/test-tool-0.5.0.crate"), stage.project.path("reg/plain-1.1.0.crate"))
        .unwrap();
    let fresh = stage.project.outside().join("fresh");
    let trust = stage.command(&["trust", "--yes"]).env("BULKHEAD_HOME", &fresh).run();
    trust.assert_success();
    stage.command(&["fetch"]).env("BULKHEAD_HOME", &fresh).run().assert_code(104);
}

#[test]
fn a_mirror_changes_neither_ids_nor_lockfile() {
    let twins = Twins::new(WORKSPACE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        // A chain: the public registry, then one that is asked for nothing, then the mirror.
        stage
            .home
            .configure("[source.between]\nregistry = \"https://between.example/index\"\nreplace-with = \"loopback\"\n");
        stage.project.write(".cargo/config.toml", "[source.crates-io]\nreplace-with = \"between\"\n");
        stage.bulkhead(&["trust", "--yes"]).assert_success();
    }
    twins.same_output(&["generate-lockfile"]);
    assert!(
        twins.bulkhead.project.read("Cargo.lock").contains("registry+https://github.com/rust-lang/crates.io-index")
    );
    twins.same_output(&["tree"]);
}

/// Attack 35: a mirror that was put in the registry's place is not the registry. What is locked comes from it only if it is what
/// was locked, and an answer about another package is none.
#[test]
fn a_mirror_cannot_put_another_package_in_the_place_of_a_locked_one() {
    let locked = Stage::new(APP);
    locked.bulkhead(&["generate-lockfile"]).assert_success();
    let (lockfile, index) = (locked.project.read("Cargo.lock"), locked.registry.index_lines("plain"));
    let behind = |mirror: &Stage| {
        mirror.project.write("Cargo.lock", &lockfile);
        let outcome = mirror.bulkhead(&["check", "--locked"]);
        assert!(!outcome.stderr.contains("evil"), "{outcome}");
        outcome
    };
    let mirror = || Stage::new(APP);
    let evil = || CrateBuilder::new("plain", "1.1.0").file("src/lib.rs", "compile_error!(\"evil\");");
    // Other bytes under the same version, of which the mirror's index gives the checksum.
    let other = mirror();
    other.registry.publish(evil());
    assert_error(&behind(&other), 104, &["plain", "checksum"]);
    // The right entry, and another archive.
    let swapped = mirror();
    swapped.registry.publish(evil());
    swapped.registry.fault(Fault::on("/pl/ai/plain", Misbehaviour::Replace(index.clone().into_bytes())));
    assert_error(&behind(&swapped), 104, &["plain"]);
    // Entries of another package.
    let renamed = mirror();
    let entries = index.replace("\"plain\"", "\"plane\"").into_bytes();
    renamed.registry.fault(Fault::on("/pl/ai/plain", Misbehaviour::Replace(entries)));
    std::fs::remove_file(renamed.project.path("Cargo.lock")).unwrap_or_default();
    assert_error(&renamed.bulkhead(&["check"]), 104, &["plain", "plane"]);
    // A mirror that mirrors.
    behind(&mirror()).assert_success();
}
