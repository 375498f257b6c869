//! `[source]`: places that stand in for others (Cargo Book, "Source Replacement").

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bulkhead_schema::{Diagnostic, SourceId};

use crate::layer::{Definition, Value};
use crate::read::{Config, Item};

/// The name under which the public registry can be replaced.
const CRATES_IO: &str = "crates-io";

/// Where a configured source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `registry = "…"` or `git = "…"`.
    Remote(SourceId),
    /// `directory = "…"`: a folder of unpacked packages, as `cargo vendor` makes it.
    Directory(PathBuf),
    /// `local-registry = "…"`: a folder with an index and `.crate` files.
    LocalRegistry(PathBuf),
}

/// What is read in the place of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Its name in `[source]` or `[registries]`.
    pub name: String,
    /// Where it is.
    pub place: Place,
}

/// All of `[source]`.
#[derive(Debug, Clone, Default)]
pub struct SourceTable {
    defined: BTreeMap<String, Defined>,
    /// `[registries]`, which `replace-with` may name too.
    registries: BTreeMap<String, SourceId>,
}

#[derive(Debug, Clone)]
struct Defined {
    place: Place,
    replace_with: Option<Value<String>>,
}

impl Config {
    /// `[source]`, checked by the rules of the Cargo Book; the chains of `replace-with` are followed when they are asked
    /// about.
    ///
    /// # Errors
    /// A source without place or with several, a place defined twice, an address that is none.
    pub fn sources(&self) -> Result<SourceTable, Diagnostic> {
        let mut table = SourceTable::default();
        for (name, item) in self.table("source")?.into_iter().flatten() {
            if item.as_table().is_none() {
                let (kind, at) = (item.tree.kind(), &item.definition);
                return Err(at.error(
                    "config-type",
                    format!(
                        "invalid configuration for key `source.{name}`: expected a table, but found {kind} in {at}"
                    ),
                ));
            }
            // What remains of a table of a project that nobody trusts: nothing.
            if item.definition.is_repository() && item.as_table().is_some_and(BTreeMap::is_empty) {
                continue;
            }
            let place = self.place(name, item)?;
            if let Some((other, _)) = table.defined.iter().find(|(_, known)| known.place == place) {
                return Err(item
                    .definition
                    .error(
                        "config-source",
                        format!("source `{other}` and source `{name}` are defined as the same place"),
                    )
                    .help("sources are not allowed to be defined multiple times"));
            }
            let replace_with = self.string(["source", name, "replace-with"])?;
            table.defined.insert(name.clone(), Defined { place, replace_with });
        }
        for name in self.registry_names() {
            let Some(index) = self.registry(name)?.index else { continue };
            if let Ok(source) = registry_source(&index.value) {
                table.registries.insert(name.to_owned(), source);
            }
        }
        Ok(table)
    }

    fn place(&self, name: &str, item: &Item) -> Result<Place, Diagnostic> {
        let key = |last| ["source", name, last];
        let git = self.string(key("git"))?;
        let mut pins = [None, None, None];
        for (slot, pin) in pins.iter_mut().zip(["branch", "tag", "rev"]) {
            *slot = self.string(key(pin))?.map(|value| (pin, value));
            if let (Some((_, value)), None) = (&*slot, &git) {
                let message = format!(
                    "source definition `source.{name}` specifies `{pin}`, but that requires a `git` key to be specified"
                );
                return Err(value.definition.error("config-source", message));
            }
        }
        let mut places = Vec::new();
        if let Some(registry) = self.string(key("registry"))? {
            let source = registry_source(&registry.value)
                .map_err(|reason| invalid_url(name, "registry", &registry.definition, &reason))?;
            places.push(Place::Remote(source));
        }
        if let Some(folder) = self.path(key("local-registry"))? {
            places.push(Place::LocalRegistry(crate::merge::normalize(&folder.value).unwrap_or(folder.value)));
        }
        if let Some(folder) = self.path(key("directory"))? {
            places.push(Place::Directory(crate::merge::normalize(&folder.value).unwrap_or(folder.value)));
        }
        if let Some(git) = git {
            let pin = pins.into_iter().flatten().next().map(|(pin, value)| (pin, value.value));
            let source = git_source(&git.value, pin.as_ref().map(|(pin, value)| (*pin, value.as_str())))
                .map_err(|reason| invalid_url(name, "git", &git.definition, &reason))?;
            places.push(Place::Remote(source));
        }
        match (places.pop(), places.is_empty()) {
            (Some(place), true) => Ok(place),
            (None, _) if name == CRATES_IO => Ok(Place::Remote(SourceId::crates_io())),
            (None, _) => Err(item.definition.error(
                "config-source",
                format!(
                    "no source location specified for `source.{name}`, need `registry`, `local-registry`, `directory`, \
                     or `git` defined"
                ),
            )),
            (Some(_), false) => {
                let message = format!("more than one source location specified for `source.{name}`");
                Err(item.definition.error("config-source", message))
            }
        }
    }
}

