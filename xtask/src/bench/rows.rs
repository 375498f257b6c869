//! The work that is measured.

use super::workloads::Workload;
use crate::compare::{downloaded, index_entry};
use crate::sides::{Side, Sides};
use crate::tidy::repository_root;
use bulkhead_test_support::{Outcome, Registry};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// How many members the workspace of the `edit` row has, each depending on the one before.
const MEMBERS: usize = 20;

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// An operation on one of the applications.
    On(Operation, Workload),
    NoOp,
    /// A source has another time, and holds what it held.
    Touch,
    Edit,
    Clean,
    /// Another workspace with the dependencies of one that was built.
    Second,
    /// The same with those of an application.
    SecondOn(Workload),
}

/// What is done with an application.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Lock,
    Update,
    Metadata,
    Tree,
    /// The same after an edit of the manifest.
    EditedMetadata,
    EditedTree,
    Fetch,
}

/// The projects, one copy per side where a run changes them, and the registry to fetch from.
pub(super) struct Stage {
    folder: PathBuf,
    registry: Registry,
    counter: AtomicUsize,
}

impl Row {
    pub(super) const ALL: &'static [Row] = &[
        Row::On(Operation::Lock, Workload::Service),
        Row::On(Operation::Lock, Workload::Cargo),
        Row::On(Operation::Lock, Workload::Many),
        Row::On(Operation::Update, Workload::Service),
        Row::On(Operation::Update, Workload::Cargo),
        Row::On(Operation::Update, Workload::Many),
        Row::On(Operation::Metadata, Workload::Service),
        Row::On(Operation::Metadata, Workload::Cargo),
        Row::On(Operation::Metadata, Workload::Many),
        Row::On(Operation::EditedMetadata, Workload::Service),
        Row::On(Operation::EditedMetadata, Workload::Cargo),
        Row::On(Operation::EditedMetadata, Workload::Many),
        Row::On(Operation::Tree, Workload::Service),
        Row::On(Operation::Tree, Workload::Cargo),
        Row::On(Operation::Tree, Workload::Many),
        Row::On(Operation::EditedTree, Workload::Service),
        Row::On(Operation::EditedTree, Workload::Cargo),
        Row::On(Operation::EditedTree, Workload::Many),
        Row::On(Operation::Fetch, Workload::Service),
        Row::On(Operation::Fetch, Workload::Many),
        Row::NoOp,
        Row::Touch,
        Row::Edit,
        Row::Clean,
        Row::Second,
    ];

    /// What takes minutes, and is measured only by its name.
    pub(super) const ON_REQUEST: &'static [Row] = &[Row::SecondOn(Workload::Service)];

    /// The name by which the command line asks for it; the part before `-` asks for all of that kind.
    pub(super) fn name(self) -> String {
        match self {
            Row::On(operation, workload) => format!("{}-{}", operation.name(), workload.name()),
            Row::NoOp => "noop".to_owned(),
            Row::Touch => "touch".to_owned(),
            Row::Edit => "edit".to_owned(),
            Row::Clean => "clean".to_owned(),
            Row::Second => "second".to_owned(),
            Row::SecondOn(workload) => format!("second-{}", workload.name()),
        }
    }

    pub(super) fn is_called(self, name: &str) -> bool {
        let own = self.name();
        if Self::ON_REQUEST.contains(&self) {
            return own == name;
        }
        own == name || own.split_once('-').is_some_and(|(kind, _)| kind == name)
    }

    pub(super) fn title(self) -> String {
        match self {
            Row::On(operation, workload) => format!("{}, {}", operation.title(), workload.title()),
            Row::NoOp => "build, nothing changed (quickstart)".to_owned(),
            Row::Touch => "build, a source touched (quickstart)".to_owned(),
            Row::Edit => "build, one line edited (20 members)".to_owned(),
            Row::Clean => "clean build, nothing in the cache (quickstart)".to_owned(),
            Row::Second => "second workspace with the same dependencies (quickstart)".to_owned(),
            Row::SecondOn(workload) => format!("second workspace with the same dependencies ({})", workload.title()),
        }
    }

    /// Whether the work is the program's own, so that counting its system calls says something.
    pub(super) fn is_own_work(self) -> bool {
        !matches!(self, Row::Touch | Row::Edit | Row::Clean | Row::Second | Row::SecondOn(_))
    }

    /// Runs the work once, uncounted.
    pub(super) fn warm_up(self, side: &Side, stage: &Stage) -> Result<(), String> {
        match self {
            Row::On(operation, workload) => {
                // Offline, both prefer what was downloaded: what another application needs must not be in the way.
                let side = &side.at_home_in(workload.name())?;
                stage.write_application(side, workload)?;
                match operation {
                    // Downloads take long and change nothing about which versions are chosen, if both have none.
                    Operation::Lock | Operation::Update if workload == Workload::Many => {
                        stage.online(side, workload, "generate-lockfile")
                    }
                    Operation::Fetch => stage.publish(side, workload),
                    _ => stage.online(side, workload, "fetch"),
                }
            }
            Row::SecondOn(workload) => {
                let side = &side.at_home_in(workload.name())?;
                stage.write_application(side, workload)?;
                stage.online(side, workload, "fetch")?;
                done(&side.run(&stage.application(side, workload), BUILD))
            }
            Row::NoOp | Row::Touch | Row::Clean | Row::Second => {
                done(&side.run(&stage.project(side, "quickstart"), &["build", "--locked"]))
            }
            Row::Edit => done(&side.run(&stage.project(side, "workspace"), &["build", "--workspace"])),
        }
    }

    /// Sets the stage for one run and returns what to run.
    pub(super) fn prepare(self, side: &Side, stage: &Stage) -> Result<Command, String> {
        match self {
            Row::On(operation, workload) => {
                let side = &side.at_home_in(workload.name())?;
                let project = stage.application(side, workload);
                match operation {
                    Operation::Lock => {
                        remove(&project.join("Cargo.lock"))?;
                        Ok(side.command(&project, &["generate-lockfile", "--offline"]))
                    }
                    Operation::Update => Ok(side.command(&project, &["update", "--workspace", "--offline"])),
                    Operation::Metadata => Ok(side.command(&project, METADATA)),
                    Operation::Tree => Ok(side.command(&project, TREE)),
                    Operation::EditedMetadata | Operation::EditedTree => {
                        stage.edit_manifest(&project)?;
                        let is_tree = operation == Operation::EditedTree;
                        Ok(side.command(&project, if is_tree { TREE } else { METADATA }))
                    }
                    Operation::Fetch => stage.cold_fetch(side, &project),
                }
            }
            Row::NoOp => Ok(side.command(&stage.project(side, "quickstart"), &["build", "--locked"])),
            Row::Touch => {
                let quickstart = stage.project(side, "quickstart");
                touch(&quickstart.join("src/main.rs"))?;
                Ok(side.command(&quickstart, &["build", "--locked"]))
            }
            Row::Edit => {
                let workspace = stage.project(side, "workspace");
                let number = stage.counter.fetch_add(1, Ordering::Relaxed);
                let leaf = workspace.join("member0/src/lib.rs");
                write(&leaf, &format!("pub fn number() -> usize {{ {number} }}\n"))?;
                Ok(side.command(&workspace, &["build", "--workspace"]))
            }
            Row::Clean => {
                let quickstart = stage.project(side, "quickstart");
                remove(&quickstart.join("target"))?;
                side.forget_units()?;
                Ok(side.command(&quickstart, &["build", "--locked"]))
            }
            Row::Second => {
                let (first, second) = (stage.project(side, "quickstart"), stage.project(side, "second"));
                copy_project(&first, &second)?;
                Ok(side.command(&second, &["build", "--locked"]))
            }
            Row::SecondOn(workload) => {
                let side = &side.at_home_in(workload.name())?;
                let second = stage.project(side, "second").join(workload.name());
                copy_project(&stage.application(side, workload), &second)?;
                Ok(side.command(&second, BUILD))
            }
        }
    }
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Lock => "lock",
            Operation::Update => "update",
            Operation::Metadata => "metadata",
            Operation::EditedMetadata => "metadata-edited",
            Operation::Tree => "tree",
            Operation::EditedTree => "tree-edited",
            Operation::Fetch => "fetch",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Operation::Lock => "generate-lockfile --offline",
            Operation::Update => "update -w --offline",
            Operation::Metadata => "metadata --offline",
            Operation::EditedMetadata => "metadata --offline, manifest edited",
            Operation::Tree => "tree --offline",
            Operation::EditedTree => "tree --offline, manifest edited",
            Operation::Fetch => "cold fetch, verify, unpack (loopback)",
        }
    }
}

