//! Projects of many shapes, each built by `cargo` and by Bulkhead: the same lines, lockfiles, artifacts and behaviour.

use crate::stage::{BULKHEAD, Stage, Twins, WORKSPACE};
use bulkhead_test_support::{CrateBuilder, DependencyBuilder};

/// Builds and runs `fixture` with both; `commands` are run one after the other.
#[track_caller]
fn check(fixture: &str, commands: &[&[&str]]) -> Twins {
    let twins = Twins::new(fixture);
    for arguments in commands {
        let outcome = twins.same_output(arguments);
        assert_eq!(outcome.code(), Some(0), "{arguments:?}: {outcome}");
    }
    twins.same_artifacts("debug");
    twins.same_artifacts("release");
    twins
}

#[test]
fn every_kind_of_library_and_target() {
    check(
        r#"
//- /Cargo.toml
[package]
name = "kinds"
version = "0.1.0"
edition = "2018"
autobins = false
build = "build/main.rs"
default-run = "one"
[lib]
name = "renamed"
crate-type = ["rlib", "cdylib", "staticlib"]
[[bin]]
name = "one"
path = "programs/one.rs"
[[bin]]
name = "two"
path = "programs/two.rs"
required-features = ["extra"]
[[example]]
name = "shared"
crate-type = ["cdylib"]
[features]
extra = []
[build-dependencies]
plain = "1"
//- /build/main.rs
fn main() { println!("cargo:rustc-env=SAID={}", plain::say()); println!("cargo:rerun-if-changed=build"); }
//- /src/lib.rs
pub fn said() -> &'static str { env!("SAID") }
//- /src/bin/ignored.rs
compile_error!("autobins is off");
//- /programs/one.rs
fn main() { println!("one {} {}", renamed::said(), env!("CARGO_BIN_NAME")) }
//- /programs/two.rs
fn main() { println!("two") }
//- /examples/shared.rs
#[no_mangle] pub extern "C" fn shared() {}
//- /examples/folder/main.rs
fn main() { println!("{}", renamed::said()) }
//- /benches/speed.rs
fn main() {}
"#,
        &[
            &["build"],
            &["run"],
            &["build", "--examples"],
            &["run", "--bin", "two", "--features", "extra"],
            &["run", "-q", "--example", "folder"],
            &["build", "--benches"],
        ],
    );
}

#[test]
fn profiles_and_their_overrides() {
    let twins = check(
        r#"
//- /Cargo.toml
[package]
name = "profiles"
version = "0.1.0"
edition = "2021"
[dependencies]
plain = "1"
derive-it = "0.3"
[profile.dev]
debug = 1
panic = "abort"
[profile.dev.package.plain]
opt-level = 3
[profile.dev.build-override]
opt-level = 1
[profile.release]
lto = "thin"
strip = true
codegen-units = 1
[profile.small]
inherits = "release"
opt-level = "z"
lto = "off"
//- /src/main.rs
#[derive(derive_it::Hello)]
struct Me;
fn main() { println!("{} {} {}", plain::say(), Me::hello(), cfg!(panic = "abort")) }
"#,
        &[&["build"], &["run"], &["run", "--release"], &["run", "--profile", "small"]],
    );
    twins.same_artifacts("small");
}

#[test]
fn features_of_host_and_target_are_apart_with_resolver_2_and_one_with_resolver_1() {
    for resolver in ["1", "2"] {
        let fixture = format!(
            r#"
//- /Cargo.toml
[package]
name = "split"
version = "0.1.0"
edition = "2021"
resolver = "{resolver}"
[dependencies]
plain = "1"
optional-user = {{ version = "0.1", features = ["with-plain"] }}
[build-dependencies]
plain = {{ version = "1", features = ["loud"] }}
[target.'cfg(windows)'.dependencies]
test-tool = "0.5"
//- /build.rs
fn main() {{ println!("cargo:rustc-env=SAID={{}}", plain::say()) }}
//- /src/main.rs
fn main() {{ println!("{{}} {{}} {{}}", plain::say(), env!("SAID"), optional_user::has_plain()) }}
"#
        );
        let twins = check(&fixture, &[&["build"], &["run", "-q"]]);
        let outcome = twins.bulkhead.bulkhead(&["run", "-q"]);
        let own = if resolver == "1" { "plain 1.1.0! plain 1.1.0! true\n" } else { "plain 1.1.0 plain 1.1.0! true\n" };
        assert_eq!(outcome.stdout, own);
    }
}

