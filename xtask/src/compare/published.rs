//! Published packages, unpacked as their users find them.

use crate::sides::Side;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lets cargo download the `.crate`, and unpacks it afresh below `folder`. Returns the package's folder.
pub(crate) fn unpack(folder: &Path, package: &str, version: &str, cargo: &Side) -> Result<PathBuf, String> {
    let failed = |what: &str, why: String| format!("{what}: {why}");
    std::fs::create_dir_all(folder).map_err(|error| failed("folder", error.to_string()))?;
    let file = format!("{package}-{version}.crate");
    let find = || downloaded(&cargo.cargo_home(), package, version);
    if find().is_none() {
        // Inside a workspace, `cargo info` would ask about the workspace's own copy.
        let outcome = cargo.run(&std::env::temp_dir(), &["info", &format!("{package}@{version}")]);
        if outcome.code() != Some(0) {
            return Err(failed("cargo info", outcome.stderr));
        }
    }
    let archive = find().ok_or_else(|| failed(&file, "cargo did not download it".to_owned()))?;
    let root = folder.join(format!("{package}-{version}"));
    if root.exists() {
        std::fs::remove_dir_all(&root).map_err(|error| failed(&file, error.to_string()))?;
    }
    let status = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(failed(&file, "tar cannot unpack it".to_owned()));
    }
    Ok(root)
}

/// The archive that cargo has downloaded.
pub(crate) fn downloaded(cargo_home: &Path, package: &str, version: &str) -> Option<PathBuf> {
    let caches = std::fs::read_dir(cargo_home.join("registry/cache")).ok()?;
    let file = format!("{package}-{version}.crate");
    caches.flatten().map(|cache| cache.path().join(&file)).find(|path| path.exists())
}
