//! What rustc says: one JSON object in each line of its standard error (rustc book, "JSON Output").

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use serde::Deserialize;

use crate::MessageLevel;

/// Longest line that is kept; the rest of a longer one is dropped, which makes it plain text.
const MAX_LINE: usize = 32 << 20;

/// One line of rustc's standard error.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A file was written.
    Artifact {
        /// The file.
        path: PathBuf,
        /// `link`, `metadata`, `dep-info`, …
        emit: String,
    },
    /// A diagnostic.
    Diagnostic(Message),
    /// A report of future incompatibilities.
    FutureIncompatibility,
    /// A message for Cargo alone.
    Ignored,
    /// Something else: whoever wrote it, it is text.
    Text,
}

/// A diagnostic, as far as it steers anything.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// How grave it is.
    pub level: MessageLevel,
    /// As people see it.
    pub rendered: String,
    /// Whether it only counts the others.
    pub summary: bool,
    /// Whether `fix` could apply a suggestion.
    pub fixable: bool,
    /// Whether a file could not be found, read or written.
    pub about_files: bool,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "$message_type", borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow, default)]
    artifact: Cow<'a, str>,
    #[serde(borrow, default)]
    emit: Cow<'a, str>,
    #[serde(borrow, default)]
    level: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow, default)]
    code: Option<Code<'a>>,
    #[serde(borrow, default)]
    rendered: Option<Cow<'a, str>>,
    #[serde(default)]
    children: Vec<Child>,
}

#[derive(Deserialize)]
struct Code<'a> {
    #[serde(borrow, default)]
    code: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Child {
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    #[serde(default)]
    suggestion_applicability: Option<String>,
}

/// Understands one line.
pub fn parse(line: &str) -> Line {
    if !line.starts_with('{') {
        return Line::Text;
    }
    let Ok(raw) = serde_json::from_str::<Raw<'_>>(line) else { return Line::Text };
    match &*raw.message_type {
        "artifact" => Line::Artifact { path: PathBuf::from(&*raw.artifact), emit: raw.emit.into_owned() },
        "diagnostic" => Line::Diagnostic(diagnostic(raw)),
        "future_incompat" => Line::FutureIncompatibility,
        "unused_extern" | "section_timing" => Line::Ignored,
        _ => Line::Text,
    }
}

fn diagnostic(raw: Raw<'_>) -> Message {
    let level = match &*raw.level {
        "warning" => MessageLevel::Warning,
        level if level.starts_with("error") => MessageLevel::Error,
        _ => MessageLevel::Note,
    };
    let counts = raw.message.ends_with("warning emitted") || raw.message.ends_with("warnings emitted");
    let summary = match level {
        MessageLevel::Warning => counts,
        MessageLevel::Error => raw.message.starts_with("aborting due to"),
        MessageLevel::Note => false,
    };
    let about_files = level == MessageLevel::Error && is_about_files(&raw);
    let is_applicable = |span: &Span| span.suggestion_applicability.as_deref() == Some("MachineApplicable");
    Message {
        level,
        rendered: raw.rendered.unwrap_or_default().into_owned(),
        summary,
        fixable: raw.children.iter().flat_map(|child| &child.spans).any(is_applicable),
        about_files,
    }
}

/// Whether an error says that a file could not be found, read or written: by rustc itself, or by the linker.
fn is_about_files(error: &Raw<'_>) -> bool {
    // A crate that cannot be found or is not one, a module without a file.
    const CODES: [&str; 3] = ["E0463", "E0583", "E0786"];
    const WORDS: [&str; 5] = ["os error ", "couldn't read", "could not find native", "linking with", "failed to "];
    let code = error.code.as_ref().map(|code| &*code.code);
    code.is_some_and(|code| CODES.contains(&code)) || WORDS.iter().any(|words| error.message.contains(words))
}

impl Message {
    /// Two messages with the same identity look the same to people.
    pub fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.rendered.hash(&mut hasher);
        hasher.finish()
    }
}

