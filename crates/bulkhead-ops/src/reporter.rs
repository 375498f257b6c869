//! What the executor reports, told as Cargo tells it: status lines, messages, JSON, counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use bulkhead_executor::{Event as BuildEvent, Failure, FailureKind};
use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_unit_graph::{Command, CompileMode, Unit, UnitGraph, UnitIndex, debuginfo_json};
use bulkhead_workspace::TargetKind;
use bulkhead_workspace::metadata::{TargetJson, package_id_spec, target_json};
use serde_json::json;
use serde_json::value::RawValue;

use crate::error::ErrorKind;
use crate::flood::{self, Flood};
use crate::options::{CompileOptions, Foreign, MessageFormat};
use crate::permissions::{Permissions, denied};
use crate::{Event, audit};

/// Translates the events of one build.
pub struct Reporter<'a> {
    graph: &'a UnitGraph,
    permissions: &'a Permissions,
    options: &'a CompileOptions,
    verbose: u8,
    events: &'a (dyn Fn(Event) + Sync),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Packages that have had their status line, and whether it was the one for documentation.
    named: BTreeSet<(PackageId, bool)>,
    /// Packages of which a unit is to be built.
    dirty: BTreeSet<PackageId>,
    /// Why units are to be built again.
    reasons: BTreeMap<UnitIndex, String>,
    total: usize,
    done: usize,
    running: BTreeSet<UnitIndex>,
    /// Units that were taken out of the cache.
    reused: usize,
    /// Whether a unit has failed.
    failed: bool,
    flood: Flood,
}

impl<'a> Reporter<'a> {
    /// A reporter that passes everything on to `events`.
    pub fn new(
        graph: &'a UnitGraph,
        permissions: &'a Permissions,
        options: &'a CompileOptions,
        verbose: u8,
        events: &'a (dyn Fn(Event) + Sync),
    ) -> Self {
        Self { graph, permissions, options, verbose, events, state: Mutex::default() }
    }

    /// The package of a unit as people know it: what is installed bears the name that it has where it comes from, and not
    /// that of the folder in which it is built.
    fn id(&self, unit: &Unit) -> PackageId {
        let id = unit.package.id;
        let is_it = |foreign: &&Foreign| {
            id.source().is_path() && id.name() == foreign.id.name() && id.version() == foreign.id.version()
        };
        self.options.foreign.as_ref().filter(is_it).map_or(id, |foreign| foreign.id)
    }

    fn json(&self) -> bool {
        matches!(self.options.message_format, MessageFormat::Json { .. })
    }

    fn emit(&self, event: Event) {
        (self.events)(event);
    }

    fn status(&self, verb: &'static str, message: String) {
        self.emit(Event::Status { verb, message });
    }

