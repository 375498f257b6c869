//! Layers become one tree: what a project may not say is left out and named, the rest is merged as Cargo merges.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use bulkhead_schema::config::{Data, Node};
use bulkhead_schema::policy::chooses_programs;
use bulkhead_schema::secrets::{holds_token, is_secret_name, password};
use bulkhead_schema::{Diagnostic, publish_age};

use crate::flags::{SplitFlags, split_rustdocflags, split_rustflags};
use crate::keys::{self, BUILT_IN_COMMANDS, Check, Class, Key, Kind};
use crate::layer::{Definition, Layer, LayerClass, Origin};
use crate::read::{Config, Item, Tree};

/// What [`merge`] returns.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The configuration that acts.
    pub config: Config,
    /// What a project's file said in vain, in the order of layers and keys.
    pub ignored: Vec<IgnoredKey>,
    /// Unknown keys.
    pub warnings: Vec<Diagnostic>,
}

/// A key of a project's file that does not act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredKey {
    /// The key, dotted.
    pub key: String,
    /// Its class.
    pub class: Class,
    /// The file and line.
    pub definition: Definition,
    /// Why it does not act: a clause such as `it chooses a program`.
    pub reason: String,
    /// What the user can do about it, one sentence.
    pub how_to_trust: String,
    /// Whether its value is a secret, which is not read from a project's file at all.
    pub is_secret: bool,
}

/// Merges `layers`, the lowest precedence first (user's home, outer folders, inner folders, then `--config` from left
/// to right). `environment` stands between files and `--config`; it is asked for each key by its `CARGO_…` name.
///
/// # Errors
/// Layers that disagree whether a key is a table or an array, and a project that redefines a registry of the user's.
pub fn merge(
    layers: Vec<Layer>,
    environment: BTreeMap<String, String>,
    current_dir: PathBuf,
) -> Result<Merged, Diagnostic> {
    let mut filter = Filter { registries: own_registries(&layers), ..Filter::default() };
    let mut config = Config::new(environment, current_dir);
    for Layer { origin, class, value } in layers {
        let definition = Definition::new(origin, class);
        let mut path = Vec::new();
        let Some(item) = filter.walk(&value, &definition, &mut path, &config)? else { continue };
        let Tree::Table(entries) = item.tree else { continue };
        for (name, item) in entries {
            merge_entry(&mut config.root, name, item, &mut path)?;
        }
    }
    Ok(Merged { config, ignored: filter.ignored, warnings: filter.warnings })
}

/// The registries that the user has defined, by name: a project may not point them elsewhere.
fn own_registries(layers: &[Layer]) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for layer in layers.iter().filter(|layer| !matches!(layer.class, LayerClass::Repository { .. })) {
        let registries = layer.value.as_table().and_then(|root| root.get("registries"));
        for (name, entry) in registries.and_then(|entry| entry.node.as_table()).into_iter().flatten() {
            let index =
                entry.node.as_table().and_then(|table| table.get("index")).and_then(|entry| entry.node.as_str());
            if let Some(index) = index {
                known.insert(name.clone(), index.to_owned());
            }
        }
    }
    known
}

#[derive(Default)]
struct Filter {
    registries: BTreeMap<String, String>,
    ignored: Vec<IgnoredKey>,
    warnings: Vec<Diagnostic>,
}

