//! `[patch]`, `[replace]` and `paths`: other packages in the place of published ones.

use std::collections::BTreeSet;

use bulkhead_test_support::{CrateBuilder, GitRepository, Registry};

use crate::stage::{Stage, Twins, assert_error};

/// A program that uses two versions of `plain`, with copies of it to be patched in.
const PROJECT: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
plain = "1"
newer = { package = "plain", version = "2" }
//- /src/main.rs
fn main() { println!("{} {}", plain::say(), newer::say()) }
//- /one/Cargo.toml
[package]
name = "plain"
version = "1.5.0"
edition = "2021"
//- /one/src/lib.rs
pub fn say() -> String { "patched 1.5".into() }
//- /two/Cargo.toml
[package]
name = "plain"
version = "2.5.0"
edition = "2021"
//- /two/src/lib.rs
pub fn say() -> String { "patched 2.5".into() }
//- /three/Cargo.toml
[package]
name = "plain"
version = "3.0.0"
edition = "2021"
//- /three/src/lib.rs
//- /other/Cargo.toml
[package]
name = "other"
version = "1.0.0"
edition = "2021"
//- /other/src/lib.rs
"#;

/// Both projects of [`PROJECT`], with `text` behind their manifests.
fn set(twins: &Twins, text: &str) {
    let manifest = PROJECT.split("//- /").nth(1).unwrap().split_once('\n').unwrap().1;
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write("Cargo.toml", format!("{manifest}{text}"));
    }
}

fn unlock(twins: &Twins) {
    for stage in [&twins.cargo, &twins.bulkhead] {
        let _ = std::fs::remove_file(stage.project.path("Cargo.lock"));
    }
}

#[test]
fn a_patch_by_path_comes_changes_and_goes() {
    let twins = Twins::new(PROJECT);
    let step = |text: &str, arguments: &[&str]| {
        set(&twins, text);
        let (theirs, ours) = twins.run(arguments);
        assert_eq!(twins.bulkhead.neutral(&ours.stdout), twins.cargo.neutral(&theirs.stdout), "{theirs}{ours}");
        // Cargo asks the registry whenever a patch has changed, though nothing depends on the answer.
        let lines = |stage: &Stage, text: &str| {
            let text = stage.neutral(text);
            text.lines().filter(|line| !line.contains("[INDEX] index")).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert_eq!(lines(&twins.bulkhead, &ours.stderr), lines(&twins.cargo, &theirs.stderr), "{theirs}{ours}");
        ours
    };
    let one = "[patch.crates-io]\nplain = { path = \"one\" }\n";
    step("", &["run"]);
    // A lockfile is kept: the patch waits for an update.
    step(one, &["tree"]);
    step(one, &["run"]);
    step(one, &["update", "plain@1.1.0"]);
    assert!(step(one, &["run"]).stdout.starts_with("patched 1.5 plain 2.0.0"));
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("one/Cargo.toml", "1.5.0", "1.6.0");
    }
    twins.run(&["run", "--locked"]);
    step(one, &["run"]);
    step(one, &["metadata", "--format-version", "1", "--no-deps"]);
    step("", &["run"]);
    unlock(&twins);
    step(one, &["run"]);
    step(one, &["update"]);
    step("[patch.crates-io]\nplain = { path = \"three\" }\n", &["run"]);
    step("[patch.crates-io]\nplain = { path = \"three\" }\n", &["run"]);
    step("[patch.crates-io]\nother = { path = \"other\" }\n", &["run"]);
    step("[patch.crates-io]\nother = { path = \"other\" }\n", &["tree", "-q"]);
    step("", &["run"]);
}

#[test]
fn several_versions_are_patched_under_other_names() {
    let twins = Twins::new(PROJECT);
    set(
        &twins,
        "[patch.crates-io]\nplain = { path = \"one\" }\nother-plain = { path = \"two\", package = \"plain\" }\n",
    );
    assert_eq!(twins.same_output(&["run"]).stdout, "patched 1.5 patched 2.5\n");
    twins.same_output(&["tree"]);
    twins.same_output(&["update"]);
    // Versions that nobody wants, in the order of the lockfile.
    set(&twins, "[patch.crates-io]\nplain = { path = \"three\" }\nx = { path = \"other\", package = \"other\" }\n");
    unlock(&twins);
    twins.same_output(&["check"]);
}

