//! Plans and command lines of small workspaces, each written as one string of files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_resolver::features::{FeatureOptions, FeaturePlatform, FeatureResolver};
use bulkhead_resolver::registry::VersionEntry;
use bulkhead_resolver::{Outcome, Registry, Request, features};
use bulkhead_schema::build_script::BuildScriptOutput;
use bulkhead_schema::{Diagnostic, PackageId, PackageName, SourceId, Summary};
use bulkhead_workspace::{FileType, Files, LoadOptions, ResolverBehavior, Workspace, load};
use expect_test::{Expect, expect};

use crate::toolchain::Probe;
use crate::{
    BuildOptions, CompileKind, CompileMode, Context, Intent, PlanInput, PlanRequest, ScriptOutputs, TargetFilter,
    Toolchain, Unit, UnitGraph, compile_command, fingerprint_folder, fingerprints, outputs, plan, script_command,
};

const VERSION: &str = "rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
const PROBE: &str = "___\nlib___.rlib\nlib___.so\nlib___.so\nlib___.a\nlib___.so\n/rust\n/rust/lib/rustlib/x/lib\nunix\n\
                     target_os=\"linux\"\n";

struct Texts(BTreeMap<PathBuf, Arc<str>>);

impl Files for Texts {
    fn read(&self, path: &Path) -> Result<Option<Arc<str>>, Diagnostic> {
        Ok(self.0.get(path).cloned())
    }
    fn is_file(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        !self.is_file(path) && self.0.keys().any(|file| file.starts_with(path))
    }
    fn list(&self, dir: &Path) -> Vec<(String, FileType)> {
        let below = self.0.keys().filter_map(|file| file.strip_prefix(dir).ok());
        let entries: BTreeMap<String, FileType> = below
            .filter_map(|rest| {
                let mut parts = rest.components();
                let name = parts.next()?.as_os_str().to_str()?.to_owned();
                Some((name, if parts.next().is_some() { FileType::Directory } else { FileType::File }))
            })
            .collect();
        entries.into_iter().collect()
    }
}

struct NoRegistry;

impl Registry for NoRegistry {
    fn versions(&self, _: SourceId, _: PackageName) -> Option<&[VersionEntry]> {
        Some(&[])
    }
    fn summary(&self, id: PackageId) -> Result<Arc<Summary>, Diagnostic> {
        Err(Diagnostic::error("test", format!("{id} is not there")))
    }
}

fn loaded(fixture: &str) -> Result<Workspace, Vec<Diagnostic>> {
    let files = fixture.split("== ").skip(1).filter_map(|file| file.split_once('\n'));
    let files = Texts(files.map(|(path, text)| (Path::new("/w").join(path.trim()), text.into())).collect());
    let manifest_path = PathBuf::from("/w/Cargo.toml");
    let options = LoadOptions {
        manifest_path,
        ceilings: Vec::new(),
        registry: &|_| Ok(None),
        profiles: BTreeMap::default(),
        patches: Vec::new(),
        overrides: Vec::new(),
    };
    Ok(load(&files, &options)?.0)
}