/// What becomes of a leaf of a project's file.
enum Verdict {
    Act,
    /// Only this part of it acts.
    Partly(Node, String),
    /// It waits until the file is trusted.
    NeedsTrust(&'static str),
    /// It never acts from a project's file.
    Never(&'static str, String),
    /// It is a secret, and now no longer one.
    Secret,
}

impl Filter {
    fn walk(
        &mut self,
        node: &Node,
        layer: &Definition,
        path: &mut Vec<String>,
        config: &Config,
    ) -> Result<Option<Item>, Diagnostic> {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let key = keys::find(&parts);
        match (key, &node.data) {
            (Some(key), Data::Table(_)) if key.pattern.ends_with("**") => {}
            (Some(key), _) => return self.leaf(key, node, layer, &path.join("."), config),
            (None, Data::Table(_)) if path.is_empty() || keys::is_prefix(&parts) => {}
            (None, _) => return Ok(self.unknown(node, layer, path)),
        }
        let mut entries = BTreeMap::new();
        for (name, entry) in node.as_table().into_iter().flatten() {
            path.push(name.clone());
            if let Some(item) = self.walk(&entry.node, layer, path, config)? {
                entries.insert(name.clone(), item);
            }
            path.pop();
        }
        Ok(Some(Item { tree: Tree::Table(entries), definition: layer.at(&node.span) }))
    }

    /// Warns where Cargo does. What is unknown in a project's file is left out as well: a future key might be dangerous.
    fn unknown(&mut self, node: &Node, layer: &Definition, path: &[String]) -> Option<Item> {
        // Cargo reads these tables whole in every command and so notices; the others it looks into key by key.
        if !matches!(path, [table, _, ..] if ["build", "http", "net", "resolver", "term"].contains(&table.as_str())) {
            return (!layer.is_repository()).then(|| Item::new(node, layer));
        }
        let file = match layer.origin() {
            Origin::File { path, .. } => path.display().to_string(),
            Origin::Environment(_) | Origin::CommandLine(_) => layer.to_string(),
        };
        let message = format!("unused config key `{}` in `{file}`", path.join("."));
        let warning = layer.at(&node.span).warning("config-unknown-key", message);
        self.warnings.push(match keys::nearest(&path.join(".")) {
            Some(near) => warning.help(format!("a key with a similar name exists: `{near}`")),
            None => warning,
        });
        (!layer.is_repository()).then(|| Item::new(node, layer))
    }

    fn leaf(
        &mut self,
        key: &Key,
        node: &Node,
        layer: &Definition,
        name: &str,
        config: &Config,
    ) -> Result<Option<Item>, Diagnostic> {
        let LayerClass::Repository { trusted, root } = layer.class() else { return Ok(Some(Item::new(node, layer))) };
        let definition = layer.at(&node.span);
        self.refuse_redefinition(key, node, &definition, name, config)?;
        let mut ignore = |reason: String, how_to_trust: String, is_secret: bool| {
            let (key, class, definition) = (name.to_owned(), key.class, definition.clone());
            self.ignored.push(IgnoredKey { key, class, definition, reason, how_to_trust, is_secret });
        };
        let file = definition.to_string();
        let file = file.rsplit_once(':').map_or(file.as_str(), |(file, _)| file);
        let trust = format!("look at the file, then run `bulkhead trust {file}`");
        let verdict = match judge(key, node, layer, name, *trusted, root) {
            Verdict::Act if !trusted && key.check == Check::PublishAge && lowers_age(node, name, config) => {
                Verdict::NeedsTrust("it lets versions through that have not been public for long")
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Act => Ok(Some(Item::new(node, layer))),
            Verdict::Partly(rest, reason) => {
                ignore(reason, trust, false);
                Ok(Some(Item::new(&rest, layer)))
            }
            Verdict::NeedsTrust(reason) => {
                ignore(reason.to_owned(), trust, false);
                Ok(None)
            }
            Verdict::Never(reason, advice) => {
                ignore(reason.to_owned(), advice, false);
                Ok(None)
            }
            Verdict::Secret => {
                ignore("secrets are never read from a project's file".to_owned(), SECRET_ADVICE.to_owned(), true);
                Ok(None)
            }
        }
    }

    /// A project that gives another address to a registry that the user has a token for would be sent that token.
    fn refuse_redefinition(
        &self,
        key: &Key,
        node: &Node,
        definition: &Definition,
        name: &str,
        config: &Config,
    ) -> Result<(), Diagnostic> {
        if key.check != Check::NewRegistry {
            return Ok(());
        }
        let registry = name.trim_start_matches("registries.").trim_end_matches(".index");
        let variable = Config::variable(&["registries", registry, "index"]);
        let own = self.registries.get(registry).or_else(|| config.environment.get(&variable));
        let (Some(own), Some(other)) = (own, node.as_str()) else { return Ok(()) };
        if own == other {
            return Ok(());
        }
        let message =
            format!("the project points registry `{registry}` at `{other}`, but you have defined it as `{own}`");
        let advice = "give the project's registry another name, or remove your own definition";
        Err(definition.error("config-registry-redefined", message).help(advice))
    }
}

const SECRET_ADVICE: &str = "take it out and have it revoked, since whoever could read the file may have it; tokens of \
    registries are kept by `bulkhead login`, variables are set in the environment of the command";

/// Whether a key holds a secret by its name or by the form of its value. A password in the address of a variable is the
/// project's own, as that of a database for tests is.
fn is_secret(key: &Key, node: &Node, variable: &str) -> bool {
    let in_environment = key.check == Check::EnvironmentName;
    key.is_secret()
        || (in_environment && is_secret_name(variable))
        || any_text(node, &|text| holds_token(text) || (!in_environment && password(text).is_some()))
}

fn any_text(node: &Node, is: &impl Fn(&str) -> bool) -> bool {
    match &node.data {
        Data::String(text) => is(text),
        Data::List(items) => items.iter().any(|item| any_text(item, is)),
        Data::Table(table) => table.values().any(|entry| any_text(&entry.node, is)),
        Data::Integer(_) | Data::Boolean(_) => false,
    }
}

fn judge(key: &Key, node: &Node, layer: &Definition, name: &str, trusted: bool, root: &Path) -> Verdict {
    let last = name.split_once('.').map_or(name, |(_, rest)| rest);
    if is_secret(key, node, last) {
        return Verdict::Secret;
    }
    if key.class == Class::IdentityAndNetwork {
        let advice = "set it in the `config.toml` of your cargo home if you want it";
        return Verdict::Never("it is user-level only", advice.to_owned());
    }
    if key.check == Check::EnvironmentName && chooses_programs(last) {
        let advice = "set it in the environment of the command if you want it";
        return Verdict::Never("the variable chooses programs or libraries", advice.to_owned());
    }
    if key.check == Check::AliasName && BUILT_IN_COMMANDS.contains(&last) {
        return Verdict::Never("it shadows a built-in command", "give the alias another name".to_owned());
    }
    if trusted {
        return Verdict::Act;
    }
    match key.check {
        Check::Rustflags => flags(node, split_rustflags),
        Check::Rustdocflags => flags(node, split_rustdocflags),
        Check::InsideProject if !inside(node, layer, root) => {
            Verdict::NeedsTrust("it names a folder outside the project")
        }
        Check::Platform if !named_platform(node) => Verdict::NeedsTrust("a target specification file names a linker"),
        Check::NewRegistry => Verdict::NeedsTrust("it names a server"),
        _ if key.class == Class::Harmless => Verdict::Act,
        _ => Verdict::NeedsTrust("it chooses programs, their arguments or the code that is built"),
    }
}

fn flags(node: &Node, split: fn(&[String]) -> SplitFlags) -> Verdict {
    let words: Option<Vec<String>> = match &node.data {
        Data::String(line) => Some(line.split_whitespace().map(str::to_owned).collect()),
        Data::List(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    let Some(words) = words else { return Verdict::NeedsTrust("it is not a list of flags") };
    let SplitFlags { passed, held } = split(&words);
    if held.is_empty() {
        return Verdict::Act;
    }
    let reason = format!("`{}` can choose programs or files", held.join(" "));
    let data = match &node.data {
        Data::String(_) => Data::String(passed.join(" ")),
        _ => Data::List(
            passed.into_iter().map(|word| Node { data: Data::String(word), span: node.span.clone() }).collect(),
        ),
    };
    Verdict::Partly(Node { data, span: node.span.clone() }, reason)
}

/// Whether a value of the keys about minimum ages is laxer than what holds without it: the user's own, or the default.
fn lowers_age(node: &Node, name: &str, config: &Config) -> bool {
    if name == "resolver.incompatible-publish-age" {
        return node.as_str() != Some("deny");
    }
    let own = |key: &str| config.string(key).ok().flatten().and_then(|value| publish_age::parse(&value.value));
    let old = own(name).or_else(|| own("registry.global-min-publish-age")).unwrap_or(publish_age::DEFAULT_MINIMUM);
    node.as_str().and_then(publish_age::parse).is_none_or(|new| new < old)
}

/// Whether the folder lies in the project by its name; whether a link leads out is seen when it is opened.
fn inside(node: &Node, layer: &Definition, root: &Path) -> bool {
    let Some(text) = node.as_str() else { return false };
    let text = text.strip_prefix("{workspace-root}/").unwrap_or(text);
    if text.contains('{') {
        return false;
    }
    normalize(&layer.base(root).join(text)).is_some_and(|path| path.starts_with(root) && path != root)
}

/// Resolves `.` and `..` by name; `None` where `..` climbs over the top.
pub(crate) fn normalize(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            other => normal.push(other),
        }
    }
    Some(normal)
}

fn named_platform(node: &Node) -> bool {
    let name = |node: &Node| {
        node.as_str().is_some_and(|text| !text.contains(['/', '\\']) && !text.to_ascii_lowercase().ends_with(".json"))
    };
    node.as_list().map_or_else(|| name(node), |items| items.iter().all(name))
}

fn merge_entry(
    table: &mut BTreeMap<String, Item>,
    name: String,
    higher: Item,
    path: &mut Vec<String>,
) -> Result<(), Diagnostic> {
    use std::collections::btree_map::Entry;
    path.push(name.clone());
    match table.entry(name) {
        Entry::Vacant(vacant) => {
            vacant.insert(higher);
        }
        Entry::Occupied(mut occupied) => merge_item(occupied.get_mut(), higher, path)?,
    }
    path.pop();
    Ok(())
}

fn merge_item(lower: &mut Item, higher: Item, path: &mut Vec<String>) -> Result<(), Diagnostic> {
    let Item { tree, definition } = higher;
    match (&mut lower.tree, tree) {
        (Tree::Table(table), Tree::Table(entries)) => {
            for (name, item) in entries {
                merge_entry(table, name, item, path)?;
            }
        }
        (Tree::List(list), Tree::List(more)) => {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            // A program with its arguments is one value: half of one and half of another is nonsense.
            if keys::find(&parts).is_some_and(|key| key.kind == Kind::Command) {
                *list = more;
            } else {
                list.extend(more);
            }
            lower.definition = definition;
        }
        (old @ (Tree::Table(_) | Tree::List(_)), new) | (old, new @ (Tree::Table(_) | Tree::List(_))) => {
            let key = path.join(".");
            let (old_kind, new_kind) = (old.kind(), new.kind());
            let message = format!("`{key}` is {new_kind} here, but {old_kind} in {}", lower.definition);
            return Err(definition.error("config-merge", message));
        }
        (old, new) => {
            *old = new;
            lower.definition = definition;
        }
    }
    Ok(())
}
