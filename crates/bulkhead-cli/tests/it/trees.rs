//! Trees of every shape, drawn by `cargo` and by Bulkhead.

use crate::stage::{BULKHEAD, Stage, Twins, skipped};
use bulkhead_test_support::{CrateBuilder, DependencyBuilder, project};

const PROJECT: &str = r#"
//- /Cargo.toml
[package]
name = "root"
version = "0.1.0"
edition = "2021"
license = "MIT"
[workspace]
members = ["member", "macros"]
[features]
default = ["one"]
one = ["two", "feat/std"]
two = []
three = ["dep:optional-user", "plain?/loud", "wide/extra"]
four = ["test-tool/x"]
[dependencies]
feat = { version = "1", default-features = false, features = ["alpha"] }
wide = "1"
renamed = { package = "plain", version = "1" }
optional-user = { version = "0.1", optional = true }
plain = { version = "2", optional = true }
macros = { path = "macros" }
[dev-dependencies]
test-tool = "0.5"
feat = { version = "1", features = ["gamma"] }
[build-dependencies]
build-only = "1"
[target.'cfg(windows)'.dependencies]
under_score = "1"
[target.'cfg(unix)'.build-dependencies]
uses-native = "0.1"
//- /src/lib.rs
//- /build.rs
fn main() {}
//- /member/Cargo.toml
[package]
name = "member"
version = "0.2.0"
edition = "2021"
[dependencies]
root = { path = ".." }
derive-it = "0.3"
[dev-dependencies]
macros = { path = "../macros" }
//- /member/src/lib.rs
//- /macros/Cargo.toml
[package]
name = "macros"
version = "0.3.0"
edition = "2021"
[lib]
proc-macro = true
[dependencies]
plain = { version = "2", features = ["loud"] }
[dev-dependencies]
feat = "1"
wide = "1"
[target.'cfg(windows)'.dev-dependencies]
under_score = "1"
//- /macros/src/lib.rs
"#;

/// The project for both, with everything that it could need on their machines.
fn twins() -> Twins {
    let twins = Twins::new(&PROJECT.replace("four = [\"test-tool/x\"]\n", ""));
    for stage in [&twins.cargo, &twins.bulkhead] {
        let feat = CrateBuilder::new("feat", "1.2.3").feature("default", &["std", "alpha"]).feature("std", &[]);
        let feat = feat.feature("alpha", &["beta"]).feature("beta", &[]).feature("gamma", &[]).feature("zeta", &[]);
        stage.registry.publish(feat);
        stage.registry.publish(CrateBuilder::new("under_score", "1.0.0"));
        let build_only = DependencyBuilder::new("plain", "^1").features(&["loud"]);
        stage.registry.publish(CrateBuilder::new("build-only", "1.0.0").dependency_with(build_only));
        let wide = CrateBuilder::new("wide", "1.0.0")
            .feature("default", &["base"])
            .feature("base", &[])
            .feature("extra", &["dep:optional-user", "feat/zeta"])
            .dependency("plain", "2")
            .dependency("derive-it", "0.3")
            .dependency_with(DependencyBuilder::new("build-only", "^1").build())
            .dependency_with(DependencyBuilder::new("feat", "^1").no_default_features().features(&["gamma"]))
            .dependency_with(DependencyBuilder::new("optional-user", "^0.1").optional());
        stage.registry.publish(wide);
    }
    twins.run(&["fetch"]);
    twins
}

#[track_caller]
fn check(twins: &Twins, lines: &[&str]) {
    for line in lines {
        let (theirs, ours) = twins.run(&line.split(' ').collect::<Vec<_>>());
        let neutral = |stage: &Stage, text: &str| stage.neutral(text).replace("specificationm", "specification");
        let left = (neutral(&twins.bulkhead, &ours.stdout), neutral(&twins.bulkhead, &ours.stderr));
        let right = (neutral(&twins.cargo, &theirs.stdout), neutral(&twins.cargo, &theirs.stderr));
        assert_eq!(left.0, right.0, "{line}");
        // Advice stands apart from the error that it belongs to.
        assert_eq!(left.1.replace("\n\n", "\n"), right.1.replace("\n\n", "\n"), "{line}");
    }
}

