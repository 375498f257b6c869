//! TOML values that are only passed on, as JSON.

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

/// `value` as `cargo metadata` prints it: date-times become the one-entry objects that Cargo's own TOML library
/// leaves, integers and floats outside JSON's range become strings.
///
/// The depth is bounded by the TOML parser, which refuses deep nesting.
pub fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::from),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or(Value::Null, Value::Number),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(moment) => {
            Value::Object(Map::from_iter([("$__toml_private_datetime".to_owned(), moment.to_string().into())]))
        }
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => table_json(table),
    }
}

fn table_json(table: &DeTable<'_>) -> Value {
    Value::Object(table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect())
}