#[test]
fn patches_that_cannot_be_are_refused_as_cargo_does() {
    for (text, needle) in [
        ("[patch.crates-io]\nplain = { path = \"other\" }\n", "does not contain packages matching `plain`"),
        ("[patch.crates-io]\nplain = { path = \"one\", version = \"7\" }\n", "patch `plain` version mismatch"),
        ("[patch.crates-io]\nplain = \"1.0.0\"\n", "points to the same source"),
        ("[patch.crates-io]\nplain = { path = \"nowhere\" }\n", "nowhere"),
        ("[patch.nope]\nplain = { path = \"one\" }\n", "[patch] entry `nope` should be a URL or registry name"),
        (
            "[patch.crates-io]\nplain = { path = \"one\" }\nx = { path = \"copy\", package = \"plain\" }\n",
            "several `[patch]` entries resolving to same version `plain v1.5.0`",
        ),
        ("[patch.crates-io]\nother = { path = \"other\" }\n[replace]\n\"plain:1.1.0\" = { path = \"one\" }\n", "both"),
    ] {
        let twins = Twins::new(PROJECT);
        set(&twins, text);
        for stage in [&twins.cargo, &twins.bulkhead] {
            stage.project.write("copy/Cargo.toml", stage.project.read("one/Cargo.toml"));
            stage.project.write("copy/src/lib.rs", "");
        }
        let (theirs, ours) = twins.run(&["check"]);
        assert!(ours.code() == Some(101) && ours.stderr.contains(needle), "{theirs}{ours}");
    }
}

/// A patch of another registry's packages, and one that is taken from another registry.
#[test]
fn patches_concern_the_source_that_they_name() {
    let twins = Twins::new(PROJECT);
    set(&twins, "[patch.\"https://example.com/elsewhere\"]\nplain = { path = \"one\" }\n");
    let (theirs, ours) = twins.run(&["check"]);
    for text in [&theirs.stderr, &ours.stderr] {
        assert!(
            text.contains("was not used in the crate graph") && text.contains("perhaps you meant one of"),
            "{text}"
        );
    }
    // Fields that say nothing in a patch.
    set(&twins, "[patch.crates-io]\nplain = { path = \"one\", features = [\"x\"] }\n");
    let (theirs, ours) = twins.run(&["check"]);
    for text in [&theirs.stderr, &ours.stderr] {
        assert!(text.contains("unused field in patch for `plain`: `features`"), "{text}");
    }
}

#[test]
fn patches_on_the_command_line_win_over_the_manifest() {
    let twins = Twins::new(PROJECT);
    twins.same_output(&["run", "--config", "patch.crates-io.plain.path=\"one\""]);
    unlock(&twins);
    set(&twins, "[patch.crates-io]\nplain = { path = \"two\" }\nother = { path = \"other\" }\n");
    twins.same_output(&["run", "--config", "patch.crates-io.plain.path=\"one\""]);
}

#[test]
fn attack_26_patches_in_the_repositorys_configuration_wait_for_trust() {
    let twins = Twins::new(PROJECT);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write(".cargo/config.toml", "[patch.crates-io]\nplain = { path = \"one\" }\n");
    }
    assert!(twins.cargo.cargo(&["run"]).stdout.starts_with("patched"));
    let stage = &twins.bulkhead;
    let untrusted = stage.bulkhead(&["run"]);
    untrusted.assert_success();
    assert_eq!(untrusted.stdout, "plain 1.1.0! plain 2.0.0!\n".replace('!', ""));
    assert!(untrusted.stderr.contains("`patch.crates-io.plain` in"), "{untrusted}");
    assert!(stage.project.read("Cargo.lock").contains("name = \"plain\"\nversion = \"1.1.0\"\nsource"));
    // Trusted, it acts as under cargo, and is named each time.
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    unlock(&twins);
    for _ in 0..2 {
        let (theirs, ours) = twins.run(&["run"]);
        assert_eq!(ours.stdout, theirs.stdout);
        assert!(ours.stderr.contains("config.toml says"), "{ours}");
    }
}

