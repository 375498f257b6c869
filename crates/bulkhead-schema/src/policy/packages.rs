//! The part of a policy that speaks about packages: where they may come from, which names are too close to others, how
//! large a graph may be.

use std::ops::Range;

use super::Reader;
use crate::config::{Data, Entry, Node};
use crate::ids::MAX_NAME_LENGTH;
use crate::{Diagnostic, PackageName};

/// `[[reserve]]`: packages of this name come from one registry and from nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// `name` or `prefix`
    pub names: NamePattern,
    /// `registry`: `crates-io`, a name of `[registries]` in the configuration, or the address of an index.
    pub registry: String,
    /// Why. For people.
    pub reason: Option<String>,
    /// Byte offsets of the table in the file.
    pub span: Range<usize>,
}

/// One name, or all that begin alike. Registries hold names that differ in case, or in `-` and `_`, to be the same, so
/// that they are compared in [`canonical_name`]'s form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePattern {
    /// `name`
    Exact(String),
    /// `prefix`
    Prefix(String),
}

impl NamePattern {
    /// Whether `name` is meant.
    pub fn matches(&self, name: &str) -> bool {
        let name = canonical_name(name);
        match self {
            Self::Exact(exact) => name == canonical_name(exact),
            Self::Prefix(prefix) => name.starts_with(&canonical_name(prefix)),
        }
    }

    /// How closely the pattern describes what it matches: the longer prefix is the closer one, a whole name the closest.
    pub fn closeness(&self) -> (bool, usize) {
        match self {
            Self::Exact(exact) => (true, exact.len()),
            Self::Prefix(prefix) => (false, prefix.len()),
        }
    }
}

/// `name`, or `prefix*`.
impl std::fmt::Display for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// The form in which registries compare names: lower case, `-` for `_`.
pub fn canonical_name(name: &str) -> String {
    name.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// `[sources]`: where packages may come from at all. A missing list allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRules {
    /// `registries`, in the words of [`Reservation::registry`].
    pub registries: Option<Vec<String>>,
    /// `git`: beginnings of repositories' addresses, up to a `/`.
    pub git: Option<Vec<String>>,
}

/// `[lookalikes]`: names that are easily taken for those of well-known packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookalikes {
    /// `level`
    pub level: Option<Reaction>,
    /// `allow`: names that somebody has looked at.
    pub allow: Vec<String>,
}

/// `[withdrawn]`: versions that their registry or their author took back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Withdrawn {
    /// `yanked`: versions that only the lockfile keeps.
    pub yanked: Option<Reaction>,
    /// `vanished`: versions that a registry once listed and lists no more.
    pub vanished: Option<Reaction>,
}

/// What happens to a package about which there is something to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaction {
    /// `allow`: nothing.
    Allow,
    /// `warn`: the user is told.
    #[default]
    Warn,
    /// `deny`: it is refused.
    Deny,
}

/// A table of `[limits]`: numbers, each of which a layer may leave to the one above.
pub trait Bounds: Copy + Default {
    /// Every key, its name in the file, and its place.
    fn fields(&mut self) -> Vec<(&'static str, &mut Option<u64>)>;
}

/// `[limits.resolve]`. Missing values are the defaults of the resolver and of the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResolveLimits {
    /// `packages` of the graph
    pub packages: Option<u64>,
    /// `depth`: the longest chain of packages that require one another
    pub depth: Option<u64>,
    /// `edges`: dependencies between packages of the graph
    pub edges: Option<u64>,
    /// `features` that are switched on, over all packages
    pub features: Option<u64>,
    /// `steps`: candidates that the solver tries
    pub steps: Option<u64>,
    /// `time-seconds` of solving, on the clock
    pub time_seconds: Option<u64>,
    /// `index-mib`: bytes of one answer of an index
    pub index_mib: Option<u64>,
    /// `archive-mib`: bytes of one package's archive
    pub archive_mib: Option<u64>,
}

