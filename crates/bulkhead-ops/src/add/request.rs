//! What the words of `add` ask for.

use bulkhead_schema::PackageName;
use bulkhead_schema::platform::Platform;
use bulkhead_workspace::edit::Place;
use semver::VersionReq;

use crate::Error;
use crate::error::Result;
use crate::options::AddOptions;

/// One package that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its name; `None` if a folder or repository is to say it.
    pub(super) name: Option<String>,
    /// Where it comes from, if the user says so.
    pub(super) place: Option<Place>,
    /// Features asked for.
    pub(super) features: Vec<String>,
}

/// The packages that the command line asks for.
///
/// # Errors
/// Words that are no names or requirements, and flags that do not go together.
pub(super) fn requests(options: &AddOptions) -> Result<Vec<Wanted>> {
    let mut wanted = Vec::new();
    for word in &options.crates {
        wanted.push(named(word, options)?);
    }
    if wanted.len() > 1 && options.rename.is_some() {
        return Err(Error::failure("cannot specify multiple crates with `--rename`"));
    }
    if let Some(name) = &options.rename {
        check_name(name)?;
    }
    if let Some(platform) = &options.section.platform {
        if platform.starts_with('-') {
            return Err(Error::failure(format!("`{platform}` is not the name of a target platform")));
        }
        platform.parse::<Platform>().map_err(|error| {
            Error::failure(format!("failed to parse `{platform}` as a cfg expression")).because(error)
        })?;
    }
    if wanted.is_empty() {
        wanted.push(Wanted { name: None, place: elsewhere(options), features: Vec::new() });
    }
    give_features(&options.features, &mut wanted)?;
    Ok(wanted)
}

/// `--path` or `--git`
fn elsewhere(options: &AddOptions) -> Option<Place> {
    match (&options.path, &options.git) {
        (Some(path), _) => Some(Place::Path { path: path.clone(), version: None }),
        (None, Some(url)) => Some(Place::Git { url: url.clone(), reference: options.reference.clone(), version: None }),
        (None, None) => None,
    }
}

/// `name` or `name@requirement`
fn named(word: &str, options: &AddOptions) -> Result<Wanted> {
    let (name, version) = match word.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (word, None),
    };
    check_name(name)?;
    let place = match (version, elsewhere(options)) {
        (None, place) => place,
        (Some(version), Some(place)) => {
            let what = match place {
                Place::Git { url, .. } => format!("a git URL (`{url}`)"),
                _ => format!("a path (`{}`)", options.path.clone().unwrap_or_default()),
            };
            return Err(Error::failure(format!("cannot specify {what} with a version (`{version}`).")));
        }
        (Some(version), None) => {
            VersionReq::parse(version)
                .map_err(|error| Error::failure(format!("invalid version requirement `{version}`")).because(error))?;
            Some(Place::Registry { version: version.to_owned() })
        }
    };
    Ok(Wanted { name: Some(name.to_owned()), place, features: Vec::new() })
}

/// Refuses what is no package name, in Cargo's words.
fn check_name(name: &str) -> Result<()> {
    let invalid = |bad: char, rule: &str| {
        Err(Error::failure(format!("invalid character `{bad}` in package name: `{name}`, {rule}")))
    };
    let Some(first) = name.chars().next() else { return Err(Error::failure("package name cannot be empty")) };
    if first.is_ascii_digit() {
        return invalid(first, "the name cannot start with a digit");
    }
    if !first.is_alphabetic() && first != '_' {
        let rule = "the first character must be a Unicode XID start character (most letters or `_`)";
        return invalid(first, rule);
    }
    if let Some(bad) = name.chars().find(|&c| !c.is_alphanumeric() && c != '-' && c != '_') {
        let rule = "characters must be Unicode XID characters (numbers, `-`, `_`, or most letters)";
        return invalid(bad, rule);
    }
    PackageName::local(name).map(drop).map_err(|error| Error::failure(error.to_string()))
}

/// `feature` is for the only package, `package/feature` for the one of that name.
fn give_features(features: &[String], wanted: &mut [Wanted]) -> Result<()> {
    for text in features {
        if text.starts_with("dep:") {
            let message = format!("feature `{text}` is not allowed to use explicit `dep:` syntax");
            return Err(Error::failure(message));
        }
        let (package, feature) = match text.split_once('/') {
            Some((_, feature)) if feature.contains('/') => {
                return Err(Error::failure(format!("multiple slashes in feature `{text}` is not allowed")));
            }
            Some((package, feature)) => (Some(package.trim_end_matches('?')), feature),
            None => (None, text.as_str()),
        };
        let place = match package {
            Some(package) => {
                wanted.iter().position(|wanted| wanted.name.as_deref() == Some(package)).ok_or_else(|| {
                    let message = format!("feature `{feature}` activated for crate `{package}`");
                    Error::failure(format!("{message} but the crate wasn't specified"))
                })?
            }
            None if wanted.len() == 1 => 0,
            None => return Err(unqualified(feature, wanted)),
        };
        if !wanted[place].features.iter().any(|known| known == feature) {
            wanted[place].features.push(feature.to_owned());
        }
    }
    Ok(())
}

fn unqualified(feature: &str, wanted: &[Wanted]) -> Error {
    let names = wanted.iter().filter_map(|wanted| wanted.name.as_ref());
    let examples: Vec<String> = names.map(|name| format!("`{name}/{feature}`")).collect();
    Error::failure(format!(
        "feature `{feature}` must be qualified by the dependency it's being activated for, like {}",
        examples.join(", ")
    ))
}

/// Most separators of a name whose every mixture of `-` and `_` is tried.
const MAX_MIXED: usize = 5;

/// How else `name` could be meant: in small letters, and with `-` and `_` mixed up.
pub(crate) fn other_spellings(name: PackageName) -> Vec<PackageName> {
    let lower = name.as_str().to_lowercase();
    let separators: Vec<usize> = lower.match_indices(['-', '_']).map(|(position, _)| position).collect();
    let masks: Vec<u32> = match separators.len() {
        0 => vec![0],
        count @ 1..=MAX_MIXED => (0..1 << count).collect(),
        _ => vec![0, u32::MAX],
    };
    let mut spellings = vec![lower.clone()];
    for mask in masks {
        let mut bytes = lower.clone().into_bytes();
        for (bit, &position) in separators.iter().enumerate() {
            bytes[position] = if mask.checked_shr(bit as u32).unwrap_or(mask) & 1 == 1 { b'_' } else { b'-' };
        }
        spellings.extend(String::from_utf8(bytes));
    }
    let mut known = std::collections::BTreeSet::from([name.as_str().to_owned()]);
    spellings.retain(|spelling| known.insert(spelling.clone()));
    spellings.iter().filter_map(|spelling| PackageName::registry(spelling).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{check_name, other_spellings};
    use bulkhead_schema::PackageName;

    #[test]
    fn separators_and_capitals_are_mixed_up() {
        let others = |name: &str| -> Vec<&str> {
            other_spellings(PackageName::local(name).unwrap()).into_iter().map(PackageName::as_str).collect()
        };
        assert_eq!(others("a-b"), ["a_b"]);
        assert_eq!(others("Serde"), ["serde"]);
        assert_eq!(others("serde"), Vec::<&str>::new());
        assert_eq!(others("a-b_c"), ["a-b-c", "a_b-c", "a_b_c"]);
        assert_eq!(others(&"a-".repeat(40)).len(), 1);
    }

    #[test]
    fn names_cannot_be_options_or_paths() {
        for bad in ["", "-x", "../x", "a b", "1a", "a/b", "a\u{1b}"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        check_name("größe_1-x").unwrap();
    }
}
