//! The audit log: what matters to security is written down once, and loss of it does not go unnoticed.

use std::collections::BTreeSet;

use bulkhead_test_support::{CrateBuilder, Registry};

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
    stage.project.write("bulkhead.toml", "[[grant]]\npackage = \"app\"\nenv = [\"A\"]\nreason = \"a test\"\n");
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
    let found = shown(&stage, &["--event", "denial", "--grep", "bogus", "-n", "1"]);
    assert!(found.contains("bogus") && !found.contains("alias-untrusted"), "{found}");
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

/// Attack 164: tables for spreadsheets.
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

/// A project that depends on a package of a registry `acme`, which this adds to the user's configuration.
fn with_registry() -> (Stage, Registry) {
    let fixture = APP.replace("plain = \"1\"", "acme-core = { version = \"1\", registry = \"acme\" }");
    let (stage, registry) = (Stage::new(&fixture), Registry::start());
    registry.publish(CrateBuilder::new("acme-core", "1.0.0").file("src/lib.rs", ""));
    registry.set_search_answer("{}");
    let providers = "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n";
    stage.home.configure(&format!("{providers}[registries.acme]\nindex = \"{}\"\n", registry.index_url()));
    (stage, registry)
}

/// What the entries of a stage say: pairs of a kind and a part of what is shown of it.
fn assert_written(stage: &Stage, entries: &[(&'static str, &str)], seen: &mut BTreeSet<&'static str>) {
    for (kind, part) in entries {
        let text = shown(stage, &["--event", kind]);
        assert!(text.contains(part), "{kind}: {part}: {text}\n{}", shown(stage, &[]));
        seen.insert(kind);
    }
    let all = std::fs::read_to_string(log(stage)).unwrap();
    assert!(!all.contains("hunter2"), "no secret is written down: {all}");
}

/// Each kind of event that the documentation names is written when it happens.
#[test]
fn every_kind_is_written() {
    let mut seen = BTreeSet::new();
    let stage = Stage::new(APP);
    stage.project.write(".cargo/config.toml", "[env]\nA = \"b\"\n");
    stage.project.write("bulkhead.toml", "[[grant]]\npackage = \"app\"\nenv = [\"A\"]\nreason = \"a test\"\n");
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    stage.bulkhead(&["check"]).assert_success();
    stage.bulkhead(&["trust", "--revoke", "bulkhead.toml"]).assert_success();
    let expected = [
        ("trust", ".cargo/config.toml"),
        ("grant", "env A"),
        ("configuration", ".cargo/config.toml"),
        ("policy", "bulkhead.toml"),
        ("revoke", "bulkhead.toml"),
    ];
    assert_written(&stage, &expected, &mut seen);

    let (stage, registry) = with_registry();
    stage.command(&["login", "--registry", "acme"]).stdin("hunter2\n").run().assert_success();
    stage.bulkhead(&["build"]).assert_success();
    stage.bulkhead(&["logout", "--registry", "acme"]).assert_success();
    let index = registry.index_url();
    let expected = [("login", "acme"), ("logout", "acme"), ("source-identity", &*index), ("lockfile-sources", &*index)];
    assert_written(&stage, &expected, &mut seen);

    let stage = Stage::new(APP);
    stage.project.write("mine/Cargo.toml", "[package]\nname = \"plain\"\nversion = \"1.1.0\"\n");
    stage.project.write("mine/src/lib.rs", "");
    let manifest = stage.project.read("Cargo.toml");
    stage.project.write("Cargo.toml", format!("{manifest}[patch.crates-io]\nplain = {{ path = \"mine\" }}\n"));
    stage.bulkhead(&["check"]).assert_success();
    assert_written(&stage, &[("patch", "plain")], &mut seen);

    let script = CrateBuilder::new("plain", "1.3.0").build_script("fn main() {}").file("src/lib.rs", "");
    let stage = Stage::new(APP);
    stage.registry.publish(script);
    stage.project.write("bulkhead.toml", "[build-code]\nlevel = \"approve\"\n");
    stage.bulkhead(&["check"]).assert_code(102);
    stage.bulkhead(&["approve", "plain"]).assert_success();
    assert_written(&stage, &[("denial", "build-code-approval"), ("approval", "plain v1.3.0")], &mut seen);

    let stage = Stage::new(APP);
    stage.registry.publish(CrateBuilder::new("plain", "1.3.0").claim_checksum(&"0".repeat(64)));
    stage.bulkhead(&["check"]).assert_code(104);
    assert_written(&stage, &[("verification-failure", "plain")], &mut seen);
    std::fs::remove_file(log(&stage)).unwrap();
    stage.bulkhead(&["check"]).assert_code(104);
    assert_written(&stage, &[("log-damaged", "audit log")], &mut seen);

    let kinds = stage.bulkhead(&["audit-log", "show", "--event", "bogus"]);
    let (_, kinds) = kinds.stderr.split_once("[possible values: ").unwrap_or_else(|| panic!("{kinds}"));
    let kinds: BTreeSet<_> = kinds.split(']').next().unwrap().split(", ").collect();
    assert_eq!(seen, kinds);
}

/// A build script that tries what it may not do and makes nothing of the refusal is written down all the same.
#[test]
fn denials_that_are_swallowed_are_written_down() {
    let stage = Stage::new(APP);
    stage.project.write("build.rs", "fn main() { let _ = std::fs::read(\"/etc/shadow\"); }");
    let built = stage.bulkhead(&["check"]);
    assert!(built.assert_success().stderr.contains("/etc/shadow"), "{built}");
    let denials = shown(&stage, &["--event", "denial"]);
    assert!(denials.contains("app v0.1.0") && denials.contains("read /etc/shadow"), "{denials}");
    // The benign twin: a script that is denied nothing adds no entry.
    stage.project.write("build.rs", "fn main() { let _ = std::fs::read(\"build.rs\"); }");
    stage.bulkhead(&["check"]).assert_success();
    assert_eq!(shown(&stage, &["--event", "denial"]), denials);
}

/// What chooses programs or whom to talk to is written down as well where a variable or a flag says it, and that it no longer does.
#[test]
fn settings_of_variables_and_flags_are_written_down() {
    let stage = Stage::new(APP);
    let configuration = || shown(&stage, &["--event", "configuration"]);
    stage.bulkhead(&["check"]).assert_success();
    let before = configuration();
    // Harmless ones are nobody's business.
    stage.command(&["check", "--config", "build.jobs=1"]).env("CARGO_INCREMENTAL", "0").run().assert_success();
    assert_eq!(configuration(), before);
    let flags = [
        "check",
        "--config",
        "build.rustflags=[\"--cfg=odd\"]",
        "--config",
        "http.proxy=\"http://me:hunter2@127.0.0.1:9\"",
    ];
    let token = format!("ghp_{}", "hunter2".repeat(4));
    let command = stage.command(&flags).env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "/bin/odd-runner");
    command.env("CARGO_REGISTRY_TOKEN", &token).env("no_proxy", "127.0.0.1").run();
    for part in ["--config build.rustflags", "--cfg=odd", "--config http.proxy", "odd-runner", "CARGO_REGISTRY_TOKEN"] {
        assert!(configuration().contains(part), "{part}: {}", configuration());
    }
    let entries = configuration().lines().count();
    stage.bulkhead(&["check"]).assert_success();
    assert!(configuration().lines().count() > entries, "it went out of force: {}", configuration());
    assert!(!std::fs::read_to_string(log(&stage)).unwrap().contains("hunter2"), "no secret is written down");
}
