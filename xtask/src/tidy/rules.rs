//! The rules by which Bulkhead refuses, and the page that explains them, name the same identifiers.

use std::collections::BTreeSet;

use super::SourceFile;

/// The page.
const PAGE: &str = "docs/rules.md";

/// Crates whose every error is a refusal; elsewhere only what says so is.
const REFUSING: &[&str] = &["crates/bulkhead-trust/", "crates/bulkhead-policy/", "crates/bulkhead-store/"];

/// Identifiers in the code that the page lacks, and rows of the page that no code has any more.
pub(crate) fn check(files: &[SourceFile]) -> Vec<String> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else { return vec![format!("{PAGE}: it is missing")] };
    let rows: Vec<(usize, &str)> = page
        .text
        .lines()
        .enumerate()
        .filter_map(|(line, text)| Some((line + 1, text.strip_prefix("| `")?.split_once('`')?.0)))
        .collect();
    let listed: BTreeSet<&str> = rows.iter().map(|(_, id)| *id).collect();
    let mut findings = Vec::new();
    if listed.len() < rows.len() {
        findings.push(format!("{PAGE}: a rule stands there twice"));
    }
    let product = || files.iter().filter(|file| file.is_rust() && file.is_product());
    for file in product() {
        let text = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        let mut used = identifiers(text, "Error::refusal(", 1);
        if REFUSING.iter().any(|folder| file.path.starts_with(folder)) {
            used.extend(identifiers(text, "Diagnostic::error(", 0));
        }
        let missing = used.into_iter().filter(|id| !listed.contains(id));
        findings.extend(missing.map(|id| format!("{}: the rule `{id}` is not in {PAGE}", file.path)));
    }
    for (line, id) in rows {
        let literal = format!("\"{id}\"");
        if !product().any(|file| file.text.contains(&literal)) {
            findings.push(format!("{PAGE}:{line}: no code refuses by the rule `{id}`"));
        }
    }
    findings
}

/// The string literals that are argument number `position` of each call of `function`.
fn identifiers<'a>(text: &'a str, function: &str, position: usize) -> Vec<&'a str> {
    let arguments = text.split(function).skip(1);
    let literal = |rest: &'a str| {
        let argument = rest.splitn(position + 2, ',').nth(position)?.trim_start();
        argument.strip_prefix('"')?.split_once('"').map(|(id, _)| id)
    };
    arguments.filter_map(literal).collect()
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    #[test]
    fn page_and_code_agree() {
        let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
        let code = "x(Error::refusal(\n    ErrorKind::Policy, \"one\", y)); Diagnostic::error(\"not-here\", z)";
        let files = [
            file("docs/rules.md", "| rule |\n|---|\n| `one` | x |\n| `gone` | x |\n"),
            file("crates/bulkhead-ops/src/a.rs", code),
            file(
                "crates/bulkhead-trust/src/a.rs",
                "Diagnostic::error(\"two\", z)\n#[cfg(test)]\nDiagnostic::error(\"t\")",
            ),
        ];
        assert_eq!(
            check(&files),
            [
                "crates/bulkhead-trust/src/a.rs: the rule `two` is not in docs/rules.md",
                "docs/rules.md:4: no code refuses by the rule `gone`"
            ]
        );
    }
}
