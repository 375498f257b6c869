//! A project of two packages, planned by hand: `base`, a library with a build script, and `app`, a program that uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use bulkhead_executor::{BuildError, Cache, Event, Grants, Options, Outcome, Planner};
use bulkhead_schema::{Diagnostic, PackageId, PackageName, SourceId, Summary, Symbol};
use bulkhead_store::UnitCache;
use bulkhead_unit_graph::{
    Command, CompileKind, CompileMode, Fingerprint, Layout, Output, OutputKind, ScriptOutputs, Unit, UnitDependency,
    UnitGraph, UnitIndex,
};
use bulkhead_workspace::{
    CrateType, DebugInfo, Edition, Lto, Package, PackageDetails, PanicStrategy, Profile, Strip, Target, TargetKind,
};

pub(crate) const SCRIPT: UnitIndex = UnitIndex(0);
pub(crate) const RUN: UnitIndex = UnitIndex(1);
pub(crate) const LIBRARY: UnitIndex = UnitIndex(2);
pub(crate) const PROGRAM: UnitIndex = UnitIndex(3);

pub(crate) struct Project {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) graph: UnitGraph,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) rustc: PathBuf,
    pub(crate) owner: String,
    pub(crate) grants: Grants,
    pub(crate) stop: AtomicBool,
    pub(crate) jobs: usize,
    /// Where units of `base` are kept, if it cannot change.
    pub(crate) units: Option<UnitCache>,
    /// What somebody does when the build tells of something.
    pub(crate) meddle: fn(&Project, &Event),
    /// The package whose sources are not what they should be.
    pub(crate) unsound: Option<&'static str>,
    sysroot: PathBuf,
}

/// What a build did.
pub(crate) struct Built {
    pub(crate) result: Result<Outcome, BuildError>,
    pub(crate) events: Vec<Event>,
}

impl Built {
    /// Where in the events the first one of a kind is.
    #[track_caller]
    pub(crate) fn position(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().position(is_it).unwrap_or_else(|| panic!("{:#?}", self.events))
    }

    /// How many events are of a kind.
    pub(crate) fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is_it(event)).count()
    }

    /// The units whose processes were started, in the order of the graph.
    pub(crate) fn started(&self) -> Vec<UnitIndex> {
        let started = self.events.iter().filter_map(|event| match event {
            Event::Started { unit, .. } => Some(*unit),
            _ => None,
        });
        started.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(crate) fn reason(&self, wanted: UnitIndex) -> Option<String> {
        self.events.iter().find_map(|event| match event {
            Event::Dirty { unit, reason } if *unit == wanted => reason.clone(),
            _ => None,
        })
    }

    pub(crate) fn rendered(&self) -> String {
        let messages = self.events.iter().filter_map(|event| match event {
            Event::Message { rendered, summary: false, .. } => Some(rendered.to_string()),
            _ => None,
        });
        messages.collect()
    }

    #[track_caller]
    pub(crate) fn failure(&self) -> Arc<bulkhead_executor::Failure> {
        match &self.result {
            Err(BuildError::Units(failures)) => Arc::clone(&failures[0]),
            other => panic!("no unit failed: {other:?}"),
        }
    }
}

