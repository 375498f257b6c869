//! `config explain`: every layer that speaks of a key, which of them counts, and why.

use std::collections::BTreeMap;
use std::path::Path;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::config::{Data, Entry, Node};
use serde::Serialize;

use bulkhead_schema::secrets::holds_token;

use crate::keys::{self, Class, KEYS, Key, Kind};
use crate::layer::{Definition, Layer, LayerClass, Origin};
use crate::read::{Config, KeyPath};
use crate::show::{self, Format};
use crate::{IgnoredKey, merge};

/// What becomes of what a layer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It counts.
    Wins,
    /// It counts together with others.
    Joined,
    /// A higher layer counts.
    Overridden,
    /// It does not act, or not all of it.
    Inert,
}

/// What one layer says of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Whose word it is: `project`, `user`, `environment`, `command line`, `organisation`.
    pub layer: &'static str,
    /// `file:line`, the variable or the flag. Untrusted.
    pub origin: String,
    /// The value in TOML, without secrets. Untrusted.
    pub value: String,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// All that is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The key, dotted.
    pub key: String,
    /// What it means.
    pub about: String,
    /// Its type.
    pub kind: String,
    /// What a project may do with it.
    pub class: String,
    /// What holds where nobody sets it.
    pub default: String,
    /// How layers come together.
    pub precedence: String,
    /// What layers say, the highest first. Without one that counts, the default holds.
    pub layers: Vec<Statement>,
}

/// The words for a class.
pub fn class(class: Class) -> &'static str {
    match class {
        Class::Harmless => "harmless: acts wherever it stands",
        Class::ProgramChoosing => "program-choosing: inert in a project's file until it is trusted",
        Class::IdentityAndNetwork => "identity and network: user-level only",
    }
}

/// The words for a type.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "string",
        Kind::Integer => "integer",
        Kind::Boolean => "boolean",
        Kind::IntegerOrString => "integer or string",
        Kind::List => "array of strings",
        Kind::StringOrList => "string or array of strings",
        Kind::Command => "program with arguments: string or array of strings",
        Kind::Other => "table or value",
    }
}

/// The variables besides `CARGO_…` that set a key, above all files and flags.
pub fn special_variables(pattern: &str) -> &'static [&'static str] {
    match pattern {
        "build.rustc" => &["RUSTC"],
        "build.rustc-wrapper" => &["RUSTC_WRAPPER"],
        "build.rustc-workspace-wrapper" => &["RUSTC_WORKSPACE_WRAPPER"],
        "build.rustdoc" => &["RUSTDOC"],
        "build.rustflags" | "target.*.rustflags" => &["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"],
        "build.rustdocflags" | "target.*.rustdocflags" => &["CARGO_ENCODED_RUSTDOCFLAGS", "RUSTDOCFLAGS"],
        "build.target-dir" => &["CARGO_TARGET_DIR"],
        "build.incremental" => &["CARGO_INCREMENTAL"],
        _ => &[],
    }
}

/// Explains a key of Cargo's configuration. `layers` and `environment` are those of [`merge`].
///
/// # Errors
/// No such key; what [`merge`] refuses.
pub fn explain(
    layers: &[Layer],
    environment: &BTreeMap<String, String>,
    current_dir: &Path,
    name: &str,
) -> Result<Explanation, Diagnostic> {
    let path = KeyPath::parse(name);
    let parts = path.parts();
    let key = keys::find_around(&parts).ok_or_else(|| unknown(name))?;
    let merged = merge(layers.to_vec(), environment.clone(), current_dir.to_owned())?;
    let mut statements = Vec::new();
    for variable in special_variables(key.pattern) {
        statements.extend(environment.get(*variable).map(|value| of_variable(key, variable, value)));
    }
    let files_begin = layers.iter().rposition(|layer| layer.class != LayerClass::CommandLine).map_or(0, |at| at + 1);
    let (files, flags) = layers.split_at_checked(files_begin).unwrap_or((layers, &[]));
    let told = |layer: &Layer| of_layer(key, &parts, layer, &merged.ignored, current_dir);
    statements.extend(flags.iter().rev().filter_map(told));
    let variable = Config::variable(&parts);
    if !special_variables(key.pattern).contains(&variable.as_str()) {
        statements.extend(environment.get(&variable).map(|value| of_variable(key, &variable, value)));
    }
    statements.extend(files.iter().rev().filter_map(told));
    judge(key, &mut statements);
    Ok(Explanation {
        key: name.to_owned(),
        about: key.about.to_owned(),
        kind: kind(key.kind).to_owned(),
        class: class(key.class).to_owned(),
        default: key.default.to_owned(),
        precedence: key.precedence().to_owned(),
        layers: statements,
    })
}

