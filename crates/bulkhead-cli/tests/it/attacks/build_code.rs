//! Build code by other ways than the straight one (cases 98 to 122): other commands, other moments, other messengers.

use bulkhead_test_support::CrateBuilder;

use super::arena::Arena;
use crate::stage::BULKHEAD;

const MAIN: &str = "fn main() { evil::new() }\n#[test]\nfn works() {}";

fn package() -> CrateBuilder {
    CrateBuilder::new("evil", "1.0.0").file("src/lib.rs", "pub fn new() {}\n")
}

/// The payload, and no word about it when it fails.
fn quiet_script(arena: &Arena) -> String {
    format!("{}fn main() {{ payload(); }}\n", arena.payload())
}

/// Variants of attack 115: whatever is called, on whatever machine it claims to be, however often.
#[test]
fn case_115_confinement_has_no_exceptions() {
    let arena = Arena::new("evil = \"1\"", MAIN);
    arena.stage.registry.publish(package().build_script(&quiet_script(&arena)));
    arena.assert_bitten(&arena.cargo(&["check"]));
    for arguments in [
        &["check"][..],
        &["build"],
        &["build", "--release"],
        &["build", "--profile", "release", "--target-dir", "elsewhere"],
        &["test"],
        &["run"],
        &["check", "--message-format", "json"],
        &["build", "--config", "build.jobs=1"],
        &["build", "--config", "profile.dev.build-override.opt-level=1"],
    ] {
        let outcome = arena.bulkhead(arguments);
        arena.assert_unharmed(&outcome);
        outcome.assert_success();
    }
    for (name, value) in [
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("RUSTFLAGS", "--cfg again"),
        ("TMPDIR", "/var/tmp"),
        ("CARGO_INCREMENTAL", "1"),
        ("BULKHEAD_SANDBOX", "0"),
        ("RUSTC_BOOTSTRAP", "1"),
    ] {
        let _ = std::fs::remove_dir_all(arena.stage.project.path("target"));
        let outcome = arena.command(BULKHEAD, &["build"]).env(name, value).run();
        arena.assert_unharmed(&outcome);
        outcome.assert_success();
    }
}

/// The build script of a member, and of a path dependency outside of the workspace, are as confined.
#[test]
fn case_098_the_projects_own_scripts_see_no_secrets_either() {
    let arena = Arena::new("near = { path = \"../near\" }", "fn main() {}");
    // `.env` belongs to the project, whose own scripts may read it.
    std::fs::remove_file(arena.stage.project.path(".env")).unwrap();
    arena.stage.project.write("build.rs", quiet_script(&arena));
    arena.stage.project.write("../near/Cargo.toml", "[package]\nname = \"near\"\nversion = \"0.1.0\"\n");
    arena.stage.project.write("../near/src/lib.rs", "");
    arena.stage.project.write("../near/build.rs", quiet_script(&arena));
    arena.assert_bitten(&arena.cargo(&["build"]));
    let outcome = arena.bulkhead(&["build"]);
    arena.assert_unharmed(&outcome);
    outcome.assert_success();
}

/// An editor opens a clone: it asks for metadata and for what is wrong with the code.
#[test]
fn case_121_opening_a_project_in_an_editor_runs_nothing_unconfined() {
    let arena = Arena::new("evil = \"1\"", "evil::new!(); fn main() {}");
    let source = format!(
        "{}#[proc_macro]\npub fn new(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ payload(); \
         proc_macro::TokenStream::new() }}\n",
        arena.payload()
    );
    let package = package().proc_macro().file("src/lib.rs", source).build_script(&quiet_script(&arena));
    arena.stage.registry.publish(package);
    let check = [
        "check",
        "--quiet",
        "--workspace",
        "--message-format=json-diagnostic-rendered-ansi",
        "--all-targets",
        "--keep-going",
    ];
    let sequence: [&[&str]; 3] = [&["metadata", "--format-version", "1"], &["check", "--message-format=json"], &check];
    sequence.iter().for_each(|arguments| drop(arena.cargo(arguments)));
    arena.assert_bitten(&arena.cargo(&check));
    let configuration = format!("[build]\nrustc-wrapper = \"{}\"\n", arena.stage.project.path("wrapper").display());
    arena.stage.project.write(".cargo/config.toml", configuration);
    for arguments in sequence {
        let outcome = arena.bulkhead(arguments);
        arena.assert_unharmed(&outcome);
        for line in outcome.assert_success().stdout.lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON, line by line");
        }
    }
}

