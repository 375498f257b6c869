//! From the command line to a command, and from its result to an exit code.

mod build_code;
mod cache;
mod external;
mod installing;
mod manifests;
mod review;
mod sandbox;
mod security;
mod tools;

use std::ffi::OsString;
use std::path::Path;
use std::time::{Instant, SystemTime};

use bulkhead_ops::configuration::TermConfig;
use bulkhead_ops::observed::Disk;
use bulkhead_ops::options::{CompileOptions, GlobalOptions, Intent, Place};
use bulkhead_ops::{Error, ErrorKind, Event};
use clap::ArgMatches;
use clap::error::ErrorKind as ClapError;

use crate::commands::{self, command_line};
use crate::escape::{escaped, escaped_line};
use crate::recall::Recall;
use crate::render::Renderer;
use crate::shell::{ColorChoice, Shell, Verbosity};
use crate::{grammar, interrupt, options, place, question, registry_commands, render, report, version};

/// How often an alias may lead to another.
const MAX_ALIASES: usize = 8;

/// Runs the command that `arguments` (the program's name first) ask for; returns the exit code.
pub(crate) fn run(arguments: Vec<OsString>) -> i32 {
    let (start, disk) = (Instant::now(), Disk::since(SystemTime::now()));
    let recall = Recall::new(&arguments, &disk);
    if let Some(answer) = recall.as_ref().and_then(Recall::answer) {
        Shell::replay(&answer, start.elapsed());
        return 0;
    }
    if let Err(error) = bulkhead_ops::own_limits::restrict(|name| std::env::var(name).ok()) {
        return fail(&Shell::new(Verbosity::Normal, early_color(&arguments)), &error);
    }
    bulkhead_ops::prefer_large_pages();
    let program = program_name(arguments.first());
    let fallback = Shell::new(Verbosity::Normal, early_color(&arguments));
    match parse(program, arguments, &fallback, &disk) {
        Ok(Parsed::Command(matches)) => {
            let shell = match terminal(&matches, &disk).and_then(|term| Ok((shell(&matches, &term)?, term))) {
                Ok(shell) => shell,
                Err(error) => return fail_command(&matches, &fallback, &error, &disk),
            };
            let (shell, term) = shell;
            match command(program, &matches, &shell, &term, &disk) {
                Ok(()) => {
                    recall.iter().for_each(|recall| recall.keep(&shell));
                    0
                }
                Err(error) => fail_command(&matches, &shell, &error, &disk),
            }
        }
        Ok(Parsed::Answered(code)) => code,
        Err(error) => {
            record_refusal(place::read(None, disk.clone()), "", &error);
            fail(&fallback, &error)
        }
    }
}

/// `verify-project` answers on standard output, whatever is wrong.
fn fail_command(matches: &ArgMatches, shell: &Shell, error: &Error, disk: &Disk) -> i32 {
    record_refusal(place_of(matches, disk), matches.subcommand_name().unwrap_or_default(), error);
    if matches.subcommand_name() == Some("verify-project") && !error.message.is_empty() {
        return manifests::invalid(error, shell).map_or_else(|error| error.kind.exit_code(), |()| 0);
    }
    fail(shell, error)
}

fn record_refusal(place: Result<Place, Error>, command: &str, error: &Error) {
    if let Ok(place) = place {
        bulkhead_ops::audit::record_failure(&place, command, error);
    }
}

fn fail(shell: &Shell, error: &Error) -> i32 {
    report::error(shell, error);
    error.kind.exit_code()
}

/// `cargo` if that is the name by which it was called: tools that set `$CARGO` or a link expect Cargo's words.
fn program_name(name: Option<&OsString>) -> &'static str {
    let stem = name.and_then(|name| Path::new(name).file_stem());
    if stem.is_some_and(|stem| stem == "cargo") { "cargo" } else { "bulkhead" }
}

