//! Answers that are given again: only while nothing that they depend on has changed, and never when they are damaged.

use bulkhead_test_support::{CrateBuilder, Outcome};
use std::path::PathBuf;
use std::time::Duration;

use crate::stage::{Stage, WORKSPACE};

const METADATA: &[&str] = &["metadata", "--format-version", "1", "--offline"];
const TREE: &[&str] = &["tree", "--offline", "--workspace"];
const BUILD: &[&str] = &["build", "--offline", "--workspace"];

type Variables<'a> = &'a [(&'a str, &'a str)];

impl Stage {
    fn with(&self, arguments: &[&str], variables: Variables<'_>) -> Outcome {
        variables.iter().fold(self.command(arguments), |command, (name, value)| command.env(name, value)).run()
    }

    /// The answer that is found by looking at everything.
    fn afresh(&self, arguments: &[&str], variables: Variables<'_>) -> Outcome {
        self.with(arguments, &[variables, &[("BULKHEAD_SNAPSHOTS", "0")]].concat())
    }

    /// Whether the answer comes from a snapshot: without the index it can come from nowhere else.
    fn recalls(&self, arguments: &[&str], variables: Variables<'_>) -> bool {
        let (index, away) = (self.home.bulkhead_home().join("index"), self.home.path().join("index.away"));
        std::fs::rename(&index, &away).unwrap();
        let outcome = self.with(arguments, variables);
        let _ = std::fs::remove_dir_all(&index);
        std::fs::rename(&away, &index).unwrap();
        outcome.code() == Some(0)
    }

