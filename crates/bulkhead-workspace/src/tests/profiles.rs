use std::collections::BTreeMap;
use std::fmt::Write as _;

use bulkhead_schema::manifest::{ProfileTable, ProfileValue};
use expect_test::{Expect, expect};

use super::load_fixture;
use crate::{ProfileRequest, Profiles};

/// Prints what profile `name` gives to a member `m` and to a package `d` that is none, for target and host.
fn check(profiles: &str, name: &str, expect: &Expect) {
    let (workspace, _) = load_fixture(&format!(
        "//- /w/Cargo.toml
[package]
name = 'm'
[dependencies]
d = {{ path = '../d' }}
{profiles}
//- /w/src/lib.rs
//- /d/Cargo.toml
[package]
name = 'd'
version = '1.2.3'
//- /d/src/lib.rs
"
    ))
    .unwrap();
    let mut text = String::new();
    for (package, is_member) in
        [(&workspace.members[0], true), (workspace.path_packages.values().next().unwrap(), false)]
    {
        for for_host in [false, true] {
            let request =
                ProfileRequest { package: package.id, is_member, is_local: true, for_host, always_unwind: for_host };
            let place = if for_host { "host" } else { "target" };
            match workspace.profiles.resolve(name, &request) {
                Ok(p) => writeln!(
                    text,
                    "{} {place}: O{} {:?} cgu {:?} debug {:?} shared {:?} assert {} overflow {} inc {} {:?} strip {:?}",
                    package.id.name(),
                    p.opt_level,
                    p.lto,
                    p.codegen_units,
                    p.debug,
                    workspace.profiles.shared_debug(name, &request).unwrap(),
                    p.debug_assertions,
                    p.overflow_checks,
                    p.incremental,
                    p.panic,
                    p.strip
                ),
                Err(error) => writeln!(text, "{error}"),
            }
            .unwrap();
        }
    }
    expect.assert_eq(&text);
}

