//! `doc` and `rustdoc`: document, say where the pages are, and open them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use bulkhead_unit_graph::{CompileMode, Context, outputs};

use crate::build::{self, Built};
use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions};
use crate::programs::find_program;
use crate::{Error, Event, own_limits};

/// Documents what `options` asks for. With `open`, returns the browser that shows the first page.
///
/// # Errors
/// The documentation could not be made; there is no browser.
pub fn doc(
    global: &GlobalOptions,
    options: &CompileOptions,
    open: bool,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Option<Command>> {
    let built = build::build(global, options, stop, events)?;
    let pages = pages(&built);
    let shown = match pages.as_slice() {
        [] => Vec::new(),
        _ if global.verbose > 0 => pages.iter().map(|page| page.display().to_string()).collect(),
        [page] => vec![page.display().to_string()],
        [first, others @ ..] => {
            let files = if others.len() == 1 { "file" } else { "files" };
            vec![format!("{} and {} other {files}", first.display(), others.len())]
        }
    };
    for page in shown {
        events(Event::Status { verb: "Generated", message: page });
    }
    match pages.first() {
        Some(page) if open => {
            global.place.disk.never_repeat();
            events(Event::Status { verb: "Opening", message: page.display().to_string() });
            browser(global, &built, page).map(Some)
        }
        _ => Ok(None),
    }
}

fn pages(built: &Built) -> Vec<PathBuf> {
    let prepared = &built.prepared;
    let context = Context::new(&prepared.graph, &prepared.toolchain, &prepared.build_options);
    let documented = prepared.graph.roots.iter().filter(|root| context.unit(**root).mode == CompileMode::Doc);
    let mut pages: Vec<_> = documented.flat_map(|root| outputs(&context, *root)).map(|output| output.path).collect();
    pages.sort();
    pages
}

/// `doc.browser` of configuration that the user trusts, else `$BROWSER`, else what the system opens files with.
fn browser(global: &GlobalOptions, built: &Built, page: &std::path::Path) -> Result<Command> {
    let project = &built.prepared.project;
    let configured = project.configuration.config.command("doc.browser")?.map(|command| command.value);
    let (program, arguments) = match (configured, global.place.variable("BROWSER")) {
        (Some(mut words), _) => (PathBuf::from(words.remove(0)), words),
        (None, Some(program)) => (PathBuf::from(program), Vec::new()),
        (None, None) => (PathBuf::from(if cfg!(target_os = "macos") { "open" } else { "xdg-open" }), Vec::new()),
    };
    let found = match program.is_absolute() {
        true => Some(program.clone()),
        false => find_program(&global.place, &program.to_string_lossy(), &project.workspace.root),
    };
    let found = found.ok_or_else(|| {
        Error::failure(format!("could not open the documentation: there is no `{}`", program.display()))
            .help("set BROWSER, or `doc.browser` in your configuration, to the program that shows web pages")
    })?;
    own_limits::lift();
    let mut command = Command::new(found);
    command.args(arguments).arg(page);
    Ok(command)
}
