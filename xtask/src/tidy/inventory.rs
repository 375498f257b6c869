//! The inventory of `unsafe`: docs/security/unsafe.md lists each block with its reason, made from the code and held to it.

use super::SourceFile;
use super::rust_text::{line_of, mask};
use std::fmt::Write as _;
use std::path::Path;

const PAGE: &str = "docs/security/unsafe.md";

const HEAD: &str = "\
# Inventory of `unsafe`

Made by `cargo xtask tidy --update` from the `SAFETY` comments, and compared by `cargo xtask tidy`. `unsafe` is denied in the whole
workspace but in the files below (a rule of tidy), and clippy denies a block without its reason.
";

/// Compares the page with the code; with `update`, writes it.
pub(super) fn check(root: &Path, files: &[SourceFile], update: bool) -> Result<Vec<String>, String> {
    let page = page(files);
    if update {
        std::fs::write(root.join(PAGE), &page).map_err(|error| format!("{PAGE}: {error}"))?;
        return Ok(Vec::new());
    }
    let current = files.iter().find(|file| file.path == PAGE).map(|file| file.text.as_str());
    if current == Some(page.as_str()) {
        return Ok(Vec::new());
    }
    Ok(vec![format!("{PAGE}: is not what the code says; run `cargo xtask tidy --update`")])
}

fn page(files: &[SourceFile]) -> String {
    let mut page = HEAD.to_owned();
    for file in files.iter().filter(|file| file.is_rust() && file.package().is_some()) {
        let blocks = blocks(&file.text);
        if blocks.is_empty() {
            continue;
        }
        let _ = write!(page, "\n## {} ({})\n\n| in | why it is sound |\n|---|---|\n", file.path, blocks.len());
        for (function, reason) in blocks {
            let _ = writeln!(page, "| `{function}` | {} |", reason.replace('|', "\\|"));
        }
    }
    page
}

/// Function and reason of each `unsafe` that opens a block, or stands before `fn` or `impl`.
fn blocks(text: &str) -> Vec<(String, String)> {
    let masked = mask(text);
    let lines: Vec<&str> = text.lines().collect();
    let is_unsafe = |offset: usize| {
        let before = masked.as_bytes().get(offset.wrapping_sub(1));
        !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let found = masked.match_indices("unsafe ").filter(|(offset, _)| is_unsafe(*offset));
    let entry = |(offset, _): (usize, &str)| {
        let line = line_of(text, offset) - 1;
        (enclosing_function(&masked, offset), reason(&lines, line))
    };
    found.map(entry).collect()
}

/// The name after the last `fn` before the offset, if there is any.
fn enclosing_function(masked: &str, offset: usize) -> String {
    let before = masked.get(..offset).unwrap_or_default();
    let name = before.rfind("fn ").and_then(|at| before.get(at + 3..)).unwrap_or_default();
    let own = masked.get(offset..).and_then(|rest| rest.strip_prefix("unsafe fn "));
    let name: String = own.unwrap_or(name).chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() { "(declaration)".to_owned() } else { name }
}

/// The `SAFETY` comment that ends above the line, or above the statement that the line is part of.
fn reason(lines: &[&str], line: usize) -> String {
    let comment = |line: usize| lines.get(line).and_then(|text| text.trim_start().strip_prefix("//")).map(str::trim);
    let above = (line.saturating_sub(4)..line).rev().find(|&line| comment(line).is_some());
    let Some(last) = above else { return String::new() };
    let first = (0..=last).rev().take_while(|&line| comment(line).is_some()).last().unwrap_or(last);
    let text: Vec<&str> = (first..=last).filter_map(comment).collect();
    let text = text.join(" ");
    text.split_once("SAFETY:").map_or(text.as_str(), |(_, reason)| reason).trim_start_matches(['/', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn a_block_is_listed_with_its_function_and_reason() {
        let text = "fn close(fd: i32) {\n    // SAFETY: closing a number\n    // touches no memory.\n    unsafe { c(fd) };\n}\n// unsafe in a comment\n";
        assert_eq!(blocks(text), [("close".to_owned(), "closing a number touches no memory.".to_owned())]);
    }
}