/// `== path` begins a file below `/w`; `arguments` are those of `cargo`: a command, `--release`, `--all-targets`, `--workspace`.
fn planned(fixture: &str, arguments: &str) -> Result<(UnitGraph, Toolchain, BuildOptions), Vec<Diagnostic>> {
    let workspace = loaded(fixture)?;
    let local = workspace.members.iter().chain(workspace.path_packages.values());
    let packages: BTreeMap<_, _> = local.map(|package| (package.id, Arc::clone(package))).collect();
    let members: Vec<_> = workspace.members.iter().map(|package| Arc::clone(&package.summary)).collect();
    let others: Vec<_> = workspace.path_packages.values().map(|package| Arc::clone(&package.summary)).collect();
    let Ok(Outcome::Resolved(resolve)) =
        bulkhead_resolver::resolve(&Request::for_lockfile(&members, &others, None), &NoRegistry)
    else {
        panic!("the fixture does not resolve");
    };
    let probe = Probe { platform: CompileKind::Host, stdout: PROBE, stderr: "" };
    let toolchain = Toolchain::parse("/rust/bin/rustc".into(), "/rust/bin/rustdoc".into(), VERSION, &[probe]).unwrap();
    let words: BTreeSet<&str> = arguments.split_whitespace().collect();
    let intent = match arguments.split_whitespace().next() {
        Some("check") => Intent::Check { test: false },
        Some("test") => Intent::Test,
        _ => Intent::Build,
    };
    let selected: Vec<_> = if words.contains("--workspace") {
        members
    } else {
        members.iter().filter(|summary| workspace.default_members.contains(&summary.id)).cloned().collect()
    };
    let host = &toolchain.platforms[&CompileKind::Host];
    let platform = FeaturePlatform { triple: host.triple.as_str(), cfg: &host.cfg };
    let activation = FeatureOptions {
        resolver: match workspace.resolver {
            ResolverBehavior::V1 => FeatureResolver::One,
            _ => FeatureResolver::Two,
        },
        host: platform,
        targets: vec![platform],
        development: intent.is_test() || words.contains("--all-targets"),
        is_proc_macro: &|id| packages[&id].is_proc_macro(),
    };
    let requested = features::requested(&selected, &[], false, false).unwrap();
    let features = features::activate(&resolve, &requested, &activation).unwrap();
    let profile = match (words.contains("--release"), intent) {
        (true, _) => "release",
        (_, Intent::Test) => "test",
        _ => "dev",
    };
    let request = PlanRequest {
        packages: selected.iter().map(|summary| summary.id).collect(),
        intent,
        targets: TargetFilter { all_targets: words.contains("--all-targets"), ..TargetFilter::default() },
        profile: profile.into(),
        platforms: vec![CompileKind::Host],
        given_scripts: BTreeSet::new(),
        doctests: true,
    };
    let members = packages.keys().copied().collect();
    let input = PlanInput {
        packages: &packages,
        members: &members,
        resolve: &resolve,
        features: &features,
        toolchain: &toolchain,
        profiles: &workspace.profiles,
        request: &request,
    };
    let graph = plan(&input)?;
    let mut options = BuildOptions::new("/w".into(), "/w/target".into(), profile.into(), "/bin/cargo".into());
    options.members = members;
    Ok((graph, toolchain, options))
}

fn name(unit: &Unit) -> String {
    format!("{} {} {:?}", unit.package.id.name(), unit.target.name, unit.mode)
}

/// One line for each unit: what it is, how it is compiled, and what it needs.
fn check(fixture: &str, arguments: &str, expected: &Expect) {
    let text = match planned(fixture, arguments) {
        Ok((graph, ..)) => graph.iter().fold(String::new(), |mut text, (index, unit)| {
            let root = if graph.roots.contains(&index) { "* " } else { "  " };
            let needs: Vec<String> = unit.dependencies.iter().map(|each| each.unit.0.to_string()).collect();
            let features: Vec<&str> = unit.features.iter().map(|feature| feature.as_str()).collect();
            text += &format!(
                "{root}{} {} opt={} debug={:?} panic={:?} [{}] needs [{}]\n",
                index.0,
                name(unit),
                unit.profile.opt_level,
                unit.profile.debug,
                unit.profile.panic,
                features.join(" "),
                needs.join(" ")
            );
            text
        }),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    };
    expected.assert_eq(&text);
}

/// The command line of the unit called `wanted`, hashes replaced, and its outputs.
fn check_command(fixture: &str, arguments: &str, wanted: &str, expected: &Expect) {
    let (graph, toolchain, options) = planned(fixture, arguments).unwrap();
    let context = Context::new(&graph, &toolchain, &options);
    let mut scripts = ScriptOutputs::new();
    for (index, _) in graph.iter().filter(|(_, unit)| unit.mode == CompileMode::RunBuildScript) {
        let said = BuildScriptOutput {
            cfgs: vec!["said".to_owned()],
            library_links: vec!["z".to_owned()],
            metadata: vec![("root".to_owned(), "/z".to_owned())],
            ..BuildScriptOutput::default()
        };
        scripts.insert(index, Arc::new(said));
    }
    let (index, unit) = graph.iter().find(|(_, unit)| name(unit) == wanted).unwrap();
    let run = unit.mode == CompileMode::RunBuildScript;
    let command =
        if run { script_command(&context, index, &scripts) } else { compile_command(&context, index, &scripts) };
    let mut text = format!("{} {}\n", command.program.display(), command.arguments.join(" "));
    let told = ["DEP_", "OUT_DIR", "CARGO_CFG_", "CARGO_BIN", "PROFILE"];
    for (name, value) in command.environment.iter().filter(|(name, _)| told.iter().any(|each| name.starts_with(each))) {
        text += &format!("{name}={value}\n");
    }
    for output in outputs(&context, index) {
        text += &format!("{} -> {:?}\n", output.path.display(), output.uplifted);
    }
    for (index, _) in graph.iter() {
        text = text.replace(context.hash(index), "HASH").replace(context.symbol_hash(index), "SYMBOLS");
    }
    expected.assert_eq(&text);
}

