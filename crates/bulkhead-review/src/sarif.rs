//! Findings in SARIF 2.1.0, which code hosting services and editors show.

use std::fmt::Write as _;

use bulkhead_schema::policy::hides_text;
use serde_json::{Value, json};

use crate::finding::{Finding, Rule, Weight};

/// One package and what was found in it.
#[derive(Debug, Clone, Copy)]
pub struct Reviewed<'a> {
    /// `NAME-VERSION`, which becomes the first part of each path.
    pub package: &'a str,
    /// The findings.
    pub findings: &'a [Finding],
}

/// The log of one run.
pub fn log(version: &str, packages: &[Reviewed<'_>]) -> Value {
    let rules: Vec<Value> = Rule::ALL.iter().map(|rule| self::rule(*rule)).collect();
    let results: Vec<Value> =
        packages.iter().flat_map(|it| it.findings.iter().map(|finding| result(it.package, finding))).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "bulkhead review", "semanticVersion": version, "rules": rules } },
            "originalUriBaseIds": {
                "PACKAGES": { "description": { "text": "The folder in which packages are unpacked, by name and version." } },
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(rule: Rule) -> Value {
    json!({
        "id": rule.id(),
        "shortDescription": { "text": rule.title() },
        "fullDescription": { "text": rule.help() },
        "help": { "text": rule.help() },
    })
}

fn result(package: &str, finding: &Finding) -> Value {
    let index = Rule::ALL.iter().position(|rule| *rule == finding.rule).unwrap_or_default();
    let path = if finding.path.is_empty() { "Cargo.toml" } else { &finding.path };
    let mut location = json!({
        "artifactLocation": { "uri": encoded(&format!("{package}/{path}")), "uriBaseId": "PACKAGES" },
    });
    if finding.line > 0 {
        location["region"] = json!({ "startLine": finding.line });
    }
    let mut text = format!("{package}: {}", finding.rule.title());
    if !finding.detail.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {}", shown(&finding.detail));
    }
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": index,
        "level": level(finding.weight),
        "message": { "text": text },
        "locations": [{
            "physicalLocation": location,
            "logicalLocations": [{ "fullyQualifiedName": package, "kind": "module" }],
        }],
        "properties": { "weight": finding.weight.word() },
    })
}

fn level(weight: Weight) -> &'static str {
    match weight {
        Weight::High => "error",
        Weight::Medium => "warning",
        Weight::Low | Weight::Note => "note",
    }
}

/// Somebody else's text as a plain text message: what cannot be seen becomes visible, and nothing in it is a link, as
/// `[text](address)` is in a message of SARIF (3.11.6).
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' if out.ends_with(']') => out.push_str(" ("),
            c if c.is_control() || hides_text(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// A path as a relative reference of RFC 3986.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'+' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Reviewed, log};
    use crate::finding::{Finding, Role, Rule, Weight};

    #[test]
    fn findings_have_a_rule_a_level_a_text_and_a_place() {
        let finding = |rule, weight, path: &str, line, detail: &str| Finding {
            rule,
            weight,
            role: Role::Library,
            path: path.to_owned(),
            line,
            detail: detail.to_owned(),
        };
        let findings = [
            finding(Rule::Network, Weight::High, "src/a b\u{202e}.rs", 7, "TcpStream"),
            finding(Rule::LookalikeName, Weight::High, "", 0, ""),
            finding(Rule::Shell, Weight::High, "build.rs", 1, "starts `[a](javascript:alert(1))\u{202e}\r\n`"),
        ];
        let log = log("0.1.0", &[Reviewed { package: "a-1.0.0", findings: &findings }]);
        // What the schema of SARIF 2.1.0 requires of a log, a run, a tool, a rule, a result and a message.
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "bulkhead review");
        let rules = driver["rules"].as_array().unwrap();
        assert!(rules.iter().all(|rule| rule["id"].is_string() && rule["shortDescription"]["text"].is_string()));
        let results = run["results"].as_array().unwrap();
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uriBaseId"], "PACKAGES");
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(uri.is_ascii() && !uri.contains(' ') && !uri.starts_with('/'), "{uri}");
            assert!(place["region"].is_null() || place["region"]["startLine"].as_u64().unwrap() >= 1);
        }
        assert_eq!(
            results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "a-1.0.0/src/a%20b%E2%80%AE.rs"
        );
        assert_eq!(
            results[2]["message"]["text"],
            "a-1.0.0: starts a shell or a program that downloads: starts `[a] (javascript:alert(1))\\u{202e}\\u{d}\\u{a}`"
        );
    }
}
