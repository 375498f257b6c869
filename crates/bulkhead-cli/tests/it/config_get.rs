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
