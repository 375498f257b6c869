//! Errors and findings as people read them: headline, snippet, causes, advice.

use annotate_snippets::{AnnotationKind, Level as SnippetLevel, Renderer, Snippet};
use bulkhead_ops::Error;
use bulkhead_schema::secrets::masked_addresses;
use bulkhead_schema::{Diagnostic, Level, Location};

use crate::escape::{escaped, escaped_indented};
use crate::shell::{Shell, Verbosity};

/// Longest line of a file that is shown around a finding, in bytes: a generated file may be one line of a megabyte.
const MAX_LINE: usize = 500;

/// Writes a failed command's error: its findings, its headline with the chain of causes, its advice.
pub(crate) fn error(shell: &Shell, error: &Error) {
    let refused = error.kind.is_refusal();
    error.diagnostics.iter().for_each(|finding| show(shell, finding, refused));
    if !error.message.is_empty() {
        shell.error(&error.message, error.rule.filter(|_| refused));
    }
    if !error.causes.is_empty() {
        shell.line("\nCaused by:");
        for (index, cause) in error.causes.iter().enumerate() {
            let cause = escaped(cause).replace('\n', "\n  ");
            let separator = if index == 0 { "" } else { "\nCaused by:\n" };
            shell.line(&format!("{separator}  {cause}"));
        }
    }
    if !error.help.is_empty() {
        shell.line("");
    }
    for advice in &error.help {
        shell.help(advice);
    }
}

/// Writes one finding. Warnings are not shown with `-q`.
pub(crate) fn diagnostic(shell: &Shell, diagnostic: &Diagnostic) {
    show(shell, diagnostic, false);
}

/// Refusals name their rule: whoever wants to know more looks it up in `docs/rules.md`.
fn show(shell: &Shell, diagnostic: &Diagnostic, refused: bool) {
    let rule = refused.then_some(diagnostic.code);
    if diagnostic.level == Level::Warning && shell.verbosity() == Verbosity::Quiet {
        return;
    }
    match &diagnostic.location {
        Some(location) => shell.line(&snippet(diagnostic, location, rule, shell.color())),
        None if diagnostic.level == Level::Warning => shell.warning(&diagnostic.message),
        None => shell.error(&diagnostic.message, rule),
    }
    // Advice with a location is part of the snippet's frame; without one it follows.
    if diagnostic.location.is_none() {
        diagnostic.help.iter().for_each(|advice| shell.help(advice));
    }
}

fn snippet(diagnostic: &Diagnostic, location: &Location, rule: Option<&str>, color: bool) -> String {
    let level = match diagnostic.level {
        Level::Warning => SnippetLevel::WARNING,
        Level::Error => SnippetLevel::ERROR,
    };
    let excerpt = excerpt(location);
    let path = escaped(&location.path.display().to_string()).into_owned();
    let message = escaped_indented(&diagnostic.message).into_owned();
    let title = level.primary_title(message);
    let title = match rule {
        Some(rule) => title.id(rule.to_owned()),
        None => title,
    };
    let mut group = title.element(
        Snippet::source(excerpt.text)
            .path(path)
            .line_start(excerpt.line)
            .annotation(AnnotationKind::Primary.span(excerpt.span)),
    );
    for advice in &diagnostic.help {
        group = group.element(SnippetLevel::HELP.message(escaped_indented(advice).into_owned()));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

struct Excerpt {
    text: String,
    line: usize,
    span: std::ops::Range<usize>,
}

/// The lines that the span touches (at most three), escaped and without passwords of addresses, and the span within them. The escapes change lengths, so
/// that text before, in and after the span is escaped on its own.
fn excerpt(location: &Location) -> Excerpt {
    let text = &*location.text;
    let floor = |index: usize| (0..=index.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let (start, end) = (floor(location.span.start), floor(location.span.end.max(location.span.start)));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let first_line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    // A span of many lines is pointed at where it begins.
    let end = if text[start..end].matches('\n').count() > 2 { first_line_end } else { end };
    let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
    let window_start = floor(line_start.max(start.saturating_sub(MAX_LINE)));
    let window_end = floor(line_end.min(end + MAX_LINE)).max(end);
    let window = masked_addresses(text.get(window_start..window_end).unwrap_or_default());
    let part = |from: usize, to: usize| escaped(window.get(from - window_start..to - window_start).unwrap_or_default());
    let (before, inside, after) = (part(window_start, start), part(start, end), part(end, window_end));
    let span = before.len()..before.len() + inside.len();
    let line = text[..line_start].matches('\n').count() + 1;
    if is_link(&location.path) {
        return Excerpt { text: NOT_QUOTED.to_owned(), line, span: 0..NOT_QUOTED.len() };
    }
    Excerpt { text: format!("{before}{inside}{after}"), line, span }
}

/// In the place of a line of a file that is a link: a repository can make one to whatever the user can read, and what is printed
/// in CI is often read by everybody.
const NOT_QUOTED: &str = "(this file is a link, and not quoted)";

fn is_link(path: &std::path::Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
}

#[cfg(test)]
mod tests {
    use super::snippet;
    use bulkhead_schema::Diagnostic;
    use expect_test::{Expect, expect};
    use std::sync::Arc;

    fn check(text: &str, span: std::ops::Range<usize>, expected: &Expect) {
        let diagnostic = Diagnostic::error("x", "something\u{1b}[2J\nerror: forged")
            .at("a/\u{202e}Cargo.toml", &Arc::from(text), span)
            .help("do this");
        let location = diagnostic.location.as_ref().unwrap();
        let shown = snippet(&diagnostic, location, None, false);
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'));
        expected.assert_eq(&shown);
    }

    #[test]
    fn findings_point_at_the_place_without_obeying_the_file() {
        check(
            "[package]\nname = \"\u{1b}]0;x\u{7}é\" # \r\nx = 1\n",
            17..26,
            &expect![[r#"
            error: something\u{1b}[2J
                     error: forged
             --> a/\u{202e}Cargo.toml:2:8
              |
            2 | name = "\u{1b}]0;x\u{7}é" # \r
              |        ^^^^^^^^^^^^^^^^^
              |
              = help: do this"#]],
        );
        check(
            "a = 1",
            5..5,
            &expect![[r#"
            error: something\u{1b}[2J
                     error: forged
             --> a/\u{202e}Cargo.toml:1:6
              |
            1 | a = 1
              |      ^
              |
              = help: do this"#]],
        );
    }

    #[test]
    fn spans_out_of_range_do_no_harm() {
        check(
            "é",
            1..900,
            &expect![[r#"
            error: something\u{1b}[2J
                     error: forged
             --> a/\u{202e}Cargo.toml:1:1
              |
            1 | é
              | ^
              |
              = help: do this"#]],
        );
        check(
            "",
            5..9,
            &expect![[r#"
            error: something\u{1b}[2J
                     error: forged
             --> a/\u{202e}Cargo.toml:1:1
              |
            1 |
              | ^
              |
              = help: do this"#]],
        );
        let long = "x".repeat(100_000);
        let diagnostic = Diagnostic::error("x", "long").at("Cargo.toml", &Arc::from(long), 50_000..50_001);
        assert!(snippet(&diagnostic, diagnostic.location.as_ref().unwrap(), None, false).len() < 4_000);
    }
}