#[test]
fn paths_patches_and_several_versions_of_one_package() {
    check(
        r#"
//- /Cargo.toml
[package]
name = "mixed"
version = "0.1.0"
edition = "2024"
[dependencies]
plain = "1"
newer = { package = "plain", version = "2" }
near = { path = "near" }
test-tool = "0.5"
[patch.crates-io]
test-tool = { path = "patched" }
//- /src/main.rs
fn main() { println!("{} {} {} {}", plain::say(), newer::say(), near::near(), test_tool::answer()) }
//- /near/Cargo.toml
[package]
name = "near"
version = "3.0.0-beta.1+build.5"
edition = "2015"
[dev-dependencies]
mixed = { path = ".." }
//- /near/src/lib.rs
pub fn near() -> u8 { 1 }
//- /patched/Cargo.toml
[package]
name = "test-tool"
version = "0.5.9"
//- /patched/src/lib.rs
pub fn answer() -> u8 { 43 }
"#,
        &[&["build"], &["run", "-q"], &["tree"], &["update"]],
    );
}

#[test]
fn a_virtual_workspace_seen_from_a_member() {
    let twins = Twins::new(
        r#"
//- /Cargo.toml
[workspace]
members = ["crates/*"]
default-members = ["crates/first"]
exclude = ["crates/apart"]
resolver = "3"
[workspace.lints.rust]
unused_variables = "deny"
//- /crates/first/Cargo.toml
[package]
name = "first"
version = "0.1.0"
edition = "2024"
[dependencies]
second = { path = "../second" }
//- /crates/first/src/main.rs
fn main() { println!("{}", second::VALUE) }
//- /crates/second/Cargo.toml
[package]
name = "second"
version = "0.1.0"
edition = "2024"
rust-version = "1.85"
[lints]
workspace = true
//- /crates/second/src/lib.rs
pub const VALUE: u8 = 2;
//- /crates/third/Cargo.toml
[package]
name = "third"
version = "0.1.0"
edition = "2024"
//- /crates/third/src/lib.rs
compile_error!("not a default member");
//- /crates/apart/Cargo.toml
[package]
name = "apart"
version = "0.1.0"
//- /crates/apart/src/lib.rs
"#,
    );
    twins.same_output(&["run"]);
    let (theirs, ours) = twins.run(&["build", "--workspace"]);
    assert_eq!((theirs.code(), ours.code()), (Some(101), Some(101)));
    assert!(ours.stderr.contains("crates/third/src/lib.rs:1:1"), "{ours}");
    let below = |stage: &Stage, program: &str| {
        let folder = stage.project.path("crates/first");
        stage.home.command(program).args(["run"]).current_dir(folder).run()
    };
    let (theirs, ours) = (below(&twins.cargo, "cargo"), below(&twins.bulkhead, BULKHEAD));
    assert!(ours.ends_as(&theirs));
    assert_eq!(twins.bulkhead.neutral(&ours.stderr), twins.cargo.neutral(&theirs.stderr));
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("crates/second/src/lib.rs", "2;", "{ let unused = 1; 2 };");
    }
    let denied = twins.same_output(&["check", "-p", "second"]);
    assert!(denied.stderr.contains("unused variable"), "{denied}");
}

#[test]
fn offline_takes_what_was_downloaded_before_what_is_newer() {
    let twins = Twins::new(
        &WORKSPACE
            .replace("version = \"1.0\"", "version = \"=1.0.0\"")
            .replace("version = \"1\" }", "version = \"=1.0.0\" }"),
    );
    twins.run(&["fetch"]);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("Cargo.toml", "=1.0.0", "1.0");
        stage.project.edit("app/Cargo.toml", "=1.0.0", "1");
        std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    }
    twins.run(&["build", "--offline"]);
    assert!(twins.bulkhead.project.read("Cargo.lock").contains("name = \"plain\"\nversion = \"1.0.0\""));
}

