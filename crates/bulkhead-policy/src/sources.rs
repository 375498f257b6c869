//! Where packages may come from: names that are reserved for a registry, and the places that are allowed at all.

use std::collections::BTreeSet;

use bulkhead_schema::policy::{Reservation, canonical_name};
use bulkhead_schema::{Diagnostic, PackageName, SourceId};

use crate::effective::PolicySource;

/// What the layers say about places. Every layer has to agree, so that a lower one can only tighten.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sources {
    /// The reservations of each layer that has any.
    pub(crate) reservations: Vec<(PolicySource, Vec<Reservation>)>,
    /// Allowed registries, by layer.
    pub(crate) registries: Vec<(PolicySource, Vec<String>)>,
    /// Allowed beginnings of git addresses, by layer.
    pub(crate) git: Vec<(PolicySource, Vec<String>)>,
}

impl Sources {
    /// Whether nothing is restricted.
    pub fn is_empty(&self) -> bool {
        self.reservations.is_empty() && self.registries.is_empty() && self.git.is_empty()
    }

    /// The names of registries that the rules use, which are no addresses.
    pub fn registry_names(&self) -> BTreeSet<&str> {
        let reserved = self.reservations.iter().flat_map(|(_, list)| list).map(|reservation| &reservation.registry);
        let allowed = self.registries.iter().flat_map(|(_, list)| list);
        reserved.chain(allowed).map(String::as_str).filter(|text| !text.contains(':')).collect()
    }

    /// Decides whether `package` may come from `source`. Folders of this machine are the user's own choice and always
    /// pass. `registry` tells which registry a name in a policy stands for.
    ///
    /// # Errors
    /// `source-reserved`: the name is reserved for another registry, or for one that is not configured.
    /// `source-not-allowed`: nothing may come from there.
    pub fn check(
        &self,
        package: PackageName,
        source: SourceId,
        registry: &dyn Fn(&str) -> Option<SourceId>,
    ) -> Result<(), Diagnostic> {
        if source.is_path() {
            return Ok(());
        }
        for (layer, reservations) in &self.reservations {
            let matching = reservations.iter().filter(|reservation| reservation.names.matches(package.as_str()));
            let Some(closest) = matching.max_by_key(|reservation| reservation.names.closeness()) else { continue };
            if named(&closest.registry, registry) != Some(source) {
                return Err(reserved(package, source, closest, *layer, registry));
            }
        }
        self.check_place(package, source, registry)
    }

    fn check_place(
        &self,
        package: PackageName,
        source: SourceId,
        registry: &dyn Fn(&str) -> Option<SourceId>,
    ) -> Result<(), Diagnostic> {
        let refused = |layer: PolicySource, key: &str| {
            Err(Diagnostic::error(
                "source-not-allowed",
                format!("`{package}` would come from {}, which {layer} does not allow", described(source)),
            )
            .help(format!("add it to `sources.{key}` there if packages may come from it")))
        };
        let is_registry = !matches!(source.kind(), bulkhead_schema::SourceKind::Git(_));
        for (layer, allowed) in self.registries.iter().filter(|_| is_registry) {
            if !allowed.iter().any(|text| named(text, registry) == Some(source)) {
                return refused(*layer, "registries");
            }
        }
        for (layer, allowed) in self.git.iter().filter(|_| !is_registry) {
            if !allowed.iter().any(|beginning| begins(source.url(), beginning)) {
                return refused(*layer, "git");
            }
        }
        Ok(())
    }
}

/// The registry that a policy calls `text`: a name, or an address with or without its kind.
fn named(text: &str, registry: &dyn Fn(&str) -> Option<SourceId>) -> Option<SourceId> {
    if !text.contains(':') {
        return registry(text);
    }
    SourceId::parse(text).or_else(|_| SourceId::parse(&format!("registry+{text}"))).ok()
}

/// Whether `url` is `beginning`, or goes on with a `/` after it: `…/acme` does not mean `…/acme-evil`.
fn begins(url: &str, beginning: &str) -> bool {
    let beginning = beginning.trim_end_matches('/');
    url.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest == ".git" || rest.starts_with('/'))
}

fn described(source: SourceId) -> String {
    if source.is_crates_io() { "the public registry".to_owned() } else { format!("`{source}`") }
}

fn reserved(
    package: PackageName,
    source: SourceId,
    reservation: &Reservation,
    layer: PolicySource,
    registry: &dyn Fn(&str) -> Option<SourceId>,
) -> Diagnostic {
    let Reservation { names, registry: wanted, reason, .. } = reservation;
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let message = format!(
        "`{package}` would come from {}, but {layer} reserves `{names}` for the registry `{wanted}`{reason}",
        described(source)
    );
    let error = Diagnostic::error("source-reserved", message);
    if named(wanted, registry).is_none() {
        return error.help(format!("no registry is called `{wanted}` here: name its index in `[registries.{wanted}]`"));
    }
    let place = if wanted.contains(':') { "registry-index" } else { "registry" };
    error.help(format!("if you depend on it, write `{} = {{ …, {place} = \"{wanted}\" }}`", canonical(package))).help(
        format!(
            "if the name is meant to come from elsewhere, add a `[[reserve]]` with `name = \"{package}\"` and its registry"
        ),
    )
}

