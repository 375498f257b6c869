//! One entry of a dependency table, read and written.

use toml_edit::{Array, InlineTable, Item, Table, TableLike, Value};

/// Where a dependency comes from, as its entry says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `version = "…"`, from a registry.
    Registry {
        /// The requirement.
        version: String,
    },
    /// `path = "…"`
    Path {
        /// Relative to the manifest's folder.
        path: String,
        /// `version`, for publishing.
        version: Option<String>,
    },
    /// `git = "…"`
    Git {
        /// The repository.
        url: String,
        /// `branch`, `tag` or `rev`, and its value.
        reference: Option<(&'static str, String)>,
        /// `version`, for publishing.
        version: Option<String>,
    },
    /// `workspace = true`
    Workspace,
}

/// One entry of a dependency table. What is `None` stays as it is where an entry is changed, and is left out of a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it comes from.
    pub place: Place,
    /// `registry`
    pub registry: Option<String>,
    /// `package`, where the key is another name.
    pub package: Option<String>,
    /// `default-features`
    pub default_features: Option<bool>,
    /// `features`
    pub features: Option<Vec<String>>,
    /// `optional`
    pub optional: Option<bool>,
    /// `public`
    pub public: Option<bool>,
}

const REFERENCES: [&str; 3] = ["branch", "tag", "rev"];

