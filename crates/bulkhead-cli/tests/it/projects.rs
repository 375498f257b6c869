//! Commands about a project that compile nothing: `metadata`, `tree`, `new`, `init`, `clean`, `verify`.

use crate::stage::{Stage, Twins, WORKSPACE};
use bulkhead_test_support::Snapshot;
use serde_json::Value;

#[test]
fn metadata_describes_what_cargo_describes() {
    let twins = Twins::new(WORKSPACE);
    let (theirs, ours) = twins.run(&["metadata", "--format-version", "1"]);
    let read = |stage: &Stage, text: &str| -> Value {
        let mut value: Value = serde_json::from_str(&stage.neutral(text)).unwrap();
        for package in value["packages"].as_array_mut().unwrap() {
            // Where packages are unpacked is each tool's own affair.
            if !package["source"].is_null() {
                package.as_object_mut().unwrap().remove("manifest_path");
                for target in package["targets"].as_array_mut().unwrap() {
                    target.as_object_mut().unwrap().remove("src_path");
                }
            }
        }
        value
    };
    let (left, right) = (read(&twins.bulkhead, &ours.stdout), read(&twins.cargo, &theirs.stdout));
    for key in right.as_object().unwrap().keys() {
        assert_eq!(left[key], right[key], "`{key}` of metadata");
    }
    assert_eq!(left.as_object().unwrap().len(), right.as_object().unwrap().len());
    let (theirs, ours) = twins.run(&["metadata", "--format-version", "1", "--no-deps"]);
    assert_eq!(read(&twins.bulkhead, &ours.stdout), read(&twins.cargo, &theirs.stdout));
}

#[test]
fn trees_are_drawn_as_cargo_draws_them() {
    let twins = Twins::new(WORKSPACE);
    twins.run(&["generate-lockfile"]);
    let tree = twins.same_output(&["tree"]);
    assert!(tree.stdout.contains("├── derive-it v0.3.0 (proc-macro)"), "{tree}");
    for arguments in [
        &["tree", "-i", "plain"][..],
        &["tree", "-e", "normal,build", "-p", "app"],
        &["tree", "-e", "no-dev", "--prefix", "depth"],
        &["tree", "--depth", "1", "--format", "{p} {f}"],
    ] {
        twins.same_output(arguments);
    }
    let (theirs, ours) = twins.run(&["tree", "-d"]);
    assert_eq!(ours.stdout, theirs.stdout);
    assert!(ours.stderr.contains("nothing to print.") && theirs.stderr.contains("nothing to print."), "{ours}");
}

#[test]
fn new_packages_are_made_as_cargo_makes_them() {
    let twins = Twins::new("//- /Cargo.toml\n[workspace]\nresolver = \"3\"\n");
    for (arguments, folder) in [
        (&["new", "--vcs", "none", "first"][..], "first"),
        (&["new", "--vcs", "none", "--lib", "--edition", "2018", "--name", "renamed", "second"], "second"),
    ] {
        twins.same_output(arguments);
        for file in ["Cargo.toml", "src/main.rs", "src/lib.rs"] {
            let read = |stage: &Stage| std::fs::read_to_string(stage.project.path(folder).join(file)).ok();
            assert_eq!(read(&twins.bulkhead), read(&twins.cargo), "{folder}/{file}");
        }
        assert_eq!(twins.bulkhead.project.read("Cargo.toml"), twins.cargo.project.read("Cargo.toml"));
    }
    for arguments in [&["new", "first"][..], &["new", "--vcs", "none", "fn"], &["new", "--vcs", "none", "1st"]] {
        let (_, ours) = twins.run(arguments);
        assert_eq!(ours.code(), Some(101), "{ours}");
    }
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write("third/src/main.rs", "fn main() {}\n");
    }
    twins.same_output(&["init", "--vcs", "none", "third"]);
    assert_eq!(twins.bulkhead.project.read("third/Cargo.toml"), twins.cargo.project.read("third/Cargo.toml"));
    twins.bulkhead.bulkhead(&["run", "-q", "-p", "third"]).assert_success();
}

