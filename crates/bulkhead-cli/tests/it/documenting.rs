//! `doc`, `rustdoc`, `rustc` and `bench`, beside `cargo`.

use crate::stage::{Stage, Twins, WORKSPACE, assert_error};
use bulkhead_test_support::toolchain_program;

const PACKAGE: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[[bench]]
name = "speed"
harness = false
//- /src/lib.rs
//! Words.
pub fn shown() {}
fn hidden() {}
//- /src/main.rs
fn main() {}
//- /benches/speed.rs
fn main() { println!("measured {:?}", std::env::args().skip(1).collect::<Vec<_>>()); }
"#;

fn has_page(stage: &Stage, page: &str) -> bool {
    stage.project.path("target/doc").join(page).is_file()
}

#[test]
fn documentation_is_made_where_cargo_makes_it() {
    let twins = Twins::new(WORKSPACE);
    for arguments in [
        &["doc", "--workspace"][..],
        &["doc", "--workspace"],
        &["doc", "--no-deps", "-p", "library", "--message-format", "short"],
        &["doc", "--bins", "-p", "app", "--release"],
        &["rustdoc", "-p", "library", "--lib", "--", "--document-private-items"],
        &["rustdoc", "-p", "absent"],
    ] {
        twins.run(arguments);
        let pages = |stage: &Stage| {
            let folder = std::fs::read_dir(stage.project.path("target/doc")).unwrap();
            let mut names: Vec<_> = folder.flatten().map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(pages(&twins.bulkhead), pages(&twins.cargo), "{arguments:?}");
    }
    assert!(has_page(&twins.bulkhead, "library/index.html"));
}

#[test]
fn documentation_is_made_again_when_it_would_differ() {
    let twins = Twins::new(PACKAGE);
    let steps = [&["doc", "--lib"][..], &["doc", "--lib", "--document-private-items"], &["doc", "--lib"]];
    for (arguments, private) in steps.into_iter().zip([false, true, false]) {
        let outcome = twins.same_output(arguments);
        assert!(outcome.stderr.contains("Documenting app"), "{outcome}");
        for stage in [&twins.cargo, &twins.bulkhead] {
            assert!(has_page(stage, "app/fn.shown.html"));
            let index = std::fs::read_to_string(stage.project.path("target/doc/app/index.html")).unwrap();
            assert_eq!(index.contains("fn.hidden.html"), private, "{arguments:?}");
            // The page of what is not shown any more is gone.
            assert_eq!(has_page(stage, "app/fn.hidden.html"), private, "{arguments:?}");
        }
    }
    // Removed pages come again, and a file of the package counts although no source names it.
    twins.both(|stage| std::fs::remove_dir_all(stage.project.path("target/doc")).unwrap());
    assert!(twins.same_output(&["doc", "--lib"]).stderr.contains("Documenting app"));
    assert!(!twins.same_output(&["doc", "--lib"]).stderr.contains("Documenting app"));
}

/// Of a program everything is documented, of an example only what is asked for; links are judged by that.
#[test]
fn all_items_of_programs_are_documented() {
    let source = "//! Shows [inner].\nfn inner() {}\nfn main() { inner() }\n";
    let manifest = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[[example]]\nname = \"shown\"\ndoc = true\n";
    let twins =
        Twins::new(&format!("//- /Cargo.toml\n{manifest}//- /src/main.rs\n{source}//- /examples/shown.rs\n{source}"));
    let private = "--document-private-items";
    let lines = [
        (&["doc", "--bins"][..], true),
        (&["doc", "--bins", private], false),
        (&["doc", "--examples"], true),
        (&["doc", "--examples", private], true),
        (&["doc"], true),
        (&["doc"], false),
        (&["rustdoc", "--bin", "app", "--", private], true),
    ];
    for (arguments, is_made) in lines {
        let outcome = twins.same_output(arguments);
        assert_eq!(outcome.stderr.contains("Documenting app"), is_made, "{arguments:?}\n{outcome}");
        let has_all = |page: &str| [&twins.cargo, &twins.bulkhead].map(|stage| has_page(stage, page));
        assert_eq!(has_all("app/fn.inner.html"), [true; 2], "{arguments:?}");
        assert_eq!(has_page(&twins.cargo, "shown/fn.inner.html"), has_page(&twins.bulkhead, "shown/fn.inner.html"));
    }
}

/// With dependencies or without, the page is the same, so that one is not fresh because the other was.
#[test]
fn a_page_is_known_however_much_is_documented() {
    let twins = Twins::new(WORKSPACE);
    let pages = |stage: &Stage| std::fs::read_to_string(stage.project.path("target/doc/library/index.html")).unwrap();
    twins.run(&["doc", "-p", "library"]);
    twins.run(&["doc", "-p", "library", "--no-deps"]);
    let source = std::fs::read_to_string(twins.cargo.project.path("library/src/lib.rs")).unwrap();
    for added in ["pub fn added_by_an_edit() {}\n", ""] {
        std::thread::sleep(std::time::Duration::from_millis(30));
        twins.both(|stage| stage.project.write("library/src/lib.rs", format!("{source}{added}")));
        let arguments: &[&str] =
            if added.is_empty() { &["doc", "-p", "library"] } else { &["doc", "-p", "library", "--no-deps"] };
        twins.same_output(arguments);
        for stage in [&twins.cargo, &twins.bulkhead] {
            assert_eq!(pages(stage).contains("added_by_an_edit"), !added.is_empty(), "{arguments:?}");
        }
    }
}

#[test]
fn what_could_not_be_documented_is_told_as_by_cargo() {
    let twins = Twins::new(PACKAGE);
    for broken in ["#![deny(rustdoc::all)]\n//! [nowhere]\n", "pub fn shown() -> Nothing {}\n"] {
        twins.both(|stage| stage.project.write("src/lib.rs", broken));
        let failed = twins.same_output(&["doc", "--lib"]);
        assert_error(&failed, 101, &["error: could not document `app`\n"]);
    }
}

#[test]
fn the_browser_is_the_users() {
    let stage = Stage::new(PACKAGE);
    let browser = stage.home.path().join("browser");
    std::fs::write(
        &browser,
        "#!/bin/sh\necho shown > \"$(dirname \"$0\")/seen\"; echo \"$1\" >> \"$(dirname \"$0\")/seen\"\n",
    )
    .unwrap();
    make_executable(&browser);
    stage.command(&["doc", "--lib", "--open"]).env("BROWSER", browser.to_str().unwrap()).run().assert_code(0);
    let seen = std::fs::read_to_string(stage.home.path().join("seen")).unwrap();
    assert!(seen.contains("target/doc/app/index.html"), "{seen}");
    // One that lies in the project is found neither by its name nor by configuration that nobody trusts.
    std::fs::create_dir_all(stage.project.path("bin")).unwrap();
    std::fs::copy(&browser, stage.project.path("bin/evil")).unwrap();
    std::fs::create_dir_all(stage.project.path(".cargo")).unwrap();
    std::fs::write(stage.project.path(".cargo/config.toml"), "[doc]\nbrowser = \"bin/evil\"\n").unwrap();
    let toolchain = toolchain_program("rustc");
    let path = format!("{}:{}", stage.project.path("bin").display(), toolchain.parent().unwrap().display());
    let outcome = stage.command(&["doc", "--lib", "--open"]).env("BROWSER", "evil").env("PATH", &path).run();
    assert_error(&outcome, 101, &["there is no `evil`"]);
    assert!(!stage.project.path("bin/seen").exists());
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn one_target_gets_arguments_of_its_own() {
    let twins = Twins::new(PACKAGE);
    for arguments in [
        &["rustc", "--lib", "--", "--emit=asm"][..],
        &["rustc", "--lib", "--crate-type", "cdylib,staticlib"],
        &["rustc", "--lib", "--profile", "check"],
        &["rustc", "--lib", "--profile", "test"],
        &["rustc", "--bin", "app", "--release", "--", "-C", "debuginfo=0"],
        &["rustc"],
    ] {
        twins.same_output(arguments);
    }
    // What cannot be meant.
    for arguments in [
        &["rustc", "--", "-C", "debuginfo=0"][..],
        &["rustc", "--crate-type", "lib"],
        &["rustc", "--bin", "app", "--crate-type", "lib"],
    ] {
        let (theirs, ours) = twins.run(arguments);
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        assert_eq!(first(&ours.stderr), first(&theirs.stderr), "{arguments:?}");
    }
    twins.same_artifacts("debug");
    assert!(twins.bulkhead.project.path("target/debug/libapp.a").is_file());
    let virtual_workspace = Twins::new(WORKSPACE);
    virtual_workspace.same_output(&["rustc"]);
}

#[test]
fn benchmarks_are_told_so() {
    let twins = Twins::new(PACKAGE);
    for arguments in [&["bench", "--", "a b"][..], &["bench", "--bench", "speed", "fast"], &["bench", "-q"]] {
        let (theirs, ours) = twins.run(arguments);
        let said =
            |text: &str| text.lines().filter(|l| l.starts_with("measured")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(said(&ours.stdout), said(&theirs.stdout), "{arguments:?}");
        assert!(ours.stdout.contains("\"--bench\""), "{ours}");
    }
    let (_, built) = twins.run(&["bench", "--no-run"]);
    assert!(built.stderr.contains("Executable benches/speed.rs"), "{built}");
}
