//! Values that become arguments of others (variants of the cases 1, 20, 108 and 110): rustc, and the linker's driver, read more
//! arguments from a file wherever one of theirs begins with `@`.

use bulkhead_test_support::CrateBuilder;

use super::arena::Arena;
use crate::stage::{Stage, assert_error, each};

/// Says whether the condition was smuggled in.
const SAYS: &str = "fn main() { println!(\"injected: {}\", cfg!(injected)) }";

fn manifest(more: &str) -> String {
    format!("//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}\n")
}

/// Variants of attacks 20 and 110: what a script and a manifest may say without anybody's leave names no file of arguments.
#[test]
fn case_110_no_condition_is_a_file_of_arguments() {
    let lints = "[lints.rust]\nunexpected_cfgs = { level = \"allow\", check-cfg = [\"@arguments\"] }";
    let script = |line: &str| {
        let first = if line.contains("check-cfg") { "cfg(x)" } else { "x" };
        format!(
            "//- /build.rs\nfn main() {{ let out = std::env::var(\"OUT_DIR\").unwrap(); \
             std::fs::write(format!(\"{{out}}/arguments\"), \"{first}\\n--cfg\\ninjected\\n\").unwrap(); \
             println!(\"{line}\"); println!(\"cargo::rustc-check-cfg=cfg(injected)\"); }}\n"
        )
    };
    let main = format!("//- /src/main.rs\n{SAYS}\n");
    let arguments = "//- /arguments\ncfg(x)\n--cfg\ninjected\n";
    let named = arguments.replace("cfg(x)", "c");
    for (what, fixture, code) in [
        ("a lint", manifest(lints) + arguments + &main, 101),
        ("cfg", manifest("") + &script("cargo::rustc-cfg=@{out}/arguments") + &main, 101),
        ("check-cfg", manifest("") + &script("cargo::rustc-check-cfg=@{out}/arguments") + arguments + &main, 101),
        ("a library", manifest("") + &script("cargo::rustc-link-lib=@arguments") + &named + &main, 101),
        ("a folder", manifest("") + &script("cargo::rustc-link-search=@{out}/arguments") + &main, 102),
        ("flags", manifest("") + &script("cargo::rustc-flags=-L @{out}/arguments") + &main, 102),
    ] {
        let stage = Stage::new(&fixture);
        let refused = stage.bulkhead(&["run"]);
        assert!(!refused.stdout.contains("injected: true"), "{what}: {refused}");
        assert_error(&refused, code, &["app"]);
        let theirs = stage.cargo(&["run"]);
        let bites = theirs.stdout.contains("injected: true") || theirs.stderr.contains("multiple input filenames");
        assert!(bites, "{what} does not bite under cargo: {theirs}");
        // The twin: the same words without the sign.
        let benign = [
            ("check-cfg=@{out}/arguments", "check-cfg=cfg(x)"),
            ("=@{out}/arguments", "=native"),
            ("-L @{out}/arguments", "-L ."),
            ("[\"@arguments\"]", "['cfg(injected)']"),
            ("=@arguments", "=c"),
        ];
        let benign = benign.iter().fold(fixture.clone(), |text, (from, to)| text.replace(from, to));
        let twin = Stage::new(&benign);
        assert_eq!(twin.bulkhead(&["run"]).assert_success().stdout, "injected: false\n", "{what}");
    }
}

/// Variants of attack 108: the folders in which libraries are looked for are arguments of the linker's driver, each by itself.
#[test]
fn case_108_no_folder_is_a_file_of_the_linkers_arguments() {
    let arena = Arena::new("evil = \"1\"", "fn main() { evil::new() }");
    let script = |folder: &str| {
        format!(
            "fn main() {{ let out = std::env::var(\"OUT_DIR\").unwrap(); \
             std::fs::write(format!(\"{{out}}/arguments\"), \"x\\n-Wl,-rpath,/smuggled\\n\").unwrap(); \
             println!(\"cargo::rustc-link-search={folder}\"); }}\n"
        )
    };
    let publish = |folder: &str| {
        let package = CrateBuilder::new("evil", "1.0.0").file("src/lib.rs", "pub fn new() {}\n");
        arena.stage.registry.publish(package.build_script(&script(folder)));
    };
    let smuggled = || {
        let program = std::fs::read(arena.stage.project.path("target/debug/app")).unwrap_or_default();
        program.windows(9).any(|bytes| bytes == b"/smuggled")
    };
    each(["native=@{out}/arguments", "all=@{out}/arguments"], |folder| {
        publish(folder);
        let theirs = arena.cargo(&["build"]);
        assert!(smuggled(), "{folder} does not bite under cargo: {theirs}");
        arena.clear();
        let outcome = arena.bulkhead(&["build"]);
        arena.assert_stopped(
            &outcome,
            102,
            &["error[build-script-directive]", "evil v1.0.0", "from a file of that name"],
        );
        arena.clear();
        let _ = std::fs::remove_dir_all(arena.stage.home.cargo_home().join("registry"));
    });
    publish("native={out}");
    let outcome = arena.bulkhead(&["build"]);
    arena.assert_unharmed(outcome.assert_success());
}

/// Variants of attack 1: a source whose name begins so is a source.
#[test]
fn case_001_no_source_is_a_file_of_arguments() {
    let target = "[[bin]]\nname = \"app\"\npath = \"@main.rs\"\n[lib]\npath = \"@lib/lib.rs\"";
    let files = format!("//- /@main.rs\n{SAYS}\n//- /main.rs\n--cfg\ninjected\nsrc/other.rs\n");
    let more =
        format!("//- /src/other.rs\n{SAYS}\n//- /@lib/lib.rs\n/// ```\n/// assert!(true);\n/// ```\npub fn f() {{}}\n");
    let stage = Stage::new(&(manifest(target) + &files + &more));
    assert_eq!(stage.bulkhead(&["run"]).assert_success().stdout, "injected: false\n");
    for command in [&["doc"][..], &["test"], &["clippy"]] {
        stage.bulkhead(command).assert_success();
    }
    let theirs = stage.cargo(&["build"]);
    assert!(
        theirs.code() != Some(0) || stage.cargo(&["run"]).stdout.contains("true"),
        "it bites under cargo: {theirs}"
    );
}
