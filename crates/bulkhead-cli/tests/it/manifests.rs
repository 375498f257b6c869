//! Commands that change manifests or answer questions about them, beside `cargo`: the same lines and the same files.

use crate::stage::{BULKHEAD, Stage, Twins, WORKSPACE, skipped};
use bulkhead_test_support::{CrateBuilder, DependencyBuilder, Snapshot};

const HEAD: &str = "[package]\nname = \"base\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";

/// A project without dependencies and a neighbour, beside packages with features, odd names, yanked and too new versions.
fn twins() -> Twins {
    let fixture = format!(
        "//- /Cargo.toml\n{HEAD}//- /src/lib.rs\n//- /near/Cargo.toml\n[package]\nname = \"near\"\nversion = \"1.2.3\"\n\
         edition = \"2021\"\n[features]\nwarm = []\n//- /near/src/lib.rs\n"
    );
    let twins = Twins::new(&fixture);
    for stage in [&twins.cargo, &twins.bulkhead] {
        let with_features = CrateBuilder::new("feat", "1.2.3")
            .feature("default", &["std", "alpha"])
            .feature("std", &[])
            .feature("alpha", &["beta"])
            .feature("beta", &[])
            .feature("zeta", &["dep:plain"])
            .dependency_with(DependencyBuilder::new("plain", "^1").optional());
        stage.registry.publish(with_features);
        stage.registry.publish(CrateBuilder::new("under_score", "0.3.1"));
        stage.registry.publish(CrateBuilder::new("before", "1.0.0-alpha.1"));
        stage.registry.publish(CrateBuilder::new("rusty", "1.0.0").rust_version("1.60"));
        stage.registry.publish(CrateBuilder::new("rusty", "1.1.0").rust_version("1.200"));
        stage.registry.publish(CrateBuilder::new("gone", "1.0.0"));
        stage.registry.publish(CrateBuilder::new("gone", "1.1.0"));
        stage.registry.set_yanked("gone", "1.1.0", true);
        let many = (0..60).fold(CrateBuilder::new("many", "1.0.0+build"), |it, i| it.feature(&format!("f{i:02}"), &[]));
        stage.registry.publish(many);
    }
    twins
}

/// Runs `line` with both on `manifest` (below [`HEAD`]) without a lockfile, and compares lines and manifests.
#[track_caller]
fn check(twins: &Twins, manifest: &str, line: &str) {
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.write("Cargo.toml", format!("{HEAD}{manifest}"));
        let _ = std::fs::remove_file(stage.project.path("Cargo.lock"));
    }
    same(twins, line);
    let read = |stage: &Stage| stage.project.read("Cargo.toml");
    assert_eq!(read(&twins.bulkhead), read(&twins.cargo), "{line}");
}

/// The same lines, but for the program's name.
#[track_caller]
fn same(twins: &Twins, line: &str) {
    let (theirs, ours) = twins.run(&line.split(' ').collect::<Vec<_>>());
    let lines = |stage: &Stage, text: &str| stage.neutral(text).replace("cargo", "bulkhead");
    let [left, right] = [(&twins.bulkhead, &ours), (&twins.cargo, &theirs)]
        .map(|(stage, outcome)| (lines(stage, &outcome.stdout), lines(stage, &outcome.stderr)));
    assert_eq!(left, right, "{line}\ncargo: {theirs}\nbulkhead: {ours}");
}

const TABLE: &str = "\n[dependencies]\n";

#[test]
fn new_dependencies_are_written_as_by_cargo() {
    let twins = twins();
    for line in [
        "add plain",
        "add plain feat",
        "add plain@1",
        "add plain@=1.0.0",
        "add plain@>=1.0.0",
        "add plain@1.*",
        "add before",
        "add gone",
        "add gone@1",
        "add gone@1.1",
        "add rusty",
        "add rusty --ignore-rust-version",
        "add many",
        "add under-score",
        "add none-such",
        "add plain -F loud",
        "add plain feat -F plain/loud -F feat/zeta",
        "add feat --no-default-features",
        "add plain --optional",
        "add plain --dev",
        "add plain --build --optional --rename other",
        "add plain --target cfg(windows)",
        "add plain --public",
        "add plain -n",
        "add plain --locked",
        "add plain -q",
        "add --path near",
        "add near --path near --dev -F warm",
        "add near --path near --rename x --no-default-features --optional",
    ] {
        check(&twins, TABLE, line);
    }
}

