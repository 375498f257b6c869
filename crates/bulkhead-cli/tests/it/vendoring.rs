//! `vendor`: the same folder, the same lines, whichever of the two programs wrote them.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use bulkhead_test_support::{CrateBuilder, Entry, GitRepository, Registry};

use crate::stage::{Stage, Twins, WORKSPACE};

/// Every file and link below `folder`: its content, and whether it may be executed.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, (String, bool)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        for entry in entries.map(Result::unwrap) {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            if kind.is_dir() {
                found.insert(format!("{name}/"), Default::default());
                pending.push(path);
            } else {
                let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
                let executable = entry.metadata().unwrap().permissions().mode() & 0o111 != 0;
                found.insert(name, (content, executable && !kind.is_symlink()));
            }
        }
    }
    found
}

impl Twins {
    /// Both vendor with the same arguments, and have the same folder and say the same. Returns the configuration.
    #[track_caller]
    fn vendor(&self, arguments: &[&str]) -> String {
        let all: Vec<&str> =
            ["vendor", "--respect-source-config"].into_iter().chain(arguments.iter().copied()).collect();
        let (theirs, ours) = self.run(&all);
        assert_eq!(self.bulkhead.neutral(&ours.stdout), self.cargo.neutral(&theirs.stdout), "{theirs}{ours}");
        let lines = |stage: &Stage, text: &str| {
            let text = stage.neutral(text);
            // Where a package was copied from is each program's own business.
            let line = |line: &str| match (line.rfind(" ([HOME]"), line.find(") to ")) {
                (Some(from), Some(to)) => format!("{}{}", &line[..from], &line[to + 1..]),
                _ => line.to_owned(),
            };
            let mut lines: Vec<String> = text.lines().map(line).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&self.bulkhead, &ours.stderr), lines(&self.cargo, &theirs.stderr), "{theirs}{ours}");
        let both = ["vendor", "third/party"].map(|folder| {
            let of = |stage: &Stage| tree(&stage.project.path(folder));
            (of(&self.bulkhead), of(&self.cargo))
        });
        for (ours, theirs) in both {
            assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
            for (path, content) in &ours {
                assert_eq!(content, &theirs[path], "{path}");
            }
        }
        ours.stdout
    }
}

/// [`WORKSPACE`] with another version of `plain`, and a package whose archive has everything in it.
fn twins() -> Twins {
    let twins = Twins::new(WORKSPACE);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.registry.publish(
            CrateBuilder::new("full", "1.0.0+build.7")
                .dependency("plain", "2")
                .file(".gitignore", "x")
                .file("src/.gitattributes", "x")
                .file(".cargo-ok", "{}")
                .file("src/.cargo-checksum.json", "{\"files\":{}}")
                .file(".hidden/a", "x")
                .file("src/lib.rs", "")
                .file("a.orig", "x")
                .file("b.rej", "x")
                .file("Cargo.toml.orig", "x")
                .file("sub/Cargo.toml", "[package]\nname = \"sub\"\nversion = \"1.0.0\"\n")
                .file("target/x", "x")
                .file("with space/ü.txt", "x"),
        );
        stage.project.edit("app/Cargo.toml", "derive-it = \"0.3\"", "derive-it = \"0.3\"\nfull = \"1\"");
    }
    twins
}

#[test]
fn vendored_folders_are_cargos() {
    let twins = twins();
    twins.vendor(&[]);
    // Again, over what is there, and over what does not belong there.
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write("vendor/junk/file", "x");
        stage.project.write("vendor/file", "x");
        stage.project.write("vendor/.hidden", "x");
        stage.project.write("vendor/test-tool/extra", "x");
        stage.project.write("vendor/plain-1.1.0/extra", "x");
    }
    twins.vendor(&["--no-delete"]);
    twins.vendor(&[]);
    twins.vendor(&["--versioned-dirs", "third/party"]);
    twins.vendor(&["--versioned-dirs", "third/party", "--offline", "--locked"]);
    twins.vendor(&["-q"]);
    twins.vendor(&["--frozen"]);
}

