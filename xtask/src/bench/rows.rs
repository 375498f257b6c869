//! The work that is measured.

use super::workloads::Workload;
use crate::compare::{downloaded, index_entry};
use crate::sides::{Side, Sides};
use crate::tidy::repository_root;
use bulkhead_test_support::{Outcome, Registry};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// How many members the workspace of the `edit` row has, each depending on the one before.
const MEMBERS: usize = 20;

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// An operation on one of the applications.
    On(Operation, Workload),
    /// A build after a change.
    Build(Change, Project),
}

/// What happened to a built project before it is built again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// A source has another time, and holds what it held.
    Touch,
    /// A source has one function more.
    Edit,
    /// `target/` and the cache of units are gone.
    Clean,
    /// Another workspace has the same dependencies.
    Second,
}

/// What is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Project {
    Quickstart,
    /// A chain of packages in one workspace.
    Members,
    Application(Workload),
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
        Row::Build(Change::Nothing, Project::Quickstart),
        Row::Build(Change::Touch, Project::Quickstart),
        Row::Build(Change::Edit, Project::Members),
        Row::Build(Change::Clean, Project::Quickstart),
        Row::Build(Change::Second, Project::Quickstart),
    ];

    /// What takes minutes, and is measured only by its name. A clean build leaves what the rows after it build again.
    pub(super) const ON_REQUEST: &'static [Row] = &[
        Row::Build(Change::Clean, Project::Application(Workload::Service)),
        Row::Build(Change::Nothing, Project::Application(Workload::Service)),
        Row::Build(Change::Touch, Project::Application(Workload::Service)),
        Row::Build(Change::Edit, Project::Application(Workload::Service)),
        Row::Build(Change::Second, Project::Application(Workload::Service)),
        Row::Build(Change::Clean, Project::Application(Workload::Cargo)),
        Row::Build(Change::Nothing, Project::Application(Workload::Cargo)),
        Row::Build(Change::Touch, Project::Application(Workload::Cargo)),
        Row::Build(Change::Edit, Project::Application(Workload::Cargo)),
        Row::Build(Change::Second, Project::Application(Workload::Cargo)),
    ];

    /// The name by which the command line asks for it; the part before `-` asks for all of that kind.
    pub(super) fn name(self) -> String {
        match self {
            Row::On(operation, workload) => format!("{}-{}", operation.name(), workload.name()),
            Row::Build(change, Project::Application(workload)) => format!("{}-{}", change.name(), workload.name()),
            Row::Build(change, Project::Quickstart | Project::Members) => change.name().to_owned(),
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
            Row::Build(change, project) => format!("{}, {}", change.title(), project.title()),
        }
    }

    /// Whether the work is the program's own, so that counting its system calls says something.
    pub(super) fn is_own_work(self) -> bool {
        matches!(self, Row::On(..) | Row::Build(Change::Nothing, _))
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
            Row::Build(_, project) => {
                remove(&stage.project(side, "second"))?;
                let side = &project.side(side)?;
                let root = stage.project(side, project.folder());
                if let Project::Application(workload) = project {
                    workload.write(&root, side)?;
                    match workload {
                        Workload::Cargo => done(&side.run(&root, &["fetch", "--locked"]))?,
                        _ => stage.online(side, workload, "fetch")?,
                    }
                }
                done(&side.run(&root, project.arguments()))
            }
        }
    }

    /// Sets the stage for one run and returns what to run.
    pub(super) fn prepare(self, side: &Side, stage: &Stage) -> Result<Command, String> {
        match self {
            Row::On(operation, workload) => stage.operation(operation, workload, &side.at_home_in(workload.name())?),
            Row::Build(change, project) => stage.build(change, project, &project.side(side)?),
        }
    }
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Change::Nothing => "noop",
            Change::Touch => "touch",
            Change::Edit => "edit",
            Change::Clean => "clean",
            Change::Second => "second",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Change::Nothing => "build, nothing changed",
            Change::Touch => "build, a source touched",
            Change::Edit => "build, one line edited",
            Change::Clean => "clean build, nothing in the cache",
            Change::Second => "second workspace with the same dependencies",
        }
    }
}