fn of_variable(key: &Key, variable: &str, value: &str) -> Statement {
    let is_secret = key.is_secret() || holds_token(value);
    let value = if is_secret { show::REDACTED.to_owned() } else { show::without_password(value) };
    let value = toml::Value::String(value).to_string();
    let origin = format!("environment variable `{variable}`");
    Statement { layer: "environment", origin, value, outcome: Outcome::Wins, reason: String::new() }
}

fn of_layer(key: &Key, parts: &[&str], layer: &Layer, ignored: &[IgnoredKey], current_dir: &Path) -> Option<Statement> {
    let entry = entry_at(&layer.value, parts)?;
    let definition = Definition::new(layer.origin.clone(), layer.class.clone()).at(&entry.node.span);
    let name = parts.join(".");
    let inert = ignored.iter().find(|ignored| {
        let below = ignored.key.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        below && ignored.definition.origin() == definition.origin()
    });
    let (outcome, reason) = match inert {
        Some(ignored) => (Outcome::Inert, format!("{}; {}", ignored.reason, ignored.how_to_trust)),
        None => (Outcome::Wins, String::new()),
    };
    let words = match &layer.class {
        LayerClass::Repository { trusted: true, .. } => "project, trusted",
        LayerClass::Repository { trusted: false, .. } => "project, not trusted",
        LayerClass::User => "user",
        LayerClass::Environment => "environment",
        LayerClass::CommandLine => "command line",
    };
    let value = match key.is_secret() {
        true => toml::Value::String(show::REDACTED.to_owned()).to_string(),
        false => raw(layer, &show::dotted(parts), current_dir),
    };
    Some(Statement { layer: words, origin: definition.to_string(), value, outcome, reason })
}

/// The value as the layer has it, whether it acts or not.
fn raw(layer: &Layer, name: &str, current_dir: &Path) -> String {
    let alone = Layer { class: LayerClass::User, ..layer.clone() };
    let config = merge(vec![alone], BTreeMap::new(), current_dir.to_owned()).map(|merged| merged.config);
    let lines = config.and_then(|config| show::show(&config, Some(name), Format::Toml { origins: false }));
    let lines = lines.unwrap_or_default();
    let values = lines.iter().map(|line| match line.strip_prefix(name).and_then(|rest| rest.strip_prefix(" = ")) {
        Some(value) => value.to_owned(),
        None => line.clone(),
    });
    values.collect::<Vec<_>>().join(", ")
}

/// What stands at a dotted key.
pub fn entry_at<'a>(root: &'a Node, parts: &[&str]) -> Option<&'a Entry> {
    let [first, rest @ ..] = parts else { return None };
    let entry = root.as_table()?.get(*first)?;
    if rest.is_empty() { Some(entry) } else { entry_at(&entry.node, rest) }
}

fn judge(key: &Key, statements: &mut [Statement]) {
    let joins = matches!(key.kind, Kind::List | Kind::StringOrList | Kind::Other) && key.pattern != "alias.*";
    let mut winner: Option<String> = None;
    for statement in statements.iter_mut().filter(|statement| statement.outcome != Outcome::Inert) {
        (statement.outcome, statement.reason) = match &winner {
            None => (Outcome::Wins, "the highest layer that sets it".to_owned()),
            Some(_) if joins => (Outcome::Joined, "layers of this key are joined".to_owned()),
            Some(winner) => (Outcome::Overridden, format!("{winner} counts above it")),
        };
        winner.get_or_insert_with(|| statement.origin.clone());
    }
}

/// No such key, and the one that was probably meant.
pub fn unknown(name: &str) -> Diagnostic {
    let error = Diagnostic::error("config-unknown-key", format!("there is no configuration key `{name}`"));
    let policy = bulkhead_schema::policy::POLICY_KEYS.iter().map(|key| key.pattern);
    match keys::nearest_of(name, KEYS.iter().map(|key| key.pattern).chain(policy)) {
        Some(near) => error.help(format!("a key with a similar name exists: `{near}`")),
        None => error.help("docs/configuration.md has all keys, and so has `bulkhead config schema`"),
    }
}

/// The keys that some layer or variable sets, in order: each once, down to the row that it belongs to.
pub fn keys_in_use(layers: &[Layer], environment: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    for layer in layers {
        collect(&layer.value, &mut Vec::new(), &mut found);
    }
    for key in KEYS.iter().filter(|key| !key.pattern.contains('*')) {
        let own = Config::variable(&key.pattern.split('.').collect::<Vec<_>>());
        let mut variables = special_variables(key.pattern).iter().copied().chain([own.as_str()]);
        if variables.any(|variable| environment.contains_key(variable)) {
            found.insert(key.pattern.to_owned());
        }
    }
    found.into_iter().collect()
}