#[test]
fn vendor_without_anything_to_vendor() {
    let twins = Twins::new("//- /Cargo.toml\n[package]\nname = \"alone\"\nversion = \"0.1.0\"\n//- /src/lib.rs\n");
    twins.vendor(&[]);
    assert!(!twins.bulkhead.project.path("vendor").exists());
    twins.same_output(&["vendor", "-q"]);
    let twins = Twins::new(WORKSPACE);
    let (_, ours) = twins.run(&["vendor", "--respect-source-config", "--locked"]);
    assert!(ours.stderr.contains("--locked was passed"), "{ours}");
}

#[test]
fn further_workspaces_are_synced() {
    let twins = twins();
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write("other/Cargo.toml", "[package]\nname = \"other\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\noptional-user = { version = \"0.1\", features = [\"with-plain\"] }\n[workspace]\n");
        stage.project.write("other/src/lib.rs", "");
    }
    twins.vendor(&["-s", "other/Cargo.toml"]);
    assert!(twins.bulkhead.project.path("vendor/optional-user").exists());
    twins.vendor(&["--sync", "other/Cargo.toml", "--manifest-path", "app/Cargo.toml"]);
}

/// What one program vendored, the other builds from.
#[test]
fn each_reads_what_the_other_vendored() {
    let twins = twins();
    let (theirs, ours) = twins.run(&["vendor", "--respect-source-config"]);
    twins.cargo.project.write(".cargo/config.toml", theirs.stdout);
    twins.bulkhead.project.write(".cargo/config.toml", ours.stdout);
    let (by_cargo, by_us) = (&twins.cargo, &twins.bulkhead);
    by_cargo.bulkhead(&["trust", "--yes"]).assert_success();
    by_us.bulkhead(&["trust", "--yes"]).assert_success();
    let reads = by_cargo.bulkhead(&["run", "--frozen"]);
    let read = by_us.cargo(&["run", "--frozen"]);
    reads.assert_success();
    read.assert_success();
    assert_eq!(reads.stdout, read.stdout);
    by_us.bulkhead(&["run", "--frozen"]).assert_success();
    by_us.bulkhead(&["verify"]).assert_success();
}

/// Attack 58.
#[test]
fn a_hostile_archive_is_not_vendored() {
    let twins = Twins::new(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\n[dependencies]\nhostile = \"1\"\n//- /src/lib.rs\n",
    );
    for stage in [&twins.cargo, &twins.bulkhead] {
        let link = Entry::symlink("hostile-1.0.0/src/out.rs", "/etc/hostname");
        stage.registry.publish(CrateBuilder::new("hostile", "1.0.0").file("src/lib.rs", "").entry(link));
    }
    let ours = twins.bulkhead.bulkhead(&["vendor", "--respect-source-config"]);
    ours.assert_code(104);
    assert!(!twins.bulkhead.project.path("vendor").exists(), "{ours}");
}

#[test]
fn a_folder_that_holds_something_else_is_not_emptied() {
    // Cargo removes the workspace itself.
    let stage = Stage::new(WORKSPACE);
    let theirs = stage.cargo(&["vendor", "--respect-source-config", "."]);
    assert!(!stage.project.path("Cargo.toml").exists(), "{theirs}");
    // And what a link in the repository leads to.
    let stage = Stage::new(WORKSPACE);
    let precious = stage.project.outside().join("precious");
    std::fs::create_dir(&precious).unwrap();
    std::fs::write(precious.join("thesis.txt"), "x").unwrap();
    symlink(&precious, stage.project.path("vendor")).unwrap();
    let ours = stage.bulkhead(&["vendor", "--respect-source-config"]);
    ours.assert_code(102);
    assert!(precious.join("thesis.txt").exists(), "{ours}");
    for folder in [".", "..", "app", "vendor/../.."] {
        stage.bulkhead(&["vendor", "--respect-source-config", folder]).assert_code(102);
    }
    assert!(stage.project.path("app/src/main.rs").exists());
    stage.cargo(&["vendor", "--respect-source-config"]).assert_success();
    assert!(!precious.join("thesis.txt").exists());
    // The benign twin: a folder elsewhere that the user names.
    std::fs::remove_file(stage.project.path("vendor")).unwrap();
    stage.bulkhead(&["vendor", "--respect-source-config", precious.to_str().unwrap()]).assert_success();
}

