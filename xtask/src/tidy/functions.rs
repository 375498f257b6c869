//! A function fits a screen: at most [`LIMIT`] lines, except those listed in the ratchet file, which may only shrink.

use super::SourceFile;
use super::rust_text::{block_end, line_of, mask, test_ranges};
use std::collections::BTreeMap;
use std::path::Path;

const LIMIT: usize = 70;
const RATCHET: &str = "xtask/data/long-functions.txt";

/// Compares the long functions found with those allowed. With `update`, lowers the ratchet where code has shrunk.
pub(super) fn check(root: &Path, files: &[SourceFile], update: bool) -> Result<Vec<String>, String> {
    let allowed = read_ratchet(root)?;
    let mut found: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_rust() && file.package().is_some() && !file.path.contains("/tests/"))
    {
        for (name, line, length) in functions(&file.text).into_iter().filter(|function| function.2 > LIMIT) {
            let entry = found.entry(format!("{} {name}", file.path)).or_insert((line, 0));
            if length > entry.1 {
                *entry = (line, length);
            }
        }
    }
    let mut findings = Vec::new();
    let mut lowered = BTreeMap::new();
    for (key, (line, length)) in &found {
        let (path, name) = key.split_once(' ').unwrap_or((key, ""));
        match allowed.get(key) {
            Some(limit) if length <= limit => {
                lowered.insert(key.clone(), *length);
            }
            Some(limit) => findings.push(format!("{path}:{line}: `{name}` grew to {length} lines (ratchet: {limit})")),
            None => findings.push(format!("{path}:{line}: `{name}` has {length} lines (limit: {LIMIT})")),
        }
    }
    if update {
        let text: String = lowered.iter().map(|(key, length)| format!("{key} {length}\n")).collect();
        std::fs::write(root.join(RATCHET), text).map_err(|error| format!("{RATCHET}: {error}"))?;
    } else if allowed != lowered && findings.is_empty() {
        findings.push(format!("{RATCHET}: functions have shrunk; lower the ratchet with `cargo xtask tidy --update`"));
    }
    Ok(findings)
}

fn read_ratchet(root: &Path) -> Result<BTreeMap<String, usize>, String> {
    let text = std::fs::read_to_string(root.join(RATCHET)).map_err(|error| format!("{RATCHET}: {error}"))?;
    let mut allowed = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let entry = line.rsplit_once(' ').and_then(|(key, length)| Some((key.to_owned(), length.parse().ok()?)));
        let (key, length) = entry.ok_or_else(|| format!("{RATCHET}: not `path function lines`: {line}"))?;
        allowed.insert(key, length);
    }
    Ok(allowed)
}

/// Name, line and length in lines of every function outside `#[cfg(test)]` items.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let masked = mask(text);
    let tests = test_ranges(&masked);
    let mut found = Vec::new();
    for (offset, _) in masked.match_indices("fn ") {
        let before = masked[..offset].chars().next_back();
        let starts_word = before.is_none_or(|character| !character.is_alphanumeric() && character != '_');
        let name: String = masked[offset + 3..]
            .chars()
            .take_while(|character| character.is_alphanumeric() || *character == '_')
            .collect();
        if !starts_word || name.is_empty() || tests.iter().any(|range| range.contains(&offset)) {
            continue;
        }
        if let Some(end) = block_end(&masked, offset) {
            let line = line_of(text, offset);
            found.push((name, line, line_of(text, end) - line + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::functions;

    #[test]
    fn measures_functions_outside_tests() {
        let text = "fn a() {\n    // }\n}\n\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\n\nimpl X { fn c(&self) -> [u8; 3] { [0; 3] } }\n";
        assert_eq!(functions(text), [("a".to_owned(), 1, 3), ("c".to_owned(), 11, 1)]);
    }
}
