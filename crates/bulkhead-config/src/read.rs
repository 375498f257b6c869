//! Asking the merged configuration, one key at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_schema::Diagnostic;
use bulkhead_schema::config::{Data, Node};

use crate::layer::{Definition, Value};

/// The merged configuration. Every answer is typed and says where it was defined.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) root: BTreeMap<String, Item>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) current_dir: PathBuf,
}

/// A merged value and its definition; a list or table holds values that may come from several layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The value.
    pub tree: Tree,
    /// Where it was defined: for tables, the first layer that has it.
    pub definition: Definition,
}

/// The merged form of [`Data`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// A string.
    String(String),
    /// An integer.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// An array; items of higher layers come later.
    List(Vec<Item>),
    /// A table.
    Table(BTreeMap<String, Item>),
}

impl Tree {
    /// The kind with its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

impl Item {
    pub(crate) fn new(node: &Node, layer: &Definition) -> Self {
        let tree = match &node.data {
            Data::String(text) => Tree::String(text.clone()),
            Data::Integer(value) => Tree::Integer(*value),
            Data::Boolean(value) => Tree::Boolean(*value),
            Data::List(items) => Tree::List(items.iter().map(|item| Self::new(item, layer)).collect()),
            Data::Table(table) => {
                Tree::Table(table.iter().map(|(key, entry)| (key.clone(), Self::new(&entry.node, layer))).collect())
            }
        };
        Self { tree, definition: layer.at(&node.span) }
    }

    pub(crate) fn string(text: &str, definition: &Definition) -> Self {
        Self { tree: Tree::String(text.to_owned()), definition: definition.clone() }
    }

    /// The entries of a table.
    pub fn as_table(&self) -> Option<&BTreeMap<String, Self>> {
        if let Tree::Table(table) = &self.tree { Some(table) } else { None }
    }
}

/// The parts of a key: from `"build.jobs"`, or from an array of parts where one of them holds a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPath(Vec<String>);

impl From<&str> for KeyPath {
    fn from(dotted: &str) -> Self {
        Self(dotted.split('.').map(str::to_owned).collect())
    }
}
impl KeyPath {
    /// A key as people write it: parts in quotes are taken as TOML takes them, and may hold dots.
    pub fn parse(text: &str) -> Self {
        let (mut parts, mut rest) = (Vec::new(), Some(text));
        while let Some(text) = rest {
            let (part, after) = quoted_part(text).unwrap_or_else(|| match text.split_once('.') {
                Some((part, after)) => (part.to_owned(), Some(after)),
                None => (text.to_owned(), None),
            });
            parts.push(part);
            rest = after;
        }
        Self(parts)
    }

    /// Its parts.
    pub fn parts(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// The part in quotes with which `text` begins, and what follows the dot behind it.
fn quoted_part(text: &str) -> Option<(String, Option<&str>)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    let end = text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = quote == '"' && c == '\\' && !escaped;
        ends.then_some(at + 1)
    })?;
    let (quoted, after) = text.split_at_checked(end)?;
    let after = match after.strip_prefix('.') {
        None if !after.is_empty() => return None,
        after => after,
    };
    let table: toml::Table = toml::from_str(&format!("part = {quoted}")).ok()?;
    Some((table.get("part")?.as_str()?.to_owned(), after))
}

impl From<&[&str]> for KeyPath {
    fn from(parts: &[&str]) -> Self {
        Self(parts.iter().map(|&part| part.to_owned()).collect())
    }
}
impl<const N: usize> From<[&str; N]> for KeyPath {
    fn from(parts: [&str; N]) -> Self {
        Self(parts.iter().map(|&part| part.to_owned()).collect())
    }
}
impl std::fmt::Display for KeyPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

fn wrong_type(key: &KeyPath, expected: &str, found: &Item) -> Diagnostic {
    let message = format!("`{key}` expected {expected}, but found {} in {}", found.tree.kind(), found.definition);
    found.definition.error("config-type", message)
}

impl Config {
    pub(crate) fn new(environment: BTreeMap<String, String>, current_dir: PathBuf) -> Self {
        Self { root: BTreeMap::new(), environment, current_dir }
    }

