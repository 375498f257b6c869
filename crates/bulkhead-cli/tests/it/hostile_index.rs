//! Registries whose indexes lie, contradict themselves or go too far (attacks 33 to 55 of the catalogue, as far as they are
//! about entries): what breaks a rule is passed over and named, and nobody else is asked because of it.

use crate::stage::{APP, Stage, assert_error};
use bulkhead_test_support::{CrateBuilder, Fault, Misbehaviour};

const SUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An index line of `plain` with these fields besides name and checksum.
fn line(fields: &str) -> String {
    format!(r#"{{"name":"plain","cksum":"{SUM}","deps":[],"features":{{}},{fields}}}"#)
}

fn paths(stage: &Stage) -> Vec<String> {
    stage.registry.requests().into_iter().map(|request| request.path).collect()
}

/// Every line in `lines` is passed over: 1.1.0 is locked, nothing is asked but `plain`, and the reason is told.
#[track_caller]
fn check_passed_over(lines: &[String], version: &str, reason: &str) {
    let stage = Stage::new(APP);
    lines.iter().for_each(|line| stage.registry.publish_index_line("plain", line));
    let outcome = stage.bulkhead(&["generate-lockfile"]);
    outcome.assert_success();
    assert!(stage.project.read("Cargo.lock").contains("version = \"1.1.0\""), "{outcome}");
    for part in [&format!("entry plain {version}"), reason, "`plain v1.1.0` is used instead"] {
        assert!(outcome.stderr.contains(part), "{part:?} is missing: {outcome}");
    }
    assert!(!outcome.stderr.contains("panicked") && outcome.stderr.len() < 4_000, "{outcome}");
    let asked = paths(&stage);
    assert!(asked.iter().all(|path| path.ends_with("/plain") || path.ends_with("config.json")), "{asked:?}");
    // Where only that version would do, the error says why it does not.
    stage.project.edit("Cargo.toml", "plain = \"1\"", "plain = \"1.2\"");
    let failed = stage.bulkhead(&["build"]);
    assert_error(&failed, 101, &["plain", &format!("entry plain {version}"), reason]);
}

/// Attack 33: `cargo` asks for, and writes, what the name of a dependency makes of a path.
#[test]
fn attack_33_a_dependency_name_is_no_path() {
    let fields = r#""vers":"1.6.0","deps":[{"name":"../../../../esc","req":"1"}]"#;
    let hostile = format!(r#"{{"name":"plain","cksum":"{SUM}","features":{{}},{fields}}}"#);
    let stage = Stage::new(APP);
    stage.registry.publish_index_line("plain", &hostile);
    let theirs = stage.cargo(&["generate-lockfile"]);
    assert!(paths(&stage).iter().any(|path| path.contains("esc")), "it bites under cargo: {theirs}");
    check_passed_over(&[hostile], "1.6.0", "invalid dependency name");
}

/// Attacks 36 and 43: entries that two readers could read differently, and numbers out of range.
#[test]
fn attacks_36_and_43_what_is_not_plain_json_is_no_entry() {
    for (line, version, reason) in [
        (line(r#""vers":"1.6.0","cksum":"1""#), "1.6.0", "duplicate field `cksum`"),
        (line(r#""vers":"1.6.0","vers":"1.7.0""#), "1.6.0", "duplicate field `vers`"),
        (line(r#""vers":"1.6.0","v":99"#), "1.6.0", "schema version 99"),
        (line(r#""vers":"1.6.0","yanked":NaN"#), "1.6.0", "expected"),
        (line(r#""vers":"1.6.0","#), "1.6.0", "trailing comma"),
        (line(r#""vers":"1.6.0""#) + "// no", "1.6.0", "trailing characters"),
        (format!("\u{feff}{}", line(r#""vers":"1.6.0""#)), "1.6.0", "expected value"),
        (line(r#""vers":"1.6.0","links":"\ud800""#), "1.6.0", "hex escape"),
        (line(r#""vers":"1.6.0","links":"a\u0000b""#), "1.6.0", "`links`"),
        (line(r#""vers":"1.6.0","features2":{"a":[],"a":[]}"#), "1.6.0", "duplicate feature"),
        (line(r#""vers":"1.6.0","features2":{"a":["b"]}"#), "1.6.0", "neither a dependency nor another feature"),
        (line(r#""vers":"1.6.0","rust_version":"1.70-nightly""#), "1.6.0", "`rust_version`"),
        (line(r#""vers":"1.6.0","pubtime":"yesterday""#), "1.6.0", "`pubtime`"),
    ] {
        check_passed_over(&[line], version, reason);
    }
    let long = format!(r#""vers":"1.6.0-{}""#, "a".repeat(10_000));
    for fields in [r#""vers":"1.18446744073709551616.0""#, r#""vers":"1.2""#, r#""vers":"""#, &long] {
        let stage = Stage::new(APP);
        stage.registry.publish_index_line("plain", &line(fields));
        stage.bulkhead(&["generate-lockfile"]).assert_success();
        assert!(stage.project.read("Cargo.lock").contains("version = \"1.1.0\""));
    }
    let stage = Stage::new(APP);
    stage.registry.publish(CrateBuilder::new("plain", "1.18446744073709551615.0").file("src/lib.rs", ""));
    stage.bulkhead(&["fetch"]).assert_success();
    assert!(stage.project.read("Cargo.lock").contains("1.18446744073709551615.0"));
}

/// Attack 37: the same version twice, with another archive or other build metadata.
#[test]
fn attack_37_a_version_that_stands_twice_is_not_chosen_by_position() {
    let entry =
        |version: &str, sum: &str| format!(r#"{{"name":"plain","vers":"{version}","cksum":"{sum}","deps":[]}}"#);
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    for (first, second) in [("1.6.0", "1.6.0"), ("1.6.0", "1.6.0+evil"), ("1.6.0+evil", "1.6.0")] {
        let lines = [entry(first, &one), entry(second, &two)];
        let stage = Stage::new(APP);
        lines.iter().for_each(|line| stage.registry.publish_index_line("plain", line));
        stage.cargo(&["generate-lockfile"]).assert_success();
        assert!(stage.project.read("Cargo.lock").contains("1.6.0"), "it bites under cargo");
        check_passed_over(&lines, "1.6.0", "more than once");
    }
}

/// Attack 38: names that make `cargo` panic, or send megabytes.
#[test]
fn attack_38_names_that_are_none_are_not_asked_for() {
    for name in
        ["é€漢字", "", "\u{301}", "a b", "a/b", ".", "-x", "con\\\\", "a\\u0000", "\\ud800", &"x".repeat(100_000)]
    {
        let deps = format!(r#""vers":"1.6.0","deps":[{{"name":"{name}","req":"1"}}]"#);
        let hostile = format!(r#"{{"name":"plain","cksum":"{SUM}","features":{{}},{deps}}}"#);
        let reason = if name == "\\ud800" { "hex escape" } else { "invalid dependency name" };
        check_passed_over(&[hostile], "1.6.0", reason);
    }
    let stage = Stage::new(APP);
    let deps = r#""vers":"1.6.0","deps":[{"name":"é€漢字","req":"1"}]"#;
    stage
        .registry
        .publish_index_line("plain", &format!(r#"{{"name":"plain","cksum":"{SUM}","features":{{}},{deps}}}"#));
    let theirs = stage.cargo(&["generate-lockfile"]);
    assert!(theirs.code() != Some(0), "it bites under cargo: {theirs}");
}

/// Attack 35: an index file that answers for another package.
#[test]
fn attack_35_an_entry_of_another_package_spoils_the_file() {
    for other in ["serde", "PLAIN"] {
        let stage = Stage::new(APP);
        stage.registry.publish_index_line("plain", &line(r#""vers":"1.6.0""#).replace("plain", other));
        let outcome = stage.bulkhead(&["generate-lockfile"]);
        assert_error(&outcome, 104, &["registry-answer", "plain", other]);
        assert!(!stage.project.path("Cargo.lock").exists());
    }
}

/// Attack 39: metadata that is only large.
#[test]
fn attack_39_sizes_are_bounded() {
    let features: String = (0..60_000).map(|n| format!("\"f{n}\":[],")).collect();
    let many = line(r#""vers":"1.6.0""#)
        .replace("\"features\":{}", &format!("\"features\":{{{}}}", features.trim_end_matches(',')));
    check_passed_over(&[many], "1.6.0", "more than 50000 features");
    let deps: String = (0..60_000).map(|n| format!(r#"{{"name":"d{n}","req":"1"}},"#)).collect();
    let many = line(r#""vers":"1.6.0""#).replace("\"deps\":[]", &format!("\"deps\":[{}]", deps.trim_end_matches(',')));
    check_passed_over(&[many], "1.6.0", "more than 50000 dependencies");
    let stage = Stage::new(APP);
    stage.registry.fault(Fault::on("/index/pl/ai/plain", Misbehaviour::Oversize(600 << 20)));
    let outcome = stage.bulkhead(&["generate-lockfile"]);
    assert_error(&outcome, 104, &["error[registry-answer]", "/pl/ai/plain", "16"]);
    assert!(outcome.elapsed.as_secs() < 10, "{outcome}");
}

/// Attack 47: a registry that goes back to an older state.
#[test]
fn attack_47_versions_that_vanish_are_told_of() {
    let stage = Stage::new(APP);
    stage.bulkhead(&["build"]).assert_success();
    stage.cargo(&["fetch"]).assert_success();
    stage.registry.remove("plain", "1.1.0");
    std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    let theirs = stage.cargo(&["generate-lockfile"]);
    assert!(stage.project.read("Cargo.lock").contains("1.0.0"), "it bites under cargo");
    assert!(!theirs.stderr.contains("1.1.0"), "{theirs}");
    std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    let outcome = stage.bulkhead(&["generate-lockfile"]);
    assert!(outcome.stderr.contains("no longer lists `plain` 1.1.0"), "{outcome}");
    // Another archive under a version that was there before.
    stage.registry.publish(CrateBuilder::new("plain", "1.0.0").file("src/lib.rs", "// another"));
    std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    let outcome = stage.bulkhead(&["generate-lockfile"]);
    assert!(outcome.stderr.contains("another archive of `plain` 1.0.0"), "{outcome}");
}

/// Attack 47: what a registry once listed is known without its cache, and policy may forbid to go on.
#[test]
fn attack_47_a_registry_that_goes_back_is_noticed_without_its_cache() {
    let stage = Stage::new(APP);
    let anew = || {
        let _ = std::fs::remove_dir_all(stage.home.bulkhead_home().join("index"));
        let _ = std::fs::remove_file(stage.project.path("Cargo.lock"));
        stage.bulkhead(&["generate-lockfile"])
    };
    anew().assert_success();
    stage.registry.remove("plain", "1.1.0");
    stage.project.write("bulkhead.toml", "[withdrawn]\nvanished = \"deny\"\n");
    for _ in 0..2 {
        let parts = ["error[version-vanished]", "of `plain`", "this machine has seen", "the line of `plain` from"];
        assert_error(&anew(), 102, &parts);
    }
    std::fs::remove_file(stage.project.path("bulkhead.toml")).unwrap();
    let outcome = anew();
    assert!(outcome.assert_success().stderr.contains("of `plain`; this machine has seen"), "{outcome}");
    // Once is enough for a warning; and more than before is no going back.
    assert!(!anew().stderr.contains("has seen"));
    stage.registry.publish(CrateBuilder::new("plain", "1.2.0").file("src/lib.rs", ""));
    assert!(!anew().stderr.contains("has seen"));
    let memory = stage.home.bulkhead_home().join("trust/seen");
    let memory = std::fs::read_dir(memory).unwrap().next().unwrap().unwrap().path();
    assert!(std::fs::read_to_string(&memory).unwrap().contains("\nplain "));
    // A memory that is damaged is none.
    std::fs::write(&memory, b"\xff\nplain x y").unwrap();
    anew().assert_success();
}

/// The lockfile is a memory that travels with the project: a machine that has never seen the registry knows from it.
#[test]
fn attack_47_a_locked_version_that_is_gone_is_noticed_on_a_fresh_machine() {
    let stage = Stage::new(APP);
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    let lockfile = stage.project.read("Cargo.lock");
    assert!(lockfile.contains("1.1.0"));
    let forget = || {
        for folder in ["index", "trust"] {
            let _ = std::fs::remove_dir_all(stage.home.bulkhead_home().join(folder));
        }
    };
    stage.registry.remove("plain", "1.1.0");
    stage.cargo(&["update"]).assert_success();
    assert!(!stage.project.read("Cargo.lock").contains("1.1.0"), "it bites under cargo");
    for (policy, code) in [("", 0), ("[withdrawn]\nvanished = \"deny\"\n", 102)] {
        forget();
        stage.project.write("Cargo.lock", &lockfile);
        stage.project.write("bulkhead.toml", policy);
        let outcome = stage.bulkhead(&["update"]);
        outcome.assert_code(code);
        assert!(outcome.stderr.contains("plain v1.1.0`, which the registry no longer lists"), "{outcome}");
        assert_eq!(stage.project.read("Cargo.lock") == lockfile, code == 102);
    }
}

/// Attack 47: commands that keep what is locked say what is gone, and what that may mean.
#[test]
fn attack_47_a_locked_version_that_is_gone_is_named_by_plain_commands() {
    let stage = Stage::new(APP);
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    let lockfile = stage.project.read("Cargo.lock");
    let commands =
        [&["build"][..], &["metadata", "--format-version", "1"], &["tree"], &["fetch"], &["build", "--locked"]];
    // The twin: an older version that is gone is nobody's.
    stage.registry.remove("plain", "1.0.0");
    stage.bulkhead(&["build"]).assert_success();
    for (gone, told, more) in [
        (&["1.1.0"][..], "failed to select a version for the requirement `plain = \"^1\"`", "Run `update -p plain`"),
        (&["2.0.0"], "no matching package named `plain` found", ""),
    ] {
        gone.iter().for_each(|version| stage.registry.remove("plain", version));
        for (policy, code) in [("", 101), ("[withdrawn]\nvanished = \"deny\"\n", 102)] {
            stage.project.write("bulkhead.toml", policy);
            for command in commands {
                for folder in ["index", "trust"] {
                    let _ = std::fs::remove_dir_all(stage.home.bulkhead_home().join(folder));
                }
                let outcome = stage.bulkhead(command);
                outcome.assert_code(code);
                let expected = match code {
                    101 => [told, "Cargo.lock locks it to 1.1.0, which the registry no longer lists", more],
                    _ => ["error[version-vanished]", "`plain v1.1.0", "which the registry no longer lists"],
                };
                for words in expected.into_iter().chain(["registry's operator"]) {
                    assert!(outcome.stderr.contains(words), "{words:?} after {command:?}: {outcome}");
                }
                assert_eq!(stage.project.read("Cargo.lock"), lockfile);
            }
        }
    }
}

/// Attack 53: where a download may lead.
#[test]
fn attack_53_downloads_stay_with_https() {
    for target in
        ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "http://127.0.0.2:1/x", "gopher://127.0.0.1/"]
    {
        let stage = Stage::new(APP);
        let redirect = Misbehaviour::StatusWithHeader(302, "location", target.to_owned());
        stage.registry.fault(Fault::on("/dl/plain", redirect));
        let outcome =
            stage.command(&["fetch"]).env("CARGO_NET_RETRY", "0").env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1").run();
        assert!(matches!(outcome.code(), Some(101 | 104)), "{outcome}");
        assert_error(&outcome, outcome.code().unwrap(), &["plain v1.1.0"]);
    }
    let stage = Stage::new(APP);
    let around = format!("http://{}/dl/plain/1.1.0/download", stage.registry.address());
    stage.registry.fault(Fault::on("/dl/plain", Misbehaviour::StatusWithHeader(302, "location", around)));
    let outcome = stage.command(&["fetch"]).env("CARGO_NET_RETRY", "0").run();
    assert_error(&outcome, 104, &["plain v1.1.0", "redirect"]);
    assert!(stage.registry.requests().len() < 20, "{outcome}");
}

/// Attack 55: two packages that link one library, of which the index keeps silent.
#[test]
fn attack_55_links_collide_even_if_only_the_manifests_say_so() {
    let stage = Stage::new(&APP.replace("plain = \"1\"", "one = \"1\"\ntwo = \"1\""));
    let package = |name: &str, said: &str| {
        let line = format!(r#"{{"name":"{name}","vers":"1.0.0","cksum":"{{cksum}}","deps":[]{said}}}"#);
        CrateBuilder::new(name, "1.0.0")
            .links("z")
            .build_script("fn main() {}")
            .file("src/lib.rs", "")
            .index_line(&line)
    };
    for said in [r#","links":"z""#, ""] {
        stage.registry.publish(package("one", said));
        stage.registry.publish(package("two", ""));
        let theirs = stage.cargo(&["build"]);
        assert_eq!(theirs.code(), Some(101), "{theirs}");
        let outcome = stage.bulkhead(&["build"]);
        assert_error(&outcome, 101, &["`z`", "one v1.0.0", "two v1.0.0"]);
        assert!(!outcome.stderr.contains("Compiling"), "{outcome}");
    }
    // Other letters are another library.
    let line = r#"{"name":"two","vers":"1.0.1","cksum":"{cksum}","deps":[],"links":"Z"}"#;
    let other = CrateBuilder::new("two", "1.0.1").links("Z").build_script("fn main() {}").file("src/lib.rs", "");
    stage.registry.publish(other.index_line(line));
    stage.bulkhead(&["update"]).assert_success();
    stage.bulkhead(&["build"]).assert_success();
}