/// Something that a grant allows.
pub(crate) fn granted<T>(value: T) -> bulkhead_policy::Granted<T> {
    bulkhead_policy::Granted::new(value, bulkhead_policy::Origin::Grant("a test".into()))
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let sysroot = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
        let sysroot = PathBuf::from(String::from_utf8(sysroot).unwrap().trim());
        let project = Self {
            graph: graph(&root),
            folder,
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            rustc: sysroot.join("bin/rustc"),
            owner: "us".to_owned(),
            grants: Grants::default(),
            stop: AtomicBool::new(false),
            jobs: 2,
            units: None,
            meddle: |_, _| {},
            unsound: None,
            sysroot,
        };
        project.write("base/Cargo.toml", "");
        project.write("base/input.txt", "42");
        project.write(
            "base/build.rs",
            r#"fn main() {
                println!("cargo::rerun-if-changed=input.txt");
                println!("cargo::rerun-if-env-changed=GREETING");
                println!("cargo::rerun-if-env-changed=CARGO_MANIFEST_DIR");
                let greeting = std::env::var("GREETING").unwrap_or_default();
                println!("cargo::rustc-env=FROM_SCRIPT={greeting}");
                println!("cargo::warning=careful");
                let out = std::env::var("OUT_DIR").unwrap();
                std::fs::write(format!("{out}/n.rs"), std::fs::read("input.txt").unwrap()).unwrap();
            }"#,
        );
        let library = "pub const N: u32 = include!(concat!(env!(\"OUT_DIR\"), \"/n.rs\"));\n\
            pub const TEXT: &str = env!(\"FROM_SCRIPT\");\nfn unused() {}\n";
        project.write("base/src/lib.rs", library);
        project.write("app/src/main.rs", "fn main() { println!(\"{} {}\", base::N, base::TEXT); }\n");
        project
    }

    /// The same where `base` cannot change, and workspaces share what is made of it.
    pub(crate) fn sharing() -> Self {
        let mut project = Self::new();
        project.units = Some(UnitCache::open(&project.path("home"), "secret").unwrap());
        project.graph.units.iter_mut().filter(|unit| unit.package.targets.len() > 1).for_each(|unit| {
            unit.is_local = false;
        });
        project
    }

    /// The folders of what is kept.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("home/cache")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().len() == 64).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// Writes a file whose time is later than that of everything before.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // The file system's clock may be coarse.
        std::thread::sleep(std::time::Duration::from_millis(12));
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn touch(&self, name: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        self.write(name, &text);
    }

    /// Adds a line to a file.
    pub(crate) fn edit(&self, name: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        self.write(name, &format!("{text}// One line more.\n"));
    }

    pub(crate) fn build(&self) -> Built {
        let events = Mutex::new(Vec::new());
        let (sources, pinned) = (self.path("base"), self.path("pinned"));
        let source = |package: &Package| (package.root == sources).then(|| "as it is".to_owned());
        let cache = self.units.as_ref().map(|units| Cache {
            units: Some(units),
            places: vec![self.path("target")],
            toolchain: "this one",
            system: "this one",
            rustc: &self.rustc,
            sources: &sources,
            pinned: &pinned,
            source: &source,
        });
        let options = Options {
            jobs: self.jobs,
            keep_going: false,
            target_dir: self.path("target"),
            build_dir: self.path("target"),
            workspace_root: self.path(""),
            owner: &self.owner,
            sysroot: self.sysroot.clone(),
            level: bulkhead_sandbox::Level::Full,
            limits: &|_| bulkhead_schema::policy::ProcessLimits::default(),
            protected: &[],
            environment: &self.environment,
            has_variable: &|name| name == "HIDDEN",
            stop: &self.stop,
            jobserver: None,
            verify: &|packages| match self.unsound {
                Some(name) if packages.iter().any(|id| id.name().as_str() == name) => {
                    Err(Diagnostic::error("unsound", name))
                }
                _ => Ok(()),
            },
            grants: &|_| self.grants.clone(),
            cache,
            package_files: &|_| None,
            check_directive: &|_, directive| match directive {
                bulkhead_schema::build_script::Directive::LinkArg(..) => {
                    Err(Diagnostic::error("directive", "link-arg is not granted"))
                }
                _ => Ok(()),
            },
        };
        let result = bulkhead_executor::run(self, &options, &|event| {
            (self.meddle)(self, &event);
            events.lock().unwrap().push(event);
        });
        Built { result, events: events.into_inner().unwrap() }
    }

    #[track_caller]
    pub(crate) fn build_ok(&self) -> Built {
        let built = self.build();
        assert!(built.result.is_ok(), "{:?}\n{:#?}", built.result, built.events);
        built
    }

    /// What the program prints.
    pub(crate) fn run(&self) -> String {
        let output = std::process::Command::new(self.path("target/debug/app")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn debug(&self, name: &str) -> PathBuf {
        self.path("target/debug").join(name)
    }

    fn rustc_arguments(&self, index: UnitIndex) -> Vec<String> {
        let text = match index {
            SCRIPT => "--crate-name build_script_build {}/build.rs --crate-type bin --emit=dep-info,link",
            LIBRARY => "--crate-name base {}/src/lib.rs --crate-type lib --emit=dep-info,metadata,link",
            _ => "--crate-name app app/src/main.rs --crate-type bin --emit=dep-info,link --extern base=",
        };
        let text = text.replace("{}", &self.path("base").display().to_string());
        let mut text = format!(
            "{text} --edition=2021 --error-format=json --json=diagnostic-rendered-ansi,artifacts -Cextra-filename=-0 --out-dir {}",
            self.outputs(index)[0].path.parent().unwrap().display()
        );
        let library = self.debug("deps/libbase-0.rlib");
        text = text
            .replace("base= ", &format!("base={} -L dependency={} ", library.display(), self.debug("deps").display()));
        text.split(' ').map(str::to_owned).collect()
    }
}

impl Planner for Project {
    fn graph(&self) -> &UnitGraph {
        &self.graph
    }
    fn command(&self, index: UnitIndex, scripts: &ScriptOutputs) -> Command {
        let out_dir = self.script_folder(RUN).join("out").display().to_string();
        let mut environment = Vec::new();
        if let Some(said) = scripts.get(&RUN).filter(|_| index == LIBRARY) {
            environment = said.environment.clone();
        }
        environment.push(("OUT_DIR".to_owned(), out_dir));
        let run = index == RUN;
        Command {
            program: if run { self.outputs(SCRIPT)[0].path.clone() } else { self.rustc.clone() },
            arguments: if run { Vec::new() } else { self.rustc_arguments(index) },
            environment,
            current_dir: if run { self.path("base") } else { self.path("") },
        }
    }
    fn outputs(&self, index: UnitIndex) -> Vec<Output> {
        let output = |name: &str, uplifted: Option<&str>, kind| Output {
            path: self.debug(name),
            uplifted: uplifted.map(|name| self.debug(name)),
            kind,
        };
        match index {
            SCRIPT => vec![output("build/base-0/build_script_build-0", None, OutputKind::Normal)],
            LIBRARY => vec![
                output("deps/libbase-0.rlib", None, OutputKind::Linkable),
                output("deps/libbase-0.rmeta", None, OutputKind::Metadata),
            ],
            PROGRAM => vec![output("deps/app-0", Some("app"), OutputKind::Normal)],
            _ => Vec::new(),
        }
    }
    fn dep_info(&self, index: UnitIndex) -> PathBuf {
        match index {
            SCRIPT => self.debug("build/base-0/build_script_build-0.d"),
            LIBRARY => self.debug("deps/base-0.d"),
            _ => self.debug("deps/app-0.d"),
        }
    }
    fn script_folder(&self, _: UnitIndex) -> PathBuf {
        self.debug("build/base-1")
    }
    fn fingerprint_folder(&self, index: UnitIndex) -> PathBuf {
        self.debug(&format!(".fingerprint/unit-{}", index.0))
    }
    fn fingerprint_name(&self, _: UnitIndex) -> String {
        "unit".to_owned()
    }
    fn readable_paths(&self, index: UnitIndex) -> Vec<PathBuf> {
        match index {
            RUN => vec![self.path("base"), self.debug("build/base-0")],
            SCRIPT => vec![self.path("base")],
            LIBRARY => vec![self.path("base"), self.debug("build/base-1/out")],
            _ => vec![self.path("app"), self.debug("deps")],
        }
    }
    fn writable_paths(&self, index: UnitIndex) -> Vec<PathBuf> {
        self.outputs(index).iter().map(|output| output.path.parent().unwrap().to_owned()).collect()
    }
    fn fingerprints(&self) -> Vec<Fingerprint> {
        self.graph.units.iter().map(|_| Fingerprint { parts: Vec::new() }).collect()
    }
    fn layout(&self, _: CompileKind) -> Layout {
        Layout { artifacts: self.path("target/debug"), intermediate: self.path("target/debug") }
    }
}

fn graph(root: &Path) -> UnitGraph {
    let (base, app) = (package(root, "base"), package(root, "app"));
    let on = |unit: UnitIndex, name: &str| UnitDependency { unit, extern_crate_name: Symbol::new(name) };
    let unit = |package: &Arc<Package>, target: usize, mode, dependencies| Unit {
        package: Arc::clone(package),
        target: Arc::clone(&package.targets[target]),
        mode,
        platform: CompileKind::Host,
        profile: Arc::new(profile()),
        features: BTreeSet::new(),
        is_host_dependency: false,
        is_local: true,
        dependencies,
    };
    UnitGraph {
        units: vec![
            unit(&base, 1, CompileMode::Build, vec![]),
            unit(&base, 1, CompileMode::RunBuildScript, vec![on(SCRIPT, "build_script_build")]),
            unit(&base, 0, CompileMode::Build, vec![on(RUN, "build_script_build")]),
            unit(&app, 0, CompileMode::Build, vec![on(LIBRARY, "base")]),
        ],
        roots: vec![PROGRAM],
        doctests: Vec::new(),
    }
}

fn package(workspace: &Path, name: &str) -> Arc<Package> {
    let root = workspace.join(name);
    let id =
        PackageId::new(PackageName::local(name).unwrap(), "1.0.0".parse().unwrap(), SourceId::path(&root).unwrap());
    let target = |kind, name: &str, file: &str| Target {
        kind,
        name: Symbol::new(name),
        path: root.join(file),
        edition: Edition::E2021,
        required_features: None,
        test: true,
        doctest: false,
        bench: false,
        doc: false,
        harness: true,
    };
    let targets = match name {
        "base" => vec![
            target(TargetKind::Lib(vec![CrateType::Lib]), "base", "src/lib.rs"),
            target(TargetKind::BuildScript, "build-script-build", "build.rs"),
        ],
        _ => vec![target(TargetKind::Bin, "app", "src/main.rs")],
    };
    Arc::new(Package {
        id,
        manifest_path: root.join("Cargo.toml"),
        edition: Edition::E2021,
        targets: targets.into_iter().map(Arc::new).collect(),
        summary: Arc::new(Summary {
            id,
            dependencies: Vec::new(),
            features: Arc::new(BTreeMap::new()),
            links: None,
            checksum: None,
            rust_version: None,
            yanked: false,
        }),
        default_run: None,
        lint_flags: Vec::new(),
        check_cfg: Vec::new(),
        details: PackageDetails::default(),
        root,
    })
}

fn profile() -> Profile {
    Profile {
        name: Symbol::new("dev"),
        opt_level: Symbol::new("0"),
        lto: Lto::ThinLocal,
        codegen_units: None,
        debug: DebugInfo::None,
        split_debuginfo: None,
        debug_assertions: true,
        overflow_checks: true,
        rpath: false,
        incremental: false,
        panic: PanicStrategy::Unwind,
        strip: Strip::None,
    }
}
