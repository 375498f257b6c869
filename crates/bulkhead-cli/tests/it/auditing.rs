//! The audit log: what matters to security is written down once, and loss of it does not go unnoticed.

use crate::stage::{APP, Stage};

fn shown(stage: &Stage, arguments: &[&str]) -> String {
    let line: Vec<&str> = ["audit-log", "show"].iter().chain(arguments).copied().collect();
    stage.bulkhead(&line).assert_success().stdout.clone()
}

fn log(stage: &Stage) -> std::path::PathBuf {
    stage.home.bulkhead_home().join("audit/log.jsonl")
}

#[test]
fn what_changes_is_written_down_once() {
    let stage = Stage::new(APP);
    stage.project.write(".cargo/config.toml", "[build]\njobs = 2\nrustc-wrapper = \"w\"\n");
    stage.bulkhead(&["check"]).assert_success();
    let first = shown(&stage, &["--event", "configuration"]);
    assert!(first.contains(".cargo/config.toml") && first.contains("(not trusted)"), "{first}");
    let everything = shown(&stage, &[]);
    for command in [&["check"][..], &["metadata", "--format-version", "1"], &["tree"], &["check"]] {
        stage.bulkhead(command).assert_success();
    }
    assert_eq!(shown(&stage, &[]), everything, "nothing changed, so that nothing is written");
    stage.project.write("bulkhead.toml", "[[grant]]\npackage = \"app\"\nenv = [\"A\"]\n");
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    stage.bulkhead(&["check"]).assert_success();
    let now = shown(&stage, &["--format", "json"]);
    for part in ["\"event\":\"trust\"", "\"event\":\"policy\"", "\"event\":\"grant\"", "env A"] {
        assert!(now.contains(part), "{part}: {now}");
    }
    stage.bulkhead(&["trust", "--revoke", "bulkhead.toml"]).assert_success();
    stage.bulkhead(&["check"]).assert_success();
    let grants = shown(&stage, &["--event", "grant"]);
    assert!(grants.contains("before: env A") && shown(&stage, &["--event", "revoke"]).contains("bulkhead.toml"));
    let verified = stage.bulkhead(&["audit-log", "verify"]);
    assert!(verified.assert_success().stderr.contains("of the audit log"), "{verified}");
}

#[test]
fn refusals_are_written_down() {
    let stage = Stage::new(APP);
    stage.project.write(".cargo/config.toml", "[alias]\nxx = \"run\"\n");
    stage.bulkhead(&["xx"]).assert_code(103);
    stage.project.write("bulkhead.toml", "bogus = 1\n");
    stage.bulkhead(&["check"]).assert_code(102);
    let denials = shown(&stage, &["--event", "denial"]);
    assert!(denials.contains("alias-untrusted") && denials.contains("unknown key `bogus`"), "{denials}");
    assert!(shown(&stage, &["--event", "denial", "--grep", "bogus", "-n", "1"]).starts_with("     2"));
}

#[test]
fn loss_and_change_are_detected() {
    type Harm<'a> = (&'a str, &'a dyn Fn(&Stage));
    let harms: [Harm<'_>; 4] = [
        ("cut off", &|stage| {
            let text = std::fs::read_to_string(log(stage)).unwrap();
            std::fs::write(log(stage), format!("{}\n", text.lines().next().unwrap())).unwrap();
        }),
        ("removed", &|stage| std::fs::remove_file(log(stage)).unwrap()),
        ("changed", &|stage| {
            let text = std::fs::read_to_string(log(stage)).unwrap();
            std::fs::write(log(stage), text.replacen("denial", "policy", 1)).unwrap();
        }),
        ("without a head", &|stage| {
            std::fs::remove_file(stage.home.bulkhead_home().join("trust/audit-head")).unwrap();
        }),
    ];
    for (name, harm) in harms {
        let stage = Stage::new(APP);
        stage.project.write("bulkhead.toml", "bogus = 1\n");
        (0..3).for_each(|_| drop(stage.bulkhead(&["check"])));
        stage.bulkhead(&["audit-log", "verify"]).assert_success();
        harm(&stage);
        let found = stage.bulkhead(&["audit-log", "verify"]);
        assert!(found.assert_code(104).stderr.contains("error[audit-log]"), "{name}: {found}");
        stage.bulkhead(&["check"]).assert_code(102);
        stage.bulkhead(&["audit-log", "verify"]).assert_code(104);
    }
}

#[test]
fn what_is_exported_draws_nothing_and_computes_nothing() {
    let stage = Stage::new(APP);
    stage.project.write("bulkhead.toml", "\"=cmd()\\u001b[2J\" = 1\n");
    stage.bulkhead(&["check"]).assert_code(102);
    let csv = stage.bulkhead(&["audit-log", "export", "--format", "csv"]);
    let fields = csv.assert_success().stdout.lines().flat_map(|line| line.split("\",\"").map(str::to_owned));
    for field in fields.collect::<Vec<_>>() {
        assert!(!field.trim_start_matches('"').starts_with(['=', '+', '-', '@']), "{field}");
    }
    let lines = stage.bulkhead(&["audit-log", "export", "-o", "out.jsonl"]);
    lines.assert_success();
    assert_eq!(stage.project.read("out.jsonl"), std::fs::read_to_string(log(&stage)).unwrap());
    for output in [csv.stdout, shown(&stage, &[])] {
        assert!(output.chars().all(|c| matches!(c, ' '..='~' | '\n' | '\r' | '…')), "{output:?}");
    }
    let bad = stage.bulkhead(&["audit-log", "show", "--since", "yesterday"]);
    assert!(bad.assert_code(1).stderr.contains("is no time"), "{bad}");
}
