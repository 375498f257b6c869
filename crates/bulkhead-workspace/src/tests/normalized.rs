//! What stock cargo 1.95 writes when it vendors a package of a git repository.

use std::path::Path;

use super::load_fixture;
use crate::normalized_manifest;

const ALONE: &str = r#"# comment kept?
[package]
name = "groot"
version = "0.2.0"
authors = ["A <a@b>", "B"]
edition = "2018"
exclude = ["*.log", "/docs/", "!keep.log"]
keywords = ["a", "b"]
categories = ["x"]
documentation = "https://d"
homepage = "https://h"
repository = "https://r"
license-file = "LICENSE"
rust-version = "1.60"
default-run = "groot-bin"
build = "build.rs"
links = "groot"
publish = ["alt"]
autobenches = false

[package.metadata.docs.rs]
all-features = true
args = ["a", "b"]

[lib]
name = "groot"
crate-type = ["lib", "staticlib"]
doctest = false

[[bin]]
name = "groot-bin"
path = "src/b.rs"
required-features = ["f1"]

[features]
default = ["f1", "dep:cfg-if"]
f1 = []
f2 = ["itoa/i128", "f1"]

[dependencies]
cfg-if = { version = "1", optional = true }
itoa = "1"
sub = { path = "sub", version = "0.1.0", default-features = false }
memchr2 = { package = "memchr", version = ">=2, <3", features = ["std", "alloc"] }

[dev-dependencies]
bitflags = { git = "https://example.com/none", branch = "main" }

[build-dependencies.autocfg]
version = "1"

[target.'cfg(windows)'.dependencies]
winapi = { version = "0.3", features = ["winuser"] }

[profile.release]
lto = true
codegen-units = 1

[badges]
maintenance = { status = "experimental" }

[lints.rust]
unsafe_code = "forbid"
unused = { level = "warn", priority = -1 }

[workspace]
members = ["sub"]
"#;

const ALONE_NORMALIZED: &str = r#"[package]
edition = "2018"
rust-version = "1.60"
name = "groot"
version = "0.2.0"
authors = [
    "A <a@b>",
    "B",
]
build = "build.rs"
links = "groot"
exclude = [
    "*.log",
    "/docs/",
    "!keep.log",
]
publish = ["alt"]
autolib = false
autobins = false
autoexamples = false
autotests = false
autobenches = false
default-run = "groot-bin"
homepage = "https://h"
documentation = "https://d"
readme = "README.md"
keywords = [
    "a",
    "b",
]
categories = ["x"]
license-file = "LICENSE"
repository = "https://r"

[package.metadata.docs.rs]
all-features = true
args = [
    "a",
    "b",
]

[badges.maintenance]
status = "experimental"

[features]
default = [
    "f1",
    "dep:cfg-if",
]
f1 = []
f2 = [
    "itoa/i128",
    "f1",
]

[lib]
name = "groot"
crate-type = [
    "lib",
    "staticlib",
]
path = "src/lib.rs"
doctest = false

[[bin]]
name = "groot-bin"
path = "src/b.rs"
required-features = ["f1"]

[[example]]
name = "multi"
path = "examples/multi/main.rs"

[[test]]
name = "tt"
path = "tests/tt.rs"

[dependencies]
itoa = "1"

[dependencies.cfg-if]
version = "1"
optional = true

[dependencies.memchr2]
version = ">=2, <3"
features = [
    "std",
    "alloc",
]
package = "memchr"

[dependencies.sub]
version = "0.1.0"
path = "sub"
default-features = false

[dev-dependencies.bitflags]
git = "https://example.com/none"
branch = "main"

[build-dependencies.autocfg]
version = "1"

[target."cfg(windows)".dependencies.winapi]
version = "0.3"
features = ["winuser"]

[lints.rust]
unsafe_code = "forbid"

[lints.rust.unused]
level = "warn"
priority = -1

[workspace]
members = ["sub"]

[profile.release]
lto = true
codegen-units = 1
"#;

