//! `[profile.*]` of the configuration, read by the rules that manifests follow.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_config::{Config, Item, Tree};
use bulkhead_schema::manifest::{PROFILE_KEYS, ProfileTable, ProfileValue};

use bulkhead_workspace::Profiles;

use crate::Error;
use crate::error::Result;

/// Keys that Cargo takes on a nightly toolchain only, and the features that they need.
const UNSTABLE: &[(&str, &str)] =
    &[("trim-paths", "trim-paths"), ("rustflags", "profile-rustflags"), ("codegen-backend", "codegen-backend")];

const BUILT_IN: [&str; 4] = ["dev", "release", "test", "bench"];

/// The profile tables of files, `--config` and `CARGO_PROFILE_<NAME>_<KEY>`, by name.
///
/// The environment cannot be asked which profiles it speaks of, so it is heard about the built-in ones and those that a
/// file names; about others by [`hear`].
///
/// # Errors
/// A value that no profile setting can have.
pub fn configured(config: &Config) -> Result<BTreeMap<String, ProfileTable>> {
    let in_files = config.item("profile").and_then(Item::as_table);
    let named = in_files.into_iter().flatten().map(|(name, _)| name.as_str());
    let names: BTreeSet<&str> = named.chain(BUILT_IN).collect();
    let tables = names.into_iter().map(|name| Ok((name.to_owned(), table(config, name)?)));
    let is_set = |(_, table): &(_, ProfileTable)| *table != ProfileTable::default();
    tables.filter(|found: &Result<_>| found.as_ref().map_or(true, is_set)).collect()
}

/// Lets the environment be heard about the profiles that the manifest names, and about the one that is `wanted`, with what
/// that inherits.
///
/// # Errors
/// A value that no profile setting can have, or a name that no profile can have.
pub fn hear(config: &Config, profiles: &mut Profiles, wanted: Option<&str>) -> Result<()> {
    let mut names: Vec<String> = profiles.names().map(str::to_owned).chain(wanted.map(str::to_owned)).collect();
    let mut tables = BTreeMap::new();
    while let Some(name) = names.pop() {
        let found = table(config, &name)?;
        if found != ProfileTable::default() && !tables.contains_key(&name) {
            names.extend(found.inherits.map(|parent| parent.to_string()));
            tables.insert(name, found);
        }
    }
    *profiles = std::mem::take(profiles).with(tables)?;
    Ok(())
}

fn table(config: &Config, name: &str) -> Result<ProfileTable> {
    let path = ["profile", name];
    let mut table = settings(config, &path)?;
    for spec in item_at(config, &path, "package").into_iter().flat_map(BTreeMap::keys) {
        table.packages.insert(spec.clone(), settings(config, &["profile", name, "package", spec])?);
    }
    let build_override = settings(config, &["profile", name, "build-override"])?;
    if build_override != ProfileTable::default() {
        table.build_override = Some(Box::new(build_override));
    }
    Ok(table)
}

fn item_at<'a>(config: &'a Config, path: &[&str], key: &str) -> Option<&'a BTreeMap<String, Item>> {
    let parts: Vec<&str> = path.iter().copied().chain([key]).collect();
    config.item(parts.as_slice()).and_then(Item::as_table)
}

fn settings(config: &Config, path: &[&str]) -> Result<ProfileTable> {
    for (key, feature) in UNSTABLE {
        let parts: Vec<&str> = path.iter().copied().chain([*key]).collect();
        if let Some(item) = config.any(parts.as_slice()) {
            let profile = path.get(1).copied().unwrap_or_default();
            let error =
                Error::failure(format!("config profile `{profile}` is not valid (defined in `{}`)", item.definition));
            return Err(error.because(format!("feature `{feature}` is required, and is not stable")));
        }
    }
    let mut table = ProfileTable::default();
    for &key in PROFILE_KEYS {
        let parts: Vec<&str> = path.iter().copied().chain([key]).collect();
        let Some(item) = config.any(parts.as_slice()) else { continue };
        let value = match &item.tree {
            Tree::String(text) => ProfileValue::String(text),
            Tree::Integer(number) => ProfileValue::Integer(*number),
            Tree::Boolean(flag) => ProfileValue::Boolean(*flag),
            Tree::List(_) | Tree::Table(_) => {
                return Err(item
                    .definition
                    .error("config-profile", format!("`{}` must be a single value", parts.join(".")))
                    .into());
            }
        };
        table.set(key, value).map_err(|reason| {
            item.definition.error("config-profile", format!("`{}` in {}: {reason}", parts.join("."), item.definition))
        })?;
    }
    Ok(table)
}