    /// The same without what files and `--config` say under `key`, one of the outermost ones.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let mut config = self.clone();
        config.root.remove(key);
        config
    }

    /// The folder in which the command runs.
    pub fn current_dir(&self) -> &Path {
        &self.current_dir
    }

    /// The name under which the environment can hold a key: `CARGO_`, upper case, dots and dashes as underscores.
    pub fn variable(parts: &[&str]) -> String {
        let mut name = "CARGO".to_owned();
        for part in parts {
            name.push('_');
            name.extend(part.chars().map(|c| if c == '-' || c == '.' { '_' } else { c.to_ascii_uppercase() }));
        }
        name
    }

    /// One variable of the environment, as given to [`crate::merge`].
    pub fn environment(&self, variable: &str) -> Option<Value<String>> {
        let value = self.environment.get(variable)?.clone();
        Some(Value { value, definition: Definition::environment(variable) })
    }

    fn key_variable(&self, key: &KeyPath) -> Option<Value<String>> {
        self.environment(&Self::variable(&key.0.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// What files and `--config` say, without the environment.
    pub fn item(&self, key: impl Into<KeyPath>) -> Option<&Item> {
        self.lookup(&key.into())
    }

    fn lookup(&self, key: &KeyPath) -> Option<&Item> {
        let mut parts = key.0.iter();
        let mut item = self.root.get(parts.next()?)?;
        for part in parts {
            item = item.as_table()?.get(part)?;
        }
        Some(item)
    }

    /// A value of whatever type as the highest layer has it: `--config`, else the environment (a string), else files.
    /// For keys with several types, such as `profile.dev.debug`; the other getters check the type.
    pub fn any(&self, key: impl Into<KeyPath>) -> Option<Item> {
        self.scalar(&key.into())
    }

    pub(crate) fn scalar(&self, key: &KeyPath) -> Option<Item> {
        let item = self.lookup(key);
        if let Some(item) = item.filter(|item| item.definition.is_command_line()) {
            return Some(item.clone());
        }
        match self.key_variable(key) {
            Some(Value { value, definition }) => Some(Item::string(&value, &definition)),
            None => item.cloned(),
        }
    }

    fn from_variable(item: &Item) -> bool {
        matches!(item.definition.origin(), crate::Origin::Environment(_))
    }

    /// A string.
    ///
    /// # Errors
    /// The value has another type; the error points at it. The same holds for the other getters.
    pub fn string(&self, key: impl Into<KeyPath>) -> Result<Option<Value<String>>, Diagnostic> {
        let key = key.into();
        let Some(item) = self.scalar(&key) else { return Ok(None) };
        match item.tree {
            Tree::String(value) => Ok(Some(Value { value, definition: item.definition })),
            _ => Err(wrong_type(&key, "a string", &item)),
        }
    }

    /// A boolean.
    pub fn boolean(&self, key: impl Into<KeyPath>) -> Result<Option<Value<bool>>, Diagnostic> {
        let key = key.into();
        let Some(item) = self.scalar(&key) else { return Ok(None) };
        let value = match &item.tree {
            Tree::Boolean(value) => *value,
            Tree::String(text) if Self::from_variable(&item) && text == "true" => true,
            Tree::String(text) if Self::from_variable(&item) && text == "false" => false,
            _ => return Err(wrong_type(&key, "true/false", &item)),
        };
        Ok(Some(Value { value, definition: item.definition }))
    }

    /// An integer.
    pub fn integer(&self, key: impl Into<KeyPath>) -> Result<Option<Value<i64>>, Diagnostic> {
        let key = key.into();
        let Some(item) = self.scalar(&key) else { return Ok(None) };
        let value = match &item.tree {
            Tree::Integer(value) => Some(*value),
            Tree::String(text) if Self::from_variable(&item) => text.trim().parse().ok(),
            _ => None,
        };
        let value = value.ok_or_else(|| wrong_type(&key, "an integer", &item))?;
        Ok(Some(Value { value, definition: item.definition }))
    }

    /// A folder or file, joined to the folder that its definition refers to.
    pub fn path(&self, key: impl Into<KeyPath>) -> Result<Option<Value<PathBuf>>, Diagnostic> {
        Ok(self.string(key)?.map(|Value { value, definition }| {
            let value = definition.base(&self.current_dir).join(value);
            Value { value, definition }
        }))
    }

    /// A program: a bare name stays one (it is looked up in `PATH`), anything with a separator is a path as in
    /// [`Config::path`].
    pub fn program(&self, key: impl Into<KeyPath>) -> Result<Option<Value<PathBuf>>, Diagnostic> {
        Ok(self.string(key)?.map(|value| self.resolve_program(value)))
    }

    pub(crate) fn resolve_program(&self, program: Value<String>) -> Value<PathBuf> {
        let Value { value, definition } = program;
        let bare = !value.contains(std::path::is_separator);
        let value = if bare { PathBuf::from(value) } else { definition.base(&self.current_dir).join(value) };
        Value { value, definition }
    }

    /// An array of strings, joined over the layers; the environment's words stand between files and `--config`.
    pub fn list(&self, key: impl Into<KeyPath>) -> Result<Vec<Value<String>>, Diagnostic> {
        let key = key.into();
        let items =
            self.lookup(&key).map_or(Ok(Vec::new()), |item| strings(&key, item, "an array of strings", false))?;
        Ok(self.with_variable(&key, items))
    }

    /// An array of strings, or one string that is split at white space; joined like [`Config::list`].
    pub fn string_or_list(&self, key: impl Into<KeyPath>) -> Result<Vec<Value<String>>, Diagnostic> {
        let key = key.into();
        let expected = "a string or an array of strings";
        let items = self.lookup(&key).map_or(Ok(Vec::new()), |item| strings(&key, item, expected, true))?;
        Ok(self.with_variable(&key, items))
    }

    fn with_variable(&self, key: &KeyPath, mut items: Vec<Value<String>>) -> Vec<Value<String>> {
        let Some(Value { value, definition }) = self.key_variable(key) else { return items };
        let first = items.iter().position(|item| item.definition.is_command_line()).unwrap_or(items.len());
        items.splice(first..first, split(&value, &definition));
        items
    }

    /// A program with arguments, from a string split at white space or from an array; not joined over layers. `None`
    /// also for an empty value, which takes back what a lower layer said.
    pub fn command(&self, key: impl Into<KeyPath>) -> Result<Option<Value<Vec<String>>>, Diagnostic> {
        let key = key.into();
        let Some(item) = self.scalar(&key) else { return Ok(None) };
        let words = strings(&key, &item, "a string or an array of strings", true)?;
        let value: Vec<String> = words.into_iter().map(|word| word.value).collect();
        Ok((!value.is_empty()).then_some(Value { value, definition: item.definition }))
    }

    /// The entries of a table in files and `--config`.
    pub fn table(&self, key: impl Into<KeyPath>) -> Result<Option<&BTreeMap<String, Item>>, Diagnostic> {
        let key = key.into();
        let Some(item) = self.lookup(&key) else { return Ok(None) };
        item.as_table().map(Some).ok_or_else(|| wrong_type(&key, "a table", item))
    }
}

fn split<'a>(line: &'a str, definition: &'a Definition) -> impl Iterator<Item = Value<String>> + 'a {
    line.split_whitespace().map(|word| Value { value: word.to_owned(), definition: definition.clone() })
}

pub(crate) fn strings(
    key: &KeyPath,
    item: &Item,
    expected: &str,
    or_string: bool,
) -> Result<Vec<Value<String>>, Diagnostic> {
    match &item.tree {
        Tree::String(line) if or_string => Ok(split(line, &item.definition).collect()),
        Tree::List(items) => items
            .iter()
            .map(|item| match &item.tree {
                Tree::String(text) => Ok(Value { value: text.clone(), definition: item.definition.clone() }),
                _ => Err(wrong_type(key, "a string in the array", item)),
            })
            .collect(),
        _ => Err(wrong_type(key, expected, item)),
    }
}