const METADATA: &[&str] = &["metadata", "--format-version", "1", "--offline"];
const TREE: &[&str] = &["tree", "--offline"];
const BUILD: &[&str] = &["build", "--locked", "--offline"];

/// A project of one package somewhere else, where nothing was built.
fn copy_project(from: &Path, to: &Path) -> Result<(), String> {
    remove(to)?;
    for file in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
        let text = std::fs::read_to_string(from.join(file)).map_err(|error| format!("{file}: {error}"))?;
        write(&to.join(file), &text)?;
    }
    Ok(())
}

fn done(outcome: &Outcome) -> Result<(), String> {
    if outcome.code() == Some(0) { Ok(()) } else { Err(format!("{}\n{outcome}", outcome.command)) }
}

impl Stage {
    /// Writes the small projects for both sides.
    pub(super) fn prepare(folder: &Path, sides: &Sides) -> Result<Stage, String> {
        let stage = Stage { folder: folder.to_owned(), registry: Registry::start(), counter: AtomicUsize::new(0) };
        let quickstart = repository_root().join("examples/quickstart");
        for side in sides.both() {
            for file in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
                let text =
                    std::fs::read_to_string(quickstart.join(file)).map_err(|error| format!("{file}: {error}"))?;
                write(&stage.project(side, "quickstart").join(file), &text)?;
            }
            stage.write_workspace(&stage.project(side, "workspace"))?;
        }
        Ok(stage)
    }

    fn project(&self, side: &Side, name: &str) -> PathBuf {
        self.folder.join(side.name).join(name)
    }

    fn write_workspace(&self, root: &Path) -> Result<(), String> {
        write(&root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"member*\"]\n")?;
        for index in 0..MEMBERS {
            let mut manifest =
                format!("[package]\nname = \"member{index}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
            let mut source = "pub fn number() -> usize { 0 }\n".to_owned();
            if let Some(previous) = index.checked_sub(1) {
                manifest += &format!("[dependencies]\nmember{previous} = {{ path = \"../member{previous}\" }}\n");
                source = format!("pub fn number() -> usize {{ member{previous}::number() + 1 }}\n");
            }
            write(&root.join(format!("member{index}/Cargo.toml")), &manifest)?;
            write(&root.join(format!("member{index}/src/lib.rs")), &source)?;
        }
        Ok(())
    }

    /// Changes the manifest and nothing that it says.
    fn edit_manifest(&self, project: &Path) -> Result<(), String> {
        let path = project.join("Cargo.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let text = text.split("\n# edit ").next().unwrap_or_default();
        write(&path, &format!("{text}\n# edit {number}\n"))
    }

    fn application(&self, side: &Side, workload: Workload) -> PathBuf {
        self.project(side, workload.name())
    }

    fn write_application(&self, side: &Side, workload: Workload) -> Result<(), String> {
        workload.write(&self.application(side, workload), side)
    }

    /// Asks the registry, so that both sides know and have the same. Cargo goes first: its lockfile counts for both.
    fn online(&self, side: &Side, workload: Workload, command: &str) -> Result<(), String> {
        let project = self.application(side, workload);
        // What the offline resolution is about is asked for too, and first: it may choose versions that are not here yet.
        done(&side.run(&project, &["generate-lockfile"]))?;
        if command == "generate-lockfile" { Ok(()) } else { done(&side.run(&project, &[command])) }
    }

    /// Lets cargo download the application's packages, and serves them on the loopback interface. Both sides fetch what
    /// the same lockfile says.
    fn publish(&self, side: &Side, workload: Workload) -> Result<(), String> {
        let project = self.application(side, workload);
        if side.name == "bulkhead" {
            let theirs = self.folder.join("cargo").join(workload.name()).join("Cargo.lock");
            let failed = |error: std::io::Error| format!("{}: {error}", theirs.display());
            return std::fs::copy(&theirs, project.join("Cargo.lock")).map(drop).map_err(failed);
        }
        done(&side.run(&project, &["fetch"]))?;
        let text =
            std::fs::read_to_string(project.join("Cargo.lock")).map_err(|error| format!("Cargo.lock: {error}"))?;
        let lockfile: toml::Table = text.parse().map_err(|error| format!("Cargo.lock: {error}"))?;
        let mut count = 0;
        for package in lockfile.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
            let field = |name: &str| package.get(name).and_then(toml::Value::as_str).unwrap_or_default();
            let (name, version) = (field("name"), field("version"));
            if field("checksum").is_empty() {
                continue;
            }
            let entry =
                index_entry(&side.cargo_home(), name, version).ok_or_else(|| format!("{name}: not in the index"))?;
            let archive =
                downloaded(&side.cargo_home(), name, version).ok_or_else(|| format!("{name}: not downloaded"))?;
            self.registry.publish_file(name, version, &entry.to_string(), archive);
            count += 1;
        }
        println!("bench: {count} packages on the loopback registry");
        Ok(())
    }

    /// A fetch into homes that do not exist yet.
    fn cold_fetch(&self, side: &Side, project: &Path) -> Result<Command, String> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let home = self.folder.join("cold").join(format!("{}-{number}", side.name));
        remove(&home)?;
        write(&home.join("cargo/config.toml"), &self.registry.source_replacement())?;
        let mut command = side.command(project, &["fetch", "--locked"]);
        command.env("CARGO_HOME", home.join("cargo")).env("BULKHEAD_HOME", home.join("bulkhead"));
        Ok(command)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Many large folders that nobody will look at again.
        let _ = remove(&self.folder.join("cold"));
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    // An unchanged file keeps its time, so that a warm build stays warm from one bench to the next.
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    std::fs::write(path, text).map_err(failed)
}

fn touch(path: &Path) -> Result<(), String> {
    let file = std::fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(SystemTime::now())).map_err(|error| format!("{}: {error}", path.display()))
}

/// Removes a file or folder, which may hold read-only folders (a store's trees are).
fn remove(path: &Path) -> Result<(), String> {
    if path.is_file() {
        return std::fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()));
    }
    if !path.exists() {
        return Ok(());
    }
    let status = Command::new("chmod").arg("-R").arg("u+w").arg(path).status();
    status.map_err(|error| format!("chmod: {error}"))?;
    std::fs::remove_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}
