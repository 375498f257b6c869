//! `search` and `info`, which show what a registry says.

use bulkhead_test_support::{CrateBuilder, DependencyBuilder, Outcome, Registry};

use crate::registries::Shops;

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
description = "The app"
rust-version = "1.70"
[dependencies]
nice = { version = "1", registry = "mine" }
//- /src/lib.rs
"#;

fn configured(mine: &Registry, _: &Registry) -> String {
    format!("[registries.mine]\nindex = {:?}\n[registry]\ndefault = \"mine\"\n", mine.index_url())
}

fn shops() -> Shops {
    let shops = Shops::new(APP, configured);
    let nice = |version: &str, rust: &str| {
        CrateBuilder::new("nice", version)
            .rust_version(rust)
            .dependency_with(DependencyBuilder::new("some-lib", "^1.2").optional())
            .dependency_with(DependencyBuilder::new("same", "^1"))
            .dependency_with(DependencyBuilder::new("same", "^1").build())
            .dependency_with(DependencyBuilder::new("same", "^1").dev())
            .feature("default", &["std"])
            .feature("std", &["alloc"])
            .feature("alloc", &[])
            .feature("extra", &["std", "dep:some-lib"])
            .file("README.md", "read me")
    };
    shops.mine.publish(CrateBuilder::new("some-lib", "1.2.0")).publish(nice("1.0.0", "1.60"));
    shops.mine.publish(nice("1.1.0", "1.65")).publish(nice("2.0.0", "1.99"));
    shops.mine.publish(CrateBuilder::new("gone", "1.0.0").yanked());
    shops
}

#[test]
fn packages_are_described_as_cargo_describes_them() {
    let shops = shops();
    // Out of a workspace.
    for side in [&shops.cargo, &shops.bulkhead] {
        std::fs::rename(side.project.path("Cargo.toml"), side.project.path("kept")).unwrap();
    }
    for arguments in [
        &["nice"][..],
        &["nice", "-v"],
        &["nice@1.0.0", "--color", "always"],
        &["nice@1", "-v", "--color", "always"],
        &["nice@2"],
        &["Nice"],
        &["some_lib"],
        &["nice@9"],
        &["gone"],
        &["absent"],
        &["nice", "--locked"],
        &["nice", "--offline"],
        &["nice", "-q"],
        &["nice", "--registry", "absent"],
        &["same", "--registry", "crates-io"],
    ] {
        shops.same(&[&["info"], arguments].concat(), &[]);
    }
    let index = shops.mine.index_url();
    shops.same(&["info", "nice", "--index", &index], &[]);
    // In one.
    for side in [&shops.cargo, &shops.bulkhead] {
        std::fs::rename(side.project.path("kept"), side.project.path("Cargo.toml")).unwrap();
    }
    shops.same(&["generate-lockfile"], &[]);
    shops.same(&["update", "nice", "--precise", "1.0.0"], &[]);
    for arguments in [
        &["nice"][..],
        &["nice", "-v"],
        &["nice@1.1.0"],
        &["app"],
        &["app", "-v"],
        &["some-lib"],
        &["nice", "--locked"],
    ] {
        shops.same(&[&["info"], arguments].concat(), &[]);
    }
}

#[test]
fn many_features_are_counted() {
    let shops = shops();
    for (name, features, on) in [("small", 29, 3), ("middle", 40, 10), ("large", 60, 40)] {
        let names: Vec<String> = (0..features).map(|number| format!("f{number:02}")).collect();
        let default: Vec<&str> = names.iter().take(on).map(String::as_str).collect();
        let package = CrateBuilder::new(name, "1.0.0").feature("default", &default);
        shops.mine.publish(names.iter().fold(package, |package, name| package.feature(name, &[])));
        shops.same(&["info", name], &[]);
        shops.same(&["info", name, "-v"], &[]);
    }
}

fn answer(description: &str, total: u32) -> String {
    serde_json::json!({
        "crates": [
            { "name": "serde", "max_version": "1.0.0", "description": description },
            { "name": "my-serde", "max_version": "10.20.30-alpha.1+build", "description": null },
        ],
        "meta": { "total": total },
    })
    .to_string()
}

