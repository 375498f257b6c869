//! What a build rebuilt, from what it says of it.

use super::apps::status_line;
use super::commands::hashless;
use super::lock::last_lines;
use super::report::Verdict;
use bulkhead_test_support::Outcome;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Compares exit status and rebuilt units.
pub(super) fn judge(
    cargo: &Outcome,
    bulkhead: &Outcome,
    cargo_rebuilt: &[String],
    bulkhead_rebuilt: &[String],
) -> Verdict {
    let mut text = String::new();
    if !bulkhead.ends_as(cargo) {
        let _ = writeln!(text, "exit status: cargo {:?}, bulkhead {:?}", cargo.code(), bulkhead.code());
        let _ = writeln!(text, "{}", last_lines(&bulkhead.stderr));
    }
    for unit in cargo_rebuilt.iter().filter(|unit| !bulkhead_rebuilt.contains(unit)) {
        let _ = writeln!(text, "not rebuilt: {unit}");
    }
    for unit in bulkhead_rebuilt.iter().filter(|unit| !cargo_rebuilt.contains(unit)) {
        let _ = writeln!(text, "rebuilt in excess: {unit}");
    }
    Verdict::from_differences(text)
}

/// What the compiler said, fresh or replayed.
pub(super) fn messages(outcome: &Outcome) -> Vec<String> {
    let parsed = outcome.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let messages = parsed.filter(|message| message["reason"] == "compiler-message");
    messages.map(|message| format!("{}: {}", message["target"]["name"], message["message"]["message"])).collect()
}

/// What is said of the progress, sorted by whoever compares: units end in any order.
pub(super) fn status_lines(outcome: &Outcome, root: &str) -> Vec<String> {
    outcome.stderr.lines().filter_map(|line| status_line(&hashless(&line.replace(root, "")))).collect()
}

/// The units that were not fresh, and the build scripts that ran (their stamp is new).
pub(super) fn rebuilt(outcome: &Outcome, stamps: &mut BTreeMap<String, String>, root: &Path) -> Vec<String> {
    let mut units = Vec::new();
    for line in outcome.stdout.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let package = message["package_id"].as_str().unwrap_or_default().replace(&*root.to_string_lossy(), "");
        let target = &message["target"];
        let named = format!("{package} {} {}", target["kind"], target["name"]);
        match message["reason"].as_str() {
            Some("compiler-artifact") if message["fresh"] == false => {
                units.push(format!("{named} test={}", message["profile"]["test"]));
            }
            Some("build-script-executed") => {
                let stamp = message["env"].to_string();
                if stamps.insert(package.clone(), stamp.clone()) != Some(stamp) {
                    units.push(format!("{package} build script run"));
                }
            }
            _ => {}
        }
    }
    units.sort();
    units
}