/// `--color` before anything is parsed, for errors about the command line itself.
fn early_color(arguments: &[OsString]) -> ColorChoice {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let attached = words.iter().find_map(|word| word.strip_prefix("--color="));
    let separate = words.windows(2).find(|pair| pair[0] == "--color").map(|pair| pair[1]);
    attached.or(separate).and_then(ColorChoice::parse).unwrap_or(ColorChoice::Auto)
}

enum Parsed {
    Command(ArgMatches),
    /// Help was printed, or the error of the parser.
    Answered(i32),
}

fn parse(program: &'static str, mut arguments: Vec<OsString>, shell: &Shell, disk: &Disk) -> Result<Parsed, Error> {
    if let Some(toolchain) = external::toolchain(&arguments) {
        return Err(external::with_toolchain(&toolchain, &arguments));
    }
    for _ in 0..MAX_ALIASES {
        let matches = match command_line(program).try_get_matches_from(&arguments) {
            Ok(matches) => matches,
            Err(error) => return Ok(Parsed::Answered(answer(&error, shell))),
        };
        match matches.subcommand() {
            // What belongs to a program of its own is that program's to check.
            Some((name, _)) if command_line(program).find_subcommand(name).is_none() => {
                arguments = expand_alias(program, &matches, name, &arguments, disk)?;
            }
            _ => return grammar::check(&matches).map(|()| Parsed::Command(matches)),
        }
    }
    Err(Error::failure("aliases lead to each other without end"))
}

/// Prints what clap says: help on standard output, errors on standard error with exit code 1, as Cargo does.
fn answer(error: &clap::Error, shell: &Shell) -> i32 {
    let rendered = error.render();
    let help = matches!(error.kind(), ClapError::DisplayHelp | ClapError::DisplayVersion);
    if help {
        let text = rendered.to_string();
        return i32::from(shell.print(text.trim_end()).is_err());
    }
    // The parser's own styles are not used: what the user typed is in the text and has to be escaped.
    shell.line(escaped(rendered.to_string().trim_end()).as_ref());
    1
}

/// Replaces the unknown command `name` by the words of its alias, or becomes the program that bears its name.
fn expand_alias(
    program: &'static str,
    matches: &ArgMatches,
    name: &str,
    arguments: &[OsString],
    disk: &Disk,
) -> Result<Vec<OsString>, Error> {
    let global = global(matches, disk)?;
    let configuration = bulkhead_ops::configuration::load(&global, &|_| ())?;
    let Some(words) = configuration.config.alias(name)? else {
        if let Some(error) = external::run(&global, name, arguments)? {
            return Err(error);
        }
        let ignored = configuration.ignored.iter().find(|key| key.key == format!("alias.{name}"));
        if let Some(key) = ignored {
            let message = format!("the alias `{name}` in {} is not used: {}", key.definition, key.reason);
            let refusal = Error::refusal(ErrorKind::UntrustedConfiguration, "alias-untrusted", message);
            return Err(refusal.help(key.how_to_trust.clone()));
        }
        return Err(no_such_command(program, name, &global));
    };
    let Some(position) = arguments.iter().position(|word| word == name) else {
        return Err(no_such_command(program, name, &global));
    };
    let mut expanded = arguments[..position].to_vec();
    expanded.extend(words.value.into_iter().map(OsString::from));
    expanded.extend_from_slice(&arguments[position + 1..]);
    Ok(expanded)
}

fn no_such_command(program: &'static str, name: &str, global: &GlobalOptions) -> Error {
    let commands = command_line(program);
    let others = bulkhead_ops::subcommands::all(global);
    let known = commands.get_subcommands().map(clap::Command::get_name).chain(others.keys().map(String::as_str));
    let near = known.map(|known| (bulkhead_schema::edit_distance::distance(name, known), known)).min();
    let error = Error::failure(format!("no such command: `{name}`"));
    let error = match near {
        Some((distance, known)) if distance <= 3 => {
            error.help(format!("a command with a similar name exists: `{known}`"))
        }
        _ => error,
    };
    error.help(format!("view all installed commands with `{program} --list`"))
}