impl Project {
    fn folder(self) -> &'static str {
        match self {
            Project::Quickstart => "quickstart",
            Project::Members => "workspace",
            // With the lockfile that its authors published: what is newest may want a newer compiler.
            Project::Application(Workload::Cargo) => "c-published",
            Project::Application(workload) => workload.name(),
        }
    }

    fn title(self) -> String {
        match self {
            Project::Quickstart => "quickstart".to_owned(),
            Project::Members => format!("{MEMBERS} members"),
            Project::Application(workload) => workload.title().to_owned(),
        }
    }

    /// How it is built: cargo's own package is only checked, which is what its developers do all day.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Project::Quickstart => &["build", "--locked"],
            Project::Members => &["build", "--workspace"],
            Project::Application(Workload::Cargo) => &["check", "--locked", "--offline"],
            Project::Application(_) => &["build", "--locked", "--offline"],
        }
    }

    /// The source that is touched and edited.
    fn source(self) -> &'static str {
        match self {
            Project::Members => "member0/src/lib.rs",
            Project::Application(Workload::Cargo) => "src/cargo/lib.rs",
            Project::Quickstart | Project::Application(_) => "src/main.rs",
        }
    }

    /// The side with the homes that the project is built in.
    fn side(self, side: &Side) -> Result<Side, String> {
        side.at_home_in(self.folder())
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

/// What an edit of a source begins with.
const EDIT: &str = "\n#[allow(dead_code, unreachable_pub)]\npub fn edited_by_the_bench() -> usize { ";

/// A project somewhere else, where nothing was built.
fn copy_project(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(to).map_err(|error| failed(to, error))?;
    for entry in std::fs::read_dir(from).map_err(|error| failed(from, error))?.flatten() {
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_file() {
            std::fs::copy(&path, &copy).map_err(|error| failed(&path, error))?;
        } else if entry.file_name() != "target" {
            copy_project(&path, &copy)?;
        }
    }
    Ok(())
}

fn done(outcome: &Outcome) -> Result<(), String> {
    if outcome.code() == Some(0) { Ok(()) } else { Err(format!("{}\n{outcome}", outcome.command)) }
}

impl Stage {
    /// Writes the small projects for both sides.
    pub(super) fn prepare(folder: &Path, sides: &Sides) -> Result<Stage, String> {
        // Numbers that no bench before this one wrote into a source.
        let seconds = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs() as usize);
        let stage =
            Stage { folder: folder.to_owned(), registry: Registry::start(), counter: AtomicUsize::new(seconds) };
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

    fn operation(&self, operation: Operation, workload: Workload, side: &Side) -> Result<Command, String> {
        let project = self.application(side, workload);
        let arguments: &[&str] = match operation {
            Operation::Lock => {
                remove(&project.join("Cargo.lock"))?;
                &["generate-lockfile", "--offline"]
            }
            Operation::Update => &["update", "--workspace", "--offline"],
            Operation::Metadata => METADATA,
            Operation::Tree => TREE,
            Operation::EditedMetadata | Operation::EditedTree => {
                self.edit_manifest(&project)?;
                if operation == Operation::EditedTree { TREE } else { METADATA }
            }
            Operation::Fetch => return self.cold_fetch(side, &project),
        };
        Ok(side.command(&project, arguments))
    }

    fn build(&self, change: Change, project: Project, side: &Side) -> Result<Command, String> {
        let mut root = self.project(side, project.folder());
        match change {
            Change::Nothing => {}
            Change::Touch => {
                touch(&root.join(project.source()))?;
                // A file that was changed a moment ago is not believed to be settled, and nobody is as fast as this.
                std::thread::sleep(Duration::from_millis(200));
            }
            Change::Edit => self.edit(&root.join(project.source()), EDIT, "}\n")?,
            Change::Clean => {
                remove(&root.join("target"))?;
                side.forget_units()?;
            }
            Change::Second => {
                // A new one each time: ext4 looks past the numbers of files that were deleted in the last minutes, one by one.
                let number = self.counter.fetch_add(1, Ordering::Relaxed).to_string();
                let second = self.project(side, "second").join(number).join(project.folder());
                copy_project(&root, &second)?;
                root = second;
            }
        }
        Ok(side.command(&root, project.arguments()))
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
        self.edit(&project.join("Cargo.toml"), "\n# edit ", "\n")
    }

    /// Ends the file with a number that it did not hold before, between `head` and `tail`.
    fn edit(&self, path: &Path, head: &str, tail: &str) -> Result<(), String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let text = text.split(head).next().unwrap_or_default();
        write(path, &format!("{text}{head}{number}{tail}"))
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