#[test]
fn what_cannot_be_added_is_refused_in_cargos_words() {
    let twins = twins();
    for line in [
        "add",
        "add -x",
        "add a/b",
        "add 1a",
        "add plain@",
        "add plain@x.y",
        "add plain@9",
        "add plain -F nope",
        "add feat plain -F std",
        "add plain -F feat/std",
        "add plain -F dep:x",
        "add plain feat --rename x",
        "add plain --dev --build",
        "add plain --dev --optional",
        "add plain --branch x",
        "add plain@1 --path near",
        "add wrong --path near",
        "add plain --registry none-such",
        "add plain -p none-such",
        "add base",
    ] {
        check(&twins, TABLE, line);
    }
}

#[test]
fn existing_entries_are_changed_as_by_cargo() {
    let twins = twins();
    for (manifest, line) in [
        ("plain = \"1\" # why", "add plain -F loud"),
        ("plain = \"1\" # why", "add plain@2"),
        ("plain = {version=\"1\",features=[\"loud\"]}", "add plain"),
        (
            "plain = { version = \"1\", default-features = false, optional = true }",
            "add plain --default-features --no-optional",
        ),
        ("feat = { version = \"1\", features = [\"zeta\", \"beta\"] }", "add feat -F std"),
        ("feat = { version = \"1\", features = [\"beta\", \"zeta\"] }", "add feat -F std"),
        ("plain.version = \"1\"\nplain.features = [\"loud\"]", "add plain@2 --no-default-features"),
        ("x = { package = \"plain\", version = \"1\" }", "add plain --rename x -F loud"),
        ("x = { package = \"plain\", version = \"1\" }", "add plain"),
        ("near = { path = \"near\" }", "add near --dev"),
        ("near = { path = \"near\" }", "add near --optional"),
        ("near = { path = \"near\" }", "add near -F warm"),
        (
            "plain = { version = \"1\", optional = true }\n[features]\nx = [\"dep:plain\", \"plain?/loud\"]",
            "add plain --no-optional",
        ),
        ("plain = \"1\"\n[build-dependencies]\nplain = \"1.1\"", "add plain --dev"),
        ("plain.workspace = true\n[workspace.dependencies]\nplain = \"1\"", "add plain -F loud"),
        ("plain.workspace = true\n[workspace.dependencies]\nplain = \"1\"", "add plain --no-default-features"),
        ("[workspace.dependencies]\nplain = { version = \"1\", features = [\"loud\"] }", "add plain --optional"),
    ] {
        check(&twins, &format!("{TABLE}{manifest}\n"), line);
    }
}

#[test]
fn tables_keep_their_order_and_comments() {
    let twins = twins();
    for (manifest, line) in [
        ("", "add plain"),
        ("\n[dependencies]\n# of feat\nfeat = \"1\"\n# of under\nunder_score = \"0.3\"\n", "add plain"),
        ("\n[dependencies]\nunder_score = \"0.3\"\nfeat = \"1\"\n", "add plain"),
        ("\n[dependencies.feat]\nversion = \"1\"\n", "add plain"),
        (
            "\n[target]\nx86_64-unknown-linux-gnu.dependencies.feat = \"1\"\n",
            "add plain --target x86_64-unknown-linux-gnu",
        ),
        (
            "\n[target.'cfg(unix)'.dependencies]\nfeat = '1'\n[lib]\nname = \"x\"\n",
            "add plain --target cfg(unix) --dev",
        ),
        ("\n[features]\nz = []\n", "add plain --optional"),
        ("[dependencies]\nfeat = \"1\"", "add plain"),
    ] {
        check(&twins, manifest, line);
    }
}