impl Bounds for ResolveLimits {
    fn fields(&mut self) -> Vec<(&'static str, &mut Option<u64>)> {
        vec![
            ("packages", &mut self.packages),
            ("depth", &mut self.depth),
            ("edges", &mut self.edges),
            ("features", &mut self.features),
            ("steps", &mut self.steps),
            ("time-seconds", &mut self.time_seconds),
            ("index-mib", &mut self.index_mib),
            ("archive-mib", &mut self.archive_mib),
        ]
    }
}

/// `[limits.git]`. Missing values are the defaults of `bulkhead-git` and of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GitLimits {
    /// `pack-mib`: bytes of what one fetch brings
    pub pack_mib: Option<u64>,
    /// `objects` that one fetch brings
    pub objects: Option<u64>,
    /// `object-mib`: bytes of one object that git has to hold in memory
    pub object_mib: Option<u64>,
    /// `references`: branches and tags of a repository
    pub references: Option<u64>,
    /// `checkout-mib`: bytes of the files of one checkout, submodules included
    pub checkout_mib: Option<u64>,
    /// `checkout-entries`: files, folders and links of one checkout, submodules included
    pub checkout_entries: Option<u64>,
    /// `time-seconds` of one fetch, on the clock
    pub time_seconds: Option<u64>,
}

impl Bounds for GitLimits {
    fn fields(&mut self) -> Vec<(&'static str, &mut Option<u64>)> {
        vec![
            ("pack-mib", &mut self.pack_mib),
            ("objects", &mut self.objects),
            ("object-mib", &mut self.object_mib),
            ("references", &mut self.references),
            ("checkout-mib", &mut self.checkout_mib),
            ("checkout-entries", &mut self.checkout_entries),
            ("time-seconds", &mut self.time_seconds),
        ]
    }
}

/// Most `[[reserve]]` tables, allowed names and allowed places of one file.
const MAX_RULES: usize = 10_000;

