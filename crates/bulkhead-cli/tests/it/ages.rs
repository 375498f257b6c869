//! Versions that have not been public for long (attack 51): who takes them, who does not, and what is said.

use std::time::{SystemTime, UNIX_EPOCH};

use bulkhead_test_support::{Invocation, Outcome};

use crate::stage::{Stage, publish_lines};

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
a = "1"
//- /src/lib.rs
"#;

/// `yyyy-mm-ddThh:mm:ssZ`, so many hours ago.
pub(crate) fn hours_ago(hours: i64) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let time = now - hours * 3600;
    let (days, second) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    // Days to a date, with years that begin in March.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// `a 1.0.0` is old, `a 1.0.1` an hour, and nobody has said that this does not matter.
fn stage() -> Stage {
    let stage = Stage::new(APP);
    let (old, fresh) = (hours_ago(24 * 400), hours_ago(1));
    publish_lines(&stage.registry, &format!("a 1.0.0 pubtime={old}\na 1.0.1 pubtime={fresh}"));
    stage
}

fn bulkhead(stage: &Stage, arguments: &[&str]) -> Invocation {
    stage.command(arguments).env_remove("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE")
}

#[track_caller]
fn locks(stage: &Stage, run: Invocation, version: &str) -> Outcome {
    let outcome = run.run();
    outcome.assert_success();
    let lockfile = stage.project.read("Cargo.lock");
    assert!(lockfile.contains(&format!("name = \"a\"\nversion = \"{version}\"")), "{lockfile}\n{outcome}");
    outcome
}

/// Attack 51.
#[test]
fn a_fresh_release_is_not_chosen_at_once() {
    // The attack works under cargo.
    let victim = stage();
    victim.cargo(&["generate-lockfile"]).assert_success();
    assert!(victim.project.read("Cargo.lock").contains("1.0.1"));
    let stage = stage();
    let outcome = locks(&stage, bulkhead(&stage, &["generate-lockfile"]), "1.0.0");
    for line in [
        "Locking 1 package to latest compatible version at least 3 days old",
        "Adding a v1.0.0 (available: v1.0.1, published 1 hour ago, minimum age 3 days)",
    ] {
        assert!(outcome.stderr.contains(line), "{outcome}");
    }
    // The benign twin: what has come of age is taken.
    publish_lines(&stage.registry, &format!("a 1.0.2 pubtime={}", hours_ago(73)));
    locks(&stage, bulkhead(&stage, &["update"]), "1.0.2");
}

#[test]
fn a_version_that_is_locked_stays() {
    let stage = stage();
    locks(&stage, stage.command(&["generate-lockfile"]), "1.0.1");
    locks(&stage, bulkhead(&stage, &["check"]), "1.0.1");
    locks(&stage, bulkhead(&stage, &["check", "--locked", "--offline"]), "1.0.1");
    stage.project.edit("Cargo.toml", "a = \"1\"", "a = \"1\"\nplain = \"1\"");
    locks(&stage, bulkhead(&stage, &["check"]), "1.0.1");
    // As for cargo, `update` starts anew.
    let outcome = locks(&stage, bulkhead(&stage, &["update"]), "1.0.0");
    assert!(outcome.stderr.contains("Downgrading a v1.0.1 -> v1.0.0"), "{outcome}");
}

#[test]
fn the_user_may_say_how_old_is_old_enough() {
    let run = |adjust: &dyn Fn(&Stage, Invocation) -> Invocation, version: &str| {
        let stage = stage();
        let run = adjust(&stage, bulkhead(&stage, &["generate-lockfile"]));
        locks(&stage, run, version);
    };
    let variable = |name: &'static str, value: &'static str| move |_: &Stage, run: Invocation| run.env(name, value);
    run(&variable("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE", "0"), "1.0.1");
    run(&variable("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE", "30 minutes"), "1.0.1");
    run(&variable("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE", "2 hours"), "1.0.0");
    run(&variable("CARGO_RESOLVER_INCOMPATIBLE_PUBLISH_AGE", "allow"), "1.0.1");
    run(&variable("CARGO_RESOLVER_INCOMPATIBLE_PUBLISH_AGE", "deny"), "1.0.0");
    run(&variable("CARGO_REGISTRIES_CRATES_IO_MIN_PUBLISH_AGE", "0"), "1.0.1");
    let configured = |text: &'static str| {
        move |stage: &Stage, run: Invocation| {
            stage.home.configure(text);
            run
        }
    };
    run(&configured("[registry]\nglobal-min-publish-age = \"0\"\n"), "1.0.1");
    run(&configured("[registries.crates-io]\nmin-publish-age = \"1 minute\"\n"), "1.0.1");
    run(&configured("[resolver]\nincompatible-publish-age = \"allow\"\n"), "1.0.1");
    let stage = stage();
    for (name, value) in
        [("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE", "soon"), ("CARGO_RESOLVER_INCOMPATIBLE_PUBLISH_AGE", "sometimes")]
    {
        let outcome = bulkhead(&stage, &["generate-lockfile"]).env(name, value).run();
        outcome.assert_code(101);
        assert!(outcome.stderr.contains(value), "{outcome}");
    }
}

