//! Unit graphs as sets: what would be compiled, how, and with what beside it.

use super::metadata::Roots;
use super::text_diff::multiset_difference;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The differences between two unit graphs, empty when there are none.
pub(super) fn difference(cargo: &Value, bulkhead: &Value, cargo_roots: &Roots, bulkhead_roots: &Roots) -> String {
    let (cargo, bulkhead) = (describe(cargo, cargo_roots), describe(bulkhead, bulkhead_roots));
    let (missing, extra) = multiset_difference(&lines(&cargo), &lines(&bulkhead));
    if missing.is_empty() && extra.is_empty() {
        return String::new();
    }
    let mut text = format!("cargo plans {} units, bulkhead {}\n", cargo.len(), bulkhead.len());
    let (missing, mut extra) = (by_key(&missing), by_key(&extra));
    for (key, lines) in &missing {
        let others = extra.remove(key).unwrap_or_default();
        if others.is_empty() {
            let _ = writeln!(text, "missing {key} ×{}", lines.len());
        }
        for (line, other) in lines.iter().zip(&others) {
            let _ = writeln!(text, "{key}");
            fields(line, other, &mut text);
        }
    }
    for (key, lines) in &extra {
        let _ = writeln!(text, "extra {key} ×{}", lines.len());
    }
    text.lines().take(80).map(|line| format!("{line}\n")).collect()
}

/// Names the fields in which two descriptions of the same unit differ.
fn fields(cargo: &str, bulkhead: &str, text: &mut String) {
    for (left, right) in cargo.split('\t').zip(bulkhead.split('\t')).skip(1) {
        let (left_items, right_items): (Vec<_>, Vec<_>) = (left.split(", ").collect(), right.split(", ").collect());
        for item in left_items.iter().filter(|item| !right_items.contains(item)) {
            let _ = writeln!(text, "  - {item}");
        }
        for item in right_items.iter().filter(|item| !left_items.contains(item)) {
            let _ = writeln!(text, "  + {item}");
        }
    }
}

fn lines(units: &[String]) -> Vec<String> {
    let mut lines = units.to_vec();
    lines.sort();
    lines
}

fn by_key(lines: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines {
        map.entry(line.split('\t').next().unwrap_or_default()).or_default().push(line);
    }
    map
}

/// One line per unit: key, features, profile, target and dependencies, separated by tabs.
fn describe(graph: &Value, roots: &Roots) -> Vec<String> {
    let units: Vec<&Value> = graph["units"].as_array().into_iter().flatten().collect();
    let root_indexes: Vec<u64> = graph["roots"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let describe_one = |(index, unit): (usize, &&Value)| {
        let mut dependencies: Vec<String> = Vec::new();
        for dependency in unit["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["index"].as_u64().and_then(|index| units.get(usize::try_from(index).ok()?));
            let features = on.map(|unit| unit["features"].to_string()).unwrap_or_default();
            dependencies.push(format!(
                "dep {} (public {}, noprelude {}) -> {} {}",
                dependency["extern_crate_name"].as_str().unwrap_or_default(),
                dependency["public"],
                dependency["noprelude"],
                on.map(|unit| key(unit)).unwrap_or_default(),
                features.replace(',', " "),
            ));
        }
        dependencies.sort();
        let root = if root_indexes.contains(&(index as u64)) { "root" } else { "not a root" };
        let line = format!(
            "{}\tfeatures {}\t{}\t{}\t{}\t{root}",
            key(unit),
            unit["features"].to_string().replace("\",\"", "\", \""),
            object("profile", &unit["profile"]),
            object("target", &unit["target"]),
            dependencies.join(", ")
        );
        roots.normalise(&line)
    };
    units.iter().enumerate().map(describe_one).collect()
}

fn object(name: &str, value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(key, value)| format!("{name}.{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn key(unit: &Value) -> String {
    let kinds: Vec<&str> = unit["target"]["kind"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    format!(
        "{} {}:{} {} for {}",
        unit["pkg_id"].as_str().unwrap_or_default(),
        kinds.join("+"),
        unit["target"]["name"].as_str().unwrap_or_default(),
        unit["mode"].as_str().unwrap_or_default(),
        unit["platform"].as_str().unwrap_or("host"),
    )
}
