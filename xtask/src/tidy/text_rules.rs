//! Rules on the text of files: printing, `unsafe`, module docs, host names, machine paths.

use super::SourceFile;
use super::rust_text::{line_of, mask, test_ranges};

/// Where printing is the job.
const MAY_PRINT: &[&str] = &["bulkhead-cli", "xtask"];

/// Where `unsafe` may stand: confinement, and the one call that reads a child's resource usage for the benchmark.
const MAY_BE_UNSAFE: &[&str] = &["crates/bulkhead-sandbox/", "xtask/src/bench/measure.rs"];

/// Paths of one person's machine.
const MACHINE_PATHS: &[&str] = &[concat!("/tmp", "/wt/"), concat!("/work", "/main"), concat!("/work", "/shared")];

/// Addresses of the public registry, which derive from `bulkhead_schema::ids::CRATES_IO_DOMAIN` and stand nowhere else.
const REGISTRY_HOSTS: &[&str] =
    &[concat!("index.", "crates.io"), concat!("static.", "crates.io"), concat!("//", "crates.io")];

pub(super) fn check(files: &[SourceFile]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        machine_paths(file, &mut findings);
        if file.is_rust() && file.package().is_some() {
            module_doc(file, &mut findings);
            code_rules(file, &mut findings);
        }
    }
    findings
}

fn machine_paths(file: &SourceFile, findings: &mut Vec<String>) {
    for needle in MACHINE_PATHS {
        if let Some(offset) = file.text.find(needle) {
            findings.push(format!("{}:{}: a path of one machine", file.path, line_of(&file.text, offset)));
        }
    }
}

/// Every crate root opens with a paragraph that says what the crate is and is not.
fn module_doc(file: &SourceFile, findings: &mut Vec<String>) {
    let root = file.path.ends_with("/src/lib.rs") || file.path.ends_with("/src/main.rs");
    if root && file.text.lines().take_while(|line| line.starts_with("//!")).count() < 2 {
        findings.push(format!(
            "{}:1: a crate root opens with `//!` lines: what it is, what not, where to start",
            file.path
        ));
    }
}

fn code_rules(file: &SourceFile, findings: &mut Vec<String>) {
    let masked = mask(&file.text);
    let tests = test_ranges(&masked);
    let outside = ["/tests/", "/benches/", "/examples/"].iter().any(|folder| file.path.contains(folder));
    let in_tests = |offset: usize| outside || tests.iter().any(|range| range.contains(&offset));
    let package = file.package().unwrap_or_default();
    let mut report = |offset: usize, rule: &str| {
        findings.push(format!("{}:{}: {rule}", file.path, line_of(&file.text, offset)));
    };
    if !MAY_PRINT.contains(&package) {
        for needle in ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("] {
            for (offset, _) in masked.match_indices(needle).filter(|(offset, _)| is_word_start(&masked, *offset)) {
                if !in_tests(offset) {
                    report(offset, "only bulkhead-cli prints; return a value or emit an event");
                }
            }
        }
    }
    if !MAY_BE_UNSAFE.iter().any(|place| file.path.starts_with(place)) {
        for (offset, _) in masked.match_indices("unsafe ").filter(|(offset, _)| is_word_start(&masked, *offset)) {
            report(offset, "`unsafe` belongs to bulkhead-sandbox");
        }
    }
    if file.is_product() && !file.path.ends_with("bulkhead-schema/src/ids.rs") {
        for (line, text) in file.text.lines().enumerate().filter(|(_, text)| !text.trim_start().starts_with("//")) {
            if REGISTRY_HOSTS.iter().any(|host| text.contains(host)) && !in_tests(line_offset(&file.text, line)) {
                findings.push(format!(
                    "{}:{}: a registry's address; derive it from CRATES_IO_DOMAIN",
                    file.path,
                    line + 1
                ));
            }
        }
    }
}

fn is_word_start(text: &str, offset: usize) -> bool {
    !text[..offset].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_')
}

fn line_offset(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line).map(str::len).sum()
}
