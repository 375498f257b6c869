//! Units that were built before, in whatever workspace: found again by a key over all that went into them, and kept for
//! the next one who needs them.
//!
//! Only packages that cannot change (of a registry, or of a git repository's commit, in the store) take part, and only
//! processes that were confined and were granted nothing that the key does not know. See `docs/decisions/unit-cache.md`.

pub(crate) mod contents;
mod foresee;
mod keep;
pub(crate) mod key;
mod take;

use std::path::Path;

use bulkhead_trust::Digest;
use bulkhead_unit_graph::{Command, CompileMode, UnitIndex};
use bulkhead_workspace::Package;

pub(crate) use contents::Known;
pub(crate) use foresee::{Foreseen, foresee};
pub(crate) use keep::{Job, Keeper, beside, compiled, ran};
pub(crate) use key::Keys;
pub(crate) use take::{Found, Printed, Taken, find, place_compiled, place_run};

use crate::confinement;
use crate::run::Build;
use crate::staging::Staging;
use key::{Inputs, Places};

/// How units are compiled that workspaces share, the cache of such units, and what has to be known of this machine to use it.
#[derive(Clone)]
pub struct Cache<'a> {
    /// Where they are kept. `None` to keep and take none: what is compiled is the same, bit for bit.
    pub units: Option<&'a bulkhead_store::UnitCache>,
    /// The target folder and the build folder, which have no say in what is built.
    pub places: Vec<std::path::PathBuf>,
    /// What identifies the compiler.
    pub toolchain: &'a str,
    /// What identifies the system's linkers, compilers and libraries.
    pub system: &'a str,
    /// The compiler itself: units that something else compiles are not kept.
    pub rustc: &'a Path,
    /// Where the sources of all packages that take part lie.
    pub sources: &'a Path,
    /// Where files lie that policy pins for build scripts, each in a folder that is called by its digest.
    pub pinned: &'a Path,
    /// The digest of all files of a package that cannot change; `None` for one that can.
    pub source: &'a (dyn Fn(&Package) -> Option<String> + Sync),
}

/// Where units are kept and found, if anywhere.
pub(crate) fn units<'a>(build: &Build<'a>) -> Option<&'a bulkhead_store::UnitCache> {
    build.options.cache.as_ref().and_then(|cache| cache.units)
}

/// The keys of a unit, or why it is not shared with other workspaces, if that is worth a word.
pub(crate) type Keyed = Result<Keys, Option<String>>;

/// The keys of the unit at `index`. All that it depends on is there, or known.
pub(crate) fn keys(build: &Build<'_>, index: UnitIndex, command: &Command) -> Keyed {
    let cache = build.options.cache.as_ref().filter(|cache| cache.units.is_some()).ok_or(None)?;
    let source = eligible(build, index, command)?;
    let unit = build.unit(index);
    let is_run = unit.mode == CompileMode::RunBuildScript;
    let dependencies = contents::dependencies(build, index)
        .map_err(|error| Some(format!("what it depends on cannot be read: {error}")))?;
    let profile = confinement::profile(build.planner, build.options, index, command, Vec::new(), Vec::new())
        .map_err(|error| Some(error.to_string()))?;
    let environment = profile.environment.into_iter().map(|(name, value)| (name, value.value)).collect();
    let inputs = Inputs {
        kind: if is_run { "run" } else { "compile" },
        command,
        environment,
        source,
        dependencies,
        toolchain: cache.toolchain,
        system: (is_run || contents::uses_system(unit, &command.arguments)).then_some(cache.system),
        confinement: confinement_text(build, index),
    };
    Ok(key::keys(&inputs, &Places::new(&cache.places)))
}

/// How the process is confined, and which pinned files it may read.
fn confinement_text(build: &Build<'_>, index: UnitIndex) -> String {
    let pinned = (build.options.grants)(build.unit(index)).read.into_iter().map(|granted| granted.value);
    format!("{:?} {:?}", build.options.level, pinned.collect::<Vec<_>>())
}

/// Whether the unit may be shared at all: the digest of its sources if so, else why not, if that is worth a word.
fn eligible(build: &Build<'_>, index: UnitIndex, command: &Command) -> Result<String, Option<String>> {
    let cache = build.options.cache.as_ref().ok_or(None)?;
    let unit = build.unit(index);
    let source = (cache.source)(&unit.package).filter(|_| !unit.is_local).ok_or(None)?;
    let is_run = unit.mode == CompileMode::RunBuildScript;
    if !is_run && !matches!(unit.mode, CompileMode::Build | CompileMode::Check) {
        return Err(None);
    }
    let because = |reason: &str| Err(Some(reason.to_owned()));
    let grants = (build.options.grants)(unit);
    if grants.network.is_some() {
        return because("it was granted the network");
    }
    if !grants.write.is_empty() || !grants.read.iter().all(|granted| is_pinned(cache.pinned, &granted.value)) {
        return because("it was granted files and folders of which nobody knows what they hold");
    }
    if !Places::new(&cache.places).are_plain() {
        return because("the path of the target folder has unusual characters");
    }
    let wrapper = command.environment.iter().any(|(name, _)| name == "RUSTC_WRAPPER");
    if !is_run && command.program != cache.rustc || is_run && wrapper {
        return because("another program stands before the compiler");
    }
    if !is_run && !Staging::is_used(build, index) {
        return because("its compiler writes among the files of others");
    }
    if command.arguments.iter().any(|argument| argument.starts_with("incremental=")) {
        return because("it is compiled incrementally");
    }
    let places = cache.places.iter().map(std::path::PathBuf::as_path);
    let known = [cache.sources, &build.options.sysroot, Path::new("/usr")];
    let known: Vec<_> = known.into_iter().chain(places).collect();
    if let Some(argument) = key::unpinned(&command.arguments, &known) {
        return Err(Some(format!("of what `{argument}` names nobody knows what it holds")));
    }
    Ok(source)
}

/// Whether `path` is a file that policy pins: its digest, which stands in its path, is in the key with the variable that names it.
fn is_pinned(pinned: &Path, path: &Path) -> bool {
    let folder = path.parent();
    let digest = folder.and_then(|folder| folder.file_name()?.to_str());
    folder.and_then(Path::parent) == Some(pinned) && digest.is_some_and(|text| Digest::parse(text).is_ok())
}

/// An argument for the compiler of a unit that is shared: generated code bears a name that is the same in every workspace.
/// What asks for the variable `OUT_DIR` itself still gets the real folder.
pub(crate) fn remap(build: &Build<'_>, index: UnitIndex, command: &Command) -> Option<String> {
    eligible(build, index, command).ok()?;
    let (_, folder) = command.environment.iter().find(|(name, _)| name == "OUT_DIR")?;
    let id = build.unit(index).package.id;
    Some(format!("--remap-path-prefix={folder}=/bulkhead/{}-{}/out", id.name(), id.version()))
}