#[test]
fn packages_are_drawn_as_by_cargo() {
    check(
        &twins(),
        &[
            "tree",
            "tree --workspace",
            "tree -p member",
            "tree -p wide",
            "tree -p wide -p member",
            "tree -p none-such",
            "tree --workspace --exclude root",
            "tree --no-dedupe",
            "tree --no-dedupe --prefix depth --charset ascii",
            "tree --depth 1",
            "tree --depth workspace --workspace",
            "tree --depth x",
            "tree --prefix none",
            "tree -d --workspace",
            "tree -d --depth 1",
            "tree -i plain@1",
            "tree -i plain",
            "tree -i derive-it -i feat",
            "tree -i none-such",
            "tree -p feat -i root",
            "tree --prune wide --prune macros",
            "tree --prune plain@1",
            "tree --prune feat --workspace",
            "tree --prune test-tool --depth 1",
            "tree --prune feat --prefix depth -i plain@1",
            "tree -i feat --prune wide --workspace",
            "tree -d --workspace --prune macros",
            "tree -p macros",
            "tree -p macros --no-dedupe",
            "tree --features three",
            "tree --no-default-features",
            "tree -q",
        ],
    );
}

#[test]
fn kinds_of_edges_are_those_of_cargo() {
    check(
        &twins(),
        &[
            "tree -e normal",
            "tree -e dev",
            "tree -e build",
            "tree -e normal,build",
            "tree -e no-dev",
            "tree -e no-normal -e no-build",
            "tree -e no-proc-macro",
            "tree -e normal,no-proc-macro",
            "tree -e all,no-dev",
            "tree -e public",
            "tree -e all -d",
            "tree -i feat -e no-dev",
        ],
    );
}

#[test]
fn features_are_drawn_as_by_cargo() {
    check(
        &twins(),
        &[
            "tree -e features",
            "tree -e all",
            "tree -e features,no-dev",
            "tree -e build,features",
            "tree -e features --workspace",
            "tree -e features -p member",
            "tree -e features -p wide",
            "tree -e features -i feat",
            "tree -e features -i plain@2",
            "tree -e features -i optional-user --features three",
            "tree -e features -i wide --features three",
            "tree -e features -i feat --features feat/zeta",
            "tree -e features -i root --all-features",
            "tree -e features --no-default-features --depth 2",
            "tree -e features --depth workspace",
            "tree -e features --prune plain@2",
            "tree -e features --prune feat",
            "tree -e features -i feat --prune wide --workspace",
            "tree -e features -p macros --all-features",
            "tree -e features --no-dedupe --prefix none",
        ],
    );
}

#[test]
fn a_feature_that_was_only_implied_is_not_followed() {
    const PROJECT: &str = r#"
//- /Cargo.toml
[package]
name = "root"
version = "0.1.0"
edition = "2021"
[dependencies]
crypto = "1"
//- /src/lib.rs
"#;
    let twins = Twins::new(PROJECT);
    for stage in [&twins.cargo, &twins.bulkhead] {
        let base = CrateBuilder::new("base", "1.0.0").feature("sys", &[]).feature("default", &[]);
        stage.registry.publish(base);
        // `base/sys` brings up the feature `base` before `alias` names it.
        let crypto = CrateBuilder::new("crypto", "1.0.0")
            .dependency_with(DependencyBuilder::new("base", "^1").optional())
            .feature("default", &["back", "alias"])
            .feature("back", &["dep:base", "base/sys"])
            .feature("base", &["back", "other"])
            .feature("alias", &["base"])
            .feature("other", &[]);
        stage.registry.publish(crypto);
    }
    twins.run(&["fetch"]);
    check(&twins, &["tree -e features", "tree -e features -i base", "tree -e all --target all"]);
}

