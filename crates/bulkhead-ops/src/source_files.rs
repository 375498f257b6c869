//! The files that compilers are pointed at: a project may name anything as the root of a target.

use std::collections::BTreeSet;
use std::path::Path;

use bulkhead_unit_graph::UnitGraph;
use bulkhead_workspace::Target;

use crate::Error;
use crate::error::Result;

/// Largest root of a target, in MiB. A compiler takes many times as much memory as its source.
const LARGEST: u64 = 256;

/// Refuses targets of the user's own packages whose root is not there, or is no file that a compiler comes to the end of: a
/// pipe, a device, a folder. Downloaded packages hold nothing but files.
///
/// # Errors
/// There is such a target.
pub(crate) fn check(graph: &UnitGraph) -> Result<()> {
    let mut seen = BTreeSet::new();
    for unit in graph.units.iter().filter(|unit| unit.is_local) {
        if seen.insert(unit.target.path.as_path()) {
            check_one(&unit.target, &unit.package.manifest_path)?;
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether a source is as it was when it was compiled is asked of the unit's record"
)]
fn check_one(target: &Target, manifest: &Path) -> Result<()> {
    let (path, name, kind) = (target.path.display(), target.name, target.kind.as_str());
    let failed = |message: String| Err(Error::failure(message).because(format!("`{}` names it", manifest.display())));
    let metadata = match std::fs::metadata(&target.path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return failed(format!("can't find {kind} `{name}` at path `{path}`"));
        }
        Err(error) => return failed(format!("cannot read {kind} `{name}` at path `{path}`: {error}")),
    };
    let problem = match (metadata.is_file(), metadata.is_dir()) {
        (true, _) if metadata.len() > LARGEST << 20 => format!("is larger than {LARGEST} MiB"),
        (true, _) => return Ok(()),
        (_, true) => "is a directory, but a source file was expected".to_owned(),
        _ => "is a pipe, a device or a socket, but a source file was expected".to_owned(),
    };
    failed(format!("path `{path}` for {kind} `{name}` {problem}"))
}
