//! `sandbox show`, `sandbox shell` and `sandbox learn`.

use std::ffi::OsString;
use std::path::PathBuf;

use bulkhead_ops::options::{CompileOptions, GlobalOptions, Intent};
use bulkhead_ops::sandbox::{self, LearnOptions, Selection, Shown};
use bulkhead_ops::{Error, ErrorKind};
use clap::ArgMatches;
use serde_json::{Value, json};

use super::{Events, exit_code, print};
use crate::escape::{escaped, escaped_json, escaped_line};
use crate::shell::Shell;
use crate::{interrupt, options, render};

pub(super) fn command(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let usage = || Error::new(ErrorKind::Usage, "`sandbox` needs `show`, `shell` or `learn`");
    let (name, arguments) = arguments.subcommand().ok_or_else(usage)?;
    let options = options::compile(arguments, Intent::Build, shell)?;
    match name {
        "show" => show(arguments, global, &options, shell, events),
        "shell" => enter(arguments, global, &options, events),
        _ => learn(arguments, global, &options, shell, events),
    }
}

fn selection(arguments: &ArgMatches) -> Selection {
    let text = |name: &str| arguments.try_get_one::<String>(name).ok().flatten().cloned();
    Selection { spec: text("spec"), kind: text("process").and_then(|name| sandbox::kind(&name)) }
}

fn show(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    options: &CompileOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let shown = sandbox::show(global, options, &selection(arguments), events)?;
    let as_json = arguments.get_one::<String>("format").is_some_and(|format| format == "json");
    if as_json || arguments.get_flag("json") {
        let profiles: Vec<Value> = shown.iter().map(Shown::json).collect();
        return print(shell, &escaped_json(&json!({ "profiles": profiles }).to_string()));
    }
    let block = |shown: &Shown| {
        let lines: Vec<_> = shown.lines().iter().map(|line| escaped_line(line).into_owned()).collect();
        lines.join("\n")
    };
    print(shell, &shown.iter().map(block).collect::<Vec<_>>().join("\n\n"))
}

fn enter(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    options: &CompileOptions,
    events: &Events<'_>,
) -> Result<(), Error> {
    let command: Vec<OsString> = arguments.get_many("args").map(|words| words.cloned().collect()).unwrap_or_default();
    let stop = interrupt::watch()?;
    interrupt::processes_run();
    let status = sandbox::shell(global, options, &selection(arguments), &command, stop.as_ref(), events)?;
    if status.success() { Ok(()) } else { Err(Error::new(ErrorKind::Child(exit_code(status)), "")) }
}

fn learn(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    options: &CompileOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let request = LearnOptions {
        selection: selection(arguments),
        reason: arguments.get_one::<String>("reason").cloned(),
        output: arguments.get_one::<PathBuf>("output").cloned(),
        write: arguments.get_flag("write"),
    };
    let learnt = sandbox::learn(global, options, &request, interrupt::watch()?.as_ref(), events)?;
    shell.progress(None);
    let asked = render::plural_u64(learnt.packages as u64, "package");
    match &learnt.written {
        Some(path) => {
            let path = escaped_line(&path.display().to_string()).into_owned();
            shell.status("Learnt", &format!("what {asked} asked for in vain, into `{path}`"));
            shell.note("take out what is not needed, then run `bulkhead trust bulkhead.toml`");
        }
        None if learnt.proposal.is_empty() && learnt.secrets.is_empty() => {
            shell.status("Learnt", "nothing was denied");
        }
        None if learnt.proposal.is_empty() => shell.status("Learnt", "nothing that should be granted"),
        None => {
            shell.status("Learnt", &format!("what {asked} asked for in vain"));
            print(shell, &escaped(learnt.proposal.trim_end()))?;
        }
    }
    for secret in &learnt.secrets {
        shell.warning(&format!("{} was denied; this looks like a secret; not proposed", escaped_line(secret)));
    }
    // What failed for want of what is proposed is no failure of learning.
    match learnt.failed {
        Some(error) if learnt.proposal.is_empty() => Err(error),
        Some(_) => {
            shell.warning("the build did not go through; learn again with these grants, there may be more");
            Ok(())
        }
        None => Ok(()),
    }
}
