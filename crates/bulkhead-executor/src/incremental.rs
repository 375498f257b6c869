//! A folder of its own for what each compiler remembers from one build to the next. rustc takes object code from there, and a
//! procedural macro can write wherever the compiler that it runs in can: in the folder that Cargo gives all units it could
//! exchange the code of a unit that does not use it, and that code would outlive the macro. Nor is the folder's name to be
//! guessed by whoever brings a target folder along with a repository.

use std::io;
use std::path::PathBuf;

use bulkhead_trust::Digest;
use bulkhead_unit_graph::{Command, UnitIndex};

use crate::run::Build;
use crate::staging::name;
use crate::{Options, folders};

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
        let folder = shared.join(folder_name(&name(build, index), build.options));
        folders::make(build.options, &folder)?;
        *argument = format!("{FLAG}{}", folder.display());
        Ok(Some(Self { shared, folder }))
    }

    /// What the process may write: this folder instead of the one that all share.
    pub(crate) fn writable(&self, planned: Vec<PathBuf>) -> Vec<PathBuf> {
        planned.into_iter().map(|path| if path == self.shared { self.folder.clone() } else { path }).collect()
    }
}

/// Only the installation that has written a folder finds it again, and where it was written; the macros that see the name do not learn `owner` from it.
fn folder_name(unit: &str, options: &Options<'_>) -> String {
    let (owner, folder) = (options.owner, options.target_dir.display());
    let mut secret = Digest::of(format!("{owner}\n{folder}\n{unit}").as_bytes()).to_string();
    secret.truncate(32);
    format!("{unit}-{secret}")
}