/// Packages of a repository that inherit, leave files out and need each other.
const REPOSITORY: &str = r#"
//- /Cargo.toml
[workspace]
members = ["apple", "pear"]
resolver = "2"
[workspace.package]
version = "1.2.3"
edition = "2021"
readme = "README.md"
license = "MIT"
[workspace.dependencies]
pear = { path = "pear", version = "0.4" }
plain = "1"
[workspace.lints.rust]
unused = "warn"
//- /README.md
Fruit.
//- /apple/Cargo.toml
[package]
name = "apple"
version.workspace = true
edition.workspace = true
readme.workspace = true
license.workspace = true
exclude = ["*.log", "/notes"]
[features]
sour = ["plain/loud"]
[dependencies]
pear.workspace = true
plain = { workspace = true, features = ["default"] }
[dev-dependencies]
quince = { path = "../orchard/quince" }
[lints]
workspace = true
//- /apple/src/lib.rs
pub fn taste() -> String { format!("apple and {} and {}", pear::taste(), plain::say()) }
//- /apple/a.log
x
//- /apple/notes/x
x
//- /apple/.gitattributes
x
//- /apple/examples/eat.rs
fn main() {}
//- /apple/build.rs
fn main() {}
//- /pear/Cargo.toml
[package]
name = "pear"
version = "0.4.0"
edition = "2021"
include = ["src"]
//- /pear/src/lib.rs
pub fn taste() -> String { "pear".to_owned() }
//- /pear/notes
x
//- /orchard/quince/Cargo.toml
[package]
name = "quince"
version = "0.1.0"
//- /orchard/quince/src/lib.rs
"#;

#[test]
fn packages_of_repositories_are_vendored_as_cargo_does() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let fixture = format!(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
         apple = {{ git = \"{}\" }}\n//- /src/main.rs\nfn main() {{ println!(\"{{}}\", apple::taste()); }}\n",
        repository.url()
    );
    let twins = Twins::new(&fixture);
    let config = twins.vendor(&[]);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write(".cargo/config.toml", &config);
        stage.bulkhead(&["trust", "--yes"]).assert_success();
    }
    // The repository is gone.
    let gone = repository.root().with_extension("gone");
    std::fs::rename(repository.root(), &gone).unwrap();
    let fresh = twins.bulkhead.project.outside().join("fresh");
    let command = |arguments: &[&str]| twins.bulkhead.command(arguments).env("BULKHEAD_HOME", &fresh).run();
    command(&["trust", "--yes"]).assert_success();
    let ours = command(&["run", "--frozen"]);
    assert_eq!(ours.stdout, "apple and pear and plain 1.1.0\n", "{ours}");
    twins.cargo.cargo(&["run", "--frozen"]).assert_success();
    for arguments in [&["tree"][..], &["metadata", "--format-version", "1", "--offline"], &["update", "plain"]] {
        let (theirs, ours) = (twins.bulkhead.cargo(arguments), twins.bulkhead.bulkhead(arguments));
        assert_eq!(ours.stdout, theirs.stdout, "{ours}");
    }
    twins.run(&["update"]);
    twins.bulkhead.bulkhead(&["verify"]).assert_success();
    // Without a lockfile nobody knows which commit was copied.
    for stage in [&twins.cargo, &twins.bulkhead] {
        std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
    }
    let (_, ours) = twins.run(&["check"]);
    assert!(ours.stderr.contains("requires a lock file to be present first"), "{ours}");
    std::fs::rename(gone, repository.root()).unwrap();
}

