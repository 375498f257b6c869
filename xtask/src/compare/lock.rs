//! Fresh lockfiles of one-dependency projects: the bytes of `Cargo.lock`, and what is then said of the graph.

use super::graph::{self, Depth};
use super::report::Report;
use super::{Options, data_lines};
use crate::sides::{Side, Sides};
use std::path::{Path, PathBuf};

const CRATES: &str = include_str!("../../data/crates.txt");
/// How many of the list `--small` takes.
const SMALL: usize = 4;
const PACKAGE: &str = "[package]\nname = \"one-dependency\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let count = if options.small { SMALL } else { usize::MAX };
    for words in data_lines(CRATES).filter(|words| options.wants(words[0])).take(count) {
        let [name, requirement] = words[..] else { return Err(format!("xtask/data/crates.txt: {words:?}")) };
        println!("-- {name}");
        let project = options.folder.join("lock");
        let depth = if options.small { Depth::Brief } else { Depth::Whole };
        let mut one = |subject: &str, dependency: &str| -> Result<(), String> {
            let manifest = format!("{PACKAGE}\n[dependencies]\n{name} = {dependency}\n");
            let prepare = |folder: &Path| write_project(folder, &manifest);
            if graph::compare_locks(subject, &project, &["generate-lockfile"], &prepare, sides, report)? {
                graph::compare_answers(subject, &project, name, depth, sides, report);
            }
            Ok(())
        };
        one(name, &format!("\"{requirement}\""))?;
        let features = features_in_index(&sides.cargo, &project, name).unwrap_or_default();
        if !features.is_empty() {
            let subject = format!("{name} (all features)");
            one(&subject, &format!("{{ version = \"{requirement}\", features = {features:?} }}"))?;
        }
        let subject = format!("{name} (no default features)");
        one(&subject, &format!("{{ version = \"{requirement}\", default-features = false }}"))?;
    }
    Ok(())
}

pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

pub(super) fn write_project(project: &Path, manifest: &str) -> std::io::Result<()> {
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
