//! What is in force in a workspace (configuration, policy, grants), as the audit log has it.

use std::collections::BTreeMap;
use std::path::Path;

use bulkhead_config::{Layer, LayerClass, Origin};
use bulkhead_policy::{Effective, PolicySource};
use bulkhead_schema::policy::{Grant, NetworkRule};
use bulkhead_trust::Digest;

use crate::Event;
use crate::audit::{self, Kind, Values};
use crate::options::Place;
use crate::policy::PolicyFile;

/// What configuration says, as far as it acts: of files, by path, what they hold and how far they are trusted.
#[derive(Debug, Clone, Default)]
pub struct ConfigurationFiles {
    project: Values,
    user: Values,
}

impl ConfigurationFiles {
    /// Those among `layers`.
    pub fn of(layers: &[Layer]) -> Self {
        let mut files = Self::default();
        for layer in layers {
            let Origin::File { path, text } = &layer.origin else { continue };
            let (values, state) = match &layer.class {
                LayerClass::Repository { trusted: true, .. } => (&mut files.project, "trusted"),
                LayerClass::Repository { trusted: false, .. } => (&mut files.project, "not trusted"),
                LayerClass::User => (&mut files.user, "user"),
                LayerClass::Environment | LayerClass::CommandLine => (&mut files.project, "--config"),
            };
            values.insert(path.display().to_string(), held(text, state));
        }
        files
    }

    /// Those, and what variables and flags say besides of keys that are not harmless.
    #[must_use]
    pub fn with(mut self, said: Values) -> Self {
        self.project.extend(said);
        self
    }
}

fn held(text: &str, state: &str) -> String {
    format!("sha256:{} ({state})", Digest::of(text.as_bytes()))
}

/// Writes down what came into force, or went out of it, since the workspace was last looked at.
pub fn observe(
    place: &Place,
    workspace_root: &Path,
    configuration: &ConfigurationFiles,
    policies: &[PolicyFile],
    policy: &Effective,
    events: &dyn Fn(Event),
) {
    let (mut project, mut everywhere) = (Values::new(), Values::new());
    for PolicyFile { path, text, layer } in policies {
        let (values, state) = match layer.source {
            PolicySource::Organisation => (&mut everywhere, "organisation"),
            PolicySource::User => (&mut everywhere, "user"),
            PolicySource::Workspace { trusted: true } => (&mut project, "trusted"),
            PolicySource::Workspace { trusted: false } => (&mut project, "not trusted"),
        };
        values.insert(path.display().to_string(), held(text, state));
    }
    let mut grants = Values::new();
    for grant in policy.grants() {
        let granted = grants.entry(format!("{} {}", grant.package, grant.version)).or_default();
        if !granted.is_empty() {
            granted.push_str("; ");
        }
        granted.push_str(&described(grant));
    }
    let user = [(Kind::Configuration, configuration.user.clone()), (Kind::Policy, everywhere)];
    audit::observe(place, &place.cargo_home, user, events);
    let own = [(Kind::Configuration, configuration.project.clone()), (Kind::Policy, project), (Kind::Grant, grants)];
    audit::observe(place, workspace_root, own, events);
}

fn described(grant: &Grant) -> String {
    let paths = |list: &[std::path::PathBuf]| list.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    let lists = BTreeMap::from([
        ("read", paths(&grant.read)),
        ("write", paths(&grant.write)),
        ("write-in-package", paths(&grant.write_in_package)),
        ("env", grant.env.clone()),
        ("directives", grant.directives.clone()),
    ]);
    let mut parts: Vec<String> = lists
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name} {}", list.join(" ")))
        .collect();
    match &grant.network {
        NetworkRule::None => {}
        NetworkRule::All => parts.push("network".to_owned()),
        NetworkRule::Hosts(hosts) => {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            parts.push(format!("network {}", hosts.join(" ")));
        }
    }
    parts.extend(grant.digest.as_ref().map(|digest| format!("for {digest}")));
    parts.join(", ")
}
