//! `config get`: what the configuration says, as TOML or JSON, and where each value comes from. Secrets never pass.

use std::collections::BTreeMap;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::secrets::holds_token;
pub(crate) use bulkhead_schema::secrets::{REDACTED, without_password};

use crate::layer::{Definition, LayerClass, Origin};
use crate::read::{Config, Item, KeyPath, Tree};

/// How values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One `key = value` per line.
    Toml {
        /// Each value is followed by where it comes from.
        origins: bool,
    },
    /// One JSON object from the root of the configuration down to the value.
    Json,
    /// The value as JSON.
    JsonValue,
}

/// Shows the value of `key`, or everything; one line per element, which may hold line feeds inside of strings.
///
/// # Errors
/// Nothing is set there, or a part of the key is no table.
pub fn show(config: &Config, key: Option<&str>, format: Format) -> Result<Vec<String>, Diagnostic> {
    let path = key.map(KeyPath::parse);
    let parts: Vec<String> = path.iter().flat_map(KeyPath::parts).map(str::to_owned).collect();
    let item = match key {
        Some(key) => found(config, key)?.ok_or_else(|| unset(key))?,
        None => Item { tree: Tree::Table(config.root.clone()), definition: Definition::environment("CARGO") },
    };
    Ok(match format {
        Format::Toml { origins } => {
            let mut lines = Vec::new();
            toml(&parts, &item, origins, &mut lines);
            lines
        }
        Format::JsonValue => vec![json(&parts, &item).to_string()],
        Format::Json => {
            let inner = json(&parts, &item);
            let nested = parts.iter().rev().fold(inner, |value, part| serde_json::json!({ (part.as_str()): value }));
            vec![nested.to_string()]
        }
    })
}

/// The environment variables that can change what is shown of `key`, as a shell would take them.
pub fn variables(config: &Config, key: Option<&str>) -> Vec<String> {
    let path = key.map(KeyPath::parse);
    let parts: Vec<&str> = path.iter().flat_map(KeyPath::parts).collect();
    let prefix = Config::variable(&parts);
    let concerned = |name: &str| {
        name.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with('_') || (rest.is_empty() && key.is_some()))
    };
    let shown = config.environment.iter().filter(|(name, _)| concerned(name)).map(|(name, value)| {
        let value = if is_secret_variable(name) { REDACTED.to_owned() } else { without_password(value) };
        format!("{name}={}", quoted(&value))
    });
    shown.collect()
}

/// Whether the value of `key` is a table, whose entries the environment may change.
pub fn is_table(config: &Config, key: Option<&str>) -> bool {
    key.is_none_or(|key| config.item(KeyPath::parse(key)).is_some_and(|item| item.as_table().is_some()))
}

fn unset(key: &str) -> Diagnostic {
    Diagnostic::error("config-unset", format!("config value `{key}` is not set"))
}

/// The value with the environment taken into account, where it is no table.
fn found(config: &Config, key: &str) -> Result<Option<Item>, Diagnostic> {
    let path = KeyPath::parse(key);
    let parts = path.parts();
    for length in 1..parts.len() {
        let above = parts.get(..length).unwrap_or_default();
        if let Some(item) = config.item(KeyPath::from(above))
            && item.as_table().is_none()
        {
            let kind = item.tree.kind().rsplit(' ').next().unwrap_or_default();
            let message = format!(
                "expected table for configuration key `{}`, but found {kind} in {}",
                above.join("."),
                place(&item.definition)
            );
            return Err(Diagnostic::error("config-type", message));
        }
    }
    let own = config.item(path.clone());
    let variable = config.environment(&Config::variable(&parts));
    Ok(match (own, variable) {
        (own, None) => own.cloned(),
        (Some(item), Some(_)) if item.as_table().is_some() => Some(item.clone()),
        (Some(Item { tree: Tree::List(items), definition }), Some(words)) => {
            let mut items = items.clone();
            let first = items.iter().position(is_final).unwrap_or(items.len());
            let word = |text: &str| Item::string(text, &words.definition);
            items.splice(first..first, words.value.split_whitespace().map(word).collect::<Vec<_>>());
            Some(Item { tree: Tree::List(items), definition: definition.clone() })
        }
        (Some(item), Some(_)) if is_final(item) => Some(item.clone()),
        (_, Some(value)) => Some(Item { tree: typed(&value.value), definition: value.definition }),
    })
}