/// `[term]` of files, variables and `--config`. Commands that never look at the project do not read files for this.
fn terminal(matches: &ArgMatches, disk: &Disk) -> Result<TermConfig, Error> {
    match matches.subcommand_name() {
        None | Some("version" | "help" | "completions") => Ok(TermConfig::default()),
        Some(_) => bulkhead_ops::configuration::terminal(&global(matches, disk)?),
    }
}

/// The terminal as flags want it, and `[term]` where they say nothing.
fn shell(matches: &ArgMatches, term: &TermConfig) -> Result<Shell, Error> {
    let matches = innermost(matches);
    let (quiet, verbose) = (matches.get_flag("quiet"), matches.get_count("verbose") > 0);
    if quiet && verbose {
        return Err(Error::failure("cannot set both --verbose and --quiet"));
    }
    let verbosity = match (quiet, verbose, term.quiet, term.verbose) {
        (true, ..) => Verbosity::Quiet,
        (_, true, ..) => Verbosity::Verbose,
        (_, _, Some(true), Some(true)) => {
            return Err(Error::failure("cannot set both `term.verbose` and `term.quiet`"));
        }
        (_, _, Some(true), _) => Verbosity::Quiet,
        (_, _, _, Some(true)) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let configured = term.color.as_ref().map(|color| color.value.clone());
    let choice = match matches.get_one::<String>("color").cloned().or(configured) {
        None => ColorChoice::Auto,
        Some(text) => ColorChoice::parse(&text).ok_or_else(|| {
            Error::failure(format!("argument for --color must be auto, always, or never, but found `{text}`"))
        })?,
    };
    Ok(Shell::new(verbosity, choice))
}

/// Global flags are accepted before and after the command's name; the parser hands them to the command.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) if matches!(inner.try_get_one::<u8>("verbose"), Ok(Some(_))) => inner,
        _ => matches,
    }
}

fn place_of(matches: &ArgMatches, disk: &Disk) -> Result<Place, Error> {
    let directory = matches.get_one::<String>("directory").map(Path::new);
    place::read(directory, disk.clone())
}

fn global(matches: &ArgMatches, disk: &Disk) -> Result<GlobalOptions, Error> {
    options::global(place_of(matches, disk)?, innermost(matches))
}

fn command(
    program: &'static str,
    matches: &ArgMatches,
    shell: &Shell,
    term: &TermConfig,
    disk: &Disk,
) -> Result<(), Error> {
    let verbose = innermost(matches).get_count("verbose") > 0;
    let Some((name, arguments)) = matches.subcommand() else {
        return without_command(program, matches, shell, verbose, disk);
    };
    match name {
        // These never look at the project.
        "version" => print(shell, &version::version(program, verbose)),
        "help" => {
            let name = arguments.get_one::<String>("COMMAND").map(String::as_str);
            help(program, name, shell, &|| global(matches, disk))
        }
        "completions" => completions(program, arguments, shell, &global(matches, disk)?),
        _ => {
            let mut global = global(matches, disk)?;
            global.quiet = shell.verbosity() == Verbosity::Quiet;
            // `term.verbose` shows as much as one `-v`.
            global.verbose = global.verbose.max(u8::from(shell.verbosity() == Verbosity::Verbose));
            bulkhead_ops::switches::check(&global.place)?;
            question::answer(arguments, &global, shell)?;
            project_command(name, arguments, &global, shell, &Renderer::new(shell, term))
        }
    }
}

