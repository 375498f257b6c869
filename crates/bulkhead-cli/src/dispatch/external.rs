//! What is handed over to another program: commands that are programs of their own, and another toolchain.

use std::ffi::OsString;
use std::process::Command;

use bulkhead_ops::Error;
use bulkhead_ops::options::GlobalOptions;

/// Becomes the program of the command `name`, with all that stands behind that word. Returns if there is none.
///
/// # Errors
/// The program may not be run. The error that is returned in `Ok` is that it could not be started.
pub(super) fn run(global: &GlobalOptions, name: &str, arguments: &[OsString]) -> Result<Option<Error>, Error> {
    let Some(position) = arguments.iter().position(|word| word == name) else { return Ok(None) };
    let command = bulkhead_ops::subcommands::find(global, name, &arguments[position..])?;
    Ok(command.map(|command| replace_by(command, name)))
}

/// `+TOOLCHAIN` as the first argument, which rustup takes out for the programs that it starts.
pub(super) fn toolchain(arguments: &[OsString]) -> Option<OsString> {
    let word = arguments.get(1)?.to_str()?.strip_prefix('+')?;
    (!word.is_empty()).then(|| OsString::from(word))
}

/// Begins again with that toolchain.
pub(super) fn with_toolchain(toolchain: &OsString, arguments: &[OsString]) -> Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Error::failure("could not find the path of this program").because(error),
    };
    let mut command = Command::new(program);
    command.env("RUSTUP_TOOLCHAIN", toolchain).args(arguments.iter().skip(2));
    #[cfg(unix)]
    if let Some(name) = arguments.first() {
        use std::os::unix::process::CommandExt as _;
        command.arg0(name);
    }
    replace_by(command, "the same command with another toolchain")
}

/// Becomes `command`, so that the terminal, signals and the exit code are its own; returns if it cannot be started.
fn replace_by(mut command: Command, what: &str) -> Error {
    let failed = |error: std::io::Error| Error::failure(format!("could not start `{what}`")).because(error);
    bulkhead_ops::own_limits::lift();
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        failed(command.exec())
    }
    #[cfg(not(unix))]
    {
        use bulkhead_ops::ErrorKind;
        match command.status() {
            Ok(status) => Error::new(ErrorKind::Child(status.code().unwrap_or(101)), ""),
            Err(error) => failed(error),
        }
    }
}
