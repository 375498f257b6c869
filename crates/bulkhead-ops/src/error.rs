//! Failures, as commands report them.

use bulkhead_schema::Diagnostic;

/// What kind of failure it was; each kind has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line makes no sense.
    Usage,
    /// The command failed as it would have under Cargo.
    Failure,
    /// A policy forbids it.
    Policy,
    /// It needs configuration that nobody has trusted.
    UntrustedConfiguration,
    /// A checksum, signature or record does not agree.
    Verification,
    /// Confinement is not available, or was needed to stop the command.
    Sandbox,
    /// The user ended it (Ctrl-C).
    Interrupted,
    /// A program that the user asked to run ended with this code, which becomes Bulkhead's own.
    Child(i32),
}

impl ErrorKind {
    /// Whether it is a refusal of Bulkhead's own, which Cargo does not know: messages then name the rule.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Policy | Self::UntrustedConfiguration | Self::Verification | Self::Sandbox)
    }

    /// The exit code of the process (DESIGN: 1 usage, 101 failure, 102–105 Bulkhead's own).
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Usage => 1,
            Self::Failure => 101,
            Self::Policy => 102,
            Self::UntrustedConfiguration => 103,
            Self::Verification => 104,
            Self::Sandbox => 105,
            Self::Interrupted => 130,
            Self::Child(code) => code,
        }
    }
}

/// A failed command.
#[derive(Debug, Clone)]
pub struct Error {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// Which rule of `docs/rules.md` was broken, if the message is about one.
    pub rule: Option<&'static str>,
    /// One sentence without a full stop; empty where the diagnostics say it all. May hold untrusted text.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// Findings that point into files.
    pub diagnostics: Vec<Diagnostic>,
    /// What to do next.
    pub help: Vec<String>,
}

/// What commands return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (causes, diagnostics, help) = Default::default();
        Self { kind, rule: None, message: message.into(), causes, diagnostics, help }
    }

    /// An ordinary failure (exit code 101).
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failure, message)
    }

    /// A refusal by a rule of `docs/rules.md`.
    pub fn refusal(kind: ErrorKind, rule: &'static str, message: impl Into<String>) -> Self {
        Self { rule: Some(rule), ..Self::new(kind, message) }
    }

    /// The same, with one more cause behind those it has.
    #[must_use]
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// The same, with one more sentence of advice.
    #[must_use]
    pub fn help(mut self, advice: impl Into<String>) -> Self {
        self.help.push(advice.into());
        self
    }

    /// The same failure seen from further out: `message` becomes the headline, the old one its first cause.
    #[must_use]
    pub fn while_doing(mut self, message: impl Into<String>) -> Self {
        if !self.message.is_empty() {
            self.causes.insert(0, std::mem::take(&mut self.message));
        }
        self.message = message.into();
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))?;
        self.diagnostics.iter().try_for_each(|diagnostic| write!(f, "\n{diagnostic}"))
    }
}
impl std::error::Error for Error {}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        vec![diagnostic].into()
    }
}

impl From<Vec<Diagnostic>> for Error {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics, ..Self::failure("") }
    }
}
