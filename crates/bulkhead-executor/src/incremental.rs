//! A folder of its own for what each compiler remembers from one build to the next. rustc takes object code from there, and a
//! procedural macro can write wherever the compiler that it runs in can: in the folder that Cargo gives all units it could
//! exchange the code of a unit that does not use it, and that code would outlive the macro.

use std::io;
use std::path::PathBuf;

use bulkhead_unit_graph::{Command, UnitIndex};

use crate::folders;
use crate::run::Build;
use crate::staging::name;

/// The folder of one unit, in the place of the one that all share.
pub(crate) struct Own {
    shared: PathBuf,
    folder: PathBuf,
}

impl Own {
    /// Makes the folder and turns `command` to it. `None` if the unit is not compiled incrementally.
    pub(crate) fn begin(build: &Build<'_>, index: UnitIndex, command: &mut Command) -> io::Result<Option<Self>> {
        const FLAG: &str = "incremental=";
        let shared = build.planner.layout(build.unit(index).platform).incremental();
        let planned = format!("{FLAG}{}", shared.display());
        let Some(argument) = command.arguments.iter_mut().find(|argument| **argument == planned) else {
            return Ok(None);
        };
        let folder = shared.join(name(build, index));
        folders::make(build.options, &folder)?;
        *argument = format!("{FLAG}{}", folder.display());
        Ok(Some(Self { shared, folder }))
    }

    /// What the process may write: this folder instead of the one that all share.
    pub(crate) fn writable(&self, planned: Vec<PathBuf>) -> Vec<PathBuf> {
        planned.into_iter().map(|path| if path == self.shared { self.folder.clone() } else { path }).collect()
    }
}
