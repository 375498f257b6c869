//! The policy in force: what organisation, user and project say, read from their files.

use std::path::Path;
use std::sync::Arc;

use bulkhead_policy::{Effective, PolicyLayer, PolicySource, effective};
use bulkhead_schema::policy::parse_policy;

use crate::error::Result;
use crate::observed::Disk;
use crate::options::Place;
use crate::trusted_files::TrustedFiles;
use crate::{Error, ErrorKind};

/// Largest policy file that is read, in bytes.
const MAX_POLICY_SIZE: u64 = 1024 * 1024;

/// Reads organisation, user and project policy.
///
/// # Errors
/// A policy file that cannot be read or understood: doubt never widens what is allowed.
pub fn load(place: &Place, workspace_root: &Path) -> Result<Effective> {
    let user = place.home.as_ref().map(|home| home.join(".config/bulkhead/policy.toml"));
    let disk = &place.disk;
    let mut layers = Vec::new();
    layers.extend(layer(disk, Path::new("/etc/bulkhead/policy.toml"), |_| Ok(PolicySource::Organisation))?);
    if let Some(path) = user {
        layers.extend(layer(disk, &path, |_| Ok(PolicySource::User))?);
    }
    let workspace = workspace_root.join("bulkhead.toml");
    layers.extend(layer(disk, &workspace, |text| {
        let trusted = TrustedFiles::load(disk, &place.bulkhead_home)?.contains(&workspace, text.as_bytes());
        Ok(PolicySource::Workspace { trusted })
    })?);
    Ok(effective(&layers))
}

fn layer(disk: &Disk, path: &Path, source: impl Fn(&str) -> Result<PolicySource>) -> Result<Option<PolicyLayer>> {
    let failed = |reason: String| {
        let message = format!("failed to read policy `{}`", path.display());
        Error::refusal(ErrorKind::Policy, "policy", message).because(reason)
    };
    let text: Arc<str> = match disk.read_text(path, MAX_POLICY_SIZE) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
        Ok(text) => text.into(),
    };
    disk.check_ownership(path).map_err(|reason| failed(format!("it {reason}")))?;
    let policy = parse_policy(path, &text).map_err(|finding| Error { kind: ErrorKind::Policy, ..finding.into() })?;
    Ok(Some(PolicyLayer { source: source(&text)?, policy }))
}
