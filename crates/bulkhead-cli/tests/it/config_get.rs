//! `config get`: everything but secrets, and what of it acts.

use crate::stage::Stage;

const PROJECT: &str = r#"
//- /Cargo.toml
[workspace]
//- /.git/HEAD
//- /.cargo/config.toml
[build]
jobs = 3
target-dir = "../elsewhere"
[alias]
b2 = "build"
[env]
SHOWN = "1"
"#;

fn stage() -> Stage {
    let stage = Stage::new(PROJECT);
    stage.home.configure(
        "[registry]\ntoken = \"hunter2\"\n[registries.mine]\nindex = \"sparse+https://example.org/\"\ntoken = \"hunter2\"\n\
         [http]\nproxy = \"http://me:hunter2@example.org:1\"\n[build]\njobs = 2\nrustflags = [\"-a\"]\n",
    );
    stage
}

#[test]
fn secrets_are_never_shown() {
    let stage = stage();
    for line in [
        &["config", "get"][..],
        &["config", "get", "--show-origin"],
        &["config", "get", "--merged", "no"],
        &["config", "get", "--format", "json"],
        &["config", "get", "registries.mine.token"],
        &["config", "get", "registry.token", "--format", "json-value"],
        &["config", "get", "http.proxy"],
    ] {
        let outcome = stage.command(line).env("CARGO_REGISTRY_TOKEN", "hunter2").run();
        outcome.assert_success();
        assert!(!outcome.output().contains("hunter2"), "{outcome}");
    }
    let shown = stage.bulkhead(&["config", "get", "registry.token"]);
    assert_eq!(shown.stdout, "registry.token = \"<redacted>\"\n");
}

#[test]
fn what_does_not_act_is_named() {
    let stage = stage();
    let shown = stage.bulkhead(&["config", "get", "build", "--show-origin"]);
    let (user, project) = (stage.home.cargo_home().join("config.toml"), stage.project.path(".cargo/config.toml"));
    let (user, project) = (user.display(), project.display());
    assert!(shown.stdout.contains(&format!("build.jobs = 3 # {project} (project, not trusted)\n")), "{shown}");
    assert!(shown.stdout.contains(&format!("    \"-a\", # {user}\n")), "{shown}");
    assert!(!shown.stdout.contains("build.target-dir = "), "{shown}");
    assert!(shown.stdout.contains(&format!("# inert: `build.target-dir` in {project}")), "{shown}");
    let unset = stage.bulkhead(&["config", "get", "build.target-dir"]);
    assert!(unset.assert_code(101).stderr.contains("bulkhead trust"), "{unset}");
    stage.bulkhead(&["trust", "--yes"]).assert_success();
    let trusted = stage.bulkhead(&["config", "get", "build.target-dir", "--show-origin"]);
    assert_eq!(trusted.stdout, format!("build.target-dir = \"../elsewhere\" # {project} (project, trusted)\n"));
}

#[test]
fn layers_come_one_after_the_other() {
    let stage = stage();
    let line = ["config", "get", "build.jobs", "--merged", "no", "--config", "build.jobs=9"];
    let shown = stage.command(&line).env("CARGO_BUILD_JOBS", "5").run();
    let (user, project) = (stage.home.cargo_home().join("config.toml"), stage.project.path(".cargo/config.toml"));
    let expected = format!(
        "# --config cli option\nbuild.jobs = 9\n\n# Environment variables\n# CARGO_BUILD_JOBS=5\n\n# {}\nbuild.jobs = 3\n\n# \
         {}\nbuild.jobs = 2\n\n",
        project.display(),
        user.display()
    );
    assert_eq!(shown.stdout, expected, "{shown}");
}

#[test]
fn a_key_is_explained_layer_by_layer() {
    let stage = stage();
    let line = ["config", "explain", "build.jobs", "--config", "build.jobs=9"];
    let shown = stage.command(&line).env("CARGO_BUILD_JOBS", "5").run();
    let user = stage.home.cargo_home().join("config.toml");
    let lines: Vec<&str> = shown.assert_success().stdout.lines().collect();
    let value = |word: &str, value: &str| lines.iter().position(|line| *line == format!("  {word:<11}  {value}"));
    let places = [("counts", "9"), ("overridden", "\"5\""), ("overridden", "3"), ("overridden", "2")];
    let places = places.map(|(word, shown)| value(word, shown).expect(shown));
    assert!(places.is_sorted(), "{shown}");
    assert!(shown.stdout.contains(&format!("{}:14 (user)", user.display())), "{shown}");
    assert!(shown.stdout.contains("number of CPUs"), "{shown}");

    let inert = stage.bulkhead(&["config", "explain", "build.target-dir"]);
    assert!(inert.assert_success().stdout.contains("the default holds"), "{inert}");
    assert!(inert.stdout.contains("bulkhead trust"), "{inert}");
    let unset = stage.bulkhead(&["config", "explain", "net.retry"]);
    assert!(unset.assert_success().stdout.contains("default:     `3`"), "{unset}");
    let wrong = stage.bulkhead(&["config", "explain", "build.job"]);
    assert!(wrong.assert_code(101).stderr.contains("`build.jobs`"), "{wrong}");
    let json = stage.bulkhead(&["config", "explain", "registries.mine.token", "--message-format", "json"]);
    assert!(
        json.assert_success().stdout.contains("\"outcome\":\"wins\"") && !json.stdout.contains("hunter2"),
        "{json}"
    );
}

#[test]
fn policies_are_explained_too() {
    let stage = stage();
    let user = stage.home.path().join(".config/bulkhead");
    std::fs::create_dir_all(&user).unwrap();
    std::fs::write(user.join("policy.toml"), "locked = [\"limits\"]\n[limits]\nmemory-mib = 100\n").unwrap();
    stage.project.write(
        "bulkhead.toml",
        "[limits]\nmemory-mib = 200\n[[grant]]\npackage = \"x\"\nnetwork = true\nreason = \"a test\"\n",
    );
    let shown = stage.bulkhead(&["config", "explain", "limits.memory-mib"]);
    let text = &shown.assert_success().stdout;
    assert!(text.contains("  counts       100\n") && text.contains("  inert        200\n"), "{shown}");
    assert!(
        text.contains("policy.toml:3 (user)") && text.contains("bulkhead.toml:2 (project, not trusted)"),
        "{shown}"
    );
    let grant = stage.bulkhead(&["config", "explain", "grant.network"]);
    assert!(grant.assert_success().stdout.contains("  inert        true\n"), "{grant}");
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let grant = stage.bulkhead(&["config", "explain", "grant.network"]);
    assert!(grant.assert_success().stdout.contains("  counts       true\n"), "{grant}");

    let listed = stage.bulkhead(&["config", "list"]);
    for line in
        ["build.jobs = 3 # ", "# inert: build.target-dir = \"../elsewhere\"", "limits.memory-mib = 100 # ", "env.SHOWN"]
    {
        assert!(listed.assert_success().stdout.contains(line), "{line}: {listed}");
    }
    assert!(!listed.output().contains("hunter2"), "{listed}");
    for file in ["policy", "cargo"] {
        let schema = stage.bulkhead(&["config", "schema", file]);
        let schema: serde_json::Value = serde_json::from_str(&schema.assert_success().stdout).unwrap();
        assert_eq!(schema["type"], "object");
    }
    stage.project.write("bulkhead.toml", "[limts]\nmemory-mib = 1\n");
    let wrong = stage.bulkhead(&["config", "list"]);
    assert!(wrong.assert_code(102).stderr.contains("bulkhead.toml:1:") && wrong.stderr.contains("`limits`"), "{wrong}");
}