impl Reader<'_> {
    pub(super) fn reservations(&self, entry: &Entry) -> Result<Vec<Reservation>, Diagnostic> {
        let tables = entry.node.as_list().ok_or_else(|| self.wrong(entry, "reserve", "an array of tables"))?;
        self.bounded(entry, tables.len())?;
        tables.iter().map(|node| self.reservation(node)).collect()
    }

    fn reservation(&self, node: &Node) -> Result<Reservation, Diagnostic> {
        let table =
            node.as_table().ok_or_else(|| self.error(&node.span, "`reserve` is an array of tables".to_owned()))?;
        let (mut names, mut registry, mut reason) = (None, None, None);
        for (key, entry) in table {
            match key.as_str() {
                "name" | "prefix" if names.is_some() => {
                    return Err(self.error(&entry.key_span, "one of `name` and `prefix`, not both".to_owned()));
                }
                "name" => names = Some(NamePattern::Exact(self.package_name(entry, key)?)),
                "prefix" => names = Some(NamePattern::Prefix(self.package_name(entry, key)?)),
                "registry" => registry = Some(self.place(entry, key)?),
                "reason" => reason = Some(self.string(entry, key)?),
                _ => return Err(self.unknown(key, entry)),
            }
        }
        let missing = |what: &str| self.error(&node.span, format!("a reservation names {what}"));
        Ok(Reservation {
            names: names.ok_or_else(|| missing("its packages by `name` or `prefix`"))?,
            registry: registry.ok_or_else(|| missing("its `registry`"))?,
            reason,
            span: node.span.clone(),
        })
    }

    /// A name, or the beginning of one: the same letters.
    fn package_name(&self, entry: &Entry, key: &str) -> Result<String, Diagnostic> {
        let text = self.string(entry, key)?;
        PackageName::registry(&text)
            .map_err(|error| self.error(&entry.node.span, format!("`{key}`: {error}")))
            .map(|name| name.to_string())
    }

    fn place(&self, entry: &Entry, key: &str) -> Result<String, Diagnostic> {
        let text = self.string(entry, key)?;
        self.check_place(entry, &text)?;
        Ok(text)
    }

    fn check_place(&self, entry: &Entry, text: &str) -> Result<(), Diagnostic> {
        if text.is_empty() || text.contains(char::is_whitespace) || text.contains(char::is_control) {
            return Err(self.error(&entry.node.span, format!("{text:?} is neither a name nor an address")));
        }
        Ok(())
    }

    pub(super) fn source_rules(&self, entry: &Entry) -> Result<SourceRules, Diagnostic> {
        let mut rules = SourceRules::default();
        for (key, entry) in self.table(entry, "sources")? {
            let list = match key.as_str() {
                "registries" => &mut rules.registries,
                "git" => &mut rules.git,
                _ => return Err(self.unknown(key, entry)),
            };
            let places = self.strings(entry, key)?;
            self.bounded(entry, places.len())?;
            places.iter().try_for_each(|place| self.check_place(entry, place))?;
            *list = Some(places);
        }
        Ok(rules)
    }

    pub(super) fn lookalikes(&self, entry: &Entry) -> Result<Lookalikes, Diagnostic> {
        let mut lookalikes = Lookalikes::default();
        for (key, entry) in self.table(entry, "lookalikes")? {
            match (key.as_str(), entry.node.as_str()) {
                ("level", Some(text)) if reaction(text).is_some() => lookalikes.level = reaction(text),
                ("level", _) => {
                    return Err(self.error(&entry.node.span, "`level` is `allow`, `warn` or `deny`".to_owned()));
                }
                ("allow", _) => {
                    lookalikes.allow = self.strings(entry, key)?;
                    self.bounded(entry, lookalikes.allow.len())?;
                    if let Some(name) = lookalikes.allow.iter().find(|name| name.len() > MAX_NAME_LENGTH) {
                        return Err(self.error(&entry.node.span, format!("{name:.40?}… is too long for a name")));
                    }
                }
                _ => return Err(self.unknown(key, entry)),
            }
        }
        Ok(lookalikes)
    }

    pub(super) fn withdrawn(&self, entry: &Entry) -> Result<Withdrawn, Diagnostic> {
        let mut withdrawn = Withdrawn::default();
        for (key, entry) in self.table(entry, "withdrawn")? {
            let slot = match key.as_str() {
                "yanked" => &mut withdrawn.yanked,
                "vanished" => &mut withdrawn.vanished,
                _ => return Err(self.unknown(key, entry)),
            };
            *slot = entry.node.as_str().and_then(reaction);
            if slot.is_none() {
                return Err(self.error(&entry.node.span, format!("`{key}` is `allow`, `warn` or `deny`")));
            }
        }
        Ok(withdrawn)
    }

    pub(super) fn bounds<T: Bounds>(&self, entry: &Entry, table: &str) -> Result<T, Diagnostic> {
        let mut limits = T::default();
        for (key, entry) in self.table(entry, table)? {
            self.bound(&mut limits, key, entry)?;
        }
        Ok(limits)
    }

    pub(super) fn bound<T: Bounds>(&self, limits: &mut T, key: &str, entry: &Entry) -> Result<(), Diagnostic> {
        let field = limits.fields().into_iter().find(|(name, _)| *name == key);
        let (_, limit) = field.ok_or_else(|| self.unknown(key, entry))?;
        match entry.node.data {
            Data::Integer(value) if value > 0 => *limit = u64::try_from(value).ok(),
            _ => return Err(self.wrong(entry, key, "a positive integer")),
        }
        Ok(())
    }

    fn bounded(&self, entry: &Entry, count: usize) -> Result<(), Diagnostic> {
        if count <= MAX_RULES {
            return Ok(());
        }
        Err(self.error(&entry.key_span, format!("more than {MAX_RULES} entries")))
    }
}