#[test]
fn a_project_may_ask_for_more_but_not_for_less() {
    for (text, version, named) in [
        ("[registry]\nglobal-min-publish-age = \"0\"\n", "1.0.0", true),
        ("[registry]\nglobal-min-publish-age = \"2 days\"\n", "1.0.0", true),
        ("[registries.crates-io]\nmin-publish-age = \"0\"\n", "1.0.0", true),
        ("[resolver]\nincompatible-publish-age = \"allow\"\n", "1.0.0", true),
        ("[resolver]\nincompatible-publish-age = \"deny\"\n", "1.0.0", false),
        ("[registry]\nglobal-min-publish-age = \"14 days\"\n", "1.0.0", false),
    ] {
        let stage = stage();
        stage.project.write(".cargo/config.toml", text);
        let outcome = locks(&stage, bulkhead(&stage, &["generate-lockfile"]), version);
        assert_eq!(outcome.stderr.contains("publish-age` in"), named, "{outcome}");
        if text.contains("14 days") {
            assert!(outcome.stderr.contains("at least 14 days old"), "{outcome}");
        }
    }
}

#[test]
fn one_version_can_be_exempted() {
    let exempt = |version: &str| {
        format!("[[publish-age.exempt]]\npackage = \"a\"\nversion = \"{version}\"\nreason = \"the fix we wait for\"\n")
    };
    for (version, trusted, locked) in [("1.0.1", true, "1.0.1"), ("1.0.2", true, "1.0.0"), ("1.0.1", false, "1.0.0")] {
        let stage = stage();
        stage.project.write("bulkhead.toml", exempt(version));
        if trusted {
            bulkhead(&stage, &["trust", "--yes", "bulkhead.toml"]).run().assert_success();
        }
        locks(&stage, bulkhead(&stage, &["generate-lockfile"]), locked);
    }
}

#[test]
fn that_nothing_is_old_enough_is_told_with_what_to_do() {
    let stage = stage();
    stage.project.edit("Cargo.toml", "a = \"1\"", "a = \"1.0.1\"");
    let outcome = bulkhead(&stage, &["check"]).run();
    outcome.assert_code(101);
    for line in [
        "failed to select a version for the requirement `a = \"^1.0.1\"`",
        "version 1.0.1 is too new (published 1 hour ago, minimum age 3 days)",
        "[[publish-age.exempt]]",
        "CARGO_RESOLVER_INCOMPATIBLE_PUBLISH_AGE=allow",
    ] {
        assert!(outcome.stderr.contains(line), "{outcome}");
    }
    assert!(!stage.project.path("Cargo.lock").exists());
    assert!(
        !stage.registry.requests().iter().any(|request| request.path.starts_with("/dl/a")),
        "nothing is downloaded"
    );
}

#[test]
fn add_does_not_ask_for_what_the_lockfile_would_not_take() {
    let stage = stage();
    stage.project.edit("Cargo.toml", "a = \"1\"\n", "");
    let outcome = locks(&stage, bulkhead(&stage, &["add", "a"]), "1.0.0");
    assert!(stage.project.read("Cargo.toml").contains("a = \"1.0.0\""), "{outcome}");
    assert!(outcome.stderr.contains("ignoring a@1.0.1 (published 1 hour ago, minimum age 3 days)"), "{outcome}");
    stage.registry.remove("a", "1.0.0");
    stage.project.edit("Cargo.toml", "a = \"1.0.0\"\n", "");
    let before = stage.project.read("Cargo.toml");
    let outcome = bulkhead(&stage, &["add", "a"]).run();
    outcome.assert_code(101);
    assert!(outcome.stderr.contains("no version of crate `a` is old enough"), "{outcome}");
    assert_eq!(stage.project.read("Cargo.toml"), before);
    locks(&stage, stage.command(&["add", "a"]), "1.0.1");
}