#[test]
fn offline_what_was_not_downloaded_is_taken_where_nothing_else_will_do() {
    let twins = Twins::new(
        &WORKSPACE
            .replace("version = \"1.0\"", "version = \"=1.0.0\"")
            .replace("version = \"1\" }", "version = \"=1.0.0\" }"),
    );
    twins.run(&["fetch"]);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("Cargo.toml", "=1.0.0", "2");
        stage.project.edit("app/Cargo.toml", "=1.0.0", "1");
        std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    }
    twins.run(&["generate-lockfile", "--offline"]);
    let lockfile = twins.bulkhead.project.read("Cargo.lock");
    assert!(lockfile.contains("name = \"plain\"\nversion = \"2.0.0\""), "{lockfile}");
    assert!(lockfile.contains("name = \"plain\"\nversion = \"1.0.0\""), "{lockfile}");
}

#[test]
fn environment_variables_of_configuration_act() {
    let stage = Stage::new(WORKSPACE);
    let built = stage.command(&["build", "-p", "library"]).env("CARGO_TARGET_DIR", "by-variable").run();
    built.assert_success();
    assert!(stage.project.path("by-variable/debug/liblibrary.rlib").is_file());
    let quiet = stage.command(&["build", "-p", "library"]).env("CARGO_TERM_QUIET", "true").run();
    assert_eq!(quiet.assert_success().stderr, "");
    let flags = stage.command(&["build", "-p", "library", "-v"]).env("RUSTFLAGS", "--cfg seen").run();
    assert!(flags.assert_success().stderr.contains("--cfg seen"), "{flags}");
    let release = stage.command(&["build", "-p", "library", "-v"]).env("CARGO_PROFILE_DEV_OPT_LEVEL", "2").run();
    assert!(release.assert_success().stderr.contains("opt-level=2"), "{release}");
}

#[test]
fn a_diamond_of_optional_features_resolves_alike() {
    let fixture = r#"
//- /Cargo.toml
[package]
name = "diamond"
version = "0.1.0"
edition = "2021"
[features]
default = ["left?/extra", "right"]
right = ["dep:right"]
[dependencies]
left = { version = "1", optional = true }
right = { version = "1", optional = true, features = ["via"] }
//- /src/main.rs
fn main() { println!("{}", right::shown()) }
"#;
    let twins = Twins::new(fixture);
    for stage in [&twins.cargo, &twins.bulkhead] {
        let base = CrateBuilder::new("base", "1.0.0").feature("a", &[]).feature("b", &["a"]);
        stage.registry.publish(base.file("src/lib.rs", "pub const B: bool = cfg!(feature = \"b\");"));
        let left = CrateBuilder::new("left", "1.0.0").feature("extra", &["base/b"]);
        stage.registry.publish(left.dependency("base", "1").file("src/lib.rs", ""));
        let right = CrateBuilder::new("right", "1.0.0")
            .feature("via", &["renamed?/b", "dep:renamed"])
            .dependency_with(DependencyBuilder::new("base", "^1").renamed("renamed").optional().no_default_features());
        stage.registry.publish(right.file("src/lib.rs", "pub fn shown() -> bool { renamed::B }"));
    }
    // Cargo downloads `left` too, which no feature has switched on.
    let (theirs, ours) = twins.run(&["run"]);
    assert_eq!((ours.stdout.as_str(), theirs.stdout.as_str()), ("true\n", "true\n"));
    assert!(!ours.stderr.contains("left"), "{ours}");
    twins.run(&["fetch"]);
    twins.same_output(&["run", "--features", "left"]);
    twins.same_output(&["tree", "--features", "left", "-f", "{p} {f}"]);
    twins.same_artifacts("debug");
}
