//! The one way for untrusted text to reach a terminal: everything that a terminal would obey becomes visible.

use std::borrow::Cow;
use std::fmt::Write as _;

use bulkhead_schema::policy::hides_text;

/// `text` with control characters (but line feed), C1 controls, bidirectional controls and zero-width characters as
/// visible escapes such as `\u{1b}`; a carriage return is `\r`, a tab becomes spaces.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, needs_escape, push)
}

/// `text` with each character of which `special` holds written by `write`.
fn replaced(text: &str, special: fn(char) -> bool, write: fn(&mut String, char)) -> Cow<'_, str> {
    let mut rest = text;
    let Some((mut start, mut found)) = first(rest, special) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    loop {
        out.push_str(&rest[..start]);
        write(&mut out, found);
        rest = &rest[start + found.len_utf8()..];
        let Some(next) = first(rest, special) else { break };
        (start, found) = next;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The first character of which `special` holds, and where it is. Of none that is seen in ASCII does it hold: what is printed
/// may be many megabytes, nearly all of it such.
fn first(text: &str, special: fn(char) -> bool) -> Option<(usize, char)> {
    let mut start = 0;
    loop {
        start += plain(&text.as_bytes()[start..]);
        let found = text[start..].chars().next()?;
        if special(found) {
            return Some((start, found));
        }
        start += found.len_utf8();
    }
}

/// How many bytes at the beginning are characters that are seen in ASCII.
fn plain(bytes: &[u8]) -> usize {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
    let (chunks, _) = bytes.as_chunks::<32>();
    // All bytes of a chunk are looked at, which the processor does at once.
    let whole =
        chunks.iter().take_while(|chunk| chunk.iter().fold(true, |all, byte| all & is_plain(byte))).count() * 32;
    whole + bytes[whole..].iter().take_while(|byte| is_plain(byte)).count()
}

/// The same for text that must stay on its line: line feeds are escaped too.
pub(crate) fn escaped_line(text: &str) -> Cow<'_, str> {
    let text = escaped(text);
    if text.contains('\n') { Cow::Owned(text.replace('\n', "\\n")) } else { text }
}

/// A line of somebody else's that stands among ours: one that could be taken for ours is marked.
pub(crate) fn escaped_foreign_line(text: &str) -> Cow<'_, str> {
    let escaped = escaped_line(text);
    if speaks_as_we_do(&escaped) { Cow::Owned(format!("| {escaped}")) } else { escaped }
}

/// Whether a line begins as messages and status lines do.
fn speaks_as_we_do(line: &str) -> bool {
    const KINDS: [&str; 4] = ["error", "warning", "note", "help"];
    const VERBS: [&str; 24] = [
        "Adding",
        "Blocking",
        "Building",
        "Checking",
        "Compiling",
        "Dirty",
        "Documenting",
        "Doc-tests",
        "Downgrading",
        "Downloaded",
        "Downloading",
        "Executable",
        "Finished",
        "Fresh",
        "Generated",
        "Installed",
        "Installing",
        "Locking",
        "Removed",
        "Removing",
        "Running",
        "Unpacking",
        "Updating",
        "Verified",
    ];
    let line = line.trim_start().to_ascii_lowercase();
    let after = |word: &str| line.strip_prefix(&word.to_ascii_lowercase()).map(|rest| rest.trim_start());
    KINDS.iter().filter_map(|kind| after(kind)).any(|rest| rest.starts_with([':', '[']))
        || VERBS.iter().any(|verb| line.split_whitespace().next().is_some_and(|word| verb.eq_ignore_ascii_case(word)))
}

/// The same for text of several lines below a status line or a headline: continuation lines are indented, so that none of
/// them can pass for a line of Bulkhead's own.
pub(crate) fn escaped_indented(text: &str) -> Cow<'_, str> {
    let text = escaped(text);
    if text.contains('\n') { Cow::Owned(text.replace('\n', "\n  ")) } else { text }
}

/// For rustc's own rendering: colour sequences (`ESC [ … m`) stay, everything else is escaped.
pub(crate) fn escaped_but_colour(text: &str) -> Cow<'_, str> {
    with_colour(text, true)
}

/// The same where no colours are shown: they are left out.
pub(crate) fn escaped_without_colour(text: &str) -> Cow<'_, str> {
    with_colour(text, false)
}

