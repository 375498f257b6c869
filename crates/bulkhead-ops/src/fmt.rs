//! `fmt`: rustfmt over the targets of packages, as cargo-fmt calls it.
//!
//! rustfmt follows `mod` items and `#[path]` wherever they lead and rewrites what it finds, so that it runs confined: it
//! reads the workspace and its own configuration, and writes nothing but the packages that are formatted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_executor::{Confinement, Grants};
use bulkhead_policy::profile::{Facts, Impossible, Profile, compile as compile_profile};
use bulkhead_policy::{Granted, Origin, ProcessKind};
use bulkhead_sandbox::Stdout;
use bulkhead_unit_graph::Command;
use bulkhead_workspace::{Files as _, Package, TargetKind};

use crate::clippy::component;
use crate::error::Result;
use crate::options::{GlobalOptions, Place};
use crate::project::{self, Project};
use crate::{Error, ErrorKind, Event, compile, permissions};

/// `fmt`.
#[derive(Debug, Clone, Default)]
pub struct FmtOptions {
    /// `-p NAME`
    pub packages: Vec<String>,
    /// `--all`
    pub all: bool,
    /// What rustfmt is told: `--check` and what stands behind `--`.
    pub arguments: Vec<String>,
}

/// Formats; returns rustfmt's exit code.
///
/// # Errors
/// There is no such package, no rustfmt, or it cannot be confined.
pub fn fmt(global: &GlobalOptions, options: &FmtOptions, events: &dyn Fn(Event)) -> Result<i32> {
    let project = project::open(global, events)?;
    let packages = packages(&project, options)?;
    let toolchain = compile::platforms(global, &project, &[])?;
    let program = component(&global.place, &toolchain, "rustfmt", "rustfmt")?;
    let permissions = permissions::new(&global.place, &project, BTreeMap::new(), &|_| {});
    let environment = permissions.environment();
    let confinement = Confinement {
        sysroot: &toolchain.sysroot,
        level: permissions.level(),
        limits: &|kind| permissions.limits(kind),
        environment: &environment,
        protected: &permissions.protected,
    };
    let failed =
        |error: &dyn std::fmt::Display| Error::new(ErrorKind::Sandbox, "could not run rustfmt confined").because(error);
    let files = files_by_edition(&packages);
    if files.is_empty() {
        return Err(Error::failure("Failed to find targets").help("a package needs a library, a program, or the like"));
    }
    let mut code = 0;
    for (edition, files) in files {
        let command = command(global, &program, edition, &files, options);
        if global.verbose > 0 {
            events(Event::Text(shown(&command)));
        }
        let facts = confinement.facts(ProcessKind::Rustfmt, &command, Grants::default());
        let profile = profile(facts, global, &project, &packages, options).map_err(|error| failed(&error))?;
        let mut process = confinement.process(&profile, &command);
        process.stdout = Stdout::Inherit;
        let exit = bulkhead_sandbox::spawn(&process).and_then(bulkhead_sandbox::Child::wait);
        let exit = exit.map_err(|error| failed(&error))?;
        let ended = exit.status.to_std();
        if !ended.success() {
            code = code.max(ended.code().unwrap_or(101));
        }
    }
    Ok(code)
}

/// `facts`, and the workspace to read, and the packages to write unless they are only looked at.
fn profile(
    mut facts: Facts,
    global: &GlobalOptions,
    project: &Project,
    packages: &[Arc<Package>],
    options: &FmtOptions,
) -> std::result::Result<Profile, Impossible> {
    let root = &project.workspace.root;
    let granted = |path| Granted::new(path, Origin::Workspace);
    facts.read.push(granted(root.clone()));
    facts.read.extend(configuration_files(&global.place, root).into_iter().map(granted));
    let roots = packages.iter().map(|package| granted(package.root.clone()));
    match options.arguments.iter().any(|argument| argument == "--check") {
        true => facts.read.extend(roots),
        false => facts.write.extend(roots),
    }
    compile_profile(facts)
}

/// The selected packages; without a selection the current one, or at the workspace's root all of them.
fn packages(project: &Project, options: &FmtOptions) -> Result<Vec<Arc<Package>>> {
    let workspace = &project.workspace;
    let members = || workspace.members.iter().cloned();
    if !options.packages.is_empty() {
        let mut found = Vec::new();
        for name in &options.packages {
            let member = members().find(|package| package.id.name().as_str() == name);
            found.push(member.ok_or_else(|| {
                Error::new(ErrorKind::Usage, format!("package `{name}` is not a member of the workspace"))
            })?);
        }
        return Ok(found);
    }
    let current = workspace.current.and_then(|id| members().find(|package| package.id == id));
    Ok(match current {
        Some(package) if !options.all && package.root != workspace.root => vec![package],
        _ => members().collect(),
    })
}

fn files_by_edition(packages: &[Arc<Package>]) -> BTreeMap<&'static str, BTreeSet<PathBuf>> {
    let mut files: BTreeMap<_, BTreeSet<PathBuf>> = BTreeMap::new();
    for target in packages.iter().flat_map(|package| &package.targets) {
        let known = matches!(
            target.kind,
            TargetKind::Lib(_)
                | TargetKind::Bin
                | TargetKind::Example(_)
                | TargetKind::Test
                | TargetKind::Bench
                | TargetKind::BuildScript
        );
        if known {
            files.entry(target.edition.as_str()).or_default().insert(target.path.clone());
        }
    }
    files
}

fn command(
    global: &GlobalOptions,
    program: &Path,
    edition: &str,
    files: &BTreeSet<PathBuf>,
    options: &FmtOptions,
) -> Command {
    let mut arguments = vec!["--edition".to_owned(), edition.to_owned()];
    arguments.extend(options.arguments.iter().cloned());
    arguments.extend(files.iter().map(|file| file.display().to_string()));
    let home = user_configuration(&global.place).and_then(|_| global.place.home.clone());
    let environment = home.map(|home| ("HOME".to_owned(), home.display().to_string()));
    Command {
        program: program.to_owned(),
        arguments,
        environment: environment.into_iter().collect(),
        current_dir: global.place.current_dir.clone(),
    }
}

fn shown(command: &Command) -> String {
    format!("rustfmt {}", command.arguments.join(" "))
}

/// The user's own configuration of rustfmt.
fn user_configuration(place: &Place) -> Option<PathBuf> {
    let home = place.home.as_ref()?;
    let folders = [home.clone(), home.join(".config/rustfmt")];
    let names = ["rustfmt.toml", ".rustfmt.toml"];
    let candidates = folders.iter().flat_map(|folder| names.map(|name| folder.join(name)));
    candidates.into_iter().find(|path| place.disk.is_file(path))
}

/// Where rustfmt looks for its configuration besides the workspace: the folders above it, and the user's own.
fn configuration_files(place: &Place, root: &Path) -> Vec<PathBuf> {
    let above = root.ancestors().skip(1);
    let files = above.flat_map(|folder| ["rustfmt.toml", ".rustfmt.toml"].map(|name| folder.join(name)));
    files.filter(|path| place.disk.is_file(path)).chain(user_configuration(place)).collect()
}
