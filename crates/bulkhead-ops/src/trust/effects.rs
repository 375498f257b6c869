//! What the keys of a file will do once it is trusted.

use std::path::Path;
use std::sync::Arc;

use bulkhead_config::show::{self, Format};
use bulkhead_config::{Config, IgnoredKey, Layer, LayerClass};
use bulkhead_schema::policy::parse_policy;

use crate::configuration;
use crate::error::Result;
use crate::options::GlobalOptions;

/// One key, and what it will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Key and value, in the notation of the file; secrets are left out. Untrusted.
    pub setting: String,
    /// Whether it will act.
    pub acts: bool,
    /// Why it does not act without trust, or never.
    pub reason: String,
}

/// What `text` says beyond what it may say untrusted.
///
/// # Errors
/// It is no configuration and no policy.
pub(super) fn of(global: &GlobalOptions, path: &Path, text: &Arc<str>) -> Result<Vec<Effect>> {
    if path.file_name().is_some_and(|name| name == "bulkhead.toml") {
        parse_policy(path, text)?;
        return policy(path, text);
    }
    let root = configuration::project_root(&global.place.disk, path.parent().unwrap_or(path));
    let merged = |trusted| {
        let layer = Layer::file(path, text, LayerClass::Repository { trusted, root: root.clone() })?;
        bulkhead_config::merge(vec![layer], Default::default(), global.place.current_dir.clone())
    };
    let (before, after) = (merged(false)?, merged(true)?);
    let never = |key: &IgnoredKey| after.ignored.iter().any(|other| other.key == key.key);
    let acting = before.ignored.iter().filter(|key| !never(key)).flat_map(|key| {
        let reason = key.reason.clone();
        settings(&after.config, &key.key).into_iter().map(move |setting| Effect {
            setting,
            acts: true,
            reason: reason.clone(),
        })
    });
    let inert =
        after.ignored.iter().map(|key| Effect { setting: key.key.clone(), acts: false, reason: key.reason.clone() });
    Ok(acting.chain(inert).collect())
}

fn settings(config: &Config, key: &str) -> Vec<String> {
    show::show(config, Some(key), Format::Toml { origins: false }).unwrap_or_else(|_| vec![key.to_owned()])
}

/// Everything that a policy says: each of it either tightens, which it does anyway, or loosens.
fn policy(path: &Path, text: &Arc<str>) -> Result<Vec<Effect>> {
    // It is shown as configuration is; no key of a policy is one of a project's configuration file.
    let layer = Layer::file(path, text, LayerClass::User)?;
    let config = bulkhead_config::merge(vec![layer], Default::default(), path.to_owned())?.config;
    let lines = show::show(&config, None, Format::Toml { origins: false })?;
    let reason = "it may loosen what holds otherwise".to_owned();
    Ok(lines.into_iter().map(|setting| Effect { setting, acts: true, reason: reason.clone() }).collect())
}
