//! Package id specifications: how users name a package (Cargo Book, "Package ID Specifications").

use std::fmt;

use crate::ids::InvalidId;
use crate::{PackageId, PackageName};

/// `name`, `name@1.2`, `URL`, `URL#name`, `URL#1.2.3` or `URL#name@1.2.3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSpec {
    name: Option<PackageName>,
    /// A version or a prefix of one.
    version: Option<String>,
    /// With or without the `kind+` prefix.
    url: Option<String>,
}

impl PackageSpec {
    /// Reads a specification.
    ///
    /// # Errors
    /// The name or version breaks its grammar. Nothing that begins with `-` is a specification.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let Some((url, fragment)) = split_url(text) else { return Self::name_and_version(text) };
        if let Some((kind, _)) = url.split_once("://").and_then(|(scheme, _)| scheme.split_once('+'))
            && !["git", "path", "registry", "sparse"].contains(&kind)
        {
            let reason = format!("unsupported source protocol: {kind}");
            return Err(InvalidId::new("package specification", text, reason));
        }
        let trimmed = url.trim_end_matches('/');
        let plain = !url.contains(|c: char| c.is_control() || c.is_whitespace());
        if !plain || !trimmed.contains("://") || url::Url::parse(url).is_err() {
            return Err(InvalidId::new("package specification", text, "its address is no URL"));
        }
        let url = Some(trimmed.to_owned());
        match fragment {
            None => Ok(Self { name: None, version: None, url }),
            Some(version) if version.starts_with(|c: char| c.is_ascii_digit()) => {
                Ok(Self { name: None, version: Some(partial_version(text, version)?), url })
            }
            Some(rest) => Ok(Self { url, ..Self::name_and_version(rest)? }),
        }
    }

    fn name_and_version(text: &str) -> Result<Self, InvalidId> {
        let (name, version) = match text.split_once('@').or_else(|| text.split_once(':')) {
            Some((name, version)) => (name, Some(partial_version(text, version)?)),
            None => (text, None),
        };
        Ok(Self { name: Some(PackageName::local(name)?), version, url: None })
    }

    /// The name, if the specification has one.
    pub fn name(&self) -> Option<PackageName> {
        self.name
    }

    /// Whether it means `id`.
    pub fn matches(&self, id: PackageId) -> bool {
        self.name.is_none_or(|name| name == id.name())
            && self.version.as_deref().is_none_or(|wanted| version_matches(wanted, id))
            && self.url.as_deref().is_none_or(|wanted| url_matches(wanted, id))
    }
}

/// A URL has a scheme; what follows `#` is its fragment.
fn split_url(text: &str) -> Option<(&str, Option<&str>)> {
    text.contains("://").then(|| match text.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment)),
        None => (text, None),
    })
}

fn partial_version(text: &str, version: &str) -> Result<String, InvalidId> {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let valid = !numbers.is_empty()
        && numbers.split('.').count() <= 3
        && numbers.split('.').all(|part| part.parse::<u64>().is_ok())
        && (numbers == version || version.parse::<semver::Version>().is_ok());
    if valid {
        Ok(version.to_owned())
    } else {
        Err(InvalidId::new("package specification", text, "expected a version like \"1.32\""))
    }
}

fn version_matches(wanted: &str, id: PackageId) -> bool {
    let version = id.version().to_string();
    match version.strip_prefix(wanted) {
        Some("") => true,
        // `1.2` means any 1.2.x, and no pre-release.
        Some(rest) => {
            id.version().pre.is_empty() && (rest.starts_with('.') || rest.starts_with('+')) || rest.starts_with('+')
        }
        None => false,
    }
}

fn url_matches(wanted: &str, id: PackageId) -> bool {
    let full = id.source().to_string();
    let full = full.split(['?', '#']).next().unwrap_or_default();
    let url = id.source().url();
    [full, url].iter().any(|known| known.trim_end_matches('/') == wanted)
}

impl fmt::Display for PackageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fragment = match (&self.name, &self.version) {
            (Some(name), Some(version)) => format!("{name}@{version}"),
            (Some(name), None) => name.to_string(),
            (None, Some(version)) => version.clone(),
            (None, None) => String::new(),
        };
        match &self.url {
            Some(url) if fragment.is_empty() => f.write_str(url),
            Some(url) => write!(f, "{url}#{fragment}"),
            None => f.write_str(&fragment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PackageSpec;
    use crate::{PackageId, PackageName, SourceId};

    #[test]
    fn specifications_of_the_cargo_book() {
        let id = |name: &str, version: &str| {
            PackageId::new(PackageName::local(name).unwrap(), version.parse().unwrap(), SourceId::crates_io())
        };
        let matches = |spec: &str, id| PackageSpec::parse(spec).unwrap().matches(id);
        let regex = id("regex", "1.4.3");
        for spec in [
            "regex",
            "regex@1",
            "regex@1.4",
            "regex@1.4.3",
            "regex:1.4.3",
            "https://github.com/rust-lang/crates.io-index#regex",
            "registry+https://github.com/rust-lang/crates.io-index#regex@1.4.3",
        ] {
            assert!(matches(spec, regex), "{spec}");
        }
        for spec in ["rege", "regex@1.4.4", "regex@1.5", "regex@1.4.31", "https://example.org/x#regex"] {
            assert!(!matches(spec, regex), "{spec}");
        }
        assert!(!matches("a@1.0", id("a", "1.0.0-beta")));
        for bad in [
            "-p",
            "",
            "a@",
            "a@x",
            "a@1.2.3.4",
            "a b",
            "foo+https://x/y",
            ".3\u{8}1://",
            "://x",
            "https:///",
            "a b://x",
        ] {
            assert!(PackageSpec::parse(bad).is_err(), "{bad}");
        }
    }
}