#[test]
fn searches_find_what_cargo_finds() {
    let shops = shops();
    shops.mine.set_search_answer(answer("A framework\nfor data", 2));
    for arguments in [
        &["serde"][..],
        &["serde", "--color", "always"],
        &["SERDE", "--color", "always"],
        &["serde", "-q"],
        &["serde", "--offline"],
        &["serde", "--frozen"],
        &["serde", "--locked"],
        &["serde", "--limit", "1"],
        &["serde", "--limit", "200"],
        &["serde", "--registry", "absent"],
        &[],
    ] {
        shops.same(&[&["search"], arguments].concat(), &[]);
    }
    shops.mine.set_search_answer(answer(&"long ".repeat(60), 500));
    shops.same(&["search", "serde"], &[]);
    shops.same(&["search", "serde", "--limit", "100"], &[]);
    shops.mine.set_search_answer(r#"{"crates":[],"meta":{"total":0}}"#);
    shops.same(&["search", "serde"], &[]);
    let paths: Vec<String> = shops.mine.requests().into_iter().map(|request| request.path).collect();
    assert!(paths.contains(&"/api/v1/crates?q=serde&per_page=100".to_owned()), "{paths:?}");
    shops.mine.set_search_answer(r#"{"errors":[{"detail":"one"},{"detail":"two"}]}"#);
    let (theirs, ours) = shops.both(&["search", "serde"], &[]);
    for outcome in [theirs, ours] {
        assert!(outcome.stderr.contains("responded with an error: one, two"), "{outcome}");
    }
    shops.bulkhead.run(&["search", "serde", "--limit", "x"]).assert_code(1);
    shops.bulkhead.run(&["search", "serde", "--registry", "a", "--index", "b"]).assert_code(1);
}

/// Attack 160: what registries and packages say reaches no terminal as it is.
#[test]
fn what_others_say_does_not_command_the_terminal() {
    let shops = shops();
    for payload in ["\u{1b}]0;x\u{7}", "\u{1b}[2J", "\u{1b}]52;c;eA==\u{7}", "\u{9b}2J", "\rerror: forged", "\u{202e}"]
    {
        let quoted = serde_json::to_string(payload).unwrap();
        shops.mine.publish(CrateBuilder::new("evil", "1.0.0").manifest_extra("").file(
            "Cargo.toml",
            format!(
                "[package]\nname = \"evil\"\nversion = \"1.0.0\"\nedition = \"2021\"\ndescription = {quoted}\nhomepage = \
                 {quoted}\nrepository = {quoted}\ndocumentation = {quoted}\nkeywords = [{quoted}]\nlicense = {quoted}\n"
            ),
        ));
        shops.mine.set_search_answer(
            serde_json::json!({
                "crates": [{ "name": payload, "max_version": payload, "description": payload }],
                "meta": { "total": 1 },
            })
            .to_string(),
        );
        let harmless = |outcome: &Outcome| {
            // Our own colours begin with these.
            let text = outcome.output().replace("\u{1b}[1m", "").replace("\u{1b}[0m", "").replace("\u{1b}[9", "");
            let text = text.replace("\u{1b}[33m", "").replace("\u{1b}[2m", "");
            let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!text.contains(obeyed), "{payload:?}: {text:?}");
        };
        std::fs::remove_dir_all(shops.bulkhead.home.bulkhead_home()).ok();
        for color in ["never", "always"] {
            harmless(shops.bulkhead.run(&["search", "evil", "--color", color]).assert_success());
            harmless(shops.bulkhead.run(&["search", payload, "--color", color]).assert_success());
            harmless(shops.bulkhead.run(&["info", "evil", "--color", color]).assert_success());
            harmless(&shops.bulkhead.run(&["info", payload, "--color", color]));
        }
        shops.mine.set_search_answer(serde_json::json!({ "errors": [{ "detail": payload }] }).to_string());
        harmless(shops.bulkhead.run(&["search", "evil"]).assert_code(101));
        shops.mine.set_search_answer(payload);
        harmless(shops.bulkhead.run(&["search", "evil"]).assert_code(101));
    }
}
