//! `install` and `uninstall`, beside `cargo`, and what packages may not do with them.

use crate::stage::{Stage, assert_error};
use bulkhead_test_support::{CrateBuilder, GitRepository, Outcome, Registry};
use std::path::{Path, PathBuf};

const HERE: &str = r#"
//- /Cargo.toml
[package]
name = "here"
version = "0.1.0"
edition = "2021"
//- /src/main.rs
fn main() { println!("here") }
//- /src/bin/second.rs
fn main() { println!("second") }
//- /examples/shown.rs
fn main() {}
"#;

fn program(name: &str, version: &str, binary: &str) -> CrateBuilder {
    let manifest_name = format!("src/bin/{binary}.rs");
    CrateBuilder::new(name, version).file(&manifest_name, format!("fn main() {{ println!(\"{name} {version}\") }}"))
}

fn publish(registry: &Registry) {
    for version in ["1.0.0", "1.2.0"] {
        registry.publish(program("tool", version, "tool-program"));
    }
    registry.publish(program("other", "1.0.0", "tool-program"));
    registry.publish(program("several", "1.0.0", "one").file("src/bin/two.rs", "fn main() {}").feature("extra", &[]));
    registry.publish(program("several", "2.0.0", "one").feature("extra", &[]));
    registry.publish(
        program("nosy", "1.0.0", "nosy")
            .file("build.rs", "fn main() { println!(\"cargo::rustc-env=SEEN={:?}\", option_env!(\"PLANTED\")); }")
            .file("src/bin/nosy.rs", "fn main() { println!(\"{} {:?}\", env!(\"SEEN\"), option_env!(\"PLANTED\")) }")
            .file(".cargo/config.toml", "[env]\nPLANTED = \"yes\"\n[profile.release]\ndebug-assertions = true\n"),
    );
    registry.publish(program("shadower", "1.0.0", "rustc"));
    registry.publish(CrateBuilder::new("library-only", "1.0.0").file("src/lib.rs", ""));
}

/// Both programs, each with an install root of its own.
struct Roots {
    stage: Stage,
}

impl Roots {
    fn new() -> Roots {
        let stage = Stage::new(HERE);
        publish(&stage.registry);
        Roots { stage }
    }

    fn root(&self, who: &str) -> PathBuf {
        self.stage.home.path().join(format!("{who}-root"))
    }

    fn run(&self, who: &str, arguments: &[&str]) -> Outcome {
        let root = self.root(who).display().to_string();
        let words: Vec<&str> = arguments.iter().copied().chain(["--root", &root]).collect();
        let program = if who == "cargo" { "cargo" } else { crate::stage::BULKHEAD };
        self.stage.home.command(program).args(words).current_dir(self.stage.project.root()).run()
    }

    /// The programs and the records below both roots are the same.
    #[track_caller]
    fn same(&self, arguments: &[&str]) -> Outcome {
        let (theirs, ours) = (self.run("cargo", arguments), self.run("bulkhead", arguments));
        assert!(ours.ends_as(&theirs), "{arguments:?}\n{theirs}\n{ours}");
        let installed = |who: &str| {
            let folder = std::fs::read_dir(self.root(who).join("bin")).into_iter().flatten().flatten();
            let mut names: Vec<_> = folder.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort();
            let record = |name| std::fs::read_to_string(self.root(who).join(name)).unwrap_or_default();
            let mut second: serde_json::Value = serde_json::from_str(&record(".crates2.json")).unwrap_or_default();
            for (_, package) in second["installs"].as_object_mut().into_iter().flatten() {
                package.as_object_mut().unwrap().remove("digests");
            }
            (names, record(".crates.toml"), second)
        };
        assert_eq!(installed("bulkhead"), installed("cargo"), "{arguments:?}\n{theirs}\n{ours}");
        ours
    }