    /// Passes on what one event of the executor means to users.
    pub fn report(&self, event: BuildEvent) {
        match event {
            BuildEvent::Blocking { path } => self.emit(Event::Blocking { what: "build directory".to_owned(), path }),
            BuildEvent::Planned { total, dirty: _ } => self.state().total = total,
            BuildEvent::Fresh { unit } => self.fresh(unit),
            BuildEvent::Dirty { unit, reason } => self.dirty(unit, reason),
            BuildEvent::Started { unit, command } => self.started(unit, &command),
            BuildEvent::Message { unit, rendered, json, duplicate, summary, level: _ } => {
                if !summary {
                    self.message(unit, &rendered, &json, duplicate);
                }
            }
            BuildEvent::FutureIncompatibility { .. } | BuildEvent::MetadataReady { .. } => {}
            // Whoever asks for everything gets it, up to the limit of what a process may print.
            BuildEvent::Text { line, .. } if self.verbose > 1 => self.emit(Event::Text(line)),
            BuildEvent::Text { unit, line, .. } => self.say(unit, line, Event::Text),
            BuildEvent::Counts { unit, warnings, duplicates, errors, fixable } => {
                self.counts(unit, warnings, duplicates, errors, fixable);
            }
            BuildEvent::ScriptWarning { unit, message, failed } => self.script_warning(unit, &message, failed),
            BuildEvent::ScriptOutput { unit, output, out_dir } if self.json() => {
                self.emit(Event::Json(script_json(self.graph.unit(unit), &output, &out_dir)));
            }
            BuildEvent::ScriptOutput { .. } => {}
            BuildEvent::Reused { unit } => self.reused(unit),
            BuildEvent::NotShared { unit, reason } if self.verbose > 0 => {
                let unit = self.graph.unit(unit);
                self.status("Unshared", format!("{} ({}): {reason}", self.id(unit), describe(unit)));
            }
            BuildEvent::NotShared { .. } => {}
            BuildEvent::CacheDamaged { unit, finding } => self.cache_damaged(unit, &finding),
            BuildEvent::Denied { unit, denials } => self.denials(unit, &denials),
            BuildEvent::Withheld { unit, variables } => self.withheld(unit, variables),
            BuildEvent::Artifact { unit, filenames, executable, fresh } if self.json() => {
                self.emit(Event::Json(artifact_json(self.graph.unit(unit), &filenames, executable.as_deref(), fresh)));
            }
            BuildEvent::Artifact { .. } => {}
            BuildEvent::Finished { unit, done } => self.finished(unit, done),
            BuildEvent::Failed { failure, running } => self.failed(&failure, running),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, index: UnitIndex) {
        let id = self.id(self.graph.unit(index));
        let first = {
            let mut state = self.state();
            !state.dirty.contains(&id) && state.named.insert((id, false))
        };
        if first && self.verbose > 0 {
            self.status("Fresh", id.to_string());
        }
    }

    /// Nothing is run for it: it counts as fresh.
    fn reused(&self, index: UnitIndex) {
        let id = self.id(self.graph.unit(index));
        let first = {
            let mut state = self.state();
            state.reused += 1;
            state.named.insert((id, false))
        };
        if first && self.verbose > 0 {
            self.status("Fresh", id.to_string());
        }
    }

    /// Says how much did not have to be built, once all is done.
    pub fn sum_up(&self) {
        let reused = self.state().reused;
        if reused > 0 {
            let units = if reused == 1 { "unit" } else { "units" };
            self.status("Reused", format!("{reused} compiled {units} from the cache"));
        }
    }

    fn cache_damaged(&self, index: UnitIndex, finding: &bulkhead_store::Finding) {
        let message = format!(
            "the cache of compiled units held something else under the key of `{}`: {}: {}",
            self.id(self.graph.unit(index)),
            finding.path.display(),
            finding.problem
        );
        let help = "it was removed, and the unit is built; `bulkhead cache verify` looks at everything else";
        self.emit(Event::Diagnostic(Diagnostic::warning("cache-damaged", message).help(help)));
    }

    /// As with Cargo, the reason is told of the unit of a package that starts first.
    fn dirty(&self, index: UnitIndex, reason: Option<String>) {
        let mut state = self.state();
        state.dirty.insert(self.id(self.graph.unit(index)));
        if let Some(reason) = reason.filter(|_| self.verbose > 0) {
            state.reasons.insert(index, reason);
        }
    }

    fn started(&self, index: UnitIndex, command: &Command) {
        let unit = self.graph.unit(index);
        let id = self.id(unit);
        let (first, reason) = {
            let mut state = self.state();
            state.running.insert(index);
            (state.named.insert((id, unit.mode == CompileMode::Doc)), state.reasons.remove(&index))
        };
        if first {
            if let Some(reason) = reason {
                self.status("Dirty", format!("{id}: {reason}"));
            }
            let verb = match unit.mode {
                CompileMode::Doc => "Documenting",
                mode if mode.is_check() => "Checking",
                _ => "Compiling",
            };
            self.status(verb, id.to_string());
        }
        if self.verbose > 0 {
            self.status("Running", format!("`{}`", shell_line(command, self.verbose > 1)));
        }
        self.progress();
    }

    fn progress(&self) {
        let state = self.state();
        let names = state.running.iter().map(|index| progress_name(self.graph.unit(*index))).collect();
        let event = Event::BuildProgress { done: state.done, total: state.total, running: names };
        drop(state);
        self.emit(event);
    }

    fn finished(&self, index: UnitIndex, done: usize) {
        {
            let mut state = self.state();
            state.running.remove(&index);
            state.done = done;
        }
        self.count_withheld(index);
        self.progress();
    }

    fn message(&self, index: UnitIndex, rendered: &str, json: &str, duplicate: bool) {
        if self.json() && !self.options.render_diagnostics {
            let colour = matches!(self.options.message_format, MessageFormat::Json { ansi: true, .. });
            if let Some(line) = message_json(self.graph.unit(index), json, colour) {
                self.emit(Event::Json(line));
            }
        } else if !duplicate {
            self.say(index, rendered.to_owned(), Event::Rendered);
        }
    }

    /// Shows one of the messages of a unit to people, unless there were too many.
    fn say(&self, index: UnitIndex, text: String, event: impl FnOnce(String) -> Event) {
        if self.state().flood.admits(index, text.len()) {
            self.emit(event(text));
        }
    }

    /// Says how many messages of a unit were not shown.
    fn count_withheld(&self, index: UnitIndex) {
        let withheld = self.state().flood.withheld(index);
        if withheld > 0 {
            let unit = self.graph.unit(index);
            let message = format!("{withheld} more messages of `{}` ({}) are not shown", self.id(unit), describe(unit));
            self.emit(Event::Warning(message));
        }
    }

    fn counts(&self, index: UnitIndex, warnings: usize, duplicates: usize, errors: usize, fixable: usize) {
        self.count_withheld(index);
        if warnings == 0 || self.json() && !self.options.render_diagnostics {
            return;
        }
        let unit = self.graph.unit(index);
        let name = unit.package.id.name();
        let mut line = format!("`{name}` ({}) generated {}", describe(unit), counted(warnings, "warning"));
        match duplicates {
            0 => {}
            1 if warnings == 1 => line.push_str(" (1 duplicate)"),
            all if all == warnings => line.push_str(&format!(" ({all} duplicates)")),
            some => line.push_str(&format!(" ({})", counted(some, "duplicate"))),
        }
        if fixable > 0 && unit.is_local && errors == 0 {
            let suggestions = counted(fixable, "suggestion");
            let tests = if unit.mode.is_test() && unit.target.is_lib() { " --tests" } else { "" };
            let (command, end) = match &self.options.clippy {
                Some(arguments) => ("clippy --fix", format!(" -- {}", arguments.join(" "))),
                None => ("fix", String::new()),
            };
            let flags = format!("{} -p {name}{tests}{end}", fix_flag(unit));
            line.push_str(&format!(" (run `cargo {command} {flags}` to apply {suggestions})"));
        }
        self.emit(Event::Warning(line));
    }

    fn script_warning(&self, index: UnitIndex, message: &str, failed: bool) {
        let unit = self.graph.unit(index);
        if unit.is_local || failed || self.verbose > 1 {
            let id = self.id(unit);
            self.say(index, format!("{}@{}: {message}", id.name(), id.version()), Event::Warning);
        }
    }

    fn denials(&self, index: UnitIndex, denials: &[bulkhead_sandbox::Denial]) {
        let unit = self.graph.unit(index);
        self.emit(Event::Diagnostic(self::denials(self.permissions, unit, process_name(unit), denials)));
    }

    fn withheld(&self, index: UnitIndex, variables: Vec<String>) {
        let unit = self.graph.unit(index);
        let name = |variable: &String| {
            let secret = self.permissions.is_secret(&bulkhead_policy::Denied::Environment(variable.clone()));
            format!("{variable}{}", if secret { LOOKS_SECRET } else { "" })
        };
        let names = variables.iter().map(name).collect::<Vec<_>>().join(", ");
        let message =
            format!("{} of `{}` asked about variables that it may not see: {names}", process_name(unit), self.id(unit));
        let what: Vec<_> = variables.into_iter().map(bulkhead_policy::Denied::Environment).collect();
        let secrets = what.iter().any(|what| self.permissions.is_secret(what));
        let help = advice(&self.permissions.propose(unit, what), secrets);
        self.emit(Event::Diagnostic(Diagnostic::warning("sandbox-environment", message).help(help)));
    }

    fn failed(&self, failure: &Failure, running: usize) {
        let unit = self.graph.unit(failure.unit);
        if let FailureKind::ScriptErrors(messages) = &failure.kind {
            let id = self.id(unit);
            for message in messages {
                let text = format!("{}@{}: {message}", id.name(), id.version());
                self.say(failure.unit, text, |text| Event::Error(crate::Error::failure(text)));
            }
        }
        self.count_withheld(failure.unit);
        self.emit(Event::Error(failure_text(unit, failure, self.verbose)));
        let first = !std::mem::replace(&mut self.state().failed, true);
        if first && running > 0 {
            self.emit(Event::Warning("build failed, waiting for other jobs to finish...".to_owned()));
        }
    }
}

/// What was denied to a process of `unit`, and the lines that would grant it.
pub fn denials(
    permissions: &Permissions,
    unit: &Unit,
    process: &str,
    denials: &[bulkhead_sandbox::Denial],
) -> Diagnostic {
    let what: Vec<_> = denials.iter().map(denied).collect();
    let mut lines = String::new();
    for denial in denials {
        lines.push_str(&denial_line(permissions, denial));
    }
    let message = format!("{process} of `{}` was denied:{lines}", unit.package.id);
    let secrets = what.iter().any(|what| permissions.is_secret(what));
    let proposal = permissions.propose(unit, what);
    let help = match permissions.catalogued(unit) {
        Some(entry) => catalogue_advice(entry.name, permissions.is_switched_on_in_vain(entry.name)),
        None => advice(&proposal, secrets),
    };
    Diagnostic::warning("sandbox-denied", message).help(help)
}

/// What to do where somebody has read this very code before; `is_switched_on` in a file that waits for trust.
fn catalogue_advice(name: &str, is_switched_on: bool) -> String {
    if is_switched_on {
        return format!(
            "Bulkhead's catalogue has grants for exactly this code (`bulkhead grants show {name}`), and `bulkhead.toml` \
             switches them on, but is not trusted: look at it, then run `bulkhead trust bulkhead.toml`"
        );
    }
    format!(
        "Bulkhead's catalogue has grants for exactly this code (`bulkhead grants show {name}`); to switch them on, add to \
         `bulkhead.toml` and run `bulkhead trust bulkhead.toml`:\nbuild-code.catalogue = [\"{name}\"]\n"
    )
}

/// What follows the name of something that is not proposed.
const LOOKS_SECRET: &str = " (this looks like a secret; not proposed)";

/// One denial, on a line of its own.
pub fn denial_line(permissions: &Permissions, denial: &bulkhead_sandbox::Denial) -> String {
    let note = if permissions.is_secret(&denied(denial)) { LOOKS_SECRET } else { "" };
    format!("\n  {} {}{note}", denial.kind, audit::target(denial))
}

/// What to do about denials: `proposal` would allow those that are not `secrets`.
pub fn advice(proposal: &str, secrets: bool) -> String {
    let by_hand = "what looks like a secret is granted by hand or not at all";
    let add = "if it needs that, add to `bulkhead.toml` and run `bulkhead trust bulkhead.toml`";
    match (proposal.is_empty(), secrets) {
        (true, _) => by_hand.to_owned(),
        (false, true) => format!("{add} ({by_hand}):\n{proposal}"),
        (false, false) => format!("{add}:\n{proposal}"),
    }
}

fn failure_text(unit: &Unit, failure: &Failure, verbose: u8) -> crate::Error {
    let could_not = could_not(unit);
    match &failure.kind {
        FailureKind::Exit { command, status, limit, output, errors, warnings } => {
            let is_script = unit.mode == CompileMode::RunBuildScript;
            let mut error = if is_script {
                crate::Error::failure(format!("failed to run custom build command for `{}`", unit.package.id))
            } else if *errors > 0 && unit.mode != CompileMode::Doc {
                let warned =
                    if *warnings > 0 { format!("; {} emitted", counted(*warnings, "warning")) } else { String::new() };
                let previous =
                    if *errors == 1 { "1 previous error".to_owned() } else { format!("{errors} previous errors") };
                crate::Error::failure(format!("{could_not} due to {previous}{warned}"))
            } else {
                crate::Error::failure(could_not)
            };
            if is_script || *errors == 0 || verbose > 0 {
                error = error.because(format!(
                    "process didn't exit successfully: `{}` ({status})",
                    shell_line(command, verbose > 1)
                ));
            }
            if let Some(limit) = limit {
                error = error.because(limit.to_string()).help(limit.help());
            }
            for (title, text) in [("stdout", &output.0), ("stderr", &output.1)] {
                if !text.trim().is_empty() {
                    error = error.because(format!("--- {title}\n{}", flood::ending(text.trim_end())));
                }
            }
            error
        }
        FailureKind::ScriptErrors(_) => crate::Error::failure("build script logged errors"),
        FailureKind::Denied(diagnostic) => crate::Error { kind: ErrorKind::Policy, ..diagnostic.clone().into() },
        FailureKind::Sandbox(sandbox) => crate::Error::failure(could_not).because(sandbox),
        FailureKind::Other(diagnostic) => crate::Error::from(diagnostic.clone()).while_doing(could_not),
    }
}

fn could_not(unit: &Unit) -> String {
    let name = unit.package.id.name();
    match unit.mode {
        CompileMode::Doc => format!("could not document `{name}`"),
        _ => format!("could not compile `{name}` ({})", describe(unit)),
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn process_name(unit: &Unit) -> &'static str {
    match unit.mode {
        CompileMode::RunBuildScript => "the build script",
        CompileMode::Doc | CompileMode::Doctest => "rustdoc, or a macro that ran in it,",
        _ => "rustc, or a macro that ran in it,",
    }
}

/// `lib`, `bin "x"`, `lib test`, `build script` …, as in Cargo's messages.
pub fn describe(unit: &Unit) -> String {
    let name = unit.target.name;
    let kind = match &unit.target.kind {
        TargetKind::Lib(_) => "lib".to_owned(),
        TargetKind::Bin => format!("bin \"{name}\""),
        TargetKind::Example(_) => format!("example \"{name}\""),
        TargetKind::Test => format!("test \"{name}\""),
        TargetKind::Bench => format!("bench \"{name}\""),
        TargetKind::BuildScript => "build script".to_owned(),
    };
    let is_test_target = matches!(unit.target.kind, TargetKind::Test | TargetKind::Bench);
    match unit.mode {
        CompileMode::Test | CompileMode::CheckTest if !is_test_target => format!("{kind} test"),
        CompileMode::RunBuildScript => "build script execution".to_owned(),
        CompileMode::Doc => format!("{kind} doc"),
        _ => kind,
    }
}

fn fix_flag(unit: &Unit) -> String {
    let name = unit.target.name;
    match &unit.target.kind {
        TargetKind::Lib(_) => "--lib".to_owned(),
        TargetKind::Bin => format!("--bin \"{name}\""),
        TargetKind::Example(_) => format!("--example \"{name}\""),
        TargetKind::Test => format!("--test \"{name}\""),
        TargetKind::Bench => format!("--bench \"{name}\""),
        TargetKind::BuildScript => String::new(),
    }
}

fn progress_name(unit: &Unit) -> String {
    let name = unit.package.id.name();
    match unit.mode {
        CompileMode::RunBuildScript => format!("{name}(build)"),
        _ if unit.target.is_build_script() => format!("{name}(build.rs)"),
        _ if unit.mode.is_test() => format!("{name}(test)"),
        _ if unit.target.is_lib() => name.to_string(),
        _ => format!("{name}(bin)"),
    }
}

/// A command line that can be pasted into a shell.
pub fn shell_line(command: &Command, with_environment: bool) -> String {
    let mut words = Vec::new();
    if with_environment {
        words.extend(command.environment.iter().map(|(name, value)| format!("{name}={}", quoted(value))));
    }
    words.push(quoted(&command.program.to_string_lossy()));
    words.extend(command.arguments.iter().map(|argument| quoted(argument)));
    words.join(" ")
}

/// A word of a command line, in quotes where a shell would not take it as it is.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/,.+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `colour`: whether the rendered text keeps the colours with which rustc always sends it.
fn message_json(unit: &Unit, message: &str, colour: bool) -> Option<String> {
    #[derive(serde::Serialize)]
    struct CompilerMessage<'a> {
        reason: &'static str,
        package_id: String,
        manifest_path: &'a std::path::Path,
        target: TargetJson<'a>,
        message: &'a RawValue,
    }
    let mut plain = None;
    if !colour {
        let mut value: serde_json::Value = serde_json::from_str(message).ok()?;
        if let Some(rendered) = value.get_mut("rendered").filter(|rendered| rendered.is_string()) {
            *rendered = without_colour(rendered.as_str().unwrap_or_default()).into();
        }
        plain = Some(value.to_string());
    }
    let message = serde_json::from_str(plain.as_deref().unwrap_or(message)).ok()?;
    serde_json::to_string(&CompilerMessage {
        reason: "compiler-message",
        package_id: package_id_spec(unit.package.id),
        manifest_path: &unit.package.manifest_path,
        target: target_json(&unit.target),
        message,
    })
    .ok()
}

/// `text` without the sequences `ESC [ … m`.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end.filter(|&end| part[end..].starts_with('m')) {
            Some(end) => plain.push_str(&part[end + 1..]),
            None => plain.push_str(part),
        }
    }
    plain
}

