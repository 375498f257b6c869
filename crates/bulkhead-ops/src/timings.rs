//! `--timings`: how long each unit took, and what ran at the same time, as a page without scripts.
//!
//! Everything on it that has a name was named by somebody else: one function escapes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_executor::Event as BuildEvent;
use bulkhead_schema::policy::hides_text;
use bulkhead_schema::time::rfc3339;
use bulkhead_unit_graph::{CompileMode, UnitGraph, UnitIndex};

use crate::compile::Prepared;
use crate::disk;
use crate::error::Result;
use crate::reporter::describe;

/// Height of one bar, in pixels.
const ROW: usize = 18;

/// Width of the drawing, in its own units.
const WIDTH: f64 = 1000.0;

/// What is measured of one unit, from the start of the build.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: Duration,
    metadata: Option<Duration>,
    end: Option<Duration>,
}

/// A stopwatch that listens to a build.
pub(crate) struct Timings {
    begin: Instant,
    spans: Mutex<BTreeMap<UnitIndex, Span>>,
}

impl Timings {
    /// Starts.
    pub(crate) fn start() -> Self {
        Self { begin: Instant::now(), spans: Mutex::default() }
    }

    /// Notes what `event` says of time.
    pub(crate) fn note(&self, event: &BuildEvent) {
        let now = self.begin.elapsed();
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            BuildEvent::Started { unit, .. } => {
                spans.insert(*unit, Span { start: now, ..Span::default() });
            }
            BuildEvent::MetadataReady { unit } => {
                spans.entry(*unit).and_modify(|span| span.metadata = Some(now));
            }
            BuildEvent::Finished { unit, .. } => {
                spans.entry(*unit).and_modify(|span| span.end = Some(now));
            }
            _ => {}
        }
    }

    /// Writes the page below the build folder; returns its path. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, prepared: &Prepared, now: i64) -> Result<PathBuf> {
        let total = self.begin.elapsed();
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<Row> =
            spans.iter().map(|(index, span)| Row::new(&prepared.graph, *index, *span, total)).collect();
        rows.sort_by_key(|row| (row.start, row.end));
        let text = rfc3339(now.max(0).unsigned_abs());
        let page = page(&rows, prepared, total, &text);
        let folder = prepared.build_options.target_dir.join("cargo-timings");
        disk::create_own_folder(&folder)?;
        let stamp: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        let path = folder.join(format!("cargo-timing-{stamp}-{:x}.html", std::process::id()));
        disk::write_atomically(&path, page.as_bytes())?;
        disk::write_atomically(&folder.join("cargo-timing.html"), page.as_bytes())?;
        Ok(path)
    }
}

/// One unit that ran.
struct Row {
    name: String,
    what: String,
    features: String,
    is_script: bool,
    start: Duration,
    metadata: Option<Duration>,
    end: Duration,
    failed: bool,
}

impl Row {
    fn new(graph: &UnitGraph, index: UnitIndex, span: Span, total: Duration) -> Self {
        let unit = graph.unit(index);
        let features: Vec<_> = unit.features.iter().map(|feature| feature.as_str()).collect();
        let mode = if unit.mode.is_check() { " (check)" } else { "" };
        Self {
            name: format!("{} v{}", unit.package.id.name(), unit.package.id.version()),
            what: format!("{}{mode}", describe(unit)),
            features: features.join(", "),
            is_script: unit.mode == CompileMode::RunBuildScript,
            start: span.start,
            metadata: span.metadata.filter(|_| unit.target.is_lib()),
            end: span.end.unwrap_or(total),
            failed: span.end.is_none(),
        }
    }

    fn duration(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// Text as HTML shows it, inside and outside of attributes. What controls a terminal or the direction of text is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || hides_text(c) => {}
            c => out.push(c),
        }
    }
    out
}

fn seconds(duration: Duration) -> String {
    format!("{:.2}s", duration.as_secs_f64())
}

