//! From the files, variables and arguments that are there to one configuration: discovery, ownership, trust.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use bulkhead_config::keys::BUILT_IN_COMMANDS;
use bulkhead_config::{Config, IgnoredKey, Layer, LayerClass, Merged, Origin};
pub use bulkhead_config::{ProgressWhen, TermConfig};
use bulkhead_schema::Diagnostic;
use bulkhead_workspace::Files as _;

use crate::error::Result;
use crate::in_force::ConfigurationFiles;
use crate::observed::Disk;
use crate::options::{GlobalOptions, Place};
use crate::trusted_files::TrustedFiles;
use crate::{Error, Event, switches};

/// Largest configuration file that is read, in bytes.
const MAX_CONFIG_SIZE: u64 = 1024 * 1024;

/// The configuration in force, and what of it was left out.
pub struct Configuration {
    /// What acts.
    pub config: Config,
    /// What a project's file said in vain.
    pub ignored: Vec<IgnoredKey>,
    /// The files that it was read from.
    pub files: ConfigurationFiles,
}

/// Reads every layer that applies to the current folder and reports what was ignored.
///
/// # Errors
/// A file that cannot be read or parsed, or a value of the wrong type.
pub fn load(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<Configuration> {
    let place = &global.place;
    let (layers, mut ignored) = layers(global, events)?;
    let mut said = bulkhead_config::explain::said_outside_of_files(&layers, &environment(place), &place.current_dir);
    said.extend(switches::values(place));
    let files = ConfigurationFiles::of(&layers).with(said);
    let Merged { config, ignored: more, warnings } =
        bulkhead_config::merge(layers, environment(place), place.current_dir.clone())?;
    ignored.extend(more);
    warnings.into_iter().for_each(|warning| events(Event::Diagnostic(warning)));
    report_ignored(&ignored, events);
    report_changed(place, &ignored, events)?;
    Ok(Configuration { config, ignored, files })
}

/// The environment, as configuration asks it.
pub(crate) fn environment(place: &Place) -> BTreeMap<String, String> {
    let text = |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
    place.environment.iter().filter_map(text).collect()
}

/// `[term]` as it is in force in the current folder; what is wrong with other keys is reported when they are used.
///
/// # Errors
/// As with [`load`].
pub fn terminal(global: &GlobalOptions) -> Result<TermConfig> {
    Ok(load(global, &|_| ())?.config.term()?)
}

/// Every layer but the environment, the lowest precedence first, and what was left out of them already.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn layers(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<(Vec<Layer>, Vec<IgnoredKey>)> {
    let place = &global.place;
    let disk = &place.disk;
    let trusted = TrustedFiles::load(disk, &place.bulkhead_home)?;
    let project = project_root(disk, &place.current_dir);
    let mut layers = Vec::new();
    let mut ignored = Vec::new();
    for (path, class) in config_files(place, &project, events) {
        let text = read_config(disk, &path)?;
        let class = with_trust(class, &path, &text, &trusted);
        let expanded = bulkhead_config::expand(&path, &text, class, &mut |include: &Path| {
            include_file(disk, include, &project, &trusted)
        })?;
        layers.extend(expanded.layers);
        ignored.extend(expanded.ignored);
    }
    for argument in &global.config {
        layers.push(argument_layer(place, argument)?);
    }
    Ok((layers, ignored))
}

/// An alias harms nobody who does not call it, and the command line names it then.
fn report_ignored(ignored: &[IgnoredKey], events: &dyn Fn(Event)) {
    for key in ignored.iter().filter(|key| !key.key.starts_with("alias.")) {
        let (code, verb) = if key.is_secret { ("config-secret", "refused") } else { ("config-untrusted", "ignored") };
        let message = format!("`{}` in {} is {verb}: {}", key.key, key.definition, key.reason);
        let warning = Diagnostic::warning(code, message).help(key.how_to_trust.clone());
        events(Event::Diagnostic(warning));
    }
}

/// A file that was trusted, and of which something is ignored, has changed since: what did is what the user wants to see.
fn report_changed(place: &Place, ignored: &[IgnoredKey], events: &dyn Fn(Event)) -> Result<()> {
    let files = ignored.iter().filter(|key| !key.is_secret && !key.key.starts_with("alias."));
    let files = files.filter_map(|key| match key.definition.origin() {
        Origin::File { path, .. } => Some(path.as_path()),
        Origin::Environment(_) | Origin::CommandLine(_) => None,
    });
    let files: BTreeSet<&Path> = files.collect();
    if files.is_empty() {
        return Ok(());
    }
    let trusted = TrustedFiles::load(&place.disk, &place.bulkhead_home)?;
    for path in files.into_iter().filter(|path| trusted.digest_of(path).is_some()) {
        events(changed(path));
    }
    Ok(())
}

/// That a file is not the one any more that was trusted.
pub(crate) fn changed(path: &Path) -> Event {
    let shown = path.display();
    Event::Note(format!("`{shown}` has changed since it was trusted: `bulkhead trust --diff {shown}` shows how"))
}

