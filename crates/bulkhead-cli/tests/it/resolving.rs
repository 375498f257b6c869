//! Which versions and features are chosen, beside `cargo`: whole small registries, many questions each.

use crate::stage::{Stage, Twins, each};

fn package(rest: &str) -> String {
    format!(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}\n//- /src/lib.rs\n"
    )
}

/// The same exit code and lockfile, and where all is well the same lines.
#[track_caller]
fn same(twins: &Twins, arguments: &[&str]) {
    let (theirs, ours) = twins.run(arguments);
    if theirs.code() != Some(0) {
        assert!(ours.stderr.contains("error: "), "{ours}");
        return;
    }
    assert_eq!(twins.bulkhead.neutral(&ours.stdout), twins.cargo.neutral(&theirs.stdout), "{arguments:?}");
    // Downloads and checks come as they come.
    let lines = |stage: &Stage, text: &str| {
        let text = stage.neutral(text);
        let (mut first, mut rest): (Vec<String>, Vec<String>) = text
            .lines()
            .map(str::to_owned)
            .partition(|line| !line.contains("Downloaded") && !line.contains("Checking"));
        rest.sort();
        first.append(&mut rest);
        first
    };
    assert_eq!(
        lines(&twins.bulkhead, &ours.stderr),
        lines(&twins.cargo, &theirs.stderr),
        "{arguments:?}\n{ours}\n{theirs}"
    );
}

#[test]
fn rust_versions_are_preferred_as_configured() {
    let packages = "a 1.0.0 rust=1.50\na 1.1.0 rust=1.60\na 1.2.0 rust=1.70\na 1.3.0 rust=1.99\nb 1.0.0\nb 1.1.0 rust=1.65.2\nc 1.0.0 rust=1.99";
    let member = |name: &str, rust: &str, dependencies: &str| {
        let rust = if rust.is_empty() { String::new() } else { format!("rust-version = \"{rust}\"\n") };
        format!(
            "//- /{name}/Cargo.toml\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rust}[dependencies]\n{dependencies}\n//- /{name}/src/lib.rs\n"
        )
    };
    let arguments = |last: Option<&'static str>| [Some("generate-lockfile"), last.map(|_| "--config"), last];
    let fallback = arguments(Some("resolver.incompatible-rust-versions='fallback'"));
    let allow = arguments(Some("resolver.incompatible-rust-versions='allow'"));
    let ignore = [Some("generate-lockfile"), Some("--ignore-rust-version"), None];
    each(
        [
            ("3", "1.60", "1.70", &[arguments(None), ignore, allow][..]),
            ("3", "1.65.2", "", &[arguments(None)]),
            ("3", "", "", &[arguments(None)]),
            ("3", "1.56", "1.60", &[arguments(None)]),
            ("3", "1.65", "1.65.3", &[arguments(None)]),
            ("2", "1.60", "1.70", &[arguments(None), fallback]),
            ("1", "", "1.60", &[fallback, ignore]),
        ],
        |(resolver, one, other, commands)| {
            let fixture = format!(
                "//- /Cargo.toml\n[workspace]\nmembers = [\"one\", \"other\"]\nresolver = \"{resolver}\"\n{}{}",
                member("one", one, "a = \"1\"\nb = \"1\""),
                member("other", other, "a = \"1\"\nc = \"1\"")
            );
            let twins = Twins::with_packages(&fixture, packages);
            for command in *commands {
                same(&twins, &command.iter().copied().flatten().collect::<Vec<_>>());
            }
        },
    );
    let twins = Twins::with_packages(&package("[dependencies]\na = \"1\""), packages);
    same(&twins, &["generate-lockfile", "--config", "resolver.incompatible-rust-versions='sometimes'"]);
}