/// Only for advice; the user's own spelling is not known here.
fn canonical(package: PackageName) -> String {
    let name = canonical_name(package.as_str());
    if name == package.as_str() { name } else { package.to_string() }
}

#[cfg(test)]
mod tests {
    use crate::{PolicyLayer, PolicySource, effective};
    use bulkhead_schema::policy::parse_policy;
    use bulkhead_schema::{PackageName, SourceId};
    use std::path::Path;
    use std::sync::Arc;

    fn check(layers: &[(PolicySource, &str)], name: &str, source: &str) -> Result<(), String> {
        let layers: Vec<_> = layers
            .iter()
            .map(|&(source, text)| {
                let policy = parse_policy(Path::new("policy.toml"), &Arc::from(text)).unwrap();
                PolicyLayer { source, policy }
            })
            .collect();
        let registry = |name: &str| match name {
            "crates-io" => Some(SourceId::crates_io()),
            "acme" => SourceId::parse("sparse+https://acme.example/index/").ok(),
            _ => None,
        };
        let source = match source {
            "" => SourceId::crates_io(),
            source => SourceId::parse(source).unwrap(),
        };
        effective(&layers)
            .sources
            .check(PackageName::registry(name).unwrap(), source, &registry)
            .map_err(|error| error.to_string())
    }

    const ACME: &str = "sparse+https://acme.example/index/";
    const PROJECT: PolicySource = PolicySource::Workspace { trusted: false };

    #[test]
    fn a_reserved_name_comes_from_its_registry_only() {
        let text =
            "[[reserve]]\nprefix='acme-'\nregistry='acme'\n[[reserve]]\nname='acme-public'\nregistry='crates-io'";
        let layers = [(PROJECT, text)];
        assert_eq!(check(&layers, "acme-core", ACME), Ok(()));
        assert_eq!(check(&layers, "serde", ""), Ok(()));
        assert_eq!(check(&layers, "acme-public", ""), Ok(()));
        assert!(check(&layers, "acme-public", ACME).is_err());
        assert!(check(&layers, "acme-core", "path+file:///work/acme-core").is_ok());
        for (name, source) in
            [("acme-core", ""), ("Acme_Core", ""), ("acme-core", "git+https://evil.example/acme/acme-core")]
        {
            let error = check(&layers, name, source).unwrap_err();
            assert!(error.contains("reserves `acme-*` for the registry `acme`"), "{error}");
        }
        let unknown = [(PROJECT, "[[reserve]]\nprefix='acme-'\nregistry='nowhere'")];
        assert!(check(&unknown, "acme-core", ACME).is_err());
        let address = [(PROJECT, "[[reserve]]\nprefix='acme-'\nregistry='sparse+https://acme.example/index/'")];
        assert_eq!(check(&address, "acme-core", ACME), Ok(()));
    }

    #[test]
    fn a_lower_layer_only_tightens() {
        let high = "[[reserve]]\nprefix='acme-'\nregistry='acme'\n[sources]\nregistries=['acme','crates-io']";
        let low = "[[reserve]]\nname='acme-core'\nregistry='crates-io'\n[sources]\nregistries=['crates-io']";
        let layers = [(PolicySource::Organisation, high), (PROJECT, low)];
        assert!(check(&layers, "acme-core", "").is_err());
        assert!(check(&layers, "acme-core", ACME).is_err());
        assert!(check(&layers, "acme-other", ACME).is_err(), "the project does not allow it");
        assert_eq!(check(&layers, "serde", ""), Ok(()));
        let trusted = PolicySource::Workspace { trusted: true };
        let wider = "[sources]\nregistries=['crates-io','acme','sparse+https://more.example/']";
        let more = "sparse+https://more.example/";
        assert_eq!(check(&[(PolicySource::User, high), (trusted, wider)], "x", more), Ok(()));
        assert!(check(&[(PolicySource::User, high), (PROJECT, wider)], "x", more).is_err());
        let locked = format!("locked=['sources']\n{high}");
        assert!(check(&[(PolicySource::User, &locked), (trusted, wider)], "x", more).is_err());
    }

    #[test]
    fn git_repositories_are_allowed_by_the_beginning_of_their_address() {
        let layers = [(PROJECT, "[sources]\ngit=['https://git.example/acme/']")];
        assert_eq!(check(&layers, "x", "git+https://git.example/acme/x.git?branch=main"), Ok(()));
        assert_eq!(check(&layers, "x", "git+https://git.example/acme"), Ok(()));
        for other in ["https://git.example/acme-evil/x", "https://evil.example/acme/x", "ssh://git@git.example/acme/x"]
        {
            let error = check(&layers, "x", &format!("git+{other}")).unwrap_err();
            assert!(error.contains("the project's `bulkhead.toml` does not allow"), "{error}");
        }
        assert_eq!(check(&layers, "x", ""), Ok(()));
        assert!(check(&[(PROJECT, "[sources]\ngit=[]")], "x", "git+https://git.example/acme/x").is_err());
    }
}