const LINKED: &str = r#"
== Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
sys = { path = "sys" }
derive = { path = "derive" }
shared = { path = "shared", features = ["program"] }
[dev-dependencies]
dev = { path = "dev" }
[build-dependencies]
shared = { path = "shared" }
[profile.dev]
panic = "abort"
== build.rs
== src/lib.rs
== src/main.rs
== tests/it.rs
== sys/Cargo.toml
[package]
name = "sys"
version = "0.1.0"
links = "z"
== sys/build.rs
== sys/src/lib.rs
== derive/Cargo.toml
[package]
name = "derive"
version = "0.1.0"
[lib]
proc-macro = true
[dependencies]
shared = { path = "../shared" }
== derive/src/lib.rs
== shared/Cargo.toml
[package]
name = "shared"
version = "0.1.0"
[features]
program = []
== shared/src/lib.rs
== dev/Cargo.toml
[package]
name = "dev"
version = "0.1.0"
== dev/src/lib.rs
"#;

#[test]
fn build_keeps_host_and_program_apart() {
    check(
        LINKED,
        "build",
        &expect![[r#"
          0 shared shared Build opt=0 debug=None panic=Unwind [] needs []
          1 derive derive Build opt=0 debug=None panic=Unwind [] needs [0]
          2 shared shared Build opt=0 debug=Full panic=Abort [program] needs []
          3 sys build-script-build Build opt=0 debug=None panic=Unwind [] needs []
          4 sys build-script-build RunBuildScript opt=0 debug=Full panic=Unwind [] needs [3]
          5 sys sys Build opt=0 debug=Full panic=Abort [] needs [4]
          6 app build-script-build Build opt=0 debug=None panic=Unwind [] needs [0]
          7 app build-script-build RunBuildScript opt=0 debug=Full panic=Unwind [] needs [6 4]
        * 8 app app Build opt=0 debug=Full panic=Abort [] needs [7 1 2 5]
        * 9 app app Build opt=0 debug=Full panic=Abort [] needs [8 7 1 2 5]
    "#]],
    );
}

#[test]
fn tests_unwind_and_need_the_programs() {
    check(
        LINKED,
        "test",
        &expect![[r#"
          0 shared shared Build opt=0 debug=None panic=Unwind [] needs []
          1 derive derive Build opt=0 debug=None panic=Unwind [] needs [0]
          2 dev dev Build opt=0 debug=Full panic=Unwind [] needs []
          3 shared shared Build opt=0 debug=Full panic=Unwind [program] needs []
          4 sys build-script-build Build opt=0 debug=None panic=Unwind [] needs []
          5 sys build-script-build RunBuildScript opt=0 debug=Full panic=Unwind [] needs [4]
          6 sys sys Build opt=0 debug=Full panic=Unwind [] needs [5]
          7 app build-script-build Build opt=0 debug=None panic=Unwind [] needs [0]
          8 app build-script-build RunBuildScript opt=0 debug=Full panic=Unwind [] needs [7 5]
        * 9 app app Test opt=0 debug=Full panic=Unwind [] needs [8 1 2 3 6]
          10 app app Build opt=0 debug=Full panic=Unwind [] needs [8 1 3 6]
        * 11 app app Test opt=0 debug=Full panic=Unwind [] needs [10 8 1 2 3 6]
          12 shared shared Build opt=0 debug=Full panic=Abort [program] needs []
          13 sys sys Build opt=0 debug=Full panic=Abort [] needs [5]
          14 app app Build opt=0 debug=Full panic=Abort [] needs [8 1 12 13]
          15 app app Build opt=0 debug=Full panic=Abort [] needs [14 8 1 12 13]
        * 16 app it Test opt=0 debug=Full panic=Unwind [] needs [10 15 8 1 2 3 6]
        * 17 app app Doctest opt=0 debug=Full panic=Unwind [] needs [10 8 1 2 3 6]
    "#]],
    );
}

/// The files of all units that compile or run something and are not tests, with what they depend on besides other files.
fn files(fixture: &str, arguments: &str) -> BTreeSet<(PathBuf, String)> {
    let (graph, toolchain, options) = planned(fixture, arguments).unwrap();
    let context = Context::new(&graph, &toolchain, &options);
    let units = graph.iter().filter(|(_, unit)| !unit.mode.is_test() && unit.mode != CompileMode::Doctest);
    units
        .map(|(index, _)| (fingerprint_folder(&context, index), fingerprints(&context)[index.0 as usize].to_text()))
        .collect()
}

#[test]
fn profiles_share_what_they_compile_alike() {
    let fixture = "== Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\n[dependencies]\nlow = { path = \"low\" }\n\
        == build.rs\n== src/lib.rs\n== low/Cargo.toml\n[package]\nname = \"low\"\nversion = \"0.1.0\"\n== low/src/lib.rs\n";
    let built = files(fixture, "build");
    assert_eq!(built.len(), 4);
    assert_eq!(files(fixture, "test"), built);
    let shared = files(fixture, "check").intersection(&built).count();
    assert_eq!(shared, 2, "the build script and its run");
    assert_eq!(files(fixture, "build --release").intersection(&built).count(), 0);
}

#[test]
fn check_builds_only_what_runs() {
    check(
        LINKED,
        "check",
        &expect![[r#"
          0 shared shared Build opt=0 debug=None panic=Unwind [] needs []
          1 derive derive Build opt=0 debug=None panic=Unwind [] needs [0]
          2 shared shared Check opt=0 debug=Full panic=Abort [program] needs []
          3 sys build-script-build Build opt=0 debug=None panic=Unwind [] needs []
          4 sys build-script-build RunBuildScript opt=0 debug=Full panic=Unwind [] needs [3]
          5 sys sys Check opt=0 debug=Full panic=Abort [] needs [4]
          6 app build-script-build Build opt=0 debug=None panic=Unwind [] needs [0]
          7 app build-script-build RunBuildScript opt=0 debug=Full panic=Unwind [] needs [6 4]
        * 8 app app Check opt=0 debug=Full panic=Abort [] needs [7 1 2 5]
        * 9 app app Check opt=0 debug=Full panic=Abort [] needs [8 7 1 2 5]
    "#]],
    );
}

#[test]
fn a_library_gets_what_its_script_said() {
    check_command(
        LINKED,
        "build --release",
        "app app Build",
        &expect![[r#"
        /rust/bin/rustc --crate-name app --edition=2021 src/lib.rs --error-format=json --json=diagnostic-rendered-ansi,artifacts,future-incompat --crate-type lib --emit=dep-info,metadata,link -C opt-level=3 -C embed-bitcode=no --check-cfg cfg(docsrs,test) --check-cfg cfg(feature, values()) -C metadata=HASH -C extra-filename=-HASH --out-dir /w/target/release/deps -C strip=debuginfo -L dependency=/w/target/release/deps --extern derive=/w/target/release/deps/libderive-HASH.so --extern shared=/w/target/release/deps/libshared-HASH.rmeta --extern sys=/w/target/release/deps/libsys-HASH.rmeta -l z --cfg said
        OUT_DIR=/w/target/release/build/app-HASH/out
        /w/target/release/deps/libapp-HASH.rlib -> Some("/w/target/release/libapp.rlib")
        /w/target/release/deps/libapp-HASH.rmeta -> None
    "#]],
    );
}

#[test]
fn a_script_gets_metadata_of_linked_libraries() {
    check_command(
        LINKED,
        "build",
        "app build-script-build RunBuildScript",
        &expect![[r#"
        /w/target/debug/build/app-HASH/build-script-build 
        CARGO_CFG_DEBUG_ASSERTIONS=
        CARGO_CFG_FEATURE=
        CARGO_CFG_TARGET_OS=linux
        CARGO_CFG_UNIX=
        DEP_Z_ROOT=/z
        OUT_DIR=/w/target/debug/build/app-HASH/out
        PROFILE=debug
    "#]],
    );
}