    /// Asks until the answer is known. What was changed a moment ago is not believed to be settled.
    #[track_caller]
    fn settle(&self, arguments: &[&str], variables: Variables<'_>) {
        for _ in 0..40 {
            self.with(arguments, variables).assert_success();
            if self.recalls(arguments, variables) {
                return;
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        panic!("{arguments:?} is never recalled");
    }

    fn snapshots(&self) -> Vec<PathBuf> {
        let folder = self.home.bulkhead_home().join("cache/snapshots");
        let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// Changes a file and gives it back the modification time that it had.
fn edit_behind_the_clock(stage: &Stage, path: &str, from: &str, to: &str) {
    assert_eq!(from.len(), to.len(), "the size stays");
    let file = stage.project.path(path);
    let modified = file.metadata().unwrap().modified().unwrap();
    stage.project.edit(path, from, to);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
}

/// What is changed, and how.
type Change = (&'static str, fn(&Stage));

/// What is changed, how, and what the build then says.
type BuiltChange = (&'static str, fn(&Stage), &'static str);

/// What a snapshot suffers.
type Damage = (&'static str, fn(Vec<u8>) -> Vec<u8>);

const CHANGES: &[Change] = &[
    ("a member's manifest", |s| s.project.edit("app/Cargo.toml", "[features]", "description = \"d\"\n[features]")),
    ("the root manifest", |s| s.project.edit("Cargo.toml", "0.4.0", "0.4.1")),
    ("the same size and time", |s| edit_behind_the_clock(s, "app/Cargo.toml", "\"d\"", "\"e\"")),
    ("a time alone", |s| s.project.touch("app/Cargo.toml")),
    ("the lockfile", |s| {
        s.bulkhead(&["update", "-p", "plain", "--precise", "1.0.0"]).assert_success();
        s.bulkhead(&["fetch"]).assert_success();
    }),
    ("a configuration where there was none", |s| {
        s.project.write(".cargo/config.toml", "[build]\ntarget-dir = \"elsewhere\"\n");
    }),
    ("the repository's configuration", |s| s.project.edit(".cargo/config.toml", "elsewhere", "somewhere")),
    ("its old name, which comes first", |s| s.project.write(".cargo/config", "[build]\ntarget-dir = \"old\"\n")),
    ("the user's configuration", |s| s.home.configure("[alias]\nxx = \"tree\"\n")),
    ("a new example", |s| s.project.write("app/examples/fresh.rs", "fn main() {}\n")),
    ("a new program", |s| s.project.write("app/src/bin/extra.rs", "fn main() {}\n")),
    ("a folder that becomes a program", |s| s.project.write("app/src/bin/deep/main.rs", "fn main() {}\n")),
    ("a build script", |s| s.project.write("library/build.rs", "fn main() {}\n")),
    ("a readme", |s| s.project.write("library/README.md", "read me\n")),
    ("a removed test", |s| std::fs::remove_file(s.project.path("app/tests/whole.rs")).unwrap()),
    ("members by a pattern", |s| s.project.edit("Cargo.toml", "[\"app\", \"library\"]", "[\"app\", \"l*\"]")),
    ("a new member", |s| {
        s.project
            .write("l-third/Cargo.toml", "[package]\nname = \"l-third\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
        s.project.write("l-third/src/lib.rs", "");
    }),
    ("a removed member", |s| std::fs::remove_dir_all(s.project.path("l-third")).unwrap()),
    ("a file of trust", |s| {
        s.bulkhead(&["trust", "--yes", ".cargo/config"]).assert_success();
    }),
];

#[test]
fn every_kind_of_change_is_noticed() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["fetch"]).assert_success();
    stage.settle(METADATA, &[]);
    stage.settle(TREE, &[]);
    for (what, change) in CHANGES {
        change(&stage);
        for arguments in [METADATA, TREE] {
            assert!(!stage.recalls(arguments, &[]), "{what}: {arguments:?}");
            let (recalled, afresh) = (stage.with(arguments, &[]), stage.afresh(arguments, &[]));
            assert_eq!(recalled.output(), afresh.output(), "after {what}: {arguments:?}");
            stage.settle(arguments, &[]);
            assert_eq!(stage.with(arguments, &[]).output(), afresh.output(), "again after {what}: {arguments:?}");
        }
    }
}

#[test]
fn variables_arguments_and_folders_are_part_of_the_question() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["fetch"]).assert_success();
    stage.settle(METADATA, &[]);
    let moved: Variables<'_> = &[("CARGO_TARGET_DIR", "elsewhere")];
    assert!(!stage.recalls(METADATA, moved));
    assert!(stage.with(METADATA, moved).stdout.contains("/elsewhere\""));
    stage.settle(METADATA, moved);
    assert!(stage.with(METADATA, moved).stdout.contains("/elsewhere\""));
    assert!(!stage.with(METADATA, &[]).stdout.contains("/elsewhere\""));
    let member = stage.command(METADATA).current_dir(stage.project.path("library")).run();
    let afresh = stage.command(METADATA).env("BULKHEAD_SNAPSHOTS", "0").current_dir(stage.project.path("library"));
    assert_eq!(member.output(), afresh.run().output());
}

#[test]
fn another_toolchain_is_asked_anew() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["fetch"]).assert_success();
    let real = bulkhead_test_support::toolchain_program("rustc");
    let bin = stage.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let write = |text: String| {
        let rustc = bin.join("rustc");
        std::fs::write(&rustc, text).unwrap();
        std::fs::set_permissions(&rustc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    write(format!("#!/bin/sh\nexec {} \"$@\"\n", real.display()));
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let variables: Variables<'_> = &[("PATH", &path)];
    stage.settle(TREE, variables);
    write(format!("#!/bin/sh\n# Another one.\nexec {} \"$@\"\n", real.display()));
    assert!(!stage.recalls(TREE, variables));
    assert_eq!(stage.with(TREE, variables).output(), stage.afresh(TREE, variables).output());
}

#[test]
fn a_tree_of_the_store_that_was_changed_is_noticed() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["fetch"]).assert_success();
    stage.settle(METADATA, &[]);
    let metadata = stage.bulkhead(METADATA).stdout;
    let end = metadata.find("plain-1.1.0/Cargo.toml").unwrap() + "plain-1.1.0/Cargo.toml".len();
    let manifest = PathBuf::from(&metadata[metadata[..end].rfind('"').unwrap() + 1..end]);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::set_permissions(&manifest, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&manifest, text.replace("[package]", "[package]\ndescription = \"planted\"")).unwrap();
    let outcome = stage.bulkhead(METADATA);
    assert!(outcome.stderr.contains("was unpacked again"), "{outcome}");
    assert!(!outcome.stdout.contains("planted"));
    stage.settle(METADATA, &[]);
    assert_eq!(stage.bulkhead(METADATA).stderr, "", "the deed is not told twice");
}

#[test]
fn a_build_without_work_is_recalled_with_its_warnings_and_messages() {
    let stage = Stage::new(WORKSPACE);
    stage.project.edit("library/src/lib.rs", "let _ = plain::say();", "let _ = plain::say(); let unused = 1;");
    let json = &[BUILD, &["--message-format", "json"]].concat();
    let verbose = &[BUILD, &["-v"]].concat();
    stage.bulkhead(&["build", "--workspace"]).assert_success();
    for arguments in [BUILD, json, verbose] {
        stage.settle(arguments, &[]);
        let (recalled, afresh) = (stage.with(arguments, &[]), stage.afresh(arguments, &[]));
        assert!(recalled.output().contains("unused"), "{recalled}");
        assert_eq!(stage.neutral(&recalled.stderr), stage.neutral(&afresh.stderr));
        assert_eq!(recalled.stdout, afresh.stdout);
    }
}

#[test]
fn every_kind_of_change_is_built() {
    let stage = Stage::new(WORKSPACE);
    stage.project.write("library/build.rs", "fn main() {}\n");
    stage.bulkhead(&["build", "--workspace"]).assert_success();
    let changes: &[BuiltChange] = &[
        ("a source", |s| s.project.edit("library/src/lib.rs", "value * 2", "2 * value"), "Compiling library"),
        (
            "a file that an undeclared build script may read",
            |s| s.project.write("library/new.txt", ""),
            "Compiling library",
        ),
        ("a file in a new folder", |s| s.project.write("library/data/deep/new.txt", ""), "Compiling library"),
        (
            "a removed library",
            |s| {
                let folder = s.project.path("target/debug/deps");
                let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
                let is_library = |path: &PathBuf| path.to_string_lossy().contains("liblibrary-");
                entries.filter(is_library).for_each(|path| std::fs::remove_file(path).unwrap());
            },
            "Compiling library",
        ),
        (
            "a profile",
            |s| {
                s.project.edit(
                    "Cargo.toml",
                    "[workspace.package]",
                    "[profile.dev]\nopt-level = 1\n[workspace.package]",
                );
            },
            "Compiling plain",
        ),
        ("a policy", |s| s.project.write("bulkhead.toml", "[[grant]]\n"), "error"),
        ("the policy's end", |s| std::fs::remove_file(s.project.path("bulkhead.toml")).unwrap(), "Finished"),
        ("an uplifted program", |s| std::fs::remove_file(s.project.path("target/debug/app")).unwrap(), "Finished"),
        ("all that was built", |s| std::fs::remove_dir_all(s.project.path("target")).unwrap(), "Compiling library"),
    ];
    for (what, change, expected) in changes {
        if stage.afresh(BUILD, &[]).code() == Some(0) {
            stage.settle(BUILD, &[]);
        }
        change(&stage);
        let outcome = stage.with(BUILD, &[]);
        assert!(outcome.stderr.contains(expected), "after {what}: {outcome}");
        if *expected != "error" {
            assert!(stage.project.path("target/debug/app").exists(), "after {what}");
        }
    }
}

/// Files that are written anew with what they held, as `git checkout` does it on the way there and back.
#[test]
fn a_checkout_back_and_forth_rebuilds_nothing() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["build", "--workspace"]).assert_success();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        let command = stage.home.command("git").args(identity).args(arguments).current_dir(stage.project.root());
        command.run().assert_success();
    };
    stage.project.write(".gitignore", "target\n");
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "one"]);
    git(&["checkout", "--quiet", "-b", "other"]);
    stage.project.edit("library/src/lib.rs", "value * 2", "2 * value");
    stage.project.edit("app/src/main.rs", "fn main", "fn other() {} fn main");
    stage.project.write("app/src/more.rs", "");
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "two"]);
    let there_and_back = || {
        git(&["checkout", "--quiet", "main"]);
        git(&["checkout", "--quiet", "other"]);
        git(&["checkout", "--quiet", "main"]);
    };
    there_and_back();
    let outcome = stage.bulkhead(BUILD);
    assert!(!outcome.assert_success().stderr.contains("Compiling"), "{outcome}");
    stage.settle(BUILD, &[]);
    there_and_back();
    assert!(stage.recalls(BUILD, &[]), "nothing but times is different");
    git(&["checkout", "--quiet", "other"]);
    assert!(stage.bulkhead(BUILD).stderr.contains("Compiling library"));
}

