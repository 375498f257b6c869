//! Input that is wrong, servers that misbehave and disks that are full: a clear error with the documented exit code,
//! nothing half-written, and a next run that succeeds.

use crate::stage::{APP, BULKHEAD, Stage, Twins, assert_error, each};
use bulkhead_test_support::{CrateBuilder, Fault, Misbehaviour, Registry, TempProject};
use std::path::Path;
use std::time::Duration;

const ONE: &str = r#"
//- /Cargo.toml
[package]
name = "one"
version = "0.1.0"
edition = "2021"
[dependencies]
plain = "1"
//- /src/lib.rs
pub fn say() -> String { plain::say() }
"#;

/// Asserts that no temporary file or folder is left in the store, the index cache or the project.
#[track_caller]
fn assert_nothing_half_written(stage: &Stage) {
    let mut pending = vec![stage.home.bulkhead_home(), stage.project.root().to_owned()];
    while let Some(folder) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let temporary = name.starts_with(".bulkhead-") && name != ".bulkhead-target" || name.starts_with(".tmp");
            assert!(!temporary, "{}", entry.path().display());
            let in_temporary_folder = folder.ends_with("store/tmp");
            assert!(!in_temporary_folder, "{}", entry.path().display());
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
        }
    }
}

#[test]
fn broken_manifests_are_shown_with_line_and_column() {
    let twins = Twins::new(ONE);
    for (from, to, place) in [
        ("edition = \"2021\"", "edition = \"2021", "Cargo.toml:4:"),
        ("edition = \"2021\"", "edition = \"1492\"", "Cargo.toml:4:"),
        ("version = \"0.1.0\"", "version = \"0.1\"", "Cargo.toml:3:"),
        ("plain = \"1\"", "plain = \"one\"", "Cargo.toml:6:"),
        ("plain = \"1\"", "plain = { version = 1 }", "Cargo.toml:6:"),
    ] {
        for stage in [&twins.cargo, &twins.bulkhead] {
            stage.project.edit("Cargo.toml", from, to);
        }
        let (_, ours) = twins.run(&["build"]);
        assert_error(&ours, 101, &[place, "^"]);
        for stage in [&twins.cargo, &twins.bulkhead] {
            stage.project.edit("Cargo.toml", to, from);
        }
    }
    twins.bulkhead.bulkhead(&["check"]).assert_success();
}

#[test]
fn a_broken_lockfile_is_named_with_its_line() {
    let twins = Twins::new(ONE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"one\"\n<<<<<<< HEAD\n");
    }
    let (_, ours) = twins.run(&["build"]);
    assert_error(&ours, 101, &["Cargo.lock:5:", "Cargo.lock"]);
    // It is the user's file: nobody else repairs it.
    assert!(twins.bulkhead.project.read("Cargo.lock").contains("<<<<<<<"));
}

/// Attack 43.
#[test]
fn requirements_that_nothing_satisfies_are_explained() {
    let twins = Twins::new(ONE);
    let cases = [
        ("plain = \"1\"", "plain = \"9\"", &["plain", "2.0.0", "one v0.1.0"][..]),
        ("plain = \"9\"", "absent = \"1\"", &["absent", "one v0.1.0"]),
        ("absent = \"1\"", "plain = { version = \"1\", features = [\"none-such\"] }", &["plain", "none-such"]),
    ];
    for (from, to, parts) in cases {
        for stage in [&twins.cargo, &twins.bulkhead] {
            stage.project.edit("Cargo.toml", from, to);
        }
        let (_, ours) = twins.run(&["build"]);
        assert_error(&ours, 101, parts);
        assert!(!twins.bulkhead.project.path("Cargo.lock").exists());
    }
}

/// Attack 55.
#[test]
fn two_packages_that_link_the_same_library_are_refused() {
    let twins = Twins::new(ONE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        let rival = CrateBuilder::new("rival", "1.0.0").links("native").build_script("fn main() {}");
        stage.registry.publish(rival.file("src/lib.rs", ""));
        stage.project.edit("Cargo.toml", "plain = \"1\"", "rival = \"1\"\nnative-sys = \"1\"");
    }
    let (_, ours) = twins.run(&["build"]);
    assert_error(&ours, 101, &["`native`", "rival", "native-sys", "only one package may link"]);
}