fn project_command(
    name: &str,
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    renderer: &Renderer<'_>,
) -> Result<(), Error> {
    let events = |event| renderer.event(event);
    match name {
        "new" | "init" => bulkhead_ops::new::new(global, &options::new(arguments, name == "init")?, &events),
        "vendor" => {
            let configuration = bulkhead_ops::vendor::vendor(global, &options::vendor(arguments), &events)?;
            configuration.iter().try_for_each(|text| print(shell, &escaped(text.trim_end())))
        }
        "fetch" => bulkhead_ops::fetch::fetch(global, &options::platforms(arguments), &events),
        "generate-lockfile" => {
            let ignore_rust_version = options::generate_lockfile(arguments)?;
            bulkhead_ops::update::generate_lockfile(global, ignore_rust_version, &events)
        }
        "update" => bulkhead_ops::update::update(global, &options::update(arguments)?, &events),
        "explain" => explain(arguments, global, shell, &events),
        "metadata" => {
            if arguments.get_one::<String>("format-version").is_none() {
                shell.warning("please specify `--format-version` flag explicitly to avoid compatibility problems");
            }
            let metadata = bulkhead_ops::metadata::metadata(global, &options::metadata(arguments), &events)?;
            if !global.place.disk.is_repeatable() {
                // It is megabytes that nobody will ask for.
                shell.transcript();
            }
            print_json(shell, &metadata)
        }
        "tree" => tree(arguments, global, shell, &events),
        "build" if arguments.get_flag("verify-reproducible") => {
            let options = options::compile(arguments, Intent::Build, shell)?;
            bulkhead_ops::reproducible::verify(global, &options, interrupt::watch()?.as_ref(), &events)
        }
        "build" => build(&options::compile(arguments, Intent::Build, shell)?, global, shell, &events),
        "check" => build(&options::compile(arguments, Intent::Check { test: false }, shell)?, global, shell, &events),
        "rustc" => tools::rustc(arguments, global, shell, &events),
        "doc" | "rustdoc" => document(name == "rustdoc", arguments, global, shell, &events),
        "run" => run_program(arguments, global, shell, &events),
        "test" | "bench" => {
            let intent = if name == "test" { Intent::Test } else { Intent::Bench };
            let options = options::compile(arguments, intent, shell)?;
            if options.unit_graph {
                return unit_graph(&options, global, shell, &events);
            }
            bulkhead_ops::run::test(global, &options, interrupt::watch()?.as_ref(), &events)
        }
        "info" | "login" | "logout" | "search" => registry_commands::run(name, arguments, global, shell, &events),
        "cache" => cache::command(arguments, global, shell),
        "clean" => clean(arguments, global, shell, &events),
        "sandbox" => sandbox::command(arguments, global, shell, &events),
        "approve" => build_code::approve(arguments, global, shell, &events),
        "grants" => build_code::grants(arguments, global, shell),
        "review" => review::review(arguments, global, shell, &events),
        "verify" => verify(global, shell, &events),
        other => manifests::command(other, arguments, global, shell, &events)
            .or_else(|| security::command(other, arguments, global, shell, &events))
            .or_else(|| tools::command(other, arguments, global, shell, &events))
            .unwrap_or_else(|| Err(Error::failure(format!("`{other}` is not available in this version")))),
    }
}

fn verify(global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    let verified = bulkhead_ops::verify::verify(global, events)?;
    let absent = if verified.absent > 0 { format!(", {} not fetched", verified.absent) } else { String::new() };
    let whole = render::plural_u64(verified.whole as u64, "package");
    shell.status("Verified", &format!("{whole} of the lock file{absent}"));
    Ok(())
}

/// Text that is printed at once.
const CHUNK: usize = 64 << 10;

/// A drawing can be longer than memory, so that it is printed piece by piece; whoever reads may stop.
fn tree(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    let options = options::tree(arguments, shell)?;
    let (mut text, mut failed) = (String::new(), None);
    bulkhead_ops::tree::tree(global, &options, events, &mut |line| {
        text.push_str(&escaped_line(line));
        text.push('\n');
        if text.len() >= CHUNK {
            let part = std::mem::take(&mut text);
            failed = shell.print(part.strip_suffix('\n').unwrap_or(&part)).err();
        }
        failed.is_none()
    })?;
    match failed {
        Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Some(error) => Err(Error::failure("failed to write to standard output").because(error)),
        None if text.is_empty() => Ok(()),
        None => print(shell, text.strip_suffix('\n').unwrap_or(&text)),
    }
}

