//! Who may depend on whom (ARCHITECTURE.md, "The house"), and what a pure crate may use from outside.

use std::path::Path;

/// What one workspace package is allowed.
struct Layer {
    package: &'static str,
    /// Pure: values in, values out. Only [`PURE_EXTERNAL`] crates, and a `clippy.toml` that forbids the world.
    pure: bool,
    /// The workspace packages it may use, besides `bulkhead-schema`.
    uses: &'static [&'static str],
}

const fn pure(package: &'static str, uses: &'static [&'static str]) -> Layer {
    Layer { package, pure: true, uses }
}

const fn edge(package: &'static str, uses: &'static [&'static str]) -> Layer {
    Layer { package, pure: false, uses }
}

/// The table. An edge that is not here is a finding; adding one is a decision that a reviewer sees.
const LAYERS: &[Layer] = &[
    pure("bulkhead-schema", &[]),
    pure("bulkhead-config", &[]),
    pure("bulkhead-trust", &[]),
    pure("bulkhead-resolver", &[]),
    pure("bulkhead-workspace", &["bulkhead-config"]),
    pure("bulkhead-unit-graph", &["bulkhead-workspace", "bulkhead-resolver"]),
    pure("bulkhead-policy", &["bulkhead-trust", "bulkhead-resolver"]),
    pure("bulkhead-review", &["bulkhead-trust"]),
    edge("bulkhead-source", &[]),
    edge("bulkhead-credential", &["bulkhead-sandbox"]),
    edge("bulkhead-store", &["bulkhead-trust"]),
    edge("bulkhead-sandbox", &[]),
    edge("bulkhead-git", &["bulkhead-credential", "bulkhead-policy", "bulkhead-sandbox", "bulkhead-trust"]),
    edge(
        "bulkhead-executor",
        &[
            "bulkhead-policy",
            "bulkhead-sandbox",
            "bulkhead-store",
            "bulkhead-trust",
            "bulkhead-unit-graph",
            "bulkhead-workspace",
            "bulkhead-resolver",
        ],
    ),
    edge(
        "bulkhead-ops",
        &[
            "bulkhead-config",
            "bulkhead-credential",
            "bulkhead-executor",
            "bulkhead-git",
            "bulkhead-policy",
            "bulkhead-resolver",
            "bulkhead-review",
            "bulkhead-sandbox",
            "bulkhead-source",
            "bulkhead-store",
            "bulkhead-trust",
            "bulkhead-unit-graph",
            "bulkhead-workspace",
        ],
    ),
    edge("bulkhead-cli", &["bulkhead-ops"]),
    edge("bulkhead-test-support", &[]),
    edge("xtask", &["bulkhead-test-support"]),
];

/// Crates from outside that neither read nor change the world when used as a pure crate uses them.
const PURE_EXTERNAL: &[&str] = &[
    "annotate-snippets",
    "base64",
    "cargo-platform",
    "ed25519-dalek",
    "globset",
    "imara-diff",
    "ra-ap-rustc_lexer",
    "semver",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "toml",
    "toml_edit",
    "unicode-ident",
    "url",
    "zeroize",
];

/// What a pure crate's `clippy.toml` has to name, at least.
const FORBIDDEN_TO_PURE: &[&str] = &[
    "std::fs::read",
    "std::fs::write",
    "std::fs::File",
    "std::net::TcpStream",
    "std::process::Command",
    "std::env::var",
    "std::time::SystemTime",
    "std::time::Instant",
];

pub(super) fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    let mut folders: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(root.join("crates")).map_err(|error| format!("crates: {error}"))? {
        let entry = entry.map_err(|error| format!("crates: {error}"))?;
        folders.push(format!("crates/{}", entry.file_name().to_string_lossy()));
    }
    folders.push("xtask".to_owned());
    folders.sort();
    for folder in folders {
        check_package(root, &folder, &mut findings)?;
    }
    Ok(findings)
}

fn check_package(root: &Path, folder: &str, findings: &mut Vec<String>) -> Result<(), String> {
    let path = format!("{folder}/Cargo.toml");
    let text = std::fs::read_to_string(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
    let manifest: toml::Table = text.parse().map_err(|error| format!("{path}: {error}"))?;
    let name = folder.rsplit('/').next().unwrap_or(folder);
    if manifest.get("package").and_then(|package| package.get("name")).and_then(|value| value.as_str()) != Some(name) {
        findings.push(format!("{path}: the package is not named like its folder"));
    }
    let Some(layer) = LAYERS.iter().find(|layer| layer.package == name) else {
        findings.push(format!("{path}: `{name}` has no row in the dependency table (xtask/src/tidy/layers.rs)"));
        return Ok(());
    };
    for (kind, dependency) in dependencies(&manifest) {
        if let Some(complaint) = judge(layer, kind, &dependency) {
            findings.push(format!("{path}: {complaint}"));
        }
    }
    if !has_lints(&manifest, name) {
        findings.push(format!("{path}: lacks `[lints] workspace = true`"));
    }
    if layer.pure {
        check_purity_lint(root, folder, findings);
    }
    Ok(())
}

/// The sandbox repeats the workspace's lints because it alone is allowed `unsafe`; everyone else inherits them.
fn has_lints(manifest: &toml::Table, name: &str) -> bool {
    let Some(lints) = manifest.get("lints") else { return false };
    let repeated = lints.get("clippy").and_then(|clippy| clippy.get("unwrap_used")).is_some();
    lints.get("workspace").and_then(toml::Value::as_bool) == Some(true) || (name == "bulkhead-sandbox" && repeated)
}

fn judge(layer: &Layer, kind: &str, dependency: &str) -> Option<String> {
    let Layer { package, pure, uses } = layer;
    if dependency == "bulkhead-test-support" && *package != "xtask" {
        return (kind != "dev-dependencies").then(|| format!("`{dependency}` may only be a dev-dependency"));
    }
    if dependency.starts_with("bulkhead-") || dependency == "xtask" {
        // A test may look at anything: only what ships is layered.
        let allowed = dependency == "bulkhead-schema" || uses.contains(&dependency) || kind == "dev-dependencies";
        return (!allowed).then(|| format!("`{package}` must not depend on `{dependency}` (dependency table)"));
    }
    if *pure && kind == "dependencies" && !PURE_EXTERNAL.contains(&dependency) {
        return Some(format!("`{package}` is pure and must not use `{dependency}` (PURE_EXTERNAL in tidy/layers.rs)"));
    }
    None
}

/// Every dependency with the kind of table it stands in, `target.*` tables included.
fn dependencies(manifest: &toml::Table) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut scopes = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        scopes.extend(targets.values().filter_map(toml::Value::as_table));
    }
    for scope in scopes {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            if let Some(table) = scope.get(kind).and_then(toml::Value::as_table) {
                found.extend(table.iter().map(|(name, value)| (kind, package_name(name, value))));
            }
        }
    }
    found
}

fn package_name(name: &str, value: &toml::Value) -> String {
    value.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned()
}

fn check_purity_lint(root: &Path, folder: &str, findings: &mut Vec<String>) {
    let path = format!("{folder}/clippy.toml");
    let Ok(text) = std::fs::read_to_string(root.join(&path)) else {
        findings.push(format!("{path}: a pure crate needs one that forbids files, network, processes and clocks"));
        return;
    };
    for forbidden in FORBIDDEN_TO_PURE {
        if !text.contains(&format!("\"{forbidden}\"")) {
            findings.push(format!("{path}: does not forbid `{forbidden}`"));
        }
    }
}
