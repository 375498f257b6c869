//! As much of JSON Schema (draft 7) as the schema of SARIF 2.1.0 uses. What it does not know stops the test.
//!
//! `data/sarif-2.1.0.json` is the schema of the OASIS standard without its descriptions (© OASIS Open; the standard's notice
//! allows copies and derivative works that help to implement it).

use serde_json::Value;

/// What of `log` does not fit the schema of SARIF 2.1.0.
pub(crate) fn misfits_of_sarif(log: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(include_str!("data/sarif-2.1.0.json")).unwrap();
    let mut found = Vec::new();
    Check { root: &schema, found: &mut found }.value(&schema, log, "");
    found
}

struct Check<'a> {
    root: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        for (keyword, rule) in schema.as_object().unwrap() {
            let fits = match keyword.as_str() {
                "$schema" | "definitions" | "default" | "items" | "properties" | "additionalProperties" => true,
                "$ref" => {
                    let name = rule.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
                    self.value(&self.root["definitions"][name], value, path);
                    true
                }
                "type" => is(rule.as_str().unwrap(), value),
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
                "uniqueItems" => value.as_array().is_none_or(|items| {
                    items.iter().enumerate().all(|(at, item)| !rule.as_bool().unwrap() || !items[..at].contains(item))
                }),
                "required" => rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
                "anyOf" => self.fitting(rule, value, path) >= 1,
                "oneOf" => self.fitting(rule, value, path) == 1,
                "format" => is_address(rule.as_str().unwrap(), value.as_str().unwrap()),
                other => panic!("{path}: the keyword {other} is not known here"),
            };
            if !fits {
                self.found.push(format!("{path}: {value} breaks `{keyword}`: {rule}"));
            }
        }
        for (at, item) in value.as_array().into_iter().flatten().enumerate() {
            if let Some(items) = schema.get("items") {
                self.value(items, item, &format!("{path}/{at}"));
            }
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{key}");
            match (schema.get("properties").and_then(|known| known.get(key)), schema.get("additionalProperties")) {
                (Some(inner), _) => self.value(inner, value, &path),
                (None, Some(Value::Bool(false))) => self.found.push(format!("{path} is no property")),
                (None, Some(inner @ Value::Object(_))) => self.value(inner, value, &path),
                (None, _) => {}
            }
        }
    }

    fn fitting(&self, schemas: &Value, value: &Value, path: &str) -> usize {
        let fits = |schema: &&Value| {
            let mut found = Vec::new();
            Check { root: self.root, found: &mut found }.value(schema, value, path);
            found.is_empty()
        };
        schemas.as_array().unwrap().iter().filter(fits).count()
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not known here"),
    }
}

/// RFC 3986: the characters of addresses, and whole escapes; a scheme where it has to be absolute.
fn is_address(format: &str, text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let escapes = text
        .match_indices('%')
        .all(|(at, _)| text.get(at + 1..at + 3).is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())));
    let scheme = text.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    match format {
        "uri" => text.bytes().all(allowed) && escapes && scheme,
        "uri-reference" => text.bytes().all(allowed) && escapes,
        other => panic!("the format {other} is not known here"),
    }
}

/// The check bites: each of these breaks one rule of the schema.
#[test]
fn logs_that_are_none_are_found() {
    let good = serde_json::json!({ "version": "2.1.0", "runs": [{
        "tool": { "driver": { "name": "x", "rules": [{ "id": "a" }] } },
        "results": [{ "message": { "text": "t" }, "level": "note", "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": "a/b%20c" }, "region": { "startLine": 1 } } }] }],
    }] });
    assert_eq!(misfits_of_sarif(&good), Vec::<String>::new());
    for (path, wrong) in [
        ("/version", "2.0.0".into()),
        ("/runs/0/tool/driver/name", 1.into()),
        ("/runs/0/tool", serde_json::json!({})),
        ("/runs/0/tool/driver/rules", serde_json::json!([{ "id": "a" }, { "id": "a" }])),
        ("/runs/0/results/0/level", "high".into()),
        ("/runs/0/results/0/message", serde_json::json!({})),
        ("/runs/0/results/0/message", serde_json::json!({ "text": "t", "html": "t" })),
        ("/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri", "a b".into()),
        ("/runs/0/results/0/locations/0/physicalLocation/region/startLine", 0.into()),
    ] {
        let mut log = good.clone();
        *log.pointer_mut(path).unwrap() = wrong;
        assert!(!misfits_of_sarif(&log).is_empty(), "{path}: {log}");
    }
}
