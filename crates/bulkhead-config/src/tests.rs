//! One `check`: layers as text in, what acts and what is ignored out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::platform::Cfg;
use expect_test::{Expect, expect};

use crate::{Config, Item, Layer, LayerClass, Merged, Tree, expand, merge};

const UNTRUSTED: &str = "untrusted";

/// Sections `=== user`, `=== untrusted`, `=== trusted`, `=== env` (lines `NAME=value`) and `=== arg`, lowest first.
fn load(fixture: &str) -> Result<Merged, Diagnostic> {
    let mut layers = Vec::new();
    let mut environment = BTreeMap::new();
    for section in fixture.split("=== ").skip(1) {
        let (head, text) = section.split_once('\n').unwrap();
        let root = PathBuf::from("/p");
        let text: Arc<str> = Arc::from(text);
        let project = |trusted| Layer::file("/p/.cargo/config.toml", &text, LayerClass::Repository { trusted, root });
        match head {
            "user" => layers.push(Layer::file("/home/.cargo/config.toml", &text, LayerClass::User)?),
            UNTRUSTED => layers.push(project(false)?),
            "trusted" => layers.push(project(true)?),
            "env" => environment.extend(
                text.lines().filter_map(|line| line.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())),
            ),
            "arg" => layers.push(Layer::argument(text.trim_end())?),
            other => panic!("unknown section {other}"),
        }
    }
    merge(layers, environment, PathBuf::from("/cwd"))
}

fn config(fixture: &str) -> Config {
    load(fixture).unwrap().config
}

fn show(table: &BTreeMap<String, Item>, prefix: &str, out: &mut String) {
    for (key, item) in table {
        match &item.tree {
            Tree::Table(inner) => show(inner, &format!("{prefix}{key}."), out),
            Tree::List(items) => {
                let items: Vec<String> = items.iter().map(|item| format!("{:?}", item.tree)).collect();
                writeln!(out, "{prefix}{key} = [{}]", items.join(", ")).unwrap();
            }
            tree => writeln!(out, "{prefix}{key} = {tree:?} ({})", item.definition).unwrap(),
        }
    }
}

fn check(fixture: &str, expected: &Expect) {
    let mut out = String::new();
    match load(fixture) {
        Err(error) => writeln!(out, "error: {error}").unwrap(),
        Ok(merged) => {
            show(&merged.config.root, "", &mut out);
            for ignored in &merged.ignored {
                writeln!(out, "ignored {}: {}: {}", ignored.definition, ignored.key, ignored.reason).unwrap();
            }
            merged.warnings.iter().for_each(|warning| writeln!(out, "warning {}", warning.message).unwrap());
        }
    }
    expected.assert_eq(&out);
}

