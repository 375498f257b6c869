//! The terminal: status lines, warnings and errors on standard error, results on standard output, and one progress line.
//!
//! Untrusted text is escaped here or by the caller, through [`crate::escape`]; nothing else writes.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use bulkhead_ops::snapshot::{Answer, Stream};

use crate::escape::{escaped_indented, escaped_json, escaped_line};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// `-q`: errors and results.
    Quiet,
    /// Status lines too.
    Normal,
    /// `-v` and `-vv`
    Verbose,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColorChoice {
    /// Where a terminal shows it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Reads the value of `--color` and of `term.color`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }
}

pub(crate) const STATUS: Style = AnsiColor::BrightGreen.on_default().bold();
pub(crate) const PROGRESS: Style = AnsiColor::BrightCyan.on_default().bold();
pub(crate) const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const REMARK: Style = AnsiColor::BrightBlue.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const NOTE: Style = AnsiColor::BrightCyan.on_default().bold();

/// The terminal of the command. Shared by the threads of a build; each call writes whole lines.
pub(crate) struct Shell {
    verbosity: Verbosity,
    choice: ColorChoice,
    color: bool,
    /// Whether results are coloured.
    result_color: bool,
    width: Option<usize>,
    /// Whether a progress line stands below the last line.
    progress: Mutex<Option<String>>,
    /// What was printed, as long as it could be said again.
    transcript: Mutex<Option<Answer>>,
}

