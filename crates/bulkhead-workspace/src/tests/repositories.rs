//! Packages in a checkout of a git repository.

use std::fmt::Write as _;
use std::path::Path;

use bulkhead_schema::SourceId;
use expect_test::{Expect, expect};

use super::{Tree, show_package};
use crate::load_repository;

fn check(fixture: &str, submodules: &[&str], expect: &Expect) {
    let source = SourceId::parse("git+https://example.org/r?tag=v1#0123456789012345678901234567890123456789").unwrap();
    let submodules: Vec<String> = submodules.iter().map(|&path| path.to_owned()).collect();
    let found = load_repository(&Tree::parse(fixture), Path::new("/r"), source, &submodules, &|_| Ok(None));
    let mut text = String::new();
    for package in &found.packages {
        writeln!(text, "{}", package.manifest_path.display()).unwrap();
        show_package(&mut text, package);
    }
    for (id, path) in &found.duplicates {
        writeln!(text, "again {id} in {}", path.display()).unwrap();
    }
    for error in &found.broken {
        writeln!(text, "{:?}: {error}", error.level).unwrap();
    }
    expect.assert_eq(&text);
}

#[test]
fn the_whole_repository_is_searched_and_its_workspace_is_inherited() {
    check(
        r#"
//- /r/Cargo.toml
[workspace]
members = ["a"]
[workspace.package]
version = "1.2.3"
[workspace.dependencies]
deep = { path = "nested/deep" }
//- /r/a/Cargo.toml
[package]
name = "a"
version.workspace = true
[dependencies]
deep.workspace = true
hidden = { path = "../.hidden" }
//- /r/a/src/lib.rs
//- /r/nested/deep/Cargo.toml
[package]
name = "deep"
//- /r/nested/deep/src/lib.rs
//- /r/.hidden/Cargo.toml
[package]
name = "hidden"
//- /r/.hidden/src/lib.rs
//- /r/.other/Cargo.toml
[package]
name = "never-found"
//- /r/.other/src/lib.rs
//- /r/sub/Cargo.toml
[package]
name = "in-a-submodule"
//- /r/sub/src/lib.rs
//- /r/twice/Cargo.toml
[package]
name = "deep"
//- /r/twice/src/lib.rs
"#,
        &["sub"],
        &expect![[r#"
            /r/a/Cargo.toml
              a v1.2.3 (https://example.org/r?tag=v1#01234567) edition 2015
                lib [Lib] a src/lib.rs [test doctest bench doc]
                Normal deep * git+https://example.org/r?tag=v1
                Normal hidden * git+https://example.org/r?tag=v1
            /r/nested/deep/Cargo.toml
              deep v0.0.0 (https://example.org/r?tag=v1#01234567) edition 2015
                lib [Lib] deep src/lib.rs [test doctest bench doc]
            /r/.hidden/Cargo.toml
              hidden v0.0.0 (https://example.org/r?tag=v1#01234567) edition 2015
                lib [Lib] hidden src/lib.rs [test doctest bench doc]
            again deep v0.0.0 (https://example.org/r?tag=v1#01234567) in /r/twice/Cargo.toml
        "#]],
    );
}

#[test]
fn no_path_leads_out_of_the_repository() {
    check(
        r#"
//- /Cargo.toml
[workspace]
members = ["r"]
[workspace.package]
version = "6.6.6"
//- /outside.rs
//- /outside/Cargo.toml
[package]
name = "outside"
//- /outside/src/lib.rs
//- /r/a/Cargo.toml
[package]
name = "a"
version.workspace = true
//- /r/a/src/lib.rs
//- /r/b/Cargo.toml
[package]
name = "b"
[lib]
path = "../../outside.rs"
//- /r/c/Cargo.toml
[package]
name = "c"
workspace = "../.."
//- /r/c/src/lib.rs
//- /r/d/Cargo.toml
[package]
name = "d"
[lib]
path = "../shared.rs"
[dependencies]
outside = { path = "../../outside" }
//- /r/shared.rs
"#,
        &[],
        &expect![[r#"
            /r/c/Cargo.toml
              c v0.0.0 (https://example.org/r?tag=v1#01234567) edition 2015
                lib [Lib] c src/lib.rs [test doctest bench doc]
            /r/d/Cargo.toml
              d v0.0.0 (https://example.org/r?tag=v1#01234567) edition 2015
                lib [Lib] d /r/shared.rs [test doctest bench doc]
                Normal outside * git+https://example.org/r?tag=v1
            Error: /r/a/Cargo.toml:3:1: error inheriting `version` from workspace root manifest's `workspace.package.version`: failed to find a workspace root [inherit]
            Error: /r/b/Cargo.toml:4:8: `lib.path` of the downloaded package `b` leads out of the package [target-outside-package]
            Error: /r/c/Cargo.toml:3:13: `/Cargo.toml` is not a workspace root, though `package.workspace` says so [workspace-root]
            Error: /r/c/Cargo.toml:3:13: `/Cargo.toml` is not a workspace root, though `package.workspace` says so [workspace-root]
        "#]],
    );
}
