//! `trust`: which files of a project may choose programs and grant permissions.
//!
//! In two steps: [`propose`] reads the files and says what enrolling them would do, [`enrol`] enrols exactly the bytes that
//! were shown. In between, whoever runs the command decides.

mod diff;
mod effects;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use diff::{Change, Line};
pub use effects::Effect;

use bulkhead_schema::secrets::masked;

use crate::audit::{self, Kind};
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::trusted_files::{self, TrustedFiles};
use crate::{Error, Event, configuration, disk};

/// Largest file that can be trusted, in bytes.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// A file that waits for being enrolled.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its path.
    pub path: PathBuf,
    /// The digest of what it holds now.
    pub digest: String,
    /// What its keys will do.
    pub effects: Vec<Effect>,
    /// What changed since it was enrolled, if it was.
    pub changes: Option<Vec<Line>>,
    content: Arc<str>,
}

/// What the files `paths`, or without any all of the current project that can be trusted, would do. Those that are
/// enrolled as they are are left out.
///
/// # Errors
/// A file that is not there, belongs to someone else, or is none that trust is about.
pub fn propose(global: &GlobalOptions, paths: &[PathBuf]) -> Result<Vec<Proposal>> {
    let trusted = TrustedFiles::load(&global.place.disk, &global.place.bulkhead_home)?;
    let all = if paths.is_empty() { configuration::project_files(global) } else { absolute(global, paths) };
    if all.is_empty() {
        return Err(Error::failure("the project has no `.cargo/config.toml` and no `bulkhead.toml` to trust"));
    }
    let mut proposals = Vec::new();
    for path in all {
        let content = read(global, &path)?;
        if !trusted.contains(&path, content.as_bytes()) {
            let changes =
                trusted.enrolled(&global.place.bulkhead_home, &path).map(|old| shown_difference(old, &content));
            let effects = effects::of(global, &path, &content)?;
            let digest = trusted_files::digest(content.as_bytes()).to_string();
            proposals.push(Proposal { path, digest, effects, changes, content });
        }
    }
    Ok(proposals)
}

/// Enrols files as they were when they were proposed.
///
/// # Errors
/// The disk refuses.
pub fn enrol(global: &GlobalOptions, proposals: &[Proposal], events: &dyn Fn(Event)) -> Result<()> {
    let home = &global.place.bulkhead_home;
    let mut trusted = TrustedFiles::load(&global.place.disk, home)?;
    for Proposal { path, digest, content, .. } in proposals {
        trusted.insert(home, path, content.as_bytes())?;
        let shown = path.display().to_string();
        // What is about to act is written down first.
        audit::record(&global.place, Kind::Trust, shown.as_str(), &[("digest", digest)])?;
        events(Event::Status { verb: "Trusting", message: shown });
    }
    trusted.save(home)
}

/// Strikes files off.
///
/// # Errors
/// One of them is not enrolled; the disk refuses.
pub fn revoke(global: &GlobalOptions, paths: &[PathBuf], events: &dyn Fn(Event)) -> Result<()> {
    let home = &global.place.bulkhead_home;
    let mut trusted = TrustedFiles::load(&global.place.disk, home)?;
    for path in absolute(global, paths) {
        let shown = path.display().to_string();
        let Some(digest) = trusted.remove(&path) else {
            return Err(Error::failure(format!("`{shown}` is not trusted")));
        };
        audit::record(&global.place, Kind::Revoke, shown.as_str(), &[("digest", digest.as_str())])?;
        events(Event::Status { verb: "Revoking", message: shown });
    }
    trusted.save(home)?;
    trusted.forget_contents(home);
    Ok(())
}

/// How an enrolled file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is as it was: it acts.
    Current,
    /// It holds something else now, which does not act.
    Changed,
    /// It is not there.
    Gone,
    /// It cannot be read, or others may write it: it does not act.
    Unusable,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Unusable => "unusable",
        }
    }
}

/// One enrolled file and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedFile {
    /// Its path.
    pub path: PathBuf,
    /// The digest that is trusted.
    pub digest: String,
    /// How the file stands.
    pub state: State,
}

/// What is enrolled.
///
/// # Errors
/// The record is damaged.
pub fn list(global: &GlobalOptions) -> Result<Vec<TrustedFile>> {
    let disk = &global.place.disk;
    let trusted = TrustedFiles::load(disk, &global.place.bulkhead_home)?;
    let listed = trusted.iter().map(|(path, digest)| {
        let path = PathBuf::from(path);
        let state = match disk.read(&path, MAX_FILE_SIZE) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::Gone,
            Err(_) => State::Unusable,
            Ok(_) if disk.check_ownership(&path).is_err() => State::Unusable,
            Ok(content) if trusted.contains(&path, &content) => State::Current,
            Ok(_) => State::Changed,
        };
        TrustedFile { path, digest: digest.to_string(), state }
    });
    Ok(listed.collect())
}

/// What changed in enrolled files since they were enrolled: those of `paths`, or all that changed.
///
/// # Errors
/// One of `paths` is not enrolled, or cannot be read; what it held when it was enrolled was not kept.
pub fn differences(global: &GlobalOptions, paths: &[PathBuf]) -> Result<Vec<(PathBuf, Vec<Line>)>> {
    let home = &global.place.bulkhead_home;
    let trusted = TrustedFiles::load(&global.place.disk, home)?;
    let paths = match paths {
        [] => list(global)?.into_iter().filter(|file| file.state == State::Changed).map(|file| file.path).collect(),
        paths => absolute(global, paths),
    };
    let mut differences = Vec::new();
    for path in paths {
        let shown = path.display();
        if trusted.digest_of(&path).is_none() {
            return Err(Error::failure(format!("`{shown}` is not trusted")));
        }
        let old = trusted.enrolled(home, &path).ok_or_else(|| {
            Error::failure(format!("what `{shown}` held when it was trusted was not kept, or is damaged"))
        })?;
        let now = read(global, &path)?;
        differences.push((path, shown_difference(old, &now)));
    }
    Ok(differences)
}

/// Secrets are not shown, neither old nor new ones.
fn shown_difference(old: impl Into<Arc<str>>, new: &Arc<str>) -> Vec<Line> {
    diff::lines(&masked(&old.into()), &masked(new))
}

fn absolute(global: &GlobalOptions, paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().map(|path| disk::normalize(&global.place.current_dir.join(path))).collect()
}

fn read(global: &GlobalOptions, path: &Path) -> Result<Arc<str>> {
    let disk = &global.place.disk;
    let refused = |reason: String| Error::failure(format!("`{}` cannot be trusted", path.display())).because(reason);
    disk.check_ownership(path).map_err(|reason| refused(format!("it {reason}")))?;
    disk.read_text(path, MAX_FILE_SIZE).map(Arc::from).map_err(|error| refused(error.to_string()))
}
