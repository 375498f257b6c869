//! `fix` and `clippy --fix`: what rustc suggests is written into the sources, and taken back where it breaks them.
//!
//! rustc stays confined and writes nothing: the build is run with its messages collected, the suggestions are applied here,
//! and that is repeated while there are some that had to wait. Only Rust files of the selected packages are ever changed.

mod apply;
mod caution;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bulkhead_schema::PackageId;
use bulkhead_workspace::{Edition, Package};

use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions, MessageFormat};
use crate::{Event, build, compile, project, select};

use apply::{Fixer, Said};

/// Most rounds: of suggestions that contradict each other, all but one have to wait for the next. As with Cargo, what only
/// a fix brings up is left for the next `fix`.
const MOST_ROUNDS: usize = 4;

/// `fix`.
#[derive(Debug, Clone)]
pub struct FixOptions {
    /// `--edition`: prepare for the next edition.
    pub edition: bool,
    /// `--edition-idioms`
    pub idioms: bool,
    /// `--broken-code`: fixes stay, even if there are errors.
    pub broken_code: bool,
    /// `--allow-no-vcs`
    pub allow_no_vcs: bool,
    /// `--allow-dirty`
    pub allow_dirty: bool,
    /// `--allow-staged`
    pub allow_staged: bool,
    /// What is checked, and how.
    pub compile: CompileOptions,
}

/// Applies what rustc, or clippy, suggests.
///
/// # Errors
/// Work that is not committed could be lost; the project cannot be built.
pub fn fix(
    global: &GlobalOptions,
    options: &FixOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let project = project::open(global, &|_| {})?;
    caution::check(global, options, &project)?;
    let selected = select::members(&project.workspace, &options.compile.packages, &|_| {})?;
    let mut compile = options.compile.clone();
    compile.lint_arguments = lints(options, &selected, events);
    let places = selected.iter().map(|package| (package.id, package.root.clone())).collect();
    let target = compile::target_dir(global, compile.target_dir.as_ref(), &project)?;
    let mut fixer = Fixer::new(project.workspace.root, target, places);
    let mut is_done = false;
    // One more than there are rounds: the last only shows whether the fixes hold.
    for round in 0..=MOST_ROUNDS {
        let said = listen(global, &compile, round == 0, stop, events)?;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if said.has_errors && !options.broken_code {
            // Before anything was changed, the errors are the user's own.
            if round > 0 {
                fixer.take_back(events)?;
            }
            break;
        }
        if is_done || round == MOST_ROUNDS {
            break;
        }
        let applied = fixer.apply(&said)?;
        if applied.done == 0 {
            break;
        }
        is_done = applied.refused == 0;
    }
    fixer.tell(events);
    finish(global, &compile, stop, events)
}

/// One build, of which only the messages are wanted.
fn listen(
    global: &GlobalOptions,
    compile: &CompileOptions,
    is_first: bool,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Said> {
    let compile = CompileOptions {
        message_format: MessageFormat::Json { short: false, ansi: false },
        render_diagnostics: false,
        keep_going: true,
        ..compile.clone()
    };
    let said = Mutex::new(Said::default());
    let result = build::build(global, &compile, stop, &|event| match event {
        Event::Json(line) => said.lock().unwrap_or_else(PoisonError::into_inner).line(&line),
        Event::Status { verb: "Finished", .. } | Event::Finished { .. } => {}
        // What fails is told by the last build.
        Event::Status { .. } | Event::BuildProgress { .. } | Event::Blocking { .. } if is_first => events(event),
        _ => {}
    });
    let said = said.into_inner().unwrap_or_else(PoisonError::into_inner);
    match result {
        Err(error) if !said.is_build => Err(error),
        _ => Ok(said),
    }
}

/// The same build once more, for the user to see what is left.
fn finish(
    global: &GlobalOptions,
    compile: &CompileOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let tell = |event| match event {
        Event::Status { verb: "Checking" | "Compiling" | "Fresh" | "Dirty" | "Running", .. } => {}
        event => events(event),
    };
    build::build(global, compile, stop, &tell).map(|_| ())
}

/// The lints that prepare for another edition.
fn lints(options: &FixOptions, selected: &[std::sync::Arc<Package>], events: &dyn Fn(Event)) -> Vec<String> {
    let mut groups = BTreeSet::new();
    for package in selected {
        if options.edition {
            match next(package.edition) {
                Some(next) => {
                    let (id, from) = (package.id, package.edition.as_str());
                    let message = format!("{} from {from} edition to {next}", package.manifest_path.display());
                    events(Event::Status { verb: "Migrating", message });
                    events(Event::Note(format!("set `edition = \"{next}\"` of `{id}` once this is done")));
                    groups.insert(format!("rust-{next}-compatibility"));
                }
                None => events(Event::Warning(latest(package))),
            }
        }
        if options.idioms && package.edition == Edition::E2018 {
            groups.insert("rust-2018-idioms".to_owned());
        }
    }
    groups.into_iter().map(|group| format!("-W{group}")).collect()
}

fn latest(package: &Package) -> String {
    let edition = package.edition.as_str();
    format!("`{}` is already on the latest edition ({edition}), unable to migrate further", package.id)
}

fn next(edition: Edition) -> Option<&'static str> {
    match edition {
        Edition::E2015 => Some("2018"),
        Edition::E2018 => Some("2021"),
        Edition::E2021 => Some("2024"),
        Edition::E2024 => None,
    }
}

/// A package whose files may be changed, and its folder.
type Places = Vec<(PackageId, PathBuf)>;