/// What variables and `--config` say of keys that a project's file could not set: where it is said, and what.
pub fn said_outside_of_files(
    layers: &[Layer],
    environment: &BTreeMap<String, String>,
    current_dir: &Path,
) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for key in KEYS.iter().filter(|key| key.class != Class::Harmless) {
        let own = Config::variable(&key.pattern.split('.').collect::<Vec<_>>());
        let (start, end) = own.split_once('*').unwrap_or((&own, ""));
        let starting = environment.range(start.to_owned()..).take_while(|(name, _)| name.starts_with(start));
        let own = starting.filter(|(name, _)| *name == &own || own.contains('*') && name.ends_with(end));
        let special = special_variables(key.pattern).iter().filter_map(|name| environment.get_key_value(*name));
        for (name, value) in own.chain(special) {
            let Statement { origin, value, .. } = of_variable(key, name, value);
            said.insert(origin, value);
        }
    }
    for layer in layers.iter().filter(|layer| matches!(layer.origin, Origin::CommandLine(_))) {
        let mut names = std::collections::BTreeSet::new();
        collect(&layer.value, &mut Vec::new(), &mut names);
        for name in names {
            let path = KeyPath::parse(&name);
            let parts = path.parts();
            let key = keys::find(&parts).filter(|key| key.class != Class::Harmless);
            if let Some(statement) = key.and_then(|key| of_layer(key, &parts, layer, &[], current_dir)) {
                said.insert(format!("--config {name}"), statement.value);
            }
        }
    }
    said
}

fn collect<'a>(node: &'a Node, path: &mut Vec<&'a str>, found: &mut std::collections::BTreeSet<String>) {
    let Data::Table(table) = &node.data else {
        found.insert(show::dotted(path));
        return;
    };
    for (name, entry) in table {
        path.push(name);
        match keys::find(path) {
            Some(key) if !key.pattern.ends_with("**") => drop(found.insert(show::dotted(path))),
            _ => collect(&entry.node, path, found),
        }
        path.pop();
    }
}

