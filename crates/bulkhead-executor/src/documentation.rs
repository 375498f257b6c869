//! What a folder of documentation may hold. All crates share it, so macros that run in rustdoc can leave there what they like.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bulkhead_schema::Diagnostic;
use bulkhead_unit_graph::{CompileMode, UnitIndex};

use crate::files::{self, failed};
use crate::run::Build;
use crate::script::stray;

/// Refuses links that lead out of the folders in which `written` has left its pages, and what is neither a file nor a folder:
/// whoever publishes the pages would follow them. They are removed.
pub(crate) fn scan(build: &Build<'_>, written: &BTreeSet<UnitIndex>) -> Result<(), Diagnostic> {
    let pages = written.iter().filter(|index| build.unit(**index).mode == CompileMode::Doc);
    let outputs = pages.flat_map(|index| build.planner.outputs(*index));
    let folders: BTreeSet<PathBuf> =
        outputs.filter_map(|output| Some(output.path.parent()?.parent()?.into())).collect();
    folders.iter().filter(|folder| folder.is_dir()).try_for_each(|folder| scan_folder(folder))
}

fn scan_folder(folder: &Path) -> Result<(), Diagnostic> {
    let mut refused = None;
    let walked = files::walk(folder, &|_| true, &mut |path, metadata| {
        if let Some(reason) = stray(path, metadata, folder, folder)? {
            std::fs::remove_file(path)?;
            refused.get_or_insert_with(|| (path.to_owned(), reason));
        }
        Ok(())
    });
    walked.map_err(|error| failed("scan", folder, &error))?;
    let Some((path, reason)) = refused else { return Ok(()) };
    let message = format!("something that ran in rustdoc left `{}`, which is {reason}", path.display());
    Err(Diagnostic::error("doc-link", message)
        .help("it was removed; look at what the macros of the packages do that were documented"))
}
