use std::path::Path;

use expect_test::expect;

use super::{Tree, check, check_downloaded, downloaded, load_fixture};
use crate::metadata_json;

const TREE: &str = "
//- /p/src/lib.rs
//- /p/src/main.rs
//- /p/src/bin/a.rs
//- /p/src/bin/multi/main.rs
//- /p/src/bin/no-main/x.rs
//- /p/src/bin/.hidden.rs
//- /p/examples/e.rs
//- /p/tests/t.rs
//- /p/tests/common/mod.rs
//- /p/benches/b/main.rs
//- /p/build.rs
";

#[test]
fn targets_are_found_in_their_usual_places() {
    let fixture = format!("//- /p/Cargo.toml\n[package]\nname = 'my-p'\nedition = '2021'\n{TREE}");
    check(
        &fixture,
        &expect![[r#"
        root /p resolver V2
        member default current
          my-p v0.0.0 (/p) edition 2021
            lib [Lib] my_p src/lib.rs [test doctest bench doc]
            bin a src/bin/a.rs [test bench doc]
            bin multi src/bin/multi/main.rs [test bench doc]
            bin my-p src/main.rs [test bench doc]
            example [Bin] e examples/e.rs []
            test t tests/t.rs [test]
            bench b benches/b/main.rs [bench]
            buildscript build-script-build build.rs []
    "#]],
    );
}

#[test]
fn edition_2015_stops_looking_once_one_target_is_named() {
    let manifest = "[package]\nname = 'p'\n[[bin]]\nname = 'zz'\npath = 'src/bin/a.rs'\ndoctest = true\n";
    check(
        &format!("//- /p/Cargo.toml\n{manifest}{TREE}"),
        &expect![[r#"
            root /p resolver V1
            member default current
              p v0.0.0 (/p) edition 2015
                lib [Lib] p src/lib.rs [test doctest bench doc]
                bin zz src/bin/a.rs [test bench doc]
                example [Bin] e examples/e.rs []
                test t tests/t.rs [test]
                bench b benches/b/main.rs [bench]
                buildscript build-script-build build.rs []
            warning: /p/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
        "#]],
    );
}

#[test]
fn named_targets_take_their_files_from_found_ones() {
    let manifest = "[package]
name = 'p'
edition = '2021'
build = false
autotests = false
[lib]
name = 'other'
crate-type = ['cdylib']
doctest = true
[[bin]]
name = 'zz'
path = 'src/bin/a.rs'
[[bin]]
name = 'multi'
test = false
[[example]]
name = 'e'
crate-type = ['staticlib', 'lib']
[[test]]
name = 'second'
path = 'tests/t.rs'
[[test]]
name = 'first'
path = 'tests/t.rs'
";
    check(
        &format!("//- /p/Cargo.toml\n{manifest}{TREE}"),
        &expect![[r#"
        root /p resolver V2
        member default current
          p v0.0.0 (/p) edition 2021
            lib [Cdylib] other src/lib.rs [test bench doc]
            bin multi src/bin/multi/main.rs [bench doc]
            bin p src/main.rs [test bench doc]
            bin zz src/bin/a.rs [test bench doc]
            example [Staticlib, Lib] e examples/e.rs []
            test second tests/t.rs [test]
            test first tests/t.rs [test]
            bench b benches/b/main.rs [bench]
    "#]],
    );
}

#[test]
fn a_missing_example_only_stops_compiling_but_a_missing_binary_stops_all() {
    let manifest = "[package]\nname = 'p'\nedition = '2021'\n[[example]]\nname = 'gone'\n";
    check(
        &format!("//- /p/Cargo.toml\n{manifest}//- /p/src/lib.rs\n"),
        &expect![[r#"
        root /p resolver V2
        member default current
          p v0.0.0 (/p) edition 2021
            lib [Lib] p src/lib.rs [test doctest bench doc]
        later: /p/Cargo.toml:5:8: can't find `gone` example at `examples/gone.rs` or `examples/gone/main.rs`. Please specify example.path if you want to use a non-default path. [target-file-missing]
    "#]],
    );
    check(
        "//- /p/Cargo.toml
[package]
name = 'p'
edition = '2021'
default-run = 'q'
links = 'z'
[[bin]]
name = 'gone'
[[bin]]
name = '../../x'
path = 'x.rs'
[[bin]]
path = 'y.rs'
[lib]
name = 'a-b'
crate-type = ['proc-macro', 'rlib', 'odd']
//- /p/src/lib.rs
",
        &expect![[r#"
            Error: /p/Cargo.toml:14:8: library target names cannot contain hyphens: a-b [target-name]
            Error: /p/Cargo.toml:15:37: unknown crate type `odd` [crate-type]
            Error: /p/Cargo.toml:13:1: cannot mix `proc-macro` crate type with others [crate-type]
            Error: /p/Cargo.toml:7:8: can't find `gone` bin at `src/bin/gone.rs` or `src/bin/gone/main.rs`. Please specify bin.path if you want to use a non-default path. [target-missing]
            Error: /p/Cargo.toml:9:8: invalid character in binary target name "../../x": it could not name a file [target-name]
            Error: /p/Cargo.toml:11:1: binary target bin.name is required [target-name]
            Error: /p/Cargo.toml:5:9: package specifies that it links to `z` but does not have a custom build script [links]
            Error: /p/Cargo.toml:4:15: default-run target `q` not found [default-run]
        "#]],
    );
}

#[test]
fn optional_dependencies_have_implicit_features_unless_named_with_dep() {
    check(
        "//- /p/Cargo.toml
[package]
name = 'p'
[dependencies]
free = { version = '1', optional = true }
named = { version = '1', optional = true }
plain = '1'
alias = { version = '>=1, <3', package = 'real', registry = 'mine', optional = true }
[features]
default = ['free', 'plain/x']
on = ['dep:named', 'named?/x', 'alias/y']
//- /p/src/lib.rs
",
        &expect![[r#"
            root /p resolver V1
            member default current
              p v0.0.0 (/p) edition 2015
                lib [Lib] p src/lib.rs [test doctest bench doc]
                Normal alias >=1, <3 optional sparse+https://example.org/index/
                Normal free ^1 optional registry+https://github.com/rust-lang/crates.io-index
                Normal named ^1 optional registry+https://github.com/rust-lang/crates.io-index
                Normal plain ^1 registry+https://github.com/rust-lang/crates.io-index
                feature alias = [dep:alias]
                feature default = [free, plain/x]
                feature free = [dep:free]
                feature on = [dep:named, named?/x, alias/y]
            warning: /p/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
        "#]],
    );
}

#[test]
fn features_that_lead_nowhere_are_refused() {
    check(
        "//- /p/Cargo.toml
[package]
name = 'p'
[dependencies]
a = { version = '1', optional = true }
b = '1'
c = { version = '1', optional = true }
[features]
x = ['none', 'none/y', 'dep:none', 'b', 'dep:b', 'b?/y', 'dep:b/y', 'b/y/z', 'a']
y = ['dep:a']
c = []
//- /p/src/lib.rs
",
        &expect![[r#"
            Warning: /p/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
            Error: /p/Cargo.toml:8:6: feature `x` includes `none` which is neither a dependency nor another feature [feature-value]
            Error: /p/Cargo.toml:8:14: feature `x` includes `none/y`, but `none` is not a dependency [feature-value]
            Error: /p/Cargo.toml:8:24: feature `x` includes `dep:none`, but `none` is not listed as a dependency [feature-value]
            Error: /p/Cargo.toml:8:36: feature `x` includes `b`, but `b` is not an optional dependency; a non-optional dependency of the same name is defined, consider adding `optional = true` to its definition [feature-value]
            Error: /p/Cargo.toml:8:41: feature `x` includes `dep:b`, but `b` is not an optional dependency; a non-optional dependency of the same name is defined, consider adding `optional = true` to its definition [feature-value]
            Error: /p/Cargo.toml:8:50: feature `x` includes `b?/y` with a `?`, but `b` is not an optional dependency; remove the `?` or make the dependency optional [feature-value]
            Error: /p/Cargo.toml:8:58: feature `x` includes `dep:b/y` with both `dep:` and `/`; use the two values "dep:b", "b/y" [feature-value]
            Error: /p/Cargo.toml:8:69: multiple slashes in feature `b/y/z` (included by feature `x`) are not allowed [feature-value]
            Error: /p/Cargo.toml:8:78: feature `x` includes `a`, but `a` is an optional dependency without an implicit feature; use `dep:a` to enable the dependency [feature-value]
            Error: /p/Cargo.toml:6:1: optional dependency `c` is not included in any feature; make sure that `dep:c` is included in one of the features in the [features] table [unreachable-dependency]
        "#]],
    );
}

#[test]
fn dependencies_that_mean_nothing_are_refused() {
    check(
        "//- /p/Cargo.toml
[package]
name = 'p'
[dependencies]
nothing = {}
both = { git = 'https://example.org/x', path = 'x' }
pinned = { version = '1', rev = 'x' }
twice = { git = 'https://example.org/x', rev = 'x', tag = 'y' }
bad = 'one'
elsewhere = { version = '1', registry = 'unknown' }
deep = { version = '1', features = ['dep:x', 'y/z'] }
'a.b' = '1'
[dev-dependencies]
maybe = { version = '1', optional = true }
[target.'cfg(foo'.dependencies]
x = '1'
//- /p/src/lib.rs
",
        &expect![[r#"
            Warning: /p/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
            Error: /p/Cargo.toml:11:1: invalid package name "a.b": the character '.' is not allowed [dependency]
            Error: /p/Cargo.toml:8:7: failed to parse the version requirement `one` for dependency `bad`: unexpected character 'o' while parsing major version number [version-requirement]
            Error: /p/Cargo.toml:5:1: dependency (both) specification is ambiguous. Only one of `git` or `path` is allowed. [dependency-source]
            Error: /p/Cargo.toml:10:37: feature `dep:x` in dependency `deep` is not allowed to use explicit `dep:` syntax; specify the name of the optional dependency without the `dep:` prefix, or a feature that enables it [dependency]
            Error: /p/Cargo.toml:10:46: feature `y/z` in dependency `deep` is not allowed to contain slashes; to enable features of a transitive dependency, the direct dependency needs to re-export them in its `[features]` table [dependency]
            Error: /p/Cargo.toml:9:41: registry index was not found in any configuration: `unknown` [dependency-registry]
            Error: /p/Cargo.toml:4:1: dependency (nothing) specified without providing a local path, Git repository, version, or workspace dependency to use [dependency-source]
            Error: /p/Cargo.toml:6:33: key `rev` is ignored for dependency (pinned). [dependency-source]
            Error: /p/Cargo.toml:7:1: dependency (twice) specification is ambiguous. Only one of `branch`, `tag` or `rev` is allowed. [dependency-git]
            Error: /p/Cargo.toml:13:1: dev-dependencies are not allowed to be optional: `maybe` [dependency]
            Error: /p/Cargo.toml:14:9: failed to parse `cfg(foo` as a cfg expression: failed to parse `cfg(foo` as a cfg expression: invalid target specifier: unexpected `(` character, cfg expressions must start with `cfg(` [platform]
        "#]],
    );
}

#[test]
fn old_spellings_end_with_edition_2024() {
    let manifest = |edition: &str| {
        format!(
            "//- /p/Cargo.toml\n[project]\nname = 'p'\nedition = '{edition}'\n[lib]\ncrate_type = ['lib']\n\
             [dev_dependencies]\nx = {{ version = '1', default_features = false }}\n//- /p/src/lib.rs\n"
        )
    };
    check(
        &manifest("2021"),
        &expect![[r#"
        root /p resolver V2
        member default current
          p v0.0.0 (/p) edition 2021
            lib [Lib] p src/lib.rs [test doctest bench doc]
            Development x ^1 -default registry+https://github.com/rust-lang/crates.io-index
        warning: /p/Cargo.toml:1:2: `[project]` is deprecated in favor of `[package]` [manifest-project-table]
        warning: /p/Cargo.toml:5:1: the old spelling of `lib.crate-type` is deprecated and will not work in the 2024 edition [manifest-legacy-key]
        warning: /p/Cargo.toml:6:2: the old spelling of `dev-dependencies` is deprecated and will not work in the 2024 edition [manifest-legacy-key]
        warning: /p/Cargo.toml:7:22: the old spelling of `dev-dependencies.x.default-features` is deprecated and will not work in the 2024 edition [manifest-legacy-key]
    "#]],
    );
    check(
        &manifest("2024"),
        &expect![[r#"
        Warning: /p/Cargo.toml:1:2: `[project]` is deprecated in favor of `[package]` [manifest-project-table]
        Warning: /p/Cargo.toml:5:1: the old spelling of `lib.crate-type` is deprecated and will not work in the 2024 edition [manifest-legacy-key]
        Warning: /p/Cargo.toml:6:2: the old spelling of `dev-dependencies` is deprecated and will not work in the 2024 edition [manifest-legacy-key]
        Warning: /p/Cargo.toml:7:22: the old spelling of `dev-dependencies.x.default-features` is deprecated and will not work in the 2024 edition [manifest-legacy-key]
        Error: /p/Cargo.toml:1:2: `project` is unsupported as of the 2024 edition; instead use `package` [manifest-legacy-key]
        Error: /p/Cargo.toml:5:1: `crate_type` is unsupported as of the 2024 edition; instead use `crate-type` [manifest-legacy-key]
        Error: /p/Cargo.toml:6:2: `dev_dependencies` is unsupported as of the 2024 edition; instead use `dev-dependencies` [manifest-legacy-key]
        Error: /p/Cargo.toml:7:22: `default_features` is unsupported as of the 2024 edition; instead use `default-features` [manifest-legacy-key]
    "#]],
    );
}

#[test]
fn tests_outside_a_downloaded_package_are_left_out() {
    check_downloaded(
        "//- /store/x/Cargo.toml
[package]
name = 'x'
version = '1.0.0'
edition = '2021'
autobenches = false
[[test]]
name = 'tests'
path = '../tests/main.rs'
[[bench]]
name = 'benchmarks'
path = '/T/main.rs'
//- /store/x/src/lib.rs
//- /store/tests/main.rs
",
        &expect![[r#"
            downloaded
              x v1.0.0 edition 2021
                lib [Lib] x src/lib.rs [test doctest bench doc]
        "#]],
    );
}

#[test]
fn a_downloaded_package_cannot_name_files_outside_itself() {
    check_downloaded(
        "//- /store/x/Cargo.toml
[package]
name = 'x'
version = '1.0.0'
build = '../../../b.rs'
[lib]
path = '/T/outside.rs'
[[bin]]
name = 'b'
path = 'src/../../etc/hostname'
",
        &expect![[r#"
            Error: /store/x/Cargo.toml:6:8: `lib.path` of the downloaded package `x` leads out of the package [target-outside-package]
            Error: /store/x/Cargo.toml:9:8: `bin.path` of the downloaded package `x` leads out of the package [target-outside-package]
            Error: /store/x/Cargo.toml:4:9: `package.build` of the downloaded package `x` leads out of the package [target-outside-package]
        "#]],
    );
}

#[test]
fn a_downloaded_package_cannot_act_as_a_workspace() {
    let plain = "[package]\nname = 'x'\nversion = '1.0.0'\n[dependencies]\ny = { version = '1', path = '../y' }\n";
    let more = "[workspace]\nmembers = ['../*']\n[patch.crates-io]\nz = { path = '/z' }\n[profile.dev]\nopt-level = 9\n\
                [replace]\n'y:1.0.0' = { path = '/y' }\n";
    let lib = "//- /store/x/src/lib.rs\n";
    let clean = downloaded(&format!("//- /store/x/Cargo.toml\n{plain}{lib}"));
    expect![[r#"
        downloaded
          x v1.0.0 edition 2015
            lib [Lib] x src/lib.rs [test doctest bench doc]
            Normal y ^1 registry+https://github.com/rust-lang/crates.io-index
    "#]]
    .assert_eq(&clean);
    let armed = format!("//- /store/x/Cargo.toml\ncargo-features = ['metabuild']\n{plain}{more}{lib}");
    assert_eq!(downloaded(&armed), clean);
}

#[test]
fn a_downloaded_package_inherits_nothing() {
    let manifest = "[package]\nname = 'x'\nversion.workspace = true\n";
    check_downloaded(
        &format!(
            "//- /store/x/Cargo.toml\n{manifest}//- /store/x/src/lib.rs\n//- /store/Cargo.toml\n[workspace]\n[workspace.package]\nversion = '1.0.0'\n"
        ),
        &expect![[r#"
            Error: /store/x/Cargo.toml:3:1: error inheriting `version` from workspace root manifest's `workspace.package.version`: failed to find a workspace root [inherit]
        "#]],
    );
}

#[test]
fn lints_become_flags_in_cargos_order() {
    let (workspace, _) = load_fixture(
        "//- /p/Cargo.toml
[package]
name = 'p'
[lints.rust]
zeta = 'warn'
unused = { level = 'deny', priority = -1 }
non_snake_case = { level = 'allow', priority = 2 }
unexpected_cfgs = { level = 'warn', check-cfg = ['cfg(foo)'] }
[lints.clippy]
all = { level = 'warn', priority = -1 }
unwrap_used = 'forbid'
[lints.cargo]
x = 'warn'
//- /p/src/lib.rs
",
    )
    .unwrap();
    let package = &workspace.members[0];
    let flags = "--deny=unused --warn=clippy::all --warn=zeta --forbid=clippy::unwrap_used --warn=unexpected_cfgs \
                 --allow=non_snake_case";
    assert_eq!(package.lint_flags.join(" "), flags);
    assert_eq!(package.check_cfg, ["cfg(foo)"]);
}

#[test]
fn metadata_has_cargos_keys_in_cargos_order() {
    let (workspace, _) = load_fixture(
        "//- /p/Cargo.toml
[package]
name = 'p'
rust-version = '1.70'
[package.metadata]
z = 1
a = 1979-05-27
[dependencies]
d = { path = 'd', version = '1' }
//- /p/src/lib.rs
//- /p/README.txt
",
    )
    .unwrap();
    let text = serde_json::to_string(&metadata_json(&workspace.members[0])).unwrap();
    let expect = expect![[r#"
        {"name":"p",
        "version":"0.0.0",
        "id":"path+file:///p#0.0.0",
        "license":null,
        "license_file":null,
        "description":null,
        "source":null,
        "dependencies":[{"name":"d",
        "source":null,
        "req":"^1",
        "kind":null,
        "rename":null,
        "optional":false,
        "uses_default_features":true,
        "features":[],
        "target":null,
        "registry":null,
        "path":"/p/d"}],
        "targets":[{"kind":["lib"],
        "crate_types":["lib"],
        "name":"p",
        "src_path":"/p/src/lib.rs",
        "edition":"2015",
        "doc":true,
        "doctest":true,
        "test":true}],
        "features":{},
        "manifest_path":"/p/Cargo.toml",
        "metadata":{"z":1,
        "a":{"$__toml_private_datetime":"1979-05-27"}},
        "publish":[],
        "authors":[],
        "categories":[],
        "keywords":[],
        "readme":"README.txt",
        "repository":null,
        "homepage":null,
        "documentation":null,
        "edition":"2015",
        "links":null,
        "default_run":null,
        "rust_version":"1.70"}"#]];
    expect.assert_eq(&text.replace(",\"", ",\n\""));
}

#[test]
fn the_order_of_a_listing_does_not_matter() {
    use crate::Files as _;
    let tree = Tree::parse(&format!("//- /p/Cargo.toml\n{TREE}"));
    let names: Vec<_> = tree.list("/p/src/bin".as_ref()).into_iter().map(|(name, _)| name).collect();
    assert!(!names.is_sorted(), "the fixture's listing must be unsorted for the other tests to show it");
}

#[test]
fn a_package_stays_what_it_is_in_few_bytes() {
    let manifest = r#"
[package]
name = "whole"
version = "1.2.3-rc.1+build"
edition = "2021"
rust-version = "1.70"
authors = ["A <a@example.org>"]
description = "said \"so\""
license = "MIT"
repository = "https://example.org"
keywords = ["k"]
categories = ["c"]
links = "native"
publish = ["here"]
default-run = "tool"
include = ["src"]
exclude = ["docs"]
[package.metadata.docs]
all = true
# The nearest number that a hasty reader of decimals makes of it is another.
small = 2.6383446160308252e-256
[lib]
crate-type = ["rlib", "cdylib"]
[[bin]]
name = "tool"
path = "tool.rs"
required-features = ["extra"]
[[example]]
name = "show"
path = "show.rs"
doc = true
[dependencies]
one = { version = "1", optional = true, default-features = false, features = ["a", "b"] }
renamed = { package = "two", version = ">=1, <3" }
[target.'cfg(all(unix, not(target_os = "macos")))'.dependencies]
three = "0.1"
[dev-dependencies]
four = "*"
[build-dependencies]
five = "=5.0.1"
[features]
default = ["extra"]
extra = ["dep:one", "renamed/x", "one?/y"]
[lints.rust]
unsafe_code = "forbid"
unexpected_cfgs = { level = "warn", check-cfg = ["cfg(fuzzing)"] }
"#;
    let files = Tree::parse(&format!(
        "//- /p/Cargo.toml\n{manifest}\n//- /p/src/lib.rs\n//- /p/tool.rs\n//- /p/show.rs\n//- /p/build.rs\n//- /p/README.md\n"
    ));
    let source = bulkhead_schema::SourceId::crates_io();
    let package = crate::load_package(&files, Path::new("/p/Cargo.toml"), source).unwrap();
    let bytes = crate::compact::encode(&package).unwrap();
    assert_eq!(crate::compact::decode(&bytes, Path::new("/p"), source).as_ref(), Some(&*package));
    let moved = crate::compact::decode(&bytes, Path::new("/elsewhere"), source).unwrap();
    assert_eq!(moved.library().unwrap().path, Path::new("/elsewhere/src/lib.rs"));
    // Bytes of any other origin give another package or none, and never more than they can hold.
    for length in 0..bytes.len() {
        assert_eq!(crate::compact::decode(&bytes[..length], Path::new("/p"), source), None, "{length} bytes");
    }
    for position in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = bytes.clone();
            damaged[position] = value;
            let _ = crate::compact::decode(&damaged, Path::new("/p"), source);
        }
    }
}
