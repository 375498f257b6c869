//! `install` and `uninstall`.

use std::path::PathBuf;

use bulkhead_ops::install::{self, InstallOptions, Origin};
use bulkhead_ops::options::{GlobalOptions, Intent};
use bulkhead_ops::{Error, ErrorKind};
use clap::ArgMatches;

use super::{Events, print};
use crate::escape::escaped_line;
use crate::shell::Shell;
use crate::{interrupt, options};

pub(super) fn install(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let root = arguments.get_one::<String>("root").map(PathBuf::from);
    if arguments.get_flag("list") {
        for (package, programs) in install::list(global, root.as_deref())? {
            let lines = programs.iter().map(|name| format!("\n    {}", escaped_line(name))).collect::<String>();
            print(shell, &format!("{}:{lines}", escaped_line(&package)))?;
        }
        return Ok(());
    }
    if arguments.get_flag("dry-run") {
        return Err(Error::failure("the `--dry-run` flag is unstable, and Bulkhead follows stable Cargo"));
    }
    let mut compile = options::compile(arguments, Intent::Build, shell)?;
    if compile.profile.is_none() {
        compile.profile = Some(if arguments.get_flag("debug") { "dev" } else { "release" }.to_owned());
    }
    let options = InstallOptions {
        packages: origins(arguments)?,
        root,
        force: arguments.get_flag("force"),
        no_track: arguments.get_flag("no-track"),
        shadow: arguments.get_many::<String>("shadow").into_iter().flatten().cloned().collect(),
        compile,
    };
    install::install(global, &options, interrupt::watch()?.as_ref(), events)
}

fn origins(arguments: &ArgMatches) -> Result<Vec<Origin>, Error> {
    let text = |name: &str| arguments.get_one::<String>(name).cloned();
    let crates: Vec<String> = arguments.get_many::<String>("crate").into_iter().flatten().cloned().collect();
    if let Some(path) = text("path") {
        return Ok(vec![Origin::Path(path.into())]);
    }
    let fields: Vec<(&'static str, String)> = [
        ("registry", "registry"),
        ("index", "registry-index"),
        ("git", "git"),
        ("branch", "branch"),
        ("tag", "tag"),
        ("rev", "rev"),
    ]
    .into_iter()
    .filter_map(|(argument, key)| Some((key, text(argument)?)))
    .collect();
    if crates.is_empty() && text("git").is_some() {
        return Ok(vec![Origin::Package { name: None, requirement: None, fields }]);
    }
    if crates.is_empty() {
        return Err(Error::failure(
            "using `install` to install the binaries from the package in current working directory is no longer \
             supported, use `install --path .` instead. note: use `build` if you want to simply build the package.",
        ));
    }
    let version = text("version");
    crates.into_iter().map(|spec| origin(&spec, version.as_deref(), fields.clone())).collect()
}

fn origin(spec: &str, version: Option<&str>, fields: Vec<(&'static str, String)>) -> Result<Origin, Error> {
    let (name, given) = match spec.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (spec, None),
    };
    if given.is_some() && version.is_some() {
        return Err(Error::failure("cannot specify both `@<VERSION>` and `--version <VERSION>`"));
    }
    let given = given.or(version).map(install::requirement).transpose();
    let requirement = given.map_err(|reason| Error::new(ErrorKind::Usage, reason))?;
    Ok(Origin::Package { name: Some(name.to_owned()), requirement, fields })
}

pub(super) fn uninstall(arguments: &ArgMatches, global: &GlobalOptions, events: &Events<'_>) -> Result<(), Error> {
    let values = |name: &str| arguments.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    let mut specs = values("spec");
    specs.extend(values("package"));
    let programs = values("bin");
    if specs.len() > 1 && !programs.is_empty() {
        return Err(Error::failure(
            "A binary can only be associated with a single installed package, specifying multiple specs with --bin is redundant.",
        ));
    }
    let root = arguments.get_one::<String>("root").map(PathBuf::from);
    install::uninstall(global, root.as_deref(), &specs, &programs, &|event| events(event))
}
