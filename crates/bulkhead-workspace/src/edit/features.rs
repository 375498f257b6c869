//! `[features]`, kept true to the dependency tables.

use bulkhead_schema::FeatureValue;
use toml_edit::{Array, Item, RawString, Value};

use super::{ManifestEditor, Standing, table_at};

impl ManifestEditor {
    /// Adds a feature that switches on the optional dependency `key`, unless some feature does. Says whether it was
    /// added.
    pub fn add_feature(&mut self, key: &str) -> bool {
        let wanted = format!("dep:{key}");
        let mut lists = self.feature_lists();
        if lists.any(|(_, list)| list.iter().any(|value| value.as_str() == Some(&wanted))) {
            return false;
        }
        drop(lists);
        let Some(features) = table_at(self.document.as_table_mut(), &["features"]) else { return false };
        let list = features.entry(key).or_insert(toml_edit::value(Array::new()));
        let Some(list) = list.as_array_mut() else { return false };
        list.push(wanted);
        true
    }

    fn feature_lists(&self) -> impl Iterator<Item = (&str, &Array)> {
        let features = self.document.get("features").and_then(Item::as_table_like);
        features.into_iter().flat_map(|table| table.iter()).filter_map(|(name, list)| Some((name, list.as_array()?)))
    }

    /// Takes from the features what means nothing any more, now that `key` is no longer optional, or no longer there.
    pub fn mend_features(&mut self, key: &str) {
        let standing = self.standing(key);
        if standing == Standing::Optional {
            return;
        }
        let Some(features) = self.document.get_mut("features").and_then(Item::as_table_like_mut) else { return };
        // A feature with the dependency's name has a meaning of its own.
        let explicit = features.contains_key(key);
        for (_, list) in features.iter_mut() {
            let Some(list) = list.as_array_mut() else { continue };
            for position in (0..list.len()).rev() {
                let Some(text) = list.get(position).and_then(Value::as_str) else { continue };
                match mended(text, key, standing, explicit) {
                    Mended::Kept => {}
                    Mended::Gone => remove_value(list, position),
                    Mended::Now(text) => drop(list.replace(position, text)),
                }
            }
        }
    }
}

/// Removes one value; a comment before it stays, as in Cargo.
fn remove_value(list: &mut Array, position: usize) {
    let removed = list.remove(position);
    let text = |raw: Option<&RawString>| raw.and_then(RawString::as_str).unwrap_or_default().to_owned();
    let kept = text(removed.decor().prefix());
    let kept = kept.trim_end_matches([' ', '\t']);
    match list.get_mut(position) {
        Some(next) => {
            let prefix = format!("{kept}{}", text(next.decor().prefix()));
            next.decor_mut().set_prefix(prefix);
        }
        None => {
            let trailing = format!("{kept}{}", text(Some(list.trailing())));
            list.set_trailing(trailing);
        }
    }
}

enum Mended {
    Kept,
    Gone,
    Now(String),
}

fn mended(text: &str, key: &str, standing: Standing, explicit: bool) -> Mended {
    match FeatureValue::parse(text) {
        FeatureValue::Dependency(name) if &*name == key => Mended::Gone,
        FeatureValue::Feature(name) if &*name == key && !explicit => Mended::Gone,
        FeatureValue::DependencyFeature { dependency, .. } if &*dependency == key && standing == Standing::Absent => {
            Mended::Gone
        }
        FeatureValue::DependencyFeature { dependency, feature, weak: true } if &*dependency == key => {
            Mended::Now(format!("{key}/{feature}"))
        }
        _ => Mended::Kept,
    }
}