/// Attack 73.
#[test]
fn an_archive_with_another_checksum_is_a_verification_failure() {
    let stage = Stage::new(ONE);
    let package = || CrateBuilder::new("plain", "1.2.0").file("src/lib.rs", "pub fn say() -> String { String::new() }");
    stage.registry.publish(package().claim_checksum(&"0".repeat(64)));
    let outcome = stage.bulkhead(&["build"]);
    assert_error(&outcome, 104, &["plain v1.2.0", &"0".repeat(64)]);
    assert_eq!(stage.cargo(&["build"]).code(), Some(101));
    assert_nothing_half_written(&stage);
    // The lockfile remembers what was promised: the right archive under another promise does not pass either.
    stage.registry.publish(package());
    let outcome = stage.bulkhead(&["update"]);
    assert_error(&outcome, 104, &["plain v1.2.0", "Cargo.lock"]);
    std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    stage.bulkhead(&["build"]).assert_success();
}

/// Attack 73.
#[test]
fn downloads_that_break_off_or_never_end_are_refused_and_tried_again_next_time() {
    for (misbehaviour, code) in [
        (Misbehaviour::Truncate(100), 101),
        (Misbehaviour::Oversize(1000), 104),
        (Misbehaviour::Oversize(1 << 40), 104),
        (Misbehaviour::Replace(b"not an archive".to_vec()), 104),
        (Misbehaviour::Status(404), 101),
        (Misbehaviour::Status(500), 101),
        (Misbehaviour::Garbage, 101),
        (Misbehaviour::HangUp, 101),
    ] {
        let stage = Stage::new(ONE);
        stage.registry.fault(Fault::on("/dl/plain", misbehaviour.clone()));
        let outcome = stage.command(&["build"]).env("CARGO_NET_RETRY", "0").run();
        assert_error(&outcome, code, &["plain v1.1.0"]);
        assert_nothing_half_written(&stage);
        stage.registry.clear_faults();
        let next = stage.bulkhead(&["build"]);
        assert_eq!(next.code(), Some(0), "after {misbehaviour:?}: {next}");
    }
}

#[test]
fn an_index_that_misbehaves_is_named_and_asked_again() {
    for (path, misbehaviour) in [
        ("/index/pl/ai/plain", Misbehaviour::Truncate(20)),
        ("/index/pl/ai/plain", Misbehaviour::Replace(b"<html>captive portal</html>".to_vec())),
        ("/index/pl/ai/plain", Misbehaviour::Status(500)),
        ("/index/pl/ai/plain", Misbehaviour::Garbage),
        ("/index/config.json", Misbehaviour::Status(404)),
        ("/index/config.json", Misbehaviour::Replace(b"{\"dl\": 1}".to_vec())),
        ("/index/config.json", Misbehaviour::HangUp),
    ] {
        let stage = Stage::new(ONE);
        stage.registry.fault(Fault::on(path, misbehaviour.clone()));
        let outcome = stage.command(&["build"]).env("CARGO_NET_RETRY", "0").run();
        assert!(matches!(outcome.code(), Some(101 | 104)), "{misbehaviour:?}: {outcome}");
        assert_error(&outcome, outcome.code().unwrap(), &[]);
        let named = outcome.stderr.contains("plain") || outcome.stderr.contains("config.json");
        assert!(named, "what was asked for is named: {outcome}");
        assert!(path.ends_with(".json") || !stage.project.path("Cargo.lock").exists());
        assert_nothing_half_written(&stage);
        stage.registry.clear_faults();
        let next = stage.bulkhead(&["build"]);
        assert_eq!(next.code(), Some(0), "after {misbehaviour:?}: {next}");
    }
}

#[test]
fn a_server_that_stumbles_once_is_asked_again() {
    let stage = Stage::new(ONE);
    stage.registry.fault(Fault::on("/index/pl/ai/plain", Misbehaviour::Status(503)).times(1));
    stage.registry.fault(Fault::on("/dl/plain", Misbehaviour::HangUp).times(1));
    stage.bulkhead(&["build"]).assert_success();
}

