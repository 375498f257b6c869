//! `grants`: the grants that ship with Bulkhead, and which of them act here.

pub use bulkhead_policy::CatalogueEntry;
use bulkhead_policy::{CATALOGUE, PolicySource};

use crate::Error;
use crate::config_explain;
use crate::error::Result;
use crate::options::GlobalOptions;

/// A name of the catalogue, and who has switched it on here.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The grants.
    pub entry: &'static CatalogueEntry,
    /// The policies that name it. One of a project that nobody trusts is among them, though it does not act.
    pub named_by: Vec<PolicySource>,
}

impl Listed {
    /// Whether its grants act, unless a higher policy locks what they allow.
    pub fn acts(&self) -> bool {
        self.named_by.iter().any(|source| *source != PolicySource::Workspace { trusted: false })
    }
}

/// The whole catalogue.
///
/// # Errors
/// A policy cannot be read.
pub fn list(global: &GlobalOptions) -> Result<Vec<Listed>> {
    let policies = config_explain::policy_files(global)?;
    let names = |entry: &CatalogueEntry| {
        let naming =
            policies.iter().filter(|file| file.layer.policy.build_code.catalogue.iter().any(|it| it == entry.name));
        naming.map(|file| file.layer.source).collect()
    };
    Ok(CATALOGUE.iter().map(|entry| Listed { entry, named_by: names(entry) }).collect())
}

/// One name of it.
///
/// # Errors
/// There is none; a policy cannot be read.
pub fn show(global: &GlobalOptions, name: &str) -> Result<Listed> {
    let found = list(global)?.into_iter().find(|listed| listed.entry.name == name);
    found.ok_or_else(|| {
        let error = Error::failure(format!("the catalogue has no grants called `{name}`"));
        match CatalogueEntry::nearest(name) {
            Some(near) => error.help(format!("is `{near}` meant?")),
            None => error.help("`bulkhead grants list` shows what there is"),
        }
    })
}
