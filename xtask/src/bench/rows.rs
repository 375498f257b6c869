//! The work that is measured.

use crate::compare::index_entry;
use crate::sides::{Side, Sides};
use crate::tidy::repository_root;
use bulkhead_test_support::Registry;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

const APP: &str = include_str!("../../data/bench-app.toml");
/// How many members the workspace of the `edit` row has, each depending on the one before.
const MEMBERS: usize = 20;

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    Resolve,
    Metadata,
    Fetch,
    NoOp,
    Edit,
    Clean,
}

/// The projects, one copy per side where a run changes them, and the registry to fetch from.
pub(super) struct Stage {
    folder: PathBuf,
    registry: Registry,
    counter: AtomicUsize,
}

impl Row {
    pub(super) const ALL: &'static [Row] = &[Row::Resolve, Row::Metadata, Row::Fetch, Row::NoOp, Row::Edit, Row::Clean];

    pub(super) fn name(self) -> &'static str {
        match self {
            Row::Resolve => "resolve",
            Row::Metadata => "metadata",
            Row::Fetch => "fetch",
            Row::NoOp => "noop",
            Row::Edit => "edit",
            Row::Clean => "clean",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Row::Resolve => "resolve, warm index (generate-lockfile --offline)",
            Row::Metadata => "metadata",
            Row::Fetch => "cold fetch, verify, unpack (loopback)",
            Row::NoOp => "build, nothing changed (quickstart)",
            Row::Edit => "build, one line edited (20 members)",
            Row::Clean => "clean build (quickstart)",
        }
    }

    /// Whether the work is the program's own, so that counting its system calls says something.
    pub(super) fn is_own_work(self) -> bool {
        !matches!(self, Row::Edit | Row::Clean)
    }

    /// Runs the work once, uncounted.
    pub(super) fn warm_up(self, side: &Side, stage: &Stage) -> Result<(), String> {
        let online = match self {
            Row::Resolve | Row::Metadata => side.run(&stage.project(side, "app"), &["fetch"]),
            Row::NoOp | Row::Clean => side.run(&stage.project(side, "quickstart"), &["build", "--locked"]),
            Row::Edit => side.run(&stage.project(side, "workspace"), &["build", "--workspace"]),
            Row::Fetch => return Ok(()),
        };
        if online.code() == Some(0) { Ok(()) } else { Err(format!("{}\n{online}", online.command)) }
    }

    /// Sets the stage for one run and returns what to run.
    pub(super) fn prepare(self, side: &Side, stage: &Stage) -> Result<Command, String> {
        let app = stage.project(side, "app");
        match self {
            Row::Resolve => {
                remove(&app.join("Cargo.lock"))?;
                Ok(side.command(&app, &["generate-lockfile", "--offline"]))
            }
            Row::Metadata => Ok(side.command(&app, &["metadata", "--format-version", "1", "--offline"])),
            Row::Fetch => stage.cold_fetch(side, &app),
            Row::NoOp => Ok(side.command(&stage.project(side, "quickstart"), &["build", "--locked"])),
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
                Ok(side.command(&quickstart, &["build", "--locked"]))
            }
        }
    }
}

impl Stage {
    /// Writes the projects for both sides and fills the loopback registry with what the application needs.
    pub(super) fn prepare(folder: &Path, sides: &Sides) -> Result<Stage, String> {
        let stage = Stage { folder: folder.to_owned(), registry: Registry::start(), counter: AtomicUsize::new(0) };
        let quickstart = repository_root().join("examples/quickstart");
        for side in sides.both() {
            let app = stage.project(side, "app");
            write(&app.join("Cargo.toml"), APP)?;
            write(&app.join("src/main.rs"), "fn main() {}\n")?;
            for file in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
                let text =
                    std::fs::read_to_string(quickstart.join(file)).map_err(|error| format!("{file}: {error}"))?;
                write(&stage.project(side, "quickstart").join(file), &text)?;
            }
            stage.write_workspace(&stage.project(side, "workspace"))?;
        }
        stage.publish(&sides.cargo)?;
        // Both sides fetch what the same lockfile says.
        let lockfile = stage.project(&sides.cargo, "app").join("Cargo.lock");
        let copy = stage.project(&sides.bulkhead, "app").join("Cargo.lock");
        std::fs::copy(&lockfile, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
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

    /// Lets cargo download the application's packages, and serves them on the loopback interface.
    fn publish(&self, cargo: &Side) -> Result<(), String> {
        let app = self.project(cargo, "app");
        let outcome = cargo.run(&app, &["fetch"]);
        if outcome.code() != Some(0) {
            return Err(format!("{}\n{outcome}", outcome.command));
        }
        let text = std::fs::read_to_string(app.join("Cargo.lock")).map_err(|error| format!("Cargo.lock: {error}"))?;
        let lockfile: toml::Table = text.parse().map_err(|error| format!("Cargo.lock: {error}"))?;
        let mut count = 0;
        for package in lockfile.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
            let field = |name: &str| package.get(name).and_then(toml::Value::as_str).unwrap_or_default();
            let (name, version) = (field("name"), field("version"));
            if field("checksum").is_empty() {
                continue;
            }
            let entry =
                index_entry(&cargo.cargo_home(), name, version).ok_or_else(|| format!("{name}: not in the index"))?;
            let archive =
                downloaded(&cargo.cargo_home(), name, version).ok_or_else(|| format!("{name}: not downloaded"))?;
            self.registry.publish_file(name, version, &entry.to_string(), archive);
            count += 1;
        }
        println!("bench: {count} packages on the loopback registry");
        Ok(())
    }

    /// A fetch into homes that do not exist yet.
    fn cold_fetch(&self, side: &Side, app: &Path) -> Result<Command, String> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let home = self.folder.join("cold").join(format!("{}-{number}", side.name));
        remove(&home)?;
        write(&home.join("cargo/config.toml"), &self.registry.source_replacement())?;
        let mut command = side.command(app, &["fetch", "--locked"]);
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

fn downloaded(cargo_home: &Path, name: &str, version: &str) -> Option<PathBuf> {
    let caches = std::fs::read_dir(cargo_home.join("registry/cache")).ok()?;
    caches.flatten().map(|cache| cache.path().join(format!("{name}-{version}.crate"))).find(|path| path.exists())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
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
