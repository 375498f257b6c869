//! How many packages from outside the client may consist of: each one is code that someone else writes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The most packages (ours included) that `bulkhead` may be built from, build scripts and proc macros included.
const CLIENT_BUDGET: usize = 280;

pub(super) fn check(root: &Path) -> Result<Vec<String>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "tree",
        "--package",
        "bulkhead-cli",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--locked",
    ];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let packages: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    if packages.len() > CLIENT_BUDGET {
        return Ok(vec![format!(
            "Cargo.lock: the client needs {} packages; the budget is {CLIENT_BUDGET}",
            packages.len()
        )]);
    }
    println!("tidy: the client is built from {} packages (budget {CLIENT_BUDGET})", packages.len());
    Ok(Vec::new())
}
