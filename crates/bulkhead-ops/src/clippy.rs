//! `clippy`: a check in which the toolchain's `clippy-driver` stands in for rustc, for members of the workspace.

use std::path::PathBuf;
use std::process::Command;

use bulkhead_unit_graph::{BuildOptions, Toolchain};

use crate::error::Result;
use crate::options::{GlobalOptions, Place};
use crate::{Error, compile, project, toolchain};

/// What separates arguments in `CLIPPY_ARGS`: clippy-driver's own protocol.
const SEPARATOR: &str = "__CLIPPY_HACKERY__";

/// Lets clippy compile the members, with `arguments` for it.
///
/// # Errors
/// The toolchain has no clippy.
pub fn wrap(place: &Place, toolchain: &Toolchain, arguments: &[String], build: &mut BuildOptions) -> Result<()> {
    build.rustc_workspace_wrapper = Some(component(place, toolchain, "clippy-driver", "clippy")?);
    let arguments: String = arguments.iter().map(|argument| format!("{argument}{SEPARATOR}")).collect();
    build.wrapper_environment.insert("CLIPPY_ARGS".to_owned(), arguments);
    for name in ["CLIPPY_CONF_DIR", "CLIPPY_DISABLE_DOCS_LINKS"] {
        if let Some(value) = place.variable(name) {
            build.wrapper_environment.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(())
}

/// A program of the toolchain, never one that lies elsewhere.
///
/// # Errors
/// The toolchain lacks the component.
pub fn component(place: &Place, toolchain: &Toolchain, program: &str, component: &str) -> Result<PathBuf> {
    let path = toolchain.sysroot.join("bin").join(program);
    if place.disk.is_executable(&path) {
        return Ok(path);
    }
    Err(Error::failure(format!("the Rust toolchain in {} has no `{program}`", toolchain.sysroot.display()))
        .help(format!("run `rustup component add {component}`")))
}

/// The version of a program of the toolchain: `clippy --version`, `fmt --version`.
///
/// # Errors
/// The toolchain lacks it.
pub fn version(global: &GlobalOptions, program: &str, of: &str) -> Result<Command> {
    let rustc = toolchain::find_rustc(&global.place, None, &global.place.current_dir)?;
    let path = rustc.with_file_name(program);
    if !global.place.disk.is_executable(&path) {
        let message = format!("the Rust toolchain beside {} has no `{program}`", rustc.display());
        return Err(Error::failure(message).help(format!("run `rustup component add {of}`")));
    }
    let mut command = Command::new(path);
    command.arg("--version");
    Ok(command)
}

/// `clippy --explain LINT`: the program that tells.
///
/// # Errors
/// The toolchain has no clippy.
pub fn explain(global: &GlobalOptions, lint: &str) -> Result<Command> {
    let project = project::open(global, &|_| {})?;
    let toolchain = compile::platforms(global, &project, &[])?;
    // The texts are in the program that cargo starts, which does nothing else here.
    let mut command = Command::new(component(&global.place, &toolchain, "cargo-clippy", "clippy")?);
    command.args(["clippy", "--explain"]).arg(lint);
    Ok(command)
}
