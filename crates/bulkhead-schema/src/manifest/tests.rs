use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use expect_test::{Expect, expect};

use super::{MAX_MANIFEST_SIZE, Manifest, Origin, parse};
use crate::Diagnostic;

fn read(text: &str, origin: Origin) -> Result<(Manifest, Vec<Diagnostic>), Vec<Diagnostic>> {
    parse(Path::new("Cargo.toml"), &Arc::from(text), origin)
}

/// Prints all findings of a local manifest.
fn check(text: &str, expect: &Expect) {
    let findings = match read(text, Origin::Local) {
        Ok((_, warnings)) => warnings,
        Err(errors) => errors,
    };
    let mut printed = String::new();
    for finding in &findings {
        writeln!(printed, "{:?} {finding}", finding.level).unwrap();
        for help in &finding.help {
            writeln!(printed, "  {help}").unwrap();
        }
    }
    expect.assert_eq(&printed);
}

/// Attack 17.
#[test]
fn unknown_keys_warn_except_where_they_could_change_what_is_fetched() {
    check(
        "[package]
name = 'p'
licence = 'MIT'
[dependencis]
x = '1'
[target.x86.dependences]
y = '1'
[profile.dev]
optlevel = 1
",
        &expect![[r#"
            Warning Cargo.toml:3:1: unused manifest key: package.licence [manifest-unused-key]
              did you mean `license`?
            Warning Cargo.toml:6:13: unused manifest key: target.x86.dependences [manifest-unused-key]
              did you mean `dependencies`?
            Warning Cargo.toml:9:1: unused manifest key: profile.dev.optlevel [manifest-unused-key]
              did you mean `opt-level`?
            Warning Cargo.toml:4:2: unused manifest key: dependencis [manifest-unused-key]
              did you mean `dependencies`?
        "#]],
    );
    check(
        "[package]
name = 'p'
[dependencies]
serde1 = { version = '1', pakage = 'serde' }
other = { version = '1', regisrty = 'mine', default-feature = false }
",
        &expect![[r#"
            Error Cargo.toml:5:45: unknown key `dependencies.other.default-feature`: it could change what is fetched, so it is not passed over [manifest-unknown-dependency-key]
              did you mean `default-features`?
            Error Cargo.toml:5:26: unknown key `dependencies.other.regisrty`: it could change what is fetched, so it is not passed over [manifest-unknown-dependency-key]
              did you mean `registry`?
            Error Cargo.toml:4:27: unknown key `dependencies.serde1.pakage`: it could change what is fetched, so it is not passed over [manifest-unknown-dependency-key]
              did you mean `package`?
        "#]],
    );
}

#[test]
fn nobody_is_told_of_unknown_keys_in_a_downloaded_manifest() {
    let text =
        "[package]\nname = 'p'\nx = 1\n[dependencies]\na = { version = '1', pakage = 'b' }\n[workspace]\nmembers = 3\n";
    let (manifest, findings) = read(text, Origin::Downloaded).unwrap();
    assert_eq!(findings, []);
    assert!(manifest.workspace.is_none());
    assert_eq!(manifest.dependencies.len(), 1);
}

#[test]
fn several_mistakes_are_reported_at_once() {
    check(
        "cargo-features = ['edition2024', 'metabuild']
[package]
name = 3
authors = 'me'
edition = { workspace = false }
[lib]
crate-type = 'lib'
[features]
'a/b' = []
c = ['x', 1]
[profile.dev]
opt-level = 7
panic = 'never'
rustflags = ['-O']
[profile.dev.package.x]
lto = true
[lints.rust]
a = 'loud'
'clippy::b' = 'warn'
[workspace.dependencies]
x = { version = '1', optional = true }
",
        &expect![[r#"
            Warning Cargo.toml:1:19: the cargo feature `edition2024` has been stabilized in the Rust toolchain and is no longer necessary to be listed in the manifest [manifest-stable-cargo-feature]
            Error Cargo.toml:1:34: the cargo feature `metabuild` is unknown, or requires a nightly version of Cargo, which this is not [manifest-unstable-cargo-feature]
            Error Cargo.toml:5:11: `package.edition.workspace` cannot be false [manifest-type]
            Error Cargo.toml:4:11: `package.authors` must be an array of strings, but is a string [manifest-type]
            Error Cargo.toml:3:8: `package.name` must be a string, but is an integer [manifest-type]
            Error Cargo.toml:2:1: missing field `package.name` [manifest-missing-name]
            Error Cargo.toml:7:14: `lib.crate-type` must be an array of strings, but is a string [manifest-type]
            Error Cargo.toml:9:1: invalid feature name `a/b`: feature names are not allowed to contain slashes [manifest-feature-name]
            Error Cargo.toml:10:11: `features.c` must be a string, but is an integer [manifest-type]
            Error Cargo.toml:18:5: `lints.rust.a`: unknown lint level `loud`, expected `forbid`, `deny`, `warn` or `allow` [manifest-lint]
            Error Cargo.toml:19:1: `lints.rust.clippy::b` is not a valid lint name; try `lints.clippy.b` [manifest-lint]
            Error Cargo.toml:21:1: x is optional, but workspace dependencies cannot be optional [manifest-workspace-dependency]
            Error Cargo.toml:12:13: `profile.dev.opt-level`: must be `0`, `1`, `2`, `3`, `s` or `z`, but found the string: "7" [manifest-profile]
            Error Cargo.toml:13:9: `profile.dev.panic`: `panic` setting of `never` is not a valid setting, must be `unwind` or `abort` [manifest-profile]
            Error Cargo.toml:14:1: `profile.dev.rustflags` requires nightly Cargo, which this is not [manifest-unstable-key]
            Error Cargo.toml:16:7: `lto` may not be specified in a `package` or `build-override` profile [manifest-profile]
        "#]],
    );
}

#[test]
fn broken_toml_points_at_the_place() {
    check(
        "[package]\nname = 'p'\n[package]\n",
        &expect![[r#"
        Error Cargo.toml:3:2: duplicate key [manifest-syntax]
    "#]],
    );
    check(
        "[package\n",
        &expect![[r#"
        Error Cargo.toml:1:9: unclosed table, expected `]` [manifest-syntax]
    "#]],
    );
    check(
        "a.b = 1\na.b.c = 2\n\"a\".b = 3\n",
        &expect![[r#"
        Error Cargo.toml:2:3: cannot extend value of type integer with a dotted key [manifest-syntax]
    "#]],
    );
    check(
        "x = \"\0\"\n",
        &expect![[r#"
        Error Cargo.toml:1:6: invalid basic string, expected non-double-quote visible characters, `\` [manifest-syntax]
    "#]],
    );
}

/// Every bomb is refused, quickly, with a place in the file.
/// Attack 16.
#[test]
fn bombs_are_refused() {
    let wrap = |text: String| format!("[package]\nname = 'p'\n[package.metadata]\n{text}");
    let bombs = [
        wrap(format!("x = {}{}\n", "[".repeat(100_000), "]".repeat(100_000))),
        wrap(format!("x = {}1{}\n", "{a=".repeat(100_000), "}".repeat(100_000))),
        wrap(format!("x{} = 1\n", ".x".repeat(100_000))),
        wrap(format!("[{}]\n", vec!["x"; 100_000].join("."))),
        wrap((0..150_000).fold(String::new(), |text, i| text + &format!("{i}=1\n"))),
        wrap("[[x]]\n".repeat(150_000)),
        wrap(format!("x = [{}]\n", "0,".repeat(400_000))),
        wrap(format!("x = '{}'\n", "y".repeat(MAX_MANIFEST_SIZE))),
    ];
    for bomb in bombs {
        for origin in [Origin::Local, Origin::Downloaded] {
            let errors = read(&bomb, origin).unwrap_err();
            assert!(errors[0].location.is_some(), "{}", errors[0]);
        }
    }
}

/// Attack 16.
#[test]
fn hundred_thousand_of_anything_that_fits_is_read_in_a_moment() {
    // Below the limits, so it has to be cheap: every key unknown, every name close to a known one.
    let mut text = String::from("[package]\nname = 'p'\n");
    for number in 0..60_000 {
        writeln!(text, "nam{number} = 1").unwrap();
    }
    let (_, findings) = read(&text, Origin::Local).unwrap();
    assert!(findings.len() <= 1_001, "{}", findings.len());
}

#[test]
fn metadata_is_kept_as_json() {
    let text = "[package]\nname = 'p'\n[package.metadata]\nb = 0x1F\na = [1.5, true, 1979-05-27T07:32:00Z, inf]\n";
    let (manifest, _) = read(text, Origin::Local).unwrap();
    let metadata = manifest.package.unwrap().metadata.unwrap();
    let expected = r#"{"b":31,"a":[1.5,true,{"$__toml_private_datetime":"1979-05-27T07:32:00Z"},null]}"#;
    assert_eq!(metadata.to_string(), expected);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    let (manifest, _) = read("\u{feff}[package]\r\nname = 'p'\r\n", Origin::Local).unwrap();
    assert_eq!(manifest.package.unwrap().name.unwrap().get_ref(), "p");
}