/// Who trusts a configuration has looked at it, and not at every later state of a folder that it names.
#[test]
fn attack_26_a_folder_of_somebody_else_stays_what_it_was_when_it_was_first_used() {
    for configuration in ["[patch.crates-io]\nplain = { path = \"../one\" }\n", "paths = [\"../one\"]\n"] {
        let stage = Stage::new(
            &PROJECT.replace("newer = { package = \"plain\", version = \"2\" }\n", "").replace("newer::", "plain::"),
        );
        let theirs = stage.project.outside().join("one");
        std::fs::create_dir_all(theirs.join("src")).unwrap();
        for file in ["Cargo.toml", "src/lib.rs"] {
            std::fs::copy(stage.project.path("one").join(file), theirs.join(file)).unwrap();
        }
        stage.project.write(".cargo/config.toml", configuration);
        stage.bulkhead(&["trust", "--yes"]).assert_success();
        assert!(stage.bulkhead(&["run"]).stdout.starts_with("patched"));
        let pinned = stage.project.read("bulkhead.lock");
        assert!(pinned.contains("[overrides]\n\"../one\" = \"sha256:"), "{pinned}");
        // What tools leave there is not what is built.
        std::fs::create_dir_all(theirs.join("target")).unwrap();
        std::fs::write(theirs.join("target/x"), "").unwrap();
        stage.bulkhead(&["run", "--locked"]).assert_success();
        std::fs::write(theirs.join("src/lib.rs"), "pub fn say() -> String { \"evil\".into() }").unwrap();
        let theirs = stage.cargo(&["run"]);
        assert!(theirs.stdout.starts_with("evil"), "{theirs}");
        assert_error(&stage.bulkhead(&["run"]), 104, &["error[content-pinned]", "- \"../", "+ \"../", "bulkhead.lock"]);
        std::fs::remove_file(stage.project.path("bulkhead.lock")).unwrap();
        assert!(stage.bulkhead(&["run"]).stdout.starts_with("evil"));
        // A folder of the workspace is the project's own, which is there to be edited.
        stage.project.write(".cargo/config.toml", configuration.replace("../", ""));
        stage.bulkhead(&["trust", "--yes"]).assert_success();
        stage.bulkhead(&["run"]).assert_success();
        stage.project.write("one/src/lib.rs", "pub fn say() -> String { \"mine\".into() }");
        assert!(stage.bulkhead(&["run"]).stdout.starts_with("mine"));
        assert!(!stage.project.read("bulkhead.lock").contains("sha256:"));
    }
}

#[test]
fn a_trusted_patch_is_needed_for_its_lockfile() {
    let stage = Stage::new(PROJECT);
    stage.project.write(".cargo/config.toml", "[patch.crates-io]\nplain = { path = \"one\" }\n");
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    stage.bulkhead(&["run"]).assert_success();
    stage.bulkhead(&["trust", "--revoke", ".cargo/config.toml"]);
    let ours = stage.bulkhead(&["run", "--locked"]);
    ours.assert_code(101);
    assert!(ours.stderr.contains("--locked"), "{ours}");
}

/// `plain` in a repository, as it could have been forked.
const FORK: &str = "//- /Cargo.toml\n[package]\nname = \"plain\"\nversion = \"1.7.0\"\nedition = \"2021\"\n//- /src/lib.rs\npub fn say() -> String { \"forked\".into() }\n";