#[test]
fn formats_are_those_of_cargo() {
    check(
        &twins(),
        &[
            "tree -f {p}|{l}|{r}|{f}|{lib}",
            "tree -e no-dev -f {package}{license}{repository}{features}",
            "tree -f {{{p}}}",
            "tree -f {p",
            "tree -f p}",
            "tree -f {x}",
        ],
    );
}

#[test]
fn platforms_leave_out_what_they_do_not_need() {
    let windows = "tree --target x86_64-pc-windows-msvc";
    let twins = twins();
    check(&twins, &["tree --target all", "tree -i under_score", "tree --target all -i under_score", windows]);
    let both = format!("{windows} --target x86_64-unknown-linux-gnu");
    check(&twins, &[&both, &format!("{both} -d"), &format!("{windows} -e features"), &format!("{windows} -i plain@1")]);
    // A procedural macro is compiled for the host, and so is what its tests need.
    check(&twins, &[&format!("{windows} -p macros"), &format!("{both} --workspace"), &format!("{windows} -i wide")]);
}

#[test]
fn metadata_of_platforms_is_that_of_cargo() {
    let twins = twins();
    let (windows, linux) = ("x86_64-pc-windows-msvc", "x86_64-unknown-linux-gnu");
    for platforms in [&[][..], &[windows], &[linux], &[windows, linux]] {
        for features in [&[][..], &["--all-features"], &["--no-default-features"]] {
            let mut line = vec!["metadata", "--format-version", "1"];
            platforms.iter().for_each(|platform| line.extend(["--filter-platform", platform]));
            line.extend(features);
            let (theirs, ours) = twins.run(&line);
            // Where sources of registries lie is each program's own business.
            let graph = |stage: &Stage, text: &str| {
                let mut value: serde_json::Value = serde_json::from_str(&stage.neutral(text)).unwrap();
                for package in value["packages"].as_array_mut().unwrap() {
                    for path in [package["manifest_path"].take(), package["targets"].take()] {
                        assert!(!path.is_null());
                    }
                }
                serde_json::to_string_pretty(&value).unwrap()
            };
            assert_eq!(graph(&twins.bulkhead, &ours.stdout), graph(&twins.cargo, &theirs.stdout), "{line:?}");
        }
    }
}

/// The drawing of a deep graph without deduplication doubles with every level: it comes piece by piece, and whoever has
/// seen enough can leave.
#[test]
fn an_endless_drawing_takes_no_memory() {
    let Some(head) = ["/usr/bin/head", "/bin/head"].into_iter().find(|path| std::path::Path::new(path).exists()) else {
        skipped("there is no `head`");
        return;
    };
    let levels = 60;
    let mut fixture = format!("//- /Cargo.toml\n{}", manifest(0, levels));
    fixture.push_str("//- /src/lib.rs\n");
    for level in 1..=levels {
        for side in ["a", "b"] {
            fixture.push_str(&format!("//- /{side}{level}/Cargo.toml\n{}", manifest_of(side, level, levels)));
            fixture.push_str(&format!("//- /{side}{level}/src/lib.rs\n"));
        }
    }
    let stage = Stage::new("//- /Cargo.toml\n");
    let deep = project(&fixture);
    let script = format!("ulimit -v 4000000; '{BULKHEAD}' tree --no-dedupe --offline | {head} -n 200000 | tail -n 1");
    let outcome = stage.home.command("/bin/sh").args(["-c", &script]).current_dir(deep.root()).run();
    outcome.assert_success();
    assert!(outcome.stdout.contains("v0.1.0"), "{outcome}");
}

fn manifest(level: usize, levels: usize) -> String {
    format!("[package]\nname = \"top\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{}", below(level, levels, ""))
}

fn manifest_of(side: &str, level: usize, levels: usize) -> String {
    let below = below(level, levels, "../");
    format!("[package]\nname = \"{side}{level}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{below}")
}

fn below(level: usize, levels: usize, up: &str) -> String {
    if level == levels {
        return String::new();
    }
    let next = level + 1;
    format!("[dependencies]\na{next} = {{ path = \"{up}a{next}\" }}\nb{next} = {{ path = \"{up}b{next}\" }}\n")
}
