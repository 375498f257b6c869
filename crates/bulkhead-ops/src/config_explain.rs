//! `config explain`, `config list` and `config schema`.

use bulkhead_config::explain;
use bulkhead_policy::PolicySource;
use bulkhead_policy::explain::{PolicyText, spoken};
use bulkhead_schema::policy::{POLICY_KEYS, PolicyKey, find_policy_key};

pub use bulkhead_config::explain::{Explanation, Outcome, Statement};

use crate::error::Result;
use crate::options::{GlobalOptions, Place};
use crate::policy::PolicyFile;
use crate::{Error, ErrorKind, Event, configuration, policy, project};

/// Explains one key: of a policy if there is such a key, else of Cargo's configuration.
///
/// # Errors
/// There is no such key; a file cannot be understood.
pub fn explain(global: &GlobalOptions, key: &str) -> Result<Explanation> {
    if let Some(row) = find_policy_key(key) {
        return of_policy(&policy_files(global)?, row);
    }
    let layers = configuration::layers(global, &|_| ())?.0;
    let environment = configuration::environment(&global.place);
    Ok(explain::explain(&layers, &environment, &global.place.current_dir, key)?)
}

/// Explains every key that some layer sets: of Cargo's configuration, then of the policies.
///
/// # Errors
/// A file cannot be understood.
pub fn list(global: &GlobalOptions, events: &dyn Fn(Event)) -> Result<Vec<Explanation>> {
    let layers = configuration::layers(global, events)?.0;
    let environment = configuration::environment(&global.place);
    let mut explanations = Vec::new();
    for key in explain::keys_in_use(&layers, &environment) {
        match explain::explain(&layers, &environment, &global.place.current_dir, &key) {
            Ok(explanation) => explanations.push(explanation),
            Err(finding) if finding.code == "config-unknown-key" => {
                events(Event::Warning(finding.message));
            }
            Err(finding) => return Err(finding.into()),
        }
    }
    let files = policy_files(global)?;
    for row in POLICY_KEYS {
        let explanation = of_policy(&files, row)?;
        explanations.extend((!explanation.layers.is_empty()).then_some(explanation));
    }
    Ok(explanations)
}

/// The JSON Schema of `bulkhead.toml`, or (`cargo`) of Cargo's configuration.
///
/// # Errors
/// None but those of writing JSON.
pub fn schema(cargo: bool) -> Result<String> {
    let schema = if cargo { bulkhead_config::json_schema::cargo() } else { bulkhead_config::json_schema::policy() };
    serde_json::to_string_pretty(&schema).map_err(|error| Error::failure("failed to write JSON").because(error))
}

/// The policy files of the current project, or without one those of user and organisation.
pub(crate) fn policy_files(global: &GlobalOptions) -> Result<Vec<PolicyFile>> {
    let Place { disk, current_dir, .. } = &global.place;
    let root = match project::open(global, &|_| ()) {
        Ok(project) => project.workspace.root,
        // Also where the manifest is wrong, or a policy: then that is said next.
        Err(_) => configuration::project_root(disk, current_dir),
    };
    policy::layers(&global.place, &root)
}

fn of_policy(files: &[PolicyFile], row: &PolicyKey) -> Result<Explanation> {
    let refused = |finding| Error { kind: ErrorKind::Policy, ..Error::from(finding) };
    let roots = files.iter().map(|file| bulkhead_schema::config::parse(&file.path, &file.text));
    let roots = roots.collect::<std::result::Result<Vec<_>, _>>().map_err(refused)?;
    let texts: Vec<_> = files
        .iter()
        .zip(&roots)
        .map(|(file, root)| PolicyText { source: file.layer.source, path: &file.path, text: &file.text, root })
        .collect();
    let statements = spoken(&texts, row).map_err(refused)?.into_iter().filter_map(|spoken| {
        let file = files.get(spoken.file)?;
        let line = file.text.get(..spoken.span.start).unwrap_or_default().matches('\n').count() + 1;
        Some(Statement {
            layer: layer_name(file.layer.source),
            origin: format!("{}:{line}", file.path.display()),
            value: spoken.value,
            outcome: if spoken.acts || row.pattern == "locked" { Outcome::Wins } else { Outcome::Inert },
            reason: spoken.reason.to_owned(),
        })
    });
    Ok(Explanation {
        key: row.pattern.to_owned(),
        about: row.about.to_owned(),
        kind: row.kind.describe(),
        class: "policy: tightens at once, loosens if no higher layer locks it and the file is trusted".to_owned(),
        default: row.default.to_owned(),
        precedence: row.layers.to_owned(),
        layers: statements.collect(),
    })
}

fn layer_name(source: PolicySource) -> &'static str {
    match source {
        PolicySource::Organisation => "organisation",
        PolicySource::User => "user",
        PolicySource::Workspace { trusted: true } => "project, trusted",
        PolicySource::Workspace { trusted: false } => "project, not trusted",
    }
}
