//! Following `include` (Cargo Book, "Including extra configuration files") without touching a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::config::{Data, Node};

use crate::keys::Class;
use crate::layer::{Definition, Layer, LayerClass};
use crate::merge::{IgnoredKey, normalize};

/// Deepest chain of includes. Cargo has no limit and a chain of thousands takes it down.
pub const MAX_DEPTH: usize = 16;

/// Most files that one file may pull in, directly or not.
pub const MAX_FILES: usize = 64;

/// What [`expand`] returns.
#[derive(Debug, Clone, Default)]
pub struct Expanded {
    /// The included files and then the file itself: lowest precedence first.
    pub layers: Vec<Layer>,
    /// Includes of an untrusted file that leave the project.
    pub ignored: Vec<IgnoredKey>,
}

/// The text of a file and how far it is trusted; `None` if there is no such file. The reader refuses what is not a
/// regular file, follows no link out of the project, and says whether the file itself is enrolled.
pub type Read<'a> = dyn FnMut(&Path) -> Result<Option<(Arc<str>, LayerClass)>, Diagnostic> + 'a;

/// Parses a file and everything that it includes.
///
/// # Errors
/// Broken TOML; an include that is missing and not optional, does not end in `.toml`, forms a cycle, or goes deeper
/// than [`MAX_DEPTH`]; what `read` refuses.
pub fn expand(
    path: impl Into<PathBuf>,
    text: &Arc<str>,
    class: LayerClass,
    read: &mut Read<'_>,
) -> Result<Expanded, Diagnostic> {
    let mut expanded = Expanded::default();
    follow(&path.into(), text, class, read, &mut Vec::new(), &mut expanded)?;
    Ok(expanded)
}

fn follow(
    path: &Path,
    text: &Arc<str>,
    class: LayerClass,
    read: &mut Read<'_>,
    chain: &mut Vec<PathBuf>,
    expanded: &mut Expanded,
) -> Result<(), Diagnostic> {
    let layer = Layer::file(path, text, class)?;
    let definition = Definition::new(layer.origin.clone(), layer.class.clone());
    chain.push(path.to_owned());
    for include in includes(&layer.value, &definition)? {
        let base = path.parent().unwrap_or(Path::new("/"));
        let target = normalize(&base.join(&include.path)).unwrap_or_default();
        if let Some(ignored) = leaves_project(&target, &include, &layer.class) {
            expanded.ignored.push(ignored);
            continue;
        }
        let error = |message: String| Err(include.definition.error("config-include", message));
        if chain.contains(&target) {
            return error(format!("`{}` includes itself", target.display()));
        }
        if chain.len() >= MAX_DEPTH || expanded.layers.len() >= MAX_FILES {
            return error(format!("more than {MAX_DEPTH} levels or {MAX_FILES} files of includes"));
        }
        match read(&target)? {
            Some((text, class)) => {
                let class = inherit(&layer.class, class);
                follow(&target, &text, class, read, chain, expanded)?;
            }
            None if include.optional => {}
            None => return error(format!("the included file `{}` does not exist", target.display())),
        }
    }
    chain.pop();
    expanded.layers.push(layer);
    Ok(())
}

/// A file that a project's file includes is the project's word, wherever it lies.
fn inherit(parent: &LayerClass, child: LayerClass) -> LayerClass {
    let LayerClass::Repository { root, .. } = parent else { return child };
    let trusted = matches!(child, LayerClass::Repository { trusted: true, .. });
    LayerClass::Repository { trusted, root: root.clone() }
}

fn leaves_project(target: &Path, include: &Include, class: &LayerClass) -> Option<IgnoredKey> {
    let LayerClass::Repository { trusted: false, root } = class else { return None };
    (!target.starts_with(root)).then(|| IgnoredKey {
        key: "include".to_owned(),
        class: Class::ProgramChoosing,
        definition: include.definition.clone(),
        reason: format!("`{}` lies outside the project", target.display()),
        how_to_trust: "look at both files, then trust the including one with `bulkhead trust`".to_owned(),
        is_secret: false,
    })
}

struct Include {
    path: String,
    optional: bool,
    definition: Definition,
}

fn includes(root: &Node, layer: &Definition) -> Result<Vec<Include>, Diagnostic> {
    let Some(entry) = root.as_table().and_then(|table| table.get("include")) else { return Ok(Vec::new()) };
    let Some(items) = entry.node.as_list() else {
        return Err(layer.at(&entry.node.span).error("config-include", "`include` expected an array of files"));
    };
    items.iter().map(|item| one_include(item, layer)).collect()
}

fn one_include(item: &Node, layer: &Definition) -> Result<Include, Diagnostic> {
    let definition = layer.at(&item.span);
    let (path, optional) = match &item.data {
        Data::String(path) => (Some(path.as_str()), false),
        Data::Table(table) => {
            let optional = table.get("optional").is_some_and(|entry| entry.node.data == Data::Boolean(true));
            (table.get("path").and_then(|entry| entry.node.as_str()), optional)
        }
        _ => (None, false),
    };
    match path {
        Some(path) if path.ends_with(".toml") => Ok(Include { path: path.to_owned(), optional, definition }),
        Some(path) => {
            let message = format!("expected a config include path ending with `.toml`, but found `{path}`");
            Err(definition.error("config-include", message))
        }
        None => Err(definition.error("config-include", "an include is a path or a table with `path` and `optional`")),
    }
}