#[test]
fn without_a_network_the_error_says_so_and_what_to_do() {
    let stage = Stage::new(ONE);
    let gone = Registry::start();
    let text = gone.source_replacement();
    drop(gone);
    std::fs::write(stage.home.cargo_home().join("config.toml"), text).unwrap();
    let build = |program: &str| {
        let command = stage.home.command(program).args(["build"]).current_dir(stage.project.root());
        command.env("CARGO_NET_RETRY", "0").run()
    };
    let outcome = build(BULKHEAD);
    assert_error(&outcome, 101, &["127.0.0.1", "Connection refused", "--offline"]);
    assert_eq!(outcome.code(), build("cargo").code());
    // What is there already can be used without a network.
    std::fs::remove_file(stage.home.cargo_home().join("config.toml")).unwrap();
    stage.home.use_registry(&stage.registry);
    stage.bulkhead(&["build"]).assert_success();
    stage.registry.fault(Fault::on("/", Misbehaviour::HangUp));
    stage.project.touch("src/lib.rs");
    stage.bulkhead(&["build"]).assert_success();
}

/// A file system of `size` bytes on `folder` until the value is dropped; `None` where this user may not mount.
pub(crate) struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    pub(crate) fn new(folder: &'a Path, arguments: &[&str]) -> Option<Mounted<'a>> {
        std::fs::create_dir_all(folder).unwrap();
        let mounted = std::process::Command::new("mount").args(arguments).arg(folder).output();
        let done = mounted.is_ok_and(|output| output.status.success());
        if !done {
            crate::stage::skipped(&format!("this user may not mount {arguments:?}"));
        }
        done.then_some(Mounted(folder))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}

/// Attack 18.
#[test]
fn a_full_disk_is_named_and_leaves_nothing_behind() {
    let stage = Stage::new(ONE);
    // Larger than the file system, also when packed.
    let noise: Vec<u8> = (0..400_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect();
    let big = CrateBuilder::new("plain", "1.3.0").file("noise.bin", noise);
    stage.registry.publish(big.file("src/lib.rs", "pub fn say() -> String { String::new() }"));
    let home = stage.home.bulkhead_home();
    {
        let Some(_mounted) = Mounted::new(&home, &["-t", "tmpfs", "-o", "size=300k,mode=0700", "tmpfs"]) else {
            return;
        };
        let outcome = stage.bulkhead(&["build"]);
        assert_error(&outcome, 101, &["plain", "space"]);
        assert_nothing_half_written(&stage);
    }
    stage.bulkhead(&["build"]).assert_success();
    let target = stage.project.path("target");
    stage.project.edit("src/lib.rs", "plain::say()", "plain::say() + \"x\"");
    stage.bulkhead(&["clean"]).assert_success();
    {
        let Some(_mounted) = Mounted::new(&target, &["-t", "tmpfs", "-o", "size=64k", "tmpfs"]) else { return };
        let outcome = stage.bulkhead(&["build"]);
        assert_error(&outcome, 101, &["pace"]);
    }
    stage.bulkhead(&["build"]).assert_success();
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let stage = Stage::new(ONE);
    let home = stage.home.bulkhead_home();
    {
        let Some(_mounted) = Mounted::new(&home, &["-t", "tmpfs", "-o", "size=64k,mode=0700,ro", "tmpfs"]) else {
            return;
        };
        let outcome = stage.bulkhead(&["build"]);
        assert_error(&outcome, 101, &[".bulkhead", "ead-only"]);
    }
    stage.bulkhead(&["build"]).assert_success();
}

/// Attack 126.
#[test]
fn a_home_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new(ONE);
    let home = stage.home.bulkhead_home();
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o777)).unwrap();
    let outcome = stage.bulkhead(&["build"]);
    assert_error(&outcome, 104, &[".bulkhead", "others"]);
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    stage.bulkhead(&["build"]).assert_success();
}

/// Attack 10: the lockfile of the repository is a link to a file of the user's.
#[test]
fn a_lockfile_that_is_a_link_out_of_the_project_is_not_written() {
    let twins = Twins::new(ONE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        std::fs::write(stage.project.outside().join("precious"), "").unwrap();
        std::os::unix::fs::symlink("../precious", stage.project.path("Cargo.lock")).unwrap();
    }
    let precious = |project: &TempProject| std::fs::read_to_string(project.outside().join("precious")).unwrap();
    twins.cargo.cargo(&["generate-lockfile"]).assert_success();
    assert!(precious(&twins.cargo.project).contains("plain"), "it bites under cargo");
    for command in ["generate-lockfile", "build", "update"] {
        let outcome = twins.bulkhead.bulkhead(&[command]);
        assert_error(&outcome, 101, &["Cargo.lock", "link"]);
        assert_eq!(precious(&twins.bulkhead.project), "");
    }
    std::fs::remove_file(twins.bulkhead.project.path("Cargo.lock")).unwrap();
    twins.bulkhead.bulkhead(&["generate-lockfile"]).assert_success();
}

