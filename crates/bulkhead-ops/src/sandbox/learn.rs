//! `sandbox learn`: a build from scratch in which every denial is taken down, also those that build code swallows, and the
//! grants that would allow what was asked for.
//!
//! Nothing is allowed meanwhile: code that gives up at its first denial shows the next one when it is learnt again, with
//! the first grant in place. So nobody's secrets are handed out to find out who wants them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use bulkhead_policy::Denial;
use bulkhead_schema::policy::{parse_policy, toml_string};

use super::Selection;
use crate::error::Result;
use crate::future_incompat::FutureIncompatibilities;
use crate::options::{CompileOptions, GlobalOptions};
use crate::{Error, ErrorKind, Event, build, compile, disk, permissions, specs};

/// The most that is added to `bulkhead.toml`, with what it holds.
const MAX_FILE: usize = 1 << 20;

/// What `learn` does with what it finds.
#[derive(Debug, Clone, Default)]
pub struct LearnOptions {
    /// The package; all if none is named.
    pub selection: Selection,
    /// Why the grants are given.
    pub reason: Option<String>,
    /// Where the proposal goes: a file, relative to the working folder.
    pub output: Option<PathBuf>,
    /// Whether it goes into `bulkhead.toml`.
    pub write: bool,
}

/// What was found.
pub struct Learnt {
    /// The lines; empty where nothing was denied.
    pub proposal: String,
    /// The file that they were written to.
    pub written: Option<PathBuf>,
    /// What looks like a secret, and is not in the proposal.
    pub secrets: Vec<String>,
    /// How many packages asked for something that is proposed.
    pub packages: usize,
    /// Why the build did not go through to its end.
    pub failed: Option<Error>,
}

/// Builds in a folder of its own, and proposes.
///
/// # Errors
/// The project cannot be planned; the proposal cannot be written. That the build failed is part of the answer.
pub fn learn(
    global: &GlobalOptions,
    options: &CompileOptions,
    learn: &LearnOptions,
    stop: &AtomicBool,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Learnt> {
    global.place.disk.never_repeat();
    let mut prepared = compile::prepare(global, options, events)?;
    prepared.graph.set_doctests_aside();
    let known: BTreeSet<_> = prepared.graph.units.iter().map(|unit| unit.package.id).collect();
    let spec = learn.selection.spec.as_deref();
    let only = spec.map(|spec| specs::one(spec, &known, &global.place)).transpose()?;
    let target = prepared.build_options.target_dir.clone();
    std::fs::create_dir_all(&target).map_err(|error| cannot("make the target folder", &error))?;
    let scratch = tempfile::Builder::new().prefix("learn-").tempdir_in(&target);
    let scratch = scratch.map_err(|error| cannot("make a folder to build in", &error))?;
    prepared.build_options.target_dir = scratch.path().to_owned();
    prepared.build_options.build_dir = scratch.path().to_owned();
    let permissions = permissions::of(global, &prepared, events)?;
    let options = CompileOptions { keep_going: true, ..options.clone() };
    let ignored = FutureIncompatibilities::default();
    let failed = build::execute(global, &options, &prepared, &permissions, &ignored, stop, events).err();
    if let Some(error) = failed.as_ref().filter(|error| error.kind == ErrorKind::Interrupted) {
        return Err(error.clone());
    }
    let scratch = scratch.path();
    let is_meant = |denial: &Denial| {
        only.is_none_or(|id| denial.package == id.name().as_str() && denial.version == *id.version())
            && !denial.what.path().is_some_and(|path| path.starts_with(scratch))
    };
    let asked = permissions.asked().into_iter().filter(is_meant);
    let (secrets, denials): (Vec<Denial>, Vec<Denial>) = asked.partition(|denial| permissions.is_secret(&denial.what));
    let secrets = secrets.iter().map(|it| format!("`{} v{}`: {}", it.package, it.version, it.what)).collect();
    let packages = denials.iter().map(|denial| (&denial.package, &denial.version)).collect::<BTreeSet<_>>().len();
    let mut proposal = bulkhead_policy::propose(&denials, |what| permissions.is_secret(what));
    if let Some(reason) = &learn.reason {
        proposal = proposal.replace("reason = \"\" # say why", &format!("reason = {}", toml_string(reason)));
    }
    let written = match proposal.is_empty() {
        true => None,
        false => write(global, &prepared.project.workspace.root, learn, &proposal)?,
    };
    Ok(Learnt { proposal, written, secrets, packages, failed })
}

fn write(
    global: &GlobalOptions,
    workspace: &std::path::Path,
    learn: &LearnOptions,
    proposal: &str,
) -> Result<Option<PathBuf>> {
    if !learn.write {
        let Some(output) = &learn.output else { return Ok(None) };
        let path = global.place.current_dir.join(output);
        disk::write_atomically(&path, proposal.as_bytes())?;
        return Ok(Some(path));
    }
    let path = workspace.join("bulkhead.toml");
    let before = match global.place.disk.read_text(&path, MAX_FILE as u64) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot(&format!("read `{}`", path.display()), &error)),
    };
    let gap = if before.is_empty() {
        ""
    } else if before.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    };
    let text = format!("{before}{gap}{proposal}");
    // A file that would stop every command is not written.
    if text.len() > MAX_FILE {
        return Err(Error::failure(format!("`{}` would become larger than 1 MiB", path.display())));
    }
    parse_policy(&path, &text.as_str().into())?;
    disk::write_atomically(&path, text.as_bytes())?;
    Ok(Some(path))
}

fn cannot(what: &str, error: &std::io::Error) -> Error {
    Error::failure(format!("could not {what}")).because(error)
}