/// `--config` has the last word.
fn is_final(item: &Item) -> bool {
    item.definition.is_command_line()
}

/// What a variable's text most likely means.
fn typed(text: &str) -> Tree {
    match (text, text.parse::<i64>()) {
        ("true", _) => Tree::Boolean(true),
        ("false", _) => Tree::Boolean(false),
        (_, Ok(number)) => Tree::Integer(number),
        _ => Tree::String(text.to_owned()),
    }
}

fn toml(path: &[String], item: &Item, origins: bool, lines: &mut Vec<String>) {
    let origin = |definition: &Definition| if origins { format!(" # {}", place(definition)) } else { String::new() };
    let key = || path.iter().map(|part| key_text(part)).collect::<Vec<_>>().join(".");
    match &item.tree {
        // The depth of configuration is bounded where it is read.
        Tree::Table(entries) => {
            for (name, entry) in entries {
                let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
                toml(&path, entry, origins, lines);
            }
        }
        Tree::List(items) if origins => {
            lines.push(format!("{} = [", key()));
            lines.extend(items.iter().map(|item| format!("    {},{}", scalar(path, item), origin(&item.definition))));
            lines.push("]".to_owned());
        }
        Tree::List(items) => {
            let items: Vec<String> = items.iter().map(|item| scalar(path, item)).collect();
            lines.push(format!("{} = [{}]", key(), items.join(", ")));
        }
        _ => lines.push(format!("{} = {}{}", key(), scalar(path, item), origin(&item.definition))),
    }
}

