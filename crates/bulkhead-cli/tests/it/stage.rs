//! What the tests share: the program, the packages of a small registry, a workspace, and the comparison with `cargo`.

use bulkhead_test_support::{
    CrateBuilder, DependencyBuilder, Home, Invocation, Outcome, Registry, TempProject, project,
};
use std::path::Path;

/// A program that depends on `plain`.
pub(crate) const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
plain = "1"
//- /src/main.rs
fn main() {}
"#;

/// The program under test.
pub(crate) const BULKHEAD: &str = env!("CARGO_BIN_EXE_bulkhead");

/// A registry, a home that uses it, and a project.
pub(crate) struct Stage {
    pub(crate) registry: Registry,
    pub(crate) home: Home,
    pub(crate) project: TempProject,
}

impl Stage {
    /// The project of a fixture, beside the packages of [`publish`].
    pub(crate) fn new(fixture: &str) -> Stage {
        let registry = Registry::start();
        publish(&registry);
        let home = Home::new();
        home.use_registry(&registry);
        Stage { registry, home, project: project(fixture) }
    }

    /// `bulkhead ARGUMENTS` in the project's folder, to be adjusted and run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Invocation {
        self.home.command(BULKHEAD).args(arguments).current_dir(self.project.root())
    }

    /// Runs `bulkhead ARGUMENTS` in the project's folder.
    pub(crate) fn bulkhead(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).run()
    }

    /// Runs stock `cargo ARGUMENTS` in the project's folder.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Outcome {
        self.home.command("cargo").args(arguments).current_dir(self.project.root()).run()
    }

    /// What a text looks like without what differs from run to run: paths of this stage, ports, durations.
    pub(crate) fn neutral(&self, text: &str) -> String {
        let text = text.replace(&*self.project.root().to_string_lossy(), "[ROOT]");
        let text = text.replace(&*self.home.path().to_string_lossy(), "[HOME]");
        let text = text.replace(&self.registry.address().to_string(), "[REGISTRY]");
        // A source that replaces the public registry is named by Cargo.
        let text = text.replace("`loopback` index", "[INDEX] index").replace("crates.io index", "[INDEX] index");
        let text = text.replace(" (registry `loopback`)", "");
        let lines = text.lines().map(|line| match line.split_once(" target(s) in ") {
            Some((head, _)) => format!("{head} target(s) in [TIME]"),
            None => line.to_owned(),
        });
        lines.map(|line| line + "\n").collect()
    }
}

/// Checks every case and tells of all that fail, not only of the first.
#[track_caller]
pub(crate) fn each<T: std::fmt::Debug>(cases: impl IntoIterator<Item = T>, check: impl Fn(&T)) {
    let failed: Vec<T> = cases
        .into_iter()
        .filter(|case| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case))).is_err())
        .collect();
    assert!(failed.is_empty(), "these failed, as is told above: {failed:#?}");
}

/// Asserts the code, and that the error on standard error holds each of `parts`.
#[track_caller]
pub(crate) fn assert_error(outcome: &Outcome, code: i32, parts: &[&str]) {
    outcome.assert_code(code);
    assert!(outcome.stderr.contains("error"), "{outcome}");
    for part in parts {
        assert!(outcome.stderr.contains(part), "{part:?} is missing\n{outcome}");
    }
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
}