#[test]
fn versions_are_chosen_in_cargos_order() {
    each(
        [
            // Pre-releases only where one is asked for.
            ("a = \"1\"", "a 1.0.0\na 1.1.0-rc.1"),
            ("a = \"1.1.0-rc.0\"", "a 1.0.0\na 1.1.0-rc.1\na 1.1.0-rc.2\na 1.2.0-rc.1"),
            ("a = \">=1.0.0, <2.0.0-0\"", "a 1.0.0\na 2.0.0-rc.1"),
            ("a = \"*\"", "a 1.0.0-rc.1"),
            ("a = \"=1.0.0-rc.1\"", "a 1.0.0-rc.1\na 1.0.0"),
            // Yanked versions are no choice.
            ("a = \"1\"", "a 1.0.0\na 1.1.0 yanked"),
            ("a = \"=1.1.0\"", "a 1.0.0\na 1.1.0 yanked"),
            // One per range, several ranges.
            ("a = \"1\"\nb = \"1\"", "a 1.0.0 | c ^0.3\nb 1.0.0 | c ^0.4\nc 0.3.0\nc 0.3.7\nc 0.4.0\nc 0.0.1"),
            ("a = \"0.0.1\"\nb = \"1\"", "a 0.0.1\na 0.0.2\nb 1.0.0 | a ^0.0.2"),
            // Older ones where the newest does not fit.
            ("a = \"1\"\nb = \"=1.0.0\"", "a 1.0.0\na 1.1.0 | b =1.1.0\nb 1.0.0\nb 1.1.0"),
            ("a = \"1\"\nb = \"1\"", "a 1.0.0 | c =1.0.0\nb 1.0.0 | c =1.1.0\nc 1.0.0\nc 1.1.0"),
            // `links`.
            ("a = \"1\"\nb = \"1\"", "a 1.0.0 links=z\nb 1.0.0 links=z"),
            ("a = \"1\"\nb = \"1\"", "a 1.0.0\na 1.1.0 links=z\nb 1.0.0 links=z"),
            ("a = \"1\"\nb = \"1\"", "a 1.0.0 links=z\na 2.0.0 links=z\nb 1.0.0 | a ^2"),
            ("a = \"1\"\nb = \"1\"", "a 1.0.0 links=z\nb 1.0.0 links=Z"),
            // A feature that only older versions have.
            ("a = { version = \"1\", features = [\"old\"] }", "a 1.0.0 | feature old =\na 1.1.0 | feature new ="),
            ("a = { version = \"1\", features = [\"olt\"] }", "a 1.0.0 | feature old =\na 1.1.0 | feature new ="),
            ("a = { version = \"1\", features = [\"b\"] }", "a 1.0.0 | opt b ^1 | feature f = dep:b\nb 1.0.0"),
            ("a = { version = \"1\", features = [\"b\"] }", "a 1.0.0 | b ^1\nb 1.0.0"),
            // Nothing of that name, or of that version.
            ("absent = \"1\"", "a 1.0.0"),
            ("a = \"3\"", "a 1.0.0\na 2.0.0"),
            ("a = \"1\"", "a 1.0.0 | absent ^1"),
            ("a = \"1\"", "a 1.0.0 | b ^3\nb 1.0.0"),
            // Cycles: of packages, and through development dependencies, which those of others have no say in.
            ("a = \"1\"", "a 1.0.0 | b ^1\nb 1.0.0 | a ^1"),
            ("a = \"1\"", "a 1.0.0 | b ^1\nb 1.0.0 | dev a ^1"),
            // Weak and namespaced features.
            (
                "a = { version = \"1\", features = [\"f\"] }",
                "a 1.0.0 | opt b ^1 | feature f = b?/std\nb 1.0.0 | feature std =",
            ),
            (
                "a = { version = \"1\", features = [\"f\"] }",
                "a 1.0.0 | opt b ^1 | feature f = b/std\nb 1.0.0 | feature std =",
            ),
            (
                "a = { version = \"1\", features = [\"f\"] }",
                "a 1.0.0 | opt b ^1 | feature f = dep:b b?/nope\nb 1.0.0 | feature std =",
            ),
            // One dependency, asked for twice with other features, may lead to two versions.
            (
                "b = { version = \"^1.1.0\", default-features = false, features = [\"alloc\"] }\n[dev-dependencies]\nb = \">1.1.0\"",
                "b 1.1.0 | feature alloc =\nb 1.2.0 | c <=1.1.0 | feature alloc = c/std\nc 0.1.1 | feature std =\nc 1.1.0 | feature default =",
            ),
            // A feature that names itself.
            (
                "a = { version = \"1\", features = [\"f\"] }",
                "a 1.0.0 | feature f = f\na 1.1.0 | feature f = g | feature g = f",
            ),
            ("a = { version = \"1\", features = [\"f\"] }", "a 1.0.0 | feature f =\na 1.1.0 | feature f = f"),
            ("a = \"1\"", "a 1.1.0 | feature f = f"),
            // Renamed, platform and build dependencies all have a place in the lockfile.
            (
                "a = \"1\"",
                "a 1.0.0 | b ^1 as=bee | build c ^1 | w ^1 target=cfg(windows) | opt d ^1\nb 1.0.0\nc 1.0.0\nw 1.0.0 | c ^0.5\nc 0.5.0\nd 1.0.0",
            ),
        ],
        |(dependencies, packages)| {
            let twins = Twins::with_packages(&package(&format!("[dependencies]\n{dependencies}")), packages);
            same(&twins, &["generate-lockfile"]);
            same(&twins, &["update", "-v"]);
        },
    );
}

