//! What it takes for the build code of a package to run, as the layers have it together.

use bulkhead_schema::policy::{BuildCodeLevel, BuildCodeRules};
use semver::Version;

use crate::PolicySource;

/// The rules of every layer, the highest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildCode {
    layers: Vec<Layer>,
}

#[derive(Debug, Clone, PartialEq)]
struct Layer {
    source: PolicySource,
    /// Whether it may be laxer than what holds where no layer speaks.
    may_loosen: bool,
    rules: BuildCodeRules,
}

/// The level that holds for one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildCodeDecision {
    /// What it takes.
    pub level: BuildCodeLevel,
    /// The highest layer that asks for this level. `None`: it is the default.
    pub asked_by: Option<PolicySource>,
}

impl BuildCode {
    /// Adds a lower layer. Returns what it says in vain.
    pub(crate) fn push(&mut self, source: PolicySource, rules: &BuildCodeRules, may_loosen: bool) -> Vec<String> {
        if *rules == BuildCodeRules::default() {
            return Vec::new();
        }
        let levels = rules.level.into_iter().chain(rules.overrides.iter().map(|it| it.level));
        let lax = levels.min().is_some_and(|level| level < BuildCodeLevel::default());
        let note =
            || format!("`allow` in `[build-code]` of {source} does not act: it is locked, or its file is not trusted");
        let notes = (lax && !may_loosen).then(note).into_iter().collect();
        self.layers.push(Layer { source, may_loosen, rules: rules.clone() });
        notes
    }

    /// The level for one package. A layer asks for more than the ones above it, never for less, whether locked or not: who
    /// wants build code to be approved wants it of every project.
    pub fn decide(&self, package: &str, version: &Version) -> BuildCodeDecision {
        let mut decision = BuildCodeDecision { level: BuildCodeLevel::default(), asked_by: None };
        for layer in &self.layers {
            let Some(level) = layer.rules.level_of(package, version) else { continue };
            let first = decision.asked_by.is_none() && layer.may_loosen;
            if first || level > decision.level {
                decision = BuildCodeDecision { level, asked_by: Some(layer.source) };
            }
        }
        decision
    }

    /// Whether any package has another level than the default: if not, nobody has to be asked about each of them.
    pub fn is_default(&self) -> bool {
        self.layers.iter().all(|layer| layer.rules.level.is_none() && layer.rules.overrides.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{BuildCode, BuildCodeDecision};
    use crate::{PolicyLayer, PolicySource, effective};
    use bulkhead_schema::policy::{BuildCodeLevel, parse_policy};
    use semver::Version;
    use std::path::Path;
    use std::sync::Arc;

    const ORGANISATION: PolicySource = PolicySource::Organisation;
    const TRUSTED: PolicySource = PolicySource::Workspace { trusted: true };
    const UNTRUSTED: PolicySource = PolicySource::Workspace { trusted: false };

    fn of(layers: &[(PolicySource, &str)]) -> (BuildCode, Vec<String>) {
        let layer = |&(source, text): &(PolicySource, &str)| {
            let policy = parse_policy(Path::new("policy.toml"), &Arc::from(text)).unwrap();
            PolicyLayer { source, policy }
        };
        let effective = effective(&layers.iter().map(layer).collect::<Vec<_>>());
        (effective.build_code, effective.notes)
    }

    #[track_caller]
    fn check(layers: &[(PolicySource, &str)], level: BuildCodeLevel, asked_by: Option<PolicySource>) {
        let decision = of(layers).0.decide("a", &Version::new(1, 0, 0));
        assert_eq!(decision, BuildCodeDecision { level, asked_by });
    }

    #[test]
    fn a_lower_layer_asks_for_more_and_never_for_less() {
        use BuildCodeLevel::{Allow, Approve, Confined};
        let (allow, approve) = ("build-code.level = 'allow'", "build-code.level = 'approve'");
        let confined = "build-code.level = 'confined'";
        check(&[], Confined, None);
        check(&[(UNTRUSTED, approve)], Approve, Some(UNTRUSTED));
        check(&[(ORGANISATION, approve), (TRUSTED, allow)], Approve, Some(ORGANISATION));
        check(&[(ORGANISATION, approve), (PolicySource::User, confined)], Approve, Some(ORGANISATION));
        check(&[(ORGANISATION, confined), (TRUSTED, allow)], Confined, Some(ORGANISATION));
        check(&[(ORGANISATION, confined), (TRUSTED, approve)], Approve, Some(TRUSTED));
        check(&[(ORGANISATION, "locked = ['build-code']"), (TRUSTED, allow)], Confined, None);
        check(&[(TRUSTED, allow)], Allow, Some(TRUSTED));
        check(&[(UNTRUSTED, allow)], Confined, None);
        check(&[(ORGANISATION, allow), (UNTRUSTED, confined)], Confined, Some(UNTRUSTED));
        assert_eq!(of(&[(UNTRUSTED, allow)]).1.len(), 1);
        assert!(of(&[(TRUSTED, allow)]).1.is_empty());
    }

    #[test]
    fn exceptions_are_the_layers_own() {
        use BuildCodeLevel::{Approve, Confined};
        let but_a = "build-code.level = 'approve'\n[[build-code.override]]\npackage = 'a'\nlevel = 'confined'";
        check(&[(ORGANISATION, but_a)], Confined, Some(ORGANISATION));
        check(&[(ORGANISATION, but_a), (TRUSTED, "build-code.level = 'approve'")], Approve, Some(TRUSTED));
        check(&[(ORGANISATION, "build-code.level = 'approve'"), (TRUSTED, but_a)], Approve, Some(ORGANISATION));
    }
}
