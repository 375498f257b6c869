//! Commands about a project that compile nothing: `metadata`, `tree`, `new`, `init`, `clean`, `verify`.

use crate::stage::{Stage, Twins, WORKSPACE};
use bulkhead_test_support::Snapshot;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use serde_json::Value;
use std::mem::MaybeUninit;
use std::path::Path;

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

/// Attack 123: an unpacked source that was changed when everything had been built, and is compiled for another profile. Without
/// its archive it is downloaded again, and without a network it stays unused.
#[test]
fn what_was_changed_after_a_build_is_not_compiled() {
    let stage = Stage::new(WORKSPACE);
    // The second one notes what it has read of the packages, and the others need not read it again.
    for command in ["build", "run"] {
        stage.bulkhead(&[command]).assert_success();
    }
    let store = stage.home.bulkhead_home().join("store");
    let file = find(&store, "plain-1.1.0/src/lib.rs").expect("the unpacked source");
    let spoil = || {
        make_writable(&file);
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("plain", "pwned")).unwrap();
    };
    spoil();
    let nothing_to_do = stage.bulkhead(&["build"]);
    assert_eq!(nothing_to_do.assert_success().stderr.matches("Compiling").count(), 0, "{nothing_to_do}");
    assert!(!nothing_to_do.stderr.contains("unpacked"), "{nothing_to_do}");
    let healed = stage.bulkhead(&["run", "--release"]);
    assert!(healed.assert_success().stdout.contains("plain 1.1.0"), "{healed}");
    assert!(healed.stderr.contains("was unpacked again"), "{healed}");
    spoil();
    std::fs::remove_file(file.ancestors().nth(3).unwrap().join("archive.crate")).unwrap();
    let optimised = &["run", "--profile", "bench", "--config", "profile.bench.opt-level=1"];
    let offline = stage.bulkhead(&[optimised, &["--offline"][..]].concat());
    offline.assert_code(104);
    assert!(offline.stderr.contains("plain-1.1.0") && offline.stderr.contains("bulkhead fetch"), "{offline}");
    let online = stage.bulkhead(optimised);
    assert!(online.assert_success().stdout.contains("plain 1.1.0"), "{online}");
    assert!(online.stderr.contains("it is downloaded and unpacked again"), "{online}");
}

fn find(folder: &Path, ending: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join(ending)).find(|path| path.is_file())
}

#[expect(clippy::permissions_set_readonly_false, reason = "a file of the test's own store")]
fn make_writable(file: &Path) {
    let mut permissions = file.metadata().unwrap().permissions();
    permissions.set_readonly(false);
    std::fs::set_permissions(file, permissions).unwrap();
}

/// A repository that brings along a target folder with Cargo's tag, in which `link` leads to a folder of the user's.
fn with_link(link: &str) -> (Twins, impl Fn(&Stage) -> std::path::PathBuf) {
    let twins = Twins::new(WORKSPACE);
    let important = |stage: &Stage| stage.project.outside().join("important");
    for stage in [&twins.cargo, &twins.bulkhead] {
        for file in ["app-1/data.txt", "deps/libapp-0123456789abcdef.rlib", "doc/index.html", "app", "debug/app"] {
            let path = important(stage).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "years of work").unwrap();
        }
        let link = stage.project.path(link);
        if !link.ends_with("target") {
            let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by cargo.\n# For information about cache directory tags see https://bford.info/cachedir/\n";
            stage.project.write("target/CACHEDIR.TAG", tag);
        }
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(important(stage), link).unwrap();
    }
    (twins, important)
}

/// Attack 2: the target folder has Cargo's mark, and a link in it leads to what shall be deleted.
#[test]
fn clean_follows_no_link_out_of_the_target_folder() {
    let platform = "x86_64-unknown-linux-gnu";
    let cases: [(&str, &[&str]); 7] = [
        ("target/debug", &["clean", "-p", "app"]),
        ("target/debug", &["clean"]),
        ("target/debug/deps", &["clean", "-p", "app"]),
        ("target/x86_64-unknown-linux-gnu", &["clean", "--doc", "--target", platform]),
        ("target/x86_64-unknown-linux-gnu", &["clean", "-p", "app", "--target", platform]),
        ("target/x86_64-unknown-linux-gnu", &["clean", "--profile", "dev", "--target", platform]),
        ("target", &["clean"]),
    ];
    let mut bites = 0;
    for (link, arguments) in cases {
        let (twins, important) = with_link(link);
        let before = Snapshot::of(important(&twins.cargo));
        twins.cargo.cargo(arguments);
        bites += usize::from(!Snapshot::of(important(&twins.cargo)).changes_since(&before).is_empty());
        let stage = &twins.bulkhead;
        let before = Snapshot::of(important(stage));
        let outcome = stage.bulkhead(arguments);
        let changes = Snapshot::of(important(stage)).changes_since(&before);
        assert_eq!(changes, Vec::<String>::new(), "{link} {outcome}");
    }
    assert!(bites > 0, "it bites under cargo");
    // A platform is a name, and no path to what shall be deleted.
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["check", "-p", "library"]).assert_success();
    let important = stage.project.outside().join("important");
    std::fs::create_dir_all(important.join("debug")).unwrap();
    let absolute = important.display().to_string();
    for platform in ["../../important", &absolute, "..", ".", "", "-x", "a/../../../important"] {
        let outcome = stage.bulkhead(&["clean", "--target", platform]);
        assert_ne!(outcome.code(), Some(0), "{outcome}");
        assert!(important.join("debug").is_dir() && stage.project.path("target").is_dir(), "{outcome}");
    }
}

/// How often the file is opened while `work` runs.
fn openings(path: &Path, work: impl FnOnce()) -> usize {
    let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    // Equal events in a row count once: that it is closed is asked for to keep them apart.
    inotify::add_watch(&queue, path, WatchFlags::OPEN | WatchFlags::CLOSE).unwrap();
    work();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&queue, &mut buffer);
    let next = || events.next().ok().map(|event| event.events().contains(inotify::ReadFlags::OPEN));
    std::iter::from_fn(next).filter(|is_opening| *is_opening).count()
}

#[test]
fn a_command_reads_the_manifest_once() {
    let stage = Stage::new(crate::stage::APP);
    stage.bulkhead(&["build"]).assert_success();
    let manifest = stage.project.path("Cargo.toml");
    assert_eq!(openings(&manifest, || (0..2).for_each(|_| drop(std::fs::read(&manifest).unwrap()))), 2, "it counts");
    for arguments in [&["tree"][..], &["update"], &["update", "-p", "plain"], &["run"], &["run", "--bin", "app"]] {
        let read = openings(&manifest, || {
            stage.bulkhead(arguments).assert_success();
        });
        assert_eq!(read, 1, "{arguments:?}");
    }
}