/// How many messages of which kind one unit had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Warnings.
    pub warnings: usize,
    /// Those of them that another unit had as well.
    pub duplicates: usize,
    /// Errors.
    pub errors: usize,
    /// Warnings that `fix` could mend.
    pub fixable: usize,
    /// Errors about files that could not be found, read or written.
    pub about_files: usize,
}

impl Counts {
    /// Counts one message.
    pub fn add(&mut self, message: &Message, duplicate: bool) {
        match message.level {
            _ if message.summary => (),
            MessageLevel::Warning => {
                self.warnings += 1;
                self.duplicates += usize::from(duplicate);
                self.fixable += usize::from(message.fixable && !duplicate);
            }
            MessageLevel::Error => {
                self.errors += 1;
                self.about_files += usize::from(message.about_files);
            }
            MessageLevel::Note => (),
        }
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes in `bytes` and hands over every line that is complete.
    pub fn push(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.append(piece);
            on_line(&String::from_utf8_lossy(&self.rest));
            self.rest.clear();
        }
        self.append(last);
    }

    /// Hands over what came after the last line's end.
    pub fn finish(&mut self, on_line: &mut dyn FnMut(&str)) {
        if !self.rest.is_empty() {
            on_line(&String::from_utf8_lossy(&self.rest));
            self.rest.clear();
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.rest.len());
        self.rest.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Counts, Line, Lines, parse};
    use crate::MessageLevel;

    #[test]
    fn lines_are_joined_over_pieces() {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for piece in ["a", "b\nc\n", "\n", "d"] {
            lines.push(piece.as_bytes(), &mut |line| seen.push(line.to_owned()));
        }
        lines.finish(&mut |line| seen.push(line.to_owned()));
        assert_eq!(seen, ["ab", "c", "", "d"]);
    }

    #[test]
    fn rustcs_lines_are_told_from_text() {
        let artifact = r#"{"$message_type":"artifact","artifact":"/t/liba.rmeta","emit":"metadata"}"#;
        let expected = Line::Artifact { path: PathBuf::from("/t/liba.rmeta"), emit: "metadata".to_owned() };
        assert_eq!(parse(artifact), expected);
        for text in ["hello", "{", "{}", r#"{"$message_type":"x"}"#, r#"{"reason":"compiler-artifact"}"#] {
            assert_eq!(parse(text), Line::Text, "{text}");
        }
    }

    #[test]
    fn summaries_are_not_counted() {
        let mut counts = Counts::default();
        let fixable = r#""children":[{"spans":[{"suggestion_applicability":"MachineApplicable"}]}]"#;
        for (level, text) in
            [("warning", "unused"), ("warning", "1 warning emitted"), ("error", "aborting due to 1 previous error")]
        {
            let line = format!(
                r#"{{"$message_type":"diagnostic","level":"{level}","message":"{text}","rendered":"{text}",{fixable}}}"#
            );
            let Line::Diagnostic(message) = parse(&line) else { panic!("{line}") };
            assert_eq!(message.summary, text != "unused");
            assert!(message.level >= MessageLevel::Warning);
            counts.add(&message, false);
        }
        assert_eq!(counts, Counts { warnings: 1, fixable: 1, ..Counts::default() });
    }
    #[test]
    fn errors_about_files_are_known() {
        for (code, text, expected) in [
            ("null", "couldn't read `/a`: No such file or directory (os error 2)", true),
            (r#"{"code":"E0583","explanation":"x"}"#, "file not found for module `a`", true),
            ("null", "linking with `cc` failed: exit status: 1", true),
            (r#"{"code":"E0425"}"#, "cannot find value `a` in this scope", false),
            (r#"{"code":"E0433"}"#, "failed", false),
        ] {
            let line = format!(
                r#"{{"$message_type":"diagnostic","level":"error","code":{code},"message":"{text}","rendered":"{text}"}}"#
            );
            let Line::Diagnostic(message) = parse(&line) else { panic!("{line}") };
            assert_eq!(message.about_files, expected, "{text}");
        }
    }
}
