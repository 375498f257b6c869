//! The commands that talk to one registry: `search`, `info`, `login`, `logout`.

mod info;

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use bulkhead_ops::info::InfoOptions;
use bulkhead_ops::options::GlobalOptions;
use bulkhead_ops::search::{Found, MOST_RESULTS, SearchOptions};
use bulkhead_ops::{Error, ErrorKind, Event};
use bulkhead_schema::credential::{MAX_TOKEN, Secret};
use clap::{Arg, ArgMatches, Command};
use rustix::termios::{LocalModes, OptionalActions};

use crate::arguments::{heading, option};
use crate::escape::escaped_line;
use crate::shell::{STATUS, Shell};

/// The commands with their flags.
pub(crate) fn commands() -> [Command; 4] {
    let registry = |help: &'static str| option("registry", "REGISTRY", help);
    let index = || option("index", "INDEX", "Registry index URL to search packages in").conflicts_with("registry");
    let spec = Arg::new("package").value_name("SPEC").help("Package to inspect").required(true);
    [
        Command::new("info")
            .about("Display information about a package")
            .arg(spec.help_heading(heading::PACKAGES))
            .arg(index())
            .arg(registry("Registry to search packages in")),
        Command::new("login")
            .about("Log in to a registry.")
            .arg(registry("Registry to use"))
            .arg(Arg::new("token").value_name("TOKEN").hide(true))
            .arg(
                Arg::new("args")
                    .value_name("args")
                    .help("Additional arguments for the credential provider")
                    .num_args(0..)
                    .last(true),
            ),
        Command::new("logout").about("Remove an API token from the registry locally").arg(registry("Registry to use")),
        Command::new("search")
            .about("Search packages in the registry. Default registry is crates.io")
            .arg(Arg::new("query").value_name("QUERY").num_args(0..))
            .arg(option("limit", "LIMIT", "Limit the number of results (default: 10, max: 100)"))
            .arg(index())
            .arg(registry("Registry to search packages in")),
    ]
}

/// Runs one of them.
pub(crate) fn run(
    name: &str,
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(), Error> {
    match name {
        "login" => login(arguments, global, shell, events),
        "info" => {
            let options = InfoOptions {
                spec: text(arguments, "package").unwrap_or_default().to_owned(),
                registry: text(arguments, "registry").map(str::to_owned),
                index: text(arguments, "index").map(str::to_owned),
                as_built: false,
            };
            let info = bulkhead_ops::info::info(global, &options, events)?;
            print(&info::lines(&info, global.verbose > 0, shell), shell)?;
            if info.used {
                let (name, version) = (info.package.id.name(), info.package.id.version());
                let command = format!("cargo tree --invert {name}@{version}");
                shell.note_about_command(&format!("to see how you depend on {name}, run"), &command);
            }
            Ok(())
        }
        "logout" => bulkhead_ops::login::logout(global, text(arguments, "registry"), events),
        _ => {
            let options = search_options(arguments)?;
            let found = bulkhead_ops::search::search(global, &options, events)?;
            show_found(&found, &options, shell)
        }
    }
}

fn text<'a>(arguments: &'a ArgMatches, name: &str) -> Option<&'a str> {
    arguments.get_one::<String>(name).map(String::as_str)
}

fn words(arguments: &ArgMatches, name: &str) -> Vec<String> {
    arguments.get_many::<String>(name).map(|words| words.cloned().collect()).unwrap_or_default()
}