/// For a JSON document: the same characters as `\u….` of JSON, so that whoever parses it reads what was meant. Between its
/// strings JSON has no such characters.
pub(crate) fn escaped_json(text: &str) -> Cow<'_, str> {
    replaced(text, needs_json_escape, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn needs_json_escape(c: char) -> bool {
    !c.is_ascii_whitespace() && needs_escape(c)
}

fn with_colour(text: &str, keep: bool) -> Cow<'_, str> {
    if first(text, needs_escape).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(start) = rest.find('\u{1b}') {
        out.push_str(&escaped(&rest[..start]));
        let length = colour_sequence(&rest[start..]);
        if length == 0 {
            push(&mut out, '\u{1b}');
            rest = &rest[start + 1..];
        } else {
            if keep {
                out.push_str(&rest[start..start + length]);
            }
            rest = &rest[start + length..];
        }
    }
    out.push_str(&escaped(rest));
    Cow::Owned(out)
}

/// Length in bytes of the colour sequence that `text` begins with, or 0.
fn colour_sequence(text: &str) -> usize {
    let Some(body) = text.strip_prefix("\u{1b}[") else { return 0 };
    let digits = body.bytes().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')).count();
    if digits <= 32 && body.as_bytes().get(digits) == Some(&b'm') { digits + 3 } else { 0 }
}

fn needs_escape(c: char) -> bool {
    (c.is_control() && c != '\n') || hides_text(c)
}

/// What stands for a character that [`needs_escape`].
fn push(out: &mut String, c: char) {
    match c {
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("    "),
        c => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        escaped, escaped_but_colour, escaped_foreign_line, escaped_indented, escaped_json, escaped_line,
        escaped_without_colour,
    };

    /// Attacks 160 to 162: no byte of the payload reaches the terminal as it is.
    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        for (payload, shown) in [
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}]52;c;ZXZpbA==\u{7}", "\\u{1b}]52;c;ZXZpbA==\\u{7}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}P1$r\u{1b}\\", "\\u{1b}P1$r\\u{1b}\\"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("x\rfake\u{8}\u{7f}", "x\\rfake\\u{8}\\u{7f}"),
            ("a\u{202e}b\u{2066}c\u{200d}d\u{2028}e\u{feff}", "a\\u{202e}b\\u{2066}c\\u{200d}d\\u{2028}e\\u{feff}"),
            ("tab\there\nüñ日本", "tab    here\nüñ日本"),
        ] {
            assert_eq!(escaped(payload), shown);
            assert!(!escaped_but_colour(payload).contains(|c: char| c.is_control() && c != '\n'));
        }
    }

    /// Attack 161.
    #[test]
    fn lines_cannot_be_forged() {
        assert_eq!(escaped_line("x\nerror: fake"), "x\\nerror: fake");
        assert_eq!(escaped_indented("x\n    Finished fake"), "x\n      Finished fake");
        for line in ["error: x", "  Error[E0001]: x", "warning : x", "   Compiling x", "finished", "\u{a0}note: x"] {
            assert!(escaped_foreign_line(line).starts_with("| "), "{line:?}");
        }
        for line in ["", "errors were found", "x error: y", "[package 1.0.0] error: x", "compile x"] {
            assert_eq!(escaped_foreign_line(line), line);
        }
    }

    /// Attacks 160 and 162.
    #[test]
    fn json_says_the_same_in_other_letters() {
        for text in ["\u{1b}]0;x\u{7}\r", "a\u{7f}\u{9b}2J", "\u{202e}\u{feff}\u{e0041}é日本\n\t"] {
            let json = serde_json::json!({ text: [text, 1] }).to_string();
            let escaped = escaped_json(&json);
            assert!(!escaped.chars().any(super::needs_escape), "{escaped:?}");
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&escaped).unwrap(),
                serde_json::json!({ text: [text, 1] })
            );
        }
        assert_eq!(escaped_json("{\n  \"é\": 1\n}"), "{\n  \"é\": 1\n}");
    }

    #[test]
    fn colour_can_be_left_out() {
        assert_eq!(escaped_without_colour("\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: \u{1b}[2J"), "error: \\u{1b}[2J");
    }

    #[test]
    fn only_colour_passes_in_diagnostics() {
        let text = "\u{1b}[0m\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: \u{1b}]0;x\u{7} \u{1b}[2J\u{1b}[1;1H";
        assert_eq!(
            escaped_but_colour(text),
            "\u{1b}[0m\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: \\u{1b}]0;x\\u{7} \\u{1b}[2J\\u{1b}[1;1H"
        );
    }
}