    /// The same, and both say the same: all of it where it went well, else the progress and the first line of each error,
    /// without the folder in which Cargo leaves what it could not finish.
    #[track_caller]
    fn same_words(&self, arguments: &[&str]) -> Outcome {
        let said = |who: &str, outcome: &Outcome| {
            let text = self.stage.neutral(&outcome.stderr).replace(&format!("{who}-root"), "ROOT");
            let is_told = |line: &&str| {
                let is_progress = line.starts_with("   ") && line.as_bytes().get(12) == Some(&b' ');
                let passing = ["Downloading ", "Downloaded ", "Updating "];
                let is_passing = passing.iter().any(|verb| line.trim_start().starts_with(verb));
                !is_passing && (outcome.code() == Some(0) || line.starts_with("error") || is_progress)
            };
            let gone = ", intermediate artifacts can be found at `/tmp/";
            let line =
                |line: &str| line.split_once(gone).map_or_else(|| line.to_owned(), |(before, _)| before.to_owned());
            text.lines().filter(is_told).map(line).collect::<Vec<_>>()
        };
        let theirs = self.run("cargo", arguments);
        let ours = self.run("bulkhead", arguments);
        assert!(ours.ends_as(&theirs), "{arguments:?}\n{theirs}\n{ours}");
        assert_eq!(said("bulkhead", &ours), said("cargo", &theirs), "{arguments:?}\n{theirs}\n{ours}");
        ours
    }
}

#[test]
fn programs_are_installed_and_removed_as_by_cargo() {
    let roots = Roots::new();
    roots.same(&["install", "tool", "--version", "1.0.0"]);
    let said = std::process::Command::new(roots.root("bulkhead").join("bin/tool-program")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "tool 1.0.0\n");
    assert!(roots.same(&["install", "tool@1.0.0"]).stderr.contains("Ignored package"));
    assert!(roots.same(&["install", "tool"]).stderr.contains("Replaced package `tool v1.0.0"));
    // Another package may not take the program's place, unless it is forced to.
    assert_error(&roots.same(&["install", "other"]), 101, &["already exists in destination as part of `tool v1.2.0"]);
    roots.same(&["install", "other", "--force"]);
    roots.same(&["install", "library-only"]);
    roots.same(&["install", "absent"]);
    let listed = roots.same(&["install", "--list"]);
    assert!(listed.stdout.contains("other v1.0.0:\n    tool-program"), "{listed}");
    roots.same(&["uninstall", "absent"]);
    roots.same(&["uninstall", "other"]);
    assert_eq!(std::fs::read_dir(roots.root("bulkhead").join("bin")).unwrap().count(), 0);
}

#[test]
fn what_is_installed_is_told_as_by_cargo() {
    let roots = Roots::new();
    let careless = program("careless", "1.0.0", "careless").manifest_extra("[package.metadata]\n[bogus]\nkey = 1\n");
    roots.stage.registry.publish(careless);
    // What is built is the registry's package, and what its author did wrong is not the user's business.
    let outcome = roots.same_words(&["install", "careless"]);
    assert!(outcome.stderr.contains("Compiling careless v1.0.0\n") && !outcome.stderr.contains("bogus"), "{outcome}");
    roots.same_words(&["install", "careless"]);
    roots.same_words(&["install", "tool@1.0.0"]);
    roots.same_words(&["install", "tool"]);
    roots.same_words(&["install", "tool", "several"]);
    roots.same_words(&["uninstall", "tool", "absent", "several"]);
    // Nobody's program is in the way.
    roots.same_words(&["install", "tool", "--no-track"]);
    roots.same_words(&["install", "tool"]);
    roots.same_words(&["install", "tool", "--force"]);
    roots.same_words(&["install", "--path", "."]);
    roots.same_words(&["uninstall", "--bin", "second"]);
    roots.same_words(&["uninstall"]);
    roots.same_words(&["uninstall"]);
    assert_eq!(
        roots.run("bulkhead", &["install", "--list"]).stdout,
        "careless v1.0.0:\n    careless\ntool v1.2.0:\n    tool-program\n"
    );
}

/// What only its tests need does not keep a program from being installed.
#[test]
fn what_tests_need_is_not_looked_for() {
    let roots = Roots::new();
    let registry = &roots.stage.registry;
    let absent = bulkhead_test_support::DependencyBuilder::new("absent", "7").dev();
    let tool = bulkhead_test_support::DependencyBuilder::new("test-tool", "0.5").dev();
    registry.publish(program("tested", "1.0.0", "tested").dependency("plain", "2").dependency_with(tool));
    registry.publish(program("tested", "1.1.0", "tested").dependency("plain", "2").dependency_with(absent));
    let outcome = roots.same_words(&["install", "tested@1.0.0"]);
    assert!(outcome.stderr.contains("Locking 1 package to"), "{outcome}");
    let outcome = roots.same(&["install", "tested"]);
    assert!(outcome.assert_success().stderr.contains("Locking 1 package to"), "{outcome}");
}

