use expect_test::expect;

use super::{check, load_fixture};

#[test]
fn members_come_in_cargos_order_and_path_dependencies_join() {
    check(
        "//- /w/Cargo.toml
[package]
name = 'w'
edition = '2021'
[dependencies]
excluded = { path = 'ex/excluded' }
[workspace]
members = ['crates/*']
exclude = ['ex']
//- /w/src/lib.rs
//- /w/crates/b/Cargo.toml
[package]
name = 'b'
//- /w/crates/b/src/lib.rs
//- /w/crates/a/Cargo.toml
[package]
name = 'a'
[dependencies]
inner = { path = '../../inner' }
out = { path = '../../../out' }
//- /w/crates/a/src/lib.rs
//- /w/crates/file
//- /w/inner/Cargo.toml
[package]
name = 'inner'
//- /w/inner/src/lib.rs
//- /w/ex/excluded/Cargo.toml
[package]
name = 'excluded'
//- /w/ex/excluded/src/lib.rs
//- /out/Cargo.toml
[package]
name = 'out'
[dependencies]
gone = { path = '../gone' }
[dev-dependencies]
not-looked-at = { path = '../nowhere' }
//- /out/src/lib.rs
",
        &expect![[r#"
            root /w resolver V2
            member
              a v0.0.0 (/w/crates/a) edition 2015
                lib [Lib] a src/lib.rs [test doctest bench doc]
                Normal inner * path+file:///w/inner
                Normal out * path+file:///out
            member
              inner v0.0.0 (/w/inner) edition 2015
                lib [Lib] inner src/lib.rs [test doctest bench doc]
            member
              b v0.0.0 (/w/crates/b) edition 2015
                lib [Lib] b src/lib.rs [test doctest bench doc]
            member default current
              w v0.0.0 (/w) edition 2021
                lib [Lib] w src/lib.rs [test doctest bench doc]
                Normal excluded * path+file:///w/ex/excluded
            path package excluded v0.0.0 (/w/ex/excluded)
            path package out v0.0.0 (/out)
            later: /out/Cargo.toml:4:1: failed to load `gone`, a dependency of package `out v0.0.0 (/out)`: failed to read `/gone/Cargo.toml`: no such file [dependency-missing]
            warning: /w/crates/a/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
            warning: /w/inner/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
            warning: /w/crates/b/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
        "#]],
    );
}

#[test]
fn a_member_inherits_what_it_asks_for() {
    check(
        "//- /w/m/Cargo.toml
[package]
name = 'm'
version.workspace = true
edition.workspace = true
readme.workspace = true
[dependencies]
serde = { workspace = true, features = ['c', 'a'] }
log = { workspace = true, default-features = false, optional = true }
near = { workspace = true }
[dev-dependencies]
serde = { workspace = true, default-features = true }
[lints]
workspace = true
//- /w/m/src/lib.rs
//- /w/near/Cargo.toml
[package]
name = 'near'
//- /w/near/src/lib.rs
//- /w/Cargo.toml
[workspace]
members = ['m']
resolver = '2'
[workspace.package]
version = '9.0.0'
edition = '2021'
readme = 'docs/R.md'
[workspace.dependencies]
serde = { version = '1', default-features = false, features = ['b', 'a'] }
log = '0.4'
near = { path = 'near', version = '0' }
[workspace.lints.rust]
unused = 'deny'
",
        &expect![[r#"
            root /w resolver V2
            member default current
              m v9.0.0 (/w/m) edition 2021
                lib [Lib] m src/lib.rs [test doctest bench doc]
                Normal log ^0.4 optional registry+https://github.com/rust-lang/crates.io-index
                Normal near ^0 path+file:///w/near
                Normal serde ^1 -default +b +a +c +a registry+https://github.com/rust-lang/crates.io-index
                Development serde ^1 +b +a registry+https://github.com/rust-lang/crates.io-index
                feature log = [dep:log]
            member
              near v0.0.0 (/w/near) edition 2015
                lib [Lib] near src/lib.rs [test doctest bench doc]
            warning: /w/m/Cargo.toml:8:1: `default-features` is ignored for log, since `default-features` was not specified for `workspace.dependencies.log`, this could become a hard error in the future [inherit-default-features]
            warning: /w/near/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
        "#]],
    );
}

#[test]
fn what_cannot_be_inherited_points_at_the_field() {
    check(
        "//- /w/Cargo.toml
[package]
name = 'w'
version.workspace = true
license = { workspace = false }
[dependencies]
log.workspace = true
[lints]
workspace = true
//- /w/src/lib.rs
",
        &expect![[r#"
            Error: /w/Cargo.toml:4:11: `package.license.workspace` cannot be false [manifest-type]
        "#]],
    );
    check(
        "//- /w/Cargo.toml
[package]
name = 'w'
version.workspace = true
[dependencies]
log.workspace = true
[lints]
workspace = true
[workspace]
//- /w/src/lib.rs
",
        &expect![[r#"
            Error: /w/Cargo.toml:3:1: error inheriting `version` from workspace root manifest's `workspace.package.version`: `workspace.package.version` was not defined [inherit]
            Warning: /w/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
            Error: /w/Cargo.toml:5:1: error inheriting `log` from workspace root manifest's `workspace.dependencies.log`: `dependency.log` was not found in `workspace.dependencies` [inherit]
            Error: /w/Cargo.toml:6:1: error inheriting `lints` from workspace root manifest's `workspace.lints`: `workspace.lints` was not defined [inherit]
        "#]],
    );
}

#[test]
fn the_search_for_the_root_passes_over_a_workspace_that_excludes_the_package() {
    let (workspace, _) = load_fixture(
        "//- /w/inner/x/Cargo.toml
[package]
name = 'x'
//- /w/inner/x/src/lib.rs
//- /w/inner/Cargo.toml
[workspace]
exclude = ['x']
//- /w/Cargo.toml
[workspace]
members = ['inner/x']
",
    )
    .unwrap();
    assert_eq!(workspace.root.to_str(), Some("/w"));
}

#[test]
fn the_search_for_the_root_ends_at_a_ceiling() {
    let (workspace, _) = load_fixture(
        "//- /home/x/Cargo.toml
[package]
name = 'x'
//- /home/x/src/lib.rs
//- /Cargo.toml
[workspace]
members = ['nothing/*']
",
    )
    .unwrap();
    assert_eq!(workspace.root.to_str(), Some("/home/x"));
}

#[test]
fn a_package_below_a_workspace_must_be_a_member() {
    check(
        "//- /w/loner/Cargo.toml
[package]
name = 'loner'
//- /w/loner/src/lib.rs
//- /w/Cargo.toml
[workspace]
members = []
",
        &expect![[r#"
            Warning: /w/loner/Cargo.toml:1:1: no edition set: defaulting to the 2015 edition while the latest is 2024 [no-edition]
            Error: /w/loner/Cargo.toml:1:1: current package believes it's in a workspace when it's not: current: `/w/loner/Cargo.toml`, workspace: `/w/Cargo.toml` [not-a-member]
              help: this may be fixable by adding `loner` to the `workspace.members` array of the manifest located at: /w/Cargo.toml
              help: alternatively, to keep it out of the workspace, add the package to the `workspace.exclude` array, or add an empty `[workspace]` table to the package's manifest
        "#]],
    );
}

#[test]
fn broken_workspaces_say_where() {
    check(
        "//- /w/Cargo.toml\n[workspace]\nmembers = ['a', 'b*', '[']\ndefault-members = ['c']\n",
        &expect![[r#"
        Error: /w/Cargo.toml:2:12: failed to load manifest for workspace member `/w/a`, referenced by workspace at `/w/Cargo.toml`: failed to read `/w/a/Cargo.toml`: no such file [member-missing]
        Error: /w/Cargo.toml:2:17: failed to load manifest for workspace member `/w/b*`, referenced via `b*` by workspace at `/w/Cargo.toml`: failed to read `/w/b*/Cargo.toml`: no such file [member-missing]
        Error: /w/Cargo.toml:2:23: could not parse pattern `[`: error parsing glob '[': unclosed character class; missing ']' [member-pattern]
    "#]],
    );
    check(
        "//- /w/Cargo.toml\n[workspace]\nresolver = '9'\n[lib]\nname = 'x'\n[patch.nowhere]\nx = '1'\n[profile.build]\ninherits = 'dev'\n",
        &expect![[r#"
            Error: /w/Cargo.toml:3:2: this virtual manifest specifies a `lib` section, which is not allowed [manifest-virtual-section]
        "#]],
    );
}
