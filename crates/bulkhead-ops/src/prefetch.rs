//! `[[prefetch]]`: files that Bulkhead fetches for build scripts, so that these need no network.
//!
//! A file lies in Bulkhead's home under the digest that policy promises, and is compared with it before every build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_policy::{Granted, Origin};
use bulkhead_schema::PackageId;
use bulkhead_schema::policy::{Digest, Prefetch};
use bulkhead_unit_graph::CompileMode;

use crate::client::project_client;
use crate::compile::Prepared;
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::{Error, ErrorKind, Event, disk};

/// The largest file.
const MAX_FILE: u64 = 1 << 30;

/// What is shown to the build scripts of a package: the variable, and the file that it names.
pub type Files = BTreeMap<PackageId, Vec<(String, Granted<PathBuf>)>>;

/// Sees to it that every file for a build script of the plan is there.
///
/// # Errors
/// A file that cannot be fetched, or is not what policy promises.
pub fn files(global: &GlobalOptions, prepared: &Prepared, events: &dyn Fn(Event)) -> Result<Files> {
    let mut files = Files::new();
    let runs = prepared.graph.units.iter().filter(|unit| unit.mode == CompileMode::RunBuildScript);
    for id in runs.map(|unit| unit.package.id) {
        if files.contains_key(&id) {
            continue;
        }
        let name = id.name();
        let wanted = prepared.project.policy.prefetched(&name, id.version());
        let provided = wanted.map(|file| Ok((file.env.clone(), one(global, prepared, id, file, events)?)));
        files.insert(id, provided.collect::<Result<_>>()?);
    }
    Ok(files)
}

/// Where the files lie, each in a folder that is called by its digest.
pub fn folder(bulkhead_home: &Path) -> PathBuf {
    bulkhead_home.join("prefetch")
}

fn one(
    global: &GlobalOptions,
    prepared: &Prepared,
    id: PackageId,
    file: &Prefetch,
    events: &dyn Fn(Event),
) -> Result<Granted<PathBuf>> {
    let digest = file.sha256.as_str().trim_start_matches("sha256:");
    let folder = folder(&global.place.bulkhead_home).join(digest);
    let path = folder.join(&file.file);
    if !is_whole(global, &path, &file.sha256) {
        events(Event::Status { verb: "Fetching", message: format!("`{}` for `{id}`", file.file) });
        let failed = |error: &dyn std::fmt::Display| {
            Error::failure(format!("could not fetch `{}` for the build script of `{id}`", file.file)).because(error)
        };
        let client = project_client(global, &prepared.project)?;
        let bytes = client.file(&file.url, MAX_FILE).map_err(|error| failed(&error))?;
        let found = Digest::from_sha256(*bulkhead_trust::Digest::of(&bytes).as_bytes());
        if found != file.sha256 {
            let message = format!("`{}` for the build script of `{id}` is not what policy promises", file.file);
            return Err(Error::refusal(ErrorKind::Verification, "prefetch-mismatch", message)
                .because(format!("`[[prefetch]]` says {}, and {} has {found}", file.sha256, file.url))
                .help("find out which of the two is wrong before you change the digest"));
        }
        disk::create_private(&folder)?;
        disk::write_private(&path, &bytes)?;
    }
    let reason = file.reason.as_deref().filter(|reason| !reason.is_empty());
    let origin = format!("`[[prefetch]]`{}", reason.map(|reason| format!(": {reason}")).unwrap_or_default());
    Ok(Granted::new(path, Origin::Grant(origin.into())))
}

fn is_whole(global: &GlobalOptions, path: &Path, digest: &Digest) -> bool {
    let bytes = global.place.disk.read(path, MAX_FILE);
    bytes.is_ok_and(|bytes| Digest::from_sha256(*bulkhead_trust::Digest::of(&bytes).as_bytes()) == *digest)
}
