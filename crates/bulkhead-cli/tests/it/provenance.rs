//! Packages that are not what they are said to be, or come from where they should not (attacks 35 to 55 of the catalogue):
//! refused with package, rule and advice, after a proof that `cargo` takes them.

use crate::stage::{APP, Stage, Twins, assert_error};
use bulkhead_test_support::{CrateBuilder, DependencyBuilder, Outcome, Registry};

/// A package `plain` 1.6.0 whose archive is `packaged`, and of which the index says `fields`.
fn two_faced(packaged: CrateBuilder, fields: &str) -> CrateBuilder {
    packaged.index_line(&format!(r#"{{"name":"plain","vers":"1.6.0","cksum":"{{cksum}}","yanked":false,{fields}}}"#))
}

fn plain() -> CrateBuilder {
    CrateBuilder::new("plain", "1.6.0").file("src/lib.rs", "")
}

/// Attack 45: what the index says of a package is not what its manifest says.
#[test]
fn attack_45_a_manifest_that_differs_from_its_index_entry_is_refused() {
    let script = "fn main() { println!(\"cargo:warning=the script ran\") }";
    let nothing = r#""deps":[],"features":{}"#;
    let cases: [(&str, CrateBuilder, &str); 6] = [
        ("dependencies.test-tool", plain().dependency("test-tool", "0.5").build_script(script), nothing),
        ("dependencies.test-tool", plain(), r#""deps":[{"name":"test-tool","req":"^0.5"}],"features":{}"#),
        ("features.extra", plain().feature("extra", &[]).build_script(script), nothing),
        ("package.links", plain().build_script(script), r#""deps":[],"features":{},"links":"z""#),
        (
            "build-dependencies.test-tool",
            plain().dependency_with(DependencyBuilder::new("test-tool", "0.5").build()).build_script(script),
            r#""deps":[{"name":"test-tool","req":"^0.5"}],"features":{}"#,
        ),
        ("package.rust-version", plain().rust_version("1.60"), r#""deps":[],"features":{},"rust_version":"1.50""#),
    ];
    for (field, packaged, fields) in cases {
        let Twins { cargo, bulkhead } = Twins::new(APP);
        for stage in [&cargo, &bulkhead] {
            stage.registry.publish(two_faced(packaged.clone(), fields));
        }
        let theirs = cargo.cargo(&["build"]);
        assert_eq!(theirs.code(), Some(0), "it bites under cargo: {theirs}");
        for arguments in [&["build"][..], &["fetch"], &["check", "--offline"]] {
            let ours = bulkhead.bulkhead(arguments);
            assert_error(&ours, 104, &["error[manifest-mismatch]", "plain v1.6.0", field, "the index says"]);
            assert!(!ours.stderr.contains("Compiling"), "{ours}");
        }
        // The check is made anew whenever the index entry is another one.
        bulkhead.registry.publish(packaged.clone());
        bulkhead.bulkhead(&["update"]).assert_success();
        let corrected = bulkhead.bulkhead(&["build"]);
        assert_eq!(corrected.code(), Some(0), "the benign twin, {field}: {corrected}");
    }
}

/// Attack 46: the index brings another package under the name that the manifest mentions.
#[test]
fn attack_46_a_rename_that_only_the_index_knows_is_refused() {
    let Twins { cargo, bulkhead } = Twins::new(&APP.replace("plain = \"1\"", "user = \"1\""));
    let user = CrateBuilder::new("user", "1.0.0").dependency("plain", "1");
    let honest = user.clone().file("src/lib.rs", "pub fn say() -> String { plain::say() }");
    let line = r#"{"name":"user","vers":"1.0.0","cksum":"{cksum}","yanked":false,"features":{},
        "deps":[{"name":"plain","package":"test-tool","req":"^0.5"}]}"#;
    let confused =
        user.file("src/lib.rs", "pub fn say() -> u8 { plain::answer() }").index_line(&line.replace('\n', ""));
    for stage in [&cargo, &bulkhead] {
        stage.registry.publish(confused.clone());
    }
    cargo.cargo(&["build"]).assert_success();
    let ours = bulkhead.bulkhead(&["build"]);
    assert_error(&ours, 104, &["manifest-mismatch", "user v1.0.0", "dependencies.plain", "package = \"test-tool\""]);
    bulkhead.registry.publish(honest);
    std::fs::remove_file(bulkhead.project.path("Cargo.lock")).unwrap();
    bulkhead.bulkhead(&["build"]).assert_success();
}

/// A public registry with `acme-core` 9.0.0, and the private registry `acme` with `acme-core` 1.0.0.
fn acme(fixture: &str) -> (Stage, Registry) {
    let stage = Stage::new(fixture);
    let private = Registry::start();
    private.publish(CrateBuilder::new("acme-core", "1.0.0").file("src/lib.rs", "pub const OURS: bool = true;"));
    stage.registry.publish(CrateBuilder::new("acme-core", "9.0.0").file("src/lib.rs", "pub const OURS: bool = false;"));
    let through = CrateBuilder::new("through", "1.0.0").dependency("acme-core", "*");
    stage.registry.publish(through.file("src/lib.rs", ""));
    stage.home.configure(&format!("[registries.acme]\nindex = \"{}\"\n", private.index_url()));
    (stage, private)
}

fn asked_for_acme(registry: &Registry) -> bool {
    registry.requests().iter().any(|request| request.path.contains("acme"))
}

const RESERVED: &str = "[[reserve]]\nprefix = \"acme-\"\nregistry = \"acme\"\nreason = \"ours\"\n";

/// Attack 49: dependency confusion.
#[test]
fn attack_49_a_reserved_name_is_not_asked_of_another_registry() {
    for dependency in
        ["acme-core = \"*\"", "through = \"1\"", "acme_core = { package = \"acme-core\", version = \"*\" }"]
    {
        let (stage, private) = acme(&APP.replace("plain = \"1\"", dependency));
        stage.cargo(&["fetch"]).assert_success();
        assert!(asked_for_acme(&stage.registry), "it bites under cargo");
        assert!(stage.project.read("Cargo.lock").contains("9.0.0"));
        std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
        stage.registry.clear_requests();
        stage.project.write("bulkhead.toml", RESERVED);
        let outcome = stage.bulkhead(&["generate-lockfile"]);
        let parts = ["error[source-reserved]", "`acme-core`", "`acme-*`", "registry `acme` (ours)", "bulkhead.toml"];
        assert_error(&outcome, 102, &parts);
        if dependency.starts_with("through") {
            assert_error(&outcome, 102, &["it is required by `through v1.0.0`"]);
        }
        assert!(!asked_for_acme(&stage.registry) && !asked_for_acme(&private), "{outcome}");
        assert!(!stage.project.path("Cargo.lock").exists());
    }
    let (stage, private) = acme(&APP.replace("plain = \"1\"", "acme-core = { version = \"*\", registry = \"acme\" }"));
    stage.project.write("bulkhead.toml", RESERVED);
    stage.bulkhead(&["build"]).assert_success();
    assert!(asked_for_acme(&private) && !asked_for_acme(&stage.registry));
    // A lockfile in which the source was exchanged is refused as well.
    let good = stage.project.read("Cargo.lock");
    let public = good.replace(&private.index_url(), "registry+https://github.com/rust-lang/crates.io-index");
    stage.project.write("Cargo.lock", &public);
    let outcome = stage.bulkhead(&["build", "--locked"]);
    assert_error(&outcome, 102, &["error[source-reserved]", "acme-core"]);
    assert!(!asked_for_acme(&stage.registry));
}

#[test]
fn places_that_policy_does_not_allow_are_not_asked() {
    let (stage, private) = acme(&APP.replace("plain = \"1\"", "acme-core = { version = \"1\", registry = \"acme\" }"));
    stage.project.write("bulkhead.toml", "[sources]\nregistries = [\"crates-io\"]\n");
    let outcome = stage.bulkhead(&["build"]);
    assert_error(
        &outcome,
        102,
        &["error[source-not-allowed]", "acme-core", &private.index_url(), "sources.registries"],
    );
    assert!(private.requests().is_empty());
    let user = stage.home.path().join(".config/bulkhead");
    std::fs::create_dir_all(&user).unwrap();
    std::fs::write(user.join("policy.toml"), "[sources]\nregistries = [\"crates-io\"]\n").unwrap();
    // What came with the project does not loosen what the user says.
    stage.project.write("bulkhead.toml", "[sources]\nregistries = [\"crates-io\", \"acme\"]\n");
    assert_error(&stage.bulkhead(&["build"]), 102, &["the user's policy"]);
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    stage.bulkhead(&["build"]).assert_success();
    std::fs::write(user.join("policy.toml"), "locked = [\"sources\"]\n[sources]\nregistries = [\"crates-io\"]\n")
        .unwrap();
    assert_error(&stage.bulkhead(&["build"]), 102, &["the user's policy"]);
}

/// A package of the public registry that reaches for another one: the index entry is not used.
#[test]
fn a_public_package_cannot_pull_from_a_private_registry() {
    let (stage, private) = acme(APP);
    let line = format!(
        r#"{{"name":"plain","vers":"1.6.0","cksum":"{{cksum}}","yanked":false,"features":{{}},
        "deps":[{{"name":"acme-core","req":"*","registry":"{}"}}]}}"#,
        private.index_url()
    );
    stage.registry.publish(plain().index_line(&line.replace('\n', "")));
    stage.cargo(&["fetch"]).assert_success();
    assert!(asked_for_acme(&private), "it bites under cargo");
    private.clear_requests();
    std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    let outcome = stage.bulkhead(&["generate-lockfile"]);
    outcome.assert_success();
    for part in ["entry plain 1.6.0", "acme-core", "another registry", "plain v1.1.0"] {
        assert!(outcome.stderr.contains(part), "{outcome}");
    }
    assert!(private.requests().is_empty());
    stage.project.edit("Cargo.toml", "plain = \"1\"", "plain = \"1.6\"");
    assert_error(&stage.bulkhead(&["generate-lockfile"]), 101, &["entry plain 1.6.0", "another registry"]);
    assert!(private.requests().is_empty());
}

/// Attack 50: names that are easily taken for others.
#[test]
fn attack_50_look_alikes_are_told_of_and_refused_where_policy_says_so() {
    let stage = Stage::new(&APP.replace("plain = \"1\"", "rustdecimal = \"1\"\nrust_decimal = \"1\""));
    for name in ["rustdecimal", "rust_decimal", "proc-macro1", "sha3"] {
        stage.registry.publish(CrateBuilder::new(name, "1.0.0").file("src/lib.rs", ""));
    }
    let theirs = stage.cargo(&["generate-lockfile"]);
    assert!(theirs.code() == Some(0) && !theirs.stderr.contains("warning"), "cargo says nothing: {theirs}");
    std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    let warnings = |outcome: &Outcome| outcome.stderr.matches("warning: `").count();
    let first = stage.bulkhead(&["generate-lockfile"]);
    first.assert_success();
    assert!(first.stderr.contains("`rustdecimal` may not be the package that you want"), "{first}");
    assert!(first.stderr.contains("well-known `rust_decimal`") && warnings(&first) == 1, "{first}");
    // What is in the lockfile already is not news; what comes newly into it is.
    assert_eq!(warnings(&stage.bulkhead(&["build"])), 0);
    stage.project.edit("Cargo.toml", "rustdecimal", "proc-macro1 = \"1\"\nsha3 = \"1\"\nrustdecimal");
    let added = stage.bulkhead(&["update", "-w"]);
    assert!(added.stderr.contains("`proc-macro1`") && warnings(&added) == 1, "{added}");
    stage.project.write("bulkhead.toml", "[lookalikes]\nlevel = \"deny\"\n");
    let denied = stage.bulkhead(&["build"]);
    assert_error(&denied, 102, &["error[lookalike]", "`proc-macro1`", "lookalikes.allow"]);
    let exempt = "[lookalikes]\nlevel = \"deny\"\nallow = [\"proc-macro1\", \"rustdecimal\"]\n";
    stage.project.write("bulkhead.toml", exempt);
    assert_error(&stage.bulkhead(&["build"]), 102, &["error[lookalike]"]);
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    stage.bulkhead(&["build"]).assert_success();
}

const PRIVATE: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
acme-core = { version = "1", registry = "acme" }
//- /src/main.rs
fn main() {}
"#;

/// The name that the manifest uses comes to stand for another registry than the one that it meant so far.
#[test]
fn a_registry_is_the_one_that_it_was_at_first_use() {
    let stage = Stage::new(PRIVATE);
    let (private, evil) = (Registry::start(), Registry::start());
    private.publish(CrateBuilder::new("acme-core", "1.0.0").file("src/lib.rs", ""));
    evil.publish(CrateBuilder::new("acme-core", "1.9.0").file("src/lib.rs", "compile_error!(\"evil\");"));
    let name = |registry: &Registry| {
        let text = format!("[registries.acme]\nindex = \"{}\"\n", registry.index_url());
        std::fs::write(stage.home.cargo_home().join("config.toml"), text).unwrap();
    };
    name(&private);
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    let pinned = stage.project.read("bulkhead.lock");
    assert!(pinned.contains(&private.index_url()) && pinned.contains("names = [\"acme\"]"), "{pinned}");
    stage.bulkhead(&["build"]).assert_success();
    let pinned = stage.project.read("bulkhead.lock");
    assert!(pinned.contains(&format!("download = \"http://{}\"", private.address())), "{pinned}");
    // Written once: the same again with whatever is done.
    for arguments in [&["build", "--locked"][..], &["generate-lockfile"], &["fetch", "--locked"], &["tree"]] {
        stage.bulkhead(arguments).assert_success();
        assert_eq!(stage.project.read("bulkhead.lock"), pinned);
    }
    let lockfile = stage.project.read("Cargo.lock");
    name(&evil);
    std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    stage.cargo(&["generate-lockfile"]).assert_success();
    assert!(stage.project.read("Cargo.lock").contains("1.9.0"), "it bites under cargo");
    evil.clear_requests();
    for arguments in [&["build"][..], &["build", "--locked"], &["update"], &["generate-lockfile"], &["metadata"]] {
        let outcome = stage.bulkhead(arguments);
        let (old, new) =
            (format!("- index = \"{}\"", private.index_url()), format!("+ index = \"{}\"", evil.index_url()));
        assert_error(&outcome, 104, &["error[registry-identity]", "`acme`", &old, &new, "bulkhead.lock"]);
        assert!(evil.requests().is_empty(), "{outcome}");
    }
    assert_eq!(stage.project.read("bulkhead.lock"), pinned);
    name(&private);
    stage.project.write("Cargo.lock", &lockfile);
    stage.bulkhead(&["build", "--locked"]).assert_success();
}

#[test]
fn a_registry_whose_archives_move_to_another_server_is_refused() {
    let stage = Stage::new(PRIVATE);
    let (private, evil) = (Registry::start(), Registry::start());
    for version in ["1.0.0", "1.1.0"] {
        private.publish(CrateBuilder::new("acme-core", version).file("src/lib.rs", ""));
    }
    stage.home.configure(&format!("[registries.acme]\nindex = \"{}\"\n", private.index_url()));
    stage.project.edit("Cargo.toml", "version = \"1\"", "version = \"=1.0.0\"");
    stage.bulkhead(&["build"]).assert_success();
    private.set_config(&format!("{{\"dl\":\"http://{}/dl\"}}", evil.address()));
    stage.project.edit("Cargo.toml", "version = \"=1.0.0\"", "version = \"1\"");
    stage.bulkhead(&["update"]).assert_success();
    let outcome = stage.bulkhead(&["build"]);
    let moved = format!("+ download = \"http://{}\"", evil.address());
    assert_error(&outcome, 104, &["error[registry-identity]", &moved, &private.index_url()]);
    assert!(evil.requests().is_empty());
    // The user accepts what is new by removing what was.
    std::fs::remove_file(stage.project.path("bulkhead.lock")).unwrap();
    evil.publish(CrateBuilder::new("acme-core", "1.1.0").file("src/lib.rs", ""));
    stage.bulkhead(&["build"]).assert_success();
    assert!(stage.project.read("bulkhead.lock").contains(&evil.address().to_string()));
}

#[test]
fn bulkhead_lock_is_not_made_for_nothing_and_not_changed_with_locked() {
    let stage = Stage::new(APP);
    stage.bulkhead(&["build"]).assert_success();
    assert!(!stage.project.path("bulkhead.lock").exists(), "the public registry's identity needs no file");
    let (stage, _private) = acme(PRIVATE);
    stage.cargo(&["generate-lockfile"]).assert_success();
    stage.bulkhead(&["build", "--locked"]).assert_success();
    assert!(!stage.project.path("bulkhead.lock").exists(), "a project that was cargo's is taken over as it is");
    stage.project.write("bulkhead.lock", "version = 1\n");
    let outcome = stage.bulkhead(&["build", "--locked"]);
    assert_error(&outcome, 101, &["bulkhead.lock", "--locked", "does not have the registry"]);
    stage.project.write("bulkhead.lock", "version = 1\n<<<<<<< ours\n");
    assert_error(&stage.bulkhead(&["build"]), 104, &["bulkhead.lock:2:"]);
    stage.project.write("bulkhead.lock", "version = 2\n");
    assert_error(&stage.bulkhead(&["build"]), 104, &["bulkhead.lock", "version 2"]);
}

#[test]
fn a_policy_that_is_not_understood_stops_everything() {
    let stage = Stage::new(APP);
    for (text, parts) in [
        ("[[reserve]]\nprefx = \"acme-\"\n", ["bulkhead.toml:2:1", "unknown key `prefx`"]),
        ("[lookalikes]\nlevel = \"maybe\"\n", ["bulkhead.toml:2:9", "`allow`, `warn` or `deny`"]),
        ("[limits.resolve]\npackages = 0\n", ["bulkhead.toml:2:12", "positive integer"]),
        ("[sources\n", ["bulkhead.toml:1:", ""]),
    ] {
        stage.project.write("bulkhead.toml", text);
        for arguments in [&["build"][..], &["metadata"], &["generate-lockfile"]] {
            assert_error(&stage.command(arguments).run(), 102, &parts);
        }
    }
    stage.project.write("bulkhead.toml", "");
    stage.bulkhead(&["build"]).assert_success();
}

#[test]
fn limits_of_policy_hold_and_name_their_key() {
    let stage = Stage::new(&APP.replace("plain = \"1\"", "plain = \"1\"\nuses-native = \"0.1\"\ntest-tool = \"0.5\""));
    for (limit, part) in
        [("packages = 2", "packages"), ("depth = 1", "depth"), ("edges = 2", "edges"), ("steps = 1", "steps")]
    {
        stage.project.write("bulkhead.toml", format!("[limits.resolve]\n{limit}\n"));
        let outcome = stage.bulkhead(&["generate-lockfile"]);
        assert_error(&outcome, 102, &["error[resolve-limit]", part, "limits.resolve"]);
    }
    // What came with the project may only tighten.
    stage.project.write("bulkhead.toml", "[limits.resolve]\npackages = 100000000\nindex-mib = 10000\n");
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    let padding = "x".repeat(3 << 20);
    let line = format!(r#"{{"name":"plain","vers":"1.7.0","cksum":"{}","deps":[],"x":"{padding}"}}"#, "0".repeat(64));
    stage.registry.publish_index_line("plain", &line);
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    std::fs::remove_dir_all(stage.home.bulkhead_home().join("index")).unwrap();
    stage.project.write("bulkhead.toml", "[limits.resolve]\nindex-mib = 1\n");
    assert_error(&stage.bulkhead(&["generate-lockfile"]), 104, &["error[registry-answer]", "/pl/ai/plain"]);
    stage.project.write("bulkhead.toml", "[limits.resolve]\narchive-mib = 1\n");
    let noise: Vec<u8> = (0..400_000_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    stage.registry.remove("plain", "1.7.0");
    stage.registry.publish(CrateBuilder::new("plain", "1.8.0").file("noise", noise).file("src/lib.rs", ""));
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    assert_error(&stage.bulkhead(&["fetch"]), 104, &["/dl/plain/1.8.0"]);
    stage.project.write("bulkhead.toml", "");
    stage.bulkhead(&["fetch"]).assert_success();
}

/// `add` asks the same rules before it writes anything.
#[test]
fn what_is_added_is_held_to_policy() {
    let (stage, _private) = acme(APP);
    stage.registry.publish(CrateBuilder::new("rustdecimal", "1.0.0").file("src/lib.rs", ""));
    let manifest = stage.project.read("Cargo.toml");
    stage.project.write("bulkhead.toml", format!("[lookalikes]\nlevel = \"deny\"\n{RESERVED}"));
    assert_error(&stage.bulkhead(&["add", "rustdecimal"]), 102, &["error[lookalike]", "`rust_decimal`"]);
    assert_error(&stage.bulkhead(&["add", "acme-core"]), 102, &["error[source-reserved]", "acme-core"]);
    assert!(!asked_for_acme(&stage.registry));
    assert_eq!(stage.project.read("Cargo.toml"), manifest);
    stage.bulkhead(&["add", "acme-core", "--registry", "acme"]).assert_success();
    stage.project.write("bulkhead.toml", "");
    let added = stage.bulkhead(&["add", "rustdecimal"]);
    added.assert_success();
    assert_eq!(added.stderr.matches("warning: `rustdecimal`").count(), 1, "{added}");
}