impl SourceTable {
    /// What is to be read instead of `source`, without the commit if it is a git repository; `None` if it is not
    /// replaced.
    ///
    /// # Errors
    /// A chain of `replace-with` that leads to nothing, or in a circle; checksums that the replacement cannot have.
    pub fn replacement(&self, source: SourceId) -> Result<Option<Replacement>, Diagnostic> {
        let Some(first) = self.name_of(source) else { return Ok(None) };
        let mut seen = BTreeSet::from([first]);
        let mut current = first;
        let mut place = self.defined.get(first).map(|defined| &defined.place);
        while let Some(next) = self.defined.get(current).and_then(|defined| defined.replace_with.as_ref()) {
            let name = next.value.as_str();
            if !seen.insert(name) {
                let message = format!(
                    "detected a cycle of `replace-with` sources, the source `{first}` is eventually replaced with \
                     itself (configuration in `{}`)",
                    next.definition
                );
                return Err(next.definition.error("config-source", message));
            }
            if let Some(defined) = self.defined.get(name) {
                place = Some(&defined.place);
                current = name;
                continue;
            }
            let Some(&registry) = self.registries.get(name) else {
                let message = format!(
                    "could not find a configured source with the name `{name}` when attempting to lookup `{current}` \
                     (configuration in `{}`)",
                    next.definition
                );
                return Err(next.definition.error("config-source", message));
            };
            return checked(source, first, name, Place::Remote(registry)).map(Some);
        }
        let Some(place) = place.filter(|place| **place != Place::Remote(source)) else { return Ok(None) };
        checked(source, first, current, place.clone()).map(Some)
    }

    /// Whether no source is replaced: then nothing has to be looked up.
    pub fn is_empty(&self) -> bool {
        self.defined.is_empty()
    }

    /// The name under which `source` is configured.
    fn name_of(&self, source: SourceId) -> Option<&str> {
        if source.is_crates_io() && self.defined.contains_key(CRATES_IO) {
            return Some(CRATES_IO);
        }
        let wanted = Place::Remote(source);
        self.defined.iter().find(|(_, defined)| defined.place == wanted).map(|(name, _)| name.as_str())
    }
}

/// A lockfile records checksums for registries and none for git repositories: neither can stand in for the other.
fn checked(source: SourceId, first: &str, name: &str, place: Place) -> Result<Replacement, Diagnostic> {
    let has_checksums = source.is_registry();
    let fits = match &place {
        Place::Remote(other) => other.is_registry() == has_checksums,
        Place::LocalRegistry(_) => has_checksums,
        Place::Directory(_) => true,
    };
    if fits {
        return Ok(Replacement { name: name.to_owned(), place });
    }
    let (with, without) = if has_checksums { (first, name) } else { (name, first) };
    let message = format!(
        "cannot replace `{first}` with `{name}`, the source `{with}` supports checksums, but `{without}` does not: a lock \
         file compatible with `{first}` cannot be generated in this situation"
    );
    Err(Diagnostic::error("config-source", message))
}

fn registry_source(text: &str) -> Result<SourceId, String> {
    SourceId::registry(text).map_err(|error| error.to_string())
}

fn git_source(text: &str, pin: Option<(&str, &str)>) -> Result<SourceId, String> {
    let mut url = url::Url::parse(text).map_err(|error| error.to_string())?;
    url.set_fragment(None);
    url.set_query(None);
    if let Some((key, value)) = pin {
        url.query_pairs_mut().append_pair(key, value);
    }
    SourceId::parse(&format!("git+{url}")).map_err(|error| error.to_string())
}