fn login(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(), Error> {
    if arguments.contains_id("token") {
        let message =
            "a token on the command line can be seen by every program of this machine, and stays in the history";
        return Err(
            Error::failure(message).help("consider that token known; pipe the new one in, or type it when asked")
        );
    }
    let read = |page: Option<&str>| read_token(page, shell);
    bulkhead_ops::login::login(global, text(arguments, "registry"), &words(arguments, "args"), &read, events)
}

/// One line of standard input; from a terminal, it is asked for and not shown.
fn read_token(page: Option<&str>, shell: &Shell) -> Result<Secret, String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return read_line();
    }
    let found = page.map(|page| format!(" found on {page}")).unwrap_or_default();
    shell.line(&escaped_line(&format!("please paste the token{found} below")));
    let failed = |error: rustix::io::Errno| format!("the terminal cannot be asked: {error}");
    let before = rustix::termios::tcgetattr(&stdin).map_err(failed)?;
    let mut hidden = before.clone();
    hidden.local_modes -= LocalModes::ECHO;
    rustix::termios::tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(failed)?;
    let token = read_line();
    rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &before).map_err(failed)?;
    token
}

fn read_line() -> Result<Secret, String> {
    let mut line = Vec::with_capacity(MAX_TOKEN + 3);
    let mut input = std::io::stdin().lock().take(MAX_TOKEN as u64 + 2);
    input.read_until(b'\n', &mut line).map_err(|error| format!("failed to read from standard input: {error}"))?;
    // The bytes become the secret itself; a text that is none is not quoted.
    let line = String::from_utf8(line).map_err(|_| "the token is not UTF-8".to_owned())?;
    Secret::token(line.trim().to_owned()).map_err(str::to_owned)
}

fn search_options(arguments: &ArgMatches) -> Result<SearchOptions, Error> {
    let limit = match text(arguments, "limit") {
        None => 10,
        Some(limit) => limit.parse().map_err(|_| {
            Error::new(ErrorKind::Usage, format!("invalid value: could not parse `{limit}` as a number"))
        })?,
    };
    Ok(SearchOptions {
        query: words(arguments, "query").join("+"),
        limit,
        registry: text(arguments, "registry").map(str::to_owned),
        index: text(arguments, "index").map(str::to_owned),
    })
}

/// Fewest columns for a description, and the width that is aimed at.
const DESCRIPTION: (usize, usize) = (80, 128);

fn show_found(found: &Found, options: &SearchOptions, shell: &Shell) -> Result<(), Error> {
    let heads: Vec<String> = found.packages.iter().map(|it| format!("{} = \"{}\"", it.name, it.max_version)).collect();
    let margin = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0) + 4;
    let room = DESCRIPTION.0.max(DESCRIPTION.1.saturating_sub(margin));
    let mut lines = Vec::with_capacity(heads.len() + 1);
    for (package, head) in found.packages.iter().zip(&heads) {
        let line = match &package.description {
            Some(description) => {
                format!("{head:<margin$}# {}", shortened(&description.replace('\n', " "), room))
            }
            None => head.clone(),
        };
        lines.push(highlighted(&line, &options.query, shell));
    }
    let limit = options.limit.min(MOST_RESULTS);
    if let Some(more @ 1..) = found.total.checked_sub(u64::from(limit)) {
        let how = if limit < MOST_RESULTS { " (use --limit N to see more)" } else { "" };
        lines.push(format!("... and {more} crates more{how}"));
    }
    if !lines.is_empty() {
        print(&lines.join("\n"), shell)?;
    }
    if !found.packages.is_empty() {
        shell.note_about_command("to learn more about a package, run", "cargo info <name>");
    }
    Ok(())
}

fn print(text: &str, shell: &Shell) -> Result<(), Error> {
    match shell.print(text) {
        // Whoever read our output has enough of it, as with `… | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Error::failure("failed to write to standard output").because(error)),
    }
}

fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// The line with what was searched for in colour, where there are colours.
fn highlighted(line: &str, query: &str, shell: &Shell) -> String {
    if query.is_empty() {
        return escaped_line(line).into_owned();
    }
    let parts: Vec<String> = line.split(query).map(|part| escaped_line(part).into_owned()).collect();
    parts.join(&shell.paint_result(STATUS, query))
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn long_descriptions_end_in_dots() {
        assert_eq!(shortened("héllo", 5), "héllo");
        assert_eq!(shortened("héllo!", 5), "héll…");
    }
}