#[test]
fn a_repository_can_be_read_from_a_mirror() {
    let (repository, mirror) = (GitRepository::new("fruit", REPOSITORY), GitRepository::new("mirror", ""));
    mirror.git(&["fetch", "-q", &repository.url(), "main:main", "-f", "-u"]);
    let fixture = format!(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
         pear = {{ git = \"{}\" }}\n//- /src/lib.rs\n",
        repository.url()
    );
    let twins = Twins::new(&fixture);
    twins.run(&["generate-lockfile"]);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.home.configure(&format!(
            "[source.fruit]\ngit = \"{}\"\nreplace-with = \"mirror\"\n[source.mirror]\ngit = \"{}\"\n",
            repository.url(),
            mirror.url()
        ));
    }
    let gone = repository.root().with_extension("gone");
    std::fs::rename(repository.root(), &gone).unwrap();
    // Cargo wants to know the commit from a lockfile.
    let (theirs, ours) = twins.run(&["update"]);
    for text in [&theirs.stderr, &ours.stderr] {
        assert!(text.contains("requires a lock file to be present first"), "{text}");
    }
    std::fs::rename(&gone, repository.root()).unwrap();
    let (_, ours) = twins.run(&["check"]);
    ours.assert_success();
    assert!(twins.bulkhead.project.read("Cargo.lock").contains(&repository.url()));
}

#[test]
fn packages_of_other_registries_are_vendored_under_their_names() {
    let twins = Twins::new(WORKSPACE);
    let other = Registry::start();
    other.publish(CrateBuilder::new("elsewhere", "1.0.0").file("src/lib.rs", ""));
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.home.configure(&format!("[registries.other]\nindex = \"{}\"\n", other.index_url()));
        let entry = "derive-it = \"0.3\"\nelsewhere = { version = \"1\", registry = \"other\" }";
        stage.project.edit("app/Cargo.toml", "derive-it = \"0.3\"", entry);
    }
    let (theirs, ours) = twins.run(&["vendor", "--respect-source-config"]);
    assert_eq!(ours.stdout, theirs.stdout, "{theirs}{ours}");
    let vendored = |stage: &Stage| tree(&stage.project.path("vendor"));
    assert_eq!(vendored(&twins.bulkhead), vendored(&twins.cargo));
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write(".cargo/config.toml", &ours.stdout);
        stage.bulkhead(&["trust", "--yes"]).assert_success();
    }
    drop(other);
    let (theirs, ours) = twins.run(&["run", "--frozen"]);
    assert_eq!(ours.stdout, theirs.stdout, "{theirs}{ours}");
}

/// What `[replace]` takes out of use is in the lockfile, and is looked for in the folder by whoever reads it.
#[test]
fn replaced_packages_are_vendored_too() {
    let twins = Twins::new(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
         plain = \"1\"\n[replace]\n\"plain:1.1.0\" = { path = \"own\" }\n\
         //- /src/main.rs\nfn main() { println!(\"{}\", plain::say()) }\n\
         //- /own/Cargo.toml\n[package]\nname = \"plain\"\nversion = \"1.1.0\"\nedition = \"2021\"\n[dependencies]\n\
         newer = { package = \"plain\", version = \"2\" }\n\
         //- /own/src/lib.rs\npub fn say() -> String { format!(\"own, {}\", newer::say()) }\n",
    );
    let config = twins.vendor(&["--versioned-dirs"]);
    // The stand-in has dependencies that the published package lacks: what is copied is the latter.
    let manifest = twins.bulkhead.project.read("vendor/plain-1.1.0/Cargo.toml");
    assert!(!manifest.contains("newer"), "{manifest}");
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write(".cargo/config.toml", &config);
        stage.bulkhead(&["trust", "--yes"]).assert_success();
    }
    for arguments in [&["run", "--frozen"][..], &["tree", "--frozen"], &["pkgid", "--frozen"]] {
        let (theirs, ours) = twins.run(arguments);
        ours.assert_success();
        assert_eq!(twins.bulkhead.neutral(&ours.stdout), twins.cargo.neutral(&theirs.stdout), "{theirs}{ours}");
    }
}