#[test]
fn clean_removes_what_was_built_and_nothing_else() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["build", "-p", "library"]).assert_success();
    let dry = stage.bulkhead(&["clean", "--dry-run"]);
    assert!(dry.assert_success().stderr.contains("no files deleted due to --dry-run"), "{dry}");
    assert!(stage.project.path("target/debug/liblibrary.rlib").is_file());
    let cleaned = stage.bulkhead(&["clean"]);
    assert!(cleaned.assert_success().stderr.contains("Removed"), "{cleaned}");
    assert!(!stage.project.path("target").exists());
    stage.bulkhead(&["clean"]).assert_success();
}

/// Attack 2: the repository says which folder `clean` deletes.
#[test]
fn clean_never_deletes_a_folder_that_the_repository_chose() {
    let fixture = format!("{WORKSPACE}//- /.cargo/config.toml\n[build]\ntarget-dir = \"../important\"\n");
    let twins = Twins::new(&fixture);
    for stage in [&twins.cargo, &twins.bulkhead] {
        std::fs::create_dir(stage.project.outside().join("important")).unwrap();
        std::fs::write(stage.project.outside().join("important/data.txt"), "years of work").unwrap();
    }
    twins.cargo.cargo(&["clean"]).assert_success();
    assert!(!twins.cargo.project.outside().join("important").exists(), "it bites under cargo");

    let stage = &twins.bulkhead;
    let important = stage.project.outside().join("important");
    let before = Snapshot::of(&important);
    let outcome = stage.bulkhead(&["clean"]);
    assert!(outcome.stderr.contains("build.target-dir") && outcome.stderr.contains(".cargo/config.toml"), "{outcome}");
    assert_eq!(Snapshot::of(&important).changes_since(&before), Vec::<String>::new());
    // Even when the user names the folder, or has trusted the file, what Bulkhead did not make stays.
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    for arguments in [&["clean"][..], &["clean", "--target-dir", "../important"]] {
        let outcome = stage.bulkhead(arguments);
        outcome.assert_code(101);
        assert!(outcome.stderr.contains("important"), "{outcome}");
        assert_eq!(Snapshot::of(&important).changes_since(&before), Vec::<String>::new());
    }
}

#[test]
fn clean_removes_a_target_folder_that_cargo_made() {
    let stage = Stage::new(WORKSPACE);
    stage.cargo(&["check", "-p", "library"]).assert_success();
    let outcome = stage.bulkhead(&["clean"]);
    outcome.assert_success();
    assert!(!stage.project.path("target").exists(), "{outcome}");
}

/// Attack 123.
#[test]
fn verify_finds_a_changed_byte() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["fetch"]).assert_success();
    let whole = stage.bulkhead(&["verify"]);
    assert!(whole.assert_success().stderr.contains("Verified 5 packages of the lock file"), "{whole}");
    let store = stage.home.bulkhead_home().join("store");
    let file = find(&store, "plain-1.1.0/src/lib.rs").expect("the unpacked source");
    let text = std::fs::read_to_string(&file).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    make_writable(&file);
    std::fs::write(&file, text.replace("plain", "pwned")).unwrap();
    std::fs::File::options().append(true).open(&file).unwrap().set_modified(modified).unwrap();
    let outcome = stage.bulkhead(&["verify"]);
    outcome.assert_code(104);
    assert!(outcome.stderr.contains("plain-1.1.0") && outcome.stderr.contains("src/lib.rs"), "{outcome}");
    // An ordinary build notices too (by the file's state) and heals it from the kept archive.
    let built = stage.bulkhead(&["run", "-q"]);
    assert!(built.assert_success().stdout.contains("plain 1.1.0"), "{built}");
    stage.bulkhead(&["verify"]).assert_success();
}

fn find(folder: &std::path::Path, ending: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join(ending)).find(|path| path.is_file())
}

#[expect(clippy::permissions_set_readonly_false, reason = "a file of the test's own store")]
fn make_writable(file: &std::path::Path) {
    let mut permissions = file.metadata().unwrap().permissions();
    permissions.set_readonly(false);
    std::fs::set_permissions(file, permissions).unwrap();
}