/// The user's own lockfile says what is installed from the user's own folder; Cargo does not read it.
#[test]
fn a_folder_is_installed_as_it_is_locked() {
    let roots = Roots::new();
    let manifest =
        "[package]\nname = \"here\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nplain = \"1\"\n";
    roots.stage.project.write("Cargo.toml", manifest);
    roots.stage.project.write("src/main.rs", "fn main() { println!(\"{}\", plain::say()) }");
    roots.stage.bulkhead(&["update", "-p", "plain", "--precise", "1.0.0"]).assert_success();
    let lockfile = || std::fs::read_to_string(roots.stage.project.path("Cargo.lock")).unwrap();
    assert!(lockfile().contains("1.0.0"), "{}", lockfile());
    let said = |who: &str| {
        let program = roots.root(who).join("bin/here");
        String::from_utf8(std::process::Command::new(program).output().unwrap().stdout).unwrap()
    };
    for (arguments, ours, theirs) in [
        (&["install", "--path", "."][..], "plain 1.0.0\n", "plain 1.1.0\n"),
        (&["install", "--path", ".", "--locked"], "plain 1.0.0\n", "plain 1.0.0\n"),
    ] {
        roots.same(arguments);
        assert_eq!((said("bulkhead").as_str(), said("cargo").as_str()), (ours, theirs), "{arguments:?} {}", lockfile());
    }
}

/// What a program depends on may be gone from the registry for all but its own lockfile.
#[test]
fn what_the_author_has_locked_is_installed() {
    let roots = Roots::new();
    let registry = &roots.stage.registry;
    registry.publish(CrateBuilder::new("part", "1.0.0").file("src/lib.rs", "pub fn say() { println!(\"part\") }"));
    let line: serde_json::Value = serde_json::from_str(registry.index_lines("part").trim()).unwrap();
    let lockfile = format!(
        "version = 4\n\n[[package]]\nname = \"part\"\nversion = \"1.0.0\"\n\
         source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = {}\n\n\
         [[package]]\nname = \"whole\"\nversion = \"1.0.0\"\ndependencies = [\n \"part\",\n]\n",
        line["cksum"]
    );
    let whole = CrateBuilder::new("whole", "1.0.0").dependency("part", "1").file("Cargo.lock", lockfile);
    registry.publish(whole.file("src/main.rs", "fn main() { part::say() }"));
    registry.set_yanked("part", "1.0.0", true);
    let failed = roots.same(&["install", "whole"]);
    assert_error(&failed, 101, &["error: failed to compile `whole v1.0.0`\n", "part"]);
    let outcome = roots.same_words(&["install", "whole", "--locked"]);
    assert!(outcome.assert_success().stderr.contains("part v1.0.0` in Cargo.lock is yanked"), "{outcome}");
}

#[test]
fn what_cannot_be_installed_is_told_as_by_cargo() {
    let roots = Roots::new();
    let registry = &roots.stage.registry;
    registry.publish(program("withdrawn", "1.0.0", "withdrawn")).set_yanked("withdrawn", "1.0.0", true);
    registry.publish(CrateBuilder::new("broken", "1.0.0").file("src/main.rs", "fn main() { nothing }"));
    for arguments in [
        &["install", "absent"][..],
        &["install", "absent@1.0.0"],
        &["install", "absent", "tool@7.0.0"],
        &["install", "withdrawn"],
        &["install", "withdrawn@1.0.0"],
        &["install", "tool", "--version", ">=7, <8"],
        &["install", "tool", "--version", "9.*"],
        &["install", "tool@newest"],
        &["install", "tool@1"],
        &["install", "tool@"],
        &["install", "tool", "--version", "1.0"],
        &["install", "tool", "--version", ">=x"],
        &["install", "tool", "--version", ""],
        &["install", "tool@1.0.0", "--version", "1.0.0"],
        &["install", "--path", "absent"],
        &["install", "--path", "src"],
        &["install", "--path", "src/main.rs"],
        &["uninstall", "absent"],
        &["uninstall", "absent", "tool"],
        &["uninstall", "absent", "tool", "--bin", "x"],
        &["uninstall"],
    ] {
        roots.same_words(arguments);
    }
    // Why the manifest that was made to ask does not fit is nobody's business.
    let absent = roots.run("bulkhead", &["install", "tool@7.0.0"]).stderr;
    assert!(
        absent.contains("versions found which didn't match: 1.2.0") && !absent.contains("bulkhead-install"),
        "{absent}"
    );
    // That it is held back as too new is.
    roots.stage.registry.publish(program("fresh", "1.0.0", "fresh").published_at("2999-01-01T00:00:00Z"));
    let age = ("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE", "3 days");
    let fresh = roots.stage.command(&["install", "fresh"]).env(age.0, age.1).run();
    assert_error(&fresh, 101, &["error: could not find `fresh`", "version 1.0.0 is too new", "[[publish-age.exempt]]"]);
    roots.stage.project.write("src/main.rs", "fn main() { nothing }");
    let failed = roots.same_words(&["install", "--path", "."]);
    assert!(failed.stderr.contains("intermediate artifacts can be found at"), "{failed}");
    let failed = roots.same_words(&["install", "broken"]);
    assert_error(&failed, 101, &["error: failed to compile `broken v1.0.0`\n"]);
}

