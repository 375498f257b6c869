//! JSON Schema of Cargo's configuration and of Bulkhead's policy, for editors. Made from the tables of keys.

use bulkhead_schema::policy::{POLICY_KEYS, PolicyKind};
use serde_json::{Map, Value, json};

use crate::keys::{KEYS, Key, Kind};

/// The schema of `.cargo/config.toml`.
pub fn cargo() -> Value {
    let mut root = Shape::default();
    for key in KEYS {
        let parts: Vec<&str> = key.pattern.split('.').collect();
        root.insert(&parts, cargo_value(key));
    }
    root.schema("Cargo's configuration, as Bulkhead reads it", true)
}

/// The schema of `bulkhead.toml` and `policy.toml`.
pub fn policy() -> Value {
    let mut root = Shape::default();
    for key in POLICY_KEYS {
        let mut value = policy_value(key.kind);
        value["description"] = format!("{} Default: {}. Layers: {}.", key.about, key.default, key.layers).into();
        root.insert(&key.pattern.split('.').collect::<Vec<_>>(), value);
    }
    root.schema("Bulkhead's policy", false)
}

fn cargo_value(key: &Key) -> Value {
    let strings = || json!({ "type": "array", "items": { "type": "string" } });
    let mut value = match key.kind {
        Kind::String => json!({ "type": "string" }),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::IntegerOrString => json!({ "type": ["integer", "string"] }),
        Kind::List => strings(),
        Kind::StringOrList | Kind::Command => json!({ "anyOf": [{ "type": "string" }, strings()] }),
        Kind::Other => json!({}),
    };
    value["description"] = format!("{} Default: {}.", key.about, key.default).into();
    value
}

fn policy_value(kind: PolicyKind) -> Value {
    match kind {
        PolicyKind::Text => json!({ "type": "string" }),
        PolicyKind::Flag => json!({ "type": "boolean" }),
        PolicyKind::Count => json!({ "type": "integer", "minimum": 1 }),
        PolicyKind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        PolicyKind::Network => {
            json!({ "anyOf": [{ "type": "boolean" }, { "type": "array", "items": { "type": "string" } }] })
        }
        PolicyKind::Choice(words) => json!({ "enum": words }),
        PolicyKind::Choices(words) => json!({ "type": "array", "items": { "enum": words } }),
    }
}

/// A table in the making: its keys in the order of the rows.
#[derive(Default)]
struct Shape {
    keys: Vec<(String, Part)>,
    required: Vec<String>,
}

enum Part {
    Value(Value),
    Table(Shape),
    Tables(Shape),
}

impl Shape {
    fn insert(&mut self, parts: &[&str], value: Value) {
        let [first, rest @ ..] = parts else { return };
        let name = first.trim_end_matches("[]");
        if rest.is_empty() || *first == "**" {
            if value["description"].as_str().is_some_and(|text| text.contains("Default: required.")) {
                self.required.push(name.to_owned());
            }
            self.keys.push((name.to_owned(), Part::Value(value)));
            return;
        }
        let position = self.keys.iter().position(|(known, part)| known == name && !matches!(part, Part::Value(_)));
        let position = position.unwrap_or_else(|| {
            let part = if first.ends_with("[]") { Part::Tables(Self::default()) } else { Part::Table(Self::default()) };
            self.keys.push((name.to_owned(), part));
            self.keys.len() - 1
        });
        if let Some((_, Part::Table(inner) | Part::Tables(inner))) = self.keys.get_mut(position) {
            inner.insert(rest, value);
        }
    }

    fn schema(&self, title: &str, open: bool) -> Value {
        let mut schema = self.table(open);
        schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
        schema["title"] = title.into();
        schema
    }