impl Entry {
    /// A plain entry that comes from `place`.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            registry: None,
            package: None,
            default_features: None,
            features: None,
            optional: None,
            public: None,
        }
    }

    pub(super) fn read(key: &str, item: &Item) -> Result<Self, String> {
        if let Some(version) = item.as_str() {
            return Ok(Self::new(Place::Registry { version: version.to_owned() }));
        }
        let Some(table) = item.as_table_like() else { return Err(format!("`{key}` is not a dependency")) };
        if table.contains_key("default_features") {
            return Err(format!(
                "Use of `default_features` in `{key}` is unsupported, please switch to `default-features`"
            ));
        }
        let text = |name: &str| table.get(name).and_then(Item::as_str).map(str::to_owned);
        let flag = |name: &str| table.get(name).and_then(Item::as_bool);
        let version = text("version");
        let place = if flag("workspace") == Some(true) {
            Place::Workspace
        } else if let Some(url) = text("git") {
            let reference = REFERENCES.iter().find_map(|name| Some((*name, text(name)?)));
            Place::Git { url, reference, version }
        } else if let Some(path) = text("path") {
            Place::Path { path, version }
        } else {
            let version =
                version.ok_or_else(|| format!("unrecognized dependency source for `{key}`: it names no version"))?;
            Place::Registry { version }
        };
        let features = table.get("features").and_then(Item::as_array);
        Ok(Self {
            place,
            registry: text("registry"),
            package: text("package"),
            default_features: flag("default-features"),
            features: features.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            optional: flag("optional"),
            public: flag("public"),
        })
    }

    /// Whether a version is all that there is to say.
    fn is_only_version(&self) -> bool {
        matches!(self.place, Place::Registry { .. }) && self.details().is_empty()
    }

    /// The keys behind those of the place, in Cargo's order.
    fn details(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &String| Value::from(text.as_str());
        let flag = |flag: Option<bool>, shown: bool| flag.filter(|flag| *flag == shown).map(Value::from);
        [
            ("registry", self.registry.as_ref().map(text)),
            ("package", self.package.as_ref().map(text)),
            ("default-features", flag(self.default_features, false)),
            ("features", self.features.as_ref().filter(|list| !list.is_empty()).map(|list| array(list))),
            ("optional", flag(self.optional, true)),
            ("public", flag(self.public, true)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }

    /// The keys that say where it comes from, in Cargo's order.
    fn place_keys(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &str| Value::from(text);
        let with_version = |version: &Option<String>| version.as_ref().map(|version| ("version", text(version)));
        match &self.place {
            Place::Registry { version } => vec![("version", text(version))],
            Place::Path { path, version } => with_version(version).into_iter().chain([("path", text(path))]).collect(),
            Place::Git { url, reference, version } => [("git", text(url))]
                .into_iter()
                .chain(reference.as_ref().map(|(name, value)| (*name, text(value))))
                .chain(with_version(version))
                .collect(),
            Place::Workspace => vec![("workspace", Value::from(true))],
        }
    }

    /// A new entry: the shortest form that says it.
    pub(super) fn to_item(&self) -> Item {
        if let (Place::Registry { version }, true) = (&self.place, self.is_only_version()) {
            return toml_edit::value(version.as_str());
        }
        if self.place == Place::Workspace && self.details().is_empty() {
            let mut table = Table::new();
            table.set_dotted(true);
            table.insert("workspace", toml_edit::value(true));
            return Item::Table(table);
        }
        let mut table = InlineTable::new();
        for (key, value) in self.place_keys().into_iter().chain(self.details()) {
            table.insert(key, value);
        }
        Item::Value(Value::InlineTable(table))
    }

    /// Makes an existing entry say the same, keeping its form and its comments where that can be done.
    pub(super) fn update(&self, item: &mut Item) {
        let inherited = |table: &dyn TableLike| self.place == Place::Workspace || table.contains_key("workspace");
        match item.as_table_like_mut() {
            Some(table) if !inherited(table) && self.keeps_something(table) => self.update_table(table),
            Some(_) if self.place == Place::Workspace && self.details().is_empty() => {}
            _ => self.replace(item),
        }
        if let Item::Value(Value::InlineTable(table)) = item {
            table.fmt();
        }
        if let Item::Table(table) = item
            && !table.contains_key("workspace")
        {
            table.set_dotted(false);
        }
    }

    fn replace(&self, item: &mut Item) {
        let decor = item.as_value().map(|value| value.decor().clone());
        *item = self.to_item();
        if let (Some(value), Some(decor)) = (item.as_value_mut(), decor) {
            *value.decor_mut() = decor;
        }
    }

    /// Whether a key of the table remains once those of another place are gone.
    fn keeps_something(&self, table: &dyn TableLike) -> bool {
        let place = self.place_keys();
        table.iter().any(|(key, _)| !is_of_place(key) || place.iter().any(|(wanted, _)| *wanted == key))
    }

    fn update_table(&self, table: &mut dyn TableLike) {
        let place = self.place_keys();
        for key in ["version", "path", "git", "branch", "tag", "rev"] {
            match place.iter().find(|(wanted, _)| *wanted == key) {
                Some((_, value)) => set(table, key, value.clone()),
                None => drop(table.remove(key)),
            }
        }
        let details = self.details();
        for key in ["registry", "package", "default-features", "features", "optional", "public"] {
            match details.iter().find(|(wanted, _)| *wanted == key) {
                Some((_, value)) => set(table, key, value.clone()),
                None if self.takes_back(table, key) => drop(table.remove(key)),
                None => {}
            }
        }
    }

    /// Whether `key` is there and says the contrary.
    fn takes_back(&self, table: &dyn TableLike, key: &str) -> bool {
        let is = table.get(key).and_then(Item::as_bool);
        match key {
            "default-features" => self.default_features == Some(true) && is == Some(false),
            "optional" => self.optional == Some(false),
            "public" => self.public == Some(false),
            "registry" => self.registry.is_none(),
            _ => false,
        }
    }
}

fn is_of_place(key: &str) -> bool {
    matches!(key, "version" | "path" | "git") || REFERENCES.contains(&key)
}

/// Sets a key unless it says so already.
fn set(table: &mut dyn TableLike, key: &str, value: Value) {
    let same = |old: &Value| match (old, &value) {
        (Value::Array(old), Value::Array(new)) => {
            old.iter().filter_map(Value::as_str).eq(new.iter().filter_map(Value::as_str))
        }
        (old, new) => {
            (old.as_str().is_some() && old.as_str() == new.as_str())
                || (old.as_bool().is_some() && old.as_bool() == new.as_bool())
        }
    };
    match table.get_mut(key) {
        Some(Item::Value(old)) if same(old) => {}
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        _ => drop(table.insert(key, Item::Value(value))),
    }
}

fn array(list: &[String]) -> Value {
    Value::Array(list.iter().map(String::as_str).collect::<Array>())
}
