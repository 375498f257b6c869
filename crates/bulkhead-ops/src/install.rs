//! `install` and `uninstall`: programs of packages, in `$CARGO_HOME/bin` or below another root.
//!
//! A package is looked up, fetched and verified as a dependency would be ([`fetch`]), built from a copy that belongs to
//! nobody's project, and its programs are put in place by a rename; the [`record`]s are Cargo's own.

#![expect(clippy::disallowed_methods, reason = "this command is never answered from a snapshot")]

mod fetch;
mod place;
mod record;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bulkhead_schema::PackageId;
use bulkhead_workspace::Files as _;

use crate::build::{self, Built};
use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions, NameFilter};
use crate::{Error, ErrorKind, Event, compile, configuration, disk, project};

pub use fetch::Origin;
use fetch::Source;
use record::{Installed, Records};

/// `install`.
#[derive(Debug, Clone)]
pub struct InstallOptions {
    /// What is installed, one package each.
    pub packages: Vec<Origin>,
    /// `--root`
    pub root: Option<PathBuf>,
    /// `--force`
    pub force: bool,
    /// `--no-track`
    pub no_track: bool,
    /// `--shadow NAME`: may bear the name of a program that is on `PATH` already.
    pub shadow: Vec<String>,
    /// How it is built.
    pub compile: CompileOptions,
}

/// Installs each package. One that fails does not hold back the others.
///
/// # Errors
/// A package that cannot be had, or built, or has no programs; programs that may not bear their names, or are others'.
pub fn install(
    global: &GlobalOptions,
    options: &InstallOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let root = root(global, options.root.as_deref())?;
    global.place.disk.never_repeat();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for origin in &options.packages {
        match one(global, options, origin, &root, stop, events) {
            Ok(()) => done.push(origin.name()),
            Err(error) if options.packages.len() == 1 || stop.load(Ordering::Relaxed) => return Err(error),
            Err(error) => {
                failed.push(origin.name());
                events(Event::Error(error));
            }
        }
    }
    if options.packages.len() > 1 {
        events(Event::Status { verb: "Summary", message: summary("install", &done, &failed) });
    }
    let folder = root.join("bin");
    if !done.is_empty() && !place::is_on_path(&global.place, &folder) {
        let message =
            format!("be sure to add `{}` to your PATH to be able to run the installed binaries", folder.display());
        events(Event::Warning(message));
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Error::failure("some crates failed to install")),
    }
}

/// Which of several packages were `install`ed or `uninstall`ed.
fn summary(verb: &str, done: &[String], failed: &[String]) -> String {
    let mut sentences = Vec::new();
    if !done.is_empty() {
        sentences.push(format!("Successfully {verb}ed {}!", done.join(", ")));
    }
    if !failed.is_empty() {
        sentences.push(format!("Failed to {verb} {} (see error(s) above).", failed.join(", ")));
    }
    sentences.join(" ")
}

/// What is installed below the root: each package with its programs.
///
/// # Errors
/// The record cannot be read.
pub fn list(global: &GlobalOptions, given: Option<&Path>) -> Result<Vec<(String, Vec<String>)>> {
    let records = Records::read(&root(global, given)?)?;
    Ok(records.packages.iter().map(|(key, package)| (shown(key), package.programs.iter().cloned().collect())).collect())
}

/// Removes what was installed: the packages that `specs` name, without any the one in the current folder; or of these only
/// `programs`. One that cannot be removed does not hold back the others.
///
/// # Errors
/// There is no such package or program; a file that is not the one that was installed.
pub fn uninstall(
    global: &GlobalOptions,
    given: Option<&Path>,
    specs: &[String],
    programs: &[String],
    events: &dyn Fn(Event),
) -> Result<()> {
    let root = root(global, given)?;
    let _lock = place::lock(global)?;
    let mut records = Records::read(&root)?;
    let find = |records: &Records, spec: &String| {
        let missing = || Error::failure(format!("package ID specification `{spec}` did not match any packages"));
        records.find(spec).ok_or_else(missing)
    };
    match specs {
        [] => {
            let key = key_of_current(global, &records, events)?;
            remove(&root, &mut records, &key, programs, events)
        }
        [spec] => {
            let key = find(&records, spec)?;
            remove(&root, &mut records, &key, programs, events)
        }
        several => {
            let (mut done, mut failed) = (Vec::new(), Vec::new());
            for spec in several {
                let removed = find(&records, spec).and_then(|key| remove(&root, &mut records, &key, programs, events));
                match removed {
                    Ok(()) => done.push(spec.clone()),
                    Err(error) => {
                        failed.push(spec.clone());
                        events(Event::Error(error));
                    }
                }
            }
            events(Event::Status { verb: "Summary", message: summary("uninstall", &done, &failed) });
            if failed.is_empty() { Ok(()) } else { Err(Error::failure("some packages failed to uninstall")) }
        }
    }
}

