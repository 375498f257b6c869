//! Options of the commands that change or inspect manifests.

use bulkhead_ops::config_get::{ConfigFormat, ConfigRequest};
use bulkhead_ops::options::{AddOptions, DependencyKind, RemoveOptions, Section};
use clap::ArgMatches;

use super::{Result, flag, string, strings};

/// `add`
pub(crate) fn add(matches: &ArgMatches) -> Result<AddOptions> {
    if string(matches, "base").is_some() {
        let message = "the `--base` flag is unstable, and Bulkhead follows stable Cargo";
        return Err(bulkhead_ops::Error::failure(message));
    }
    let reference = ["branch", "tag", "rev"].into_iter().find_map(|name| Some((name, string(matches, name)?)));
    let given = strings(matches, "features");
    let split = given.iter().flat_map(|list| list.split([',', ' '])).filter(|feature| !feature.is_empty());
    Ok(AddOptions {
        crates: strings(matches, "crates"),
        section: section(matches),
        package: strings(matches, "package").into_iter().next(),
        path: string(matches, "path"),
        git: string(matches, "git"),
        reference,
        registry: string(matches, "registry"),
        rename: string(matches, "rename"),
        features: split.map(str::to_owned).collect(),
        default_features: either(matches, "default-features", "no-default-features"),
        optional: either(matches, "optional", "no-optional"),
        public: either(matches, "public", "no-public"),
        ignore_rust_version: flag(matches, "ignore-rust-version"),
        dry_run: flag(matches, "dry-run"),
    })
}

/// Of a flag and its contrary, the contrary wins.
fn either(matches: &ArgMatches, yes: &str, no: &str) -> Option<bool> {
    match (flag(matches, yes), flag(matches, no)) {
        (_, true) => Some(false),
        (true, false) => Some(true),
        (false, false) => None,
    }
}

fn section(matches: &ArgMatches) -> Section {
    let kind = match (flag(matches, "dev"), flag(matches, "build")) {
        (true, _) => DependencyKind::Development,
        (_, true) => DependencyKind::Build,
        _ => DependencyKind::Normal,
    };
    Section { kind, platform: string(matches, "target") }
}

/// `remove`
pub(crate) fn remove(matches: &ArgMatches) -> RemoveOptions {
    RemoveOptions {
        dependencies: strings(matches, "dependencies"),
        section: section(matches),
        package: strings(matches, "package").into_iter().next(),
        dry_run: flag(matches, "dry-run"),
    }
}

/// The specification of `pkgid`, which may come with `-p` or without.
pub(crate) fn specification(matches: &ArgMatches) -> Option<String> {
    string(matches, "spec").or(strings(matches, "package").into_iter().next())
}

/// `config get`
pub(crate) fn config_get(matches: &ArgMatches) -> Result<ConfigRequest> {
    let origins = flag(matches, "show-origin");
    let format = match string(matches, "format").as_deref() {
        Some(name @ ("json" | "json-value")) if origins => {
            let message = format!("the `{name}` format does not support --show-origin, try the `toml` format instead");
            return Err(bulkhead_ops::Error::failure(message));
        }
        Some("json") => ConfigFormat::Json,
        Some("json-value") => ConfigFormat::JsonValue,
        _ => ConfigFormat::Toml { origins },
    };
    let apart = string(matches, "merged").as_deref() == Some("no");
    Ok(ConfigRequest { key: string(matches, "key"), format, apart })
}
