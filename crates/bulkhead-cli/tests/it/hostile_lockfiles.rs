//! Lockfiles that were changed by somebody who should not have (attacks 77 to 82 of the catalogue): refused before anybody
//! is asked, named, and left as they are.

use crate::stage::{Stage, assert_error};
use bulkhead_test_support::{CrateBuilder, Registry};

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
uses-native = "0.1"
plain = "1"
//- /src/main.rs
fn main() {}
"#;

const PUBLIC: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A stage with a good lockfile, and that.
fn locked() -> (Stage, String) {
    let stage = Stage::new(APP);
    stage.bulkhead(&["fetch"]).assert_success();
    let good = stage.project.read("Cargo.lock");
    (stage, good)
}

/// The lockfile with a line of the entry of `name` replaced.
fn changed(good: &str, name: &str, key: &str, line: &str) -> String {
    let start = good.find(&format!("name = \"{name}\"")).unwrap();
    let at = start + good[start..].find(&format!("\n{key} = ")).unwrap() + 1;
    let end = at + good[at..].find('\n').unwrap();
    format!("{}{line}{}", &good[..at], &good[end..])
}

/// Every command refuses the lockfile, which stays as it is, and asks nobody for a package.
#[track_caller]
fn check_refused(stage: &Stage, bad: &str, codes: &[i32], parts: &[&str]) {
    stage.project.write("Cargo.lock", bad);
    for arguments in [&["build"][..], &["build", "--locked"], &["fetch"], &["metadata"], &["update", "-p", "plain"]] {
        stage.registry.clear_requests();
        let outcome = stage.bulkhead(arguments);
        let code = outcome.code().unwrap_or_default();
        assert!(codes.contains(&code), "{outcome}");
        assert_error(&outcome, code, parts);
        assert_eq!(stage.project.read("Cargo.lock"), bad, "{outcome}");
        assert!(stage.registry.requests().iter().all(|request| !request.path.starts_with("/dl/")), "{outcome}");
    }
}

/// Attack 77: a package comes from elsewhere, with the checksum that it has there.
#[test]
fn attack_77_another_source_is_shown_and_not_asked() {
    let (stage, good) = locked();
    let evil = Registry::start();
    for (name, version) in [("plain", "1.1.0"), ("native-sys", "1.2.3")] {
        evil.publish(CrateBuilder::new(name, version).file("src/lib.rs", "compile_error!(\"evil\");"));
        let source = evil.index_url();
        let bad = changed(&good, name, "source", &format!("source = \"{source}\""));
        let parts = ["error[lock-source]", name, &format!("+ source = \"{source}\"")];
        check_refused(&stage, &bad, &[104], &parts);
        let git = "git+ssh://git@127.0.0.1:1/evil.git#0123456789012345678901234567890123456789";
        let bad = changed(&good, name, "source", &format!("source = \"{git}\""));
        let bad = changed(&bad, name, "checksum", "");
        check_refused(&stage, &bad, &[104], &["error[lock-source]", name, "+ source = \"git+ssh://"]);
    }
    let bad = changed(&good, "plain", "source", &format!("source = \"{}\"", evil.index_url()));
    check_refused(&stage, &bad, &[104], &[&format!("- source = \"{PUBLIC}\"")]);
    assert!(evil.requests().is_empty());
    // Cargo puts another package into the lockfile without a word, unless `--locked` forbids it.
    stage.project.write("Cargo.lock", &bad);
    stage.cargo(&["generate-lockfile"]).assert_success();
    stage.project.write("Cargo.lock", &good);
    stage.bulkhead(&["build", "--locked"]).assert_success();
}

/// Attacks 78 and 79: another checksum, none, or one that is none.
#[test]
fn attacks_78_and_79_checksums_are_kept() {
    let (stage, good) = locked();
    let other = "checksum = \"0000000000000000000000000000000000000000000000000000000000000000\"";
    for name in ["plain", "native-sys"] {
        let bad = changed(&good, name, "checksum", other);
        stage.project.write("Cargo.lock", &bad);
        for arguments in [&["build"][..], &["fetch", "--locked"], &["metadata"]] {
            let outcome = stage.bulkhead(arguments);
            assert_error(&outcome, 104, &["checksum", name, "- checksum = \"", &format!("+ {other}")]);
            assert_eq!(stage.project.read("Cargo.lock"), bad);
        }
        check_refused(&stage, &changed(&good, name, "checksum", ""), &[104], &["error[lock-checksum]", name]);
        for bad in ["ABCDEF", &"A".repeat(64), &"0".repeat(63), ""] {
            let bad = changed(&good, name, "checksum", &format!("checksum = \"{bad}\""));
            check_refused(&stage, &bad, &[101, 104], &["checksum"]);
        }
    }
    stage.project.write("Cargo.lock", changed(&good, "plain", "checksum", ""));
    stage.cargo(&["fetch"]).assert_success();
    assert_eq!(stage.project.read("Cargo.lock"), good, "cargo fills it in with what the index says today");
    stage.bulkhead(&["build", "--locked"]).assert_success();
}