fn artifact_json(
    unit: &Unit,
    filenames: &[std::path::PathBuf],
    executable: Option<&std::path::Path>,
    fresh: bool,
) -> String {
    let profile = &unit.profile;
    json!({
        "reason": "compiler-artifact",
        "package_id": package_id_spec(unit.package.id),
        "manifest_path": unit.package.manifest_path,
        "target": target_json(&unit.target),
        "profile": {
            "opt_level": profile.opt_level,
            "debuginfo": debuginfo_json(profile.debug),
            "debug_assertions": profile.debug_assertions,
            "overflow_checks": profile.overflow_checks,
            "test": unit.mode.is_test(),
        },
        "features": unit.features,
        "filenames": filenames,
        "executable": executable.filter(|_| !unit.target.is_build_script()),
        "fresh": fresh,
    })
    .to_string()
}

fn script_json(
    unit: &Unit,
    output: &bulkhead_schema::build_script::BuildScriptOutput,
    out_dir: &std::path::Path,
) -> String {
    json!({
        "reason": "build-script-executed",
        "package_id": package_id_spec(unit.package.id),
        "linked_libs": output.library_links,
        "linked_paths": output.library_paths,
        "cfgs": output.cfgs,
        "env": output.environment,
        "out_dir": out_dir,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::catalogue_advice;

    #[test]
    fn what_stands_in_a_file_that_waits_for_trust_is_not_to_be_added_again() {
        let (absent, waiting) = (catalogue_advice("ort-sys", false), catalogue_advice("ort-sys", true));
        assert!(absent.contains("add to `bulkhead.toml`") && absent.contains("build-code.catalogue = [\"ort-sys\"]"));
        assert!(
            !waiting.contains("add to") && waiting.contains("is not trusted: look at it, then run `bulkhead trust")
        );
    }
}
