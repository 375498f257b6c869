//! The command line and environment of rustc and rustdoc.

use crate::{Command, Context, ScriptOutputs, UnitIndex};

/// How the unit is compiled. `scripts` must hold the outputs of all build-script runs that the unit depends on,
/// directly or not.
pub fn compile_command(context: &Context<'_>, index: UnitIndex, scripts: &ScriptOutputs) -> Command {
    let _ = (index, scripts);
    Command {
        program: context.toolchain.rustc.clone(),
        arguments: Vec::new(),
        environment: Vec::new(),
        current_dir: context.options.workspace_root.clone(),
    }
}