/// Attack 81: too much of everything.
#[test]
fn attack_81_what_does_not_belong_there_is_named_with_its_line() {
    let (stage, good) = locked();
    let entry = |name: &str, source: &str| {
        format!(
            "\n[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\nsource = \"{source}\"\nchecksum = \"{}\"\n",
            "0".repeat(64)
        )
    };
    check_refused(&stage, &good.replace("version = 4", "version = 99"), &[101], &["99"]);
    check_refused(&stage, &format!("{good}\n<<<<<<< ours\n"), &[101], &["Cargo.lock:"]);
    let twice = good.clone() + &good[good.find("[[package]]\nname = \"plain\"").unwrap()..];
    check_refused(&stage, &twice, &[101], &["plain"]);
    let git = "git+ssh://git@127.0.0.1:1/evil.git#0123456789012345678901234567890123456789";
    // What nothing needs is not asked for, and falls out; with `--locked` that is a change.
    let extra = good.clone() + &entry("extra", git).replace(&format!("checksum = \"{}\"\n", "0".repeat(64)), "");
    stage.project.write("Cargo.lock", &extra);
    assert_error(&stage.bulkhead(&["build", "--locked"]), 101, &["--locked", "extra"]);
    stage.bulkhead(&["build"]).assert_success();
    assert_eq!(stage.project.read("Cargo.lock"), good);
    let escapes = good.clone() + &entry("a\\u001b[31m", PUBLIC);
    check_refused(&stage, &escapes, &[101], &["\\u{1b}"]);
    let many: String = (0..50_001).map(|n| entry(&format!("p{n}"), PUBLIC)).collect();
    let asked = stage.registry.requests().len();
    stage.project.write("Cargo.lock", format!("{good}{many}"));
    assert_error(&stage.bulkhead(&["build"]), 102, &["error[resolve-limit]", "Cargo.lock", "packages"]);
    assert_eq!(stage.registry.requests().len(), asked);
    stage.project.write("Cargo.lock", format!("{good}#{}", "x".repeat(65 << 20)));
    assert_error(&stage.bulkhead(&["build"]), 101, &["Cargo.lock", "larger than"]);
    // A package of a known registry that nothing needs is harmless, and falls out.
    stage.project.write("Cargo.lock", good.clone() + &entry("unneeded", PUBLIC));
    stage.bulkhead(&["build"]).assert_success();
    assert_eq!(stage.project.read("Cargo.lock"), good);
}

/// Attack 82: what one of the two writes, the other reads and leaves as it is.
#[test]
fn attack_82_both_programs_agree_about_every_lockfile() {
    let (stage, good) = locked();
    stage.cargo(&["fetch", "--locked"]).assert_success();
    stage.cargo(&["generate-lockfile"]).assert_success();
    assert_eq!(stage.project.read("Cargo.lock"), good);
    for version in ["version = 3\n", "version = 4\n"] {
        let text = good.replace("version = 4\n", version);
        stage.project.write("Cargo.lock", &text);
        for outcome in [stage.cargo(&["fetch"]), stage.bulkhead(&["fetch"]), stage.bulkhead(&["build", "--locked"])] {
            outcome.assert_success();
            assert_eq!(stage.project.read("Cargo.lock"), text);
        }
    }
    // Nothing that cargo refuses is accepted.
    for (from, to) in [
        ("name = \"plain\"", "name = \"plain plain\""),
        ("version = \"1.1.0\"", "version = \"1.1\""),
        ("source = \"registry+", "source = \"regstry+"),
        ("checksum = ", "checksum = 7 # "),
        ("[[package]]", "[package]"),
    ] {
        stage.project.write("Cargo.lock", good.replacen(from, to, 1));
        let (theirs, ours) = (stage.cargo(&["fetch", "--locked"]), stage.bulkhead(&["fetch", "--locked"]));
        assert!(theirs.code() != Some(0) && ours.code() != Some(0), "{to}: {theirs}{ours}");
    }
}