fn invalid_url(name: &str, key: &str, definition: &Definition, reason: &str) -> Diagnostic {
    let message =
        format!("configuration key `source.{name}.{key}` specified an invalid URL (in {definition}): {reason}");
    definition.error("config-source", message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use bulkhead_schema::SourceId;

    use super::{Place, SourceTable};
    use crate::{Layer, LayerClass};

    fn table(text: &str) -> Result<SourceTable, String> {
        let layer = Layer::file("/p/.cargo/config.toml", &text.into(), LayerClass::User).unwrap();
        let merged = crate::merge(vec![layer], BTreeMap::new(), PathBuf::from("/p")).unwrap();
        merged.config.sources().map_err(|error| error.message)
    }

    fn crates_io(text: &str) -> String {
        let found =
            table(text).and_then(|table| table.replacement(SourceId::crates_io()).map_err(|error| error.message));
        match found {
            Ok(Some(found)) => format!("{}: {:?}", found.name, found.place),
            Ok(None) => "itself".to_owned(),
            Err(error) => error,
        }
    }

    #[test]
    fn chains_end_somewhere() {
        assert_eq!(crates_io(""), "itself");
        assert_eq!(crates_io("[source.crates-io]\n"), "itself");
        assert_eq!(
            crates_io(
                "[source.crates-io]\nreplace-with = 'a'\n[source.a]\nregistry = 'https://a.example/x'\nreplace-with = 'b'\n[source.b]\ndirectory = 'v/../w'\n"
            ),
            "b: Directory(\"/p/w\")"
        );
        assert_eq!(
            crates_io("[source.crates-io]\nreplace-with = 'r'\n[registries.r]\nindex = 'sparse+https://r.example/'\n"),
            "r: Remote(sparse+https://r.example/)"
        );
        assert_eq!(
            crates_io("[source.crates-io]\nregistry = 'https://r.example/x'\n"),
            "crates-io: Remote(registry+https://r.example/x)"
        );
        assert_eq!(
            crates_io("[source.crates-io]\nreplace-with = 'l'\n[source.l]\nlocal-registry = 'x'\n"),
            "l: LocalRegistry(\"/p/x\")"
        );
    }

    #[test]
    fn circles_are_seen_wherever_they_begin() {
        let circle = "[source.a]\nregistry = 'https://a.example/x'\nreplace-with = 'b'\n[source.b]\nregistry = 'https://b.example/x'\nreplace-with = 'a'\n";
        for text in [
            "[source.crates-io]\nreplace-with = 'crates-io'\n".to_owned(),
            // Cargo never comes back from this one.
            format!("[source.crates-io]\nreplace-with = 'a'\n{circle}"),
        ] {
            assert!(crates_io(&text).starts_with("detected a cycle of `replace-with` sources, the source `crates-io`"));
        }
        assert!(
            crates_io("[source.crates-io]\nreplace-with = 'nope'\n")
                .contains("`nope` when attempting to lookup `crates-io`")
        );
    }

    #[test]
    fn definitions_have_one_place() {
        let of = |text: &str| table(text).unwrap_err();
        assert!(of("[source.a]\nreplace-with = 'b'\n").starts_with("no source location specified for `source.a`"));
        assert!(
            of("[source.a]\nregistry = 'https://a.example/x'\ndirectory = 'd'\n").starts_with("more than one source")
        );
        assert!(of("[source.a]\ndirectory = 'd'\nbranch = 'x'\n").contains("specifies `branch`"));
        assert!(of("[source.a]\nregistry = 'not a url'\n").contains("`source.a.registry` specified an invalid URL"));
        assert!(of("[source.a]\nregistry = 'sparse+https://a.example/x'\n").contains("must end in a slash"));
        assert!(of("[source.a]\ndirectory = 'd'\n[source.b]\ndirectory = 'd'\n").contains("the same place"));
    }

    #[test]
    fn nothing_is_said_of_a_table_that_is_not_trusted() {
        let text = "[source.crates-io]\nreplace-with = 'v'\n[source.v]\ndirectory = 'v'\n[source.'git+https://g.example/x']\ngit = 'https://g.example/x'\nreplace-with = 'v'\n";
        let class = LayerClass::Repository { trusted: false, root: "/p".into() };
        let layer = Layer::file("/p/.cargo/config.toml", &text.into(), class).unwrap();
        let merged = crate::merge(vec![layer], BTreeMap::new(), PathBuf::from("/p")).unwrap();
        assert_eq!(merged.ignored.len(), 4);
        assert_eq!(merged.config.sources().unwrap().replacement(SourceId::crates_io()).unwrap(), None);
    }

    #[test]
    fn checksums_are_not_lost() {
        let text = "[source.crates-io]\nreplace-with = 'g'\n[source.g]\ngit = 'https://g.example/x'\nbranch = 'a/b'\n";
        assert!(crates_io(text).starts_with("cannot replace `crates-io` with `g`"));
        let git = SourceId::parse("git+https://g.example/x?branch=a%2Fb").unwrap();
        let table = table(
            "[source.g]\ngit = 'https://g.example/x'\nbranch = 'a/b'\nreplace-with = 'v'\n[source.v]\ndirectory = 'v'\n",
        );
        let found = table.unwrap().replacement(git).unwrap().unwrap();
        assert_eq!(found.place, Place::Directory("/p/v".into()));
    }
}