/// Attack 14: a published manifest names files outside its package.
#[test]
fn a_package_that_compiles_files_outside_of_it_is_refused() {
    let twins = Twins::new(ONE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        let outside = stage.project.outside().join("outside.rs");
        std::fs::write(&outside, "pub fn say() -> String { \"from outside\".into() }").unwrap();
        let manifest = format!(
            "[package]\nname = \"plain\"\nversion = \"1.4.0\"\nedition = \"2021\"\n[lib]\npath = \"{}\"\n",
            outside.display()
        );
        stage.registry.publish(CrateBuilder::new("plain", "1.4.0").file("Cargo.toml", manifest).file("src/lib.rs", ""));
    }
    twins.cargo.cargo(&["build"]).assert_success();
    let outcome = twins.bulkhead.bulkhead(&["build"]);
    assert_ne!(outcome.code(), Some(0), "{outcome}");
    assert!(outcome.stderr.contains("plain") && outcome.stderr.contains("lib.path"), "{outcome}");
    assert!(!twins.bulkhead.project.path("target/debug").exists(), "refused before anything is compiled");
}

/// Attack 15: tables of a published manifest that speak about the workspace are not obeyed.
#[test]
fn a_package_cannot_change_the_workspace_that_uses_it() {
    let twins = Twins::new(ONE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        let manifest = "[package]\nname = \"plain\"\nversion = \"1.4.0\"\nedition = \"2021\"\n\
            [workspace]\nmembers = [\"../*\"]\n[patch.crates-io]\ntest-tool = { path = \"evil\" }\n\
            [profile.dev]\nopt-level = 3\npanic = \"abort\"\n";
        let package = CrateBuilder::new("plain", "1.4.0").file("Cargo.toml", manifest);
        stage.registry.publish(package.file("src/lib.rs", "pub fn say() -> String { String::new() }"));
    }
    let verbose = twins.run(&["build", "-v"]).1;
    verbose.assert_success();
    assert!(!verbose.stderr.contains("opt-level=3") && !verbose.stderr.contains("panic=abort"), "{verbose}");
}

/// Attacks 77 to 79: a lockfile whose entries were exchanged.
#[test]
fn a_lockfile_that_was_tampered_with_is_refused_and_stays_as_it_is() {
    let stage = Stage::new(ONE);
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    let good = stage.project.read("Cargo.lock");
    let checksum = good.lines().find(|line| line.starts_with("checksum")).unwrap();
    let source = good.lines().find(|line| line.starts_with("source")).unwrap();
    let evil = Registry::start();
    evil.publish(CrateBuilder::new("plain", "1.1.0").file("src/lib.rs", "compile_error!(\"evil\");"));
    let cases = [
        (checksum, format!("checksum = \"{}\"", "0".repeat(64)), &["plain v1.1.0", "checksum"][..]),
        (checksum, format!("checksum = \"{}\"", "A".repeat(64)), &["checksum"]),
        (checksum, "checksum = \"abc\"".to_owned(), &["checksum"]),
        (checksum, String::new(), &["plain", "checksum"]),
        (source, format!("source = \"{}\"", evil.index_url()), &["plain", &evil.index_url()]),
    ];
    for (from, to, parts) in cases {
        stage.project.write("Cargo.lock", good.replace(from, &to));
        let bad = stage.project.read("Cargo.lock");
        for arguments in [&["build"][..], &["build", "--locked"], &["fetch"]] {
            stage.registry.clear_requests();
            let outcome = stage.bulkhead(arguments);
            assert!(matches!(outcome.code(), Some(101 | 104)), "{arguments:?} with {to:?}: {outcome}");
            for part in parts {
                assert!(outcome.stderr.contains(part), "{part:?} is missing with {to:?}: {outcome}");
            }
            assert_eq!(stage.project.read("Cargo.lock"), bad, "{arguments:?} with {to:?}: {outcome}");
            assert!(stage.registry.requests().iter().all(|request| !request.path.starts_with("/dl/")), "{outcome}");
        }
    }
    assert!(evil.requests().is_empty());
    stage.project.write("Cargo.lock", &good);
    stage.bulkhead(&["build", "--locked"]).assert_success();
}

