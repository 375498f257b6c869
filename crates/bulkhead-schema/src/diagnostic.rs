//! What went wrong, where, and what to do: the one form in which every parser and rule reports.

use std::ops::Range;
use std::path::PathBuf;

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The value can be used; the user should know.
    Warning,
    /// There is no usable value.
    Error,
}

/// A stretch of a file. The text is kept, so that a snippet can be rendered without reading the file again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as the user knows it.
    pub path: PathBuf,
    /// The whole text of the file.
    pub text: std::sync::Arc<str>,
    /// Byte offsets into `text`.
    pub span: Range<usize>,
}

/// One finding of a parser or rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub level: Level,
    /// Stable kebab-case identifier of the rule, such as `manifest-unknown-key`.
    pub code: &'static str,
    /// One sentence without a full stop. May hold untrusted text: the renderer escapes it.
    pub message: String,
    /// Where, if it was in a file. Boxed: most diagnostics are moved around in `Result`s.
    pub location: Option<Box<Location>>,
    /// What to do next, one sentence each.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error of rule `code`.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Error, code, message: message.into(), location: None, help: Vec::new() }
    }

    /// A warning of rule `code`.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(code, message) }
    }

    /// The same, pointing at `span` of a file.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>, text: &std::sync::Arc<str>, span: Range<usize>) -> Self {
        self.location = Some(Box::new(Location { path: path.into(), text: std::sync::Arc::clone(text), span }));
        self
    }

    /// The same, with stars for what looks like a secret in the snippet ([`crate::secrets`]).
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if let Some(location) = &mut self.location {
            location.text = crate::secrets::masked(&location.text);
        }
        self
    }

    /// The same, with one more sentence of advice.
    #[must_use]
    pub fn help(mut self, advice: impl Into<String>) -> Self {
        self.help.push(advice.into());
        self
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(location) = &self.location {
            let before = location.text.get(..location.span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            write!(f, "{}:{line}:{column}: ", location.path.display())?;
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}
impl std::error::Error for Diagnostic {}