type Events<'a> = dyn Fn(Event) + Sync + 'a;

fn build(options: &CompileOptions, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    if options.unit_graph {
        return unit_graph(options, global, shell, events);
    }
    bulkhead_ops::build::build(global, options, interrupt::watch()?.as_ref(), events).map(|_| ())
}

fn document(
    one: bool,
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let options = match one {
        true => options::compile_one(arguments, Intent::Doc { dependencies: false }, shell)?,
        false => {
            let dependencies = !arguments.get_flag("no-deps");
            options::compile(arguments, Intent::Doc { dependencies }, shell)?
        }
    };
    if options.unit_graph {
        return unit_graph(&options, global, shell, events);
    }
    let open = arguments.get_flag("open");
    let Some(mut browser) = bulkhead_ops::doc::doc(global, &options, open, interrupt::watch()?.as_ref(), events)?
    else {
        return Ok(());
    };
    let failed = |error| Error::failure("could not start the browser").because(error);
    match browser.status().map_err(failed)? {
        status if status.success() => Ok(()),
        status => Err(Error::failure(format!("the browser ended badly ({status})"))),
    }
}

fn unit_graph(
    options: &CompileOptions,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    print_json(shell, &bulkhead_ops::build::unit_graph(global, options, events)?.to_string())
}

/// Compiles, then becomes the program: signals, terminal and exit code are its own.
fn run_program(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let options = options::compile(arguments, Intent::Build, shell)?;
    if options.unit_graph {
        return unit_graph(&options, global, shell, events);
    }
    let stop = interrupt::watch()?;
    let run = bulkhead_ops::run::run(global, &options, stop.as_ref(), events)?;
    shell.progress(None);
    shell.status("Running", &format!("`{}`", run.launch.shown));
    match run.confined(&global.place, stop.as_ref(), events)? {
        None => {}
        Some(status) if status.success() => return Ok(()),
        Some(status) => return Err(Error::new(ErrorKind::Child(exit_code(status)), "")),
    }
    let mut launch = run.launch;
    let failed = |error: std::io::Error| {
        Error::failure(format!("could not execute process `{}` (never executed)", launch.shown)).because(error)
    };
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        Err(failed(launch.command.exec()))
    }
    #[cfg(not(unix))]
    {
        let status = launch.command.status().map_err(failed)?;
        match status.code() {
            Some(0) => Ok(()),
            code => Err(Error::new(ErrorKind::Child(code.unwrap_or(101)), "")),
        }
    }
}

/// The code by which shells know how a program ended.
fn exit_code(status: std::process::ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(101)
    }
    #[cfg(not(unix))]
    {
        status.code().unwrap_or(101)
    }
}

fn explain(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    let answers = bulkhead_ops::explain::explain(global, &options::explain(arguments)?, events)?;
    if arguments.get_one::<String>("format").is_some_and(|format| format == "json") {
        let json =
            serde_json::to_string(&answers).map_err(|error| Error::failure("failed to write JSON").because(error))?;
        return print_json(shell, &json);
    }
    let blocks = answers.iter().map(|answer| {
        let lines: Vec<_> = answer.lines().iter().map(|line| escaped_line(line).into_owned()).collect();
        lines.join("\n")
    });
    print(shell, &blocks.collect::<Vec<_>>().join("\n\n"))
}