#[test]
fn layers_merge_as_in_cargo() {
    check(
        "=== user\nbuild.jobs = 1\nbuild.rustflags = ['-Ca=1']\ntarget.t.runner = ['a', 'b']\nprofile.dev.debug = 1\n\
         === trusted\nbuild.jobs = 2\nbuild.rustflags = ['-Ca=2']\ntarget.t.runner = ['c']\nprofile.dev.debug = 'full'\n\
         === arg\nbuild.rustflags = ['z']\n",
        &expect![[r#"
            build.jobs = Integer(2) (/p/.cargo/config.toml:1)
            build.rustflags = [String("-Ca=1"), String("-Ca=2"), String("z")]
            profile.dev.debug = String("full") (/p/.cargo/config.toml:4)
            target.t.runner = [String("c")]
        "#]],
    );
    check(
        "=== user\nbuild.rustflags = ['-Ca=1']\n=== trusted\n\nbuild.rustflags = '-Ca=2'\n",
        &expect![[r#"
            error: /p/.cargo/config.toml:2:19: `build.rustflags` is a string here, but an array in /home/.cargo/config.toml:1 [config-merge]
        "#]],
    );
}

#[test]
fn harmless_keys_act_at_once() {
    check(
        "=== untrusted\n[build]\njobs = 1\ntarget-dir = 'out'\ntarget = 'wasm32-wasip1'\nincremental = false\n\
         rustflags = ['--cfg', 'x', '-Ctarget-cpu=native']\n[profile.dev.package.a]\nopt-level = 3\n[term]\nverbose = true\n\
         [resolver]\nincompatible-rust-versions = 'allow'\n",
        &expect![[r#"
            build.incremental = Boolean(false) (/p/.cargo/config.toml:5)
            build.jobs = Integer(1) (/p/.cargo/config.toml:2)
            build.rustflags = [String("--cfg"), String("x"), String("-Ctarget-cpu=native")]
            build.target = String("wasm32-wasip1") (/p/.cargo/config.toml:4)
            build.target-dir = String("out") (/p/.cargo/config.toml:3)
            profile.dev.package.a.opt-level = Integer(3) (/p/.cargo/config.toml:8)
            resolver.incompatible-rust-versions = String("allow") (/p/.cargo/config.toml:12)
            term.verbose = Boolean(true) (/p/.cargo/config.toml:10)
        "#]],
    );
}

/// Attacks 2, 19, 20, 21, 26, 28, 29.
const PROGRAMS: &str = "paths = ['/evil']
[build]
rustc = 'x'
rustc-wrapper = './w.sh'
rustc-workspace-wrapper = 'x'
rustdoc = 'x'
target-dir = '../important'
target = 'evil.json'
rustflags = ['--cfg', 'ok', '-Clinker=/evil']
[target.t]
linker = '/evil'
runner = 'x'
[target.t.foo]
rustc-link-lib = ['foo']
[target.'cfg(all())']
runner = 'x'
[profile.dev]
rustflags = ['-Clinker=/evil']
[env]
FOO = '1'
LD_PRELOAD = { value = '/evil.so', force = true }
GIT_SSH_COMMAND = 'x'
[alias]
xx = 'run'
b = 'run'
[patch.crates-io]
serde = { path = '../evil' }
[source.crates-io]
replace-with = 'x'
[registries.new]
index = 'https://example.org'
[doc]
browser = 'x'
";

#[test]
fn program_choosing_keys_are_inert_and_named() {
    check(
        &format!("=== untrusted\n{PROGRAMS}"),
        &expect![[r#"
            build.rustflags = [String("--cfg"), String("ok")]
            profile.dev.rustflags = []
            ignored /p/.cargo/config.toml:25: alias.b: it shadows a built-in command
            ignored /p/.cargo/config.toml:24: alias.xx: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:3: build.rustc: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:5: build.rustc-workspace-wrapper: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:4: build.rustc-wrapper: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:6: build.rustdoc: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:9: build.rustflags: `-Clinker=/evil` can choose programs or files
            ignored /p/.cargo/config.toml:8: build.target: a target specification file names a linker
            ignored /p/.cargo/config.toml:7: build.target-dir: it names a folder outside the project
            ignored /p/.cargo/config.toml:33: doc.browser: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:20: env.FOO: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:22: env.GIT_SSH_COMMAND: the variable chooses programs or libraries
            ignored /p/.cargo/config.toml:21: env.LD_PRELOAD: the variable chooses programs or libraries
            ignored /p/.cargo/config.toml:27: patch.crates-io.serde: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:1: paths: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:18: profile.dev.rustflags: `-Clinker=/evil` can choose programs or files
            ignored /p/.cargo/config.toml:31: registries.new.index: it names a server
            ignored /p/.cargo/config.toml:29: source.crates-io.replace-with: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:16: target.cfg(all()).runner: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:13: target.t.foo: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:11: target.t.linker: it chooses programs, their arguments or the code that is built
            ignored /p/.cargo/config.toml:12: target.t.runner: it chooses programs, their arguments or the code that is built
        "#]],
    );
}

#[test]
fn a_trusted_file_still_sets_no_loader_and_shadows_no_command() {
    check(
        &format!("=== trusted\n{PROGRAMS}"),
        &expect![[r#"
        alias.xx = String("run") (/p/.cargo/config.toml:24)
        build.rustc = String("x") (/p/.cargo/config.toml:3)
        build.rustc-workspace-wrapper = String("x") (/p/.cargo/config.toml:5)
        build.rustc-wrapper = String("./w.sh") (/p/.cargo/config.toml:4)
        build.rustdoc = String("x") (/p/.cargo/config.toml:6)
        build.rustflags = [String("--cfg"), String("ok"), String("-Clinker=/evil")]
        build.target = String("evil.json") (/p/.cargo/config.toml:8)
        build.target-dir = String("../important") (/p/.cargo/config.toml:7)
        doc.browser = String("x") (/p/.cargo/config.toml:33)
        env.FOO = String("1") (/p/.cargo/config.toml:20)
        patch.crates-io.serde.path = String("../evil") (/p/.cargo/config.toml:27)
        paths = [String("/evil")]
        profile.dev.rustflags = [String("-Clinker=/evil")]
        registries.new.index = String("https://example.org") (/p/.cargo/config.toml:31)
        source.crates-io.replace-with = String("x") (/p/.cargo/config.toml:29)
        target.cfg(all()).runner = String("x") (/p/.cargo/config.toml:16)
        target.t.foo.rustc-link-lib = [String("foo")]
        target.t.linker = String("/evil") (/p/.cargo/config.toml:11)
        target.t.runner = String("x") (/p/.cargo/config.toml:12)
        ignored /p/.cargo/config.toml:25: alias.b: it shadows a built-in command
        ignored /p/.cargo/config.toml:22: env.GIT_SSH_COMMAND: the variable chooses programs or libraries
        ignored /p/.cargo/config.toml:21: env.LD_PRELOAD: the variable chooses programs or libraries
    "#]],
    );
}

#[test]
fn identity_and_network_are_user_level_only() {
    let keys = "[http]\nproxy = 'http://127.0.0.1:1'\ncainfo = 'x'\ncheck-revoke = false\n[net]\nretry = 999999\n\
                offline = true\nssh.known-hosts = ['x']\n[registry]\nglobal-credential-providers = ['/evil']\n\
                [registries.t]\ncredential-provider = ['cargo:token', '/evil']\n[credential-alias]\na = ['/evil']\n\
                [install]\nroot = '/evil'\n";
    check(
        &format!("=== trusted\n{keys}"),
        &expect![[r#"
        ignored /p/.cargo/config.toml:14: credential-alias.a: it is user-level only
        ignored /p/.cargo/config.toml:3: http.cainfo: it is user-level only
        ignored /p/.cargo/config.toml:4: http.check-revoke: it is user-level only
        ignored /p/.cargo/config.toml:2: http.proxy: it is user-level only
        ignored /p/.cargo/config.toml:16: install.root: it is user-level only
        ignored /p/.cargo/config.toml:7: net.offline: it is user-level only
        ignored /p/.cargo/config.toml:6: net.retry: it is user-level only
        ignored /p/.cargo/config.toml:8: net.ssh.known-hosts: it is user-level only
        ignored /p/.cargo/config.toml:12: registries.t.credential-provider: it is user-level only
        ignored /p/.cargo/config.toml:10: registry.global-credential-providers: it is user-level only
    "#]],
    );
    assert_eq!(config(&format!("=== user\n{keys}")).net().unwrap().retry, Some(999_999));
}

#[test]
fn a_project_does_not_redefine_a_registry() {
    let project = "=== trusted\nregistries.t.index = 'https://evil.example'\n";
    check(
        &format!("=== user\nregistries.t.index = 'https://good.example'\n{project}"),
        &expect![[r#"
        error: /p/.cargo/config.toml:1:22: the project points registry `t` at `https://evil.example`, but you have defined it as `https://good.example` [config-registry-redefined]
    "#]],
    );
    assert!(load(&format!("=== env\nCARGO_REGISTRIES_T_INDEX=https://good.example\n{project}")).is_err());
    assert!(load(project).is_ok());
}

#[test]
fn the_environment_stands_between_files_and_arguments() {
    let config = config(
        "=== user\nbuild.jobs = 1\nterm.verbose = false\nbuild.rustflags = ['a']\n[profile.dev]\nopt-level = 1\n\
         === env\nCARGO_BUILD_JOBS=2\nCARGO_TERM_VERBOSE=true\nCARGO_BUILD_RUSTFLAGS=b  c\nCARGO_NET_RETRY=7\n\
         CARGO_NET_OFFLINE=1\nCARGO_REGISTRIES_MY_REG_INDEX=https://x\nCARGO_TARGET_X86_64_T_RUNNER=run -x\n\
         === arg\nbuild.rustflags = ['d']\n=== arg\nbuild.jobs = 3\n",
    );
    assert_eq!(config.integer("build.jobs").unwrap().unwrap().value, 3);
    assert!(config.boolean("term.verbose").unwrap().unwrap().value);
    let flags = config.string_or_list("build.rustflags").unwrap();
    assert_eq!(flags.iter().map(|flag| flag.value.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert_eq!(config.registry("my-reg").unwrap().index.unwrap().value, "https://x");
    let error = config.net().unwrap_err();
    assert!(error.message.contains("environment variable `CARGO_NET_OFFLINE`"), "{error}");
    let runner = config.target_table("x86_64-t", &[]).unwrap().runner.unwrap().value;
    assert_eq!((runner.program.to_str().unwrap(), runner.arguments), ("run", vec!["-x".to_owned()]));
}

#[test]
fn variables_with_names_of_their_own_win() {
    let config = config(
        "=== user\nbuild = { rustc = 'a', rustc-wrapper = 'w', target-dir = 't', rustflags = ['f'], incremental = true }\n\
         === env\nRUSTC=./b\nRUSTC_WRAPPER=\nCARGO_TARGET_DIR=out\nRUSTFLAGS= -a  -b\nCARGO_INCREMENTAL=0\n",
    );
    assert_eq!(config.tool("rustc").unwrap().unwrap().value, Path::new("/cwd/./b"));
    assert_eq!(config.tool("rustc-wrapper").unwrap(), None);
    assert_eq!(config.target_dir().unwrap().unwrap().value, Path::new("/cwd/out"));
    assert_eq!(config.incremental().unwrap(), Some(false));
    let flags = config.rustflags("t", &[]).unwrap();
    assert_eq!(flags.iter().map(|flag| flag.value.as_str()).collect::<Vec<_>>(), ["-a", "-b"]);
}

#[test]
fn paths_are_relative_to_the_folder_that_holds_dot_cargo() {
    let config = config("=== trusted\nbuild = { target-dir = 'out', rustc = 'tools/rustc', rustdoc = 'rustdoc' }\n");
    assert_eq!(config.target_dir().unwrap().unwrap().value, Path::new("/p/out"));
    assert_eq!(config.program("build.rustc").unwrap().unwrap().value, Path::new("/p/tools/rustc"));
    assert_eq!(config.program("build.rustdoc").unwrap().unwrap().value, Path::new("rustdoc"));
}

#[test]
fn platform_tables_are_joined_by_cfg() {
    let config = config(
        "=== user\ntarget.t = { rustflags = ['t'], linker = 'ld', foo = { rustc-link-lib = ['a'], root = 'x' } }\n\
         [target.'cfg(unix)']\nrustflags = 'u v'\nrunner = 'run'\n[target.'cfg(windows)']\nrunner = 'no'\n",
    );
    let cfgs = ["unix".parse::<Cfg>().unwrap()];
    let target = config.target_table("t", &cfgs).unwrap();
    let flags: Vec<&str> = target.rustflags.iter().map(|flag| flag.value.as_str()).collect();
    assert_eq!((flags, target.runner.unwrap().value.program.as_path()), (vec!["t", "u", "v"], Path::new("run")));
    assert_eq!(target.links[0].directives, [("rustc-link-lib".to_owned(), "a".to_owned())]);
    assert_eq!(target.links[0].metadata, [("root".to_owned(), "x".to_owned())]);
}

#[test]
fn wrong_types_point_at_the_line() {
    let config = config("=== user\n\n[build]\njobs = [1]\nincremental = 1\nrustc = true\n[env]\nA = 1\n");
    assert_eq!(
        config.incremental().unwrap_err().to_string(),
        "/home/.cargo/config.toml:4:15: `build.incremental` expected true/false, but found an integer in \
         /home/.cargo/config.toml:4 [config-type]"
    );
    assert!(config.integer("build.jobs").is_err() && config.tool("rustc").is_err() && config.env_table().is_err());
}

#[test]
fn unknown_keys_warn_and_do_not_act_from_a_project() {
    check(
        "=== user\nnet.foo = 1\nbogus.a = 1\n=== untrusted\nterm.foo = 1\nbogus.b = 1\n",
        &expect![[r#"
        bogus.a = Integer(1) (/home/.cargo/config.toml:2)
        net.foo = Integer(1) (/home/.cargo/config.toml:1)
        warning unused config key `net.foo` in `/home/.cargo/config.toml`
        warning unused config key `term.foo` in `/p/.cargo/config.toml`
    "#]],
    );
}

#[test]
fn env_tables_know_force_and_relative() {
    let variables =
        config("=== trusted\n[env]\nA = { value = 'x', relative = true }\nB = { value = 'y', force = true }\n")
            .env_table()
            .unwrap();
    let shown: Vec<_> = variables.iter().map(|v| (v.name.as_str(), v.value.value.as_str(), v.force)).collect();
    assert_eq!(shown, [("A", "/p/x", false), ("B", "y", true)]);
}

fn include(files: &[(&str, &str)], trusted: bool) -> Result<(Vec<PathBuf>, usize), String> {
    let class = LayerClass::Repository { trusted, root: "/p".into() };
    let mut read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        Ok(found.map(|(_, text)| (Arc::from(*text), LayerClass::User)))
    };
    let text: Arc<str> = Arc::from(files[0].1);
    let expanded = expand(files[0].0, &text, class, &mut read).map_err(|error| error.message)?;
    // Whatever the reader says, what a project includes stays the project's.
    assert!(expanded.layers.iter().all(|layer| matches!(layer.class, LayerClass::Repository { .. })));
    let paths = expanded.layers.into_iter().map(|layer| match layer.origin {
        crate::Origin::File { path, .. } => path,
        other => panic!("{other:?}"),
    });
    Ok((paths.collect(), expanded.ignored.len()))
}

/// Attack 25.
#[test]
fn includes_stay_in_the_project_and_end() {
    let main = "/p/.cargo/config.toml";
    let file = |text: &str| include(&[(main, text), ("/p/.cargo/a.toml", ""), ("/out.toml", "")], false);
    assert_eq!(file("include = ['a.toml']").unwrap().0, [Path::new("/p/.cargo/a.toml"), Path::new(main)]);
    for outside in ["../../out.toml", "/out.toml", "a/../../../out.toml"] {
        assert_eq!(file(&format!("include = ['{outside}']")).unwrap(), (vec![main.into()], 1), "{outside}");
    }
    assert!(file("include = ['missing.toml']").unwrap_err().contains("does not exist"));
    assert!(file("include = [{ path = 'missing.toml', optional = true }]").is_ok());
    assert!(file("include = ['config.toml']").unwrap_err().contains("includes itself"));
    assert!(file("include = ['a.txt']").unwrap_err().contains("ending with `.toml`"));
    assert!(file("include = 'a.toml'").unwrap_err().contains("expected an array"));
    let names: Vec<(String, String)> =
        (0..40).map(|n| (format!("/p/.cargo/{n}.toml"), format!("include = ['{}.toml']", n + 1))).collect();
    let chain: Vec<(&str, &str)> = names.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(include(&chain, false).unwrap_err().contains("levels"));
    assert_eq!(include(&[(main, "include = ['../../out.toml']"), ("/out.toml", "")], true).unwrap().0.len(), 2);
}
