//! Processes that belong to no unit of a build: git, and credential helpers.

use bulkhead_policy::ProcessKind;
use bulkhead_sandbox::Level;
use url::Url;

use super::{Selection, Shown};
use crate::credentials::Credentials;
use crate::error::Result;
use crate::git;
use crate::helpers::Helpers;
use crate::options::GlobalOptions;
use crate::{Error, Event, configuration, project};

/// A repository that stands for all of them.
const ANY_REPOSITORY: &str = "https://example.com/repository";

/// The profiles of git or of credential helpers, if it is these that are meant.
pub(super) fn show(
    global: &GlobalOptions,
    selection: &Selection,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Option<Vec<Shown>>> {
    match selection.kind {
        Some(ProcessKind::Git) => git_itself(global, events).map(Some),
        Some(ProcessKind::CredentialHelper) => credential_helpers(global, events).map(Some),
        _ => Ok(None),
    }
}

/// As policy limits it where there is a project, as everywhere otherwise.
fn git_itself(global: &GlobalOptions, events: &(dyn Fn(Event) + Sync)) -> Result<Vec<Shown>> {
    let options = match project::open(global, events) {
        Ok(project) => git::options(global, &project.configuration, Some(&project.policy))?,
        Err(_) => git::options(global, &configuration::load(global, events)?, None)?,
    };
    let url = Url::parse(ANY_REPOSITORY).map_err(|error| Error::failure(error.to_string()))?;
    let profiles = bulkhead_git::profiles(&options, &url).map_err(|error| Error::failure(error.to_string()))?;
    let level = Some(options.level);
    let shown =
        |(title, profile): (&str, _)| Shown { title: title.to_owned(), package: None, profile, level, unit: None };
    Ok(profiles.into_iter().map(shown).collect())
}

/// Those that configuration names, and those of git.
fn credential_helpers(global: &GlobalOptions, events: &(dyn Fn(Event) + Sync)) -> Result<Vec<Shown>> {
    let configuration = configuration::load(global, events)?;
    let helpers = Helpers::new(global, &configuration);
    let configured = Credentials::new(global, &configuration).profiles()?;
    let mut profiles: Vec<_> =
        configured.into_iter().map(|(words, profile)| (format!("credential helper `{words}`"), profile)).collect();
    if let Some(helper) = git::helper(global) {
        profiles.push(("git, as it asks your credential helpers of git".to_owned(), helpers.profile(&helper)?));
    }
    let level = helpers.confined().then_some(Level::Full);
    let shown = |(title, profile)| Shown { title, package: None, profile, level, unit: None };
    Ok(profiles.into_iter().map(shown).collect())
}