/// What a script wants to be run again for is neither read nor waited for.
#[test]
fn case_111_reasons_to_run_again_are_no_oracle_and_no_trap() {
    let arena = Arena::new("evil = \"1\"", MAIN);
    let outside = arena.stage.project.outside();
    let pipe = outside.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::create_dir(outside.join("crowd")).unwrap();
    (0..2000).for_each(|index| std::fs::write(outside.join(format!("crowd/{index}")), "").unwrap());
    std::os::unix::fs::symlink("loop", outside.join("loop")).unwrap();
    let paths = [&pipe, &outside.join("crowd"), &outside.join("loop")].map(|path| path.display().to_string());
    let lines: Vec<String> =
        [&paths[0], &paths[1], &paths[2], "/etc/shadow", "/proc/self/mem", "/dev/zero", "../..", "/"]
            .iter()
            .map(|path| format!("println!(\"cargo::rerun-if-changed={path}\");"))
            .collect();
    arena.stage.registry.publish(package().build_script(&format!("fn main() {{ {} }}", lines.concat())));
    for _ in 0..2 {
        let outcome = arena.command(BULKHEAD, &["build"]).timeout(std::time::Duration::from_secs(60)).run();
        arena.assert_unharmed(&outcome);
        outcome.assert_success();
    }
}

/// Variables that choose programs, and words that reach into other commands, by every messenger there is.
#[test]
fn cases_107_and_110_a_script_says_nothing_that_chooses_programs() {
    for (directive, code) in [
        ("cargo::rustc-env=RUSTC_WRAPPER=/bin/true", 102),
        ("cargo:rustc-env=LD_PRELOAD=/tmp/x.so", 102),
        ("cargo::rustc-env=PATH=/tmp", 102),
        ("cargo::rustc-flags=-C linker=/tmp/x", 101),
        ("cargo::rustc-env=GCC_EXEC_PREFIX=/tmp/", 102),
        ("cargo::rustc-env=COMPILER_PATH=/tmp", 102),
        ("cargo:rustc-env=ld_audit=/tmp/x.so", 102),
        ("cargo::rustc-link-search=all=//etc/./x", 102),
        ("cargo::rustc-link-search=native=/usr/../etc", 102),
        ("cargo::rustc-link-lib=static:+whole-archive=/etc/passwd", 102),
        ("cargo::rustc-link-lib=dylib=-x", 102),
        ("cargo::rustc-link-lib=x -C linker=/tmp/x", 102),
        ("cargo::rustc-link-arg=-fuse-ld=/tmp/x", 102),
        ("cargo::rustc-cdylib-link-arg=@/tmp/x", 102),
        ("cargo::rustc-cfg=x\\0y", 101),
        ("cargo::metadata=a=1\\rcargo::rustc-env=PATH=/tmp", 101),
    ] {
        let arena = Arena::new("evil = \"1\"", MAIN);
        let script = format!("fn main() {{ print!(\"{directive}\\n\") }}");
        arena.stage.registry.publish(package().links("evil").build_script(&script));
        let outcome = arena.bulkhead(&["check"]);
        arena.assert_unharmed(&outcome);
        assert_ne!(outcome.code(), Some(0), "{directive}: {outcome}");
        assert!(outcome.stderr.contains("evil v1.0.0"), "{directive}: {outcome}");
        assert_eq!(outcome.code(), Some(code), "{directive}: {outcome}");
    }
}

/// Variants of attack 165: a hundred thousand warnings of a script, a megabyte of words of a failing one, and a compiler that is made to complain.
#[test]
fn case_165_floods_are_cut_and_counted() {
    let warnings = "fn main() { for index in 0..90_000 { println!(\"cargo::warning={index} nobody reads this\"); } }";
    let arena = Arena::new("", "fn main() {}");
    arena.stage.project.write("build.rs", warnings);
    let theirs = arena.cargo(&["check"]);
    assert!(theirs.assert_success().stderr.lines().count() > 90_000, "it bites under cargo");
    arena.clear();
    let outcome = arena.bulkhead(&["check"]);
    arena.assert_unharmed(&outcome);
    assert!(outcome.assert_success().stderr.lines().count() < 10_100, "{}", outcome.stderr.len());
    assert!(
        outcome.stderr.contains("80000 more messages of `app v0.1.0"),
        "{}",
        &outcome.stderr[outcome.stderr.len() - 500..]
    );
    let failing = "fn main() { for _ in 0..30_000 { println!(\"{}\", \"x\".repeat(99)); } eprintln!(\"the end\"); std::process::exit(1) }";
    arena.stage.project.write("build.rs", failing);
    let outcome = arena.bulkhead(&["check"]);
    arena.assert_unharmed(&outcome);
    outcome.assert_code(101);
    assert!(outcome.stderr.len() < 2 << 20 && outcome.stderr.contains("the end"), "{}", outcome.stderr.len());
    assert!(outcome.stderr.contains("bytes are not shown"), "{}", outcome.stderr.len());
}