/// Attack 128.
#[test]
fn damaged_and_foreign_snapshots_are_passed_over() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["fetch"]).assert_success();
    let expected = stage.afresh(TREE, &[]).stdout;
    let damages: &[Damage] = &[
        ("empty", |_| Vec::new()),
        ("cut in its head", |bytes| bytes[..50].to_vec()),
        ("cut in its inputs", |bytes| bytes[..300].to_vec()),
        ("cut at its end", |bytes| bytes[..bytes.len() - 1].to_vec()),
        ("longer", |bytes| [bytes, vec![0]].concat()),
        ("another format", |bytes| [b"BHSNAP\x00\xff".to_vec(), bytes[8..].to_vec()].concat()),
        ("another question", |mut bytes| {
            bytes[8] ^= 1;
            bytes
        }),
        ("huge lengths", |mut bytes| {
            bytes[56..68].fill(0xff);
            bytes
        }),
        ("changed inputs", |mut bytes| {
            bytes[200] ^= 1;
            bytes
        }),
        ("a changed answer", |mut bytes| {
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        }),
    ];
    for (what, damage) in damages {
        stage.settle(TREE, &[]);
        let file = stage.snapshots().pop().unwrap();
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, damage(bytes)).unwrap();
        assert!(!stage.recalls(TREE, &[]), "{what}");
        assert_eq!(stage.with(TREE, &[]).assert_success().stdout, expected, "{what}");
    }
    stage.settle(TREE, &[]);
    let file = stage.snapshots().pop().unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    assert!(!stage.recalls(TREE, &[]), "one that others may write");
    stage.settle(TREE, &[]);
    let elsewhere = stage.home.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert!(!stage.recalls(TREE, &[]), "a link");
    assert_eq!(stage.with(TREE, &[]).assert_success().stdout, expected);
}

