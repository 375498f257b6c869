//! Commands about code that runs while something is built: `approve`, `grants`.

use bulkhead_ops::approvals::{describe, spec};
use bulkhead_ops::approve::{ApproveRequest, Approved, ChangedPackage, approve as run};
use bulkhead_ops::catalogue::{self, Listed};
use bulkhead_ops::options::GlobalOptions;
use bulkhead_ops::{Error, ErrorKind};
use clap::ArgMatches;
use serde_json::{Value, json};

use super::{Events, print, print_json};
use crate::escape::{escaped, escaped_json, escaped_line};
use crate::options;
use crate::shell::{DIM, ERROR, REMARK, STATUS, Shell};

pub(super) fn approve(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let request = request(arguments)?;
    let options = options::approve(arguments, shell)?;
    let as_json = arguments.get_one::<String>("format").is_some_and(|format| format == "json");
    match run(global, &options, &request, events)? {
        Approved::Listed(packages) if as_json => {
            let packages: Vec<Value> = packages.iter().map(bulkhead_ops::approvals::as_json).collect();
            print(shell, &escaped_json(&json!({ "packages": packages }).to_string()))
        }
        Approved::Listed(packages) => {
            let line = |it: &bulkhead_ops::approvals::BuildCodePackage| {
                let name = escaped_line(&it.facts.id.to_string()).into_owned();
                format!("{name}: {} [{}]", describe(&it.facts.kinds, &it.standing), it.level)
            };
            let lines: Vec<String> = packages.iter().map(line).collect();
            if lines.is_empty() { Ok(()) } else { print(shell, &lines.join("\n")) }
        }
        Approved::Changes(changed) if as_json => {
            let changed: Vec<Value> = changed.iter().map(changed_json).collect();
            print(shell, &escaped_json(&json!({ "packages": changed }).to_string()))
        }
        Approved::Changes(changed) if changed.is_empty() => {
            shell.status("Unchanged", "all that was approved before");
            Ok(())
        }
        Approved::Changes(changed) => changed.iter().try_for_each(|it| show_changes(it, shell)),
        Approved::Written(0) => {
            shell.status("Unchanged", "nothing was left to approve");
            Ok(())
        }
        Approved::Written(_) => Ok(()),
    }
}

pub(super) fn grants(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let usage = || Error::new(ErrorKind::Usage, "`grants` needs `list` or `show NAME`");
    let (_, arguments) = arguments.subcommand().ok_or_else(usage)?;
    let name = arguments.try_get_one::<String>("name").ok().flatten();
    let listed = match name {
        Some(name) => vec![catalogue::show(global, name)?],
        None => catalogue::list(global)?,
    };
    if arguments.get_one::<String>("format").is_some_and(|format| format == "json") {
        let grants: Vec<Value> = listed.iter().map(listed_json).collect();
        return print_json(shell, &json!({ "grants": grants }).to_string());
    }
    let lines: Vec<String> = listed
        .iter()
        .map(|it| match name {
            Some(_) => shown(it),
            None => {
                let state = if it.acts() { "acts here" } else { "" };
                format!("{:<24} {state:<9}  {}", shell.paint_result(STATUS, it.entry.name), it.entry.summary())
            }
        })
        .collect();
    print(shell, &lines.join("\n"))
}

/// The file of a name, and how it is switched on.
fn shown(it: &Listed) -> String {
    let how = match (it.acts(), it.named_by.first()) {
        (true, Some(source)) => format!("It acts here: {source} names it."),
        (_, Some(source)) => format!("{source} names it, and is not trusted: `bulkhead trust bulkhead.toml`"),
        _ => format!(
            "It does not act here. To switch it on, add to `bulkhead.toml` or your own policy:\n\n    \
             build-code.catalogue = [\"{}\"]",
            it.entry.name
        ),
    };
    format!("{}\n{how}", it.entry.text)
}

fn listed_json(it: &Listed) -> Value {
    json!({
        "name": it.entry.name,
        "summary": it.entry.summary(),
        "acts": it.acts(),
        "named-by": it.named_by.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "toml": it.entry.text,
    })
}

fn request(arguments: &ArgMatches) -> Result<ApproveRequest, Error> {
    let specs: Vec<String> = arguments.get_many("spec").map(|specs| specs.cloned().collect()).unwrap_or_default();
    let usage = |message: &str| Err(Error::new(ErrorKind::Usage, message));
    let flag = |name| arguments.get_flag(name);
    match (flag("list"), flag("diff"), flag("revoke"), flag("everything")) {
        (true, ..) => Ok(ApproveRequest::List),
        (_, true, ..) => Ok(ApproveRequest::Diff(specs)),
        (_, _, true, _) if specs.is_empty() => usage("`--revoke` needs the packages that are no longer approved"),
        (_, _, true, _) => Ok(ApproveRequest::Revoke(specs)),
        (_, _, _, true) if !specs.is_empty() => usage("`--all` and packages exclude each other"),
        (_, _, _, true) => Ok(ApproveRequest::All),
        _ if specs.is_empty() => usage("name the packages to approve, such as `serde@1.0.200`, or say `--all`"),
        _ => Ok(ApproveRequest::Add(specs)),
    }
}

fn changed_json(it: &ChangedPackage) -> Value {
    json!({
        "name": it.id.name().as_str(),
        "version": it.id.version().to_string(),
        "former": it.former.version().to_string(),
        "files": it.changes.iter().map(change_json).collect::<Vec<_>>(),
    })
}

/// One file's difference for programs.
pub(super) fn change_json(change: &bulkhead_ops::approve::Change) -> Value {
    json!({
        "path": change.path,
        "change": change.kind.word(),
        "added": change.added,
        "removed": change.removed,
        "lines": change.lines,
    })
}

fn show_changes(it: &ChangedPackage, shell: &Shell) -> Result<(), Error> {
    let title = format!("{} -> {}", spec(it.former), spec(it.id));
    let mut text = format!("{}\n", shell.paint_result(STATUS, &title));
    for change in &it.changes {
        text.push_str(&changed_file(change, shell));
    }
    print(shell, text.trim_end())
}

/// One file's difference: its name, what happened to it, its lines.
pub(super) fn changed_file(change: &bulkhead_ops::approve::Change, shell: &Shell) -> String {
    let path = escaped_line(&change.path).into_owned();
    let count = format!("{}, +{} -{}", change.kind.word(), change.added, change.removed);
    let mut text = format!("{} ({count})\n", shell.paint_result(REMARK, &path));
    for line in escaped(&change.lines).lines() {
        let style = match line.as_bytes().first() {
            Some(b'+') => STATUS,
            Some(b'-') => ERROR,
            _ => DIM,
        };
        // The lines are somebody else's: indented, none can pass for one of ours.
        text.push_str(&format!("    {}\n", shell.paint_result(style, line)));
    }
    text
}