#[test]
fn a_patch_from_a_repository_is_locked_to_a_commit() {
    let fork = GitRepository::new("fork", FORK);
    let twins = Twins::new(PROJECT);
    set(&twins, &format!("[patch.crates-io]\nplain = {{ git = \"{}\" }}\n", fork.url()));
    assert!(twins.same_output(&["run"]).stdout.starts_with("forked"));
    twins.same_output(&["tree"]);
    fork.commit("//- /src/lib.rs\npub fn say() -> String { \"changed\".into() }\n");
    assert!(twins.same_output(&["run", "--locked"]).stdout.starts_with("forked"));
    twins.same_output(&["update"]);
    assert!(twins.same_output(&["run"]).stdout.starts_with("changed"));
    // A version that nobody wants.
    set(&twins, &format!("[patch.crates-io]\nplain = {{ git = \"{}\", branch = \"main\" }}\n", fork.url()));
    let (_, ours) = twins.run(&["run"]);
    ours.assert_success();
    let (_, ours) = twins.run(&["update"]);
    ours.assert_success();
    // A repository that has no such package.
    set(&twins, &format!("[patch.crates-io]\ntest-tool = {{ git = \"{}\" }}\n", fork.url()));
    let (theirs, ours) = twins.run(&["run"]);
    assert!(ours.stderr.contains("does not contain packages matching `test-tool`"), "{theirs}{ours}");
}

#[test]
fn a_patch_of_a_repository_replaces_its_packages() {
    let fork = GitRepository::new("fork", FORK);
    let text = format!("plain = {{ git = \"{}\" }}", fork.url());
    let twins = Twins::new(&PROJECT.replace("plain = \"1\"", &text));
    assert!(twins.same_output(&["run"]).stdout.starts_with("forked"));
    for stage in [&twins.cargo, &twins.bulkhead] {
        let manifest = stage.project.read("Cargo.toml");
        stage
            .project
            .write("Cargo.toml", format!("{manifest}[patch.\"{}\"]\nplain = {{ path = \"one\" }}\n", fork.url()));
    }
    let (_, ours) = twins.run(&["run"]);
    ours.assert_success();
    twins.run(&["update"]);
    let (theirs, ours) = twins.run(&["run"]);
    assert_eq!(ours.stdout, theirs.stdout);
    assert!(ours.stdout.starts_with("patched"), "{ours}");
}

#[test]
fn a_patch_from_another_registry_names_one_version() {
    let twins = Twins::new(PROJECT);
    let other = Registry::start();
    let build = |version: &str| {
        CrateBuilder::new("plain", version).file("src/lib.rs", "pub fn say() -> String { \"other\".into() }\n")
    };
    other.publish(build("1.8.0")).publish(build("1.9.0"));
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.home.configure(&format!("[registries.other]\nindex = \"{}\"\n", other.index_url()));
    }
    set(&twins, "[patch.crates-io]\nplain = { version = \"1\", registry = \"other\" }\n");
    let (theirs, ours) = twins.run(&["run"]);
    assert!(theirs.stderr.contains("more than one candidate") && ours.stderr.contains("more than one candidate"));
    set(&twins, "[patch.crates-io]\nplain = { version = \"=1.8.0\", registry = \"other\" }\n");
    let (theirs, ours) = twins.run(&["run"]);
    assert_eq!(ours.stdout, theirs.stdout, "{theirs}{ours}");
    assert!(ours.stdout.starts_with("other"), "{ours}");
    twins.run(&["update"]);
    let (_, ours) = twins.run(&["run", "--offline", "--locked"]);
    ours.assert_success();
}

/// A package that can take the place of `plain` 1.1.0, and needs something of its own.
fn put_copy(twins: &Twins) {
    for stage in [&twins.cargo, &twins.bulkhead] {
        let manifest = "[package]\nname = \"plain\"\nversion = \"1.1.0\"\nedition = \"2021\"\n[features]\ndefault = []\nloud = []\n";
        stage
            .project
            .write("copy/Cargo.toml", format!("{manifest}[dependencies]\nother = {{ path = \"../other\" }}\n"));
        stage.project.write("copy/src/lib.rs", "pub fn say() -> String { \"replaced\".into() }\n");
    }
}