/// Attack 160.
#[test]
fn text_from_packages_never_reaches_the_terminal_as_it_is() {
    let stage = Stage::new(ONE);
    let script = r#"fn main() { println!("cargo::warning=\u{1b}]0;owned\u{7}\u{202e}"); eprintln!("\u{1b}[2J"); std::process::exit(1) }"#;
    let package = CrateBuilder::new("plain", "1.5.0").build_script(script).file("src/lib.rs", "");
    stage.registry.publish(package);
    let outcome = stage.command(&["build"]).timeout(Duration::from_secs(60)).run();
    assert_error(&outcome, 101, &["plain v1.5.0", "\\u{1b}"]);
    let raw = outcome.output();
    assert!(!raw.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{raw:?}");
}

/// A project may point a compiler at what has no end, or never begins. (`cargo` starts the compiler, which reads on.)
#[test]
fn sources_that_no_compiler_comes_to_the_end_of_are_refused() {
    let package = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let stage = Stage::new(&format!("//- /Cargo.toml\n{package}//- /src/lib.rs\n//- /folder/x\n"));
    rustix::fs::mkfifoat(rustix::fs::CWD, stage.project.path("pipe"), rustix::fs::Mode::from(0o600)).unwrap();
    std::fs::File::create(stage.project.path("sparse")).unwrap().set_len(100 << 30).unwrap();
    std::os::unix::fs::symlink("/dev/zero", stage.project.path("link.rs")).unwrap();
    let places = [
        ("/dev/zero", "a device"),
        ("link.rs", "a device"),
        ("pipe", "is a pipe"),
        ("folder", "is a directory, but a source file was expected"),
        ("sparse", "is larger than 256 MiB"),
    ];
    for (place, problem) in places {
        for (table, name, commands) in [
            ("[lib]", "lib `app`", &["check", "build", "doc", "test"][..]),
            ("[[bin]]\nname = \"tool\"", "bin `tool`", &["build"]),
            ("[[test]]\nname = \"probe\"", "test `probe`", &["test"]),
        ] {
            stage.project.write("Cargo.toml", format!("{package}{table}\npath = \"{place}\"\n"));
            each(commands, |command| {
                let path = stage.project.root().join(place);
                let says = format!("path `{}` for {name} {problem}", path.display())
                    .replace("is a device", "is a pipe, a device");
                let says = says.split(" a device").next().unwrap();
                assert_error(&stage.bulkhead(&[command]), 101, &[says, problem]);
            });
        }
        stage.project.write("Cargo.toml", format!("{package}build = \"{place}\"\n"));
        assert_error(&stage.bulkhead(&["check"]), 101, &["for build script `build-script-", problem]);
    }
    // The twins: a link to a file, and what is not there.
    std::os::unix::fs::symlink("src/lib.rs", stage.project.path("good.rs")).unwrap();
    stage.project.write("Cargo.toml", format!("{package}[lib]\npath = \"good.rs\"\n"));
    stage.bulkhead(&["check"]).assert_success();
    stage.project.write("Cargo.toml", format!("{package}[lib]\npath = \"absent.rs\"\n"));
    assert_error(&stage.bulkhead(&["check"]), 101, &["can't find lib `app` at path", "absent.rs"]);
}

/// `build.jobs` is what Cargo takes, and anything else is told of with where it stands.
#[test]
fn jobs_are_a_number_or_the_default() {
    let stage = Stage::new(APP);
    let run = |jobs: &str| stage.command(&["check"]).env("CARGO_BUILD_JOBS", jobs).run();
    for jobs in ["default", "1", "-1", " 2", "60000", "2147483647", "-2147483648"] {
        run(jobs).assert_success();
    }
    for jobs in ["99999999999999", "-99999999999999", "99999999999999999999999", "abc", "", "1.5"] {
        let says = format!("`build.jobs` cannot be `{jobs}`");
        assert_error(&run(jobs), 101, &[&says, "environment variable `CARGO_BUILD_JOBS`", "a number of jobs"]);
    }
    stage.project.write(".cargo/config.toml", "[build]\njobs = \"default\"\n");
    stage.bulkhead(&["check"]).assert_success();
    for jobs in ["99999999999999", "\"99999999999999\"", "[1]", "true"] {
        stage.project.write(".cargo/config.toml", format!("[build]\njobs = {jobs}\n"));
        assert_error(&stage.bulkhead(&["check"]), 101, &["`build.jobs` cannot be ", ".cargo/config.toml:2"]);
    }
}
