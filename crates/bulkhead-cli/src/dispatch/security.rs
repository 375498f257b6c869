//! `trust` and `audit-log`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use bulkhead_ops::audit::{self, AuditFilter, Entry, ExportFormat, Kind};
use bulkhead_ops::options::GlobalOptions;
use bulkhead_ops::trust::{self, Change, Line, Proposal};
use bulkhead_ops::{Error, ErrorKind};
use clap::ArgMatches;

use super::{Events, print};
use crate::escape::escaped_line;
use crate::shell::Shell;

/// Runs the command `name`; `None` if it is not one of these.
pub(super) fn command(
    name: &str,
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Option<Result<(), Error>> {
    Some(match name {
        "trust" => trust(arguments, global, shell, events),
        "audit-log" => audit_log(arguments, global, shell),
        _ => return None,
    })
}

fn trust(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    let files: Vec<PathBuf> = arguments.get_many("file").map(|files| files.cloned().collect()).unwrap_or_default();
    if arguments.get_flag("list") {
        return list_trusted(arguments, global, shell);
    }
    if arguments.get_flag("diff") {
        let differences = trust::differences(global, &files)?;
        if differences.is_empty() {
            shell.note("no file has changed since it was trusted");
        }
        for (path, lines) in differences {
            print(shell, &escaped_line(&path.display().to_string()))?;
            show_changes(&lines, &|text| print(shell, text))?;
        }
        return Ok(());
    }
    if arguments.get_flag("revoke") {
        if files.is_empty() {
            let error = Error::new(ErrorKind::Usage, "`--revoke` needs the files that are no longer trusted");
            return Err(error.help("`bulkhead trust --list` names those that are"));
        }
        return trust::revoke(global, &files, events);
    }
    let proposals = trust::propose(global, &files)?;
    if proposals.is_empty() {
        shell.note("these files are trusted already, as they are");
        return Ok(());
    }
    proposals.iter().for_each(|proposal| show_proposal(proposal, shell));
    if !arguments.get_flag("yes") {
        confirm(shell)?;
    }
    trust::enrol(global, &proposals, events)
}

fn list_trusted(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let json = arguments.get_one::<String>("format").is_some_and(|format| format == "json");
    let files = trust::list(global)?;
    if files.is_empty() {
        shell.note("no file is trusted");
    }
    for file in files {
        let (path, state) = (file.path.display().to_string(), file.state.name());
        match json {
            true => {
                let line = serde_json::json!({ "path": path, "digest": file.digest, "state": state });
                print(shell, &line.to_string())?;
            }
            false => print(shell, &format!("{} {state:<8} {}", file.digest, escaped_line(&path)))?,
        }
    }
    Ok(())
}

/// What will act from now on is said before it does. It goes past `-q`: nobody agrees to what was not shown.
fn show_proposal(proposal: &Proposal, shell: &Shell) {
    shell.line(&format!("{}\n  {}", escaped_line(&proposal.path.display().to_string()), proposal.digest));
    for effect in &proposal.effects {
        let setting = escaped_line(&effect.setting);
        let reason = escaped_line(&effect.reason);
        match effect.acts {
            true => shell.line(&format!("  will act:       {setting}  ({reason})")),
            false => shell.line(&format!("  does not act:   {setting}  ({reason})")),
        }
    }
    if let Some(lines) = &proposal.changes {
        shell.line("  changed since it was trusted:");
        let _ = show_changes(lines, &|text| {
            shell.line(text);
            Ok(())
        });
    }
}

fn show_changes(lines: &[Line], write: &dyn Fn(&str) -> Result<(), Error>) -> Result<(), Error> {
    lines.iter().try_for_each(|line| {
        let sign = match line.change {
            Change::Same => ' ',
            Change::Removed => '-',
            Change::Added => '+',
        };
        write(&format!("  {sign}{}", escaped_line(&line.text)))
    })
}

/// Asks who sits at the terminal. Nobody else can answer: what is piped in is no person.
fn confirm(shell: &Shell) -> Result<(), Error> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let message = "nobody is there to be asked whether these files are to be trusted";
        return Err(Error::new(ErrorKind::UntrustedConfiguration, message)
            .help("look at what they do, above, then run the command with `--yes`"));
    }
    shell.line("Trust these files exactly as they are? [y/N]");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Error::new(ErrorKind::UntrustedConfiguration, "nothing was trusted")),
    }
}

fn audit_log(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let usage = || Error::new(ErrorKind::Usage, "`audit-log` needs `show`, `verify` or `export`");
    let (command, arguments) = arguments.subcommand().ok_or_else(usage)?;
    if command == "verify" {
        let verified = audit::verify(global)?;
        let count = verified.last + 1 - verified.first;
        let from = if verified.first > 1 { format!(", from entry {} on", verified.first) } else { String::new() };
        let noun = if count == 1 { "entry" } else { "entries" };
        shell.status("Verified", &format!("{count} {noun} of the audit log{from}"));
        return Ok(());
    }
    let entries = audit::entries(global, &filter(arguments)?)?;
    let format = arguments.get_one::<String>("format").map(String::as_str).unwrap_or_default();
    if command == "export" {
        let format = if format == "csv" { ExportFormat::Csv } else { ExportFormat::JsonLines };
        let text = audit::export(&entries, format);
        return match arguments.get_one::<PathBuf>("output") {
            Some(path) => bulkhead_ops::disk::write_atomically(&global.place.current_dir.join(path), text.as_bytes()),
            None if text.is_empty() => Ok(()),
            None => print(shell, text.trim_end_matches('\n')),
        };
    }
    let lines: Vec<String> = match format {
        "json" => entries.iter().map(Entry::line).collect(),
        _ => entries.iter().flat_map(shown).collect(),
    };
    if lines.is_empty() { Ok(()) } else { print(shell, &lines.join("\n")) }
}

/// An entry for people: what happened, and the details below it.
fn shown(entry: &Entry) -> Vec<String> {
    let Entry { sequence, time, kind, subject, details, .. } = entry;
    let mut lines = vec![format!("{sequence:>6}  {time}  {:<20} {}", kind.name(), escaped_line(subject))];
    lines.extend(details.iter().map(|(name, text)| format!("        {}: {}", escaped_line(name), escaped_line(text))));
    lines
}

fn filter(arguments: &ArgMatches) -> Result<AuditFilter, Error> {
    let text = |name: &str| arguments.get_one::<String>(name).cloned();
    let names: Vec<_> = arguments.get_many::<String>("event").into_iter().flatten().collect();
    let kinds = Kind::ALL.iter().copied().filter(|kind| names.iter().any(|name| *name == kind.name()));
    Ok(AuditFilter {
        kinds: kinds.collect(),
        since: text("since").map(time).transpose()?,
        until: text("until").map(time).transpose()?,
        containing: text("grep"),
        last: arguments.get_one("last").copied(),
    })
}

/// A time is compared as text with those of the log, so that it has to have their form, as far as it goes.
fn time(text: String) -> Result<String, Error> {
    let form = "2026-11-26T02:48:11Z";
    let fits = text.len() >= 4
        && text.len() <= form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(is, like)| is == like || (is.is_ascii_digit() && like.is_ascii_digit()));
    if fits { Ok(text) } else { Err(Error::new(ErrorKind::Usage, format!("`{text}` is no time such as `{form}`"))) }
}