/// A folder that is not below `/tmp`, of which confined processes have their own, so that they could write into this one.
pub(crate) fn folder_outside_tmp() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("outside-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Says why a test, or the rest of it, was not run.
#[expect(clippy::print_stderr, reason = "the test harness shows it")]
pub(crate) fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// The same project twice, for `cargo` and for Bulkhead.
pub(crate) struct Twins {
    pub(crate) cargo: Stage,
    pub(crate) bulkhead: Stage,
}

impl Twins {
    /// Two stages of one fixture.
    pub(crate) fn new(fixture: &str) -> Twins {
        Twins { cargo: Stage::new(fixture), bulkhead: Stage::new(fixture) }
    }

    /// Two stages of one fixture whose registries have these packages as well ([`publish_lines`]).
    pub(crate) fn with_packages(fixture: &str, packages: &str) -> Twins {
        let twins = Twins::new(fixture);
        twins.publish(packages);
        twins
    }

    /// Publishes the same packages on both ([`publish_lines`]).
    pub(crate) fn publish(&self, packages: &str) {
        self.both(|stage| publish_lines(&stage.registry, packages));
    }

    /// Does the same on both stages.
    pub(crate) fn both(&self, work: impl Fn(&Stage)) {
        [&self.cargo, &self.bulkhead].into_iter().for_each(work);
    }

    /// Runs both with the same arguments and asserts the same exit code and lockfile.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> (Outcome, Outcome) {
        let (theirs, ours) = (self.cargo.cargo(arguments), self.bulkhead.bulkhead(arguments));
        assert!(ours.ends_as(&theirs), "exit codes of {arguments:?}\ncargo: {theirs}\nbulkhead: {ours}");
        assert_eq!(self.lockfile(&self.bulkhead), self.lockfile(&self.cargo), "lockfiles after {arguments:?}");
        (theirs, ours)
    }

    /// The same, and the same lines on standard error in any order (jobs overlap), and the same standard output.
    #[track_caller]
    pub(crate) fn same_output(&self, arguments: &[&str]) -> Outcome {
        let (theirs, ours) = self.run(arguments);
        let sorted = |stage: &Stage, text: &str| {
            let text = stage.neutral(text);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            // Whether something still runs when a unit fails is a matter of luck.
            lines.retain(|line| !line.starts_with("warning: build failed, waiting for other jobs"));
            lines.sort();
            lines
        };
        let (left, right) = (sorted(&self.bulkhead, &ours.stderr), sorted(&self.cargo, &theirs.stderr));
        assert_eq!(left, right, "standard error of {arguments:?}\ncargo: {theirs}\nbulkhead: {ours}");
        assert_eq!(self.bulkhead.neutral(&ours.stdout), self.cargo.neutral(&theirs.stdout), "output of {arguments:?}");
        ours
    }

    /// Asserts that both have the same artifacts: the entries right below `target/PROFILE` and its `deps`.
    #[track_caller]
    pub(crate) fn same_artifacts(&self, profile: &str) {
        let list = |stage: &Stage| artifacts(&stage.project.path("target").join(profile));
        assert_eq!(list(&self.bulkhead), list(&self.cargo), "artifacts in target/{profile}");
    }

    fn lockfile(&self, stage: &Stage) -> Option<String> {
        std::fs::read_to_string(stage.project.path("Cargo.lock")).ok()
    }
}

/// Publishes packages on both stages, one per line, as the resolver's own tests write them:
///
/// ```text
/// a 1.1.0 yanked links=z rust=1.70 | b ^1 +feature -default | opt c ^1 | dev d * | build e ^1 as=name | feature f = dep:c
/// ```
pub(crate) fn publish_lines(registry: &Registry, text: &str) {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split(" | ");
        let mut head = parts.next().expect("a package").split(' ');
        let mut package = CrateBuilder::new(head.next().expect("a name"), head.next().expect("a version"));
        for flag in head {
            package = match flag.split_once('=') {
                Some(("links", links)) => package.links(links).build_script("fn main() {}"),
                Some(("rust", version)) => package.rust_version(version),
                Some(("pubtime", time)) => package.published_at(time),
                _ => package.yanked(),
            };
        }
        for part in parts {
            let words: Vec<&str> = part.split(' ').collect();
            package = match words[..] {
                ["feature", name, "=", ref values @ ..] => package.feature(name, values),
                ["opt", name, requirement, ref rest @ ..] => {
                    package.dependency_with(dependency(name, requirement, rest).optional())
                }
                ["dev", name, requirement, ref rest @ ..] => {
                    package.dependency_with(dependency(name, requirement, rest).dev())
                }
                ["build", name, requirement, ref rest @ ..] => {
                    package.build_script("fn main() {}").dependency_with(dependency(name, requirement, rest).build())
                }
                [name, requirement, ref rest @ ..] => package.dependency_with(dependency(name, requirement, rest)),
                _ => panic!("{line}"),
            };
        }
        registry.publish(package);
    }
}

fn dependency(name: &str, requirement: &str, words: &[&str]) -> DependencyBuilder {
    words.iter().fold(DependencyBuilder::new(name, requirement), |it, word| match word.split_at(1) {
        ("+", feature) => it.features(&[feature]),
        ("-", _) => it.no_default_features(),
        _ => match word.split_once('=') {
            Some(("as", alias)) => it.renamed(alias),
            Some(("target", platform)) => it.target(platform),
            _ => panic!("{word}"),
        },
    })
}