#[test]
fn a_package_in_a_folder_is_installed() {
    let roots = Roots::new();
    roots.same(&["install", "--path", "."]);
    roots.same(&["install", "--path", ".", "--bin", "here", "--debug"]);
    roots.same(&["install", "--path", ".", "--example", "shown"]);
    roots.same(&["install", "--path", "."]);
    roots.same(&["install", "--path", ".", "--examples"]);
    roots.same(&["uninstall", "here", "--bin", "second"]);
    roots.same(&["uninstall", "here"]);
    roots.same(&["install"]);
    roots.same(&["install", "--path", "absent"]);
}

#[test]
fn what_has_changed_is_built_again_and_what_is_gone_is_removed() {
    let roots = Roots::new();
    roots.same(&["install", "several@1.0.0"]);
    assert!(roots.same(&["install", "several@1.0.0"]).stderr.contains("Ignored package"));
    for again in [&["--features", "extra"][..], &["--debug"], &["--bin", "two"], &["--bin", "one", "--bin", "two"], &[]]
    {
        let arguments: Vec<&str> = ["install", "several@1.0.0"].iter().chain(again).copied().collect();
        roots.same(&arguments);
    }
    let outcome = roots.same(&["install", "several"]);
    assert!(outcome.stderr.contains("Removing executable `two` from previous version several v1.0.0"), "{outcome}");
    let outcome = roots.same(&["install", "several", "tool", "absent"]);
    assert!(
        outcome.stderr.contains("Summary Successfully installed several, tool! Failed to install absent"),
        "{outcome}"
    );
    roots.same(&["install", "tool", "--no-track", "--force"]);
    roots.same(&["install", "tool@1"]);
    roots.same(&["install", "tool@^1"]);
    roots.same(&["install", "tool", "--version", "1.0.0", "--locked"]);
    roots.same(&["install", "tool@1.0.0", "--version", "1.0.0"]);
    roots.same(&["install", "tool", "--profile", "nonsense"]);
    roots.same(&["uninstall", "tool", "several"]);
}

#[test]
fn a_package_cannot_configure_how_it_is_built() {
    let roots = Roots::new();
    for who in ["cargo", "bulkhead"] {
        roots.run(who, &["install", "nosy"]).assert_code(0);
        let said = std::process::Command::new(roots.root(who).join("bin/nosy")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "None None\n", "{who}");
    }
    // It is somebody else's code, although it is the root of what is built.
    let policy = "[build-code]\nlevel = \"approve\"\n";
    let path = roots.stage.home.path().join(".config/bulkhead/policy.toml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, policy).unwrap();
    let outcome = roots.run("bulkhead", &["install", "nosy", "--force"]);
    assert_error(&outcome, 102, &["build-code-approval", "nosy v1.0.0", "[[build-code.override]]"]);
    roots.run("bulkhead", &["install", "tool"]).assert_code(0);
    let allowed = format!("{policy}[[build-code.override]]\npackage = \"nosy\"\nlevel = \"confined\"\n");
    std::fs::write(&path, allowed).unwrap();
    roots.run("bulkhead", &["install", "nosy", "--force"]).assert_code(0);
}

/// As du-dust does it, which makes completions and a manual page. The copy of its sources goes after the build.
#[test]
fn a_script_may_write_into_the_copy_that_is_installed_and_nowhere_else() {
    let roots = Roots::new();
    let script = |path: &str| {
        let folder = "std::fs::create_dir_all(path.parent().unwrap()).unwrap();";
        format!(
            "fn main() {{ let path = std::path::Path::new({path:?}); {folder} std::fs::write(path, \"x\").unwrap(); }}"
        )
    };
    let registry = &roots.stage.registry;
    registry.publish(program("writer", "1.0.0", "writer").file("build.rs", script("completions/made")));
    registry.publish(program("intruder", "1.0.0", "intruder").file("build.rs", script("../../beside/made.intruder")));
    let inner = CrateBuilder::new("inner", "1.0.0").file("src/lib.rs", "").file("build.rs", script("completions/made"));
    registry.publish(inner);
    registry.publish(program("outer", "1.0.0", "outer").dependency("inner", "1"));
    roots.same(&["install", "writer"]);
    let intruded = || file_below(roots.stage.home.path(), "made.intruder");
    // What is in a folder for temporary files is confined as well: there each process has its own.
    roots.run("bulkhead", &["install", "intruder"]);
    assert_eq!(intruded(), None);
    roots.run("cargo", &["install", "intruder"]).assert_code(0);
    assert!(intruded().is_some(), "it bites");
    roots.run("cargo", &["install", "outer"]).assert_code(0);
    roots.run("bulkhead", &["install", "outer"]).assert_code(105);
}

/// The file of this ending below `folder`.
fn file_below(folder: &Path, ending: &str) -> Option<PathBuf> {
    folder.read_dir().ok()?.flatten().map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => file_below(&path, ending),
        false => path.ends_with(ending).then_some(path),
    })
}