#[test]
fn replacements_are_recorded_as_cargo_records_them() {
    let twins = Twins::new(PROJECT);
    put_copy(&twins);
    let replace = "[replace]\n\"plain:1.1.0\" = { path = \"copy\" }\n";
    set(&twins, replace);
    for arguments in [&["run"][..], &["tree"], &["run", "--locked"], &["update"], &["tree", "-i", "other"]] {
        let (theirs, ours) = twins.run(arguments);
        assert_eq!(twins.bulkhead.neutral(&ours.stdout), twins.cargo.neutral(&theirs.stdout), "{theirs}{ours}");
    }
    assert!(twins.bulkhead.project.read("Cargo.lock").contains("replace = \"plain 1.1.0\""));
    let (theirs, ours) = twins.run(&["metadata", "--format-version", "1", "--offline"]);
    let without_stores = |stage: &Stage, text: &str| {
        let mut value: serde_json::Value = serde_json::from_str(&stage.neutral(text)).unwrap();
        value["packages"] = serde_json::Value::Null;
        value
    };
    assert_eq!(without_stores(&twins.bulkhead, &ours.stdout), without_stores(&twins.cargo, &theirs.stdout));
    // Gone again, and one that is not used.
    set(&twins, "");
    twins.run(&["run"]);
    set(&twins, "[replace]\n\"plain:1.0.9\" = { path = \"nine\" }\n");
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage
            .project
            .write("nine/Cargo.toml", "[package]\nname = \"plain\"\nversion = \"1.0.9\"\nedition = \"2021\"\n");
        stage.project.write("nine/src/lib.rs", "");
    }
    let (theirs, ours) = twins.run(&["run"]);
    for text in [&theirs.stderr, &ours.stderr] {
        assert!(text.contains("warning: package replacement is not used: ") && text.contains("#plain@1.0.9"), "{text}");
    }
    set(&twins, "[replace]\n\"plain:1.1.0\" = { path = \"nine\" }\n");
    let (_, ours) = twins.run(&["run"]);
    assert!(ours.stderr.contains("no matching package for override"), "{ours}");
}

#[test]
fn folders_of_paths_take_the_place_of_packages_once_they_are_trusted() {
    let one = PROJECT.replace("newer = { package = \"plain\", version = \"2\" }\n", "");
    let twins = Twins::new(&one.replace("\"{} {}\", plain::say(), newer::say()", "\"{}\", plain::say()"));
    put_copy(&twins);
    twins.run(&["generate-lockfile"]);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write(".cargo/config.toml", "paths = [\"copy\"]\n");
    }
    // Nothing acts before it is trusted (attack 26).
    let theirs = twins.cargo.cargo(&["run"]);
    assert!(theirs.stdout.contains("replaced"), "{theirs}");
    let untrusted = twins.bulkhead.bulkhead(&["run"]);
    assert_eq!(untrusted.stdout, "plain 1.1.0\n", "{untrusted}");
    twins.bulkhead.bulkhead(&["trust", "--yes"]).assert_success();
    for arguments in [&["run"][..], &["tree"]] {
        let (theirs, ours) = twins.run(arguments);
        assert_eq!(ours.stdout.contains("replaced"), theirs.stdout.contains("replaced"), "{theirs}{ours}");
        for text in [&theirs.stderr, &ours.stderr] {
            assert!(text.contains("path override for crate `plain` has altered the original list of"), "{text}");
            assert!(text.contains("the dependency on `other` was either added or"), "{text}");
        }
    }
    assert!(!twins.bulkhead.project.read("Cargo.lock").contains("other"));
    let (theirs, ours) = twins.run(&["run", "--locked", "--offline"]);
    assert_eq!(ours.stdout, theirs.stdout, "{theirs}{ours}");
}