    fn table(&self, open: bool) -> Value {
        let (mut properties, mut others) = (Map::new(), Value::Bool(open));
        for (name, part) in &self.keys {
            let schema = match part {
                Part::Value(value) => value.clone(),
                Part::Table(inner) => inner.table(open),
                Part::Tables(inner) => json!({ "type": "array", "items": inner.table(open) }),
            };
            match name.as_str() {
                // Any depth of tables: nothing can be said of all of it.
                "**" => others = Value::Bool(true),
                "*" if others.is_object() => {}
                "*" => others = schema,
                _ => drop(properties.insert(name.clone(), schema)),
            }
        }
        let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": others });
        if !self.required.is_empty() {
            table["required"] = self.required.clone().into();
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::{cargo, policy};
    use serde_json::{Value, json};

    /// As much of JSON Schema as is used here.
    fn fits(schema: &Value, value: &Value) -> bool {
        let is = |name: &str| match name {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("{other}"),
        };
        let types = match &schema["type"] {
            Value::String(name) => is(name),
            Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
            _ => true,
        };
        let words = schema["enum"].as_array().is_none_or(|words| words.contains(value));
        let lowest = schema["minimum"].as_i64().is_none_or(|lowest| value.as_i64().unwrap() >= lowest);
        let any = schema["anyOf"].as_array().is_none_or(|any| any.iter().any(|schema| fits(schema, value)));
        let items =
            schema.get("items").is_none_or(|items| value.as_array().unwrap().iter().all(|item| fits(items, item)));
        let keys = value.as_object().is_none_or(|table| {
            table.iter().all(|(key, value)| match schema["properties"].get(key) {
                Some(schema) => fits(schema, value),
                None => match &schema["additionalProperties"] {
                    Value::Bool(open) => *open,
                    Value::Null => true,
                    schema => fits(schema, value),
                },
            })
        });
        let required = schema["required"].as_array().into_iter().flatten();
        let complete = required.into_iter().all(|key| value.get(key.as_str().unwrap()).is_some());
        types && words && lowest && any && items && keys && complete
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "pages are found, so that none is forgotten")]
    fn the_examples_of_the_documentation_fit() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut pages = vec![root.join("README.md")];
        let mut folders = vec![root.join("docs")];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() { folders.push(entry) } else { pages.push(entry) }
            }
        }
        let names = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let (policies, configurations) = (names(&policy()), names(&cargo()));
        let (mut seen, mut others) = (0, Vec::new());
        for path in pages.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
            let page = std::fs::read_to_string(path).unwrap();
            for (example, _) in page.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```")) {
                let table = example.parse::<toml::Table>().unwrap_or_else(|error| panic!("{example}: {error}"));
                let value = serde_json::to_value(&table).unwrap();
                seen += 1;
                match table.keys().next() {
                    Some(key) if policies.contains(key) => assert!(fits(&policy(), &value), "{example}"),
                    Some(key) if configurations.contains(key) => assert!(fits(&cargo(), &value), "{example}"),
                    key => others.extend(key.cloned()),
                }
            }
        }
        // Of other files there is one for taplo.
        assert!(seen > 8 && others == ["rule"], "{seen} {others:?}");
        for wrong in [
            json!({ "bogus": 1 }),
            json!({ "limits": { "memory-mib": 0 } }),
            json!({ "sandbox": { "level": "none" } }),
            json!({ "grant": [{ "network": true }] }),
            json!({ "grant": [{ "package": "x", "netwrk": true }] }),
            json!({ "locked": ["all"] }),
        ] {
            assert!(!fits(&policy(), &wrong), "{wrong}");
        }
    }

    #[test]
    fn configuration_fits() {
        let right = json!({
            "build": { "jobs": "default", "rustflags": "-g" },
            "target": { "x": { "runner": ["a", "b"], "rustflags": [] } },
            "registries": { "mine": { "index": "x" } },
            "profile": { "dev": { "package": { "a": { "debug": 0 } } } },
            "env": { "A": { "value": "x", "force": true } },
        });
        assert!(fits(&cargo(), &right));
        for wrong in [json!({ "build": { "jobs": [] } }), json!({ "registries": { "mine": { "index": 1 } } })] {
            assert!(!fits(&cargo(), &wrong), "{wrong}");
        }
    }
}
