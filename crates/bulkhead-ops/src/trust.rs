//! `trust`: which files of a project may choose programs and grant permissions.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::observed::Disk;
use crate::options::GlobalOptions;
use crate::trusted_files::TrustedFiles;
use crate::{Error, Event, configuration, disk};

/// Largest file that can be trusted, in bytes.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// What `trust` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustRequest {
    /// Enrol these files, or all of the current project that are waiting for it.
    Add(Vec<PathBuf>),
    /// Forget these files.
    Revoke(Vec<PathBuf>),
    /// List what is enrolled.
    List,
}

/// One enrolled file and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedFile {
    /// Its path.
    pub path: PathBuf,
    /// The digest that is trusted.
    pub digest: String,
    /// Whether the file still has that content.
    pub unchanged: bool,
}

/// Enrols, forgets or lists. Returns the list of what is enrolled afterwards.
///
/// # Errors
/// A file that is not there, belongs to someone else, or is not one that trust is about.
pub fn trust(global: &GlobalOptions, request: &TrustRequest, events: &dyn Fn(Event)) -> Result<Vec<TrustedFile>> {
    let home = &global.place.bulkhead_home;
    let disk = &global.place.disk;
    let mut trusted = TrustedFiles::load(disk, home)?;
    match request {
        TrustRequest::Add(paths) => {
            let paths = if paths.is_empty() { configuration::project_files(global) } else { absolute(global, paths) };
            if paths.is_empty() {
                return Err(Error::failure("the project has no `.cargo/config.toml` and no `bulkhead.toml` to trust"));
            }
            for path in paths {
                add(disk, &mut trusted, &path)?;
                events(Event::Status { verb: "Trusting", message: path.display().to_string() });
            }
            trusted.save(home)?;
        }
        TrustRequest::Revoke(paths) => {
            for path in absolute(global, paths) {
                if !trusted.remove(&path) {
                    return Err(Error::failure(format!("`{}` is not trusted", path.display())));
                }
                events(Event::Status { verb: "Revoking", message: path.display().to_string() });
            }
            trusted.save(home)?;
        }
        TrustRequest::List => {}
    }
    let listed = trusted.iter().map(|(path, digest)| {
        let content = disk.read(Path::new(path), MAX_FILE_SIZE).unwrap_or_default();
        let path = PathBuf::from(path);
        TrustedFile { unchanged: trusted.contains(&path, &content), path, digest: digest.to_string() }
    });
    Ok(listed.collect())
}

fn absolute(global: &GlobalOptions, paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().map(|path| disk::normalize(&global.place.current_dir.join(path))).collect()
}

fn add(disk: &Disk, trusted: &mut TrustedFiles, path: &Path) -> Result<()> {
    let refused = |reason: String| Error::failure(format!("`{}` cannot be trusted", path.display())).because(reason);
    disk.check_ownership(path).map_err(|reason| refused(format!("it {reason}")))?;
    let content = disk.read(path, MAX_FILE_SIZE).map_err(|error| refused(error.to_string()))?;
    trusted.insert(path, &content)
}