/// A folder of `paths` is searched for packages: not what is hidden, a link, another repository or a package's `target`.
#[test]
fn folders_of_paths_are_searched() {
    let one = PROJECT.replace("newer = { package = \"plain\", version = \"2\" }\n", "");
    let one = one.replace("\"{} {}\", plain::say(), newer::say()", "\"{}\", plain::say()");
    for (place, is_found) in [
        ("forks", true),
        ("forks/deep/down", true),
        ("forks/sound/nested", true),
        ("forks/target/plain", true),
        ("forks/sound/target/plain", false),
        ("forks/.hidden/plain", false),
        ("forks/clone/plain", false),
        ("elsewhere/plain", false),
    ] {
        let twins = Twins::new(&one);
        twins.run(&["generate-lockfile"]);
        for stage in [&twins.cargo, &twins.bulkhead] {
            let package = |folder: &str, name: &str, more: &str| {
                let head = format!("[package]\nname = \"{name}\"\nversion = \"1.1.0\"\nedition = \"2021\"\n");
                stage.project.write(&format!("{folder}/Cargo.toml"), head + more);
                stage.project.write(
                    &format!("{folder}/src/lib.rs"),
                    format!("pub fn say() -> String {{ \"from {folder}\".into() }}\n"),
                );
            };
            package("forks/sound", "sound", "");
            // What nobody uses may be broken; cargo does not always bear it.
            if stage.project.root() == twins.bulkhead.project.root() {
                package("forks/lacking", "lacking", "[dependencies]\nother = { path = \"absent\" }\n");
            }
            package("forks/broken", "broken", "nonsense\n");
            stage.project.write("forks/virtual/Cargo.toml", "[workspace]\n");
            stage.project.write("forks/clone/.git/HEAD", "");
            let features = "[features]\ndefault = []\nloud = []\n";
            package(place, "plain", features);
            if is_found && place != "forks" {
                package("forks/zz", "plain", features);
            }
            std::fs::create_dir_all(stage.project.path("elsewhere")).unwrap();
            std::os::unix::fs::symlink("../elsewhere", stage.project.path("forks/link")).unwrap();
            stage.project.write(".cargo/config.toml", "paths = [\"forks\"]\n");
        }
        twins.bulkhead.bulkhead(&["trust", "--yes"]).assert_success();
        let (theirs, ours) = twins.run(&["run", "--locked"]);
        assert_eq!(ours.stdout, theirs.stdout, "{theirs}{ours}");
        assert_eq!(ours.stdout.contains(place), is_found, "{ours}");
        for text in [&theirs.stderr, &ours.stderr] {
            assert!(text.contains("broken"), "{text}");
            assert_eq!(
                text.contains("skipping duplicate package `plain v1.1.0"),
                is_found && place != "forks",
                "{text}"
            );
        }
    }
}

#[test]
fn a_replacement_can_come_from_a_repository() {
    let fork = GitRepository::new("fork", &FORK.replace("1.7.0", "1.1.0"));
    let twins = Twins::new(PROJECT);
    set(&twins, &format!("[replace]\n\"plain:1.1.0\" = {{ git = \"{}\" }}\n", fork.url()));
    for arguments in [&["run"][..], &["tree"], &["run", "--locked", "--offline"], &["update"]] {
        let (theirs, ours) = twins.run(arguments);
        assert_eq!(twins.bulkhead.neutral(&ours.stdout), twins.cargo.neutral(&theirs.stdout), "{theirs}{ours}");
    }
}

/// `fetch --target`: the same set of packages.
#[test]
fn fetch_brings_what_a_target_needs() {
    let project = "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        [dependencies]\nuses-native = \"0.1\"\n[target.'cfg(windows)'.dependencies]\nplain = \"1\"\n\
        [target.'cfg(target_os = \"macos\")'.dependencies]\nderive-it = \"0.3\"\n\
        [target.'cfg(unix)'.dev-dependencies]\ntest-tool = \"0.5\"\n[build-dependencies]\noptional-user = \"0.1\"\n\
        [target.'cfg(windows)'.build-dependencies]\nwindows-only = { package = \"plain\", version = \"2\" }\n\
        //- /src/lib.rs\n//- /build.rs\nfn main() {}\n";
    for targets in [
        &[][..],
        &["x86_64-unknown-linux-gnu"],
        &["x86_64-pc-windows-msvc"],
        &["x86_64-apple-darwin", "x86_64-pc-windows-msvc"],
    ] {
        let twins = Twins::new(project);
        let arguments: Vec<&str> =
            ["fetch"].into_iter().chain(targets.iter().flat_map(|target| ["--target", *target])).collect();
        twins.run(&arguments);
        let downloads = |stage: &Stage| {
            let requests = stage.registry.requests().into_iter().map(|request| request.path);
            requests.filter(|path| path.starts_with("/dl/")).collect::<BTreeSet<_>>()
        };
        assert_eq!(downloads(&twins.bulkhead), downloads(&twins.cargo), "{targets:?}");
    }
}