/// The page `docs/configuration.md`.
#[cfg(test)]
fn page() -> String {
    let mut page = include_str!("../data/configuration.head.md").to_owned();
    for key in KEYS {
        let class = class(key.class).split(':').next().unwrap_or_default();
        let check = match key.check {
            keys::Check::None => "",
            keys::Check::Rustflags | keys::Check::Rustdocflags => "; flags on an allow-list act at once",
            keys::Check::InsideProject => "; a folder outside the project needs trust",
            keys::Check::Platform => "; a specification file needs trust",
            keys::Check::EnvironmentName => "; never variables that choose programs or libraries",
            keys::Check::AliasName => "; never names of built-in commands",
            keys::Check::NewRegistry => "; never a registry that the user has defined otherwise",
            keys::Check::PublishAge => "; a lower age needs trust",
        };
        let parts: Vec<&str> = key.pattern.split('.').collect();
        let own = (!key.pattern.contains("**")).then(|| Config::variable(&parts).replace('*', "NAME"));
        let variables = special_variables(key.pattern).iter().map(|name| (*name).to_owned()).chain(own);
        let mut variables: Vec<_> = variables.map(|name| format!("`{name}`")).collect();
        variables.dedup();
        page.push_str(&format!(
            "| `{}` | {} | {} | {class}{check} | {} | {} | {} |\n",
            key.pattern,
            kind(key.kind),
            key.default,
            variables.join(", "),
            key.precedence(),
            key.about
        ));
    }
    page.push_str(include_str!("../data/configuration.policy.md"));

    for key in bulkhead_schema::policy::POLICY_KEYS {
        let bulkhead_schema::policy::PolicyKey { pattern, kind, default, layers, about } = key;
        let kind = kind.describe();
        page.push_str(&format!("| `{pattern}` | {kind} | {default} | {layers} | {about} |\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use expect_test::{Expect, expect};

    use super::{explain, keys_in_use};
    use crate::{Layer, LayerClass};

    fn check(key: &str, expected: &Expect) {
        let file = |path: &str, text: &str, class| Layer::file(path, &Arc::from(text), class).unwrap();
        let project = LayerClass::Repository { trusted: false, root: "/p".into() };
        let layers = [
            file(
                "/home/config.toml",
                "[build]\njobs = 1\nrustflags = ['-a']\n[registry]\ntoken = 'hunter2'",
                LayerClass::User,
            ),
            file(
                "/p/.cargo/config.toml",
                "[build]\njobs = 2\nrustc = 'x'\nrustflags = ['-g']\n[registry]\ntoken='hunter2'",
                project,
            ),
            Layer::argument("build.rustdoc='d'").unwrap(),
        ];
        let environment: BTreeMap<_, _> =
            [("CARGO_BUILD_JOBS", "3"), ("RUSTC", "/r"), ("CARGO_REGISTRY_TOKEN", "hunter2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let shown = match explain(&layers, &environment, Path::new("/p"), key) {
            Err(error) => format!("{error} {:?}", error.help),
            Ok(explanation) => {
                let lines = explanation
                    .layers
                    .iter()
                    .map(|it| format!("{:?} {} {} {}: {}\n", it.outcome, it.layer, it.origin, it.value, it.reason));
                lines.collect()
            }
        };
        assert!(!shown.contains("hunter2"));
        expected.assert_eq(&shown);
    }

    /// A part that holds dots is written in quotes, as TOML has it, and is told of in the same way.
    #[test]
    fn parts_in_quotes_may_hold_dots() {
        let text = "[target.'cfg(target_os = \"a.b\")']\nrustflags = ['-g']\n[env]\n'A.B' = 'c'\n[target.'cfg(unix)']\nrunner = 'r'";
        let layers = [Layer::file("/home/config.toml", &Arc::from(text), LayerClass::User).unwrap()];
        let value = |key: &str| {
            let found = explain(&layers, &BTreeMap::new(), Path::new("/p"), key).ok()?;
            Some(found.layers.first().map(|it| it.value.clone()).unwrap_or_default())
        };
        for key in keys_in_use(&layers, &BTreeMap::new()) {
            assert_ne!(value(&key).unwrap(), "", "what is listed can be asked for: {key}");
        }
        for (key, expected) in [
            ("target.'cfg(target_os = \"a.b\")'.rustflags", Some("[\"-g\"]")),
            (r#"target."cfg(target_os = \"a.b\")".rustflags"#, Some("[\"-g\"]")),
            ("env.\"A.B\"", Some("\"c\"")),
            ("target.cfg(unix).runner", Some("\"r\"")),
            ("target.\"cfg(unix)\".runner", Some("\"r\"")),
            // What does not end, or goes on behind its end, is not in quotes.
            ("registries.\"a.b.index", None),
            ("registries.\"a.b\"c.index", None),
            ("registries.\"a\nb\".index.x", None),
        ] {
            assert_eq!(value(key).as_deref(), expected, "{key}");
        }
        let shown = explain(&layers, &BTreeMap::new(), Path::new("/p"), "registries.\"a.b\".index").unwrap();
        assert_eq!((shown.key.as_str(), shown.layers.len()), ("registries.\"a.b\".index", 0));
    }

    #[test]
    fn every_layer_says_what_becomes_of_it() {
        check(
            "build.jobs",
            &expect![[r#"
            Wins environment environment variable `CARGO_BUILD_JOBS` "3": the highest layer that sets it
            Overridden project, not trusted /p/.cargo/config.toml:2 2: environment variable `CARGO_BUILD_JOBS` counts above it
            Overridden user /home/config.toml:2 1: environment variable `CARGO_BUILD_JOBS` counts above it
        "#]],
        );
        check(
            "build.rustflags",
            &expect![[r#"
            Wins project, not trusted /p/.cargo/config.toml:4 ["-g"]: the highest layer that sets it
            Joined user /home/config.toml:3 ["-a"]: layers of this key are joined
        "#]],
        );
        check(
            "build.rustc",
            &expect![[r#"
            Wins environment environment variable `RUSTC` "/r": the highest layer that sets it
            Inert project, not trusted /p/.cargo/config.toml:3 "x": it chooses programs, their arguments or the code that is built; look at the file, then run `bulkhead trust /p/.cargo/config.toml`
        "#]],
        );
        check(
            "build.rustdoc",
            &expect![[r#"
            Wins command line --config cli option "d": the highest layer that sets it
        "#]],
        );
        check(
            "registry.token",
            &expect![[r#"
                Wins environment environment variable `CARGO_REGISTRY_TOKEN` "<redacted>": the highest layer that sets it
                Inert project, not trusted /p/.cargo/config.toml:6 "<redacted>": secrets are never read from a project's file; take it out and have it revoked, since whoever could read the file may have it; tokens of registries are kept by `bulkhead login`, variables are set in the environment of the command
                Overridden user /home/config.toml:5 "<redacted>": environment variable `CARGO_REGISTRY_TOKEN` counts above it
            "#]],
        );
        check(
            "build.job",
            &expect![[
                r#"there is no configuration key `build.job` [config-unknown-key] ["a key with a similar name exists: `build.jobs`"]"#
            ]],
        );
        check("net.retry", &expect![[""]]);
    }

    /// docs/configuration.md has every key. `UPDATE_EXPECT=1` writes it.
    #[test]
    fn the_page_of_keys_is_up_to_date() {
        let page = crate::explain::page();
        expect_test::expect_file!["../../../docs/configuration.md"].assert_eq(&page);
    }
}