/// The folder that bounds the upward search: the repository, else the outermost folder with a manifest, as long as
/// every folder on the way belongs to the user.
pub(crate) fn project_root(disk: &Disk, current_dir: &Path) -> PathBuf {
    let mut root = current_dir;
    for folder in current_dir.ancestors().take_while(|folder| disk.check_ownership(folder).is_ok()) {
        if is_repository(disk, folder) {
            return folder.to_path_buf();
        }
        if disk.is_file(&folder.join("Cargo.toml")) {
            root = folder;
        }
    }
    root.to_path_buf()
}

/// Whether `folder` is the root of a repository. One that is a submodule belongs to the repository around it, whose workspace
/// it may be a member of.
pub(crate) fn is_repository(disk: &Disk, folder: &Path) -> bool {
    const LARGEST: u64 = 4096;
    let git = folder.join(".git");
    let is_submodule = || {
        let text = disk.read_text(&git, LARGEST).unwrap_or_default();
        text.strip_prefix("gitdir:").is_some_and(|place| place.contains("/modules/"))
    };
    disk.exists(&git) && !(disk.is_file(&git) && is_submodule())
}

/// The files to read, the lowest precedence first.
fn config_files(place: &Place, project: &Path, events: &dyn Fn(Event)) -> Vec<(PathBuf, LayerClass)> {
    let disk = &place.disk;
    let mut files = Vec::new();
    let user = config_in(disk, &place.cargo_home);
    for folder in place.current_dir.ancestors().take_while(|folder| folder.starts_with(project)) {
        let found = config_in(disk, &folder.join(".cargo"));
        let Some(path) = found.filter(|path| Some(path) != user.as_ref()) else { continue };
        if let Err(reason) = disk.check_ownership(&path) {
            events(Event::Warning(format!("`{}` is ignored: it {reason}", path.display())));
            continue;
        }
        files.push((path, LayerClass::Repository { trusted: false, root: project.to_path_buf() }));
    }
    if let Some(path) = user {
        match disk.check_ownership(&path) {
            Ok(()) => files.push((path, LayerClass::User)),
            Err(reason) => events(Event::Warning(format!("`{}` is ignored: it {reason}", path.display()))),
        }
    }
    files.reverse();
    files
}

/// The files of the current project that act only when trusted, for `bulkhead trust`.
pub fn project_files(global: &GlobalOptions) -> Vec<PathBuf> {
    let disk = &global.place.disk;
    let project = project_root(disk, &global.place.current_dir);
    let folders = global.place.current_dir.ancestors().take_while(|folder| folder.starts_with(&project));
    let mut files: Vec<_> = folders
        .flat_map(|folder| [config_in(disk, &folder.join(".cargo")), Some(folder.join("bulkhead.toml"))])
        .flatten()
        .filter(|path| disk.is_file(path) && path.parent() != Some(&global.place.cargo_home))
        .collect();
    files.sort();
    files
}

/// `config.toml`, or the old name `config` if only that is there.
fn config_in(disk: &Disk, folder: &Path) -> Option<PathBuf> {
    // Cargo prefers the file without the ending when both are there.
    ["config", "config.toml"].into_iter().map(|name| folder.join(name)).find(|path| disk.is_file(path))
}

fn with_trust(class: LayerClass, path: &Path, text: &str, trusted: &TrustedFiles) -> LayerClass {
    match class {
        LayerClass::Repository { root, .. } => {
            LayerClass::Repository { trusted: trusted.contains(path, text.as_bytes()), root }
        }
        other => other,
    }
}

fn read_config(disk: &Disk, path: &Path) -> Result<Arc<str>> {
    disk.read_text(path, MAX_CONFIG_SIZE).map(Arc::from).map_err(|error| {
        Error::failure(format!("failed to read configuration file `{}`", path.display())).because(error)
    })
}

fn include_file(
    disk: &Disk,
    path: &Path,
    project: &Path,
    trusted: &TrustedFiles,
) -> std::result::Result<Option<(Arc<str>, LayerClass)>, Diagnostic> {
    let Ok(real) = disk.canonicalize(path) else { return Ok(None) };
    disk.check_ownership(&real).map_err(|reason| {
        Diagnostic::error("config-include", format!("the included file `{}` {reason}", path.display()))
    })?;
    let root = disk.canonicalize(project).unwrap_or_else(|_| project.to_path_buf());
    if path.starts_with(project) && !real.starts_with(&root) {
        let message = format!("the included file `{}` is a link that leads out of the project", path.display());
        return Err(Diagnostic::error("config-include", message));
    }
    let text = read_config(disk, &real).map_err(|error| Diagnostic::error("config-include", error.to_string()))?;
    let class = if real.starts_with(&root) {
        LayerClass::Repository { trusted: trusted.contains(path, text.as_bytes()), root: project.to_path_buf() }
    } else {
        LayerClass::User
    };
    Ok(Some((text, class)))
}

/// `--config KEY=VALUE`, or the path of a file that the user names and thereby trusts.
fn argument_layer(place: &Place, argument: &str) -> Result<Layer> {
    let path = place.current_dir.join(argument);
    if place.disk.is_file(&path) {
        let text = read_config(&place.disk, &path)?;
        return Ok(Layer::file(path, &text, LayerClass::CommandLine)?);
    }
    Ok(Layer::argument(argument)?)
}