/// The record of the package in the current folder.
fn key_of_current(global: &GlobalOptions, records: &Records, events: &dyn Fn(Event)) -> Result<String> {
    let folder = global.place.current_dir.clone();
    let manifest = folder.join("Cargo.toml");
    if !global.place.disk.is_file(&manifest) {
        return Err(Error::failure(format!("failed to read `{}`", manifest.display()))
            .because("there is no such file")
            .help("`install --list` names what is installed"));
    }
    let id = fetch::package_in(&fetch::at(global, &folder, folder.clone()), events)?.id;
    let key = record::key(id);
    match records.packages.contains_key(&key) {
        true => Ok(key),
        false => Err(Error::failure(format!("package `{id}` is not installed"))),
    }
}

/// Removes one package, or some of its programs.
fn remove(root: &Path, records: &mut Records, key: &str, programs: &[String], events: &dyn Fn(Event)) -> Result<()> {
    let installed = records.packages.get(key).cloned().unwrap_or_default();
    let chosen: BTreeSet<String> = match programs {
        [] => installed.programs.clone(),
        named => named.iter().cloned().collect(),
    };
    if let Some(absent) = chosen.iter().find(|name| !installed.programs.contains(*name)) {
        return Err(Error::failure(format!("binary `{absent}` not installed as part of `{}`", shown(key))));
    }
    // All are looked at before the first is gone.
    let paths = chosen.iter().map(|name| place::removable(root, name, &installed)).collect::<Result<Vec<_>>>()?;
    for path in paths.into_iter().flatten() {
        events(Event::Status { verb: "Removing", message: path.display().to_string() });
        std::fs::remove_file(&path)
            .map_err(|error| Error::failure(format!("failed to remove `{}`", path.display())).because(error))?;
    }
    records.remove(key, &chosen);
    records.write(root)
}

/// The requirement that is meant by a version on the command line: a whole version means itself, anything else has to say how
/// it is meant.
///
/// # Errors
/// It is neither, in the words that Cargo's parser has for it.
pub fn requirement(text: &str) -> std::result::Result<String, String> {
    let Some(first) = text.chars().next() else {
        return Err("no version provided for the `--version` flag".to_owned());
    };
    let range = text.parse::<semver::VersionReq>();
    if matches!(first, '<' | '>' | '=' | '^' | '~') || text.contains('*') {
        return range.map(|_| text.to_owned()).map_err(|_| {
            format!(
                "the `--version` provided, `{text}`, is not a valid semver version requirement\n\nPlease have a look at \
                 https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html for the correct format"
            )
        });
    }
    text.parse::<semver::Version>().map(|_| format!("={text}")).map_err(|error| match range {
        Ok(_) => {
            format!("{error}\n\n  tip: if you want to specify SemVer range, add an explicit qualifier, like '^{text}'")
        }
        Err(_) => error.to_string(),
    })
}

/// `clp 0.1.0 (path+file:///…)` as people are shown it.
fn shown(key: &str) -> String {
    record::parse_key(key).map_or_else(|| key.to_owned(), |id| format!("{id}"))
}

/// Installs one package, if it is not there.
fn one(
    global: &GlobalOptions,
    options: &InstallOptions,
    origin: &Origin,
    root: &Path,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let source = fetch::fetch(global, origin, events)?;
    let _lock = place::lock(global)?;
    let mut records = Records::read(root)?;
    let compile = compile_options(global, options, &source);
    let wanted = source.programs(&compile.targets);
    let known = records.packages.get(&record::key(source.id));
    if !options.force && source.foreign.is_some() && known.is_some_and(|known| known.is_same(&compile, &wanted)) {
        let message = format!("package `{}` is already installed, use --force to override", source.id);
        events(Event::Status { verb: "Ignored", message });
        return Ok(());
    }
    for name in &wanted {
        place::check_name(name)?;
        place::check_free(global, options, root, name, &records, source.id)?;
    }
    events(Event::Status { verb: "Installing", message: source.id.to_string() });
    let built = built(&source, &compile, stop, events)?;
    let programs = programs(&built, source.id)?;
    let names: BTreeSet<String> = programs.iter().map(|(name, _)| name.clone()).collect();
    let is_there = |name: &String| root.join("bin").join(name).symlink_metadata().is_ok();
    let unknown = names.iter().any(is_there).then(|| "unknown".to_owned());
    let replaced = records.owner_of_any(&names).or(unknown);
    let mut installed = Installed::new(&built, &compile, names, origin.requirement());
    for (name, path) in &programs {
        let destination = root.join("bin").join(name);
        let verb = if destination.symlink_metadata().is_ok() { "Replacing" } else { "Installing" };
        events(Event::Status { verb, message: destination.display().to_string() });
        installed.digests.insert(name.clone(), place::put(path, &destination)?);
    }
    if !options.no_track {
        records.insert(record::key(source.id), installed);
        remove_orphans(root, &mut records, &source, &programs, events);
        records.write(root)?;
    }
    events(done(&programs, replaced.as_deref(), source.id));
    Ok(())
}