const STYLE: &str = "
:root { color-scheme: light dark; --front: #7aa6da; --back: #c397d8; --whole: #7fbf7f; --script: #e7c547; --bad: #d9534f; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; }
table { border-collapse: collapse; } td, th { padding: .15em .8em .15em 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; display: block; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
.front { fill: var(--front); } .back { fill: var(--back); } .whole { fill: var(--whole); }
.script { fill: var(--script); } .bad { fill: var(--bad); }
.grid { stroke: currentColor; opacity: .15; } .load { fill: var(--front); opacity: .6; }
i { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; vertical-align: -.1em; }
";

fn page(rows: &[Row], prepared: &Prepared, total: Duration, when: &str) -> String {
    let names: Vec<_> = prepared.selected.iter().map(|package| package.id.name().to_string()).collect();
    let title = escaped(&format!("Timings of {}", names.join(", ")));
    let units = prepared.graph.units.len();
    let most = steps(rows).iter().map(|(_, running)| *running).max().unwrap_or(0);
    let facts = [
        ("Packages", names.join(", ")),
        ("Profile", prepared.build_options.profile.to_string()),
        ("Fresh units", units.saturating_sub(rows.len()).to_string()),
        ("Built units", rows.len().to_string()),
        ("At once", format!("{most} of {} jobs", prepared.build_options.jobs)),
        ("Start", when.to_owned()),
        ("Total", seconds(total)),
        ("Compiler", prepared.toolchain.verbose_version.lines().next().unwrap_or_default().to_owned()),
        ("Host", prepared.toolchain.host.to_string()),
    ];
    let facts = facts.iter().map(|(key, value)| format!("<tr><th>{key}</th><td>{}</td></tr>\n", escaped(value)));
    let legend = [
        ("front", "to the metadata, from which dependents start"),
        ("back", "machine code"),
        ("whole", "both"),
        ("script", "build script"),
        ("bad", "not finished"),
    ];
    let legend = legend.iter().map(|(class, text)| format!("<i style=\"background: var(--{class})\"></i>{text}"));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n<table>\n{}</table>\n<h2>Units</h2>\n<p>{}</p>\n{}\n<h2>Running at once</h2>\n{}\n\
         <h2>Slowest first</h2>\n{}\n</body>\n</html>\n",
        facts.collect::<String>(),
        legend.collect::<String>(),
        bars(rows, total),
        load(rows, total),
        slowest(rows),
    )
}

/// Where a moment lies in the drawing.
fn x(moment: Duration, total: Duration) -> f64 {
    WIDTH * moment.as_secs_f64() / total.as_secs_f64().max(f64::EPSILON)
}

/// One bar per unit, in the order in which they started.
fn bars(rows: &[Row], total: Duration) -> String {
    let height = rows.len() * ROW + ROW;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"units\">\n");
    for tenth in 0..10 {
        let moment = total * tenth / 10;
        let at = x(moment, total);
        let _ = writeln!(svg, "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{height}\"/>");
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\">{}</text>", at + 2.0, height - 4, seconds(moment));
    }
    for (place, row) in rows.iter().enumerate() {
        let y = place * ROW;
        let mut bar = |from: Duration, to: Duration, class: &str| {
            let width = (x(to, total) - x(from, total)).max(0.5);
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"{}\"/>",
                x(from, total),
                y + 1,
                ROW - 2
            );
        };
        match row.metadata {
            _ if row.failed => bar(row.start, row.end, "bad"),
            _ if row.is_script => bar(row.start, row.end, "script"),
            Some(metadata) => {
                bar(row.start, metadata, "front");
                bar(metadata, row.end, "back");
            }
            None => bar(row.start, row.end, "whole"),
        }
        let label = escaped(&format!("{} {} {}", row.name, row.what, seconds(row.duration())));
        // A label that would leave the drawing ends at its bar's end.
        let (at, anchor) = if x(row.start, total) > WIDTH * 0.7 {
            (x(row.end, total) - 4.0, "end")
        } else {
            (x(row.start, total) + 4.0, "start")
        };
        let _ = writeln!(svg, "<text x=\"{at:.2}\" y=\"{}\" text-anchor=\"{anchor}\">{label}</text>", y + ROW - 5);
    }
    svg.push_str("</svg>");
    svg
}