#[test]
fn many_at_once_give_the_same_answer() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["fetch"]).assert_success();
    let expected = stage.afresh(METADATA, &[]).stdout;
    for round in 0..3 {
        stage.project.touch("app/Cargo.toml");
        let running: Vec<_> = (0..4).map(|_| stage.command(METADATA).start()).collect();
        for one in running {
            assert_eq!(one.wait().stdout, expected, "round {round}");
        }
    }
    stage.settle(METADATA, &[]);
    assert!(stage.snapshots().iter().all(|path| !path.to_string_lossy().contains(".new-")));
}

#[test]
fn a_file_that_a_downloaded_build_script_named_outside_its_package_counts() {
    let stage = Stage::new(WORKSPACE);
    let header = stage.home.path().join("header.h");
    std::fs::write(&header, "1").unwrap();
    let script = format!("fn main() {{ println!(\"cargo::rerun-if-changed={}\"); }}", header.display());
    stage.registry.publish(CrateBuilder::new("looks-outside", "1.0.0").build_script(&script).file("src/lib.rs", ""));
    stage.project.edit("library/Cargo.toml", "[dependencies]", "[dependencies]\nlooks-outside = \"1\"");
    stage.bulkhead(&["build", "--workspace"]).assert_success();
    stage.settle(BUILD, &[]);
    std::fs::write(&header, "2").unwrap();
    let outcome = stage.with(BUILD, &[]);
    assert!(outcome.stderr.contains("Compiling looks-outside"), "{outcome}");
}