#[test]
fn what_was_changed_in_the_store_is_not_installed() {
    let roots = Roots::new();
    let arguments = ["install", "tool@1.0.0", "--force"];
    roots.run("bulkhead", &arguments).assert_success();
    let source = file_below(&roots.stage.home.bulkhead_home(), "tool-1.0.0/src/bin/tool-program.rs").unwrap();
    std::fs::set_permissions(&source, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&source, "fn main() { println!(\"planted\") }").unwrap();
    let outcome = roots.run("bulkhead", &arguments);
    assert!(outcome.assert_success().stderr.contains("was unpacked again"), "{outcome}");
    let program = roots.root("bulkhead").join("bin/tool-program");
    assert_eq!(roots.stage.home.command(program.to_str().unwrap()).run().stdout, "tool 1.0.0\n");
}

#[test]
fn a_package_of_a_repository_is_installed() {
    let roots = Roots::new();
    let repository = GitRepository::new(
        "fruit",
        "//- /Cargo.toml\n[workspace]\nmembers = [\"apple\", \"pear\"]\nresolver = \"2\"\n\
         //- /apple/Cargo.toml\n[package]\nname = \"apple\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
         [dependencies]\npear = { path = \"../pear\" }\n\
         //- /apple/src/main.rs\nfn main() { pear::eat() }\n\
         //- /pear/Cargo.toml\n[package]\nname = \"pear\"\nversion = \"0.2.0\"\nedition = \"2021\"\n\
         //- /pear/src/lib.rs\npub fn eat() { println!(\"eaten\") }\n",
    );
    let url = repository.url();
    let head = repository.head();
    roots.same(&["install", "--git", &url, "apple"]);
    let said = std::process::Command::new(roots.root("bulkhead").join("bin/apple")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "eaten\n");
    assert!(roots.same(&["install", "--git", &url, "apple"]).stderr.contains("Ignored package"));
    roots.same(&["install", "--git", &url, "--rev", &head, "apple"]);
    roots.same(&["install", "--git", &url, "pear"]);
    roots.same(&["install", "--git", &url, "--branch", "absent", "apple"]);
    roots.same(&["install", "--git", &url]);
    roots.same(&["install", "--list"]);
}

#[test]
fn cargo_goes_on_with_our_records() {
    let roots = Roots::new();
    roots.run("bulkhead", &["install", "tool", "--version", "1.0.0"]).assert_code(0);
    std::fs::rename(roots.root("bulkhead"), roots.root("cargo")).unwrap();
    assert!(roots.run("cargo", &["install", "tool"]).stderr.contains("Replaced package `tool v1.0.0"));
    std::fs::rename(roots.root("cargo"), roots.root("bulkhead")).unwrap();
    assert!(roots.run("bulkhead", &["install", "--list"]).stdout.contains("tool v1.2.0"));
    roots.run("bulkhead", &["uninstall", "tool"]).assert_code(0);
}

/// Attack 13: a program with the name of another.
#[test]
fn a_program_cannot_stand_beside_one_of_the_users() {
    let roots = Roots::new();
    assert_eq!(roots.run("cargo", &["install", "shadower"]).code(), Some(0), "cargo installs a `rustc`");
    assert_error(&roots.run("bulkhead", &["install", "shadower"]), 101, &["`rustc`", "--shadow rustc"]);
    assert!(!roots.root("bulkhead").join("bin/rustc").exists());
    roots.run("bulkhead", &["install", "shadower", "--shadow", "rustc"]).assert_code(0);
}

/// Attack 13, the other way round: a record that names what is not its own.
#[test]
fn a_doctored_record_removes_nothing_else() {
    let roots = Roots::new();
    roots.run("bulkhead", &["install", "tool"]).assert_code(0);
    let (root, canary) = (roots.root("bulkhead"), roots.stage.home.path().join("canary"));
    std::fs::write(&canary, "x").unwrap();
    let record = root.join(".crates.toml");
    let honest = std::fs::read_to_string(&record).unwrap();
    for name in ["../../canary", "/etc/hostname", "..", "-x"] {
        std::fs::write(&record, honest.replace("[\"tool-program\"]", &format!("[\"{name}\"]"))).unwrap();
        assert_error(
            &roots.run("bulkhead", &["uninstall", "tool"]),
            101,
            &["cannot be the name of an installed program"],
        );
    }
    // A file that took the program's place is nobody's to remove.
    std::fs::write(&record, &honest).unwrap();
    std::fs::write(root.join("bin/tool-program"), "mine").unwrap();
    assert_error(&roots.run("bulkhead", &["uninstall", "tool"]), 101, &["is not the program that was installed"]);
    assert!(canary.exists() && root.join("bin/tool-program").exists());
}

/// Whichever of the two programs is asked, what is installed and what is written down is what cargo alone would have left.
#[test]
fn one_root_is_shared_with_cargo() {
    let roots = Roots::new();
    let lines: &[&[&str]] = &[
        &["install", "tool", "--version", "1.0.0"],
        &["install", "tool"],
        &["install", "tool@1.0.0"],
        &["install", "tool@1.0.0", "--force"],
        &["install", "several@1.0.0"],
        &["install", "several", "--features", "extra", "--locked"],
        &["install", "several@1.0.0", "--bin", "two"],
        &["install", "several@1.0.0", "--bin", "one", "--force"],
        &["install", "other"],
        &["install", "other", "--force"],
        &["install", "--path", ".", "--bin", "second"],
        &["install", "--path", ".", "--bins", "--debug"],
        &["install", "--path", ".", "--example", "shown", "--force"],
        &["install", "tool", "--no-track", "--force"],
        &["install", "--list"],
        &["uninstall", "-p", "several", "--bin", "two"],
        &["uninstall", "several"],
        &["uninstall", "-p", "here"],
        &["uninstall", "other"],
    ];
    let record = |root: &str, name: &str| std::fs::read_to_string(roots.root(root).join(name)).unwrap_or_default();
    let state = |root: &str| {
        let folder = std::fs::read_dir(roots.root(root).join("bin")).into_iter().flatten().flatten();
        let mut names: Vec<_> = folder.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        let mut second: serde_json::Value = serde_json::from_str(&record(root, ".crates2.json")).unwrap_or_default();
        for (_, package) in second["installs"].as_object_mut().into_iter().flatten() {
            package.as_object_mut().unwrap().remove("digests");
        }
        (names, record(root, ".crates.toml"), second)
    };
    for first in ["cargo", "bulkhead"] {
        for (number, line) in lines.iter().enumerate() {
            let who = if (number % 2 == 0) == (first == "cargo") { "cargo" } else { "bulkhead" };
            let alone = roots.run("cargo", line);
            let program = if who == "cargo" { "cargo" } else { crate::stage::BULKHEAD };
            let root = roots.root("shared").display().to_string();
            let words: Vec<&str> = line.iter().copied().chain(["--root", &root]).collect();
            let shared = roots.stage.home.command(program).args(words).current_dir(roots.stage.project.root()).run();
            assert!(shared.ends_as(&alone), "{who} {line:?}\n{alone}\n{shared}");
            assert_eq!(state("shared"), state("cargo"), "{who} {line:?}\n{alone}\n{shared}");
        }
        for root in ["shared", "cargo"] {
            std::fs::remove_dir_all(roots.root(root)).unwrap();
        }
    }
}
