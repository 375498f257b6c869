//! Fresh lockfiles of one-dependency projects: the bytes of `Cargo.lock`.

use super::report::{Report, Verdict};
use super::text_diff::diff;
use super::{Options, data_lines};
use crate::sides::{Side, Sides};
use std::path::{Path, PathBuf};

const CRATES: &str = include_str!("../../data/crates.txt");
/// How many of the list `--small` takes.
const SMALL: usize = 4;

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let count = if options.small { SMALL } else { usize::MAX };
    for words in data_lines(CRATES).take(count) {
        let [name, requirement] = words[..] else { return Err(format!("xtask/data/crates.txt: {words:?}")) };
        if !options.wants(name) {
            continue;
        }
        println!("-- {name}");
        let folder = options.folder.join("lock");
        compare_one(&folder, name, name, &format!("{name} = \"{requirement}\""), sides, report)?;
        match features_in_index(&sides.cargo, &folder.join("cargo"), name) {
            Some(features) if !features.is_empty() => {
                let dependency = format!("{name} = {{ version = \"{requirement}\", features = {features:?} }}");
                compare_one(&folder, name, &format!("{name} (all features)"), &dependency, sides, report)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn compare_one(
    folder: &Path,
    name: &str,
    subject: &str,
    dependency: &str,
    sides: &Sides,
    report: &mut Report,
) -> Result<(), String> {
    let manifest = format!(
        "[package]\nname = \"one-{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\n{dependency}\n"
    );
    let mut results = Vec::new();
    for side in sides.both() {
        let project = folder.join(side.name);
        write_project(&project, &manifest).map_err(|error| format!("{}: {error}", project.display()))?;
        let outcome = side.run(&project, &["generate-lockfile"]);
        let lockfile = std::fs::read_to_string(project.join("Cargo.lock")).unwrap_or_default();
        results.push((outcome, lockfile));
    }
    let [(cargo, cargo_lock), (bulkhead, bulkhead_lock)] = &results[..] else { return Ok(()) };
    let verdict = if cargo.code() != bulkhead.code() {
        Verdict::Different(format!(
            "cargo: {:?}\n{}\nbulkhead: {:?}\n{}\n",
            cargo.code(),
            last_lines(&cargo.stderr),
            bulkhead.code(),
            last_lines(&bulkhead.stderr)
        ))
    } else {
        Verdict::from_differences(diff(cargo_lock, bulkhead_lock))
    };
    report.add(subject, "Cargo.lock of one dependency", verdict);
    Ok(())
}

pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn write_project(project: &Path, manifest: &str) -> std::io::Result<()> {
    if project.exists() {
        std::fs::remove_dir_all(project)?;
    }
    std::fs::create_dir_all(project.join("src"))?;
    std::fs::write(project.join("Cargo.toml"), manifest)?;
    std::fs::write(project.join("src/lib.rs"), "")
}

/// Every feature of the version that cargo has just locked, from cargo's own copy of the index.
fn features_in_index(cargo: &Side, project: &Path, name: &str) -> Option<Vec<String>> {
    let lockfile: toml::Table = std::fs::read_to_string(project.join("Cargo.lock")).ok()?.parse().ok()?;
    let packages = lockfile.get("package")?.as_array()?;
    let version =
        packages.iter().find(|package| package["name"].as_str() == Some(name))?["version"].as_str()?.to_owned();
    let entry = index_entry(&cargo.cargo_home(), name, &version)?;
    let mut features: Vec<String> = Vec::new();
    for table in ["features", "features2"] {
        features.extend(entry[table].as_object().into_iter().flatten().map(|(feature, _)| feature.clone()));
    }
    let namespaced = |dependency: &str| {
        ["features", "features2"]
            .iter()
            .any(|table| entry[*table].to_string().contains(&format!("\"dep:{dependency}\"")))
    };
    for dependency in entry["deps"].as_array()?.iter().filter(|dependency| dependency["optional"] == true) {
        let name = dependency["name"].as_str()?;
        if !namespaced(name) {
            features.push(name.to_owned());
        }
    }
    features.sort();
    features.dedup();
    Some(features)
}

/// One version's entry in the index that cargo keeps below its home: entries are NUL-separated JSON there.
pub(crate) fn index_entry(cargo_home: &Path, name: &str, version: &str) -> Option<serde_json::Value> {
    index_lines(cargo_home, name)?.into_iter().find(|entry| entry["vers"].as_str() == Some(version))
}

fn index_lines(cargo_home: &Path, name: &str) -> Option<Vec<serde_json::Value>> {
    let lower = name.to_lowercase();
    let relative = match lower.len() {
        1 => format!("1/{lower}"),
        2 => format!("2/{lower}"),
        3 => format!("3/{}/{lower}", &lower[..1]),
        _ => format!("{}/{}/{lower}", &lower[..2], &lower[2..4]),
    };
    let indexes = std::fs::read_dir(cargo_home.join("registry/index")).ok()?;
    let files = indexes.flatten().map(|index| -> PathBuf { index.path().join(".cache").join(&relative) });
    let bytes = files.filter_map(|path| std::fs::read(path).ok()).next()?;
    Some(bytes.split(|byte| *byte == 0).filter_map(|part| serde_json::from_slice(part).ok()).collect())
}