/// Names below a profile's folder with hashes removed, folders that only one of the two keeps left out.
fn artifacts(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for (part, hashed) in [(".", false), ("deps", true), ("examples", true)] {
        let Ok(entries) = std::fs::read_dir(folder.join(part)) else { continue };
        for entry in entries.map(|entry| entry.expect("a readable folder")) {
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let (stem, ending) = name.split_once('.').unwrap_or((&name, ""));
            let stem = match stem.rsplit_once('-') {
                Some((stem, hash)) if hashed && hash.len() == 16 => stem,
                _ => stem,
            };
            if !name.starts_with('.') && !entry.file_type().expect("an entry").is_dir() {
                names.push(format!("{part}/{stem}.{ending}"));
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Publishes a library with features, a proc macro, a native library with `links`, its user, and a test helper.
pub(crate) fn publish(registry: &Registry) {
    let plain = |version: &str| {
        CrateBuilder::new("plain", version)
            .feature("default", &[])
            .feature("loud", &[])
            .file("src/lib.rs", format!("pub fn say() -> String {{ format!(\"plain {version}{{}}\", if cfg!(feature = \"loud\") {{ \"!\" }} else {{ \"\" }}) }}\n"))
    };
    registry.publish(plain("1.0.0")).publish(plain("1.1.0")).publish(plain("2.0.0"));
    registry.publish(
        CrateBuilder::new("derive-it", "0.3.0").proc_macro().file(
            "src/lib.rs",
            r#"
use proc_macro::{TokenStream, TokenTree};
#[proc_macro_derive(Hello)]
pub fn hello(input: TokenStream) -> TokenStream {
    let names: Vec<String> = input.into_iter().filter_map(|tree| match tree { TokenTree::Ident(name) => Some(name.to_string()), _ => None }).collect();
    let name = names.last().unwrap();
    format!("impl {name} {{ pub fn hello() -> &'static str {{ \"{name}\" }} }}").parse().unwrap()
}
"#,
        ),
    );
    registry.publish(
        CrateBuilder::new("native-sys", "1.2.3")
            .links("native")
            .build_script(
                r#"
fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/generated.rs"), "pub const GENERATED: u8 = 7;").unwrap();
    println!("cargo::metadata=root={out}");
    println!("cargo::rustc-check-cfg=cfg(has_native)");
    println!("cargo::rustc-cfg=has_native");
    println!("cargo::rustc-env=NATIVE_KIND=bundled");
    println!("cargo::rerun-if-env-changed=NATIVE_KIND_WANTED");
}
"#,
            )
            .file(
                "src/lib.rs",
                "include!(concat!(env!(\"OUT_DIR\"), \"/generated.rs\"));\n#[cfg(has_native)] pub const KIND: &str = env!(\"NATIVE_KIND\");\n",
            ),
    );
    registry.publish(
        CrateBuilder::new("uses-native", "0.1.0")
            .dependency("native-sys", "1.2")
            .build_script(
                r#"
fn main() {
    let root = std::env::var("DEP_NATIVE_ROOT").expect("metadata of native-sys");
    let text = std::fs::read_to_string(format!("{root}/generated.rs")).expect("what native-sys generated");
    println!("cargo:rustc-env=SEEN={}", text.len());
}
"#,
            )
            .file("src/lib.rs", "pub fn seen() -> (u8, &'static str, &'static str) { (native_sys::GENERATED, native_sys::KIND, env!(\"SEEN\")) }\n"),
    );
    registry.publish(CrateBuilder::new("test-tool", "0.5.0").file("src/lib.rs", "pub fn answer() -> u8 { 42 }\n"));
    registry.publish(
        CrateBuilder::new("optional-user", "0.1.0")
            .dependency_with(DependencyBuilder::new("plain", "1").optional())
            .feature("with-plain", &["dep:plain"])
            .file("src/lib.rs", "pub fn has_plain() -> bool { cfg!(feature = \"with-plain\") }\n"),
    );
}

/// A workspace that uses all of them: inheritance, a rename, features, a proc macro, `links` metadata, dev-dependencies.
pub(crate) const WORKSPACE: &str = r#"
//- /Cargo.toml
[workspace]
members = ["app", "library"]
resolver = "2"
[workspace.package]
version = "0.4.0"
edition = "2021"
[workspace.dependencies]
plain = { version = "1.0", default-features = false }
library = { path = "library" }
//- /app/Cargo.toml
[package]
name = "app"
version.workspace = true
edition.workspace = true
[features]
shout = ["quiet/loud"]
[dependencies]
library.workspace = true
derive-it = "0.3"
quiet = { package = "plain", version = "1" }
uses-native = "0.1"
[dev-dependencies]
test-tool = "0.5"
//- /app/src/main.rs
#[derive(derive_it::Hello)]
struct Named;
fn main() {
    println!("{} {} {} {:?}", Named::hello(), library::twice(4), quiet::say(), uses_native::seen());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{arguments:?}");
    if let Some(code) = arguments.first().and_then(|code| code.parse().ok()) { std::process::exit(code) }
}
//- /app/tests/whole.rs
#[test]
fn answers() { assert_eq!(test_tool::answer(), 42) }
#[test]
fn program_is_there() { assert!(std::path::Path::new(env!("CARGO_BIN_EXE_app")).exists()) }
//- /library/Cargo.toml
[package]
name = "library"
version.workspace = true
edition.workspace = true
[dependencies]
plain.workspace = true
[features]
broken = []
//- /library/src/lib.rs
pub fn twice(value: u32) -> u32 { let _ = plain::say(); value * 2 }
#[cfg(test)]
mod tests {
    #[test]
    fn doubles() { assert_eq!(super::twice(2), if cfg!(feature = "broken") { 5 } else { 4 }) }
}
//- /library/examples/show.rs
fn main() { println!("{}", library::twice(21)) }
"#;
