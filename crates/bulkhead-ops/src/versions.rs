//! Other versions of a package than the one in use, brought here to be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_resolver::Registry as _;
use bulkhead_schema::{PackageId, SourceId};
use bulkhead_source::Client;
use bulkhead_store::Store;
use bulkhead_workspace::Package;

use crate::client::client;
use crate::configuration::Configuration;
use crate::error::Result;
use crate::git::GitSources;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::sources::{Freshness, Need, Sources};
use crate::{Error, Event, packages};

/// A registry, ready to be asked, in a project or outside of one.
///
/// # Errors
/// Configuration is wrong.
pub fn sources<'a>(
    global: &GlobalOptions,
    project: Option<&Project>,
    configuration: &Configuration,
    client: &'a Client,
    source: SourceId,
) -> Result<Sources<'a>> {
    let home = global.place.bulkhead_home.clone();
    let mut sources = Sources::new(client, home, configuration.config.sources()?, BTreeSet::from([source]));
    sources.read_git(match project {
        Some(project) => GitSources::new(global, project, std::iter::empty(), BTreeMap::new(), None)?,
        None => GitSources::outside(global, configuration)?,
    });
    if client.options().offline {
        sources.prefer_downloaded(Store::open(&global.place.bulkhead_home)?, std::iter::empty());
    }
    Ok(sources)
}

/// One version of a package, verified and unpacked.
///
/// # Errors
/// It is not there, or not what was promised.
pub fn load(
    global: &GlobalOptions,
    project: &Project,
    id: PackageId,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Arc<Package>> {
    let client = client(global, &project.configuration)?;
    let mut sources = sources(global, Some(project), &project.configuration, &client, id.source())?;
    let freshness = if sources.is_offline() { Freshness::Cached } else { Freshness::Current };
    sources.load(&BTreeSet::from([(id.source(), id.name())]), freshness, Need::Required, events)?;
    let versions = sources.versions(id.source(), id.name()).unwrap_or_default();
    if !versions.iter().any(|entry| entry.version == *id.version()) && sources.unpacked(id).is_none() {
        return Err(Error::failure(format!("`{id}` is not there any more, so that it cannot be compared with")));
    }
    let summary = sources.summary(id)?;
    packages::one(global, &mut sources, &summary, &client, events)
}
