//! `[target]` and the flags for compilers, which come from one of several places.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::build_script::{self, BuildScriptOutput, Speaker};
use bulkhead_schema::platform::{Cfg, CfgExpr};

use crate::layer::Value;
use crate::read::{Config, Item, Tree};

/// What `[target.TRIPLE]` and the matching `[target.'cfg(…)']` say about one platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetConfig {
    /// Linker, a bare name or a path.
    pub linker: Option<Value<PathBuf>>,
    /// Program that runs executables of the platform.
    pub runner: Option<Value<Runner>>,
    /// Flags for rustc: of the matching `cfg`s, sorted by their text, and then of the triple.
    pub rustflags: Vec<Value<String>>,
    /// Flags for rustdoc.
    pub rustdocflags: Vec<Value<String>>,
    /// Build scripts that are replaced by what is written here, by `links` name.
    pub links: Vec<LinksOverride>,
}

/// A program that runs executables of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// A bare name or a path.
    pub program: PathBuf,
    /// Its arguments before the executable.
    pub arguments: Vec<String>,
}

/// `[target.TRIPLE.LINKS]`: what the build script would have said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinksOverride {
    /// The `links` value of the package.
    pub links: String,
    /// Directives in the form of a build script, such as `("rustc-link-lib", "foo")`, in the order of the keys.
    pub directives: Vec<(String, String)>,
    /// Everything else: metadata for dependents.
    pub metadata: Vec<(String, String)>,
}

impl LinksOverride {
    /// The same as if the script had said it.
    ///
    /// # Errors
    /// A directive that breaks the grammar.
    pub fn output(&self) -> Result<BuildScriptOutput, Box<Diagnostic>> {
        let lines = self.directives.iter().chain(&self.metadata).map(|(key, value)| format!("cargo:{key}={value}\n"));
        let speaker = Speaker {
            package: &self.links,
            has_cdylib: true,
            has_tests: true,
            has_benches: true,
            has_examples: true,
            ..Speaker::default()
        };
        Ok(build_script::parse(lines.collect::<String>().as_bytes(), &speaker)?.0)
    }
}

impl Config {
    /// What is configured for the platform `triple`, whose `rustc --print=cfg` is `cfgs`.
    ///
    /// # Errors
    /// A wrong type; two `cfg` tables that match and both set a linker or a runner.
    pub fn target_table(&self, triple: &str, cfgs: &[Cfg]) -> Result<TargetConfig, Diagnostic> {
        let matching = self.matching_cfgs(cfgs);
        let mut target = TargetConfig {
            linker: self.program(["target", triple, "linker"])?,
            runner: self.runner(triple)?,
            rustflags: self.platform_flags(triple, &matching, "rustflags")?,
            rustdocflags: self.platform_flags(triple, &[], "rustdocflags")?,
            links: self.links_overrides(triple)?,
        };
        if target.linker.is_none() {
            let found = matching.iter().map(|cfg| Ok((*cfg, self.program(["target", cfg, "linker"])?)));
            target.linker = only("linker", found)?;
        }
        if target.runner.is_none() {
            target.runner = only("runner", matching.iter().map(|cfg| Ok((*cfg, self.runner(cfg)?))))?;
        }
        Ok(target)
    }

    fn matching_cfgs(&self, cfgs: &[Cfg]) -> Vec<&str> {
        let names = self.item("target").and_then(Item::as_table).into_iter().flat_map(|table| table.keys());
        names
            .map(String::as_str)
            .filter(|name| {
                let inner = name.strip_prefix("cfg(").and_then(|rest| rest.strip_suffix(')'));
                inner.and_then(|inner| inner.parse::<CfgExpr>().ok()).is_some_and(|cfg| cfg.matches(cfgs))
            })
            .collect()
    }

    fn runner(&self, platform: &str) -> Result<Option<Value<Runner>>, Diagnostic> {
        let Some(Value { value: mut words, definition }) = self.command(["target", platform, "runner"])? else {
            return Ok(None);
        };
        let program = Value { value: words.remove(0), definition };
        Ok(Some(self.resolve_program(program).map(|program| Runner { program, arguments: words })))
    }

    fn platform_flags(&self, triple: &str, matching: &[&str], key: &str) -> Result<Vec<Value<String>>, Diagnostic> {
        let mut flags = self.string_or_list(["target", triple, key])?;
        for cfg in matching {
            flags.extend(self.string_or_list(["target", cfg, key])?);
        }
        Ok(flags)
    }

    fn links_overrides(&self, triple: &str) -> Result<Vec<LinksOverride>, Diagnostic> {
        let known = ["ar", "linker", "runner", "rustflags", "rustdocflags"];
        let Some(table) = self.table(["target", triple])? else { return Ok(Vec::new()) };
        table.iter().filter(|(name, _)| !known.contains(&name.as_str())).map(|(name, item)| links(name, item)).collect()
    }

