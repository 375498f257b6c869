//! Doctests: rustdoc takes them out of a library's documentation, compiles and runs them, all in one confined process.
//!
//! rustdoc expands the macros of dependencies and starts what it has compiled, so that it is confined as a compiler is:
//! it reads the workspace, writes nowhere but in a private `/tmp`, and has no network. Grants of the package apply.

use std::sync::atomic::{AtomicBool, Ordering};

use bulkhead_executor::{Confinement, Reached, noteworthy};
use bulkhead_policy::profile::compile;
use bulkhead_policy::{Granted, Origin, ProcessKind};
use bulkhead_sandbox::{Exit, Status, Stdout};
use bulkhead_schema::build_script::split_search_path;
use bulkhead_unit_graph::{Command, Context, DoctestOptions, Unit, doctest_command, readable_by_compiler};

use crate::build::Built;
use crate::error::Result;
use crate::options::{CompileOptions, GlobalOptions};
use crate::reporter::{denials, shell_line};
use crate::{Error, ErrorKind, Event, audit, run};

/// Runs the doctests of each library of the plan that has some. Each failure goes to `on_failure`, which says whether to
/// go on.
///
/// # Errors
/// A process that cannot be confined; an interruption.
pub fn run(
    built: &Built,
    global: &GlobalOptions,
    options: &CompileOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
    on_failure: &mut dyn FnMut(&Unit, String) -> bool,
) -> Result<()> {
    let prepared = &built.prepared;
    let context = Context::new(&prepared.graph, &prepared.toolchain, &prepared.build_options);
    for unit in &prepared.graph.doctests {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, ""));
        }
        let command = doctest_command(&context, unit, &built.outcome.scripts, &doctest_options(built, unit, options)?);
        events(Event::Status { verb: "Doc-tests", message: unit.target.crate_name() });
        if global.verbose > 0 {
            events(Event::Status {
                verb: "Running",
                message: format!("`{}`", shell_line(&command, global.verbose > 1)),
            });
        }
        let (exit, limit) = confined(built, &context, unit, &command)?;
        let denied = noteworthy(&command, exit.denials.clone());
        if !denied.is_empty() {
            audit::record_denied(&global.place, unit.package.id, &denied);
            events(Event::Diagnostic(denials(&built.permissions, unit, "a doctest, or rustdoc,", &denied)));
        }
        if let Some(reason) = failure(&exit, limit, &command)
            && !on_failure(unit, reason)
        {
            break;
        }
    }
    Ok(())
}

fn doctest_options(built: &Built, unit: &Unit, options: &CompileOptions) -> Result<DoctestOptions> {
    let outcome = &built.outcome;
    let runner = run::runner(built, unit.platform)?.map(|runner| (runner.program, runner.arguments));
    let arguments = run::harness_arguments(options, unit);
    Ok(DoctestOptions {
        color: options.color_choice.to_owned(),
        native: outcome.native.clone(),
        library_paths: outcome.native.iter().map(|text| split_search_path(text).1.into()).collect(),
        runner,
        arguments: arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
    })
}

/// Runs rustdoc to its end, or to one of its limits. What the tests say goes where ours goes.
fn confined(built: &Built, context: &Context<'_>, unit: &Unit, command: &Command) -> Result<(Exit, Option<Reached>)> {
    let permissions = &built.permissions;
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Sandbox, "could not run doctests confined").because(error)
    };
    let environment = permissions.environment();
    let confinement = Confinement {
        sysroot: &built.prepared.toolchain.sysroot,
        level: permissions.level(),
        limits: &|kind| permissions.limits(kind),
        environment: &environment,
        protected: &permissions.protected,
    };
    let mut facts = confinement.facts(ProcessKind::Rustdoc, command, permissions.grants(unit));
    let own = readable_by_compiler(context, unit).into_iter().chain([context.layout(unit.platform).artifacts]);
    facts.read.extend(own.map(|path| Granted::new(path, Origin::Package)));
    let runner = run::runner(built, unit.platform)?.map(|runner| runner.program);
    facts.read.extend(runner.map(|path| Granted::new(path, Origin::Configuration)));
    let profile = compile(facts).map_err(|error| failed(&error))?;
    let mut process = confinement.process(&profile, command);
    process.stdout = Stdout::Inherit;
    process.observe = true;
    let child = bulkhead_sandbox::spawn(&process).map_err(|error| failed(&error))?;
    let exit = child.wait().map_err(|error| failed(&error))?;
    let limit = Reached::by(&exit, &process.limits, ProcessKind::Rustdoc);
    Ok((exit, limit))
}

/// Why the process ended badly, as `test` says it: nothing more if tests failed, which they told themselves.
fn failure(exit: &Exit, limit: Option<Reached>, command: &Command) -> Option<String> {
    let status = exit.status;
    if status.success() {
        return None;
    }
    let line = shell_line(command, false);
    Some(match (limit, status) {
        (Some(limit), _) => format!("`{line}` was ended: {limit}\n{}", limit.help()),
        (None, Status::Code(101)) => String::new(),
        (None, _) => format!("process didn't exit successfully: `{line}` ({status})"),
    })
}