impl Shell {
    /// Decides on colour and width by looking at standard error. `plain` says that the terminal is dumb.
    pub(crate) fn new(verbosity: Verbosity, choice: ColorChoice) -> Self {
        let stderr = std::io::stderr();
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never,
        };
        let result_color = match choice {
            ColorChoice::Auto => anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never,
            _ => color,
        };
        let width = stderr.is_terminal().then(crate::terminal::width).flatten();
        Self {
            verbosity,
            choice,
            color,
            result_color,
            width,
            progress: Mutex::default(),
            transcript: Mutex::new(Some(Answer::default())),
        }
    }

    /// `--color`, as it is handed on.
    pub(crate) fn color_choice(&self) -> &'static str {
        match self.choice {
            ColorChoice::Auto => "auto",
            ColorChoice::Always => "always",
            ColorChoice::Never => "never",
        }
    }

    /// How much is said.
    pub(crate) fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Whether output is coloured.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Columns of the terminal that standard error is.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// A status line: the verb right-aligned in 12 columns, bold green, then the message.
    pub(crate) fn status(&self, verb: &str, message: &str) {
        self.status_with(verb, message, STATUS);
    }

    /// The same in another style.
    pub(crate) fn status_with(&self, verb: &str, message: &str, style: Style) {
        if self.verbosity != Verbosity::Quiet {
            self.line(&format!("{} {}", self.paint(style, &format!("{verb:>12}")), escaped_indented(message)));
        }
    }

    /// `warning: …`, not with `-q`.
    pub(crate) fn warning(&self, message: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.labelled("warning", WARNING, message);
        }
    }

    /// `note: …`, not with `-q`.
    pub(crate) fn note(&self, message: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.labelled("note", NOTE, message);
        }
    }

    /// `note: …` about a command that could be run next, not with `-q`.
    pub(crate) fn note_about_command(&self, before: &str, command: &str) {
        if self.verbosity != Verbosity::Quiet {
            let (label, command) = (self.paint(STATUS, "note"), self.paint(NOTE, command));
            self.line(&format!("{label}: {} `{command}`", escaped_line(before)));
        }
    }

    /// `help: …`
    pub(crate) fn help(&self, message: &str) {
        self.labelled("help", NOTE, message);
    }

    /// `error: …`
    pub(crate) fn error(&self, message: &str, rule: Option<&str>) {
        match rule {
            Some(rule) => self.labelled(&format!("error[{rule}]"), ERROR, message),
            None => self.labelled("error", ERROR, message),
        }
    }

    fn labelled(&self, label: &str, style: Style, message: &str) {
        self.line(&format!("{}: {}", self.paint(style, label), escaped_indented(message.trim_end())));
    }

    /// Text of Bulkhead's own, already escaped where it holds something else; a line feed is added.
    pub(crate) fn line(&self, text: &str) {
        self.write(text);
        self.remember(Stream::Error, &[text, "\n"]);
    }

    fn write(&self, text: &str) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stderr = std::io::stderr().lock();
        // Where standard error is closed there is nobody left to tell.
        let _ = match &*progress {
            Some(line) => writeln!(stderr, "\r\u{1b}[K{text}").and_then(|()| write!(stderr, "{line}\r")),
            None => writeln!(stderr, "{text}"),
        };
        let _ = stderr.flush();
    }

    /// The status line of a command that is done, with the time that it took.
    pub(crate) fn finished(&self, what: &str, duration: Duration) {
        if self.verbosity != Verbosity::Quiet {
            let verb = self.paint(STATUS, &format!("{:>12}", "Finished"));
            let before = format!("{verb} {} in ", escaped_indented(what));
            self.write(&format!("{before}{}", elapsed(duration)));
            self.remember(Stream::Elapsed, &[&before]);
        }
    }

    /// Says again what was said before. Whoever does not listen any more has had enough.
    pub(crate) fn replay(answer: &Answer, duration: Duration) {
        let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
        for (stream, bytes) in answer.pieces() {
            let _ = match stream {
                Stream::Output => stdout.write_all(bytes),
                Stream::Error => stderr.write_all(bytes),
                Stream::Elapsed => stderr.write_all(bytes).and_then(|()| writeln!(stderr, "{}", elapsed(duration))),
            };
        }
        let _ = stdout.flush();
    }

    fn remember(&self, stream: Stream, parts: &[&str]) {
        if let Some(transcript) = &mut *self.transcript.lock().unwrap_or_else(PoisonError::into_inner) {
            parts.iter().for_each(|part| transcript.push(stream, part.as_bytes()));
        }
    }

    /// All that was printed so far, unless it is not to be said again. From now on nothing is kept.
    pub(crate) fn transcript(&self) -> Option<Answer> {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Shows `line`, one line of own text, below everything else; `None` takes it away.
    pub(crate) fn progress(&self, line: Option<String>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stderr = std::io::stderr().lock();
        let _ = match &line {
            Some(line) => write!(stderr, "\u{1b}[K{line}\r"),
            None if progress.is_some() => write!(stderr, "\u{1b}[K"),
            None => Ok(()),
        };
        let _ = stderr.flush();
        *progress = line;
    }

    /// Writes a result to standard output: `text`, of which what is not ours is escaped already, and a line feed.
    ///
    /// # Errors
    /// Standard output is closed or full, which ends the command.
    pub(crate) fn print(&self, text: &str) -> std::io::Result<()> {
        self.remember(Stream::Output, &[text, "\n"]);
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}")
    }

    /// The same for a JSON document, whose strings may be anybody's.
    ///
    /// # Errors
    /// As for [`Self::print`].
    pub(crate) fn print_json(&self, json: &str) -> std::io::Result<()> {
        self.print(&escaped_json(json))
    }

    /// `text` in `style` for a result, where results are coloured.
    pub(crate) fn paint_result(&self, style: Style, text: &str) -> String {
        let text = escaped_line(text);
        if self.result_color { format!("{style}{text}{style:#}") } else { text.into_owned() }
    }

    /// `text` in `style` where colours are shown.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        let text = escaped_line(text);
        if self.color { format!("{style}{text}{style:#}") } else { text.into_owned() }
    }
}

/// `0.26s`, `1m 02s`
fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 60 {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{seconds}.{:02}s", duration.subsec_millis() / 10)
    }
}
