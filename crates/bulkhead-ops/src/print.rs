//! `rustc --print`: what the compiler says of itself, asked with the flags that a build would give it.

use std::process::Command;

use bulkhead_sandbox::Status;
use bulkhead_unit_graph::CompileKind;

use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions};
use crate::{Error, compile, project};

/// What rustc needs of the environment to answer.
const VARIABLES: [&str; 5] = ["PATH", "HOME", "RUSTUP_HOME", "TMPDIR", "RUSTC_BOOTSTRAP"];

/// The commands that answer, one for each platform asked for. They compile nothing and read no file of the project, so
/// that they need no confinement.
///
/// # Errors
/// The project cannot be read, or the compiler cannot be asked.
pub fn print(global: &GlobalOptions, options: &CompileOptions, what: &str) -> Result<Vec<Command>> {
    let project = project::open(global, &|_| {})?;
    let (toolchain, flags) = compile::compiler(global, &project, &options.platforms)?;
    let kinds = compile::requested_platforms(&compile::platforms_of(&toolchain));
    let given = options.single.as_ref().map(|single| single.arguments.as_slice()).unwrap_or_default();
    let command = |kind: CompileKind| {
        let mut command = Command::new(&toolchain.rustc);
        command.env_clear().current_dir("/");
        command.envs(VARIABLES.iter().filter_map(|name| Some((name, global.place.variable(name)?))));
        command.args(flags.get(&kind).map(|flags| flags.rustflags.as_slice()).unwrap_or_default()).args(given);
        if let CompileKind::Target(triple) = kind {
            command.args(["--target", &*triple]);
        }
        command.args(["--print", what]);
        command
    };
    Ok(kinds.into_iter().map(command).collect())
}

/// How Cargo tells that a program has failed.
#[must_use]
pub fn failure(command: &Command, status: std::process::ExitStatus) -> Error {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let (line, status) = (words.join(" "), Status::from(status));
    Error::failure(format!("process didn't exit successfully: `{line}` ({status})"))
}