#[test]
fn features_are_unified_as_each_resolver_does() {
    let packages = "
        shared 1.0.0 | feature normal = | feature built = | feature dev = | feature windows = | feature proc =
        helper 1.0.0 | shared ^1 +built
        mac 1.0.0 | shared ^1 +proc
        win 1.0.0 | shared ^1
        gate 1.0.0 | opt inner ^1 | opt other ^1 as=renamed | feature default = weak | feature weak = inner?/extra | feature on = dep:inner | feature far = renamed/extra
        inner 1.0.0 | feature extra = | feature default =
        other 1.0.0 | feature extra =
    ";
    let manifest = |resolver: &str| {
        format!(
            r#"
//- /Cargo.toml
[workspace]
members = ["app", "tool", "spare"]
default-members = ["app"]
resolver = "{resolver}"
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[features]
default = ["some"]
some = ["gate/on"]
far = ["gate/far"]
opt = ["dep:inner"]
[dependencies]
shared = {{ version = "1", features = ["normal"] }}
gate = "1"
inner = {{ version = "1", optional = true, default-features = false }}
[target.'cfg(windows)'.dependencies]
shared = {{ version = "1", features = ["windows"] }}
[build-dependencies]
helper = "1"
[dev-dependencies]
shared = {{ version = "1", features = ["dev"] }}
tool = {{ path = "../tool" }}
//- /app/build.rs
fn main() {{}}
//- /app/src/lib.rs
//- /tool/Cargo.toml
[package]
name = "tool"
version = "0.2.0"
edition = "2021"
[dependencies]
app = {{ path = "../app", default-features = false }}
mac = "1"
//- /tool/src/lib.rs
//- /spare/Cargo.toml
[package]
name = "spare"
version = "0.1.0"
edition = "2021"
[features]
far = []
[dependencies]
other = {{ version = "1", features = ["extra"] }}
//- /spare/src/lib.rs
"#
        )
    };
    for resolver in ["1", "2"] {
        let twins = Twins::with_packages(&manifest(resolver), packages);
        same(&twins, &["generate-lockfile"]);
        same(&twins, &["fetch"]);
        each(
            [
                &["tree", "-f", "{p} {f}"][..],
                &["tree", "-f", "{p} {f}", "-e", "no-dev"],
                &["tree", "-f", "{p} {f}", "--target", "x86_64-pc-windows-msvc"],
                &["tree", "-f", "{p} {f}", "--target", "all"],
                &["tree", "-f", "{p} {f}", "--no-default-features"],
                &["tree", "-f", "{p} {f}", "--all-features"],
                &["tree", "-f", "{p} {f}", "--features", "far"],
                &["tree", "-f", "{p} {f}", "--features", "far,opt", "--workspace"],
                &["tree", "-f", "{p} {f}", "--features", "app/far", "-p", "spare", "-p", "app"],
                &["tree", "-f", "{p} {f}", "--features", "gate/far"],
                &["tree", "-f", "{p} {f}", "--features", "inner"],
                &["tree", "-f", "{p} {f}", "--features", "nope"],
                &["tree", "-f", "{p} {f}", "--features", "nope,worse", "--workspace"],
                &["tree", "-f", "{p} {f}", "--features", "dep:inner"],
                &["tree", "-f", "{p} {f}", "--features", "gate/nope"],
                &["tree", "-f", "{p} {f}", "--features", "nope/nope"],
                &["tree", "-f", "{p} {f}", "-p", "tool"],
                &["tree", "-f", "{p} {f}", "--workspace", "--exclude", "tool"],
                &["tree", "-f", "{p} {f}", "-i", "shared"],
            ],
            |arguments| {
                same(&twins, arguments);
            },
        );
    }
}

#[test]
fn packages_are_named_in_every_form() {
    let member = |name: &str| {
        format!(
            "//- /{name}/Cargo.toml\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n//- /{name}/src/lib.rs\n"
        )
    };
    let fixture = format!(
        "//- /Cargo.toml\n[workspace]\nmembers = [\"api\", \"app\", \"tool-one\", \"tool-two\"]\ndefault-members = [\"api\", \"tool-one\"]\nresolver = \"2\"\n{}{}{}{}",
        member("api"),
        member("app"),
        member("tool-one"),
        member("tool-two")
    );
    let twins = Twins::new(&fixture);
    same(&twins, &["generate-lockfile"]);
    each(
        [
            &["tree"][..],
            &["tree", "-p", "api"],
            &["tree", "-p", "api@0.1.0"],
            &["tree", "-p", "api@0.1"],
            &["tree", "-p", "api@0"],
            &["tree", "-p", "api:0.1.0"],
            &["tree", "-p", "api@0.2"],
            &["tree", "-p", "tool-*"],
            &["tree", "-p", "tool-{one,two}"],
            &["tree", "-p", "nothing-*"],
            &["tree", "-p", "apu"],
            &["tree", "-p", "a["],
            &["tree", "-p", "api@x"],
            &["tree", "-p", "api", "-p", "app"],
            &["tree", "-p", "api", "-p", "absent"],
            &["tree", "--workspace"],
            &["tree", "--workspace", "--exclude", "api"],
            &["tree", "--workspace", "--exclude", "tool-*"],
            &["tree", "--workspace", "--exclude", "absent"],
            &["tree", "--workspace", "--exclude", "absent-*"],
            &["tree", "--workspace", "--exclude", "*"],
            &["tree", "--exclude", "api"],
            &["tree", "--workspace", "-p", "api"],
            &["tree", "--manifest-path", "app/Cargo.toml"],
            &["check", "-p", "apu"],
            &["check", "-p", "nothing-*"],
            &["check", "--workspace", "--exclude", "absent"],
            &["check", "--workspace", "--exclude", "absent-*"],
        ],
        |arguments| {
            same(&twins, arguments);
        },
    );
}