const ROOT: &str = r#"[workspace]
members = ["crates/*"]
resolver = "2"
[workspace.package]
version = "0.3.0"
edition = "2021"
description = "inherited"
license = "MIT"
readme = "README.md"
[workspace.dependencies]
itoa = "1"
second = { path = "crates/second", version = "0.3" }
[workspace.lints.rust]
unused = "warn"
"#;

const MEMBER: &str = r#"[package]
name = "inner"
version.workspace = true
edition.workspace = true
description.workspace = true
license.workspace = true
readme.workspace = true
# a comment
[dependencies]
itoa = { workspace = true, features = [] }
second.workspace = true
[dev-dependencies]
plaincrate = { path = "../plaincrate" }
[target.'cfg(unix)'.dependencies]
cfg-if = "1"
[features]
default = ["x"]
x = []
[lints]
workspace = true
"#;

const MEMBER_NORMALIZED: &str = r#"[package]
edition = "2021"
name = "inner"
version = "0.3.0"
build = false
autolib = false
autobins = false
autoexamples = false
autotests = false
autobenches = false
description = "inherited"
readme = "../../README.md"
license = "MIT"

[features]
default = ["x"]
x = []

[lib]
name = "inner"
path = "src/lib.rs"

[[example]]
name = "ex"
path = "examples/ex.rs"

[[test]]
name = "t"
path = "tests/t.rs"

[dependencies.itoa]
version = "1"
features = []

[dependencies.second]
version = "0.3"
path = "../second"

[dev-dependencies.plaincrate]
path = "../plaincrate"

[target."cfg(unix)".dependencies]
cfg-if = "1"

[lints.rust]
unused = "warn"
"#;

fn normalized(fixture: &str, name: &str, manifest: &str, root: Option<(&str, &Path)>) -> String {
    let (workspace, _) = load_fixture(fixture).unwrap();
    let package = workspace.members.iter().find(|package| package.id.name().as_str() == name).unwrap();
    let text = normalized_manifest(package, manifest, root).unwrap();
    let (head, body) = text.split_at(text.find("[package]").unwrap());
    assert!(
        head.starts_with("# THIS FILE IS AUTOMATICALLY GENERATED BY CARGO\n#\n") && head.ends_with("contents.\n\n")
    );
    body.to_owned()
}

#[test]
fn what_was_discovered_is_written_out() {
    let files = [
        "LICENSE",
        "README.md",
        "build.rs",
        "src/lib.rs",
        "src/b.rs",
        "examples/multi/main.rs",
        "benches/bb.rs",
        "tests/tt.rs",
        "sub/src/lib.rs",
    ];
    let sub = "//- /w/sub/Cargo.toml\n[package]\nname = \"sub\"\nversion = \"0.1.0\"\n";
    let files: String = files.iter().map(|path| format!("//- /w/{path}\n")).collect();
    let fixture = format!("//- /w/Cargo.toml\n{ALONE}{sub}{files}");
    assert_eq!(normalized(&fixture, "groot", ALONE, None), ALONE_NORMALIZED);
}

#[test]
fn what_is_inherited_is_written_out() {
    let files: String =
        ["README.md", "crates/inner/src/lib.rs", "crates/inner/examples/ex.rs", "crates/inner/tests/t.rs"]
            .iter()
            .map(|path| format!("//- /w/{path}\n"))
            .collect();
    let others: String = ["second", "plaincrate"]
        .iter()
        .map(|name| format!("//- /w/crates/{name}/Cargo.toml\n[package]\nname = \"{name}\"\nversion = \"0.3.0\"\n//- /w/crates/{name}/src/lib.rs\n"))
        .collect();
    let fixture = format!("//- /w/Cargo.toml\n{ROOT}//- /w/crates/inner/Cargo.toml\n{MEMBER}{files}{others}");
    assert_eq!(normalized(&fixture, "inner", MEMBER, Some((ROOT, Path::new("/w")))), MEMBER_NORMALIZED);
}
