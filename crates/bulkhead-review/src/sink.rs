//! Where findings come together: counted all, kept up to a limit, so that no package can make a review endless.

use std::collections::BTreeMap;

use crate::finding::{Finding, Role, Rule};

/// Most findings of one rule that are kept.
const MAX_FINDINGS: u64 = 200;

/// Longest detail, in characters.
const MAX_DETAIL: usize = 120;

#[derive(Debug, Default)]
pub(crate) struct Sink {
    pub(crate) findings: Vec<Finding>,
    found: BTreeMap<Rule, u64>,
}

impl Sink {
    /// Takes a finding, unless it is not worth to be told in a file of this role.
    pub(crate) fn add(&mut self, rule: Rule, role: Role, (path, line): (&str, u32), detail: &str) {
        let Some(weight) = rule.weight(role) else { return };
        let found = self.found.entry(rule).or_default();
        *found += 1;
        if *found <= MAX_FINDINGS {
            self.findings.push(Finding { rule, weight, role, path: path.to_owned(), line, detail: shortened(detail) });
        }
    }

    /// The findings, the heaviest first, and how many more of each rule there are.
    pub(crate) fn finish(mut self) -> (Vec<Finding>, BTreeMap<Rule, u64>) {
        sort(&mut self.findings);
        let left_out = self.found.into_iter().filter(|(_, found)| *found > MAX_FINDINGS);
        (self.findings, left_out.map(|(rule, found)| (rule, found - MAX_FINDINGS)).collect())
    }
}

/// The heaviest first, and each once.
pub(crate) fn sort(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.cmp(b)));
    findings.dedup();
}

/// One line of bounded length.
fn shortened(text: &str) -> String {
    let text = text.trim();
    let mut short: String = text.chars().take(MAX_DETAIL).map(|c| if c == '\n' { ' ' } else { c }).collect();
    if text.chars().nth(MAX_DETAIL).is_some() {
        short.push('…');
    }
    short
}