    /// The flags for rustc: `CARGO_ENCODED_RUSTFLAGS`, else `RUSTFLAGS`, else those of the platform, else
    /// `build.rustflags` (Cargo Book, `build.rustflags`).
    pub fn rustflags(&self, triple: &str, cfgs: &[Cfg]) -> Result<Vec<Value<String>>, Diagnostic> {
        let platform = || self.platform_flags(triple, &self.matching_cfgs(cfgs), "rustflags");
        self.flags("RUSTFLAGS", "build.rustflags", platform)
    }

    /// The flags for rustdoc, by the same rule.
    pub fn rustdocflags(&self, triple: &str) -> Result<Vec<Value<String>>, Diagnostic> {
        self.flags("RUSTDOCFLAGS", "build.rustdocflags", || self.platform_flags(triple, &[], "rustdocflags"))
    }

    fn flags(
        &self,
        variable: &str,
        key: &str,
        platform: impl FnOnce() -> Result<Vec<Value<String>>, Diagnostic>,
    ) -> Result<Vec<Value<String>>, Diagnostic> {
        let split = |found: Value<String>, separator: char| -> Vec<Value<String>> {
            let words = found.value.split(separator).map(str::trim).filter(|word| !word.is_empty());
            words.map(|word| Value { value: word.to_owned(), definition: found.definition.clone() }).collect()
        };
        if let Some(encoded) = self.environment(&format!("CARGO_ENCODED_{variable}")) {
            let words = encoded.value.split('\x1f').filter(|word| !word.is_empty());
            return Ok(words
                .map(|word| Value { value: word.to_owned(), definition: encoded.definition.clone() })
                .collect());
        }
        if let Some(line) = self.environment(variable) {
            return Ok(split(line, ' '));
        }
        let flags = platform()?;
        if flags.is_empty() { self.string_or_list(key) } else { Ok(flags) }
    }
}

fn only<'a, T>(
    key: &str,
    found: impl Iterator<Item = Result<(&'a str, Option<Value<T>>), Diagnostic>>,
) -> Result<Option<Value<T>>, Diagnostic> {
    let mut first: Option<(&str, Value<T>)> = None;
    for value in found {
        let (cfg, Some(value)) = value? else { continue };
        if let Some((first_cfg, first)) = &first {
            let message = format!(
                "several matching instances of `target.'cfg(..)'.{key}` in configurations\n\
                 first match `{first_cfg}` located in {}\nsecond match `{cfg}` located in {}",
                first.definition, value.definition
            );
            return Err(value.definition.error("config-target-ambiguous", message));
        }
        first = Some((cfg, value));
    }
    Ok(first.map(|(_, value)| value))
}

fn links(name: &str, item: &Item) -> Result<LinksOverride, Diagnostic> {
    let wrong =
        |item: &Item, what: &str| item.definition.error("config-type", format!("`{name}` in `[target]` {what}"));
    let Some(table) = item.as_table() else { return Err(wrong(item, "is no known key and no table")) };
    let mut parsed = LinksOverride { links: name.to_owned(), directives: Vec::new(), metadata: Vec::new() };
    for (key, item) in table {
        if ["warning", "rerun-if-changed", "rerun-if-env-changed"].contains(&key.as_str()) {
            let message = format!("`{key}` is not supported in build script overrides");
            return Err(item.definition.error("config-links", message));
        }
        let list = if key.starts_with("rustc-") { &mut parsed.directives } else { &mut parsed.metadata };
        match &item.tree {
            // A value that goes on in another line would be another directive.
            _ if texts(item).any(|text| text.contains(['\n', '\r'])) => {
                return Err(wrong(item, "has a line break in it"));
            }
            Tree::String(text) => list.push((key.clone(), text.clone())),
            Tree::List(items) => {
                for item in items {
                    let Tree::String(text) = &item.tree else {
                        return Err(wrong(item, "has a value that is no string"));
                    };
                    list.push((key.clone(), text.clone()));
                }
            }
            Tree::Table(entries) if key == "rustc-env" => {
                for (variable, item) in entries {
                    let Tree::String(text) = &item.tree else {
                        return Err(wrong(item, "has a value that is no string"));
                    };
                    list.push((key.clone(), format!("{variable}={text}")));
                }
            }
            _ => return Err(wrong(item, "has a value that is no string")),
        }
    }
    Ok(parsed)
}

/// The texts of a value.
fn texts(item: &Item) -> impl Iterator<Item = &str> {
    let (single, list, table): (Option<&Item>, &[Item], Option<&BTreeMap<String, Item>>) = match &item.tree {
        Tree::List(items) => (None, items, None),
        Tree::Table(entries) => (None, &[], Some(entries)),
        _ => (Some(item), &[], None),
    };
    let items = single.into_iter().chain(list).chain(table.into_iter().flat_map(BTreeMap::values));
    items.filter_map(|item| if let Tree::String(text) = &item.tree { Some(text.as_str()) } else { None })
}