/// The value in one piece.
fn scalar(path: &[String], item: &Item) -> String {
    match &item.tree {
        Tree::String(text) => toml::Value::String(shown(path, text)).to_string(),
        Tree::Integer(number) => number.to_string(),
        Tree::Boolean(flag) => flag.to_string(),
        Tree::List(items) => {
            let items: Vec<String> = items.iter().map(|item| scalar(path, item)).collect();
            format!("[{}]", items.join(", "))
        }
        Tree::Table(entries) => {
            let entries = entries.iter().map(|(name, item)| {
                let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
                format!("{} = {}", key_text(name), scalar(&path, item))
            });
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn json(path: &[String], item: &Item) -> serde_json::Value {
    match &item.tree {
        Tree::String(text) => shown(path, text).into(),
        Tree::Integer(number) => (*number).into(),
        Tree::Boolean(flag) => (*flag).into(),
        Tree::List(items) => items.iter().map(|item| json(path, item)).collect(),
        Tree::Table(entries) => {
            let entries: BTreeMap<&String, _> = entries
                .iter()
                .map(|(name, item)| (name, json(&path.iter().cloned().chain([name.clone()]).collect::<Vec<_>>(), item)))
                .collect();
            entries.into_iter().map(|(name, value)| (name.clone(), value)).collect::<serde_json::Map<_, _>>().into()
        }
    }
}

/// The text of a value, unless it is a secret.
fn shown(path: &[String], text: &str) -> String {
    let last = path.last().map(String::as_str).unwrap_or_default();
    let variable = path.len() == 2 && path.first().is_some_and(|first| first == "env") && is_secret_variable(last);
    if matches!(last, "token" | "secret-key") || variable || holds_token(text) {
        return REDACTED.to_owned();
    }
    without_password(text)
}

fn is_secret_variable(name: &str) -> bool {
    ["TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"].iter().any(|part| name.to_ascii_uppercase().contains(part))
}

/// A key as it can be written where one is asked for.
pub(crate) fn dotted(parts: &[&str]) -> String {
    parts.iter().map(|part| key_text(part)).collect::<Vec<_>>().join(".")
}

fn key_text(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { key.to_owned() } else { toml::Value::String(key.replace('\n', "\\n")).to_string() }
}

/// Where a value comes from, and how far that is trusted.
fn place(definition: &Definition) -> String {
    match definition.origin() {
        Origin::File { path, .. } => {
            let path = path.display();
            match definition.class() {
                LayerClass::Repository { trusted: true, .. } => format!("{path} (project, trusted)"),
                LayerClass::Repository { trusted: false, .. } => format!("{path} (project, not trusted)"),
                _ => path.to_string(),
            }
        }
        Origin::Environment(_) | Origin::CommandLine(_) => definition.to_string(),
    }
}

/// The text as a POSIX shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/,.+:@%<>".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use expect_test::{Expect, expect};

    use super::{Format, show, variables};
    use crate::{Config, Layer, LayerClass, merge};

    fn config(text: &str, environment: &[(&str, &str)]) -> Config {
        let layer = Layer::file("/home/config.toml", &Arc::from(text), LayerClass::User).unwrap();
        let environment: BTreeMap<_, _> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        merge(vec![layer], environment, "/".into()).unwrap().config
    }

    fn check(text: &str, key: Option<&str>, format: Format, expected: &Expect) {
        let shown = show(&config(text, &[("CARGO_NET_RETRY", "7"), ("CARGO_BUILD_RUSTFLAGS", "-x -y")]), key, format);
        expected.assert_eq(&shown.map_or_else(|error| error.message, |lines| lines.join("\n")));
    }

    const TEXT: &str = r#"
[build]
jobs = 3
rustflags = ["-a"]
[profile.dev.package."*"]
debug = false
[registry]
token = "hunter2"
[env]
MY_SECRET = "hunter2"
PLAIN = "a\"b"
[http]
proxy = "http://user:hunter2@host:1/x"
[net]
retry = 1
"#;

    #[test]
    fn everything_is_shown_but_secrets() {
        check(
            TEXT,
            None,
            Format::Toml { origins: false },
            &expect![[r#"
                build.jobs = 3
                build.rustflags = ["-a"]
                env.MY_SECRET = "<redacted>"
                env.PLAIN = 'a"b'
                http.proxy = "http://user:<redacted>@host:1/x"
                net.retry = 1
                profile.dev.package."*".debug = false
                registry.token = "<redacted>""#]],
        );
    }

    #[test]
    fn one_key_hears_its_variable() {
        check(
            TEXT,
            Some("net.retry"),
            Format::Toml { origins: true },
            &expect!["net.retry = 7 # environment variable `CARGO_NET_RETRY`"],
        );
        check(TEXT, Some("build.rustflags"), Format::JsonValue, &expect![[r#"["-a","-x","-y"]"#]]);
        check(TEXT, Some("registry.token"), Format::Json, &expect![[r#"{"registry":{"token":"<redacted>"}}"#]]);
        check(TEXT, Some("nothing.here"), Format::Json, &expect!["config value `nothing.here` is not set"]);
        check(
            TEXT,
            Some("build.jobs.x"),
            Format::Json,
            &expect!["expected table for configuration key `build.jobs`, but found integer in /home/config.toml"],
        );
    }

    #[test]
    fn variables_are_named_but_not_their_secrets() {
        let config = config("", &[("CARGO_REGISTRY_TOKEN", "hunter2"), ("CARGO_NET_RETRY", "it's"), ("HOME", "x")]);
        assert_eq!(variables(&config, None), ["CARGO_NET_RETRY='it'\\''s'", "CARGO_REGISTRY_TOKEN=<redacted>"]);
        assert_eq!(variables(&config, Some("net")), ["CARGO_NET_RETRY='it'\\''s'"]);
    }
}