fn clean(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell, events: &Events<'_>) -> Result<(), Error> {
    let options = options::clean(arguments)?;
    let removed = bulkhead_ops::clean::clean(global, &options, events)?;
    let verb = if options.dry_run { "Summary" } else { "Removed" };
    let size = if removed.bytes > 0 { format!(", {} total", render::size(removed.bytes)) } else { String::new() };
    shell.status(verb, &format!("{}{size}", render::plural_u64(removed.files, "file")));
    if options.dry_run {
        shell.warning("no files deleted due to --dry-run");
    }
    Ok(())
}

fn without_command(
    program: &'static str,
    matches: &ArgMatches,
    shell: &Shell,
    verbose: bool,
    disk: &Disk,
) -> Result<(), Error> {
    if matches.get_flag("version") {
        return print(shell, &version::version(program, verbose));
    }
    if matches.get_flag("list") {
        return list(program, &global(matches, disk)?, shell);
    }
    if matches.get_one::<String>("explain").is_some() {
        return Err(Error::failure("`--explain` is not supported").help("run `rustc --explain CODE`"));
    }
    // `-Z` and the like are refused here too.
    global(matches, disk)?;
    help(program, None, shell, &|| global(matches, disk))
}

fn list(program: &'static str, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let commands = command_line(program);
    let mut entries: Vec<(String, String)> = Vec::new();
    for command in commands.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        entries.push((command.get_name().to_owned(), about));
        let aliases = command.get_visible_aliases();
        entries.extend(aliases.map(|alias| (alias.to_owned(), format!("alias: {}", command.get_name()))));
    }
    for (name, path) in bulkhead_ops::subcommands::all(global) {
        if entries.iter().all(|(known, _)| *known != name) {
            let shown =
                if shell.verbosity() == Verbosity::Verbose { path.display().to_string() } else { String::new() };
            entries.push((name, escaped_line(&shown).into_owned()));
        }
    }
    entries.sort();
    let lines = entries.iter().map(|(name, about)| format!("    {name:<20} {about}").trim_end().to_owned());
    print(shell, &std::iter::once("Installed Commands:".to_owned()).chain(lines).collect::<Vec<_>>().join("\n"))
}

fn help(
    program: &'static str,
    name: Option<&str>,
    shell: &Shell,
    global: &dyn Fn() -> Result<GlobalOptions, Error>,
) -> Result<(), Error> {
    let mut commands = command_line(program);
    commands.build();
    let Some(name) = name else { return print(shell, commands.render_help().to_string().trim_end()) };
    if let Some(command) = commands.find_subcommand_mut(name) {
        return print(shell, command.render_long_help().to_string().trim_end());
    }
    let global = global()?;
    let words = [program, name, "--help"].map(OsString::from);
    Err(external::run(&global, name, &words)?.unwrap_or_else(|| no_such_command(program, name, &global)))
}

/// With the commands that are programs of their own, as they are installed now: none of them is started for it.
fn completions(
    program: &'static str,
    arguments: &ArgMatches,
    shell: &Shell,
    global: &GlobalOptions,
) -> Result<(), Error> {
    let kind = arguments.get_one::<String>("shell").and_then(|name| name.parse::<clap_complete::Shell>().ok());
    let kind = kind.ok_or_else(|| Error::new(ErrorKind::Usage, "unknown shell"))?;
    let mut script = Vec::new();
    let mut known = command_line(program);
    for name in bulkhead_ops::subcommands::all(global).into_keys() {
        if known.find_subcommand(&name).is_none() {
            known = known.subcommand(commands::external(name));
        }
    }
    clap_complete::generate(kind, &mut known, program, &mut script);
    print(shell, String::from_utf8_lossy(&script).trim_end())
}

fn print(shell: &Shell, text: &str) -> Result<(), Error> {
    printed(shell.print(text))
}

fn print_json(shell: &Shell, json: &str) -> Result<(), Error> {
    printed(shell.print_json(json))
}

fn printed(result: std::io::Result<()>) -> Result<(), Error> {
    match result {
        // Whoever read our output has enough of it, as with `… | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Error::failure("failed to write to standard output").because(error)),
    }
}