#[test]
fn built_in_profiles_are_cargos() {
    check(
        "",
        "dev",
        &expect![[r#"
        m target: O0 ThinLocal cgu None debug Full shared None assert true overflow true inc true Unwind strip None
        m host: O0 ThinLocal cgu None debug None shared Some(Full) assert true overflow true inc true Unwind strip None
        d target: O0 ThinLocal cgu None debug Full shared None assert true overflow true inc true Unwind strip None
        d host: O0 ThinLocal cgu None debug None shared Some(Full) assert true overflow true inc true Unwind strip None
    "#]],
    );
    check(
        "",
        "release",
        &expect![[r#"
        m target: O3 ThinLocal cgu None debug None shared None assert false overflow false inc false Unwind strip DebugInfo
        m host: O0 ThinLocal cgu None debug None shared Some(None) assert false overflow false inc false Unwind strip DebugInfo
        d target: O3 ThinLocal cgu None debug None shared None assert false overflow false inc false Unwind strip DebugInfo
        d host: O0 ThinLocal cgu None debug None shared Some(None) assert false overflow false inc false Unwind strip DebugInfo
    "#]],
    );
    check(
        "",
        "bench",
        &expect![[r#"
        m target: O3 ThinLocal cgu None debug None shared None assert false overflow false inc false Unwind strip DebugInfo
        m host: O0 ThinLocal cgu None debug None shared Some(None) assert false overflow false inc false Unwind strip DebugInfo
        d target: O3 ThinLocal cgu None debug None shared None assert false overflow false inc false Unwind strip DebugInfo
        d host: O0 ThinLocal cgu None debug None shared Some(None) assert false overflow false inc false Unwind strip DebugInfo
    "#]],
    );
}

#[test]
fn overrides_go_from_build_override_over_star_to_the_package() {
    let profiles = "
[profile.dev]
panic = 'abort'
debug = 0
lto = true
[profile.dev.package.'*']
opt-level = 1
debug = 1
[profile.dev.package.'d@1.2']
opt-level = 2
[profile.dev.package.'m@7']
opt-level = 3
[profile.dev.build-override]
opt-level = 3
codegen-units = 7
";
    check(
        profiles,
        "test",
        &expect![[r#"
        m target: O0 Fat cgu None debug None shared None assert true overflow true inc true Abort strip DebugInfo
        m host: O3 Fat cgu Some(7) debug None shared Some(None) assert true overflow true inc true Unwind strip DebugInfo
        d target: O2 Fat cgu None debug Limited shared None assert true overflow true inc true Abort strip None
        d host: O2 Fat cgu Some(7) debug Limited shared None assert true overflow true inc true Unwind strip None
    "#]],
    );
}

#[test]
fn an_override_that_names_no_strip_forgets_it_as_in_cargo() {
    let profiles = "
[profile.x]
inherits = 'release'
strip = 'symbols'
opt-level = 's'
[profile.release.package.m]
opt-level = 2
";
    check(
        profiles,
        "x",
        &expect![[r#"
        m target: O2 ThinLocal cgu None debug None shared None assert false overflow false inc false Unwind strip DebugInfo
        m host: O2 ThinLocal cgu None debug None shared Some(None) assert false overflow false inc false Unwind strip DebugInfo
        d target: Os ThinLocal cgu None debug None shared None assert false overflow false inc false Unwind strip Symbols
        d host: O0 ThinLocal cgu None debug None shared Some(None) assert false overflow false inc false Unwind strip Symbols
    "#]],
    );
}

#[test]
fn broken_inheritance_is_an_error_to_whoever_compiles() {
    check(
        "[profile.x]\n",
        "dev",
        &expect![[r#"
        profile `x` is missing an `inherits` directive (`inherits` is required for all profiles except `dev` or `release`) [profile]
        profile `x` is missing an `inherits` directive (`inherits` is required for all profiles except `dev` or `release`) [profile]
        profile `x` is missing an `inherits` directive (`inherits` is required for all profiles except `dev` or `release`) [profile]
        profile `x` is missing an `inherits` directive (`inherits` is required for all profiles except `dev` or `release`) [profile]
    "#]],
    );
    check(
        "[profile.x]\ninherits = 'y'\n[profile.y]\ninherits = 'x'\n",
        "dev",
        &expect![[r#"
            profile inheritance loop detected with profile `y` inheriting `x` [profile]
            profile inheritance loop detected with profile `y` inheriting `x` [profile]
            profile inheritance loop detected with profile `y` inheriting `x` [profile]
            profile inheritance loop detected with profile `y` inheriting `x` [profile]
        "#]],
    );
    check(
        "[profile.dev.package.m]\nopt-level = 1\n[profile.dev.package.'m@0.0.0']\nopt-level = 2\n",
        "dev",
        &expect![[r#"
            multiple package overrides in profile `dev` match package `m v0.0.0 (/w)`
            found package specs: m, m@0.0.0 [profile]
            multiple package overrides in profile `dev` match package `m v0.0.0 (/w)`
            found package specs: m, m@0.0.0 [profile]
            d target: O0 ThinLocal cgu None debug Full shared None assert true overflow true inc true Unwind strip None
            d host: O0 ThinLocal cgu None debug None shared Some(Full) assert true overflow true inc true Unwind strip None
        "#]],
    );
    check(
        "",
        "nope",
        &expect![[r#"
        profile `nope` is not defined [unknown-profile]
        profile `nope` is not defined [unknown-profile]
        profile `nope` is not defined [unknown-profile]
        profile `nope` is not defined [unknown-profile]
    "#]],
    );
}

#[test]
fn configuration_wins_over_the_manifest() {
    let mut config = ProfileTable::default();
    config.set("opt-level", ProfileValue::String("3")).unwrap();
    assert!(config.set("lto", ProfileValue::String("sideways")).is_err());
    let mut manifest = ProfileTable::default();
    manifest.set("opt-level", ProfileValue::Integer(1)).unwrap();
    manifest.set("debug", ProfileValue::Integer(1)).unwrap();
    let tables = |table| BTreeMap::from([("dev".to_owned(), table)]);
    let profiles = Profiles::new(tables(manifest), tables(config)).unwrap().with_incremental(Some(false));
    let (workspace, _) = load_fixture("//- /w/Cargo.toml\n[package]\nname = 'm'\n//- /w/src/lib.rs\n").unwrap();
    let request = ProfileRequest {
        package: workspace.members[0].id,
        is_member: true,
        is_local: true,
        for_host: false,
        always_unwind: false,
    };
    let profile = profiles.resolve("dev", &request).unwrap();
    assert_eq!((&*profile.opt_level, profile.debug, profile.incremental), ("3", crate::DebugInfo::Limited, false));
}