#[test]
fn dependencies_are_removed_as_by_cargo() {
    let twins = twins();
    let manifest = "
[dependencies]
# of feat
feat = \"1\" # trailing
plain = { version = \"1\", optional = true }
[dev-dependencies]
plain = \"1\"
[build-dependencies]
test-tool = \"0.5\"
[target.\"cfg(unix)\".dev-dependencies]
test-tool = \"0.5\"
[features]
default = [\"x\", \"feat/std\"]
x = [
  # about
  \"dep:plain\", # behind
  \"plain?/loud\",
]
[profile.dev.package.feat]
opt-level = 1
[profile.dev.package.\"plain@1\"]
opt-level = 1
";
    for line in [
        "remove feat",
        "rm plain",
        "remove plain --dev",
        "remove plain feat",
        "remove test-tool",
        "remove test-tool --build",
        "remove test-tool --target cfg(unix) --dev",
        "remove test-tool --target cfg(windows)",
        "remove fea",
        "remove feat feat",
        "remove feat -n",
        "remove feat -q",
        "remove feat -p none-such",
        "remove",
    ] {
        check(&twins, manifest, line);
    }
}

#[test]
fn the_workspaces_root_forgets_what_no_member_needs() {
    let twins = Twins::new(WORKSPACE);
    twins.run(&["generate-lockfile"]);
    for line in
        ["remove library -p app", "remove plain -p library", "add plain -p library", "add library -p app", "add plain"]
    {
        twins.run(&line.split(' ').collect::<Vec<_>>());
        for manifest in ["Cargo.toml", "app/Cargo.toml", "library/Cargo.toml"] {
            let read = |stage: &Stage| stage.project.read(manifest);
            assert_eq!(read(&twins.bulkhead), read(&twins.cargo), "{manifest} after {line}");
        }
    }
    assert!(!twins.bulkhead.project.read("Cargo.toml").contains("library = {"));
}

#[test]
fn questions_are_answered_as_by_cargo() {
    let twins = Twins::new(WORKSPACE);
    for line in ["locate-project", "locate-project --workspace", "pkgid app", "verify-project"] {
        same(&twins, line);
    }
    twins.run(&["generate-lockfile"]);
    for line in [
        "locate-project",
        "locate-project --workspace --message-format PLAIN",
        "locate-project --manifest-path app/Cargo.toml",
        "locate-project --message-format x",
        "pkgid",
        "pkgid app",
        "pkgid -p plain@1",
        "pkgid native-sys:1.2.3",
        "pkgid https://github.com/rust-lang/crates.io-index#derive-it",
        "pkgid registry+https://github.com/rust-lang/crates.io-index#test-tool@0.5.0",
        "pkgid librar",
        "read-manifest --manifest-path app/Cargo.toml",
        "read-manifest --manifest-path library/Cargo.toml",
        "verify-project",
        "verify-project --manifest-path x/Cargo.toml",
        "metadata --format-version 1 --no-deps",
    ] {
        same(&twins, line);
    }
}

#[test]
fn members_are_listed_in_cargos_order() {
    let twins = Twins::new(
        r#"
//- /Cargo.toml
[package]
name = "root"
version = "0.1.0"
[workspace]
members = ["zeta", "more/*", "alpha"]
default-members = ["zeta", ".", "alpha"]
//- /src/lib.rs
//- /zeta/Cargo.toml
[package]
name = "zeta"
version = "0.1.0"
[dependencies]
middle = { path = "../middle" }
//- /zeta/src/lib.rs
//- /middle/Cargo.toml
[package]
name = "middle"
version = "0.1.0"
//- /middle/src/lib.rs
//- /alpha/Cargo.toml
[package]
name = "alpha"
version = "0.1.0"
//- /alpha/src/lib.rs
//- /more/b/Cargo.toml
[package]
name = "b"
version = "0.1.0"
//- /more/b/src/lib.rs
//- /more/a/Cargo.toml
[package]
name = "a"
version = "0.1.0"
//- /more/a/src/lib.rs
"#,
    );
    let (theirs, ours) = twins.run(&["metadata", "--format-version", "1"]);
    assert_eq!(twins.bulkhead.neutral(&ours.stdout), twins.cargo.neutral(&theirs.stdout));
}

/// A repository with two packages, if there is a `git` to make it.
fn repository(stage: &Stage) -> bool {
    let folder = stage.project.path("../repository");
    for name in ["first", "second"] {
        let below = folder.join(name);
        std::fs::create_dir_all(below.join("src")).unwrap();
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[features]\nf = []\n");
        std::fs::write(below.join("Cargo.toml"), manifest).unwrap();
        std::fs::write(below.join("src/lib.rs"), "").unwrap();
    }
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"];
        let command = stage.home.command("/usr/bin/git").args(identity).args(arguments).current_dir(&folder);
        command.env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z").env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z").run()
    };
    if !std::path::Path::new("/usr/bin/git").exists() {
        skipped("there is no git");
        return false;
    }
    [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", "x"], &["tag", "v1"]]
        .iter()
        .all(|it| git(it).code() == Some(0))
}

#[test]
fn packages_of_repositories_are_added_as_by_cargo() {
    let twins = twins();
    if ![&twins.cargo, &twins.bulkhead].into_iter().all(repository) {
        return;
    }
    let url = |stage: &Stage| {
        let folder = stage.project.path("../repository").canonicalize().unwrap();
        format!("file://{}", folder.display())
    };
    for line in [
        "add first --git URL",
        "add first second --git URL --tag v1 -F first/f",
        "add first --git URL --dev --branch main",
        "add first --git URL --optional --rename other",
        "add none-such --git URL",
        "add first@1 --git URL",
        "add --git URL",
        "add first --git relative",
    ] {
        for stage in [&twins.cargo, &twins.bulkhead] {
            stage.project.write("Cargo.toml", format!("{HEAD}{TABLE}"));
            let _ = std::fs::remove_file(stage.project.path("Cargo.lock"));
        }
        let run = |stage: &Stage, program: &str| {
            let line = line.replace("URL", &url(stage));
            let outcome = stage.home.command(program).args(line.split(' ')).current_dir(stage.project.root()).run();
            let texts = [outcome.stderr.clone(), stage.project.read("Cargo.toml")];
            (outcome.code(), texts.map(|text| text.replace(&url(stage), "URL")), outcome)
        };
        let (theirs, ours) = (run(&twins.cargo, "cargo"), run(&twins.bulkhead, BULKHEAD));
        assert_eq!(ours.0, theirs.0, "{line}: {}", ours.2);
        assert_eq!(ours.1[1], theirs.1[1], "{line}: {}", ours.2);
        if theirs.0 == Some(0) {
            assert_eq!(ours.1[0], theirs.1[0], "{line}");
        }
    }
}

/// Attack 10: a manifest that is a link out of the workspace. Cargo writes through it.
#[test]
fn a_manifest_that_leads_outside_is_not_written() {
    let attack = |stage: &Stage, program: &str, line: &[&str]| {
        let outside = stage.home.path().join("outside.toml");
        std::fs::write(&outside, format!("{HEAD}\n[dependencies]\ntest-tool = \"0.5\"\n")).unwrap();
        let manifest = stage.project.path("Cargo.toml");
        std::fs::remove_file(&manifest).unwrap();
        std::os::unix::fs::symlink(&outside, &manifest).unwrap();
        let before = (Snapshot::of(&outside), Snapshot::of(stage.project.root()));
        let outcome = stage.home.command(program).args(line).current_dir(stage.project.root()).run();
        (
            outcome,
            Snapshot::of(&outside).changes_since(&before.0),
            Snapshot::of(stage.project.root()).changes_since(&before.1),
        )
    };
    let fixture = format!("//- /Cargo.toml\n{HEAD}//- /src/lib.rs\n");
    for line in [&["add", "plain"][..], &["remove", "test-tool"]] {
        let stage = Stage::new(&fixture);
        let (outcome, outside, inside) = attack(&stage, BULKHEAD, line);
        outcome.assert_code(101);
        assert!(outcome.stderr.contains("symbolic link that leaves its folder"), "{outcome}");
        assert_eq!((outside, inside), (Vec::new(), Vec::new()), "{outcome}");
        // Under cargo the attack works.
        let stage = Stage::new(&fixture);
        let (_, outside, _) = attack(&stage, "cargo", line);
        assert_eq!(outside.len(), 1);
    }
    // The benign twin: the file keeps its mode.
    let stage = Stage::new(&fixture);
    let manifest = stage.project.path("Cargo.toml");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(&manifest, mode).unwrap();
    stage.bulkhead(&["add", "plain"]).assert_success();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&manifest).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
}

/// Attack 17: an unknown key of a dependency could change what is fetched, so nothing is.
#[test]
fn nothing_is_fetched_for_a_manifest_with_unknown_keys() {
    let manifest = format!("{HEAD}[dependencies]\nx = {{ version = \"1\", pakage = \"plain\" }}\n");
    let stage = Stage::new(&format!("//- /Cargo.toml\n{manifest}//- /src/lib.rs\n"));
    for line in [&["add", "plain"][..], &["remove", "x"]] {
        let outcome = stage.bulkhead(line);
        outcome.assert_code(101);
        assert!(outcome.stderr.contains("pakage"), "{outcome}");
    }
    assert_eq!(stage.registry.requests().len(), 0);
    assert_eq!(stage.project.read("Cargo.toml"), manifest);
}

/// A name in other letters than the index has: cargo takes the index's word for it, Bulkhead the user's.
#[test]
fn capitals_are_not_guessed() {
    let stage = Stage::new(&format!("//- /Cargo.toml\n{HEAD}//- /src/lib.rs\n"));
    stage.registry.publish(CrateBuilder::new("Capital", "1.0.0"));
    let refused = stage.bulkhead(&["add", "capital"]);
    assert!(refused.assert_code(104).stderr.contains("capitals count"), "{refused}");
    stage.bulkhead(&["add", "Capital"]).assert_success();
    assert!(stage.project.read("Cargo.toml").contains("Capital = \"1.0.0\""));
}

/// What cargo writes down although it cannot read it again.
#[test]
fn no_broken_manifest_is_written() {
    let stage = Stage::new(&format!("//- /Cargo.toml\n{HEAD}//- /src/lib.rs\n"));
    for line in [
        &["add", "plain", "--target", "cfg(windows"][..],
        &["add", "plain", "--target=-x"],
        &["add", "plain", "--rename", "a b"],
        &["add", "plain", "--rename=-x"],
        &["add", "plain", "--path", ".", "--registry", "x"],
    ] {
        stage.bulkhead(line).assert_code(101);
        assert_eq!(stage.project.read("Cargo.toml"), HEAD, "{line:?}");
    }
}