/// How many units run from each moment on.
fn steps(rows: &[Row]) -> Vec<(Duration, usize)> {
    let mut changes: Vec<(Duration, bool)> =
        rows.iter().flat_map(|row| [(row.start, true), (row.end, false)]).collect();
    changes.sort();
    let mut running = 0_usize;
    let mut steps = Vec::with_capacity(changes.len());
    for (moment, starts) in changes {
        running = if starts { running + 1 } else { running.saturating_sub(1) };
        steps.push((moment, running));
    }
    steps
}

fn load(rows: &[Row], total: Duration) -> String {
    let steps = steps(rows);
    let most = steps.iter().map(|(_, running)| *running).max().unwrap_or(0).max(1);
    let height = 100.0;
    let y = |running: usize| height * (1.0 - running as f64 / most as f64);
    let mut path = format!("M0 {height}");
    for (moment, running) in &steps {
        let _ = write!(path, " H{:.2} V{:.2}", x(*moment, total), y(*running));
    }
    let _ = write!(path, " H{WIDTH} V{height} Z");
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"units that run at once, at most {most}\">\n\
         <path class=\"load\" d=\"{path}\"/>\n<text x=\"2\" y=\"12\">{most}</text>\n</svg>"
    )
}

fn slowest(rows: &[Row]) -> String {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by_key(|row| std::cmp::Reverse(row.duration()));
    let mut table =
        "<table>\n<tr><th></th><th>Unit</th><th>Total</th><th>To metadata</th><th>Code</th><th>Features</th></tr>\n"
            .to_owned();
    for (place, row) in sorted.iter().enumerate() {
        let part = |duration: Option<Duration>| duration.map(seconds).unwrap_or_default();
        let _ = writeln!(
            table,
            "<tr><td class=\"n\">{}.</td><td>{} {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            place + 1,
            escaped(&row.name),
            escaped(&row.what),
            seconds(row.duration()),
            part(row.metadata.map(|metadata| metadata.saturating_sub(row.start))),
            part(row.metadata.map(|metadata| row.end.saturating_sub(metadata))),
            escaped(&row.features)
        );
    }
    table.push_str("</table>");
    table
}

#[cfg(test)]
mod tests {
    use super::{Row, bars, escaped, load, slowest, steps};
    use std::time::Duration;

    fn row(name: &str, start: u64, end: u64) -> Row {
        let at = Duration::from_secs;
        let metadata = Some(at(start));
        let (what, features) = ("lib".to_owned(), "<f>".to_owned());
        let (start, end) = (at(start), at(end));
        Row { name: name.to_owned(), what, features, is_script: false, start, metadata, end, failed: false }
    }

    #[test]
    fn nothing_of_a_name_becomes_markup() {
        assert_eq!(escaped("<a href='x'>&\"\u{1b}\u{202e}é"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;é");
        let rows = [row("<script>alert(1)</script>", 0, 2), row("\"><img onerror=x>", 1, 3)];
        let total = Duration::from_secs(3);
        let page = [bars(&rows, total), load(&rows, total), slowest(&rows)].concat();
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<f>"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn what_ends_when_another_starts_does_not_run_beside_it() {
        let counts = |rows: &[Row]| steps(rows).iter().map(|(_, running)| *running).max();
        assert_eq!(counts(&[row("a", 0, 2), row("b", 1, 3)]), Some(2));
        assert_eq!(counts(&[row("a", 0, 2), row("b", 2, 3)]), Some(1));
        assert_eq!(counts(&[]), None);
    }
}
