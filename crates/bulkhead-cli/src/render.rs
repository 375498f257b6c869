//! Events become lines and the progress bar.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_ops::Event;
use bulkhead_ops::configuration::{ProgressWhen, TermConfig};

use crate::escape::{escaped_but_colour, escaped_foreign_line, escaped_without_colour};
use crate::report;
use crate::shell::{PROGRESS, Shell, Verbosity};

/// How often the progress line is drawn at most: more than a terminal can use costs processor time.
const REDRAW: Duration = Duration::from_millis(100);

/// Shows events as they come, from any thread.
pub(crate) struct Renderer<'a> {
    shell: &'a Shell,
    /// Columns for the progress line; `None` where there is none.
    progress_width: Option<usize>,
    drawn: Mutex<Option<Instant>>,
}

impl<'a> Renderer<'a> {
    /// Decides whether a progress bar is shown: on a terminal that is not dumb, outside CI, unless `term.progress.when`
    /// says otherwise.
    pub(crate) fn new(shell: &'a Shell, term: &TermConfig) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let terminal = std::io::stderr().is_terminal()
            && variable("TERM").is_none_or(|terminal| terminal != "dumb")
            && variable("CI").is_none();
        let shown = match term.progress {
            ProgressWhen::Always => true,
            ProgressWhen::Never => false,
            ProgressWhen::Auto => terminal,
        };
        let width = term.progress_width.or_else(|| shell.width());
        let width = width.filter(|_| shown && shell.verbosity() == Verbosity::Normal);
        Self { shell, progress_width: width, drawn: Mutex::new(None) }
    }

    /// Shows one event.
    pub(crate) fn event(&self, event: Event) {
        let shell = self.shell;
        if !is_said_each_time(&event) {
            shell.transcript();
        }
        match event {
            Event::Diagnostic(diagnostic) => report::diagnostic(shell, &diagnostic),
            Event::Warning(message) => shell.warning(&message),
            Event::Note(message) => shell.note(&message),
            Event::Status { verb, message } => shell.status(verb, &message),
            Event::UpdatingIndex { registry } => shell.status("Updating", &registry),
            Event::Downloaded { package, .. } => shell.status("Downloaded", &package.to_string()),
            Event::DownloadProgress { done, total, bytes } => {
                self.progress("Downloading", done, total, &format!("{} in {}", size(bytes), plural(total, "crate")));
            }
            Event::DownloadsFinished { packages, bytes } => {
                shell.progress(None);
                // Without a progress line every package has had a line of its own, and that says it all.
                if self.progress_width.is_some() {
                    shell.status("Downloaded", &format!("{} ({})", plural(packages, "crate"), size(bytes)));
                }
            }
            Event::Error(error) => report::error(shell, &error),
            Event::Rendered(text) => self.rendered(&text),
            Event::Text(line) => shell.line(escaped_foreign_line(&line).as_ref()),
            Event::Json(line) => self.output(&line),
            Event::BuildProgress { done, total, running } => {
                crate::interrupt::processes_run();
                self.progress("Building", done, total, &running.join(", "));
            }
            Event::Finished { profile, duration } => {
                shell.progress(None);
                shell.finished(&format!("{profile} target(s)"), duration);
            }
            Event::Blocking { what, path } => self.blocking(&what, &path),
            _ => {}
        }
    }

    /// rustc ends its rendering with a line feed; the shell adds one.
    fn rendered(&self, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = if self.shell.color() { escaped_but_colour(text) } else { escaped_without_colour(text) };
        self.shell.line(&text);
    }

    /// When nobody reads on, the build goes on all the same.
    fn output(&self, line: &str) {
        let _ = self.shell.print_json(line);
    }

    fn blocking(&self, what: &str, path: &Path) {
        let place =
            if self.shell.verbosity() == Verbosity::Verbose { format!(" ({})", path.display()) } else { String::new() };
        self.shell.status_with("Blocking", &format!("waiting for file lock on {what}{place}"), PROGRESS);
    }

    /// Draws the progress line, unless it was drawn a moment ago.
    pub(crate) fn progress(&self, verb: &str, done: usize, total: usize, detail: &str) {
        let Some(width) = self.progress_width else { return };
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW) {
            return;
        }
        *drawn = Some(Instant::now());
        let head = self.shell.paint(PROGRESS, &format!("{verb:>12}"));
        let Some(line) = bar(width.saturating_sub(13), done, total, detail) else { return };
        self.shell.progress(Some(format!("{head} {line}")));
    }
}

impl Drop for Renderer<'_> {
    fn drop(&mut self) {
        self.shell.progress(None);
    }
}

/// Whether the same command says this again when nothing has changed: it reports a finding, and no deed.
fn is_said_each_time(event: &Event) -> bool {
    matches!(
        event,
        Event::Diagnostic(_)
            | Event::Warning(_)
            | Event::Rendered(_)
            | Event::Text(_)
            | Event::Json(_)
            | Event::BuildProgress { .. }
            | Event::Finished { .. }
            | Event::Status { verb: "Fresh", .. }
    )
}

/// `[====>      ] 3/17: serde, syn` in at most `width` columns; `None` where there is no room for a bar.
fn bar(width: usize, done: usize, total: usize, detail: &str) -> Option<String> {
    let counts = format!(" {done}/{total}");
    // A bar wider than 40 columns says no more, and the names are worth the room.
    let length = width.checked_sub(counts.len() + 15)?.clamp(5, 29);
    let filled = (length * done).checked_div(total).unwrap_or(0).min(length);
    let mut bar = "=".repeat(filled);
    if filled < length {
        bar.push('>');
        bar.push_str(&" ".repeat(length - filled - 1));
    }
    let mut line = format!("[{bar}]{counts}");
    let room = width.saturating_sub(line.len() + 2);
    let detail = crate::escape::escaped_line(detail);
    if room > 8 && !detail.is_empty() {
        line.push_str(": ");
        if detail.chars().count() <= room {
            line.push_str(&detail);
        } else {
            line.extend(detail.chars().take(room - 3));
            line.push_str("...");
        }
    }
    Some(line)
}

fn plural(count: usize, noun: &str) -> String {
    plural_u64(count as u64, noun)
}

/// `1 file`, `2 files`
pub(crate) fn plural_u64(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// As Cargo writes sizes: `12.3KiB`.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{value:.1}{}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::{bar, size};

    #[test]
    fn the_bar_fits_its_width() {
        assert_eq!(bar(67, 0, 1, "p").unwrap(), "[>                            ] 0/1: p");
        assert_eq!(bar(67, 1, 2, "a, b").unwrap(), "[==============>              ] 1/2: a, b");
        assert_eq!(bar(67, 2, 2, "").unwrap(), "[=============================] 2/2");
        assert_eq!(bar(10, 2, 2, ""), None);
        let long = bar(60, 5, 100, &"name, ".repeat(50)).unwrap();
        assert!(long.len() <= 60 && long.ends_with("..."), "{long}");
        assert!(!bar(60, 5, 100, "\u{1b}[2J").unwrap().contains('\u{1b}'));
    }

    #[test]
    fn sizes_are_written_as_in_cargo() {
        assert_eq!([size(12), size(1536), size(5_400_000)], ["12B", "1.5KiB", "5.1MiB"]);
    }
}
