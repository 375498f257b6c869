//! `config explain` of a policy's key: which layers speak of it, and which of them change what holds.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::config::{Data, Node, Table};
use bulkhead_schema::policy::{PolicyKey, read_policy};

use crate::effective::{Effective, PolicyLayer, PolicySource, effective};

/// A policy file, parsed but not yet read.
pub struct PolicyText<'a> {
    /// Whose.
    pub source: PolicySource,
    /// Where.
    pub path: &'a Path,
    /// What is in it.
    pub text: &'a Arc<str>,
    /// The same, parsed.
    pub root: &'a Node,
}

/// What one file says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// The place of the file among those that were given.
    pub file: usize,
    /// Where in it the first value stands.
    pub span: Range<usize>,
    /// The values as they are written. Untrusted.
    pub value: String,
    /// Whether something else would hold without them.
    pub acts: bool,
    /// Why, or why not.
    pub reason: &'static str,
}

/// Asks each of `files`, the organisation's first, about `key`. What holds is not computed a second time here: each file is
/// left out in turn, and what changes is its doing.
///
/// # Errors
/// A file that cannot be understood.
pub fn spoken(files: &[PolicyText<'_>], key: &PolicyKey) -> Result<Vec<Spoken>, Diagnostic> {
    let parts: Vec<&str> = key.pattern.split('.').map(|part| part.trim_end_matches("[]")).collect();
    let table = parts.first().copied().unwrap_or_default();
    let layers = files.iter().map(|file| {
        let reduced = reduced(file.root, &[table, "locked"]);
        Ok(PolicyLayer { source: file.source, policy: read_policy(&reduced, file.path, file.text)? })
    });
    let layers = layers.collect::<Result<Vec<_>, Diagnostic>>()?;
    let whole = held(&layers);
    let mut answers = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let mut spans = Vec::new();
        find(file.root, &parts, &mut spans);
        let Some(first) = spans.first().cloned() else { continue };
        let values: Vec<_> = spans.iter().filter_map(|span| file.text.get(span.clone())).collect();
        let mut without = layers.clone();
        let mut root = reduced(file.root, &[table, "locked"]);
        remove(&mut root, &parts);
        // A table without a key that it needs is no policy: then all of it is the key's doing.
        let rest = read_policy(&root, file.path, file.text)
            .or_else(|_| read_policy(&reduced(file.root, &["locked"]), file.path, file.text))?;
        if let Some(layer) = without.get_mut(index) {
            layer.policy = rest;
        }
        let acts = held(&without) != whole;
        let reason = reason(acts, key, index, &layers, file.source);
        answers.push(Spoken { file: index, span: first, value: values.join(", "), acts, reason });
    }
    Ok(answers)
}

fn reason(acts: bool, key: &PolicyKey, index: usize, layers: &[PolicyLayer], source: PolicySource) -> &'static str {
    let above = layers.get(..index).unwrap_or_default();
    let locked = above.iter().any(|layer| !layer.policy.locked.is_empty());
    match source {
        _ if key.pattern == "locked" => "it holds for the layers below",
        _ if acts => "it changes what holds",
        PolicySource::Workspace { trusted: false } => {
            "it may not loosen anything: the file is not trusted (`bulkhead trust bulkhead.toml`)"
        }
        _ if locked => "a higher layer locks it, or another layer says the same or more",
        _ => "another layer says the same or more",
    }
}

/// What holds, without remarks about it.
fn held(layers: &[PolicyLayer]) -> Effective {
    let mut held = effective(layers);
    held.notes.clear();
    held.catalogue_in_vain.clear();
    held.settle_limits();
    held
}

fn reduced(root: &Node, keep: &[&str]) -> Node {
    let table = root.as_table().into_iter().flatten().filter(|(name, _)| keep.contains(&name.as_str()));
    let table: Table = table.map(|(name, entry)| (name.clone(), entry.clone())).collect();
    Node { data: Data::Table(table), span: root.span.clone() }
}

fn find(node: &Node, parts: &[&str], spans: &mut Vec<Range<usize>>) {
    match (&node.data, parts) {
        (_, []) => spans.push(node.span.clone()),
        (Data::Table(table), [first, rest @ ..]) => {
            if let Some(entry) = table.get(*first) {
                find(&entry.node, rest, spans);
            }
        }
        (Data::List(items), _) => items.iter().for_each(|item| find(item, parts, spans)),
        _ => {}
    }
}

fn remove(node: &mut Node, parts: &[&str]) {
    match (&mut node.data, parts) {
        (Data::Table(table), [last]) => drop(table.remove(*last)),
        (Data::Table(table), [first, rest @ ..]) => {
            if let Some(entry) = table.get_mut(*first) {
                remove(&mut entry.node, rest);
            }
        }
        (Data::List(items), _) => items.iter_mut().for_each(|item| remove(item, parts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{PolicyText, spoken};
    use crate::PolicySource::{self, Organisation, User, Workspace};
    use bulkhead_schema::policy::find_policy_key;
    use std::path::Path;
    use std::sync::Arc;

    fn check(key: &str, files: &[(PolicySource, &str)], expected: &[(&str, bool)]) {
        let path = Path::new("p");
        let texts: Vec<Arc<str>> = files.iter().map(|(_, text)| Arc::from(*text)).collect();
        let roots: Vec<_> = texts.iter().map(|text| bulkhead_schema::config::parse(path, text).unwrap()).collect();
        let files = files.iter().zip(&texts).zip(&roots);
        let files: Vec<_> =
            files.map(|(((source, _), text), root)| PolicyText { source: *source, path, text, root }).collect();
        let found = spoken(&files, find_policy_key(key).unwrap()).unwrap();
        let found: Vec<_> = found.iter().map(|it| (it.value.as_str(), it.acts)).collect();
        assert_eq!(found, expected, "{key}");
    }

    #[test]
    fn what_a_layer_changes_is_its_doing() {
        let org = (Organisation, "locked = ['limits', 'grant.network']\n[limits]\nmemory-mib = 100");
        let user = (User, "[limits]\nmemory-mib = 200\nprocesses = 5");
        check("limits.memory-mib", &[org, user], &[("100", true), ("200", false)]);
        check("limits.processes", &[org, user], &[("5", true)]);
        let grant = "[[grant]]\npackage = 'a'\nnetwork = true\nenv = ['A']\nreason = 'r'";
        let project = |trusted| (Workspace { trusted }, grant);
        check("grant.network", &[org, project(true)], &[("true", false)]);
        check("grant.env", &[org, project(true)], &[("['A']", true)]);
        check("grant.env", &[org, project(false)], &[("['A']", false)]);
        check("grant[].package", &[project(true)], &[("'a'", true)]);
        check(
            "sandbox.level",
            &[(Workspace { trusted: false }, "sandbox.level = 'landlock'")],
            &[("'landlock'", false)],
        );
    }
}
