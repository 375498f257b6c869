//! New packages, beside those that `cargo` makes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::stage::{BULKHEAD, Stage, Twins};

const MEMBER: &str =
    "//- /a/Cargo.toml\n[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2021\"\n//- /a/src/lib.rs\n";

/// The files below the project, but what git keeps for itself.
fn files(root: &Path) -> BTreeMap<String, String> {
    let (mut found, mut pending) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && path.file_name() != Some(".git".as_ref()) {
                pending.push(path);
            } else if path.is_file() {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The first lines of errors and warnings, and what is created: the rest differs in form.
fn told(stage: &Stage, text: &str) -> Vec<String> {
    let kept = ["error", "warning", "    Creating", "      Adding"];
    let lines = stage.neutral(text).replace("cargo", "bulkhead");
    let lines = lines.lines().filter(|line| kept.iter().any(|kept| line.starts_with(kept)));
    // What the workspace's resolver is, is said by other commands.
    lines.filter(|line| !line.contains("resolver")).map(str::to_owned).collect()
}

#[track_caller]
fn check(fixture: &str, lines: &[&str]) {
    for line in lines {
        let twins = Twins::new(fixture);
        let run = |stage: &Stage, program: &str| {
            let arguments: Vec<&str> = line.split(' ').collect();
            let outcome = stage.home.command(program).args(arguments).current_dir(stage.project.root()).run();
            (outcome.code(), told(stage, &outcome.stderr), files(stage.project.root()))
        };
        assert_eq!(run(&twins.bulkhead, BULKHEAD), run(&twins.cargo, "cargo"), "{line}");
    }
}

#[test]
fn packages_are_made_as_by_cargo() {
    check(
        "//- /keep\n",
        &[
            "new x",
            "new x --lib --edition 2018 --vcs none",
            "new x --registry mine --name other",
            "new deep/er/x",
            "new keep",
            "new x --lib --bin",
            "init --lib",
            "init x",
        ],
    );
}

#[test]
fn names_are_judged_as_by_cargo() {
    check(
        "//- /keep\n",
        &["new 1a", "new a.b", "new fn", "new test", "new build", "new core", "new Foo", "new nul", "new _"],
    );
}

#[test]
fn what_is_there_is_kept() {
    for files in [
        "//- /src/main.rs\nfn main() {}\n",
        "//- /main.rs\nfn main() {}\n",
        "//- /src/lib.rs\n",
        "//- /project.rs\nfn main() {}\n",
        "//- /main.rs\nfn main() {}\n//- /lib.rs\n",
        "//- /src/project.rs\n//- /lib.rs\n",
        "//- /.gitignore\nfoo\n",
        "//- /.gitignore\n/target\n",
        "//- /Cargo.toml\n[workspace]\n",
    ] {
        check(files, &["init"]);
    }
    check("//- /src/main.rs\nfn main() {}\n", &["init --lib", "init --bin"]);
}

#[test]
fn workspaces_pass_on_what_they_have() {
    for workspace in [
        "members = [\"a\"]",
        "members = [\"*\"]",
        "members = [\"a\"]\nexclude = [\"b\"]",
        "members = [\"a\"]\n[workspace.package]\nversion = \"1.2.3\"\nedition = \"2021\"\nlicense = \"MIT\"",
        "members = [\"a\"]\n[workspace.package]\nauthors = [\"x\"]",
        "members = [\"a\"]\n[workspace.lints.rust]\nunused = \"warn\"",
    ] {
        let fixture = format!("//- /Cargo.toml\n[workspace]\nresolver = \"3\"\n{workspace}\n{MEMBER}");
        check(&fixture, &["new b", "new b --lib --edition 2018"]);
    }
}

/// What cannot be read as text is kept as well; what cannot be read at all is not written over.
#[test]
fn what_is_ignored_is_kept_in_any_encoding() {
    let stage = Stage::new("//- /x\n");
    stage.project.write(".gitignore", b"caf\xe9\n");
    stage.bulkhead(&["init", "--vcs", "git", "--name", "x"]).assert_success();
    let text = std::fs::read(stage.project.path(".gitignore")).unwrap();
    assert_eq!(text, b"caf\xe9\n\n\n# Added by cargo\n\n/target\n");
    let stage = Stage::new("//- /x\n");
    std::os::unix::fs::symlink("/dev/zero", stage.project.path(".gitignore")).unwrap();
    let refused = stage.bulkhead(&["init", "--vcs", "git", "--name", "x"]);
    assert!(refused.assert_code(101).stderr.contains("not a regular file"), "{refused}");
    assert!(stage.project.path(".gitignore").is_symlink() && !stage.project.path("Cargo.toml").exists());
}

/// A repository that is there already is left as it is.
#[test]
fn an_existing_repository_is_not_started_again() {
    let stage = Stage::new("//- /.git/HEAD\nref: refs/heads/precious\n//- /.git/config\n[core]\n\tbare = false\n");
    stage.bulkhead(&["init", "--vcs", "git", "--name", "x"]).assert_success();
    assert_eq!(stage.project.read(".git/HEAD"), "ref: refs/heads/precious\n");
    assert_eq!(stage.project.read(".gitignore"), "/target\n");
    let refused = stage.bulkhead(&["new", "y", "--vcs", "hg"]);
    assert!(refused.assert_code(101).stderr.contains("does not start `hg`"), "{refused}");
    assert!(!stage.project.path("y").exists());
}