/// Compiles the package. What its manifest is warned of is its author's business, unless that is the user.
fn built(
    source: &Source,
    options: &CompileOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Built> {
    let global = &source.global;
    let project = match &source.foreign {
        Some(_) => project::open(global, &|_| {}),
        None => project::open(global, events),
    }?;
    let left = match (&options.target_dir, &source.foreign) {
        (None, Some(_)) => None,
        (given, _) => Some(compile::target_dir(global, given.as_ref(), &project)?),
    };
    build::build_project(global, project, options, stop, events).map_err(|error| {
        if error.kind != ErrorKind::Failure {
            return error;
        }
        // What lies in a folder of its own goes with the copy.
        let left = left.map_or_else(String::new, |folder| {
            format!(
                ", intermediate artifacts can be found at `{}`.\nTo reuse those artifacts with a future compilation, set \
                 the environment variable `CARGO_BUILD_BUILD_DIR` to that path.",
                folder.display()
            )
        });
        error.while_doing(format!("failed to compile `{}`{left}", source.id))
    })
}

/// How the package is built: in release mode, all of its programs, in a folder of its own, if the user does not say otherwise.
fn compile_options(global: &GlobalOptions, options: &InstallOptions, source: &Source) -> CompileOptions {
    let mut compile = options.compile.clone();
    let here = &global.place.current_dir;
    // What is relative is so to where the user stands, and not to the package.
    let folder = compile.target_dir.or_else(|| global.place.variable("CARGO_TARGET_DIR").map(PathBuf::from));
    compile.target_dir = folder.map(|folder| here.join(folder));
    if compile.targets.bins == NameFilter::None && compile.targets.examples == NameFilter::None {
        compile.targets.bins = NameFilter::All;
    }
    compile.foreign.clone_from(&source.foreign);
    compile
}

/// Programs of older versions that the package does not have any more. What is not as it was installed is kept.
fn remove_orphans(
    root: &Path,
    records: &mut Records,
    source: &Source,
    programs: &[(String, PathBuf)],
    events: &dyn Fn(Event),
) {
    let known = source.every_name().into_iter().chain(programs.iter().map(|(name, _)| name.clone())).collect();
    for (key, name) in records.orphans(source.id, &known) {
        let Some(installed) = records.packages.get(&key) else { continue };
        match place::removable(root, &name, installed) {
            Ok(path) => {
                let message = format!("executable `{name}` from previous version {}", shown(&key));
                events(Event::Status { verb: "Removing", message });
                if let Some(path) = path
                    && let Err(error) = std::fs::remove_file(&path)
                {
                    events(Event::Warning(format!("failed to remove `{}`: {error}", path.display())));
                }
            }
            Err(error) => events(Event::Warning(error.to_string())),
        }
        records.remove(&key, &BTreeSet::from([name]));
    }
}

fn done(programs: &[(String, PathBuf)], replaced: Option<&str>, id: PackageId) -> Event {
    let list: Vec<_> = programs.iter().map(|(name, _)| format!("`{name}`")).collect();
    let what = format!("({} {})", if list.len() == 1 { "executable" } else { "executables" }, list.join(", "));
    match replaced {
        Some(old) => {
            Event::Status { verb: "Replaced", message: format!("package `{}` with `{id}` {what}", shown(old)) }
        }
        None => Event::Status { verb: "Installed", message: format!("package `{id}` {what}") },
    }
}

/// The programs that were built, by name.
fn programs(built: &Built, id: PackageId) -> Result<Vec<(String, PathBuf)>> {
    let executables = built.outcome.executables.iter();
    let programs: Vec<_> = executables
        .map(|executable| {
            let name = built.prepared.graph.unit(executable.unit).target.name;
            (format!("{name}{}", std::env::consts::EXE_SUFFIX), executable.path.clone())
        })
        .collect();
    if programs.is_empty() {
        return Err(Error::failure(format!("there is nothing to install in `{id}`, because it has no binaries")).help(
            "`install` is only for installing programs, and can't be used with libraries; \
                   to use a library, add it as a dependency with `add`",
        ));
    }
    Ok(programs)
}

/// `--root`, `CARGO_INSTALL_ROOT`, `install.root` of the user's configuration, else `CARGO_HOME`.
fn root(global: &GlobalOptions, given: Option<&Path>) -> Result<PathBuf> {
    let place = &global.place;
    let variable = place.variable("CARGO_INSTALL_ROOT").map(PathBuf::from);
    let root = match given.map(Path::to_path_buf).or(variable) {
        Some(root) => root,
        None => {
            let configured = configuration::load(global, &|_| ())?.config.path("install.root")?;
            configured.map_or_else(|| place.cargo_home.clone(), |root| root.value)
        }
    };
    let root = disk::normalize(&place.current_dir.join(root));
    if place.disk.is_file(&root) {
        return Err(Error::failure(format!("the install root `{}` is not a folder", root.display())));
    }
    Ok(root)
}
