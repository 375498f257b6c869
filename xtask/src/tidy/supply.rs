//! What other people's code the workspace may hold: only from the public registry, only with a checksum, only under
//! licences that go with ours, and no package twice unless somebody has said why.
//!
//! Advisories are not a rule of text: `cargo deny check advisories` asks for them (`deny.toml`), where the database can be
//! reached.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// Licences that go with MIT OR Apache-2.0, by their SPDX names. An expression passes if what it asks for can be met.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that may be there in several versions, with whom to thank for it.
const TWICE: &[(&str, &str)] = &[
    ("core-foundation", "Apple's systems only: system-configuration and security-framework disagree"),
    ("foldhash", "of the two hashbrowns"),
    ("getrandom", "ring asks for 0.2, tempfile for the current one"),
    ("hashbrown", "imara-diff asks for 0.15, indexmap for the current one"),
    ("syn", "derive macros are moving from 2 to 3"),
    ("windows-sys", "Windows only: ring asks for an older one"),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    license: Option<String>,
}

pub(super) fn check(root: &Path) -> Result<Vec<String>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    Ok(findings(&metadata.packages))
}

fn findings(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let Package { name, version, source, license } = package;
        versions.entry(name).or_default().push(version);
        if source.as_ref().is_some_and(|source| !source.ends_with("/crates.io-index")) {
            findings.push(format!("Cargo.lock: {name} {version} does not come from the public registry"));
        }
        match license.as_deref().map(is_accepted) {
            Some(true) => (),
            Some(false) => findings.push(format!(
                "Cargo.lock: {name} {version} is under `{}`, which is not among the accepted licences (xtask/src/tidy/supply.rs)",
                license.as_deref().unwrap_or_default()
            )),
            None => findings.push(format!("Cargo.lock: {name} {version} names no licence")),
        }
    }
    for (name, versions) in &versions {
        let excused = TWICE.iter().any(|(twice, _)| twice == name);
        if versions.len() > 1 && !excused {
            findings.push(format!("Cargo.lock: {name} is there as {}; agree on one", versions.join(" and ")));
        } else if versions.len() < 2 && excused {
            findings.push(format!("xtask/src/tidy/supply.rs: {name} is there once; take it off the list"));
        }
    }
    findings
}

/// Whether an SPDX expression (or the `/` of old manifests) can be met with the accepted licences.
fn is_accepted(expression: &str) -> bool {
    let spaced =
        expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "\u{a0}WITH\u{a0}");
    let words: Vec<String> =
        spaced.split([' ', '\t']).filter(|word| !word.is_empty()).map(|word| word.replace('\u{a0}', " ")).collect();
    let mut at = 0;
    either(&words, &mut at) == Some(true) && at == words.len()
}

/// `None`: not an expression.
fn either(words: &[String], at: &mut usize) -> Option<bool> {
    let mut met = both(words, at)?;
    while words.get(*at).is_some_and(|word| word == "OR") {
        *at += 1;
        met |= both(words, at)?;
    }
    Some(met)
}

fn both(words: &[String], at: &mut usize) -> Option<bool> {
    let mut met = one(words, at)?;
    while words.get(*at).is_some_and(|word| word == "AND") {
        *at += 1;
        met &= one(words, at)?;
    }
    Some(met)
}

fn one(words: &[String], at: &mut usize) -> Option<bool> {
    let word = words.get(*at)?;
    *at += 1;
    if word != "(" {
        return Some(LICENCES.contains(&word.as_str()));
    }
    let met = either(words, at)?;
    let closing = words.get(*at)?;
    *at += 1;
    (closing == ")").then_some(met)
}

#[cfg(test)]
mod tests {
    use super::{Package, findings, is_accepted};

    #[test]
    fn expressions_are_met_or_not() {
        for met in
            ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND ISC", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(is_accepted(met), "{met}");
        }
        for not in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT OR", "", "MIT)", "Apache-2.0 WITH Something"] {
            assert!(!is_accepted(not), "{not}");
        }
    }

    #[test]
    fn strangers_and_twins_are_named() {
        let package = |version: &str, source: &str| Package {
            name: "one".to_owned(),
            version: version.to_owned(),
            source: Some(source.to_owned()),
            license: Some("MIT".to_owned()),
        };
        let found = findings(&[
            package("1.0.0", "git+https://example/one"),
            package("2.0.0", "registry+https://x/crates.io-index"),
        ]);
        assert!(
            found.iter().any(|finding| finding.contains("one 1.0.0 does not come from the public registry")),
            "{found:?}"
        );
        assert!(found.iter().any(|finding| finding.contains("one is there as 1.0.0 and 2.0.0")), "{found:?}");
    }
}
