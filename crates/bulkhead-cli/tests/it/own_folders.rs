//! Folders of its own package that a grant lets a build script write, in a checkout that the user works on.

use crate::stage::{Stage, Twins, assert_error, folder_outside_tmp};
use bulkhead_test_support::CrateBuilder;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A member that writes like du-dust, and tries more. What it got comes out as warnings.
const WRITER: &str = r#"
//- /Cargo.toml
[workspace]
members = ["tool", "stamp"]
resolver = "2"
//- /tool/Cargo.toml
[package]
name = "tool"
version = "1.0.0"
edition = "2021"
[dependencies]
stamp = { path = "../stamp" }
//- /tool/src/main.rs
stamp::stamp!();
fn main() {}
//- /tool/completions/README
//- /tool/build.rs
fn main() {
    for path in ["completions/made", "completions/deep/made", "made", "src/made", "../made", "completions/out/made"] {
        let path = std::path::Path::new(path);
        let _ = std::fs::create_dir_all(path.parent().unwrap());
        let _ = std::fs::write(path, "made");
    }
    let _ = std::fs::hard_link("src/main.rs", "completions/main.rs");
    let _ = std::fs::write("completions/main.rs", "stamp::stamp!(); fn main() { panic!() }");
    let _ = std::fs::rename("completions", "moved");
}
//- /stamp/Cargo.toml
[package]
name = "stamp"
version = "1.0.0"
edition = "2021"
[lib]
proc-macro = true
//- /stamp/src/lib.rs
#[proc_macro]
pub fn stamp(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    for folder in ["completions", "moved"] {
        let _ = std::fs::write(format!("{}/{folder}/stamp", env!("CARGO_MANIFEST_DIR").replace("stamp", "tool")), "made");
    }
    Default::default()
}
"#;

const GRANT: &str = "[[grant]]\npackage = \"tool\"\nwrite-in-package = [\"completions\"]\nreason = \"completions\"\n";

fn trusted(stage: &Stage, policy: &str) {
    stage.project.write("bulkhead.toml", policy);
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
}

/// What the script and the macro have left, of all that they try.
fn made(stage: &Stage) -> Vec<&'static str> {
    let tried = [
        "tool/completions/made",
        "tool/completions/deep/made",
        "tool/moved/made",
        "tool/made",
        "tool/src/made",
        "made",
        "tool/completions/stamp",
        "tool/moved/stamp",
    ];
    tried.into_iter().filter(|path| stage.project.path(path).exists()).collect()
}

/// Attack 103: the rest of the package, what a link in the folder leads to, and macros stay outside of the grant.
#[test]
fn a_script_writes_the_folder_that_was_granted_and_nothing_else() {
    let (beside, twins) = (folder_outside_tmp(), Twins::new(WRITER));
    twins.both(|stage| symlink(beside.path(), stage.project.path("tool/completions/out")).unwrap());
    let planted = beside.path().join("made");
    twins.cargo.cargo(&["build"]);
    assert!(planted.exists(), "it bites");
    let all = ["tool/moved/made", "tool/made", "tool/src/made", "made", "tool/moved/stamp"];
    assert_eq!(made(&twins.cargo), all);
    assert!(twins.cargo.project.read("tool/src/main.rs").contains("panic"), "it bites");
    std::fs::remove_file(&planted).unwrap();

    let stage = &twins.bulkhead;
    stage.bulkhead(&["build"]).assert_success();
    assert_eq!(made(stage), [""; 0], "nothing is granted yet");
    stage.project.write("bulkhead.toml", GRANT);
    let untrusted = stage.bulkhead(&["build"]);
    assert!(untrusted.assert_success().stderr.contains("the grant for `tool` does not act"), "{untrusted}");
    assert_eq!(made(stage), [""; 0], "it came with the project");
    trusted(stage, GRANT);
    stage.project.write("tool/src/main.rs", "stamp::stamp!();\nfn main() { }\n");
    stage.bulkhead(&["build"]).assert_success();
    assert_eq!(made(stage), ["tool/completions/made", "tool/completions/deep/made"]);
    assert!(!planted.exists());
    assert!(!stage.project.read("tool/src/main.rs").contains("panic"));
    let shown = stage.bulkhead(&["sandbox", "show", "tool"]);
    let folder = stage.project.path("tool/completions");
    let line = format!("write      {}  [grant in the project's `bulkhead.toml`: completions]", folder.display());
    assert!(shown.stdout.contains(&line), "{line}\n{shown}");
}

/// A checkout in which the folder leads elsewhere.
#[test]
fn a_link_in_the_place_of_a_granted_folder_is_refused() {
    let script = "fn main() { std::fs::write(\"share/man/made\", \"x\").unwrap() }";
    let stage = Stage::new(&format!(
        "//- /Cargo.toml\n[package]\nname = \"tool\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\
         //- /src/main.rs\nfn main() {{}}\n//- /build.rs\n{script}\n"
    ));
    let elsewhere = folder_outside_tmp();
    std::fs::create_dir_all(elsewhere.path().join("man")).unwrap();
    trusted(&stage, &GRANT.replace("completions\"]", "share/man\"]"));
    let share = stage.project.path("share");
    symlink(elsewhere.path(), &share).unwrap();
    assert_refused(&stage, "share", elsewhere.path());
    std::fs::remove_file(&share).unwrap();
    std::fs::create_dir(&share).unwrap();
    symlink(elsewhere.path().join("man"), share.join("man")).unwrap();
    assert_refused(&stage, "share/man", elsewhere.path());
    // A folder that is not there is not made; the benign twin is one that is.
    std::fs::remove_file(share.join("man")).unwrap();
    stage.bulkhead(&["build"]).assert_code(101);
    assert!(!share.join("man").exists());
    std::fs::create_dir(share.join("man")).unwrap();
    stage.bulkhead(&["build"]).assert_success();
    assert!(share.join("man/made").exists());
}

#[track_caller]
fn assert_refused(stage: &Stage, link: &str, elsewhere: &Path) {
    let link = stage.project.path(link);
    let parts = ["error[grant-folder]", "`tool v1.0.0", &*format!("`{}` is a link", link.display())];
    assert_error(&stage.bulkhead(&["build"]), 102, &parts);
    stage.cargo(&["build", "--target-dir", "target-of-cargo"]).assert_success();
    let planted = elsewhere.join("man/made");
    std::fs::remove_file(planted).expect("it bites");
}

/// What others have published lies in the store, for all projects.
#[test]
fn no_published_package_writes_into_itself() {
    let stage = Stage::new(crate::stage::APP);
    let script =
        "fn main() { println!(\"cargo::warning=wrote {}\", std::fs::write(\"completions/made\", \"x\").is_ok()) }";
    let package = CrateBuilder::new("plain", "1.5.0").build_script(script).file("src/lib.rs", "");
    stage.registry.publish(package.file("completions/README", ""));
    let (wrote, denied) = ("plain@1.5.0: wrote true", "plain@1.5.0: wrote false");
    stage.cargo(&["fetch"]).assert_success();
    let theirs = stage.cargo(&["build", "-vv"]);
    assert!(theirs.stderr.contains(wrote), "it bites: {theirs}");
    trusted(&stage, &GRANT.replace("tool", "plain"));
    let ours = stage.bulkhead(&["build", "-vv"]);
    assert!(ours.assert_success().stderr.contains(denied), "{ours}");
}
