//! The policy in force: what organisation, user and project say, read from their files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_policy::{Effective, PolicyLayer, PolicySource, effective};
use bulkhead_schema::policy::parse_policy;

use crate::error::Result;
use crate::observed::Disk;
use crate::options::Place;
use crate::trusted_files::TrustedFiles;
use crate::{Error, ErrorKind};

/// Largest policy file that is read, in bytes.
pub(crate) const MAX_SIZE: u64 = 1024 * 1024;

/// What the files say together.
pub fn together(files: &[PolicyFile]) -> Effective {
    effective(&files.iter().map(|file| file.layer.clone()).collect::<Vec<_>>())
}

/// A policy file that is there.
pub struct PolicyFile {
    /// Where.
    pub path: PathBuf,
    /// Its text, for snippets.
    pub text: Arc<str>,
    /// What it says, and for whom.
    pub layer: PolicyLayer,
}

/// The policy files that are there, the organisation's first.
///
/// # Errors
/// A policy file that cannot be read or understood: doubt never widens what is allowed.
pub fn layers(place: &Place, workspace_root: &Path) -> Result<Vec<PolicyFile>> {
    let disk = &place.disk;
    let mut layers = above_projects(place)?;
    let workspace = workspace_root.join("bulkhead.toml");
    layers.extend(layer(disk, &workspace, |text| {
        let trusted = TrustedFiles::load(disk, &place.bulkhead_home)?.contains(&workspace, text.as_bytes());
        Ok(PolicySource::Workspace { trusted })
    })?);
    Ok(layers)
}

/// What holds where there is no project.
///
/// # Errors
/// As with [`layers`].
pub fn of_user(place: &Place) -> Result<Effective> {
    Ok(together(&above_projects(place)?))
}

fn above_projects(place: &Place) -> Result<Vec<PolicyFile>> {
    let user = place.home.as_ref().map(|home| home.join(".config/bulkhead/policy.toml"));
    let mut layers = Vec::new();
    layers.extend(organisation(&place.disk)?);
    if let Some(path) = user {
        layers.extend(layer(&place.disk, &path, |_| Ok(PolicySource::User))?);
    }
    Ok(layers)
}

/// Where the organisation's policy is: no variable, flag or home folder moves it.
const ORGANISATION: &str = "/etc/bulkhead/policy.toml";

/// The organisation's policy. It counts only if nobody but root can change it or put another in its place, and a link that
/// leads nowhere is no policy that is missing.
fn organisation(disk: &Disk) -> Result<Option<PolicyFile>> {
    let path = Path::new(ORGANISATION);
    for part in [path.parent().unwrap_or(path), path] {
        let unreadable = |error: std::io::Error| failed(path, &format!("`{}`: {error}", part.display()));
        if !disk.is_there(part).map_err(unreadable)? {
            return Ok(None);
        }
        for part in disk.canonicalize(part).map_err(unreadable)?.ancestors() {
            disk.check_root_owned(part).map_err(|reason| failed(path, &format!("`{}` {reason}", part.display())))?;
        }
    }
    layer(disk, path, |_| Ok(PolicySource::Organisation))
}

fn failed(path: &Path, reason: &str) -> Error {
    let message = format!("failed to read policy `{}`", path.display());
    Error::refusal(ErrorKind::Policy, "policy", message).because(reason)
}

fn layer(disk: &Disk, path: &Path, source: impl Fn(&str) -> Result<PolicySource>) -> Result<Option<PolicyFile>> {
    let text: Arc<str> = match disk.read_text(path, MAX_SIZE) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error.to_string())),
        Ok(text) => text.into(),
    };
    disk.check_ownership(path).map_err(|reason| failed(path, &format!("it {reason}")))?;
    let policy = parse_policy(path, &text).map_err(|finding| Error { kind: ErrorKind::Policy, ..finding.into() })?;
    let layer = PolicyLayer { source: source(&text)?, policy };
    Ok(Some(PolicyFile { path: path.to_owned(), text, layer }))
}