fn reaction(text: &str) -> Option<Reaction> {
    match text {
        "allow" => Some(Reaction::Allow),
        "warn" => Some(Reaction::Warn),
        "deny" => Some(Reaction::Deny),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, parse_policy};
    use super::{Bounds as _, NamePattern, Reaction};
    use std::path::Path;
    use std::sync::Arc;

    fn parsed(text: &str) -> Result<Policy, String> {
        parse_policy(Path::new("bulkhead.toml"), &Arc::from(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_about_packages_are_read_whole() {
        let policy = parsed(
            "[[reserve]]\nprefix = 'acme-'\nregistry = 'acme'\nreason = 'ours'\n\
             [[reserve]]\nname = 'acme-public'\nregistry = 'crates-io'\n\
             [sources]\nregistries = ['crates-io', 'acme']\ngit = []\n\
             [lookalikes]\nlevel = 'deny'\nallow = ['serdes']\n\
             [withdrawn]\nyanked = 'deny'\n\
             [limits]\nmemory-mib = 5\n[limits.resolve]\npackages = 7\nindex-mib = 1\n[limits.git]\nobjects = 9\n",
        )
        .unwrap();
        assert_eq!(policy.reservations[0].names, NamePattern::Prefix("acme-".to_owned()));
        assert_eq!(policy.reservations[1].registry, "crates-io");
        assert_eq!(policy.sources.git.as_deref(), Some(&[][..]));
        assert_eq!(policy.lookalikes.level, Some(Reaction::Deny));
        assert_eq!((policy.withdrawn.yanked, policy.withdrawn.vanished), (Some(Reaction::Deny), None));
        assert_eq!((policy.limits.every.memory_mib, policy.limits.resolve.packages), (Some(5), Some(7)));
        assert_eq!(policy.limits.git.objects, Some(9));
    }

    /// Every example in the documentation is a policy, and every key that is read stands there.
    #[test]
    fn the_documentation_is_true() {
        let page = include_str!("../../../../docs/policy.md");
        let mut examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
        for (example, _) in examples.by_ref() {
            parsed(example).unwrap_or_else(|error| panic!("{error}\n{example}"));
        }
        for (word, _) in super::super::LOCKS {
            assert!(page.contains(&format!("`{word}`")), "{word}");
        }
        let (mut resolve, mut git) = (super::ResolveLimits::default(), super::GitLimits::default());
        for (key, _) in resolve.fields().into_iter().chain(git.fields()) {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        for (text, message) in [
            ("[[reserve]]\nprefix = 'a'", "bulkhead.toml:1:1: a reservation names its `registry`"),
            ("[[reserve]]\nregistry = 'a'", "by `name` or `prefix`"),
            ("[[reserve]]\nname = 'a'\nprefix = 'b'\nregistry = 'c'", "bulkhead.toml:3:1: one of `name` and `prefix`"),
            ("[[reserve]]\nname = '../a'\nregistry = 'c'", "bulkhead.toml:2:8: `name`: invalid package name"),
            ("[[reserve]]\nname = 'a'\nregistry = 'c d'", "neither a name nor an address"),
            ("[[reserve]]\nname = 'a'\nregistyr = 'c'", "bulkhead.toml:3:1: unknown key `registyr`"),
            ("[sources]\nregistry = []", "bulkhead.toml:2:1: unknown key `registry`"),
            ("[sources]\ngit = 'x'", "`git` is an array of strings"),
            ("[withdrawn]\nyanked = 'no'", "bulkhead.toml:2:10: `yanked` is `allow`, `warn` or `deny`"),
            ("[withdrawn]\nlevel = 'deny'", "bulkhead.toml:2:1: "),
            ("[lookalikes]\nlevel = 'forbid'", "bulkhead.toml:2:9: `level` is `allow`, `warn` or `deny`"),
            ("[limits.resolve]\nsteps = -1", "bulkhead.toml:2:9: `steps` is a positive integer"),
            ("[limits.resolve]\nstep = 1", "bulkhead.toml:2:1: unknown key `step`"),
            ("[limits]\nresolve = 1", "`limits.resolve` is a table"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn names_that_registries_hold_to_be_the_same_are_the_same_here() {
        let prefix = NamePattern::Prefix("acme-".to_owned());
        assert!(["acme-core", "acme_core", "Acme-Core", "ACME_"].iter().all(|name| prefix.matches(name)));
        assert!(["acme", "acmecore", "xacme-core"].iter().all(|name| !prefix.matches(name)));
        assert!(NamePattern::Exact("acme-core".to_owned()).matches("acme_core"));
        assert!(!NamePattern::Exact("acme-core".to_owned()).matches("acme-core2"));
    }
}
